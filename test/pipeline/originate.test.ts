/** Packets of the control plane's own: the node routes them, the answers come back as punts. */
import { expect, it } from 'vitest';
import { pseudoHeader } from '../../dist/wire/checksum.js';
import { encodeIcmp, icmpType } from '../../dist/wire/icmp.js';
import { encodeIp, ipProtocol } from '../../dist/wire/ip.js';
import { parseFrame } from '../../dist/wire/packet.js';
import { encodeUdp } from '../../dist/wire/udp.js';
import { dataplane, forwarderOptions, interfaceEntry, ip } from './support.js';

const own = ip('10.1.0.1');
const other = ip('10.1.0.2');

it('an echo request is routed, resolved and answered; the answer is punted, others are not', () => {
  const { native: plane } = dataplane();
  const [a, b] = ['a', 'b'].map((name) => plane.addForwarder({ ...forwarderOptions, name }));
  plane.addWire(a!, b!, 64);
  const tables = (address: Uint8Array, last: number, puntPorts?: [number, number]) => ({
    interfaces: [interfaceEntry(0, last, [address])],
    routes: [
      {
        routingInstance: 0,
        prefix: ip('10.1.0.0'),
        length: 24,
        nextHop: { kind: 'connected' as const, interface: 0 },
      },
      { routingInstance: 0, prefix: address, length: 32, nextHop: { kind: 'local' as const } },
    ],
    flow: { sessions: false, synCheck: true, synCheckInTunnel: true, ...(puntPorts ? { puntPorts } : {}) },
  });
  plane.publish(a!, tables(own, 1, [53_248, 65_535]));
  plane.publish(b!, tables(other, 2));
  const echo = (identifier: number) =>
    encodeIp(
      { source: own, destination: other, protocol: ipProtocol.icmp },
      encodeIcmp(
        { version: 4, source: own, destination: other },
        icmpType.echoRequest,
        0,
        Uint8Array.of(identifier >> 8, identifier & 255, 0, 1),
        Uint8Array.of(1, 2, 3, 4),
      ),
    );
  expect(plane.originate(a!, 0, [echo(60_000), echo(100)])).toBe(2);
  let now = 10n ** 12n;
  const steps = (count: number) => {
    for (let i = 0; i < count; i++, now += 1_000_000n) plane.step(now);
  };
  steps(20);
  const punts = plane.takePunts(10);
  expect(punts).toHaveLength(1);
  const parsed = parseFrame(punts[0]!.packet);
  if (!parsed.ok) throw new Error(parsed.reason);
  expect(parsed.value.ip!.destinationPort).toBe(60_000);
  expect(parsed.value.ip!.transport![0]).toBe(icmpType.echoReply);

  // a datagram from outside to a port of the range, and to another
  const datagram = (port: number) => {
    const pseudo = pseudoHeader(other, own, ipProtocol.udp, 12);
    const payload = encodeUdp(9000, port, Uint8Array.of(1, 2, 3, 4), pseudo);
    return encodeIp({ source: other, destination: own, protocol: ipProtocol.udp }, payload);
  };
  plane.originate(b!, 0, [datagram(53_248), datagram(53_247), datagram(500)]);
  steps(20);
  expect(plane.takePunts(10)).toHaveLength(1);
  // nothing of it is held, and what is no packet is dropped by name
  expect(plane.originate(a!, 0, [new Uint8Array(40)])).toBe(1);
  steps(5);
  // the control plane takes its frames back when it looks
  expect(plane.takePunts(10)).toEqual([]);
  expect(plane.framesInUse()).toBe(0);
  expect(() => plane.originate(a!, 0, [new Uint8Array(4)])).toThrow(
    /originate\.packets\[0\]: 20…\d+ bytes expected/,
  );
});
