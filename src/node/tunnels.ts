/** Tunnels: their SAs, their routes, and who is told of these. */
import type { AriExportConfig } from '../config/config.js';
import { type Announcement, tunnelRoute, tunnelRoutesBySource } from '../routing/ari.js';
import type { Route } from '../routing/route.js';
import { adjacencies, changeRoutes } from '../routing/table.js';
import { anchorGateways, type GatewayKind, pinGateways, releaseGateways } from './anchor.js';
import type { AddedSa, ChangedOutboundSa, NodeAction, OutboundSaRequest, PrefixOfInstance } from './event.js';
import { groupBy } from './group-by.js';
import type { Stepped } from './services.js';
import { isTunnelActive } from './srg-of.js';
import { type NodeState, type TunnelState, withDirty } from './state.js';
import { gatewayOf, type Tunnel, type TunnelKeys } from './tunnel.js';

/**
 * Keys go to the native core first; routes and SPIs follow once it has said where the SAs are. SAs that are kept go by
 * what their tunnels say now before that.
 */
export function tunnelsKeyed(state: NodeState, keys: readonly TunnelKeys[]): Stepped {
  const nodeId = state.config?.system.nodeId ?? null;
  const { ticket } = state;
  const actions: NodeAction[] = [];
  const outbound: OutboundSaRequest[] = [];
  const mtuTo = pathMtu(state);
  const changed = keys.filter(({ kept, outbound: sa }) => sa === null || (kept?.length ?? 0) > 0);
  if (changed.length > 0) actions.push(changeKept(state, changed, mtuTo));
  const anchors = anchored(state, keys);
  const unitOf = (of: TunnelKeys) => unitOfTunnel({ ...state, anchors }, of);
  for (const of of keys) {
    const { tunnel, outbound: sa, epoch, nextSequence } = of;
    if (sa === null) continue;
    const refusal = sealingRefused(nodeId, epoch);
    if (refusal !== null) {
      actions.push({ kind: 'report', report: { kind: 'refused', tunnel: tunnel.name, reason: refusal } });
      continue;
    }
    outbound.push({
      ...sa,
      tunnel,
      anchor: unitOf(of),
      epoch: epoch!,
      nextSequence,
      ...(of.isDormant ? { gate: 0n } : {}),
      mtu: mtuTo(tunnel.routingInstance, tunnel.gateway),
      routingInstance: state.numberings.routingInstances.of(tunnel.routingInstance),
    });
  }
  const inbound = keys.flatMap((of) =>
    of.inbound.map((sa) => ({ ...sa, tunnel: of.tunnel, anchor: unitOf(of) })),
  );
  actions.push({
    kind: 'add-sas',
    ticket,
    nodeId: nodeId ?? 0,
    inbound,
    outbound,
  });
  return {
    state: { ...state, anchors, ticket: ticket + 1, adding: new Map(state.adding).set(ticket, keys) },
    actions,
  };
}

function changeKept(
  state: NodeState,
  keys: readonly TunnelKeys[],
  mtuTo: ReturnType<typeof pathMtu>,
): NodeAction {
  return {
    kind: 'change-sas',
    inbound: keys.flatMap(({ tunnel, kept = [] }) =>
      (state.tunnels.get(tunnel.name)?.inbound ?? []).flatMap(({ spi, index }) =>
        kept.includes(spi) ? [{ tunnel, spi, index }] : [],
      ),
    ),
    outbound: keys.flatMap(({ tunnel, outbound }) => {
      const sa = state.tunnels.get(tunnel.name)?.outbound ?? null;
      return outbound !== null || sa === null ? [] : [changedOutbound(state, tunnel, sa, mtuTo)];
    }),
  };
}

