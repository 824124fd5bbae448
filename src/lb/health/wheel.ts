/**
 * What is due when, for many at once: entries fall into ticks, and advance() gives those whose tick has come. Nothing
 * is ever taken out: whoever was given asks itself whether it is really due. So a change of plan costs one entry.
 */
export class TimerWheel {
  readonly #tickMs: number;
  readonly #ticks = new Map<number, number[]>();
  #reached: number;

  /** tickMs: how late an entry may be given at most, besides its caller's own delay. */
  constructor(tickMs: number, nowMs: number) {
    this.#tickMs = tickMs;
    this.#reached = Math.floor(nowMs / tickMs);
  }

  /** Never before `atMs`; what is due already is given by the next advance(). */
  schedule(id: number, atMs: number): void {
    const tick = Math.max(Math.ceil(atMs / this.#tickMs), this.#reached + 1);
    const entries = this.#ticks.get(tick);
    if (entries === undefined) this.#ticks.set(tick, [id]);
    else entries.push(id);
  }

  /** In the order of their ticks, and within one as they came. An id that was scheduled twice is given twice. */
  advance(nowMs: number): number[] {
    const to = Math.floor(nowMs / this.#tickMs);
    const due: number[] = [];
    if (to - this.#reached > this.#ticks.size) {
      // a long sleep: fewer ticks hold something than have passed
      const passed = [...this.#ticks.keys()].filter((tick) => tick <= to).sort((a, b) => a - b);
      for (const tick of passed) this.#take(tick, due);
    } else {
      for (let tick = this.#reached + 1; tick <= to; tick++) this.#take(tick, due);
    }
    this.#reached = Math.max(this.#reached, to);
    return due;
  }

  #take(tick: number, due: number[]): void {
    for (const id of this.#ticks.get(tick) ?? []) due.push(id);
    this.#ticks.delete(tick);
  }
}
