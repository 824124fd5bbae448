/** Tunnels: their SAs, their routes, and who is told of these. */
import { type Announcement, tunnelRoute, tunnelRoutesBySource } from '../routing/ari.js';
import type { Route } from '../routing/route.js';
import { adjacencies, changeRoutes } from '../routing/table.js';
import type { AddedSa, NodeAction, OutboundSaRequest, PrefixOfInstance } from './event.js';
import { groupBy } from './group-by.js';
import type { Stepped } from './services.js';
import { type NodeState, type TunnelState, withDirty } from './state.js';
import type { TunnelKeys } from './tunnel.js';

/** Keys go to the native core first; routes and SPIs follow once it has said where the SAs are. */
export function tunnelsKeyed(state: NodeState, keys: readonly TunnelKeys[]): Stepped {
  const nodeId = state.config?.system.nodeId ?? null;
  const { ticket } = state;
  const actions: NodeAction[] = [];
  const outbound: OutboundSaRequest[] = [];
  const mtuTo = pathMtu(state);
  for (const { tunnel, outbound: sa, epoch, nextSequence } of keys) {
    const refusal = sealingRefused(nodeId, epoch);
    if (refusal !== null) {
      actions.push({ kind: 'report', report: { kind: 'refused', tunnel: tunnel.name, reason: refusal } });
      continue;
    }
    outbound.push({
      ...sa,
      tunnel,
      epoch: epoch!,
      nextSequence,
      mtu: mtuTo(tunnel.routingInstance, tunnel.gateway),
      routingInstance: state.numberings.routingInstances.of(tunnel.routingInstance),
    });
  }
  const inbound = keys.flatMap(({ tunnel, inbound: sas }) => sas.map((sa) => ({ ...sa, tunnel })));
  actions.push({
    kind: 'add-sas',
    ticket,
    nodeId: nodeId ?? 0,
    workers: state.setup.workers,
    inbound,
    outbound,
  });
  return {
    state: { ...state, ticket: ticket + 1, adding: new Map(state.adding).set(ticket, keys) },
    actions,
  };
}

/** IV = node-id (4 bits) | epoch (12) | counter (48): with any of them unknown an IV might come twice. */
export function sealingRefused(nodeId: number | null, epoch: number | null): string | null {
  if (nodeId === null) return 'nothing is sealed: system.node-id is missing';
  if (epoch === null)
    return 'nothing is sealed: its generation is unknown or used up; replace its keys (rekey)';
  return null;
}

/** What an outer packet may have in bytes: the MTU of the link that leads to the peer. */
function pathMtu(
  state: NodeState,
): (instance: string, to: Parameters<ReturnType<typeof adjacencies>>[1]) => number {
  const resolve = adjacencies(state.routes);
  const mtus = new Map((state.config?.interfaces ?? []).map(({ name, mtu }) => [name, mtu]));
  const links = (state.config?.interfaces ?? []).filter(({ kind }) => kind === 'port');
  const smallest = Math.min(...links.map(({ mtu }) => mtu));
  return (instance, to) => {
    const adjacency = resolve(instance, to);
    return (adjacency && mtus.get(adjacency.interface)) ?? (Number.isFinite(smallest) ? smallest : 1500);
  };
}

/** The native core has the SAs: they take the place of those that the tunnels had. */
export function sasAdded(
  state: NodeState,
  ticket: number,
  inbound: readonly AddedSa[],
  outbound: readonly AddedSa[],
  nowMs: number,
): Stepped {
  const keys = state.adding.get(ticket);
  if (keys === undefined) return { state, actions: [] };
  const adding = new Map(state.adding);
  adding.delete(ticket);
  const inboundOf = groupBy(inbound, ({ tunnel }) => tunnel);
  const outboundOf = new Map(outbound.map((sa) => [sa.tunnel, sa]));
  const tunnels = new Map(state.tunnels);
  const retiring = { inbound: [...state.retiring.inbound], outbound: [...state.retiring.outbound] };
  const routes: Route[] = [];
  const keyed: string[] = [];
  for (const { tunnel } of keys) {
    const before = tunnels.get(tunnel.name);
    if (before !== undefined) retire(retiring, before);
    const sa = outboundOf.get(tunnel.name) ?? null;
    tunnels.set(tunnel.name, {
      tunnel,
      inbound: inboundOf.get(tunnel.name) ?? [],
      outbound: sa,
      proven: before?.proven ?? false,
      announcedTo: before?.announcedTo ?? new Set(),
      sinceMs: nowMs,
    });
    if (tunnel.announced === 'when-keyed' && sa !== null) keyed.push(tunnel.name);
    const instance = instanceNameOf(state, tunnel.bindInterface);
    for (const selector of tunnel.selectors) {
      const { name, bindInterface, bySource } = tunnel;
      routes.push(
        ...(bySource === null
          ? [tunnelRoute(name, bindInterface, instance, selector.remote, nowMs)]
          : tunnelRoutesBySource(name, bindInterface, instance, bySource, selector, nowMs)),
      );
    }
  }
  const next = withDirty(
    { ...state, adding, tunnels, retiring, routes: changeRoutes(state.routes, { add: routes }) },
    'routes',
    'spis',
  );
  return tunnelsProven(next, keyed);
}

