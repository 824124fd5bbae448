/** Whatever happens to a worker is seen, said once with its number and the reason, and ends the run. */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { Dataplane, type DataplaneOptions, type WorkerFailure } from '../../dist/pipeline/dataplane.js';
import { native } from '../../dist/pipeline/native.js';
import { buildPath, dataplane, dropsOf, sleep, timers, until } from './support.js';

const worker = (name: string) => new URL(`./workers/${name}.mjs`, import.meta.url);

/** Where a stall is what is waited for; elsewhere a busy machine must not be taken for one. */
const impatient = { heartbeatMs: 20, stallAfterMs: 400, stopDeadlineMs: 400, destroyDeadlineMs: 10_000 };
const patient = { heartbeatMs: 20, stallAfterMs: 20_000 };

/** Runs traffic over two workers of which worker 0 comes to grief, and says what was said of it. */
async function grief(
  module: string,
  options: Partial<DataplaneOptions> = {},
): Promise<{ plane: Dataplane; failures: WorkerFailure[] }> {
  const plane = dataplane({
    workers: 2,
    workerModule: worker(module),
    ...options,
    limits: { ...patient, ...options.limits },
  });
  const { client } = buildPath(plane.native, 50);
  const failures: WorkerFailure[] = [];
  plane.on('failed', (failure) => failures.push(failure));
  const stopped = new Promise((resolve) => plane.once('stopped', resolve));
  plane.native.setSending(client, true);
  // The fault may come while it is being waited for that all workers turn.
  await plane.start().catch(() => {});
  await stopped;
  return { plane, failures };
}

it('an exception', async () => {
  const { plane, failures } = await grief('throws');
  expect(failures).toEqual([
    { worker: 0, reason: 'exception', message: 'worker 0: out of cheese', cause: expect.any(Error) },
  ]);
  expect(await plane.stop()).toEqual({ clean: false, failure: failures[0], overdue: [], stuck: false });
  expect(plane.workerStatus().map(({ state }) => state)).toEqual(['failed', 'idle']);
});

it('an exhausted heap', async () => {
  const { plane, failures } = await grief('exhausts', { memory: { maxOldGenerationSizeMb: 24 } });
  expect(failures).toMatchObject([
    { worker: 0, reason: 'heap-exhausted', message: 'worker 0 exhausted its heap' },
  ]);
  expect(await plane.stop()).toMatchObject({ clean: false, overdue: [], stuck: false });
});

it('a thread that exits', async () => {
  const { plane, failures } = await grief('exits');
  expect(failures).toMatchObject([{ worker: 0, reason: 'thread-ended' }]);
  expect(failures[0]!.message).toMatch(/exited with code: 3/);
  expect(await plane.stop()).toMatchObject({ clean: false, overdue: [], stuck: false });
});

it.each(['blocks', 'waits'])('a stall: a worker that %s', async (module) => {
  const { plane, failures } = await grief(module, { limits: impatient });
  expect(failures).toEqual([
    { worker: 0, reason: 'stalled', message: 'worker 0 has not turned for 400 ms', cause: null },
  ]);
  // Its thread was ended in the middle of what it did, the other's task by itself.
  expect(await plane.stop()).toMatchObject({ clean: false, overdue: [0], stuck: false });
  const alive = native().planesAlive();
  plane.close();
  expect(native().planesAlive()).toBe(alive - 1);
});

it('a stall inside native code: stop() gives the thread up, and its plane stays until it ends', async () => {
  const before = native().planesAlive();
  const plane = new Dataplane({
    workers: 1,
    framesPerWorker: 256,
    controlFrames: 64,
    handOverRing: 64,
    timers,
    workerModule: worker('sleeps'),
    limits: { ...impatient, destroyDeadlineMs: 200 },
  });
  await plane.start().catch(() => {});
  await until(() => plane.failure !== null);
  expect(await plane.stop()).toMatchObject({ failure: { reason: 'stalled' }, overdue: [0], stuck: true });
  plane.close();
  expect(native().planesAlive()).toBe(before + 1);
  await until(() => native().planesAlive() === before);
  expect(native().planesAlive()).toBe(before);
});

