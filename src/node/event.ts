/** What a node is told, and what it wants done. Values only; `step.ts` leads from one to the other. */
import type { BfdAuthConfig, Config } from '../config/config.js';
import type { Address } from '../model/address.js';
import type { ColdSyncStatus, SrgHellos, SrgStatus } from '../model/high-availability.js';
import type { Prefix } from '../model/prefix.js';
import type { ChashOptions, LivenessCommand, TableParts } from '../pipeline/native.js';
import type { Announcement } from '../routing/ari.js';
import type { Route } from '../routing/route.js';
import type { StickyTable } from './state.js';
import type { SaKey, Tunnel, TunnelKeys } from './tunnel.js';

/** A port as it was opened. */
export interface PortBinding {
  readonly index: number;
  readonly mac: Uint8Array;
}

export interface Setup {
  /** by the port's name in the configuration; one that could not be opened is missing */
  readonly ports: ReadonlyMap<string, PortBinding>;
  readonly workers: number;
  /** of what must not be guessed, or not be the same at every start: BFD's discriminators; 0 when left out */
  readonly seed?: number;
  /** of this start of the node: what a pair tells its hellos apart by; 1 when left out */
  readonly generation?: number;
}

/** What the native core is told of BFD sessions; the keys stay hidden until then. */
export type BfdCommand =
  | Exclude<LivenessCommand, { kind: 'open' }>
  | (Omit<Extract<LivenessCommand, { kind: 'open' }>, 'auth'> & {
      readonly auth: (BfdAuthConfig & { readonly firstSequence: number }) | null;
    });

export interface BfdChange {
  /** its name: see bfd.ts */
  readonly session: string;
  readonly up: boolean;
  /** why it is down, e.g. `detection time expired` */
  readonly diagnostic: string;
}

export interface NeighbourChange {
  /** number of the interface */
  readonly interface: number;
  readonly address: Address;
  readonly reachable: boolean;
}

export interface PortChange {
  readonly port: string;
  readonly open: boolean;
}

export interface HealthChange {
  /** realServiceKey() */
  readonly service: string;
  readonly profile: string;
  readonly up: boolean;
  /** why it is down, e.g. 'HTTP status 500' */
  readonly message: string;
}

export interface BuiltTable {
  readonly slots: Uint16Array;
  readonly home: Uint16Array;
  readonly digest: bigint;
}

export interface PrefixOfInstance {
  readonly routingInstance: string;
  readonly prefix: Prefix;
}

/** A route that the kernel is told of. */
export interface KernelExport {
  readonly prefix: Prefix;
  /** of the kernel's route: see kernelMetric() */
  readonly metric: number;
}

export interface AddedSa {
  readonly tunnel: string;
  readonly spi: number;
  /** in the native slab */
  readonly index: number;
}

/** An echo of a pair's monitor or probe. */
export interface EchoRequest {
  readonly source: Address;
  readonly destination: Address;
  /** number of the instance that it is routed in */
  readonly routingInstance: number;
  readonly identifier: number;
  readonly sequence: number;
}

