/**
 * Datagrams of the interchassis link (ICL). The format is our own: nothing public says what crosses it.
 *
 *     0  version   1  kind   2  node-id   3  0
 *     4  tag of the sender (6)           10  tag of the receiver as the sender knows it (6), 0: unknown
 *     16 taken (6)    the last datagram of the receiver that was taken, all before it too
 *     22 received (6) the last that has come with all before it; at or above taken
 *     28 window (2)   datagrams beyond taken that may be sent
 *     30 gaps (8)     bit i: number received + 2 + i has come
 *     38              hello: number (4), then its payload
 *                     data: number (6), then objects: class (1), operation (1), length of key (1), length of value (2),
 *                     key (UTF-8), value
 *                     ack: nothing
 *
 * A tag names one end of one connection and is used for no other (src/ha/icl.ts).
 */
import { type Bytes, setU16, setU32, u16, u32 } from './bytes.js';

/** UDP, both ends. Our choice: none is registered. */
export const iclPort = 11_750;
export const iclVersion = 1;
export const iclHeaderBytes = 38;
export const iclDataBytes = iclHeaderBytes + 6;
export const iclObjectBytes = 5;
export const iclGapBits = 64;

export const iclKinds = ['hello', 'data', 'ack'] as const;
export type IclKind = (typeof iclKinds)[number];

/** begin … end: all there is of a class lies between; complete: so it is of every class. */
export const iclOperations = ['put', 'remove', 'begin', 'end', 'digest', 'resync', 'complete'] as const;
export type IclOperation = (typeof iclOperations)[number];

/** In the order in which they are sent: what others rest on comes first. */
export const iclClasses = ['names', 'base', 'sa', 'sequence', 'lease', 'certificate', 'session'] as const;
export type IclClass = (typeof iclClasses)[number];

export interface IclObject {
  readonly class: IclClass;
  readonly operation: IclOperation;
  /** at most 255 bytes of UTF-8; '' for operations that concern the class */
  readonly key: string;
  readonly value: Bytes;
}

export interface IclHeader {
  readonly nodeId: number;
  readonly from: number;
  readonly to: number;
  readonly taken: number;
  readonly received: number;
  readonly window: number;
  /** two halves, low one first */
  readonly gaps: readonly [number, number];
}

export type IclDatagram = IclHeader &
  (
    | { readonly kind: 'hello'; readonly number: number; readonly payload: Bytes }
    | { readonly kind: 'data'; readonly number: number; readonly objects: Bytes }
    | { readonly kind: 'ack' }
  );

/** Why a datagram is none of ours. */
export type IclReason = 'runt' | 'other version' | 'unknown kind' | 'bad node-id' | 'bad numbers';

export const u48 = (bytes: Bytes, at: number): number => u16(bytes, at) * 0x1_0000_0000 + u32(bytes, at + 2);

export function setU48(bytes: Bytes, at: number, value: number): void {
  setU16(bytes, at, Math.floor(value / 0x1_0000_0000));
  setU32(bytes, at + 2, value % 0x1_0000_0000);
}

/** Views of the bytes, no copies. */
export function decodeIcl(bytes: Bytes): { ok: true; value: IclDatagram } | { ok: false; reason: IclReason } {
  const wrong = (reason: IclReason) => ({ ok: false, reason }) as const;
  if (bytes.length < iclHeaderBytes) return wrong('runt');
  if (bytes[0] !== iclVersion) return wrong('other version');
  const kind = iclKinds[bytes[1]!];
  if (kind === undefined) return wrong('unknown kind');
  const nodeId = bytes[2]!;
  if (nodeId < 1 || nodeId > 15) return wrong('bad node-id');
  const header: IclHeader = {
    nodeId,
    from: u48(bytes, 4),
    to: u48(bytes, 10),
    taken: u48(bytes, 16),
    received: u48(bytes, 22),
    window: u16(bytes, 28),
    gaps: [u32(bytes, 34), u32(bytes, 30)],
  };
  if (header.from === 0 || header.received < header.taken) return wrong('bad numbers');
  if (kind === 'ack') return { ok: true, value: { ...header, kind } };
  if (kind === 'hello') {
    if (bytes.length < iclHeaderBytes + 4) return wrong('runt');
    const number = u32(bytes, iclHeaderBytes);
    return { ok: true, value: { ...header, kind, number, payload: bytes.subarray(iclHeaderBytes + 4) } };
  }
  if (bytes.length < iclDataBytes) return wrong('runt');
  const number = u48(bytes, iclHeaderBytes);
  if (number === 0) return wrong('bad numbers');
  return { ok: true, value: { ...header, kind, number, objects: bytes.subarray(iclDataBytes) } };
}

