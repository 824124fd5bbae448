/**
 * What a configuration says once it is found right: names resolved, addresses parsed, defaults filled in.
 * Values only; lists keep the order of the file. Names in here are known to exist.
 */
import type { Address, Family } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';
import type { AuthenticationAlgorithm, EspKeys } from '../model/sa.js';
import type { Secret } from '../model/secret.js';

export interface Config {
  /** as given to loadConfig(), for messages */
  readonly file: string;
  readonly system: SystemConfig;
  /** physical interfaces that move packets, without lo0 and st0 */
  readonly ports: readonly PortConfig[];
  /** logical interfaces: one per unit, lo0 and st0 included */
  readonly interfaces: readonly InterfaceConfig[];
  /** [0] is the default instance, which everything that names none belongs to */
  readonly routingInstances: readonly RoutingInstanceConfig[];
  readonly policyOptions: PolicyOptionsConfig;
  readonly autoRouteInjection: AutoRouteInjectionConfig;
  /** null: the kernel's routes are left alone */
  readonly kernelRoutes: KernelRoutesConfig | null;
  readonly filters: readonly FilterConfig[];
  readonly networkMonitoring: readonly MonitoringProfileConfig[];
  readonly trafficLoadBalance: readonly TlbInstanceConfig[];
  /** with manual keys */
  readonly vpns: readonly VpnConfig[];
  readonly ikeGateways: readonly IkeGatewayConfig[];
  /** whose keys IKE agrees on */
  readonly ikeVpns: readonly IkeVpnConfig[];
  readonly zones: readonly ZoneConfig[];
  readonly policies: readonly PolicyConfig[];
  readonly defaultPolicy: 'permit-all' | 'deny-all';
  readonly flow: FlowConfig;
  /** null: the node stands alone */
  readonly highAvailability: HighAvailabilityConfig | null;
}

export interface SystemConfig {
  readonly hostName: string;
  /** 1…15, the node's part of every IV it makes (specs: IV = node-id | epoch | counter); null: it seals nothing */
  readonly nodeId: number | null;
  readonly workers: number;
  /** that there may be without a restart; null: as the machine has it */
  readonly maximumWorkers: number | null;
  /** where what must outlive the process is kept; null: nothing is */
  readonly stateDirectory: string | null;
  readonly controlSocket: string | null;
}

export interface PortConfig {
  /** e.g. ge-0/0/0 */
  readonly name: string;
  readonly port: PortKind;
  /** 6 bytes; null: the interface's own, or one made of host name and port */
  readonly mac: Uint8Array | null;
  /** bytes of IP packet */
  readonly mtu: number;
}

export type PortKind =
  /** a kernel interface: through AF_XDP, through a packet socket, or one of our own that the kernel routes into */
  | { readonly kind: 'af-xdp' | 'af-packet' | 'tun' | 'tap'; readonly interface: string }
  /** a wire inside this process, by name: two ports that name it are its ends */
  | { readonly kind: 'memory'; readonly wire: string }
  /** capture files: what is received, what is sent (either may be null, not both) */
  | { readonly kind: 'pcap'; readonly read: string | null; readonly write: string | null };

export interface InterfaceConfig {
  /** with its unit, e.g. ge-0/0/0.0, lo0.1, st0.1 */
  readonly name: string;
  readonly kind: 'port' | 'loopback' | 'tunnel';
  /** name of its PortConfig, null for lo0 and st0 */
  readonly port: string | null;
  /** bytes of IP packet */
  readonly mtu: number;
  /** 1…4094, or null: untagged */
  readonly vlanId: number | null;
  /** own addresses with the length of their network, both families */
  readonly addresses: readonly Prefix[];
  /** name of the input filter per family */
  readonly filterInput: Readonly<Record<Family, string | null>>;
  readonly routingInstance: string;
  readonly zone: string | null;
}

export interface RoutingInstanceConfig {
  /** 'default' for the one outside routing-instances */
  readonly name: string;
  readonly instanceType: 'default' | 'virtual-router' | 'forwarding';
  readonly staticRoutes: readonly StaticRouteConfig[];
  /** policies that take routes of other instances over; the first that decides counts, none does not take */
  readonly instanceImport: readonly string[];
}

