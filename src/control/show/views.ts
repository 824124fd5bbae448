/** What show tells, as values: what `--json` prints, and what the command makes its tables of. */
import type { ColdSyncStatus, FailureCode, SrgStatus } from '../../model/high-availability.js';
import type { DataPlaneStatistics } from '../../node/icd.js';

export interface RouteView {
  readonly routingInstance: string;
  readonly family: 'inet' | 'inet6';
  readonly prefix: string;
  readonly active: boolean;
  /** its next hop cannot be resolved */
  readonly hidden: boolean;
  readonly protocol: string;
  readonly preference: number;
  /** of an exported one, as the kernel has it: MED, and ten million for each AS number prepended; null: not exported */
  readonly kernelMetric: number | null;
  /** the routing instance that it was taken over from; null: it is its own */
  readonly importedFrom: string | null;
  readonly ageSeconds: number;
  /** e.g. an address, or 'Local' */
  readonly nextHop: string;
  /** interface; null: none, or not resolved */
  readonly via: string | null;
  /** that share the traffic; of other routes empty */
  readonly nextHops: readonly NextHopView[];
  readonly origin: string;
}

export interface NextHopView {
  readonly name: string;
  readonly address: string;
  /** null: not resolved */
  readonly via: string | null;
  readonly status: 'UP' | 'DOWN';
}

export interface BfdSessionView {
  readonly address: string;
  readonly localAddress: string;
  readonly routingInstance: string;
  readonly state: 'AdminDown' | 'Down' | 'Init' | 'Up';
  /** null: multihop, or its neighbour is on no link */
  readonly interface: string | null;
  readonly multihop: boolean;
  /** null: nothing was heard, so nothing is expected */
  readonly detectionSeconds: number | null;
  /** null: the neighbour wants to hear nothing */
  readonly transmitIntervalSeconds: number | null;
  readonly receiveIntervalSeconds: number | null;
  readonly multiplier: number;
  /** who goes by it, e.g. Static */
  readonly clients: readonly string[];
  /** in the state that it is in */
  readonly sinceSeconds: number;
  readonly localDiagnostic: string;
  readonly remoteDiagnostic: string;
  readonly remoteState: 'AdminDown' | 'Down' | 'Init' | 'Up';
  readonly localMinimumTransmitSeconds: number;
  readonly localMinimumReceiveSeconds: number;
  readonly remoteMinimumTransmitSeconds: number;
  readonly remoteMinimumReceiveSeconds: number;
  readonly remoteMultiplier: number;
  readonly localDiscriminator: number;
  /** 0: unknown */
  readonly remoteDiscriminator: number;
  readonly authentication: { readonly algorithm: string; readonly keyId: number } | null;
  /** new parameters wait for the neighbour's answer */
  readonly isPolling: boolean;
  readonly ups: number;
  readonly downs: number;
  readonly packetsSent: bigint;
  readonly packetsHeard: bigint;
  /** for their TTL or authentication */
  readonly packetsRefused: bigint;
  /** between two packets of ours, since the interval last changed */
  readonly longestGapSeconds: number;
  /** null: never */
  readonly heardAt: string | null;
}

/** An entry of the forwarding table: a route that is used. */
export interface ForwardingEntryView {
  readonly destination: string;
  readonly type: 'user' | 'intf';
  readonly nextHops: readonly {
    readonly address: string;
    /** ucst: a neighbour; rslv: the destination itself; locl, dscd, indr: ours, nothing, a tunnel or another table */
    readonly type: 'ucst' | 'rslv' | 'locl' | 'dscd' | 'indr';
    readonly index: number;
    readonly references: number;
    readonly interface: string;
  }[];
  /** of the group whose members the next hops are, null: none */
  readonly group: string | null;
  readonly digest: string | null;
}

export interface ForwardingTableView {
  /** e.g. trust-vr.inet */
  readonly name: string;
  readonly routingInstance: string;
  readonly family: 'inet' | 'inet6';
  readonly entries: readonly ForwardingEntryView[];
}

