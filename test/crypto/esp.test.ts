/** The whole of ESP, by the TypeScript oracle and by the native core: vectors, combinations, what must not come through. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EspPacket, EspResult, OpenDrop, Opener, SealDrop, Sealer } from '../../dist/crypto/esp.js';
import { NativeOpener, NativeSealer } from '../../dist/crypto/native-esp.js';
import { OracleOpener, OracleSealer } from '../../dist/crypto/oracle.js';
import {
  type AuthenticationAlgorithm,
  authentications,
  type EspKeys,
  type InboundSa,
  type OutboundSa,
} from '../../dist/model/sa.js';
import { Secret } from '../../dist/model/secret.js';
import { decodeIp } from '../../dist/wire/ip.js';
import {
  type Bytes,
  craft,
  fromHex,
  inbound,
  innerPacket,
  ip,
  keyAndSalt,
  outbound,
  selector,
  textOf,
  toHex,
  vectors,
} from './support.js';

interface Implementation {
  name: string;
  opener: (sa: InboundSa) => Opener;
  sealer: (sa: OutboundSa) => Sealer;
}
const implementations: Implementation[] = [
  { name: 'oracle', opener: (sa) => new OracleOpener(sa), sealer: (sa) => new OracleSealer(sa) },
  { name: 'native core', opener: (sa) => new NativeOpener(sa), sealer: (sa) => new NativeSealer(sa) },
];

interface Golden {
  name: string;
  outer: 4 | 6;
  udp: number;
  esn: number;
  spi: number;
  dscp: number;
  dfBit: OutboundSa['dfBit'];
  key: string;
  salt: string;
  nodeId: number;
  epoch: number;
  counter: number;
  sequence: string;
  inner: string;
  outerPacket: string;
}
const golden = vectors<{ outer4: [string, string]; outer6: [string, string]; cases: Golden[] }>(
  'esp-golden.json',
);
type CbcGolden = Omit<Golden, 'salt'> & {
  authentication: AuthenticationAlgorithm;
  authenticationKey: string;
};
const cbcGolden = vectors<{ outer4: [string, string]; outer6: [string, string]; cases: CbcGolden[] }>(
  'esp-cbc-golden.json',
);

interface Rfc4106 {
  id: number;
  key: string;
  salt: string;
  iv: string;
  spi: string;
  esn: number;
  seq: string;
  plaintext: string;
  ciphertext: string;
  tag: string;
}
const rfc4106 = vectors<{ cases: Rfc4106[] }>('esp-rfc4106.json').cases;

const opened = (opener: Opener, esp: Bytes, outerTos = 0): EspResult<OpenDrop> =>
  opener.open([{ esp, outerTos }])[0]!;
const sealedBy = (sealer: Sealer, inner: Bytes): EspResult<SealDrop> => sealer.seal([inner])[0]!;
function bytesOf(result: EspResult<OpenDrop | SealDrop>): Bytes {
  if ('drop' in result) throw new Error(`dropped: ${result.drop}`);
  return result.packet;
}
/** The ESP packet in an outer one. */
function espOf(outer: Bytes, isUdp: boolean): EspPacket {
  const decoded = decodeIp(outer);
  if (!decoded.ok) throw new Error(decoded.reason);
  const { tos, payloadOffset } = decoded.value;
  return { esp: outer.subarray(payloadOffset + (isUdp ? 8 : 0)), outerTos: tos };
}