/** What decides about routes: statements by name, and what their terms ask. */
export interface PolicyOptionsConfig {
  readonly statements: readonly PolicyStatementConfig[];
  readonly conditions: readonly RouteConditionConfig[];
}

export interface PolicyStatementConfig {
  readonly name: string;
  readonly terms: readonly PolicyTermConfig[];
}

export interface PolicyTermConfig {
  readonly name: string;
  readonly from: PolicyFromConfig;
  readonly then: PolicyThenConfig;
}

/** All of it must hold. */
export interface PolicyFromConfig {
  /** the routing instance that the route is of; null: any */
  readonly instance: string | null;
  /** empty: any */
  readonly protocols: readonly RouteProtocolName[];
  /** null: any */
  readonly metric: number | null;
  /** one must match; empty: any */
  readonly prefixes: readonly PrefixMatchConfig[];
  /** names, all of which must hold */
  readonly conditions: readonly string[];
}

export type RouteProtocolName = 'static' | 'direct' | 'local' | 'ari-ts' | 'tlb' | 'kernel' | 'signal';

export interface PrefixMatchConfig {
  readonly prefix: Prefix;
  readonly how: 'exact' | 'longer' | 'orlonger';
}

export interface PolicyThenConfig {
  /** null: as it was */
  readonly metric: number | null;
  /** how often our AS is to stand before itself; 0: as it was */
  readonly asPathPrepend: number;
  /** null: as it was */
  readonly preference: number | null;
  /** null: as it was */
  readonly nextHop: Address | 'discard' | null;
  /** null: the next term */
  readonly action: 'accept' | 'reject' | 'next-policy' | null;
}

/** It holds while there is a route for just this prefix that is in use. */
export interface RouteConditionConfig {
  readonly name: string;
  readonly prefix: Prefix;
  readonly routingInstance: string;
}

export interface StaticRouteConfig {
  readonly prefix: Prefix;
  /** lower wins; a prefix may have one route for each */
  readonly preference: number;
  readonly nextHop:
    | { readonly kind: 'address'; readonly address: Address }
    | { readonly kind: 'interface'; readonly interface: string }
    | { readonly kind: 'discard' }
    | ({ readonly kind: 'ecmp' } & EcmpConfig);
  /** next hops that are of use only while a BFD session says so */
  readonly bfd: readonly RouteBfdConfig[];
}

export interface RouteBfdConfig {
  readonly nextHop: Address;
  readonly peer: BfdPeerConfig;
}

/** A BFD session that is wanted (RFC 5880): between which addresses, and how. */
export interface BfdPeerConfig {
  readonly local: Address;
  readonly remote: Address;
  readonly routingInstance: string;
  /** RFC 5883, instead of RFC 5881: the neighbour need not be on a link of ours */
  readonly multihop: boolean;
  /** packets with a lower one are dropped; single hop: 255 */
  readonly minimumTtl: number;
  readonly minimumTransmitMs: number;
  readonly minimumReceiveMs: number;
  readonly multiplier: number;
  readonly auth: BfdAuthConfig | null;
}

/** Keyed SHA1 (RFC 5880 §6.7.4). */
export interface BfdAuthConfig {
  readonly isMeticulous: boolean;
  /** 0…255 */
  readonly keyId: number;
  /** 1…20 bytes */
  readonly key: Secret;
}

/** Next hops of one prefix that share its traffic. */
export interface EcmpConfig {
  /** at least two */
  readonly members: readonly EcmpMemberConfig[];
  readonly loadBalance: LoadBalance;
  readonly hash: HashConfig;
  /** a member that joins takes an equal part from each other, and nothing else moves; the table before is kept */
  readonly sticky: boolean;
}

export interface EcmpMemberConfig {
  /** alike on routers that must agree; its address, where the file gives none */
  readonly name: string;
  readonly address: Address;
  readonly weight: number;
}

