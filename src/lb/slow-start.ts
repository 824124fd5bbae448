/**
 * Slow start: a member that came up takes up its slots little by little. Its table is dealt as ever; those of its slots
 * that it may not have yet go to the others meanwhile. Pure, so two routers that saw it come up together agree.
 */
import { noMember } from './chash.js';

/** A ramp goes up in so many steps, each of which publishes the group. */
export const rampSteps = 20;

/** The part of its slots that a member has, above 0 to 1, after `elapsedMs` of a ramp of `durationMs`. */
export function rampAt(elapsedMs: number, durationMs: number): number {
  if (durationMs <= 0 || elapsedMs >= durationMs) return 1;
  return Math.min(1, (Math.floor((Math.max(0, elapsedMs) * rampSteps) / durationMs) + 1) / rampSteps);
}

/** Milliseconds after which rampAt() says more, Infinity: never. */
export function nextRampMs(elapsedMs: number, durationMs: number): number {
  if (rampAt(elapsedMs, durationMs) === 1) return Number.POSITIVE_INFINITY;
  const step = Math.floor((Math.max(0, elapsedMs) * rampSteps) / durationMs) + 1;
  return Math.ceil((step * durationMs) / rampSteps);
}

/** A slot's place in the ramp, 0 to 1: the finaliser of MurmurHash3, which spreads neighbours. */
function rank(slot: number, salt: number): number {
  let x = (slot ^ Math.imul(salt + 1, 0x9e3779b1)) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

/**
 * The table while members ramp. slots: as dealt. ramps: by member number, the part that it has; missing: 1. A slot that
 * its member may not have yet takes the member of another slot, drawn from the whole table, so that the others share by
 * their weights. As a part grows, slots only move to that member; nothing else moves. Where nobody but ramping members
 * is up, they have all of their slots.
 */
export function ramped(slots: Uint16Array, ramps: ReadonlyMap<number, number>): Uint16Array {
  const isRamping = (member: number) => (ramps.get(member) ?? 1) < 1;
  if (![...ramps.keys()].some(isRamping)) return slots;
  if (!slots.some((member) => member !== noMember && !isRamping(member))) return slots;
  const { length } = slots;
  return slots.map((member, slot) => {
    if (member === noMember || rank(slot, 0) < (ramps.get(member) ?? 1)) return member;
    for (let draw = 1; draw <= 64; draw++) {
      const other = slots[Math.floor(rank(slot, draw) * length)]!;
      if (other !== noMember && !isRamping(other)) return other;
    }
    // a table with hardly anybody else in it: the next slot that will do
    let next = slot;
    do next = (next + 1) % length;
    while (slots[next] === noMember || isRamping(slots[next]!));
    return slots[next]!;
  });
}
