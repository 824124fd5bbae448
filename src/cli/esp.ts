import { closeSync, createReadStream, existsSync, openSync, realpathSync, writeSync } from 'node:fs';
import { Command } from 'commander';
import type { Surroundings } from '../config/load.js';
import type { EspResult, OpenDrop, Opener, SealDrop, Sealer } from '../crypto/esp.js';
import { NativeOpener, NativeSealer } from '../crypto/native-esp.js';
import { OracleOpener, OracleSealer, selects } from '../crypto/oracle.js';
import { type InboundEntry, readInboundSas, readOutboundSas } from '../crypto/sa-file.js';
import { Address } from '../model/address.js';
import type { OutboundSa } from '../model/sa.js';
import { counters } from '../pipeline/counters.js';
import { native } from '../pipeline/native.js';
import { type Bytes, type DecodeReason, u32 } from '../wire/bytes.js';
import { decodeInUdp, espHeaderBytes, espUdpPort } from '../wire/esp.js';
import { decodeEthernet, type EthernetHeader, encodeEthernet, etherType } from '../wire/ethernet.js';
import { decodeIp, type IpPacket, ipProtocol } from '../wire/ip.js';
import {
  type CapturedPacket,
  CaptureReader,
  captureHeader,
  capturePacket,
  type LinkType,
} from '../wire/pcap.js';
import { decodeUdp } from '../wire/udp.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';
import { readSecretFile, SaStore } from './sa-store.js';

/** Packets that are opened or sealed, and numbers that are written back, at once. */
const batchPackets = 4096;

interface Flags {
  sa: string;
  write: string;
  json?: boolean;
  crypto: string;
}

/** `penstock esp open|seal`: ESP on captures. */
export function espCommand(output: Output = createOutput()): Command {
  const verb = (name: string, summary: string, description: string) =>
    new Command(name)
      .summary(summary)
      .description(description)
      .argument('<capture>', 'a pcap or pcapng file; - is standard input')
      .requiredOption('--sa <file>', 'the SA file: spi, key, … (docs/esp.md)')
      .requiredOption('-w, --write <file>', 'the pcapng file to write; - is standard output')
      .option('--crypto <name>', 'native, typescript, or auto: native where the core is built', 'auto')
      .option('--json', 'print one JSON object');
  const open = verb(
    'open',
    'decrypt the ESP packets of a capture',
    'Write the inner packets of the ESP packets in a capture. What is not ESP is left out; what does not open is counted\n' +
      'by its drop reason. Exit 3 when some packets did not open, 1 when none did.',
  ).action((capture: string, flags: Flags) => run(capture, flags, output, openVerb));
  const seal = verb(
    'seal',
    'encrypt the IP packets of a capture',
    'Write the IP packets of a capture as ESP packets. The next IV and sequence number are written back into the SA file\n' +
      'before a packet is written. Exit 3 when some packets were not sealed, 1 when none was.',
  ).action((capture: string, flags: Flags) => run(capture, flags, output, sealVerb));
  return new Command('esp')
    .summary('open or seal the packets of a capture with the keys of an SA file')
    .description('Open or seal the ESP packets of captures, with the keys of an SA file.')
    .addCommand(open)
    .addCommand(seal);
}

/** Why a packet of the capture is not in what was written: a name of native/counters.def. */
type Reason = DecodeReason | OpenDrop | SealDrop | 'fragment' | 'no_sa';

/** A packet with its link header taken off; header null: it has none. */
interface Unlinked {
  readonly header: EthernetHeader | null;
  readonly ip: Bytes;
}
type Outcome = { readonly packet: Bytes } | { readonly drop: Reason } | 'other';

/** open or seal, with its SAs: whole IP packets to what becomes of each. */
interface Work {
  readonly crypto: 'native' | 'typescript';
  process(packets: readonly { bytes: Bytes; ip: IpPacket }[]): Outcome[];
  /** What must be done before the packets processed so far are written. */
  commit(): Promise<void>;
}
interface Verb {
  readonly name: 'open' | 'seal';
  readonly done: 'opened' | 'sealed';
  readonly start: (flags: Flags, surroundings: Surroundings, text: string) => Work;
}

