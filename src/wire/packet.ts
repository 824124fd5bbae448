/** From a whole frame to its transport header, as native/core/packet/parse.h does it: for punted packets. */
import { type Bytes, type Decoded, decoded, u16, undecodable } from './bytes.js';
import { decodeEsp } from './esp.js';
import { type Arp, decodeArp, decodeEthernet, type EthernetFrame, etherType } from './ethernet.js';
import { decodeIcmp, icmpType, icmpv6Type } from './icmp.js';
import { decodeIp, type IpPacket, ipProtocol } from './ip.js';
import { decodeTcp } from './tcp.js';
import { decodeUdp, udpHeaderBytes } from './udp.js';

export interface ParsedIp {
  ip: IpPacket;
  /** transport header and payload; of a later fragment null */
  transport: Bytes | null;
  /** 0 when there are none; an ICMP echo's identifier twice */
  sourcePort: number;
  destinationPort: number;
}

export interface ParsedFrame {
  link: EthernetFrame;
  arp: Arp | null;
  ip: ParsedIp | null;
}

function ports(ip: IpPacket, transport: Bytes): Decoded<[number, number]> {
  const both = decoded<[number, number]>([u16(transport, 0), u16(transport, 2)]);
  switch (ip.protocol) {
    case ipProtocol.udp: {
      // the length counts what the other fragments carry too
      if (ip.fragment === 'first') return transport.length < udpHeaderBytes ? undecodable('bad_l4') : both;
      const udp = decodeUdp(transport);
      return udp.ok ? both : udp;
    }
    case ipProtocol.tcp: {
      const tcp = decodeTcp(transport);
      return tcp.ok ? both : tcp;
    }
    case ipProtocol.esp: {
      const esp = decodeEsp(transport);
      return esp.ok ? decoded([0, 0]) : esp;
    }
    case ipProtocol.icmp:
    case ipProtocol.icmpv6: {
      if ((ip.protocol === ipProtocol.icmp) !== (ip.version === 4)) return decoded([0, 0]);
      const icmp = decodeIcmp(transport, ip.version);
      if (!icmp.ok) return icmp;
      const types = ip.version === 4 ? icmpType : icmpv6Type;
      const isEcho = icmp.value.type === types.echoRequest || icmp.value.type === types.echoReply;
      const { identifier } = icmp.value;
      return decoded(isEcho ? [identifier, identifier] : [0, 0]);
    }
    default:
      return decoded([0, 0]);
  }
}

/** An IP packet with its transport header checked. */
export function parseIp(bytes: Bytes): Decoded<ParsedIp> {
  const ip = decodeIp(bytes);
  if (!ip.ok) return ip;
  if (ip.value.fragment === 'later') {
    return decoded({ ip: ip.value, transport: null, sourcePort: 0, destinationPort: 0 });
  }
  const transport = bytes.subarray(ip.value.payloadOffset, ip.value.totalLength);
  const found = ports(ip.value, transport);
  if (!found.ok) return found;
  return decoded({ ip: ip.value, transport, sourcePort: found.value[0], destinationPort: found.value[1] });
}

/** A frame with its link header. Either arp or ip is not null. */
export function parseFrame(frame: Bytes): Decoded<ParsedFrame> {
  const link = decodeEthernet(frame);
  if (!link.ok) return link;
  const payload = frame.subarray(link.value.payloadOffset);
  const { type } = link.value;
  if (type === etherType.arp) {
    const arp = decodeArp(payload);
    return arp.ok ? decoded({ link: link.value, arp: arp.value, ip: null }) : arp;
  }
  if (type !== etherType.ipv4 && type !== etherType.ipv6) return undecodable('bad_ethernet');
  if (payload.length > 0 && payload[0]! >> 4 !== (type === etherType.ipv4 ? 4 : 6)) {
    return undecodable(type === etherType.ipv4 ? 'bad_ipv4' : 'bad_ipv6');
  }
  const ip = parseIp(payload);
  return ip.ok ? decoded({ link: link.value, arp: null, ip: ip.value }) : ip;
}
