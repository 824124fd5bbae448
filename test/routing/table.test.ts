import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Route } from '../../dist/routing/route.js';
import { activeRoutes, adjacencies, changeRoutes, emptyTable, routesFor } from '../../dist/routing/table.js';
import { address, direct, prefix, route, via } from './support.js';

const tableOf = (...routes: Route[]) => changeRoutes(emptyTable, { add: routes });
const originsFor = (table: ReturnType<typeof tableOf>, to: string) =>
  routesFor(table, 'default', prefix(to)).map(({ origin }) => origin);

describe('changeRoutes', () => {
  it('puts the lower preference first, whatever came first', () => {
    const ari = route('default', '10.0.0.0/24', 'ari-ts', via('10.9.0.1'), 'gw1');
    const link = route('default', '10.0.0.0/24', 'direct', direct('ge-0/0/0.0'), 'ge-0/0/0.0');
    expect(originsFor(tableOf(ari, link), '10.0.0.0/24')).toEqual(['ge-0/0/0.0', 'gw1']);
    expect(originsFor(tableOf(link, ari), '10.0.0.0/24')).toEqual(['ge-0/0/0.0', 'gw1']);
  });

  it('puts the latest of equals first, also when it was there before', () => {
    const of = (origin: string) => route('default', '10.0.0.0/24', 'ari-ts', via('10.9.0.1'), origin);
    let table = tableOf(of('gw1'), of('gw2'));
    expect(originsFor(table, '10.0.0.0/24')).toEqual(['gw2', 'gw1']);
    table = changeRoutes(table, { add: [of('gw1')] });
    expect(originsFor(table, '10.0.0.0/24')).toEqual(['gw1', 'gw2']);
  });

  it('leaves the table before as it was, and an unchanged one the same object', () => {
    const before = tableOf(route('default', '10.0.0.0/24', 'static', via('10.9.0.1')));
    const after = changeRoutes(before, { removeIf: () => true });
    expect(after.size).toBe(0);
    expect(originsFor(before, '10.0.0.0/24')).toEqual(['configuration']);
    expect(changeRoutes(before, { removeIf: () => false })).toBe(before);
  });

  it('knows a prefix whose host bits are set as its network', () => {
    const table = tableOf(route('default', '10.0.0.7/24', 'static', via('10.9.0.1')));
    expect(originsFor(table, '10.0.0.0/24')).toEqual(['configuration']);
  });
});

describe('adjacencies', () => {
  const table = tableOf(
    route('default', '10.9.0.0/24', 'direct', direct('ge-0/0/0.0'), 'ge-0/0/0.0'),
    route('default', '10.10.10.1/32', 'static', via('10.9.0.2')),
    route('default', '10.20.0.0/16', 'static', via('10.10.10.1')),
    route('default', '10.30.0.0/16', 'static', via('10.30.0.1')),
    route('default', '10.40.0.0/16', 'static', via('10.50.0.1')),
    route('default', '10.50.0.0/16', 'static', via('10.40.0.1')),
    route('default', '10.60.0.0/16', 'discard' as never, { kind: 'discard' }),
    route('other', '10.9.0.0/24', 'direct', direct('ge-0/0/1.0'), 'ge-0/0/1.0'),
    route('default', '2001:db8::/64', 'direct', direct('ge-0/0/0.0'), 'ge-0/0/0.0'),
    route('default', '2001:db8:1::/48', 'static', via('2001:db8::2')),
  );
  const resolve = adjacencies(table);
  it.each([
    ['default', '10.9.0.5', 'ge-0/0/0.0', '10.9.0.5'],
    ['other', '10.9.0.5', 'ge-0/0/1.0', '10.9.0.5'],
    ['default', '10.10.10.1', 'ge-0/0/0.0', '10.9.0.2'],
    ['default', '10.20.1.1', 'ge-0/0/0.0', '10.9.0.2'],
    ['default', '2001:db8:1:2::3', 'ge-0/0/0.0', '2001:db8::2'],
  ])('%s %s goes to a neighbour on %s: %s', (instance, to, name, neighbour) => {
    const found = resolve(instance, address(to));
    expect([found?.interface, String(found?.address)]).toEqual([name, neighbour]);
  });
  it.each([
    ['a route through itself', '10.30.9.9'],
    ['two routes through each other', '10.40.9.9'],
    ['a discard route', '10.60.0.1'],
    ['no route', '192.0.2.1'],
  ])('%s leads nowhere', (_, to) => {
    expect(resolve('default', address(to))).toBeNull();
  });
});

describe('activeRoutes', () => {
  it('takes the best that can be resolved', () => {
    const table = tableOf(
      route('default', '10.9.0.0/24', 'direct', direct('ge-0/0/0.0'), 'ge-0/0/0.0'),
      route('default', '10.1.0.0/16', 'ari-ts', via('10.9.0.2'), 'gw2'),
      route('default', '10.1.0.0/16', 'ari-ts', via('172.16.0.1'), 'gw1'),
      route('default', '10.2.0.0/16', 'static', via('172.16.0.1')),
    );
    const active = activeRoutes(table).map((entry) => `${entry.route.prefix} ${entry.route.origin}`);
    expect(active.sort()).toEqual(['10.1.0.0/16 gw2', '10.9.0.0/24 ge-0/0/0.0']);
  });

  it('is one route a prefix, of the lowest preference there is', () => {
    const protocols = fc.constantFrom('direct', 'local', 'static', 'ari-ts', 'tlb') as fc.Arbitrary<
      Route['protocol']
    >;
    const anyRoute = fc
      .tuple(fc.integer({ min: 0, max: 5 }), protocols, fc.integer({ min: 0, max: 3 }))
      .map(([net, protocol, origin]) =>
        route('default', `10.${net}.0.0/16`, protocol, { kind: 'discard' }, String(origin)),
      );
    fc.assert(
      fc.property(fc.array(anyRoute), (routes) => {
        const active = activeRoutes(changeRoutes(emptyTable, { add: routes }));
        expect(new Set(active.map(({ route: one }) => String(one.prefix))).size).toBe(active.length);
        const order = ['direct', 'local', 'tlb', 'static', 'ari-ts'];
        const rank = (one: Route) => Math.max(0, [1, 1, 2, 3, 3][order.indexOf(one.protocol)]!);
        for (const { route: one } of active) {
          const rivals = routes.filter((other) => String(other.prefix) === String(one.prefix));
          expect(Math.min(...rivals.map(rank))).toBe(rank(one));
        }
      }),
    );
  });
});