export type LoadBalance = 'consistent-hash' | 'per-packet' | 'source-ip-only' | 'destination-ip-only';
export type HashKeyName = 'source-ip' | 'destination-ip' | 'symmetric' | '5-tuple' | 'symmetric-5-tuple';
export type HashFunctionName = 'xxh64' | 'siphash-1-3' | 'toeplitz';

/** How a packet finds its member; alike on routers that must agree. */
export interface HashConfig {
  readonly key: HashKeyName;
  readonly function: HashFunctionName;
  readonly seed: number;
  /** slots; 0: by the number of members */
  readonly size: number;
  /** how far a member may stand above its share, in 1/10,000 */
  readonly slack: number;
}

/** Where the route to each tunnel's remote-ip goes, besides this node's own tables. */
export interface AutoRouteInjectionConfig {
  readonly export: readonly AriExportConfig[];
}

export interface AriExportConfig {
  readonly name: string;
  /** of the router's process, on this host */
  readonly controlSocket: string;
  /** the router's, not ours: where the route is put */
  readonly routingInstance: string;
  /** our address on the router's side; families without one are not exported */
  readonly nextHop: Readonly<Record<Family, Address | null>>;
}

/** Routes to and from the kernel, for routing daemons beside the node. */
export interface KernelRoutesConfig {
  /** which routes the kernel is told of */
  readonly export: readonly KernelRouteKind[];
  /** policies that decide about each of them, and say with what; one that none decides about goes as it is */
  readonly exportPolicy: readonly string[];
  /** whether its routes through interfaces that a port shares with it are taken */
  readonly import: boolean;
  /** a TUN interface of the node's own that exported routes lead into: they go when it goes */
  readonly interface: string;
  readonly table: number;
  /** whose routes they are, by number (`proto` of ip-route) */
  readonly protocol: number;
}

/**
 * ari-ts: what is behind tunnels that are here. virtual-service: addresses of virtual services whose route is there.
 * tunnel-endpoint: addresses on lo0 that VPNs end at. static, direct, signal: routes of that protocol that are in use.
 */
export type KernelRouteKind =
  | 'ari-ts'
  | 'virtual-service'
  | 'tunnel-endpoint'
  | 'static'
  | 'direct'
  | 'signal';

export interface FilterConfig {
  readonly name: string;
  readonly family: Family;
  /** the first that matches decides; the last matches everything (implicit-discard, where the file has none such) */
  readonly terms: readonly FilterTermConfig[];
}

export interface FilterTermConfig {
  readonly name: string;
  /** empty: any */
  readonly sourceAddress: readonly Prefix[];
  readonly destinationAddress: readonly Prefix[];
  /** IP protocol numbers */
  readonly protocol: readonly number[];
  readonly action:
    | { readonly kind: 'accept' | 'discard' }
    | { readonly kind: 'routing-instance'; readonly routingInstance: string };
  /** name of the counter, null: not counted */
  readonly count: string | null;
}

/** What a check asks, or what it goes by. */
export type ProbeConfig =
  | { readonly kind: 'icmp' }
  | { readonly kind: 'tcp'; readonly port: number }
  | {
      readonly kind: 'http' | 'https';
      readonly port: number;
      readonly method: 'GET' | 'HEAD' | 'OPTIONS';
      readonly url: string;
      /** null: the real service's address */
      readonly hostName: string | null;
      /** lowest and highest of each range, both included */
      readonly statusCodes: readonly (readonly [number, number])[];
      /** a text that the body must hold, null: any */
      readonly bodyMatch: string | null;
    }
  | { readonly kind: 'ssl-hello'; readonly port: number; readonly hostName: string | null }
  /** expect: bytes that the answer must hold, null: any answer will do */
  | {
      readonly kind: 'udp';
      readonly port: number;
      readonly send: Uint8Array;
      readonly expect: Uint8Array | null;
    }
  | { readonly kind: 'command'; readonly command: readonly string[] }
  | { readonly kind: 'function'; readonly function: string }
  /** passive: its next hop answers ARP or neighbour discovery; the port that leads there is open */
  | { readonly kind: 'neighbour' | 'link' };

