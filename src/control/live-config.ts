/**
 * The configuration that a node runs by, and the way from it to the next:
 *
 *   1. what differs (config/diff), what of it cannot be changed while the node runs: then nothing is done
 *   2. what may fail comes first, and is undone when something does: new ports, a generation, room for SAs
 *   3. one post to the node: the configuration, tunnels that go, tunnels that come or change; its tables are published
 *      at once, SAs retired after that
 *   4. what nothing names any more is closed: ports
 *
 * Keys that are the same before and after stay where they are, numbers and windows and all. A key that comes back is
 * sealed with in a new epoch (a generation claimed for it), and what was seen with it counts as seen.
 */
import { randomBytes } from 'node:crypto';
import type { Config, VpnConfig } from '../config/config.js';
import { sectionText } from '../config/diff.js';
import { tuning } from '../config/limits.js';
import { Secret } from '../model/secret.js';
import type { NodeEvent, PortBinding, Setup } from '../node/event.js';
import { forecast, type GroupForecast } from '../node/forecast.js';
import type { NodeState } from '../node/state.js';
import { groupOf, manualTunnel, manualTunnels, type SaKey, type TunnelKeys } from '../node/tunnel.js';
import { type NativePlane, native, type SaKeys } from '../pipeline/native.js';
import type { Timers } from '../pipeline/timers.js';
import { type ChangePlan, planChange, type TunnelChange } from './change-plan.js';
import { textOf, wipeKeys, withFingerprints } from './fingerprint.js';
import { epochOf } from './generation.js';
import { openPorts } from './ports.js';
import type { SequenceStore } from './sequences.js';

export interface LiveConfigOptions {
  readonly plane: NativePlane;
  /** in the plane */
  readonly node: number;
  readonly timers: Timers;
  readonly log: (line: string) => void;
  readonly state: () => NodeState;
  /** All at once, as the node takes them. */
  readonly post: (...events: NodeEvent[]) => void;
  /** A number never used before; null: none can be had, so nothing is sealed. Throws what the disk throws. */
  readonly claimGeneration: () => number | null;
  readonly sequences: SequenceStore | null;
  readonly mostWorkers: number;
  /** Throws what keeps it from being done; resolves when they run. */
  readonly grow: (workers: number) => Promise<void>;
  /** Says so when they cannot be. */
  readonly saveSequences: () => void;
  /** The node goes by this one now. */
  readonly onChanged: (config: Config) => void;
}

export interface ChangeLine {
  readonly change: 'added' | 'changed' | 'removed';
  readonly section: string;
  readonly name: string;
}

/** What became of a configuration that was to be applied. */
export interface ApplyReport {
  readonly outcome: 'applied' | 'dry-run' | 'unchanged' | 'refused';
  readonly changes: readonly ChangeLine[];
  readonly refused: readonly { readonly path: string; readonly message: string }[];
  /** groups that flows move in, or would */
  readonly groups: readonly GroupForecast[];
  /** that there are, and will be; null: as many as before */
  readonly workers: { readonly before: number; readonly after: number } | null;
  /** until it is rolled back, unless confirmed; null: it stays */
  readonly confirmSeconds: number | null;
}

interface Pending {
  /** with the keys of what has to come back */
  readonly config: Config;
  /** the same with fingerprints */
  readonly redacted: Config;
  cancel(): void;
}

export class LiveConfig {
  readonly #options: LiveConfigOptions;
  readonly #ports = new Map<string, PortBinding>();
  /** by native index; '' where one was removed */
  readonly portNames: string[] = [];
  /** outbound keys that were sealed with in this run: the generation that they were last in */
  readonly #sealedWith = new Map<string, number | null>();
  /** inbound keys that went: the highest number that was seen */
  readonly #seen = new Map<string, bigint>();
  readonly #seed = randomBytes(4).readUInt32BE();
  readonly #startedSeconds = Math.floor(Date.now() / 1000);
  #config!: Config;
  #redacted!: Config;
  /** that run: tunnels are anchored on them */
  #workers = 0;
  #generation: number | null = null;
  #pending: Pending | null = null;

  constructor(options: LiveConfigOptions) {
    this.#options = options;
  }

  /** Keys in it are zero. */
  get config(): Config {
    return this.#config;
  }

  get generation(): number | null {
    return this.#generation;
  }

  /** A new one, for what is sealed with from now on: a takeover. */
  claimGeneration(): number | null {
    this.#generation = this.#options.claimGeneration();
    return this.#generation;
  }

  /** Whether a change waits to be confirmed. */
  get isPending(): boolean {
    return this.#pending !== null;
  }