describe.each(implementations)('$name', ({ opener, sealer }) => {
  it.each(golden.cases)('makes and opens what scapy and cryptography made: $name', (each) => {
    const key = fromHex(each.key + each.salt);
    const [source, destination] = each.outer === 4 ? golden.outer4 : golden.outer6;
    const sequence = BigInt(each.sequence);
    const extendedSequenceNumber = each.esn === 1;
    const sealing = sealer(
      outbound({
        spi: each.spi,
        key: new Secret(key),
        extendedSequenceNumber,
        source: ip(source),
        destination: ip(destination),
        udp: each.udp === 1 ? { sourcePort: 4500, destinationPort: 4500 } : null,
        nextSequence: sequence,
        nextIv: { nodeId: each.nodeId, epoch: each.epoch, counter: BigInt(each.counter) },
        dfBit: each.dfBit,
        outerDscp: each.dscp < 0 ? null : each.dscp,
      }),
    );
    expect(toHex(bytesOf(sealedBy(sealing, fromHex(each.inner))))).toBe(each.outerPacket);
    const opening = opener(
      inbound({ key: new Secret(key), extendedSequenceNumber, highestSequence: sequence - 1n }),
    );
    const { esp, outerTos } = espOf(fromHex(each.outerPacket), each.udp === 1);
    expect(toHex(bytesOf(opened(opening, esp, outerTos)))).toBe(each.inner);
  });

  // their next header is 1: all authenticate, none is a tunnel's
  it.each(rfc4106.filter(({ key }) => key.length !== 48))('RFC 4106 vector $id', (each) => {
    const sequence = BigInt(`0x${each.seq}`);
    const opening = opener(
      inbound({
        key: new Secret(fromHex(each.key + each.salt)),
        extendedSequenceNumber: each.esn === 1,
        highestSequence: sequence - 1n,
      }),
    );
    const esp = fromHex(each.spi + each.seq.slice(-8) + each.iv + each.ciphertext + each.tag);
    const altered = esp.slice();
    altered[20]! ^= 0x10;
    expect(opened(opening, altered)).toEqual({ drop: 'auth_failed' });
    expect(opened(opening, esp)).toEqual({ drop: 'bad_next_header' });
    expect(opened(opening, esp)).toEqual({ drop: 'replay' });
  });

  it.each(cbcGolden.cases)('makes and opens what scapy and cryptography made: $name', (each) => {
    const keys: EspKeys = {
      algorithm: `aes-cbc-${each.authentication}`,
      key: new Secret(fromHex(each.key)),
      authenticationKey: new Secret(fromHex(each.authenticationKey)),
    };
    const [source, destination] = each.outer === 4 ? cbcGolden.outer4 : cbcGolden.outer6;
    const sequence = BigInt(each.sequence);
    const extendedSequenceNumber = each.esn === 1;
    const sealing = sealer(
      outbound({
        ...keys,
        spi: each.spi,
        extendedSequenceNumber,
        source: ip(source),
        destination: ip(destination),
        udp: each.udp === 1 ? { sourcePort: 4500, destinationPort: 4500 } : null,
        nextSequence: sequence,
        nextIv: { nodeId: each.nodeId, epoch: each.epoch, counter: BigInt(each.counter) },
        dfBit: each.dfBit,
        outerDscp: each.dscp < 0 ? null : each.dscp,
      }),
    );
    expect(toHex(bytesOf(sealedBy(sealing, fromHex(each.inner))))).toBe(each.outerPacket);
    const opening = opener(inbound({ ...keys, extendedSequenceNumber, highestSequence: sequence - 1n }));
    const { esp, outerTos } = espOf(fromHex(each.outerPacket), each.udp === 1);
    expect(toHex(bytesOf(opened(opening, esp, outerTos)))).toBe(each.inner);
  });

  it('carries congestion marks as RFC 6040 says', () => {
    // §4.2, figure 4: ECT(1) is 1, ECT(0) is 2, CE is 3
    const table = [
      [0, 0, 0, 'ecn'],
      [1, 1, 1, 3],
      [2, 1, 2, 3],
      [3, 3, 3, 3],
    ];
    for (const version of [4, 6] as const) {
      for (const [inner, row] of table.entries()) {
        for (const [outer, expected] of row.entries()) {
          for (const copyOuterDscp of [false, true]) {
            const packet = innerPacket(version, 20, { tos: (0x28 << 2) | inner });
            const esp = craft(keyAndSalt(), 0x1001, 1n, false, textOf(packet, version === 4 ? 4 : 41));
            const result = opened(opener(inbound({ copyOuterDscp })), esp, (0x2e << 2) | outer);
            if (typeof expected === 'string') {
              expect(result).toEqual({ drop: expected });
              continue;
            }
            const tos = ((copyOuterDscp ? 0x2e : 0x28) << 2) | expected;
            expect(bytesOf(result)).toEqual(innerPacket(version, 20, { tos }));
          }
        }
      }
    }
  });

  it('takes nothing for a packet that is none', () => {
    const result = (text: Bytes | number[]) => {
      const esp = craft(keyAndSalt(), 0x1001, 1n, false, Uint8Array.from(text));
      const [first] = opener(inbound()).open([{ esp, outerTos: 0 }]);
      return 'drop' in first! ? first.drop : 'pass';
    };
    const inner = innerPacket(4, 21);
    const good = textOf(inner, 4);
    expect(result(good)).toBe('pass');
    expect(result(textOf(inner, 59))).toBe('dummy');
    expect(result(textOf(inner, 17))).toBe('bad_next_header');
    expect(result(textOf(inner, 41))).toBe('bad_length');
    expect(result(textOf(innerPacket(6, 9), 4))).toBe('bad_length');
    expect(result(textOf(inner.subarray(0, 19), 4))).toBe('bad_length');
    expect(result(textOf(inner.subarray(0, 40), 4))).toBe('bad_length');
    expect(result(textOf(inner, 4, 100))).toBe('pass');
    expect(result(good.with(inner.length, 9))).toBe('bad_padding');
    expect(result(good.with(good.length - 2, 255))).toBe('bad_padding');
    expect(result(good.with(good.length - 2, good.length - 1))).toBe('bad_padding');
    expect(result([1, 2, 2, 4])).toBe('bad_length');
    expect(result(inner.with(0, 0x44).length === 49 ? textOf(inner.with(0, 0x44), 4) : [])).toBe(
      'bad_length',
    );
  });

  it('changes nothing that it was given', () => {
    const inner = innerPacket(4, 33);
    const copy = inner.slice();
    const outer = bytesOf(sealedBy(sealer(outbound()), inner));
    expect(inner).toEqual(copy);
    const { esp } = espOf(outer, false);
    const before = esp.slice();
    expect(bytesOf(opened(opener(inbound()), esp))).toEqual(inner);
    expect(esp).toEqual(before);
  });

  it('holds packets to selectors', () => {
    const tunnel = [selector('10.1.0.0/16', '10.2.0.0/16'), selector('2001:db8:a::/48', '::/0')];
    const coming = (packet: Bytes) => {
      const next = packet[0]! >> 4 === 4 ? 4 : 41;
      const esp = craft(keyAndSalt(), 0x1001, 1n, false, textOf(packet, next));
      return opened(opener(inbound({ selectors: tunnel })), esp);
    };
    const leaving = (packet: Bytes) => sealedBy(sealer(outbound({ selectors: tunnel })), packet);
    for (const way of [coming, leaving]) {
      expect(way(innerPacket(4, 5))).toHaveProperty('packet');
      expect(way(innerPacket(6, 5))).toHaveProperty('packet');
      expect(way(innerPacket(4, 5, { source: '10.2.0.1', destination: '10.1.0.1' }))).toEqual({
        drop: 'selector',
      });
      expect(way(innerPacket(4, 5, { destination: '10.3.0.1' }))).toEqual({ drop: 'selector' });
      expect(way(innerPacket(6, 5, { source: '2001:db8:b::1' }))).toEqual({ drop: 'selector' });
    }
  });

  it('gives no number to what does not fit', () => {
    const sealing = sealer(outbound({ mtu: 600 }));
    const results = sealing.seal([
      innerPacket(4, 600),
      innerPacket(4, 10),
      innerPacket(4, 518),
      innerPacket(4, 519),
    ]);
    expect(results.map((each) => ('drop' in each ? each.drop : each.packet.length))).toEqual([
      'too_big',
      92,
      600,
      'too_big',
    ]);
    expect(sealing.next()).toEqual({ sequence: 3n, counter: 2n });
  });
});

