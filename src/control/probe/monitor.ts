/**
 * Runs health checks: one timer for all of them, one pure step for each (lb/health/check.ts). Every tick takes answers
 * first, so that one that waited with a late process is no lost one, and then wakes those that are due.
 */
import {
  beginCheck,
  type CheckEvent,
  type CheckSettings,
  type CheckState,
  stepCheck,
  wakeAt,
} from '../../lb/health/check.js';
import { TimerWheel } from '../../lb/health/wheel.js';
import type { HealthChange } from '../../node/event.js';
import type { ActiveProbe, WantedCheck } from '../../node/health.js';
import type { Timers } from '../../pipeline/timers.js';
import type { Prober } from './prober.js';

export interface CheckView {
  readonly profile: string;
  readonly probe: ActiveProbe;
  readonly settings: CheckSettings;
  readonly state: CheckState;
}

export interface MonitorOptions {
  readonly prober: Prober;
  readonly timers: Timers;
  readonly nowMs: () => number;
  /** uniform in [0, 1) */
  readonly random: () => number;
  /** what has gone up or down since it was called last */
  readonly onChange: (changes: readonly HealthChange[]) => void;
  /** before checks are woken: take what came */
  readonly beforeTick?: () => void;
  /** after: send what has gathered */
  readonly afterTick?: () => void;
}

interface Running {
  readonly id: number;
  readonly targets: WantedCheck[];
  state: CheckState;
  /** when the wheel is to give it; it is not asked again for a later time */
  wakeMs: number;
  cancel: () => void;
}

const tickMs = 10;
const nothing = () => {};

export class HealthMonitor {
  readonly #options: MonitorOptions;
  readonly #checks = new Map<string, Running>();
  readonly #byId = new Map<number, Running>();
  readonly #byService = new Map<string, Running[]>();
  readonly #wheel: TimerWheel;
  #changes: HealthChange[] = [];
  #nextId = 1;
  #stopTimer: () => void = nothing;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#wheel = new TimerWheel(tickMs, options.nowMs());
  }

  /** What is to be checked from now on. A check that stays goes on; what two groups ask alike is asked once. */
  configure(targets: readonly WantedCheck[]): void {
    const wanted = new Map<string, WantedCheck[]>();
    for (const target of targets) {
      const key = identityOf(target);
      const same = wanted.get(key);
      if (same === undefined) wanted.set(key, [target]);
      else same.push(target);
    }
    for (const [key, check] of this.#checks) {
      if (wanted.has(key)) continue;
      check.cancel();
      this.#checks.delete(key);
      this.#byId.delete(check.id);
    }
    for (const [key, users] of wanted) this.#use(key, users);
    this.#byService.clear();
    for (const check of this.#checks.values()) {
      for (const { service } of check.targets) {
        const list = this.#byService.get(service);
        if (list === undefined) this.#byService.set(service, [check]);
        else list.push(check);
      }
    }
    this.#stopTimer();
    this.#stopTimer =
      this.#checks.size === 0 ? nothing : this.#options.timers.every(tickMs, () => this.tick());
    this.#tell();
  }

  /** Every 10 ms by itself; may be called sooner. */
  tick(): void {
    this.#options.beforeTick?.();
    const nowMs = this.#options.nowMs();
    for (const id of this.#wheel.advance(nowMs)) {
      const check = this.#byId.get(id);
      if (check === undefined) continue;
      check.wakeMs = Number.POSITIVE_INFINITY;
      if (wakeAt(check.state) <= nowMs) this.#step(check, { kind: 'woken', random: this.#options.random() });
      else this.#schedule(check);
    }
    this.#tell();
    this.#options.afterTick?.();
  }

  get size(): number {
    return this.#checks.size;
  }

  viewOf(service: string): CheckView[] {
    return (this.#byService.get(service) ?? []).map(({ targets, state }) => {
      const { profile, probe, settings } = targets.find((target) => target.service === service)!;
      return { profile, probe, settings, state };
    });
  }

  close(): void {
    this.#stopTimer();
    for (const check of this.#checks.values()) check.cancel();
    this.#checks.clear();
    this.#byId.clear();
    this.#byService.clear();
  }

  #use(key: string, users: readonly WantedCheck[]): void {
    const before = this.#checks.get(key);
    if (before !== undefined) {
      const known = new Set(before.targets.map(({ service }) => service));
      before.targets.splice(0, before.targets.length, ...users);
      const { up, message } = before.state;
      for (const { service, profile } of users)
        if (up !== null && !known.has(service)) this.#changes.push({ service, profile, up, message });
      return;
    }
    const nowMs = this.#options.nowMs();
    const check: Running = {
      id: this.#nextId++,
      targets: [...users],
      state: beginCheck(users[0]!.settings, this.#options.random(), nowMs),
      wakeMs: Number.POSITIVE_INFINITY,
      cancel: nothing,
    };
    this.#checks.set(key, check);
    this.#byId.set(check.id, check);
    this.#schedule(check);
  }

  #schedule(check: Running): void {
    const atMs = wakeAt(check.state);
    if (check.wakeMs <= atMs) return;
    check.wakeMs = atMs;
    this.#wheel.schedule(check.id, atMs);
  }

  #step(check: Running, event: CheckEvent): void {
    const { settings } = check.targets[0]!;
    const { state, actions } = stepCheck(settings, check.state, event, this.#options.nowMs());
    check.state = state;
    for (const action of actions) {
      switch (action.kind) {
        case 'send':
          this.#send(check, action.probe);
          break;
        case 'cancel':
          check.cancel();
          check.cancel = nothing;
          break;
        case 'up':
        case 'down': {
          const message = action.kind === 'up' ? '' : action.message;
          for (const { service, profile } of check.targets)
            this.#changes.push({ service, profile, up: action.kind === 'up', message });
        }
      }
    }
    this.#schedule(check);
  }

  #send(check: Running, probe: number): void {
    const { probe: what, path, realService } = check.targets[0]!;
    check.cancel = this.#options.prober.start(what, path, realService, (fault) => {
      if (this.#byId.get(check.id) !== check) return;
      this.#step(
        check,
        fault === null ? { kind: 'answered', probe } : { kind: 'failed', probe, message: fault },
      );
    });
  }

  #tell(): void {
    if (this.#changes.length === 0) return;
    const changes = this.#changes;
    this.#changes = [];
    this.#options.onChange(changes);
  }
}

function identityOf({ profile, probe, settings, path, realService }: WantedCheck): string {
  const bytes = (_key: string, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  const { address, source, routingInstance } = path;
  // a command or function is told the name, so it is part of what it asks
  const name = probe.kind === 'command' || probe.kind === 'function' ? realService : '';
  return JSON.stringify(
    [profile, probe, settings, String(address), source === null ? '' : String(source), routingInstance, name],
    bytes,
  );
}