export interface LoadBalanceMemberView {
  readonly name: string;
  readonly address: string;
  readonly via: string | null;
  readonly status: 'UP' | 'DOWN';
  readonly weight: number;
  readonly slots: number;
  readonly packetsSent: bigint;
  readonly bytesSent: bigint;
}

export interface LoadBalanceGroupView {
  readonly name: string;
  readonly kind: 'virtual-service' | 'ecmp';
  /** of an ECMP group, null: a virtual service */
  readonly loadBalance: string | null;
  readonly hashKey: string;
  readonly hashFunction: string;
  readonly hashSeed: number;
  readonly mode: 'sticky' | 'consistent-hash';
  readonly slots: number;
  /** 16 hexadecimal digits: alike on routers that send every flow to the same member */
  readonly digest: string;
  readonly members: readonly LoadBalanceMemberView[];
}

/** A health check of a real service. */
export interface ProbeView {
  readonly profile: string;
  readonly type: string;
  readonly port: number | null;
  readonly intervalSeconds: number;
  readonly timeoutSeconds: number;
  readonly failureRetries: number;
  readonly recoveryRetries: number;
  readonly state: 'UP' | 'DOWN' | 'UNKNOWN';
  readonly sent: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly timedOut: number;
  readonly consecutiveSuccesses: number;
  readonly consecutiveFailures: number;
  readonly wentUp: number;
  readonly wentDown: number;
  /** of the last answer */
  readonly roundTripMilliseconds: number | null;
  /** why the last probe failed, '' when it did not */
  readonly message: string;
}

export interface WingView {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly protocol: string;
  readonly interface: string;
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly haWingState: string;
}

export interface SessionView {
  readonly sessionId: bigint;
  readonly policyName: string;
  readonly haState: string;
  readonly timeoutSeconds: number;
  readonly sessionState: 'Valid';
  readonly tcpState: string | null;
  readonly worker: number;
  readonly in: WingView;
  readonly out: WingView;
}

/** A tunnel as a session of its own, which the nodes of a pair have both. */
export interface TunnelSessionView {
  /** of the tunnel, the same on both nodes */
  readonly sessionId: number;
  /** Active where the tunnel's services redundancy group is, else Backup */
  readonly haState: 'Active' | 'Backup';
  readonly in: WingView;
}

export interface SessionsView {
  /** of a node of a pair, on the first page */
  readonly tunnelSessions: readonly TunnelSessionView[];
  readonly sessions: readonly SessionView[];
  readonly totalSessions: number;
  /** asks for the next page; null: this was the last */
  readonly next: { readonly worker: number; readonly cursor: string } | null;
}

export interface IkeSaView {
  readonly index: number;
  /** null: the peer has not said yet who it is */
  readonly gateway: string | null;
  readonly state: 'half-open' | 'up' | 'replaced' | 'deleting' | 'over';
  readonly role: 'initiator' | 'responder';
  readonly initiatorSpi: string;
  readonly responderSpi: string;
  readonly authenticationMethod: 'pre-shared-keys' | 'certificates' | null;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly routingInstance: string;
  readonly remoteIdentity: string | null;
  readonly algorithms: {
    readonly encryption: string;
    readonly authentication: string;
    readonly pseudoRandomFunction: string;
    readonly dhGroup: string;
  } | null;
  readonly natTraversal: { readonly localBehindNat: boolean; readonly remoteBehindNat: boolean };
  readonly fragmentation: boolean;
  /** until it ends; null: it is not up */
  readonly lifetimeSeconds: number | null;
  readonly idleSeconds: number;
  readonly childSas: readonly {
    readonly tunnel: string;
    readonly vpn: string;
    readonly state: 'up' | 'replaced' | 'deleting' | 'draining';
    readonly inboundSpi: string;
    readonly outboundSpi: string;
    readonly localSelectors: readonly string[];
    readonly remoteSelectors: readonly string[];
    readonly lifetimeSeconds: number;
  }[];
}

