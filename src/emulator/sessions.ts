/**
 * Control sessions between gateways and routers: what they tell one another outside of packets (routes) is there after
 * the delay of a link, in order, while both are awake and some link joins them. A session whose end goes away is noticed
 * at once when the process ended (its host says so), and after the hold time otherwise.
 */
import type { Config } from '../config/config.js';
import type { SrgStatus } from '../model/high-availability.js';
import type { NodeAction, NodeEvent } from '../node/event.js';
import type { Announcement } from '../routing/ari.js';
import type { World } from './world.js';

export interface SessionsOptions {
  readonly delayMs: number;
  /** without a word from the other end */
  readonly holdMs: number;
  /** until a session that was lost is tried again */
  readonly retryMs: number;
  /** the address that a pair's active node has, as a router reaches it; null: the gateway stands alone */
  readonly floatingOf: (gateway: string, router: string) => Announcement | null;
}

interface Session {
  readonly gateway: string;
  readonly router: string;
  open: boolean;
  /** of this opening; what an earlier one said is not heard any more */
  number: number;
  closing: (() => void) | null;
  opening: (() => void) | null;
  ends: [number, number];
  /** not yet heard, in order */
  waiting: (() => void)[];
}

export class Sessions {
  readonly #world: World;
  readonly #options: SessionsOptions;
  readonly #sessions: Session[] = [];
  readonly #statuses = new Map<string, SrgStatus>();
  /** by router and prefix: whose word it goes by */
  readonly #floats = new Map<string, string | null>();

