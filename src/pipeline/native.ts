/**
 * The one door to the native core: loads the addon, says what it takes and gives. Addresses are bytes in network
 * order (4 or 16), times are nanoseconds as numbers or bigint where said, indices are small integers.
 */
import { createRequire } from 'node:module';
import type { EspAlgorithm } from '../model/sa.js';
import { counterNames } from './counters.js';

export type Bytes = Uint8Array;

export interface PlaneOptions {
  workers: number;
  framesPerWorker: number;
  controlFrames: number;
  /** frames, a power of two */
  handOverRing: number;
  /** frames for packets that a chunk of 4 KiB does not hold, up to an MTU of 9,600; 0 when left out */
  jumbosPerWorker?: number;
  /** that grow() may come to; as many as `workers` when left out */
  mostWorkers?: number;
}

export interface ForwarderOptions {
  name: string;
  sessionLimit: number;
  neighbourLimit: number;
  saLimit: number;
  statistics: number;
  /** flows that virtual services remember, of each worker; 0, or left out: no flow memory */
  flowLimit?: number;
  /** > 0: watch that no (key, IV) passes twice, for this many keys (emulator) */
  auditedKeys: number;
}

export interface HostFlow {
  source: Bytes;
  destination: Bytes;
  sourcePort: number;
  destinationPort: number;
  /** between its packets; of all flows of a host or of none. None: as fast as credit allows */
  intervalNs?: number;
  /** after the host began to send */
  firstNs?: number;
  /** of its IP packets; left out: as the host's sizes go round */
  size?: number;
}

/** Of one direction of an emulated link; what is left out is 0. Parts are in a million. */
export interface LinkQuality {
  /** 0: no limit */
  bitsPerSecond?: number;
  delayNs?: number;
  /** at most, more than the delay; order is kept */
  jitterNs?: number;
  /** that a packet which others overtake comes later */
  heldBackNs?: number;
  lossPpm?: number;
  duplicatePpm?: number;
  reorderPpm?: number;
  /** one bit is turned */
  corruptPpm?: number;
  /** an earlier ESP packet comes once more, behind another */
  replayPpm?: number;
}

/** What changes of an emulated link. */
export interface LinkChange {
  /** false: both ends see that it is down */
  open?: boolean;
  /** the end, 0 or 1, whose packets the others are of */
  from?: 0 | 1;
  quality?: LinkQuality;
  /** nothing arrives any more, and nobody is told */
  cut?: boolean;
  /** the IVs of ESP packets are written down: see nonces() */
  witness?: boolean;
}

/** Numbers a flow in what flowReports() gives: sent, delivered, last arrival, longest gap, its beginning; times in ns. */
export const flowReportWords = 5;

export interface HostOptions {
  name: string;
  server: boolean;
  mac: Bytes;
  gatewayMac: Bytes;
  flows: HostFlow[];
  sizes: number[];
  credit: number;
  seed: number;
}

export interface InterfaceEntry {
  port: number;
  vlan: number;
  mtu: number;
  routingInstance: number;
  zone: number;
  /** index into filters, -1: none */
  filterV4: number;
  filterV6: number;
  mac: Bytes;
  /** own: answered for, and asked from */
  addresses: Bytes[];
  /** of services redundancy groups that are active here: answered for, too; none when left out */
  virtualAddresses?: Bytes[];
}

export interface PrefixBytes {
  address: Bytes;
  length: number;
}

export interface FilterTerm {
  sources: PrefixBytes[];
  destinations: PrefixBytes[];
  protocols: number[];
  /** return: accepted, and the answer of a translated service's real service is translated back */
  action: 'accept' | 'discard' | 'routing-instance' | 'return';
  routingInstance: number;
  /** index of a packets-and-bytes pair, -1: not counted */
  statistic: number;
}

export type HashKey = 'source-ip' | 'destination-ip' | 'symmetric' | '5-tuple' | 'symmetric-5-tuple';

export type HashFunction = 'xxh64' | 'siphash-1-3' | 'toeplitz';

export interface GroupEntry {
  key: HashKey;
  /** 'xxh64' when left out */
  hash?: HashFunction;
  seed: bigint;
  /** member index per slot; 0xffff: none is up */
  slots: Uint16Array;
  /** forwarding: with a service */
  members: { interface: number; address: Bytes; statistic: number; forwarding?: MemberForwarding }[];
  /** left out: packets reach their member by its next hop's MAC alone */
  service?: ServiceEntry;
}

export interface ServiceEntry {
  /** what clients send to */
  address: Bytes;
  /** flows stay with their member while it is up, whatever the slots say later */
  flowMemory: boolean;
  /** of translated members: what clients send to, and where real services listen; empty: everything, as it is */
  ports: { protocol: 'tcp' | 'udp'; offered: number; real: number }[];
}

