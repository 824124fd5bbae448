import { figure, type Report } from './report.js';
import { isLessBetter } from './series.js';

export interface Change {
  readonly id: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** above 1: better */
  readonly times: number;
  /** whether the two spreads lie apart: otherwise the change may be noise */
  readonly isClear: boolean;
}

/** Results that both reports have, with a value each, in the order of the second. */
export function compare(before: Report, after: Report): Change[] {
  const old = new Map(before.results.map((result) => [result.id, result]));
  return after.results.flatMap((result) => {
    const was = old.get(result.id);
    if (!was?.spread || !result.spread) return [];
    const [then, now] = [was.spread, result.spread];
    const times = isLessBetter(result.unit) ? then.median / now.median : now.median / then.median;
    const isClear = now.low > then.high || now.high < then.low;
    return [{ id: result.id, unit: result.unit, before: then.median, after: now.median, times, isClear }];
  });
}

export function changeCells(change: Change): string[] {
  return [
    change.id,
    figure(change.before),
    figure(change.after),
    change.unit,
    `×${change.times.toFixed(3)}`,
    change.isClear ? '' : 'within the spread',
  ];
}
