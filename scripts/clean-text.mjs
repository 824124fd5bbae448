#!/usr/bin/env node
/**
 * No tracked file names a package registry's host or a path of one machine: a clone works anywhere.
 *
 *   node scripts/clean-text.mjs [FILE…]    prints file:line: what is wrong; exit 1 when there is something
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, run } from './support.mjs';

// put together here so that this file passes its own check
const hosts = [
  'registry[.][a-z0-9-]+[.][a-z]{2,}',
  'npmjs[.](?:org|com)',
  'pypi[.]org',
  'pythonhosted[.]org',
  'deb[.]debian[.]org',
];
const homes = ['home', 'Users', 'root', 'work'].map((name) => `/${name}/[A-Za-z0-9._-]+`);
const patterns = [
  { what: "a package registry's host", pattern: new RegExp(hosts.join('|'), 'i') },
  { what: 'a path of one machine', pattern: new RegExp(`(?:^|[\\s"'\`(=:,])(?:${homes.join('|')})`) },
];

/** Problems in one file's text. */
export function checkText(file, text) {
  const problems = [];
  text.split('\n').forEach((line, i) => {
    for (const { what, pattern } of patterns) {
      const match = pattern.exec(line);
      if (match !== null) problems.push(`${file}:${i + 1}: ${what}: ${match[0].trim()}`);
    }
  });
  return problems;
}

/** Problems in every tracked text file; none where this is no git clone. */
export async function checkTracked() {
  const { code, output } = await run('git', ['ls-files', '-z']);
  if (code !== 0) return [];
  const files = output.split('\0').filter((file) => file !== '' && !/(^|\/)vectors\//.test(file));
  return files.flatMap((file) => {
    try {
      const text = readFileSync(join(root, file), 'utf8');
      return text.includes('\0') ? [] : checkText(file, text);
    } catch {
      return []; // removed and not yet committed
    }
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const files = process.argv.slice(2);
  const problems =
    files.length > 0
      ? files.flatMap((file) => checkText(file, readFileSync(file, 'utf8')))
      : await checkTracked();
  for (const problem of problems) console.log(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