  /** The first one. Throws StartError when a port cannot be opened. */
  begin(config: Config, generation: number | null): void {
    const { plane, node, post, sequences } = this.#options;
    this.#generation = generation;
    this.#workers = config.system.workers;
    this.#opened(openPorts(plane, node, config, config.ports));
    this.#redacted = withFingerprints(config);
    for (const { manual } of this.#redacted.vpns)
      this.#sealedWith.set(textOf(manual.outbound.key), generation);
    post({ kind: 'configured', config, setup: this.#setup() });
    const tunnels = manualTunnels(
      config,
      epochOf(generation),
      (vpn) => sequences?.begin(sequenceName(vpn), lastSequence(vpn)) ?? 1n,
    );
    this.#options.saveSequences();
    post({ kind: 'tunnels-keyed', tunnels });
    this.#config = config;
    wipeKeys(config);
  }

  /**
   * Makes the node go by `next`, whose keys are zero afterwards. confirmSeconds: it is rolled back after that, unless
   * confirm() is called. Throws what kept it from being done, and then nothing has changed.
   */
  apply(next: Config, { dryRun = false, confirmSeconds = null as number | null } = {}): ApplyReport {
    try {
      if (confirmSeconds !== null && !(confirmSeconds >= 1 && confirmSeconds <= tuning.mostConfirmSeconds))
        throw new RangeError(
          `confirmSeconds: ${confirmSeconds} is not from 1 to ${tuning.mostConfirmSeconds}`,
        );
      const redacted = withFingerprints(next);
      const plan = this.#plan(redacted, next, confirmSeconds !== null);
      const changes = plan.changes.map(
        ({ section, name, before, after }): ChangeLine => ({
          change: before === null ? 'added' : after === null ? 'removed' : 'changed',
          section: sectionText[section],
          name,
        }),
      );
      const workers = workersOf(this.#config, next);
      const report = { changes, refused: [], groups: [], workers, confirmSeconds: null };
      if (plan.refused.length > 0) return { ...report, outcome: 'refused', refused: plan.refused };
      if (plan.changes.length === 0) return { ...report, outcome: 'unchanged' };
      const groups = forecast(this.#options.state(), next, (options) => native().chashBuild(options).slots);
      if (dryRun) return { ...report, groups, outcome: 'dry-run' };
      if (this.#pending !== null) {
        throw new Error(
          'a change waits to be confirmed: penstock apply --confirmed, or wait until it is rolled back',
        );
      }
      const restore = confirmSeconds === null ? null : this.#restorable(plan);
      try {
        this.#change(next, redacted, plan);
      } catch (error) {
        if (restore !== null) wipeKeys(restore.config);
        throw error;
      }
      if (restore !== null) this.#await(restore, confirmSeconds!);
      return { ...report, groups, confirmSeconds, outcome: 'applied' };
    } finally {
      wipeKeys(next);
    }
  }

  #plan(redacted: Config, next: Config, mayRollBack: boolean): ChangePlan {
    const { mostWorkers, state } = this.#options;
    const plan = planChange(this.#redacted, redacted, next, state().tunnels, mostWorkers);
    if (!mayRollBack || plan.refused.length > 0 || workersOf(this.#config, next) === null) return plan;
    const message =
      'workers that came cannot go again, so this cannot be rolled back: apply it without --confirm';
    return { ...plan, refused: [{ path: 'system.workers', message }] };
  }

  /** The change that waits stays. Throws when none does. */
  confirm(): void {
    const pending = this.#pending;
    if (pending === null) throw new Error('no change waits to be confirmed');
    this.#pending = null;
    pending.cancel();
    wipeKeys(pending.config);
    this.#options.log('the change is confirmed');
  }

  /** Lets go of keys that it holds. */
  close(): void {
    this.#pending?.cancel();
    if (this.#pending !== null) wipeKeys(this.#pending.config);
    this.#pending = null;
  }

  #await(restore: Pick<Pending, 'config' | 'redacted'>, seconds: number): void {
    const cancel = this.#options.timers.after(seconds * 1000, () => this.#rollBack());
    this.#pending = { ...restore, cancel };
    this.#options.log(`rolled back in ${seconds} s unless confirmed: penstock apply --confirmed`);
  }

  #rollBack(): void {
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null) return;
    const { config, redacted } = pending;
    try {
      this.#change(config, redacted, this.#plan(redacted, config, false));
      this.#options.log('not confirmed in time: rolled back');
    } catch (error) {
      this.#options.log(`not confirmed in time, and cannot be rolled back: ${(error as Error).message}`);
    } finally {
      wipeKeys(config);
    }
  }

  /** What the node goes by now, with the keys of tunnels that the plan changes or removes. */
  #restorable(plan: ChangePlan): Pick<Pending, 'config' | 'redacted'> {
    const { plane, node, state } = this.#options;
    const touched = new Set([...plan.tunnelsChanged.map(({ vpn }) => vpn.name), ...plan.tunnelsRemoved]);
    const vpns = this.#config.vpns.map((vpn): VpnConfig => {
      const tunnel = state().tunnels.get(vpn.name);
      if (!touched.has(vpn.name) || tunnel === undefined) return vpn;
      const keys = plane.saKeys(
        node,
        'inbound',
        tunnel.inbound.map(({ index }) => index),
      );
      const secrets = ({ algorithm, key, authenticationKey }: SaKeys) => ({
        algorithm,
        key: new Secret(key),
        authenticationKey: authenticationKey === null ? null : new Secret(authenticationKey),
      });
      const keysOf = new Map(tunnel.inbound.map(({ spi }, i) => [spi, secrets(keys[i]!)]));
      const [outbound] =
        tunnel.outbound === null ? [] : plane.saKeys(node, 'outbound', [tunnel.outbound.index]);
      const { manual } = vpn;
      return {
        ...vpn,
        manual: {
          ...manual,
          inbound: manual.inbound.map((sa) => ({ ...sa, ...keysOf.get(sa.spi) })),
          outbound: outbound === undefined ? manual.outbound : { ...manual.outbound, ...secrets(outbound) },
        },
      };
    });
    return { config: { ...this.#config, vpns }, redacted: this.#redacted };
  }

  #change(next: Config, redacted: Config, plan: ChangePlan): void {
    const { plane, node, post, state, saveSequences, onChanged } = this.#options;
    this.#requireRoom(plan);
    const opened = openPorts(plane, node, next, plan.portsAdded);
    let tunnels: TunnelKeys[];
    try {
      this.#remember(plan, state());
      tunnels = this.#keysOf(plan, redacted);
      saveSequences();
      this.#grow(next);
    } catch (error) {
      for (const { index } of opened.values()) plane.removePort(node, index);
      throw error;
    }
    this.#opened(opened);
    const removed = plan.portsRemoved.map((name) => [name, this.#ports.get(name)] as const);
    for (const name of plan.portsRemoved) this.#ports.delete(name);
    const before = this.#config;
    try {
      post(
        { kind: 'configured', config: next, setup: this.#setup() },
        ...(plan.tunnelsRemoved.length > 0
          ? [{ kind: 'tunnels-removed', tunnels: plan.tunnelsRemoved } as const]
          : []),
        ...(tunnels.length > 0 ? [{ kind: 'tunnels-keyed', tunnels } as const] : []),
      );
    } catch (error) {
      // nothing of this is expected: what may fail has been done before
      for (const [name, port] of removed) if (port !== undefined) this.#ports.set(name, port);
      for (const name of opened.keys()) this.#ports.delete(name);
      post({ kind: 'configured', config: before, setup: this.#setup() });
      for (const { index } of opened.values()) {
        plane.removePort(node, index);
        this.portNames[index] = '';
      }
      throw error;
    }
    this.#config = next;
    this.#redacted = redacted;
    onChanged(next);
    for (const [, port] of removed) {
      if (port === undefined) continue;
      plane.removePort(node, port.index);
      this.portNames[port.index] = '';
    }
  }

  /** The last of what may fail, since it cannot be undone. New tunnels are anchored on them once they run. */
  #grow(next: Config): void {
    const { workers } = next.system;
    if (workers === this.#config.system.workers) return;
    const { grow, log, post } = this.#options;
    void grow(workers).then(() => {
      this.#workers = Math.max(this.#workers, workers);
      post({ kind: 'configured', config: this.#config, setup: this.#setup() });
      log(`${workers} workers run: tunnels stay where they are, and what has none is shared among all`);
    });
  }

  #setup(): Setup {
    return {
      ports: new Map(this.#ports),
      workers: this.#workers,
      seed: this.#seed,
      generation: this.#startedSeconds,
    };
  }

  #opened(ports: ReadonlyMap<string, PortBinding>): void {
    for (const [name, port] of ports) {
      this.#ports.set(name, port);
      this.portNames[port.index] = name;
      const { mode } = this.#options.plane.portStatus(this.#options.node, port.index);
      if (mode !== null) this.#options.log(`${name}: ${mode}`);
    }
  }

  #requireRoom(plan: ChangePlan): void {
    const room = this.#options.plane.saRoom(this.#options.node);
    const inbound = plan.tunnelsChanged.reduce(
      (sum, { vpn, kept }) => sum + vpn.manual.inbound.length - kept.length,
      0,
    );
    const outbound = plan.tunnelsChanged.filter(({ keepsOutbound }) => !keepsOutbound).length;
    if (inbound <= room.inbound && outbound <= room.outbound) return;
    throw new Error(
      `security.ipsec.vpn: ${inbound} inbound and ${outbound} outbound SAs more, and there is room for ${room.inbound} and ${room.outbound} until the node is started again`,
    );
  }

  /** Where the SAs stand that go: their keys may come back. */
  #remember(plan: ChangePlan, { tunnels }: NodeState): void {
    const { plane, node, sequences } = this.#options;
    const keptOf = new Map(plan.tunnelsChanged.map((change) => [change.vpn.name, change]));
    for (const name of [...keptOf.keys(), ...plan.tunnelsRemoved]) {
      const tunnel = tunnels.get(name);
      const vpn = this.#redacted.vpns.find((each) => each.name === name);
      if (tunnel === undefined || vpn === undefined) continue;
      const change = keptOf.get(name);
      const going = tunnel.inbound.filter(({ spi }) => change?.kept.includes(spi) !== true);
      const status = plane.saStatus(
        node,
        'inbound',
        going.map(({ index }) => index),
      );
      going.forEach(({ spi }, i) => {
        const key = vpn.manual.inbound.find((sa) => sa.spi === spi)?.key;
        if (key !== undefined) this.#seen.set(textOf(key), status[i]!.sequence);
      });
      if (tunnel.outbound === null || change?.keepsOutbound === true) continue;
      const [outbound] = plane.saStatus(node, 'outbound', [tunnel.outbound.index]);
      sequences?.note(sequenceName(vpn), outbound!.sequence);
    }
  }

  #keysOf({ tunnelsChanged }: ChangePlan, redacted: Config): TunnelKeys[] {
    if (tunnelsChanged.length === 0) return [];
    const fingerprints = new Map(redacted.vpns.map((vpn) => [vpn.name, vpn.manual]));
    const comesBack = tunnelsChanged.some(
      ({ vpn, keepsOutbound }) =>
        !keepsOutbound &&
        this.#sealedWith.get(textOf(fingerprints.get(vpn.name)!.outbound.key)) === this.#generation,
    );
    if (this.#generation === null || comesBack) this.#generation = this.#options.claimGeneration();
    const ids = this.#idsFor(tunnelsChanged);
    return tunnelsChanged.map(({ vpn, kept, keepsOutbound }): TunnelKeys => {
      const { inbound, outbound } = fingerprints.get(vpn.name)!;
      if (!keepsOutbound) this.#sealedWith.set(textOf(outbound.key), this.#generation);
      return {
        tunnel: manualTunnel(vpn, ids.get(vpn.name)!),
        kept,
        inbound: vpn.manual.inbound
          .map((sa, i): SaKey => {
            const highestSequence = this.#seen.get(textOf(inbound[i]!.key));
            return highestSequence === undefined ? sa : { ...sa, highestSequence };
          })
          .filter(({ spi }) => !kept.includes(spi)),
        outbound: keepsOutbound ? null : vpn.manual.outbound,
        ...(this.#isOthers(vpn, redacted) ? { isDormant: true } : {}),
        epoch: epochOf(this.#generation),
        nextSequence: this.#options.sequences?.begin(sequenceName(vpn), lastSequence(vpn)) ?? 1n,
      };
    });
  }

  /** It goes with a group that is not active here. */
  #isOthers({ manual }: VpnConfig, { highAvailability }: Config): boolean {
    const group = groupOf(highAvailability, manual);
    return group !== null && this.#options.state().srgs.get(group)?.status !== 'ACTIVE';
  }

  /** A tunnel keeps its number, and with it its worker; a new one gets the lowest that is free. */
  #idsFor(changes: readonly TunnelChange[]): Map<string, number> {
    const { tunnels } = this.#options.state();
    const taken = new Set([...tunnels.values()].map(({ tunnel }) => tunnel.id));
    let next = 0;
    const free = () => {
      while (taken.has(next)) next++;
      taken.add(next);
      return next;
    };
    return new Map(changes.map(({ vpn: { name } }) => [name, tunnels.get(name)?.tunnel.id ?? free()]));
  }
}

function workersOf({ system: { workers: before } }: Config, next: Config): ApplyReport['workers'] {
  const { workers: after } = next.system;
  return before === after ? null : { before, after };
}

export const sequenceName = ({ manual }: Pick<VpnConfig, 'manual'>) =>
  `${manual.gateway} ${manual.outbound.spi}`;

export const lastSequence = ({ extendedSequenceNumber }: Pick<VpnConfig, 'extendedSequenceNumber'>) =>
  extendedSequenceNumber ? (1n << 64n) - 1n : (1n << 32n) - 1n;
