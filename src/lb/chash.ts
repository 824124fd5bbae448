/**
 * The two-tier consistent-hash table, bit for bit the one of native/core/chash/build.h, which says how it works.
 *
 * 1. Home: every slot gets a member of the configured set, dead or alive, with exact quotas.
 * 2. Re-home: the slots of dead members, and only those, are dealt to the living.
 *
 * A pure function: the order of members and the history of failures change nothing. Integers only: all that is
 * computed stays below 2^53.
 */
import { compareBytes, type FlowHasher, type Hash64, hashFunctionVersions, toHex, xxh64 } from './keys.js';

/** Name and version of this function: part of every digest. */
export const tableScheme = 'two-tier@1';
/** In a slot: no member is up. */
export const noMember = 0xffff;
export const maxTableSize = 1 << 20;
export const maxTableMembers = 1024;
export const maxWeight = 65_535;

export interface TableMember {
  readonly name: string;
  /** Integer, 1…65,535; default 1. */
  readonly weight?: number | undefined;
}

/** A member with its weight said. */
export interface ConfiguredMember {
  readonly name: string;
  readonly weight: number;
}

export interface TableInput {
  /** In any order; names are unique. */
  readonly members: Iterable<TableMember>;
  /** Names; one that is no member changes nothing. */
  readonly dead?: Iterable<string> | undefined;
  /** Its seed is the table's too. */
  readonly hasher: FlowHasher;
  /** Slots, 1…2^20; default defaultTableSize. */
  readonly size?: number | undefined;
  /** How far a member may stand above its exact share at home: a fraction, 0…1, in steps of 1/10,000. */
  readonly slack?: number | undefined;
  /**
   * Sticky mode: the table before. Members that join take equal parts of everybody's home slots, members that leave give
   * theirs up, and nothing else moves. Slack has no meaning then.
   */
  readonly previous?: PreviousTable | undefined;
}

export interface PreviousTable {
  readonly members: readonly { readonly name: string }[];
  readonly home: Uint16Array;
}

export interface ChashTable extends PreviousTable {
  /** By name (UTF-8 bytes); slots hold indices into this. */
  readonly members: readonly ConfiguredMember[];
  readonly dead: ReadonlySet<string>;
  readonly home: Uint16Array;
  readonly slots: Uint16Array;
  /** 16 hexadecimal digits over all that decides where a flow goes: names, hash, size, slots, versions. */
  readonly digest: string;
}

/** The next power of two ≥ 256 × members, at least 256 and at most 65,536. */
export function defaultTableSize(members: number): number {
  let size = 256;
  while (size < 65_536 && size < 256 * members) size *= 2;
  return size;
}

/** Throws RangeError that names the member and the rule for what no table can be made of. */
export function buildTable(input: TableInput): ChashTable {
  const members = sortedMembers(input.members);
  const size = input.size ?? defaultTableSize(members.length);
  const slack = Math.round((input.slack ?? 0) * 10_000);
  check(members, size, slack, input.previous);
  const wanted = new Set(input.dead ?? []);
  const dead = new Set(members.filter((member) => wanted.has(member.name)).map((member) => member.name));
  let home: Uint16Array = new Uint16Array(size).fill(noMember);
  let slots = home;
  if (members.length > 0) {
    const dealer = new Dealer(members, input.hasher.seed, size);
    home = input.previous ? stickyTier(dealer, members, input.previous, size) : homeTier(dealer, size, slack);
    slots = slotsOf(dealer, members, home, dead);
  }
  return { members, dead, home, slots, digest: digestOf(members, input.hasher, slots) };
}

function slotsOf(
  dealer: Dealer,
  members: readonly ConfiguredMember[],
  home: Uint16Array,
  dead: ReadonlySet<string>,
): Uint16Array {
  if (dead.size === 0) return home.slice();
  if (dead.size === members.length) return new Uint16Array(home.length).fill(noMember);
  return rehomeTier(
    dealer,
    home,
    members.map((member) => dead.has(member.name)),
  );
}

