/**
 * The SA payload: proposals and their transforms (RFC 7296 §3.3).
 *
 *     proposal   | last (0, 2) | 0 | length (2) | number | protocol | SPI size | transforms | SPI | transforms …
 *     transform  | last (0, 3) | 0 | length (2) | type | 0 | id (2) | attributes …
 */
import type { Bytes } from '../bytes.js';
import { protocolId } from './constants.js';
import { bad, be16, concat, good, type IkeDecoded, Reader } from './decode.js';

export interface Transform {
  readonly type: number;
  readonly id: number;
  /** bits; null: none is said */
  readonly keyLength: number | null;
}

export interface Proposal {
  /** from 1 on */
  readonly number: number;
  readonly protocol: number;
  /** of the sender: empty, 4 bytes (ESP) or 8 (IKE, when it is rekeyed) */
  readonly spi: Bytes;
  readonly transforms: readonly Transform[];
}

/** Our own bounds: strongSwan's longest default has about 30 transforms. */
export const mostProposals = 32;
export const mostTransforms = 128;
const keyLengthAttribute = 14;
const more = { proposal: 2, transform: 3 } as const;

export function decodeProposals(body: Bytes): IkeDecoded<Proposal[]> {
  const proposals: Proposal[] = [];
  const reader = new Reader(body);
  for (let isMore = true; isMore; ) {
    if (proposals.length === mostProposals) return bad('ike_bad_proposal');
    const last = reader.u8();
    reader.u8();
    const length = reader.u16();
    const proposal = new Reader(reader.bytes(length - 4));
    if (reader.failed || (last !== 0 && last !== more.proposal)) return bad('ike_bad_proposal');
    isMore = last !== 0;
    const number = proposal.u8();
    const protocol = proposal.u8();
    const spiSize = proposal.u8();
    const count = proposal.u8();
    const spi = proposal.bytes(spiSize);
    if (proposal.failed || !isSpiSize(protocol, spiSize)) return bad('ike_bad_proposal');
    const transforms = decodeTransforms(proposal, count);
    if (!transforms.ok) return transforms;
    proposals.push({ number, protocol, spi, transforms: transforms.value });
  }
  return reader.left === 0 ? good(proposals) : bad('ike_bad_proposal');
}

const isSpiSize = (protocol: number, size: number): boolean =>
  protocol === protocolId.ike
    ? size === 0 || size === 8
    : protocol === protocolId.esp || protocol === protocolId.ah
      ? size === 4
      : true;

function decodeTransforms(proposal: Reader, count: number): IkeDecoded<Transform[]> {
  if (count > mostTransforms) return bad('ike_bad_transform');
  const transforms: Transform[] = [];
  for (let i = 0; i < count; i++) {
    const last = proposal.u8();
    proposal.u8();
    const length = proposal.u16();
    const reader = new Reader(proposal.bytes(length - 4));
    if (proposal.failed || last !== (i + 1 < count ? more.transform : 0)) return bad('ike_bad_transform');
    const type = reader.u8();
    reader.u8();
    const id = reader.u16();
    const keyLength = decodeKeyLength(reader);
    if (reader.failed) return bad('ike_bad_transform');
    transforms.push(
      keyLength === undefined ? { type, id: unknownTransform, keyLength: null } : { type, id, keyLength },
    );
  }
  return proposal.left === 0 ? good(transforms) : bad('ike_bad_transform');
}

/** For a transform with an attribute that is not known: nobody may choose it (RFC 7296 §3.3.6). Of private use. */
export const unknownTransform = 0xffff;

/** The key length is the only attribute that there is; undefined: there is another. */
function decodeKeyLength(reader: Reader): number | null | undefined {
  let keyLength: number | null | undefined = null;
  while (reader.left > 0) {
    const type = reader.u16();
    const value = reader.u16();
    // type and value, or type, length and value
    if ((type & 0x8000) === 0) reader.bytes(value);
    keyLength = type === (0x8000 | keyLengthAttribute) && keyLength === null ? value : undefined;
  }
  return keyLength;
}

export function encodeProposals(proposals: readonly Proposal[]): Bytes {
  return concat(
    ...proposals.map(({ number, protocol, spi, transforms }, i) => {
      const inner = concat(
        Uint8Array.of(number, protocol, spi.length, transforms.length),
        spi,
        ...transforms.map((transform, j) => encodeTransform(transform, j + 1 === transforms.length)),
      );
      const last = i + 1 === proposals.length ? 0 : more.proposal;
      return concat(Uint8Array.of(last, 0), be16(inner.length + 4), inner);
    }),
  );
}

function encodeTransform({ type, id, keyLength }: Transform, isLast: boolean): Bytes {
  const attribute =
    keyLength === null ? new Uint8Array(0) : concat(be16(0x8000 | keyLengthAttribute), be16(keyLength));
  const last = isLast ? 0 : more.transform;
  return concat(
    Uint8Array.of(last, 0),
    be16(8 + attribute.length),
    Uint8Array.of(type, 0),
    be16(id),
    attribute,
  );
}