function changedOutbound(
  { numberings }: NodeState,
  tunnel: Tunnel,
  { spi, index }: AddedSa,
  mtuTo: ReturnType<typeof pathMtu>,
): ChangedOutboundSa {
  const mtu = mtuTo(tunnel.routingInstance, tunnel.gateway);
  return { tunnel, spi, index, mtu, routingInstance: numberings.routingInstances.of(tunnel.routingInstance) };
}

/**
 * After a new configuration, for tunnels that stay: their routes in the instances that their interfaces are in now,
 * the MTU of the paths that there are now, and announcements to the routers that there are now.
 */
export function tunnelsReconfigured(before: NodeState, state: NodeState, nowMs: number): Stepped {
  const mtuBefore = pathMtu(before);
  const mtuTo = pathMtu(state);
  const moved: Tunnel[] = [];
  const outbound: ChangedOutboundSa[] = [];
  for (const { tunnel, outbound: sa } of state.tunnels.values()) {
    const { bindInterface, routingInstance, gateway } = tunnel;
    if (instanceNameOf(before, bindInterface) !== instanceNameOf(state, bindInterface)) moved.push(tunnel);
    if (sa !== null && mtuTo(routingInstance, gateway) !== mtuBefore(routingInstance, gateway))
      outbound.push(changedOutbound(state, tunnel, sa, mtuTo));
  }
  const actions: NodeAction[] = [];
  if (outbound.length > 0) actions.push({ kind: 'change-sas', inbound: [], outbound });
  const exports = exportsReconfigured(before, state);
  return {
    state: withRoutesOf(exports.state, moved, nowMs),
    actions: [...actions, ...exports.actions],
  };
}

/** Routers that are gone, or are told something else from now on, have been told nothing. */
function exportsReconfigured(before: NodeState, state: NodeState): Stepped {
  const now = new Map(state.config?.autoRouteInjection.export.map((router) => [router.name, router]));
  const gone = new Set([...state.routers].filter((name) => !now.has(name)));
  const changed = (before.config?.autoRouteInjection.export ?? []).filter(({ name, ...was }) => {
    const is = now.get(name);
    return is !== undefined && !isSameExport(was, is);
  });
  if (gone.size === 0 && changed.length === 0) return { state, actions: [] };
  const elsewhere = changed.filter((was) => now.get(was.name)!.routingInstance !== was.routingInstance);
  const actions: NodeAction[] = elsewhere.map(({ name: router }) => ({
    kind: 'withdraw',
    router,
    routes: [...before.tunnels.values()]
      .filter(({ announcedTo }) => announcedTo.has(router))
      .flatMap((tunnel) => announcementsOf(before, router, tunnel)),
  }));
  const untold = new Set([...gone, ...changed.map(({ name }) => name)]);
  const tunnels = new Map(state.tunnels);
  for (const [name, tunnel] of tunnels) {
    const announcedTo = new Set([...tunnel.announcedTo].filter((router) => !untold.has(router)));
    tunnels.set(name, { ...tunnel, announcedTo });
  }
  const routers = new Set([...state.routers].filter((name) => !gone.has(name)));
  const announced = announceUntold({ ...state, tunnels, routers });
  return { state: announced.state, actions: [...actions, ...announced.actions] };
}

const isSameExport = (a: Omit<AriExportConfig, 'name'>, b: Omit<AriExportConfig, 'name'>) =>
  a.routingInstance === b.routingInstance &&
  String(a.nextHop.inet) === String(b.nextHop.inet) &&
  String(a.nextHop.inet6) === String(b.nextHop.inet6);

/** With the routes of these tunnels, and without those that they had. */
function withRoutesOf(state: NodeState, tunnels: readonly Tunnel[], nowMs: number): NodeState {
  if (tunnels.length === 0) return state;
  const names = new Set(tunnels.map(({ name }) => name));
  const routes = changeRoutes(state.routes, {
    removeIf: ({ protocol, nextHop }) =>
      protocol === 'ari-ts' && nextHop.kind === 'tunnel' && names.has(nextHop.tunnel),
    add: tunnels.flatMap((tunnel) => routesOf(state, tunnel, nowMs)),
  });
  return withDirty({ ...state, routes }, 'routes');
}

