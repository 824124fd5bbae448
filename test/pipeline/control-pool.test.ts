import { afterEach, expect, it } from 'vitest';
import { ControlPool } from '../../dist/pipeline/control-pool.js';
import { native } from '../../dist/pipeline/native.js';

const pools: ControlPool[] = [];
const pool = (threads: number, module?: URL) => {
  const made = new ControlPool(module ? { threads, module } : { threads });
  pools.push(made);
  return made;
};
afterEach(async () => {
  for (const made of pools.splice(0)) await made.close();
});

const options = (seed: bigint) => ({
  members: ['gw3', 'gw1', 'gw2'].map((name) => ({ name, weight: 1 })),
  dead: [],
  seed,
  size: 1024,
  slack: 0,
});

it('builds the tables that the addon builds, several at once', async () => {
  const control = pool(2);
  const seeds = [1n, 2n, 3n, 4n, 5n];
  const tables = await Promise.all(seeds.map((seed) => control.chashBuild(options(seed))));
  expect(tables).toEqual(seeds.map((seed) => native().chashBuild(options(seed))));
});

it('says what is wrong with the options, and goes on', async () => {
  const control = pool(1);
  await expect(control.chashBuild({ ...options(1n), size: -1 })).rejects.toThrow('chashBuild.size: 0…');
  expect((await control.chashBuild(options(1n))).slots).toHaveLength(1024);
});

it('finishes what is under way when it is closed, and takes nothing after', async () => {
  const control = pool(1);
  const table = control.chashBuild(options(1n));
  await control.close();
  expect((await table).slots).toHaveLength(1024);
  await expect(control.chashBuild(options(1n))).rejects.toThrow('the pool is closed');
});

it('a module that cannot be loaded is an error of every task, never a wait', async () => {
  const control = pool(1, new URL('./workers/cannot-load.mjs', import.meta.url));
  await expect(control.chashBuild(options(1n))).rejects.toThrow('no such instruction');
  await expect(control.chashBuild(options(1n))).rejects.toThrow();
});
