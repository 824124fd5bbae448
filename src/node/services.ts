/** Real services: which are up, and the groups that are dealt anew when that changes. */
import type { Config } from '../config/config.js';
import { defaultTableSize, noMember } from '../lb/chash.js';
import { compareBytes, FlowHasher, flowKey, slotOf } from '../lb/keys.js';
import { movement } from '../lb/movement.js';
import type { Address } from '../model/address.js';
import { adjacencies } from '../routing/table.js';
import type { NeighbourChange, NodeAction } from './event.js';
import {
  type Group,
  groupKey,
  type NodeState,
  neighbourKey,
  type RealService,
  realServiceKey,
  withDirty,
} from './state.js';

export interface Stepped {
  readonly state: NodeState;
  readonly actions: readonly NodeAction[];
}

const unseen: RealService = { neighbour: 'unknown', session: 'none', exporter: null, up: false, sinceMs: 0 };

/** The services and groups of a configuration; what went on before in those that stay goes on. */
export function configureServices(state: NodeState, config: Config, nowMs: number): Stepped {
  const services = new Map<string, RealService>();
  const groups = new Map<string, Group>();
  for (const instance of config.trafficLoadBalance) {
    for (const { realServices } of instance.groups) {
      for (const { name } of realServices) {
        const key = realServiceKey(instance.name, name);
        services.set(key, state.services.get(key) ?? { ...unseen, sinceMs: nowMs });
      }
    }
    for (const service of instance.virtualServices) {
      const found = instance.groups.find(({ name }) => name === service.group)!;
      const encoder = new TextEncoder();
      const realServices = found.realServices.toSorted((a, b) =>
        compareBytes(encoder.encode(a.name), encoder.encode(b.name)),
      );
      const key = groupKey(instance.name, service.name);
      const before = state.groups.get(key);
      const group = { ...found, realServices };
      const size = defaultTableSize(realServices.length);
      const wanted = { service, group, size };
      const asked = { ticket: 0, dead: new Set<string>() };
      // the table that there is goes on until the new one is dealt
      groups.set(
        key,
        before === undefined
          ? {
              instance: instance.name,
              service,
              group,
              wanted,
              asked,
              dead: new Set(realServices.map(({ name }) => name)),
              slots: new Uint16Array(size).fill(noMember),
              sinceMs: nowMs,
            }
          : { ...before, wanted, asked },
      );
    }
  }
  const drainedOnes = new Set([...state.drained].filter((key) => services.has(key)));
  const next = { ...state, services, groups, drained: drainedOnes };
  return judge(next, new Set(groups.keys()), nowMs, 'configuration');
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
  const touched = new Set(realServices.filter((key) => now.has(key) !== state.drained.has(key)));
  const groups = [...state.groups]
    .filter(([, { instance, wanted }]) =>
      wanted.group.realServices.some(({ name }) => touched.has(realServiceKey(instance, name))),
    )
    .map(([key]) => key);
  return judge({ ...state, drained: now }, new Set(groups), nowMs, 'drain');
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
  return judge({ ...state, reachable }, new Set(), nowMs, 'neighbour', failed);
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
  for (const { instance, name, address } of realServicesOf(state)) {
    const key = realServiceKey(instance, name);
    const service = services.get(key)!;
    if (own.has(String(address))) services.set(key, { ...service, session: 'up', exporter });
    else if (service.exporter === exporter)
      services.set(key, { ...service, session: 'none', exporter: null });
  }
  return judge({ ...state, services }, new Set(), nowMs, 'control session');
}

export function exporterClosed(state: NodeState, exporter: string, nowMs: number): Stepped {
  const services = new Map(state.services);
  for (const [key, service] of services) {
    if (service.exporter === exporter) services.set(key, { ...service, session: 'lost', exporter: null });
  }
  return judge({ ...state, services }, new Set(), nowMs, 'control session');
}

/** Every real service with where it is reached, each once. */
export function realServicesOf(
  state: NodeState,
): { instance: string; name: string; address: Address; routingInstance: string }[] {
  const found = new Map<
    string,
    { instance: string; name: string; address: Address; routingInstance: string }
  >();
  for (const { name: instance, groups } of state.config?.trafficLoadBalance ?? []) {
    for (const { routingInstance, realServices } of groups) {
      for (const { name, address } of realServices) {
        const key = realServiceKey(instance, name);
        if (!found.has(key)) found.set(key, { instance, name, address, routingInstance });
      }
    }
  }
  return [...found.values()];
}

/**
 * Judges every real service by its signs and asks for the tables of groups with a change, and of those in `rebuild`.
 * failed: neighbours that were just seen to fail.
 */
