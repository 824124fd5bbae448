import { type ConfiguredMember, noMember, type TableMember } from '../chash.js';
import type { Hash64 } from '../keys.js';

/** What others run, to compare with. A model is never what forwards packets here. */
export interface ModelInput {
  /** In the order of the configuration: some models depend on it. */
  readonly members: readonly TableMember[];
  readonly dead?: Iterable<string> | undefined;
  /** Slots of models that have a table: a prime for Maglev. */
  readonly size: number;
}

export interface Model {
  /** The table, where the model has one. Values as pick's. */
  readonly slots?: Uint16Array;
  /** Index into the input's members; noMember when none is up. */
  pick(hash: Hash64): number;
}

export type ModelBuilder = (input: ModelInput) => Model;

export interface LivingMember extends ConfiguredMember {
  /** Place in the input. */
  readonly index: number;
}

export function livingMembers({ members, dead }: ModelInput): LivingMember[] {
  const down = new Set(dead ?? []);
  return members
    .map(({ name, weight }, index) => ({ name, weight: weight ?? 1, index }))
    .filter(({ name }) => !down.has(name));
}

/** The hash as one unsigned number modulo n; n below 2^21. */
export function modulo({ hi, lo }: Hash64, n: number): number {
  return ((hi % n) * (4294967296 % n) + lo) % n;
}

/** A model that looks a hash up in a table, modulo its size. */
export function tableModel(slots: Uint16Array): Model {
  return { slots, pick: (hash) => slots[modulo(hash, slots.length)]! };
}

/**
 * A model as a table of any size, to compare it slot by slot: what it picks for one hash in each slot, whose upper bits
 * are the slot's middle and whose lower bits are well mixed.
 */
export function sample(model: Model, size: number): Uint16Array {
  return Uint16Array.from({ length: size }, (_, slot) => {
    let lo = Math.imul(slot ^ (slot >>> 16), 0x85ebca6b);
    lo = Math.imul(lo ^ (lo >>> 13), 0xc2b2ae35);
    return model.pick({ hi: Math.floor(((slot + 0.5) * 4294967296) / size), lo: (lo ^ (lo >>> 16)) >>> 0 });
  });
}

export const nobody: Model = { pick: () => noMember };