export interface MemberForwarding {
  /** the same in every table: what the flow memory keeps */
  id: number;
  /** remembered flows stay with it; one that drains is up and has no slot */
  up: boolean;
  mode: 'direct' | 'ipip' | 'gue' | 'translated';
  /** of the real service: the tunnel's far end, or what is translated to; left out with direct */
  address?: Bytes;
  /** ipip and gue: of the outer header, of the real service's family */
  source?: Bytes;
}

/** What a next hop says of whose packets it is for, on a node of a pair: see Situation of src/ha/icd.ts. */
export interface NextHopSituation {
  egressGone: boolean;
  served: 'either' | 'here' | 'peer' | 'nobody';
  backupServes: boolean;
}

export type NextHop =
  | { kind: 'local' | 'discard' }
  | { kind: 'connected'; interface: number; situation?: NextHopSituation }
  | { kind: 'neighbour'; interface: number; address: Bytes; situation?: NextHopSituation }
  /** zone and routing instance: of the tunnel's interface (st0.x), where its answers arrive */
  | { kind: 'tunnel'; sa: number; zone: number; routingInstance: number; situation?: NextHopSituation }
  | { kind: 'group'; group: number }
  /** what the source address leads to in that routing instance (one level): base stations that share a gateway */
  | { kind: 'by-source'; routingInstance: number };

export interface RouteEntry {
  routingInstance: number;
  prefix: Bytes;
  length: number;
  nextHop: NextHop;
}

/** Which key an address and SPI stand for, on a node that audits: what its witness of nonces goes by. */
export interface AuditEntry {
  address: Bytes;
  spi: number;
  /** the key's number, below auditedKeys; SAs that share a key share it */
  key: number;
}

export interface SpiEntry {
  address: Bytes;
  spi: number;
  /** index of the inbound SA */
  sa: number;
  /** of the tunnel's interface (st0.x): decrypted packets belong there */
  zone: number;
  routingInstance: number;
  /** its services redundancy group is not active here: its packets are dropped as srg-backup; false when left out */
  standby?: boolean;
}

/** What a node of a pair knows of the other. */
export interface IcdEntry {
  /** decisionTable() of src/ha/icd.ts */
  verdicts: Bytes;
  /** null: there is no ICD */
  link: {
    localIp: Bytes;
    peerIp: Bytes;
    /** 1…15 */
    localId: number;
    peerId: number;
    /** 16 bytes: of what is sent */
    key: Bytes;
    /** of what is received: at most four */
    peerKeys: Bytes[];
    /** that it is reached in */
    routingInstance: number;
    /** of its path, bytes of IP packet */
    mtu: number;
  } | null;
}

export interface PolicyEntry {
  /** 0xffff: any */
  fromZone: number;
  toZone: number;
  sources: PrefixBytes[];
  destinations: PrefixBytes[];
  /** 0: any */
  protocol: number;
  portLow: number;
  portHigh: number;
  permit: boolean;
  id: number;
}

export interface FlowEntry {
  /** UDP 500 and 4500 to an own address are punted; false when left out */
  puntIke?: boolean;
  /** TCP, UDP and echo replies to an own address whose destination port (identifier) is in this range are punted, too */
  puntPorts?: [number, number];
  /** the ICL's datagrams, to an own address and this port, are punted if they came through this tunnel (null: through none) */
  icl?: { port: number; tunnel: number | null };
  sessions: boolean;
  synCheck: boolean;
  synCheckInTunnel: boolean;
}

/**
 * What publish() replaces; parts left out stay as they are. What one part says of another (an interface's filter, a
 * route's group, interface or SA) is held to what there is after the publication.
 */
export interface TableParts {
  /** never fewer than before: one that is gone keeps its place, with vlan 4095 and no addresses */
  interfaces?: InterfaceEntry[];
  filters?: FilterTerm[][];
  groups?: GroupEntry[];
  routes?: RouteEntry[];
  spis?: SpiEntry[];
  audits?: AuditEntry[];
  policies?: { defaultPermit: boolean; policies: PolicyEntry[] };
  flow?: FlowEntry;
  icd?: IcdEntry;
  sync?: SyncEntry;
}

/** A number of this node, and what it goes by between nodes. */
export interface TagEntry {
  /** 1…2³²−1; of routing instances and zones 20 bits */
  tag: number;
  number: number;
  /** of a tunnel: its anchor */
  worker?: number;
}

export interface SyncEntry {
  instances: TagEntry[];
  zones: TagEntry[];
  tunnels: TagEntry[];
  policies: TagEntry[];
  /** ICMP sessions are synchronised, too */
  icmp: boolean;
}

