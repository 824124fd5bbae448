/**
 * A node's part in keeping a pair in step: what it knows of tunnels, sequence numbers and sessions goes to the other node
 * over the interchassis link, and what comes from there waits for the day when this node takes over.
 *
 *   datagrams    punted by the native core → Icl → objects, in order;  Icl → UDP → originated through the ICL's tunnel
 *   sessions     native blocks, out of the workers' rings and into them; TypeScript only wraps them
 *   numbers      read from the native core at every tick, sent when they have moved; the gate keeps the active node from
 *                using numbers that the other would go on with
 *   takeover     a new generation, an epoch and a number for each SA, in one call to the native core
 *
 * One object beside the node's driver, in the daemon and the emulator alike: it is handed clock, packets and generations.
 */
import type { Config, HighAvailabilityConfig } from '../config/config.js';
import { textDigest } from '../ha/digest.js';
import { Icl, type IclCounters, iclDefaults } from '../ha/icl.js';
import { Originals, Replicas } from '../ha/replica.js';
import { gateFor, openGate, sealingEpoch, shutGate, takeOverSequence } from '../ha/takeover.js';
import type { ColdSyncStatus, SrgHellos, SrgStatus } from '../model/high-availability.js';
import { Secret } from '../model/secret.js';
import type { NativePlane, OutboundNumbers, SyncStatus } from '../pipeline/native.js';
import { type Bytes, setU32, u32 } from '../wire/bytes.js';
import { type IclClass, type IclObject, iclPort } from '../wire/icl.js';
import { decodeHello, encodeHello, type IclHello, type SyncedPart, syncedParts } from '../wire/icl-hello.js';
import { encodeIp, ipProtocol, pseudoHeaderOf } from '../wire/ip.js';
import { parseFrame, parseIp } from '../wire/packet.js';
import { decodeUdp, encodeUdp, udpHeaderBytes } from '../wire/udp.js';
import type { NodeEvent } from './event.js';
import type { NodeState, TunnelState } from './state.js';
import { decodeTunnel, encodeTunnel, wipeSas } from './sync-sa.js';
import { groupOf, linkInstance, linkTunnelId, type SaKey, type TunnelKeys } from './tunnel.js';

export interface PairSyncOptions {
  readonly plane: NativePlane;
  /** in the plane */
  readonly node: number;
  /** 32 random bits, others at each start */
  readonly session: number;
  readonly nowMs: () => number;
  readonly state: () => NodeState;
  readonly post: (...events: NodeEvent[]) => void;
  /** IP packets of the node's own, routed in the instance of this number; how many were taken. */
  readonly originate: (routingInstance: number, packets: Bytes[]) => number;
  /** The one claimed last; null: none could be. */
  readonly generation: () => number | null;
  /** A new one, never used before; null: none can be had, so nothing is sealed. */
  readonly claimGeneration: () => number | null;
  /** One line for people. */
  readonly log: (line: string) => void;
}

/** Tuning; the gaps of a busy link. */
export const syncTuning = {
  helloMs: 100,
  /** without a hello; BFD is faster */
  deadMs: 1_000,
  /** an SA is sent at most this often, unless it comes near its gate */
  burstMs: 10,
  digestMs: 1_000,
  /** Active sessions are said again, long before a copy that heard nothing times out */
  refreshMs: 120_000,
  /** digests in a row that differ before all sessions are said again: some are always under way */
  mismatches: 3,
  /** packets per second that no SA exceeds on one worker */
  saPacketsPerSecond: 10_000_000,
} as const;

interface Heard {
  readonly sequence: bigint;
  readonly atMs: number;
}

interface Said {
  sequence: bigint;
  atMs: number;
}

/** What `show chassis high-availability information detail` prints of the link. */
export interface PairSyncView {
  readonly isConnected: boolean;
  readonly peerNodeId: number | null;
  readonly coldSync: ColdSyncStatus;
  readonly peerColdSync: ColdSyncStatus;
  readonly roundTripMs: number | null;
  /** parts of the configuration that differ: what rests on them is not synchronised */
  readonly differing: readonly SyncedPart[];
  /** objects that wait, datagrams that the peer has not taken */
  readonly queued: number;
  readonly underWay: number;
  readonly link: IclCounters;
  readonly sessions: SyncStatus;
  readonly tunnels: number;
  /** of all SAs, packets above the last number that the peer has acknowledged: the most, outbound and inbound */
  readonly exposure: { readonly outbound: bigint; readonly inbound: bigint };
  /** SAs that may not be sealed with after a takeover, and why */
  readonly refused: ReadonlyMap<string, string>;
}

