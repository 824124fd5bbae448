/**
 * What a hello of the interchassis link carries:
 *
 *     0   generation (6)   6  cold sync of the sender (1)   7  parts (1)
 *     8   for each part of the configuration that must be alike: number (1), digest (8)
 *     …   1, then what it says of services redundancy groups; or 0
 *         sequence (6), heard: generation (6), sequence (6), interface scheme (4), groups (1)
 *         for each group: id (1), status (1), priority (1), flags (1: 1 preempt, 2 healthy, 4… failures), request:
 *         number (4, 0: none), status (1)
 */
import type {
  ColdSyncStatus,
  FailureCode,
  SrgHello,
  SrgHellos,
  SrgStatus,
} from '../model/high-availability.js';
import { type Bytes, setU32, u32 } from './bytes.js';
import { setU48, u48 } from './icl.js';

/** Parts of a configuration on which synchronised state rests, and which both nodes must have alike. */
export const syncedParts = ['policies', 'vpns', 'interfaces'] as const;
export type SyncedPart = (typeof syncedParts)[number];

export interface IclHello {
  /** of the nonces: it grows at every start and takeover; that of `srg` is of the start alone */
  readonly generation: number;
  /** whether the sender has all of the receiver's state */
  readonly coldSync: ColdSyncStatus;
  /** 16 hexadecimal digits each */
  readonly parts: ReadonlyMap<SyncedPart, string>;
  readonly srg: SrgHellos | null;
}

const coldSyncs: readonly ColdSyncStatus[] = ['UNKNOWN', 'IN PROGRESS', 'COMPLETE'];
const statuses: readonly SrgStatus[] = ['INIT', 'HOLD', 'ACTIVE', 'BACKUP', 'INELIGIBLE'];
const failureCodes: readonly FailureCode[] = ['BF', 'IP', 'IF', 'CP'];
const requests = ['ACTIVE', 'BACKUP'] as const;
const headBytes = 8;
const partBytes = 9;
const srgBytes = 29;
const groupBytes = 9;
export const mostHelloGroups = 100;

const unhex = (text: string, bytes: number): Bytes =>
  Uint8Array.from({ length: bytes }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
const hex = (bytes: Bytes): string => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** Throws RangeError for more groups than a datagram holds. */
export function encodeHello({ generation, coldSync, parts, srg }: IclHello): Bytes {
  const groups = srg?.groups ?? [];
  if (groups.length > mostHelloGroups)
    throw new RangeError(`${groups.length} services redundancy groups, at most ${mostHelloGroups}`);
  const srgAt = headBytes + partBytes * parts.size;
  const bytes = new Uint8Array(srgAt + 1 + (srg === null ? 0 : srgBytes + groupBytes * groups.length));
  setU48(bytes, 0, generation);
  bytes[6] = coldSyncs.indexOf(coldSync);
  bytes[7] = parts.size;
  let at = headBytes;
  for (const [part, digest] of parts) {
    bytes[at] = syncedParts.indexOf(part);
    bytes.set(unhex(digest, 8), at + 1);
    at += partBytes;
  }
  if (srg === null) return bytes;
  bytes[at] = 1;
  setU48(bytes, at + 1, srg.sequence);
  setU48(bytes, at + 7, srg.heard.generation);
  setU48(bytes, at + 13, srg.heard.sequence);
  bytes.set(unhex(srg.interfaceScheme, 4), at + 19);
  setU48(bytes, at + 23, srg.generation);
  bytes[at + 29] = groups.length;
  at += 1 + srgBytes;
  for (const { id, status, priority, preempt, healthy, failures, request } of groups) {
    const failed = failures.reduce((bits, code) => bits | (4 << failureCodes.indexOf(code)), 0);
    bytes.set([id, statuses.indexOf(status), priority, (preempt ? 1 : 0) | (healthy ? 2 : 0) | failed], at);
    setU32(bytes, at + 4, request?.number ?? 0);
    bytes[at + 8] = request === null ? 0 : requests.indexOf(request.status);
    at += groupBytes;
  }
  return bytes;
}

/** nodeId: of the datagram. null: malformed. */
export function decodeHello(bytes: Bytes, nodeId: number): IclHello | null {
  if (bytes.length < headBytes + 1) return null;
  const coldSync = coldSyncs[bytes[6]!];
  const srgAt = headBytes + partBytes * bytes[7]!;
  if (coldSync === undefined || bytes.length < srgAt + 1) return null;
  const generation = u48(bytes, 0);
  const parts = new Map<SyncedPart, string>();
  for (let at = headBytes; at < srgAt; at += partBytes) {
    const part = syncedParts[bytes[at]!];
    // parts of a later version are passed over
    if (part !== undefined) parts.set(part, hex(bytes.subarray(at + 1, at + partBytes)));
  }
  if (bytes[srgAt] === 0) return { generation, coldSync, parts, srg: null };
  if (bytes[srgAt] !== 1 || bytes.length < srgAt + 1 + srgBytes) return null;
  const count = bytes[srgAt + srgBytes]!;
  const groupsAt = srgAt + 1 + srgBytes;
  if (bytes.length < groupsAt + groupBytes * count) return null;
  const groups: SrgHello[] = [];
  for (let i = 0; i < count; i++) {
    const group = decodeGroup(bytes.subarray(groupsAt + i * groupBytes));
    if (group === null || groups.some(({ id }) => id === group.id)) return null;
    groups.push(group);
  }
  const srg: SrgHellos = {
    nodeId,
    generation: u48(bytes, srgAt + 23),
    sequence: u48(bytes, srgAt + 1),
    heard: { generation: u48(bytes, srgAt + 7), sequence: u48(bytes, srgAt + 13) },
    coldSync,
    interfaceScheme: hex(bytes.subarray(srgAt + 19, srgAt + 23)),
    groups,
  };
  return { generation, coldSync, parts, srg };
}

function decodeGroup(bytes: Bytes): SrgHello | null {
  const [id, statusByte, priority, flags] = bytes as unknown as [number, number, number, number];
  const status = statuses[statusByte];
  const number = u32(bytes, 4);
  const wanted = requests[bytes[8]!];
  if (status === undefined || priority === 0 || priority === 255 || flags > 63 || wanted === undefined)
    return null;
  return {
    id,
    status,
    priority,
    preempt: (flags & 1) !== 0,
    healthy: (flags & 2) !== 0,
    failures: failureCodes.filter((_, i) => (flags & (4 << i)) !== 0),
    request: number === 0 ? null : { number, status: wanted },
  };
}
