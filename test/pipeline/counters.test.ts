import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { counterCount, counterIndex, counterNames, counters } from '../../dist/pipeline/counters.js';
import { native } from '../../dist/pipeline/native.js';
import { buildPath, dataplane, sleep, until } from './support.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Planes alive once what nobody refers to has gone; finalizers run a turn of the event loop later. */
async function planesAlive(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    gc();
    await sleep(5);
  }
  return native().planesAlive();
}

it('names are those that the addon was built with', () => {
  expect(native().counterNames).toEqual(counterNames);
  expect(counterCount).toBe(counterNames.length);
});

it('by name: of each worker, and their sum', async () => {
  const plane = dataplane({ workers: 3 });
  const { client, router } = buildPath(plane.native, 60);
  await plane.start();
  plane.native.setSending(client, true);
  await until(() => plane.countersByWorker(client).every(({ delivered }) => delivered > 100));
  await plane.stop();
  for (const node of [client, router]) {
    const each = plane.countersByWorker(node);
    expect(each).toHaveLength(3);
    const sum = plane.counters(node);
    const view = plane.native.counters(node);
    expect(Object.keys(sum)).toEqual(counters.map(({ camelName }) => camelName));
    for (const { camelName } of counters) {
      expect(sum[camelName]).toBe(each.reduce((total, values) => total + values[camelName], 0));
      each.forEach((values, worker) => {
        expect(values[camelName]).toBe(Number(view[worker * (view.length / 3) + counterIndex[camelName]]));
      });
    }
  }
  expect(plane.countersByWorker(client).every(({ delivered }) => delivered > 100)).toBe(true);
});

it('a view moves while workers run, and stays valid after the plane is closed', async () => {
  const before = await planesAlive();
  const plane = dataplane({ workers: 2 });
  const { client } = buildPath(plane.native, 20);
  let view: BigUint64Array | null = plane.native.counters(client);
  expect(view.length % 2).toBe(0);
  const row = view.length / 2;
  expect(row).toBeGreaterThanOrEqual(counterCount);
  const sent = () => view![counterIndex.sent]! + view![row + counterIndex.sent]!;
  expect(sent()).toBe(0n);
  await plane.start();
  plane.native.setSending(client, true);
  await until(() => sent() > 1000n);
  const then = sent();
  await until(() => sent() > then);
  expect(sent()).toBeGreaterThan(then);
  await plane.stop();
  const last = sent();
  plane.close();
  expect(await planesAlive()).toBe(before + 1);
  expect(sent()).toBe(last);

  // The plane goes with the last view.
  view = null;
  expect(await planesAlive()).toBe(before);
});

it('a plane that nobody closes goes with its last reference', async () => {
  const before = await planesAlive();
  const options = { workers: 1, framesPerWorker: 256, controlFrames: 64, handOverRing: 64 };
  (() => native().createPlane(options))();
  expect(await planesAlive()).toBe(before);
});
