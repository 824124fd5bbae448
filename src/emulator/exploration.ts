/** Thousands of runs on several threads; what comes out does not depend on how many. */
import { createHash } from 'node:crypto';
import { Piscina } from 'piscina';
import type { Violation } from './explore.js';
import type { ExploreAnswer, ExploreTask } from './explore-worker.js';

export interface ExplorationOptions {
  readonly seed: number;
  readonly runs: number;
  readonly threads: number;
  readonly onProgress?: (runs: number, violations: number) => void;
  readonly signal?: AbortSignal;
}

export interface ExplorationResult {
  readonly seed: number;
  /** that were made: fewer than asked for when it was interrupted */
  readonly runs: number;
  readonly packets: number;
  /** of all runs' digests, in their order */
  readonly digest: string;
  readonly violations: readonly Violation[];
}

const runsATask = 10;

export async function explore(options: ExplorationOptions): Promise<ExplorationResult> {
  const { seed, runs, threads, onProgress, signal } = options;
  const pool = new Piscina<ExploreTask, ExploreAnswer>({
    filename: new URL('./explore-worker.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    recordTiming: false,
  });
  const answers: ExploreAnswer[] = [];
  let next = 0;
  let done = 0;
  let found = 0;
  const work = async (): Promise<void> => {
    while (next < runs && signal?.aborted !== true) {
      const first = next;
      const count = Math.min(runsATask, runs - first);
      next += count;
      const answer = await pool.run({ seed, first, count });
      answers[first / runsATask] = answer;
      done += count;
      found += answer.violations.length;
      onProgress?.(done, found);
    }
  };
  try {
    await Promise.all(Array.from({ length: threads }, work));
  } finally {
    await pool.destroy();
  }
  const digest = createHash('sha256')
    .update(answers.flatMap(({ digests }) => digests).join())
    .digest('hex');
  return {
    seed,
    runs: done,
    packets: answers.reduce((sum, { packets }) => sum + packets, 0),
    digest: digest.slice(0, 16),
    violations: answers.flatMap(({ violations }) => violations),
  };
}