/** By name, as tables number them. */
export function sortedMembers(members: Iterable<TableMember>): ConfiguredMember[] {
  const encoder = new TextEncoder();
  return [...members]
    .map(({ name, weight }) => ({ bytes: encoder.encode(name), member: { name, weight: weight ?? 1 } }))
    .sort((a, b) => compareBytes(a.bytes, b.bytes))
    .map(({ member }) => member);
}

function check(
  members: readonly ConfiguredMember[],
  size: number,
  slack: number,
  previous: PreviousTable | undefined,
): void {
  if (!Number.isInteger(size) || size < 1 || size > maxTableSize)
    throw new RangeError('size: 1 to 1,048,576 slots');
  if (members.length > maxTableMembers) throw new RangeError('members: at most 1,024');
  if (!(slack >= 0 && slack <= 10_000)) throw new RangeError('slack: at most 100 %');
  members.forEach(({ name, weight }, index) => {
    if (!Number.isInteger(weight) || weight < 1 || weight > maxWeight) {
      throw new RangeError(`${name}: weight: 1 to 65,535`);
    }
    if (index > 0 && members[index - 1]!.name === name) throw new RangeError(`${name}: duplicate member`);
  });
  if (previous && previous.home.length !== size) throw new RangeError('previous: not of this size');
}

/**
 * Shares `total` slots by weight, largest remainder, never below what a member holds already (native: apportion.h).
 * What rounding leaves goes to the largest remainders, then to the larger `tie`, then to the lower index.
 */
export function apportion(
  total: number,
  weights: ArrayLike<number>,
  held: ArrayLike<number>,
  tie: ArrayLike<number>,
): number[] {
  const parts: number[] = Array.from(weights, () => 0);
  const remainders = parts.slice();
  let sharing = parts.map((_, index) => index);
  let pot = 0;
  let weight = 1;
  for (let before = sharing.length + 1; sharing.length < before; ) {
    before = sharing.length;
    pot = total;
    weight = 0;
    for (const i of sharing) {
      pot += held[i]!;
      weight += weights[i]!;
    }
    sharing = sharing.filter((i) => held[i]! * weight <= pot * weights[i]!);
  }
  let left = total;
  for (const i of sharing) {
    parts[i] = Math.floor((pot * weights[i]!) / weight) - held[i]!;
    remainders[i] = (pot * weights[i]!) % weight;
    left -= parts[i]!;
  }
  sharing.sort((a, b) => remainders[b]! - remainders[a]! || tie[b]! - tie[a]! || a - b);
  for (const i of sharing.slice(0, left)) parts[i]!++;
  return parts;
}

/** Members of one weight; the cost of a rank is its logarithm · factor / scale, up to `limit` (native: score.h). */
interface WeightClass {
  readonly weight: number;
  readonly factor: number;
  readonly scale: number;
  readonly limit: number;
}

function weightClass(total: number, weight: number): WeightClass {
  let exponent = 15;
  let factor = Math.floor((total * 32_768) / weight);
  for (; factor >= 65_536; factor = Math.floor(factor / 2)) exponent--;
  const shift = exponent + 11;
  // above 2^48 / 2^16 nothing has to be limited
  const limit = shift >= 16 ? 0xffffffff : Math.min(0xffffffff, Math.floor((2 ** (32 + shift) - 1) / factor));
  return { weight, factor, scale: 2 ** shift, limit };
}

/** -log2 of the middle of a rank, which stands in the upper bits; 27 fraction bits (native: rank_logarithm). */
export function rankLogarithm(rank: number, bits: number): number {
  const y = rank | (1 << (31 - bits));
  const whole = Math.clz32(y);
  const t = (-(y << whole) >>> 15) & 0xffff;
  let p = 1942 + ((4051 * t) >>> 16);
  p = 12_263 + ((p * t) >>> 16);
  p = 47_259 + ((p * t) >>> 16);
  return whole * 134_217_728 + ((p * t) >>> 5);
}

