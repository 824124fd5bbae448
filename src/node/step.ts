/**
 * The node as a pure step: an event leads from one state to the next and to actions. What it wants published is
 * gathered and comes out of flush(), once the queue of events is empty.
 */
import type { Config } from '../config/config.js';
import { announce, withdraw, withdrawAll } from '../routing/ari.js';
import { importKernelRoutes } from '../routing/kernel.js';
import { importedRoutes } from '../routing/policy.js';
import type { Route } from '../routing/route.js';
import { ecmpGroupKey, interfaceRoutes, staticRoutes } from '../routing/sources.js';
import { adjacencies, changeRoutes, type RouteTable, replaceRoutes } from '../routing/table.js';
import { configureBfd, livenessTold, routeSession, stopBfd } from './bfd.js';
import { echoAnswered } from './echoes.js';
import type { NodeAction, NodeEvent, Setup } from './event.js';
import { groupBy } from './group-by.js';
import { groupBuilt, timePassed } from './groups.js';
import { settlePair } from './icd.js';
import { kernelRoutesChange } from './kernel-routes.js';
import {
  configureServices,
  drained,
  exporterClosed,
  exporterOpened,
  healthChanged,
  judge,
  neighboursChanged,
  portsChanged,
  type Stepped,
} from './services.js';
import { commandGroup, haGroupTold, helloReceived, settleGroups } from './srg.js';
import { isSrgRoute } from './srg-effects.js';
import {
  groupKey,
  memberStatistic,
  type NodeState,
  nothingRetiring,
  termStatistic,
  withDirty,
} from './state.js';
import { dirtyParts, policyKey } from './tables.js';
import { linkInstance } from './tunnel.js';
import {
  exportOpened,
  routesSuperseded,
  sasAdded,
  tunnelsKeyed,
  tunnelsProven,
  tunnelsReconfigured,
  tunnelsRemoved,
} from './tunnels.js';

export type { Stepped } from './services.js';

/** nowMs: of any clock that does not go back. */
export function step(state: NodeState, event: NodeEvent, nowMs: number): Stepped {
  return withImports(state, settleGroups(stepEvent(state, event, nowMs), nowMs), nowMs);
}

/** Once routes or policies changed, what instances take over from one another follows. */
function withImports(before: NodeState, stepped: Stepped, nowMs: number): Stepped {
  const { state } = stepped;
  const { config, routes } = state;
  if (config === null || (routes === before.routes && config === before.config)) return stepped;
  const isImported = ({ importedFrom }: Route) => importedFrom !== undefined;
  const imports = config.routingInstances.some(({ instanceImport }) => instanceImport.length > 0);
  const did =
    before.config?.routingInstances.some(({ instanceImport }) => instanceImport.length > 0) === true;
  if (!imports && !did) return stepped;
  const wanted = importedRoutes(routes, config.routingInstances, config.policyOptions, nowMs);
  return rerouted(stepped, replaceRoutes(routes, isImported, wanted), nowMs);
}

