// Writes chash-golden.json and chash-keys.json from the compiled TypeScript, one case a line:
//
//   npx tsc -p tsconfig.json && node test/vectors/chash-golden.mjs
//
// They are run once for each version of a hash function or of the table, never to make a test pass: when a case
// changes, tableScheme or hashFunctionVersions must have changed with it.
import { writeFileSync } from 'node:fs';
import { buildTable } from '../../dist/lb/chash.js';
import { FlowHasher, flowKey, slotOf, toHex } from '../../dist/lb/keys.js';

const range = (n) => Array.from({ length: n }, (_, i) => i);

// Members: `names`, or `count` of them called prefix0, prefix1 …, with `weights` in turn.
function membersOf({ names, prefix, count, weights }) {
  return (names ?? range(count).map((i) => `${prefix}${i}`)).map((name, i) => ({
    name,
    weight: weights[i % weights.length],
  }));
}

const named = (names, rest) => ({ names, weights: [1], hash: 'xxh64', seed: '0', size: 64, slack: 0, dead: [], ...rest });
const many = (count, rest) => ({ prefix: 'gw', count, weights: [1], hash: 'xxh64', seed: '1', size: 65536, slack: 0, dead: [], ...rest });

const cases = [
  named([], { size: 8 }),
  named(['a'], { size: 8 }),
  named(['a', 'b'], { size: 16 }),
  named(['a', 'b', 'c'], { dead: ['b'] }),
  named(['a', 'b', 'c'], { dead: ['a', 'b', 'c'], size: 16 }),
  named(['a', 'b', 'c', 'd'], { dead: ['b', 'd'] }),
  named(['a', 'b', 'c', 'd'], { weights: [1, 2, 3, 4] }),
  named(['a', 'b', 'c', 'd'], { weights: [1, 2, 3, 4], dead: ['d'] }),
  named(['a', 'b', 'c', 'd'], { weights: [1, 10], seed: '18446744073709551615' }),
  named(['a', 'b', 'c', 'd', 'e'], { previousCount: 4 }),
  named(['a', 'b', 'c', 'd', 'e'], { previousCount: 4, weights: [3, 2], dead: ['a'] }),
  named(['zürich', 'Ōsaka', 'a b', '10.0.0.1', '2001:db8::1', '😀', '\uffee'], { size: 77, seed: '9007199254740993' }),
  named(['a', 'b', 'c'], { hash: 'siphash-1-3', seed: '5' }),
  named(['a', 'b', 'c'], { hash: 'toeplitz', seed: '5' }),
  named(['a', 'b', 'c'], { size: 5, weights: [65535, 1] }),
  many(16, {}),
  many(16, { dead: ['gw3'] }),
  many(16, { dead: ['gw3', 'gw7', 'gw8', 'gw15'] }),
  many(16, { size: 4096, slack: 0.01 }),
  many(16, { size: 4096, previousCount: 15 }),
  many(17, { size: 65537, weights: [1, 2, 3, 4] }),
  many(64, { slack: 0.01, dead: ['gw0'] }),
  many(64, { weights: [1000, 10000, 40000, 25000], dead: ['gw5', 'gw6'] }),
  many(20, { size: 256, dead: range(5).map((i) => `gw${i}`) }),
  many(10, { size: 1024, seed: '4', weights: [1, 10], dead: ['gw0', 'gw1'] }),
  many(40, { size: 4096, dead: range(20).map((i) => `gw${2 * i}`) }),
  many(40, { size: 4096, weights: [3, 1, 4, 1, 5, 9, 2, 6], dead: range(20).map((i) => `gw${i}`) }),
  many(40, { size: 65536, weights: [3, 1, 4, 1, 5, 9, 2, 6], slack: 0.02, dead: range(30).map((i) => `gw${i}`) }),
  many(100, { size: 100003, weights: [7], dead: ['gw99'] }),
  many(250, { size: 65537, dead: range(125).map((i) => `gw${2 * i}`) }),
  many(256, {}),
  many(256, { weights: [1, 2, 3, 4], dead: ['gw11'] }),
  many(256, { weights: range(256).map((i) => i * 255 + 1) }),
  many(256, { previousCount: 255 }),
  many(1024, { size: 131071, weights: [65535, 1, 300], dead: ['gw1', 'gw2'] }),
  many(3, { size: 1000000, weights: [65535, 1, 300], dead: ['gw1'] }),
];

const tables = cases.map((each) => {
  const members = membersOf(each);
  const hasher = new FlowHasher(each.hash, BigInt(each.seed));
  const { size, slack, dead } = each;
  const previous =
    each.previousCount === undefined
      ? undefined
      : buildTable({ members: members.slice(0, each.previousCount), hasher, size, slack });
  const table = buildTable({ members, dead, hasher, size, slack, previous });
  const whole = size <= 77 ? { home: [...table.home], slots: [...table.slots] } : {};
  return { ...each, slack: Math.round(slack * 10000), ...whole, digest: table.digest };
});

const address = (...groups) => Uint8Array.from(groups.flatMap((g) => (g > 255 ? [g >> 8, g & 255] : [0, g])));
const v4 = [Uint8Array.of(192, 0, 2, 1), Uint8Array.of(198, 51, 100, 77)];
const v6 = [address(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), address(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0xc000, 0x201)];
const flows = [v4, [v4[1], v4[0]], [v4[0], v4[0]], v6, [v6[1], v6[0]]].flatMap(([source, destination]) =>
  [
    { protocol: 6, ports: { source: 40000, destination: 443 } },
    { protocol: 17, ports: { source: 443, destination: 40000 } },
    { protocol: 17, ports: { source: 500, destination: 500 } },
    { protocol: 17, ports: { source: 61000, destination: 4500 } },
    { protocol: 17, ports: { source: 61000, destination: 500 } },
    { protocol: 17, ports: { source: 500, destination: 61000 } },
    { protocol: 6, ports: { source: 4500, destination: 61000 } },
    { protocol: 6, ports: { source: 500, destination: 500 } },
    { protocol: 50 },
    { protocol: 51 },
    { protocol: 17 },
  ].map((rest) => ({ source, destination, ...rest })),
);
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const seed = 0x0123456789abcdefn;
const hashers = ['xxh64', 'siphash-1-3', 'toeplitz'].map((name) => new FlowHasher(name, seed));
const keys = flows.flatMap((flow) =>
  ['source-ip', 'destination-ip', 'symmetric', '5-tuple', 'symmetric-5-tuple'].map((kind) => {
    const key = flowKey(kind, flow);
    const [xxh64, siphash, toeplitz] = hashers.map((hasher) => toHex(hasher.hash(key)));
    return {
      kind,
      source: hex(flow.source),
      destination: hex(flow.destination),
      protocol: flow.protocol,
      ports: flow.ports ? [flow.ports.source, flow.ports.destination] : [],
      key: hex(key),
      xxh64,
      siphash,
      toeplitz,
      slot: slotOf(hashers[0].hash(key), 65537),
    };
  }),
);

const lines = (values) => `[\n${values.map((value) => JSON.stringify(value)).join(',\n')}\n]\n`;
writeFileSync(new URL('chash-golden.json', import.meta.url), lines(tables));
writeFileSync(new URL('chash-keys.json', import.meta.url), lines(keys));
