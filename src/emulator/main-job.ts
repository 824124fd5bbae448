/**
 * The main job: base stations' traffic through the router and its gateways to a server and back, every inner packet
 * compared; half-way one gateway is shut off, later it comes back.
 *
 *   1. build the network, resolve neighbours, agree on keys
 *   2. send; at half the time gw2 is shut off: the router deals its slots out, its base stations agree on new keys
 *      with the gateways that have them now
 *   3. at three quarters it is on again: the router's table is the first one again, keys are agreed on anew
 *   4. stop sending, wait until no frame is under way, add up
 */
import { randomBytes } from 'node:crypto';
import type { Report } from '../node/event.js';
import { movedSlots, realServiceOf } from '../node/groups.js';
import { type Group, groupKey, memberStatistic, realServiceKey } from '../node/state.js';
import { Dataplane, type WorkerFailure } from '../pipeline/dataplane.js';
import { native } from '../pipeline/native.js';
import { type Accounts, accountsOf, isAccounted } from './accounts.js';
import { type Clock, realClock, sleep } from './clock.js';
import { difference, type Histogram, percentileNs, sum } from './histogram.js';
import { KeyExchange } from './key-exchange.js';
import type { MainJobOptions, MainJobResult, Moved, Sample } from './main-job-types.js';
import { macOf, Network } from './network.js';
import {
  type BaseStation,
  baseStation,
  baseStationsConfig,
  flowsOf,
  gatewayConfig,
  gatewayName,
  imixSizes,
  routerConfig,
  wires,
} from './scale-out.js';

const linkDelayMs = 10;
/** frames a direction and worker; more than the credit, so that no wire is ever full */
const wireCapacity = 1024;
const creditPerWorker = 256;
const victim = 2;
const router = 'tlb1';
const stationsNode = 'enb';
const tlbInstance = 'ipsec_lb';
const tlbGroup = 'srx_group';
const services = ['vs_inet', 'vs_inet6'].map((name) => groupKey(tlbInstance, name));
const drainDeadlineMs = 5_000;
const settleDeadlineMs = 5_000;

/** Throws when the network cannot be built or a worker fails. What a run finds wrong is in `violations`. */
export async function runMainJob(options: MainJobOptions): Promise<MainJobResult> {
  const clock = options.clock ?? realClock;
  const dataplane = new Dataplane({
    workers: options.workers,
    framesPerWorker: 4096,
    controlFrames: 256,
    handOverRing: 1024,
    timers: clock,
  });
  let failure: WorkerFailure | null = null;
  dataplane.on('failed', (what) => {
    failure = what;
  });
  try {
    const job = new MainJob(options, clock, dataplane);
    await dataplane.start();
    const result = await job.run(() => failure);
    await dataplane.stop();
    return result;
  } finally {
    await dataplane.stop();
    dataplane.close();
  }
}

class MainJob {
  readonly #options: MainJobOptions;
  readonly #clock: Clock;
  readonly #dataplane: Dataplane;
  readonly #network: Network;
  readonly #exchange: KeyExchange;
  readonly #stations: BaseStation[];
  readonly #flowTunnels: readonly number[];
  readonly #hosts: readonly number[];
  readonly #nodes: readonly number[];
  readonly #routerIndex: number;
  readonly #gateways: readonly string[];
  #began = 0;
  #before: { at: number; accounts: Accounts; latency: Histogram; packets: number[] } | null = null;
  #rekeyed = 0;

