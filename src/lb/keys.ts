/**
 * The bytes of a packet that are hashed, and the hash functions: the same values as native/core/chash
 * (flow_key.h, flow_hash.h). Numbers are pairs of 32-bit words, because BigInt is too slow for millions of keys.
 */

export type HashKey = 'source-ip' | 'destination-ip' | 'symmetric' | '5-tuple' | 'symmetric-5-tuple';
export type HashFunction = 'xxh64' | 'siphash-1-3' | 'toeplitz';

/** A 64-bit value in two unsigned 32-bit words. */
export interface Hash64 {
  readonly hi: number;
  readonly lo: number;
}

/** Name and version: part of every table's digest. */
export const hashFunctionVersions: Readonly<Record<HashFunction, string>> = {
  xxh64: 'xxh64@1',
  'siphash-1-3': 'siphash-1-3@1',
  toeplitz: 'toeplitz@1',
};

/** Addresses as in the packet, 4 or 16 bytes each. Without ports: a fragment (any), or a protocol that has none. */
export interface FlowFields {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly protocol: number;
  readonly ports?: { readonly source: number; readonly destination: number } | undefined;
}

/** RFC 7296 §2 (500), RFC 3948 (4500), RFC 9329 (TCP 4500), RFC 4303 (ESP), RFC 4302 (AH). */
export function isIpsecPeer({ protocol, ports }: FlowFields): boolean {
  if (protocol === 50 || protocol === 51) return true;
  if (!ports) return false;
  const natT = ports.source === 4500 || ports.destination === 4500;
  return protocol === 6
    ? natT
    : protocol === 17 && (natT || ports.source === 500 || ports.destination === 500);
}

/**
 * The key bytes of a flow. With port keys, packets of an IPsec peer and packets whose ports cannot be had hash by
 * both addresses alone, so that neither a peer nor a datagram is split.
 */
export function flowKey(kind: HashKey, fields: FlowFields): Uint8Array {
  if (kind === 'source-ip') return fields.source.slice();
  if (kind === 'destination-ip') return fields.destination.slice();
  const withPorts = kind === '5-tuple' || kind === 'symmetric-5-tuple';
  const ports = withPorts && !isIpsecPeer(fields) ? fields.ports : undefined;
  let swapped = false;
  if (kind !== '5-tuple') {
    const order = compareBytes(fields.source, fields.destination);
    swapped = order > 0 || (order === 0 && ports !== undefined && ports.source > ports.destination);
  }
  const n = fields.source.length;
  const key = new Uint8Array(2 * n + (ports ? 5 : 0));
  key.set(swapped ? fields.destination : fields.source, 0);
  key.set(swapped ? fields.source : fields.destination, n);
  if (ports) {
    const [first, second] = swapped ? [ports.destination, ports.source] : [ports.source, ports.destination];
    key.set([first >> 8, first & 0xff, second >> 8, second & 0xff, fields.protocol], 2 * n);
  }
  return key;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

/** The upper half of a product of 32-bit words. */
export function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const low = Math.imul(a0, b0) >>> 16;
  const middle = Math.imul(a1, b0) >>> 0;
  const cross = (Math.imul(a0, b1) >>> 0) + (middle & 0xffff) + low; // below 2^33
  return (Math.imul(a1, b1) + (middle >>> 16) + Math.floor(cross / 65536)) >>> 0;
}

/** A 64-bit register. */
class Word implements Hash64 {
  constructor(
    public hi: number,
    public lo: number,
  ) {}

  add(hi: number, lo: number): this {
    const sum = this.lo + lo;
    this.hi = (this.hi + hi + (sum > 0xffffffff ? 1 : 0)) >>> 0;
    this.lo = sum >>> 0;
    return this;
  }

  xor(hi: number, lo: number): this {
    this.hi = (this.hi ^ hi) >>> 0;
    this.lo = (this.lo ^ lo) >>> 0;
    return this;
  }

  /** by: 1…63. */
  rotate(by: number): this {
    const { hi, lo } = this;
    if (by === 32) {
      this.hi = lo;
      this.lo = hi;
    } else if (by < 32) {
      this.hi = ((hi << by) | (lo >>> (32 - by))) >>> 0;
      this.lo = ((lo << by) | (hi >>> (32 - by))) >>> 0;
    } else {
      this.hi = ((lo << (by - 32)) | (hi >>> (64 - by))) >>> 0;
      this.lo = ((hi << (by - 32)) | (lo >>> (64 - by))) >>> 0;
    }
    return this;
  }

  /** this ^= this >> by; by: 1…63. */
  xorShift(by: number): this {
    const { hi, lo } = this;
    if (by >= 32) return this.xor(0, by === 32 ? hi : hi >>> (by - 32));
    return this.xor(hi >>> by, ((lo >>> by) | (hi << (32 - by))) >>> 0);
  }

