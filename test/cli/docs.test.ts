/** What pages print of plan and explain is what the program prints. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../..', import.meta.url).pathname;

interface Printed {
  readonly page: string;
  readonly command: string;
  readonly output: string;
}

/** Each `    $ penstock plan|explain …` with the lines below it, up to the next command or the block's end. */
function printed(page: string): Printed[] {
  const text = readFileSync(`${root}/${page}`, 'utf8');
  return [...text.matchAll(/^ {4}\$ penstock ((?:plan|explain) .*)\n((?: {4}(?!\$ ).*\n)+)/gm)].map(
    ([, command, lines]) => ({ page, command: command!, output: lines!.replace(/^ {4}/gm, '') }),
  );
}

describe('what pages print', () => {
  const all = ['docs/plan.md', 'README.md'].flatMap(printed);

  it('is found', () => expect(all.length).toBeGreaterThanOrEqual(4));

  it.each(all)('$page: penstock $command', ({ command, output }) => {
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [`${root}/dist/cli/main.js`, ...command.split(' ')],
      {
        cwd: `${root}/examples/plan`,
        encoding: 'utf8',
        timeout: 25_000,
      },
    );
    expect([stdout, stderr]).toEqual([output, '']);
  });
});