export interface SyncStatus {
  /** records of sessions written for the peer, and their bytes */
  said: number;
  saidBytes: number;
  /** of sessions whose names have no tag here */
  unnamed: number;
  /** times that a worker's ring was full: all is said anew */
  overflows: number;
  overflowed: boolean;
  /** copies of the peer's sessions: made, changed, closed by the peer, not taken (the table is full), dropped as unsaid */
  copied: number;
  updated: number;
  closed: number;
  refused: number;
  swept: number;
  /** records that name what is not here */
  unknownNames: number;
  malformed: number;
  /** times that all sessions had been said to the peer */
  sweeps: number;
  /** compared, and of these unlike in a row up to now */
  digests: number;
  mismatches: number;
}

/** Of an outbound SA: numbers from gate on wait, at ask the worker says so. */
export interface OutboundNumbers {
  index: number;
  /** gate: of an SA whose gate is armed, or to open it; arm: from the next packet on; take-over: and go on there */
  kind: 'gate' | 'arm' | 'take-over';
  epoch?: number;
  sequence?: bigint;
  /** 2⁶⁴−1: open */
  gate: bigint;
  ask: bigint;
}

export interface Neighbour {
  interface: number;
  address: Bytes;
  mac: Bytes | null;
  state: 'incomplete' | 'reachable' | 'probing' | 'failed';
}

export interface DropRecord {
  timeNs: bigint;
  /** index into counterNames of counters.ts */
  reason: number;
  port: number;
  protocol: number;
  source: Bytes | null;
  destination: Bytes | null;
  sourcePort: number;
  destinationPort: number;
  /** the node's number; 65535: none */
  interface: number;
  /** of an IPv4 header; 0 of another packet */
  identification: number;
}

export interface Punt {
  node: number;
  port: number;
  worker: number;
  receivedNs: bigint;
  packet: Bytes;
}

export interface WorkerStatus {
  state: 'idle' | 'running' | 'sleeping' | 'failed';
  turns: number;
  busyTurns: number;
}

export interface SelectorEntry {
  local: PrefixBytes;
  remote: PrefixBytes;
  /** 0: any */
  protocol: number;
  localPorts: [number, number];
  remotePorts: [number, number];
}

export interface SaOptions {
  spi: number;
  /** 'aes-gcm' when left out. AES-CBC throws RangeError where OpenSSL's libcrypto is not found. */
  algorithm?: EspAlgorithm;
  /**
   * AES-GCM: the AES key and, behind it, the 4-byte salt, 20 or 36 bytes; AES-CBC: 16, 24 or 32. The caller zeroises it
   * afterwards, as the other one.
   */
  key: Bytes;
  /** AES-CBC: of the hash's length (authenticationOf in model/sa.ts); left out with AES-GCM */
  authenticationKey?: Bytes;
  extendedSequenceNumber: boolean;
  selectors: SelectorEntry[];
  /** worker that owns the SA */
  anchor: number;
  /** the control plane's id of the tunnel: both directions and every rekey carry the same */
  tunnel: number;
  lifetime: {
    softSeconds: number;
    hardSeconds: number;
    softPackets: bigint;
    hardPackets: bigint;
    softKilobytes: bigint;
    hardKilobytes: bigint;
  };
}

export interface InboundSaOptions extends SaOptions {
  /** 0: none; else a power of two from 64 to 8192 */
  replayWindow: number;
  /** everything up to it counts as seen; 0n when left out */
  highestSequence?: bigint;
  /** the inner packet takes the outer one's DSCP; false when left out */
  copyOuterDscp?: boolean;
}

export interface OutboundSaOptions extends SaOptions {
  source: Bytes;
  destination: Bytes;
  /** 1…15 */
  nodeId: number;
  /** 0…4095, specs of the nonce: node-id | epoch | counter */
  epoch: number;
  /** of an SA that goes on in the epoch it was saved in; 0n when left out */
  firstCounter?: bigint;
  nextSequence: bigint;
  /** numbers from here on wait; 0n: nothing is sealed until changeNumbers(); none when left out */
  gate?: bigint;
  dfBit: 'copy' | 'set' | 'clear';
  /** -1: copied from the inner packet */
  dscp: number;
  /** of the path, bytes of IP packet */
  mtu: number;
  /** UDP encapsulation (RFC 3948), null: none */
  udp: { sourcePort: number; destinationPort: number } | null;
  /** where outer packets are routed; 0 when left out */
  routingInstance?: number;
  /** of the sequence numbers, and of the IVs of an epoch; 90 when left out */
  rekeyAtPercent?: number;
}

export interface SaKeys {
  algorithm: EspAlgorithm;
  key: Bytes;
  /** null: AES-GCM */
  authenticationKey: Bytes | null;
}

