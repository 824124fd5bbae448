/** What docs/operations.md prints of apply and drain is what the program prints, one command after the other. */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = new URL('../..', import.meta.url).pathname;
const main = join(root, 'dist/cli/main.js');

it('docs/operations.md prints what the program does', async () => {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const printed = [
    ...page.matchAll(/^ {4}\$ penstock ((?:apply|drain|undrain) .*)\n((?: {4}(?!\$ ).*\n)+)/gm),
  ];
  expect(printed.length).toBeGreaterThanOrEqual(6);
  const directory = mkdtempSync(join(tmpdir(), 'penstock-operations-'));
  cpSync(join(root, 'examples/operations'), directory, { recursive: true });
  const node = spawn(process.execPath, [main, 'run', 'today.yaml'], { cwd: directory });
  try {
    let said = '';
    node.stderr.on('data', (chunk) => (said += chunk));
    const end = Date.now() + 15_000;
    while (!said.includes('2 of 2 real services up') && Date.now() < end)
      await new Promise((resolve) => setTimeout(resolve, 50));
    for (const [, command, lines] of printed) {
      const { stdout, stderr } = spawnSync(process.execPath, [main, ...command!.split(' ')], {
        cwd: directory,
        encoding: 'utf8',
        timeout: 20_000,
      });
      expect([stdout, stderr], command).toEqual([lines!.replace(/^ {4}/gm, ''), '']);
    }
  } finally {
    node.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}, 60_000);