export interface SaView {
  readonly id: number;
  readonly vpn: string;
  readonly direction: 'inbound' | 'outbound';
  readonly algorithm: string;
  /** of the HMAC; null: AES-GCM authenticates by itself */
  readonly authentication: 'sha1' | 'sha256' | 'sha384' | 'sha512' | null;
  readonly spi: string;
  readonly gateway: string;
  /** of the peer: 4500 or another where it is in UDP, else 500 */
  readonly port: number;
  /** of keys that IKE agreed on; null: no end */
  readonly lifetimeSeconds: number | null;
  readonly localAddress: string;
  readonly routingInstance: string;
  readonly bindInterface: string;
  readonly state: 'installed' | 'expired' | 'refused';
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly sequence: bigint;
  readonly rekeyWanted: boolean;
  readonly worker: number;
  readonly drops: Readonly<Record<string, bigint>>;
}

export interface SasView {
  readonly activeTunnels: number;
  readonly securityAssociations: readonly SaView[];
  /** null: nothing needs one; of the generation that is part of every IV */
  readonly generation: number | null;
}

/** A unit (a services processing unit of the reference documents): here a worker, with one flow thread. */
export interface UnitView {
  readonly unit: string;
  readonly worker: number;
  readonly flowThreads: number;
  readonly ikeGateways: number;
  readonly ipsecTunnels: number;
  /** tunnels / flow threads */
  readonly loadFactor: number;
}

/** Where an IKE gateway is anchored, and all its IPsec sessions with it. */
export interface GatewayView {
  /** its address */
  readonly ikeGateway: string;
  readonly localAddress: string;
  readonly routingInstance: string;
  readonly kind: 'site-to-site' | 'dynamic';
  readonly unit: string;
  readonly worker: number;
  /** names of its VPNs */
  readonly ipsecTunnels: readonly string[];
}

export interface RealServiceView {
  readonly name: string;
  readonly address: string;
  /** it gets no new flows: penstock drain */
  readonly drained: boolean;
  readonly status: 'UP' | 'DOWN';
  readonly packetsSent: bigint;
  readonly bytesSent: bigint;
  /** null: answers do not come back this way */
  readonly packetsReceived: bigint | null;
  readonly bytesReceived: bigint | null;
  readonly sinceSeconds: number;
  readonly neighbour: string;
  readonly session: string;
  readonly weight: number;
  readonly routingInstance: string;
  readonly probes: readonly ProbeView[];
  /** slots of the table */
  readonly slots: number;
}

export interface VirtualServiceView {
  readonly instance: string;
  readonly interface: string;
  readonly interfaceState: 'UP' | 'DOWN';
  readonly interfaceType: string;
  readonly routeHoldTimerSeconds: number;
  /** its route is in the table */
  readonly routeInstalled: boolean;
  readonly activeRealServices: number;
  readonly totalRealServices: number;
  readonly virtualService: string;
  readonly address: string;
  readonly mode: string;
  readonly routingInstance: string;
  readonly group: string;
  readonly healthCheckInterfaceSubunit: number;
  readonly nextHopIndex: number;
  readonly whenAllDown: 'fail-closed' | 'fail-open';
  readonly slots: number;
  readonly digest: string;
  readonly upSeconds: number;
  readonly packetsSent: bigint;
  readonly bytesSent: bigint;
  readonly realServices: readonly RealServiceView[];
}

export interface CounterView {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly words: string;
  readonly meaning: string;
  readonly isDrop: boolean;
}

export interface FilterCounterView {
  readonly family: string;
  readonly filter: string;
  readonly counter: string;
  readonly packets: bigint;
  readonly bytes: bigint;
}

export interface CountersView {
  readonly counters: readonly CounterView[];
  readonly filters: readonly FilterCounterView[];
}

