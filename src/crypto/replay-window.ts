/**
 * The anti-replay window as RFC 4303 words it (§3.4.3, appendix A2), with every number seen in a set: slow, and
 * obvious. The native window (native/core/esp/replay_window.h) is held to the same table of edges.
 */
const subspace = 2n ** 32n;

export class ReplayWindow {
  readonly #size: bigint | null;
  readonly #isExtended: boolean;
  #top: bigint;
  /** everything up to it counts as seen */
  readonly #start: bigint;
  readonly #seen = new Set<bigint>();

  /** size: null for no window. top: the highest number that counts as seen. */
  constructor(size: number | null, top: bigint, isExtended: boolean) {
    this.#size = size === null ? null : BigInt(size);
    this.#isExtended = isExtended;
    this.#top = top;
    this.#start = top;
  }

  get top(): bigint {
    return this.#top;
  }

  /** The whole number of a packet with these low bits, null when there is none (appendix A2.2, both cases). */
  infer(low: number): bigint | null {
    const seql = BigInt(low);
    if (!this.#isExtended) return seql;
    // without a window there is still an edge, as far back as A2 lets a window reach
    const window = this.#size ?? subspace / 2n;
    const th = this.#top / subspace;
    const tl = this.#top % subspace;
    const bottom = (tl - window + 1n + subspace) % subspace;
    let seqh: bigint;
    if (tl >= window - 1n) seqh = seql >= bottom ? th : th + 1n;
    else seqh = seql >= bottom ? th - 1n : th;
    return seqh < 0n || seqh >= subspace ? null : seqh * subspace + seql;
  }

  /** Whether the number may be new. */
  check(sequence: bigint): boolean {
    if (this.#size === null || sequence > this.#top) return true;
    if (sequence <= this.#top - this.#size) return false;
    return sequence > this.#start && !this.#seen.has(sequence);
  }

  /** For a number that was checked and whose packet is authentic (§3.4.3), and for no other. */
  advance(sequence: bigint): void {
    if (sequence > this.#top) {
      this.#top = sequence;
      for (const old of this.#seen) {
        if (this.#size !== null && old <= this.#top - this.#size) this.#seen.delete(old);
      }
    }
    if (this.#size !== null) this.#seen.add(sequence);
  }
}
