/** Time that goes as it is told, and what is to be done at which. Whole nanoseconds, so that nothing is ever rounded. */
import type { Clock } from './clock.js';

interface Entry {
  readonly atNs: number;
  /** of those at one time the one that was asked for first comes first */
  readonly order: number;
  run: (() => void) | null;
}

const before = (a: Entry, b: Entry) => a.atNs < b.atNs || (a.atNs === b.atNs && a.order < b.order);

export class VirtualTime implements Clock {
  #nowNs: number;
  #order = 0;
  /** a binary heap */
  readonly #entries: Entry[] = [];

  constructor(startNs: number) {
    this.#nowNs = startNs;
  }

  get nowNs(): number {
    return this.#nowNs;
  }

  nowMs(): number {
    return this.#nowNs / 1e6;
  }

  /** Never back. */
  goTo(nowNs: number): void {
    this.#nowNs = Math.max(this.#nowNs, nowNs);
  }

  /**
   * Never earlier: sums of milliseconds are a little off, and who is woken a part of a nanosecond early asks to be woken
   * after that part, for ever.
   */
  after(delayMs: number, run: () => void): () => void {
    return this.at(this.#nowNs + Math.ceil(delayMs * 1e6), run);
  }

  every(intervalMs: number, run: () => void): () => void {
    let cancel = (): void => {};
    const again = () => {
      cancel = this.after(intervalMs, again);
      run();
    };
    cancel = this.after(intervalMs, again);
    return () => cancel();
  }

  at(atNs: number, run: () => void): () => void {
    const entry: Entry = { atNs: Math.max(atNs, this.#nowNs), order: this.#order++, run };
    this.#push(entry);
    return () => {
      entry.run = null;
    };
  }

  /** Infinity: nothing is to be done. */
  get nextNs(): number {
    while (this.#entries.length > 0 && this.#entries[0]!.run === null) this.#pop();
    return this.#entries[0]?.atNs ?? Number.POSITIVE_INFINITY;
  }

  /** Does the first thing that is due; false: nothing is. */
  runNext(): boolean {
    if (this.nextNs > this.#nowNs) return false;
    this.#pop().run?.();
    return true;
  }

  #push(entry: Entry): void {
    const entries = this.#entries;
    let place = entries.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!before(entry, entries[parent]!)) break;
      entries[place] = entries[parent]!;
      place = parent;
    }
    entries[place] = entry;
  }

  #pop(): Entry {
    const entries = this.#entries;
    const first = entries[0]!;
    const last = entries.pop()!;
    if (entries.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && before(entries[child + 1]!, entries[child]!)) child++;
      if (!before(entries[child]!, last)) break;
      entries[place] = entries[child]!;
      place = child;
    }
    entries[place] = last;
    return first;
  }
}