export interface MonitoringProfileConfig {
  readonly name: string;
  readonly probe: ProbeConfig;
  readonly probeIntervalMs: number;
  /** after which a probe counts as lost; at most the interval */
  readonly timeoutMs: number;
  /** a part of the interval, up to which each probe is sent earlier or later */
  readonly jitter: number;
  /** of probes; null: the instance's interface's */
  readonly sourceAddress: Readonly<Record<Family, Address | null>>;
  /** probes lost in a row before the real service is down */
  readonly failureRetries: number;
  /** probes answered in a row before it is up again */
  readonly recoveryRetries: number;
}

export interface TlbInstanceConfig {
  readonly name: string;
  /** its address is the source of probes */
  readonly interface: string;
  readonly clientVrf: string;
  readonly serverVrf: string;
  /** how long the routes of virtual services stay once no real service is up */
  readonly routeHoldSeconds: number;
  readonly groups: readonly TlbGroupConfig[];
  readonly virtualServices: readonly VirtualServiceConfig[];
}

export interface TlbGroupConfig {
  readonly name: string;
  readonly realServices: readonly RealServiceConfig[];
  /** where the real services are reached */
  readonly routingInstance: string;
  /** over which a real service that came up takes up its share; 0: at once */
  readonly slowStartMs: number;
  /** names, all of which must be up; none: a real service is up while its next hop answers ARP or neighbour discovery */
  readonly networkMonitoringProfiles: readonly string[];
  readonly healthCheckInterfaceSubunit: number;
  /** fail-open: when none is up, all count as up */
  readonly whenAllDown: 'fail-closed' | 'fail-open';
}

/**
 * How packets reach a real service: by its next hop's MAC (layer2: its own), inside another IP packet, or with their
 * destination rewritten and its answers' source rewritten back.
 */
export type ForwardingMode =
  | 'direct-server-return'
  | 'layer2-direct-server-return'
  | 'translated'
  | 'ipip'
  | 'gue';

export interface RealServiceConfig {
  readonly name: string;
  readonly address: Address;
  /** null: the virtual service's */
  readonly mode: ForwardingMode | null;
  /** out of service for maintenance: gets nothing, whatever its checks say */
  readonly adminDown: boolean;
  readonly weight: number;
}

export interface VirtualServiceConfig {
  readonly name: string;
  readonly mode: ForwardingMode;
  /** of translated: what clients send to; empty: everything, as it is */
  readonly services: readonly ServicePortConfig[];
  /** flows stay with their real service while it is up */
  readonly flowMemory: boolean;
  /** 0.0.0.0 or ::, for a default route: whatever the filter sends there */
  readonly address: Address;
  /** of instance-type forwarding: its route to the address leads to the group */
  readonly routingInstance: string;
  readonly group: string;
  readonly hash: HashConfig;
}

export interface ServicePortConfig {
  readonly name: string;
  readonly protocol: 'tcp' | 'udp';
  readonly virtualPort: number;
  readonly serverListeningPort: number;
}

export interface VpnConfig {
  readonly name: string;
  /** an st0 unit: its zone and routing instance are those of the decrypted packets */
  readonly bindInterface: string;
  readonly manual: ManualKeysConfig;
  readonly trafficSelectors: readonly TrafficSelectorConfig[];
  /** packets, a power of two; null: no anti-replay */
  readonly antiReplayWindowSize: number | null;
  readonly extendedSequenceNumber: boolean;
  readonly dfBit: 'clear' | 'set' | 'copy';
  /** the inner packet takes the outer one's DSCP when it is opened */
  readonly copyOuterDscp: boolean;
  /** DSCP of the outer header when sealing; null: copied from the inner packet */
  readonly outerDscp: number | null;
}

export interface ManualKeysConfig {
  /** the peer's outer address */
  readonly gateway: Address;
  /** our outer address */
  readonly localAddress: Address;
  /** where outer packets are routed: the instance that holds localAddress */
  readonly routingInstance: string;
  readonly encryptionAlgorithm: EncryptionAlgorithm;
  /** null: AES-GCM, which authenticates by itself */
  readonly authenticationAlgorithm: AuthenticationAlgorithm | null;
  /** one per gateway that may send to us */
  readonly inbound: readonly ManualSaConfig[];
  readonly outbound: ManualSaConfig;
}

