import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildTable, type ChashTable } from '../../dist/lb/chash.js';
import { hashFlow, parseFlow } from '../../dist/lb/explain.js';
import { FlowHasher, flowKey, slotOf } from '../../dist/lb/keys.js';
import { movement } from '../../dist/lb/movement.js';
import { flowOf } from '../../dist/lb/plan/capture.js';
import { Cells } from '../../dist/lb/plan/cells.js';
import { CsvReader } from '../../dist/lb/plan/csv.js';
import { applyEvent, ineligible, initialState, parseEvent } from '../../dist/lb/plan/events.js';
import { parseFlowSpec } from '../../dist/lb/plan/flow-spec.js';
import { type FlowRecord, RecordBatch } from '../../dist/lb/plan/records.js';
import { native } from '../../dist/pipeline/native.js';

const hashes = 2 ** 32;
const sizes = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 4 });

describe('cells', () => {
  it('give back the slot of every hash, in tables of any sizes', () => {
    fc.assert(
      fc.property(sizes, fc.array(fc.nat({ max: hashes - 1 }), { maxLength: 50 }), (some, his) => {
        const cells = new Cells(some);
        for (const hi of [0, hashes - 1, ...his]) {
          const slots = cells.sizes.map((size) => slotOf({ hi, lo: 0 }, size));
          const cell = slots.reduce((sum, slot) => sum + slot, 0);
          expect(cells.sizes.map((size) => cells.slots(size)[cell])).toEqual(slots);
        }
      }),
    );
  });

  it('have all hashes between them', () => {
    fc.assert(
      fc.property(sizes, (some) => {
        const { widths, unit } = new Cells(some).widths(some);
        const all = widths.reduce((sum, width) => sum + width, 0);
        expect(all).toBe(unit === 'slots' ? Math.max(...some) : hashes);
      }),
    );
  });

  it('count what movement counts', () => {
    const hasher = new FlowHasher('xxh64', 3);
    const table = (count: number, size: number): ChashTable =>
      buildTable({ members: Array.from({ length: count }, (_, i) => ({ name: `m${i}` })), hasher, size });
    for (const [a, b] of [
      [256, 256],
      [256, 1024],
      [200, 300],
    ] as const) {
      const before = table(4, a);
      const after = table(5, b);
      const cells = new Cells([a, b, 4096]);
      const { widths } = cells.widths([a, b]);
      const expected = movement(before, after);
      const found = movement(before, after, cells.overlaps(a, b, widths));
      expect(found).toEqual(expected);
    }
  });
});

const address = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes });
const record = fc.constantFrom(4, 16).chain((n) =>
  fc.record({
    source: address(n),
    destination: address(n),
    protocol: fc.constantFrom(1, 6, 17, 50),
    ports: fc.option(fc.record({ source: fc.nat(0xffff), destination: fc.nat(0xffff) })),
    bytes: fc.nat(2 ** 40),
  }),
);
const keys = ['source-ip', 'destination-ip', 'symmetric', '5-tuple', 'symmetric-5-tuple'] as const;
const functions = ['xxh64', 'siphash-1-3', 'toeplitz'] as const;

describe('the key of a flow that is explained', () => {
  it('has ports of TCP and UDP alone, as the router hashes', () => {
    const hashing = { hashKey: '5-tuple', hash: 'xxh64', seed: 7n, slots: 1024 } as const;
    const keyOf = (protocol: string) => hashFlow(parseFlow(`10.0.0.1,10.0.0.2,${protocol},1,2`), hashing);
    expect(keyOf('tcp').key).toBe('0a0000010a0000020001000206');
    expect(keyOf('132')).toMatchObject({
      key: '0a0000010a000002',
      keyIs: '5-tuple: both addresses, since only ports of TCP and UDP are read',
    });
  });
});

