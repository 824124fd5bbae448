/** Virtual time: one thread, a clock that is an argument, and the same run every time. */
import { expect, it } from 'vitest';
import { buildPath, dataplane, dropsOf } from './support.js';

/** Counters of every node and worker, word by word, and the latencies, after so many steps. */
function run(workers: number, steps: number, stepNs: bigint, shutAt = -1) {
  const plane = dataplane({ workers });
  const path = buildPath(plane.native, 100);
  plane.native.setSending(path.client, true);
  let now = 1_000_000_000n;
  // Long enough for the hosts' addresses to be asked for and answered.
  for (let step = 0; step < 300; step++) {
    now += 1_000_000n;
    plane.native.step(now);
  }
  for (let step = 0; step < steps; step++) {
    if (step === shutAt) plane.native.setNodeRunning(path.router, false);
    plane.native.step(now);
    now += stepNs;
  }
  const nodes = [path.client, path.router, path.server];
  return {
    plane,
    path,
    counters: nodes.map((node) => plane.countersByWorker(node)),
    latency: plane.native.latency(path.client).counts,
    drops: plane.native.dropRecords(path.router, 100),
    sessions: plane.native.sessions(path.router, 0, 0n, 1000),
    now,
  };
}

it.each([1, 2, 3])('the same run twice on %i workers is the same run, bit for bit', (workers) => {
  const first = run(workers, 3000, 3000n, 2000);
  const second = run(workers, 3000, 3000n, 2000);
  expect(second.counters).toEqual(first.counters);
  expect(second.latency).toEqual(first.latency);
  expect(second.drops).toEqual(first.drops);
  expect(second.sessions).toEqual(first.sessions);
  expect(first.counters[0]!.reduce((sum, { delivered }) => sum + delivered, 0)).toBeGreaterThan(1000);
  expect(first.drops.length).toBeGreaterThan(0);
});

it('time passes only as it is told', () => {
  const slow = run(1, 1000, 1_000_000n);
  const fast = run(1, 1000, 1000n);
  const values = ({ plane, path }: typeof slow) => plane.counters(path.client);
  expect(values(slow).delivered).toBe(values(fast).delivered);
  // The same number of steps, a thousand times as long: the least latency, some steps, is longer by that.
  const least = (counts: BigUint64Array) => upperNs[counts.findIndex((count) => count > 0n)]!;
  const { upperNs } = slow.plane.native.latency(slow.path.client);
  expect(least(slow.latency) / least(fast.latency)).toBeGreaterThan(500);
});

it('is quiet once all has arrived, and says when something is due by itself', () => {
  const { plane, path, now: start } = run(2, 1000, 1000n);
  plane.native.setSending(path.client, false);
  let now = start;
  let moved = true;
  for (let steps = 0; steps < 100 && moved; steps++) moved = plane.native.step(now++);
  expect(moved).toBe(false);
  expect(plane.native.framesInUse()).toBe(0);
  const values = [path.client, path.router, path.server].map((node) => plane.counters(node));
  const sum = (of: (each: (typeof values)[0]) => number) =>
    values.reduce((total, each) => total + of(each), 0);
  expect(sum(({ sent }) => sent)).toBe(sum(({ delivered }) => delivered) + sum(dropsOf));

  // Jumping from deadline to deadline, every session runs out (60 s for UDP), and no packet is needed for it.
  const { sessionsCreated } = plane.counters(path.router);
  expect(sessionsCreated).toBe(100);
  const end = now + 120_000_000_000n;
  for (let steps = 0; steps < 100_000 && plane.native.sessionCount(path.router) > 0; steps++) {
    const due = plane.native.nextDeadline();
    now = due > now ? due : now + 1n;
    plane.native.step(now);
  }
  expect(plane.native.sessionCount(path.router)).toBe(0);
  expect(plane.counters(path.router).sessionsExpired).toBe(100);
  expect(now).toBeLessThan(end);
});
