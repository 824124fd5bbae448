/** A packet on its way across the inter-chassis datapath. The layout is told in native/core/packet/icd.h. */
import { type Bytes, setU16, setU32, u32 } from './bytes.js';

export const icdPort = 6312;
export const icdHeaderBytes = 12;
export const icdVersion = 1;

/** Bytes that stand before the packet: outer IP header, UDP, and the ICD's own. */
export const icdOverhead = (family: 'inet' | 'inet6'): number => (family === 'inet' ? 40 : 60);

export interface IcdHeader {
  /** cut from a packet that was too large for the ICD: it has no session of its own */
  piece: boolean;
  /** 1…15 */
  nodeId: number;
  /** tags of names, 20 bits: model/name-tag.ts */
  zone: number;
  routingInstance: number;
}

/** The payload of the UDP datagram: header and packet. key: 16 bytes. */
export function encodeIcd(
  key: Bytes,
  { piece, nodeId, zone, routingInstance }: IcdHeader,
  packet: Bytes,
): Bytes {
  const bytes = new Uint8Array(icdHeaderBytes + packet.length);
  bytes[0] = (icdVersion << 5) | (piece ? 0x10 : 0) | nodeId;
  bytes[1] = zone >>> 12;
  setU32(bytes, 2, (zone & 0xfff) * 0x100000 + routingInstance);
  bytes.set(packet, icdHeaderBytes);
  bytes.set(icdTag(key, bytes), 6);
  return bytes;
}

/** Why bytes from the network are none: the drop reasons of native/counters.def. */
export type IcdFault = 'icd_header' | 'icd_forged';

/** peerId: of the node that must have sent it. */
export function decodeIcd(
  key: Bytes,
  peerId: number,
  bytes: Bytes,
): { header: IcdHeader; packet: Bytes } | IcdFault {
  if (bytes.length < icdHeaderBytes || bytes[0]! >> 5 !== icdVersion || (bytes[0]! & 15) !== peerId)
    return 'icd_header';
  if (!icdTag(key, bytes).every((byte, i) => byte === bytes[6 + i])) return 'icd_forged';
  const low = u32(bytes, 2);
  return {
    header: {
      piece: (bytes[0]! & 0x10) !== 0,
      nodeId: peerId,
      zone: bytes[1]! * 0x1000 + Math.floor(low / 0x100000),
      routingInstance: low % 0x100000,
    },
    packet: bytes.subarray(icdHeaderBytes),
  };
}

/** The low 48 bits of SipHash-2-4 over the header's first six bytes, the packet's length and the packet. */
function icdTag(key: Bytes, bytes: Bytes): Bytes {
  const message = new Uint8Array(8 + bytes.length - icdHeaderBytes);
  message.set(bytes.subarray(0, 6));
  setU16(message, 6, bytes.length - icdHeaderBytes);
  message.set(bytes.subarray(icdHeaderBytes), 8);
  const hash = sipHash24(key, message);
  const tag = new Uint8Array(6);
  setU16(tag, 0, Number((hash >> 32n) & 0xffffn));
  setU32(tag, 2, Number(hash & 0xffff_ffffn));
  return tag;
}

const word = 0xffff_ffff_ffff_ffffn;
const rotate = (value: bigint, by: bigint) => ((value << by) | (value >> (64n - by))) & word;

/** SipHash-2-4 (Aumasson, Bernstein 2012). key: 16 bytes. */
export function sipHash24(key: Bytes, message: Bytes): bigint {
  const view = new DataView(key.buffer, key.byteOffset, 16);
  const [k0, k1] = [view.getBigUint64(0, true), view.getBigUint64(8, true)];
  let v0 = k0 ^ 0x736f6d6570736575n;
  let v1 = k1 ^ 0x646f72616e646f6dn;
  let v2 = k0 ^ 0x6c7967656e657261n;
  let v3 = k1 ^ 0x7465646279746573n;
  const rounds = (count: number) => {
    for (let i = 0; i < count; i++) {
      v0 = (v0 + v1) & word;
      v1 = rotate(v1, 13n) ^ v0;
      v0 = rotate(v0, 32n);
      v2 = (v2 + v3) & word;
      v3 = rotate(v3, 16n) ^ v2;
      v0 = (v0 + v3) & word;
      v3 = rotate(v3, 21n) ^ v0;
      v2 = (v2 + v1) & word;
      v1 = rotate(v1, 17n) ^ v2;
      v2 = rotate(v2, 32n);
    }
  };
  const padded = new Uint8Array(8 * Math.floor(message.length / 8) + 8);
  padded.set(message);
  padded[padded.length - 1] = message.length;
  const words = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 8) {
    const next = words.getBigUint64(at, true);
    v3 ^= next;
    rounds(2);
    v0 ^= next;
  }
  v2 ^= 0xffn;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}
