/**
 * Many nodes in one process: forwarders that run the very node the daemon runs, hosts, and memory wires between them.
 * What nodes tell one another outside of packets (announcements of routes) takes the delay of a link.
 */
import { createHash } from 'node:crypto';
import type { Config } from '../config/config.js';
import { tuning } from '../config/limits.js';
import { Address } from '../model/address.js';
import { NodeDriver } from '../node/drive.js';
import type { NodeAction, NodeEvent, PortBinding, Report } from '../node/event.js';
import { performNative } from '../node/native-actions.js';
import { answers, NeighbourWatch } from '../node/neighbour-watch.js';
import type { NodeState } from '../node/state.js';
import type { Dataplane } from '../pipeline/dataplane.js';
import type { ForwarderOptions, HostOptions } from '../pipeline/native.js';
import type { Clock } from './clock.js';

export interface ForwarderNode {
  readonly name: string;
  /** in the plane */
  readonly index: number;
  readonly config: Config;
  readonly driver: NodeDriver;
  readonly neighbours: NeighbourWatch;
  running: boolean;
}

export interface NetworkOptions {
  readonly dataplane: Dataplane;
  readonly clock: Clock;
  /** one way, between nodes that speak to each other */
  readonly linkDelayMs: number;
  /** frames a wire holds, each direction and worker: a power of two */
  readonly wireCapacity: number;
  readonly onReport: (node: string, report: Report) => void;
}

/** A locally administered MAC that the two names decide. */
export function macOf(node: string, port: string): Uint8Array {
  const mac = createHash('sha256').update(`${node} ${port}`).digest().subarray(0, 6);
  mac[0] = (mac[0]! & 0xfc) | 0x02;
  return Uint8Array.from(mac);
}

export class Network {
  readonly #options: NetworkOptions;
  readonly #forwarders = new Map<string, ForwarderNode>();
  /** forwarders that start() is to configure */
  readonly #pending: (() => void)[] = [];
  readonly #ports = new Map<string, ReadonlyMap<string, PortBinding>>();
  /** ends of wires that wait for the other */
  readonly #ends = new Map<string, { node: number; connect: (port: number) => void }>();

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** A host with one wire. */
  addHost(options: HostOptions, wire: string): number {
    const node = this.#options.dataplane.native.addHost(options);
    this.#connect(wire, node, () => {});
    return node;
  }

