/** All that a node knows. Immutable: a step makes a new one that shares what did not change. */
import type {
  Config,
  EcmpConfig,
  HashConfig,
  TlbGroupConfig,
  VirtualServiceConfig,
} from '../config/config.js';
import type { IcdState, Served } from '../ha/icd.js';
import type { Address } from '../model/address.js';
import type { ColdSyncStatus } from '../model/high-availability.js';
import type { Prefix } from '../model/prefix.js';
import { emptyTable, type RouteTable } from '../routing/table.js';
import { type Anchors, noAnchors } from './anchor.js';
import type { BfdPeer, BfdUse, BfdWant } from './bfd.js';
import type { AddedSa, KernelExport, NodeAction, Setup } from './event.js';
import { Numbering } from './numbering.js';
import type { RedundancyState, SrgNode } from './srg.js';
import type { Tunnel, TunnelKeys } from './tunnel.js';

/** What TableParts has; published together when the queue of events is empty. */
export type Part = 'interfaces' | 'filters' | 'groups' | 'routes' | 'spis' | 'policies' | 'flow' | 'icd';

export interface Numberings {
  readonly interfaces: Numbering;
  readonly routingInstances: Numbering;
  /** 0 is no zone */
  readonly zones: Numbering;
  readonly policies: Numbering;
  /** packets-and-bytes pairs */
  readonly statistics: Numbering;
}

/** What judges a member of a group, by the configuration. */
export interface ServiceEntry {
  readonly kind: 'real-service' | 'next-hop';
  /** TLB instance, or routing instance of the route */
  readonly instance: string;
  readonly name: string;
  readonly address: Address;
  /** where it is reached */
  readonly routingInstance: string;
  /** its next hop must answer ARP or neighbour discovery */
  readonly byNeighbour: boolean;
  /** the port that leads to it must be open */
  readonly byLink: boolean;
  /** out of service for maintenance */
  readonly adminDown: boolean;
  /** names a BFD session that must be up; null: none */
  readonly bfd: string | null;
  /** active profiles: all must say that it is up */
  readonly profiles: readonly string[];
  /** groups that it is a member of, by groupKey() */
  readonly groups: readonly string[];
}

/** A member is up while every sign that there is of it says so. */
export interface RealService {
  /** its next hop answers ARP or neighbour discovery */
  readonly neighbour: 'unknown' | 'up' | 'down';
  /** its gateway's control session; lost: until it is back, or the neighbour itself has been seen to fail */
  readonly session: 'none' | 'up' | 'lost';
  readonly exporter: string | null;
  /** by profile: what its health check says; missing: it has not made up its mind yet */
  readonly checks: ReadonlyMap<string, boolean>;
  readonly up: boolean;
  readonly sinceMs: number;
}

export interface GroupMember {
  readonly name: string;
  readonly address: Address;
  readonly weight: number;
  /** in NodeState.services */
  readonly key: string;
}

/** What sticky mode starts from: the home tier of a table, whose numbers mean these names. */
export interface StickyTable {
  readonly members: readonly string[];
  readonly home: Uint16Array;
}

/** What a configuration says of members behind one consistent-hash table: of a virtual service, or of a route. */
export interface GroupPlan {
  readonly kind: 'virtual-service' | 'ecmp';
  /** TLB instance, or routing instance of the route */
  readonly instance: string;
  /** of a virtual service; null: an ECMP group */
  readonly service: { readonly config: VirtualServiceConfig; readonly group: TlbGroupConfig } | null;
  /** of an ECMP group; null: a virtual service */
  readonly route: { readonly prefix: Prefix; readonly preference: number; readonly ecmp: EcmpConfig } | null;
  /** in the order of their names' bytes, which the slots count by */
  readonly members: readonly GroupMember[];
  /** where the members are reached */
  readonly routingInstance: string;
  readonly hash: HashConfig;
  /** slots */
  readonly size: number;
  /** null: the table is a function of the members alone */
  readonly sticky: { readonly previous: StickyTable | null } | null;
}

/** A group with its table. What it has of GroupPlan is what the slots were dealt by. */
export interface Group extends GroupPlan {
  /** what the next table is dealt by */
  readonly wanted: GroupPlan;
  /** the last build that was asked for; an answer to an older one is late */
  readonly asked: { readonly ticket: number; readonly dead: ReadonlySet<string> };
  /** names of members that were down or drained when the slots were dealt */
  readonly dead: ReadonlySet<string>;
  /** member index per slot as they were dealt, 0xffff: none */
  readonly dealt: Uint16Array;
  /** the same while members that came up start slowly: what packets go by */
  readonly slots: Uint16Array;
  /** when they change by themselves, Infinity: never */
  readonly rampUntilMs: number;
  /** of all that decides where a flow goes but the hash key; 0: not built yet */
  readonly digest: bigint;
  /** when a first member came up, or the last one went */
  readonly sinceMs: number;
  /**
   * Of a virtual service: whether its route is there. Once no member is up it is held until untilMs. Infinity: it stays.
   */
  readonly installed: { readonly sinceMs: number; readonly untilMs: number } | null;
}

