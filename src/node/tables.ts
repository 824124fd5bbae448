/** What the native core is to go by, made of a node's state: names become numbers, addresses bytes. */
import type { Config, FilterConfig, PolicyConfig } from '../config/config.js';
import { textHash } from '../ha/digest.js';
import { noMember } from '../lb/chash.js';
import { nameTag } from '../model/name-tag.js';
import type { Prefix } from '../model/prefix.js';
import type {
  FilterTerm,
  GroupEntry,
  InterfaceEntry,
  NextHop,
  PolicyEntry,
  PrefixBytes,
  RouteEntry,
  SpiEntry,
  SyncEntry,
  TableParts,
  TagEntry,
} from '../pipeline/native.js';
import type { Route } from '../routing/route.js';
import { type ActiveRoute, activeRoutes, adjacencies } from '../routing/table.js';
import { iclPort } from '../wire/icl.js';
import { asksForEchoes } from './echoes.js';
import { filtersOf, forwardingOf } from './forwarding.js';
import { isActive, probePorts } from './health.js';
import { icdEntry, interfaceSituation, isStandby, tunnelSituation } from './icd.js';
import type { Numbering } from './numbering.js';
import { virtualAddressesOn } from './srg-effects.js';
import { memberStatistic, type NodeState, type Part, termStatistic } from './state.js';
import { linkTunnelId } from './tunnel.js';

/** an interface that is gone keeps its place with a tag that none has (IEEE 802.1Q reserves it) */
const reservedVlan = 4095;

export const prefixBytes = ({ address, length }: Prefix): PrefixBytes => ({ address: address.bytes, length });

/** The parts that are dirty. A node that was never configured has none. */
export function dirtyParts(state: NodeState): TableParts {
  const { config } = state;
  if (config === null) return {};
  const make: { readonly [P in Part]: () => TableParts } = {
    interfaces: () => ({ interfaces: interfaceEntries(state, config) }),
    filters: () => ({ filters: filterEntries(state, config) }),
    groups: () => ({ groups: groupEntries(state) }),
    routes: () => ({ routes: routeEntries(state) }),
    spis: () => ({ spis: spiEntries(state) }),
    policies: () => ({ policies: policyEntries(state, config) }),
    flow: () => {
      const { sessions, synCheck, synCheckInTunnel } = config.flow;
      const probes = config.networkMonitoring.some(({ probe }) => isActive(probe)) || asksForEchoes(config);
      const punts: { puntPorts?: [number, number] } = probes ? { puntPorts: [...probePorts] } : {};
      const { highAvailability: pair } = config;
      const isSealed = pair?.peer.linkEncryption != null;
      const icl = pair === null ? {} : { icl: { port: iclPort, tunnel: isSealed ? linkTunnelId : null } };
      const ike = config.ikeGateways.length > 0 ? { puntIke: true } : {};
      return { flow: { sessions, synCheck, synCheckInTunnel, ...ike, ...punts, ...icl } };
    },
    icd: () => ({ icd: icdEntry(state, config) }),
  };
  let parts: TableParts = {};
  for (const part of state.dirty) parts = { ...parts, ...make[part]() };
  if (config.highAvailability === null) return parts;
  const isNamed = (['interfaces', 'policies', 'spis'] as const).some((part) => state.dirty.has(part));
  return isNamed ? { ...parts, sync: syncEntry(state, config) } : parts;
}

/** Number of the zone of a logical interface, 0: none. */
export function zoneOf(state: NodeState, interfaceName: string): number {
  const zone = state.config?.interfaces.find(({ name }) => name === interfaceName)?.zone ?? null;
  return zone === null ? 0 : state.numberings.zones.of(zone);
}

/** Number of the routing instance of a logical interface. */
export function instanceOf(state: NodeState, interfaceName: string): number {
  const found = state.config?.interfaces.find(({ name }) => name === interfaceName);
  return state.numberings.routingInstances.of(found?.routingInstance ?? 'default');
}

