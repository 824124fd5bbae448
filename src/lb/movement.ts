/** What moves between two tables, and how much of it had to. */
import type { TableMember } from './chash.js';

export interface SlotTable {
  readonly members: readonly TableMember[];
  /** Indices into members, or noMember. */
  readonly slots: Uint16Array;
  readonly dead?: ReadonlySet<string> | undefined;
}

export interface Movement {
  /**
   * All that was counted: slots (of the larger table, when one's size divides the other's), else 2^32 hash values; or what
   * the overlaps that were given come to.
   */
  readonly total: number;
  readonly moved: number;
  /**
   * What any table had to move: all that members held which are gone or dead, or what new and recovered ones took,
   * whichever is more; of members that stay, only what their changed weights or the others' absence account for.
   */
  readonly unavoidable: number;
  readonly excess: number;
  /** By from, then to, in name order; null: no member was up. */
  readonly moves: readonly {
    readonly from: string | null;
    readonly to: string | null;
    readonly count: number;
  }[];
  /** By name, null last. */
  readonly members: readonly {
    readonly name: string | null;
    readonly before: number;
    readonly after: number;
  }[];
}

/** Tells of pairs of slots that share something, and how much: hash values, flows, bytes. */
export type Overlaps = (visit: (oldSlot: number, newSlot: number, count: number) => void) => void;

/** Counted over all hash values alike, or over what `overlaps` says. */
export function movement(
  before: SlotTable,
  after: SlotTable,
  overlaps: Overlaps = allHashes(before.slots.length, after.slots.length),
): Movement {
  const names = [...new Set([...before.members, ...after.members].map((member) => member.name))].sort();
  const nobody = names.length;
  const width = nobody + 1;
  const counts = new Float64Array(width * width);
  const beforeIndex = indexOf(before, names);
  const afterIndex = indexOf(after, names);
  overlaps((oldSlot, newSlot, count) => {
    const from = beforeIndex[before.slots[oldSlot]!] ?? nobody;
    const to = afterIndex[after.slots[newSlot]!] ?? nobody;
    counts[from * width + to]! += count;
  });
  const name = (index: number) => names[index] ?? null;
  const moves: { from: string | null; to: string | null; count: number }[] = [];
  const held = { before: new Array<number>(width).fill(0), after: new Array<number>(width).fill(0) };
  let total = 0;
  counts.forEach((count, at) => {
    const from = Math.floor(at / width);
    const to = at % width;
    total += count;
    held.before[from]! += count;
    held.after[to]! += count;
    if (count > 0 && from !== to) moves.push({ from: name(from), to: name(to), count });
  });
  const moved = moves.reduce((sum, { count }) => sum + count, 0);
  const wanted = { before: exactShares(before, names, total), after: exactShares(after, names, total) };
  const unavoidable = Math.max(
    forcedGain(held.before, held.after, wanted.before, wanted.after),
    forcedGain(held.after, held.before, wanted.after, wanted.before),
  );
  const members = held.before.map((count, i) => ({ name: name(i), before: count, after: held.after[i]! }));
  if (members[nobody]!.before + members[nobody]!.after === 0) members.pop();
  return { total, moved, unavoidable, excess: moved - unavoidable, moves, members };
}

function indexOf(table: SlotTable, names: readonly string[]): number[] {
  const places = new Map(names.map((name, index) => [name, index]));
  return table.members.map(({ name }) => places.get(name)!);
}

/** Where slot `slot` of a table of this size ends: the first upper half of a hash that is in the next one. */
export const slotEnd = (slot: number, size: number) => Math.ceil(((slot + 1) * hashes) / size);
const hashes = 4294967296;

/** Of tables where one's size divides the other's, slots of the larger; else upper halves of hashes. */
function allHashes(before: number, after: number): Overlaps {
  const larger = Math.max(before, after);
  if (larger % before === 0 && larger % after === 0) {
    return (visit) => {
      for (let slot = 0; slot < larger; slot++) {
        visit(Math.floor((slot * before) / larger), Math.floor((slot * after) / larger), 1);
      }
    };
  }
  return (visit) => {
    for (let at = 0, oldSlot = 0, newSlot = 0; at < hashes; ) {
      const oldEnd = slotEnd(oldSlot, before);
      const newEnd = slotEnd(newSlot, after);
      const next = Math.min(oldEnd, newEnd);
      visit(oldSlot, newSlot, next - at);
      if (next === oldEnd) oldSlot++;
      if (next === newEnd) newSlot++;
      at = next;
    }
  };
}

/** Each name's part of the total by weight among the living; undefined: cannot hold any. The last entry is nobody's. */
function exactShares(table: SlotTable, names: readonly string[], total: number): (number | undefined)[] {
  const living = table.members.filter(({ name }) => !table.dead?.has(name));
  const weight = living.reduce((sum, member) => sum + (member.weight ?? 1), 0);
  const shares = new Map(living.map((member) => [member.name, (total * (member.weight ?? 1)) / weight]));
  return [...names.map((name) => shares.get(name)), living.length > 0 ? undefined : total];
}

/**
 * What members had to gain. One that could hold nothing before: all it holds now. Of the others only the growth of their
 * exact share, since what slack and rounding let them gain beyond it need not have moved.
 */
function forcedGain(
  before: readonly number[],
  after: readonly number[],
  wantedBefore: readonly (number | undefined)[],
  wantedAfter: readonly (number | undefined)[],
): number {
  return before.reduce((sum, held, i) => {
    const gain = Math.max(0, after[i]! - held);
    const from = wantedBefore[i];
    if (from === undefined) return sum + gain;
    const grown = Math.ceil((wantedAfter[i] ?? 0) - from) + 1;
    return sum + Math.max(0, Math.min(gain, grown));
  }, 0);
}