  constructor(options: MainJobOptions, clock: Clock, dataplane: Dataplane) {
    this.#options = options;
    this.#clock = clock;
    this.#dataplane = dataplane;
    const { tunnels, flows, gateways, workers, seed } = options;
    const { native: plane } = dataplane;
    const numbers = Array.from({ length: gateways }, (_, i) => i + 1);
    this.#gateways = numbers.map(gatewayName);
    this.#stations = Array.from({ length: tunnels }, (_, number) => baseStation(number, workers));
    this.#network = new Network({
      dataplane,
      clock,
      linkDelayMs,
      wireCapacity,
      onReport: (_, report) => this.#report(report),
    });
    // a tunnel has the SAs before a rekey and after it for a moment, at most
    const saLimit = 2 * tunnels + 64;
    // one key a direction: at first, and twice for what moves away and back
    const auditedKeys = 2 * tunnels * 3;
    const stations = this.#network.addForwarder(baseStationsConfig(this.#stations), { saLimit });
    const tlb = this.#network.addForwarder(routerConfig(gateways, seed), { auditedKeys });
    const firewalls = numbers.map((number) => this.#network.addForwarder(gatewayConfig(number), { saLimit }));
    const list = flowsOf(tunnels, flows, workers);
    this.#flowTunnels = list.map(({ tunnel }) => tunnel);
    const host = (name: string, server: boolean, gatewayMac: Uint8Array) => ({
      name,
      server,
      mac: macOf(name, 'eth0'),
      gatewayMac,
      flows: list.map(({ tunnel: _, ...flow }) => flow),
      sizes: options.size === null ? imixSizes(seed) : [options.size],
      credit: creditPerWorker,
      seed,
    });
    const client = this.#network.addHost(
      host('client', false, macOf(stationsNode, 'ge-0/0/0')),
      wires.client,
    );
    const server = this.#network.addHost(host('server', true, macOf(router, 'xe0')), wires.internet);
    this.#hosts = [client, server];
    this.#routerIndex = tlb.index;
    this.#nodes = [client, server, stations.index, tlb.index, ...firewalls.map(({ index }) => index)];
    this.#network.start();
    this.#exchange = new KeyExchange({
      network: this.#network,
      clock,
      linkDelayMs,
      stations: stationsNode,
      randomBytes,
      onKeys: (audits) => plane.publish(tlb.index, { audits }),
    });
  }

  async run(failed: () => WorkerFailure | null): Promise<MainJobResult> {
    const { seconds, signal, onEvent } = this.#options;
    const { native: plane } = this.#dataplane;
    const [client] = this.#hosts as [number, number];
    const stopLooking = this.#clock.every(20, () => {
      this.#network.lookAtNeighbours();
      plane.collect();
    });
    try {
      await this.#settle();
      await this.#exchange.agree(
        this.#stations.map((station) => ({ station, gateway: this.#gatewayOf(station)! })),
      );
      onEvent?.({ kind: 'started', kernel: native().crypto().active });
      plane.setSending(client, true);
      this.#began = this.#clock.nowMs();
      this.#before = this.#look();
      const moved = await this.#failAndReturn(seconds * 1000, failed);
      plane.setSending(client, false);
      const sendingMs = this.#clock.nowMs() - this.#began;
      await this.#drain(failed);
      return this.#result(sendingMs, moved, signal?.aborted === true);
    } finally {
      stopLooking();
    }
  }

  /** Until every neighbour answers and every gateway is up at the router. */
  async #settle(): Promise<void> {
    const end = this.#clock.nowMs() + settleDeadlineMs;
    for (;;) {
      const waiting = this.#network.unresolved();
      const up = [...this.#network.state(router).services.values()].filter((service) => service.up).length;
      const announced = [...this.#network.state(router).services.values()].every(
        ({ session }) => session === 'up',
      );
      if (waiting.length === 0 && up === this.#gateways.length && announced) return;
      if (this.#clock.nowMs() > end)
        throw new Error(`the network did not come up; no answer from ${waiting.join(', ')}`);
      await sleep(this.#clock, 5);
    }
  }

  #gatewayOf(station: BaseStation): string | null {
    return realServiceOf(this.#network.state(router), station.virtual, station.outer);
  }

  #tables(): Group[] {
    return services.map((key) => this.#network.state(router).groups.get(key)!);
  }

  /** The timeline, with a sample every second. Returns what the failure moved. */
  async #failAndReturn(lengthMs: number, failed: () => WorkerFailure | null): Promise<Moved> {
    const { signal } = this.#options;
    const moved: Moved = { slots: 0, unavoidable: 0, excess: 0, tunnels: 0, flows: 0, identical: false };
    const first = this.#tables();
    let stage = 'whole' as 'whole' | 'failing' | 'failed' | 'returning' | 'whole again';
    let broken: { error: unknown } | null = null;
    const work = async (during: typeof stage, job: Promise<void>, after: typeof stage) => {
      stage = during;
      try {
        await job;
        stage = after;
      } catch (error) {
        broken = { error };
      }
    };
    let nextSample = 1000;
    const working: Promise<void>[] = [];
    for (;;) {
      const at = this.#clock.nowMs() - this.#began;
      const failure = failed();
      if (failure !== null) throw new Error(failure.message, { cause: failure.cause });
      throwIf(broken);
      if (stage === 'whole' && at >= lengthMs / 2) {
        working.push(work('failing', this.#fail(first, moved), 'failed'));
      } else if (stage === 'failed' && at >= (lengthMs * 3) / 4) {
        working.push(work('returning', this.#return(first, moved), 'whole again'));
      }
      if (at >= nextSample) {
        this.#sample();
        nextSample += 1000;
      }
      // what has begun is seen to its end, so that what it moved is known
      const over = at >= lengthMs && (stage === 'whole again' || at >= lengthMs + settleDeadlineMs);
      if (over || signal?.aborted === true) break;
      await sleep(this.#clock, Math.max(1, Math.min(5, nextSample - at)));
    }
    await Promise.all(working);
    throwIf(broken);
    return moved;
  }

  async #fail(first: readonly Group[], moved: Moved): Promise<void> {
    const gateway = gatewayName(victim);
    const before = new Map(this.#stations.map((station) => [station.number, this.#gatewayOf(station)]));
    this.#network.shutOff(gateway);
    await this.#until(
      () =>
        this.#network.state(router).services.get(realServiceKey(tlbInstance, tlbGroup, gateway))?.up ===
        false,
    );
    const tables = this.#tables();
    tables.forEach((table, i) => {
      const { slots, rehomed, others } = movedSlots(first[i]!, table);
      moved.slots = slots;
      moved.unavoidable = rehomed;
      moved.excess += others;
    });
    const atSeconds = this.#seconds();
    const { slots, unavoidable: rehomed, excess: others } = moved;
    this.#options.onEvent?.({ kind: 'stopped', atSeconds, gateway, slots, rehomed, others });
    const stations = this.#stations.filter(
      (station) => this.#gatewayOf(station) !== before.get(station.number),
    );
    const numbers = new Set(stations.map(({ number }) => number));
    moved.tunnels = stations.length;
    moved.flows = this.#flowTunnels.filter((tunnel) => numbers.has(tunnel)).length;
    await this.#rekey(stations, 'moved');
  }

  async #return(first: readonly Group[], moved: Moved): Promise<void> {
    const gateway = gatewayName(victim);
    const before = new Map(this.#stations.map((station) => [station.number, this.#gatewayOf(station)]));
    const tablesBefore = this.#tables();
    this.#network.turnOn(gateway);
    await this.#until(
      () =>
        this.#network.state(router).services.get(realServiceKey(tlbInstance, tlbGroup, gateway))?.up === true,
    );
    const tables = this.#tables();
    const { slots, rehomed, others } = movedSlots(tablesBefore[0]!, tables[0]!);
    moved.identical = tables.every(({ slots: now }, i) =>
      now.every((member, slot) => member === first[i]!.slots[slot]),
    );
    const atSeconds = this.#seconds();
    const { identical } = moved;
    this.#options.onEvent?.({
      kind: 'returned',
      atSeconds,
      gateway,
      slots,
      rehomed,
      others,
      identical,
    });
    const stations = this.#stations.filter(
      (station) => this.#gatewayOf(station) !== before.get(station.number),
    );
    await this.#rekey(stations, 'returned');
  }

  async #rekey(stations: readonly BaseStation[], why: 'moved' | 'returned'): Promise<void> {
    const began = this.#clock.nowMs();
    await this.#exchange.agree(stations.map((station) => ({ station, gateway: this.#gatewayOf(station)! })));
    this.#rekeyed += stations.length;
    const tookMs = this.#clock.nowMs() - began;
    this.#options.onEvent?.({
      kind: 'rekeyed',
      atSeconds: this.#seconds(),
      tunnels: stations.length,
      tookMs,
      why,
    });
  }

  async #until(holds: () => boolean): Promise<void> {
    const end = this.#clock.nowMs() + settleDeadlineMs;
    while (!holds()) {
      if (this.#clock.nowMs() > end) throw new Error('the router did not notice the gateway');
      await sleep(this.#clock, 1);
    }
  }

  /** Until no frame is under way; a frame that never comes back is found by the accounts. */
  async #drain(failed: () => WorkerFailure | null): Promise<void> {
    const end = this.#clock.nowMs() + drainDeadlineMs;
    for (let quiet = 0; quiet < 2; ) {
      await sleep(this.#clock, 5);
      if (failed() !== null || this.#clock.nowMs() > end) return;
      quiet = this.#dataplane.native.framesInUse() === 0 ? quiet + 1 : 0;
    }
  }

  #report(_: Report): void {}

  #seconds(): number {
    return (this.#clock.nowMs() - this.#began) / 1000;
  }

  #accounts(): Accounts {
    const of = (nodes: readonly number[]) => nodes.map((node) => this.#dataplane.counters(node));
    return accountsOf(of(this.#hosts), of(this.#nodes));
  }

  #latency(): Histogram {
    const [client, server] = this.#hosts.map((host) => this.#dataplane.native.latency(host));
    return sum(client!, server!);
  }

  /** Packets that the router has sent to each gateway, over all virtual services. */
  #packets(): number[] {
    const { statistics } = this.#network.state(router).numberings;
    return this.#gateways.map((gateway) => {
      const indices = services.map((key) => statistics.of(memberStatistic(key, gateway)));
      const found = this.#dataplane.native.statistics(this.#routerIndex, indices);
      return found.reduce((total, { packets }) => total + Number(packets), 0);
    });
  }

  #look() {
    return {
      at: this.#clock.nowMs(),
      accounts: this.#accounts(),
      latency: this.#latency(),
      packets: this.#packets(),
    };
  }

  #sample(): void {
    const before = this.#before!;
    const now = this.#look();
    this.#before = now;
    const seconds = (now.at - before.at) / 1000;
    const latency = difference(now.latency, before.latency);
    const packets = now.packets.map((count, i) => count - before.packets[i]!);
    const all = packets.reduce((total, count) => total + count, 0);
    const us = (fraction: number) => microseconds(percentileNs(latency, fraction));
    const sample: Sample = {
      atSeconds: (now.at - this.#began) / 1000,
      gbps: ((now.accounts.deliveredBytes - before.accounts.deliveredBytes) * 8) / seconds / 1e9,
      mpps: (now.accounts.delivered - before.accounts.delivered) / seconds / 1e6,
      p50Us: us(0.5),
      p99Us: us(0.99),
      shares: Object.fromEntries(
        this.#gateways.map((name, i) => [name, packets[i]! > 0 ? packets[i]! / all : null]),
      ),
      lost: now.accounts.dropped,
      mismatched: now.accounts.mismatched,
    };
    this.#options.onEvent?.({ kind: 'sample', sample });
  }

  #result(sendingMs: number, moved: Moved, interrupted: boolean): MainJobResult {
    const { tunnels, flows, gateways, workers } = this.#options;
    const accounts = this.#accounts();
    const latency = this.#latency();
    const packets = this.#packets();
    const all = Math.max(
      1,
      packets.reduce((total, count) => total + count, 0),
    );
    const audit = this.#dataplane.native.nonceAudit(this.#routerIndex);
    const nonces = {
      seen: Number(audit.seen),
      repeated: Number(audit.repeated),
      unproven: Number(audit.unproven),
    };
    const { identical, ...movedByFailure } = moved;
    const accounted = isAccounted(accounts);
    const { sent, delivered, mismatched, dropsByReason } = accounts;
    const violations: string[] = [];
    const require = (holds: boolean, what: string) => {
      if (!holds) violations.push(what);
    };
    require(accounted, `sent ${sent} is not delivered ${delivered} + wrong ${mismatched} + dropped ${accounts.dropped}`);
    require(delivered > 0, 'nothing was delivered');
    require(mismatched === 0, `${mismatched} packets arrived different from what was sent`);
    require(movedByFailure.excess ===
      0, `${movedByFailure.excess} slots moved between gateways that were up`);
    require(nonces.repeated === 0, `${nonces.repeated} nonces were used twice`);
    require(nonces.unproven === 0, `${nonces.unproven} nonces could not be proven to be used once`);
    require(interrupted || identical, 'the table after the return is not the first one');
    return {
      seconds: sendingMs / 1000,
      tunnels,
      flows,
      gateways,
      workers,
      kernel: native().crypto().active,
      sent,
      delivered,
      mismatched,
      lost: sent - delivered,
      dropsByReason,
      gbps: (accounts.deliveredBytes * 8) / sendingMs / 1e6,
      mpps: delivered / sendingMs / 1e3,
      latencyUs: {
        p50: microseconds(percentileNs(latency, 0.5)),
        p99: microseconds(percentileNs(latency, 0.99)),
      },
      shares: Object.fromEntries(this.#gateways.map((name, i) => [name, packets[i]! / all])),
      movedByFailure,
      recoveredTableIdentical: identical,
      tunnelsRekeyed: this.#rekeyed,
      nonces,
      memoryMegabytes: Math.round(process.resourceUsage().maxRSS / 1024),
      accounted,
      interrupted,
      violations,
    };
  }
}

const microseconds = (ns: number | null) => (ns === null ? null : Math.round(ns / 100) / 10);

function throwIf(broken: { error: unknown } | null): void {
  if (broken !== null) throw broken.error;
}