function interfaceEntries(state: NodeState, config: Config): InterfaceEntry[] {
  const filters = filtersOf(config, () => []);
  const byName = new Map(config.interfaces.map((entry) => [entry.name, entry]));
  return [...state.numberings.interfaces.names()].map((name) => {
    const entry = byName.get(name);
    const port = entry?.port == null ? undefined : state.setup.ports.get(entry.port);
    if (entry === undefined || port === undefined) return absentInterface;
    return {
      port: port.index,
      vlan: entry.vlanId ?? 0,
      mtu: entry.mtu,
      routingInstance: state.numberings.routingInstances.of(entry.routingInstance),
      zone: zoneOf(state, name),
      filterV4: filters.numberFor(name, 'inet'),
      filterV6: filters.numberFor(name, 'inet6'),
      mac: port.mac,
      addresses: entry.addresses.map(({ address }) => address.bytes),
      virtualAddresses: virtualAddressesOn(state, name),
    };
  });
}

const absentInterface: InterfaceEntry = {
  port: 0,
  vlan: reservedVlan,
  mtu: 1500,
  routingInstance: 0,
  zone: 0,
  filterV4: -1,
  filterV6: -1,
  mac: new Uint8Array(6),
  addresses: [],
  virtualAddresses: [],
};

function filterEntries(state: NodeState, config: Config): FilterTerm[][] {
  const { routingInstances, statistics } = state.numberings;
  const terms = (filter: FilterConfig) =>
    filter.terms.map(
      ({ sourceAddress, destinationAddress, protocol, action, count }): FilterTerm => ({
        sources: sourceAddress.map(prefixBytes),
        destinations: destinationAddress.map(prefixBytes),
        protocols: [...protocol],
        action: action.kind,
        routingInstance: action.kind === 'routing-instance' ? routingInstances.of(action.routingInstance) : 0,
        statistic: count === null ? -1 : statistics.of(termStatistic(filter, count)),
      }),
    );
  return filtersOf(config, terms).entries;
}

function groupEntries(state: NodeState): GroupEntry[] {
  const resolve = adjacencies(state.routes);
  const { interfaces, statistics } = state.numberings;
  return [...state.groups].map(([key, group]) => {
    const { hash, members: all, routingInstance, slots } = group;
    const forwarding = forwardingOf(state, group);
    const members: GroupEntry['members'] = [];
    // a member without a route to it is down, so no slot names it
    const places = all.map((member) => {
      const { name, address } = member;
      const adjacency = resolve(routingInstance, address);
      if (adjacency === null) return noMember;
      members.push({
        interface: interfaces.of(adjacency.interface),
        address: adjacency.address.bytes,
        statistic: statistics.of(memberStatistic(key, name)),
        ...forwarding.ofMember(member, statistics.of(memberStatistic(key, name))),
      });
      return members.length - 1;
    });
    const dense = members.length === places.length;
    return {
      key: hash.key,
      hash: hash.function,
      seed: BigInt(hash.seed),
      slots: dense ? slots : slots.map((member) => (member === noMember ? noMember : places[member]!)),
      members,
      ...forwarding.service,
    };
  });
}

function routeEntries(state: NodeState): RouteEntry[] {
  const { routingInstances } = state.numberings;
  const numberOfGroup = new Map([...state.groups.keys()].map((key, index) => [key, index]));
  // looked up once, not once a route: there may be as many as tunnels
  const tunnelEnds = new Map<string, { zone: number; routingInstance: number }>();
  const entries: RouteEntry[] = [];
  for (const active of activeRoutes(state.routes, (route) => isUsable(state, route))) {
    const nextHop = nextHopOf(state, active, numberOfGroup, tunnelEnds);
    if (nextHop === null) continue;
    const { routingInstance, prefix } = active.route;
    entries.push({
      routingInstance: routingInstances.of(routingInstance),
      prefix: prefix.network().address.bytes,
      length: prefix.length,
      nextHop,
    });
  }
  return entries;
}

/** Next hops that share the traffic are of use while one of them is up. */
export function isUsable(state: NodeState, { nextHop }: Route): boolean {
  if (nextHop.kind !== 'ecmp') return true;
  const members = state.groups.get(nextHop.group)?.members ?? [];
  return members.some(({ key }) => state.services.get(key)?.up === true);
}