  /** A forwarder with a memory wire for each port of its configuration; start() configures it. */
  addForwarder(config: Config, options: Partial<ForwarderOptions> = {}): ForwarderNode {
    const { hostName: name } = config.system;
    const index = this.#options.dataplane.native.addForwarder({
      name,
      sessionLimit: config.flow.sessionLimit,
      flowLimit: config.flow.flowLimit,
      neighbourLimit: tuning.neighbourLimit,
      saLimit: 1024,
      statistics: 1024,
      auditedKeys: 0,
      ...options,
    });
    const ports = new Map<string, PortBinding>();
    for (const { name: port, port: kind } of config.ports) {
      if (kind.kind !== 'memory') throw new Error(`${name} ${port}: the emulator has memory wires only`);
      this.#connect(kind.wire, index, (number) => ports.set(port, { index: number, mac: macOf(name, port) }));
    }
    const driver = new NodeDriver(
      (action) => this.#perform(name, index, action),
      () => this.#options.clock.nowMs(),
    );
    const forwarder = { name, index, config, driver, neighbours: new NeighbourWatch(), running: true };
    this.#forwarders.set(name, forwarder);
    this.#ports.set(name, ports);
    this.#pending.push(() => this.configure(name, config));
    return forwarder;
  }

  /** Configures the forwarders once every wire has its two ends. Throws naming one that has not. */
  start(): void {
    for (const wire of this.#ends.keys()) throw new Error(`wire ${wire} has one end only`);
    for (const configure of this.#pending.splice(0)) configure();
    for (const { name, driver, config } of this.#forwarders.values()) {
      for (const { name: router } of config.autoRouteInjection.export) {
        driver.post({ kind: 'export-opened', router });
        this.tell(name, router, exporterOpened(name, config));
      }
    }
  }

  /** A forwarder goes by this configuration from now on, on the wires that it has. */
  configure(name: string, config: Config): void {
    const setup = { ports: this.#ports.get(name)!, workers: this.#options.dataplane.workers };
    this.post(name, { kind: 'configured', config, setup });
  }

  state(name: string): NodeState {
    return this.#of(name).driver.state;
  }

  isRunning(name: string): boolean {
    return this.#of(name).running;
  }

  post(name: string, ...events: NodeEvent[]): void {
    this.#of(name).driver.post(...events);
  }

  /** What one node tells another: there after the delay of the link, if both run then. */
  tell(from: string, to: string, event: NodeEvent): void {
    this.#options.clock.after(this.#options.linkDelayMs, () => {
      if (this.#of(from).running && this.#of(to).running) this.post(to, event);
    });
  }

  /** A node is shut off: it drops what it holds, and forgets its tunnels. Those it told of itself hear of it. */
  shutOff(name: string): void {
    const node = this.#of(name);
    this.#options.dataplane.native.setNodeRunning(node.index, false);
    node.running = false;
    for (const { name: router } of node.config.autoRouteInjection.export) {
      this.#options.clock.after(this.#options.linkDelayMs, () => {
        if (!node.running) this.post(router, { kind: 'exporter-closed', exporter: name });
      });
    }
    node.driver.post({ kind: 'tunnels-removed', tunnels: [...node.driver.state.tunnels.keys()] });
  }

  turnOn(name: string): void {
    const node = this.#of(name);
    this.#options.dataplane.native.setNodeRunning(node.index, true);
    node.running = true;
    for (const { name: router } of node.config.autoRouteInjection.export) {
      node.driver.post({ kind: 'export-opened', router });
      this.tell(name, router, exporterOpened(name, node.config));
    }
  }

  /** Looks at every forwarder's neighbours and tells it what changed; to be called every so often. */
  lookAtNeighbours(): void {
    for (const { index, driver, neighbours, running } of this.#forwarders.values()) {
      if (!running) continue;
      const changes = neighbours.look(this.#options.dataplane.native.neighbours(index));
      if (changes.length > 0) driver.post({ kind: 'neighbours-changed', changes });
    }
  }

  /** Tells every forwarder what its BFD sessions heard, or no longer hear. Whether there was anything: in virtual time after each step. */
  tellOfLiveness(): boolean {
    let any = false;
    for (const { index, driver, running } of this.#forwarders.values()) {
      if (!running || driver.state.bfdPeers.size === 0) continue;
      const told = this.#options.dataplane.native.takeLiveness(index, 4096);
      if (told.length === 0) continue;
      any = true;
      driver.post({ kind: 'liveness-told', told });
    }
    return any;
  }

  /** Neighbours that have not answered yet, as `node address`. */
  unresolved(): string[] {
    return [...this.#forwarders.values()].flatMap(({ name, index }) =>
      this.#options.dataplane.native
        .neighbours(index)
        .filter(({ state }) => !answers(state))
        .map(({ address }) => `${name} ${new Address(address)}`),
    );
  }

  #perform(name: string, index: number, action: NodeAction): readonly NodeEvent[] {
    switch (action.kind) {
      case 'announce':
        this.tell(name, action.router, { kind: 'routes-announced', exporter: name, routes: action.routes });
        return [];
      case 'withdraw':
        this.tell(name, action.router, { kind: 'routes-withdrawn', exporter: name, routes: action.routes });
        return [];
      case 'tell-superseded':
        this.tell(name, action.exporter, { kind: 'routes-superseded', router: name, routes: action.routes });
        return [];
      case 'report':
        this.#options.onReport(name, action.report);
        return [];
      default:
        return performNative(this.#options.dataplane.native, index, action) ?? [];
    }
  }

  #connect(wire: string, node: number, connect: (port: number) => void): void {
    const other = this.#ends.get(wire);
    if (other === undefined) {
      this.#ends.set(wire, { node, connect });
      return;
    }
    this.#ends.delete(wire);
    const [first, second] = this.#options.dataplane.native.addWire(
      other.node,
      node,
      this.#options.wireCapacity,
    );
    other.connect(first);
    connect(second);
  }

  #of(name: string): ForwarderNode {
    const node = this.#forwarders.get(name);
    if (node === undefined) throw new RangeError(`no node ${name}`);
    return node;
  }
}

function exporterOpened(name: string, { interfaces }: Config): NodeEvent {
  const addresses = interfaces.flatMap(({ addresses: own }) => own.map(({ address }) => address));
  return { kind: 'exporter-opened', exporter: name, addresses };
}