function stepEvent(state: NodeState, event: NodeEvent, nowMs: number): Stepped {
  switch (event.kind) {
    case 'configured':
      return configured(state, event.config, event.setup, nowMs);
    case 'neighbours-changed':
      return neighboursChanged(state, event.changes, nowMs);
    case 'ports-changed':
      return portsChanged(state, event.changes, nowMs);
    case 'health-changed':
      return healthChanged(state, event.changes, nowMs);
    case 'tables-kept':
      return { state: { ...state, kept: event.tables }, actions: [] };
    case 'time-passed':
      return timePassed(state, nowMs);
    case 'tunnels-keyed':
      return tunnelsKeyed(state, event.tunnels);
    case 'tunnels-removed':
      return tunnelsRemoved(state, event.tunnels);
    case 'sas-added':
      return sasAdded(state, event.ticket, event.inbound, event.outbound, nowMs);
    case 'tunnels-proven':
      return tunnelsProven(state, event.tunnels);
    case 'drained':
      return drained(state, event.realServices, event.drained, nowMs);
    case 'group-built':
      return groupBuilt(state, event.group, event.ticket, event, nowMs);
    case 'exporter-opened':
      return exporterOpened(state, event.exporter, event.addresses, nowMs);
    case 'exporter-closed':
      return rerouted(
        exporterClosed(state, event.exporter, nowMs),
        withdrawAll(state.routes, event.exporter),
        nowMs,
      );
    case 'routes-announced': {
      const { table, superseded } = announce(state.routes, event.exporter, event.routes, nowMs);
      const told = groupBy(superseded, ({ exporter }) => exporter);
      const actions = [...told].map(
        ([exporter, routes]): NodeAction => ({ kind: 'tell-superseded', exporter, routes }),
      );
      return rerouted({ state, actions }, table, nowMs);
    }
    case 'routes-withdrawn':
      return rerouted({ state, actions: [] }, withdraw(state.routes, event.exporter, event.routes), nowMs);
    case 'kernel-routes-changed':
      return rerouted({ state, actions: [] }, importKernelRoutes(state.routes, event.routes), nowMs);
    case 'liveness-told':
      return livenessTold(state, event.told, nowMs);
    case 'bfd-changed':
      return bfdChanged(state, nowMs);
    case 'srg-hello-received':
      return helloReceived(state, event.hello);
    case 'cold-sync-changed':
      return { state: { ...state, coldSync: event.status }, actions: [] };
    case 'srg-command': {
      const {
        state: next,
        actions,
        refused,
      } = commandGroup(state, event.group, event.command, event.force, nowMs);
      const report: NodeAction[] =
        refused === null
          ? []
          : [
              {
                kind: 'report',
                report: { kind: 'pair', message: `${event.command} of group ${event.group}: ${refused}` },
              },
            ];
      return { state: next, actions: [...actions, ...report] };
    }
    case 'ha-group-told':
      return haGroupTold(state, event.group, event.told);
    case 'echo-answered':
      return echoAnswered(state, event);
    case 'ending':
      return stopBfd(state, nowMs);
    case 'export-opened':
      return exportOpened(state, event.router);
    case 'routes-superseded':
      return routesSuperseded(state, event.router, event.routes);
  }
}

/** What has to be published now; then what rests on it: announcements, and the SAs that nothing names any more. */
export function flush(before: NodeState): Stepped {
  const state = settlePair(before);
  const actions: NodeAction[] = [];
  if (state.dirty.size > 0 && state.config !== null)
    actions.push({ kind: 'publish', parts: dirtyParts(state) });
  actions.push(...state.afterwards);
  const kernel = kernelRoutesChange(state);
  actions.push(...kernel.actions);
  const { inbound, outbound } = state.retiring;
  if (inbound.length > 0 || outbound.length > 0) actions.push({ kind: 'retire-sas', inbound, outbound });
  if (actions.length === 0) return { state, actions };
  const { exported } = kernel;
  return {
    state: { ...state, exported, dirty: new Set(), afterwards: [], retiring: nothingRetiring },
    actions,
  };
}

/** Announced routes change which neighbour is meant, not which real services there are: groups are judged again. */
function rerouted({ state, actions }: Stepped, routes: RouteTable, nowMs: number): Stepped {
  if (routes === state.routes) return { state, actions };
  const next = withDirty({ ...state, routes }, 'routes');
  const moved = membersMoved(state, routes) ? withDirty(next, 'groups') : next;
  const judged = judge(moved, { sign: 'route' }, nowMs);
  return { state: judged.state, actions: [...actions, ...judged.actions] };
}

/** Whether a member of a group is reached by another neighbour than before: its packets go there by the group's table. */
function membersMoved({ groups, routes: before }: NodeState, routes: RouteTable): boolean {
  if (groups.size === 0) return false;
  const was = adjacencies(before);
  const is = adjacencies(routes);
  return [...groups.values()].some(({ members, routingInstance }) =>
    members.some(({ address }) => {
      const [a, b] = [was(routingInstance, address), is(routingInstance, address)];
      if (a === null || b === null) return a !== b;
      return a.interface !== b.interface || !a.address.equals(b.address);
    }),
  );
}