/** Why an SA wants a rekey, or passes no packet any more (the last three). */
export type SaEvent =
  | 'soft-seconds'
  | 'soft-packets'
  | 'soft-kilobytes'
  | 'sequence-low'
  | 'iv-low'
  | 'hard-lifetime'
  | 'sequence-cycled'
  | 'iv-exhausted';

export type SaDrop =
  | 'replay'
  | 'authFailed'
  | 'selector'
  | 'lifetime'
  | 'malformed'
  | 'seqCycled'
  | 'ivExhausted'
  | 'tooBig'
  | 'gate';

export interface SaStatus {
  index: number;
  spi: number;
  tunnel: number;
  anchor: number;
  packets: bigint;
  bytes: bigint;
  /** outbound: next; inbound: highest authenticated */
  sequence: bigint;
  /** outbound: the counter of the next IV, 2⁴⁸ when none is left; inbound: null */
  ivCounter: bigint | null;
  rekeyWanted: boolean;
  expired: boolean;
  events: SaEvent[];
  /** those that the direction has */
  drops: Partial<Record<SaDrop, bigint>>;
}

export type HaState = 'active' | 'warm' | 'backup';

export interface SessionWing {
  source: Bytes;
  destination: Bytes;
  sourcePort: number;
  destinationPort: number;
  protocol: number;
  routingInstance: number;
  zone: number;
  packets: bigint;
  bytes: bigint;
  haState: HaState;
  /** that the wing's packets come in by, and the other's leave by; -1: none */
  tunnel: number;
}

export interface SessionStatus {
  id: bigint;
  worker: number;
  policy: number;
  haState: HaState;
  createdNs: bigint;
  /** left, without another packet */
  timeoutSeconds: number;
  tcpState: string;
  in: SessionWing;
  out: SessionWing;
}

export interface SessionPage {
  sessions: SessionStatus[];
  /** hand back to go on; null: the last page */
  cursor: bigint | null;
}

export interface CaptureFiles {
  read?: string;
  write?: string;
  /** packets come as far apart as they were captured; otherwise as fast as they are taken */
  paced?: boolean;
  /** MAC addresses put before packets of a capture of bare IP */
  link?: { destination: Bytes; source: Bytes };
  /** since 1970 at the loop's time 0, for the time stamps written; 0n when left out */
  epochNs?: bigint;
}

/** A step of a postfix program (CaptureFilter in native/core/node/tap.h). */
export interface CaptureInstruction {
  op:
    | 'and'
    | 'or'
    | 'not'
    | 'version'
    | 'arp'
    | 'protocol'
    | `${'' | 'source-' | 'destination-'}net`
    | `${'' | 'source-' | 'destination-'}ports`
    | 'spi'
    | 'in'
    | 'out'
    | 'port'
    | 'worker'
    | 'dropped'
    | 'reason'
    | 'shorter'
    | 'longer';
  a?: number;
  /** end of a range that begins at a */
  b?: number;
  net?: PrefixBytes;
}

export interface CapturedFrame {
  timeNs: bigint;
  /** the same for what came in and what left of it */
  id: bigint;
  originalLength: number;
  /** native index: came in by, or leaves by */
  port: number;
  /** that it came to, or leaves from */
  worker: number;
  /** that saw its end */
  lastWorker: number;
  isOut: boolean;
  verdict: 'sent' | 'dropped' | 'punted' | 'consumed';
  /** sent: native index of the port; dropped: index into counterNames */
  detail: number;
  /** with its link header, as it came in or leaves */
  data: Bytes;
}

export interface PortStatus {
  /** false: the interface is gone or down, the wire was shut, the file is broken */
  open: boolean;
  /** why not open, empty while it is */
  fault: string;
  /** of an interface of the kernel; null: a wire or capture */
  mac: Bytes | null;
  mtu: number | null;
  /** how packets pass between the kernel and the port, for people; null: not an interface of the kernel */
  mode: string | null;
  /** of a capture: all that it holds was received */
  atEnd: boolean | null;
}

/** What a BFD session is to do; src/ha/bfd.ts says when. */
export type LivenessCommand =
  | {
      kind: 'open';
      /** the caller's number for it, never used again for another */
      session: number;
      local: Bytes;
      remote: Bytes;
      routingInstance: number;
      multihop: boolean;
      /** packets with a lower one are dropped: 255 where none may have crossed a router */
      minimumTtl: number;
      /** from 49152 on */
      sourcePort: number;
      discriminator: number;
      /** of the jitter, 32 bits */
      seed: number;
      /** key: at most 20 bytes; the caller zeroises them afterwards */
      auth: { isMeticulous: boolean; keyId: number; key: Bytes; firstSequence: number } | null;
    }
  | { kind: 'close'; session: number }
  /** At once, and then at the interval less up to a quarter; null: no more. */
  | { kind: 'transmit'; session: number; packet: Bytes; intervalUs: number | null }
  | { kind: 'send'; session: number; packet: Bytes }
  /** Silence of this length since the last packet is told. */
  | { kind: 'expect'; session: number; detectionUs: number | null };