const saArbitrary = fc.record({
  bits: fc.constantFrom(16, 32),
  outer6: fc.boolean(),
  udp: fc.boolean(),
  esn: fc.boolean(),
  start: fc.constantFrom(1n, 2n ** 32n - 20n),
  dfBit: fc.constantFrom('copy' as const, 'set' as const, 'clear' as const),
  dscp: fc.option(fc.integer({ min: 0, max: 63 })),
});
const innerArbitrary = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  bytes: fc.integer({ min: 0, max: 1400 }),
  tos: fc.integer({ min: 0, max: 255 }),
  dontFragment: fc.boolean(),
});

it('the native core and the oracle make the same bytes of the same packets, and open each other’s', () => {
  fc.assert(
    fc.property(
      saArbitrary,
      fc.array(innerArbitrary, { minLength: 1, maxLength: 70 }),
      (settings, inners) => {
        const key = keyAndSalt(settings.bits, 3);
        const common = { key: new Secret(key), extendedSequenceNumber: settings.esn };
        const nextSequence = settings.start;
        const out = outbound({
          ...common,
          source: ip(settings.outer6 ? '2001:db8:1::1' : '192.0.2.1'),
          destination: ip(settings.outer6 ? '2001:db8:2::2' : '198.51.100.2'),
          udp: settings.udp ? { sourcePort: 4500, destinationPort: 6000 } : null,
          nextSequence,
          dfBit: settings.dfBit,
          outerDscp: settings.dscp,
        });
        const packets = inners.map(({ version, bytes, ...fields }) => innerPacket(version, bytes, fields));
        const oracle = new OracleSealer(out);
        const core = new NativeSealer(out);
        const byOracle = oracle.seal(packets);
        const byCore = core.seal(packets);
        expect(byCore.map((each) => ('drop' in each ? each.drop : toHex(each.packet)))).toEqual(
          byOracle.map((each) => ('drop' in each ? each.drop : toHex(each.packet))),
        );
        expect(core.next()).toEqual(oracle.next());

        const into = inbound({ ...common, highestSequence: nextSequence - 1n });
        const espPackets = byCore.flatMap((each) =>
          'drop' in each ? [] : [espOf(each.packet, settings.udp)],
        );
        const sent = packets.filter((_, i) => !('drop' in byCore[i]!));
        // CE cannot come of copying, and what was not marked leaves as it came
        expect(new OracleOpener(into).open(espPackets).map(bytesOf)).toEqual(sent);
        expect(new NativeOpener(into).open(espPackets).map(bytesOf)).toEqual(sent);
      },
    ),
    { numRuns: 40 },
  );
}, 60_000);

