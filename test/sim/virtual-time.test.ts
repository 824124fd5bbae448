/** Who asks to be woken in a while is not woken before, whatever the clock shows. */
import { expect, it } from 'vitest';
import { VirtualTime } from '../../dist/emulator/virtual-time.js';

it('wakes at a deadline or after it, though sums of milliseconds are a little off', () => {
  const time = new VirtualTime(1_000_000_000);
  // every second, from a time whose sums are not whole nanoseconds: helloDueMs of a pair was 3009.0301600000003
  time.goTo(2_009_030_160);
  let dueMs = time.nowMs() + 1000;
  let woken = 0;
  const wake = () => {
    woken++;
    if (time.nowMs() >= dueMs) dueMs = time.nowMs() + 1000;
    time.after(Math.max(0, dueMs - time.nowMs()), wake);
  };
  time.after(dueMs - time.nowMs(), wake);
  for (let turns = 0; turns < 200 && time.nowNs < 60e9; turns++) {
    while (turns < 200 && time.runNext()) turns++;
    time.goTo(time.nextNs);
  }
  expect(time.nowNs).toBeGreaterThanOrEqual(60e9);
  expect(woken).toBeLessThan(130);
});

it('does what is due at one time in the order in which it was asked for', () => {
  const time = new VirtualTime(0);
  const done: number[] = [];
  for (const n of [1, 2, 3]) time.after(1, () => done.push(n));
  time.after(2, () => done.push(5));
  time.after(0.5, () => done.push(0));
  time.goTo(1_000_000);
  while (time.runNext());
  expect(done).toEqual([0, 1, 2, 3]);
});
