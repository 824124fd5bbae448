/**
 * Auto route injection: a gateway's route to what is behind a tunnel, put into its own table and announced to
 * routers. On a router the latest announcement of a prefix wins, since it comes from the gateway that the tunnel
 * moved to; whoever announced it before is told, and announces again when the tunnel comes back.
 */
import type { Address } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';
import type { Route } from './route.js';
import { changeRoutes, type RouteTable, routesFor } from './table.js';

export interface Announcement {
  readonly routingInstance: string;
  readonly prefix: Prefix;
  readonly nextHop: Address;
}

export interface Superseded {
  /** who announced it before */
  readonly exporter: string;
  readonly routingInstance: string;
  readonly prefix: Prefix;
}

const isFrom = (route: Route, exporter: string) => route.protocol === 'ari-ts' && route.origin === exporter;

/** The route of a tunnel in the gateway's own table. */
export function tunnelRoute(
  tunnel: string,
  interfaceName: string,
  routingInstance: string,
  prefix: Prefix,
  nowMs: number,
): Route {
  const nextHop = { kind: 'tunnel', tunnel, interface: interfaceName } as const;
  return { routingInstance, prefix, protocol: 'ari-ts', origin: tunnel, nextHop, sinceMs: nowMs };
}

/**
 * The routes of a tunnel among many to the same place: in the instance `sources` what comes from `local` goes into
 * it, and packets to `remote` are looked up there by their source.
 */
export function tunnelRoutesBySource(
  tunnel: string,
  interfaceName: string,
  routingInstance: string,
  sources: string,
  { local, remote }: { readonly local: Prefix; readonly remote: Prefix },
  nowMs: number,
): Route[] {
  const nextHop = { kind: 'by-source', routingInstance: sources } as const;
  return [
    tunnelRoute(tunnel, interfaceName, sources, local, nowMs),
    { routingInstance, prefix: remote, protocol: 'ari-ts', origin: sources, nextHop, sinceMs: nowMs },
  ];
}

/** On the router: takes announcements of a gateway. */
export function announce(
  table: RouteTable,
  exporter: string,
  announcements: readonly Announcement[],
  nowMs: number,
): { table: RouteTable; superseded: Superseded[] } {
  const superseded: Superseded[] = [];
  const add: Route[] = [];
  for (const { routingInstance, prefix, nextHop } of announcements) {
    const before = routesFor(table, routingInstance, prefix).find((route) => route.protocol === 'ari-ts');
    if (before !== undefined && before.origin !== exporter) {
      superseded.push({ exporter: before.origin, routingInstance, prefix });
    }
    const to = { kind: 'address', address: nextHop } as const;
    add.push({ routingInstance, prefix, protocol: 'ari-ts', origin: exporter, nextHop: to, sinceMs: nowMs });
  }
  return { table: changeRoutes(table, { add }), superseded };
}

/** On the router: takes them back. */
export function withdraw(
  table: RouteTable,
  exporter: string,
  prefixes: readonly { readonly routingInstance: string; readonly prefix: Prefix }[],
): RouteTable {
  const gone = new Set(prefixes.map(({ routingInstance, prefix }) => `${routingInstance} ${prefix}`));
  return changeRoutes(table, {
    removeIf: (route) => isFrom(route, exporter) && gone.has(`${route.routingInstance} ${route.prefix}`),
  });
}

/** On the router: the gateway is gone, and all its routes with it. */
export function withdrawAll(table: RouteTable, exporter: string): RouteTable {
  return changeRoutes(table, { removeIf: (route) => isFrom(route, exporter) });
}
