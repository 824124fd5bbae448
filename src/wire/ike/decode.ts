/** What decoding an IKE message comes to, and a reader that never runs over its end. */
import { type Bytes, u16, u32 } from '../bytes.js';

/** Why bytes are no IKE message. */
export type IkeReason =
  | 'ike_runt'
  | 'ike_bad_length'
  | 'ike_bad_version'
  | 'ike_bad_header'
  | 'ike_bad_payload_length'
  | 'ike_too_many_payloads'
  | 'ike_bad_proposal'
  | 'ike_bad_transform'
  | 'ike_bad_key_exchange'
  | 'ike_bad_identification'
  | 'ike_bad_certificate'
  | 'ike_bad_auth'
  | 'ike_bad_nonce'
  | 'ike_bad_notify'
  | 'ike_bad_delete'
  | 'ike_bad_traffic_selector'
  | 'ike_bad_configuration'
  | 'ike_bad_encrypted'
  | 'ike_unknown_critical';

/** detail: of ike_unknown_critical, the payload's type. */
export type IkeDecoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: IkeReason; readonly detail?: number };

export const good = <T>(value: T): IkeDecoded<T> => ({ ok: true, value });
export const bad = (reason: IkeReason, detail?: number): IkeDecoded<never> =>
  detail === undefined ? { ok: false, reason } : { ok: false, reason, detail };

/** Reads front to back; beyond the end it gives undefined, and from then on always. Bytes are views. */
export class Reader {
  readonly #bytes: Bytes;
  #at = 0;
  #failed = false;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#failed ? 0 : this.#bytes.length - this.#at;
  }

  /** Something was read that is not there. */
  get failed(): boolean {
    return this.#failed;
  }

  #take(count: number): number {
    if (this.#failed || count < 0 || this.#at + count > this.#bytes.length) {
      this.#failed = true;
      return -1;
    }
    const at = this.#at;
    this.#at += count;
    return at;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#bytes[at]!;
  }

  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : u16(this.#bytes, at);
  }

  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : u32(this.#bytes, at);
  }

  bytes(count: number): Bytes {
    const at = this.#take(count);
    return at < 0 ? new Uint8Array(0) : this.#bytes.subarray(at, at + count);
  }

  rest(): Bytes {
    return this.bytes(this.left);
  }
}

/** Bytes one behind the other. */
export function concat(...parts: readonly Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const be16 = (value: number): Bytes => Uint8Array.of(value >>> 8, value & 0xff);
export const be32 = (value: number): Bytes =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