export interface LivenessEvent {
  session: number;
  /** the UDP payload: matched, authenticated, and it says something new; null: silence */
  packet: Bytes | null;
  timeNs: bigint;
}

export interface LivenessStatus {
  session: number;
  sent: bigint;
  heard: bigint;
  /** for their TTL or authentication */
  refused: bigint;
  /** 0n: never */
  lastSentNs: bigint;
  lastHeardNs: bigint;
  /** between two packets of one interval */
  longestGapNs: bigint;
}

/** A plane as the control thread sees it. Errors of arguments are thrown as TypeError or RangeError naming the field. */
export interface NativePlane {
  readonly id: number;
  addForwarder(options: ForwarderOptions): number;
  addHost(options: HostOptions): number;
  /** A memory wire between two nodes: their port indices. capacity: frames a direction and worker, a power of two. */
  addWire(nodeA: number, nodeB: number, capacity: number): [number, number];
  /**
   * An emulated link between two nodes: see native/core/port/link.h. capacity: frames a direction and worker. Only while
   * no workers run.
   */
  addLink(
    nodeA: number,
    nodeB: number,
    options: { capacity: number; seed: number },
  ): { link: number; ports: [number, number] };
  setLink(link: number, change: LinkChange): void;
  /** Another node has this end from now on: its port there. Nobody is to use the old one any more. */
  moveLinkEnd(link: number, side: 0 | 1, node: number): number;
  /**
   * An interface of the kernel. promiscuous: for MAC addresses that are not the interface's own. Throws an error with
   * code 'EPERM', 'ENODEV', … and a message that says the mend.
   */
  addPacketSocket(node: number, interfaceName: string, promiscuous?: boolean): number;
  /** The same through AF_XDP, in the best mode that the interface has; 'ENOSYS': this build has no AF_XDP. */
  addXdpSocket(node: number, interfaceName: string, promiscuous?: boolean): number;
  /** A TUN or TAP interface, made if it is not there; it goes with the plane. mac: of the node on it. */
  addTun(node: number, tun: { interfaceName: string; tap: boolean; mtu: number; mac?: Bytes }): number;
  /** A capture read as input and/or written as output (by one worker). Error with code 'ECAPTURE'. */
  addCapture(node: number, files: CaptureFiles): number;
  /** Ports may be added while workers run; they are used once interfaces that name them are published. */
  portStatus(node: number, port: number): PortStatus;
  /**
   * Not while a published interface names it. What it holds is dropped as port-closed by each worker; it is closed, and
   * its index free for another, once all have passed (collect).
   */
  removePort(node: number, port: number): void;

  publish(node: number, parts: TableParts): void;
  /** All or none, and their indices. */
  addInboundSas(node: number, sas: InboundSaOptions[]): number[];
  addOutboundSas(node: number, sas: OutboundSaOptions[]): number[];
  /** All or none. Not while a published table names one; zeroised once no worker can see it (collect). */
  retireSas(node: number, direction: 'inbound' | 'outbound', indices: number[]): void;
  /**
   * What live SAs go by from now on: selectors, outer headers, MTU, window size. Key (any bytes), SPI, ESN and all
   * numbers given are passed over: those of the SA stay. To be called before the publication that goes with it.
   */
  changeSas(node: number, direction: 'inbound', changes: (InboundSaOptions & { index: number })[]): void;
  changeSas(node: number, direction: 'outbound', changes: (OutboundSaOptions & { index: number })[]): void;
  /** SAs that can be added now. */
  saRoom(node: number): { inbound: number; outbound: number };
  /** Keys with their salts; the caller zeroises them. */
  saKeys(node: number, direction: 'inbound' | 'outbound', indices: number[]): SaKeys[];
  saStatus(node: number, direction: 'inbound' | 'outbound', indices: number[]): SaStatus[];
  /** Next number (outbound), highest authenticated (inbound); 0n: no such SA. */
  saSequences(node: number, direction: 'inbound' | 'outbound', indices: Uint32Array): BigUint64Array;
  /** Inbound: everything up to sequence counts as seen. A take-over in an epoch that was sealed in does nothing. */
  changeNumbers(node: number, direction: 'outbound', changes: OutboundNumbers[]): void;
  changeNumbers(node: number, direction: 'inbound', changes: { index: number; sequence: bigint }[]): void;