export type NodeEvent =
  | { readonly kind: 'configured'; readonly config: Config; readonly setup: Setup }
  | { readonly kind: 'neighbours-changed'; readonly changes: readonly NeighbourChange[] }
  /** Keys were agreed on. */
  | { readonly kind: 'tunnels-keyed'; readonly tunnels: readonly TunnelKeys[] }
  | { readonly kind: 'tunnels-removed'; readonly tunnels: readonly string[] }
  /** Answers add-sas, in its order; a tunnel that is missing was refused. */
  | {
      readonly kind: 'sas-added';
      readonly ticket: number;
      readonly inbound: readonly AddedSa[];
      readonly outbound: readonly AddedSa[];
    }
  /** A packet authenticated on an inbound SA of each since it was last said. */
  | { readonly kind: 'tunnels-proven'; readonly tunnels: readonly string[] }
  /** Real services (keys) that get no new flows, or do again. */
  | { readonly kind: 'drained'; readonly realServices: readonly string[]; readonly drained: boolean }
  /** Ports that opened or closed, by name. */
  | { readonly kind: 'ports-changed'; readonly changes: readonly PortChange[] }
  /** What health checks say of real services now. */
  | { readonly kind: 'health-changed'; readonly changes: readonly HealthChange[] }
  /** Tables of sticky groups as an earlier run, or another router, kept them; before the configuration that has them. */
  | { readonly kind: 'tables-kept'; readonly tables: ReadonlyMap<string, StickyTable> }
  /** A deadline of the state has come: see nextDeadline(). */
  | { readonly kind: 'time-passed' }
  /** What the native core tells of BFD sessions: a packet that says something new, null: silence. */
  | {
      readonly kind: 'liveness-told';
      readonly told: readonly { readonly session: number; readonly packet: Uint8Array | null }[];
    }
  /** Sessions, by name, that came up or went down: for whoever named them. */
  | { readonly kind: 'bfd-changed'; readonly changes: readonly BfdChange[] }
  /** What the peer says of services redundancy groups, over the ICL. */
  | { readonly kind: 'srg-hello-received'; readonly hello: SrgHellos }
  /** How much of the peer's state is here. */
  | { readonly kind: 'cold-sync-changed'; readonly status: ColdSyncStatus }
  /** An operator's word on a group. */
  | {
      readonly kind: 'srg-command';
      readonly group: number;
      readonly command: 'failover' | 'failback';
      /** also when sessions are lost by it */
      readonly force: boolean;
    }
  /** VRRP, or whoever drives an ha-group, says whether this node has it. */
  | { readonly kind: 'ha-group-told'; readonly group: string; readonly told: 'active' | 'backup' }
  /** An answer to send-echoes. */
  | {
      readonly kind: 'echo-answered';
      readonly identifier: number;
      readonly sequence: number;
      readonly source: Address;
    }
  /** The node is about to end: neighbours hear it now. */
  | { readonly kind: 'ending' }
  /** Answers build-group. */
  | ({ readonly kind: 'group-built'; readonly group: string; readonly ticket: number } & BuiltTable)
  /** All the routes that are taken from the kernel now. */
  | { readonly kind: 'kernel-routes-changed'; readonly routes: readonly Route[] }
  /** On a router: a gateway that exports routes has come, or gone. addresses: its own. */
  | { readonly kind: 'exporter-opened'; readonly exporter: string; readonly addresses: readonly Address[] }
  | { readonly kind: 'exporter-closed'; readonly exporter: string }
  | { readonly kind: 'routes-announced'; readonly exporter: string; readonly routes: readonly Announcement[] }
  | {
      readonly kind: 'routes-withdrawn';
      readonly exporter: string;
      readonly routes: readonly PrefixOfInstance[];
    }
  /** On a gateway: the session with a router is there (it knows nothing yet), or another gateway took prefixes over. */
  | { readonly kind: 'export-opened'; readonly router: string }
  | {
      readonly kind: 'routes-superseded';
      readonly router: string;
      readonly routes: readonly PrefixOfInstance[];
    };

export interface InboundSaRequest extends SaKey {
  readonly tunnel: Tunnel;
  /** the worker that it belongs to */
  readonly anchor: number;
}

export interface OutboundSaRequest extends SaKey {
  readonly tunnel: Tunnel;
  readonly anchor: number;
  readonly epoch: number;
  readonly nextSequence: bigint;
  /** 0n: nothing is sealed until this node takes over */
  readonly gate?: bigint;
  /** bytes that the outer packet may have */
  readonly mtu: number;
  /** number of the instance that the outer packet is routed in */
  readonly routingInstance: number;
}

/** An SA in the native slab that is to go by what its tunnel says now. */
export interface ChangedSa {
  readonly tunnel: Tunnel;
  readonly spi: number;
  readonly index: number;
}

