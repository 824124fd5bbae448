/**
 * Digest of a set of (key, value): the sum of each pair's hash, so it follows changes and does not depend on their order.
 * It finds what went wrong by accident; whoever could choose values on purpose has the keys of the link already.
 */
import type { Bytes } from '../wire/bytes.js';
import { iclKeyBytes } from '../wire/icl.js';

export class Digest {
  readonly #words = new Uint32Array(2);

  add(hash: Uint32Array): void {
    const low = this.#words[0]! + hash[0]!;
    this.#words[0] = low;
    this.#words[1] = this.#words[1]! + hash[1]! + (low > 0xffff_ffff ? 1 : 0);
  }

  subtract(hash: Uint32Array): void {
    const low = this.#words[0]! - hash[0]!;
    this.#words[0] = low;
    this.#words[1] = this.#words[1]! - hash[1]! - (low < 0 ? 1 : 0);
  }

  clear(): void {
    this.#words.fill(0);
  }

  bytes(): Bytes {
    const out = new Uint8Array(8);
    const view = new DataView(out.buffer);
    view.setUint32(0, this.#words[1]!);
    view.setUint32(4, this.#words[0]!);
    return out;
  }
}

/** Two lanes of FNV-1a with different bases, mixed at the end (murmur3's finaliser). */
export function hashOf(key: string, value: Bytes): Uint32Array {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  const take = (byte: number) => {
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte, 0x85ebca6b) ^ (b >>> 15);
  };
  const name = iclKeyBytes(key);
  for (const byte of name) take(byte);
  take(name.length);
  for (const byte of value) take(byte);
  return Uint32Array.of(mixed(a), mixed(b ^ value.length));
}

function mixed(word: number): number {
  let h = word ^ (word >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** 32 bits of a text. */
export const textHash = (text: string): number => hashOf('', iclKeyBytes(text))[0]!;

/** 64 bits of a text, e.g. of a part of the configuration, as 16 hexadecimal digits. */
export function textDigest(text: string): string {
  const digest = new Digest();
  digest.add(hashOf('', iclKeyBytes(text)));
  return Buffer.from(digest.bytes()).toString('hex');
}
