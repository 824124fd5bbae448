/** A thread's part of an exploration: runs in order, by number. */
import { exploreOne, seedOfRun, type Violation } from './explore.js';

export interface ExploreTask {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
}

export interface ExploreAnswer {
  readonly digests: readonly string[];
  readonly packets: number;
  readonly violations: readonly Violation[];
}

export default function explorePart({ seed, first, count }: ExploreTask): ExploreAnswer {
  const digests: string[] = [];
  const violations: Violation[] = [];
  let packets = 0;
  for (let run = first; run < first + count; run++) {
    const { result, violation } = exploreOne(seedOfRun(seed, run));
    digests.push(result.digest);
    packets += result.sent;
    if (violation !== null) violations.push(violation);
  }
  return { digests, packets, violations };
}