function routesOf(state: NodeState, tunnel: Tunnel, nowMs: number): Route[] {
  const { name, bindInterface, bySource, selectors } = tunnel;
  const instance = tunnel.routedIn ?? instanceNameOf(state, bindInterface);
  return selectors.flatMap((selector) =>
    bySource === null
      ? [tunnelRoute(name, bindInterface, instance, selector.remote, nowMs)]
      : tunnelRoutesBySource(name, bindInterface, instance, bySource, selector, nowMs),
  );
}

const keepsSas = ({ kept, outbound }: TunnelKeys) => outbound === null || (kept?.length ?? 0) > 0;

/** All SAs of a tunnel are on one worker: while any goes on, it is the one that it has. */
function unitOfTunnel({ anchors, tunnels }: NodeState, of: TunnelKeys): number {
  const before = keepsSas(of) ? tunnels.get(of.tunnel.name) : undefined;
  return before?.anchor ?? anchors.gateways.get(gatewayOf(of.tunnel))!.unit;
}

/** Each gateway of these tunnels on its unit. One flow thread a unit: a worker has no more. */
function anchored(state: NodeState, keys: readonly TunnelKeys[]): NodeState['anchors'] {
  const flowThreads = new Array<number>(state.setup.workers).fill(1);
  const pinned = new Map<string, number>();
  const wanted = new Map<string, GatewayKind>();
  for (const of of keys) {
    const { tunnel } = of;
    const { anchoring } = tunnel;
    const name = gatewayOf(tunnel);
    // a tunnel whose SAs go on brings its worker along when its gateway has another name from now on
    if (keepsSas(of) && state.tunnels.has(tunnel.name) && !state.anchors.gateways.has(name))
      pinned.set(name, unitOfTunnel(state, of));
    else if (typeof anchoring === 'number') pinned.set(name, anchoring % flowThreads.length);
    else wanted.set(name, anchoring);
  }
  return anchorGateways(pinGateways(state.anchors, pinned), wanted, flowThreads);
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
  const keyed: string[] = [];
  const rerouted: Tunnel[] = [];
  const withdrawn: NodeAction[] = [];
  for (const of of keys) {
    const { tunnel, kept: keptSpis = [], outbound: key } = of;
    const before = tunnels.get(tunnel.name);
    const isKept = ({ spi }: AddedSa) => keptSpis.includes(spi);
    const kept = before?.inbound.filter(isKept) ?? [];
    if (before !== undefined) {
      retiring.inbound.push(...before.inbound.filter((sa) => !isKept(sa)).map(({ index }) => index));
      if (before.outbound !== null && key !== null) retiring.outbound.push(before.outbound.index);
    }
    const sa = key === null ? (before?.outbound ?? null) : (outboundOf.get(tunnel.name) ?? null);
    const stays = before !== undefined && hasSameRoutes(before.tunnel, tunnel);
    const after: TunnelState = {
      tunnel,
      anchor: unitOfTunnel(state, of),
      inbound: [...kept, ...(inboundOf.get(tunnel.name) ?? [])],
      outbound: sa,
      proven: before?.proven ?? false,
      announcedTo: stays ? before.announcedTo : new Set(),
      sinceMs: nowMs,
    };
    tunnels.set(tunnel.name, after);
    if (tunnel.announced === 'when-keyed' && sa !== null) keyed.push(tunnel.name);
    if (stays) continue;
    rerouted.push(tunnel);
    if (before !== undefined) withdrawn.push(...withdrawalsOf(state, before, after));
  }
  const anchors = released({ ...state, adding }, tunnels);
  const next = withDirty({ ...state, adding, tunnels, anchors, retiring }, 'routes', 'spis');
  const announced = tunnelsProven(withRoutesOf(next, rerouted, nowMs), keyed);
  return { state: announced.state, actions: [...withdrawn, ...announced.actions] };
}

