import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';

const script = (name: string) => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'penstock-rooms-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Checks a src/ of these files. */
function check(files: Record<string, string>) {
  const src = mkdtempSync(join(directory, 'src-'));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(src, file)), { recursive: true });
    writeFileSync(join(src, file), text);
  }
  const { status, stdout } = spawnSync(process.execPath, [script('rooms.mjs'), src], { encoding: 'utf8' });
  return { status, lines: stdout.split('\n').filter((line) => line !== '') };
}

describe('the order of the rooms', () => {
  it('holds in src', () => {
    const { status, stdout } = spawnSync(process.execPath, [script('rooms.mjs')], { encoding: 'utf8' });
    expect([stdout, status]).toEqual(['', 0]);
  });

  it.each<[string, string, string, string]>([
    ['up', 'lb/table.ts', "import { step } from '../node/step.js';", 'lb imports node, which is above it'],
    [
      'up, a type alone',
      'config/a.ts',
      "import type { X } from '../lb/x.js';",
      'config imports lb, which is above it',
    ],
    [
      'up, re-exported',
      'model/a.ts',
      "export * from '../wire/ip.js';",
      'model imports wire, which is above it',
    ],
    [
      'up, when it is needed',
      'node/a.ts',
      "const m = await import('../cli/main.js');",
      'node imports cli, which is above it',
    ],
    [
      'up, in a type',
      'node/a.ts',
      "type T = import('../control/a.js').T;",
      'node imports control, which is above it',
    ],
    [
      'sideways',
      'lb/a.ts',
      "import { x } from '../crypto/x.js';",
      'lb imports crypto, which is on its own level',
    ],
    [
      'sideways, deep',
      'config/compile/a.ts',
      "import { x } from '../../pipeline/x.js';",
      'config imports pipeline, which is on its own level',
    ],
    [
      'sideways at the top',
      'cli/a.ts',
      "import { x } from '../web/x.js';",
      'cli imports web, which is on its own level',
    ],
    [
      'to nowhere',
      'cli/a.ts',
      "import { x } from '../tools/x.js';",
      'imports tools/x.js, which is in no room',
    ],
    ['a package into model', 'model/a.ts', "import { z } from 'zod';", 'model imports nothing, not zod'],
    [
      'a file system into a pure room',
      'lb/a.ts',
      "import { readFileSync } from 'node:fs';",
      'lb is pure: what node:fs gives must be handed in',
    ],
    [
      'a socket into the pipeline',
      'pipeline/a.ts',
      "import net from 'net';",
      'pipeline is pure: what net gives must be handed in',
    ],
    ['a clock', 'ha/a.ts', 'export const now = Date.now();', 'Date.now: a pure room is handed the world'],
    ['today', 'ha/a.ts', 'export const now = new Date();', 'new Date(): a pure room is handed the clock'],
    ['a timer', 'ike/a.ts', 'setTimeout(() => {}, 1);', 'setTimeout(): a pure room is handed the world'],
    [
      'chance',
      'node/a.ts',
      'export const r = Math.random();',
      'Math.random: a pure room is handed the world',
    ],
    [
      'the environment',
      'config/a.ts',
      "export const e = process.env['A'];",
      'process.env: a pure room is handed the world',
    ],
    [
      'random bytes',
      'crypto/a.ts',
      "import { randomBytes } from 'node:crypto';\nrandomBytes(8);",
      'randomBytes(): a pure room is handed the world',
    ],
  ])('fails on an import or use that runs %s', (_, file, text, message) => {
    const { status, lines } = check({ [file]: `// first line\n${text}\n` });
    expect(status).toBe(1);
    expect(lines).toEqual([`src/${file}:${text.includes('\n') ? 3 : 2}: ${message}`]);
  });

  it('lets imports run down, and the world into the rooms that run for real', () => {
    const { status, lines } = check({
      'index.ts': "export * from './cli/main.js';",
      'cli/main.ts':
        "import { run } from '../control/run.js';\nimport { loadConfig } from '../config/load.js';",
      'control/run.ts': "import { readFileSync } from 'node:fs';\nsetTimeout(() => Date.now(), 1);",
      'lb/table.ts':
        "import type { Prefix } from '../model/prefix.js';\nimport { x } from './x.js';\nconst text = 'Date.now()'; // setTimeout()",
      'pipeline/worker.ts': "import { Worker } from 'node:worker_threads';\nsetImmediate(() => {});",
      'wire/ip.ts': "import { Address } from '../model/address.js';\nconst at = new Date(0);",
    });
    expect([lines, status]).toEqual([[], 0]);
  });

  it('knows every room', () => {
    expect(check({ 'utils/a.ts': '' }).lines[0]).toMatch(
      /^src\/utils\/a\.ts:1: no room utils; rooms are model, /,
    );
  });
});

describe('texts that work anywhere', () => {
  const checkText = (text: string) => {
    const path = join(directory, 'text.md');
    writeFileSync(path, text);
    return spawnSync(process.execPath, [script('clean-text.mjs'), path], { encoding: 'utf8' });
  };

  // put together here so that this file passes the check itself
  const host = ['registry', 'npmjs', 'org'].join('.');
  it.each([
    [`"resolved": "https://${host}/zod"`],
    [`see ${['pypi', 'org'].join('.')}`],
    [`cd ${['', 'home', 'ann', 'penstock'].join('/')}`],
    [`in "${['', 'root', '.npmrc'].join('/')}"`],
  ])('refuses %s', (text) => {
    const { status, stdout } = checkText(`first\n${text}\n`);
    expect(status).toBe(1);
    expect(stdout).toMatch(/text\.md:2: /);
  });

  it('lets others pass', () => {
    expect(
      checkText('git clone https://example.net/penstock\n/var/lib/penstock /run/x\nsee ../home/x\n').status,
    ).toBe(0);
  });
});
