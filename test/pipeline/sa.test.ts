/** SAs through the door: tunnels between two gateways, what show says of them, and their end. */
import { expect, it } from 'vitest';
import type { InboundSaOptions, OutboundSaOptions, PrefixBytes } from '../../dist/pipeline/native.js';
import { native } from '../../dist/pipeline/native.js';
import {
  dataplane,
  dropsOf,
  flows,
  forwarderOptions,
  hostOptions,
  interfaceEntry,
  ip,
  ip6,
  mac,
  until,
} from './support.js';

const key = Uint8Array.from({ length: 36 }, (_, i) => i * 7);
const lifetime = {
  softSeconds: 0,
  hardSeconds: 0,
  softPackets: 0n,
  hardPackets: 0n,
  softKilobytes: 0n,
  hardKilobytes: 0n,
};
const any = (local: PrefixBytes, remote: PrefixBytes) => ({
  local,
  remote,
  protocol: 0,
  localPorts: [0, 65535] as [number, number],
  remotePorts: [0, 65535] as [number, number],
});
const net = (address: Uint8Array, length: number): PrefixBytes => ({ address, length });
const clients = [net(ip('10.1.0.0'), 16), net(ip6(1, 0), 48)];
const servers = [net(ip('10.2.0.0'), 16), net(ip6(2, 0), 48)];

function common(spi: number, anchor: number, local: PrefixBytes[], remote: PrefixBytes[]) {
  return {
    spi,
    key,
    extendedSequenceNumber: true,
    selectors: local.map((prefix, i) => any(prefix, remote[i]!)),
    anchor,
    tunnel: 1,
    lifetime,
  };
}
const inbound = (
  spi: number,
  anchor: number,
  local: PrefixBytes[],
  remote: PrefixBytes[],
): InboundSaOptions => ({
  ...common(spi, anchor, local, remote),
  replayWindow: 1024,
});
function outbound(
  spi: number,
  anchor: number,
  local: PrefixBytes[],
  remote: PrefixBytes[],
  ends: { source: Uint8Array; destination: Uint8Array; nodeId: number },
): OutboundSaOptions {
  return {
    ...common(spi, anchor, local, remote),
    ...ends,
    epoch: 0,
    nextSequence: 1n,
    dfBit: 'copy',
    dscp: -1,
    mtu: 1900,
    udp: null,
  };
}

/** client ── a ══ESP══ b ── server; b's interface towards a is watched for nonces. */
function buildTunnel(workers: number) {
  const plane = dataplane({ workers });
  const { native: n } = plane;
  const all = flows(200);
  const client = n.addHost({ ...hostOptions(false, all), gatewayMac: mac(10) });
  const [a, b] = [1, 2].map(() =>
    n.addForwarder({ ...forwarderOptions, neighbourLimit: 1024, auditedKeys: 4 }),
  );
  const server = n.addHost({ ...hostOptions(true, all), gatewayMac: mac(13) });
  n.addWire(client, a!, 256);
  n.addWire(a!, b!, 256);
  n.addWire(b!, server, 256);
  const outerA = ip('192.0.2.1');
  const outerB = ip('192.0.2.2');
  const anchor = workers - 1;
  const [inA] = n.addInboundSas(a!, [inbound(0x1000, anchor, clients, servers)]);
  const [outA] = n.addOutboundSas(a!, [
    outbound(0x2000, anchor, clients, servers, { source: outerA, destination: outerB, nodeId: 1 }),
  ]);
  const [inB] = n.addInboundSas(b!, [inbound(0x2000, anchor, servers, clients)]);
  const [outB] = n.addOutboundSas(b!, [
    outbound(0x1000, anchor, servers, clients, { source: outerB, destination: outerA, nodeId: 2 }),
  ]);
  const side = (
    near: { interfaces: ReturnType<typeof interfaceEntry>[]; wire: number; host: number },
    own: { outer: Uint8Array; peer: Uint8Array; hosts: PrefixBytes[]; others: PrefixBytes[]; spi: number },
    sas: { inbound: number; outbound: number },
  ) => ({
    interfaces: near.interfaces,
    routes: [
      { routingInstance: 0, prefix: own.outer, length: 32, nextHop: { kind: 'local' as const } },
      {
        routingInstance: 0,
        prefix: own.peer,
        length: 32,
        nextHop: { kind: 'neighbour' as const, interface: near.wire, address: own.peer },
      },
      ...own.hosts.map(({ address, length }) => ({
        routingInstance: 0,
        prefix: address,
        length,
        nextHop: { kind: 'connected' as const, interface: near.host },
      })),
      ...own.others.map(({ address, length }) => ({
        routingInstance: 0,
        prefix: address,
        length,
        nextHop: { kind: 'tunnel' as const, sa: sas.outbound, zone: 5, routingInstance: 0 },
      })),
    ],
    spis: [{ address: own.outer, spi: own.spi, sa: sas.inbound, zone: 5, routingInstance: 0 }],
    audits: [
      { address: outerA, spi: 0x1000, key: 0 },
      { address: outerB, spi: 0x2000, key: 1 },
    ],
    flow: { sessions: true, synCheck: true, synCheckInTunnel: true },
    policies: { defaultPermit: true, policies: [] },
  });
  const tablesA = side(
    {
      interfaces: [
        interfaceEntry(0, 10, [ip('10.1.255.254'), ip6(1, 0xffff)], 1),
        interfaceEntry(1, 11, [outerA], 2),
      ],
      wire: 1,
      host: 0,
    },
    { outer: outerA, peer: outerB, hosts: clients, others: servers, spi: 0x1000 },
    { inbound: inA!, outbound: outA! },
  );
  n.publish(a!, tablesA);
  n.publish(
    b!,
    side(
      {
        interfaces: [
          interfaceEntry(0, 12, [outerB], 2),
          interfaceEntry(1, 13, [ip('10.2.255.254'), ip6(2, 0xffff)], 1),
        ],
        wire: 0,
        host: 1,
      },
      { outer: outerB, peer: outerA, hosts: servers, others: clients, spi: 0x2000 },
      { inbound: inB!, outbound: outB! },
    ),
  );
  return { plane, client, a: a!, b: b!, server, inA: inA!, outA: outA!, inB: inB!, outB: outB!, tablesA };
}

