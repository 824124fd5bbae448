import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type FlowFields,
  FlowHasher,
  flowKey,
  type HashKey,
  siphash13,
  slotOf,
  toBigInt,
  toeplitz,
  toHex,
  xxh64,
} from '../../dist/lb/keys.js';

const vectors = (name: string) =>
  JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));

describe('xxh64', () => {
  it("gives xxHash's own values for its sanity buffer", () => {
    const buffer = new Uint8Array(256);
    let generator = 2654435761n;
    for (let i = 0; i < buffer.length; i++) {
      buffer[i] = Number(generator >> 56n);
      generator = BigInt.asUintN(64, generator * 11400714785074694797n);
    }
    const seed = { hi: 0, lo: 2654435761 };
    const expected = {
      0: ['ef46db3751d8e999', 'ac75fda2929b17ef'],
      1: ['e934a84adb052768', '5014607643a9b4c3'],
      14: ['8282dcc4994e35c8', 'c3bd6bf63deb6df0'],
      222: ['b641ae8cb691c174', '20cb8ab7ae10c14a'],
    };
    for (const [length, values] of Object.entries(expected)) {
      const part = buffer.subarray(0, Number(length));
      expect([toHex(xxh64(part)), toHex(xxh64(part, seed))]).toEqual(values);
    }
  });
});

describe('siphash-1-3', () => {
  it('gives the published first values', () => {
    const count = Uint8Array.from({ length: 16 }, (_, i) => i);
    const key0 = { hi: 0x07060504, lo: 0x03020100 };
    const key1 = { hi: 0x0f0e0d0c, lo: 0x0b0a0908 };
    const values = [0, 1, 2, 3].map((n) => toHex(siphash13(count.subarray(0, n), key0, key1)));
    expect(values).toEqual(['abac0158050fc4dc', 'c9f49bf37d57ca93', '82cb9b024dc7d44d', '8bf80ab8e7ddf7fb']);
  });

  it('takes the key it is given', () => {
    const key = Uint8Array.from({ length: 16 }, (_, i) => i);
    expect(toHex(new FlowHasher('siphash-1-3', 9, key).hash(new Uint8Array(0)))).toBe('abac0158050fc4dc');
    expect(() => new FlowHasher('siphash-1-3', 9, key.subarray(1))).toThrow(
      'key of siphash-1-3: 16 bytes, not 15',
    );
  });
});

describe('toeplitz', () => {
  interface Vector {
    family: number;
    src: string;
    dst: string;
    sport: number;
    dport: number;
    hash_l3: string;
    hash_l3l4: string;
  }
  const file: { key: string; vectors: Vector[] } = vectors('chash-toeplitz.json');

  function address(text: string): Uint8Array {
    if (!text.includes(':')) return Uint8Array.from(text.split('.').map(Number));
    const [head, tail] = text.split('::').map((part) => part.split(':').filter(Boolean));
    const groups = tail
      ? [...head!, ...new Array<string>(8 - head!.length - tail.length).fill('0'), ...tail]
      : head!;
    return bytesOf(groups.map((group) => group.padStart(4, '0')).join(''));
  }

  it.each(file.vectors)('hashes $src → $dst as network cards do', (vector) => {
    const source = address(vector.src);
    const destination = address(vector.dst);
    const l3 = flowKey('5-tuple', { source, destination, protocol: 6 });
    expect(toeplitz(bytesOf(file.key), l3).toString(16).padStart(8, '0')).toBe(vector.hash_l3);
    const ports = { source: vector.sport, destination: vector.dport };
    const l4 = flowKey('5-tuple', { source, destination, protocol: 6, ports });
    expect(toHex(new FlowHasher('toeplitz', 0).hash(l4)).slice(0, 8)).toBe(vector.hash_l3l4);
  });
});