const openVerb: Verb = { name: 'open', done: 'opened', start: startOpening };
const sealVerb: Verb = { name: 'seal', done: 'sealed', start: startSealing };

async function run(capture: string, flags: Flags, output: Output, verb: Verb): Promise<void> {
  if (flags.write === '-' && flags.json) {
    throw new Exit('usage', 'standard output cannot have both the capture and the JSON object; -w a file');
  }
  refuseOverwriting(flags.write, [capture, flags.sa]);
  const warn = (message: string) => output.message(message);
  const readFile = (path: string) => readSecretFile(path, warn);
  const text = orExit(flags.sa, () => readFile(flags.sa), 'badConfiguration');
  const work = verb.start(flags, { readFile, variable: (name) => process.env[name] }, text);
  const writer = new CaptureWriter(flags.write, verb.name);
  const summary = new Summary();
  const fault = await forEachBatch(capture, async (packets) => {
    const outcomes = processBatch(packets, work, summary);
    // nothing leaves before its numbers are on disk
    await work.commit();
    for (const outcome of outcomes) writer.write(outcome);
  }).finally(() => writer.close());
  const result = {
    packets: summary.packets,
    [verb.done]: summary.done,
    other: summary.other,
    dropsByReason: summary.drops,
    crypto: work.crypto,
    written: flags.write,
    captureFault: fault,
  };
  if (flags.json) output.json(result);
  else if (flags.write === '-') output.message(summary.text(verb, capture));
  else output.data(`${summary.text(verb, capture)} → ${flags.write}`);
  if (fault !== null) throw new Exit('failure', `${capture}: ${fault}`);
  const dropped = summary.packets - summary.other - summary.done;
  if (dropped > 0) throw new Exit(summary.done === 0 ? 'failure' : 'degraded');
}

function startOpening(flags: Flags, surroundings: Surroundings, text: string): Work {
  const sas = readInboundSas(text, flags.sa, surroundings);
  const crypto = cryptoOf(flags.crypto);
  const openers = sas.map(
    (sa): Opener => (crypto === 'native' ? new NativeOpener(sa) : new OracleOpener(sa)),
  );
  return {
    crypto,
    process(packets) {
      const found = packets.map(({ bytes, ip }) => espOf(bytes, ip, sas));
      return perSa(found, (sa, some) => openers[sa]!.open(some));
    },
    commit: async () => {},
  };
}

function startSealing(flags: Flags, surroundings: Surroundings, text: string): Work {
  const file = readOutboundSas(text, flags.sa, surroundings);
  const store = new SaStore(flags.sa, text);
  const crypto = cryptoOf(flags.crypto);
  const sealers = file.sas.map(
    (sa): Sealer => (crypto === 'native' ? new NativeSealer(sa) : new OracleSealer(sa)),
  );
  return {
    crypto,
    process(packets) {
      const found = packets.map(({ bytes, ip }) => saOf(bytes.subarray(0, ip.totalLength), file.sas));
      return perSa(found, (sa, some) => sealers[sa]!.seal(some));
    },
    commit: () => store.replace(file.withNumbers(sealers.map((sealer) => sealer.next()))),
  };
}

/** A packet and the SA that it is for, or what becomes of it without one. */
type Found<Packet> = { readonly sa: number; readonly packet: Packet } | { readonly drop: Reason } | 'other';

/** Gives each SA its packets, in order and at once, and puts what becomes of them back into their places. */
function perSa<Packet>(
  found: readonly Found<Packet>[],
  work: (sa: number, packets: Packet[]) => EspResult<Reason>[],
): Outcome[] {
  const places = new Map<number, number[]>();
  const outcomes = found.map((each, place): Outcome => {
    if (each === 'other' || 'drop' in each) return each;
    const of = places.get(each.sa);
    if (of === undefined) places.set(each.sa, [place]);
    else of.push(place);
    return 'other';
  });
  for (const [sa, of] of places) {
    const packets = of.map((place) => (found[place] as { packet: Packet }).packet);
    for (const [i, result] of work(sa, packets).entries()) outcomes[of[i]!] = result;
  }
  return outcomes;
}