function retire(retiring: { inbound: number[]; outbound: number[] }, tunnel: TunnelState): void {
  retiring.inbound.push(...tunnel.inbound.map(({ index }) => index));
  if (tunnel.outbound !== null) retiring.outbound.push(tunnel.outbound.index);
}

export function tunnelsRemoved(state: NodeState, names: readonly string[]): Stepped {
  const gone = new Set(names.filter((name) => state.tunnels.has(name)));
  if (gone.size === 0) return { state, actions: [] };
  const tunnels = new Map(state.tunnels);
  const retiring = { inbound: [...state.retiring.inbound], outbound: [...state.retiring.outbound] };
  const withdrawn = new Map<string, PrefixOfInstance[]>();
  for (const name of gone) {
    const tunnel = tunnels.get(name)!;
    retire(retiring, tunnel);
    for (const router of tunnel.announcedTo) {
      withdrawn.set(router, [...(withdrawn.get(router) ?? []), ...announcementsOf(state, router, tunnel)]);
    }
    tunnels.delete(name);
  }
  const routes = changeRoutes(state.routes, {
    removeIf: ({ protocol, origin }) => protocol === 'ari-ts' && gone.has(origin),
  });
  return {
    state: withDirty({ ...state, tunnels, retiring, routes }, 'routes', 'spis'),
    actions: [...withdrawn].map(([router, list]) => ({ kind: 'withdraw', router, routes: list })),
  };
}

/** These tunnels end here: every router with a session hears of their routes that has not yet. */
export function tunnelsProven(state: NodeState, names: readonly string[]): Stepped {
  const tunnels = new Map(state.tunnels);
  for (const name of names) {
    const tunnel = tunnels.get(name);
    if (tunnel !== undefined && !tunnel.proven) tunnels.set(name, { ...tunnel, proven: true });
  }
  return announceUntold({ ...state, tunnels });
}

/** A router's session is new: it knows nothing. */
export function exportOpened(state: NodeState, router: string): Stepped {
  const tunnels = new Map(state.tunnels);
  for (const [name, tunnel] of tunnels)
    tunnels.set(name, { ...tunnel, announcedTo: without(tunnel.announcedTo, router) });
  return announceUntold({ ...state, tunnels, routers: new Set([...state.routers, router]) });
}

/** Another gateway has these now: they are taken back here until the tunnel proves itself anew. */
export function routesSuperseded(
  state: NodeState,
  router: string,
  routes: readonly PrefixOfInstance[],
): Stepped {
  const lost = new Set(routes.map(({ prefix }) => String(prefix)));
  const tunnels = new Map(state.tunnels);
  const withdrawn: PrefixOfInstance[] = [];
  for (const [name, tunnel] of tunnels) {
    if (!tunnel.announcedTo.has(router)) continue;
    if (!tunnel.tunnel.selectors.some(({ remote }) => lost.has(String(remote)))) continue;
    withdrawn.push(...announcementsOf(state, router, tunnel));
    tunnels.set(name, { ...tunnel, proven: false, announcedTo: without(tunnel.announcedTo, router) });
  }
  if (withdrawn.length === 0) return { state, actions: [] };
  return { state: { ...state, tunnels }, actions: [{ kind: 'withdraw', router, routes: withdrawn }] };
}

function announceUntold(state: NodeState): Stepped {
  const tunnels = new Map(state.tunnels);
  const afterwards: NodeAction[] = [...state.afterwards];
  for (const router of state.routers) {
    const routes: Announcement[] = [];
    for (const [name, tunnel] of tunnels) {
      if (!tunnel.proven || tunnel.outbound === null || tunnel.announcedTo.has(router)) continue;
      routes.push(...announcementsOf(state, router, tunnel));
      tunnels.set(name, { ...tunnel, announcedTo: new Set([...tunnel.announcedTo, router]) });
    }
    if (routes.length > 0) afterwards.push({ kind: 'announce', router, routes });
  }
  return { state: { ...state, tunnels, afterwards }, actions: [] };
}

function announcementsOf(state: NodeState, router: string, { tunnel }: TunnelState): Announcement[] {
  const target = state.config?.autoRouteInjection.export.find(({ name }) => name === router);
  if (target === undefined) return [];
  return tunnel.selectors.flatMap(({ remote }) => {
    const nextHop = target.nextHop[remote.family];
    if (nextHop === null) return [];
    return [{ routingInstance: target.routingInstance, prefix: remote, nextHop }];
  });
}

function instanceNameOf(state: NodeState, interfaceName: string): string {
  return state.config?.interfaces.find(({ name }) => name === interfaceName)?.routingInstance ?? 'default';
}

function without(set: ReadonlySet<string>, name: string): ReadonlySet<string> {
  if (!set.has(name)) return set;
  const smaller = new Set(set);
  smaller.delete(name);
  return smaller;
}
