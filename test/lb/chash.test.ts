import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { buildTable, defaultTableSize, rankLogarithm, type TableInput } from '../../dist/lb/chash.js';
import { FlowHasher, type HashFunction, toHex, xxh64 } from '../../dist/lb/keys.js';
import { movement } from '../../dist/lb/movement.js';

const hasher = new FlowHasher('xxh64', 1);
const named = (names: string, weight = 1) => [...names].map((name) => ({ name, weight }));
const table = (input: Omit<TableInput, 'hasher'>) => buildTable({ hasher, ...input });

interface Golden {
  names?: string[];
  prefix?: string;
  count?: number;
  weights: number[];
  hash: HashFunction;
  seed: string;
  size: number;
  slack: number;
  dead: string[];
  previousCount?: number;
  home?: number[];
  slots?: number[];
  digest: string;
}
const golden: Golden[] = JSON.parse(
  readFileSync(new URL('../vectors/chash-golden.json', import.meta.url), 'utf8'),
);

describe('golden tables', () => {
  it.each(golden.map((each, index) => ({ ...each, index, called: each.names?.length ?? each.count })))(
    'case $index: $called members, $size slots',
    (each) => {
      const names = each.names ?? Array.from({ length: each.count! }, (_, i) => `${each.prefix}${i}`);
      const members = names.map((name, i) => ({ name, weight: each.weights[i % each.weights.length]! }));
      const input = { members, hasher: new FlowHasher(each.hash, BigInt(each.seed)), size: each.size };
      const slack = each.slack / 10_000;
      const previous =
        each.previousCount === undefined
          ? undefined
          : buildTable({ ...input, slack, members: members.slice(0, each.previousCount) });
      const built = buildTable({ ...input, slack, dead: each.dead, previous });
      if (each.slots) expect([...built.home, ...built.slots]).toEqual([...each.home!, ...each.slots]);
      expect(built.digest).toBe(each.digest);
    },
  );
});

// The same digest stands in native/test/chash_test.cc.
it('takes the logarithm of every rank as the core does', () => {
  const values = new DataView(new ArrayBuffer(4 * 65_536));
  for (let v = 0; v < 65_536; v++) values.setUint32(4 * v, rankLogarithm((v << 16) >>> 0, 16), true);
  expect(toHex(xxh64(new Uint8Array(values.buffer)))).toBe('2529e49c5cd141e8');
});

describe('a digest', () => {
  const base = { members: named('abc'), size: 64 };
  it('differs when anything differs that decides where a flow goes', () => {
    const digests = [
      table(base),
      table({ ...base, size: 65 }),
      table({ ...base, members: named('abd') }),
      table({ ...base, dead: ['a'] }),
      buildTable({ ...base, hasher: new FlowHasher('xxh64', 2) }),
      buildTable({ ...base, hasher: new FlowHasher('siphash-1-3', 1) }),
      buildTable({ ...base, hasher: new FlowHasher('siphash-1-3', 1, new Uint8Array(16)) }),
      buildTable({ ...base, hasher: new FlowHasher('toeplitz', 1) }),
      buildTable({ ...base, hasher: new FlowHasher('toeplitz', 1, new Uint8Array(40).fill(7)) }),
    ].map(({ digest }) => digest);
    expect(new Set(digests).size).toBe(digests.length);
  });

  it('is the same for the same picks: weights in the same proportion, a dead name that is no member', () => {
    expect(table({ ...base, members: named('abc', 9) }).digest).toBe(table(base).digest);
    expect(table({ ...base, dead: ['nobody'] }).digest).toBe(table(base).digest);
  });
});

it('has 256 slots a member, a power of two, at most 65,536', () => {
  expect([0, 1, 2, 3, 16, 255, 256, 1000].map(defaultTableSize)).toEqual([
    256, 256, 512, 1024, 4096, 65536, 65536, 65536,
  ]);
  expect(table({ members: named('abc') }).slots.length).toBe(1024);
});

it('weighs 1:10 as 1:10', () => {
  const { slots } = table({ members: [{ name: 'a' }, { name: 'b', weight: 10 }], size: 1100 });
  expect(slots.filter((member) => member === 0).length).toBe(100);
});

describe('sticky mode', () => {
  const four = table({ members: named('abcd'), size: 1000 });

  it('takes 5 % of all slots from each of four when a fifth joins, and moves nothing else', () => {
    const five = table({ members: named('abcde'), size: 1000, previous: four });
    const { moves, excess } = movement(four, five);
    expect(moves).toEqual(['a', 'b', 'c', 'd'].map((from) => ({ from, to: 'e', count: 50 })));
    expect(excess).toBe(0);
  });

  it('moves only the slots of a member that leaves, evenly', () => {
    const three = table({ members: named('acd'), size: 1000, previous: four });
    const { moves } = movement(four, three);
    expect(moves.map(({ from }) => from)).toEqual(['b', 'b', 'b']);
    expect(moves.map(({ count }) => count).sort()).toEqual([83, 83, 84]);
  });

  it('keeps to history where a built table would not, and dead members have their home still', () => {
    const five = table({ members: named('abcde'), size: 1000, previous: four, dead: ['b'] });
    expect(five.home).toEqual(table({ members: named('abcde'), size: 1000, previous: four }).home);
    expect(five.home).not.toEqual(table({ members: named('abcde'), size: 1000 }).home);
    expect(five.slots).not.toContain(1);
  });

  it('changes nothing when nothing changed', () => {
    expect(table({ members: named('abcd'), size: 1000, previous: four })).toEqual(four);
  });
});