/** Deals slots to members. Lives for one build. */
class Dealer {
  readonly weights: readonly number[];
  /** How many pending slots chose each member, in the last round of proposals. */
  chosen: number[] = [];
  /** Slots still to be dealt, and what each was last offered: `costs` and `choices` go with `pending`. */
  pending: number[] = [];
  readonly costs: Uint32Array;
  readonly choices: Uint16Array;
  readonly #bits: number;
  readonly #weighted: boolean;
  readonly #keys: Int32Array;
  readonly #classes = new Map<number, WeightClass>();
  readonly #byClass: readonly number[];

  constructor(members: readonly ConfiguredMember[], seed: Hash64, size: number) {
    this.weights = members.map((member) => member.weight);
    this.costs = new Uint32Array(size);
    this.choices = new Uint16Array(size);
    let bits = 8;
    while (2 ** bits < size) bits++;
    this.#bits = bits;
    this.#weighted = this.weights.some((weight) => weight !== this.weights[0]);
    const total = this.weights.reduce((sum, weight) => sum + weight, 0);
    for (const weight of this.weights) this.#classes.set(weight, weightClass(total, weight));
    this.#byClass = members
      .map((_, index) => index)
      .sort((a, b) => this.weights[a]! - this.weights[b]! || a - b);
    this.#keys = new Int32Array(members.length * 4);
    const encoder = new TextEncoder();
    const other = { hi: (seed.hi ^ 0x9e3779b1) >>> 0, lo: (seed.lo ^ 0x85ebca87) >>> 0 };
    members.forEach(({ name }, index) => {
      const bytes = encoder.encode(name);
      const a = xxh64(bytes, seed);
      const b = xxh64(bytes, other);
      this.#keys.set([a.hi, a.lo | 1, b.hi | 1, b.lo | 1], 4 * index);
    });
  }

  /** Each pending slot chooses among the members with room. */
  propose(room: ArrayLike<number>): void {
    const bits = this.#bits;
    const lift = 32 - bits;
    const upper = -1 << lift;
    const half = bits >>> 1;
    const candidates = this.#byClass.filter((member) => room[member]! > 0);
    const keys = new Int32Array(candidates.length * 4);
    for (let k = 0; k < candidates.length; k++) {
      const from = 4 * candidates[k]!;
      keys.set(this.#keys.subarray(from, from + 4), 4 * k);
      keys[4 * k]! &= upper;
    }
    const classes = [...new Set(candidates.map((member) => this.weights[member]!))].map((weight) => ({
      ...this.#classes.get(weight)!,
      end: candidates.findLastIndex((member) => this.weights[member] === weight) + 1,
    }));
    this.chosen = this.weights.map(() => 0);
    for (let i = 0; i < this.pending.length; i++) {
      const slot = this.pending[i]! << lift;
      let best = 0xffffffff;
      let choice = 0;
      let k = 0;
      for (const of of classes) {
        let rank = 0;
        let who = k;
        for (; k < of.end; k++) {
          let x = Math.imul(slot ^ keys[4 * k]!, keys[4 * k + 1]!);
          x = Math.imul((x ^ (x >>> half)) & upper, keys[4 * k + 2]!);
          x = Math.imul((x ^ (x >>> half)) & upper, keys[4 * k + 3]!) >>> 0;
          if (x > rank) {
            rank = x;
            who = k;
          }
        }
        let cost = ~rank >>> 0;
        if (this.#weighted) {
          cost = Math.floor((Math.min(rankLogarithm(rank, bits), of.limit) * of.factor) / of.scale);
        }
        if (cost < best) {
          best = cost;
          choice = who;
        }
      }
      this.costs[i] = best;
      this.choices[i] = candidates[choice]!;
      this.chosen[candidates[choice]!]!++;
    }
  }

  /**
   * Members take what they have room for, best cost first, and the rest proposes again, until nothing is pending. Slots
   * must have proposed, and there must be room for all.
   */
  finish(room: number[], holder: Uint16Array, holderCosts?: Uint32Array): void {
    const left = room.slice();
    this.#settle(left, holder, holderCosts);
    while (this.pending.length > 0) {
      this.propose(left);
      this.#settle(left, holder, holderCosts);
    }
  }

  #settle(room: number[], holder: Uint16Array, holderCosts: Uint32Array | undefined): void {
    const contested: (number[] | undefined)[] = this.chosen.map((count, m) =>
      count > room[m]! ? [] : undefined,
    );
    const take = (slot: number, member: number, cost: number) => {
      holder[slot] = member;
      if (holderCosts) holderCosts[slot] = cost;
    };
    this.pending.forEach((slot, i) => {
      const member = this.choices[i]!;
      const others = contested[member];
      if (others) others.push(offer(this.costs[i]!, slot));
      else take(slot, member, this.costs[i]!);
    });
    this.pending = [];
    contested.forEach((offers, member) => {
      if (!offers) {
        room[member]! -= this.chosen[member]!;
        return;
      }
      const ranked = Float64Array.from(offers).sort();
      ranked.forEach((each, i) => {
        if (i < room[member]!) take(each % slotRange, member, Math.floor(each / slotRange));
        else this.pending.push(each % slotRange);
      });
      room[member] = 0;
    });
  }
}

