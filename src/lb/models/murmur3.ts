/** MurmurHash3 x64 128 (Austin Appleby, public domain), as load balancers that hash names with it need it. */
const mask = (1n << 64n) - 1n;
const c1 = 0x87c37b91114253d5n;
const c2 = 0x4cf5ad432745937fn;

const times = (a: bigint, b: bigint) => (a * b) & mask;
const plus = (a: bigint, b: bigint) => (a + b) & mask;
const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (64n - by))) & mask;
const mixK1 = (k: bigint) => times(rotate(times(k, c1), 31n), c2);
const mixK2 = (k: bigint) => times(rotate(times(k, c2), 33n), c1);

function finalize(x: bigint): bigint {
  const y = times(x ^ (x >> 33n), 0xff51afd7ed558ccdn);
  const z = times(y ^ (y >> 33n), 0xc4ceb9fe1a85ec53n);
  return z ^ (z >> 33n);
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Both 64-bit halves, the first first. seed: 32 bits. */
export function murmur3(bytes: Uint8Array, seed: number): [bigint, bigint] {
  let h1 = BigInt(seed);
  let h2 = BigInt(seed);
  const whole = bytes.length & ~15;
  for (let at = 0; at < whole; at += 16) {
    h1 ^= mixK1(littleEndian(bytes.subarray(at, at + 8)));
    h1 = plus(times(plus(rotate(h1, 27n), h2), 5n), 0x52dce729n);
    h2 ^= mixK2(littleEndian(bytes.subarray(at + 8, at + 16)));
    h2 = plus(times(plus(rotate(h2, 31n), h1), 5n), 0x38495ab5n);
  }
  h1 ^= mixK1(littleEndian(bytes.subarray(whole, Math.min(whole + 8, bytes.length))));
  h2 ^= mixK2(littleEndian(bytes.subarray(Math.min(whole + 8, bytes.length))));
  const length = BigInt(bytes.length);
  h1 = plus(h1 ^ length, h2 ^ length);
  h2 = plus(h2 ^ length, h1);
  const f1 = finalize(h1);
  const f2 = finalize(h2);
  const first = plus(f1, f2);
  return [first, plus(f2, first)];
}
