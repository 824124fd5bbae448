/**
 * A plane with its worker threads: start, watch, stop. Whatever happens to a worker (an exception, an exhausted heap,
 * a stall, a thread that ends) is reported once as `failed` and ends the run; the plane's memory and counters stay
 * readable until close().
 *
 *   created ── start() ──▶ running ── stop() or a failure ──▶ stopping ──▶ stopped ── close() ──▶ closed
 */
import { EventEmitter } from 'node:events';
import { type CounterName, counterIndex } from './counters.js';
import { dataplaneLimits } from './limits.js';
import { type NativePlane, native, type PlaneOptions, type TableParts, type WorkerStatus } from './native.js';
import { type WorkerMemory, WorkerPool } from './pool.js';
import type { Timers } from './timers.js';

export type DataplaneLimits = typeof dataplaneLimits;

export interface DataplaneOptions extends PlaneOptions {
  timers: Timers;
  /** cpus[w]: what worker w's thread is pinned to; none when left out */
  cpus?: readonly number[];
  limits?: Partial<DataplaneLimits>;
  memory?: WorkerMemory;
  /** a module whose default export is the worker's task; ours when left out */
  workerModule?: URL;
}

export type FailureReason = 'exception' | 'heap-exhausted' | 'thread-ended' | 'stalled';

export interface WorkerFailure {
  /** -1: a thread that had no worker to drive */
  worker: number;
  reason: FailureReason;
  message: string;
  cause: Error | null;
}

export interface StopReport {
  /** every worker ended by itself and nothing failed */
  clean: boolean;
  failure: WorkerFailure | null;
  /** workers that had not ended at the deadline, so their threads were ended in the middle of what they did */
  overdue: number[];
  /** threads that would not end: the process must */
  stuck: boolean;
}

export type DataplaneState = 'created' | 'running' | 'stopping' | 'stopped' | 'closed';

export type CounterValues = Record<CounterName, number>;

export interface WorkerView extends WorkerStatus {
  worker: number;
  failure: WorkerFailure | null;
}

interface DataplaneEvents {
  /** once at most; the run is being stopped already */
  failed: [failure: WorkerFailure];
  stopped: [report: StopReport];
}

interface Heartbeat {
  turns: number;
  beatsMissed: number;
}

export class Dataplane extends EventEmitter<DataplaneEvents> {
  /** Nodes, ports, tables, SAs and what show prints. Add nodes and ports before start(). */
  readonly native: NativePlane;
  /** that there may be */
  readonly mostWorkers: number;
  #workers: number;
  readonly #options: DataplaneOptions;
  readonly #limits: DataplaneLimits;
  readonly #views = new Map<number, BigUint64Array>();
  #state: DataplaneState = 'created';
  #pool: WorkerPool | null = null;
  #failure: WorkerFailure | null = null;
  #stopping: Promise<StopReport> | null = null;
  #cancelWatch: (() => void) | null = null;

  /** Throws RangeError for options that a plane cannot have, Error when its memory cannot be had. */
  constructor(options: DataplaneOptions) {
    super();
    const { cpus, workers } = options;
    this.mostWorkers = options.mostWorkers ?? workers;
    if (cpus && (cpus.length < workers || cpus.length > this.mostWorkers)) {
      throw new RangeError(`cpus: ${workers} entries expected, one per worker, not ${cpus.length}`);
    }
    this.#options = options;
    this.#limits = { ...dataplaneLimits, ...options.limits };
    this.#workers = workers;
    this.native = native().createPlane({
      workers,
      framesPerWorker: options.framesPerWorker,
      controlFrames: options.controlFrames,
      handOverRing: options.handOverRing,
      jumbosPerWorker: options.jumbosPerWorker ?? 0,
      mostWorkers: this.mostWorkers,
    });
  }

  /** That there are now. */
  get workers(): number {
    return this.#workers;
  }

  get state(): DataplaneState {
    return this.#state;
  }

  /** What failed, once something has. */
  get failure(): WorkerFailure | null {
    return this.#failure;
  }