function espOf(
  bytes: Bytes,
  ip: IpPacket,
  sas: readonly InboundEntry[],
): Found<{ esp: Bytes; outerTos: number }> {
  const isUdp = ip.protocol === ipProtocol.udp;
  if (!isUdp && ip.protocol !== ipProtocol.esp) return 'other';
  const payload = bytes.subarray(ip.payloadOffset, ip.totalLength);
  let esp = payload;
  if (isUdp) {
    if (ip.fragment !== 'none') return 'other';
    const udp = decodeUdp(payload);
    if (!udp.ok || (udp.value.sourcePort !== espUdpPort && udp.value.destinationPort !== espUdpPort))
      return 'other';
    const inUdp = decodeInUdp(udp.value.payload);
    if (inUdp.kind !== 'esp') return 'other';
    esp = inUdp.payload;
  }
  // reassembly comes before opening (RFC 4303 §3.4.1), and is not done here
  if (ip.fragment !== 'none') return { drop: 'fragment' };
  if (esp.length < espHeaderBytes) return { drop: 'esp_runt' };
  const destination = new Address(ip.destination);
  const spi = u32(esp, 0);
  const sa = sas.findIndex((each) => each.spi === spi && (each.destination?.equals(destination) ?? true));
  return sa < 0 ? { drop: 'no_sa' } : { sa, packet: { esp, outerTos: ip.tos } };
}

function saOf(inner: Bytes, sas: readonly OutboundSa[]): Found<Bytes> {
  const sa = sas.findIndex(({ selectors }) => selects(selectors, inner));
  return sa < 0 ? { drop: 'selector' } : { sa, packet: inner };
}

function cryptoOf(wanted: string): 'native' | 'typescript' {
  if (wanted === 'typescript') return 'typescript';
  if (wanted !== 'native' && wanted !== 'auto') {
    throw new Exit('usage', `--crypto ${wanted}: not known; write native, typescript or auto`);
  }
  try {
    native();
    return 'native';
  } catch (error) {
    if (wanted === 'auto') return 'typescript';
    throw error;
  }
}

interface Written {
  readonly packet: Bytes;
  readonly header: EthernetHeader | null;
  readonly timeNs: bigint;
}

function processBatch(packets: readonly CapturedPacket[], work: Work, summary: Summary): Written[] {
  const unlinked = packets.map((packet): Unlinked | Outcome => unlink(packet));
  const decoded = unlinked.map((each): { bytes: Bytes; ip: IpPacket } | Outcome => {
    if (each === 'other' || 'drop' in each || 'packet' in each) return each;
    const ip = decodeIp(each.ip);
    return ip.ok ? { bytes: each.ip, ip: ip.value } : { drop: ip.reason };
  });
  const good = decoded.filter((each) => each !== 'other' && 'ip' in each);
  const processed = work.process(good as { bytes: Bytes; ip: IpPacket }[]);
  let next = 0;
  return decoded.flatMap((each, i): Written[] => {
    const outcome = each !== 'other' && 'ip' in each ? processed[next++]! : each;
    summary.add(outcome);
    if (outcome === 'other' || 'drop' in outcome) return [];
    const { header } = unlinked[i] as Unlinked;
    return [{ packet: outcome.packet, header, timeNs: packets[i]!.timeNs }];
  });
}

/** 'other': neither IPv4 nor IPv6. */
function unlink({ data, link }: CapturedPacket): Unlinked | Outcome {
  if (link === 'raw-ip') return { header: null, ip: data };
  const frame = decodeEthernet(data);
  if (!frame.ok) return { drop: frame.reason };
  const { type, payloadOffset } = frame.value;
  if (type !== etherType.ipv4 && type !== etherType.ipv6) return 'other';
  return { header: frame.value, ip: data.subarray(payloadOffset) };
}

class Summary {
  packets = 0;
  done = 0;
  other = 0;
  readonly drops: Record<string, number> = {};

