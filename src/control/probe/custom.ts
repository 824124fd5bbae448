/** Checks of the user's own: a command, or a function of the embedding program. */
import { spawn } from 'node:child_process';
import type { ProbePath } from './network.js';

/** What a function is told; signal: nobody waits for it any more. */
export interface CustomCheck {
  readonly address: string;
  readonly realService: string;
  readonly signal: AbortSignal;
}
/** Returns, or resolves, when the real service is well; throws, or rejects, with a message when it is not. */
export type CheckFunction = (check: CustomCheck) => unknown;

type Done = (fault: string | null) => void;

const longestMessage = 200;
/** commands at once; the others wait, which counts as their time */
const mostCommands = 32;

export class CommandRunner {
  #running = 0;
  readonly #queue: (() => void)[] = [];

  /**
   * Runs it without a shell; exit code 0 is an answer. Otherwise the last line that it wrote is the message. Returns
   * what ends it, and all that it has started.
   */
  run(command: readonly string[], path: ProbePath, realService: string, done: Done): () => void {
    let cancelled = false;
    let stop = () => {};
    const start = () => {
      if (cancelled) return this.#next();
      this.#running++;
      stop = this.#spawn(command, path, realService, (fault) => {
        this.#running--;
        this.#next();
        if (!cancelled) done(fault);
      });
    };
    if (this.#running < mostCommands) start();
    else this.#queue.push(start);
    return () => {
      cancelled = true;
      stop();
    };
  }

  #next(): void {
    if (this.#running < mostCommands) this.#queue.shift()?.();
  }

  #spawn(command: readonly string[], path: ProbePath, realService: string, done: Done): () => void {
    const [program, ...args] = command;
    const child = spawn(program!, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // a group of its own, so that what it starts ends with it
      detached: true,
      env: {
        ...process.env,
        PENSTOCK_ADDRESS: String(path.address),
        PENSTOCK_SOURCE_ADDRESS: path.source === null ? '' : String(path.source),
        PENSTOCK_REAL_SERVICE: realService,
        PENSTOCK_ROUTING_INSTANCE: path.routingInstance,
      },
    });
    let said = '';
    const hear = (chunk: Buffer) => {
      said = (said + chunk.toString('utf8')).slice(-4096);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    let over = false;
    const finish = (fault: string | null) => {
      if (over) return;
      over = true;
      done(fault);
    };
    child.once('error', (error) => finish(`cannot run: ${error.message}`.slice(0, longestMessage)));
    child.once('exit', (code, signal) => {
      if (code === 0) return finish(null);
      const line = said.trim().split('\n').at(-1)?.trim() ?? '';
      const how = code === null ? `ended by ${signal}` : `exit code ${code}`;
      finish((line === '' ? how : `${how}: ${line}`).slice(0, longestMessage));
    });
    return () => {
      if (over || child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // it has ended meanwhile
      }
    };
  }
}

/** Calls it; whatever it throws is a failure with its message. */
export function runFunction(
  check: CheckFunction,
  path: ProbePath,
  realService: string,
  done: Done,
): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  Promise.resolve()
    .then(() => check({ address: String(path.address), realService, signal }))
    .then(
      () => done(null),
      (error: unknown) => done(messageOf(error)),
    );
  return () => controller.abort();
}

export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text === '' ? 'failed without a message' : text).split('\n')[0]!.slice(0, longestMessage);
}
