/** Where a node sends a flow, step by step: interface, filter, route, virtual service, group. */
import type { FilterConfig, FilterTermConfig, InterfaceConfig } from '../config/config.js';
import { suggestion } from '../config/problem.js';
import { noMember } from '../lb/chash.js';
import { type GivenFlow, type HashedFlow, hashFlow } from '../lb/explain.js';
import type { HashFunction, HashKey } from '../lb/keys.js';
import type { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import type { Adjacency, Route } from '../routing/route.js';
import { adjacencies, routesFor } from '../routing/table.js';
import type { Group, NodeState } from './state.js';

export interface ExplainedMember {
  readonly name: string;
  readonly address: string;
  readonly weight: number;
  readonly up: boolean;
  readonly nextHop: Adjacency | null;
}

export interface ExplainedGroup extends HashedFlow {
  readonly instance: string;
  readonly virtualService: string;
  readonly group: string;
  readonly hashKey: HashKey;
  readonly hash: HashFunction;
  readonly seed: string;
  readonly slots: number;
  readonly members: readonly ExplainedMember[];
  /** of the table, in 1/10,000 */
  readonly slack: number;
  /** whom the table in use gives the slot; null: nobody */
  readonly member: string | null;
  /** whom it would have if all were up, of a table that goes on from the one before; null: a function of the members */
  readonly stickyHome: string | null;
}

export interface Explanation {
  /** that the flow comes in by, and why that one */
  readonly interface: string;
  readonly interfaceWhy: 'given' | 'route to the source' | 'only one with a filter' | 'only one';
  readonly filter: {
    readonly name: string;
    readonly term: string;
    readonly action: FilterTermConfig['action']['kind'];
    readonly count: string | null;
  } | null;
  /** where its destination is looked up */
  readonly routingInstance: string;
  readonly route: { readonly prefix: string; readonly protocol: string; readonly to: string } | null;
  readonly group: ExplainedGroup | null;
  readonly outcome: 'member' | 'nobody-up' | 'forwarded' | 'local' | 'discarded' | 'no-route';
  /** where it leaves; null: it does not, or that is not known */
  readonly nextHop: Adjacency | null;
}

/** Throws Error that says what to write when it is not clear where the flow comes in. */
export function explainFlow(state: NodeState, flow: GivenFlow, interfaceName: string | null): Explanation {
  const { entry, why } = ingress(state, flow, interfaceName);
  const filterName = entry.filterInput[flow.source.family];
  const filter = state.config?.filters.find(
    ({ name, family }) => name === filterName && family === flow.source.family,
  );
  const term = filter === undefined ? null : matchingTerm(filter, flow);
  const routingInstance =
    term?.action.kind === 'routing-instance' ? term.action.routingInstance : entry.routingInstance;
  const base = {
    interface: entry.name,
    interfaceWhy: why,
    filter:
      filter === undefined || term === null
        ? null
        : { name: filter.name, term: term.name, action: term.action.kind, count: term.count },
    routingInstance,
    route: null,
    group: null,
    nextHop: null,
  };
  if (term?.action.kind === 'discard') return { ...base, outcome: 'discarded' };
  return { ...base, ...routed(state, flow, routingInstance) };
}

type Ingress = { entry: InterfaceConfig; why: Explanation['interfaceWhy'] };

function ingress(state: NodeState, { source }: GivenFlow, given: string | null): Ingress {
  const ports = (state.config?.interfaces ?? []).filter(({ kind }) => kind === 'port');
  if (given !== null) {
    const entry = ports.find(({ name }) => name === given || name === `${given}.0`);
    if (entry !== undefined) return { entry, why: 'given' };
    const names = ports.map(({ name }) => name);
    throw new Error(
      `no interface ${given}${suggestion(given, names) || `; there is ${names.join(', ') || 'none'}`}`,
    );
  }
  const family = ports.filter(({ addresses }) =>
    addresses.some((address) => address.family === source.family),
  );
  const filtered = family.filter(({ filterInput }) => filterInput[source.family] !== null);
  const candidates = filtered.length > 0 ? filtered : family;
  const resolve = adjacencies(state.routes);
  const back = candidates.filter(
    ({ name, routingInstance }) => resolve(routingInstance, source)?.interface === name,
  );
  if (back.length === 1) return { entry: back[0]!, why: 'route to the source' };
  if (candidates.length === 1) {
    return { entry: candidates[0]!, why: filtered.length === 1 ? 'only one with a filter' : 'only one' };
  }
  const names = (back.length > 1 ? back : candidates).map(({ name }) => name).join(', ');
  throw new Error(
    names === ''
      ? `no interface has an ${source.family} address, so ${source} comes in nowhere`
      : `where does it come in? write --interface with one of ${names}`,
  );
}

/** A filter's last term matches everything. */
function matchingTerm({ terms }: FilterConfig, flow: GivenFlow): FilterTermConfig {
  const inOne = (prefixes: readonly Prefix[], address: Address) =>
    prefixes.length === 0 || prefixes.some((prefix) => prefix.contains(address));
  return terms.find(
    ({ sourceAddress, destinationAddress, protocol }) =>
      inOne(sourceAddress, flow.source) &&
      inOne(destinationAddress, flow.destination) &&
      (protocol.length === 0 || protocol.includes(flow.protocol)),
  )!;
}

function routed(
  state: NodeState,
  flow: GivenFlow,
  routingInstance: string,
): Pick<Explanation, 'route' | 'group' | 'outcome' | 'nextHop'> {
  const resolve = adjacencies(state.routes);
  const none = { route: null, group: null, nextHop: null };
  const route = bestRoute(state, routingInstance, flow.destination, resolve);
  if (route === null) {
    // the route of a virtual service is there only while one of its members is up
    const waiting = virtualServiceAt(state, routingInstance, flow.destination);
    if (waiting === undefined) return { ...none, outcome: 'no-route' };
    return { ...none, group: explainGroup(state, waiting, flow, resolve), outcome: 'nobody-up' };
  }
  const { nextHop } = route;
  const found = {
    ...none,
    route: { prefix: String(route.prefix), protocol: route.protocol, to: nextHopText(route) },
  };
  switch (nextHop.kind) {
    case 'local':
      return { ...found, outcome: 'local' };
    case 'discard':
      return { ...found, outcome: 'discarded' };
    case 'direct':
      return {
        ...found,
        outcome: 'forwarded',
        nextHop: { interface: nextHop.interface, address: flow.destination },
      };
    case 'address':
      return { ...found, outcome: 'forwarded', nextHop: resolve(routingInstance, nextHop.address) };
    case 'tunnel':
      return { ...found, outcome: 'forwarded' };
    case 'by-source': {
      const from = bestRoute(state, nextHop.routingInstance, flow.source, resolve);
      const through = resolve(nextHop.routingInstance, flow.source);
      return { ...found, outcome: from === null ? 'no-route' : 'forwarded', nextHop: through };
    }
    case 'group':
    case 'ecmp': {
      const group = explainGroup(state, state.groups.get(nextHop.group)!, flow, resolve);
      const member = group.members.find(({ name }) => name === group.member);
      return {
        ...found,
        group,
        outcome: member === undefined ? 'nobody-up' : 'member',
        nextHop: member?.nextHop ?? null,
      };
    }
  }
}

function virtualServiceAt(state: NodeState, instance: string, address: Address): Group | undefined {
  return [...state.groups.values()].find(({ service }) => {
    if (service === null || service.config.routingInstance !== instance) return false;
    const { bytes } = service.config.address;
    const isWildcard = bytes.length === address.bytes.length && bytes.every((byte) => byte === 0);
    return isWildcard || service.config.address.equals(address);
  });
}

type Resolve = ReturnType<typeof adjacencies>;

/** The longest prefix with a route that leads somewhere. */
function bestRoute(state: NodeState, instance: string, address: Address, resolve: Resolve): Route | null {
  for (let length = address.bytes.length * 8; length >= 0; length--) {
    for (const route of routesFor(state.routes, instance, new Prefix(address, length))) {
      const { nextHop } = route;
      const to =
        nextHop.kind === 'address' ? [nextHop.address] : nextHop.kind === 'ecmp' ? nextHop.addresses : null;
      if (to === null || to.some((each) => resolve(instance, each) !== null)) return route;
    }
  }
  return null;
}

function nextHopText({ nextHop }: Route): string {
  switch (nextHop.kind) {
    case 'local':
    case 'direct':
      return nextHop.interface;
    case 'address':
      return String(nextHop.address);
    case 'tunnel':
      return `${nextHop.interface} (${nextHop.tunnel})`;
    case 'group':
    case 'ecmp':
      return nextHop.group;
    case 'by-source':
      return nextHop.routingInstance;
    case 'discard':
      return 'discard';
  }
}

function explainGroup(
  state: NodeState,
  { instance, service, route, hash, sticky, members, routingInstance, slots }: Group,
  flow: GivenFlow,
  resolve: Resolve,
): ExplainedGroup {
  const hashing = {
    hashKey: hash.key,
    hash: hash.function,
    seed: BigInt(hash.seed),
    slots: slots.length,
  } as const;
  const hashed = hashFlow(flow, hashing);
  const chosen = slots[hashed.slot] ?? noMember;
  const home = sticky?.previous == null ? undefined : sticky.previous.home[hashed.slot];
  return {
    ...hashed,
    ...hashing,
    slack: hash.slack,
    seed: String(hashing.seed),
    instance,
    virtualService: service?.config.name ?? String(route?.prefix),
    group: service?.group.name ?? `${instance} ${route?.prefix}`,
    members: members.map(({ name, address, weight, key }) => ({
      name,
      address: String(address),
      weight,
      up: state.services.get(key)?.up === true,
      nextHop: resolve(routingInstance, address),
    })),
    member: members[chosen]?.name ?? null,
    stickyHome: home === undefined ? null : (members[home]?.name ?? null),
  };
}
