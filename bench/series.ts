/** What one measurement gave: a value a round, ours and every peer's of the same round. */
export interface Series {
  readonly id: string;
  /** of `ours` and `peers`, e.g. Gbit/s or ns/packet */
  readonly unit: string;
  /** null: a round that found none */
  readonly ours: readonly (number | null)[];
  readonly peers: Readonly<Record<string, readonly (number | null)[]>>;
  readonly cyclesPerByte?: readonly number[];
  readonly cyclesPerPacket?: readonly number[];
  /** of the core itself, which its changing frequency does not stretch; where perf may read them */
  readonly coreCyclesPerPacket?: readonly number[];
  /** each gateway's share of the packets */
  readonly shares?: readonly number[];
  /** percent of the table, the worst case of many */
  readonly worst?: number;
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** One line of a report; the fields of `penstock bench --json`. */
export interface Result {
  readonly id: string;
  readonly unit: string;
  /** median over the rounds that found one; null: none did */
  readonly ours: number | null;
  readonly spread: Spread | null;
  readonly peers: Readonly<Record<string, number | null>>;
  /** rounds of ours that found none, where there are any */
  readonly none?: number;
  /** how many times better than the peer, round by round: above 1 is better, whatever the unit */
  readonly ratio: Readonly<Record<string, Spread>>;
  readonly cyclesPerByte?: number;
  readonly cyclesPerPacket?: number;
  readonly coreCyclesPerPacket?: number;
  readonly shares?: readonly number[];
  readonly worst?: number;
  readonly rounds: number;
}

/** Units of which less is better; of all others more is. */
const lessIsBetter = /^(ns|us|ms|s|cycles|%|bytes)/;

export function isLessBetter(unit: string): boolean {
  return lessIsBetter.test(unit);
}

/** The value at a share (0…1) of the sorted values, between two by proportion. Values: at least one. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] as number;
  const above = sorted[Math.ceil(at)] as number;
  return below + (above - below) * (at - Math.floor(at));
}

const found = (values: readonly (number | null)[]): number[] => values.filter((value) => value !== null);

/** Median and the middle half, or, of a loaded machine, everything from least to most. */
export function spread(values: readonly number[], isLoaded: boolean): Spread {
  return {
    median: quantile(values, 0.5),
    low: quantile(values, isLoaded ? 0 : 0.25),
    high: quantile(values, isLoaded ? 1 : 0.75),
  };
}

export function summarise(series: Series, isLoaded: boolean): Result {
  const less = isLessBetter(series.unit);
  const peers: Record<string, number | null> = {};
  const ratio: Record<string, Spread> = {};
  for (const [name, values] of Object.entries(series.peers)) {
    if (values.length === 0) continue;
    const theirs = found(values);
    peers[name] = theirs.length === 0 ? null : quantile(theirs, 0.5);
    const pairs = values.flatMap((peer, round) => {
      const own = series.ours[round] ?? null;
      if (peer === null || own === null) return [];
      return [less ? peer / own : own / peer];
    });
    if (pairs.length > 0) ratio[name] = spread(pairs, isLoaded);
  }
  const ours = found(series.ours);
  const own = ours.length === 0 ? null : spread(ours, isLoaded);
  const none = series.ours.length - ours.length;
  return {
    id: series.id,
    unit: series.unit,
    ours: own === null ? null : own.median,
    spread: own,
    peers,
    ratio,
    ...(none > 0 ? { none } : {}),
    ...(series.cyclesPerByte?.length ? { cyclesPerByte: quantile(series.cyclesPerByte, 0.5) } : {}),
    ...(series.cyclesPerPacket?.length ? { cyclesPerPacket: quantile(series.cyclesPerPacket, 0.5) } : {}),
    ...(series.coreCyclesPerPacket?.length
      ? { coreCyclesPerPacket: quantile(series.coreCyclesPerPacket, 0.5) }
      : {}),
    ...(series.shares ? { shares: series.shares } : {}),
    ...(series.worst === undefined ? {} : { worst: series.worst }),
    rounds: series.ours.length,
  };
}
