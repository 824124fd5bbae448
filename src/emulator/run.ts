/**
 * Runs a scenario in virtual time: the same scenario and seed come out the same on every machine, to the last bit of the
 * last packet (`digest`).
 */
import type { Report } from '../node/event.js';
import type { CounterName } from '../pipeline/counters.js';
import { counters as definitions } from '../pipeline/counters.js';
import { flowReportWords } from '../pipeline/native.js';
import { Agreement } from './agreement.js';
import { type Convergence, convergenceOf, type FlowWindow, unmet } from './convergence.js';
import { Draws } from './draws.js';
import { Faults } from './faults.js';
import { macOf } from './network.js';
import { accountsOf, silentFlows, unaffectedLost } from './properties.js';
import type { Scenario, ScenarioEvent } from './scenario.js';
import { Sessions } from './sessions.js';
import {
  accessLink,
  floatingRoute,
  makeTopology,
  stationsNode,
  type Topology,
  type TopologySpec,
} from './topology.js';
import { startMs, World, type WorldOptions } from './world.js';

export interface RunOptions {
  readonly scenario: Scenario;
  readonly seed: number;
  /** every flow must go on once all is mended, and those that no event is about must lose nothing */
  readonly allMustRecover?: boolean;
  readonly tamper?: WorldOptions['tamper'];
  readonly onReport?: (atMs: number, node: string, report: Report) => void;
  readonly onEvent?: (event: ScenarioEvent) => void;
}

export interface RunResult {
  readonly name: string;
  readonly seed: number;
  readonly seconds: number;
  readonly tunnels: number;
  readonly sent: number;
  readonly delivered: number;
  readonly lost: number;
  /** frames dropped on any node or link, by reason; control packets too */
  readonly drops: Readonly<Partial<Record<CounterName, number>>>;
  readonly nonces: { readonly seen: number; readonly repeated: number };
  /** what each event cost each flow class */
  readonly convergence: readonly Convergence[];
  /** of every frame that arrived anywhere: when, where, every byte */
  readonly digest: string;
  /** what must not be; empty when all is well */
  readonly violations: readonly string[];
}

const capacity = 256;
const retryMs = 100;
const linkDelayMs = 1;
/** what is under way when the traffic ends */
const drainMs = 3000;
const settleMs = 500;

/** Topologies are pure and cost most of a run: the one before is kept. */
let kept: { key: string; topology: Topology } | null = null;
export function topologyOf(spec: TopologySpec): Topology {
  const key = JSON.stringify(spec);
  if (kept?.key !== key) kept = { key, topology: makeTopology(spec) };
  return kept.topology;
}

/** Throws RangeError when an event names what the topology does not have. */
export function runScenario(options: RunOptions): RunResult {
  const run = new ScenarioRun(options);
  try {
    return run.run();
  } finally {
    run.close();
  }
}

export interface Flow {
  readonly flowClass: string;
  readonly station: number;
  readonly intervalMs: number;
}

export class ScenarioRun {
  readonly #options: RunOptions;
  readonly topology: Topology;
  readonly world: World;
  readonly agreement: Agreement;
  readonly #faults: Faults;
  readonly flows: Flow[] = [];
  #before: { server: Float64Array; client: Float64Array } | null = null;
  readonly #windows: FlowWindow[] = [];
  #gateways: (string | null)[] = [];

