/** What tables promise, as figures: of 65,536 slots, built by the native core, whose bytes are those of TypeScript. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildTable } from '../../dist/lb/chash.js';
import { FlowHasher } from '../../dist/lb/keys.js';
import { movement, type SlotTable } from '../../dist/lb/movement.js';
import { native } from '../../dist/pipeline/native.js';

const size = 65_536;
const seeds = [1n, 2n, 3n, 4n, 5n];
const manySeeds = Array.from({ length: 20 }, (_, i) => BigInt(i + 1));

interface Wanted {
  readonly weights?: (index: number) => number;
  readonly dead?: readonly string[];
  readonly without?: number;
  readonly slack?: number;
}

function table(
  count: number,
  seed: bigint,
  { weights = () => 1, dead = [], without, slack = 0 }: Wanted = {},
): SlotTable {
  const members = Array.from({ length: count }, (_, i) => ({ name: `gw${i}`, weight: weights(i) })).filter(
    (_, i) => i !== without,
  );
  const { slots } = native().chashBuild({ members, dead: [...dead], seed, size, slack: slack * 10_000 });
  return { members, slots, dead: new Set(dead) };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const excess = (before: SlotTable, after: SlotTable) => (100 * movement(before, after).excess) / size;

function shares({ members, slots }: SlotTable): number[] {
  const counts = members.map(() => 0);
  for (const member of slots) counts[member]!++;
  return counts;
}

describe.each([
  { members: 16, added: 0.3, withSlack: 0.1 },
  { members: 64, added: 0.31, withSlack: 0.17 },
  { members: 256, added: 0.36, withSlack: 0.22 },
])('$members members', ({ members, added, withSlack }) => {
  it('have shares one slot apart, and one failure moves no other slot', () => {
    for (const seed of seeds) {
      const all = table(members, seed);
      const held = shares(all);
      expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1);
      const failed = table(members, seed, { dead: ['gw7'] });
      const left = shares(failed).filter((_, i) => i !== 7);
      expect(Math.max(...left) - Math.min(...left)).toBeLessThanOrEqual(1);
      expect(movement(all, failed)).toMatchObject({ moved: held[7], excess: 0 });
      expect(movement(failed, table(members, seed))).toMatchObject({ moved: held[7], excess: 0 });
      expect(table(members, seed).slots).toEqual(all.slots);
    }
  });

  it('move 0.20 % at most without need at a second failure, in the mean of 25 pairs', () => {
    const found = seeds.flatMap((seed) =>
      [1, 3, 5, 9, 14].map((second) => {
        const first = table(members, seed, { dead: ['gw0'] });
        return excess(first, table(members, seed, { dead: ['gw0', `gw${second}`] }));
      }),
    );
    expect(mean(found)).toBeLessThanOrEqual(0.2);
  });

  it(`move ${added} % at most without need when one is added or removed, ${withSlack} % with slack 1 %`, () => {
    for (const [slack, most] of [
      [0, added],
      [0.01, withSlack],
    ] as const) {
      const found = manySeeds.map((seed) => {
        const without = Number(seed) % members;
        const fewer = table(members, seed, { without, slack });
        const more = table(members, seed, { slack });
        const joined = excess(fewer, more);
        expect(excess(more, fewer)).toBeCloseTo(joined, 1);
        return joined;
      });
      expect(mean(found)).toBeLessThanOrEqual(most);
    }
  });

  it('of weights 1 to 4 move 0.5 % at most without need when one is removed, at worst', () => {
    const weights = (i: number) => 1 + (i % 4);
    for (const seed of seeds.slice(0, 3)) {
      const all = table(members, seed, { weights });
      for (const without of [0, 1, 2, 3]) {
        expect(excess(all, table(members, seed, { weights, without }))).toBeLessThanOrEqual(0.5);
      }
    }
  });
});

it('weights mean what they say: 1:10 is 1:10', () => {
  const held = shares(table(2, 1n, { weights: (i) => (i === 0 ? 1 : 10) }));
  expect(held).toEqual([5958, 59_578]);
});

it('any group has the same bytes in both languages', () => {
  const weight = fc.oneof(
    fc.constant(1),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 1, max: 65_535 }),
  );
  const group = fc.record({
    members: fc.uniqueArray(
      fc.record({
        name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
        weight,
        down: fc.boolean(),
      }),
      { selector: ({ name }) => name, minLength: 1, maxLength: 24 },
    ),
    joins: fc.nat(3),
    seed: fc.bigInt(0n, (1n << 64n) - 1n),
    slots: fc.integer({ min: 1, max: 1500 }),
    percent: fc.integer({ min: 0, max: 20 }),
    hash: fc.constantFrom('xxh64', 'siphash-1-3', 'toeplitz' as const),
    sticky: fc.boolean(),
  });
  fc.assert(
    fc.property(group, ({ members, joins, seed, slots, percent, hash, sticky }) => {
      fc.pre(members.every(({ name }) => !name.includes('\0')));
      const hasher = new FlowHasher(hash, seed);
      const dead = members.filter(({ down }) => down).map(({ name }) => name);
      // members that a sticky table did not have before
      const old = members.slice(joins);
      const before = sticky && old.length > 0 ? buildTable({ members: old, hasher, size: slots }) : undefined;
      const expected = buildTable({
        members,
        dead,
        hasher,
        size: slots,
        slack: percent / 100,
        previous: before,
      });
      const found = native().chashBuild({
        members: members.map(({ name, weight: each }) => ({ name, weight: each })),
        dead,
        hash,
        seed,
        size: slots,
        slack: percent * 100,
        ...(before === undefined
          ? {}
          : { previous: { members: before.members.map(({ name }) => name), home: before.home } }),
      });
      expect(found.digest.toString(16).padStart(16, '0')).toBe(expected.digest);
      const names = (slotsOf: Uint16Array, of: readonly { name: string }[]) =>
        Array.from(slotsOf, (member) => of[member]?.name ?? null);
      expect(names(found.home, members)).toEqual(names(expected.home, expected.members));
    }),
  );
});

it('any history of deaths and returns leads back to the same table', () => {
  const history = fc.array(fc.nat(11), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(history, fc.bigInt(0n, (1n << 64n) - 1n), (some, seed) => {
      const members = Array.from({ length: 12 }, (_, i) => ({ name: `m${i}`, weight: 1 + (i % 3) }));
      const build = (dead: Iterable<string>) =>
        native().chashBuild({ members, dead: [...dead], seed, size: 2048, slack: 0 });
      const first = build([]);
      const dead = new Set<string>();
      for (const i of some) {
        const name = `m${i}`;
        if (!dead.delete(name)) dead.add(name);
        const now = build(dead);
        // whoever stays up keeps its home slots
        const strays = first.slots.filter(
          (home, slot) => !dead.has(members[home]!.name) && now.slots[slot] !== home,
        );
        expect(strays.length).toBe(0);
      }
      expect(build([]).slots).toEqual(first.slots);
      expect(build([]).digest).toBe(first.digest);
    }),
    { numRuns: 40 },
  );
});