export interface TunnelState {
  readonly tunnel: Tunnel;
  /** the worker that its SAs belong to */
  readonly anchor: number;
  readonly inbound: readonly AddedSa[];
  /** null: refused */
  readonly outbound: AddedSa | null;
  /** it is this node that has the tunnel: it may be announced */
  readonly proven: boolean;
  /** routers that were told */
  readonly announcedTo: ReadonlySet<string>;
  readonly sinceMs: number;
}

export interface NodeState {
  readonly config: Config | null;
  readonly setup: Setup;
  readonly numberings: Numberings;
  readonly routes: RouteTable;
  /** by realServiceKey(), or nextHopKey(); what judges each, and how each is */
  readonly entries: ReadonlyMap<string, ServiceEntry>;
  readonly services: ReadonlyMap<string, RealService>;
  /** keys of real services that get no new flows */
  readonly drained: ReadonlySet<string>;
  /** by groupKey(), or ecmpGroupKey() */
  readonly groups: ReadonlyMap<string, Group>;
  /** tables of sticky groups that were kept, by key: for groups that are configured */
  readonly kept: ReadonlyMap<string, StickyTable>;
  /** ports that are not open, by name */
  readonly closedPorts: ReadonlySet<string>;
  readonly tunnels: ReadonlyMap<string, TunnelState>;
  /** what those who named a BFD session know of it, by name */
  readonly bfd: ReadonlyMap<string, BfdUse>;
  /** by their ends */
  readonly bfdPeers: ReadonlyMap<string, BfdPeer>;
  /** sessions that are wanted and that no configuration names, by name */
  readonly bfdAsked: ReadonlyMap<string, BfdWant>;
  /** services redundancy groups by number; empty: the node is of no pair */
  readonly srgs: ReadonlyMap<number, SrgNode>;
  /** what they share; null: likewise */
  readonly redundancy: RedundancyState | null;
  /** routes that the groups' statuses brought */
  readonly srgRoutes: ReadonlySet<string>;
  /** whether this node has all of its peer's state */
  readonly coldSync: ColdSyncStatus;
  /** of IKE gateways, by gatewayOf() */
  readonly anchors: Anchors;
  /** keys that were handed to the native core, by ticket */
  readonly adding: ReadonlyMap<number, readonly TunnelKeys[]>;
  /** neighbours that answer, by neighbourKey() */
  readonly reachable: ReadonlySet<string>;
  /** routes that the kernel was told of, by prefix text */
  readonly exported: ReadonlyMap<string, KernelExport>;
  /** routers with a session */
  readonly routers: ReadonlySet<string>;
  /** what of the other node of a pair the tables say */
  readonly pair: PairForwarding;
  /** for what is asked next */
  readonly ticket: number;
  readonly dirty: ReadonlySet<Part>;
  /** what routers may hear only once the tables that it rests on are published */
  readonly afterwards: readonly NodeAction[];
  /** SAs that no table names any more once what is dirty is published */
  readonly retiring: { readonly inbound: readonly number[]; readonly outbound: readonly number[] };
}

/** What the pair's part of the tables was made of. */
export interface PairForwarding {
  readonly icd: IcdState;
  /** who serves what belongs to a group, by its number; SRG0 is not among them */
  readonly served: ReadonlyMap<number, Served>;
  readonly closedPorts: ReadonlySet<string>;
}

export const noPair: PairForwarding = { icd: 'none', served: new Map(), closedPorts: new Set() };

export const nothingRetiring: NodeState['retiring'] = { inbound: [], outbound: [] };

export const emptyNode: NodeState = {
  config: null,
  setup: { ports: new Map(), workers: 1 },
  numberings: {
    interfaces: new Numbering(),
    routingInstances: new Numbering(),
    zones: new Numbering(1),
    policies: new Numbering(1),
    statistics: new Numbering(),
  },
  routes: emptyTable,
  entries: new Map(),
  services: new Map(),
  drained: new Set(),
  groups: new Map(),
  kept: new Map(),
  closedPorts: new Set(),
  tunnels: new Map(),
  bfd: new Map(),
  bfdPeers: new Map(),
  bfdAsked: new Map(),
  srgs: new Map(),
  redundancy: null,
  srgRoutes: new Set(),
  coldSync: 'UNKNOWN',
  anchors: noAnchors,
  adding: new Map(),
  reachable: new Set(),
  exported: new Map(),
  routers: new Set(),
  pair: noPair,
  ticket: 1,
  dirty: new Set(),
  afterwards: [],
  retiring: nothingRetiring,
};

export const realServiceKey = (instance: string, group: string, name: string) =>
  `${instance}/${group}/${name}`;
export const nextHopKey = (group: string, name: string) => `${group} via ${name}`;
export const groupKey = (instance: string, virtualService: string) => `${instance}/${virtualService}`;
export const neighbourKey = (interfaceNumber: number, address: { toString(): string }) =>
  `${interfaceNumber} ${address}`;
export const memberStatistic = (group: string, member: string) => `${group} ${member}`;
export const termStatistic = (filter: { family: string; name: string }, counter: string) =>
  `${filter.family} ${filter.name} ${counter}`;

export function withDirty(state: NodeState, ...parts: Part[]): NodeState {
  return parts.every((part) => state.dirty.has(part))
    ? state
    : { ...state, dirty: new Set([...state.dirty, ...parts]) };
}
