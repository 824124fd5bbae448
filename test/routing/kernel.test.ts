import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import type { KernelChange } from '../../dist/pipeline/native.js';
import { importKernelRoutes, KernelMirror, type SharedLink } from '../../dist/routing/kernel.js';
import type { Route } from '../../dist/routing/route.js';
import { interfaceRoutes } from '../../dist/routing/sources.js';
import { activeRoutes, changeRoutes, emptyTable } from '../../dist/routing/table.js';
import { address, prefix } from './support.js';

const bytes = (text: string) => Uint8Array.from(ipaddr.parse(text).toByteArray());
const link: SharedLink = { index: 7, interface: 'ge-0/0/0.0', routingInstance: 'TRUST_VR' };
const own = 200;

function route(to: string, via: string | null, more: object = {}): KernelChange {
  const [network, length] = to.split('/') as [string, string];
  return {
    kind: 'route',
    removed: false,
    address: bytes(network),
    length: Number(length),
    protocol: 12,
    type: 'unicast',
    table: 254,
    interface: 7,
    metric: 32,
    gateway: via === null ? null : bytes(via),
    ...more,
  } as KernelChange;
}
const kernelAddress = (text: string, more: object = {}): KernelChange =>
  ({
    kind: 'address',
    removed: false,
    interface: 7,
    address: bytes(text),
    length: 24,
    ...more,
  }) as KernelChange;
const neighbour = (text: string, more: object = {}): KernelChange =>
  ({
    kind: 'neighbour',
    removed: false,
    interface: 7,
    address: bytes(text),
    state: 'reachable',
    mac: bytes('::1').subarray(0, 6),
    ...more,
  }) as KernelChange;

const hop = ({ nextHop }: Route) => (nextHop.kind === 'address' ? String(nextHop.address) : nextHop.kind);
const routesOf = (...changes: KernelChange[]) => {
  const mirror = new KernelMirror();
  mirror.take(changes, own);
  return mirror.routesThrough([link], 1).map((each) => `${each.prefix} ${hop(each)}`);
};

describe('routes of the kernel', () => {
  it('are those of its main table that lead to a neighbour on a shared interface', () => {
    expect(
      routesOf(
        route('10.20.0.0/16', '10.1.1.1'),
        route('2001:db8::/32', '2001:db8:1::1'),
        route('10.30.0.0/16', '10.9.9.9', { interface: 8 }),
        route('10.40.0.0/16', '10.1.1.1', { table: 100 }),
        route('10.50.0.0/16', '10.1.1.1', { protocol: own }),
        route('10.1.1.0/24', null),
        route('10.60.0.0/16', '10.1.1.1', { type: 'other' }),
        route('10.70.0.0/16', '2001:db8:1::1'),
      ),
    ).toEqual(['10.20.0.0/16 10.1.1.1', '2001:db8::/32 2001:db8:1::1']);
  });

  it('leave the kernel’s own addresses to it, and link-local ones alone', () => {
    expect(
      routesOf(
        kernelAddress('10.1.1.3'),
        kernelAddress('fe80::1'),
        kernelAddress('10.9.9.9', { interface: 8 }),
      ),
    ).toEqual(['10.1.1.3/32 discard']);
  });

  it('go when the kernel says so', () => {
    const mirror = new KernelMirror();
    expect(mirror.take([route('10.20.0.0/16', '10.1.1.1'), kernelAddress('10.1.1.3')], own).routes).toBe(
      true,
    );
    const gone = [
      route('10.20.0.0/16', '10.1.1.1', { removed: true }),
      kernelAddress('10.1.1.3', { removed: true }),
    ];
    expect(mirror.take(gone, own).routes).toBe(true);
    expect(mirror.routesThrough([link], 1)).toEqual([]);
  });

  it('are looked at again for what changed them only', () => {
    const mirror = new KernelMirror();
    const { routes, neighbours } = mirror.take(
      [neighbour('10.1.1.1'), route('10.50.0.0/16', '10.1.1.1', { protocol: own })],
      own,
    );
    expect(routes).toBe(false);
    expect(neighbours).toHaveLength(1);
    mirror.take([neighbour('10.1.1.1', { removed: true })], own);
    expect([...mirror.neighbours]).toEqual([]);
  });

  it('of one prefix: the one with the least metric', () => {
    const mirror = new KernelMirror();
    mirror.take(
      [route('10.20.0.0/16', '10.1.1.9', { metric: 5 }), route('10.20.0.0/16', '10.1.1.1', { metric: 32 })],
      own,
    );
    const direct = interfaceRoutes(
      [
        {
          name: link.interface,
          kind: 'port',
          routingInstance: 'TRUST_VR',
          addresses: [prefix('10.1.1.2/24')],
        } as never,
      ],
      0,
    );
    const table = importKernelRoutes(
      changeRoutes(emptyTable, { add: direct }),
      mirror.routesThrough([link], 1),
    );
    const active = activeRoutes(table).find(({ route: each }) => String(each.prefix) === '10.20.0.0/16');
    expect(active?.adjacency?.address.equals(address('10.1.1.9'))).toBe(true);
  });
});

describe('the table with them', () => {
  const mirror = new KernelMirror();
  mirror.take([route('10.20.0.0/16', '10.1.1.1'), route('10.30.0.0/16', '10.1.1.1')], own);
  const first = importKernelRoutes(emptyTable, mirror.routesThrough([link], 1));
  const all = (table: typeof first) =>
    [...table.values()]
      .flatMap((routes) => [...routes.values()].flat())
      .map((each) => `${each.prefix} ${hop(each)} ${each.sinceMs}`);

  it('stays the same when nothing changed', () => {
    expect(importKernelRoutes(first, mirror.routesThrough([link], 9))).toBe(first);
  });

  it('keeps the age of those that stay, and loses those that went', () => {
    const next = new KernelMirror();
    next.take(
      [route('10.30.0.0/16', '10.1.1.7'), route('10.20.0.0/16', '10.1.1.1'), kernelAddress('10.1.1.3')],
      own,
    );
    expect(all(importKernelRoutes(first, next.routesThrough([link], 5))).sort()).toEqual([
      '10.1.1.3/32 discard 5',
      '10.20.0.0/16 10.1.1.1 1',
      '10.30.0.0/16 10.1.1.7 5',
    ]);
    expect(importKernelRoutes(first, []).size).toBe(0);
  });

  it('has static and own routes before them', () => {
    const nextHop = { kind: 'address', address: address('10.1.1.8') } as const;
    const own32 = {
      routingInstance: 'TRUST_VR',
      prefix: prefix('10.20.0.0/16'),
      protocol: 'static',
      origin: 'configuration',
      nextHop,
      sinceMs: 0,
    } as const;
    const table = importKernelRoutes(
      changeRoutes(emptyTable, { add: [own32] }),
      mirror.routesThrough([link], 1),
    );
    expect(
      table
        .get('TRUST_VR')
        ?.get('10.20.0.0/16')
        ?.map(({ protocol }) => protocol),
    ).toEqual(['static', 'kernel']);
  });
});
