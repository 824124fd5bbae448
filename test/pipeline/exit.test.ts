/** A process ends when it is told to, with the code that it means, whatever its workers are at. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';

const script = fileURLToPath(new URL('./workers/runs.mjs', import.meta.url));
const children = new Set<ChildProcess>();

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
});

function run(how: string): {
  child: ChildProcess;
  errors: () => string;
  end: Promise<[number | null, string | null]>;
} {
  const child = spawn(process.execPath, [script, how], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let text = '';
  child.stderr!.on('data', (data: Buffer) => {
    text += data;
  });
  const end = once(child, 'exit').then(([code, signal]) => {
    children.delete(child);
    return [code as number | null, signal as string | null] as [number | null, string | null];
  });
  return { child, errors: () => text, end };
}

it.each([
  ['stop', 0],
  ['exit', 5],
  ['destroy', 6],
  ['throw', 1],
  ['reject', 1],
])('%s with workers alive: exit code %i', async (how, code) => {
  const { end, errors } = run(how);
  expect(await end).toEqual([code, null]);
  if (code === 1) expect(errors()).toContain('unforeseen');
  else expect(errors()).toBe('');
});

it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('%s with workers alive', async (signal) => {
  const { child, end, errors } = run('wait');
  await once(child.stdout!, 'data');
  child.kill(signal);
  expect(await end).toEqual([null, signal]);
  expect(errors()).toBe('');
});

it('workers alive keep the process alive', async () => {
  const { child, end } = run('wait');
  await once(child.stdout!, 'data');
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  await end;
});