function configured(state: NodeState, config: Config, setup: Setup, nowMs: number): Stepped {
  // a port that could not be opened takes its interfaces along, and their routes
  const present = config.interfaces.filter(({ port }) => port === null || setup.ports.has(port));
  const { numberings } = state;
  const numbered: NodeState = {
    ...state,
    config,
    setup,
    numberings: {
      interfaces: numberings.interfaces.with(
        present.filter(({ kind }) => kind === 'port').map(({ name }) => name),
      ),
      routingInstances: numberings.routingInstances.with(routingInstancesOf(config)),
      zones: numberings.zones.with(config.zones.map(({ name }) => name)),
      policies: numberings.policies.with(config.policies.map(policyKey)),
      statistics: numberings.statistics.with(statisticNames(config)),
    },
  };
  const bfd = configureBfd(numbered, config, nowMs);
  const own: Route[] = [...interfaceRoutes(present, nowMs), ...wantedStatics(bfd.state, config, nowMs)];
  const routes = changeRoutes(state.routes, {
    removeIf: (route) =>
      route.protocol !== 'ari-ts' &&
      route.protocol !== 'kernel' &&
      !isSrgRoute(route) &&
      route.importedFrom === undefined,
    add: own,
  });
  const next: NodeState = { ...bfd.state, routes };
  const parts = withDirty(next, 'interfaces', 'filters', 'groups', 'routes', 'spis', 'policies', 'flow');
  const isOrWasPair = config.highAvailability !== null || (state.config?.highAvailability ?? null) !== null;
  const dirty = isOrWasPair ? withDirty(parts, 'icd') : parts;
  const services = configureServices(dirty, config, nowMs);
  const tunnels = tunnelsReconfigured(state, services.state, nowMs);
  return { state: tunnels.state, actions: [...bfd.actions, ...services.actions, ...tunnels.actions] };
}

/** Static routes, less the next hops whose BFD session is down. */
function wantedStatics(state: NodeState, config: Config, nowMs: number): Route[] {
  return staticRoutes(
    config.routingInstances,
    tunnelBoundTo(config),
    nowMs,
    (instance, prefix, nextHop) => state.bfd.get(routeSession(instance, prefix, nextHop))?.up === true,
  );
}

/** Sessions came up or went down: static routes go and come with them. */
function bfdChanged(state: NodeState, nowMs: number): Stepped {
  if (state.config === null) return { state, actions: [] };
  // the ICD is used, or not, by its liveness
  const pair = state.config.highAvailability === null ? state : withDirty(state, 'icd');
  return rerouted(
    { state: pair, actions: [] },
    replaceRoutes(
      state.routes,
      ({ protocol, importedFrom }) => protocol === 'static' && importedFrom === undefined,
      wantedStatics(state, state.config, nowMs),
    ),
    nowMs,
  );
}

function routingInstancesOf({ routingInstances, highAvailability }: Config): string[] {
  const names = routingInstances.map(({ name }) => name);
  return highAvailability?.peer.linkEncryption == null ? names : [...names, linkInstance];
}

/** A static route through an st0 unit needs to know the tunnel: the one that is bound to it, if it is just one. */
function tunnelBoundTo(config: Config): (interfaceName: string) => string | undefined {
  const bound = groupBy(config.vpns, ({ bindInterface }) => bindInterface);
  return (name) => {
    const vpns = bound.get(name) ?? [];
    return vpns.length === 1 ? vpns[0]!.name : undefined;
  };
}

function statisticNames(config: Config): string[] {
  const terms = config.filters.flatMap((filter) =>
    filter.terms.flatMap(({ count }) => (count === null ? [] : [termStatistic(filter, count)])),
  );
  const members = config.trafficLoadBalance.flatMap(({ name: instance, groups, virtualServices }) =>
    virtualServices.flatMap(({ name, group }) => {
      const { realServices } = groups.find((entry) => entry.name === group)!;
      return realServices.map((service) => memberStatistic(groupKey(instance, name), service.name));
    }),
  );
  const nextHops = config.routingInstances.flatMap(({ name: instance, staticRoutes: routes }) =>
    routes.flatMap(({ prefix, preference, nextHop }) => {
      if (nextHop.kind !== 'ecmp') return [];
      const group = ecmpGroupKey(instance, prefix, preference);
      return nextHop.members.map(({ name }) => memberStatistic(group, name));
    }),
  );
  return [...terms, ...members, ...nextHops];
}