const slotRange = maxTableSize;

/** A slot at a cost as one number that sorts by cost, then slot: below 2^52. */
function offer(cost: number, slot: number): number {
  return cost * slotRange + slot;
}

function slotsFrom(size: number, wanted: (slot: number) => boolean): number[] {
  const slots: number[] = [];
  for (let slot = 0; slot < size; slot++) if (wanted(slot)) slots.push(slot);
  return slots;
}

function homeTier(dealer: Dealer, size: number, slack: number): Uint16Array {
  const { weights } = dealer;
  const none = weights.map(() => 0);
  const home = new Uint16Array(size);
  dealer.pending = slotsFrom(size, () => true);
  dealer.propose(weights);
  let room = apportion(size, weights, none, dealer.chosen);
  if (slack > 0) {
    const total = 10_000 * weights.reduce((sum, weight) => sum + weight, 0);
    // rounded up; the product stays below 2^51
    room = room.map((quota, m) =>
      Math.max(quota, Math.floor((size * weights[m]! * (10_000 + slack) + total - 1) / total)),
    );
  }
  dealer.finish(room, home);
  return home;
}

/** Members above their new quota give up the slots that rank best at those below theirs. */
function stickyTier(
  dealer: Dealer,
  members: readonly ConfiguredMember[],
  previous: PreviousTable,
  size: number,
): Uint16Array {
  const indices = new Map(members.map((member, index) => [member.name, index]));
  const now = previous.members.map((member) => indices.get(member.name) ?? noMember);
  const home = previous.home.map((member) => now[member] ?? noMember);
  const held = shares(home, members.length);
  const quota = apportion(
    size,
    dealer.weights,
    members.map(() => 0),
    held,
  );
  const room = quota.map((slots, m) => Math.max(0, slots - held[m]!));
  const surplus = quota.map((slots, m) => Math.max(0, held[m]! - slots));
  if (room.every((slots) => slots === 0)) return home;
  dealer.pending = slotsFrom(size, (slot) => (surplus[home[slot]!] ?? 0) > 0);
  dealer.propose(room);
  const offers: number[][] = members.map(() => []);
  dealer.pending.forEach((slot, i) => {
    offers[home[slot]!]!.push(offer(dealer.costs[i]!, slot));
  });
  offers.forEach((mine, m) => {
    for (const each of Float64Array.from(mine).sort().subarray(0, surplus[m]!))
      home[each % slotRange] = noMember;
  });
  dealer.pending = slotsFrom(size, (slot) => home[slot] === noMember);
  dealer.propose(room);
  dealer.finish(room, home);
  return home;
}