  constructor(options: RunOptions) {
    this.#options = options;
    const { scenario, seed, onReport, tamper } = options;
    this.topology = topologyOf(scenario.topology);
    const { topology } = this;
    const traffic = this.#traffic();
    let sessions: Sessions | null = null;
    let agreement: Agreement | null = null;
    this.world = new World({
      seed,
      frames: 1024,
      links: topology.links,
      linkCapacity: capacity,
      quality: scenario.quality,
      saLimit: 2 * topology.stations.length + 16,
      onPunt: (node, packet) => agreement?.receive(node, packet),
      onTell: (node, action) => sessions?.tell(node, action),
      onChange: () => sessions?.look(),
      onSrg: (node, group, to) => {
        if (group === 1) sessions?.floating(node, to);
      },
      ...(tamper && { tamper }),
      ...(onReport && { onReport: (node, report) => onReport(this.world.nowMs, node, report) }),
    });
    const { world } = this;
    const host = (name: string, server: boolean, towards: [string, string]) =>
      world.addHost(name, {
        name,
        server,
        mac: macOf(name, 'eth0'),
        gatewayMac: macOf(...towards),
        flows: traffic,
        sizes: [128],
        credit: 1,
        seed,
      });
    host('client', false, [stationsNode, 'ge-0/0/0']);
    for (const { name, config } of topology.nodes) world.addNode(name, config);
    host('server', true, ['internet', 'ge-0/0/0']);
    sessions = new Sessions(world, {
      delayMs: linkDelayMs,
      holdMs: scenario.detection.holdMs,
      retryMs,
      floatingOf: (gateway, router) => floatingRoute(topology, gateway, router),
    });
    agreement = new Agreement(world, topology.stations, new Draws(seed, 'keys'), {
      retryMs: scenario.detection.deadPeerRetryMs,
      mostRetryMs: 1000,
      idleMs: scenario.detection.deadPeerIdleMs,
      attempts: scenario.detection.deadPeerAttempts,
    });
    this.agreement = agreement;
    world.connect();
    for (const [link, quality] of Object.entries(scenario.links)) world.setQuality(link, quality);
    for (const router of topology.routers) world.witness(accessLink(router), stationsNode);
    for (const { name, ends } of topology.links) {
      for (const end of ends) if (topology.gateways.includes(end)) world.witness(name, end);
    }
    for (const gateway of topology.gateways) sessions.add(gateway);
    sessions.look();
    this.#faults = new Faults({ world, topology, sessions, agreement, quality: scenario.quality });
  }

  run(): RunResult {
    for (const { untilMs, then } of this.#timeline()) {
      this.world.runUntil(untilMs);
      then();
    }
    return this.#result();
  }

  /** As time passes: elapsedMs is asked again and again, and pause waits a little. Ends early once `stopped` says so. */
  async runInRealTime(
    elapsedMs: () => number,
    pause: () => Promise<void>,
    stopped: () => boolean = () => false,
  ): Promise<RunResult> {
    for (const { untilMs, then } of this.#timeline()) {
      while (this.world.nowMs < untilMs && !stopped()) {
        this.world.runUntil(Math.min(untilMs, Math.max(this.world.nowMs, elapsedMs())));
        await pause();
      }
      then();
    }
    return this.#result();
  }