export function judge(
  state: NodeState,
  rebuild: ReadonlySet<string>,
  nowMs: number,
  sign: string,
  failed: ReadonlySet<string> = new Set(),
): Stepped {
  const resolve = adjacencies(state.routes);
  const services = new Map(state.services);
  const actions: NodeAction[] = [];
  const changed = new Set<string>();
  for (const { instance, name, address, routingInstance } of realServicesOf(state)) {
    const key = realServiceKey(instance, name);
    const before = services.get(key) ?? unseen;
    const adjacency = resolve(routingInstance, address);
    const neighbour =
      adjacency === null
        ? null
        : neighbourKey(state.numberings.interfaces.of(adjacency.interface), adjacency.address);
    const answers = neighbour !== null && state.reachable.has(neighbour);
    // what the lost session announced, the neighbour confirms; from then on it alone says when it is back
    const confirmed = before.session === 'lost' && neighbour !== null && failed.has(neighbour);
    const session = confirmed ? 'none' : before.session;
    const up = answers && session !== 'lost';
    services.set(key, {
      neighbour: answers
        ? 'up'
        : before.neighbour === 'unknown' && !failed.has(neighbour ?? '')
          ? 'unknown'
          : 'down',
      session,
      exporter: before.exporter,
      up,
      sinceMs: up === before.up ? before.sinceMs : nowMs,
    });
    if (up === before.up) continue;
    changed.add(key);
    actions.push({ kind: 'report', report: { kind: 'real-service', instance, name, up, sign } });
  }
  let next: NodeState = { ...state, services };
  for (const [key, { instance, wanted }] of next.groups) {
    const touched = wanted.group.realServices.some(({ name }) => changed.has(realServiceKey(instance, name)));
    if (!touched && !rebuild.has(key)) continue;
    const asked = askForTable(next, key);
    next = asked.state;
    actions.push(...asked.actions);
  }
  return { state: next, actions };
}

function askForTable(state: NodeState, key: string): Stepped {
  const group = state.groups.get(key)!;
  const { wanted } = group;
  const { realServices } = wanted.group;
  const dead = realServices
    .filter(({ name }) => !isEligible(state, realServiceKey(group.instance, name)))
    .map(({ name }) => name);
  const { ticket } = state;
  const groups = new Map(state.groups).set(key, { ...group, asked: { ticket, dead: new Set(dead) } });
  const options = {
    members: realServices.map(({ name, weight }) => ({ name, weight })),
    dead,
    seed: BigInt(wanted.service.hashSeed),
    size: wanted.size,
    slack: 0,
  };
  return {
    state: { ...state, groups, ticket: ticket + 1 },
    actions: [{ kind: 'build-group', group: key, ticket, options }],
  };
}

/** For new flows: up, and not drained. */
export const isEligible = ({ services, drained: out }: NodeState, key: string): boolean =>
  services.get(key)?.up === true && !out.has(key);

/** A table that was asked for. One that is late is passed over: a newer one is on its way. */
export function groupBuilt(
  state: NodeState,
  key: string,
  ticket: number,
  slots: Uint16Array,
  nowMs: number,
): Stepped {
  const group = state.groups.get(key);
  if (group === undefined || group.asked.ticket !== ticket) return { state, actions: [] };
  const wasUp = group.slots.some((member) => member !== noMember);
  const isUp = slots.some((member) => member !== noMember);
  const sinceMs = wasUp === isUp ? group.sinceMs : nowMs;
  const { service, group: dealtBy } = group.wanted;
  const dealt: Group = { ...group, service, group: dealtBy, slots, dead: group.asked.dead, sinceMs };
  const groups = new Map(state.groups).set(key, dealt);
  const members = dealtBy.realServices;
  const moved = movedSlots(group, dealt);
  const up = members.filter(
    ({ name }) => state.services.get(realServiceKey(group.instance, name))?.up === true,
  );
  const report = {
    kind: 'group',
    group: key,
    ...moved,
    up: up.length,
    members: members.length,
  } as const;
  return {
    state: withDirty({ ...state, groups }, 'groups'),
    actions: moved.rehomed + moved.others > 0 ? [{ kind: 'report', report }] : [],
  };
}

type Dealt = Pick<Group, 'group' | 'slots' | 'dead'>;

/** What the tables of a group moved from one to the other: of necessity, and between members that were up all along. */
export function movedSlots(before: Dealt, after: Dealt): { slots: number; rehomed: number; others: number } {
  const table = ({ group, slots, dead }: Dealt) => ({ members: group.realServices, slots, dead });
  const { total, moved, excess } = movement(table(before), table(after));
  const slots = after.slots.length;
  // tables of different sizes are compared hash by hash
  const inSlots = (count: number) => Math.round((count * slots) / total);
  return { slots, rehomed: inSlots(moved) - inSlots(excess), others: inSlots(excess) };
}

/** The real service that the table gives a source address, null: none is up, or there is no such virtual service. */
export function realServiceOf(state: NodeState, virtualAddress: Address, source: Address): string | null {
  for (const { service, group, slots } of state.groups.values()) {
    if (!service.address.equals(virtualAddress)) continue;
    const fields = { source: source.bytes, destination: virtualAddress.bytes, protocol: 50 };
    const hash = new FlowHasher('xxh64', service.hashSeed).hash(flowKey(service.hashKey, fields));
    const member = slots[slotOf(hash, slots.length)]!;
    return group.realServices[member]?.name ?? null;
  }
  return null;
}