describe('bad input', () => {
  it.each([
    [{ members: named('aba') }, 'a: duplicate member'],
    [{ members: [{ name: 'a', weight: 0 }] }, 'a: weight: 1 to 65,535'],
    [{ members: [{ name: 'a', weight: -1 }] }, 'a: weight: 1 to 65,535'],
    [{ members: [{ name: 'a', weight: 1.5 }] }, 'a: weight: 1 to 65,535'],
    [{ members: [{ name: 'a', weight: 65_536 }] }, 'a: weight: 1 to 65,535'],
    [{ members: named('a'), size: 0 }, 'size: 1 to 1,048,576 slots'],
    [{ members: named('a'), size: 2 ** 21 }, 'size: 1 to 1,048,576 slots'],
    [{ members: named('a'), slack: 1.1 }, 'slack: at most 100 %'],
    [{ members: named('a'), slack: Number.NaN }, 'slack: at most 100 %'],
    [
      { members: named('a'), previous: table({ members: named('a'), size: 9 }) },
      'previous: not of this size',
    ],
    [{ members: Array.from({ length: 1025 }, (_, i) => ({ name: `${i}` })) }, 'members: at most 1,024'],
  ])('%j is refused', (input, message) => {
    expect(() => table(input)).toThrow(new RangeError(message));
  });

  it('refuses seeds beyond 64 bits', () => {
    expect(() => new FlowHasher('xxh64', 1n << 64n)).toThrow('seed: 0 to 2^64 - 1');
    expect(() => new FlowHasher('xxh64', -1)).toThrow('seed: 0 to 2^64 - 1');
  });
});

it('leaves every slot without a member when all are dead, and when there is none', () => {
  const slots = new Uint16Array(16).fill(0xffff);
  expect(table({ members: named('ab'), dead: ['a', 'b'], size: 16 }).slots).toEqual(slots);
  expect(table({ members: [], size: 16 }).slots).toEqual(slots);
});

describe('movement', () => {
  it('tells the unavoidable from the excess', () => {
    const members = named('abc');
    const before = { members, slots: Uint16Array.of(0, 0, 1, 1, 2, 2) };
    const after = { members, slots: Uint16Array.of(1, 0, 1, 1, 0, 0), dead: new Set(['c']) };
    expect(movement(before, after)).toEqual({
      total: 6,
      moved: 3,
      unavoidable: 2,
      excess: 1,
      moves: [
        { from: 'a', to: 'b', count: 1 },
        { from: 'c', to: 'a', count: 2 },
      ],
      members: [
        { name: 'a', before: 2, after: 3 },
        { name: 'b', before: 2, after: 3 },
        { name: 'c', before: 2, after: 0 },
      ],
    });
  });

  it('counts what changed weights demand as unavoidable', () => {
    const before = table({ members: named('abcd'), size: 1024 });
    const members = [{ name: 'a', weight: 3 }, ...named('bcd')];
    const moved = movement(before, table({ members, size: 1024 }));
    expect(moved.unavoidable).toBe(256);
    expect(moved.excess).toBeLessThan(50);
  });

  it('counts what slack moves between members that stay as excess', () => {
    const before = { members: named('abc'), slots: Uint16Array.from({ length: 300 }, (_, s) => s % 3) };
    const members = named('abcd');
    const slots = before.slots.map((member, s) => (s < 75 ? 3 : s >= 290 ? 0 : member));
    const { unavoidable, excess } = movement(before, { members, slots });
    expect(unavoidable).toBe(75);
    expect(excess).toBe(7);
  });

  it('does so where a member that stays has more slots than before, too', () => {
    const before = {
      members: named('abc'),
      slots: Uint16Array.from({ length: 300 }, (_, s) => (s < 110 ? 0 : s < 200 ? 1 : 2)),
    };
    // d joins with 75 slots of a and c; b, which slack had left short, gains 10 of c's
    const slots = before.slots.map((member, s) => (s < 40 || s >= 265 ? 3 : s >= 255 ? 1 : member));
    const { unavoidable, excess } = movement(before, { members: named('abcd'), slots });
    expect(unavoidable).toBe(75);
    expect(excess).toBe(10);
  });

  it('compares tables of different sizes by hashes', () => {
    const members = named('ab');
    const before = { members, slots: Uint16Array.of(0, 1) };
    const after = { members, slots: Uint16Array.of(0, 1, 1) };
    const { total, moved, moves } = movement(before, after);
    expect(total).toBe(2 ** 32);
    expect(moved).toBe(2 ** 31 - Math.ceil(2 ** 32 / 3));
    expect(moves).toEqual([{ from: 'a', to: 'b', count: moved }]);
  });

  it('knows slots that no member holds', () => {
    const members = named('a');
    const before = { members, slots: Uint16Array.of(0, 0) };
    const after = { members, slots: Uint16Array.of(0xffff, 0xffff), dead: new Set('a') };
    const { moves, excess } = movement(before, after);
    expect(moves).toEqual([{ from: 'a', to: null, count: 2 }]);
    expect(excess).toBe(0);
    expect(movement(after, before).excess).toBe(0);
  });
});
