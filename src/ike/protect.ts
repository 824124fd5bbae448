/** Messages sealed and opened (RFC 7296 §3.14, 5282), whole or in fragments (RFC 7383). */
import { tuning } from '../config/limits.js';
import { setU16 } from '../wire/bytes.js';
import {
  concat,
  decodeChain,
  encodeChain,
  encodeHeader,
  encodePayload,
  encryptionId,
  fragmentHeaderBytes,
  type IkeReason,
  ikeHeaderBytes,
  type Payload,
  payloadHeaderBytes,
  payloadType,
  type RawMessage,
  type RawPayload,
} from '../wire/ike.js';
import { type Bytes, openBody, sealBody, sealedBytes, sealOverhead } from './crypto.js';
import type { Draft } from './draft.js';

const udpBytes = 8;
const markerBytes = 4;

/** The datagrams of a message. */
export function seal(
  draft: Draft,
  exchange: number,
  isResponse: boolean,
  messageId: number,
  payloads: readonly Payload[],
): Bytes[] {
  const suite = draft.sa.suite!;
  const inner = payloads.map(encodePayload);
  const plain = encodeChain(inner);
  const first = inner[0]?.type ?? payloadType.none;
  const most = largestDatagram(draft);
  const whole = ikeHeaderBytes + payloadHeaderBytes + sealedBytes(suite, plain.length);
  if (!draft.sa.fragmentation || most === null || whole <= most)
    return [sealOne(draft, exchange, isResponse, messageId, first, plain, null)];
  const room = most - ikeHeaderBytes - payloadHeaderBytes - fragmentHeaderBytes - sealOverhead(suite);
  const total = Math.ceil(plain.length / room);
  return Array.from({ length: total }, (_, i) =>
    sealOne(
      draft,
      exchange,
      isResponse,
      messageId,
      i === 0 ? first : payloadType.none,
      plain.subarray(i * room, (i + 1) * room),
      [i + 1, total],
    ),
  );
}

function largestDatagram({ gateway, sa }: Draft): number | null {
  const bytes = gateway?.fragmentBytes ?? null;
  if (bytes === null) return null;
  return bytes - (sa.path.local.family === 'inet' ? 20 : 40) - udpBytes - markerBytes;
}

function sealOne(
  draft: Draft,
  exchange: number,
  isResponse: boolean,
  messageId: number,
  first: number,
  plain: Bytes,
  fragment: readonly [number: number, total: number] | null,
): Bytes {
  const { sa, env } = draft;
  const suite = sa.suite!;
  const keys = sa.keys!;
  const [initiatorSpi, responderSpi] = sa.isInitiator ? [sa.localSpi, sa.peerSpi] : [sa.peerSpi, sa.localSpi];
  const fragmentBytes = fragment === null ? 0 : fragmentHeaderBytes;
  const bodyBytes = fragmentBytes + sealedBytes(suite, plain.length);
  const nextPayload = fragment === null ? payloadType.encrypted : payloadType.encryptedFragment;
  const header = encodeHeader(
    {
      initiatorSpi,
      responderSpi,
      nextPayload,
      exchange,
      isFromInitiator: sa.isInitiator,
      isResponse,
      messageId,
    },
    ikeHeaderBytes + payloadHeaderBytes + bodyBytes,
  );
  const generic = new Uint8Array(payloadHeaderBytes + fragmentBytes);
  generic[0] = first;
  setU16(generic, 2, payloadHeaderBytes + bodyBytes);
  if (fragment !== null) {
    setU16(generic, 4, fragment[0]);
    setU16(generic, 6, fragment[1]);
  }
  const head = concat(header, generic);
  const [e, a] = sa.isInitiator ? [keys.ei, keys.ai] : [keys.er, keys.ar];
  return concat(head, sealBody(suite, e, a, nextIv(draft, suite.encryption, env), head, plain));
}

/** node-id and epoch (16 bits), then a counter: neither this node nor the other of a pair makes one twice. */
function nextIv({ sa }: Draft, encryption: number, env: Draft['env']): Bytes {
  if (encryption !== encryptionId.aesGcm16) return env.random(16);
  const iv = new Uint8Array(8);
  const view = new DataView(iv.buffer);
  view.setBigUint64(0, BigInt(sa.sealed));
  view.setUint16(0, env.ivPrefix);
  sa.sealed++;
  return iv;
}

export type Opened =
  | { readonly kind: 'opened'; readonly payloads: readonly RawPayload[] }
  /** it authenticates, and more fragments are to come; isFirst: it has number 1 */
  | { readonly kind: 'fragment'; readonly isFirst: boolean }
  | { readonly kind: 'forged' }
  /** it authenticates, and is no message */
  | { readonly kind: 'malformed'; readonly reason: IkeReason };

/** What is in SK; fragments are gathered in the SA. */
export function open(draft: Draft, { header, payloads, innerType, encryptedAt, bytes }: RawMessage): Opened {
  const { sa } = draft;
  const last = payloads.at(-1);
  if (sa.keys === null || sa.suite === null || last === undefined || encryptedAt === 0)
    return { kind: 'forged' };
  const [e, a] = sa.isInitiator ? [sa.keys.er, sa.keys.ar] : [sa.keys.ei, sa.keys.ai];
  if (last.type === payloadType.encrypted) {
    const plain = openBody(sa.suite, e, a, bytes.subarray(0, encryptedAt), last.body);
    return plain === null ? { kind: 'forged' } : chain(plain, innerType);
  }
  const at = encryptedAt + fragmentHeaderBytes;
  if (last.body.length < fragmentHeaderBytes || !sa.fragmentation) return { kind: 'forged' };
  const part = openBody(sa.suite, e, a, bytes.subarray(0, at), last.body.subarray(fragmentHeaderBytes));
  if (part === null) return { kind: 'forged' };
  const view = new DataView(last.body.buffer, last.body.byteOffset);
  return gather(draft, header, view.getUint16(0), view.getUint16(2), part, innerType);
}

function chain(plain: Bytes, first: number): Opened {
  const decoded = decodeChain(plain, first);
  if (!decoded.ok) return { kind: 'malformed', reason: decoded.reason };
  if (decoded.value.encryptedAt !== 0) return { kind: 'malformed', reason: 'ike_bad_encrypted' };
  return { kind: 'opened', payloads: decoded.value.payloads };
}

/** RFC 7383 §2.6 */
function gather(
  draft: Draft,
  { messageId, isResponse }: RawMessage['header'],
  number: number,
  total: number,
  part: Bytes,
  innerType: number,
): Opened {
  const { sa } = draft;
  if (number < 1 || number > total || total > tuning.ike.mostFragments)
    return { kind: 'malformed', reason: 'ike_bad_encrypted' };
  const isFirst = number === 1;
  const before = sa.fragments;
  const isSame = before !== null && before.messageId === messageId && before.isResponse === isResponse;
  // a sender that found a smaller path makes more fragments; those of the division before are old
  if (isSame && total < before.total) return { kind: 'fragment', isFirst };
  const goesOn = isSame && total === before.total;
  const parts = goesOn ? [...before.parts] : new Array<Bytes | null>(total).fill(null);
  parts[number - 1] ??= part;
  const type = isFirst ? innerType : goesOn ? before.innerType : 0;
  if (parts.some((each) => each === null)) {
    sa.fragments = { messageId, isResponse, total, innerType: type, parts };
    return { kind: 'fragment', isFirst };
  }
  sa.fragments = null;
  return chain(concat(...(parts as Bytes[])), type);
}
