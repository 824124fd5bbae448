/** Threads that run tasks by name. A task costs about 100 µs to hand over. */
import { Piscina } from 'piscina';

/** What a module of tasks exports: functions of one argument, by name. */
// biome-ignore lint/suspicious/noExplicitAny: an argument of any kind, which each name narrows
type TaskTable = { readonly [Name in string]: (argument: any) => unknown };

export interface TaskPoolOptions {
  readonly threads: number;
  /** exports the tasks by name */
  readonly module: URL;
}

export class TaskPool<Tasks extends TaskTable> {
  readonly #pool: Piscina;
  readonly #waiting = new Set<(error: Error) => void>();
  #closed: Promise<void> | null = null;

  constructor({ threads, module }: TaskPoolOptions) {
    this.#pool = new Piscina({
      filename: module.href,
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Infinity,
      recordTiming: false,
    });
    // A thread that fails without a task cannot load: what waits for it would wait for ever.
    this.#pool.on('error', (error: Error) => {
      for (const reject of this.#waiting) reject(error);
    });
  }

  /** Waits for tasks under way, then ends the threads. */
  close(): Promise<void> {
    this.#closed ??= this.#pool.close();
    return this.#closed;
  }

  /** Rejects with what the task throws. */
  async run<Name extends keyof Tasks & string>(
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