/** Writes the header; what the kind has more is behind it. */
export function writeIclHeader(bytes: Bytes, kind: IclKind, header: IclHeader): void {
  bytes[0] = iclVersion;
  bytes[1] = iclKinds.indexOf(kind);
  bytes[2] = header.nodeId;
  bytes[3] = 0;
  setU48(bytes, 4, header.from);
  setU48(bytes, 10, header.to);
  setU48(bytes, 16, header.taken);
  setU48(bytes, 22, header.received);
  setU16(bytes, 28, header.window);
  setU32(bytes, 30, header.gaps[1]);
  setU32(bytes, 34, header.gaps[0]);
}

export function encodeIclHello(header: IclHeader, number: number, payload: Bytes): Bytes {
  const bytes = new Uint8Array(iclHeaderBytes + 4 + payload.length);
  writeIclHeader(bytes, 'hello', header);
  setU32(bytes, iclHeaderBytes, number);
  bytes.set(payload, iclHeaderBytes + 4);
  return bytes;
}

export function encodeIclAck(header: IclHeader): Bytes {
  const bytes = new Uint8Array(iclHeaderBytes);
  writeIclHeader(bytes, 'ack', header);
  return bytes;
}

const text = { encoder: new TextEncoder(), decoder: new TextDecoder('utf-8', { fatal: true }) };
export const largestIclKey = 255;
export const largestIclValue = 0xffff;

/** Bytes that the object takes in a datagram. Throws RangeError for what no datagram can say. */
export function iclObjectLength(key: Bytes, value: Bytes): number {
  if (key.length > largestIclKey) throw new RangeError(`key: ${key.length} bytes, at most ${largestIclKey}`);
  if (value.length > largestIclValue)
    throw new RangeError(`value: ${value.length} bytes, at most ${largestIclValue}`);
  return iclObjectBytes + key.length + value.length;
}

export const iclKeyBytes = (key: string): Bytes => text.encoder.encode(key);

/** Returns where the next one may stand. */
export function writeIclObject(
  bytes: Bytes,
  at: number,
  object: Pick<IclObject, 'class' | 'operation'>,
  key: Bytes,
  value: Bytes,
): number {
  bytes[at] = iclClasses.indexOf(object.class);
  bytes[at + 1] = iclOperations.indexOf(object.operation);
  bytes[at + 2] = key.length;
  setU16(bytes, at + 3, value.length);
  bytes.set(key, at + iclObjectBytes);
  bytes.set(value, at + iclObjectBytes + key.length);
  return at + iclObjectBytes + key.length + value.length;
}

/** The object at `at` and where the next one stands; null: what stands there is none. */
export function readIclObject(bytes: Bytes, at: number): { object: IclObject; next: number } | null {
  if (at + iclObjectBytes > bytes.length) return null;
  const kind = iclClasses[bytes[at]!];
  const operation = iclOperations[bytes[at + 1]!];
  const keyEnd = at + iclObjectBytes + bytes[at + 2]!;
  const next = keyEnd + u16(bytes, at + 3);
  if (kind === undefined || operation === undefined || next > bytes.length) return null;
  let key: string;
  try {
    key = text.decoder.decode(bytes.subarray(at + iclObjectBytes, keyEnd));
  } catch {
    return null;
  }
  return { object: { class: kind, operation, key, value: bytes.subarray(keyEnd, next) }, next };
}

/** Whether all of these bytes are objects. */
export function areIclObjects(bytes: Bytes): boolean {
  let at = 0;
  while (at < bytes.length) {
    const read = readIclObject(bytes, at);
    if (read === null) return false;
    at = read.next;
  }
  return true;
}
