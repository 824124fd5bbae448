import type { Result } from './series.js';

/** `id>number`, `id.ratio.peer>=number`, …; the id may be the start of one, up to a dot: then all must hold. */
export interface Threshold {
  readonly text: string;
  readonly id: string;
  readonly peer: string | undefined;
  readonly holds: (value: number) => boolean;
}

const comparisons: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
};

/** Throws a RangeError that says what to write. */
export function parseThreshold(text: string): Threshold {
  const found = /^\s*([\w.-]+?)(?:\.ratio\.([\w-]+))?\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?)\s*$/.exec(text);
  if (!found) {
    throw new RangeError(
      `--threshold ${text}: write ID>NUMBER or ID.ratio.PEER>NUMBER, e.g. 'esp.inbound.imix>20'`,
    );
  }
  const [, id, peer, sign, bound] = found as unknown as [string, string, string | undefined, string, string];
  const compare = comparisons[sign] as (value: number, bound: number) => boolean;
  return { text, id, peer, holds: (value) => compare(value, Number(bound)) };
}

export interface Verdict {
  readonly threshold: string;
  readonly id: string;
  /** null: the measurement found none, which holds nothing */
  readonly value: number | null;
  readonly holds: boolean;
}

/** `esp.gbps` means every result of esp in Gbit/s; otherwise an id, or the start of ids. */
function isMeant(threshold: Threshold, result: Result): boolean {
  const short = /^(\w+)\.gbps$/.exec(threshold.id);
  if (short && threshold.id !== result.id) {
    return result.id.startsWith(`${short[1]}.`) && result.unit === 'Gbit/s';
  }
  return result.id === threshold.id || result.id.startsWith(`${threshold.id}.`);
}

/** One verdict a result that is meant. Throws a RangeError when a threshold means none: it could not fail. */
export function judge(thresholds: readonly Threshold[], results: readonly Result[]): Verdict[] {
  return thresholds.flatMap((threshold) => {
    const meant = results.filter((result) => isMeant(threshold, result));
    const verdicts = meant.flatMap((result) => {
      if (threshold.peer !== undefined && !(threshold.peer in result.peers)) return [];
      const value =
        threshold.peer === undefined ? result.ours : (result.ratio[threshold.peer]?.median ?? null);
      return [
        { threshold: threshold.text, id: result.id, value, holds: value !== null && threshold.holds(value) },
      ];
    });
    if (verdicts.length === 0) throw new RangeError(`--threshold ${threshold.text}: no result has this id`);
    return verdicts;
  });
}