it.each([1, 2, 3])('a tunnel carries both ways on %i workers', async (workers) => {
  const { plane, client, a, b, server, inA, outA, inB, outB } = buildTunnel(workers);
  await plane.start();
  plane.native.setSending(client, true);
  await until(() => plane.counters(client).delivered > 20_000);
  plane.native.setSending(client, false);
  await until(() => plane.native.framesInUse() === 0);
  expect(plane.native.framesInUse()).toBe(0);

  const all = [client, a, b, server].map((node) => plane.counters(node));
  const sum = (of: (values: (typeof all)[0]) => number) =>
    all.reduce((total, values) => total + of(values), 0);
  expect(sum(({ delivered }) => delivered)).toBeGreaterThan(40_000);
  expect(sum(({ sent }) => sent)).toBe(sum(({ delivered }) => delivered) + sum(dropsOf));
  expect(sum(({ mismatched }) => mismatched)).toBe(0);

  // What one end sealed the other opened, on the SA's worker alone, with numbers from 1 on.
  const [sealed] = plane.native.saStatus(a, 'outbound', [outA]);
  const [opened] = plane.native.saStatus(b, 'inbound', [inB]);
  const [sealedBack] = plane.native.saStatus(b, 'outbound', [outB]);
  const [openedBack] = plane.native.saStatus(a, 'inbound', [inA]);
  expect(Number(sealed!.packets)).toBe(plane.counters(a).espSealed);
  expect(opened).toMatchObject({
    packets: sealed!.packets,
    bytes: sealed!.bytes,
    sequence: sealed!.sequence - 1n,
  });
  expect(openedBack).toMatchObject({ packets: sealedBack!.packets, bytes: sealedBack!.bytes });
  expect(sealed).toMatchObject({ spi: 0x2000, tunnel: 1, anchor: workers - 1, expired: false, events: [] });
  expect(sealed!.sequence).toBe(sealed!.packets + 1n);
  expect(sealed!.ivCounter).toBe(sealed!.packets);
  plane.countersByWorker(a).forEach((values, worker) => {
    expect(values.espSealed > 0).toBe(worker === workers - 1);
    expect(values.espOpened > 0).toBe(worker === workers - 1);
    // … and so is every session of the tunnel's.
    const { sessions } = plane.native.sessions(a, worker, 0n, 1000);
    expect(sessions).toHaveLength(worker === workers - 1 ? 200 : 0);
    for (const session of sessions) {
      expect(session.in.tunnel).toBe(-1);
      expect(session.out.tunnel).toBe(1);
    }
  });
  expect(plane.native.nonceAudit(b)).toEqual({ seen: sealed!.packets, repeated: 0n, unproven: 0n });
});

