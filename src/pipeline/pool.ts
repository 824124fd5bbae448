/**
 * The threads of a dataplane: one Piscina pool whose tasks are long, one task per worker. It says how each task ended
 * and ends the threads; what follows from that is the Dataplane's to decide.
 */
import { Piscina } from 'piscina';
import type { Timers } from './timers.js';
import type { WorkerTask } from './worker.js';

/** V8's bounds of one worker thread. */
export interface WorkerMemory {
  maxOldGenerationSizeMb?: number;
  maxYoungGenerationSizeMb?: number;
  stackSizeMb?: number;
}

export interface WorkerPoolOptions {
  workers: number;
  mostWorkers: number;
  /** exports the task as default */
  module: URL;
  memory?: WorkerMemory;
  timers: Timers;
}

/** How a task ended: null error when it returned. */
export type TaskEnd = (worker: number, error: Error | null) => void;

export class WorkerPool {
  readonly #pool: Piscina<WorkerTask, void>;
  readonly #timers: Timers;
  readonly #running = new Set<number>();
  readonly #onEnd: TaskEnd;
  #whenIdle: (() => void) | null = null;

  /** onLoose: an error of a thread that had no task. */
  constructor(options: WorkerPoolOptions, onEnd: TaskEnd, onLoose: (error: Error) => void) {
    this.#timers = options.timers;
    this.#onEnd = onEnd;
    this.#pool = new Piscina<WorkerTask, void>({
      filename: options.module.href,
      // All threads that there are from the start: a task that waits for a thread which cannot load would wait for ever.
      minThreads: options.workers,
      maxThreads: options.mostWorkers,
      idleTimeout: Infinity,
      concurrentTasksPerWorker: 1,
      // A thread between tasks stays in its event loop.
      atomics: 'disabled',
      recordTiming: false,
      ...(options.memory && { resourceLimits: options.memory }),
    });
    this.#pool.on('error', (error) => onLoose(asError(error)));
  }

  run(task: WorkerTask): void {
    this.#running.add(task.worker);
    this.#pool.run(task).then(
      () => this.#ended(task.worker, null),
      (error: unknown) => this.#ended(task.worker, asError(error)),
    );
  }

  /** Workers whose task has not ended. */
  running(): number[] {
    return [...this.#running].sort((a, b) => a - b);
  }

  /** Waits for every task; false when the deadline passed first. */
  async idle(deadlineMs: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    const idle = new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
    return this.#within(idle, deadlineMs);
  }

  /** Ends threads whose tasks have ended; false when one was still there at the deadline. */
  close(deadlineMs: number): Promise<boolean> {
    return this.#within(this.#pool.close(), deadlineMs);
  }

  /** Ends threads in the middle of what they do; one that is inside native code ends when it returns from there. */
  destroy(deadlineMs: number): Promise<boolean> {
    return this.#within(this.#pool.destroy(), deadlineMs);
  }

  #within(done: Promise<void>, deadlineMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const cancel = this.#timers.after(deadlineMs, () => resolve(false));
      done.then(
        () => {
          cancel();
          resolve(true);
        },
        (error: unknown) => {
          cancel();
          reject(asError(error));
        },
      );
    });
  }

  #ended(worker: number, error: Error | null): void {
    this.#running.delete(worker);
    this.#onEnd(worker, error);
    if (this.#running.size === 0) this.#whenIdle?.();
  }
}

function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
