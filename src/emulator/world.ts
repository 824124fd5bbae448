/**
 * Many nodes in one process and on one thread: forwarders that run the very node of the daemon and its native path,
 * hosts, emulated links, and a clock that is driven. Nodes can be killed, frozen, rebooted; links be cut. Everything
 * that happens is a function of the options and of what is called when.
 */
import type { Config } from '../config/config.js';
import type { SrgStatus } from '../model/high-availability.js';
import { NodeDriver } from '../node/drive.js';
import { echoAnswer } from '../node/echoes.js';
import type { NodeAction, NodeEvent, PortBinding, Report } from '../node/event.js';
import { nextDeadline } from '../node/groups.js';
import { performNative } from '../node/native-actions.js';
import { NeighbourWatch } from '../node/neighbour-watch.js';
import type { NodeState } from '../node/state.js';
import { PairSync } from '../node/sync.js';
import { manualTunnels } from '../node/tunnel.js';
import { type CounterName, counters as definitions } from '../pipeline/counters.js';
import {
  type HostOptions,
  type LinkQuality,
  type NativePlane,
  native,
  type Punt,
} from '../pipeline/native.js';
import { Draws } from './draws.js';
import { macOf } from './network.js';
import { VirtualTime } from './virtual-time.js';

export interface WorldOptions {
  readonly seed: number;
  /** frames in the whole world */
  readonly frames: number;
  readonly links: readonly { readonly name: string; readonly ends: readonly [string, string] }[];
  /** frames that a link holds, each direction */
  readonly linkCapacity: number;
  readonly quality: LinkQuality;
  readonly saLimit: number;
  readonly onReport?: (node: string, report: Report) => void;
  /** stands between what a node decides and what is done: a test breaks things here to see that it is found */
  readonly tamper?: (node: string, action: NodeAction) => NodeAction;
  /** an IP packet that a node handed to its control plane, without link header */
  readonly onPunt?: (node: string, packet: Uint8Array) => void;
  /** what nodes tell one another outside of packets: see sessions.ts */
  readonly onTell?: (node: string, action: NodeAction) => void;
  /** a services redundancy group of a node has another status */
  readonly onSrg?: (node: string, group: number, to: SrgStatus) => void;
  /** whether a node runs, or a link carries, may have changed */
  readonly onChange?: () => void;
}

export type Life = 'running' | 'frozen' | 'dead' | 'off';

interface WorldNode {
  readonly name: string;
  config: Config;
  /** in the plane; another after each start */
  index: number;
  driver: NodeDriver;
  watch: NeighbourWatch;
  ports: Map<string, PortBinding>;
  life: Life;
  /** its control plane does nothing, its packets go on */
  controlFrozen: boolean;
  /** what came while its control plane was frozen */
  readonly waiting: NodeEvent[];
  /** grows with every start; what an earlier life asked for is not done any more */
  incarnation: number;
  deadline: { atMs: number; cancel: () => void } | null;
  /** of a pair, while the node lives */
  pair: PairSync | null;
  pairTick: (() => void) | null;
  iclUp: boolean;
  /** what is on its disk: the last generation */
  readonly disk: { generation: number };
  skew: { offsetNs: number; gainedPpm: number; fromNs: number };
}

interface WorldLink {
  readonly name: string;
  readonly number: number;
  readonly ends: readonly [string, string];
  down: boolean;
  readonly cut: [boolean, boolean];
  open: boolean;
}

const startNs = 1_000_000_000;
/** what the clock shows when a world begins */
export const startMs = startNs / 1e6;
const collectMs = 1000;
/** at one time; more: somebody asks to be woken now whenever he is */
const mostTurns = 1_000_000;
/** a pair's numbers are looked at no more often: each look costs as much as many packets */
const leastPairTickMs = 50;
/** where the smallest world has its neighbours */
const neighbourLimit = 64;

export class World {
  readonly time = new VirtualTime(startNs);
  readonly plane: NativePlane;
  readonly #options: WorldOptions;
  readonly #nodes = new Map<string, WorldNode>();
  readonly #hosts = new Map<string, number>();
  readonly #byIndex = new Map<number, WorldNode>();
  readonly #links = new Map<string, WorldLink>();
  /** plane indices of hosts and of every forwarder that ever was */
  readonly #everyIndex: number[] = [];
  readonly #out = new Float64Array(2);

  constructor(options: WorldOptions) {
    this.#options = options;
    this.plane = native().createPlane({
      workers: 1,
      framesPerWorker: options.frames,
      controlFrames: 128,
      handOverRing: 64,
    });
    this.time.every(collectMs, () => this.plane.collect());
  }

