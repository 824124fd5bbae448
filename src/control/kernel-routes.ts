/**
 * Routes to and from the kernel, for routing daemons beside the node. Exported ones lead into an interface of the node's own,
 * which ends with the process however that ends: routes outlive a process, an interface without an owner does not.
 */
import type { KernelRoutesConfig } from '../config/config.js';
import type { Prefix } from '../model/prefix.js';
import type { KernelExport, NodeEvent } from '../node/event.js';
import type { NodeState } from '../node/state.js';
import { prefixBytes } from '../node/tables.js';
import { type NativeKernel, type NativePlane, native } from '../pipeline/native.js';
import { KernelMirror, type KernelNeighbour, type SharedLink } from '../routing/kernel.js';
import { codeOf, StartError } from './errors.js';

export interface KernelRoutesOptions {
  readonly kernelRoutes: KernelRoutesConfig;
  /** One line for people. */
  readonly log: (line: string) => void;
  readonly nowMs: () => number;
}

/** looks after which the kernel is asked again for what it does not know */
const looksPerQuestion = 10;
const looksPerSecond = 20;

export class KernelRoutes {
  readonly #options: KernelRoutesOptions;
  readonly #mirror = new KernelMirror();
  #kernel: NativeKernel;
  /** the kernel has it, or (false) refused it and is asked again */
  readonly #exported = new Map<string, KernelExport & { done: boolean }>();
  readonly #saidOf = new Set<string>();
  #links: readonly SharedLink[] = [];
  #interfaceIndex: number;
  #looks = 0;
  /** the mirror says nothing yet */
  #stale = true;
  /** before it is forwarded for, and once it is to be no more, nothing is exported */
  #forwards = false;

  /** Throws StartError when the interface for exported routes cannot be had. */
  static open(options: KernelRoutesOptions): KernelRoutes {
    try {
      return new KernelRoutes(options);
    } catch (error) {
      const privilege = codeOf(error) === 'EPERM' || codeOf(error) === 'EACCES';
      const message = `routing-options.kernel: ${(error as Error).message}`;
      throw new StartError(privilege ? 'privilege' : 'failure', message, { cause: error });
    }
  }

  private constructor(options: KernelRoutesOptions) {
    this.#options = options;
    this.#kernel = this.#open();
    this.#interfaceIndex = this.#kernel.indexOf(options.kernelRoutes.interface);
  }