const hasSameRoutes = (a: Tunnel, b: Tunnel) =>
  a.bindInterface === b.bindInterface &&
  a.bySource === b.bySource &&
  a.selectors.length === b.selectors.length &&
  a.selectors.every(({ local, remote }, i) => {
    const other = b.selectors[i]!;
    return String(local) === String(other.local) && String(remote) === String(other.remote);
  });

/** What routers were told of a tunnel and is no longer so. */
function withdrawalsOf(state: NodeState, before: TunnelState, after: TunnelState): NodeAction[] {
  return [...before.announcedTo].flatMap((router): NodeAction[] => {
    const stays = new Set(announcementsOf(state, router, after).map(({ prefix }) => String(prefix)));
    const routes = announcementsOf(state, router, before).filter(({ prefix }) => !stays.has(String(prefix)));
    return routes.length === 0 ? [] : [{ kind: 'withdraw', router, routes }];
  });
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
    state: withDirty(
      { ...state, tunnels, anchors: released(state, tunnels), retiring, routes },
      'routes',
      'spis',
    ),
    actions: [...withdrawn].map(([router, list]) => ({ kind: 'withdraw', router, routes: list })),
  };
}

/** A gateway without tunnels, keys under way counted, loads no unit. */
function released(state: NodeState, tunnels: NodeState['tunnels']): NodeState['anchors'] {
  const used = new Set([...tunnels.values()].map(({ tunnel }) => gatewayOf(tunnel)));
  for (const keys of state.adding.values()) for (const { tunnel } of keys) used.add(gatewayOf(tunnel));
  return releaseGateways(
    state.anchors,
    [...state.anchors.gateways.keys()].filter((name) => !used.has(name)),
  );
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

/** A services redundancy group became ACTIVE here, or is so no longer: its tunnels' routes are told, or taken back. */
export function announcementsChanged(state: NodeState): Stepped {
  const tunnels = new Map(state.tunnels);
  const withdrawn = new Map<string, PrefixOfInstance[]>();
  for (const [name, tunnel] of tunnels) {
    if (tunnel.announcedTo.size === 0 || isTunnelActive(state, tunnel.tunnel)) continue;
    for (const router of tunnel.announcedTo)
      withdrawn.set(router, [...(withdrawn.get(router) ?? []), ...announcementsOf(state, router, tunnel)]);
    tunnels.set(name, { ...tunnel, announcedTo: new Set() });
  }
  const announced = announceUntold({ ...state, tunnels });
  const actions = [...withdrawn].map(
    ([router, routes]): NodeAction => ({ kind: 'withdraw', router, routes }),
  );
  return { state: announced.state, actions: [...actions, ...announced.actions] };
}

function announceUntold(state: NodeState): Stepped {
  const tunnels = new Map(state.tunnels);
  const afterwards: NodeAction[] = [...state.afterwards];
  for (const router of state.routers) {
    const routes: Announcement[] = [];
    for (const [name, tunnel] of tunnels) {
      if (!tunnel.proven || tunnel.outbound === null || tunnel.announcedTo.has(router)) continue;
      if (!isTunnelActive(state, tunnel.tunnel)) continue;
      routes.push(...announcementsOf(state, router, tunnel));
      tunnels.set(name, { ...tunnel, announcedTo: new Set([...tunnel.announcedTo, router]) });
    }
    if (routes.length > 0) afterwards.push({ kind: 'announce', router, routes });
  }
  return { state: { ...state, tunnels, afterwards }, actions: [] };
}

function announcementsOf(state: NodeState, router: string, { tunnel }: TunnelState): Announcement[] {
  const target = state.config?.autoRouteInjection.export.find(({ name }) => name === router);
  if (target === undefined || tunnel.routedIn !== undefined) return [];
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