it('the native core and the oracle agree about anything', () => {
  const key = keyAndSalt(32);
  const corrupted = fc.record({
    sequence: fc.oneof(
      fc.bigInt({ min: 0n, max: 300n }),
      fc.bigInt({ min: 2n ** 32n - 100n, max: 2n ** 32n + 100n }),
    ),
    text: fc.oneof(
      innerArbitrary.map(({ version, bytes, tos }) =>
        textOf(innerPacket(version, bytes % 100, { tos }), version === 4 ? 4 : 41),
      ),
      fc.uint8Array({ minLength: 2, maxLength: 120 }),
    ),
    flip: fc.option(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { freq: 3 }),
    cut: fc.option(fc.integer({ min: 0, max: 60 }), { freq: 5 }),
    outerTos: fc.integer({ min: 0, max: 255 }),
  });
  fc.assert(
    fc.property(
      fc.array(corrupted, { maxLength: 40 }),
      fc.boolean(),
      fc.constantFrom(null, 64, 256),
      (entries, esn, antiReplayWindowSize) => {
        const sa = inbound({ key: new Secret(key), extendedSequenceNumber: esn, antiReplayWindowSize });
        const packets = entries.map(({ sequence, text, flip, cut, outerTos }) => {
          const esp = craft(key, 0x1001, sequence, esn, text);
          if (flip !== null) esp[flip[0] % esp.length]! ^= flip[1];
          return { esp: esp.subarray(0, Math.max(0, esp.length - (cut ?? 0))), outerTos };
        });
        // in one burst, then the same again one by one: all that passed is a replay now
        const oracle = new OracleOpener(sa);
        const core = new NativeOpener(sa);
        expect(core.open(packets)).toEqual(oracle.open(packets));
        for (const { esp, outerTos } of packets) {
          expect(opened(core, esp, outerTos)).toEqual(opened(oracle, esp, outerTos));
        }
      },
    ),
    { numRuns: 300 },
  );
}, 60_000);