  #open(): NativeKernel {
    const { kernelRoutes } = this.#options;
    return new (native().Kernel)({
      routeInterface: kernelRoutes.export.length > 0 ? kernelRoutes.interface : null,
      listen: kernelRoutes.import,
    });
  }

  change(add: readonly KernelExport[], remove: readonly KernelExport[]): void {
    for (const { prefix, metric } of remove)
      if (this.#exported.get(String(prefix))?.metric === metric) this.#exported.delete(String(prefix));
    for (const route of add) this.#exported.set(String(route.prefix), { ...route, done: false });
    this.#tell(true, add);
    this.#tell(false, remove);
  }

  /** The node forwards from now on: the kernel is told what was wanted until now. */
  begin(): void {
    this.#forwards = true;
    this.#tell(true, [...this.#exported.values()]);
  }

  /** How many routes the kernel has of ours. */
  get exported(): number {
    return [...this.#exported.values()].filter(({ done }) => done).length;
  }

  /** What the kernel has said since the last look, every 50 ms. */
  look(plane: NativePlane, node: number, state: NodeState): NodeEvent[] {
    this.#looks++;
    if (this.#looks % looksPerSecond === 0) this.#mend();
    return this.#options.kernelRoutes.import ? this.#import(plane, node, state) : [];
  }

  /** Takes all exported routes back, before the node stops to forward. */
  withdraw(): void {
    const all = [...this.#exported.values()];
    this.#exported.clear();
    this.#tell(false, all);
    this.#forwards = false;
  }

  close(): void {
    this.#kernel.close();
  }

  #tell(add: boolean, routes: readonly KernelExport[]): void {
    if (routes.length === 0 || !this.#forwards) return;
    const results = this.#kernel.changeRoutes(
      add,
      routes.map(({ prefix, metric }) => ({
        ...prefixBytes(prefix),
        metric: kernelMetricOf(prefix, metric),
      })),
      this.#options.kernelRoutes,
    );
    results.forEach((code, i) => {
      const { prefix } = routes[i]!;
      const route = this.#exported.get(String(prefix));
      if (add && route !== undefined) route.done = code === null;
      if (code !== null) this.#complain(add, prefix, code);
    });
  }

  #complain(add: boolean, prefix: Prefix, code: string): void {
    const { kernelRoutes, log } = this.#options;
    const name = kernelRoutes.interface;
    const mend =
      code === 'EACCES' && prefix.family === 'inet6'
        ? `: IPv6 is off there; sysctl net.ipv6.conf.${name}.disable_ipv6=0`
        : '';
    const line = `the kernel does not ${add ? 'take' : 'give back'} routes through ${name} (${prefix.family}, ${code})${mend}`;
    if (this.#saidOf.has(line)) return;
    this.#saidOf.add(line);
    log(line);
  }

  /** An interface that someone removed is made anew, with its routes; what was refused is tried again. */
  #mend(): void {
    const { kernelRoutes, log } = this.#options;
    if (kernelRoutes.export.length === 0) return;
    if (this.#kernel.indexOf(kernelRoutes.interface) !== this.#interfaceIndex) {
      this.#kernel.close();
      try {
        this.#kernel = this.#open();
      } catch (error) {
        const { message } = error as Error;
        if (!this.#saidOf.has(message)) log(message);
        this.#saidOf.add(message);
        return;
      }
      this.#interfaceIndex = this.#kernel.indexOf(kernelRoutes.interface);
      for (const route of this.#exported.values()) route.done = false;
      this.#stale = true;
      log(`${kernelRoutes.interface} was removed; it is back, with ${this.#exported.size} routes`);
    }
    this.#tell(
      true,
      [...this.#exported.values()].filter(({ done }) => !done),
    );
  }

  #import(plane: NativePlane, node: number, state: NodeState): NodeEvent[] {
    const linksChanged = this.#lookAtLinks(state);
    let changes = this.#stale ? null : this.#kernel.takeChanges();
    if (changes === null) {
      // what came before the list is in it
      this.#kernel.takeChanges();
      this.#mirror.clear();
      changes = this.#kernel.list();
      this.#stale = false;
    }
    const { routes, neighbours } = this.#mirror.take(changes, this.#options.kernelRoutes.protocol);
    this.#learn(plane, node, state, linksChanged ? [...this.#mirror.neighbours] : neighbours);
    if (this.#looks % looksPerQuestion === 0) this.#ask(plane, node, state);
    if (!routes && !linksChanged) return [];
    const found = this.#mirror.routesThrough(this.#links, this.#options.nowMs());
    return [{ kind: 'kernel-routes-changed', routes: found }];
  }

  /** Ports by their interface's number, which is another when it was removed and made anew. */
  #lookAtLinks({ config, setup }: NodeState): boolean {
    const links: SharedLink[] = [];
    for (const { name, port } of config?.ports ?? []) {
      if ((port.kind !== 'af-packet' && port.kind !== 'af-xdp') || !setup.ports.has(name)) continue;
      const unit = config!.interfaces.find((each) => each.port === name && each.vlanId === null);
      const index = this.#kernel.indexOf(port.interface);
      if (unit === undefined || index === 0) continue;
      links.push({ index, interface: unit.name, routingInstance: unit.routingInstance });
    }
    const text = (list: readonly SharedLink[]) => list.map((link) => Object.values(link).join(' ')).join();
    if (text(links) === text(this.#links)) return false;
    this.#links = links;
    return true;
  }

  /** A neighbour that answers the kernel answers the node. */
  #learn(plane: NativePlane, node: number, state: NodeState, neighbours: readonly KernelNeighbour[]): void {
    const links = new Map(this.#links.map((link) => [link.index, link]));
    const known = neighbours.flatMap(({ interface: index, address, mac, state: of, removed }) => {
      const link = links.get(index);
      if (link === undefined || mac === null || of !== 'reachable' || removed) return [];
      return [{ interface: state.numberings.interfaces.of(link.interface), address, mac }];
    });
    if (known.length > 0) plane.learnNeighbours(node, known);
  }

  /** Where the node's address is the kernel's, too, answers may come to the kernel alone: it is to ask. */
  #ask(plane: NativePlane, node: number, { config, numberings }: NodeState): void {
    const shared = new Map<number, number>();
    for (const { index, interface: name } of this.#links) {
      const own = config?.interfaces.find((each) => each.name === name)?.addresses ?? [];
      const kernels = new Set(this.#mirror.addressesOn(index).map(String));
      if (own.some(({ address }) => kernels.has(String(address))))
        shared.set(numberings.interfaces.of(name), index);
    }
    if (shared.size === 0) return;
    for (const { interface: number, address, state } of plane.neighbours(node)) {
      const index = shared.get(number);
      if (index !== undefined && state !== 'reachable') this.#kernel.askForNeighbour(index, address);
    }
  }
}

/** The kernel takes 0 of an IPv6 route for 1024, and to delete it by 0 would be to delete the first of its prefix. */
const kernelMetricOf = ({ family }: Prefix, metric: number): number =>
  family === 'inet6' && metric === 0 ? 1024 : metric;
