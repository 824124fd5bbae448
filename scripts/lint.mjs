#!/usr/bin/env node
/** Every check of the sources that runs no code of theirs. Expects the packages and dist/ (scripts/setup.mjs). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { setupOrSay } from './setup.mjs';
import { filesBelow, isCi, jobs, root, run, tail, which } from './support.mjs';

const node = (script, ...args) => run(process.execPath, [join(root, script), ...args]);

/** Debian 12's. */
const clangFormatVersion = 14;

const isNativeBuild = (path) => /^native\/build/.test(path);
const nativeFiles = (pattern) => filesBelow(['native'], isNativeBuild).filter((path) => pattern.test(path));

/** Each resolves to { code, output, note? }, or to a text that says which tool is missing. */
export const checks = [
  { name: 'biome', run: () => node('node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings') },
  {
    name: 'types of the tests',
    run: () => node('node_modules/typescript/bin/tsc', '-p', 'test/tsconfig.json'),
  },
  { name: 'rooms', run: () => node('scripts/rooms.mjs') },
  { name: 'counters up to date', run: () => node('scripts/generate-counters.mjs', '--check') },
  { name: 'schema up to date', run: () => node('scripts/generate-schema.mjs', '--check') },
  { name: 'no hosts and paths of one place', run: () => node('scripts/clean-text.mjs') },
  {
    name: 'clang-format',
    run: async () => {
      if (!which('clang-format')) return 'there is no clang-format: apt-get install clang-format';
      const { output: version } = await run('clang-format', ['--version']);
      if (!version.includes(`version ${clangFormatVersion}.`)) {
        return { code: 0, note: `left out, since versions differ in taste: wants ${clangFormatVersion}` };
      }
      const result = await run('clang-format', ['--dry-run', '-Werror', ...nativeFiles(/\.(cc|h)$/)]);
      // the place is enough: the mend is `clang-format -i`
      const places = result.output.split('\n').filter((line) => line.includes('[-Wclang-format-violations]'));
      return { ...result, output: places.length > 0 ? places.join('\n') : result.output };
    },
  },
];

/** The native linter: minutes, so `npm run tidy` and CI. */
export const tidy = {
  name: 'clang-tidy',
  run: async () => {
    if (!which('clang-tidy')) return 'there is no clang-tidy: apt-get install clang-tidy';
    const build = 'native/build-tidy';
    const configured = await run('cmake', [
      '-S',
      'native',
      '-B',
      build,
      '-DPENSTOCK_ADDON=OFF',
      '-DPENSTOCK_TESTS=OFF',
    ]);
    if (configured.code !== 0) return configured;
    const sources = nativeFiles(/^native\/core\/.*\.cc$/);
    const command = `printf '%s\\0' "$@" | xargs -0 -n 1 -P ${jobs} clang-tidy -p ${build} --quiet`;
    const { code, output } = await run('sh', ['-c', command, 'sh', ...sources]);
    // it counts what it has left out of system headers, which nobody asked for
    return { code, output: output.replace(/^\d+ warnings? generated\.\n/gm, '') };
  },
};

/** Runs the checks one after the other; { passed, failed, skipped: names }. */
export async function lint(which = checks) {
  const result = { passed: 0, failed: 0, skipped: [] };
  for (const check of which) {
    const outcome = await check.run();
    if (typeof outcome === 'string') {
      result.skipped.push(check.name);
      console.log(`- ${check.name}: ${outcome}`);
    } else if (outcome.code === 0) {
      result.passed++;
      console.log(`✓ ${check.name}${outcome.note === undefined ? '' : ` (${outcome.note})`}`);
    } else {
      result.failed++;
      console.log(`✗ ${check.name}\n${tail(outcome.output, 200)}`);
    }
  }
  return result;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  if (!existsSync(join(root, 'dist')) || !args.includes('--no-setup')) await setupOrSay();
  const wanted = args.includes('--tidy') ? [tidy] : checks;
  const { failed, skipped } = await lint(wanted);
  process.exitCode = failed > 0 || (isCi && skipped.length > 0) ? 1 : 0;
}