describe('the native tally', () => {
  it('counts each flow once and all bytes, in the cell that TypeScript finds', () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 30 }),
        fc.constantFrom(...keys),
        fc.constantFrom(...functions),
        fc.bigInt(0n, (1n << 64n) - 1n),
        (some, key, hash, seed) => {
          const cells = new Cells([64, 100]);
          const tally = new (native().FlowTally)({ key, hash, seed, sizes: cells.sizes, mostFlows: 1000 });
          const batch = new RecordBatch((bytes) => expect(tally.add(bytes)).toBe(true));
          const hasher = new FlowHasher(hash, seed);
          const flows = new Float64Array(cells.count);
          const bytes = new Float64Array(cells.count);
          const seen = new Set<string>();
          for (const each of [...some, ...some.slice(0, 5)]) {
            batch.push(each);
            const ports = [6, 17].includes(each.protocol) ? (each.ports ?? undefined) : undefined;
            const value = hasher.hash(flowKey(key, { ...each, ports }));
            const cell = slotOf(value, 64) + slotOf(value, 100);
            const name = JSON.stringify([[...each.source], [...each.destination], each.protocol, each.ports]);
            if (!seen.has(name)) flows[cell]!++;
            seen.add(name);
            bytes[cell]! += each.bytes;
          }
          batch.end();
          const result = tally.result();
          expect([...result.flows]).toEqual([...flows]);
          expect([...result.bytes]).toEqual([...bytes]);
        },
      ),
    );
  });

  it('says when there are more flows than it may tell apart, and grows until then', () => {
    const tally = new (native().FlowTally)({ key: 'source-ip', seed: 0n, sizes: [16], mostFlows: 20_000 });
    const answers: boolean[] = [];
    const batch = new RecordBatch((bytes) => answers.push(tally.add(bytes)));
    for (let i = 0; i < 20_001; i++) {
      const source = Uint8Array.of(10, i >> 16, i >> 8, i);
      batch.push({ source, destination: new Uint8Array(4), protocol: 50, ports: null, bytes: 0 });
    }
    batch.end();
    expect([answers.slice(0, -1).every(Boolean), answers.at(-1)]).toEqual([true, false]);
    const { flows, heaviest } = tally.result();
    expect(flows.reduce((sum, each) => sum + each, 0)).toBe(20_000);
    expect(heaviest).toBeNull();
  });

  it('finds the heaviest of many keys', () => {
    const tally = new (native().FlowTally)({ key: 'source-ip', seed: 0n, sizes: [16], mostFlows: 100_000 });
    const batch = new RecordBatch((bytes) => tally.add(bytes));
    let all = 0;
    for (let i = 0; i < 50_000; i++) {
      const heavy = i % 50 === 7;
      const source = heavy ? Uint8Array.of(10, 9, 9, 9) : Uint8Array.of(10, i >> 16, i >> 8, i);
      const bytes = heavy ? 2000 : 100 + (i % 7);
      all += bytes;
      batch.push({ source, destination: new Uint8Array(4), protocol: 50, ports: null, bytes });
    }
    batch.end();
    const { heaviest } = tally.result();
    expect([...heaviest!.source]).toEqual([10, 9, 9, 9]);
    expect(heaviest!.bytes).toBeLessThanOrEqual(2_000_000);
    expect(heaviest!.bytes).toBeGreaterThanOrEqual(2_000_000 - all / 2048);
  });

  it.each([
    [{ sizes: [] }, /sizes: at least one size expected/],
    [{ sizes: [2 ** 21] }, /sizes\[0\]: 1…1048576 expected/],
    [{ key: 'source' }, /key: one of/],
    [{ hash: 'xxh64', hashKey: new Uint8Array(16) }, /hashKey: xxh64 has no key/],
  ])('refuses %j', (wrong, message) => {
    const options = { key: 'source-ip', seed: 0n, sizes: [16], mostFlows: 1, ...wrong } as never;
    expect(() => new (native().FlowTally)(options)).toThrow(message);
  });
});

