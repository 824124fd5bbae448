import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ModelName, models, sample } from '../../dist/lb/models/index.js';
import { jumpHash } from '../../dist/lb/models/jump.js';
import { ciliumName, equalTurns, maglev, maglevCilium, populate } from '../../dist/lb/models/maglev.js';
import { murmur3 } from '../../dist/lb/models/murmur3.js';
import { ketamaHash } from '../../dist/lb/models/ring.js';

const vectors = JSON.parse(readFileSync(new URL('../vectors/chash-models.json', import.meta.url), 'utf8'));

const counts = (slots: Iterable<number>, members: number) => {
  const found = new Array<number>(members).fill(0);
  for (const member of slots) found[member]!++;
  return found;
};

describe('Maglev', () => {
  it("populates the paper's table 1, before and after B1 left", () => {
    const { M, offset_skip, table_before, table_after_B1_removed } = vectors.paper;
    const names = Object.keys(offset_skip);
    const permutation = (name: string) => ({ offset: offset_skip[name][0], skip: offset_skip[name][1] });
    const table = (members: string[]) =>
      [...populate(members.map(permutation), M, equalTurns(members.map(() => 1)))].map((i) => members[i]);
    expect(table(names)).toEqual(table_before);
    expect(table(['B0', 'B2'])).toEqual(table_after_B1_removed);
  });

  interface EnvoyCase {
    hosts: string[];
    weights?: number[];
    assign: number[];
  }
  it.each(Object.entries<EnvoyCase>(vectors.envoy))("builds Envoy's %s", (_, { hosts, weights, assign }) => {
    const members = hosts.map((name, i) => ({ name, weight: weights?.[i] }));
    expect([...maglev({ members, size: assign.length }).slots!]).toEqual(assign);
  });

  it("builds Cilium's weighted table of 251 slots", () => {
    const { backends, rle }: { backends: { addr: string; weight: number; id: number }[]; rle: string } =
      vectors.cilium.M251;
    const members = backends.map(({ addr, weight }) => ({ name: ciliumName(addr), weight }));
    const { slots } = maglevCilium({ members, size: 251 });
    const expected = rle.split(',').flatMap((run) => {
      const [, id, length] = /^(\d+)\((\d+)\)$/.exec(run)!;
      return new Array<number>(Number(length)).fill(Number(id));
    });
    expect([...slots!].map((member) => backends[member]!.id)).toEqual(expected);
  });

  it("has Cilium's counts at 1,021 slots", () => {
    const { weights, counts: expected } = vectors.cilium.M1021_counts;
    const members = ['one', 'three', 'two', 'tzwe'].map((name, i) => ({ name, weight: weights[i] }));
    expect(counts(maglevCilium({ members, size: 1021 }).slots!, 4)).toEqual(expected);
  });

  // What Katran's own tests assert: a table of 7 slots, weights 2 and 1.
  it('weighs as both Katran versions do', () => {
    const members = [
      { name: 'a', weight: 2 },
      { name: 'b', weight: 1 },
    ];
    expect(counts(models['maglev-v1']({ members, size: 7 }).slots!, 2)).toEqual([4, 3]);
    expect(counts(models['maglev-v2']({ members, size: 7 }).slots!, 2)).toEqual([5, 2]);
    const threeToTwo = [
      { name: 'a', weight: 3 },
      { name: 'b', weight: 2 },
    ];
    expect(counts(models['maglev-v2']({ members: threeToTwo, size: 101 }).slots!, 2)).toEqual([61, 40]);
  });
});

it("gives MurmurHash3's published values", () => {
  const hash = (text: string, seed: number) =>
    murmur3(Buffer.from(text), seed).map((half) => half.toString(16));
  expect(hash('', 0)).toEqual(['0', '0']);
  expect(hash('hello', 0)).toEqual(['cbd8a7b341bd9b02', '5b1e906a48ae1d19']);
  expect(hash('The quick brown fox jumps over the lazy dog', 0)).toEqual([
    'e34bbc7bbc071b6c',
    '7a433ca9c49a9347',
  ]);
});

describe('ring', () => {
  interface Ketama {
    name: string;
    weights: number[];
    keys: [string, number, number][];
  }
  it.each(vectors.ketama as Ketama[])(
    "picks libmemcached's servers called $name",
    ({ name, weights, keys }) => {
      const members = weights.map((weight, i) => ({ name: name.replace('%d', String(i + 1)), weight }));
      const ring = models.ring({ members, size: 0 });
      for (const [key, hash, server] of keys) {
        expect(ketamaHash(key)).toBe(hash);
        expect(ring.pick({ hi: hash, lo: 0 })).toBe(server - 1);
      }
    },
  );

  it('gives a point itself to its owner', () => {
    const members = ['a', 'b', 'c'].map((name) => ({ name }));
    const ring = models.ring({ members, size: 0 });
    for (const [i, { name }] of members.entries()) {
      for (const word of [0, 1, 2, 3])
        expect(ring.pick({ hi: ketamaHash(`${name}-39`, word), lo: 0 })).toBe(i);
    }
  });

  it('wraps round behind its last point', () => {
    const members = [1, 2, 3, 4, 5, 6, 7, 8].map((n, i) => ({
      name: `10.0.1.${n}`,
      weight: [600, 300, 200, 350, 1000, 800, 950, 100][i],
    }));
    const ring = models.ring({ members, size: 0 });
    expect(ketamaHash('VDEAAAAA')).toBe(0xfffcd1b5);
    expect(ring.pick({ hi: 0xfffcd1b5, lo: 0 })).toBe(ring.pick({ hi: 0, lo: 0 }));
  });
});

it.each(vectors.jump as [string, number, number][])(
  'jumps %s among %d buckets to %d',
  (key, buckets, bucket) => {
    expect(jumpHash(BigInt(key), buckets)).toBe(bucket);
  },
);

describe.each(Object.keys(models) as ModelName[])('model %s', (name) => {
  const members = ['a', 'b', 'c', 'd', 'e'].map((each) => ({ name: each }));

  it('spreads over the living only, the same every time', () => {
    const dead = new Set(['b']);
    const table = sample(models[name]({ members, dead, size: 1009 }), 4096);
    expect(table).toEqual(sample(models[name]({ members, dead, size: 1009 }), 4096));
    const found = counts(table, 5);
    expect(found[1]).toBe(0);
    for (const count of found.toSpliced(1, 1)) expect(Math.abs(count - 1024)).toBeLessThan(300);
  });

  it('has nobody to pick when all are dead', () => {
    const model = models[name]({ members, dead: members.map((member) => member.name), size: 1009 });
    expect(model.pick({ hi: 1, lo: 2 })).toBe(0xffff);
  });
});

it.each(['rendezvous', 'ring', 'maglev', 'maglev-v2'] as const)('%s gives weights their part', (name) => {
  const members = [
    { name: 'heavy', weight: 10 },
    { name: 'light', weight: 1 },
  ];
  const [heavy] = counts(sample(models[name]({ members, size: 1009 }), 11_000), 2);
  expect(heavy! / 11_000).toBeGreaterThan(0.86);
  expect(heavy! / 11_000).toBeLessThan(0.95);
});
