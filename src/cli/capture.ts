import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Command } from 'commander';
import type { CaptureKey } from '../control/capture.js';
import type { ControlClient } from '../control/client.js';
import type { EspAlgorithm } from '../model/sa.js';
import { blocksOf, isPacket } from '../wire/pcap.js';
import { openNode } from './ask.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

interface Flags {
  filter?: string;
  write: string;
  count?: string;
  seconds?: string;
  keys?: string;
  socket?: string;
}

/** `penstock capture`: what passes a running node, from inside the pipeline, as pcapng. */
export function captureCommand(output: Output = createOutput()): Command {
  return new Command('capture')
    .summary('write what passes a running node as pcapng: which worker, which verdict, why dropped')
    .description(
      'Write what passes a running node as pcapng, each packet as it came in with what became of it (sent, dropped and ' +
        'why, for this node) and as it left; the comment says which worker. Until Ctrl-C, or as long as is said. ' +
        'What does not fit is left out of the capture and counted, never out of the traffic.',
    )
    .option(
      '--filter <terms>',
      "which packets, e.g. 'esp and spi 0x1001', 'dropped', 'host 10.0.0.1 and not arp'",
    )
    .option('-w, --write <file>', 'a file; - is standard output', '-')
    .option('--count <n>', 'end after so many packets')
    .option('--seconds <n>', 'end after so long')
    .option('--keys <file>', 'write the keys of the SAs, with which Wireshark decrypts ESP (an esp_sa file)')
    .option('--socket <path>', 'its control socket; needed where several nodes run')
    .action(async (flags: Flags) => capture(flags, output));
}

async function capture(flags: Flags, output: Output): Promise<void> {
  const count = wholeOf('--count', flags.count);
  const seconds = wholeOf('--seconds', flags.seconds);
  if (flags.write === '-' && output.isTerminal)
    throw new Exit('usage', 'a capture is no text: write it to a file (-w FILE) or into a pipe');
  const client = await openNode(flags.socket);
  let file: number | null = null;
  try {
    if (flags.keys !== undefined) await writeKeys(client, flags.keys, output);
    if (flags.write !== '-') file = openSync(flags.write, 'w', 0o600);
    const descriptor = file ?? 1;
    const { packets, missed } = await follow(client, flags.filter ?? '', descriptor, count, seconds);
    output.message(`${packets} packets captured${missed > 0 ? `, ${missed} left out for want of room` : ''}`);
  } finally {
    client.close();
    if (file !== null) closeSync(file);
  }
}

function follow(
  client: ControlClient,
  filter: string,
  descriptor: number,
  count: number,
  seconds: number,
): Promise<{ packets: number; missed: number }> {
  return new Promise((resolve, reject) => {
    let packets = 0;
    let missed = 0;
    let timer: NodeJS.Timeout | undefined;
    const leave = () => {
      clearTimeout(timer);
      process.off('SIGINT', end).off('SIGTERM', end);
      client.onTold(() => {});
      client.onClose(() => {});
    };
    const end = () => {
      leave();
      resolve({ packets, missed });
    };
    const fail = (error: Error) => {
      leave();
      reject(error);
    };
    process.on('SIGINT', end).on('SIGTERM', end);
    if (seconds < Number.POSITIVE_INFINITY) timer = setTimeout(end, seconds * 1000);
    client.onClose(() => fail(new Exit('failure', 'the node ended the session')));
    client.onTold((told) => {
      if (told.event !== 'captured') return;
      missed = told.missed;
      try {
        for (const block of blocksOf(Buffer.from(told.blocks, 'base64'))) {
          if (isPacket(block) && packets++ >= count) break;
          write(descriptor, block);
        }
      } catch (error) {
        // whoever reads has seen enough
        if ((error as NodeJS.ErrnoException).code === 'EPIPE') end();
        else fail(new Exit('failure', `cannot write: ${(error as Error).message}`));
        return;
      }
      if (packets >= count) {
        packets = count;
        end();
      }
    });
    client.request('capture.start', { filter }).catch((error: Error) => {
      fail(new Exit(error.message.startsWith('filter:') ? 'usage' : 'failure', error.message));
    });
  });
}

/** All of it, into a pipe that may be full for a moment, too. */
function write(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

/** The esp_sa file of Wireshark's preferences: it is found by -o uat:esp_sa:…, or copied into a profile. */
async function writeKeys(client: ControlClient, path: string, output: Output): Promise<void> {
  const { keys } = (await client.request('capture.keys', {})) as { keys: CaptureKey[] };
  const file = create(path, 0o600);
  try {
    for (const key of keys) write(file, Buffer.from(`${espSaLine(key)}\n`));
  } finally {
    closeSync(file);
  }
  output.message(
    `${path} holds the keys of ${keys.length} SAs: whoever reads it reads the traffic; delete it after use`,
  );
}

/** What Wireshark calls the algorithms: encryption, authentication. */
const wiresharkNames: Readonly<Record<EspAlgorithm, readonly [string, string]>> = {
  // which authenticates by itself
  'aes-gcm': ['AES-GCM with 16 octet ICV [RFC4106]', 'NULL'],
  'aes-cbc-hmac-sha1-96': ['AES-CBC [RFC3602]', 'HMAC-SHA-1-96 [RFC2404]'],
  'aes-cbc-hmac-sha-256-128': ['AES-CBC [RFC3602]', 'HMAC-SHA-256-128 [RFC4868]'],
  'aes-cbc-hmac-sha-384': ['AES-CBC [RFC3602]', 'HMAC-SHA-384-192 [RFC4868]'],
  'aes-cbc-hmac-sha-512': ['AES-CBC [RFC3602]', 'HMAC-SHA-512-256 [RFC4868]'],
};

/** Protocol, source, destination, SPI, cipher and its key (AES-GCM: with the salt), authentication and its key. */
export function espSaLine({
  source,
  destination,
  spi,
  algorithm,
  key,
  authenticationKey,
}: CaptureKey): string {
  const protocol = source.includes(':') ? 'IPv6' : 'IPv4';
  const hex = `0x${spi.toString(16).padStart(8, '0')}`;
  const [encryption, authentication] = wiresharkNames[algorithm];
  const mac = authenticationKey === null ? '' : `0x${authenticationKey}`;
  return [protocol, source, destination, hex, encryption, `0x${key}`, authentication, mac]
    .map((field) => `"${field}"`)
    .join(',');
}

/** Made anew: what is there already may have other readers. */
function create(path: string, mode: number): number {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Exit('failure', code === 'EEXIST' ? `${path} is there already` : message);
  }
}

function wholeOf(name: string, text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new Exit('usage', `${name} ${text}: not a whole number from 1 on`);
  return Number(text);
}
