/** How virtual services reach their real services, as the native tables have it. */
import type {
  Config,
  FilterConfig,
  ForwardingMode,
  RealServiceConfig,
  VirtualServiceConfig,
} from '../config/config.js';
import type { Family } from '../model/address.js';
import type { FilterTerm, GroupEntry } from '../pipeline/native.js';
import type { Group, GroupMember, NodeState } from './state.js';

const modeOf = (service: VirtualServiceConfig, member: RealServiceConfig) => member.mode ?? service.mode;

const isDirect = (mode: ForwardingMode): mode is 'direct-server-return' | 'layer2-direct-server-return' =>
  mode === 'direct-server-return' || mode === 'layer2-direct-server-return';

/** What a group's entry says beyond its slots. */
export interface GroupForwarding {
  readonly service: Pick<GroupEntry, 'service'>;
  /** id: the member's in every table */
  ofMember(member: GroupMember, id: number): Pick<GroupEntry['members'][number], 'forwarding'>;
}

const byMacAlone: GroupForwarding = { service: {}, ofMember: () => ({}) };

export function forwardingOf(state: NodeState, { service, instance, dead }: Group): GroupForwarding {
  const { config } = state;
  if (service === null || config === null) return byMacAlone;
  const { address, services, flowMemory } = service.config;
  const byName = new Map(service.group.realServices.map((entry) => [entry.name, entry]));
  const modes = [...byName.values()].map((member) => modeOf(service.config, member));
  if (!flowMemory && modes.every(isDirect)) return byMacAlone;
  const source = (family: Family) => {
    const { interface: name } = config.trafficLoadBalance.find((entry) => entry.name === instance)!;
    const own = config.interfaces.find((entry) => entry.name === name)?.addresses;
    // check has seen that there is one
    return own!.find((prefix) => prefix.family === family)!.address.bytes;
  };
  const ports = services.map(({ protocol, virtualPort, serverListeningPort }) => ({
    protocol,
    offered: virtualPort,
    real: serverListeningPort,
  }));
  return {
    service: { service: { address: address.bytes, flowMemory, ports } },
    ofMember(member, id) {
      // those that drain keep their flows; so does a group that fails open
      const up = state.services.get(member.key)?.up === true || !dead.has(member.name);
      const mode = modeOf(service.config, byName.get(member.name)!);
      const { bytes } = member.address;
      if (isDirect(mode)) return { forwarding: { id, up, mode: 'direct' } };
      if (mode === 'translated') return { forwarding: { id, up, mode, address: bytes } };
      return { forwarding: { id, up, mode, address: bytes, source: source(member.address.family) } };
    },
  };
}

/** Routing instances in which answers of translated real services come in, by family. */
function answering(config: Config): Record<Family, ReadonlySet<string>> {
  const found = { inet: new Set<string>(), inet6: new Set<string>() };
  for (const { groups, virtualServices } of config.trafficLoadBalance) {
    for (const service of virtualServices) {
      const group = groups.find(({ name }) => name === service.group);
      for (const member of group?.realServices ?? []) {
        if (modeOf(service, member) === 'translated')
          found[member.address.family].add(group!.routingInstance);
      }
    }
  }
  return found;
}

const acceptsAll: FilterTerm = {
  sources: [],
  destinations: [],
  protocols: [],
  action: 'return',
  routingInstance: 0,
  statistic: -1,
};

/** The node's filters, and which one each interface goes by. */
export interface Filters {
  readonly entries: FilterTerm[][];
  /** -1: none */
  numberFor(interfaceName: string, family: Family): number;
}

/**
 * Interfaces of a routing instance with translated real services look at what they accept: it may be an answer that is
 * to be translated back. Their filters are copies that say so; without a filter they get one that accepts all.
 */
export function filtersOf(config: Config, terms: (filter: FilterConfig) => FilterTerm[]): Filters {
  const entries = config.filters.map(terms);
  const numbers = new Map(config.filters.map(({ name, family }, index) => [`${family} ${name}`, index]));
  const answers = answering(config);
  const copies = new Map<string, number>();
  for (const family of ['inet', 'inet6'] as const) {
    for (const { filterInput, routingInstance } of config.interfaces) {
      const name = filterInput[family];
      const key = `${family} ${name ?? ''}`;
      if (!answers[family].has(routingInstance) || copies.has(key)) continue;
      const original = name === null ? undefined : entries[numbers.get(key) ?? -1];
      copies.set(key, entries.length);
      entries.push(
        original?.map((term) => (term.action === 'accept' ? { ...term, action: 'return' } : term)) ?? [
          acceptsAll,
        ],
      );
    }
  }
  const byName = new Map(config.interfaces.map((entry) => [entry.name, entry]));
  return {
    entries,
    numberFor(interfaceName, family) {
      const entry = byName.get(interfaceName);
      if (entry === undefined) return -1;
      const key = `${family} ${entry.filterInput[family] ?? ''}`;
      const copy = answers[family].has(entry.routingInstance) ? copies.get(key) : undefined;
      return copy ?? numbers.get(key) ?? -1;
    },
  };
}
