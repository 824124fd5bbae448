/**
 * BFD control packets (RFC 5880 §4), as they lie in UDP: port 3784 single hop (RFC 5881), 4784 multihop (RFC 5883).
 *
 *     0            1              2            3        4         8           12        16        20          24
 *     | vers, diag | state, flags | multiplier | length | my disc | your disc | min tx  | min rx  | min echo  | auth …
 *
 * Intervals are in microseconds. Of authentication this knows keyed and meticulous keyed SHA1 (§4.4); the hash itself is
 * the ha room's.
 */
import { type Bytes, type Decoded, decoded, setU32, u32, undecodable } from './bytes.js';

/** RFC 5881 §4, RFC 5883 §5 */
export const bfdPort = { singleHop: 3784, multihop: 4784 } as const;
/** RFC 5881 §5: packets are sent with this TTL or hop limit, and others are dropped */
export const bfdTtl = 255;

const version = 1;
const headerBytes = 24;
const sha1AuthBytes = 28;
/** of the authentication section: where the hash stands */
const sha1HashAt = 8;
export const sha1Bytes = 20;

export const bfdStates = ['AdminDown', 'Down', 'Init', 'Up'] as const;
export type BfdState = (typeof bfdStates)[number];

/** RFC 5880 §4.1, in the order of their numbers. */
export const bfdDiagnostics = [
  'none',
  'detection time expired',
  'echo failed',
  'neighbour signalled down',
  'forwarding plane reset',
  'path down',
  'concatenated path down',
  'administratively down',
  'reverse concatenated path down',
] as const;
export type BfdDiagnostic = (typeof bfdDiagnostics)[number];

const flag = {
  poll: 0x20,
  final: 0x10,
  controlPlaneIndependent: 0x08,
  authenticated: 0x04,
  demand: 0x02,
  multipoint: 0x01,
};

export interface BfdAuth {
  readonly type: 'keyed-sha1' | 'meticulous-keyed-sha1';
  readonly keyId: number;
  readonly sequence: number;
  readonly hash: Bytes;
}

export interface BfdPacket {
  readonly state: BfdState;
  /** of a number that this does not know: none */
  readonly diagnostic: BfdDiagnostic;
  readonly poll: boolean;
  readonly final: boolean;
  readonly controlPlaneIndependent: boolean;
  readonly demand: boolean;
  readonly detectMultiplier: number;
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly requiredMinEchoRxUs: number;
  readonly auth: BfdAuth | null;
}

const authTypes = { 'keyed-sha1': 4, 'meticulous-keyed-sha1': 5 } as const;

/** bad_bfd: what RFC 5880 §6.8.6 has discarded before a session is looked for. */
export function decodeBfd(bytes: Bytes): Decoded<BfdPacket> {
  const bad = undecodable('bad_bfd');
  if (bytes.length < headerBytes || bytes[0]! >> 5 !== version) return bad;
  const flags = bytes[1]!;
  const length = bytes[3]!;
  const isAuthenticated = (flags & flag.authenticated) !== 0;
  if (length < headerBytes + (isAuthenticated ? 2 : 0) || length > bytes.length) return bad;
  const packet = {
    state: bfdStates[flags >> 6]!,
    diagnostic: bfdDiagnostics[bytes[0]! & 0x1f] ?? 'none',
    poll: (flags & flag.poll) !== 0,
    final: (flags & flag.final) !== 0,
    controlPlaneIndependent: (flags & flag.controlPlaneIndependent) !== 0,
    demand: (flags & flag.demand) !== 0,
    detectMultiplier: bytes[2]!,
    myDiscriminator: u32(bytes, 4),
    yourDiscriminator: u32(bytes, 8),
    desiredMinTxUs: u32(bytes, 12),
    requiredMinRxUs: u32(bytes, 16),
    requiredMinEchoRxUs: u32(bytes, 20),
  };
  const { state, detectMultiplier, myDiscriminator, yourDiscriminator } = packet;
  if (detectMultiplier === 0 || myDiscriminator === 0 || (flags & flag.multipoint) !== 0) return bad;
  // §6.8.6: without a discriminator of ours it can only be one that has not heard of us
  if (yourDiscriminator === 0 && state !== 'Down' && state !== 'AdminDown') return bad;
  if (!isAuthenticated) return decoded({ ...packet, auth: null });
  const auth = decodeAuth(bytes.subarray(headerBytes, length));
  return auth === null ? bad : decoded({ ...packet, auth });
}

function decodeAuth(section: Bytes): BfdAuth | null {
  const type = section[0] === authTypes['keyed-sha1'] ? 'keyed-sha1' : 'meticulous-keyed-sha1';
  if (section[0] !== authTypes[type] || section[1] !== sha1AuthBytes || section.length !== sha1AuthBytes)
    return null;
  return { type, keyId: section[2]!, sequence: u32(section, 4), hash: section.subarray(sha1HashAt) };
}

export function encodeBfd(packet: BfdPacket): Bytes {
  const { auth } = packet;
  const bytes = new Uint8Array(headerBytes + (auth === null ? 0 : sha1AuthBytes));
  bytes[0] = (version << 5) | bfdDiagnostics.indexOf(packet.diagnostic);
  bytes[1] =
    (bfdStates.indexOf(packet.state) << 6) |
    (packet.poll ? flag.poll : 0) |
    (packet.final ? flag.final : 0) |
    (packet.controlPlaneIndependent ? flag.controlPlaneIndependent : 0) |
    (auth === null ? 0 : flag.authenticated) |
    (packet.demand ? flag.demand : 0);
  bytes[2] = packet.detectMultiplier;
  bytes[3] = bytes.length;
  setU32(bytes, 4, packet.myDiscriminator);
  setU32(bytes, 8, packet.yourDiscriminator);
  setU32(bytes, 12, packet.desiredMinTxUs);
  setU32(bytes, 16, packet.requiredMinRxUs);
  setU32(bytes, 20, packet.requiredMinEchoRxUs);
  if (auth === null) return bytes;
  bytes[headerBytes] = authTypes[auth.type];
  bytes[headerBytes + 1] = sha1AuthBytes;
  bytes[headerBytes + 2] = auth.keyId;
  setU32(bytes, headerBytes + 4, auth.sequence);
  bytes.set(auth.hash, headerBytes + sha1HashAt);
  return bytes;
}