export type EncryptionAlgorithm =
  | 'aes-128-gcm'
  | 'aes-256-gcm'
  | 'aes-128-cbc'
  | 'aes-192-cbc'
  | 'aes-256-cbc';

/** key: with AES-GCM the salt is behind it (RFC 4106 §8.1) */
export interface ManualSaConfig extends EspKeys {
  readonly spi: number;
}

export type DhGroupName =
  | 'group2'
  | 'group14'
  | 'group15'
  | 'group16'
  | 'group19'
  | 'group20'
  | 'group21'
  | 'group31';

export interface IkeProposalConfig {
  readonly name: string;
  readonly authenticationMethod: 'pre-shared-keys' | 'certificates';
  readonly dhGroup: DhGroupName;
  /** of the pseudo-random function, and of integrity where the encryption brings none */
  readonly authenticationAlgorithm: 'sha1' | 'sha-256' | 'sha-384' | 'sha-512';
  readonly encryptionAlgorithm: 'aes-128-gcm' | 'aes-256-gcm' | 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc';
  readonly lifetimeSeconds: number;
}

export interface IpsecProposalConfig {
  readonly name: string;
  readonly encryptionAlgorithm: EncryptionAlgorithm;
  /** null: AES-GCM, which authenticates by itself */
  readonly authenticationAlgorithm: AuthenticationAlgorithm | null;
  readonly lifetimeSeconds: number;
  /** null: no limit */
  readonly lifetimeKilobytes: number | null;
}

/** Who one is, in an exchange (RFC 7296 §3.5). */
export type IdentityConfig =
  | { readonly kind: 'inet'; readonly address: Address }
  | { readonly kind: 'hostname' | 'user-at-hostname' | 'key-id'; readonly name: string }
  /** DER, of a certificate's subject */
  | { readonly kind: 'distinguished-name'; readonly der: Uint8Array };

export type RemoteIdentityConfig =
  | Exclude<IdentityConfig, { kind: 'distinguished-name' }>
  | { readonly kind: 'any' }
  /** whatever ends in it, with something before: group IKE identities */
  | { readonly kind: 'wildcard-hostname'; readonly suffix: string }
  /** attributes that must be there, e.g. O=Example */
  | { readonly kind: 'wildcard-distinguished-name'; readonly parts: readonly string[] };

export interface DeadPeerDetectionConfig {
  /**
   * optimized: asks when there was traffic out and none in; probe-idle-tunnel: also when there was none either way;
   * always-send: at every interval
   */
  readonly mode: 'optimized' | 'probe-idle-tunnel' | 'always-send';
  readonly intervalMs: number;
  /** unanswered ones after which the peer is dead */
  readonly threshold: number;
}

export interface IkeGatewayConfig {
  readonly name: string;
  /** of its policy, best first */
  readonly proposals: readonly IkeProposalConfig[];
  /** null: certificates */
  readonly preSharedKey: Secret | null;
  readonly certificate: IkeCertificateConfig | null;
  /** null: whoever comes */
  readonly address: Address | null;
  /** of peers at a time; null: no limit but the node's */
  readonly connectionsLimit: number | null;
  readonly localAddress: Address;
  /** that holds localAddress */
  readonly routingInstance: string;
  readonly localIdentity: IdentityConfig;
  readonly remoteIdentity: RemoteIdentityConfig;
  readonly deadPeerDetection: DeadPeerDetectionConfig | null;
  /** to a peer behind a NAT of ours; 0: none */
  readonly natKeepaliveMs: number;
  /** bytes of IP packet, above which messages go in fragments (RFC 7383); null: never */
  readonly fragmentBytes: number | null;
}

export interface IkeCertificateConfig {
  /** DER: our own, then those between it and an authority */
  readonly chain: readonly Uint8Array[];
  /** PKCS #8, DER */
  readonly privateKey: Secret;
  /** DER: whom peers' certificates must come from */
  readonly trustedCa: readonly Uint8Array[];
}

