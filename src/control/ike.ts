/**
 * IKE for real: punted datagrams to the engine and answers back, computations on other threads, timers, tunnels to the
 * node. What it decides is the engine's (`ike`).
 *
 * What the engine wants done gathers until flush(): tunnels first, then messages, so that a peer that sends at once finds
 * its SA; one publication of tables for many tunnels. What waits for no tunnel goes out at once.
 */
import { randomBytes, randomFillSync } from 'node:crypto';
import type { Config } from '../config/config.js';
import { diff } from '../config/diff.js';
import type { IkeEvent } from '../ike/draft.js';
import { type IkeAction, IkeEngine } from '../ike/engine.js';
import { identityText } from '../ike/identity.js';
import { wipeJob } from '../ike/jobs.js';
import type { IkePath, IkeSa, Job, JobResult } from '../ike/sa.js';
import { Address } from '../model/address.js';
import type { NodeEvent } from '../node/event.js';
import { firstIkeTunnel, gather, type IkeByName, tunnelKeys, tunnelOfChild } from '../node/ike.js';
import type { NodeState } from '../node/state.js';
import type { TunnelKeys } from '../node/tunnel.js';
import type { SaStatus } from '../pipeline/native.js';
import { TaskPool } from '../pipeline/task-pool.js';
import type { Bytes } from '../wire/bytes.js';
import { verifies } from '../wire/checksum.js';
import { decodeInUdp, encodeIkeInUdp } from '../wire/esp.js';
import { ikeNatPort, ikePort } from '../wire/ike.js';
import { encodeIp, ipProtocol, pseudoHeaderOf } from '../wire/ip.js';
import { parseFrame } from '../wire/packet.js';
import { decodeUdp, encodeUdp } from '../wire/udp.js';

export interface IkeRuntimeOptions {
  readonly nodeId: number;
  readonly nowMs: () => number;
  readonly log: (line: string) => void;
  readonly state: () => NodeState;
  readonly post: (...events: NodeEvent[]) => void;
  /** IP packets of the node's own, to be routed in this instance; how many were taken. */
  readonly originate: (routingInstance: string, packets: Bytes[]) => number;
  /** of SAs by index */
  readonly saStatus: (direction: 'inbound' | 'outbound', indices: number[]) => readonly SaStatus[];
  readonly onEvent: (event: IkeEvent) => void;
}

type Tasks = { runJobs: (jobs: readonly Job[]) => JobResult[] };
type Send = Pick<Extract<IkeAction, { kind: 'send' }>, 'path' | 'packets'>;
interface Pending {
  readonly sa: number;
  readonly ticket: number;
  readonly job: Job;
}

const hopLimit = 64;
/** of a task for another thread */
const mostJobs = 32;
/**
 * After a publication, so that the next one has more tunnels in it: this many times what it took, since it takes longer
 * with each tunnel that there is; but never long.
 */
const gatherFactor = 3;
const mostGatherMs = 100;

export class IkeRuntime {
  readonly #options: IkeRuntimeOptions;
  readonly engine: IkeEngine;
  readonly #pool = new TaskPool<Tasks>({ threads: 1, module: new URL('./ike-worker.js', import.meta.url) });
  readonly #tunnelIds = new Map<string, number>();
  #nextTunnel = firstIkeTunnel;
  #config: Config | null = null;
  #byName: IkeByName = { vpns: new Map(), gateways: new Map() };
  #jobs: Pending[] = [];
  #changes: (TunnelKeys | string)[] = [];
  #isComputing = false;
  #sends: Send[] = [];
  /** that wait for tunnels of theirs */
  #held: Send[] = [];
  #nextFlushMs = 0;
  #identification = randomBytes(2).readUInt16BE();
  #closed = false;
  /** messages that found no room in the native core */
  unsent = 0;

  constructor(options: IkeRuntimeOptions) {
    this.#options = options;
    this.engine = new IkeEngine({
      random: randomSource(),
      ivPrefix: options.nodeId << 12,
    });
  }