export type ChangedOutboundSa = ChangedSa & Pick<OutboundSaRequest, 'mtu' | 'routingInstance'>;

export type NodeAction =
  | { readonly kind: 'publish'; readonly parts: TableParts }
  /** Answered by sas-added. */
  | {
      readonly kind: 'add-sas';
      readonly ticket: number;
      readonly nodeId: number;
      readonly inbound: readonly InboundSaRequest[];
      readonly outbound: readonly OutboundSaRequest[];
    }
  /** Before the publication that goes with it. */
  | {
      readonly kind: 'change-sas';
      readonly inbound: readonly ChangedSa[];
      readonly outbound: readonly ChangedOutboundSa[];
    }
  | { readonly kind: 'retire-sas'; readonly inbound: readonly number[]; readonly outbound: readonly number[] }
  /** Answered by group-built. */
  | {
      readonly kind: 'build-group';
      readonly group: string;
      readonly ticket: number;
      readonly options: ChashOptions;
    }
  /** What sticky mode is to start from after a restart. */
  | { readonly kind: 'keep-table'; readonly group: string; readonly table: StickyTable }
  | { readonly kind: 'announce'; readonly router: string; readonly routes: readonly Announcement[] }
  | { readonly kind: 'withdraw'; readonly router: string; readonly routes: readonly PrefixOfInstance[] }
  | {
      readonly kind: 'tell-superseded';
      readonly exporter: string;
      readonly routes: readonly PrefixOfInstance[];
    }
  /** Routes that the kernel is to have, and no longer. */
  | {
      readonly kind: 'kernel-routes';
      readonly add: readonly KernelExport[];
      readonly remove: readonly KernelExport[];
    }
  | { readonly kind: 'liveness'; readonly commands: readonly BfdCommand[] }
  /** Answered by the event of the same name. */
  | { readonly kind: 'bfd-changed'; readonly changes: readonly BfdChange[] }
  /** What the peer is to hear of services redundancy groups, over the ICL. */
  | { readonly kind: 'srg-hello'; readonly hello: SrgHellos }
  /** For whoever keeps something that goes with a group. */
  | { readonly kind: 'srg-changed'; readonly id: number; readonly from: SrgStatus; readonly to: SrgStatus }
  /** Answers come as echo-answered. */
  | { readonly kind: 'send-echoes'; readonly requests: readonly EchoRequest[] }
  /** Frames out of ports, as they are. */
  | {
      readonly kind: 'inject';
      readonly frames: readonly { readonly port: number; readonly frame: Uint8Array }[];
    }
  | { readonly kind: 'report'; readonly report: Report };

/** What people are told. */
export type Report =
  | {
      readonly kind: 'srg';
      readonly id: number;
      readonly from: SrgStatus;
      readonly to: SrgStatus;
      readonly reason: string;
    }
  /** of the two nodes together */
  | { readonly kind: 'pair'; readonly message: string }
  | {
      readonly kind: 'real-service';
      readonly instance: string;
      readonly name: string;
      readonly up: boolean;
      readonly sign: string;
    }
  | {
      readonly kind: 'next-hop';
      readonly group: string;
      readonly name: string;
      readonly up: boolean;
      readonly sign: string;
    }
  /** the route of a virtual service came or went */
  | { readonly kind: 'service-route'; readonly group: string; readonly installed: boolean }
  /** rehomed: slots whose member went or came; others: slots that moved between members that were up all along */
  | {
      readonly kind: 'group';
      readonly group: string;
      readonly of: 'virtual-service' | 'ecmp';
      readonly slots: number;
      readonly rehomed: number;
      readonly others: number;
      readonly up: number;
      readonly members: number;
    }
  | {
      readonly kind: 'bfd';
      /** of the neighbour */
      readonly address: string;
      readonly up: boolean;
      readonly diagnostic: string;
    }
  | { readonly kind: 'refused'; readonly tunnel: string; readonly reason: string };