export interface IkeVpnConfig {
  readonly name: string;
  /** an st0 unit: its zone and routing instance are those of the decrypted packets */
  readonly bindInterface: string;
  readonly gateway: string;
  readonly proposals: readonly IpsecProposalConfig[];
  /** null: keys of CHILD SAs come of the IKE SA's alone */
  readonly perfectForwardSecrecy: DhGroupName | null;
  readonly trafficSelectors: readonly TrafficSelectorConfig[];
  readonly establishTunnels: 'immediately' | 'responder-only';
  /** also as the responder: keys are replaced before their lifetime ends */
  readonly rekeys: boolean;
  /** packets, a power of two; null: no anti-replay */
  readonly antiReplayWindowSize: number | null;
  readonly extendedSequenceNumber: boolean;
  readonly dfBit: 'clear' | 'set' | 'copy';
  readonly copyOuterDscp: boolean;
  readonly outerDscp: number | null;
  /** without traffic, after which it is deleted; null: never */
  readonly idleTimeMs: number | null;
}

export interface TrafficSelectorConfig {
  readonly name: string;
  /** our side */
  readonly localIp: Prefix;
  /** the peer's side: gets the ARI route */
  readonly remoteIp: Prefix;
}

export interface ZoneConfig {
  readonly name: string;
  /** logical interfaces */
  readonly interfaces: readonly string[];
}

export interface PolicyConfig {
  readonly name: string;
  readonly fromZone: string;
  readonly toZone: string;
  /** of the address book, resolved; empty: any */
  readonly sourceAddress: readonly Prefix[];
  readonly destinationAddress: readonly Prefix[];
  /** resolved; empty: any */
  readonly application: readonly ApplicationConfig[];
  readonly action: 'permit' | 'deny';
}

export interface ApplicationConfig {
  readonly name: string;
  /** IP protocol number */
  readonly protocol: number;
  /** lowest and highest, both included; null: any */
  readonly destinationPort: readonly [number, number] | null;
}

export interface FlowConfig {
  /** whether the node keeps sessions and asks policies: it does once it has a security zone */
  readonly sessions: boolean;
  readonly sessionLimit: number;
  /** flows that virtual services remember, of each worker */
  readonly flowLimit: number;
  readonly synCheck: boolean;
  readonly synCheckInTunnel: boolean;
  /** sessions of ICMP are synchronised with the peer, too */
  readonly syncIcmpSession: boolean;
}

/** This node's half of a pair. */
export interface HighAvailabilityConfig {
  /** system.nodeId */
  readonly localId: number;
  /** the ICL's end here */
  readonly localIp: Address;
  readonly peer: HaPeerConfig;
  /** by number; [0] is SRG0, which is always there, active on both nodes */
  readonly groups: readonly SrgConfig[];
  readonly haGroups: readonly HaGroupConfig[];
  readonly sync: HaSyncConfig;
}

export interface HaPeerConfig {
  readonly id: number;
  /** the ICL's end there */
  readonly ip: Address;
  /** logical interface that localIp is on */
  readonly interface: string;
  /** of the ICL */
  readonly routingInstance: string;
  /** of the ICL */
  readonly liveness: LivenessConfig;
  /** null: the ICL is in clear text */
  readonly linkEncryption: LinkEncryptionConfig | null;
  /** null: there is no ICD */
  readonly forwarding: IcdConfig | null;
}

/** The ICD: packets of sessions that the other node has. */
export interface IcdConfig {
  readonly localIp: Address;
  readonly peerIp: Address;
  /** logical interface that localIp is on */
  readonly interface: string;
  readonly routingInstance: string;
  readonly liveness: LivenessConfig;
}

/** Asynchronous BFD. */
export interface LivenessConfig {
  /** Desired Min TX Interval once the session is up */
  readonly minimumIntervalMs: number;
  /** Required Min RX Interval */
  readonly minimumReceiveIntervalMs: number;
  /** Detect Mult */
  readonly multiplier: number;
  /** null: none */
  readonly authentication: BfdAuthenticationConfig | null;
}

export interface BfdAuthenticationConfig {
  readonly algorithm: 'keyed-sha-1' | 'meticulous-keyed-sha-1';
  readonly keyId: number;
  /** 1 … 20 bytes (RFC 5880 §4.4) */
  readonly key: Secret;
}

