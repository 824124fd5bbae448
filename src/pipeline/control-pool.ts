/**
 * Threads for the control plane's CPU work (table builds), so that none of it delays a health check. Tasks are pure:
 * nothing is lost with a thread but its answer, and that is an error.
 */
import type { ChashOptions, ChashTable, CountFlowsOptions, FlowCounts } from './native.js';
import { TaskPool } from './task-pool.js';

/** Tasks by name: what control-worker.ts exports. */
type Tasks = {
  chashBuild: (options: ChashOptions) => ChashTable;
  countFlows: (options: CountFlowsOptions) => FlowCounts;
};

export interface ControlPoolOptions {
  threads: number;
  /** exports the tasks by name; ours when left out */
  module?: URL;
}

export class ControlPool {
  readonly #pool: TaskPool<Tasks>;

  constructor({ threads, module = new URL('./control-worker.js', import.meta.url) }: ControlPoolOptions) {
    this.#pool = new TaskPool<Tasks>({ threads, module });
  }

  /** Builds a consistent-hash table. Rejects with what is wrong with the options. */
  chashBuild(options: ChashOptions): Promise<ChashTable> {
    return this.#pool.run('chashBuild', options);
  }

  /** Counts generated flows. Rejects with what is wrong with the options. */
  countFlows(options: CountFlowsOptions): Promise<FlowCounts> {
    return this.#pool.run('countFlows', options);
  }

  /** Waits for tasks under way, then ends the threads. */
  close(): Promise<void> {
    return this.#pool.close();
  }
}