  get #time() {
    return { nowMs: this.#options.nowMs(), wallMs: Date.now() };
  }

  /** Goes by this configuration; SAs of gateways and VPNs that changed end. */
  configure(config: Config): void {
    const before = this.#config;
    this.#config = config;
    this.#byName = {
      vpns: new Map(config.ikeVpns.map((vpn) => [vpn.name, vpn])),
      gateways: new Map(config.ikeGateways.map((gateway) => [gateway.name, gateway])),
    };
    const changed = new Set<string>();
    for (const change of before === null ? [] : diff(before, config)) {
      if (change.section === 'ike-gateway') changed.add(change.name);
      else if (change.section === 'ike-vpn')
        for (const vpn of [change.before, change.after]) if (vpn !== null) changed.add(vpn.gateway);
    }
    this.#do(
      this.engine.configure({ gateways: config.ikeGateways, vpns: config.ikeVpns }, changed, this.#time),
    );
    this.flush(true);
  }

  /** A punted frame that came in by this interface's routing instance; false when it is none of IKE. */
  receive(frame: Bytes, instanceOf: (vlan: number) => string | undefined): boolean {
    const parsed = parseFrame(frame);
    if (!parsed.ok || parsed.value.ip === null) return false;
    const { ip, transport, destinationPort } = parsed.value.ip;
    if (ip.protocol !== ipProtocol.udp || transport === null) return false;
    if (destinationPort !== ikePort && destinationPort !== ikeNatPort) return false;
    const udp = decodeUdp(transport);
    if (!udp.ok || ip.fragment !== 'none') return true;
    const whole = transport.subarray(0, udp.value.length);
    if (udp.value.checksum !== 0 && !verifies(whole, pseudoHeaderOf(ip, ipProtocol.udp, whole.length)))
      return true;
    let message = udp.value.payload;
    if (destinationPort === ikeNatPort) {
      const inside = decodeInUdp(message);
      if (inside.kind !== 'ike') return true;
      message = inside.payload;
    }
    const path: IkePath = {
      local: new Address(ip.destination),
      localPort: destinationPort,
      remote: new Address(ip.source),
      remotePort: udp.value.sourcePort,
      routingInstance: instanceOf(parsed.value.link.vlan) ?? 'default',
    };
    // what stays of a message are copies, but the frame is the caller's
    this.#do(this.engine.receive(path, message, this.#time));
    return true;
  }

  /** Every few milliseconds. */
  tick(): void {
    if (this.engine.nextDeadline() <= this.#options.nowMs()) this.#do(this.engine.timePassed(this.#time));
    this.flush();
  }

  /** Every second: what tunnels carry, and which of them want other keys. */
  look(): void {
    const tunnels = [...this.#options.state().tunnels.values()].filter(
      ({ tunnel }) => tunnel.id >= firstIkeTunnel,
    );
    if (tunnels.length === 0) return;
    const { saStatus } = this.#options;
    const outbound = new Map(
      saStatus(
        'outbound',
        tunnels.flatMap(({ outbound: sa }) => (sa === null ? [] : [sa.index])),
      ).map((status) => [status.index, status]),
    );
    const packets = new Map<number, { inbound: bigint; outbound: bigint }>();
    const wanting = new Set<number>();
    const inbound = saStatus(
      'inbound',
      tunnels.flatMap(({ inbound: sas }) => sas.map(({ index }) => index)),
    );
    const byIndex = new Map(inbound.map((status) => [status.index, status]));
    for (const { inbound: sas, outbound: sa } of tunnels) {
      const out = sa === null ? undefined : outbound.get(sa.index);
      for (const { spi, index } of sas) {
        const status = byIndex.get(index);
        packets.set(spi, { inbound: status?.packets ?? 0n, outbound: out?.packets ?? 0n });
        if (out?.rekeyWanted === true || status?.rekeyWanted === true) wanting.add(spi);
      }
    }
    this.#do(this.engine.traffic(packets, this.#time));
    if (wanting.size > 0) this.#rekey(wanting);
  }

  /** CHILD SAs whose numbers, or kilobytes, are nearly used up. */
  #rekey(wanting: ReadonlySet<number>): void {
    for (const sa of [...this.engine.sas.values()]) {
      for (const { inboundSpi, vpn, state } of sa.children) {
        if (state !== 'up' || !wanting.has(inboundSpi)) continue;
        const isAsked = sa.asking?.task.kind === 'child' && sa.asking.task.replaces === inboundSpi;
        if (!isAsked)
          this.#do(
            this.engine.ask(sa.id, { kind: 'child', vpn, selector: '', replaces: inboundSpi }, this.#time),
          );
      }
    }
  }

  /** Sets this gateway's tunnels up now. Throws when it has no address. */
  begin(gateway: string): void {
    this.#do(this.engine.initiate(gateway, this.#time));
  }

  /** Deletes these SAs; the peers are told. How many they are. */
  clear(isMeant: (sa: IkeSa) => boolean): number {
    const meant = [...this.engine.sas.values()].filter((sa) => sa.state === 'up' && isMeant(sa));
    for (const { id } of meant)
      this.#do(this.engine.ask(id, { kind: 'delete-ike', reason: 'cleared' }, this.#time));
    this.flush(true);
    return meant.length;
  }

  /** Tells every peer; nothing is waited for. */
  leave(): number {
    const count = this.engine.sas.size;
    this.#do(this.engine.close(this.#time));
    this.flush(true);
    return count;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.close();
    this.engine.wipe();
  }

  // ---- actions ----

  #do(actions: readonly IkeAction[]): void {
    const waits = actions.some(({ kind }) => kind === 'tunnel-keyed' || kind === 'tunnel-removed');
    for (const action of actions) {
      switch (action.kind) {
        case 'send':
          (waits ? this.#held : this.#sends).push(action);
          break;
        case 'compute':
          this.#jobs.push(action);
          break;
        case 'tunnel-keyed':
          this.#keyed(action);
          break;
        case 'tunnel-removed':
          this.#changes.push(action.tunnel);
          break;
        case 'event':
          this.#options.log(eventText(action.event));
          this.#options.onEvent(action.event);
      }
    }
  }

  #keyed(action: Extract<IkeAction, { kind: 'tunnel-keyed' }>): void {
    const { tunnel: name } = action.child;
    const id = this.#tunnelIds.get(name) ?? this.#nextTunnel++;
    this.#tunnelIds.set(name, id);
    const tunnel = tunnelOfChild(this.#byName, action, id);
    if (tunnel !== null) this.#changes.push(tunnelKeys(tunnel, action));
  }

  /** now: also where many changes would rather wait for more. */
  flush(now = false): void {
    this.#compute();
    const { nowMs } = this.#options;
    const beganMs = nowMs();
    const isTime = now || beganMs >= this.#nextFlushMs;
    if (this.#changes.length > 0 && isTime) {
      const changes = this.#changes;
      this.#changes = [];
      // each by itself: what keeps SAs has to find them
      for (const event of gather(changes)) this.#options.post(event);
      for (const change of changes) {
        if (typeof change === 'string') this.#tunnelIds.delete(change);
        else
          for (const sa of [...change.inbound, ...(change.outbound ? [change.outbound] : [])]) {
            sa.key.wipe();
            sa.authenticationKey?.wipe();
          }
      }
      const endedMs = nowMs();
      this.#nextFlushMs = endedMs + Math.min(gatherFactor * (endedMs - beganMs), mostGatherMs);
    }
    if (this.#changes.length === 0) this.#sends.push(...this.#held.splice(0));
    this.#send();
  }

  /** One task at a time: handing over costs as much as an exchange, and what comes meanwhile gathers for the next. */
  #compute(): void {
    if (this.#closed || this.#isComputing || this.#jobs.length === 0) return;
    this.#isComputing = true;
    const batch = this.#jobs.splice(0, mostJobs);
    const jobs = batch.map(({ job }) => job);
    void this.#pool
      .run('runJobs', jobs)
      .catch((error: Error) => jobs.map((): JobResult => ({ kind: 'failed', reason: error.message })))
      .then((results) => {
        this.#isComputing = false;
        // the other thread had copies, made when it was its turn
        for (const job of jobs) wipeJob(job);
        if (this.#closed) return;
        // under way while the results are taken
        this.#compute();
        batch.forEach(({ sa, ticket }, i) => {
          this.#do(this.engine.computed(sa, ticket, results[i]!, this.#time));
        });
        this.flush();
      });
  }

  #send(): void {
    const byInstance = new Map<string, Bytes[]>();
    for (const { path, packets } of this.#sends) {
      const list = byInstance.get(path.routingInstance) ?? [];
      byInstance.set(path.routingInstance, list);
      for (const message of packets) list.push(this.#packet(path, message));
    }
    this.#sends = [];
    for (const [instance, packets] of byInstance) {
      this.unsent += packets.length - this.#options.originate(instance, packets);
    }
  }

  #packet({ local, remote, localPort, remotePort }: IkePath, message: Bytes): Bytes {
    // a keepalive is one byte, and no message (RFC 3948 §2.3)
    const isMessage = message.length > 1;
    const payload = localPort === ikeNatPort && isMessage ? encodeIkeInUdp(message) : message;
    const ends = { source: local.bytes, destination: remote.bytes };
    const pseudo = pseudoHeaderOf(ends, ipProtocol.udp, 8 + payload.length);
    const udp = encodeUdp(localPort, remotePort, payload, pseudo);
    this.#identification = (this.#identification + 1) & 0xffff;
    const header = {
      ...ends,
      protocol: ipProtocol.udp,
      ttl: hopLimit,
      identification: this.#identification,
    };
    return encodeIp(header, udp);
  }
}

