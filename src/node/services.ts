/** Members of groups: which are up, by the signs that there are of each. */
import type { Config } from '../config/config.js';
import type { Address } from '../model/address.js';
import { ecmpGroupKey } from '../routing/sources.js';
import { adjacencies, type Resolver } from '../routing/table.js';
import { routeSession } from './bfd.js';
import type { HealthChange, NeighbourChange, NodeAction, PortChange } from './event.js';
import { askForTable, configureGroups, installRoutes } from './groups.js';
import {
  groupKey,
  type NodeState,
  neighbourKey,
  nextHopKey,
  type RealService,
  realServiceKey,
  type ServiceEntry,
  withDirty,
} from './state.js';

export interface Stepped {
  readonly state: NodeState;
  readonly actions: readonly NodeAction[];
}

const unseen: RealService = {
  neighbour: 'unknown',
  session: 'none',
  exporter: null,
  checks: new Map(),
  up: false,
  sinceMs: 0,
};

/** The services and groups of a configuration; what went on before in those that stay goes on. */
export function configureServices(state: NodeState, config: Config, nowMs: number): Stepped {
  const entries = new Map([...realServiceEntries(config), ...nextHopEntries(config)]);
  const services = new Map<string, RealService>();
  for (const [key, { profiles }] of entries) {
    const before = state.services.get(key) ?? { ...unseen, sinceMs: nowMs };
    const checks = new Map([...before.checks].filter(([profile]) => profiles.includes(profile)));
    services.set(key, { ...before, checks });
  }
  const stillDrained = new Set([...state.drained].filter((key) => services.has(key)));
  const next = configureGroups({ ...state, entries, services, drained: stillDrained }, config, nowMs);
  return judge(next, { rebuild: new Set(next.groups.keys()), sign: 'configuration' }, nowMs);
}

function realServiceEntries(config: Config): [string, ServiceEntry][] {
  const profiles = new Map(config.networkMonitoring.map((profile) => [profile.name, profile.probe.kind]));
  return config.trafficLoadBalance.flatMap(({ name: instance, groups, virtualServices }) =>
    groups.flatMap((group) => {
      const kinds = group.networkMonitoringProfiles.map((name) => ({ name, kind: profiles.get(name) }));
      const users = virtualServices.filter((service) => service.group === group.name);
      return group.realServices.map(({ name, address, adminDown }): [string, ServiceEntry] => [
        realServiceKey(instance, group.name, name),
        {
          kind: 'real-service',
          instance,
          name,
          address,
          routingInstance: group.routingInstance,
          byNeighbour: kinds.length === 0 || kinds.some(({ kind }) => kind === 'neighbour'),
          byLink: kinds.some(({ kind }) => kind === 'link'),
          adminDown,
          bfd: null,
          profiles: kinds
            .filter(({ kind }) => kind !== 'neighbour' && kind !== 'link')
            .map((profile) => profile.name),
          groups: users.map((service) => groupKey(instance, service.name)),
        },
      ]);
    }),
  );
}

function nextHopEntries(config: Config): [string, ServiceEntry][] {
  return config.routingInstances.flatMap(({ name: instance, staticRoutes }) =>
    staticRoutes.flatMap(({ prefix, preference, nextHop, bfd }): [string, ServiceEntry][] => {
      if (nextHop.kind !== 'ecmp') return [];
      const group = ecmpGroupKey(instance, prefix, preference);
      const watched = new Set(bfd.map((each) => String(each.nextHop)));
      return nextHop.members.map(({ name, address }) => [
        nextHopKey(group, name),
        {
          kind: 'next-hop',
          instance,
          name,
          address,
          routingInstance: instance,
          byNeighbour: true,
          byLink: true,
          adminDown: false,
          bfd: watched.has(String(address)) ? routeSession(instance, prefix, address) : null,
          profiles: [],
          groups: [group],
        },
      ]);
    }),
  );
}

