/**
 * What makes a takeover safe: where sequence numbers go on, which epoch a node seals in, how far the active node may run
 * ahead of what the standby has heard.
 */

/** The epoch has 12 bits of the IV. */
const largestEpoch = 4_095;
/** An ESN receiver finds the upper half of a number only within half the space behind (RFC 4303 appendix A2). */
const farthestJump = 2n ** 31n;
const lastNumber = (extended: boolean) => (extended ? 2n ** 64n : 2n ** 32n) - 1n;

/** Generations from which each node counts the epochs of one key, by node-id; those of a configuration are all 0. */
export type Bases = ReadonlyMap<number, number>;

/**
 * The epoch that a node seals in with a key; null: nothing may be sealed. acknowledged: the peer has this node's base, so
 * that a node which lost all it knew is told of it again.
 */
export function sealingEpoch(
  nodeId: number,
  generation: number | null,
  bases: Bases,
  acknowledged: boolean,
): { epoch: number } | { refused: string } {
  if (generation === null) return { refused: 'its generation is unknown' };
  const base = bases.get(nodeId);
  if (base === undefined) return { refused: 'its base generation is unknown' };
  if (!acknowledged) return { refused: 'the other node has not acknowledged its base generation' };
  const epoch = generation - base;
  if (epoch < 0) return { refused: `generation ${generation} is below its base ${base}: it was lost` };
  if (epoch > largestEpoch)
    return { refused: `its epochs are used up (generation ${generation}, base ${base})` };
  return { epoch };
}

export interface LastHeard {
  /** the peer's next number, as it was last heard */
  readonly next: bigint;
  /** what the peer may run ahead */
  readonly shift: number;
  /** since the peer was last heard of */
  readonly ageMs: number;
  /** the peer may have opened its gate since: it believes that it stands alone */
  readonly isStale: boolean;
  readonly extended: boolean;
  /** packets per second that one SA cannot exceed */
  readonly rate: number;
}

/** Where outbound numbers go on. null: no number is sure to be unused; the SA must be replaced (rekey). */
export function takeOverSequence({ next, shift, ageMs, isStale, extended, rate }: LastHeard): bigint | null {
  let jump = BigInt(shift);
  if (isStale) {
    if (!extended) return null;
    jump += BigInt(Math.ceil((rate * Math.max(0, ageMs)) / 1000));
  }
  const from = next + jump;
  return jump >= farthestJump || from > lastNumber(extended) ? null : from;
}

/** Numbers that the active node may use: those below `gate`; at `ask` it wants to be heard at once. */
export function gateFor(acknowledged: bigint, shift: number): { gate: bigint; ask: bigint } {
  return { gate: acknowledged + BigInt(shift), ask: acknowledged + BigInt(Math.floor(shift / 2)) };
}
export const openGate = { gate: 2n ** 64n - 1n, ask: 2n ** 64n - 1n } as const;
/** Nothing is sealed. */
export const shutGate = { gate: 0n, ask: 2n ** 64n - 1n } as const;

/** The shift that a busy SA needs, so that it is never held up: four times what it sends until it hears back. */
export function leastShift(packetRate: number, roundTripMs: number, syncIntervalMs: number): number {
  return Math.ceil((4 * packetRate * (roundTripMs + syncIntervalMs)) / 1000);
}