export interface DropView {
  /** ISO 8601 */
  readonly time: string;
  readonly source: string | null;
  readonly sourcePort: number;
  readonly destination: string | null;
  readonly destinationPort: number;
  readonly protocol: string;
  /** of the IPv4 header; null: another packet's */
  readonly identification: number | null;
  readonly port: string;
  /** with its unit; null: none */
  readonly interface: string | null;
  readonly reason: string;
  readonly words: string;
}

export interface WorkerView {
  readonly worker: number;
  readonly state: string;
  readonly turns: number;
  readonly busyPercent: number;
}

export interface WorkersView {
  readonly workers: readonly WorkerView[];
  readonly kernel: string;
  readonly kernels: readonly string[];
  readonly framesInUse: number;
  readonly upSeconds: number;
}

export interface NeighbourView {
  readonly address: string;
  readonly mac: string | null;
  readonly interface: string;
  readonly state: string;
}

export interface PortView {
  readonly name: string;
  readonly open: boolean;
  readonly fault: string;
}

export interface SignalRouteView {
  readonly kind: 'active' | 'backup' | 'install-on-failure';
  readonly ip: string;
  readonly routingInstance: string;
  readonly installed: boolean;
}

export interface MonitorView {
  /** name of the monitor-object; '': it stands right below monitor */
  readonly object: string;
  readonly kind: 'BFD' | 'Interface' | 'IP';
  /** address, or name of the interface */
  readonly target: string;
  readonly source: string | null;
  readonly interface: string | null;
  readonly weight: number;
  readonly up: boolean;
}

export interface RedundancyGroupView {
  readonly id: number;
  readonly deploymentType: 'routing' | 'switching' | 'hybrid';
  readonly status: SrgStatus;
  readonly sinceSeconds: number;
  /** why it is that */
  readonly reason: string;
  readonly activenessPriority: number;
  readonly preemption: boolean;
  readonly processPacketOnBackup: boolean;
  readonly controlPlaneState: 'READY' | 'NOT READY';
  readonly systemIntegrityCheck: 'COMPLETE' | 'IN PROGRESS' | 'N/A';
  readonly failureEvents: readonly FailureCode[];
  /** that decides instead of the election; null: none */
  readonly haGroup: string | null;
  /** null: not heard since the ICL is up */
  readonly peer: {
    readonly id: number;
    readonly status: SrgStatus | null;
    readonly health: 'HEALTHY' | 'UNHEALTHY' | null;
    readonly failoverReadiness: 'READY' | 'NOT READY' | 'N/A';
  };
  readonly signalRoutes: readonly SignalRouteView[];
  readonly virtualIps: readonly {
    readonly index: number;
    readonly ip: string;
    readonly interface: string;
    readonly installed: boolean;
  }[];
  readonly probe: {
    readonly destination: string;
    readonly source: string;
    readonly routingInstance: string;
    readonly type: 'ICMP Probe' | 'BFD Probe';
    readonly running: boolean;
    readonly result: 'REACHABLE' | 'UNREACHABLE' | null;
  } | null;
  readonly monitors: readonly MonitorView[];
  /** of objects that have failed */
  readonly monitorWeight: number;
  readonly monitorThreshold: number;
  readonly prefixes: readonly { readonly prefix: string; readonly routingInstance: string }[];
  readonly managesIpsec: boolean;
}

export interface HighAvailabilityView {
  /** how much of it is printed for people */
  readonly level: 'brief' | 'detail';
  readonly nodeStatus: 'ONLINE';
  readonly localId: number;
  readonly localIp: string;
  /** null: there is no ICD */
  readonly localForwardingIp: string | null;
  readonly peer: {
    readonly id: number;
    readonly ip: string;
    readonly interface: string;
    readonly routingInstance: string;
    readonly encrypted: boolean;
    /** of the ICL, by BFD */
    readonly connState: 'UP' | 'DOWN';
    readonly detectionIntervalMs: number;
    readonly detectionMultiplier: number;
    readonly coldSyncStatus: ColdSyncStatus;
    readonly interfaceScheme: 'same' | 'different' | 'unknown';
    /** the ICD; null: none */
    readonly forwarding: {
      readonly ip: string;
      readonly interface: string;
      readonly routingInstance: string;
      readonly connState: 'UP' | 'DOWN';
    } | null;
  };
  readonly groups: readonly RedundancyGroupView[];
  /** what crosses the ICL; null: the node is not in step with anybody yet */
  readonly synchronization: SynchronizationView | null;
}