  /** start-all: Warm copies are said, too, since the peer has lost its own. */
  syncCommand(node: number, command: 'start' | 'start-all' | 'stop' | 'digest' | 'refresh'): void;
  /** Whole records of sessions for the peer, at most so many bytes; null: none now. */
  syncPull(node: number, most: number): Bytes | null;
  /** What the peer pulled, in its order. busy: nothing was done, to be tried again. */
  syncApply(node: number, block: Bytes): 'applied' | 'busy' | 'malformed';
  syncStatus(node: number): SyncStatus;

  /**
   * BFD sessions, in order; worker 0 carries them out at its next turn. Throws at the first that cannot be (no such session,
   * its discriminator or addresses another's, more than 512); those before it count.
   */
  liveness(node: number, commands: LivenessCommand[]): void;
  takeLiveness(node: number, most: number): LivenessEvent[];
  livenessStatus(node: number): LivenessStatus[];

  /**
   * frozen: it does nothing, and what comes waits in its ports. drains: nothing is received from its ports, what it has is
   * finished. false is shut: all is dropped.
   */
  setNodeRunning(node: number, running: boolean | 'runs' | 'drains' | 'shut' | 'frozen'): void;
  setSending(node: number, sending: boolean): void;

  /**
   * A live view, one row per worker that there may be: length / mostWorkers words, of which the first counterCount are the counters in the
   * order of counters.ts. Stays valid after close().
   */
  counters(node: number): BigUint64Array;
  /** As they are now, summed over workers, in the order of counters.ts. */
  counterTotals(node: number): number[];
  statistics(node: number, indices: number[]): { packets: bigint; bytes: bigint }[];
  neighbours(node: number): Neighbour[];
  /** Somebody else (the kernel) knows that they answer, and from where. interface: the node's number. */
  learnNeighbours(node: number, neighbours: { interface: number; address: Bytes; mac: Bytes }[]): void;
  dropRecords(node: number, most: number): DropRecord[];
  sessions(node: number, worker: number, cursor: bigint, most: number): SessionPage;
  sessionCount(node: number): number;
  /** The flow memory of virtual services, in the same form: `policy` is the member's id. */
  flows(node: number, worker: number, cursor: bigint, most: number): SessionPage;
  flowCount(node: number): number;
  /** Of a host. Log-linear buckets summed over workers, and the upper bound in ns of each bucket. */
  latency(node: number): { counts: BigUint64Array; upperNs: Float64Array };
  nonceAudit(node: number): { seen: bigint; repeated: bigint; unproven: bigint };

  /**
   * From each worker's next turn on what passes and the program wants is copied; null: nothing is. A ring that is full
   * costs the copy (captureMissed), never the packet.
   */
  setCapture(node: number, options: { filter: CaptureInstruction[]; ringBytes: number } | null): void;
  /** By time. */
  takeCaptured(node: number, most: number): CapturedFrame[];
  captureMissed(node: number): number;

  takePunts(most: number): Punt[];
  inject(node: number, port: number, packet: Bytes): boolean;
  /**
   * IP packets of a forwarder's own, without link header: it routes them in this instance. How many were taken; the rest
   * found no room just now.
   */
  originate(node: number, routingInstance: number, packets: Bytes[]): number;
  collect(): void;
  /**
   * So many workers from now on, while the others run: their part of each node and port is made; their threads may poll
   * then. Throws what kept it from being done, and nothing has changed.
   */
  grow(workers: number): void;
  /** Once they poll: ports give them packets, and flows that no tunnel owns are shared anew. Not while flowsMoving(). */
  spreadFlows(): void;
  flowsMoving(): boolean;
  workerStatus(): WorkerStatus[];
  framesInUse(): number;
  stop(): void;
  /** Virtual time, no workers running: one turn of every worker at nowNs; true when a frame moved. */
  step(nowNs: bigint): boolean;
  nextDeadline(): bigint;
  /**
   * Virtual time: whatever is due, from deadline to deadline, until untilNs or until there is something for the control
   * thread. out: the time reached, and 1 when punts wait + 2 when takeAttention() has something.
   */
  advance(nowNs: number, untilNs: number, out: Float64Array): void;
  /** Virtual time: a node's clock shows so much more than the plane's, and gains from nowNs on. */
  setClock(node: number, clock: { nowNs: number; offsetNs: number; gainedPpm: number }): void;
  /** Nodes whose neighbours changed, or whose BFD sessions have something to tell, since they were last given. */
  takeAttention(): number[];
  /** Of a host, flowReportWords numbers a flow; the longest gaps begin anew. */
  flowReports(node: number): Float64Array;
  /** ESP packets that left by ways with a witness, and those of them whose IV had been there under the same SA. */
  nonces(): { seen: number; repeated: number };
  /** A digest of all that arrived over emulated links: when, where, and every byte. */
  arrivals(): bigint;
  /** Frees the plane once every worker has let go. */
  close(): void;
}

