/** The configuration payload (RFC 7296 §3.15). */
import type { Bytes } from '../bytes.js';
import { bad, be16, concat, good, type IkeDecoded, Reader } from './decode.js';

export interface ConfigurationAttribute {
  readonly type: number;
  readonly value: Bytes;
}

export interface Configuration {
  /** request, reply, set, ack */
  readonly type: number;
  readonly attributes: readonly ConfigurationAttribute[];
}

/** Our own bound. */
export const mostAttributes = 64;

export function decodeConfiguration(body: Bytes): IkeDecoded<Configuration> {
  const reader = new Reader(body);
  const type = reader.u8();
  reader.bytes(3);
  const attributes: ConfigurationAttribute[] = [];
  while (reader.left > 0) {
    if (attributes.length === mostAttributes) return bad('ike_bad_configuration');
    // the highest bit is reserved, and ignored
    const attribute = reader.u16() & 0x7fff;
    const value = reader.bytes(reader.u16());
    attributes.push({ type: attribute, value });
  }
  return reader.failed ? bad('ike_bad_configuration') : good({ type, attributes });
}

export function encodeConfiguration({ type, attributes }: Configuration): Bytes {
  return concat(
    Uint8Array.of(type, 0, 0, 0),
    ...attributes.map(({ type: attribute, value }) => concat(be16(attribute), be16(value.length), value)),
  );
}