  /**
   * Starts the workers and waits until each has turned. Rejects when one fails first or does not turn in time; the
   * dataplane is stopped then.
   */
  async start(): Promise<void> {
    if (this.#state !== 'created') throw new Error(`start: the dataplane is ${this.#state} already`);
    this.#state = 'running';
    const pool = new WorkerPool(
      {
        workers: this.workers,
        mostWorkers: this.mostWorkers,
        module: this.#options.workerModule ?? new URL('./worker.js', import.meta.url),
        timers: this.#options.timers,
        ...(this.#options.memory && { memory: this.#options.memory }),
      },
      (worker, error) => this.#taskEnded(worker, error),
      (error) => this.#fail(failureOf(-1, error)),
    );
    this.#pool = pool;
    for (let worker = 0; worker < this.workers; worker++) this.#drive(worker);
    await this.#firstTurns();
    if (this.#failure) {
      await this.stop();
      throw new Error(`the workers did not start: ${this.#failure.message}`, { cause: this.#failure.cause });
    }
    if (this.#state === 'running') this.#watch();
  }

  /**
   * So many workers from now on, which join while the others run: no packet is lost, no tunnel moves, and flows that no
   * tunnel owns are shared among all anew. Throws what keeps it from being done, and nothing has changed then. Resolves
   * when all have their part, or the run is being stopped.
   */
  grow(workers: number): Promise<void> {
    if (this.#state !== 'running') throw new Error(`grow: the dataplane is ${this.#state}`);
    this.native.grow(workers);
    const before = this.#workers;
    this.#workers = workers;
    for (let worker = before; worker < workers; worker++) this.#drive(worker);
    return this.#share(before);
  }

  async #share(before: number): Promise<void> {
    const moving = () => this.#state === 'running' && this.native.flowsMoving();
    const still = async () => {
      while (moving()) await new Promise<void>((resolve) => void this.#options.timers.after(2, resolve));
    };
    await this.#firstTurns(before);
    // those that joined before these may not have their part yet
    await still();
    if (this.#state !== 'running') return;
    this.native.spreadFlows();
    await still();
  }

  #drive(worker: number): void {
    this.#pool!.run({
      plane: this.native.id,
      worker,
      cpu: this.#options.cpus?.[worker] ?? -1,
      budgetMicroseconds: this.#limits.pollBudgetMicroseconds,
    });
  }

  /**
   * Stops the workers: the native flag and eventfd, then their tasks, then their threads. Never rejects and never
   * hangs; call it as often as you like.
   */
  stop(): Promise<StopReport> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** Lets go of the plane. Its memory goes once no thread and no view of counters holds it. */
  close(): void {
    if (this.#state === 'running' || this.#state === 'stopping') {
      throw new Error(`close: the dataplane is ${this.#state}; stop it first`);
    }
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#views.clear();
    this.native.close();
  }

  /** Workers with a failure of theirs, if any. */
  workerStatus(): WorkerView[] {
    return this.native.workerStatus().map((status, worker) => ({
      ...status,
      worker,
      ...(this.#failure?.worker === worker
        ? { state: 'failed' as const, failure: this.#failure }
        : { failure: null }),
    }));
  }

  publish(node: number, parts: TableParts): void {
    this.native.publish(node, parts);
  }

  /** A node's counters by name, summed over workers. */
  counters(node: number): CounterValues {
    return this.#read(node, 0, this.workers);
  }

  /** A node's counters by name, one object per worker. */
  countersByWorker(node: number): CounterValues[] {
    return Array.from({ length: this.workers }, (_, worker) => this.#read(node, worker, worker + 1));
  }

  #read(node: number, first: number, end: number): CounterValues {
    let view = this.#views.get(node);
    if (!view) {
      view = this.native.counters(node);
      this.#views.set(node, view);
    }
    const row = view.length / this.mostWorkers;
    const values = {} as CounterValues;
    for (const [name, index] of Object.entries(counterIndex)) {
      let sum = 0n;
      for (let worker = first; worker < end; worker++) sum += view[worker * row + index]!;
      values[name as CounterName] = Number(sum);
    }
    return values;
  }

  /** Resolves when every worker from this one on has turned, one has failed, or it is too late (which is a failure, too). */
  async #firstTurns(first = 0): Promise<void> {
    const { timers } = this.#options;
    const before = this.#turns();
    const waiting = () =>
      this.#turns().findIndex((turns, worker) => worker >= first && turns === before[worker]);
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancelPoll();
        cancelDeadline();
        resolve();
      };
      const cancelPoll = timers.every(2, () => {
        if (this.#failure || this.#state !== 'running' || waiting() < 0) done();
      });
      const cancelDeadline = timers.after(this.#limits.startDeadlineMs, () => {
        const worker = waiting();
        const message = `worker ${worker} has not turned ${this.#limits.startDeadlineMs} ms after its start`;
        this.#fail({ worker, reason: 'stalled', message, cause: null });
        done();
      });
    });
  }

  /** Turns of each worker; of a plane that was closed under it, those that it can no longer take. */
  #turns(): number[] {
    try {
      return this.native.workerStatus().map(({ turns }) => turns);
    } catch {
      return new Array<number>(this.workers).fill(0);
    }
  }