/** A plane as a worker thread sees it. */
export interface NativeWorker {
  /**
   * Runs for at most so long; false once the plane is stopped. The first call makes this thread the worker's driver;
   * throws when another thread is.
   */
  poll(worker: number, budgetMicroseconds: number): boolean;
  /** Lets go of the plane and its workers. A thread that ends without it leaves them 'failed'. */
  detach(): void;
}

/** An opened or sealed packet, or the index (into counterNames) of the drop reason. */
export type EspResult = Bytes | number;

/** An inbound SA that belongs to no plane, for captures. */
export interface NativeInboundSa {
  /** esp: from the ESP header to the end of the IP (or UDP) payload. Inner packets, in the order given. */
  open(packets: { esp: Bytes; outerTos: number }[], nowNs: bigint): EspResult[];
  status(): SaStatus;
}

/** An outbound SA that belongs to no plane. Whoever made it keeps its numbers: see SaStatus. */
export interface NativeOutboundSa {
  /** Whole IP packets in, outer IP packets out, in the order given. */
  seal(packets: Bytes[], nowNs: bigint): EspResult[];
  status(): SaStatus;
}

export interface ChashMember {
  name: string;
  weight: number;
}

export interface ChashOptions extends HasherOptions {
  /** in any order */
  members: ChashMember[];
  /** names of members */
  dead: string[];
  /** slots; 0: the next power of two ≥ 256 × members, at most 65,536 */
  size: number;
  /** how far a member may stand above its exact share at home, in 1/10,000 (100 is 1 %) */
  slack: number;
  /** sticky mode: names of the members of the table before, in the order that its numbers mean, and its home */
  previous?: { members: string[]; home: Uint16Array };
}

/** A hash function with its seed, and a key of its own for siphash-1-3 (16 bytes) and toeplitz (40). */
export interface HasherOptions {
  /** 'xxh64' when left out */
  hash?: HashFunction;
  seed: bigint;
  hashKey?: Bytes;
}

/** What flows are counted by: the key that a group hashes, and the sizes of all tables to compare (at most 16). */
export interface CountOptions extends HasherOptions {
  key: HashKey;
  sizes: readonly number[];
}

export interface FlowSourceOptions {
  kind: 'uniform' | 'zipf' | 'subnet';
  /** at most 2^32 */
  flows: number;
  /** Zipf's, 0…4; 1 when left out */
  exponent?: number;
  /** subnet: where sources come from; the others: of which family */
  prefix: PrefixBytes;
  /** zeros when left out */
  destination?: Bytes;
  seed: bigint;
}

/** Flows number first … end − 1 of a source. */
export interface CountFlowsOptions extends CountOptions {
  source: FlowSourceOptions;
  first: number;
  end: number;
}

/** By cell: the sum of the slots that a hash has in tables of the sizes asked for. Whole numbers. */
export interface FlowCounts {
  flows: Float64Array;
  bytes: Float64Array;
}

/** Bytes of a flow record; native/core/chash/flow_count.h has the fields. */
export const flowRecordBytes = 48;

/** Counts flows that are given as records, each once however many records it has. */
export interface NativeFlowTally {
  /** Whole records. False, and nothing more is counted, once there are more flows than mostFlows. */
  add(records: Bytes): boolean;
  /** heaviest: of the keys that no table can divide; null: no record had bytes */
  result(): FlowCounts & { heaviest: { source: Bytes; destination: Bytes; bytes: number } | null };
}

/** A table to pick from in bulk: one call, any number of keys. */
export interface NativePickTable {
  /** IPv4 addresses as numbers (0x0a000001 is 10.0.0.1), hashed as in the packet. Returns `members`, filled. */
  pickAddresses(addresses: Uint32Array, members: Uint16Array): Uint16Array;
  /** Keys of keyBytes each, one behind the other, as flowKey() of src/lb makes them. Returns `members`, filled. */
  pickKeys(keys: Bytes, keyBytes: number, members: Uint16Array): Uint16Array;
}

/** Something of the kernel's that is there, or (removed) no longer is. Interfaces by the kernel's index. */
export type KernelChange =
  | {
      kind: 'route';
      removed: boolean;
      /** of the prefix */
      address: Bytes;
      length: number;
      protocol: number;
      type: 'unicast' | 'blackhole' | 'other';
      table: number;
      /** of its first next hop; 0: none */
      interface: number;
      metric: number;
      gateway: Bytes | null;
    }
  /** an address of the kernel's own */
  | { kind: 'address'; removed: boolean; interface: number; address: Bytes; length: number }
  | {
      kind: 'neighbour';
      removed: boolean;
      interface: number;
      address: Bytes;
      /** stale: its MAC is known, and that it answers is not */
      state: 'reachable' | 'stale' | 'failed' | 'incomplete';
      mac: Bytes | null;
    };

