/** Does to a world what an event says, and undoes it. */
import type { LinkQuality } from '../pipeline/native.js';
import type { Agreement } from './agreement.js';
import type { Fault } from './scenario.js';
import type { Sessions } from './sessions.js';
import { routerConfig, type Topology } from './topology.js';
import type { World } from './world.js';

export interface FaultsOptions {
  readonly world: World;
  readonly topology: Topology;
  readonly sessions: Sessions;
  readonly agreement: Agreement;
  /** of links that nothing is wrong with */
  readonly quality: LinkQuality;
}

/** The number of the gateway, or pair, that a node is of. */
const unitOf = (name: string) => Number(/\d+/.exec(name)?.[0]);

/** How long a node takes to start again, where the event does not say. */
const rebootMs = 5000;
const restartMs = 2000;

export class Faults {
  readonly #options: FaultsOptions;
  /** what is to be undone, by what it was done to; a second fault of the same kind prolongs the first */
  readonly #undo = new Map<string, () => void>();
  readonly #timers = new Map<string, () => void>();
  #members: readonly number[];

  constructor(options: FaultsOptions) {
    this.#options = options;
    this.#members = Array.from({ length: options.topology.spec.gateways }, (_, i) => i + 1);
  }

  /** Returns the gateways that are hit. Throws RangeError when the topology does not have what it names. */
  begin(fault: Fault): ReadonlySet<string> {
    const { world, agreement, sessions, topology, quality } = this.#options;
    switch (fault.kind) {
      case 'kill':
        this.#of(fault.node);
        world.kill(fault.node);
        this.#until(`life ${fault.node}`, fault.forMs, () => world.start(fault.node));
        return this.#hit(fault.node);
      case 'reboot':
      case 'power-off':
        this.#of(fault.node);
        world.powerOff(fault.node);
        this.#until(
          `life ${fault.node}`,
          fault.kind === 'reboot' ? (fault.forMs ?? rebootMs) : fault.forMs,
          () => world.start(fault.node),
        );
        return this.#hit(fault.node);
      case 'freeze':
        this.#of(fault.node);
        world.freeze(fault.node);
        this.#until(`freeze ${fault.node}`, fault.forMs, () => world.thaw(fault.node));
        return this.#hit(fault.node);
      case 'link-down':
        world.setLinkDown(fault.link, true);
        this.#until(`link ${fault.link}`, fault.forMs, () => world.setLinkDown(fault.link, false));
        return this.#hit(...world.endsOf(fault.link));
      case 'one-way-loss': {
        const { link, from } = fault;
        world.cutLink(link, from, true);
        this.#until(`cut ${link} ${from}`, fault.forMs, () => world.cutLink(link, from, false));
        return this.#hit(...world.endsOf(link));
      }
      case 'link-quality':
        world.setQuality(fault.link, fault.quality);
        this.#until(`quality ${fault.link}`, fault.forMs, () => world.setQuality(fault.link, quality));
        return this.#hit(...world.endsOf(fault.link));
      case 'clock-skew':
        this.#of(fault.node);
        world.skewClock(fault.node, fault.offsetMs, fault.gainedPpm);
        return new Set();
      case 'ipsec-failure':
        this.#of(fault.node);
        agreement.fail(fault.node);
        this.#until(`ike ${fault.node}`, fault.forMs ?? 0, () => agreement.recover(fault.node));
        return this.#hit(fault.node);
      case 'routing-restart':
        this.#of(fault.node);
        sessions.reset(fault.node);
        return this.#hit(fault.node);
      case 'graceful-restart':
        this.#of(fault.node);
        world.freezeControl(fault.node);
        this.#until(`control ${fault.node}`, fault.forMs ?? restartMs, () => world.thawControl(fault.node));
        return new Set();
      case 'tlb-restart':
        this.#of(fault.node);
        world.restartControl(fault.node);
        return this.#hit(fault.node);
      case 'members': {
        const hit = topology.gateways.filter((name) => {
          const unit = unitOf(name);
          return this.#members.includes(unit) !== fault.members.includes(unit);
        });
        this.#setMembers(fault.members);
        if (fault.forMs !== undefined) {
          const all = Array.from({ length: topology.spec.gateways }, (_, i) => i + 1);
          this.#until('members', fault.forMs, () => this.#setMembers(all));
        }
        return new Set(hit);
      }
      case 'switch-over':
        this.#of(fault.node);
        // by command: all its links are taken down
        for (const { name, ends } of topology.links) {
          if (!ends.includes(fault.node)) continue;
          world.setLinkDown(name, true);
          this.#until(`link ${name}`, fault.forMs, () => world.setLinkDown(name, false));
        }
        return this.#hit(fault.node);
    }
  }

  /** Everything that is still wrong is mended. */
  endAll(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    for (const undo of [...this.#undo.values()]) undo();
    this.#undo.clear();
  }

  #setMembers(members: readonly number[]): void {
    const { world, topology } = this.#options;
    this.#members = members;
    topology.routers.forEach((router, i) => {
      world.configure(router, routerConfig(topology.spec, i + 1, topology.spec.gateways, members));
    });
  }

  #until(what: string, forMs: number | undefined, undo: () => void): void {
    this.#timers.get(what)?.();
    this.#timers.delete(what);
    this.#undo.set(what, undo);
    if (forMs === undefined) return;
    const cancel = this.#options.world.time.after(forMs, () => {
      this.#timers.delete(what);
      this.#undo.delete(what);
      undo();
    });
    this.#timers.set(what, cancel);
  }

  #of(node: string): void {
    if (!this.#options.topology.nodes.some(({ name }) => name === node))
      throw new RangeError(`no node ${node}`);
  }

  /** A router, or what is on its other sides, is everybody's. */
  #hit(...ends: string[]): ReadonlySet<string> {
    const { gateways } = this.#options.topology;
    const own = ends.filter((end) => gateways.includes(end));
    const { peers } = this.#options.topology;
    return new Set(own.length > 0 ? own.flatMap((name) => [name, peers.get(name) ?? name]) : gateways);
  }
}
