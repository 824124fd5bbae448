/**
 * A balancer between two captures, in virtual time: what clients and real services send goes in, what leaves on either
 * side comes back, IP packets byte for byte. Everything that answers ARP or neighbour discovery does so by itself.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import type { CounterValues } from '../../dist/pipeline/dataplane.js';
import type {
  GroupEntry,
  MemberForwarding,
  NextHop,
  RouteEntry,
  ServiceEntry,
  TableParts,
} from '../../dist/pipeline/native.js';
import type { Bytes } from '../../dist/wire/bytes.js';
import { pseudoHeader } from '../../dist/wire/checksum.js';
import { arpOperation, encodeArp, encodeEthernet, etherType } from '../../dist/wire/ethernet.js';
import { encodeIcmp, encodeNeighbour, icmpType, icmpv6Type, neighbourFlag } from '../../dist/wire/icmp.js';
import { encodeIp, ipProtocol } from '../../dist/wire/ip.js';
import { captureHeader, capturePacket, readCapture } from '../../dist/wire/pcap.js';
import { encodeTcp, tcpFlag } from '../../dist/wire/tcp.js';
import { encodeUdp } from '../../dist/wire/udp.js';
import { dataplane, forwarderOptions, interfaceEntry, ip, ip6, mac } from './support.js';

const directory = mkdtempSync(join(tmpdir(), 'penstock-forwarding-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;

export const families = [4, 6] as const;
export type Family = (typeof families)[number];

/** Client n, towards a router on the left; the virtual address; real service n, on a link on the right. */
export const client = (family: Family, n = 1) => (family === 4 ? ip(`192.0.2.${n}`) : ip6(0xc, n));
export const virtual = (family: Family, n = 1) => (family === 4 ? ip(`203.0.113.${n}`) : ip6(5, n));
export const real = (family: Family, n = 0) => (family === 4 ? ip(`10.2.0.${10 + n}`) : ip6(2, 10 + n));
/** The balancer's own addresses on the right, also the source of its tunnels; and on the left. */
export const right = (family: Family) => (family === 4 ? ip('10.2.0.254') : ip6(2, 0xfffe));
export const left = (family: Family) => (family === 4 ? ip('10.1.0.254') : ip6(1, 0xfffe));
const upstream = (family: Family) => (family === 4 ? ip('10.1.0.1') : ip6(1, 1));
export const memberMac = (n: number) => mac(0x20 + n);
const upstreamMac = mac(0x11);

interface Header {
  ttl?: number;
  tos?: number;
  dontFragment?: boolean;
  identification?: number;
}

export const text = (length: number, from = 1) => Uint8Array.from({ length }, (_, i) => (7 * i + from) & 255);

export function udp(
  [source, sourcePort]: readonly [Bytes, number],
  [destination, destinationPort]: readonly [Bytes, number],
  payload: Bytes,
  header: Header & { unsummed?: boolean } = {},
): Bytes {
  const pseudo = header.unsummed
    ? null
    : pseudoHeader(source, destination, ipProtocol.udp, 8 + payload.length);
  return encodeIp(
    { source, destination, protocol: ipProtocol.udp, ...header },
    encodeUdp(sourcePort, destinationPort, payload, pseudo),
  );
}

export function tcp(
  [source, sourcePort]: readonly [Bytes, number],
  [destination, destinationPort]: readonly [Bytes, number],
  flags: number,
  payload: Bytes = new Uint8Array(0),
  header: Header = {},
): Bytes {
  const segment = {
    sourcePort,
    destinationPort,
    sequence: 1000,
    acknowledgment: 2000,
    flags,
    window: 512,
    urgent: 0,
    options: new Uint8Array(0),
    payload,
  };
  const pseudo = pseudoHeader(source, destination, ipProtocol.tcp, 20 + payload.length);
  return encodeIp({ source, destination, protocol: ipProtocol.tcp, ...header }, encodeTcp(segment, pseudo));
}

/** An ICMP error: kind, the word of its own (an MTU), and what it quotes. */
export function error(
  source: Bytes,
  destination: Bytes,
  kind: 'too-big' | 'port',
  mtu: number,
  quoted: Bytes,
  header: Header = {},
): Bytes {
  const version = source.length === 4 ? 4 : 6;
  const own = Uint8Array.of(0, 0, mtu >> 8, mtu & 255);
  const [type, code] =
    version === 4
      ? [icmpType.unreachable, kind === 'too-big' ? 4 : 3]
      : kind === 'too-big'
        ? [icmpv6Type.packetTooBig, 0]
        : [icmpv6Type.unreachable, 4];
  const message = encodeIcmp({ version, source, destination }, type, code, own, quoted);
  const protocol = version === 4 ? ipProtocol.icmp : ipProtocol.icmpv6;
  return encodeIp({ source, destination, protocol, ...header }, message);
}