/** The kernel's routes, addresses and neighbours, of this network namespace. */
export interface NativeKernel {
  /** Into the route interface, replaced where there is one already. By prefix: null, or the code of what went wrong. */
  changeRoutes(
    add: boolean,
    prefixes: (PrefixBytes & { metric?: number })[],
    as: { table: number; protocol: number },
  ): (string | null)[];
  list(): KernelChange[];
  /** Since it was last asked; null: some was lost, list anew. */
  takeChanges(): KernelChange[] | null;
  /** 0: there is no such interface */
  indexOf(interfaceName: string): number;
  /** The kernel asks for it as if it had a packet for it; what comes of it is told by takeChanges(). */
  askForNeighbour(interfaceIndex: number, address: Bytes): void;
  /** The route interface goes, and the routes into it. */
  close(): void;
}

/** Members are numbered as they were given; the digest does not depend on that. */
export interface ChashTable {
  /** member per slot; 0xffff everywhere when none is up */
  slots: Uint16Array;
  /** member per slot while all are alive; what sticky mode starts from */
  home: Uint16Array;
  digest: bigint;
}

/** What the kernel says of an interface; null: its driver does not say. */
export interface InterfaceFacts {
  driver: string | null;
  queues: number | null;
  rssKeyBytes: number | null;
  rxChecksum: boolean | null;
  txChecksum: boolean | null;
  tso: boolean | null;
  gro: boolean | null;
  lro: boolean | null;
  rxVlan: boolean | null;
}

export interface NativeAddon {
  createPlane(options: PlaneOptions): NativePlane;
  /** In a worker thread; pins the thread to a CPU when cpu ≥ 0. Throws when there is no such plane. */
  attachPlane(id: number, cpu: number): NativeWorker;
  /** Planes of this process whose memory is not yet freed. */
  planesAlive(): number;
  /** CPUs that this process may run on. */
  allowedCpus(): number[];
  /** Names of the counters that the addon was built with, in index order. */
  readonly counterNames: readonly string[];
  interfaceFacts(name: string): InterfaceFacts;
  /** fault: what is wrong with PENSTOCK_CRYPTO in the environment, null: nothing */
  crypto(): { active: string; available: string[]; fault: string | null };
  /** Throws naming the kernels that there are. */
  selectCrypto(name: string): void;
  /** Throw naming the field that is wrong; the anchor is 0. */
  readonly InboundSa: new (
    options: InboundSaOptions,
  ) => NativeInboundSa;
  readonly OutboundSa: new (options: OutboundSaOptions) => NativeOutboundSa;
  /** Seals or opens buffers with a bare AES-GCM key (tests, benches); open returns null when the tag is wrong. */
  gcmSeal(key: Bytes, nonce: Bytes, aad: Bytes, plaintext: Bytes): Bytes;
  gcmOpen(key: Bytes, nonce: Bytes, aad: Bytes, ciphertextAndTag: Bytes): Bytes | null;
  chashBuild(options: ChashOptions): ChashTable;
  countFlows(options: CountFlowsOptions): FlowCounts;
  readonly FlowTally: new (options: CountOptions & { mostFlows: number }) => NativeFlowTally;
  /**
   * routeInterface: a TUN interface to make, which lasts as long as the process at most; null: none. listen: for changes.
   * Throws with the code of what the system refused.
   */
  readonly Kernel: new (options: {
    routeInterface: string | null;
    listen: boolean;
  }) => NativeKernel;
  readonly PickTable: new (options: HasherOptions & { slots: Uint16Array }) => NativePickTable;
}

const require = createRequire(import.meta.url);
let addon: NativeAddon | undefined;

/** The addon, loaded on first use. Throws with the mend when it was not built, or built of other counters,
 * and when PENSTOCK_CRYPTO names a kernel that this processor does not run. */
export function native(): NativeAddon {
  addon ??= load();
  return addon;
}

function load(): NativeAddon {
  const mend = 'run npm run setup';
  let loaded: NativeAddon;
  try {
    loaded = require('../../native/build/Release/penstock.node') as NativeAddon;
  } catch (cause) {
    throw new Error(`the native core is not built; ${mend}`, { cause });
  }
  if (loaded.counterNames.join() !== counterNames.join()) {
    throw new Error(`the native core was built of another version; ${mend}`);
  }
  const { fault } = loaded.crypto();
  if (fault !== null) throw new Error(fault);
  return loaded;
}