function nextHopOf(
  state: NodeState,
  { route, adjacency }: ActiveRoute,
  numberOfGroup: ReadonlyMap<string, number>,
  tunnelEnds: Map<string, { zone: number; routingInstance: number }>,
): NextHop | null {
  const { nextHop } = route;
  switch (nextHop.kind) {
    case 'local':
    case 'discard':
      return { kind: nextHop.kind };
    case 'direct':
      return {
        kind: 'connected',
        interface: state.numberings.interfaces.of(nextHop.interface),
        ...interfaceSituation(state, nextHop.interface, true),
      };
    case 'address': {
      const { interface: name, address } = adjacency!;
      return {
        kind: 'neighbour',
        interface: state.numberings.interfaces.of(name),
        address: address.bytes,
        ...interfaceSituation(state, name, false),
      };
    }
    case 'by-source':
      return {
        kind: 'by-source',
        routingInstance: state.numberings.routingInstances.of(nextHop.routingInstance),
      };
    case 'group':
    case 'ecmp': {
      const group = numberOfGroup.get(nextHop.group);
      return group === undefined ? null : { kind: 'group', group };
    }
    case 'tunnel': {
      const tunnel = state.tunnels.get(nextHop.tunnel);
      const sa = tunnel?.outbound;
      if (tunnel === undefined || sa == null) return null;
      let end = tunnelEnds.get(nextHop.interface);
      if (end === undefined) {
        end = {
          zone: zoneOf(state, nextHop.interface),
          routingInstance: instanceOf(state, nextHop.interface),
        };
        tunnelEnds.set(nextHop.interface, end);
      }
      return { kind: 'tunnel', sa: sa.index, ...end, ...tunnelSituation(state, tunnel.tunnel) };
    }
  }
}

function spiEntries(state: NodeState): SpiEntry[] {
  const ends = new Map<string, { zone: number; routingInstance: number }>();
  return [...state.tunnels.values()].flatMap(({ tunnel, inbound }) => {
    const name = tunnel.bindInterface;
    const end = ends.get(name) ?? { zone: zoneOf(state, name), routingInstance: instanceOf(state, name) };
    ends.set(name, end);
    const standby = isStandby(state, tunnel) ? { standby: true } : {};
    return inbound.map(({ spi, index }) => ({
      address: tunnel.localAddress.bytes,
      spi,
      sa: index,
      ...end,
      ...standby,
    }));
  });
}

/** What numbers of this node are called at the other node of the pair: names mean the same on both. */
function syncEntry({ numberings, tunnels }: NodeState, config: Config): SyncEntry {
  const named = (numbering: Numbering, tag: (name: string) => number): TagEntry[] =>
    [...numbering.names()].map((name) => ({ tag: tag(name) || 1, number: numbering.of(name) }));
  return {
    instances: named(numberings.routingInstances, nameTag),
    zones: named(numberings.zones, nameTag),
    policies: named(numberings.policies, textHash),
    tunnels: [...tunnels.values()].map(({ tunnel, anchor }) => ({
      tag: textHash(tunnel.name) || 1,
      number: tunnel.id,
      worker: anchor,
    })),
    icmp: config.flow.syncIcmpSession,
  };
}

/** Names as in show: `name/number`; the number is the session's policy. */
export const policyKey = ({ fromZone, toZone, name }: PolicyConfig) => `${fromZone} ${toZone} ${name}`;

function policyEntries(state: NodeState, config: Config): NonNullable<TableParts['policies']> {
  const { zones, policies } = state.numberings;
  const entries = config.policies.flatMap((policy): PolicyEntry[] => {
    const entry = {
      fromZone: zones.of(policy.fromZone),
      toZone: zones.of(policy.toZone),
      sources: policy.sourceAddress.map(prefixBytes),
      destinations: policy.destinationAddress.map(prefixBytes),
      permit: policy.action === 'permit',
      id: policies.of(policyKey(policy)),
    };
    if (policy.application.length === 0) return [{ ...entry, protocol: 0, portLow: 0, portHigh: 65_535 }];
    return policy.application.map(({ protocol, destinationPort }) => {
      const [portLow, portHigh] = destinationPort ?? [0, 65_535];
      return { ...entry, protocol, portLow, portHigh };
    });
  });
  return { defaultPermit: config.defaultPolicy === 'permit-all', policies: entries };
}
