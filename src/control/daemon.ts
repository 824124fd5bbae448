/**
 * A node for real: its ports, workers, clock, files and sockets. What it decides is the node's (`node`); this performs
 * it, tells it what happens, and answers who asks.
 *
 *   start    control socket → generation → plane and ports → node's tables and SAs → workers → sessions with routers
 *   every 5 ms    what BFD sessions hear
 *   every 50 ms   neighbours, tunnels that prove themselves, the kernel's routes, ports that vanish, memory to free
 *   stop     routers hear first, then no packet is taken any more, what is held drains, threads and socket go
 */
import { availableParallelism } from 'node:os';
import type { AriExportConfig, Config, VpnConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import { checkConfig, type Surroundings } from '../config/load.js';
import { type Problem, problemText } from '../config/problem.js';
import type { Address } from '../model/address.js';
import { NodeDriver } from '../node/drive.js';
import { echoAnswer } from '../node/echoes.js';
import type { NodeAction, NodeEvent, PortChange, Report } from '../node/event.js';
import { groupBy } from '../node/group-by.js';
import { nextDeadline } from '../node/groups.js';
import { wantedChecks } from '../node/health.js';
import { performNative } from '../node/native-actions.js';
import { NeighbourWatch } from '../node/neighbour-watch.js';
import { counterIndex } from '../pipeline/counters.js';
import { Dataplane, type WorkerFailure } from '../pipeline/dataplane.js';
import { accountsText, nodeAccounts } from './accounts.js';
import { AriSession } from './ari-session.js';
import { captureKeys, startCapture } from './capture.js';
import { readText, surroundings } from './config-file.js';
import { drainEvent } from './drain.js';
import { StartError } from './errors.js';
import { claimGeneration, epochOf, largestEpoch } from './generation.js';
import { IkeRuntime, isMeant } from './ike.js';
import { KernelRoutes } from './kernel-routes.js';
import { type ApplyReport, type ChangeLine, LiveConfig, sequenceName } from './live-config.js';
import { PairRuntime } from './pair.js';
import type { CheckFunction } from './probe/custom.js';
import { HealthMonitor } from './probe/monitor.js';
import { PortNetwork } from './probe/port-network.js';
import { NetworkProber } from './probe/prober.js';
import { ProofWatch } from './proof-watch.js';
import { groupCommand, groupCommandView, haGroupEvent } from './redundancy.js';
import { SequenceStore } from './sequences.js';
import { type ControlHandler, ControlServer } from './server.js';
import { explain } from './show/explain.js';
import type { NodeView } from './show/node-view.js';
import { show } from './show/show.js';
import { defaultSocket } from './socket.js';
import { TableStore } from './table-store.js';
import { processTimers } from './timers.js';

export interface DaemonOptions {
  /** Its secrets are wiped once the native core has them. */
  readonly config: Config;
  /** One line for people. */
  readonly log: (line: string) => void;
  /** Something failed that ends the run: it is being stopped. */
  readonly onFailure: (message: string) => void;
  /** where keys of configurations that are applied later come from; this process's when left out */
  readonly surroundings?: Surroundings;
  /** What profiles mean by `custom: { function: NAME }`. */
  readonly checkFunctions?: ReadonlyMap<string, CheckFunction>;
}

/** Instead of an ApplyReport: nothing was changed. */
export interface BadConfiguration {
  readonly outcome: 'bad-configuration';
  readonly problems: readonly Problem[];
}

const lookMs = 50;
/** how long news of a BFD session may wait: much less than the shortest detection time */
const livenessMs = 5;
/** what a message of IKE waits at most */
const ikeMs = 5;
/** looks after which one is late */
const looksPerSecond = 1000 / lookMs;
/** after routers were told, so that what is on its way arrives */
const graceMs = 200;
const drainMs = 500;

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
  readonly #smallPorts = new Set<string>();
  readonly #saidOf = new Set<string>();
  readonly #network: PortNetwork;
  readonly #monitor: HealthMonitor;
  #live!: LiveConfig;
  #tables: TableStore | null = null;
  #server: ControlServer | null = null;
  #kernelRoutes: KernelRoutes | null = null;
  #ike: IkeRuntime | null = null;
  #stopIke: () => void = () => {};
  #sequences: SequenceStore | null = null;
  #pair: PairRuntime | null = null;
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
      mostWorkers: mostWorkers(config.system),
      framesPerWorker: tuning.framesPerWorker,
      controlFrames: tuning.controlFrames,
      handOverRing: tuning.handOverRing,
      jumbosPerWorker: tuning.jumbosPerWorker,
      timers: processTimers,
    });
    this.#node = this.#dataplane.native.addForwarder({
      name: config.system.hostName,
      sessionLimit: config.flow.sessionLimit,
      flowLimit: config.flow.flowLimit,
      neighbourLimit: tuning.neighbourLimit,
      saLimit: saLimitFor(config.vpns),
      statistics: 65_536,
      auditedKeys: 0,
    });
    this.#driver = new NodeDriver((action) => this.#perform(action), nowMs);
    this.#network = new PortNetwork({
      nowMs,
      random: Math.random,
      originate: (instance, packets) => this.#originate(instance, packets),
    });
    this.#monitor = new HealthMonitor({
      prober: new NetworkProber(this.#network, options.checkFunctions),
      timers: processTimers,
      nowMs,
      random: Math.random,
      onChange: (changes) => this.#post({ kind: 'health-changed', changes }),
      beforeTick: () => this.#takePunts(),
      afterTick: () => {
        this.#network.tick();
        this.#network.flush();
      },
    });
  }

  async #start(): Promise<void> {
    const { config, log } = this.#options;
    const { stateDirectory } = config.system;
    this.#sequences = stateDirectory === null ? null : new SequenceStore(stateDirectory);
    this.#live = new LiveConfig({
      plane: this.#dataplane.native,
      node: this.#node,
      timers: processTimers,
      log,
      state: () => this.#driver.state,
      post: (...events) => this.#post(...events),
      mostWorkers: this.#dataplane.mostWorkers,
      grow: (workers) => this.#dataplane.grow(workers),
      claimGeneration: () => this.#claim(),
      sequences: this.#sequences,
      saveSequences: () => this.#saveSequences(),
      onChanged: (next) => {
        this.#updateSessions(next);
        this.#monitor.configure(wantedChecks(next));
        this.#configureIke(next);
        this.#configurePair(next);
      },
    });
    this.#requireFunctions(config);
    this.#server = await ControlServer.listen(this.socket, this.#handler());
    this.#keepTables();
    const { kernelRoutes } = config;
    if (kernelRoutes !== null) this.#kernelRoutes = KernelRoutes.open({ kernelRoutes, log, nowMs });
    const isSealing = config.vpns.length > 0 || config.highAvailability !== null;
    this.#live.begin(config, isSealing ? this.#claim() : null);
    this.#configurePair(config);
    // before the first packet: what is the kernel's own is left to it
    this.#post(...this.#lookAtKernel());
    this.#dataplane.on('failed', (failure: WorkerFailure) => this.#options.onFailure(failure.message));
    await this.#dataplane.start();
    this.#kernelRoutes?.begin();
    const cancelLooks = processTimers.every(lookMs, () => this.#look());
    const cancelListening = processTimers.every(livenessMs, () => this.#hearOfLiveness());
    this.#stopLooking = () => {
      cancelLooks();
      cancelListening();
    };
    this.#updateSessions(config);
    this.#monitor.configure(wantedChecks(config));
    this.#configureIke(config);
    log(`${config.system.hostName} runs: ${config.ports.length} ports, control socket ${this.socket}`);
  }

  /** What its control socket offers, for the program that runs it. */
  get control(): Pick<ControlHandler, 'show' | 'apply' | 'confirm' | 'drain'> {
    return this.#handler();
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
    const hadSas = this.#ike?.leave() ?? 0;
    const wait = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms));
    const wasExporting = [...this.#sessions.values()].some(({ isOpen }) => isOpen);
    for (const session of this.#sessions.values()) session.close();
    const hadPeers = this.#driver.state.bfdPeers.size > 0;
    if (hadPeers && this.#dataplane.state === 'running') this.#post({ kind: 'ending' });
    const hadRoutes = (this.#kernelRoutes?.exported ?? 0) > 0;
    this.#kernelRoutes?.withdraw();
    if (wasExporting || hadRoutes || hadPeers || hadSas > 0) await wait(graceMs);
    this.#stopLooking();
    this.#pair?.stop();
    this.#stopIke();
    await this.#ike?.close();
    this.#monitor.close();
    this.#save('tables of ECMP groups', () => this.#tables?.save());
    this.#live?.close();
    const ran = this.#dataplane.state === 'running';
    if (ran) {
      const { native: plane } = this.#dataplane;
      const empty = async () => {
        const end = nowMs() + drainMs;
        while (plane.framesInUse() > 0 && nowMs() < end) await wait(5);
      };
      // nothing is taken any more and what is held goes on; what then is left, e.g. waiting for a neighbour, is dropped
      plane.setNodeRunning(this.#node, 'drains');
      await empty();
      plane.setNodeRunning(this.#node, 'shut');
      await empty();
      plane.takePunts(65_536);
    }
    const report = await this.#dataplane.stop();
    if (ran) {
      const totals = this.#dataplane.native.counterTotals(this.#node);
      this.#options.log(`ended: ${accountsText(nodeAccounts((name) => totals[counterIndex[name]]!))}`);
    }
    if (report.overdue.length > 0)
      this.#options.log(`workers ${report.overdue.join(', ')} did not end in time`);
    this.#kernelRoutes?.close();
    await this.#server?.close();
    this.#dataplane.close();
  }

  /**
   * The file that it was started with, read again. Says what became of it; what is wrong with the file leaves all as it
   * was.
   */
  reload(): void {
    const { log, config } = this.#options;
    if (config.file === '<stdin>') {
      log('SIGHUP: standard input cannot be read again; penstock apply FILE applies a file');
      return;
    }
    const text = readText(config.file);
    if (typeof text !== 'string') {
      log(`${config.file}: ${text.wrong}; nothing was changed`);
      return;
    }
    try {
      const report = this.#apply(text, config.file, {});
      if ('problems' in report) for (const problem of report.problems) log(problemText(problem));
      else for (const { path, message } of report.refused) log(`${path}: ${message}`);
      if ('problems' in report || report.refused.length > 0) log(`${config.file}: nothing was changed`);
      else if (report.outcome === 'unchanged') log(`${config.file}: nothing to change`);
    } catch (error) {
      log(`${config.file}: ${(error as Error).message}; nothing was changed`);
    }
  }

  #apply(
    text: string,
    file: string,
    options: { dryRun?: boolean; confirmSeconds?: number | null },
  ): ApplyReport | BadConfiguration {
    if (this.#stopping !== null) throw new Error('the node is being stopped');
    const { config, problems } = checkConfig(text, file, this.#options.surroundings ?? surroundings);
    if (config === null) return { outcome: 'bad-configuration', problems };
    this.#requireFunctions(config);
    const report = this.#live.apply(config, options);
    if (report.outcome === 'applied') this.#options.log(`${file}: applied, ${changesText(report.changes)}`);
    return report;
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
    if (nextDeadline(this.#driver.state) <= nowMs()) events.push({ kind: 'time-passed' });
    events.push(...this.#lookAtKernel());
    if (events.length > 0) this.#post(...events);
    this.#takePunts();
    plane.collect();
    this.#lookAtPorts();
    if (++this.#looks % looksPerSecond === 0) this.#lookEverySecond();
  }

  /** What BFD sessions heard that is new, and where it has become silent. */
  #hearOfLiveness(): void {
    if (this.#driver.state.bfdPeers.size === 0) return;
    const told = this.#dataplane.native.takeLiveness(this.#node, 4096);
    if (told.length > 0) this.#post({ kind: 'liveness-told', told });
  }

  /** What the native core leaves to the control plane: IKE, and answers to probes. */
  #takePunts(): void {
    for (const { port, packet } of this.#dataplane.native.takePunts(4096)) {
      const instanceOf = (vlan: number) => this.#instanceOf(this.#live.portNames[port] ?? '', vlan);
      if (this.#pair?.receive(packet) === true) continue;
      if (this.#ike?.receive(packet, instanceOf) === true) continue;
      const answer = this.#driver.state.redundancy === null ? null : echoAnswer(packet);
      if (answer === null) this.#network.receive(packet);
      else this.#post(answer);
    }
    this.#ike?.flush();
  }

  #configurePair(config: Config): void {
    this.#pair?.configure(config);
    if (this.#pair !== null || config.highAvailability === null) return;
    this.#pair = new PairRuntime(
      {
        plane: this.#dataplane.native,
        node: this.#node,
        timers: processTimers,
        nowMs,
        state: () => this.#driver.state,
        post: (...events) => this.#post(...events),
        generation: () => this.#live.generation,
        claimGeneration: () => this.#live.claimGeneration(),
        takePunts: () => this.#takePunts(),
        log: this.#options.log,
      },
      config,
    );
  }

  #instanceOf(port: string, vlan: number): string | undefined {
    const { interfaces } = this.#live.config;
    return interfaces.find((each) => each.port === port && (each.vlanId ?? 0) === vlan)?.routingInstance;
  }

  /** From the first gateway on. */
  #configureIke(config: Config): void {
    if (this.#ike === null && config.ikeGateways.length === 0) return;
    if (this.#ike === null) {
      const { native: plane } = this.#dataplane;
      this.#ike = new IkeRuntime({
        nodeId: config.system.nodeId ?? 0,
        nowMs,
        log: this.#options.log,
        state: () => this.#driver.state,
        post: (...events) => this.#post(...events),
        originate: (instance, packets) => this.#originate(instance, packets),
        saStatus: (direction, indices) => plane.saStatus(this.#node, direction, indices),
        onEvent: (event) => this.#server?.tellIke(event),
      });
      this.#stopIke = processTimers.every(ikeMs, () => {
        this.#takePunts();
        this.#ike?.tick();
      });
    }
    this.#ike.configure(config);
  }

  #originate(instance: string, packets: Uint8Array[]): number {
    const { routingInstances } = this.#driver.state.numberings;
    return this.#dataplane.native.originate(this.#node, routingInstances.of(instance), packets);
  }

  /** A function that nobody handed in could never answer. Throws StartError that says so. */
  #requireFunctions({ networkMonitoring }: Config): void {
    for (const { name, probe } of networkMonitoring) {
      if (probe.kind !== 'function' || this.#options.checkFunctions?.has(probe.function) === true) continue;
      throw new StartError(
        'failure',
        `network-monitoring profile ${name}: there is no function ${probe.function}; only a program that embeds penstock hands functions in, so write command`,
      );
    }
  }

  /** Sticky groups go on from the tables of the run before. */
  #keepTables(): void {
    const { stateDirectory } = this.#options.config.system;
    if (stateDirectory === null) return;
    this.#tables = new TableStore(stateDirectory);
    if (this.#tables.fault !== null) this.#options.log(this.#tables.fault);
    this.#post({ kind: 'tables-kept', tables: new Map(this.#tables.tables) });
  }

  #lookAtKernel(): NodeEvent[] {
    return this.#kernelRoutes?.look(this.#dataplane.native, this.#node, this.#driver.state) ?? [];
  }

  #lookAtPorts(): void {
    const changes: PortChange[] = [];
    this.#live.portNames.forEach((name, index) => {
      if (name === '') return;
      const { open, fault, mtu } = this.#dataplane.native.portStatus(this.#node, index);
      if (mtu !== null && open) this.#compareMtu(name, mtu);
      if (open === !this.#closedPorts.has(name)) return;
      if (open) this.#closedPorts.delete(name);
      else this.#closedPorts.add(name);
      changes.push({ port: name, open });
      this.#options.log(open ? `${name} is back` : `${name} is gone: ${fault}; the other ports go on`);
    });
    if (changes.length > 0) this.#post({ kind: 'ports-changed', changes });
  }

  /** An interface whose MTU shrank under the configured one refuses what is larger (txRefused). Said once each time. */
  #compareMtu(name: string, mtu: number): void {
    const configured = this.#live.config.ports.find((port) => port.name === name)?.mtu ?? 0;
    const isSmaller = mtu < configured;
    if (isSmaller === this.#smallPorts.has(name)) return;
    if (isSmaller) this.#smallPorts.add(name);
    else this.#smallPorts.delete(name);
    this.#options.log(
      isSmaller
        ? `${name}: its interface has an MTU of ${mtu} now, less than the ${configured} configured: what is larger is not sent; apply a file with mtu: ${mtu}`
        : `${name}: the MTU of its interface holds what is configured again`,
    );
  }

  #lookEverySecond(): void {
    const status = this.#dataplane.native.workerStatus();
    this.#busyPercent = status.map(({ turns, busyTurns }, worker) => {
      const before = this.#turns[worker] ?? { turns: 0, busyTurns: 0 };
      const all = turns - before.turns;
      return all > 0 ? Math.round(((busyTurns - before.busyTurns) / all) * 100) : 0;
    });
    this.#turns = status;
    this.#ike?.look();
    const sas = [...this.#driver.state.tunnels.values()].flatMap(({ outbound }) =>
      outbound === null ? [] : [outbound],
    );
    const nameOf = new Map(sas.map((sa) => [sa.index, sa.tunnel]));
    const link = this.#live.config.highAvailability?.peer.linkEncryption ?? null;
    const vpns = [...this.#live.config.vpns, ...(link === null ? [] : [link])];
    const vpnOf = new Map(vpns.map((vpn) => [vpn.name, vpn]));
    for (const { index, rekeyWanted, events, sequence } of this.#dataplane.native.saStatus(
      this.#node,
      'outbound',
      [...nameOf.keys()],
    )) {
      const name = nameOf.get(index)!;
      const vpn = vpnOf.get(name);
      if (vpn !== undefined) this.#sequences?.note(sequenceName(vpn), sequence);
      if (!rekeyWanted) this.#saidOf.delete(name);
      if (!rekeyWanted || this.#saidOf.has(name)) continue;
      this.#saidOf.add(name);
      this.#options.log(
        `vpn ${name}: its keys are nearly used up (${events.join(', ')}); replace them (rekey)`,
      );
    }
    this.#saveSequences();
    this.#save('tables of ECMP groups', () => this.#tables?.save());
  }

  #saveSequences(): void {
    this.#save('sequence numbers, so peers may drop packets after a restart', () => this.#sequences?.save());
  }

  /** What cannot be saved is said once, and tried again. */
  #save(what: string, save: () => void): void {
    try {
      save();
    } catch (error) {
      if (!this.#saidOf.has(what)) this.#options.log(`cannot save ${what}: ${(error as Error).message}`);
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

  /** Sessions with the routers of this configuration; those that it has already go on. */
  #updateSessions(config: Config): void {
    const addresses = config.interfaces.flatMap(({ addresses: own }) => own.map(({ address }) => address));
    const routers = new Map(config.autoRouteInjection.export.map((router) => [router.name, router]));
    for (const [name, session] of this.#sessions) {
      if (routers.get(name)?.controlSocket === session.controlSocket) continue;
      session.close();
      this.#sessions.delete(name);
    }
    for (const [name, router] of routers) {
      const session = this.#sessions.get(name);
      if (session === undefined) this.#sessions.set(name, this.#openSession(router, addresses));
      else session.update(addresses);
    }
  }

  #openSession(router: AriExportConfig, addresses: readonly Address[]): AriSession {
    const { config, log } = this.#options;
    return new AriSession({
      router,
      hostName: config.system.hostName,
      addresses,
      timers: processTimers,
      onOpen: () => this.#post({ kind: 'export-opened', router: router.name }),
      onSuperseded: (routes) => this.#post({ kind: 'routes-superseded', router: router.name, routes }),
      log,
    });
  }

  #perform(action: NodeAction): readonly NodeEvent[] {
    if (this.#pair?.perform(action) === true) return [];
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
      case 'keep-table':
        this.#tables?.keep(action.group, action.table);
        return [];
      case 'kernel-routes':
        this.#kernelRoutes?.change(action.add, action.remove);
        return [];
      case 'report':
        this.#options.log(reportText(action.report));
        return [];
      default:
        return performNative(this.#dataplane.native, this.#node, action) ?? [];
    }
  }

  #handler(): ControlHandler {
    return {
      hostName: this.#options.config.system.hostName,
      show: (what, params) => show(this.#view(), what, params),
      explain: (flow, interfaceName) => explain(this.#view(), flow, interfaceName),
      apply: ({ file, text, dryRun, confirmSeconds }) =>
        this.#apply(text, file, { dryRun: dryRun ?? false, confirmSeconds: confirmSeconds ?? null }),
      confirm: () => {
        this.#live.confirm();
        return {};
      },
      capture: (filter, to) => {
        const { native: plane } = this.#dataplane;
        const epochNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
        const { portNames } = this.#live;
        return startCapture(
          { plane, node: this.#node, timers: processTimers, portNames, epochNs, ...to },
          filter,
        );
      },
      captureKeys: () => {
        const { native: plane } = this.#dataplane;
        const keys = captureKeys(plane, this.#node, this.#driver.state.tunnels.values());
        this.#options.log(`the keys of ${keys.length} SAs were handed out (capture --keys)`);
        return { keys };
      },
      clearIke: ({ gateway, peer }) => {
        if (this.#ike === null) throw new Error('there is no IKE gateway; add it under security.ike.gateway');
        return { cleared: this.#ike.clear((sa) => isMeant(sa, gateway, peer)) };
      },
      drain: ({ realService, drained, force }) => {
        const { event, view } = drainEvent(this.#driver.state, realService, drained, force ?? false);
        for (const { instance, name, unchanged } of view.realServices) {
          if (unchanged) continue;
          this.#options.log(
            `instance ${instance}: real service ${name} ${drained ? 'gets no new flows' : 'gets new flows again'}`,
          );
        }
        this.#post(event);
        return view;
      },
      commandGroup: (request) => {
        this.#post(groupCommand(this.#driver.state, request, nowMs()));
        return groupCommandView(this.#driver.state, request);
      },
      tellHaGroup: (request) => {
        this.#post(haGroupEvent(this.#driver.state, request));
        return request;
      },
      exporterOpened: (exporter, addresses) => {
        this.#options.log(`${exporter} exports routes`);
        this.#post({ kind: 'exporter-opened', exporter, addresses });
      },
      exporterClosed: (exporter) => {
        this.#options.log(`${exporter} is gone, and its routes`);
        this.#post({ kind: 'exporter-closed', exporter });
      },
      routesAnnounced: (exporter, routes) => {
        const instances = new Set(this.#live.config.routingInstances.map(({ name }) => name));
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
      portNames: this.#live.portNames,
      generation: this.#live.generation,
      busyPercent: this.#busyPercent,
      pair: this.#pair?.view() ?? null,
      ike: this.#ike?.engine ?? null,
      checksOf: (service) => this.#monitor.viewOf(service),
    };
  }
}

/** A tunnel has its SAs twice for a moment when it is re-keyed, and there is room for tunnels to come. */
function saLimitFor(vpns: readonly VpnConfig[]): number {
  const inbound = vpns.reduce((sum, { manual }) => sum + manual.inbound.length, 0);
  return 2 * Math.max(inbound, vpns.length) + tuning.spareSas;
}

const mostWorkers = ({ workers, maximumWorkers }: Config['system']) =>
  maximumWorkers ?? Math.max(workers, Math.min(availableParallelism(), tuning.spareWorkers));

/** e.g. `group ipsec_lb srx_group changed, 3 × VPN added` */
function changesText(changes: readonly ChangeLine[]): string {
  return [...groupBy(changes, ({ section, change }) => `${section} ${change}`)]
    .map(([kind, list]) => {
      const [{ section, name, change }] = list as [ChangeLine];
      return list.length > 1 ? `${list.length} × ${kind}` : [section, name, change].filter(Boolean).join(' ');
    })
    .join(', ');
}

function reportText(report: Report): string {
  switch (report.kind) {
    case 'real-service':
      return `instance ${report.instance}: real service ${report.name} is ${report.up ? 'UP' : 'DOWN'} (${report.sign})`;
    case 'group': {
      const { group, of, slots, rehomed, others, up, members } = report;
      const [what, who] = of === 'ecmp' ? ['route', 'next hops'] : ['virtual service', 'real services'];
      return `${what} ${group}: ${rehomed} of ${slots} slots re-homed, ${others} others moved; ${up} of ${members} ${who} up`;
    }
    case 'next-hop':
      return `route ${report.group}: next hop ${report.name} is ${report.up ? 'UP' : 'DOWN'} (${report.sign})`;
    case 'service-route':
      return `virtual service ${report.group}: its route is ${report.installed ? 'installed' : 'withdrawn: no real service is up'}`;
    case 'bfd':
      return `BFD: neighbour ${report.address} is ${report.up ? 'UP' : `DOWN (${report.diagnostic})`}`;
    case 'srg':
      return `services-redundancy-group ${report.id}: ${report.from} → ${report.to} (${report.reason})`;
    case 'pair':
      return `high availability: ${report.message}`;
    case 'refused':
      return `vpn ${report.tunnel}: ${report.reason}`;
  }
}
