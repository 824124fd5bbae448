/** Percentiles of counts in buckets. Pure. */

export interface Histogram {
  readonly counts: BigUint64Array;
  /** of each bucket */
  readonly upperNs: Float64Array;
}

/** What came to `after` since `before`. */
export function difference(after: Histogram, before: Histogram | null): Histogram {
  if (before === null) return after;
  return { counts: after.counts.map((count, i) => count - before.counts[i]!), upperNs: after.upperNs };
}

export function sum(a: Histogram, b: Histogram): Histogram {
  return { counts: a.counts.map((count, i) => count + b.counts[i]!), upperNs: a.upperNs };
}

/** The upper bound in ns of the bucket that holds the value of which `fraction` are no larger; null: it is empty. */
export function percentileNs({ counts, upperNs }: Histogram, fraction: number): number | null {
  const total = counts.reduce((all, count) => all + count, 0n);
  if (total === 0n) return null;
  const rank = Math.max(1, Math.ceil(fraction * Number(total)));
  let below = 0;
  for (let i = 0; i < counts.length; i++) {
    below += Number(counts[i]!);
    if (below >= rank) return upperNs[i]!;
  }
  return upperNs[upperNs.length - 1]!;
}