it('a task that returns without being told to', async () => {
  const { failures } = await grief('returns');
  expect(failures).toMatchObject([{ worker: 0, reason: 'thread-ended' }]);
});

it('a module that cannot be loaded: start() rejects', async () => {
  const plane = dataplane({ workers: 2, workerModule: worker('cannot-load') });
  await expect(plane.start()).rejects.toThrow(/did not start: .*no such instruction/);
  expect(plane.state).toBe('stopped');
});

it('no module at all: start() rejects', async () => {
  const plane = dataplane({ workerModule: worker('nowhere') });
  await expect(plane.start()).rejects.toThrow(/did not start/);
});

it('a worker that never turns: start() rejects', async () => {
  const plane = dataplane({
    workerModule: worker('never-turns'),
    limits: { ...impatient, startDeadlineMs: 300 },
  });
  await expect(plane.start()).rejects.toThrow(
    'did not start: worker 0 has not turned 300 ms after its start',
  );
  expect(plane.failure?.reason).toBe('stalled');
});

it('a plane that was closed: start() rejects', async () => {
  const plane = dataplane();
  plane.native.close();
  await expect(plane.start()).rejects.toThrow();
});

it('a worker that another thread drives already', async () => {
  const plane = dataplane();
  const thief = native().attachPlane(plane.native.id, -1);
  thief.poll(0, 100);
  await expect(plane.start()).rejects.toThrow('another thread drives worker 0');
  thief.detach();
});

it('a CPU that is not there: start() rejects', async () => {
  const plane = dataplane({ cpus: [1000] });
  await expect(plane.start()).rejects.toThrow('attachPlane.cpu: cannot pin to CPU 1000');
});

it('nothing wrong is said of workers that only idle', async () => {
  const plane = dataplane({ workers: 2, limits: { heartbeatMs: 20, stallAfterMs: 1000 } });
  await plane.start();
  await sleep(2000);
  expect(plane.failure).toBeNull();
  expect(await plane.stop()).toEqual({ clean: true, failure: null, overdue: [], stuck: false });
});

it('a thread ended in the middle of traffic leaves the plane whole', async () => {
  const plane = dataplane();
  const { client, router, server } = buildPath(plane.native, 50);
  plane.native.setSending(client, true);
  const drive = () =>
    new Worker(
      `const { workerData } = require('node:worker_threads');
       import(workerData.module).then(({ default: run }) => run(workerData.task));`,
      {
        eval: true,
        workerData: {
          module: new URL('../../dist/pipeline/worker.js', import.meta.url).href,
          task: { plane: plane.native.id, worker: 0, cpu: -1, budgetMicroseconds: 1000 },
        },
      },
    );
  for (let round = 1; round <= 3; round++) {
    const before = plane.counters(server).delivered;
    const thread = drive();
    await until(() => plane.counters(server).delivered > before + 1000);
    await thread.terminate();
    expect(plane.counters(server).delivered).toBeGreaterThan(before + 1000);
    expect(plane.workerStatus()[0]!.state).toBe('failed');
  }
  // Another thread takes the worker over, and finds every frame.
  plane.native.setSending(client, false);
  const last = drive();
  await until(() => plane.native.framesInUse() === 0);
  expect(plane.native.framesInUse()).toBe(0);
  plane.native.stop();
  await new Promise((resolve) => last.once('exit', resolve));
  const all = [client, router, server].map((node) => plane.counters(node));
  const sum = (name: 'sent' | 'delivered') => all.reduce((total, values) => total + values[name], 0);
  expect(sum('sent')).toBe(sum('delivered') + all.reduce((total, values) => total + dropsOf(values), 0));
  expect(sum('delivered')).toBeGreaterThan(3000);
});
