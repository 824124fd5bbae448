import { expect, it } from 'vitest';
import { Dataplane } from '../../dist/pipeline/dataplane.js';
import { native } from '../../dist/pipeline/native.js';
import { buildPath, dataplane, timers, until } from './support.js';

it('starts and stops twenty times with traffic, and keeps nothing', async () => {
  const before = native().planesAlive();
  for (let round = 0; round < 20; round++) {
    const plane = dataplane({ workers: 1 + (round % 3) });
    const { client } = buildPath(plane.native, 30);
    plane.native.setSending(client, true);
    await plane.start();
    await until(() => plane.workerStatus().every(({ busyTurns }) => busyTurns > 3));
    expect(plane.workerStatus().every(({ busyTurns }) => busyTurns > 3)).toBe(true);
    expect(await plane.stop()).toEqual({ clean: true, failure: null, overdue: [], stuck: false });
    expect(plane.workerStatus().map(({ state }) => state)).toEqual(plane.workerStatus().map(() => 'idle'));
    plane.close();
    expect(native().planesAlive()).toBe(before);
  }
});

it('stop() is one stop, however often it is called', async () => {
  const plane = dataplane();
  let stops = 0;
  plane.on('stopped', () => stops++);
  await plane.start();
  const [first, second] = await Promise.all([plane.stop(), plane.stop()]);
  expect(second).toBe(first);
  expect(await plane.stop()).toBe(first);
  expect(stops).toBe(1);
});

it('stop() while it starts', async () => {
  const plane = dataplane({ workers: 2 });
  const started = plane.start();
  const report = await plane.stop();
  await started;
  expect(report).toMatchObject({ failure: null, overdue: [], stuck: false });
  expect(plane.state).toBe('stopped');
});

it('stop() of one that never ran, close() of one that was closed', async () => {
  const plane = dataplane();
  expect(await plane.stop()).toEqual({ clean: true, failure: null, overdue: [], stuck: false });
  plane.close();
  plane.close();
  expect(plane.state).toBe('closed');
});

it('does not start twice, nor close while it runs', async () => {
  const plane = dataplane();
  await plane.start();
  await expect(plane.start()).rejects.toThrow('the dataplane is running already');
  expect(() => plane.close()).toThrow('stop it first');
  await plane.stop();
  await expect(plane.start()).rejects.toThrow('the dataplane is stopped already');
});

it('adds nothing and steps nothing while workers run', async () => {
  const plane = dataplane();
  const { client, router } = buildPath(plane.native, 2);
  await plane.start();
  expect(() => plane.native.addWire(client, router, 64)).toThrow('addWire: not while workers run');
  expect(() => plane.native.step(1n)).toThrow('step: not while workers run');
  expect(() => plane.native.nextDeadline()).toThrow('nextDeadline: not while workers run');
});

it('options are checked before anything is made', () => {
  const options = { workers: 2, framesPerWorker: 1024, controlFrames: 64, handOverRing: 512, timers };
  const before = native().planesAlive();
  expect(() => new Dataplane({ ...options, cpus: [0] })).toThrow(
    'cpus: 2 entries expected, one per worker, not 1',
  );
  expect(() => new Dataplane({ ...options, workers: 65 })).toThrow(
    'createPlane.workers: 1…64 expected, not 65',
  );
  expect(native().planesAlive()).toBe(before);
});

it('pins workers to the CPUs it is given', async () => {
  const cpus = native().allowedCpus();
  const plane = dataplane({ workers: 2, cpus: [cpus[0]!, cpus[cpus.length - 1]!] });
  await plane.start();
  expect(await plane.stop()).toMatchObject({ clean: true });
});

it('two planes in one process know nothing of each other', async () => {
  const planes = [dataplane({ workers: 1 }), dataplane({ workers: 2 })];
  const paths = planes.map((plane) => buildPath(plane.native, 20));
  for (const plane of planes) await plane.start();
  planes[0]!.native.setSending(paths[0]!.client, true);
  await until(() => planes[0]!.counters(paths[0]!.server).delivered > 1000);
  expect(planes[0]!.counters(paths[0]!.server).delivered).toBeGreaterThan(1000);
  expect(planes[1]!.counters(paths[1]!.client).sent).toBe(0);
  await planes[0]!.stop();
  planes[0]!.close();
  planes[1]!.native.setSending(paths[1]!.client, true);
  await until(() => planes[1]!.counters(paths[1]!.server).delivered > 1000);
  expect(planes[1]!.counters(paths[1]!.server).delivered).toBeGreaterThan(1000);
});
