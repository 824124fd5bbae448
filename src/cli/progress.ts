/** How far long work has come: one line on a terminal's standard error that is wiped again; elsewhere nothing. */
export interface Progress {
  at(done: number, all: number): void;
  end(): void;
}

const leastMs = 100;
/** shorter work says nothing */
const quietMs = 500;

export function createProgress(what: string, stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) return { at: () => {}, end: () => {} };
  const started = performance.now();
  let last = started + quietMs - leastMs;
  let isShown = false;
  return {
    at(done, all) {
      const now = performance.now();
      if (now - last < leastMs) return;
      last = now;
      isShown = true;
      const part = all > 0 ? done / all : 0;
      const left = part > 0 ? Math.ceil((((now - started) / part) * (1 - part)) / 1000) : 0;
      stream.write(`\r\u001b[Kpenstock: ${what}: ${(100 * part).toFixed(0)} %, ${left} s left`);
    },
    end() {
      if (isShown) stream.write('\r\u001b[K');
    },
  };
}