  #timeline(): { untilMs: number; then: () => void }[] {
    const { scenario, onEvent } = this.#options;
    const { world, agreement } = this;
    const client = world.indexOf('client');
    const begin = () => {
      world.plane.setSending(client, true);
      this.#openWindow(null, new Set());
    };
    const events = scenario.events
      .filter(({ atMs }) => atMs < scenario.durationMs)
      .map((event) => ({
        untilMs: scenario.warmUpMs + event.atMs,
        then: () => {
          this.#closeWindow();
          onEvent?.(event);
          this.#openWindow(event, this.#faults.begin(event));
        },
      }));
    const end = () => {
      this.#closeWindow();
      world.plane.setSending(client, false);
      this.#faults.endAll();
    };
    const endMs = scenario.warmUpMs + scenario.durationMs;
    return [
      { untilMs: settleMs, then: () => agreement.begin(100) },
      { untilMs: scenario.warmUpMs, then: begin },
      ...events,
      { untilMs: endMs, then: end },
      { untilMs: endMs + drainMs, then: () => {} },
    ];
  }

  close(): void {
    this.world.close();
  }

  #traffic() {
    const { scenario, seed } = this.#options;
    const { stations } = this.topology;
    const draws = new Draws(seed, 'traffic');
    let number = 0;
    return scenario.traffic.flatMap(({ name, sessions, packetsPerSecond, size }) =>
      Array.from({ length: sessions }, () => {
        const flow = number++;
        const station = stations[flow % stations.length]!;
        const intervalMs = 1000 / packetsPerSecond;
        this.flows.push({ flowClass: name, station: station.number, intervalMs });
        const host = Uint8Array.from(station.inner.address.bytes);
        host[host.length - 1]! += 1 + (Math.floor(flow / stations.length) % 14);
        return {
          source: host,
          destination: station.server.bytes,
          sourcePort: 1024 + (flow % 60_000),
          destinationPort: 5001,
          intervalNs: Math.round(intervalMs * 1e6),
          firstNs: draws.below(Math.max(1, Math.round(intervalMs * 1000))) * 1000,
          size,
        };
      }),
    );
  }

  #reports() {
    const { plane } = this.world;
    return {
      server: plane.flowReports(this.world.indexOf('server')),
      client: plane.flowReports(this.world.indexOf('client')),
    };
  }

  #openWindow(event: ScenarioEvent | null, impacted: ReadonlySet<string>): void {
    this.#windows.push({
      event,
      impacted,
      fromMs: this.world.nowMs,
      untilMs: 0,
      gateways: this.#gateways,
      flows: [],
    });
  }

  /** What every flow got since the window was opened. */
  #closeWindow(): void {
    const now = this.#reports();
    const window = this.#windows.at(-1)!;
    const before = this.#before;
    this.#before = now;
    const nowNs = this.world.time.nowNs;
    const gateways = this.topology.stations.map(({ number }) => this.agreement.gatewayOf(number));
    const flows = this.flows.map(({ station }, i) => {
      const at = i * flowReportWords;
      const sent = now.client[at]! - (before?.client[at] ?? 0);
      const requests = now.server[at + 1]! - (before?.server[at + 1] ?? 0);
      const answers = now.client[at + 1]! - (before?.client[at + 1] ?? 0);
      const gaps = [gapOf(now.server, at, nowNs), gapOf(now.client, at, nowNs)] as const;
      const gap = gaps[0].ns >= gaps[1].ns ? gaps[0] : gaps[1];
      const lastMs = Math.min(now.server[at + 2]!, now.client[at + 2]!) / 1e6;
      return {
        sent,
        requests,
        answers,
        gapMs: gap.ns / 1e6,
        gapFromMs: gap.fromNs / 1e6 - startMs,
        silentMs: nowNs / 1e6 - lastMs,
        before: window.gateways[station] ?? null,
        after: gateways[station]!,
      };
    });
    this.#windows[this.#windows.length - 1] = { ...window, untilMs: this.world.nowMs, flows };
    this.#gateways = gateways;
  }

  #hosts(): number[] {
    return [this.world.indexOf('client'), this.world.indexOf('server')];
  }

  #result(): RunResult {
    const { scenario, seed } = this.#options;
    const { world } = this;
    const counters = world.counters();
    const drops = Object.fromEntries(
      definitions
        .filter(({ isDrop, camelName }) => isDrop && counters[camelName] > 0)
        .map(({ camelName }) => [camelName, counters[camelName]]),
    );
    const nonces = world.plane.nonces();
    const { sent, delivered } = counters;
    const convergence = convergenceOf(this.#windows.slice(1), this.flows, scenario);
    const violations = [
      ...accountsOf(world, this.#hosts()),
      ...(nonces.repeated > 0 ? [`${nonces.repeated} nonces were used twice`] : []),
      ...(counters.mismatched > 0
        ? [`${counters.mismatched} packets arrived different from what was sent`]
        : []),
      ...(counters.duplicates > 0 ? [`${counters.duplicates} packets arrived twice`] : []),
      ...unmet(convergence, scenario.expect),
      ...(this.#options.allMustRecover === true
        ? [...unaffectedLost(this.#windows, this.flows), ...silentFlows(this.#windows, this.flows)]
        : []),
    ];
    return {
      name: scenario.name,
      seed,
      seconds: scenario.durationMs / 1000,
      tunnels: this.topology.stations.length,
      sent,
      delivered,
      lost: sent - delivered,
      drops,
      nonces,
      convergence,
      digest: world.plane.arrivals().toString(16).padStart(16, '0'),
      violations,
    };
  }
}

/** The longest time without a packet, which may still go on. */
function gapOf(report: Float64Array, at: number, nowNs: number): { ns: number; fromNs: number } {
  const last = report[at + 2]!;
  const open = last === 0 ? 0 : nowNs - last;
  const longest = report[at + 3]!;
  return open > longest ? { ns: open, fromNs: last } : { ns: longest, fromNs: report[at + 4]! };
}