  add(outcome: Outcome): void {
    this.packets++;
    if (outcome === 'other') this.other++;
    else if ('packet' in outcome) this.done++;
    else this.drops[outcome.drop] = (this.drops[outcome.drop] ?? 0) + 1;
  }

  text(verb: Verb, capture: string): string {
    const words = (name: string) => counters.find((counter) => counter.name === name)?.words ?? name;
    const parts = Object.entries(this.drops).map(([name, count]) => `${count} ${words(name)} (${name})`);
    if (this.other > 0) parts.push(`${this.other} ${verb.name === 'open' ? 'not ESP' : 'not IP'}`);
    const rest = parts.length > 0 ? `: ${parts.join(', ')}` : '';
    return `${capture}: ${verb.done} ${this.done} of ${this.packets} packets${rest}`;
  }
}

/** Writes packets with the first one's link type. A packet of the other kind loses its link header, or gets one of zeros. */
class CaptureWriter {
  readonly #descriptor: number;
  readonly #name: string;
  #link: LinkType | null = null;

  constructor(file: string, name: string) {
    this.#descriptor = file === '-' ? 1 : orExit(file, () => openSync(file, 'w', 0o600));
    this.#name = name;
  }

  write({ packet, header, timeNs }: Written): void {
    this.#start(header === null ? 'raw-ip' : 'ethernet');
    let data = packet;
    if (this.#link === 'ethernet') {
      const type = packet[0]! >> 4 === 4 ? etherType.ipv4 : etherType.ipv6;
      const none = { destination: new Uint8Array(6), source: new Uint8Array(6), vlan: 0 };
      data = encodeEthernet({ ...(header ?? none), type }, packet);
    }
    this.#put(capturePacket({ data, timeNs }));
  }

  /** A capture without packets is one, too. */
  close(): void {
    this.#start('raw-ip');
    if (this.#descriptor !== 1) closeSync(this.#descriptor);
  }

  #start(link: LinkType): void {
    if (this.#link !== null) return;
    this.#link = link;
    this.#put(captureHeader(link, `esp ${this.#name}`));
  }

  #put(bytes: Bytes): void {
    for (let rest = bytes; rest.length > 0; ) {
      try {
        rest = rest.subarray(writeSync(this.#descriptor, rest));
      } catch (error) {
        // a pipe that is full for the moment
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
    }
  }
}

/** Reads a capture piece by piece; what was wrong with it, or null. */
async function forEachBatch(
  capture: string,
  work: (packets: readonly CapturedPacket[]) => Promise<void>,
): Promise<string | null> {
  const reader = new CaptureReader();
  let waiting: CapturedPacket[] = [];
  for await (const chunk of chunksOf(capture)) {
    for (const packet of reader.push(chunk)) waiting.push(packet);
    while (waiting.length >= batchPackets) {
      await work(waiting.slice(0, batchPackets));
      waiting = waiting.slice(batchPackets);
    }
  }
  reader.end();
  if (waiting.length > 0) await work(waiting);
  return reader.error?.message ?? null;
}

async function* chunksOf(capture: string): AsyncGenerator<Bytes> {
  const chunks = (capture === '-' ? process.stdin : createReadStream(capture))[Symbol.asyncIterator]();
  for (;;) {
    const { value, done } = await chunks.next().catch((error: unknown) => {
      throw new Exit('failure', `${capture}: ${reasonOf(error)}`);
    });
    if (done) return;
    yield value as Bytes;
  }
}

function refuseOverwriting(target: string, sources: readonly string[]): void {
  if (target === '-' || !existsSync(target)) return;
  const real = realpathSync(target);
  for (const source of sources) {
    if (source !== '-' && existsSync(source) && realpathSync(source) === real) {
      throw new Exit('usage', `-w ${target} would overwrite ${source}`);
    }
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
  };
  return reasons[code ?? ''] ?? message;
}

function orExit<T>(file: string, action: () => T, reason: 'failure' | 'badConfiguration' = 'failure'): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof Exit) throw error;
    throw new Exit(reason, `${file}: ${reasonOf(error)}`);
  }
}