  addHost(name: string, options: HostOptions): void {
    const index = this.plane.addHost(options);
    this.#hosts.set(name, index);
    this.#everyIndex.push(index);
  }

  addNode(name: string, config: Config): void {
    const node: WorldNode = {
      name,
      config,
      index: -1,
      driver: null as unknown as NodeDriver,
      watch: new NeighbourWatch(),
      ports: new Map(),
      life: 'dead',
      controlFrozen: false,
      waiting: [],
      incarnation: 0,
      deadline: null,
      pair: null,
      pairTick: null,
      iclUp: false,
      disk: { generation: 0 },
      skew: { offsetNs: 0, gainedPpm: 0, fromNs: startNs },
    };
    this.#nodes.set(name, node);
    this.#makeForwarder(node);
  }

  /** Once every host and node is there: links between them, and the nodes go by their configurations. */
  connect(): void {
    for (const [number, { name, ends }] of this.#options.links.entries()) {
      const indices = ends.map((end) => this.#hosts.get(end) ?? this.#of(end).index) as [number, number];
      const { link, ports } = this.plane.addLink(...indices, {
        capacity: this.#options.linkCapacity,
        seed: this.#options.seed,
      });
      if (link !== number) throw new Error('links are numbered in the order of their list');
      this.#links.set(name, { name, number, ends, down: false, cut: [false, false], open: true });
      for (const from of [0, 1] as const) {
        this.plane.setLink(link, { from, quality: this.#options.quality });
        this.#bind(ends[from], name, ports[from]);
      }
    }
    for (const node of this.#nodes.values()) {
      node.life = 'running';
      this.#configure(node);
    }
    this.#options.onChange?.();
  }

  /** Runs until then, in this clock's milliseconds since the start. */
  runUntil(atMs: number): void {
    const untilNs = startNs + Math.round(atMs * 1e6);
    const { time, plane } = this;
    let [turns, sinceNs] = [0, time.nowNs];
    for (;;) {
      if (time.nowNs !== sinceNs) [turns, sinceNs] = [0, time.nowNs];
      if (++turns > mostTurns)
        throw new Error(`the world stands still at ${this.nowMs} ms: something is never done`);
      plane.advance(time.nowNs, Math.max(time.nowNs, Math.min(untilNs, time.nextNs)), this.#out);
      time.goTo(this.#out[0]!);
      const wants = this.#out[1]!;
      if (wants & 1) this.#takePunts();
      if (wants & 2) this.#lookAtNeighbours();
      if (wants !== 0) continue;
      if (time.runNext()) continue;
      if (time.nowNs >= untilNs) return;
    }
  }

  /** What keeps a node of a pair in step with the other; null: it is of none, or does not live. */
  pairOf(name: string): PairSync | null {
    return this.#of(name).pair;
  }

  /** Milliseconds since the start. */
  get nowMs(): number {
    return (this.time.nowNs - startNs) / 1e6;
  }

  state(name: string): NodeState {
    return this.#of(name).driver.state;
  }
  life(name: string): Life {
    return this.#of(name).life;
  }
  /** Whether its control plane does what it should. */
  isAwake(name: string): boolean {
    const node = this.#of(name);
    return node.life === 'running' && !node.controlFrozen;
  }
  /** Its packets go on, and its control plane will be back with all that it knew. */
  restartsGracefully(name: string): boolean {
    const node = this.#of(name);
    return node.life === 'running' && node.controlFrozen;
  }
  incarnation(name: string): number {
    return this.#of(name).incarnation;
  }
  configOf(name: string): Config {
    return this.#of(name).config;
  }
  indexOf(name: string): number {
    return this.#hosts.get(name) ?? this.#of(name).index;
  }

  /** Tells a node; one whose control plane is frozen hears of it when it wakes, a dead one never. */
  post(name: string, ...events: NodeEvent[]): void {
    const node = this.#of(name);
    if (node.life === 'dead' || node.life === 'off') return;
    if (node.life === 'frozen' || node.controlFrozen) node.waiting.push(...events);
    else this.#post(node, events);
  }

  /** After so long, if the node lives on until then. */
  after(name: string, delayMs: number, run: () => void): void {
    const { incarnation } = this.#of(name);
    this.time.after(delayMs, () => {
      if (this.#of(name).incarnation === incarnation) run();
    });
  }

  /** An IP packet of a node's own. */
  originate(name: string, packet: Uint8Array): void {
    const node = this.#of(name);
    if (node.life === 'running') this.plane.originate(node.index, 0, [packet]);
  }

  configure(name: string, config: Config): void {
    const node = this.#of(name);
    node.config = config;
    if (node.life === 'running') this.#configure(node);
  }

  /** The process is gone, with all that it knew; its links stay up. */
  kill(name: string): void {
    this.#end(this.#of(name), 'dead');
  }

  /** The same, and its links are down. */
  powerOff(name: string): void {
    this.#end(this.#of(name), 'off');
  }

  /** A dead node starts anew: it knows its configuration and nothing else. */
  start(name: string): void {
    const node = this.#of(name);
    if (node.life !== 'dead' && node.life !== 'off') return;
    node.watch = new NeighbourWatch();
    node.ports = new Map();
    node.waiting.length = 0;
    node.controlFrozen = false;
    // what it was takes nothing of what arrives from now on
    this.plane.setNodeRunning(node.index, 'frozen');
    this.#makeForwarder(node);
    for (const link of this.#links.values()) {
      link.ends.forEach((end, side) => {
        if (end !== name) return;
        this.#bind(name, link.name, this.plane.moveLinkEnd(link.number, side as 0 | 1, node.index));
      });
    }
    this.#setClock(node);
    node.life = 'running';
    this.#configure(node);
    this.#linksChanged();
  }

  /** Everything of the node stands still: what arrives waits in its links. */
  freeze(name: string): void {
    const node = this.#of(name);
    if (node.life !== 'running') return;
    node.life = 'frozen';
    this.plane.setNodeRunning(node.index, 'frozen');
    this.#options.onChange?.();
  }

  thaw(name: string): void {
    const node = this.#of(name);
    if (node.life !== 'frozen') return;
    node.life = 'running';
    this.plane.setNodeRunning(node.index, 'runs');
    this.#wake(node);
    this.#options.onChange?.();
  }

  /** Its control plane stands still, and its packets go on by the tables that there are. */
  freezeControl(name: string): void {
    this.#of(name).controlFrozen = true;
    this.#options.onChange?.();
  }

  thawControl(name: string): void {
    const node = this.#of(name);
    node.controlFrozen = false;
    if (node.life === 'running') this.#wake(node);
    this.#options.onChange?.();
  }

  /** A router's control plane starts anew and knows nothing; its packets go by the old tables until it says otherwise. */
  restartControl(name: string): void {
    const node = this.#of(name);
    if (node.life !== 'running') return;
    node.incarnation++;
    node.watch = new NeighbourWatch();
    node.waiting.length = 0;
    node.controlFrozen = false;
    node.driver = this.#makeDriver(node);
    this.#configure(node);
    this.#look(node);
    this.#options.onChange?.();
  }

  setLinkDown(name: string, down: boolean): void {
    this.#link(name).down = down;
    this.#linksChanged();
  }

  /** Nothing that this end sends arrives, and nobody is told. */
  cutLink(name: string, from: string, cut: boolean): void {
    const link = this.#link(name);
    const side = this.#side(link, from);
    link.cut[side] = cut;
    this.plane.setLink(link.number, { from: side, cut });
    this.#options.onChange?.();
  }

  setQuality(name: string, quality: LinkQuality): void {
    const { number } = this.#link(name);
    for (const from of [0, 1] as const) this.plane.setLink(number, { from, quality });
  }

  /** IVs of ESP packets that this end sends are written down. */
  witness(name: string, from: string): void {
    const link = this.#link(name);
    this.plane.setLink(link.number, { from: this.#side(link, from), witness: true });
  }

  /** A node's clock is so much ahead, and gains. */
  skewClock(name: string, offsetMs: number, gainedPpm: number): void {
    const node = this.#of(name);
    node.skew = { offsetNs: Math.round(offsetMs * 1e6), gainedPpm, fromNs: this.time.nowNs };
    this.#setClock(node);
  }

  linkNames(): string[] {
    return [...this.#links.keys()];
  }
  endsOf(link: string): readonly [string, string] {
    return this.#link(link).ends;
  }

  /** Whether packets of both directions pass between two nodes that are joined by some link. */
  isJoined(a: string, b: string): boolean {
    for (const { ends, open, cut } of this.#links.values()) {
      if (!open || cut[0] || cut[1]) continue;
      if ((ends[0] === a && ends[1] === b) || (ends[0] === b && ends[1] === a)) return true;
    }
    return false;
  }

  /** Counters of all that there ever was, summed. */
  counters(): Readonly<Record<CounterName, number>> {
    const sums = {} as Record<CounterName, number>;
    for (const { camelName } of definitions) sums[camelName] = 0;
    for (const index of this.#everyIndex) {
      const totals = this.plane.counterTotals(index);
      definitions.forEach(({ camelName }, i) => {
        sums[camelName] += totals[i]!;
      });
    }
    return sums;
  }

  close(): void {
    this.plane.close();
  }

  #makeForwarder(node: WorldNode): void {
    const { config, name } = node;
    node.incarnation++;
    node.index = this.plane.addForwarder({
      name,
      sessionLimit: config.flow.sessionLimit,
      flowLimit: 0,
      neighbourLimit,
      saLimit: this.#options.saLimit,
      statistics: 256,
      auditedKeys: 0,
    });
    this.#everyIndex.push(node.index);
    this.#byIndex.set(node.index, node);
    node.driver = this.#makeDriver(node);
  }

  #makeDriver(node: WorldNode): NodeDriver {
    const { incarnation } = node;
    return new NodeDriver(
      (action) => (node.incarnation === incarnation ? this.#perform(node, action) : []),
      () => this.#localMs(node),
    );
  }

  #localMs(node: WorldNode): number {
    const { offsetNs, gainedPpm, fromNs } = node.skew;
    const { nowNs } = this.time;
    return (nowNs + offsetNs + Math.floor(((nowNs - fromNs) * gainedPpm) / 1e6)) / 1e6;
  }

  #setClock(node: WorldNode): void {
    const { offsetNs, gainedPpm, fromNs } = node.skew;
    if (offsetNs === 0 && gainedPpm === 0) return;
    this.plane.setClock(node.index, { nowNs: fromNs, offsetNs, gainedPpm });
  }

  #configure(node: WorldNode): void {
    const draws = new Draws(this.#options.seed, `${node.name} ${node.incarnation}`);
    const { config, disk } = node;
    if (config.highAvailability !== null && node.pair === null) disk.generation++;
    const setup = { ports: node.ports, workers: 1, seed: draws.next(), generation: disk.generation };
    this.#post(node, [{ kind: 'configured', config, setup }]);
    if (config.highAvailability === null) return;
    if (node.pair !== null) {
      node.pair.configure(config);
      return;
    }
    const { incarnation } = node;
    node.pair = new PairSync(
      {
        plane: this.plane,
        node: node.index,
        session: draws.next(),
        nowMs: () => this.#localMs(node),
        state: () => node.driver.state,
        post: (...events) => {
          if (node.incarnation === incarnation) this.#post(node, events);
        },
        originate: (instance, packets) => this.plane.originate(node.index, instance, packets),
        generation: () => disk.generation,
        claimGeneration: () => ++disk.generation,
        log: () => {},
      },
      config,
    );
    // of its configuration, that of the interchassis link among them
    const tunnels = manualTunnels(config, disk.generation, () => BigInt(disk.generation) << 20n);
    this.#post(node, [{ kind: 'tunnels-keyed', tunnels }]);
    this.#tickPair(node);
  }

  #bind(name: string, link: string, index: number): void {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    for (const { name: port, port: kind } of node.config.ports) {
      if (kind.kind === 'memory' && kind.wire === link)
        node.ports.set(port, { index, mac: macOf(name, port) });
    }
  }

  #post(node: WorldNode, events: readonly NodeEvent[]): void {
    node.driver.post(...events);
    this.#watchDeadline(node);
    const iclUp = node.driver.state.bfd.get('icl')?.up === true;
    if (node.iclUp && !iclUp) node.pair?.linkDown();
    node.iclUp = iclUp;
  }

  /** The pair's part has something to do by its own clock. */
  #tickPair(node: WorldNode): void {
    const { pair, incarnation } = node;
    node.pairTick?.();
    node.pairTick = null;
    if (pair === null || !this.isAwake(node.name)) return;
    pair.tick();
    const waitMs = Math.max(leastPairTickMs, pair.nextDeadlineMs() - this.#localMs(node));
    if (!Number.isFinite(waitMs)) return;
    node.pairTick = this.time.after(waitMs, () => {
      if (node.incarnation === incarnation) this.#tickPair(node);
    });
  }

  #watchDeadline(node: WorldNode): void {
    const localMs = nextDeadline(node.driver.state);
    if (node.deadline?.atMs === localMs) return;
    node.deadline?.cancel();
    node.deadline = null;
    if (!Number.isFinite(localMs)) return;
    const { incarnation } = node;
    const cancel = this.time.after(Math.max(0, localMs - this.#localMs(node)), () => {
      if (node.incarnation !== incarnation) return;
      node.deadline = null;
      this.post(node.name, { kind: 'time-passed' });
    });
    node.deadline = { atMs: localMs, cancel };
  }

  #perform(node: WorldNode, decided: NodeAction): readonly NodeEvent[] {
    const action = this.#options.tamper?.(node.name, decided) ?? decided;
    switch (action.kind) {
      case 'announce':
      case 'withdraw':
      case 'tell-superseded':
        this.#options.onTell?.(node.name, action);
        return [];
      case 'srg-hello':
        node.pair?.srgHello(action.hello);
        return [];
      case 'srg-changed':
        node.pair?.srgChanged(action.id, action.from, action.to);
        this.#options.onSrg?.(node.name, action.id, action.to);
        return [];
      case 'report':
        this.#options.onReport?.(node.name, action.report);
        return [];
      case 'publish': {
        // key exchange is the emulator's own: see agreement.ts
        const { flow } = action.parts;
        const parts =
          flow === undefined ? action.parts : { ...action.parts, flow: { ...flow, puntIke: true } };
        return performNative(this.plane, node.index, { kind: 'publish', parts }) ?? [];
      }
      default:
        return performNative(this.plane, node.index, action) ?? [];
    }
  }

  #end(node: WorldNode, life: 'dead' | 'off'): void {
    if (node.life === 'dead' || node.life === 'off') return;
    node.life = life;
    node.incarnation++;
    node.pair = null;
    node.pairTick?.();
    node.pairTick = null;
    node.iclUp = false;
    node.deadline?.cancel();
    node.deadline = null;
    this.plane.setNodeRunning(node.index, 'shut');
    this.#linksChanged();
  }

