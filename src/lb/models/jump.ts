/**
 * Jump consistent hash (Lamping and Veach, 2014). Buckets can only be added and removed at the end: a member that dies
 * shifts all that are listed after it, which is what this model shows. Weights are not known to it.
 */
import { toBigInt } from '../keys.js';
import { livingMembers, type Model, type ModelInput, nobody } from './model.js';

export function jumpHash(key: bigint, buckets: number): number {
  let state = BigInt.asUintN(64, key);
  let bucket = -1;
  for (let next = 0; next < buckets; ) {
    bucket = next;
    state = BigInt.asUintN(64, state * 2_862_933_555_777_941_757n + 1n);
    next = Math.floor((bucket + 1) * (2_147_483_648 / (Number(state >> 33n) + 1)));
  }
  return bucket;
}

export function jump(input: ModelInput): Model {
  const living = livingMembers(input);
  if (living.length === 0) return nobody;
  return { pick: (hash) => living[jumpHash(toBigInt(hash), living.length)]!.index };
}