  #watch(): void {
    const beats: Heartbeat[] = [];
    // Beats are counted, not time: a process that was stopped for a while has missed none.
    const most = Math.ceil(this.#limits.stallAfterMs / this.#limits.heartbeatMs);
    this.#cancelWatch = this.#options.timers.every(this.#limits.heartbeatMs, () => {
      this.#turns().forEach((turns, worker) => {
        beats[worker] ??= { turns: -1, beatsMissed: 0 };
        const beat = beats[worker];
        beat.beatsMissed = turns === beat.turns ? beat.beatsMissed + 1 : 0;
        beat.turns = turns;
        if (beat.beatsMissed < most) return;
        const message = `worker ${worker} has not turned for ${most * this.#limits.heartbeatMs} ms`;
        this.#fail({ worker, reason: 'stalled', message, cause: null });
      });
    });
  }

  #taskEnded(worker: number, error: Error | null): void {
    if (error) this.#fail(failureOf(worker, error));
    else if (this.#state === 'running') {
      this.#fail({
        worker,
        reason: 'thread-ended',
        message: `worker ${worker} ended without being told to`,
        cause: null,
      });
    }
  }

  #fail(failure: WorkerFailure): void {
    // What follows from a failure, or from ending threads that were overdue, is not another.
    if (this.#failure || this.#state !== 'running') return;
    this.#failure = failure;
    this.emit('failed', failure);
    void this.stop();
  }

  async #stop(): Promise<StopReport> {
    const started = this.#state === 'running';
    if (this.#state === 'closed') return { clean: true, failure: null, overdue: [], stuck: false };
    this.#state = 'stopping';
    this.#cancelWatch?.();
    try {
      this.native.stop();
    } catch {
      // Closed already, which stops it, too.
    }
    let overdue: number[] = [];
    let stuck = false;
    if (started && this.#pool) {
      const pool = this.#pool;
      if (await pool.idle(this.#limits.stopDeadlineMs)) {
        stuck = !(await pool.close(this.#limits.destroyDeadlineMs));
      } else {
        overdue = pool.running();
        stuck = !(await pool.destroy(this.#limits.destroyDeadlineMs));
      }
    }
    this.#state = 'stopped';
    const clean = !this.#failure && overdue.length === 0 && !stuck;
    const report: StopReport = { clean, failure: this.#failure, overdue, stuck };
    this.emit('stopped', report);
    return report;
  }
}

function failureOf(worker: number, error: Error): WorkerFailure {
  const who = worker < 0 ? 'a worker thread' : `worker ${worker}`;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return { worker, reason: 'heap-exhausted', message: `${who} exhausted its heap`, cause: error };
  }
  // Piscina's words for a thread that called process.exit() or was terminated.
  if (/^worker exited with code|^Terminating worker thread/.test(error.message)) {
    return { worker, reason: 'thread-ended', message: `${who}: ${error.message}`, cause: error };
  }
  return { worker, reason: 'exception', message: `${who}: ${error.message}`, cause: error };
}
