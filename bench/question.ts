import type { Effort } from './native-bench.js';
import type { Series } from './series.js';

/** A question of `penstock bench`: one file here. */
export interface Question {
  readonly name: string;
  readonly title: string;
  /** What it measures and how, for the report. */
  readonly method: string;
  readonly run: (effort: Effort) => AsyncIterable<Series>;
}
