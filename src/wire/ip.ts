/** IPv4 (RFC 791) and IPv6 (RFC 8200) headers, with IPv6 extension headers. */
import { type Bytes, type Decoded, decoded, setU16, setU32, u16, u32, undecodable } from './bytes.js';
import { checksum, pseudoHeader, verifies } from './checksum.js';

/** IANA protocol numbers, also IPv6 next headers. */
export const ipProtocol = {
  hopByHop: 0,
  icmp: 1,
  ipv4: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  esp: 50,
  icmpv6: 58,
  noNext: 59,
  destinationOptions: 60,
} as const;

export const ipv4HeaderBytes = 20;
export const ipv6HeaderBytes = 40;
/** A chain has no end of its own but the packet's; RFC 8504 §5.3 lets a node refuse more than 8. */
const mostExtensionHeaders = 8;
const largestLength = 0xffff;

export interface IpPacket {
  version: 4 | 6;
  /** 4 or 16 bytes, views */
  source: Bytes;
  destination: Bytes;
  /** TOS or traffic class */
  tos: number;
  ttl: number;
  /** of the transport header, or what a later fragment says of the whole packet */
  protocol: number;
  /** the packet's, without link padding */
  totalLength: number;
  /** of the transport header; in a later fragment of its payload, whose transport header is elsewhere */
  payloadOffset: number;
  /** IPv4: the DF flag; IPv6: true, since no router fragments it */
  dontFragment: boolean;
  identification: number;
  /** 0 for IPv4 */
  flowLabel: number;
  fragment: 'none' | 'first' | 'later';
  /** bytes */
  fragmentOffset: number;
}

/**
 * Whether a fragment could be part of a packet: all but the last carry a multiple of eight bytes, and none ends
 * beyond the largest packet (RFC 791 §3.2, RFC 8200 §4.5). An empty one says nothing.
 */
const fragmentFits = (headers: number, offset: number, payload: number, more: boolean): boolean =>
  payload !== 0 && (!more || payload % 8 === 0) && headers + offset + payload <= largestLength;

const fragmentKind = (offset: number, more: boolean): IpPacket['fragment'] =>
  offset !== 0 ? 'later' : more ? 'first' : 'none';

/** A source that no host may use (RFC 1812 §5.3.7), or a destination that is on no wire. */
const isBadIpv4 = (source: number, destination: number): boolean =>
  source === 0 || source === 127 || source >= 224 || destination === 0 || destination === 127;

function decodeIpv4(bytes: Bytes): Decoded<IpPacket> {
  if (bytes.length < ipv4HeaderBytes) return undecodable('runt');
  const header = (bytes[0]! & 15) * 4;
  const totalLength = u16(bytes, 2);
  if (header < ipv4HeaderBytes || header > totalLength || totalLength > bytes.length) {
    return undecodable('bad_ipv4');
  }
  if (!verifies(bytes.subarray(0, header))) return undecodable('bad_checksum');
  if (isBadIpv4(bytes[12]!, bytes[16]!)) return undecodable('bad_address');
  const word = u16(bytes, 6);
  const more = (word & 0x2000) !== 0;
  const fragmentOffset = (word & 0x1fff) * 8;
  const fragment = fragmentKind(fragmentOffset, more);
  const protocol = bytes[9]!;
  if (fragment !== 'none' && !fragmentFits(header, fragmentOffset, totalLength - header, more)) {
    return undecodable('bad_ipv4');
  }
  // RFC 3128 §3: would overwrite the flags of the first fragment's TCP header
  if (fragmentOffset === 8 && protocol === ipProtocol.tcp) return undecodable('bad_l4');
  return decoded({
    version: 4,
    source: bytes.subarray(12, 16),
    destination: bytes.subarray(16, 20),
    tos: bytes[1]!,
    ttl: bytes[8]!,
    protocol,
    totalLength,
    payloadOffset: header,
    dontFragment: (word & 0x4000) !== 0,
    identification: u16(bytes, 4),
    flowLabel: 0,
    fragment,
    fragmentOffset,
  });
}

const startsWithZeros = (address: Bytes, count: number): boolean =>
  address.subarray(0, count).every((byte) => byte === 0);
export const isUnspecified = (address: Bytes): boolean => startsWithZeros(address, 16);
const isLoopback = (address: Bytes): boolean => startsWithZeros(address, 15) && address[15] === 1;
/** IPv4-mapped (RFC 4291 §2.5.5.2): on no wire, since the tables give that form to IPv4. */
export const isMapped = (address: Bytes): boolean =>
  startsWithZeros(address, 10) && address[10] === 0xff && address[11] === 0xff;

interface Chain {
  protocol: number;
  offset: number;
  fragmentHeader: number;
  fragmentOffset: number;
  more: boolean;
  identification: number;
}

