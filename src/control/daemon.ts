/**
 * A node for real: its ports, workers, clock, files and sockets. What it decides is the node's (`node`); this performs
 * it, tells it what happens, and answers who asks.
 *
 *   start    control socket → generation → plane and ports → node's tables and SAs → workers → sessions with routers
 *   every 50 ms   neighbours, tunnels that prove themselves, ports that vanish, memory to free
 *   stop     routers hear first, then no packet is taken any more, what is held drains, threads and socket go
 */
import type { Config, VpnConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import { NodeDriver } from '../node/drive.js';
import type { NodeAction, NodeEvent, Report } from '../node/event.js';
import { performNative } from '../node/native-actions.js';
import { NeighbourWatch } from '../node/neighbour-watch.js';
import { manualTunnels } from '../node/tunnel.js';
import { Dataplane, type WorkerFailure } from '../pipeline/dataplane.js';
import type { Timers } from '../pipeline/timers.js';
import { AriSession } from './ari-session.js';
import { StartError } from './errors.js';
import { claimGeneration, epochOf, largestEpoch } from './generation.js';
import { openPorts } from './ports.js';
import { ProofWatch } from './proof-watch.js';
import { SequenceStore } from './sequences.js';
import { type ControlHandler, ControlServer } from './server.js';
import { explain } from './show/explain.js';
import type { NodeView } from './show/node-view.js';
import { show } from './show/show.js';
import { defaultSocket } from './socket.js';

export interface DaemonOptions {
  /** Its secrets are wiped once the native core has them. */
  readonly config: Config;
  /** One line for people. */
  readonly log: (line: string) => void;
  /** Something failed that ends the run: it is being stopped. */
  readonly onFailure: (message: string) => void;
}

const lookMs = 50;
/** looks after which one is late */
const looksPerSecond = 1000 / lookMs;
/** after routers were told, so that what is on its way arrives */
const graceMs = 200;
const drainMs = 500;

const timers: Timers = {
  every: (intervalMs, run) => {
    const timer = setInterval(run, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

const nowMs = () => performance.now();
/** performance.now() counts from the start of the process, the core's clock from the start of the machine */
const coreNowMs = () => Number(process.hrtime.bigint()) / 1e6;

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #dataplane: Dataplane;
  readonly #node: number;
  readonly #driver: NodeDriver;
  readonly #neighbours = new NeighbourWatch();
  readonly #proofs = new ProofWatch();
  readonly #sessions = new Map<string, AriSession>();
  readonly #startedMs = nowMs();
  readonly #closedPorts = new Set<string>();
  readonly #saidOf = new Set<string>();
  #portNames: readonly string[] = [];
  #server: ControlServer | null = null;
  #generation: number | null = null;
  #sequences: SequenceStore | null = null;
  #stopLooking: () => void = () => {};
  #looks = 0;
  #turns: { turns: number; busyTurns: number }[] = [];
  #busyPercent: number[] = [];
  #stopping: Promise<void> | null = null;
  readonly socket: string;

  /** Rejects with StartError, and leaves nothing behind then. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options);
    try {
      await daemon.#start();
      return daemon;
    } catch (error) {
      await daemon.stop();
      throw error;
    }
  }

  private constructor(options: DaemonOptions) {
    const { config } = options;
    this.#options = options;
    this.socket = config.system.controlSocket ?? defaultSocket(config.system.hostName);
    this.#dataplane = new Dataplane({
      workers: config.system.workers,
      framesPerWorker: tuning.framesPerWorker,
      controlFrames: tuning.controlFrames,
      handOverRing: tuning.handOverRing,
      jumbosPerWorker: tuning.jumbosPerWorker,
      timers,
    });
    this.#node = this.#dataplane.native.addForwarder({
      name: config.system.hostName,
      sessionLimit: config.flow.sessionLimit,
      neighbourLimit: tuning.neighbourLimit,
      saLimit: saLimitFor(config.vpns),
      statistics: 65_536,
      auditedKeys: 0,
    });
    this.#driver = new NodeDriver((action) => this.#perform(action), nowMs);
  }

  async #start(): Promise<void> {
    const { config, log } = this.#options;
    this.#server = await ControlServer.listen(this.socket, this.#handler());
    if (config.vpns.length > 0) {
      this.#generation = this.#claim();
      const { stateDirectory } = config.system;
      this.#sequences = stateDirectory === null ? null : new SequenceStore(stateDirectory);
    }
    const ports = openPorts(this.#dataplane.native, this.#node, config);
    this.#portNames = [...ports].sort(([, a], [, b]) => a.index - b.index).map(([name]) => name);
    for (const [name, { index }] of ports) {
      const { mode } = this.#dataplane.native.portStatus(this.#node, index);
      if (mode !== null) log(`${name}: ${mode}`);
    }
    this.#post({ kind: 'configured', config, setup: { ports, workers: config.system.workers } });
    const tunnels = manualTunnels(
      config,
      epochOf(this.#generation),
      (vpn) => this.#sequences?.begin(sequenceName(vpn), lastSequence(vpn)) ?? 1n,
    );
    this.#saveSequences();
    this.#post({ kind: 'tunnels-keyed', tunnels });
    for (const { manual } of config.vpns) {
      for (const { key } of [...manual.inbound, manual.outbound]) key.wipe();
    }
    this.#dataplane.on('failed', (failure: WorkerFailure) => this.#options.onFailure(failure.message));
    await this.#dataplane.start();
    this.#stopLooking = timers.every(lookMs, () => this.#look());
    for (const router of config.autoRouteInjection.export) {
      this.#sessions.set(router.name, this.#openSession(router));
    }
    log(`${config.system.hostName} runs: ${this.#portNames.length} ports, control socket ${this.socket}`);
  }

  /**
   * Ends in order: routers hear of it, what is on its way passes, then no packet is taken and what is held is let go.
   * As often as you like; never rejects.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const wait = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));
    const wasExporting = [...this.#sessions.values()].some(({ isOpen }) => isOpen);
    for (const session of this.#sessions.values()) session.close();
    if (wasExporting) await wait(graceMs);
    this.#stopLooking();
    if (this.#dataplane.state === 'running') {
      this.#dataplane.native.setNodeRunning(this.#node, false);
      const end = nowMs() + drainMs;
      while (this.#dataplane.native.framesInUse() > 0 && nowMs() < end) await wait(5);
    }
    const report = await this.#dataplane.stop();
    if (report.overdue.length > 0)
      this.#options.log(`workers ${report.overdue.join(', ')} did not end in time`);
    await this.#server?.close();
    this.#dataplane.close();
  }

  /** Every 50 ms: what the native core knows and nobody tells. */
  #look(): void {
    const { native: plane } = this.#dataplane;
    const events: NodeEvent[] = [];
    const changes = this.#neighbours.look(plane.neighbours(this.#node));
    if (changes.length > 0) events.push({ kind: 'neighbours-changed', changes });
    const tunnels = this.#proofs.look(this.#driver.state.tunnels.values(), (indices) =>
      plane.saStatus(this.#node, 'inbound', indices),
    );
    if (tunnels.length > 0) events.push({ kind: 'tunnels-proven', tunnels });
    if (events.length > 0) this.#post(...events);
    // nobody listens for what is punted yet
    plane.takePunts(1024);
    plane.collect();
    this.#lookAtPorts();
    if (++this.#looks % looksPerSecond === 0) this.#lookEverySecond();
  }

  #lookAtPorts(): void {
    this.#portNames.forEach((name, index) => {
      const { open, fault } = this.#dataplane.native.portStatus(this.#node, index);
      if (open === !this.#closedPorts.has(name)) return;
      if (open) this.#closedPorts.delete(name);
      else this.#closedPorts.add(name);
      this.#options.log(open ? `${name} is back` : `${name} is gone: ${fault}; the other ports go on`);
    });
  }

  #lookEverySecond(): void {
    const status = this.#dataplane.native.workerStatus();
    this.#busyPercent = status.map(({ turns, busyTurns }, worker) => {
      const before = this.#turns[worker] ?? { turns: 0, busyTurns: 0 };
      const all = turns - before.turns;
      return all > 0 ? Math.round(((busyTurns - before.busyTurns) / all) * 100) : 0;
    });
    this.#turns = status;
    const sas = [...this.#driver.state.tunnels.values()].flatMap(({ outbound }) =>
      outbound === null ? [] : [outbound],
    );
    const nameOf = new Map(sas.map((sa) => [sa.index, sa.tunnel]));
    const vpnOf = new Map(this.#options.config.vpns.map((vpn) => [vpn.name, vpn]));
    for (const { index, rekeyWanted, events, sequence } of this.#dataplane.native.saStatus(
      this.#node,
      'outbound',
      [...nameOf.keys()],
    )) {
      const name = nameOf.get(index)!;
      const vpn = vpnOf.get(name);
      if (vpn !== undefined) this.#sequences?.note(sequenceName(vpn), sequence);
      if (!rekeyWanted || this.#saidOf.has(name)) continue;
      this.#saidOf.add(name);
      this.#options.log(
        `vpn ${name}: its keys are nearly used up (${events.join(', ')}); replace them (rekey)`,
      );
    }
    this.#saveSequences();
  }

  #saveSequences(): void {
    try {
      this.#sequences?.save();
    } catch (error) {
      const what = 'sequence numbers cannot be saved, so peers may drop packets after a restart';
      if (!this.#saidOf.has(what)) this.#options.log(`${what}: ${(error as Error).message}`);
      this.#saidOf.add(what);
    }
  }

  /** What comes while the node ends concerns nobody. */
  #post(...events: NodeEvent[]): void {
    const { state } = this.#dataplane;
    if (state !== 'closed' && state !== 'stopped') this.#driver.post(...events);
  }

  /** The generation, or null when nothing may be sealed; said in either case where that is not as usual. */
  #claim(): number | null {
    const directory = this.#options.config.system.stateDirectory;
    const refuse = (why: string) => this.#options.log(`nothing is sealed: ${why}`);
    if (directory === null) {
      refuse('system.state-directory is missing; without it an IV could come twice after a restart');
      return null;
    }
    let generation: number | null;
    try {
      generation = claimGeneration(directory);
    } catch (error) {
      const { message } = error as Error;
      throw new StartError(
        'failure',
        `system.state-directory ${directory} cannot be written, so nothing may be sealed: ${message}`,
      );
    }
    const rekey = `give every VPN new keys on both ends, then remove ${directory}`;
    if (generation === null) refuse(`the generations in ${directory} were lost; ${rekey}`);
    else if (epochOf(generation) === null) {
      refuse(`generation ${generation} is over ${largestEpoch}; ${rekey} (rekey)`);
    }
    return generation;
  }

  #openSession(router: Config['autoRouteInjection']['export'][number]): AriSession {
    const { config, log } = this.#options;
    return new AriSession({
      router,
      hostName: config.system.hostName,
      addresses: config.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
      timers,
      onOpen: () => this.#post({ kind: 'export-opened', router: router.name }),
      onSuperseded: (routes) => this.#post({ kind: 'routes-superseded', router: router.name, routes }),
      log,
    });
  }

  #perform(action: NodeAction): readonly NodeEvent[] {
    switch (action.kind) {
      case 'announce':
        this.#sessions.get(action.router)?.announce(action.routes);
        return [];
      case 'withdraw':
        this.#sessions.get(action.router)?.withdraw(action.routes);
        return [];
      case 'tell-superseded':
        this.#server?.tellSuperseded(action.exporter, action.routes);
        return [];
      case 'report':
        this.#options.log(reportText(action.report));
        return [];
      default:
        return performNative(this.#dataplane.native, this.#node, action) ?? [];
    }
  }

  #handler(): ControlHandler {
    const { config } = this.#options;
    const instances = new Set(config.routingInstances.map(({ name }) => name));
    return {
      hostName: config.system.hostName,
      show: (what, params) => show(this.#view(), what, params),
      explain: (flow, interfaceName) => explain(this.#view(), flow, interfaceName),
      exporterOpened: (exporter, addresses) => {
        this.#options.log(`${exporter} exports routes`);
        this.#post({ kind: 'exporter-opened', exporter, addresses });
      },
      exporterClosed: (exporter) => {
        this.#options.log(`${exporter} is gone, and its routes`);
        this.#post({ kind: 'exporter-closed', exporter });
      },
      routesAnnounced: (exporter, routes) => {
        const unknown = routes.find(({ routingInstance }) => !instances.has(routingInstance));
        if (unknown !== undefined) {
          throw new Error(
            `no routing instance ${unknown.routingInstance} here; there is ${[...instances].join(', ')}`,
          );
        }
        this.#post({ kind: 'routes-announced', exporter, routes });
      },
      routesWithdrawn: (exporter, routes) => this.#post({ kind: 'routes-withdrawn', exporter, routes }),
    };
  }

  #view(): NodeView {
    return {
      state: this.#driver.state,
      dataplane: this.#dataplane,
      node: this.#node,
      nowMs: nowMs(),
      startedMs: this.#startedMs,
      coreEpochMs: Date.now() - coreNowMs(),
      portNames: this.#portNames,
      generation: this.#generation,
      busyPercent: this.#busyPercent,
    };
  }
}

const sequenceName = ({ manual }: VpnConfig) => `${manual.gateway} ${manual.outbound.spi}`;

const lastSequence = ({ extendedSequenceNumber }: VpnConfig) =>
  extendedSequenceNumber ? (1n << 64n) - 1n : (1n << 32n) - 1n;

/** A tunnel has its SAs twice for a moment when it is re-keyed. */
function saLimitFor(vpns: readonly VpnConfig[]): number {
  const inbound = vpns.reduce((sum, { manual }) => sum + manual.inbound.length, 0);
  return 2 * Math.max(inbound, vpns.length) + 64;
}

function reportText(report: Report): string {
  switch (report.kind) {
    case 'real-service':
      return `instance ${report.instance}: real service ${report.name} is ${report.up ? 'UP' : 'DOWN'} (${report.sign})`;
    case 'group': {
      const { group, slots, rehomed, others, up, members } = report;
      return `virtual service ${group}: ${rehomed} of ${slots} slots re-homed, ${others} others moved; ${up} of ${members} real services up`;
    }
    case 'refused':
      return `vpn ${report.tunnel}: ${report.reason}`;
  }
}
