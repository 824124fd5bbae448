/** Forwarding modes of virtual services, byte for byte against packets that src/wire builds. */
import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../dist/wire/bytes.js';
import { encodeIp, ipProtocol } from '../../dist/wire/ip.js';
import {
  ack,
  balance,
  client,
  echo,
  error,
  type Family,
  families,
  fin,
  forwarded,
  group,
  memberMac,
  real,
  right,
  rst,
  syn,
  tcp,
  text,
  udp,
  virtual,
} from './forwarding-lab.js';
import { ip, ip6, mac } from './support.js';

const upstream = mac(0x11);
const authenticationHeader = 51;
const direct = () => ({ mode: 'direct' as const });
const ipip = (outer: Family) => (n: number) => ({
  mode: 'ipip' as const,
  address: tunnelEnd(outer, n),
  source: right(outer),
});
const gue = (outer: Family) => (n: number) => ({ ...ipip(outer)(n), mode: 'gue' as const });
const translated = (family: Family) => (n: number) => ({
  mode: 'translated' as const,
  address: real(family, n),
});
const tunnelEnd = (family: Family, n: number) =>
  family === 4 ? ip(`198.51.100.${n + 1}`) : ip6(0x77, n + 1);
const web = { ports: [{ protocol: 'tcp' as const, offered: 443, real: 8443 }] };
const dns = { ports: [{ protocol: 'udp' as const, offered: 53, real: 5353 }] };

/** Outer header of an inner packet as it was built. */
function outer(family: Family, inner: Bytes, tos: number, dontFragment: boolean): Bytes {
  const protocol = inner[0]! >> 4 === 4 ? ipProtocol.ipv4 : ipProtocol.ipv6;
  return encodeIp(
    { source: right(family), destination: tunnelEnd(family, 0), protocol, tos, dontFragment },
    inner,
  );
}

/** The flow label (IPv6) and identification (IPv4 without DF) are the balancer's: taken from what it sent. */
function withOwn(built: Bytes, sent: Bytes): Bytes {
  const same = built.slice();
  if (same[0]! >> 4 === 6) {
    same.set([(same[1]! & 0xf0) | (sent[1]! & 15), sent[2]!, sent[3]!], 1);
    return same;
  }
  same.set(sent.slice(4, 6), 4);
  same.set([0, 0], 10);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += (same[at]! << 8) | same[at + 1]!;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~(sum + (sum >> 16)) & 0xffff;
  same.set([sum >> 8, sum & 255], 10);
  return same;
}