/** Walks the extension headers of a whole packet; null when one lies, is out of place or there are too many. */
function walk(bytes: Bytes, end: number): Chain | null {
  const chain: Chain = {
    protocol: bytes[6]!,
    offset: ipv6HeaderBytes,
    fragmentHeader: 0,
    fragmentOffset: 0,
    more: false,
    identification: 0,
  };
  const { hopByHop, routing, fragment, destinationOptions } = ipProtocol;
  const extensions: number[] = [hopByHop, routing, fragment, destinationOptions];
  for (let headers = 0; chain.fragmentOffset === 0 && extensions.includes(chain.protocol); headers++) {
    const at = chain.offset;
    if (headers === mostExtensionHeaders || end - at < 8) return null;
    if (chain.protocol === hopByHop && headers !== 0) return null;
    const length = chain.protocol === fragment ? 8 : (bytes[at + 1]! + 1) * 8;
    if (length > end - at) return null;
    if (chain.protocol === fragment) {
      if (chain.fragmentHeader !== 0) return null;
      chain.fragmentHeader = at;
      chain.fragmentOffset = u16(bytes, at + 2) & 0xfff8;
      chain.more = (u16(bytes, at + 2) & 1) !== 0;
      chain.identification = u32(bytes, at + 4);
    }
    chain.protocol = bytes[at]!;
    chain.offset += length;
  }
  return chain;
}

function decodeIpv6(bytes: Bytes): Decoded<IpPacket> {
  if (bytes.length < ipv6HeaderBytes) return undecodable('runt');
  const totalLength = ipv6HeaderBytes + u16(bytes, 4);
  if (totalLength > bytes.length) return undecodable('bad_ipv6');
  const source = bytes.subarray(8, 24);
  const destination = bytes.subarray(24, 40);
  // the unspecified source is duplicate address detection's (RFC 4862)
  if (source[0] === 0xff || isUnspecified(destination)) return undecodable('bad_address');
  if ([source, destination].some((address) => isLoopback(address) || isMapped(address))) {
    return undecodable('bad_address');
  }
  const chain = walk(bytes, totalLength);
  if (chain === null) return undecodable('bad_ipv6');
  const fragment = fragmentKind(chain.fragmentOffset, chain.more);
  if (fragment !== 'none') {
    const payload = totalLength - chain.fragmentHeader - 8;
    const headers = chain.fragmentHeader - ipv6HeaderBytes;
    if (!fragmentFits(headers, chain.fragmentOffset, payload, chain.more)) return undecodable('bad_ipv6');
  }
  return decoded({
    version: 6,
    source,
    destination,
    tos: (u16(bytes, 0) >> 4) & 0xff,
    ttl: bytes[7]!,
    protocol: chain.protocol,
    totalLength,
    payloadOffset: chain.offset,
    dontFragment: true,
    identification: chain.identification,
    flowLabel: u32(bytes, 0) & 0xfffff,
    fragment,
    fragmentOffset: chain.fragmentOffset,
  });
}

/**
 * Reads an IP header, and all extension headers. runt, bad_ipv4, bad_ipv6, bad_checksum, bad_address, or
 * bad_next_header when it is of neither version. What follows totalLength is padding.
 */
export function decodeIp(bytes: Bytes): Decoded<IpPacket> {
  if (bytes.length === 0) return undecodable('runt');
  const version = bytes[0]! >> 4;
  if (version === 4) return decodeIpv4(bytes);
  return version === 6 ? decodeIpv6(bytes) : undecodable('bad_next_header');
}

export interface IpHeader {
  /** 4 bytes for IPv4, 16 for IPv6; both the same */
  source: Bytes;
  destination: Bytes;
  protocol: number;
  ttl?: number;
  tos?: number;
  /** IPv4 */
  identification?: number;
  /** IPv4 */
  dontFragment?: boolean;
  /** IPv6 */
  flowLabel?: number;
}

/**
 * A packet without options or extension headers. Throws RangeError when the addresses are not of one family, or the
 * payload is longer than a packet can be.
 */
export function encodeIp(header: IpHeader, payload: Bytes): Bytes {
  const { source, destination, ttl = 64, tos = 0 } = header;
  if (source.length !== destination.length || (source.length !== 4 && source.length !== 16)) {
    throw new RangeError('source and destination are two addresses of 4 bytes, or two of 16');
  }
  const isIpv4 = source.length === 4;
  const headerBytes = isIpv4 ? ipv4HeaderBytes : ipv6HeaderBytes;
  if (payload.length > largestLength - (isIpv4 ? headerBytes : 0)) {
    throw new RangeError(`a payload of ${payload.length} bytes does not fit into one packet`);
  }
  const packet = new Uint8Array(headerBytes + payload.length);
  if (isIpv4) {
    packet[0] = 0x45;
    packet[1] = tos;
    setU16(packet, 2, packet.length);
    setU16(packet, 4, header.identification ?? 0);
    setU16(packet, 6, header.dontFragment ? 0x4000 : 0);
    packet[8] = ttl;
    packet[9] = header.protocol;
    packet.set(source, 12);
    packet.set(destination, 16);
    setU16(packet, 10, checksum(packet.subarray(0, ipv4HeaderBytes)));
  } else {
    setU32(packet, 0, 6 * 2 ** 28 + tos * 2 ** 20 + (header.flowLabel ?? 0));
    setU16(packet, 4, payload.length);
    packet[6] = header.protocol;
    packet[7] = ttl;
    packet.set(source, 8);
    packet.set(destination, 24);
  }
  packet.set(payload, headerBytes);
  return packet;
}

/** The pseudo header's sum for a transport header of this packet, `length` bytes with its payload. */
export const pseudoHeaderOf = (
  packet: Pick<IpPacket, 'source' | 'destination'>,
  protocol: number,
  length: number,
): number => pseudoHeader(packet.source, packet.destination, protocol, length);
