/** Rendezvous hashing (Thaler and Ravishankar), weighted by -ln(u) / weight: each key goes to its best-scoring member. */
import { type Hash64, xxh64 } from '../keys.js';
import { livingMembers, type Model, type ModelInput, nobody } from './model.js';

export function rendezvous(input: ModelInput): Model {
  const living = livingMembers(input);
  if (living.length === 0) return nobody;
  const encoder = new TextEncoder();
  const keys = living.map(({ name }) => xxh64(encoder.encode(name)));
  return {
    pick: (hash) => {
      let best = Number.POSITIVE_INFINITY;
      let choice = 0;
      for (const [i, { weight }] of living.entries()) {
        const cost = -Math.log(unit(hash, keys[i]!)) / weight;
        if (cost < best) {
          best = cost;
          choice = i;
        }
      }
      return living[choice]!.index;
    },
  };
}

/** A number in (0, 1) from a key's hash and a member's: two rounds of murmur3's 32-bit finaliser. */
function unit(hash: Hash64, member: Hash64): number {
  const a = mix32(hash.hi ^ mix32(hash.lo ^ member.lo));
  return ((mix32(a ^ member.hi) >>> 0) + 0.5) / 4294967296;
}

function mix32(x: number): number {
  let y = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  y = Math.imul(y ^ (y >>> 13), 0xc2b2ae35);
  return y ^ (y >>> 16);
}