describe.each(families)('IPv%i packets', (family) => {
  const from = (port: number, n = 1) => [client(family, n), port] as const;
  const to = (port: number) => [virtual(family), port] as const;
  const at = (port: number, n = 0) => [real(family, n), port] as const;
  const service = (entry: ReturnType<typeof group>) => [{ address: virtual(family), group: entry }];

  it.each(families)('in IP-in-IP over IPv%i', (outside) => {
    const packets = [
      udp(from(1), to(53), text(64), { tos: 0xb9, dontFragment: true }),
      udp(from(1), to(53), text(65), { tos: 0x02, identification: 7 }),
    ];
    const { left, counters } = balance({
      services: service(group(family, 1, ipip(outside))),
      sent: packets.map((packet) => ({ from: 'clients', packet })),
    });
    expect(left.map(({ mac: address }) => address)).toEqual([memberMac(0), memberMac(0)]);
    packets.forEach((packet, i) => {
      const dontFragment = family === 4 && i === 0;
      const built = outer(outside, forwarded(packet), i === 0 ? 0xb9 : 0x02, dontFragment);
      expect(left[i]!.packet).toEqual(withOwn(built, left[i]!.packet));
    });
    expect(counters).toMatchObject({ encapsulated: 2 });
  });

  it.each(families)('in GUE over IPv%i: one flow, one source port', (outside) => {
    const flows = Array.from({ length: 64 }, (_, i) => udp(from(1000 + i), to(53), text(64 + i)));
    const { left } = balance({
      services: service(group(family, 1, gue(outside))),
      sent: [...flows, ...flows].map((packet) => ({ from: 'clients', packet })),
    });
    const headerBytes = outside === 4 ? 20 : 40;
    const ports = left.map(({ packet }) => (packet[headerBytes]! << 8) | packet[headerBytes + 1]!);
    expect(ports.every((port) => port >= 0xc000)).toBe(true);
    expect(ports.slice(64)).toEqual(ports.slice(0, 64));
    expect(new Set(ports).size).toBeGreaterThan(55);
    left.forEach(({ packet }, i) => {
      const inner = forwarded(flows[i % 64]!);
      const built = udp([right(outside), ports[i]!], [tunnelEnd(outside, 0), 6080], inner, {
        unsummed: outside === 4,
      });
      expect(packet).toEqual(withOwn(built, packet));
    });
  });

  it('translated, and back', () => {
    const { left, counters } = balance({
      services: service(group(family, 1, translated(family), web)),
      sent: [
        { from: 'clients', packet: tcp(from(4711), to(443), syn, text(3)) },
        { from: 'members', packet: tcp(at(8443), from(4711), syn | ack), atMs: 200 },
        { from: 'clients', packet: tcp(from(4711), to(80), syn), atMs: 300 },
        { from: 'clients', packet: echo(client(family), virtual(family), false), atMs: 400 },
        { from: 'members', packet: echo(real(family), client(family), true), atMs: 500 },
        { from: 'members', packet: tcp(at(22), from(4711), ack), atMs: 600 },
        { from: 'members', packet: echo(real(family), client(family), false), atMs: 700 },
      ],
    });
    expect(left).toEqual([
      { to: 'members', mac: memberMac(0), packet: forwarded(tcp(from(4711), at(8443), syn, text(3))) },
      { to: 'clients', mac: upstream, packet: forwarded(tcp(to(443), from(4711), syn | ack)) },
      {
        to: 'members',
        mac: memberMac(0),
        packet: forwarded(echo(client(family), real(family), false)),
      },
      { to: 'clients', mac: upstream, packet: forwarded(echo(virtual(family), client(family), true)) },
      // what no client asked for is the real service's own affair
      { to: 'clients', mac: upstream, packet: forwarded(tcp(at(22), from(4711), ack)) },
      { to: 'clients', mac: upstream, packet: forwarded(echo(real(family), client(family), false)) },
    ]);
    expect(counters).toMatchObject({ translated: 2, translatedBack: 2, notServed: 1 });
  });

  it('translated UDP with and without a checksum, all ports', () => {
    const unsummed = family === 4;
    const { left } = balance({
      services: service(group(family, 1, translated(family))),
      sent: [
        { from: 'clients', packet: udp(from(9), to(53), text(33)) },
        { from: 'members', packet: udp(at(53), from(9), text(34)), atMs: 200 },
        { from: 'clients', packet: udp(from(9), to(54), text(5), { unsummed }), atMs: 300 },
        { from: 'members', packet: udp(at(54), from(9), text(6), { unsummed }), atMs: 400 },
      ],
    });
    expect(left.map(({ packet }) => packet)).toEqual([
      forwarded(udp(from(9), at(53), text(33))),
      forwarded(udp(to(53), from(9), text(34))),
      forwarded(udp(from(9), at(54), text(5), { unsummed })),
      forwarded(udp(to(54), from(9), text(6), { unsummed })),
    ]);
  });

  it('ICMP errors about a flow go to the member that has it, whatever the mode', () => {
    const count = 8;
    const router = family === 4 ? ip('192.0.2.200') : ip6(0xc, 200);
    const flows = Array.from({ length: 40 }, (_, i) => i + 1);
    for (const key of ['source-ip', '5-tuple', 'symmetric', 'symmetric-5-tuple'] as const) {
      const packets = flows.map((n) => tcp(from(1000 + n, n), to(443), ack));
      const errors = flows.map((n) => {
        const quoted = tcp(to(443), from(1000 + n, n), ack, text(64));
        return error(router, virtual(family), 'too-big', 1400, quoted);
      });
      const sent = [...packets, ...errors].map((packet, i) => ({
        from: 'clients' as const,
        packet,
        atMs: i < packets.length ? 100 : 200,
      }));
      const plain = balance({ services: service(group(family, count, direct, null, { key })), sent });
      const tunnelled = balance({ services: service(group(family, count, ipip(family), {}, { key })), sent });
      const rewritten = balance({
        services: service(group(family, count, translated(family), web, { key })),
        sent,
      });
      for (const { left, counters } of [plain, tunnelled, rewritten]) {
        expect(left).toHaveLength(80);
        for (let i = 0; i < 40; i++) expect(left[i]!.mac).toEqual(left[i + 40]!.mac);
        expect(new Set(left.map(({ mac: address }) => address.join())).size).toBe(count);
        expect(counters.errorsToFlow).toBe(40);
      }
      rewritten.left.forEach(({ packet, mac: address }, i) => {
        const n = flows[i % 40]!;
        const member = address[5]! - 0x20;
        const quoted = tcp(at(8443, member), from(1000 + n, n), ack, text(64));
        expect(packet).toEqual(
          i < 40
            ? forwarded(tcp(from(1000 + n, n), at(8443, member), ack))
            : forwarded(error(router, real(family, member), 'too-big', 1400, quoted)),
        );
      });
    }
  });

  it('ICMP errors of a real service, and of a router before it, reach the client in its own words', () => {
    const router = family === 4 ? ip('10.2.0.77') : ip6(2, 77);
    const asked = udp(from(9), to(53), text(100));
    const askedThere = udp(from(9), at(5353), text(100));
    const { left } = balance({
      services: service(group(family, 1, translated(family), dns)),
      sent: [
        { from: 'members', packet: error(real(family), client(family), 'port', 0, askedThere) },
        { from: 'members', packet: error(router, client(family), 'too-big', 1300, askedThere), atMs: 200 },
      ],
    });
    expect(left.map(({ packet }) => packet)).toEqual([
      forwarded(error(virtual(family), client(family), 'port', 0, asked)),
      forwarded(error(router, client(family), 'too-big', 1300, asked)),
    ]);
  });

  it('too big for the tunnel: the source is told, or the packet is cut', () => {
    const added = family === 4 ? 20 : 40;
    const overhead = family === 4 ? 28 : 48;
    const fits = 1500 - added - overhead;
    const size = (length: number, dontFragment = true) =>
      udp(from(9), to(53), text(length), { dontFragment, identification: 5 });
    const { left, counters } = balance({
      services: service(group(family, 1, ipip(family))),
      sent: [
        { from: 'clients', packet: size(fits) },
        { from: 'clients', packet: size(fits + 1), atMs: 200 },
        ...(family === 4 ? [{ from: 'clients' as const, packet: size(fits + 1, false), atMs: 300 }] : []),
      ],
    });
    expect(left[0]!.packet).toHaveLength(1500);
    const offender = size(fits + 1);
    const quoted = offender.slice(0, (family === 4 ? 576 : 1280) - added - 8);
    const own = family === 4 ? ip('10.1.0.254') : ip6(1, 0xfffe);
    expect(left[1]).toEqual({
      to: 'clients',
      mac: upstream,
      packet: error(own, client(family), 'too-big', 1500 - added, quoted, {
        tos: 0xc0,
        dontFragment: family === 4,
      }),
    });
    expect(counters).toMatchObject({ tooBig: 1, tooBigSent: 1 });
    if (family === 6) return;
    const inners = left.slice(2).map(({ packet }) => packet.slice(20));
    expect(inners).toHaveLength(2);
    const whole = forwarded(size(fits + 1, false));
    expect(Buffer.concat(inners.map((inner) => inner.slice(20)))).toEqual(Buffer.from(whole.slice(20)));
    expect(left.slice(2).every(({ packet }) => packet.length <= 1500 && packet[9] === 4)).toBe(true);
  });

  it('what a tunnel further on does not carry is learned, and the source told', () => {
    const added = family === 4 ? 20 : 40;
    const packet = udp(from(9), to(53), text(1380), { dontFragment: true });
    const inTunnel = outer(family, forwarded(packet), 0, true);
    const far = family === 4 ? ip('10.9.9.9') : ip6(0x99, 9);
    const { left, counters } = balance({
      services: service(group(family, 1, ipip(family))),
      sent: [
        { from: 'clients', packet },
        { from: 'members', packet: error(far, right(family), 'too-big', 1400, inTunnel), atMs: 200 },
        { from: 'clients', packet, atMs: 300 },
      ],
    });
    expect(left.map((each) => each.to)).toEqual(['members', 'clients']);
    const mtuAt = family === 4 ? 26 : 46;
    expect((left[1]!.packet[mtuAt]! << 8) | left[1]!.packet[mtuAt + 1]!).toBe(1400 - added);
    expect(counters).toMatchObject({ pathMtusLearned: 1, tooBigSent: 1 });
  });

  it('too big or too old for the way on: the error speaks of the packet as it came', () => {
    const big = udp(from(9), to(53), text(1400), { dontFragment: true });
    const back = udp(at(53), from(9), text(1450), { dontFragment: true });
    const old = udp(at(53), from(9), text(4), { ttl: 1 });
    const { left, counters } = balance({
      services: service(group(family, 1, translated(family))),
      mtu: { left: 1400, right: 1300 },
      sent: [
        { from: 'clients', packet: big },
        { from: 'members', packet: back, atMs: 200 },
        { from: 'members', packet: old, atMs: 300 },
      ],
    });
    const headers = family === 4 ? 28 : 48;
    expect(left.map((each) => each.to)).toEqual(['clients', 'members', 'members']);
    [big, back, old].forEach((offender, i) => {
      const quoted = left[i]!.packet.slice(headers);
      expect(quoted).toEqual(offender.slice(0, quoted.length));
    });
    expect(counters).toMatchObject({ tooBigSent: 2, ttlExceeded: 1, translated: 0, translatedBack: 0 });
  });

  it('flows stay with their member while it is up, and new ones go as the table says', () => {
    const forwarding = (n: number) => ({ ...translated(family)(n) });
    const all = group(family, 4, forwarding, { ...web, flowMemory: true }, { key: '5-tuple' });
    // member 0 drains: no slot, but up; then it is down
    const drained = { ...all, slots: all.slots.map((member) => (member === 0 ? 1 : member)) };
    const members = all.members.map((member, n) =>
      n === 0 ? { ...member, forwarding: { ...member.forwarding!, up: false } } : member,
    );
    const down = { ...drained, members };
    const ports = Array.from({ length: 64 }, (_, i) => 1000 + i);
    const send = (flags: number, atMs: number, offset = 0) =>
      ports.map((port) => ({
        from: 'clients' as const,
        packet: tcp(from(port + offset), to(443), flags),
        atMs,
      }));
    const { left, counters, flows } = balance({
      services: service(all),
      flowLimit: 1000,
      sent: [...send(syn, 100), ...send(ack, 300), ...send(syn, 400, 1000), ...send(ack, 600)],
      changes: [
        { atMs: 200, groups: [drained] },
        { atMs: 500, groups: [down] },
      ],
    });
    const member = left.map(({ mac: address }) => address[5]! - 0x20);
    const [first, second, fresh, last] = [0, 1, 2, 3].map((i) => member.slice(64 * i, 64 * i + 64));
    expect(first!.filter((n) => n === 0).length).toBeGreaterThan(4);
    expect(second).toEqual(first);
    expect(fresh!.includes(0)).toBe(false);
    expect(last).toEqual(first!.map((n) => (n === 0 ? 1 : n)));
    expect(flows).toBe(128);
    expect(counters.flowsForgotten).toBe(first!.filter((n) => n === 0).length);
  });

  it('a flow that ended begins anew; one that is too many goes as the table says', () => {
    const all = group(family, 2, direct, { flowMemory: true }, { key: '5-tuple' });
    const other = { ...all, slots: all.slots.map((member) => 1 - member) };
    const packet = (port: number, flags: number) => tcp(from(port), to(443), flags);
    const { left, counters } = balance({
      services: service(all),
      flowLimit: 3,
      sent: [
        { from: 'clients', packet: packet(1, syn) },
        { from: 'clients', packet: packet(2, syn) },
        { from: 'clients', packet: packet(3, syn) },
        { from: 'clients', packet: packet(4, syn) },
        { from: 'clients', packet: packet(1, fin | ack), atMs: 150 },
        { from: 'clients', packet: packet(2, rst), atMs: 150 },
        { from: 'clients', packet: packet(1, ack), atMs: 300 },
        { from: 'clients', packet: packet(3, syn), atMs: 300 }, // sent again: the same flow
        { from: 'clients', packet: packet(1, syn), atMs: 400 },
        { from: 'clients', packet: packet(2, syn), atMs: 400 },
        { from: 'clients', packet: packet(4, ack), atMs: 400 },
      ],
      changes: [{ atMs: 200, groups: [other] }],
    });
    const member = left.map(({ mac: address }) => address[5]! - 0x20);
    const [a, b, c, d] = member as [number, number, number, number];
    expect(member.slice(4)).toEqual([a, b, a, c, 1 - a, 1 - b, 1 - d]);
    expect(counters.flowMemoryFull).toBe(2);
  });

  it('two services on one port of a real service: only the flow memory can tell, and does', () => {
    const second = virtual(family, 2);
    const services = [virtual(family), second].map((address) => ({
      address,
      group: group(family, 1, translated(family), { ...web, address, flowMemory: true }),
    }));
    const { left, counters } = balance({
      services,
      flowLimit: 100,
      sent: [
        { from: 'clients', packet: tcp(from(1), to(443), syn) },
        { from: 'clients', packet: tcp(from(2), [second, 443], syn) },
        { from: 'clients', packet: tcp(from(1), [second, 443], syn) }, // its answers would be the first one's
        { from: 'members', packet: tcp(at(8443), from(1), syn | ack), atMs: 200 },
        { from: 'members', packet: tcp(at(8443), from(2), syn | ack), atMs: 200 },
        { from: 'members', packet: tcp(at(8443), from(3), syn | ack), atMs: 200 }, // of no flow
      ],
    });
    expect(left.slice(2).map(({ packet }) => packet)).toEqual([
      forwarded(tcp(to(443), from(1), syn | ack)),
      forwarded(tcp([second, 443], from(2), syn | ack)),
      forwarded(tcp(at(8443), from(3), syn | ack)),
    ]);
    expect(counters.sessionConflict).toBe(1);
  });

  it('an IPsec peer stays together with any key, and in the flow memory', () => {
    for (const key of ['source-ip', 'destination-ip', 'symmetric', '5-tuple', 'symmetric-5-tuple'] as const) {
      for (const flowMemory of [false, true]) {
        const bare = (protocol: number, n: number, payload: Bytes) =>
          encodeIp({ source: client(family, n), destination: virtual(family), protocol }, payload);
        const of = (n: number) => [
          bare(ipProtocol.esp, n, text(64)),
          bare(authenticationHeader, n, text(64)),
          udp(from(500, n), to(500), text(64)),
          udp(from(4500, n), to(4500), text(64)),
          udp(from(61_000 + n, n), to(4500), text(64)),
        ];
        const peers = Array.from({ length: 24 }, (_, n) => n + 1);
        const { left } = balance({
          services: service(group(family, 8, direct, { flowMemory }, { key })),
          flowLimit: 1000,
          sent: peers.flatMap((n) => of(n).map((packet) => ({ from: 'clients' as const, packet }))),
        });
        const sourceAt = family === 4 ? 15 : 23;
        for (const n of peers) {
          const own = left.filter(({ packet }) => packet[sourceAt] === n);
          expect(own).toHaveLength(5);
          expect(new Set(own.map(({ mac: address }) => address.join())).size).toBe(1);
        }
        if (key !== 'destination-ip') {
          expect(new Set(left.map(({ mac: address }) => address.join())).size).toBeGreaterThan(4);
        }
      }
    }
  });
});
