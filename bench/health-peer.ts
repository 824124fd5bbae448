/** The other end of a health check, as simple as can be: answers each packet, TCP by one segment. */

import { encodeIcmp, icmpType } from '#penstock/wire/icmp.js';
import { encodeIp, ipProtocol, pseudoHeaderOf } from '#penstock/wire/ip.js';
import { parseIp } from '#penstock/wire/packet.js';
import { decodeTcp, encodeTcp, tcpFlag } from '#penstock/wire/tcp.js';
import { encodeUdp } from '#penstock/wire/udp.js';

const page = new TextEncoder().encode('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall is well');
const nothing = new Uint8Array(0);

/** Frames with a link header. */
export function answerTo(packet: Uint8Array): Uint8Array[] {
  const parsed = parseIp(packet);
  if (!parsed.ok || parsed.value.transport === null) return [];
  const { ip, transport, sourcePort, destinationPort } = parsed.value;
  const back = { version: ip.version, source: ip.destination, destination: ip.source };
  const frame = (protocol: number, payload: Uint8Array) => {
    const bytes = encodeIp({ ...back, protocol }, payload);
    const whole = new Uint8Array(14 + bytes.length);
    whole[12] = 8;
    whole.set(bytes, 14);
    return [whole];
  };
  if (ip.protocol === ipProtocol.icmp)
    return frame(
      ip.protocol,
      encodeIcmp(back, icmpType.echoReply, 0, transport.subarray(4, 8), transport.subarray(8)),
    );
  if (ip.protocol === ipProtocol.udp) {
    const payload = transport.subarray(8);
    const pseudo = pseudoHeaderOf(back, ip.protocol, transport.length);
    return frame(ip.protocol, encodeUdp(destinationPort, sourcePort, payload, pseudo));
  }
  const tcp = decodeTcp(transport);
  if (!tcp.ok || (tcp.value.flags & tcpFlag.rst) !== 0) return [];
  const { sequence, acknowledgment, flags } = tcp.value;
  const syn = (flags & tcpFlag.syn) !== 0;
  if (!syn && tcp.value.payload.length === 0) return [];
  const payload = syn ? nothing : page;
  const segment = {
    sourcePort: destinationPort,
    destinationPort: sourcePort,
    sequence: syn ? 1000 : acknowledgment,
    acknowledgment: (sequence + (syn ? 1 : tcp.value.payload.length)) >>> 0,
    flags: syn ? tcpFlag.syn | tcpFlag.ack : tcpFlag.ack | tcpFlag.psh,
    window: 65_535,
    options: nothing,
    payload,
  };
  return frame(ip.protocol, encodeTcp(segment, pseudoHeaderOf(back, ip.protocol, 20 + payload.length)));
}
