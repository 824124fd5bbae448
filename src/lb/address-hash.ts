import { type Hash64, multiplyHigh } from './keys.js';

/**
 * The upper half, which decides the slot, of xxh64 of an IPv4 address: what xxh64() of keys.ts gives for its four bytes,
 * written out for that length, since it is what single picks mostly ask for.
 *
 * @param address as a number: 0x0a000001 is 10.0.0.1
 */
export function addressHashHigh(address: number, seed: Hash64): number {
  // the accumulator: seed + prime5 + the length, four
  let lo = seed.lo + 0x165667c5 + 4; // prime5: 27d4eb2f 165667c5
  let hi = (seed.hi + 0x27d4eb2f + (lo > 0xffffffff ? 1 : 0)) >>> 0;
  lo >>>= 0;
  // the four bytes are one little-endian word; times prime1, 9e3779b1 85ebca87
  const word =
    ((address << 24) | ((address & 0xff00) << 8) | ((address >>> 8) & 0xff00) | (address >>> 24)) >>> 0;
  hi ^= (multiplyHigh(word, 0x85ebca87) + Math.imul(word, 0x9e3779b1)) | 0;
  lo ^= Math.imul(word, 0x85ebca87);
  // rotate left by 23
  let turned = (hi << 23) | (lo >>> 9);
  lo = ((lo << 23) | (hi >>> 9)) >>> 0;
  hi = turned >>> 0;
  // times prime2, c2b2ae3d 27d4eb4f; plus prime3, 165667b1 9e3779f9
  turned = (multiplyHigh(lo, 0x27d4eb4f) + Math.imul(hi, 0x27d4eb4f) + Math.imul(lo, 0xc2b2ae3d)) | 0;
  lo = (Math.imul(lo, 0x27d4eb4f) >>> 0) + 0x9e3779f9;
  hi = (turned + 0x165667b1 + (lo > 0xffffffff ? 1 : 0)) >>> 0;
  lo >>>= 0;
  // avalanche
  lo = (lo ^ (hi >>> 1)) >>> 0;
  turned = (multiplyHigh(lo, 0x27d4eb4f) + Math.imul(hi, 0x27d4eb4f) + Math.imul(lo, 0xc2b2ae3d)) >>> 0;
  lo = Math.imul(lo, 0x27d4eb4f) >>> 0;
  hi = turned;
  lo = (lo ^ ((lo >>> 29) | (hi << 3))) >>> 0;
  hi = (hi ^ (hi >>> 29)) >>> 0;
  return (multiplyHigh(lo, 0x9e3779f9) + Math.imul(hi, 0x9e3779f9) + Math.imul(lo, 0x165667b1)) >>> 0;
}