/** Whether an IKE SA is of this gateway, and with this address or identity; what is left out fits. */
export function isMeant(sa: IkeSa, gateway: string | undefined, peer: string | undefined): boolean {
  if (gateway !== undefined && sa.gateways[0] !== gateway) return false;
  if (peer === undefined || String(sa.path.remote) === peer) return true;
  return sa.peerIdentity !== null && identityText(sa.peerIdentity) === peer;
}

/** Bytes of the system's generator, a few kilobytes at a time; what was given is zero in the store. */
function randomSource(): (count: number) => Bytes {
  const store = new Uint8Array(4096);
  let at = store.length;
  return (count) => {
    if (count > store.length) return new Uint8Array(randomBytes(count));
    if (at + count > store.length) {
      randomFillSync(store);
      at = 0;
    }
    const given = store.slice(at, at + count);
    store.fill(0, at, at + count);
    at += count;
    return given;
  };
}

/** One line for people. */
export function eventText(event: IkeEvent): string {
  const who = [event.peer, event.identity === '' ? '' : `(${event.identity})`].filter(Boolean).join(' ');
  const where = event.gateway === '' ? '' : `gateway ${event.gateway}: `;
  const child = event.tunnel === undefined ? '' : `vpn ${event.tunnel}: `;
  const why = event.reason === undefined ? '' : `: ${event.reason}`;
  const told = event.notify === undefined ? '' : ` [${event.notify}]`;
  switch (event.event) {
    case 'ike-sa-up':
      return `ike: ${where}${who} is up`;
    case 'ike-sa-rekeyed':
      return `ike: ${where}${who} has a new IKE SA`;
    case 'ike-sa-down':
      return `ike: ${where}${who} is down${why}`;
    case 'child-sa-up':
      return `ike: ${child}${who} is up`;
    case 'child-sa-rekeyed':
      return `ike: ${child}${who} has new keys`;
    case 'child-sa-down':
      return `ike: ${child}${who} is down${why}`;
    case 'peer-moved':
      return `ike: ${where}${who} has moved${why}`;
    case 'refused':
      return `ike: ${where}${who} refused${why}${told}`;
  }
}
