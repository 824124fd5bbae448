import type { NodeState } from '../../node/state.js';
import { isUsable } from '../../node/tables.js';
import { preferenceOfRoute, type Route } from '../../routing/route.js';
import { type ActiveRoute, activeRoutes, adjacencies, type Resolver } from '../../routing/table.js';
import type { NodeView } from './node-view.js';
import { digestText } from './services.js';
import type { ForwardingEntryView, NextHopView, RouteView, Views } from './views.js';

/** Every route of every instance, best first for each prefix. params.table: one instance only. */
export function showRoutes(
  { state, nowMs }: NodeView,
  params: {
    table?: string | undefined;
    destination?: string | undefined;
    protocol?: string | undefined;
  },
): Views['route'] {
  const resolve = adjacencies(state.routes);
  const active = new Set(
    activeRoutes(state.routes, (route) => isUsable(state, route)).map(({ route }) => route),
  );
  const routes: RouteView[] = [];
  for (const [instance, prefixes] of state.routes) {
    if (params.table !== undefined && params.table !== instance) continue;
    for (const list of prefixes.values()) {
      for (const route of list) {
        if (params.destination !== undefined && String(route.prefix.network()) !== params.destination)
          continue;
        if (params.protocol !== undefined && route.protocol !== params.protocol) continue;
        routes.push(viewOf(state, route, active.has(route), resolve, nowMs));
      }
    }
  }
  return { routes: routes.sort(byTableAndPrefix) };
}

function viewOf(
  state: NodeState,
  route: Route,
  active: boolean,
  resolve: Resolver,
  nowMs: number,
): RouteView {
  const { routingInstance, prefix, protocol, origin, nextHop, sinceMs } = route;
  const adjacency =
    nextHop.kind === 'address' ? resolve(nextHop.routingInstance ?? routingInstance, nextHop.address) : null;
  const named: Record<typeof nextHop.kind, () => [text: string, via: string | null]> = {
    local: () => ['Local', origin],
    direct: () => ['', origin],
    address: () => [
      nextHop.kind === 'address' ? String(nextHop.address) : '',
      adjacency === null ? null : adjacency.interface,
    ],
    tunnel: () => [`Tunnel ${origin}`, nextHop.kind === 'tunnel' ? nextHop.interface : null],
    ecmp: () => [nextHop.kind === 'ecmp' ? nextHop.addresses.join(' ') : '', null],
    group: () => [`Virtual service ${origin}`, null],
    'by-source': () => ['By source', nextHop.kind === 'by-source' ? nextHop.routingInstance : null],
    discard: () => ['Discard', null],
  };
  const [text, via] = named[nextHop.kind]();
  const nextHops = nextHop.kind === 'ecmp' ? nextHopViews(state, nextHop.group, resolve) : [];
  return {
    routingInstance,
    family: prefix.family,
    prefix: String(prefix),
    active,
    hidden:
      (nextHop.kind === 'address' && adjacency === null) ||
      (nextHop.kind === 'ecmp' && nextHops.every((each) => each.via === null)),
    protocol,
    preference: preferenceOfRoute(route),
    kernelMetric: active ? (state.exported.get(String(prefix.network()))?.metric ?? null) : null,
    importedFrom: route.importedFrom ?? null,
    ageSeconds: Math.max(0, Math.floor((nowMs - sinceMs) / 1000)),
    nextHop: text,
    via,
    nextHops,
    origin,
  };
}

function nextHopViews(state: NodeState, key: string, resolve: Resolver): NextHopView[] {
  const group = state.groups.get(key);
  return (group?.members ?? []).map(({ name, address, key: service }) => ({
    name,
    address: String(address),
    via: resolve(group!.routingInstance, address)?.interface ?? null,
    status: state.services.get(service)?.up === true ? 'UP' : 'DOWN',
  }));
}

/** What is forwarded by: the active routes of each instance and family. params.table, destination: only those. */
export function showForwardingTable(
  { state }: NodeView,
  { table, destination }: { table?: string | undefined; destination?: string | undefined },
): Views['forwarding-table'] {
  const resolve = adjacencies(state.routes);
  const indices = new Map<string, { index: number; references: number }>();
  const hop = (
    address: string,
    type: ForwardingEntryView['nextHops'][number]['type'],
    name: string,
  ): ForwardingEntryView['nextHops'][number] => {
    const key = `${type} ${address} ${name}`;
    const known = indices.get(key) ?? { index: indices.size + 1, references: 0 };
    known.references++;
    indices.set(key, known);
    return { address, type, interface: name, index: known.index, references: 0 };
  };
  const hopsOf = ({ route, adjacency }: ActiveRoute) => {
    const { nextHop } = route;
    switch (nextHop.kind) {
      case 'local':
        return [hop(String(route.prefix.address), 'locl', nextHop.interface)];
      case 'direct':
        return [hop('', 'rslv', nextHop.interface)];
      case 'address':
        return [hop(String(adjacency!.address), 'ucst', adjacency!.interface)];
      case 'ecmp':
      case 'group':
        return nextHopViews(state, nextHop.group, resolve)
          .filter(({ status }) => status === 'UP')
          .map(({ address, via }) => hop(address, 'ucst', via ?? ''));
      case 'tunnel':
        return [hop('', 'indr', nextHop.interface)];
      case 'by-source':
        return [hop('', 'indr', nextHop.routingInstance)];
      case 'discard':
        return [hop('', 'dscd', '')];
    }
  };
  const tables = new Map<
    string,
    { routingInstance: string; family: 'inet' | 'inet6'; entries: ForwardingEntryView[] }
  >();
  for (const active of activeRoutes(state.routes, (route) => isUsable(state, route))) {
    const { routingInstance, prefix, protocol, nextHop } = active.route;
    if (table !== undefined && table !== routingInstance) continue;
    if (destination !== undefined && destination !== String(prefix)) continue;
    const key = `${routingInstance === 'default' ? 'default' : routingInstance}.${prefix.family}`;
    const group = nextHop.kind === 'ecmp' || nextHop.kind === 'group' ? nextHop.group : null;
    const digest = group === null ? null : (state.groups.get(group)?.digest ?? 0n);
    const entry: ForwardingEntryView = {
      destination: String(prefix),
      type: protocol === 'direct' || protocol === 'local' ? 'intf' : 'user',
      nextHops: hopsOf(active),
      group,
      digest: digest === null ? null : digestText(digest),
    };
    const found = tables.get(key) ?? { routingInstance, family: prefix.family, entries: [] };
    found.entries.push(entry);
    tables.set(key, found);
  }
  const counted = (entry: ForwardingEntryView): ForwardingEntryView => ({
    ...entry,
    nextHops: entry.nextHops.map((each) => ({
      ...each,
      references: indices.get(`${each.type} ${each.address} ${each.interface}`)!.references,
    })),
  });
  return {
    tables: [...tables]
      .sort(([a], [b]) => compare(a, b))
      .map(([name, { entries, ...rest }]) => ({
        name,
        ...rest,
        entries: entries
          .map(counted)
          .sort((a, b) => a.destination.localeCompare(b.destination, 'en', { numeric: true })),
      })),
  };
}

/** Array.sort is stable: routes of one prefix keep their order. */
function byTableAndPrefix(a: RouteView, b: RouteView): number {
  return (
    compare(a.routingInstance, b.routingInstance) ||
    compare(a.family, b.family) ||
    a.prefix.localeCompare(b.prefix, 'en', { numeric: true })
  );
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
