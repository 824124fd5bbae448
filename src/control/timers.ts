import type { Timers } from '../pipeline/timers.js';

/** The process's own. They keep it alive no longer than whoever uses them. */
export const processTimers: Timers = {
  every: (intervalMs, run) => {
    const timer = setInterval(run, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
