#!/usr/bin/env node
/**
 * `npm test`: sets up, checks the sources, runs the native tests and the tests; the last line is the sum. With CI set also
 * the native tests under sanitizers, the fuzz targets and clang-tidy, and a test that was skipped is a failure.
 * Arguments go to vitest, e.g. `npm test -- test/config`, and then nothing else runs.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lint, tidy } from './lint.mjs';
import { fuzz, nativeTests } from './native-tests.mjs';
import { setupOrSay } from './setup.mjs';
import { alone, isCi, root, run } from './support.mjs';

const total = { passed: 0, failed: 0, skipped: [] };

function add({ passed, failed, skipped }) {
  total.passed += passed;
  total.failed += failed;
  total.skipped.push(...skipped);
}

/** Runs vitest over test/; what it prints is shown as it comes. */
async function typescriptTests(args) {
  const result = { passed: 0, failed: 0, skipped: [] };
  if (!existsSync(join(root, 'test'))) return result;
  const scratch = mkdtempSync(join(tmpdir(), 'penstock-test-'));
  const report = join(scratch, 'report.json');
  const { code, timedOut } = await run(
    process.execPath,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--passWithNoTests',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...args,
    ],
    { show: true, timeoutSeconds: 1800 },
  );
  if (timedOut) console.log('✗ the tests were ended: they took more than 30 minutes');
  try {
    const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    result.passed = numPassedTests;
    // a file that cannot be loaded has no tests that could fail
    const broken = testResults.filter(({ status, assertionResults }) => {
      return status === 'failed' && !assertionResults.some((test) => test.status === 'failed');
    });
    result.failed = numFailedTests + broken.length;
    for (const { assertionResults } of testResults) {
      const skipped = assertionResults.filter((test) =>
        ['skipped', 'pending', 'todo', 'disabled'].includes(test.status),
      );
      result.skipped.push(...skipped.map((test) => test.fullName));
    }
  } catch {
    result.failed = 1;
  }
  if (code !== 0 && result.failed === 0) result.failed = 1;
  rmSync(scratch, { recursive: true, force: true });
  return result;
}

const only = process.argv.slice(2);
const ready = await setupOrSay({ forTests: true, forCi: isCi });
if (!ready) total.failed++;
if (only.length > 0) {
  if (ready) add(await typescriptTests(only));
} else if (ready) {
  add(await lint());
  await alone('native test', async () => {
    add(await nativeTests('test', ''));
    if (isCi) {
      add(await lint([tidy]));
      add(await nativeTests('asan', 'address'));
      add(await nativeTests('tsan', 'thread'));
      add(await fuzz(60));
    }
  });
  add(await typescriptTests([]));
}

if (total.skipped.length > 0) {
  console.log(`\nleft out:\n${total.skipped.map((name) => `  ${name}`).join('\n')}`);
  // there everything that a test may need is installed, so one that does not run hides something
  if (isCi) total.failed += total.skipped.length;
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