describe('the native pick table', () => {
  it('picks as TypeScript does: addresses, and keys of any width', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...functions),
        fc.bigInt(0n, (1n << 64n) - 1n),
        fc.array(fc.nat(hashes - 1), { minLength: 1, maxLength: 200 }),
        fc.constantFrom(4, 8, 13, 16, 32, 37),
        (hash, seed, some, width) => {
          const hasher = new FlowHasher(hash, seed);
          const names = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name }));
          const { slots } = buildTable({ members: names, hasher, size: 333 });
          const table = new (native().PickTable)({ slots, hash, seed });
          const pick = (key: Uint8Array) => slots[slotOf(hasher.hash(key), 333)];
          const addresses = Uint32Array.from(some);
          const bytesOf = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
          expect([...table.pickAddresses(addresses, new Uint16Array(some.length))]).toEqual(
            some.map((value) => pick(bytesOf(value))),
          );
          const bytes = Uint8Array.from(
            { length: width * some.length },
            (_, i) => some[i % some.length]! >>> (i % 24),
          );
          expect([...table.pickKeys(bytes, width, new Uint16Array(some.length))]).toEqual(
            some.map((_, i) => pick(bytes.subarray(i * width, (i + 1) * width))),
          );
        },
      ),
    );
  });

  it('takes a key of its own', () => {
    const key = Uint8Array.from({ length: 16 }, (_, i) => i);
    const hasher = new FlowHasher('siphash-1-3', 1n, key);
    const { slots } = buildTable({ members: [{ name: 'a' }, { name: 'b' }], hasher, size: 64 });
    const table = new (native().PickTable)({ slots, hash: 'siphash-1-3', seed: 1n, hashKey: key });
    const picked = table.pickAddresses(Uint32Array.of(0x0a000001), new Uint16Array(1));
    expect(picked[0]).toBe(slots[slotOf(hasher.hash(Uint8Array.of(10, 0, 0, 1)), 64)]);
  });

  it('refuses what does not fit', () => {
    const table = new (native().PickTable)({ slots: new Uint16Array(4), seed: 0n });
    expect(() => table.pickKeys(new Uint8Array(7), 4, new Uint16Array(2))).toThrow(/whole keys of 4 bytes/);
    expect(() => table.pickAddresses(new Uint32Array(3), new Uint16Array(2))).toThrow(/room for 3 expected/);
    expect(() => new (native().PickTable)({ slots: new Uint16Array(0), seed: 0n })).toThrow(/slots expected/);
  });
});

describe('events', () => {
  const members = ['a', 'b', 'c'].map((name) => ({ name, weight: 1 }));
  const event = fc.tuple(
    fc.constantFrom('fail', 'recover', 'drain', 'add', 'remove', 'weight' as const),
    fc.constantFrom('a', 'b', 'c', 'd'),
  );

  it('in any order lead to a group whose members are different and whose dead are members, or are refused', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 20 }), (some) => {
        let state = initialState(members);
        for (const [kind, name] of some) {
          try {
            state = applyEvent(state, parseEvent(kind as never, kind === 'weight' ? `${name}=3` : name), 'g');
          } catch (error) {
            expect((error as Error).message).toMatch(/^--\w+ \w: /);
          }
          const names = state.members.map((member) => member.name);
          expect(new Set(names).size).toBe(names.length);
          for (const dead of ineligible(state)) expect(names).toContain(dead);
        }
      }),
    );
  });
});

describe('a list of flows', () => {
  const read = (text: string, pieces: number[] = []) => {
    const taken: FlowRecord[] = [];
    const reader = new CsvReader((each) => void taken.push({ ...each }));
    const bytes = new TextEncoder().encode(text);
    const cuts = [
      0,
      ...pieces.map((piece) => piece % (bytes.length + 1)).sort((a, b) => a - b),
      bytes.length,
    ];
    for (const [i, end] of cuts.slice(1).entries()) reader.push(bytes.subarray(cuts[i], end));
    reader.end();
    return { taken, reader };
  };
  const text =
    'src, dst ,proto,sport,dport\n10.0.0.1,10.0.0.2,tcp,1,2\n# no\n\nbad\n"2001:db8::1","2001:db8::2",17,3,4\n10.0.0.1,10.0.0.2,icmp,8,0';

  it('is read the same in any pieces', () => {
    const whole = read(text);
    expect(whole.taken.map(({ protocol, ports }) => [protocol, ports])).toEqual([
      [6, { source: 1, destination: 2 }],
      [17, { source: 3, destination: 4 }],
      [1, null],
    ]);
    expect(whole.reader.firstRubbish).toEqual([{ line: 5, why: 'bad is no source address' }]);
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 8 }), (pieces) => {
        const found = read(text, pieces);
        expect(found.taken).toEqual(whole.taken);
        expect(found.reader.firstRubbish).toEqual(whole.reader.firstRubbish);
      }),
    );
  });

  it('never throws, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), fc.array(fc.nat(300)), (any, pieces) => {
        read(any, pieces);
      }),
    );
  });
});

