/** TCP header (RFC 9293 §3.1). */
import { type Bytes, type Decoded, decoded, setU16, setU32, u16, u32, undecodable } from './bytes.js';
import { checksum } from './checksum.js';

export const tcpHeaderBytes = 20;
export const tcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

export interface Tcp {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgment: number;
  /** header with options, bytes */
  headerLength: number;
  flags: number;
  window: number;
  options: Bytes;
  payload: Bytes;
}

/** bad_l4: header cut short, or its data offset lies. */
export function decodeTcp(bytes: Bytes): Decoded<Tcp> {
  if (bytes.length < tcpHeaderBytes) return undecodable('bad_l4');
  const headerLength = (bytes[12]! >> 4) * 4;
  if (headerLength < tcpHeaderBytes || headerLength > bytes.length) return undecodable('bad_l4');
  return decoded({
    sourcePort: u16(bytes, 0),
    destinationPort: u16(bytes, 2),
    sequence: u32(bytes, 4),
    acknowledgment: u32(bytes, 8),
    headerLength,
    flags: bytes[13]!,
    window: u16(bytes, 14),
    options: bytes.subarray(tcpHeaderBytes, headerLength),
    payload: bytes.subarray(headerLength),
  });
}

/** A segment; options must be a multiple of four bytes, at most 40 (RangeError). `pseudo`: the pseudo header's sum. */
export function encodeTcp(tcp: Omit<Tcp, 'headerLength'>, pseudo: number): Bytes {
  const { options, payload } = tcp;
  if (options.length % 4 !== 0 || options.length > 40) {
    throw new RangeError(`TCP options are 0 to 40 bytes, a multiple of four, not ${options.length}`);
  }
  const headerLength = tcpHeaderBytes + options.length;
  const bytes = new Uint8Array(headerLength + payload.length);
  setU16(bytes, 0, tcp.sourcePort);
  setU16(bytes, 2, tcp.destinationPort);
  setU32(bytes, 4, tcp.sequence);
  setU32(bytes, 8, tcp.acknowledgment);
  bytes[12] = (headerLength / 4) << 4;
  bytes[13] = tcp.flags;
  setU16(bytes, 14, tcp.window);
  bytes.set(options, tcpHeaderBytes);
  bytes.set(payload, headerLength);
  setU16(bytes, 16, checksum(bytes, pseudo));
  return bytes;
}
