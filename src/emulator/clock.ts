/** The emulator's time. Its links have a delay by it, and scenarios wait by it. */
import type { Timers } from '../pipeline/timers.js';

export interface Clock extends Timers {
  nowMs(): number;
}

/** Time as it passes: real workers run meanwhile. */
export const realClock: Clock = {
  nowMs: () => performance.now(),
  every: (intervalMs, run) => {
    const timer = setInterval(run, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve));
}
