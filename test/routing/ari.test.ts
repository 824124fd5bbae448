import { describe, expect, it } from 'vitest';
import { announce, withdraw, withdrawAll } from '../../dist/routing/ari.js';
import { interfaceRoutes, staticRoutes } from '../../dist/routing/sources.js';
import { changeRoutes, emptyTable, type RouteTable, routesFor } from '../../dist/routing/table.js';
import { address, direct, prefix, route } from './support.js';

const announcement = (to: string, nextHop: string) => ({
  routingInstance: 'UNTRUST_VR',
  prefix: prefix(to),
  nextHop: address(nextHop),
});
const exporters = (table: RouteTable, to: string) =>
  routesFor(table, 'UNTRUST_VR', prefix(to)).map(({ origin }) => origin);

describe('ARI', () => {
  const link = changeRoutes(emptyTable, {
    add: [route('UNTRUST_VR', '10.1.1.0/24', 'direct', direct('ae1.1'), 'ae1.1')],
  });

  it('lets the latest announcement win and tells who had it', () => {
    const first = announce(link, 'gw1', [announcement('192.0.2.1/32', '10.1.1.2')], 1);
    expect(first.superseded).toEqual([]);
    const second = announce(first.table, 'gw2', [announcement('192.0.2.1/32', '10.1.1.10')], 2);
    expect(exporters(second.table, '192.0.2.1/32')).toEqual(['gw2', 'gw1']);
    expect(second.superseded.map(({ exporter, prefix: of }) => [exporter, String(of)])).toEqual([
      ['gw1', '192.0.2.1/32'],
    ]);
    const again = announce(second.table, 'gw1', [announcement('192.0.2.1/32', '10.1.1.2')], 3);
    expect(exporters(again.table, '192.0.2.1/32')).toEqual(['gw1', 'gw2']);
    expect(again.superseded.map(({ exporter }) => exporter)).toEqual(['gw2']);
  });

  it('supersedes nobody when the same gateway announces again', () => {
    const first = announce(link, 'gw1', [announcement('192.0.2.1/32', '10.1.1.2')], 1);
    const second = announce(first.table, 'gw1', [announcement('192.0.2.1/32', '10.1.1.3')], 2);
    expect(second.superseded).toEqual([]);
    expect(exporters(second.table, '192.0.2.1/32')).toEqual(['gw1']);
  });

  it('withdraws what was named, of that gateway only', () => {
    let { table } = announce(
      link,
      'gw1',
      [announcement('192.0.2.1/32', '10.1.1.2'), announcement('192.0.2.2/32', '10.1.1.2')],
      1,
    );
    ({ table } = announce(table, 'gw2', [announcement('192.0.2.1/32', '10.1.1.10')], 2));
    table = withdraw(table, 'gw2', [
      announcement('192.0.2.1/32', '10.1.1.10'),
      announcement('192.0.2.2/32', '10.1.1.10'),
    ]);
    expect(exporters(table, '192.0.2.1/32')).toEqual(['gw1']);
    expect(exporters(table, '192.0.2.2/32')).toEqual(['gw1']);
  });

  it('takes every route of a gateway that is gone, and no other', () => {
    let { table } = announce(link, 'gw1', [announcement('192.0.2.1/32', '10.1.1.2')], 1);
    ({ table } = announce(table, 'gw2', [announcement('192.0.2.2/32', '10.1.1.10')], 2));
    table = withdrawAll(table, 'gw1');
    expect(exporters(table, '192.0.2.1/32')).toEqual([]);
    expect(exporters(table, '192.0.2.2/32')).toEqual(['gw2']);
    expect(routesFor(table, 'UNTRUST_VR', prefix('10.1.1.0/24'))).toHaveLength(1);
  });
});

describe('routes of a configuration', () => {
  it('has a local route per own address and a direct one per network of a link', () => {
    const filterInput = { inet: null, inet6: null };
    const common = { mtu: 1500, vlanId: null, filterInput, routingInstance: 'TRUST_VR', zone: null };
    const routes = interfaceRoutes(
      [
        {
          ...common,
          name: 'ge-0/0/0.0',
          kind: 'port',
          port: 'ge-0/0/0',
          addresses: [prefix('10.1.1.1/24'), prefix('10.1.2.1/32')],
        },
        { ...common, name: 'lo0.0', kind: 'loopback', port: null, addresses: [prefix('10.0.0.1/32')] },
      ],
      7,
    );
    expect(routes.map((one) => `${one.protocol} ${one.prefix} ${one.origin}`)).toEqual([
      'local 10.1.1.1/32 ge-0/0/0.0',
      'direct 10.1.1.0/24 ge-0/0/0.0',
      'local 10.1.2.1/32 ge-0/0/0.0',
      'local 10.0.0.1/32 lo0.0',
    ]);
  });

  it('leads static routes through an st0 unit into its tunnel, and leaves out a unit without one', () => {
    const instances = [
      {
        name: 'default',
        instanceType: 'default' as const,
        instanceImport: [],
        staticRoutes: [
          {
            prefix: prefix('10.7.0.0/16'),
            preference: 5,
            nextHop: { kind: 'interface' as const, interface: 'st0.1' },
            bfd: [],
          },
          {
            prefix: prefix('10.8.0.0/16'),
            preference: 5,
            nextHop: { kind: 'interface' as const, interface: 'st0.2' },
            bfd: [],
          },
          { prefix: prefix('10.9.0.0/16'), preference: 5, nextHop: { kind: 'discard' as const }, bfd: [] },
        ],
      },
    ];
    const routes = staticRoutes(instances, (name) => (name === 'st0.1' ? 'avpn' : undefined), 0);
    expect(routes.map((one) => [String(one.prefix), one.nextHop])).toEqual([
      ['10.7.0.0/16', { kind: 'tunnel', tunnel: 'avpn', interface: 'st0.1' }],
      ['10.9.0.0/16', { kind: 'discard' }],
    ]);
  });
});