  #wake(node: WorldNode): void {
    const events = node.waiting.splice(0);
    if (events.length > 0) this.#post(node, events);
    this.#look(node);
    this.#tickPair(node);
  }

  /** A link is up while nobody took it down and both its ends have power. */
  #linksChanged(): void {
    for (const link of this.#links.values()) {
      const open = !link.down && link.ends.every((end) => this.#nodes.get(end)?.life !== 'off');
      if (open === link.open) continue;
      link.open = open;
      this.plane.setLink(link.number, { open });
      for (const end of link.ends) {
        const port = this.#nodes
          .get(end)
          ?.config.ports.find(({ port: kind }) => kind.kind === 'memory' && kind.wire === link.name)?.name;
        if (port !== undefined) this.post(end, { kind: 'ports-changed', changes: [{ port, open }] });
      }
    }
    this.#options.onChange?.();
  }

  #takePunts(): void {
    for (const { node: index, packet } of this.plane.takePunts(1024) as Punt[]) {
      const node = this.#byIndex.get(index);
      if (node === undefined || node.index !== index || !this.isAwake(node.name)) continue;
      const echo = node.pair === null ? null : echoAnswer(packet);
      if (echo !== null) this.#post(node, [echo]);
      else if (node.pair?.receivePacket(packet) === true) this.#tickPair(node);
      else this.#options.onPunt?.(node.name, packet.subarray(linkHeaderBytes));
    }
  }

  #lookAtNeighbours(): void {
    for (const index of this.plane.takeAttention()) {
      const node = this.#byIndex.get(index);
      if (node !== undefined && node.index === index && this.isAwake(node.name)) this.#look(node);
    }
  }

  #look(node: WorldNode): void {
    if (node.driver.state.bfdPeers.size > 0) {
      const told = this.plane.takeLiveness(node.index, 4096);
      if (told.length > 0) this.#post(node, [{ kind: 'liveness-told', told }]);
    }
    const changes = node.watch.look(this.plane.neighbours(node.index));
    if (changes.length > 0) this.#post(node, [{ kind: 'neighbours-changed', changes }]);
  }

  #link(name: string): WorldLink {
    const link = this.#links.get(name);
    if (link === undefined) throw new RangeError(`no link ${name}`);
    return link;
  }

  #side(link: WorldLink, from: string): 0 | 1 {
    const side = link.ends.indexOf(from);
    if (side < 0) throw new RangeError(`${from} is no end of link ${link.name}`);
    return side as 0 | 1;
  }

  #of(name: string): WorldNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new RangeError(`no node ${name}`);
    return node;
  }
}

const linkHeaderBytes = 14;
