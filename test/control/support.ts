import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ipaddr from 'ipaddr.js';
import { afterEach } from 'vitest';
import { loadConfig } from '../../dist/config/load.js';
import { Daemon } from '../../dist/control/daemon.js';
import { NativeSealer } from '../../dist/crypto/native-esp.js';
import { Address } from '../../dist/model/address.js';
import { Secret } from '../../dist/model/secret.js';
import { encodeArp, encodeEthernet } from '../../dist/wire/ethernet.js';
import { encodeIp } from '../../dist/wire/ip.js';
import { captureHeader, capturePacket } from '../../dist/wire/pcap.js';
import { encodeUdp } from '../../dist/wire/udp.js';

const directories: string[] = [];
const daemons = new Set<Daemon>();

/** Mode 0700, gone after the test. */
export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'penstock-control-'));
  directories.push(path);
  return path;
}

afterEach(async () => {
  for (const daemon of daemons) await daemon.stop();
  daemons.clear();
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true });
});

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Waits until it holds, at most so long; the test that asked fails on what it then finds. */
export async function until(holds: () => boolean | Promise<boolean>, mostMs = 10_000): Promise<void> {
  const end = Date.now() + mostMs;
  while (Date.now() < end && !(await holds())) await sleep(20);
}

export interface Running {
  readonly daemon: Daemon;
  readonly log: string[];
  readonly failures: string[];
}

/** A daemon of this text, in this process; stopped after the test. */
export async function start(text: string, path: string): Promise<Running> {
  const log: string[] = [];
  const failures: string[] = [];
  const config = loadConfig(text, join(path, 'test.yaml'), {
    readFile: () => {
      throw new Error('no files');
    },
    variable: () => undefined,
  });
  const daemon = await Daemon.start({
    config,
    log: (line) => log.push(line),
    onFailure: (why) => failures.push(why),
  });
  daemons.add(daemon);
  return { daemon, log, failures };
}

export const address = (text: string) => new Address(Uint8Array.from(ipaddr.parse(text).toByteArray()));
const mac = (text: string) => Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));

export function writeCapture(path: string, frames: readonly Uint8Array[]): void {
  const packets = frames.map((data, i) => capturePacket({ data, timeNs: BigInt(i) * 1000n }));
  writeFileSync(path, Buffer.concat([captureHeader('ethernet', 'test'), ...packets]));
}

export function udpPacket(source: string, destination: string, payload: Uint8Array): Uint8Array {
  const addresses = { source: address(source).bytes, destination: address(destination).bytes };
  return encodeIp({ ...addresses, protocol: 17 }, encodeUdp(1000, 2000, payload, null));
}

export const frame = (from: string, to: string, packet: Uint8Array): Uint8Array =>
  encodeEthernet(
    { source: mac(from), destination: mac(to), type: packet[0]! >> 4 === 4 ? 0x0800 : 0x86dd, vlan: 0 },
    packet,
  );

/** `sender` is at `from`, told to `target` at `to`. */
export function arpReply(from: string, sender: string, to: string, target: string): Uint8Array {
  const arp = encodeArp({
    operation: 2,
    senderMac: mac(from),
    senderIp: address(sender).bytes,
    targetMac: mac(to),
    targetIp: address(target).bytes,
  });
  return encodeEthernet({ source: mac(from), destination: mac(to), type: 0x0806, vlan: 0 }, arp);
}

/** What a base station sends: ESP around the packets, with the key whose bytes are all `byte`. */
export function sealed(
  packets: readonly Uint8Array[],
  spi: number,
  byte: number,
  source: string,
  destination: string,
): Uint8Array[] {
  const sealer = new NativeSealer({
    spi,
    algorithm: 'aes-gcm',
    key: new Secret(new Uint8Array(36).fill(byte)),
    authenticationKey: null,
    extendedSequenceNumber: false,
    selectors: [],
    source: address(source),
    destination: address(destination),
    udp: null,
    nextSequence: 1n,
    nextIv: { nodeId: 9, epoch: 1, counter: 0n },
    dfBit: 'copy',
    outerDscp: null,
    mtu: 2000,
  });
  return sealer.seal([...packets]).map((result) => (result as { packet: Uint8Array }).packet);
}
