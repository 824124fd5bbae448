import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accountsOf, type Counts, isAccounted } from '../../dist/emulator/accounts.js';
import { addressAt, prefixAt } from '../../dist/emulator/addresses.js';
import { difference, percentileNs, sum } from '../../dist/emulator/histogram.js';
import { Seeded } from '../../dist/emulator/random.js';
import {
  baseStation,
  baseStationsConfig,
  flowsOf,
  gatewayConfig,
  imixSizes,
  routerConfig,
  tunnelOf,
} from '../../dist/emulator/scale-out.js';
import { counterIndex } from '../../dist/pipeline/counters.js';

describe('addresses by number', () => {
  it.each([
    ['10.20.0.0', 1, '10.20.0.1'],
    ['10.20.0.255', 1, '10.20.1.0'],
    ['10.20.0.0', 65_535, '10.20.255.255'],
    ['2001:db8::', 0, '2001:db8::'],
    ['2001:db8::ffff', 1, '2001:db8::1:0'],
  ])('%s + %i is %s', (base, offset, expected) => expect(String(addressAt(base, offset))).toBe(expected));
  it('makes prefixes', () => expect(String(prefixAt('100.64.0.0', 32, 28))).toBe('100.64.0.32/28'));
});

describe('the seeded sequence', () => {
  it('is the same for the same seed', () => {
    const draw = (seed: bigint) => {
      const random = new Seeded(seed);
      return Array.from({ length: 100 }, () => random.below(1000));
    };
    expect(draw(1n)).toEqual(draw(1n));
    expect(draw(1n)).not.toEqual(draw(2n));
  });
  it('shuffles without loss, and every order of three comes', () => {
    const orders = new Set<string>();
    for (let seed = 0n; seed < 200n; seed++) orders.add(new Seeded(seed).shuffle([1, 2, 3]).join());
    expect(orders.size).toBe(6);
  });
});

describe('SECGW-IMIX', () => {
  it('has the weights of the reference, in an order that the seed decides', () => {
    const sizes = imixSizes(1);
    const weights = [64, 127, 255, 511, 1024, 1518].map(
      (size) => sizes.filter((each) => each === size).length,
    );
    expect(weights).toEqual([8, 36, 11, 4, 2, 39]);
    expect(imixSizes(1)).toEqual(sizes);
    expect(imixSizes(2)).not.toEqual(sizes);
  });
});

describe('base stations', () => {
  it.each([1, 2, 3, 8])(
    'on %i workers are half IPv6 outside and half inside, in all combinations, for each worker',
    (workers) => {
      const count = 8 * workers;
      for (let worker = 0; worker < workers; worker++) {
        const combinations = new Map<string, number>();
        for (let number = worker; number < count; number += workers) {
          const { outer, inner, virtual } = baseStation(number, workers);
          expect(virtual.family).toBe(outer.family);
          const key = `${outer.family}/${inner.family}`;
          combinations.set(key, (combinations.get(key) ?? 0) + 1);
        }
        expect([...combinations.values()]).toEqual([2, 2, 2, 2]);
      }
    },
  );

  it('have addresses and networks of their own', () => {
    const stations = Array.from({ length: 10_000 }, (_, number) => baseStation(number, 2));
    expect(new Set(stations.map(({ outer }) => String(outer))).size).toBe(10_000);
    expect(new Set(stations.map(({ inner }) => String(inner))).size).toBe(10_000);
    expect(stations.every(({ inner }) => inner.isNetwork())).toBe(true);
  });

  it('have a tunnel whose ends fit', () => {
    const { station, gateway } = tunnelOf(baseStation(5, 2));
    expect(station.gateway).toBe(gateway.localAddress);
    expect(station.localAddress).toBe(gateway.gateway);
    expect(station.selectors[0]!.local).toBe(gateway.selectors[0]!.remote);
    expect(station.id).toBe(gateway.id);
  });

  it('and router and gateways have configurations that check finds right', () => {
    const stations = Array.from({ length: 10 }, (_, number) => baseStation(number, 2));
    expect(
      baseStationsConfig(stations).interfaces.find(({ name }) => name === 'lo0.0')!.addresses,
    ).toHaveLength(10);
    for (const number of [1, 14, 15, 64]) expect(gatewayConfig(number).system.nodeId).toBeLessThanOrEqual(14);
    expect(routerConfig(64, 7).trafficLoadBalance[0]!.groups[0]!.realServices).toHaveLength(64);
  });
});

