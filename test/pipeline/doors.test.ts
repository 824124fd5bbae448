/** What else goes in and out of a plane: injected and punted packets, captures, statistics, wires that are shut. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { NativePlane } from '../../dist/pipeline/native.js';
import {
  buildPath,
  dataplane,
  forwarderOptions,
  interfaceEntry,
  ip,
  mac,
  pathTables,
  until,
} from './support.js';

const directory = mkdtempSync(join(tmpdir(), 'penstock-doors-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** An Ethernet frame with a UDP packet of `length` bytes of IP, checksum of UDP left out. */
function udp(
  to: Uint8Array,
  source: Uint8Array,
  destination: Uint8Array,
  port: number,
  length = 60,
): Uint8Array {
  const frame = new Uint8Array(14 + length);
  frame.set(to, 0);
  frame.set(mac(99), 6);
  frame.set([8, 0, 0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 17], 12);
  frame.set(source, 26);
  frame.set(destination, 30);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += (frame[i]! << 8) | frame[i + 1]!;
  sum = (sum & 0xffff) + (sum >> 16);
  frame.set([(~sum >> 8) & 255, ~sum & 255], 24);
  frame.set([port >> 8, port & 255, port >> 8, port & 255, (length - 20) >> 8, (length - 20) & 255], 34);
  return frame;
}

/** A pcap file of Ethernet frames (microseconds). */
function pcap(frames: Uint8Array[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(1, 20);
  const records = frames.flatMap((frame, i) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(i, 0);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, Buffer.from(frame)];
  });
  return Buffer.concat([header, ...records]);
}

/** Two forwarders and a wire; b (10.9.0.2) has its IKE punted. */
function pair(plane: NativePlane): { a: number; b: number } {
  const [a, b] = ['a', 'b'].map((name) => plane.addForwarder({ ...forwarderOptions, name })) as [
    number,
    number,
  ];
  plane.addWire(a, b, 64);
  for (const [node, last, own] of [
    [a, 21, ip('10.9.0.1')],
    [b, 22, ip('10.9.0.2')],
  ] as const) {
    plane.publish(node, {
      interfaces: [interfaceEntry(0, last, [own])],
      routes: [{ routingInstance: 0, prefix: own, length: 32, nextHop: { kind: 'local' } }],
      flow: { puntIke: true, sessions: false, synCheck: true, synCheckInTunnel: true },
    });
  }
  return { a, b };
}

it('a packet that is injected is sent; IKE to the node itself is punted', () => {
  const { native: plane } = dataplane();
  const { a, b } = pair(plane);
  const ike = udp(mac(22), ip('10.9.0.1'), ip('10.9.0.2'), 500);
  const other = udp(mac(22), ip('10.9.0.1'), ip('10.9.0.2'), 9);
  expect(plane.inject(a, 0, ike)).toBe(true);
  expect(plane.inject(a, 0, other)).toBe(true);
  expect(plane.takePunts(10)).toEqual([]);
  for (let now = 1n; now < 10n; now++) plane.step(now);
  const punts = plane.takePunts(10);
  expect(punts).toHaveLength(1);
  expect(punts[0]).toMatchObject({ node: b, port: 0, worker: 0 });
  expect(Buffer.from(punts[0]!.packet).includes(Buffer.from(ike.subarray(14)))).toBe(true);
  expect(plane.takePunts(10)).toEqual([]);
  plane.step(20n);
  expect(plane.framesInUse()).toBe(0);
});

it('injecting more than there is room for is refused, never lost', () => {
  const { native: plane } = dataplane();
  const { a } = pair(plane);
  const ike = udp(mac(22), ip('10.9.0.1'), ip('10.9.0.2'), 500);
  let injected = 0;
  while (injected < 1000 && plane.inject(a, 0, ike)) injected++;
  expect(injected).toBe(64); // the control plane's frames
  for (let now = 1n; now < 10n; now++) plane.step(now);
  expect(plane.takePunts(5)).toHaveLength(5);
  const rest = plane.takePunts(1000).length;
  expect(rest).toBe(injected - 5);
  expect(plane.inject(a, 0, ike)).toBe(true);
});

it('punts under traffic come from the worker that got them', async () => {
  const plane = dataplane({ workers: 2 });
  const { a } = pair(plane.native);
  await plane.start();
  const ike = udp(mac(22), ip('10.9.0.1'), ip('10.9.0.2'), 4500);
  expect(plane.native.inject(a, 0, ike)).toBe(true);
  let punts = plane.native.takePunts(10);
  await until(() => {
    if (punts.length === 0) punts = plane.native.takePunts(10);
    return punts.length > 0;
  });
  expect(punts).toMatchObject([{ worker: 0 }]);
});