it('packets larger than a frame of the core are sealed all the same', () => {
  const core = new NativeSealer(outbound({ mtu: 65_535 }));
  const packets = [innerPacket(4, 100), innerPacket(4, 9000), innerPacket(4, 100)];
  const results = core.seal(packets.slice(0, 1)).concat(core.seal(packets.slice(1)));
  expect(core.next()).toEqual({ sequence: 4n, counter: 3n });
  const opener = new OracleOpener(inbound());
  expect(opener.open(results.map((each) => espOf(bytesOf(each), false))).map(bytesOf)).toEqual(packets);
});

const hmacs = Object.keys(authentications) as AuthenticationAlgorithm[];
const cbcKeys = (authentication: AuthenticationAlgorithm, aesBytes: number): EspKeys => ({
  algorithm: `aes-cbc-${authentication}`,
  key: new Secret(keyAndSalt(aesBytes - 4)),
  authenticationKey: new Secret(keyAndSalt(authentications[authentication].keyBytes - 4, 5)),
});

it('AES-CBC: the native core and the oracle make the same bytes of every length, and open each other’s', () => {
  const packets = Array.from({ length: 2049 - 28 }, (_, i) => innerPacket(4, i));
  const hexOf = (results: EspResult<OpenDrop | SealDrop>[]) => results.map((each) => toHex(bytesOf(each)));
  for (let way = 0; way < 8; way++) {
    const extendedSequenceNumber = way >= 4;
    const sa = {
      ...cbcKeys(hmacs[way % 4]!, [16, 24, 32][way % 3]!),
      extendedSequenceNumber,
      nextSequence: extendedSequenceNumber ? 2n ** 32n - 100n : 1n,
      mtu: 2300,
    };
    // every length once, dealt out to the eight
    const some = packets.filter((_, n) => n % 8 === way);
    const oracle = new OracleSealer(outbound(sa));
    const core = new NativeSealer(outbound(sa));
    const sealed = core.seal(some);
    expect(hexOf(sealed)).toEqual(hexOf(oracle.seal(some)));
    expect(core.next()).toEqual(oracle.next());
    const into = inbound({ ...sa, highestSequence: sa.nextSequence - 1n });
    const arrived = sealed.map((each) => espOf(bytesOf(each), false));
    expect(hexOf(new OracleOpener(into).open(arrived))).toEqual(some.map(toHex));
    expect(hexOf(new NativeOpener(into).open(arrived))).toEqual(some.map(toHex));
  }
}, 60_000);

it('AES-CBC: the native core and the oracle agree about what was changed, cut or lengthened', () => {
  const changed = fc.record({
    bytes: fc.integer({ min: 0, max: 90 }),
    flip: fc.option(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { freq: 2 }),
    length: fc.option(fc.integer({ min: -70, max: 40 }), { freq: 4 }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...hmacs),
      fc.boolean(),
      fc.array(changed, { minLength: 1, maxLength: 30 }),
      (authentication, extendedSequenceNumber, entries) => {
        const sa = { ...cbcKeys(authentication, 32), extendedSequenceNumber };
        const sealed = new OracleSealer(outbound(sa)).seal(entries.map(({ bytes }) => innerPacket(4, bytes)));
        const packets = entries.map(({ flip, length }, i) => {
          const { esp, outerTos } = espOf(bytesOf(sealed[i]!).slice(), false);
          if (flip !== null) esp[flip[0] % esp.length]! ^= flip[1];
          const bytes = new Uint8Array(Math.max(0, esp.length + (length ?? 0)));
          bytes.set(esp.subarray(0, bytes.length));
          return { esp: bytes, outerTos };
        });
        expect(new NativeOpener(inbound(sa)).open(packets)).toEqual(
          new OracleOpener(inbound(sa)).open(packets),
        );
      },
    ),
    { numRuns: 100 },
  );
}, 60_000);