describe('packets of a capture', () => {
  const ip4 = (more: Partial<Record<number, number>> = {}) => {
    const bytes = new Uint8Array(24);
    bytes.set([0x45, 0, 0, 100, 0, 0, 0, 0, 64, 17, 0xde, 0xad, 10, 0, 0, 1, 10, 0, 0, 2, 1, 0xf4, 17, 148]);
    for (const [at, value] of Object.entries(more)) bytes[Number(at)] = value!;
    return bytes;
  };
  const flow = (data: Uint8Array, link: 'ethernet' | 'raw-ip' = 'raw-ip', originalLength = 100) =>
    flowOf({ data, link, originalLength, timeNs: 0n, offset: 0 });

  it('are read with wrong checksums and cut short, below any VLAN tags', () => {
    const expected = { protocol: 17, ports: { source: 500, destination: 4500 }, bytes: 100 };
    expect(flow(ip4())).toMatchObject(expected);
    const tagged = [...new Array<number>(12).fill(0), 0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 8, 0, ...ip4()];
    expect(flow(Uint8Array.from(tagged), 'ethernet')).toMatchObject(expected);
    expect(flow(ip4({ 2: 0, 3: 0 }))).toMatchObject({ bytes: 100 });
  });

  it('have no ports where they are fragments or other protocols', () => {
    expect(flow(ip4({ 6: 0x20 }))).toMatchObject({ ports: null });
    expect(flow(ip4({ 7: 9 }))).toMatchObject({ ports: null });
    expect(flow(ip4({ 9: 50 }))).toMatchObject({ protocol: 50, ports: null });
    const six = new Uint8Array(60);
    six[0] = 0x60;
    six[5] = 20;
    six[6] = 44;
    six[40] = 17;
    expect(flow(six)).toMatchObject({ protocol: 17, ports: null, bytes: 60 });
    six[6] = 60;
    six.set([6, 0, 0, 0, 0, 0, 0, 0, 0, 80, 1, 187], 40);
    expect(flow(six)).toMatchObject({ protocol: 6, ports: { source: 80, destination: 443 } });
  });

  it('never throw, whatever they are', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.constantFrom('ethernet', 'raw-ip' as const),
        (data, link) => {
          flow(data, link as 'ethernet');
        },
      ),
    );
    expect(flow(new Uint8Array(0))).toBeNull();
    expect(flow(Uint8Array.from([...new Array<number>(12).fill(0), 8, 6, 0, 1]), 'ethernet')).toBeNull();
  });
});

describe('what --flows understands', () => {
  it.each([
    ['uniform:1e8', { kind: 'uniform', flows: 100_000_000 }],
    ['uniform:1.5M', { kind: 'uniform', flows: 1_500_000 }],
    ['zipf:10k', { kind: 'zipf', flows: 10_000, exponent: 1 }],
    ['zipf:5:0.8', { kind: 'zipf', flows: 5, exponent: 0.8 }],
    ['busy:hour.pcap', { kind: 'file', path: 'busy:hour.pcap' }],
    ['-', { kind: 'file', path: '-' }],
  ])('%s', (text, spec) => expect(parseFlowSpec(text)).toEqual(spec));

  it('subnet:2001:db8::1/64:7', () => {
    const spec = parseFlowSpec('subnet:2001:db8::1/64:7');
    expect(spec).toMatchObject({ kind: 'subnet', flows: 7 });
    expect(String((spec as { prefix: unknown }).prefix)).toBe('2001:db8::/64');
  });
});