it('an SA is retired once no table names it, and its index is given again', () => {
  const { plane, a, outA, tablesA } = buildTunnel(1);
  const { native: n } = plane;
  expect(() => n.retireSas(a, 'outbound', [outA])).toThrow(
    'retireSas.indices[0]: a published table still names this SA',
  );
  n.publish(a, { routes: [] });
  n.retireSas(a, 'outbound', [outA]);
  expect(() => n.retireSas(a, 'outbound', [outA])).toThrow('retireSas.indices[0]: no such SA');
  expect(() => n.saStatus(a, 'outbound', [outA])).toThrow('saStatus.indices[0]: no such SA');
  expect(() => n.publish(a, { routes: tablesA.routes })).toThrow(
    'publish.routes[4].nextHop.sa: no such outbound SA',
  );
  const fresh = () =>
    n.addOutboundSas(a, [
      outbound(0x3000, 0, clients, servers, {
        source: ip('192.0.2.1'),
        destination: ip('192.0.2.2'),
        nodeId: 1,
      }),
    ])[0]!;
  // Not at once: a packet under way might name it still.
  const next = fresh();
  expect(next).not.toBe(outA);
  for (let turn = 0; turn < 4; turn++) {
    n.step(BigInt(turn + 1) * 1_000_000n);
    n.publish(a, { routes: [] });
    n.collect();
  }
  expect(fresh()).toBe(outA);
});

it('SAs are added all or none', () => {
  const { plane, a } = buildTunnel(1);
  const good = inbound(0x4000, 0, clients, servers);
  const first = plane.native.addInboundSas(a, [good])[0]!;
  expect(() => plane.native.addInboundSas(a, [good, good, { ...good, spi: 0 }])).toThrow(
    'addInboundSas[2].spi: 256…4294967295 expected, not 0',
  );
  for (const index of [first + 1, first + 2]) {
    expect(() => plane.native.saStatus(a, 'inbound', [index])).toThrow('no such SA');
  }
  const limit = Array.from({ length: 20 }, () => good);
  expect(() => plane.native.addInboundSas(a, limit)).toThrow(
    /addInboundSas\[\d+\]: every slot for SAs is taken/,
  );
});

it('SAs without a plane seal and open captures', () => {
  const { InboundSa, OutboundSa, counterNames } = native();
  const ends = { source: ip6(9, 1), destination: ip6(9, 2), nodeId: 3 };
  const sealer = new OutboundSa(outbound(0x177, 0, clients, servers, ends));
  const opener = new InboundSa(inbound(0x177, 0, servers, clients));
  const inner = (last: number) => {
    const packet = new Uint8Array(200);
    packet.set([0x45, 0, 0, 200, 0, 0, 0x40, 0, 63, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, last]);
    return packet;
  };
  const packets = Array.from({ length: 150 }, (_, i) => inner(i));
  const sealed = sealer.seal(packets, 5n) as Uint8Array[];
  expect(sealer.status()).toMatchObject({ packets: 150n, sequence: 151n, ivCounter: 150n });
  const esp = sealed.map((packet) => ({ esp: packet.subarray(40), outerTos: 0 }));
  expect(opener.open(esp, 5n)).toEqual(packets);
  const reason = (result: unknown) => (typeof result === 'number' ? counterNames[result] : 'opened');
  expect(opener.open([esp[3]!, { esp: new Uint8Array(7), outerTos: 0 }], 5n).map(reason)).toEqual([
    'replay',
    'esp_runt',
  ]);
  const outside = inner(1);
  outside[12] = 11;
  expect(sealer.seal([outside], 5n).map(reason)).toEqual(['selector']);
  expect(() => sealer.seal([packets[0]!.subarray(0, 199)], 5n)).toThrow(
    'seal.packets[0]: a whole packet expected: its header says 200 bytes, there are 199',
  );
  expect(() => new OutboundSa(outbound(0x177, 1, clients, servers, ends))).toThrow(
    'OutboundSa.anchor: 0…0 expected',
  );
  // The caller's key is the caller's to zeroise: the SA has its own.
  expect(key[1]).toBe(7);
});
