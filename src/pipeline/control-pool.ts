/**
 * Threads for the control plane's CPU work (table builds), so that none of it delays a health check. A task costs
 * about 100 µs to hand over. Tasks are pure: nothing is lost with a thread but its answer, and that is an error.
 */
import { Piscina } from 'piscina';
import type { ChashOptions, ChashTable, CountFlowsOptions, FlowCounts } from './native.js';

/** Tasks by name: what control-worker.ts exports. */
interface Tasks {
  chashBuild: (options: ChashOptions) => ChashTable;
  countFlows: (options: CountFlowsOptions) => FlowCounts;
}

export interface ControlPoolOptions {
  threads: number;
  /** exports the tasks by name; ours when left out */
  module?: URL;
}

export class ControlPool {
  readonly #pool: Piscina;
  readonly #waiting = new Set<(error: Error) => void>();
  #closed: Promise<void> | null = null;

  constructor(options: ControlPoolOptions) {
    this.#pool = new Piscina({
      filename: (options.module ?? new URL('./control-worker.js', import.meta.url)).href,
      minThreads: options.threads,
      maxThreads: options.threads,
      idleTimeout: Infinity,
      recordTiming: false,
    });
    // A thread that fails without a task cannot load: what waits for it would wait for ever.
    this.#pool.on('error', (error: Error) => {
      for (const reject of this.#waiting) reject(error);
    });
  }

  /** Builds a consistent-hash table. Rejects with what is wrong with the options. */
  chashBuild(options: ChashOptions): Promise<ChashTable> {
    return this.#run('chashBuild', options);
  }

  /** Counts generated flows. Rejects with what is wrong with the options. */
  countFlows(options: CountFlowsOptions): Promise<FlowCounts> {
    return this.#run('countFlows', options);
  }

  /** Waits for tasks under way, then ends the threads. */
  close(): Promise<void> {
    this.#closed ??= this.#pool.close();
    return this.#closed;
  }

  async #run<Name extends keyof Tasks>(
    name: Name,
    argument: Parameters<Tasks[Name]>[0],
  ): Promise<ReturnType<Tasks[Name]>> {
    if (this.#closed) throw new Error(`${name}: the pool is closed`);
    return new Promise((resolve, reject) => {
      const settle = <T>(then: (value: T) => void) => {
        return (value: T) => {
          this.#waiting.delete(reject);
          then(value);
        };
      };
      this.#waiting.add(reject);
      this.#pool.run(argument, { name }).then(settle(resolve), settle(reject));
    });
  }
}
