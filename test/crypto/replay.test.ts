/** test/vectors/replay-edges.json through the TypeScript oracle and the native core; native/test does the same in C++. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EspPacket, Opener, Sealer } from '../../dist/crypto/esp.js';
import { NativeOpener, NativeSealer } from '../../dist/crypto/native-esp.js';
import { OracleOpener, OracleSealer } from '../../dist/crypto/oracle.js';
import { ReplayWindow } from '../../dist/crypto/replay-window.js';
import type { InboundSa, OutboundSa } from '../../dist/model/sa.js';
import { Secret } from '../../dist/model/secret.js';
import { type Bytes, craft, inbound, innerPacket, keyAndSalt, outbound, textOf, vectors } from './support.js';

interface Edges {
  name: string;
  esn: number;
  top: string;
  bursts: [string, string, ('forged' | number)?][][];
  end: string;
}
interface Table {
  windows: number[];
  cases: Edges[];
  withoutWindow: Edges[];
  senders: { name: string; esn: number; next: string; results: string[] }[];
}

const table = vectors<Table>('replay-edges.json');
const key = keyAndSalt(32);

/** A sum of terms, as the file says. */
function number(text: string, window: number): bigint {
  let sum = 0n;
  for (const [, sign, factor, w, divisor, power, plain] of text.matchAll(
    /([+-]?)(?:(\d*)(W)(?:\/(\d+))?|2\^(\d+)|(\d+))/g,
  )) {
    let value: bigint;
    if (w !== undefined) value = (BigInt(window) * BigInt(factor || 1)) / BigInt(divisor ?? 1);
    else value = power === undefined ? BigInt(plain!) : 2n ** BigInt(power);
    sum += sign === '-' ? -value : value;
  }
  return sum;
}

function packetOf([text, , kind]: Edges['bursts'][0][0], window: number, isExtended: boolean): Bytes {
  const sequence = number(text, window);
  const packet = craft(key, 0x1001, sequence, isExtended, textOf(innerPacket(4, 20), 4));
  if (kind === 'forged') packet[packet.length - 1]! ^= 1;
  return typeof kind === 'number' ? packet.subarray(0, kind) : packet;
}

const openers: [string, (sa: InboundSa) => Opener & { highestSequence?: bigint }][] = [
  ['oracle', (sa) => new OracleOpener(sa)],
  ['native core', (sa) => new NativeOpener(sa)],
];
const sealers: [string, (sa: OutboundSa) => Sealer][] = [
  ['oracle', (sa) => new OracleSealer(sa)],
  ['native core', (sa) => new NativeSealer(sa)],
];

describe.each(openers)('edges of the window: %s', (_, make) => {
  const all = [
    ...table.windows.flatMap((window) => table.cases.map((edges) => ({ ...edges, window }))),
    ...table.withoutWindow.map((edges) => ({ ...edges, window: 0 })),
  ];
  it.each(all)('$name, window $window', ({ esn, top, bursts, end, window }) => {
    const isExtended = esn === 1;
    const opener = make(
      inbound({
        key: new Secret(key),
        extendedSequenceNumber: isExtended,
        antiReplayWindowSize: window === 0 ? null : window,
        highestSequence: number(top, window),
      }),
    );
    for (const burst of bursts) {
      const packets: EspPacket[] = burst.map((entry) => ({
        esp: packetOf(entry, window, isExtended),
        outerTos: 0,
      }));
      const results = opener.open(packets).map((result) => ('drop' in result ? result.drop : 'pass'));
      expect(results).toEqual(burst.map(([, expected]) => expected));
    }
    if (opener instanceof OracleOpener) expect(opener.highestSequence).toBe(number(end, window));
  });
});

describe.each(sealers)('edges of the sender: %s', (_, make) => {
  it.each(table.senders)('$name', ({ esn, next, results }) => {
    const isExtended = esn === 1;
    const sealer = make(
      outbound({ key: new Secret(key), extendedSequenceNumber: isExtended, nextSequence: number(next, 0) }),
    );
    for (const expected of results) {
      const inner = innerPacket(4, 20);
      const [result] = sealer.seal([inner]);
      if (!/^\d/.test(expected)) {
        expect(result).toEqual({ drop: expected });
        continue;
      }
      const sequence = number(expected, 0);
      expect(result).toHaveProperty('packet');
      const esp = (result as { packet: Bytes }).packet.subarray(20);
      const opener = new OracleOpener(
        inbound({ key: new Secret(key), extendedSequenceNumber: isExtended, highestSequence: sequence - 1n }),
      );
      expect(opener.open([{ esp, outerTos: 0 }])).toEqual([{ packet: inner }]);
      expect(opener.highestSequence).toBe(sequence);
      expect(sealer.next().sequence).toBe(sequence + 1n);
    }
  });
});

it('infers every number within reach of the window', () => {
  const sizes = fc.integer({ min: 6, max: 13 }).map((bits) => 2 ** bits);
  const tops = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: 0n, max: 20_000n }),
    fc.bigInt({ min: 2n ** 32n - 10_000n, max: 2n ** 32n + 10_000n }),
  );
  fc.assert(
    fc.property(sizes, tops, fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), (size, top, ahead) => {
      const sequence = top - BigInt(size) + 1n + ahead;
      fc.pre(sequence >= 0n && sequence < 2n ** 64n);
      const window = new ReplayWindow(size, top, true);
      expect(window.infer(Number(BigInt.asUintN(32, sequence)))).toBe(sequence);
    }),
  );
});

describe('nonces', () => {
  it.each(sealers)('come once for a key, over epochs, restarts and drops: %s', (_, make) => {
    const seen = new Set<string>();
    // what outlives a node: its generation, saved one ahead of use
    const generation = [0, 0];
    let sealed = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1 }),
        fc.array(fc.boolean(), { maxLength: 30 }),
        fc.boolean(),
        (node, packets, isExtended) => {
          const epoch = generation[node]!++;
          const sealer = make(
            outbound({
              extendedSequenceNumber: isExtended,
              nextIv: { nodeId: node === 0 ? 1 : 15, epoch, counter: 0n },
              selectors: [],
            }),
          );
          const results = sealer.seal(packets.map((fits) => innerPacket(4, fits ? 40 : 1700)));
          for (const result of results) {
            if ('drop' in result) continue;
            sealed++;
            seen.add(Buffer.from(result.packet.subarray(28, 36)).toString('hex'));
          }
        },
      ),
      { numRuns: 300, endOnFailure: true },
    );
    expect(seen.size).toBe(sealed);
    expect(sealed).toBeGreaterThan(500);
  });

  it.each(sealers)('end with the counter of the epoch: %s', (_, make) => {
    const sealer = make(outbound({ nextIv: { nodeId: 15, epoch: 4095, counter: 2n ** 48n - 2n } }));
    const packets = Array.from({ length: 4 }, () => innerPacket(4, 20));
    const results = sealer.seal(packets);
    const ivs = results.flatMap((result) =>
      'packet' in result ? [Buffer.from(result.packet.subarray(28, 36)).toString('hex')] : [result.drop],
    );
    expect(ivs).toEqual(['fffffffffffffffe', 'ffffffffffffffff', 'iv_exhausted', 'iv_exhausted']);
    expect(sealer.next()).toEqual({ sequence: 3n, counter: 2n ** 48n });
    const after = make(outbound({ nextIv: { nodeId: 15, epoch: 4095, counter: 2n ** 48n } }));
    expect(after.seal([packets[0]!])).toEqual([{ drop: 'iv_exhausted' }]);
  });
});
