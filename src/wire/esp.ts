/**
 * ESP (RFC 4303 §2) as it lies on the wire, and in UDP (RFC 3948). What is inside is the crypto room's.
 *
 *     0     4          8           16
 *     | SPI | sequence | IV (8: AES-GCM, RFC 4106) | ciphertext: payload, padding, pad length, next header | ICV |
 */
import { type Bytes, type Decoded, decoded, setU32, u32, undecodable } from './bytes.js';

export const espHeaderBytes = 8;
/** pad length and next header */
export const espTrailerBytes = 2;
/** RFC 4303 §2.1: 1…255 are reserved, 0 is never on the wire */
export const espMinimumSpi = 256;
/** RFC 3948 §2 */
export const espUdpPort = 4500;
const nonEspMarkerBytes = 4;
const keepalive = 0xff;

export interface Esp {
  spi: number;
  /** the low 32 bits */
  sequence: number;
  /** IV, ciphertext and ICV */
  rest: Bytes;
}

/** esp_runt: not even SPI and sequence number. */
export function decodeEsp(bytes: Bytes): Decoded<Esp> {
  if (bytes.length < espHeaderBytes) return undecodable('esp_runt');
  return decoded({ spi: u32(bytes, 0), sequence: u32(bytes, 4), rest: bytes.subarray(espHeaderBytes) });
}

export function encodeEsp(spi: number, sequence: number, rest: Bytes): Bytes {
  const bytes = new Uint8Array(espHeaderBytes + rest.length);
  setU32(bytes, 0, spi);
  setU32(bytes, 4, sequence);
  bytes.set(rest, espHeaderBytes);
  return bytes;
}

export type InUdp =
  | { kind: 'esp'; payload: Bytes }
  /** behind the non-ESP marker (RFC 3948 §2.2) */
  | { kind: 'ike'; payload: Bytes }
  | { kind: 'keepalive' }
  | { kind: 'short' };

/** What the payload of a UDP datagram of port 4500 is. */
export function decodeInUdp(payload: Bytes): InUdp {
  if (payload.length === 1 && payload[0] === keepalive) return { kind: 'keepalive' };
  if (payload.length < nonEspMarkerBytes) return { kind: 'short' };
  if (u32(payload, 0) === 0) return { kind: 'ike', payload: payload.subarray(nonEspMarkerBytes) };
  return payload.length < espHeaderBytes ? { kind: 'short' } : { kind: 'esp', payload };
}

/** An IKE message for port 4500. */
export function encodeIkeInUdp(message: Bytes): Bytes {
  const payload = new Uint8Array(nonEspMarkerBytes + message.length);
  payload.set(message, nonEspMarkerBytes);
  return payload;
}