export class PairSync {
  readonly #options: PairSyncOptions;
  readonly #icl: Icl;
  readonly #tunnelsOut: Originals;
  readonly #basesOut: Originals;
  readonly #numbersOut: Originals;
  readonly #replicas = new Map<IclClass, Replicas>();
  #pair: HighAvailabilityConfig;
  #parts: ReadonlyMap<SyncedPart, string>;
  #srgHello: SrgHellos | null = null;
  #peer: IclHello | null = null;
  #coldSync: ColdSyncStatus = 'UNKNOWN';
  #lostMs: number | null = null;
  /** when the peer was heard last, on this connection or the one before */
  #heardMs = -Infinity;
  readonly #active = new Set<number>();
  /** by key of #numbersOut: what was said last, what the peer has acknowledged */
  readonly #said = new Map<string, Said>();
  readonly #acknowledged = new Map<string, bigint>();
  /** by the same key: what the peer said of its own */
  readonly #heard = new Map<string, Heard>();
  readonly #armed = new Set<string>();
  /** tunnels that are active here and of which the peer, active too until just now, said its numbers */
  readonly #rivalled = new Set<string>();
  /** by tunnel and SPI: each node's base generation of the outbound key */
  readonly #bases = new Map<string, Map<number, number>>();
  readonly #basesAcknowledged = new Set<string>();
  /** by tunnel: the key of its base */
  readonly #baseOf = new Map<string, string>();
  readonly #refused = new Map<string, string>();
  #tunnelsSeen: NodeState['tunnels'] = new Map();
  /** those whose bases are noted */
  #tunnelsNoted: NodeState['tunnels'] = new Map();
  #sweepsBefore = 0;
  #saysComplete = false;
  #digestDueMs = 0;
  #refreshDueMs = 0;
  #lookDueMs = 0;
  #exposure = { outbound: 0n, inbound: 0n };

