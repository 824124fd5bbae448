/**
 * The IKE header and the chain of payloads (RFC 7296 §3.1, §3.2).
 *
 *     0                8               16  17    18    19    20          24       28
 *     | initiator SPI | responder SPI | next | ver | type | flags | message ID | length | payloads …
 */
import { type Bytes, setU16, setU32, u16, u32 } from '../bytes.js';
import { payloadType } from './constants.js';
import { bad, good, type IkeDecoded } from './decode.js';

export const ikeHeaderBytes = 28;
export const ikeSpiBytes = 8;
export const payloadHeaderBytes = 4;
/** RFC 7383 §2.5: total and number of the fragment */
export const fragmentHeaderBytes = 4;
/** Our own bound: what a UDP datagram holds. */
export const largestMessage = 65_507;
/** Our own bound: no message of any exchange has half as many. */
export const mostPayloads = 64;

const flagInitiator = 0x08;
// 0x10 says that the sender knows a higher version: ignored, never set
const flagResponse = 0x20;
const critical = 0x80;

export interface IkeHeader {
  /** 8 bytes each */
  readonly initiatorSpi: Bytes;
  readonly responderSpi: Bytes;
  /** type of the first payload */
  readonly nextPayload: number;
  readonly exchange: number;
  /** sent by the original initiator of the IKE SA */
  readonly isFromInitiator: boolean;
  readonly isResponse: boolean;
  readonly messageId: number;
}

export interface RawPayload {
  readonly type: number;
  readonly isCritical: boolean;
  /** without its generic header */
  readonly body: Bytes;
}

/** A header with what follows it. */
export interface RawMessage {
  readonly header: IkeHeader;
  /** the payloads, undecoded; of an encrypted message the last one is SK or SKF */
  readonly payloads: readonly RawPayload[];
  /** type of the first payload inside SK or SKF */
  readonly innerType: number;
  /** where the body of SK or SKF begins in the message; all that is before it is authenticated with it. 0: none */
  readonly encryptedAt: number;
  /** all of it */
  readonly bytes: Bytes;
}

export function decodeHeader(bytes: Bytes): IkeDecoded<IkeHeader> {
  if (bytes.length < ikeHeaderBytes) return bad('ike_runt');
  if (u32(bytes, 24) !== bytes.length || bytes.length > largestMessage) return bad('ike_bad_length');
  if (bytes[17]! >> 4 !== 2) return bad('ike_bad_version', bytes[17]!);
  const initiatorSpi = bytes.subarray(0, 8);
  if (initiatorSpi.every((byte) => byte === 0)) return bad('ike_bad_header');
  const flags = bytes[19]!;
  return good({
    initiatorSpi,
    responderSpi: bytes.subarray(8, 16),
    nextPayload: bytes[16]!,
    exchange: bytes[18]!,
    isFromInitiator: (flags & flagInitiator) !== 0,
    isResponse: (flags & flagResponse) !== 0,
    messageId: u32(bytes, 20),
  });
}

/** The payloads of a message, or of what was decrypted; `first` is the type of the first. */
export function decodeChain(
  bytes: Bytes,
  first: number,
): IkeDecoded<{ payloads: RawPayload[]; innerType: number; encryptedAt: number }> {
  const payloads: RawPayload[] = [];
  let type = first;
  let at = 0;
  while (type !== payloadType.none) {
    if (payloads.length === mostPayloads) return bad('ike_too_many_payloads');
    if (at + payloadHeaderBytes > bytes.length) return bad('ike_bad_payload_length');
    const next = bytes[at]!;
    const isCritical = (bytes[at + 1]! & critical) !== 0;
    const length = u16(bytes, at + 2);
    if (length < payloadHeaderBytes || at + length > bytes.length) return bad('ike_bad_payload_length');
    payloads.push({ type, isCritical, body: bytes.subarray(at + payloadHeaderBytes, at + length) });
    // RFC 7296 §3.14: the encrypted payload is the last one, and its "next" is the first one inside
    if (type === payloadType.encrypted || type === payloadType.encryptedFragment) {
      if (at + length !== bytes.length) return bad('ike_bad_encrypted');
      return good({ payloads, innerType: next, encryptedAt: at + payloadHeaderBytes });
    }
    at += length;
    type = next;
  }
  return at === bytes.length
    ? good({ payloads, innerType: 0, encryptedAt: 0 })
    : bad('ike_bad_payload_length');
}

/** A whole message as it came; nothing of its payloads but their lengths is looked at. */
export function decodeMessage(bytes: Bytes): IkeDecoded<RawMessage> {
  const header = decodeHeader(bytes);
  if (!header.ok) return header;
  const chain = decodeChain(bytes.subarray(ikeHeaderBytes), header.value.nextPayload);
  if (!chain.ok) return chain;
  const { payloads, innerType, encryptedAt } = chain.value;
  return good({
    header: header.value,
    payloads,
    innerType,
    encryptedAt: encryptedAt === 0 ? 0 : encryptedAt + ikeHeaderBytes,
    bytes,
  });
}

/** Generic headers and bodies one behind the other; `last` is what the last one's "next" says. */
export function encodeChain(payloads: readonly RawPayload[], last: number = payloadType.none): Bytes {
  const size = payloads.reduce((sum, { body }) => sum + payloadHeaderBytes + body.length, 0);
  const bytes = new Uint8Array(size);
  let at = 0;
  payloads.forEach(({ isCritical, body }, i) => {
    const length = payloadHeaderBytes + body.length;
    if (length > 0xffff) throw new RangeError(`a payload has at most 65535 bytes, not ${length}`);
    bytes[at] = payloads[i + 1]?.type ?? last;
    bytes[at + 1] = isCritical ? critical : 0;
    setU16(bytes, at + 2, length);
    bytes.set(body, at + payloadHeaderBytes);
    at += length;
  });
  return bytes;
}

/** The header of a message of `length` bytes. */
export function encodeHeader(header: IkeHeader, length: number): Bytes {
  if (header.initiatorSpi.length !== ikeSpiBytes || header.responderSpi.length !== ikeSpiBytes)
    throw new RangeError('an IKE SPI has 8 bytes');
  const bytes = new Uint8Array(ikeHeaderBytes);
  bytes.set(header.initiatorSpi, 0);
  bytes.set(header.responderSpi, 8);
  bytes[16] = header.nextPayload;
  bytes[17] = 0x20;
  bytes[18] = header.exchange;
  bytes[19] = (header.isFromInitiator ? flagInitiator : 0) | (header.isResponse ? flagResponse : 0);
  setU32(bytes, 20, header.messageId);
  setU32(bytes, 24, length);
  return bytes;
}

/** A message in the clear. */
export function encodeMessage(
  header: Omit<IkeHeader, 'nextPayload'>,
  payloads: readonly RawPayload[],
): Bytes {
  const chain = encodeChain(payloads);
  const nextPayload = payloads[0]?.type ?? payloadType.none;
  const bytes = new Uint8Array(ikeHeaderBytes + chain.length);
  bytes.set(encodeHeader({ ...header, nextPayload }, bytes.length));
  bytes.set(chain, ikeHeaderBytes);
  return bytes;
}