  multiply({ hi, lo }: Hash64): this {
    this.hi = (multiplyHigh(this.lo, lo) + Math.imul(this.lo, hi) + Math.imul(this.hi, lo)) >>> 0;
    this.lo = Math.imul(this.lo, lo) >>> 0;
    return this;
  }
}

const prime1: Hash64 = { hi: 0x9e3779b1, lo: 0x85ebca87 };
const prime2: Hash64 = { hi: 0xc2b2ae3d, lo: 0x27d4eb4f };
const prime3: Hash64 = { hi: 0x165667b1, lo: 0x9e3779f9 };
const prime4: Hash64 = { hi: 0x85ebca77, lo: 0xc2b2ae63 };
const prime5: Hash64 = { hi: 0x27d4eb2f, lo: 0x165667c5 };
const zero: Hash64 = { hi: 0, lo: 0 };

function read32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function xxh64Round(lane: Word, hi: number, lo: number): Word {
  const input = new Word(hi, lo).multiply(prime2);
  return lane.add(input.hi, input.lo).rotate(31).multiply(prime1);
}

/** xxHash specification 0.8, XXH64. */
export function xxh64(bytes: Uint8Array, seed: Hash64 = zero): Hash64 {
  const length = bytes.length;
  const h = new Word(seed.hi, seed.lo);
  let at = 0;
  if (length < 32) {
    h.add(prime5.hi, prime5.lo);
  } else {
    const start = () => new Word(seed.hi, seed.lo);
    const lanes = [
      start().add(prime1.hi, prime1.lo).add(prime2.hi, prime2.lo),
      start().add(prime2.hi, prime2.lo),
      start(),
      start()
        .add(~prime1.hi >>> 0, ~prime1.lo >>> 0)
        .add(0, 1), // seed - prime1
    ];
    for (; at + 32 <= length; at += 32) {
      for (let i = 0; i < 4; i++)
        xxh64Round(lanes[i]!, read32(bytes, at + 8 * i + 4), read32(bytes, at + 8 * i));
    }
    const turns = [1, 7, 12, 18];
    h.hi = 0;
    h.lo = 0;
    for (let i = 0; i < 4; i++) {
      const turned = new Word(lanes[i]!.hi, lanes[i]!.lo).rotate(turns[i]!);
      h.add(turned.hi, turned.lo);
    }
    for (const lane of lanes) {
      const mixed = xxh64Round(new Word(0, 0), lane.hi, lane.lo);
      h.xor(mixed.hi, mixed.lo).multiply(prime1).add(prime4.hi, prime4.lo);
    }
  }
  h.add(0, length);
  for (; at + 8 <= length; at += 8) {
    const mixed = xxh64Round(new Word(0, 0), read32(bytes, at + 4), read32(bytes, at));
    h.xor(mixed.hi, mixed.lo).rotate(27).multiply(prime1).add(prime4.hi, prime4.lo);
  }
  if (at + 4 <= length) {
    const mixed = new Word(0, read32(bytes, at)).multiply(prime1);
    h.xor(mixed.hi, mixed.lo).rotate(23).multiply(prime2).add(prime3.hi, prime3.lo);
    at += 4;
  }
  for (; at < length; at++) {
    const mixed = new Word(0, bytes[at]!).multiply(prime5);
    h.xor(mixed.hi, mixed.lo).rotate(11).multiply(prime1);
  }
  return h.xorShift(33).multiply(prime2).xorShift(29).multiply(prime3).xorShift(32);
}

function sipRound(v0: Word, v1: Word, v2: Word, v3: Word): void {
  v0.add(v1.hi, v1.lo);
  v1.rotate(13).xor(v0.hi, v0.lo);
  v0.rotate(32);
  v2.add(v3.hi, v3.lo);
  v3.rotate(16).xor(v2.hi, v2.lo);
  v0.add(v3.hi, v3.lo);
  v3.rotate(21).xor(v0.hi, v0.lo);
  v2.add(v1.hi, v1.lo);
  v1.rotate(17).xor(v2.hi, v2.lo);
  v2.rotate(32);
}

/** SipHash with one compression and three finalisation rounds (Aumasson and Bernstein). */
export function siphash13(bytes: Uint8Array, key0: Hash64, key1: Hash64): Hash64 {
  const v0 = new Word(0x736f6d65, 0x70736575).xor(key0.hi, key0.lo);
  const v1 = new Word(0x646f7261, 0x6e646f6d).xor(key1.hi, key1.lo);
  const v2 = new Word(0x6c796765, 0x6e657261).xor(key0.hi, key0.lo);
  const v3 = new Word(0x74656462, 0x79746573).xor(key1.hi, key1.lo);
  const absorb = (hi: number, lo: number) => {
    v3.xor(hi, lo);
    sipRound(v0, v1, v2, v3);
    v0.xor(hi, lo);
  };
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) absorb(read32(bytes, at + 4), read32(bytes, at));
  const last = new Uint8Array(8);
  last.set(bytes.subarray(at));
  last[7] = bytes.length;
  absorb(read32(last, 4), read32(last, 0));
  v2.xor(0, 0xff);
  for (let i = 0; i < 3; i++) sipRound(v0, v1, v2, v3);
  return v0.xor(v1.hi, v1.lo).xor(v2.hi, v2.lo).xor(v3.hi, v3.lo);
}

