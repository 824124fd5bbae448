import { preferenceOf, type Route } from '../../routing/route.js';
import { activeRoutes, adjacencies } from '../../routing/table.js';
import type { NodeView } from './node-view.js';
import type { RouteView, Views } from './views.js';

/** Every route of every instance, best first for each prefix. params.table: one instance only. */
export function showRoutes(
  { state, nowMs }: NodeView,
  params: { table?: string | undefined },
): Views['route'] {
  const resolve = adjacencies(state.routes);
  const active = new Set(activeRoutes(state.routes).map(({ route }) => route));
  const routes: RouteView[] = [];
  for (const [instance, prefixes] of state.routes) {
    if (params.table !== undefined && params.table !== instance) continue;
    for (const list of prefixes.values()) {
      for (const route of list) routes.push(viewOf(route, active.has(route), resolve, nowMs));
    }
  }
  return { routes: routes.sort(byTableAndPrefix) };
}

function viewOf(
  route: Route,
  active: boolean,
  resolve: ReturnType<typeof adjacencies>,
  nowMs: number,
): RouteView {
  const { routingInstance, prefix, protocol, origin, nextHop, sinceMs } = route;
  const adjacency = nextHop.kind === 'address' ? resolve(routingInstance, nextHop.address) : null;
  const named: Record<typeof nextHop.kind, () => [text: string, via: string | null]> = {
    local: () => ['Local', origin],
    direct: () => ['', origin],
    address: () => [
      nextHop.kind === 'address' ? String(nextHop.address) : '',
      adjacency === null ? null : adjacency.interface,
    ],
    tunnel: () => [`Tunnel ${origin}`, nextHop.kind === 'tunnel' ? nextHop.interface : null],
    group: () => [`Virtual service ${origin}`, null],
    'by-source': () => ['By source', nextHop.kind === 'by-source' ? nextHop.routingInstance : null],
    discard: () => ['Discard', null],
  };
  const [text, via] = named[nextHop.kind]();
  return {
    routingInstance,
    family: prefix.family,
    prefix: String(prefix),
    active,
    hidden: nextHop.kind === 'address' && adjacency === null,
    protocol,
    preference: preferenceOf[protocol],
    ageSeconds: Math.max(0, Math.floor((nowMs - sinceMs) / 1000)),
    nextHop: text,
    via,
    origin,
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