  constructor(world: World, options: SessionsOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** The sessions that a gateway's configuration wants. */
  add(gateway: string): void {
    for (const { name: router } of this.#world.configOf(gateway).autoRouteInjection.export) {
      this.#sessions.push({
        gateway,
        router,
        open: false,
        number: 0,
        closing: null,
        opening: null,
        ends: [0, 0],
        waiting: [],
      });
    }
  }

  /** Carries what a node says to another. */
  tell(from: string, action: NodeAction): void {
    switch (action.kind) {
      case 'announce':
        this.#carry(this.#between(from, action.router), action.router, {
          kind: 'routes-announced',
          exporter: from,
          routes: action.routes,
        });
        break;
      case 'withdraw':
        this.#carry(this.#between(from, action.router), action.router, {
          kind: 'routes-withdrawn',
          exporter: from,
          routes: action.routes,
        });
        break;
      case 'tell-superseded':
        this.#carry(this.#between(action.exporter, from), action.exporter, {
          kind: 'routes-superseded',
          router: from,
          routes: action.routes,
        });
        break;
      default:
    }
  }

  /**
   * What a pair's nodes say of an address that one of them has (a floating one, in the instance of the router's trust
   * side): the active node's word counts more than the backup's, as their routing protocol's metrics have it.
   */
  floating(gateway: string, status: SrgStatus): void {
    this.#statuses.set(gateway, status);
    for (const session of this.#sessions)
      if (session.gateway === gateway) this.#float(session.router, gateway);
  }

  /** A router goes by the best of what it hears of a pair. */
  #float(router: string, of: string): void {
    const mine = this.#options.floatingOf(of, router);
    if (mine === null) return;
    const { routingInstance, prefix } = mine;
    const rank: Partial<Record<SrgStatus, number>> = { ACTIVE: 2, BACKUP: 1 };
    const heard = this.#sessions
      .filter((session) => session.router === router && session.open)
      .flatMap(({ gateway }) => {
        const own = this.#options.floatingOf(gateway, router);
        if (own === null || !own.prefix.equals(prefix)) return [];
        return [{ gateway, own, rank: rank[this.#statuses.get(gateway) ?? 'INIT'] ?? 0 }];
      });
    const best = heard.toSorted((a, b) => b.rank - a.rank)[0];
    const key = `${router} ${prefix}`;
    const now = best?.gateway ?? null;
    if ((this.#floats.get(key) ?? null) === now) return;
    const was = this.#floats.get(key);
    this.#floats.set(key, now);
    this.#world.time.after(this.#options.delayMs, () => {
      if (this.#floats.get(key) !== now) return;
      const event: NodeEvent =
        best === undefined
          ? { kind: 'routes-withdrawn', exporter: was!, routes: [{ routingInstance, prefix }] }
          : { kind: 'routes-announced', exporter: best.gateway, routes: [best.own] };
      this.#world.post(router, event);
    });
  }

  /** Something may have changed about who is awake, and what joins them. */
  look(): void {
    for (const session of this.#sessions) {
      const works = this.#works(session);
      if (session.open) this.#lookOpen(session, works);
      else if (works && session.opening === null)
        session.opening = this.#world.time.after(this.#options.retryMs, () => this.#open(session));
    }
  }

  /** A router's routing process ends all its sessions. */
  reset(router: string): void {
    for (const session of this.#sessions) {
      if (session.router !== router || !session.open) continue;
      this.#close(session);
    }
    this.look();
  }

  #lookOpen(session: Session, works: boolean): void {
    const { gateway, router, ends } = session;
    const { delayMs, holdMs } = this.#options;
    const isAnew =
      this.#world.incarnation(gateway) !== ends[0] || this.#world.incarnation(router) !== ends[1];
    // who restarts gracefully has said so, and is waited for
    const restarts = [gateway, router].some((end) => this.#world.restartsGracefully(end));
    if ((works || restarts) && !isAnew) {
      session.closing?.();
      session.closing = null;
      return;
    }
    // a process that ended is told of by its host, if that has power and is reached
    const told = isAnew && [gateway, router].every((end) => this.#world.life(end) !== 'off');
    if (session.closing !== null && !told) return;
    session.closing?.();
    session.closing = this.#world.time.after(told ? delayMs : holdMs, () => this.#close(session));
  }

  #works({ gateway, router }: Session): boolean {
    return (
      this.#world.isAwake(gateway) && this.#world.isAwake(router) && this.#world.isJoined(gateway, router)
    );
  }

  #open(session: Session): void {
    session.opening = null;
    if (session.open || !this.#works(session)) return;
    const { gateway, router } = session;
    session.open = true;
    session.number++;
    session.waiting = [];
    session.ends = [this.#world.incarnation(gateway), this.#world.incarnation(router)];
    this.#world.post(router, exporterOpened(gateway, this.#world.configOf(gateway)));
    this.#world.post(gateway, { kind: 'export-opened', router });
    this.#float(router, gateway);
  }

  #close(session: Session): void {
    const { gateway, router } = session;
    session.closing?.();
    session.closing = null;
    if (!session.open) return;
    session.open = false;
    this.#world.post(router, { kind: 'exporter-closed', exporter: gateway });
    this.#float(router, gateway);
    this.look();
  }

  /** In order, and again while the path is broken, as a transport does; a session that was closed loses what is under way. */
  #carry(session: Session | undefined, to: string, event: NodeEvent): void {
    if (session === undefined || !session.open) return;
    const { number } = session;
    const { delayMs, retryMs } = this.#options;
    const deliver = (): void => {
      if (!session.open || session.number !== number) return;
      if (session.waiting[0] !== deliver || !this.#works(session)) {
        this.#world.time.after(retryMs, deliver);
        return;
      }
      session.waiting.shift();
      this.#world.post(to, event);
    };
    session.waiting.push(deliver);
    this.#world.time.after(delayMs, deliver);
  }

  #between(gateway: string, router: string): Session | undefined {
    return this.#sessions.find((session) => session.gateway === gateway && session.router === router);
  }
}

/** A pair's addresses are those of both its nodes: their sessions say nothing of them. */
function exporterOpened(name: string, { interfaces, highAvailability }: Config): NodeEvent {
  if (highAvailability !== null) return { kind: 'exporter-opened', exporter: name, addresses: [] };
  const addresses = interfaces.flatMap(({ addresses: own }) => own.map(({ address }) => address));
  return { kind: 'exporter-opened', exporter: name, addresses };
}
