/** UDP (RFC 768). */
import { type Bytes, type Decoded, decoded, setU16, u16, undecodable } from './bytes.js';
import { checksum } from './checksum.js';

export const udpHeaderBytes = 8;

export interface Udp {
  sourcePort: number;
  destinationPort: number;
  /** header and payload; less than what is there when the rest is not UDP's (RFC 9868) */
  length: number;
  /** 0: none */
  checksum: number;
  payload: Bytes;
}

/** bad_l4: header cut short, or its length is less than its own or more than what is there. */
export function decodeUdp(bytes: Bytes): Decoded<Udp> {
  if (bytes.length < udpHeaderBytes) return undecodable('bad_l4');
  const length = u16(bytes, 4);
  if (length < udpHeaderBytes || length > bytes.length) return undecodable('bad_l4');
  return decoded({
    sourcePort: u16(bytes, 0),
    destinationPort: u16(bytes, 2),
    length,
    checksum: u16(bytes, 6),
    payload: bytes.subarray(udpHeaderBytes, length),
  });
}

/**
 * A datagram. `pseudo`: the pseudo header's sum (checksum.ts), or null for a datagram without a checksum, which IPv6
 * does not allow (RFC 8200 §8.1).
 */
export function encodeUdp(
  sourcePort: number,
  destinationPort: number,
  payload: Bytes,
  pseudo: number | null,
): Bytes {
  const bytes = new Uint8Array(udpHeaderBytes + payload.length);
  setU16(bytes, 0, sourcePort);
  setU16(bytes, 2, destinationPort);
  setU16(bytes, 4, bytes.length);
  bytes.set(payload, udpHeaderBytes);
  // a sum of zero is sent as all ones: zero says "none"
  if (pseudo !== null) setU16(bytes, 6, checksum(bytes, pseudo) || 0xffff);
  return bytes;
}