export function echo(source: Bytes, destination: Bytes, isReply: boolean, header: Header = {}): Bytes {
  const version = source.length === 4 ? 4 : 6;
  const types = version === 4 ? icmpType : icmpv6Type;
  const type = isReply ? types.echoReply : types.echoRequest;
  const message = encodeIcmp({ version, source, destination }, type, 0, Uint8Array.of(0, 9, 0, 1), text(40));
  const protocol = version === 4 ? ipProtocol.icmp : ipProtocol.icmpv6;
  return encodeIp({ source, destination, protocol, ...header }, message);
}

/** As it is after one hop: TTL or hop limit one less, made anew. */
export function forwarded(packet: Bytes): Bytes {
  const after = packet.slice();
  if (after[0]! >> 4 === 6) {
    after[7]! -= 1;
    return after;
  }
  after[8]! -= 1;
  let sum = 0;
  after.set([0, 0], 10);
  for (let at = 0; at < 20; at += 2) sum += (after[at]! << 8) | after[at + 1]!;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~(sum + (sum >> 16)) & 0xffff;
  after.set([sum >> 8, sum & 255], 10);
  return after;
}

export const { syn, ack, fin, rst } = tcpFlag;

export interface Sent {
  from: 'clients' | 'members';
  packet: Bytes;
  atMs?: number;
}

export interface Left {
  to: 'clients' | 'members';
  /** destination of the frame: which member, or the router upstream */
  mac: Bytes;
  packet: Bytes;
}

export interface LabOptions {
  /** what clients send to, and the group that it leads to */
  services: readonly { address: Bytes; group: GroupEntry }[];
  sent: readonly Sent[];
  /** published at that time */
  changes?: readonly { atMs: number; groups: readonly GroupEntry[] }[];
  mtu?: { left?: number; right?: number };
  flowLimit?: number;
  untilMs?: number;
}

/** A group of `count` members; `slots` defaults to all in turn. */
export function group(
  family: Family,
  count: number,
  forwarding: (n: number) => Omit<MemberForwarding, 'id' | 'up'> & Partial<MemberForwarding>,
  service: Partial<ServiceEntry> | null = {},
  entry: Partial<GroupEntry> = {},
): GroupEntry {
  return {
    key: 'source-ip',
    seed: 7n,
    slots: Uint16Array.from({ length: 256 }, (_, i) => i % count),
    members: Array.from({ length: count }, (_, n) => ({
      interface: 1,
      address: real(family, n),
      statistic: n,
      ...(service === null ? {} : { forwarding: { id: 100 + n, up: true, ...forwarding(n) } }),
    })),
    ...(service === null
      ? {}
      : { service: { address: virtual(family), flowMemory: false, ports: [], ...service } }),
    ...entry,
  };
}

const frame = (port: 0 | 1, source: Bytes, packet: Bytes) =>
  encodeEthernet(
    {
      destination: mac(port === 0 ? 2 : 3),
      source,
      type: packet[0]! >> 4 === 4 ? etherType.ipv4 : etherType.ipv6,
      vlan: 0,
    },
    packet,
  );

/** Everyone says again and again where they are. */
function presence(port: 0 | 1, address: Bytes, at: Bytes): Bytes {
  const own = mac(port === 0 ? 2 : 3);
  if (address.length === 4) {
    const asks = port === 0 ? left(4) : right(4);
    return encodeEthernet(
      { destination: own, source: at, type: etherType.arp, vlan: 0 },
      encodeArp({
        operation: arpOperation.reply,
        senderMac: at,
        senderIp: address,
        targetMac: own,
        targetIp: asks,
      }),
    );
  }
  const addresses = { version: 6, source: address, destination: port === 0 ? left(6) : right(6) } as const;
  const message = encodeNeighbour(addresses, {
    isSolicitation: false,
    flags: neighbourFlag.solicited | neighbourFlag.override,
    target: address,
    linkLayer: at,
  });
  return frame(port, at, encodeIp({ ...addresses, protocol: ipProtocol.icmpv6, ttl: 255 }, message));
}

