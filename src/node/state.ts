/** All that a node knows. Immutable: a step makes a new one that shares what did not change. */
import type { Config, TlbGroupConfig, VirtualServiceConfig } from '../config/config.js';
import { emptyTable, type RouteTable } from '../routing/table.js';
import type { AddedSa, NodeAction, Setup } from './event.js';
import { Numbering } from './numbering.js';
import type { Tunnel, TunnelKeys } from './tunnel.js';

/** What TableParts has; published together when the queue of events is empty. */
export type Part = 'interfaces' | 'filters' | 'groups' | 'routes' | 'spis' | 'policies' | 'flow';

export interface Numberings {
  readonly interfaces: Numbering;
  readonly routingInstances: Numbering;
  /** 0 is no zone */
  readonly zones: Numbering;
  readonly policies: Numbering;
  /** packets-and-bytes pairs */
  readonly statistics: Numbering;
}

/** A real service is up while every sign that there is of it says so. */
export interface RealService {
  /** its next hop answers ARP or neighbour discovery */
  readonly neighbour: 'unknown' | 'up' | 'down';
  /** its gateway's control session; lost: until it is back, or the neighbour itself has been seen to fail */
  readonly session: 'none' | 'up' | 'lost';
  readonly exporter: string | null;
  readonly up: boolean;
  readonly sinceMs: number;
}

/** A virtual service with its group. */
export interface Group {
  readonly instance: string;
  /** what the slots were dealt by: its members are what they number */
  readonly service: VirtualServiceConfig;
  readonly group: TlbGroupConfig;
  /** what the next table is dealt by */
  readonly wanted: {
    readonly service: VirtualServiceConfig;
    readonly group: TlbGroupConfig;
    readonly size: number;
  };
  /** the last build that was asked for; an answer to an older one is late */
  readonly asked: { readonly ticket: number; readonly dead: ReadonlySet<string> };
  /** names of members that were down or drained when the slots were dealt */
  readonly dead: ReadonlySet<string>;
  /** member index per slot, 0xffff: none */
  readonly slots: Uint16Array;
  /** when a first real service came up, or the last one went */
  readonly sinceMs: number;
}

export interface TunnelState {
  readonly tunnel: Tunnel;
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
  /** by realServiceKey() */
  readonly services: ReadonlyMap<string, RealService>;
  /** keys of real services that get no new flows */
  readonly drained: ReadonlySet<string>;
  /** by groupKey() */
  readonly groups: ReadonlyMap<string, Group>;
  readonly tunnels: ReadonlyMap<string, TunnelState>;
  /** keys that were handed to the native core, by ticket */
  readonly adding: ReadonlyMap<number, readonly TunnelKeys[]>;
  /** neighbours that answer, by neighbourKey() */
  readonly reachable: ReadonlySet<string>;
  /** routers with a session */
  readonly routers: ReadonlySet<string>;
  /** for what is asked next */
  readonly ticket: number;
  readonly dirty: ReadonlySet<Part>;
  /** what routers may hear only once the tables that it rests on are published */
  readonly afterwards: readonly NodeAction[];
  /** SAs that no table names any more once what is dirty is published */
  readonly retiring: { readonly inbound: readonly number[]; readonly outbound: readonly number[] };
}

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
  services: new Map(),
  drained: new Set(),
  groups: new Map(),
  tunnels: new Map(),
  adding: new Map(),
  reachable: new Set(),
  routers: new Set(),
  ticket: 1,
  dirty: new Set(),
  afterwards: [],
  retiring: nothingRetiring,
};

export const realServiceKey = (instance: string, name: string) => `${instance}/${name}`;
export const groupKey = (instance: string, virtualService: string) => `${instance}/${virtualService}`;
export const neighbourKey = (interfaceNumber: number, address: { toString(): string }) =>
  `${interfaceNumber} ${address}`;
export const memberStatistic = (group: string, realService: string) => `${group} ${realService}`;
export const termStatistic = (filter: { family: string; name: string }, counter: string) =>
  `${filter.family} ${filter.name} ${counter}`;

export function withDirty(state: NodeState, ...parts: Part[]): NodeState {
  return parts.every((part) => state.dirty.has(part))
    ? state
    : { ...state, dirty: new Set([...state.dirty, ...parts]) };
}