describe('flows', () => {
  const key = (flow: ReturnType<typeof flowsOf>[number]) =>
    `${Buffer.from(flow.source).toString('hex')} ${Buffer.from(flow.destination).toString('hex')} ${flow.sourcePort} ${flow.destinationPort}`;

  it('are all different, from inside their tunnel, and on the tunnel’s worker', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 8 }), (tunnels, workers) => {
        const flows = flowsOf(tunnels, tunnels * 10, workers);
        expect(new Set(flows.map(key)).size).toBe(flows.length);
        flows.forEach((flow, number) => {
          const { inner } = baseStation(flow.tunnel, workers);
          expect(flow.tunnel).toBeLessThan(tunnels);
          expect(flow.source.length).toBe(inner.address.bytes.length);
          expect(inner.contains({ family: inner.family, bytes: flow.source } as never)).toBe(true);
          if (tunnels >= workers) expect(flow.tunnel % workers).toBe(number % workers);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('are ten for each tunnel', () => {
    const perTunnel = new Map<number, number>();
    for (const { tunnel } of flowsOf(1000, 10_000, 2))
      perTunnel.set(tunnel, (perTunnel.get(tunnel) ?? 0) + 1);
    expect(perTunnel.size).toBe(1000);
    expect(new Set(perTunnel.values())).toEqual(new Set([10]));
  });
});

describe('accounts', () => {
  const counts = (some: Partial<Counts>): Counts =>
    ({ ...Object.fromEntries(Object.keys(counterIndex).map((name) => [name, 0])), ...some }) as Counts;

  it('add drops up by name, the most frequent first, and leave out what was not dropped', () => {
    const host = counts({ sent: 100, delivered: 90, deliveredBytes: 9000, rxPackets: 5 });
    const accounts = accountsOf([host], [host, counts({ noSa: 3 }), counts({ noSa: 2, portClosed: 5 })]);
    expect(accounts).toMatchObject({
      sent: 100,
      delivered: 90,
      dropped: 10,
      dropsByReason: { noSa: 5, portClosed: 5 },
    });
    expect(isAccounted(accounts)).toBe(true);
    expect(isAccounted({ ...accounts, sent: 101 })).toBe(false);
    expect(isAccounted({ ...accounts, sent: 99 })).toBe(false);
  });
});

describe('percentiles', () => {
  const upperNs = Float64Array.of(10, 20, 30, 40);
  const of = (...list: number[]) => ({ counts: BigUint64Array.from(list, BigInt), upperNs });
  it.each([
    [[0, 0, 0, 0], 0.5, null],
    [[1, 0, 0, 0], 0.5, 10],
    [[50, 49, 1, 0], 0.5, 10],
    [[49, 50, 1, 0], 0.5, 20],
    [[50, 49, 1, 0], 0.99, 20],
    [[50, 48, 2, 0], 0.99, 30],
    [[1, 1, 1, 1], 1, 40],
  ])('of %j at %d: %s', (list, fraction, ns) => expect(percentileNs(of(...list), fraction)).toBe(ns));
  it('add and subtract', () => {
    expect(difference(of(5, 5, 5, 5), of(1, 2, 3, 4)).counts).toEqual(of(4, 3, 2, 1).counts);
    expect(sum(of(1, 2, 3, 4), of(1, 1, 1, 1)).counts).toEqual(of(2, 3, 4, 5).counts);
  });
});
