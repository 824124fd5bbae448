/**
 * Routes of the kernel, where a port shares an interface with it. What routing daemons put into its main table through that
 * interface leads there for the node, too; the kernel's own addresses on it are discarded: packets to them are its to answer.
 */
import { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import type { KernelChange } from '../pipeline/native.js';
import type { Route, RouteNextHop } from './route.js';
import { changeRoutes, type RouteTable } from './table.js';

/** RT_TABLE_MAIN of rtnetlink(7) */
const mainTable = 254;

/** An interface of the kernel with the logical one on it that packets without a tag are of. */
export interface SharedLink {
  /** the kernel's number */
  readonly index: number;
  readonly interface: string;
  readonly routingInstance: string;
}

export type KernelNeighbour = KernelChange & { kind: 'neighbour' };

/** What the kernel has said so far, as a value that takes its changes. */
export class KernelMirror {
  readonly #routes = new Map<string, KernelChange & { kind: 'route' }>();
  readonly #addresses = new Map<string, KernelChange & { kind: 'address' }>();
  readonly #neighbours = new Map<string, KernelNeighbour>();

  clear(): void {
    for (const of of [this.#routes, this.#addresses, this.#neighbours]) of.clear();
  }

  /** Whether routes or addresses changed; and the neighbours that did. ownProtocol: of routes that the node put there itself. */
  take(
    changes: readonly KernelChange[],
    ownProtocol: number,
  ): { routes: boolean; neighbours: KernelNeighbour[] } {
    let routes = false;
    const neighbours: KernelNeighbour[] = [];
    for (const change of changes) {
      const address = new Address(change.address);
      switch (change.kind) {
        case 'route':
          if (change.table !== mainTable || change.protocol === ownProtocol) break;
          put(this.#routes, `${address}/${change.length} ${change.metric}`, change);
          routes = true;
          break;
        case 'address':
          put(this.#addresses, `${change.interface} ${address}`, change);
          routes = true;
          break;
        case 'neighbour':
          put(this.#neighbours, `${change.interface} ${address}`, change);
          neighbours.push(change);
      }
    }
    return { routes, neighbours };
  }

  /** The kernel's own addresses on an interface. */
  addressesOn(index: number): Address[] {
    return [...this.#addresses.values()].flatMap((own) =>
      own.interface === index ? [new Address(own.address)] : [],
    );
  }

  get neighbours(): Iterable<KernelNeighbour> {
    return this.#neighbours.values();
  }

  /** What the node makes of it. Routes of the kernel that come with an address of its own are none: the node has its own. */
  routesThrough(links: readonly SharedLink[], nowMs: number): Route[] {
    const byIndex = new Map(links.map((link) => [link.index, link]));
    const found: { route: Route; metric: number }[] = [];
    const add = (link: SharedLink, prefix: Prefix, nextHop: RouteNextHop, metric: number) => {
      const { routingInstance, interface: origin } = link;
      const route = { routingInstance, prefix, protocol: 'kernel', origin, nextHop, sinceMs: nowMs } as const;
      found.push({ route, metric });
    };
    for (const { address, interface: index } of this.#addresses.values()) {
      const link = byIndex.get(index);
      // the kernel drops link-local addresses into every link: they are no routes
      if (link !== undefined && !isLinkLocal(address))
        add(link, Prefix.host(new Address(address)), { kind: 'discard' }, 0);
    }
    for (const { address, length, interface: index, gateway, type, metric } of this.#routes.values()) {
      const link = byIndex.get(index);
      if (link === undefined || gateway === null || type !== 'unicast' || gateway.length !== address.length)
        continue;
      const prefix = new Prefix(new Address(address), length);
      add(link, prefix, { kind: 'address', address: new Address(gateway) }, metric);
    }
    // of several with one prefix the kernel takes the least metric; the node the latest that came
    return found.sort((a, b) => b.metric - a.metric).map(({ route }) => route);
  }
}

/** The table with these routes of the kernel and no others; those that stay keep their age. */
export function importKernelRoutes(table: RouteTable, routes: readonly Route[]): RouteTable {
  const wanted = new Map(routes.map((route) => [keyOf(route), route]));
  const kept = new Set<string>();
  for (const prefixes of table.values()) {
    for (const list of prefixes.values()) {
      for (const route of list) {
        if (route.protocol === 'kernel' && sameHop(wanted.get(keyOf(route)), route)) kept.add(keyOf(route));
      }
    }
  }
  return changeRoutes(table, {
    removeIf: (route) => route.protocol === 'kernel' && !kept.has(keyOf(route)),
    add: [...wanted].flatMap(([key, route]) => (kept.has(key) ? [] : [route])),
  });
}

const keyOf = ({ routingInstance, prefix, origin }: Route) => `${routingInstance} ${prefix} ${origin}`;

const hopText = ({ nextHop }: Route) => (nextHop.kind === 'address' ? String(nextHop.address) : nextHop.kind);
const sameHop = (wanted: Route | undefined, route: Route) =>
  wanted !== undefined && hopText(wanted) === hopText(route);

function put<T extends KernelChange>(map: Map<string, T>, key: string, change: T): void {
  if (change.removed) map.delete(key);
  else map.set(key, change);
}

/** fe80::/10 */
const isLinkLocal = (bytes: Uint8Array) =>
  bytes.length === 16 && bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
