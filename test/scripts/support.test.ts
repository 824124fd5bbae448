import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const support = new URL('../../scripts/support.mjs', import.meta.url).href;
const directory = mkdtempSync(join(tmpdir(), 'penstock-support-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs a module that has what support.mjs exports as `s`; resolves to its output and exit code. */
function script(text: string): Promise<{ output: string; code: number | null }> {
  return new Promise((resolve) => {
    const source = `import * as s from ${JSON.stringify(support)};\n${text}`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('close', (code) => resolve({ output, code }));
  });
}

describe('alone', () => {
  const locks = mkdtempSync(join(directory, 'locks-'));
  const holding = (log: string) => `
    import { appendFileSync } from 'node:fs';
    await s.alone('test', async () => {
      appendFileSync(${JSON.stringify(log)}, '(');
      await new Promise((resolve) => setTimeout(resolve, 100));
      appendFileSync(${JSON.stringify(log)}, ')');
    }, ${JSON.stringify(locks)});`;

  it('lets one process in after the other, past a lock whose holder is gone', async () => {
    const log = join(directory, 'log');
    await script(
      `await s.alone('test', () => process.kill(process.pid, 'SIGKILL'), ${JSON.stringify(locks)});`,
    );
    expect(readdirSync(locks)).toHaveLength(1);
    const results = await Promise.all([1, 2, 3, 4].map(() => script(holding(log))));
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(readFileSync(log, 'utf8')).toBe('()()()()');
    expect(readdirSync(locks)).toEqual([]);
  });
});

describe('run', () => {
  it('ends a program with all that it started when its time is over', async () => {
    const { output } = await script(`
      const r = await s.run('sh', ['-c', 'sleep 60 & echo $!; wait'], { timeoutSeconds: 0.3 });
      console.log(JSON.stringify({ timedOut: r.timedOut, failed: r.code !== 0, child: Number(r.output) }));`);
    const { timedOut, failed, child } = JSON.parse(output) as {
      timedOut: boolean;
      failed: boolean;
      child: number;
    };
    expect([timedOut, failed]).toEqual([true, true]);
    await expect.poll(() => isRunning(child), { timeout: 5000 }).toBe(false);
  });

  it('says that a program is not there', async () => {
    const { output } = await script(`console.log(JSON.stringify(await s.run('no-such-program', [])));`);
    expect(JSON.parse(output)).toMatchObject({ code: 127, timedOut: false });
  });
});

/** A zombie has ended, too: whoever is its parent in a container may never ask. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('stamps', () => {
  it('change with the contents and the names of files, and with nothing else', async () => {
    const [a, b] = ['a.txt', 'b.txt'].map((name) => join(directory, name));
    writeFileSync(a!, 'one');
    writeFileSync(b!, 'one');
    // paths count from the root of the clone
    const up = '../'.repeat(20);
    const { output } = await script(`
      const of = (...files) => s.digest(files.map((file) => ${JSON.stringify(up)} + file));
      const [a, b] = ${JSON.stringify([a, b])};
      console.log(of(a) === of(a), of(a) === of(b), of(a) === of(a, b), s.digest([], 'x') === s.digest([], 'y'));`);
    expect(output.trim()).toBe('true false false false');
  });
});