/** Real services that get no new flows any more, or do again; those that there are not are passed over. */
export function drained(
  state: NodeState,
  realServices: readonly string[],
  isDrained: boolean,
  nowMs: number,
): Stepped {
  const now = new Set(state.drained);
  for (const key of realServices) {
    if (isDrained && state.services.has(key)) now.add(key);
    else now.delete(key);
  }
  const touched = realServices.filter((key) => now.has(key) !== state.drained.has(key));
  const groups = touched.flatMap((key) => state.entries.get(key)?.groups ?? []);
  return judge({ ...state, drained: now }, { rebuild: new Set(groups), only: noKeys, sign: 'drain' }, nowMs);
}

/** Neighbours that began or ceased to answer. */
export function neighboursChanged(
  state: NodeState,
  changes: readonly NeighbourChange[],
  nowMs: number,
): Stepped {
  const reachable = new Set(state.reachable);
  const failed = new Set<string>();
  for (const { interface: number, address, reachable: answers } of changes) {
    const key = neighbourKey(number, address);
    if (answers) reachable.add(key);
    else {
      reachable.delete(key);
      failed.add(key);
    }
  }
  return judge({ ...state, reachable }, { sign: 'neighbour', failed }, nowMs);
}

export function portsChanged(state: NodeState, changes: readonly PortChange[], nowMs: number): Stepped {
  const closedPorts = new Set(state.closedPorts);
  for (const { port, open } of changes) {
    if (open) closedPorts.delete(port);
    else closedPorts.add(port);
  }
  return judge({ ...state, closedPorts }, { sign: 'link' }, nowMs);
}

/** What health checks found; of services and profiles that there no longer are, nothing is kept. */
export function healthChanged(state: NodeState, changes: readonly HealthChange[], nowMs: number): Stepped {
  const services = new Map(state.services);
  const signs = new Map<string, string>();
  for (const { service: key, profile, up, message } of changes) {
    const service = services.get(key);
    if (service === undefined || state.entries.get(key)?.profiles.includes(profile) !== true) continue;
    services.set(key, { ...service, checks: new Map(service.checks).set(profile, up) });
    // of several profiles that changed, one that is down says more
    if (!up || !signs.has(key)) signs.set(key, message === '' ? profile : `${profile}: ${message}`);
  }
  const sign = (key: string) => signs.get(key) ?? 'health check';
  return judge({ ...state, services }, { sign, only: new Set(signs.keys()) }, nowMs);
}

/** A gateway's control session is there: the real services at its addresses live by it from now on. */
export function exporterOpened(
  state: NodeState,
  exporter: string,
  addresses: readonly Address[],
  nowMs: number,
): Stepped {
  const own = new Set(addresses.map(String));
  const services = new Map(state.services);
  for (const [key, { kind, address }] of state.entries) {
    if (kind !== 'real-service') continue;
    const service = services.get(key)!;
    if (own.has(String(address))) services.set(key, { ...service, session: 'up', exporter });
    else if (service.exporter === exporter)
      services.set(key, { ...service, session: 'none', exporter: null });
  }
  return judge({ ...state, services }, { sign: 'control session' }, nowMs);
}

export function exporterClosed(state: NodeState, exporter: string, nowMs: number): Stepped {
  const services = new Map(state.services);
  for (const [key, service] of services) {
    if (service.exporter === exporter) services.set(key, { ...service, session: 'lost', exporter: null });
  }
  return judge({ ...state, services }, { sign: 'control session' }, nowMs);
}

/** As it is when every sign of every member says that it is up: for what a configuration would do. */
export function withAllUp(state: NodeState, nowMs: number): NodeState {
  const resolve = adjacencies(state.routes);
  const reachable = new Set(state.reachable);
  const services = new Map(state.services);
  for (const [key, { routingInstance, address, profiles }] of state.entries) {
    const adjacency = resolve(routingInstance, address);
    if (adjacency !== null)
      reachable.add(neighbourKey(state.numberings.interfaces.of(adjacency.interface), adjacency.address));
    const checks = new Map(profiles.map((profile) => [profile, true]));
    services.set(key, { ...services.get(key)!, checks });
  }
  return judge({ ...state, reachable, services }, { sign: 'assumed' }, nowMs).state;
}

