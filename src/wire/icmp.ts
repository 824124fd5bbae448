/** ICMP (RFC 792), ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861). */
import { type Bytes, type Decoded, decoded, setU16, u16, u32, undecodable } from './bytes.js';
import { checksum, verifies } from './checksum.js';
import { type IpPacket, ipProtocol, isMapped, isUnspecified, pseudoHeaderOf } from './ip.js';

export const icmpHeaderBytes = 8;
export const icmpType = {
  echoReply: 0,
  unreachable: 3,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;
export const icmpv6Type = {
  unreachable: 1,
  packetTooBig: 2,
  timeExceeded: 3,
  parameterProblem: 4,
  echoRequest: 128,
  echoReply: 129,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
  redirect: 137,
} as const;

export interface Icmp {
  type: number;
  code: number;
  /** of an echo */
  identifier: number;
  sequence: number;
  /** ICMP: next-hop MTU of "fragmentation needed" (RFC 1191); ICMPv6: MTU of "packet too big" */
  mtu: number;
  /** behind the first eight bytes */
  body: Bytes;
}

/** bad_l4: shorter than any message of either version. The checksum is icmpVerifies()'s. */
export function decodeIcmp(bytes: Bytes, version: 4 | 6): Decoded<Icmp> {
  if (bytes.length < icmpHeaderBytes) return undecodable('bad_l4');
  return decoded({
    type: bytes[0]!,
    code: bytes[1]!,
    identifier: u16(bytes, 4),
    sequence: u16(bytes, 6),
    mtu: version === 4 ? u16(bytes, 6) : u32(bytes, 4),
    body: bytes.subarray(icmpHeaderBytes),
  });
}

type Addresses = Pick<IpPacket, 'version' | 'source' | 'destination'>;

const startOf = (packet: Addresses, length: number): number =>
  packet.version === 4 ? 0 : pseudoHeaderOf(packet, ipProtocol.icmpv6, length);

export const icmpVerifies = (message: Bytes, packet: Addresses): boolean =>
  verifies(message, startOf(packet, message.length));

/** A message: type, code, the four bytes that are the type's own, body. */
export function encodeIcmp(packet: Addresses, type: number, code: number, own: Bytes, body: Bytes): Bytes {
  const message = new Uint8Array(icmpHeaderBytes + body.length);
  message[0] = type;
  message[1] = code;
  message.set(own.subarray(0, 4), 4);
  message.set(body, icmpHeaderBytes);
  setU16(message, 2, checksum(message, startOf(packet, message.length)));
  return message;
}

const option = { sourceLinkLayer: 1, targetLinkLayer: 2 } as const;
const neighbourBytes = 24;
/** RFC 4861 §7.1.1: a router in between would have made it less */
const neighbourHopLimit = 255;
export const neighbourFlag = { router: 0x80, solicited: 0x40, override: 0x20 } as const;

export interface Neighbour {
  isSolicitation: boolean;
  /** of an advertisement */
  flags: number;
  target: Bytes;
  /** the sender's in a solicitation, the target's in an advertisement; null: not told */
  linkLayer: Bytes | null;
}

function linkLayerOption(options: Bytes, wanted: number): { ok: boolean; address: Bytes | null } {
  let address: Bytes | null = null;
  for (let at = 0; at < options.length; ) {
    const length = (options[at + 1] ?? 0) * 8;
    if (length === 0 || length > options.length - at) return { ok: false, address };
    if (options[at] === wanted) {
      address = options.subarray(at + 2, at + 8);
      if (length !== 8 || (address[0]! & 1) === 1 || address.every((byte) => byte === 0)) {
        return { ok: false, address };
      }
    }
    at += length;
  }
  return { ok: true, address };
}

/**
 * Reads a solicitation or an advertisement, of a packet and its ICMPv6 message. bad_l4 unless it passes every check
 * of RFC 4861 §7.1.1 or §7.1.2. That it came in no fragment (RFC 6980 §5) is the caller's to see.
 */
export function decodeNeighbour(packet: IpPacket, message: Bytes): Decoded<Neighbour> {
  const bad = undecodable('bad_l4');
  const type = message[0];
  const isSolicitation = type === icmpv6Type.neighbourSolicitation;
  if (!isSolicitation && type !== icmpv6Type.neighbourAdvertisement) return bad;
  if (packet.version !== 6 || packet.protocol !== ipProtocol.icmpv6 || packet.ttl !== neighbourHopLimit)
    return bad;
  if (message.length < neighbourBytes || message[1] !== 0 || !icmpVerifies(message, packet)) return bad;
  const target = message.subarray(8, neighbourBytes);
  if (target[0] === 0xff || isUnspecified(target) || isMapped(target)) return bad;
  const wanted = isSolicitation ? option.sourceLinkLayer : option.targetLinkLayer;
  const { ok, address } = linkLayerOption(message.subarray(neighbourBytes), wanted);
  if (!ok) return bad;
  const isFromNobody = isUnspecified(packet.source);
  const flags = isSolicitation ? 0 : message[4]!;
  if (isSolicitation) {
    const toGroup = packet.destination.join() === solicitedNode(target).join();
    if (isFromNobody && (address !== null || !toGroup)) return bad;
  } else if (isFromNobody || (packet.destination[0] === 0xff && (flags & neighbourFlag.solicited) !== 0)) {
    return bad;
  }
  return decoded({ isSolicitation, flags, target, linkLayer: address });
}

/** The message of a solicitation or an advertisement; the packet that carries it needs hop limit 255. */
export function encodeNeighbour(packet: Addresses, neighbour: Neighbour): Bytes {
  const { isSolicitation, linkLayer } = neighbour;
  const body = new Uint8Array(16 + (linkLayer === null ? 0 : 8));
  body.set(neighbour.target, 0);
  if (linkLayer !== null) {
    body.set([isSolicitation ? option.sourceLinkLayer : option.targetLinkLayer, 1], 16);
    body.set(linkLayer, 18);
  }
  const type = isSolicitation ? icmpv6Type.neighbourSolicitation : icmpv6Type.neighbourAdvertisement;
  return encodeIcmp(packet, type, 0, Uint8Array.of(isSolicitation ? 0 : neighbour.flags, 0, 0, 0), body);
}

/** The solicited-node multicast address (RFC 4291 §2.7.1). */
export function solicitedNode(address: Bytes): Bytes {
  const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0);
  group.set(address.subarray(13, 16), 13);
  return group;
}
