import fc from 'fast-check';
import { expect, it } from 'vitest';
import { noMember } from '../../dist/lb/chash.js';
import { nextRampMs, rampAt, ramped, rampSteps } from '../../dist/lb/slow-start.js';

const table = (members: number, size = 4096) =>
  Uint16Array.from({ length: size }, (_, slot) => (Math.imul(slot, 2654435761) % members) & 0xffff);
const countOf = (slots: Uint16Array, member: number) => slots.filter((each) => each === member).length;
const dealt = (members: number, size = 4096) => {
  const slots = table(members, size);
  return slots.map((member) => Math.abs(member) % members);
};

it('a part of a ramp is above nothing, grows by steps, and ends at all of it', () => {
  expect(rampAt(0, 10_000)).toBe(1 / rampSteps);
  expect(rampAt(499, 10_000)).toBe(1 / rampSteps);
  expect(rampAt(500, 10_000)).toBe(2 / rampSteps);
  expect(rampAt(10_000, 10_000)).toBe(1);
  expect(rampAt(5, 0)).toBe(1);
  expect(rampAt(-5, 10_000)).toBe(1 / rampSteps);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3_600_000 }), fc.nat(), (duration, at) => {
      const elapsed = at % duration;
      const next = nextRampMs(elapsed, duration);
      if (rampAt(elapsed, duration) === 1) {
        expect(next).toBe(Number.POSITIVE_INFINITY);
      } else {
        expect(next).toBeGreaterThan(elapsed);
        expect(rampAt(next, duration)).toBeGreaterThan(rampAt(elapsed, duration));
        expect(rampAt(next - 1, duration)).toBe(rampAt(elapsed, duration));
      }
    }),
  );
  expect(nextRampMs(10_000, 10_000)).toBe(Number.POSITIVE_INFINITY);
});

it('a member has its part of its slots; the others share the rest by what they have', () => {
  const slots = dealt(8);
  const own = countOf(slots, 3);
  for (const part of [0.05, 0.25, 0.5, 0.95]) {
    const after = ramped(slots, new Map([[3, part]]));
    expect(Math.abs(countOf(after, 3) / own - part)).toBeLessThan(0.08);
    for (const other of [0, 1, 2, 4, 5, 6, 7]) {
      const fair = countOf(slots, other) * (1 + ((1 - part) * own) / (slots.length - own));
      expect(Math.abs(countOf(after, other) / fair - 1)).toBeLessThan(0.08);
    }
  }
});

it('slots only move to a member that ramps, as its part grows, and all are back at the end', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 40 }),
      fc.nat(),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (members, which, a, b) => {
        const slots = dealt(members, 1024);
        const member = which % members;
        const [less, more] = [
          ramped(slots, new Map([[member, Math.min(a, b)]])),
          ramped(slots, new Map([[member, Math.max(a, b)]])),
        ];
        slots.forEach((home, slot) => {
          if (home !== member) expect(less[slot]).toBe(home);
          if (less[slot] !== more[slot]) expect(more[slot]).toBe(member);
        });
        expect(ramped(slots, new Map([[member, 1]]))).toEqual(slots);
      },
    ),
  );
});

it('nobody else is up: they have all; a table with few others still finds them', () => {
  const slots = dealt(2);
  expect(
    ramped(
      slots,
      new Map([
        [0, 0.05],
        [1, 0.5],
      ]),
    ),
  ).toEqual(slots);
  const few = slots.map((_, slot) => (slot === 77 ? 1 : slot === 5 ? noMember : 0));
  const after = ramped(few, new Map([[0, 0.5]]));
  expect(countOf(after, 1)).toBeGreaterThan(1800);
  expect(after[5]).toBe(noMember);
});
