/** Groups: their tables, which are dealt anew when a member comes or goes, and the routes of virtual services. */
import type { Config, HashConfig } from '../config/config.js';
import { defaultTableSize, noMember } from '../lb/chash.js';
import { compareBytes, FlowHasher, flowKey, slotOf } from '../lb/keys.js';
import { movement } from '../lb/movement.js';
import { nextRampMs, rampAt, ramped } from '../lb/slow-start.js';
import type { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import type { ChashOptions } from '../pipeline/native.js';
import type { Route } from '../routing/route.js';
import { ecmpGroupKey } from '../routing/sources.js';
import { adjacencies, changeRoutes } from '../routing/table.js';
import type { BuiltTable, NodeAction } from './event.js';
import type { Stepped } from './services.js';
import { groupsDeadline } from './srg.js';
import {
  type Group,
  type GroupMember,
  type GroupPlan,
  groupKey,
  type NodeState,
  nextHopKey,
  realServiceKey,
  type StickyTable,
  withDirty,
} from './state.js';

/** As the file has it: what was before is not in it yet. */
type Configured = Omit<GroupPlan, 'size' | 'sticky'> & { readonly isSticky: boolean };

/** The groups of a configuration. One with the same members goes on as it was; a sticky one starts from what it was. */
export function configureGroups(state: NodeState, config: Config, nowMs: number): NodeState {
  const groups = new Map<string, Group>();
  for (const [key, fixed] of [...virtualServices(config), ...ecmpGroups(config)]) {
    groups.set(key, begin(fixed, state.groups.get(key), state.kept.get(key) ?? null, nowMs));
  }
  return { ...state, groups };
}

function virtualServices(config: Config): [string, Configured][] {
  return config.trafficLoadBalance.flatMap((instance) =>
    instance.virtualServices.map((service): [string, Configured] => {
      const group = instance.groups.find(({ name }) => name === service.group)!;
      const members = group.realServices.map(
        ({ name, address, weight }): GroupMember => ({
          name,
          address,
          weight,
          key: realServiceKey(instance.name, group.name, name),
        }),
      );
      return [
        groupKey(instance.name, service.name),
        {
          kind: 'virtual-service',
          instance: instance.name,
          service: { config: service, group },
          route: null,
          members: inNameOrder(members),
          routingInstance: group.routingInstance,
          hash: service.hash,
          isSticky: false,
        },
      ];
    }),
  );
}

function ecmpGroups(config: Config): [string, Configured][] {
  return config.routingInstances.flatMap(({ name: instance, staticRoutes }) =>
    staticRoutes.flatMap(({ prefix, preference, nextHop }): [string, Configured][] => {
      if (nextHop.kind !== 'ecmp') return [];
      const key = ecmpGroupKey(instance, prefix, preference);
      const members = nextHop.members.map((member) => ({ ...member, key: nextHopKey(key, member.name) }));
      return [
        [
          key,
          {
            kind: 'ecmp',
            instance,
            service: null,
            route: { prefix, preference, ecmp: nextHop },
            members: inNameOrder(members),
            routingInstance: instance,
            hash: nextHop.hash,
            isSticky: nextHop.sticky,
          },
        ],
      ];
    }),
  );
}

function inNameOrder(members: readonly GroupMember[]): GroupMember[] {
  const encoder = new TextEncoder();
  return members.toSorted((a, b) => compareBytes(encoder.encode(a.name), encoder.encode(b.name)));
}

/** The table that there is goes on until the new one is dealt. */
function begin(
  { isSticky, ...configured }: Configured,
  before: Group | undefined,
  kept: StickyTable | null,
  nowMs: number,
): Group {
  const { members, hash } = configured;
  const previous = before?.sticky?.previous ?? kept;
  const sticky = isSticky ? { previous: fits(previous, hash, members.length) ? previous : null } : null;
  const size = sizeOf(hash, members.length, sticky?.previous ?? null);
  const wanted: GroupPlan = { ...configured, size, sticky };
  const asked = { ticket: 0, dead: new Set<string>() };
  if (before !== undefined) return { ...before, wanted, asked };
  return {
    ...wanted,
    wanted,
    asked,
    dead: new Set(members.map(({ name }) => name)),
    dealt: new Uint16Array(size).fill(noMember),
    slots: new Uint16Array(size).fill(noMember),
    rampUntilMs: Number.POSITIVE_INFINITY,
    digest: 0n,
    sinceMs: nowMs,
    installed: null,
  };
}

function sizeOf(hash: HashConfig, members: number, previous: StickyTable | null): number {
  const wanted = hash.size === 0 ? defaultTableSize(members) : hash.size;
  // a table that has grown stays: shrinking would move flows of members that stay
  return previous === null ? wanted : Math.max(wanted, previous.home.length);
}

/** Whether a table can be gone on from: the slots of a larger one must cover its own exactly. */
function fits(previous: StickyTable | null, hash: HashConfig, members: number): boolean {
  if (previous === null) return false;
  const { length } = previous.home;
  return length > 0 && sizeOf(hash, members, previous) % length === 0;
}

/** The same flows at the same members, in a table with more slots. */
function stretched({ members, home }: StickyTable, size: number): StickyTable {
  if (home.length === size) return { members, home };
  const times = size / home.length;
  return { members, home: Uint16Array.from({ length: size }, (_, slot) => home[Math.floor(slot / times)]!) };
}

/** For new flows: up, and not drained. */
export const isEligible = ({ services, drained }: NodeState, key: string): boolean =>
  services.get(key)?.up === true && !drained.has(key);

/** The members that a table is to leave out. A group that fails open leaves out none that can be reached at all. */
function deadMembers(state: NodeState, { members, service, routingInstance }: GroupPlan): string[] {
  const isDown = members.every(({ key }) => state.services.get(key)?.up !== true);
  const resolve = adjacencies(state.routes);
  const isOut =
    isDown && service?.group.whenAllDown === 'fail-open'
      ? ({ address, key }: GroupMember) =>
          resolve(routingInstance, address) === null || state.entries.get(key)?.adminDown === true
      : ({ key }: GroupMember) => !isEligible(state, key);
  return members.filter(isOut).map(({ name }) => name);
}

/** What the table of a group is built from. */
export function tableOptions(
  { members, hash, sticky, size }: GroupPlan,
  dead: readonly string[],
): ChashOptions {
  const previous = sticky?.previous == null ? null : stretched(sticky.previous, size);
  return {
    members: members.map(({ name, weight }) => ({ name, weight })),
    dead: [...dead],
    hash: hash.function,
    seed: BigInt(hash.seed),
    size,
    slack: hash.slack,
    ...(previous === null ? {} : { previous: { members: [...previous.members], home: previous.home } }),
  };
}

export function askForTable(state: NodeState, key: string): Stepped {
  const group = state.groups.get(key)!;
  const dead = deadMembers(state, group.wanted);
  const { ticket } = state;
  const groups = new Map(state.groups).set(key, { ...group, asked: { ticket, dead: new Set(dead) } });
  const options = tableOptions(group.wanted, dead);
  return {
    state: { ...state, groups, ticket: ticket + 1 },
    actions: [{ kind: 'build-group', group: key, ticket, options }],
  };
}

/** A table that was asked for. One that is late is passed over: a newer one is on its way. */
export function groupBuilt(
  state: NodeState,
  key: string,
  ticket: number,
  { slots, home, digest }: BuiltTable,
  nowMs: number,
): Stepped {
  const group = state.groups.get(key);
  if (group === undefined || group.asked.ticket !== ticket) return { state, actions: [] };
  const wasUp = group.slots.some((member) => member !== noMember);
  const isUp = slots.some((member) => member !== noMember);
  const sinceMs = wasUp === isUp ? group.sinceMs : nowMs;
  const table: StickyTable = { members: group.wanted.members.map(({ name }) => name), home };
  const wanted: GroupPlan = {
    ...group.wanted,
    sticky: group.wanted.sticky === null ? null : { previous: table },
  };
  const dealt = startedSlowly(
    state,
    { ...group, ...wanted, wanted, dealt: slots, digest, dead: group.asked.dead, sinceMs },
    nowMs,
  );
  const groups = new Map(state.groups).set(key, dealt);
  const moved = movedSlots(group, dealt);
  const actions: NodeAction[] = [];
  if (group.wanted.sticky !== null && !isSameTable(group.wanted.sticky.previous, table))
    actions.push({ kind: 'keep-table', group: key, table });
  if (moved.rehomed + moved.others > 0) {
    const up = dealt.members.filter((member) => state.services.get(member.key)?.up === true).length;
    const members = dealt.members.length;
    const report = { kind: 'group', group: key, of: group.kind, ...moved, up, members } as const;
    actions.push({ kind: 'report', report });
  }
  const kept = wanted.sticky === null ? state.kept : new Map(state.kept).set(key, table);
  return { state: withDirty({ ...state, groups, kept }, 'groups'), actions };
}

/** When each member of a group that starts slowly came up; those of a group that has just come up itself do not. */
function starts(
  { services }: NodeState,
  { service, members, sinceMs }: Pick<Group, 'service' | 'members' | 'sinceMs'>,
): [number, number][] {
  const slowStartMs = service?.group.slowStartMs ?? 0;
  if (slowStartMs === 0) return [];
  return members.flatMap(({ key }, number): [number, number][] => {
    const member = services.get(key);
    const late = member?.up === true && member.sinceMs - sinceMs >= slowStartMs;
    return late ? [[number, member.sinceMs]] : [];
  });
}

/** The group with its slots as they are now, while members that came up start slowly. */
function startedSlowly(state: NodeState, group: Omit<Group, 'slots' | 'rampUntilMs'>, nowMs: number): Group {
  const slowStartMs = group.service?.group.slowStartMs ?? 0;
  const ramps = new Map<number, number>();
  let rampUntilMs = Number.POSITIVE_INFINITY;
  for (const [number, sinceMs] of starts(state, group)) {
    ramps.set(number, rampAt(nowMs - sinceMs, slowStartMs));
    rampUntilMs = Math.min(rampUntilMs, sinceMs + nextRampMs(nowMs - sinceMs, slowStartMs));
  }
  return { ...group, slots: ramped(group.dealt, ramps), rampUntilMs };
}

function isSameTable(a: StickyTable | null, b: StickyTable): boolean {
  return (
    a !== null &&
    a.members.join(' ') === b.members.join(' ') &&
    a.home.length === b.home.length &&
    a.home.every((member, slot) => member === b.home[slot])
  );
}

type Dealt = Pick<Group, 'members' | 'slots' | 'dead'>;

/** What the tables of a group moved from one to the other: of necessity, and between members that were up all along. */
export function movedSlots(before: Dealt, after: Dealt): { slots: number; rehomed: number; others: number } {
  const table = ({ members, slots, dead }: Dealt) => ({ members, slots, dead });
  const { total, moved, excess } = movement(table(before), table(after));
  const slots = after.slots.length;
  // tables of different sizes are compared hash by hash
  const inSlots = (count: number) => Math.round((count * slots) / total);
  return { slots, rehomed: inSlots(moved) - inSlots(excess), others: inSlots(excess) };
}

/** The member that the table gives a source address, null: none is up, or there is no such virtual service. */
export function realServiceOf(state: NodeState, virtualAddress: Address, source: Address): string | null {
  for (const { service, hash, members, slots } of state.groups.values()) {
    if (service === null || !service.config.address.equals(virtualAddress)) continue;
    const fields = { source: source.bytes, destination: virtualAddress.bytes, protocol: 50 };
    const value = new FlowHasher(hash.function, hash.seed).hash(flowKey(hash.key, fields));
    const member = slots[slotOf(value, slots.length)]!;
    return members[member]?.name ?? null;
  }
  return null;
}

/**
 * Sees to the routes of these virtual services: there while a real service is up (always, once one was, in a group that
 * fails open), and held for a while when none is any more.
 */
export function installRoutes(state: NodeState, keys: ReadonlySet<string>, nowMs: number): Stepped {
  const groups = new Map(state.groups);
  const actions: NodeAction[] = [];
  const gone = new Set<string>();
  const add: Route[] = [];
  for (const key of keys) {
    const group = groups.get(key);
    const service = group?.wanted.service ?? null;
    if (group === undefined || service === null) continue;
    const installed = installedAs(state, group, nowMs);
    if (installed === null) gone.add(key);
    else add.push(serviceRoute(key, service.config, installed.sinceMs));
    if ((installed === null) !== (group.installed === null)) {
      const report = { kind: 'service-route', group: key, installed: installed !== null } as const;
      actions.push({ kind: 'report', report });
    }
    groups.set(key, { ...group, installed });
  }
  const isThere = ({ routingInstance, prefix, origin }: Route) =>
    state.routes
      .get(routingInstance)
      ?.get(String(prefix))
      ?.some((route) => route.protocol === 'tlb' && route.origin === origin) === true;
  const fresh = add.filter((route) => !isThere(route));
  const routes =
    fresh.length + gone.size === 0
      ? state.routes
      : changeRoutes(state.routes, {
          add: fresh,
          removeIf: ({ protocol, origin }) => protocol === 'tlb' && gone.has(origin),
        });
  const next = { ...state, groups, routes };
  return { state: routes === state.routes ? next : withDirty(next, 'routes'), actions };
}

function installedAs(state: NodeState, { wanted, installed }: Group, nowMs: number) {
  const { service, members, instance } = wanted;
  const stays = { sinceMs: installed?.sinceMs ?? nowMs, untilMs: Number.POSITIVE_INFINITY };
  if (members.some(({ key }) => state.services.get(key)?.up === true)) return stays;
  if (installed === null) return null;
  if (service!.group.whenAllDown === 'fail-open') return stays;
  const holdSeconds =
    state.config?.trafficLoadBalance.find(({ name }) => name === instance)?.routeHoldSeconds ?? 0;
  const untilMs = Math.min(installed.untilMs, nowMs + 1000 * holdSeconds);
  return untilMs <= nowMs ? null : { ...installed, untilMs };
}

function serviceRoute(key: string, service: NonNullable<Group['service']>['config'], sinceMs: number): Route {
  const { address, routingInstance } = service;
  const isWildcard = address.bytes.every((byte) => byte === 0);
  return {
    routingInstance,
    prefix: isWildcard ? new Prefix(address, 0) : Prefix.host(address),
    protocol: 'tlb',
    origin: key,
    nextHop: { kind: 'group', group: key },
    sinceMs,
  };
}

/** Members that start slowly take up more, and routes go whose time is over. */
export function timePassed(before: NodeState, nowMs: number): Stepped {
  const ramping = [...before.groups].filter(([, { rampUntilMs }]) => rampUntilMs <= nowMs);
  const groups = new Map(before.groups);
  for (const [key, group] of ramping) groups.set(key, startedSlowly(before, group, nowMs));
  const state = ramping.length === 0 ? before : withDirty({ ...before, groups }, 'groups');
  const due = [...state.groups].filter(([, { installed }]) => (installed?.untilMs ?? Infinity) <= nowMs);
  return installRoutes(state, new Set(due.map(([key]) => key)), nowMs);
}

/** When time-passed is to be said at the latest; Infinity: nothing waits. */
export function nextDeadline(state: NodeState): number {
  let earliest = groupsDeadline(state);
  for (const { installed, rampUntilMs } of state.groups.values())
    earliest = Math.min(earliest, rampUntilMs, installed?.untilMs ?? Number.POSITIVE_INFINITY);
  return earliest;
}