export interface Judgement {
  /** for people: what changed; by service, where it differs */
  readonly sign: string | ((key: string) => string);
  /** services that are looked at; left out: all */
  readonly only?: ReadonlySet<string>;
  /** groups whose table is built anew whatever became of their members */
  readonly rebuild?: ReadonlySet<string>;
  /** neighbours that were just seen to fail */
  readonly failed?: ReadonlySet<string>;
}

const noKeys: ReadonlySet<string> = new Set();

/** Judges services by their signs, asks for the tables of groups with a change, and sees to the groups' routes. */
export function judge(
  state: NodeState,
  { sign, only, rebuild = noKeys, failed = noKeys }: Judgement,
  nowMs: number,
): Stepped {
  const resolve = adjacencies(state.routes);
  const ports = new Map((state.config?.interfaces ?? []).map(({ name, port }) => [name, port]));
  const services = new Map(state.services);
  const actions: NodeAction[] = [];
  const touched = new Set(rebuild);
  for (const key of only ?? state.entries.keys()) {
    const entry = state.entries.get(key);
    if (entry === undefined) continue;
    const before = services.get(key) ?? unseen;
    const after = judged(state, entry, before, resolve, ports, failed, nowMs);
    services.set(key, after);
    if (after.up === before.up) continue;
    for (const group of entry.groups) touched.add(group);
    const { instance, name } = entry;
    const report = { name, up: after.up, sign: typeof sign === 'string' ? sign : sign(key) };
    actions.push({
      kind: 'report',
      report:
        entry.kind === 'real-service'
          ? { kind: 'real-service', instance, ...report }
          : { kind: 'next-hop', group: entry.groups[0]!, ...report },
    });
  }
  let next: NodeState = { ...state, services };
  for (const key of state.groups.keys()) {
    if (!touched.has(key)) continue;
    const asked = askForTable(next, key);
    next = asked.state;
    actions.push(...asked.actions);
  }
  // a prefix may have another route for when all next hops of the best are down
  const isUp = (of: NodeState, key: string) =>
    of.groups.get(key)?.wanted.members.some((member) => of.services.get(member.key)?.up === true) === true;
  const turned = [...touched].some(
    (key) => state.groups.get(key)?.kind === 'ecmp' && isUp(state, key) !== isUp(next, key),
  );
  const routed = installRoutes(turned ? withDirty(next, 'routes') : next, touched, nowMs);
  return { state: routed.state, actions: [...actions, ...routed.actions] };
}

function judged(
  state: NodeState,
  { address, routingInstance, byNeighbour, byLink, adminDown, bfd, profiles }: ServiceEntry,
  before: RealService,
  resolve: Resolver,
  ports: ReadonlyMap<string, string | null>,
  failed: ReadonlySet<string>,
  nowMs: number,
): RealService {
  const adjacency = resolve(routingInstance, address);
  const neighbour =
    adjacency === null
      ? null
      : neighbourKey(state.numberings.interfaces.of(adjacency.interface), adjacency.address);
  const answers = neighbour !== null && state.reachable.has(neighbour);
  // what the lost session announced, the neighbour confirms; from then on it alone says when it is back
  const confirmed = before.session === 'lost' && neighbour !== null && failed.has(neighbour);
  const session = confirmed ? 'none' : before.session;
  const port = adjacency === null ? null : (ports.get(adjacency.interface) ?? null);
  const up =
    adjacency !== null &&
    !adminDown &&
    (bfd === null || state.bfd.get(bfd)?.up === true) &&
    session !== 'lost' &&
    (answers || !byNeighbour) &&
    !(byLink && port !== null && state.closedPorts.has(port)) &&
    profiles.every((profile) => before.checks.get(profile) === true);
  const seen = answers
    ? 'up'
    : before.neighbour === 'unknown' && !failed.has(neighbour ?? '')
      ? 'unknown'
      : 'down';
  return { ...before, neighbour: seen, session, up, sinceMs: up === before.up ? before.sinceMs : nowMs };
}