it('a capture comes in at one port and goes out at another', async () => {
  const read = join(directory, 'in.pcap');
  const write = join(directory, 'out.pcapng');
  const frames = Array.from({ length: 100 }, (_, i) =>
    udp(mac(31), ip('10.1.0.9'), ip(`10.2.0.${i}`), 7, 60 + i),
  );
  writeFileSync(read, pcap(frames));
  const plane = dataplane();
  const { native: n } = plane;
  const node = n.addForwarder({ ...forwarderOptions, neighbourLimit: 1024 });
  const server = n.addHost({
    name: 'server',
    server: true,
    mac: mac(4),
    gatewayMac: mac(32),
    flows: [],
    sizes: [64],
    credit: 1,
    seed: 1,
  });
  const [input, output] = [n.addCapture(node, { read }), n.addCapture(node, { write })];
  n.addWire(node, server, 256);
  n.publish(node, {
    interfaces: [
      interfaceEntry(input, 31, [ip('10.1.255.254')]),
      interfaceEntry(output, 33, [ip('10.3.255.254')]),
      interfaceEntry(2, 32, [ip('10.2.255.254')]),
    ],
    filters: [],
    routes: [
      {
        routingInstance: 0,
        prefix: ip('10.2.0.0'),
        length: 16,
        nextHop: { kind: 'connected', interface: 2 },
      },
    ],
  });
  expect(n.portStatus(node, input)).toEqual({
    open: true,
    fault: '',
    mac: null,
    mtu: null,
    mode: null,
    atEnd: false,
  });
  for (let now = 1n; now < 400n; now++) n.step(now * 1_000_000n);
  expect(n.portStatus(node, input)).toMatchObject({ open: true, atEnd: true });
  expect(n.portStatus(node, 2)).toEqual({
    open: true,
    fault: '',
    mac: null,
    mtu: null,
    mode: null,
    atEnd: null,
  });
  const values = plane.counters(node);
  expect(values.rxPackets).toBeGreaterThanOrEqual(100);
  // In = out + dropped + held: the capture comes at once, and few packets are held for a neighbour.
  const { mismatched } = plane.counters(server); // of no flow of its
  expect(mismatched + values.neighbourPending + values.noNeighbour).toBe(100);
  expect(mismatched).toBeGreaterThan(0);
  n.inject(node, output, frames[0]!);
  n.step(401_000_000n);
  plane.close();
  const written = readFileSync(write);
  expect(written.subarray(0, 4)).toEqual(Buffer.from([0x0a, 0x0d, 0x0d, 0x0a]));
  expect(written.includes(Buffer.from(frames[0]!))).toBe(true);
});

it('a capture that workers write is whole once they have stopped', async () => {
  const write = join(directory, 'threads.pcapng');
  const plane = dataplane();
  const node = plane.native.addForwarder(forwarderOptions);
  const port = plane.native.addCapture(node, { write });
  await plane.start();
  const frame = udp(mac(1), ip('10.0.0.1'), ip('10.0.0.2'), 77);
  expect(plane.native.inject(node, port, frame)).toBe(true);
  await until(() => plane.counters(node).txPackets === 1);
  await plane.stop();
  expect(readFileSync(write).includes(Buffer.from(frame))).toBe(true);
});

it('statistics of filter terms and group members count packets and bytes', () => {
  const plane = dataplane();
  const { native: n } = plane;
  const path = buildPath(n, 8, false);
  const { interfaces, routes } = pathTables(false);
  const servers = [0, 1].map((last) => ip(`10.2.0.${last}`));
  n.publish(path.router, {
    interfaces: [{ ...interfaces![0]!, filterV4: 0 }, interfaces![1]!],
    filters: [
      [
        {
          sources: [{ address: ip('10.1.0.0'), length: 16 }],
          destinations: [],
          protocols: [17],
          action: 'routing-instance',
          routingInstance: 3,
          statistic: 2,
        },
      ],
    ],
    groups: [
      {
        key: 'source-ip',
        seed: 1n,
        slots: Uint16Array.of(0, 1, 0xffff, 0),
        members: servers.map((address, i) => ({ interface: 1, address, statistic: 5 + i })),
      },
    ],
    routes: [
      ...routes!,
      { routingInstance: 3, prefix: ip('10.2.0.0'), length: 16, nextHop: { kind: 'group', group: 0 } },
    ],
  });
  n.setSending(path.client, true);
  for (let now = 1n; now < 500n; now++) n.step(now * 1_000_000n);
  const [term, first, second] = n.statistics(path.router, [2, 5, 6]);
  const { noRealService, neighbourPending } = plane.counters(path.router);
  expect(first!.packets + second!.packets).toBe(term!.packets - BigInt(noRealService));
  expect(first!.packets).toBeGreaterThan(0n);
  expect(first!.bytes).toBeGreaterThan(first!.packets * 44n);
  expect(neighbourPending).toBeGreaterThanOrEqual(0);
  expect(n.statistics(path.router, [])).toEqual([]);
});
