/**
 * The routes of all routing instances, as an immutable value. For one prefix there may be several routes; they
 * stand best first: by preference, and of equals the latest (for ARI routes: the gateway that announced last
 * has the tunnel).
 */
import type { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import { type Adjacency, preferenceOfRoute, type Route, type RouteNextHop } from './route.js';

/** By prefix text; never an empty list. */
export type RoutesOfInstance = ReadonlyMap<string, readonly Route[]>;
export type RouteTable = ReadonlyMap<string, RoutesOfInstance>;

export const emptyTable: RouteTable = new Map();

/** A next hop that leads to itself through others ends here. */
const deepestRecursion = 8;

export interface RouteChange {
  readonly add?: Iterable<Route>;
  /** routes for which it says true go; asked before anything is added */
  readonly removeIf?: (route: Route) => boolean;
}

/**
 * The table with the change made. A route that is added takes the place of the one with the same instance,
 * prefix, protocol and origin, and counts as the latest.
 */
export function changeRoutes(table: RouteTable, { add = [], removeIf }: RouteChange): RouteTable {
  const changed = new Map<string, Map<string, readonly Route[]>>();
  const instance = (name: string) => {
    let routes = changed.get(name);
    if (routes === undefined) {
      routes = new Map(table.get(name));
      changed.set(name, routes);
    }
    return routes;
  };
  if (removeIf !== undefined) {
    for (const [name, routes] of table) {
      for (const [key, list] of routes) {
        const kept = list.filter((route) => !removeIf(route));
        if (kept.length === list.length) continue;
        if (kept.length === 0) instance(name).delete(key);
        else instance(name).set(key, kept);
      }
    }
  }
  for (const route of add) {
    const routes = instance(route.routingInstance);
    const key = String(route.prefix.network());
    routes.set(key, insert(routes.get(key) ?? [], route));
  }
  if (changed.size === 0) return table;
  const next = new Map<string, RoutesOfInstance>(table);
  for (const [name, routes] of changed) {
    if (routes.size === 0) next.delete(name);
    else next.set(name, routes);
  }
  return next;
}

/** With these routes of a source and no others; those that are as before keep their age. */
export function replaceRoutes(
  table: RouteTable,
  isOfSource: (route: Route) => boolean,
  wanted: readonly Route[],
): RouteTable {
  const keyOf = ({ routingInstance, prefix, origin }: Route) =>
    `${routingInstance} ${prefix.network()} ${origin}`;
  const byKey = new Map(wanted.map((route) => [keyOf(route), route]));
  const kept = new Set<string>();
  for (const routes of table.values()) {
    for (const list of routes.values()) {
      for (const route of list) {
        if (!isOfSource(route)) continue;
        const next = byKey.get(keyOf(route));
        if (next !== undefined && isSameRoute(next, route)) kept.add(keyOf(route));
      }
    }
  }
  return changeRoutes(table, {
    removeIf: (route) => isOfSource(route) && !kept.has(keyOf(route)),
    add: [...byKey].flatMap(([key, route]) => (kept.has(key) ? [] : [route])),
  });
}

const isSameRoute = (a: Route, b: Route) =>
  preferenceOfRoute(a) === preferenceOfRoute(b) && nextHopKey(a.nextHop) === nextHopKey(b.nextHop);

function nextHopKey(nextHop: RouteNextHop): string {
  switch (nextHop.kind) {
    case 'address':
      return `address ${nextHop.address} ${nextHop.routingInstance ?? ''}`;
    case 'ecmp':
      return `ecmp ${nextHop.group} ${nextHop.addresses.join(' ')}`;
    default:
      return Object.values(nextHop).join(' ');
  }
}

function insert(list: readonly Route[], route: Route): Route[] {
  const others = list.filter((other) => other.protocol !== route.protocol || other.origin !== route.origin);
  const preference = preferenceOfRoute(route);
  const at = others.findIndex((other) => preferenceOfRoute(other) >= preference);
  return at < 0 ? [...others, route] : others.toSpliced(at, 0, route);
}

/** The routes of an instance for exactly this prefix, best first. */
export function routesFor(table: RouteTable, routingInstance: string, prefix: Prefix): readonly Route[] {
  return table.get(routingInstance)?.get(String(prefix.network())) ?? [];
}

export type Resolver = (routingInstance: string, address: Address) => Adjacency | null;

/** Tables are immutable, so what one resolver found holds for all of a table. */
const resolvers = new WeakMap<RouteTable, Resolver>();

/**
 * The neighbour to which packets for the address go, or null: there is no route, or it does not end at a
 * neighbour. Of next hops that share the traffic the first that leads somewhere stands for all. It remembers.
 */
export function adjacencies(table: RouteTable): Resolver {
  let resolver = resolvers.get(table);
  if (resolver === undefined) {
    resolver = makeResolver(table);
    resolvers.set(table, resolver);
  }
  return resolver;
}

function makeResolver(table: RouteTable): Resolver {
  const known = new Map<string, Adjacency | null>();
  const resolve = (routingInstance: string, address: Address, depth: number): Adjacency | null => {
    const key = `${routingInstance} ${address}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const found = depth > deepestRecursion ? null : search(routingInstance, address, depth);
    known.set(key, found);
    return found;
  };
  const search = (routingInstance: string, address: Address, depth: number): Adjacency | null => {
    const routes = table.get(routingInstance);
    for (let length = address.bytes.length * 8; routes !== undefined && length >= 0; length--) {
      const list = routes.get(String(new Prefix(address, length).network()));
      if (list === undefined) continue;
      // a route whose own next hop cannot be resolved is no route: the next best, or a shorter one, counts
      for (const { nextHop } of list) {
        if (nextHop.kind === 'direct') return { interface: nextHop.interface, address };
        if (nextHop.kind !== 'address' && nextHop.kind !== 'ecmp') return null;
        const where = nextHop.routingInstance ?? routingInstance;
        for (const next of nextHop.kind === 'address' ? [nextHop.address] : nextHop.addresses) {
          const isItself = where === routingInstance && next.equals(address);
          const through = isItself ? null : resolve(where, next, depth + 1);
          if (through !== null) return through;
        }
      }
    }
    return null;
  };
  return (routingInstance, address) => resolve(routingInstance, address, 0);
}

export interface ActiveRoute {
  readonly route: Route;
  /** of an address next hop, and the first of several */
  readonly adjacency: Adjacency | null;
}

/**
 * For each prefix the best route that leads somewhere: what is forwarded by. isUsable: whether a group of next hops
 * has one that is up; where no route of the prefix has, the best counts nevertheless, and what comes is dropped there
 * instead of leaving by a route that was not meant for it.
 */
export function activeRoutes(
  table: RouteTable,
  isUsable: (route: Route) => boolean = () => true,
): ActiveRoute[] {
  const resolve = adjacencies(table);
  const active: ActiveRoute[] = [];
  for (const routes of table.values()) {
    for (const list of routes.values()) {
      let fallback: ActiveRoute | null = null;
      for (const route of list) {
        const adjacency = adjacencyOf(route, resolve);
        if (needsAdjacency(route) && adjacency === null) continue;
        fallback ??= { route, adjacency };
        if (!isUsable(route)) continue;
        fallback = { route, adjacency };
        break;
      }
      if (fallback !== null) active.push(fallback);
    }
  }
  return active;
}

const needsAdjacency = ({ nextHop }: Route) => nextHop.kind === 'address' || nextHop.kind === 'ecmp';

function adjacencyOf({ nextHop, routingInstance }: Route, resolve: Resolver): Adjacency | null {
  if (nextHop.kind !== 'address' && nextHop.kind !== 'ecmp') return null;
  const where = nextHop.routingInstance ?? routingInstance;
  if (nextHop.kind === 'address') return resolve(where, nextHop.address);
  for (const address of nextHop.addresses) {
    const found = resolve(where, address);
    if (found !== null) return found;
  }
  return null;
}
