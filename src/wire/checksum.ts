/** The Internet checksum (RFC 1071). A sum is the 16-bit one's complement sum of words in network order. */
import { type Bytes, u16 } from './bytes.js';

const fold = (sum: number): number => {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
};

/** Adds bytes to a sum; only the last piece may have an odd length. */
export function addBytes(sum: number, bytes: Bytes): number {
  let total = sum;
  for (let i = 0; i + 1 < bytes.length; i += 2) total += u16(bytes, i);
  if (bytes.length % 2 === 1) total += bytes[bytes.length - 1]! << 8;
  return fold(total);
}

/** The checksum of bytes, whose checksum field is zero; `sum` may start with a pseudo header. */
export const checksum = (bytes: Bytes, sum = 0): number => ~addBytes(sum, bytes) & 0xffff;

/** True when bytes that include their checksum sum to all ones. */
export const verifies = (bytes: Bytes, sum = 0): boolean => addBytes(sum, bytes) === 0xffff;

/**
 * The sum of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1). Both addresses have 4 or 16 bytes; `length` is that
 * of the transport header and payload.
 */
export const pseudoHeader = (source: Bytes, destination: Bytes, protocol: number, length: number): number =>
  fold(addBytes(addBytes(0, source), destination) + protocol + fold(length));

/** RFC 1624, equation 3: the checksum after a 16-bit word that it covers changed. */
export const updated = (before: number, wordBefore: number, wordAfter: number): number =>
  ~fold((~before & 0xffff) + (~wordBefore & 0xffff) + wordAfter) & 0xffff;