/** The VPN that seals the ICL: between localIp and the peer's ip, whose traffic selectors are just these two. */
export type LinkEncryptionConfig = Omit<VpnConfig, 'bindInterface'>;

export interface SrgConfig {
  /** 0: active on both nodes */
  readonly id: number;
  readonly deploymentType: 'routing' | 'switching' | 'hybrid';
  /** asked when the ICL is down; null: none */
  readonly activenessProbe: ActivenessProbeConfig | null;
  readonly monitor: SrgMonitorConfig;
  readonly activeSignalRoute: SignalRouteConfig | null;
  readonly backupSignalRoute: SignalRouteConfig | null;
  /** of SRG0: there while its monitor has failed */
  readonly installOnFailureRoute: SignalRouteConfig | null;
  /** floating addresses and what else goes with the group, of all its prefix lists */
  readonly prefixes: readonly FloatingPrefixConfig[];
  /** tunnels that end at a floating address of the group go with it */
  readonly managesIpsec: boolean;
  readonly preemption: boolean;
  /** higher wins */
  readonly activenessPriority: number;
  readonly processPacketOnBackup: boolean;
  readonly virtualIps: readonly VirtualIpConfig[];
  /** name of the HaGroupConfig that decides instead of the election; null: none */
  readonly haGroup: string | null;
}

export type ActivenessProbeConfig =
  | ({ readonly kind: 'icmp' } & EchoTargetConfig & { readonly source: Address })
  | ({ readonly kind: 'bfd' } & BfdTargetConfig);

/** An address that is asked for echoes. */
export interface EchoTargetConfig {
  readonly destination: Address;
  /** null: the address of the interface that leads there */
  readonly source: Address | null;
  readonly routingInstance: string;
  readonly intervalMs: number;
  /** echoes lost in a row before it counts as gone */
  readonly multiplier: number;
}

/** A BFD session to a router. */
export interface BfdTargetConfig {
  readonly destination: Address;
  readonly source: Address;
  readonly sessionType: 'singlehop' | 'multihop';
  /** of a single-hop session */
  readonly interface: string | null;
  readonly routingInstance: string;
  readonly liveness: LivenessConfig;
}

/**
 * Weights of failed members of a kind add up. From `threshold` on the kind has failed and its sum counts for the object; from
 * `objectThreshold` on the object has, and its sum counts for the group; from `srgThreshold` on the group has failed.
 */
export interface SrgMonitorConfig {
  readonly srgThreshold: number;
  readonly objects: readonly MonitorObjectConfig[];
}

export interface MonitorObjectConfig {
  /** '': what stands right below monitor, each of which fails the group alone */
  readonly name: string;
  readonly objectThreshold: number;
  readonly interface: MonitoredConfig<{ readonly name: string }> | null;
  readonly ip: MonitoredConfig<EchoTargetConfig> | null;
  readonly bfdLiveliness: MonitoredConfig<BfdTargetConfig> | null;
}

export interface MonitoredConfig<T> {
  readonly threshold: number;
  readonly members: readonly (T & { readonly weight: number })[];
}

export interface SignalRouteConfig {
  readonly address: Address;
  readonly routingInstance: string;
}

export interface FloatingPrefixConfig {
  readonly prefix: Prefix;
  readonly routingInstance: string;
}

export interface VirtualIpConfig {
  readonly index: number;
  /** with the length of its network */
  readonly address: Prefix;
  /** a logical interface of a port */
  readonly interface: string;
}

/** Activeness that something else decides. */
export interface HaGroupConfig {
  readonly name: string;
  /** null: VRRP says so, through `penstock ha-group` */
  readonly static: 'active' | 'backup' | null;
}

export interface HaSyncConfig {
  /** what the standby adds to the last sequence number it knows */
  readonly oseqShift: number;
  /** 0: off */
  readonly periodPackets: number;
  /** 0: off */
  readonly periodMs: number;
  /** of a busy SA, per second: what oseqShift must be enough for */
  readonly packetRate: number;
  readonly replicateSessions: boolean;
}
