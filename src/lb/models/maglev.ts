/**
 * Maglev (Eisenbud et al., NSDI '16, §3.4) and the variants that people run. Each member walks the slots of a prime-sized
 * table by its own offset and skip; they take turns to claim the next free slot. The variants differ in the hash that
 * offset and skip come from, and in how weights change the turns.
 */
import { toBigInt, xxh64 } from '../keys.js';
import {
  type LivingMember,
  livingMembers,
  type Model,
  type ModelBuilder,
  nobody,
  tableModel,
} from './model.js';
import { murmur3 } from './murmur3.js';

export interface Permutation {
  readonly offset: number;
  readonly skip: number;
}

/** Members' turns: yields the place of the member whose turn it is, for ever. */
type Turns = (weights: readonly number[]) => Generator<number, never>;

/** The paper's population (listing 1): which member claims each slot. */
export function populate(
  permutations: readonly Permutation[],
  size: number,
  turns: Iterator<number>,
): Uint16Array {
  const slots = new Uint16Array(size);
  const taken = new Uint8Array(size);
  const at = permutations.map(({ offset }) => offset % size);
  for (let filled = 0; filled < size; filled++) {
    const member: number = turns.next().value;
    const { skip } = permutations[member]!;
    while (taken[at[member]!]) at[member] = (at[member]! + skip) % size;
    slots[at[member]!] = member;
    taken[at[member]!] = 1;
  }
  return slots;
}

/** Everybody in turn, as in the paper. */
export function* equalTurns(weights: readonly number[]): Generator<number, never> {
  for (;;) yield* weights.keys();
}

/** Envoy: in round r a member is served when r times its weight has reached its next target. */
function* envoyTurns(weights: readonly number[]): Generator<number, never> {
  const heaviest = Math.max(...weights);
  const targets = weights.map(() => 0);
  for (let round = 1; ; round++) {
    for (const [i, weight] of weights.entries()) {
      if (round * weight < targets[i]!) continue;
      targets[i]! += heaviest;
      yield i;
    }
  }
}

/** Katran V2: a member is served when its weights have added up to the heaviest's. */
function* katranTurns(weights: readonly number[]): Generator<number, never> {
  const heaviest = Math.max(...weights);
  const sums = weights.map(() => 0);
  for (;;) {
    for (const [i, weight] of weights.entries()) {
      sums[i]! += weight;
      if (sums[i]! < heaviest) continue;
      sums[i]! -= heaviest;
      yield i;
    }
  }
}

/** Katran V1: in the first round a member has as many turns as its weight, then one in each. */
function* katranV1Turns(weights: readonly number[]): Generator<number, never> {
  for (const [i, weight] of weights.entries()) {
    for (let turn = 0; turn < weight; turn++) yield i;
  }
  return yield* equalTurns(weights);
}

/** Cilium: slot n starts at member n mod N and goes on to the first whose weight times n + 1 has reached its counter. */
function* ciliumTurns(weights: readonly number[]): Generator<number, never> {
  const count = weights.length;
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const counters = weights.map((weight) => weight / count);
  const weighted = Math.floor(sum / count) > 1;
  for (let n = 0; ; n++) {
    let i = n % count;
    if (weighted) {
      while ((n + 1) * weights[i]! < Math.floor(counters[i]!)) i = (i + 1) % count;
      counters[i]! += sum;
    }
    yield i;
  }
}

interface Variant {
  readonly permutation: (name: Uint8Array, size: number) => Permutation;
  readonly turns: Turns;
  /** Whether members are put into the order of their names first; else the configuration's order counts. */
  readonly sorted: boolean;
}

function permutationOf(offset: bigint, skip: bigint, size: number): Permutation {
  return { offset: Number(offset % BigInt(size)), skip: Number(skip % BigInt(size - 1)) + 1 };
}

const one = { hi: 0, lo: 1 };
// The first four bytes of Cilium's DefaultHashSeed, big-endian.
const ciliumSeed = 0x24b7ef82;

function katranHash(key: bigint, other: bigint, seed: number): bigint {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, key, true);
  view.setBigUint64(8, other, true);
  return murmur3(bytes, seed)[0];
}

const envoy: Variant = {
  permutation: (name, size) => permutationOf(toBigInt(xxh64(name)), toBigInt(xxh64(name, one)), size),
  turns: envoyTurns,
  sorted: true,
};

const cilium: Variant = {
  permutation: (name, size) => permutationOf(...murmur3(name, ciliumSeed), size),
  turns: ciliumTurns,
  sorted: true,
};

// Katran is given a hash for each member; here it is the name's xxh64.
const katran: Variant = {
  permutation: (name, size) => {
    const key = toBigInt(xxh64(name));
    return permutationOf(katranHash(key, 42n, 0), katranHash(key, 2_718_281_828n, 2307), size);
  },
  turns: katranTurns,
  sorted: true,
};

function builder(variant: Variant): ModelBuilder {
  return (input): Model => {
    const living = livingMembers(input);
    if (living.length === 0) return nobody;
    if (variant.sorted) living.sort(byName);
    const encoder = new TextEncoder();
    const permutations = living.map(({ name }) => variant.permutation(encoder.encode(name), input.size));
    const turns = variant.turns(living.map(({ weight }) => weight));
    return tableModel(populate(permutations, input.size, turns).map((place) => living[place]!.index));
  };
}

function byName(a: LivingMember, b: LivingMember): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** The paper's, with Envoy's hash (xxh64 of the name) and weights. */
export const maglev = builder(envoy);
export const maglevCilium = builder(cilium);
/** The name that Cilium hashes a backend by, from its address and port. */
export const ciliumName = (backend: string, protocol = 'TCP') => `[${backend}/${protocol},State:active]`;
/** Katran's MaglevHashV2. */
export const maglevV2 = builder(katran);
/** Katran's first one: weights count in the first round only. */
export const maglevV1 = builder({ ...katran, turns: katranV1Turns });