function rehomeTier(dealer: Dealer, home: Uint16Array, dead: readonly boolean[]): Uint16Array {
  const slotsOfMember: number[][] = dead.map(() => []);
  home.forEach((member, slot) => {
    slotsOfMember[member]!.push(slot);
  });
  const slots = home.slice();
  const costs = new Uint32Array(home.length);
  const gone = dead.flatMap((isDead, m) => (isDead ? [m] : []));
  const living = dead.flatMap((isDead, m) => (isDead ? [] : [m]));
  for (const m of gone) dealAlone(dealer, slotsOfMember, m, slots, costs);
  if (gone.length < 2) return slots;

  const taken: number[][] = dead.map(() => []);
  const pool: number[] = [];
  for (const slot of gone.flatMap((m) => slotsOfMember[m]!)) {
    if (dead[slots[slot]!]) pool.push(slot);
    else taken[slots[slot]!]!.push(offer(costs[slot]!, slot));
  }
  const parts = apportion(
    gone.reduce((sum, m) => sum + slotsOfMember[m]!.length, 0),
    living.map((m) => dealer.weights[m]!),
    living.map((m) => slotsOfMember[m]!.length),
    living.map((m) => taken[m]!.length),
  );
  const room = dead.map(() => 0);
  living.forEach((m, i) => {
    const ranked = Float64Array.from(taken[m]!).sort();
    for (const each of ranked.subarray(parts[i]!)) pool.push(each % slotRange);
    room[m] = Math.max(0, parts[i]! - ranked.length);
  });
  if (pool.length === 0) return slots;
  dealer.pending = pool;
  dealer.propose(room);
  dealer.finish(room, slots);
  return slots;
}

/** Deals a dead member's slots as if it alone were dead. */
function dealAlone(
  dealer: Dealer,
  slotsOfMember: readonly number[][],
  dead: number,
  second: Uint16Array,
  costs: Uint32Array,
): void {
  const deficit = slotsOfMember[dead]!.length;
  if (deficit === 0 || slotsOfMember.length < 2) return;
  const others = slotsOfMember.flatMap((_, m) => (m === dead ? [] : [m]));
  dealer.pending = slotsOfMember[dead]!.slice();
  dealer.propose(slotsOfMember.map((_, m) => (m === dead ? 0 : 1)));
  const parts = apportion(
    deficit,
    others.map((m) => dealer.weights[m]!),
    others.map((m) => slotsOfMember[m]!.length),
    others.map((m) => dealer.chosen[m]!),
  );
  parts.splice(dead, 0, 0);
  dealer.finish(parts, second, costs);
}

function shares(table: Uint16Array, members: number): number[] {
  const counts: number[] = new Array<number>(members).fill(0);
  for (const member of table) if (member !== noMember) counts[member]!++;
  return counts;
}

function digestOf(members: readonly ConfiguredMember[], hasher: FlowHasher, slots: Uint16Array): string {
  const encoder = new TextEncoder();
  const names = members.map((member) => encoder.encode(member.name));
  const texts = [tableScheme, hashFunctionVersions[hasher.function]].map((text) => encoder.encode(text));
  const length = [...texts, ...names].reduce((sum, text) => sum + 4 + text.length, 0) + 24 + 2 * slots.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const number32 = (value: number) => {
    view.setUint32(at, value, true);
    at += 4;
  };
  const text = (value: Uint8Array) => {
    number32(value.length);
    bytes.set(value, at);
    at += value.length;
  };
  for (const value of texts) text(value);
  for (const { hi, lo } of [hasher.fingerprint, hasher.seed]) {
    number32(lo);
    number32(hi);
  }
  number32(members.length);
  for (const value of names) text(value);
  number32(slots.length);
  for (const member of slots) {
    view.setUint16(at, member, true);
    at += 2;
  }
  return toHex(xxh64(bytes));
}