/** The key of the published verification suite, which most network cards start with. 40 bytes. */
export const microsoftKey: Uint8Array = hexBytes(
  '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa',
);

/** Microsoft RSS: a key of 40 bytes hashes the first 36 bytes of input to 32 bits. */
export function toeplitz(key: Uint8Array, bytes: Uint8Array): number {
  const length = Math.min(bytes.length, 36);
  let hash = 0;
  let window = ((key[0]! << 24) | (key[1]! << 16) | (key[2]! << 8) | key[3]!) >>> 0;
  for (let i = 0; i < length; i++) {
    for (let bit = 7; bit >= 0; bit--) {
      if ((bytes[i]! >> bit) & 1) hash ^= window;
      window = (window << 1) | ((key[i + 4]! >> bit) & 1);
    }
  }
  return hash >>> 0;
}

/** A 64-bit seed: a bigint below 2^64, or an integer that a number can hold. */
export type Seed = bigint | number;

export function seedOf(seed: Seed): Hash64 {
  const value = BigInt(seed);
  if (value < 0n || value >= 1n << 64n) throw new RangeError('seed: 0 to 2^64 - 1');
  return { hi: Number(value >> 32n), lo: Number(value & 0xffffffffn) };
}

export function toBigInt(hash: Hash64): bigint {
  return (BigInt(hash.hi) << 32n) | BigInt(hash.lo);
}

/** 16 hexadecimal digits. */
export function toHex(hash: Hash64): string {
  return hash.hi.toString(16).padStart(8, '0') + hash.lo.toString(16).padStart(8, '0');
}

function hexBytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g)!, (byte) => Number.parseInt(byte, 16));
}

/** A hash function with its seed or key. */
export class FlowHasher {
  readonly function: HashFunction;
  readonly seed: Hash64;
  /** What distinguishes this hash from another of the same function, without giving the key away. */
  readonly fingerprint: Hash64;
  readonly #key: Uint8Array;
  readonly #key0: Hash64;
  readonly #key1: Hash64;

  /**
   * @param key siphash-1-3: 16 bytes, else made from the seed; toeplitz: 40 bytes, else the published key. xxh64
   * has none. Throws RangeError for another length.
   */
  constructor(name: HashFunction, seed: Seed, key?: Uint8Array) {
    this.function = name;
    this.seed = seedOf(seed);
    this.fingerprint = this.seed;
    this.#key = key ?? microsoftKey;
    this.#key0 = this.seed;
    this.#key1 = this.seed;
    const expected = name === 'toeplitz' ? 40 : name === 'siphash-1-3' ? 16 : 0;
    if (key && key.length !== expected)
      throw new RangeError(`key of ${name}: ${expected} bytes, not ${key.length}`);
    if (name === 'toeplitz') this.fingerprint = xxh64(this.#key, this.seed);
    if (name === 'siphash-1-3' && key) {
      this.#key0 = { hi: read32(key, 4), lo: read32(key, 0) };
      this.#key1 = { hi: read32(key, 12), lo: read32(key, 8) };
      this.fingerprint = siphash13(key, this.#key0, this.#key1);
    } else if (name === 'siphash-1-3') {
      const bytes = new Uint8Array(8);
      for (let i = 0; i < 4; i++) {
        bytes[i] = this.seed.lo >>> (8 * i);
        bytes[i + 4] = this.seed.hi >>> (8 * i);
      }
      this.#key0 = xxh64(bytes, zero);
      this.#key1 = xxh64(bytes, { hi: 0, lo: 1 });
    }
  }

  /**
   * The hash of a flow's key. Toeplitz leaves the last byte of an odd-length key out (the protocol of a 5-tuple, which
   * network cards do not hash) and fills the upper 32 bits, from which slots are taken.
   */
  hash(key: Uint8Array): Hash64 {
    if (this.function === 'xxh64') return xxh64(key, this.seed);
    if (this.function === 'siphash-1-3') return siphash13(key, this.#key0, this.#key1);
    return { hi: toeplitz(this.#key, key.subarray(0, key.length & ~1)), lo: 0 };
  }
}

/** The slot of a hash in a table of any size up to 2^20: the upper half of the hash, scaled. */
export function slotOf(hash: Hash64, size: number): number {
  return Math.floor((hash.hi * size) / 4294967296);
}