/** Runs it all; what left in order, and the counters. */
export function balance(options: LabOptions): { left: Left[]; counters: CounterValues; flows: number } {
  const { untilMs = 3000 } = options;
  const input: { atMs: number; data: Bytes }[][] = [[], []];
  for (let atMs = 1; atMs < untilMs; atMs += 500) {
    for (const family of families) {
      input[0]!.push({ atMs, data: presence(0, upstream(family), upstreamMac) });
      for (let n = 0; n < 8; n++) input[1]!.push({ atMs, data: presence(1, real(family, n), memberMac(n)) });
    }
  }
  for (const { from, packet, atMs = 100 } of options.sent) {
    const port = from === 'clients' ? 0 : 1;
    input[port]!.push({ atMs, data: frame(port, port === 0 ? upstreamMac : memberMac(0), packet) });
  }
  const paths = input.map((packets, port) => {
    const path = join(directory, `${++files}`);
    const ordered = packets.toSorted((a, b) => a.atMs - b.atMs);
    writeFileSync(
      path,
      Buffer.concat([
        captureHeader('ethernet', `p${port}`),
        ...ordered.map(({ atMs, data }) => capturePacket({ data, timeNs: BigInt(atMs) * 1_000_000n })),
      ]),
    );
    return { read: path, write: `${path}.out`, paced: true };
  });
  const plane = dataplane();
  const { native } = plane;
  const node = native.addForwarder({
    ...forwarderOptions,
    flowLimit: options.flowLimit ?? 0,
    statistics: 64,
  });
  for (const path of paths) native.addCapture(node, path);
  native.publish(node, tables(options));
  const changes = [...(options.changes ?? [])];
  for (let ms = 1; ms <= untilMs; ms++) {
    if (changes[0]?.atMs === ms) native.publish(node, { groups: [...changes.shift()!.groups] });
    native.step(BigInt(ms) * 1_000_000n);
  }
  const counters = plane.counters(node);
  const flows = native.flowCount(node);
  if (native.framesInUse() !== 0) throw new Error(`${native.framesInUse()} frames are held`);
  plane.close();
  const all = paths.flatMap(({ write }, port) =>
    readCapture(readFileSync(write)).packets.map(({ data, timeNs }) => ({ port, data, timeNs })),
  );
  const ours = all
    .filter(({ data }) => !isDiscovery(data))
    .toSorted((a, b) => Number(a.timeNs - b.timeNs))
    .map(
      ({ port, data }): Left => ({
        to: port === 0 ? 'clients' : 'members',
        mac: data.slice(0, 6),
        packet: data.slice(14),
      }),
    );
  return { left: ours, counters, flows };
}

const isDiscovery = (data: Bytes) =>
  data[12] === 8 && data[13] === 6 ? true : data[14]! >> 4 === 6 && data[20] === 58 && data[54]! >= 133;

function tables({ services, mtu = {} }: LabOptions): TableParts {
  const host = (address: Bytes, nextHop: NextHop): RouteEntry => ({
    routingInstance: 0,
    prefix: address,
    length: address.length * 8,
    nextHop,
  });
  const returns = {
    sources: [],
    destinations: [],
    protocols: [],
    action: 'return' as const,
    routingInstance: 0,
    statistic: -1,
  };
  return {
    filters: [[returns]],
    interfaces: [
      { ...interfaceEntry(0, 2, [left(4), left(6)]), mtu: mtu.left ?? 1500 },
      { ...interfaceEntry(1, 3, [right(4), right(6)]), mtu: mtu.right ?? 1500, filterV4: 0, filterV6: 0 },
    ],
    groups: services.map(({ group: entry }) => entry),
    routes: [
      ...services.map(({ address }, n) => host(address, { kind: 'group', group: n })),
      ...families.flatMap((family): RouteEntry[] => [
        host(left(family), { kind: 'local' }),
        host(right(family), { kind: 'local' }),
        {
          ...host(real(family), { kind: 'connected', interface: 1 }),
          prefix: family === 4 ? ip('10.2.0.0') : ip6(2, 0),
          length: family === 4 ? 24 : 48,
        },
        {
          ...host(upstream(family), { kind: 'neighbour', interface: 0, address: upstream(family) }),
          prefix: family === 4 ? ip('192.0.2.0') : ip6(0xc, 0),
          length: family === 4 ? 24 : 48,
        },
      ]),
    ],
  };
}