export interface SynchronizationView {
  readonly connected: boolean;
  /** whether the peer has all of this node's state */
  readonly peerColdSyncStatus: ColdSyncStatus;
  readonly roundTripMs: number | null;
  /** parts of the configuration that differ: what rests on them is not synchronised */
  readonly differing: readonly string[];
  readonly queued: number;
  readonly underWay: number;
  readonly datagrams: {
    readonly sent: number;
    readonly sentBytes: number;
    readonly received: number;
    readonly receivedBytes: number;
    readonly sentAgain: number;
    /** by what was wrong with them */
    readonly dropped: Readonly<Record<string, number>>;
  };
  readonly objects: {
    readonly sent: number;
    readonly taken: number;
    readonly coalesced: number;
    readonly queueFull: number;
  };
  /** records of sessions: said to the peer; copies made, changed, closed by the peer, refused, dropped as unsaid */
  readonly sessions: {
    readonly said: number;
    readonly saidBytes: number;
    readonly overflows: number;
    readonly copied: number;
    readonly updated: number;
    readonly closed: number;
    readonly refused: number;
    readonly swept: number;
    readonly unknownNames: number;
    readonly malformed: number;
    readonly digests: number;
    readonly mismatches: number;
  };
  /** packets above the last number that the peer has acknowledged, of the SA that is farthest */
  readonly exposure: { readonly outbound: number; readonly inbound: number };
  /** tunnels that are not sealed with after a takeover */
  readonly refused: readonly { readonly tunnel: string; readonly reason: string }[];
}

/** What can be asked for, and what comes back. */
export interface Views {
  readonly 'high-availability': HighAvailabilityView;
  readonly 'services-redundancy-group': { readonly group: RedundancyGroupView };
  readonly 'data-plane-statistics': { readonly rows: readonly DataPlaneStatistics[] };
  'bfd-session': {
    /** how much of it is printed for people */
    readonly level: 'brief' | 'detail' | 'extensive';
    readonly sessions: readonly BfdSessionView[];
    /** those that named a session */
    readonly clients: number;
    /** packets a second */
    readonly cumulativeTransmitRate: number;
    readonly cumulativeReceiveRate: number;
  };
  readonly route: { readonly routes: readonly RouteView[] };
  readonly session: SessionsView;
  readonly 'security-associations': SasView;
  readonly 'ike-security-associations': {
    readonly level: 'brief' | 'detail';
    readonly securityAssociations: readonly IkeSaView[];
  };
  readonly 'ike-statistics': {
    readonly up: number;
    readonly halfOpen: number;
    /** since the start */
    readonly established: number;
    readonly refusals: readonly {
      readonly name: string;
      readonly count: number;
      readonly meaning: string;
    }[];
  };
  readonly 'tunnel-map': { readonly units: readonly UnitView[] };
  readonly 'tunnel-map-summary': { readonly ikeGateways: readonly GatewayView[] };
  readonly 'tunnel-distribution': {
    readonly units: readonly (UnitView & { readonly gateways: readonly GatewayView[] })[];
  };
  readonly 'traffic-load-balance': { readonly virtualServices: readonly VirtualServiceView[] };
  readonly 'forwarding-table': { readonly tables: readonly ForwardingTableView[] };
  readonly 'load-balance-groups': {
    readonly hostName: string;
    readonly groups: readonly LoadBalanceGroupView[];
  };
  readonly counters: CountersView;
  readonly 'packet-drop': { readonly records: readonly DropView[] };
  readonly workers: WorkersView;
  readonly neighbours: { readonly neighbours: readonly NeighbourView[] };
  readonly ports: { readonly ports: readonly PortView[] };
}
export type ViewName = keyof Views;