it('makes the keys and hashes that the core makes', () => {
  const cases: {
    kind: HashKey;
    source: string;
    destination: string;
    protocol: number;
    ports: number[];
    key: string;
    xxh64: string;
    siphash: string;
    toeplitz: string;
    slot: number;
  }[] = vectors('chash-keys.json');
  const seed = 0x0123456789abcdefn;
  const [xxh, sip, toe] = (['xxh64', 'siphash-1-3', 'toeplitz'] as const).map(
    (name) => new FlowHasher(name, seed),
  );
  expect(cases.length).toBeGreaterThan(200);
  for (const each of cases) {
    const [source, destination] = each.ports;
    const key = flowKey(each.kind, {
      source: bytesOf(each.source),
      destination: bytesOf(each.destination),
      protocol: each.protocol,
      ports: source === undefined ? undefined : { source, destination: destination! },
    });
    expect(hex(key)).toBe(each.key);
    expect([xxh, sip, toe].map((hasher) => toHex(hasher!.hash(key)))).toEqual([
      each.xxh64,
      each.siphash,
      each.toeplitz,
    ]);
    expect(slotOf(xxh!.hash(key), 65537)).toBe(each.slot);
  }
});

describe('a key', () => {
  const port = fc.integer({ min: 0, max: 65535 });
  const flow = fc.constantFrom(4, 16).chain((length) =>
    fc.record({
      source: fc.uint8Array({ minLength: length, maxLength: length }),
      destination: fc.uint8Array({ minLength: length, maxLength: length }),
      protocol: fc.constantFrom(1, 6, 17, 47, 50, 51),
      ports: fc.option(fc.record({ source: port, destination: port }), { nil: undefined }),
    }),
  );
  const back = ({ source, destination, protocol, ports }: FlowFields): FlowFields => ({
    source: destination,
    destination: source,
    protocol,
    ports: ports && { source: ports.destination, destination: ports.source },
  });

  it('is the same both ways when it is symmetric', () => {
    fc.assert(
      fc.property(flow, (fields) => {
        for (const kind of ['symmetric', 'symmetric-5-tuple'] as const) {
          expect(flowKey(kind, back(fields))).toEqual(flowKey(kind, fields));
        }
        expect(flowKey('destination-ip', back(fields))).toEqual(flowKey('source-ip', fields));
      }),
    );
  });

  it('keeps ESP, IKE, NAT-T and fragments of one peer together', () => {
    fc.assert(
      fc.property(flow, port, (fields, free) => {
        for (const kind of ['5-tuple', 'symmetric-5-tuple'] as const) {
          const esp = flowKey(kind, { ...fields, protocol: 50, ports: undefined });
          for (const [source, destination] of [
            [500, free],
            [free, 500],
            [free, 4500],
            [4500, free],
          ]) {
            const ports = { source: source!, destination: destination! };
            expect(flowKey(kind, { ...fields, protocol: 17, ports })).toEqual(esp);
          }
          expect(flowKey(kind, { ...fields, ports: undefined })).toEqual(esp);
          expect(flowKey(kind, { ...fields, protocol: 51 })).toEqual(esp);
        }
      }),
    );
  });

  it('takes ports and protocol into account otherwise', () => {
    const fields = { source: bytesOf('0a000001'), destination: bytesOf('0a000002'), protocol: 6 };
    const keys = [
      { ...fields, ports: { source: 1, destination: 2 } },
      { ...fields, ports: { source: 2, destination: 1 } },
      { ...fields, protocol: 17, ports: { source: 1, destination: 2 } },
      fields,
    ].map((each) => hex(flowKey('5-tuple', each)));
    expect(new Set(keys).size).toBe(4);
  });
});

it('multiplies, adds and rotates 64 bits exactly', () => {
  const reference = (bytes: Uint8Array, seed: bigint) => {
    const u64 = (x: bigint) => BigInt.asUintN(64, x);
    const rotate = (x: bigint, by: bigint) => u64((x << by) | (x >> (64n - by)));
    const [p1, p2, p3, p5] = [
      0x9e3779b185ebca87n,
      0xc2b2ae3d27d4eb4fn,
      0x165667b19e3779f9n,
      0x27d4eb2f165667c5n,
    ] as const;
    let h = u64(seed + p5 + 4n);
    h = u64(rotate(h ^ u64(BigInt(Buffer.from(bytes).readUInt32LE()) * p1), 23n) * p2 + p3);
    h = u64((h ^ (h >> 33n)) * p2);
    h = u64((h ^ (h >> 29n)) * p3);
    return h ^ (h >> 32n);
  };
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.bigInt(0n, (1n << 64n) - 1n),
      (bytes, seed) => {
        expect(toBigInt(new FlowHasher('xxh64', seed).hash(bytes))).toBe(reference(bytes, seed));
      },
    ),
  );
});