  constructor(options: PairSyncOptions, config: Config) {
    const pair = config.highAvailability;
    if (pair === null) throw new RangeError('chassis.high-availability: missing');
    this.#options = options;
    this.#pair = pair;
    this.#parts = partsOf(config);
    this.#icl = new Icl(
      {
        ...iclDefaults,
        nodeId: pair.localId,
        peerNodeId: pair.peer.id,
        session: options.session,
        helloMs: syncTuning.helloMs,
        deadMs: syncTuning.deadMs,
      },
      {
        connected: ({ isSameProcess }) => this.#connected(isSameProcess),
        lost: () => this.#lost(),
        hello: () => this.#hello(),
        heard: (payload) => this.#heardHello(payload),
        deliver: (object) => this.#deliver(object),
        acknowledged: (token) => this.#acknowledgedBy(token as Token),
      },
    );
    this.#tunnelsOut = new Originals(this.#icl, 'sa');
    this.#basesOut = new Originals(this.#icl, 'base');
    this.#numbersOut = new Originals(this.#icl, 'sequence');
    const replica = (
      of: IclClass,
      put: (key: string, value: Bytes) => boolean,
      remove: (key: string) => void,
    ) => this.#replicas.set(of, new Replicas(this.#icl, of, { put, remove }));
    replica(
      'base',
      (key, value) => this.#heardBase(key, value),
      () => {},
    );
    replica(
      'sa',
      (key, value) => this.#heardTunnel(key, value),
      (key) => this.#peerDropped(key),
    );
    replica(
      'sequence',
      (key, value) => this.#heardNumber(key, value),
      () => {},
    );
    this.#icl.setSource('session', (most) => this.#pull(most));
  }

  /** The node goes by this configuration from now on. */
  configure(config: Config): void {
    if (config.highAvailability === null) return;
    this.#pair = config.highAvailability;
    this.#parts = partsOf(config);
  }

  get isConnected(): boolean {
    return this.#icl.isConnected;
  }

  get coldSync(): ColdSyncStatus {
    return this.#coldSync;
  }

  /** BFD says that the link is down. */
  linkDown(): void {
    this.#icl.lose();
  }

  srgHello(hello: SrgHellos): void {
    this.#srgHello = hello;
    this.#icl.helloNow();
  }

  // ── datagrams

  /** A punted packet. False: not the link's. */
  receivePacket(packet: Bytes): boolean {
    const isSealed = this.#pair.peer.linkEncryption !== null;
    const parsed = isSealed ? parseIp(packet) : parseFrame(packet);
    if (!parsed.ok) return false;
    const ip = 'arp' in parsed.value ? parsed.value.ip : parsed.value;
    if (ip === null || ip.transport === null || ip.destinationPort !== iclPort) return false;
    if (ip.ip.protocol !== ipProtocol.udp) return false;
    const udp = decodeUdp(ip.transport);
    if (udp.ok) this.#icl.receive(udp.value.payload, this.#options.nowMs());
    return true;
  }

  /** To be called every few milliseconds, and after packets were received. */
  tick(): void {
    const nowMs = this.#options.nowMs();
    this.#noteBases();
    if (this.#icl.isConnected) this.#look(nowMs);
    this.#send(this.#icl.tick(nowMs));
    this.#heardMs = this.#icl.heardMs ?? this.#heardMs;
  }

  nextDeadlineMs(): number {
    return Math.min(
      this.#icl.nextDeadlineMs(),
      this.#icl.isConnected ? this.#lookDueMs : Number.POSITIVE_INFINITY,
    );
  }

  #send(datagrams: readonly Bytes[]): void {
    if (datagrams.length === 0) return;
    const { localIp, peer } = this.#pair;
    const isSealed = peer.linkEncryption !== null;
    const instance = isSealed ? linkInstance : peer.routingInstance;
    const header = { source: localIp.bytes, destination: peer.ip.bytes, protocol: ipProtocol.udp };
    // what ESP protects needs no checksum, which IPv6 wants all the same
    const needsChecksum = !isSealed || localIp.family === 'inet6';
    const packets = datagrams.map((bytes) => {
      const length = udpHeaderBytes + bytes.length;
      const pseudo = needsChecksum ? pseudoHeaderOf(header, ipProtocol.udp, length) : null;
      return encodeIp(header, encodeUdp(iclPort, iclPort, bytes, pseudo));
    });
    this.#options.originate(this.#options.state().numberings.routingInstances.of(instance), packets);
    // they may hold keys
    for (const bytes of datagrams) bytes.fill(0);
    for (const bytes of packets) bytes.fill(0);
  }

  // ── connection

  #connected(isSameProcess: boolean): void {
    const { plane, node } = this.#options;
    this.#peer = null;
    this.#saysComplete = false;
    this.#sweepsBefore = plane.syncStatus(node).sweeps;
    this.#acknowledged.clear();
    this.#said.clear();
    this.#setColdSync('IN PROGRESS');
    this.#tunnelsSeen = new Map();
    this.#sendAll(this.#basesOut);
    this.#lookAtTunnels();
    this.#sendAll(this.#tunnelsOut);
    this.#sendAll(this.#numbersOut);
    if (this.#pair.sync.replicateSessions) plane.syncCommand(node, isSameProcess ? 'start' : 'start-all');
    const nowMs = this.#options.nowMs();
    this.#digestDueMs = nowMs + syncTuning.digestMs;
    this.#refreshDueMs = nowMs + syncTuning.refreshMs;
  }

  #sendAll(originals: Originals): void {
    originals.sendAll((key): Token | undefined => {
      if (originals.class === 'base') return { kind: 'base', key };
      const base = originals.class === 'sa' ? this.#baseOf.get(key) : undefined;
      return base === undefined ? undefined : { kind: 'base', key: base };
    });
  }

  #lost(): void {
    const { plane, node } = this.#options;
    this.#peer = null;
    this.#lostMs = this.#options.nowMs();
    plane.syncCommand(node, 'stop');
    this.#openGates();
    this.#setColdSync('UNKNOWN');
  }

  #setColdSync(status: ColdSyncStatus): void {
    if (this.#coldSync === status) return;
    this.#coldSync = status;
    this.#icl.helloNow();
    this.#options.post({ kind: 'cold-sync-changed', status });
  }

  #hello(): Bytes {
    const { generation } = this.#options;
    return encodeHello({
      generation: generation() ?? 0,
      coldSync: this.#coldSync,
      parts: this.#parts,
      srg: this.#srgHello,
    });
  }

  #heardHello(payload: Bytes): void {
    const hello = decodeHello(payload, this.#icl.peerNodeId!);
    if (hello === null) {
      const { dropped } = this.#icl.counters;
      dropped.malformed = (dropped.malformed ?? 0) + 1;
      return;
    }
    const before = this.#differing();
    this.#peer = hello;
    const differing = this.#differing();
    if (differing.join() !== before.join())
      this.#options.log(
        differing.length === 0
          ? 'the configurations of both nodes are alike again'
          : `the configuration of the other node differs in ${differing.join(', ')}: what rests on it is not synchronised`,
      );
    if (hello.srg !== null) this.#options.post({ kind: 'srg-hello-received', hello: hello.srg });
  }

  #differing(): SyncedPart[] {
    const theirs = this.#peer?.parts;
    return theirs === undefined
      ? []
      : syncedParts.filter((part) => theirs.get(part) !== this.#parts.get(part));
  }

  // ── objects

  #deliver(object: IclObject): boolean {
    const { operation } = object;
    if (operation === 'complete') {
      this.#setColdSync('COMPLETE');
      return true;
    }
    if (object.class === 'session') return this.#deliverSessions(object);
    if (operation === 'resync') {
      const originals = this.#originals(object.class);
      if (originals !== null) this.#sendAll(originals);
      return true;
    }
    return this.#replicas.get(object.class)?.deliver(object) ?? true;
  }

  #originals(of: IclClass): Originals | null {
    return [this.#tunnelsOut, this.#basesOut, this.#numbersOut].find((each) => each.class === of) ?? null;
  }

  #acknowledgedBy(token: Token): void {
    if (token.kind === 'base') this.#basesAcknowledged.add(token.key);
    else this.#acknowledged.set(token.key, token.sequence);
  }

  #deliverSessions({ operation, value }: IclObject): boolean {
    const { plane, node } = this.#options;
    if (operation === 'resync') {
      if (this.#pair.sync.replicateSessions) plane.syncCommand(node, 'start');
      return true;
    }
    if (operation !== 'put' || this.#isApart('policies')) return true;
    return plane.syncApply(node, value) !== 'busy';
  }

  #isApart(part: SyncedPart): boolean {
    const theirs = this.#peer?.parts.get(part);
    return theirs !== undefined && theirs !== this.#parts.get(part);
  }

  #pull(most: number): Bytes | null {
    const { plane, node } = this.#options;
    const block = plane.syncPull(node, most);
    return block === null || this.#isApart('policies') ? null : block;
  }

  // ── looking at what there is

  #look(nowMs: number): void {
    const { plane, node } = this.#options;
    if (nowMs < this.#lookDueMs) return;
    this.#lookDueMs = nowMs + syncTuning.burstMs / 2;
    this.#lookAtTunnels();
    this.#passRivals();
    this.#lookAtNumbers(nowMs);
    for (const originals of [this.#basesOut, this.#tunnelsOut, this.#numbersOut]) originals.catchUp();
    const { replicateSessions } = this.#pair.sync;
    if (!this.#saysComplete && this.#icl.queued() === 0) {
      const swept = !replicateSessions || plane.syncStatus(node).sweeps > this.#sweepsBefore;
      if (swept) this.#saysComplete = this.#icl.send('session', 'complete', '');
    }
    if (nowMs >= this.#digestDueMs) this.#compare(nowMs);
    if (nowMs >= this.#refreshDueMs) {
      this.#refreshDueMs = nowMs + syncTuning.refreshMs;
      plane.syncCommand(node, 'refresh');
    }
  }

  #compare(nowMs: number): void {
    const { plane, node } = this.#options;
    this.#digestDueMs = nowMs + syncTuning.digestMs;
    for (const originals of [this.#basesOut, this.#tunnelsOut, this.#numbersOut]) originals.sendDigest();
    if (!this.#pair.sync.replicateSessions) return;
    plane.syncCommand(node, 'digest');
    const { overflowed, mismatches } = plane.syncStatus(node);
    if (overflowed) plane.syncCommand(node, 'start');
    if (mismatches >= syncTuning.mismatches) this.#icl.send('session', 'resync', '');
  }

  /** Tunnels of an active group whose keys are not in the configuration: the peer gets them, and when they go. */
  #lookAtTunnels(): void {
    const { tunnels, config } = this.#options.state();
    if (tunnels === this.#tunnelsSeen) return;
    const configured = new Set(config?.vpns.map(({ name }) => name));
    for (const [name, tunnel] of tunnels) {
      if (this.#tunnelsSeen.get(name) === tunnel) continue;
      if (!this.#isActive(tunnel) || configured.has(name)) continue;
      this.#sayTunnel(name, tunnel);
    }
    for (const [name, tunnel] of this.#tunnelsSeen) {
      if (tunnels.has(name)) continue;
      this.#tunnelsOut.remove(name);
      for (const key of numberKeys(tunnel).map(({ key: of }) => of)) {
        this.#numbersOut.remove(key);
        this.#heard.delete(key);
        this.#said.delete(key);
        this.#acknowledged.delete(key);
        this.#armed.delete(key);
      }
    }
    this.#tunnelsSeen = tunnels;
  }

  #isActive({ tunnel }: TunnelState): boolean {
    const group = groupOf(this.#pair, tunnel);
    return group !== null && this.#active.has(group);
  }

  /** Keys cross an encrypted link only. */
  #sayTunnel(name: string, { tunnel, inbound, outbound }: TunnelState): void {
    if (outbound === null || this.#pair.peer.linkEncryption === null) return;
    const { plane, node, generation } = this.#options;
    const base = `${name} ${outbound.spi}`;
    const bases = this.#bases.get(base) ?? new Map<number, number>();
    const own = generation();
    if (!bases.has(this.#pair.localId) && own !== null) bases.set(this.#pair.localId, own);
    this.#bases.set(base, bases);
    const saOf = (
      direction: 'inbound' | 'outbound',
      { spi, index }: { spi: number; index: number },
    ): SaKey => {
      const { algorithm, key, authenticationKey } = plane.saKeys(node, direction, [index])[0]!;
      return {
        ...{ spi, algorithm, key: new Secret(key) },
        authenticationKey: authenticationKey === null ? null : new Secret(authenticationKey),
      };
    };
    const sas = {
      inbound: inbound.map((sa) => saOf('inbound', sa)),
      outbound: saOf('outbound', outbound),
    };
    const bytes = encodeTunnel({ tunnel, ...sas, bases });
    wipeSas([...sas.inbound, sas.outbound]);
    if (bytes.length + name.length > iclDefaults.maxBytes - 64) {
      this.#options.log(
        `tunnel ${name}: ${bytes.length} bytes do not cross the interchassis link; it is not synchronised`,
      );
      bytes.fill(0);
      return;
    }
    this.#baseOf.set(name, base);
    this.#tunnelsOut.put(name, bytes, { kind: 'base', key: base } satisfies Token);
  }

  #heardBase(key: string, value: Bytes): boolean {
    if (value.length !== 4) return true;
    const bases = this.#bases.get(key) ?? new Map<number, number>();
    bases.set(this.#icl.peerNodeId!, u32(value, 0));
    this.#bases.set(key, bases);
    // the tunnel is said again with it, so that a peer that lost its memory is told
    const tunnel = this.#options.state().tunnels.get(key.slice(0, key.lastIndexOf(' ')));
    if (tunnel !== undefined && this.#isActive(tunnel)) this.#sayTunnel(tunnel.tunnel.name, tunnel);
    return true;
  }

  #heardTunnel(name: string, value: Bytes): boolean {
    const heard = decodeTunnel(value);
    const { state, post, generation } = this.#options;
    if (heard === null || heard.tunnel.name !== name) return true;
    const before = state().tunnels.get(name);
    if (this.#isApart('vpns') || (before !== undefined && this.#isActive(before))) return true;
    const base = `${name} ${heard.outbound.spi}`;
    const bases = this.#bases.get(base) ?? new Map<number, number>();
    for (const [node, from] of heard.bases)
      if (!bases.has(node) || node !== this.#pair.localId) bases.set(node, from);
    const own = generation();
    if (!bases.has(this.#pair.localId) && own !== null) bases.set(this.#pair.localId, own);
    // what the peer says of our base it has; what we say it gets now
    if (heard.bases.get(this.#pair.localId) === bases.get(this.#pair.localId))
      this.#basesAcknowledged.add(base);
    else if (bases.has(this.#pair.localId)) this.#sayBase(base, bases.get(this.#pair.localId)!);
    this.#bases.set(base, bases);
    if (before?.outbound?.spi === heard.outbound.spi) {
      wipeSas([...heard.inbound, heard.outbound]);
      return true;
    }
    const keys: TunnelKeys = {
      tunnel: { ...heard.tunnel, id: before?.tunnel.id ?? this.#freeId(heard.tunnel.id) },
      inbound: heard.inbound.map((sa) => ({
        ...sa,
        highestSequence: this.#heard.get(numberKey(name, 'i', sa.spi))?.sequence ?? 0n,
      })),
      outbound: heard.outbound,
      epoch: 0,
      isDormant: true,
      nextSequence: 1n,
    };
    post({ kind: 'tunnels-keyed', tunnels: [keys] });
    wipeSas([...heard.inbound, heard.outbound]);
    return true;
  }

  /**
   * Keys that were agreed on here, connected or not, get their base before any generation after it is claimed. The peer
   * need not acknowledge it: whoever hears of such a key hears of the base with it, so a node that lost both is told.
   */
  #noteBases(): void {
    const { state, generation } = this.#options;
    const { tunnels, config } = state();
    if (tunnels === this.#tunnelsNoted) return;
    const own = generation();
    if (own === null) return;
    const configured = new Set(config?.vpns.map(({ name }) => name));
    for (const [name, tunnel] of tunnels) {
      if (this.#tunnelsNoted.get(name) === tunnel || tunnel.outbound === null) continue;
      const key = `${name} ${tunnel.outbound.spi}`;
      // a key that the peer agreed on has bases since it was heard
      if (this.#bases.has(key) || configured.has(name)) continue;
      if (groupOf(this.#pair, tunnel.tunnel) === null) continue;
      this.#bases.set(key, new Map([[this.#pair.localId, own]]));
      this.#basesAcknowledged.add(key);
    }
    this.#tunnelsNoted = tunnels;
  }

  #sayBase(key: string, generation: number): void {
    const value = new Uint8Array(4);
    setU32(value, 0, generation);
    this.#basesOut.put(key, value, { kind: 'base', key } satisfies Token);
  }

  #freeId(wanted: number): number {
    const taken = new Set([...this.#options.state().tunnels.values()].map(({ tunnel }) => tunnel.id));
    let id = wanted;
    while (taken.has(id) || id === linkTunnelId) id = (id + 1) % linkTunnelId;
    return id;
  }

  #peerDropped(name: string): void {
    const { state, post } = this.#options;
    const tunnel = state().tunnels.get(name);
    if (tunnel !== undefined && !this.#isActive(tunnel)) post({ kind: 'tunnels-removed', tunnels: [name] });
  }

  // ── sequence numbers

  #lookAtNumbers(nowMs: number): void {
    const { plane, node, state } = this.#options;
    const tunnels = [...state().tunnels.values()].filter((tunnel) => this.#isActive(tunnel));
    const { oseqShift, periodPackets, periodMs } = this.#pair.sync;
    const gates: OutboundNumbers[] = [];
    const peerIsEligible = this.#peer?.coldSync === 'COMPLETE' && !this.#isApart('vpns');
    let [mostOut, mostIn] = [0n, 0n];
    for (const direction of ['outbound', 'inbound'] as const) {
      const sas = tunnels.flatMap((tunnel) =>
        numberKeys(tunnel).filter((each) => each.direction === direction),
      );
      const numbers = plane.saSequences(
        node,
        direction,
        Uint32Array.from(sas, ({ index }) => index),
      );
      for (const [i, { key, index }] of sas.entries()) {
        const number = numbers[i]!;
        const acknowledged = this.#acknowledged.get(key);
        const span = acknowledged === undefined ? 0n : number - acknowledged;
        if (direction === 'outbound' && span > mostOut) mostOut = span;
        if (direction === 'inbound' && span > mostIn) mostIn = span;
        const said = this.#said.get(key);
        const moved = said === undefined ? null : number - said.sequence;
        const near = direction === 'outbound' && span >= BigInt(oseqShift) / 2n && moved !== 0n;
        const often = said !== undefined && nowMs - said.atMs < syncTuning.burstMs;
        const due =
          moved === null ||
          near ||
          (!often && periodPackets > 0 && moved >= BigInt(periodPackets)) ||
          (periodMs > 0 && moved > 0n && nowMs - said!.atMs >= periodMs);
        if (due) this.#sayNumber(key, number, nowMs);
        if (direction === 'inbound' || acknowledged === undefined) continue;
        if (!peerIsEligible) continue;
        gates.push({
          index,
          kind: this.#armed.has(key) ? 'gate' : 'arm',
          ...gateFor(acknowledged, oseqShift),
        });
        this.#armed.add(key);
      }
    }
    this.#exposure = { outbound: mostOut, inbound: mostIn };
    if (gates.length > 0) plane.changeNumbers(node, 'outbound', gates);
    if (!peerIsEligible) this.#openGates();
  }

  #sayNumber(key: string, sequence: bigint, atMs: number): void {
    const value = new Uint8Array(8);
    new DataView(value.buffer).setBigUint64(0, sequence);
    this.#said.set(key, { sequence, atMs });
    this.#numbersOut.put(key, value, { kind: 'number', key, sequence } satisfies Token);
  }

  #heardNumber(key: string, value: Bytes): boolean {
    if (value.length !== 8) return true;
    const sequence = new DataView(value.buffer, value.byteOffset).getBigUint64(0);
    const before = this.#heard.get(key);
    // numbers never go back, whatever the connection
    if (before === undefined || sequence >= before.sequence)
      this.#heard.set(key, { sequence, atMs: this.#options.nowMs() });
    // a standby says no numbers but those of when it let go
    const name = key.slice(key.indexOf(' ') + 1);
    const tunnel = this.#options.state().tunnels.get(name);
    if (tunnel !== undefined && this.#isActive(tunnel)) this.#rivalled.add(name);
    return true;
  }

  /**
   * Both were active for a while, and the one that let go has used numbers above those of this one: below them the far
   * end takes nothing any more. So this node goes on above, as if it took over.
   */
  #passRivals(): void {
    if (this.#rivalled.size === 0) return;
    const { plane, node, state } = this.#options;
    // while both are active each would pass the other again and again
    if (this.#peer?.srg?.groups.some(({ id, status }) => status === 'ACTIVE' && this.#active.has(id))) return;
    const tunnels = [...this.#rivalled].flatMap((name) => {
      const tunnel = state().tunnels.get(name);
      return tunnel === undefined || tunnel.outbound === null || !this.#isActive(tunnel) ? [] : [tunnel];
    });
    this.#rivalled.clear();
    const indices = tunnels.map(({ outbound }) => outbound!.index);
    const own = plane.saSequences(node, 'outbound', Uint32Array.from(indices));
    const behind = tunnels.filter(({ tunnel, outbound }, i) => {
      const heard = this.#heard.get(numberKey(tunnel.name, 'o', outbound!.spi));
      return heard !== undefined && heard.sequence > own[i]!;
    });
    const seen = tunnels.flatMap(({ tunnel, inbound }) =>
      inbound.flatMap(({ index, spi }) => {
        const top = this.#heard.get(numberKey(tunnel.name, 'i', spi));
        return top === undefined ? [] : [{ index, sequence: top.sequence }];
      }),
    );
    if (seen.length > 0) plane.changeNumbers(node, 'inbound', seen);
    this.#takeOver(behind);
  }

  /** This node stands alone: it never stops sending. */
  #openGates(): void {
    if (this.#armed.size === 0) return;
    const { plane, node, state } = this.#options;
    const gates = [...state().tunnels.values()]
      .flatMap(numberKeys)
      .filter(({ key }) => this.#armed.has(key))
      .map(({ index }): OutboundNumbers => ({ index, kind: 'gate', ...openGate }));
    this.#armed.clear();
    if (gates.length > 0) plane.changeNumbers(node, 'outbound', gates);
  }

  // ── takeover

  /** A group has become active here, or is so no longer. */
  srgChanged(id: number, _from: SrgStatus, to: SrgStatus): void {
    if (id === 0 || (to === 'ACTIVE') === this.#active.has(id)) return;
    this.#noteBases();
    const tunnels = [...this.#options.state().tunnels.values()].filter(
      ({ tunnel, outbound }) => outbound !== null && groupOf(this.#pair, tunnel) === id,
    );
    if (to === 'ACTIVE') {
      this.#active.add(id);
      this.#takeOver(tunnels);
    } else {
      this.#active.delete(id);
      this.#letGo(tunnels);
    }
    this.#tunnelsSeen = new Map();
  }

  #takeOver(tunnels: readonly TunnelState[]): void {
    if (tunnels.length === 0) return;
    const { plane, node, claimGeneration, nowMs, log } = this.#options;
    const generation = claimGeneration();
    const ageMs = this.#lostMs === null ? 0 : Math.max(0, nowMs() - Math.max(this.#heardMs, 0));
    const changes: OutboundNumbers[] = [];
    const seen: { index: number; sequence: bigint }[] = [];
    const own = plane.saSequences(
      node,
      'outbound',
      Uint32Array.from(tunnels, ({ outbound }) => outbound!.index),
    );
    for (const [i, tunnel] of tunnels.entries()) {
      const { name, extendedSequenceNumber: extended } = tunnel.tunnel;
      const { index, spi } = tunnel.outbound!;
      const epoch = this.#epochOf(tunnel, generation);
      const heard = this.#heard.get(numberKey(name, 'o', spi));
      const from =
        heard === undefined
          ? own[i]!
          : takeOverSequence({
              next: heard.sequence,
              shift: this.#pair.sync.oseqShift,
              ageMs,
              isStale: !this.#icl.isConnected && ageMs >= syncTuning.deadMs,
              extended,
              rate: syncTuning.saPacketsPerSecond,
            });
      const why =
        'refused' in epoch
          ? epoch.refused
          : from === null
            ? 'what the other node used since is unknown'
            : null;
      this.#armed.delete(numberKey(name, 'o', spi));
      if (why !== null) {
        this.#refused.set(name, why);
        log(`vpn ${name}: not taken over, nothing is sealed: ${why}; replace its keys (rekey)`);
        changes.push({ index, kind: 'arm', ...shutGate });
      } else {
        this.#refused.delete(name);
        const sequence = larger(from!, own[i]!);
        const { epoch: number } = epoch as { epoch: number };
        changes.push({ index, kind: 'take-over', epoch: number, sequence, ...openGate });
      }
      for (const sa of tunnel.inbound) {
        const top = this.#heard.get(numberKey(name, 'i', sa.spi));
        if (top !== undefined) seen.push({ index: sa.index, sequence: top.sequence });
      }
    }
    plane.changeNumbers(node, 'inbound', seen);
    plane.changeNumbers(node, 'outbound', changes);
  }

  /** Keys of a configuration have base 0 on every node. */
  #epochOf({ tunnel, outbound }: TunnelState, generation: number | null) {
    const { localId } = this.#pair;
    const isConfigured = this.#options.state().config?.vpns.some(({ name }) => name === tunnel.name) === true;
    if (isConfigured) return sealingEpoch(localId, generation, new Map([[localId, 0]]), true);
    const key = `${tunnel.name} ${outbound!.spi}`;
    return sealingEpoch(
      localId,
      generation,
      this.#bases.get(key) ?? new Map(),
      this.#basesAcknowledged.has(key),
    );
  }

  /** The other node seals from now on. Where this one stood is said once more. */
  #letGo(tunnels: readonly TunnelState[]): void {
    if (tunnels.length === 0) return;
    const { plane, node, nowMs } = this.#options;
    plane.changeNumbers(
      node,
      'outbound',
      tunnels.map(({ outbound }): OutboundNumbers => ({ index: outbound!.index, kind: 'arm', ...shutGate })),
    );
    for (const direction of ['outbound', 'inbound'] as const) {
      const sas = tunnels.flatMap(numberKeys).filter((each) => each.direction === direction);
      const indices = Uint32Array.from(sas, ({ index }) => index);
      const numbers = plane.saSequences(node, direction, indices);
      for (const [i, { key }] of sas.entries()) {
        this.#armed.delete(key);
        this.#sayNumber(key, numbers[i]!, nowMs());
        this.#acknowledged.delete(key);
      }
    }
  }

  view(): PairSyncView {
    const { plane, node } = this.#options;
    return {
      isConnected: this.#icl.isConnected,
      peerNodeId: this.#icl.peerNodeId,
      coldSync: this.#coldSync,
      peerColdSync: this.#peer?.coldSync ?? 'UNKNOWN',
      roundTripMs: this.#icl.roundTripMs,
      differing: this.#differing(),
      queued: this.#icl.queued(),
      underWay: this.#icl.underWay,
      link: this.#icl.counters,
      sessions: plane.syncStatus(node),
      tunnels: this.#tunnelsOut.size,
      exposure: this.#exposure,
      refused: this.#refused,
    };
  }
}

type Token =
  | { readonly kind: 'base'; readonly key: string }
  | { readonly kind: 'number'; readonly key: string; readonly sequence: bigint };

function larger(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

const numberKey = (tunnel: string, direction: 'o' | 'i', spi: number) => `${direction}${spi} ${tunnel}`;

function numberKeys({ tunnel, inbound, outbound }: TunnelState) {
  const of = (direction: 'inbound' | 'outbound', { spi, index }: { spi: number; index: number }) => ({
    key: numberKey(tunnel.name, direction === 'outbound' ? 'o' : 'i', spi),
    direction,
    index,
  });
  return [
    ...(outbound === null ? [] : [of('outbound', outbound)]),
    ...inbound.map((sa) => of('inbound', sa)),
  ];
}

/** What must be alike on both nodes, as digests. Keys are no part of it. */
function partsOf(config: Config): ReadonlyMap<SyncedPart, string> {
  const digest = (value: unknown) => textDigest(JSON.stringify(value));
  return new Map<SyncedPart, string>([
    [
      'policies',
      digest([config.policies, config.defaultPolicy, config.zones.map(({ name }) => name).sort()]),
    ],
    ['vpns', digest(config.vpns)],
    [
      'interfaces',
      digest(config.interfaces.map(({ name, zone, routingInstance }) => [name, zone, routingInstance])),
    ],
  ]);
}
