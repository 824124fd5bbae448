#!/usr/bin/env node
/**
 * `npm test`: sets up, checks the sources, runs the native tests and the tests; the last line is the sum. With CI set also
 * the native tests under sanitizers, the fuzz targets and clang-tidy, the tests without namespaces on later versions of Node,
 * and a test that was skipped is a failure.
 * Arguments go to vitest, e.g. `npm test -- test/config`, and then nothing else runs.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { lint, tidy } from './lint.mjs';
import { fuzz, nativeTests } from './native-tests.mjs';
import { setupOrSay } from './setup.mjs';
import { alone, isCi, root, run, tail } from './support.mjs';

const total = { passed: 0, failed: 0, skipped: [] };

function add({ passed, failed, skipped }) {
  total.passed += passed;
  total.failed += failed;
  total.skipped.push(...skipped);
}

/** The tests in network namespaces. */
const namespaces = 'test/netns/**';

/** Node's versions that the tests run on in CI, besides the one that runs this. */
const otherNodes = [22, 24].filter((major) => major !== Number(process.versions.node.split('.')[0]));

/** Runs vitest over test/; what it prints is shown as it comes. */
async function typescriptTests(args, { node = process.execPath, timeoutSeconds = 1800 } = {}) {
  const result = { passed: 0, failed: 0, skipped: [] };
  if (!existsSync(join(root, 'test'))) return result;
  const scratch = mkdtempSync(join(tmpdir(), 'penstock-test-'));
  const report = join(scratch, 'report.json');
  const { code, timedOut } = await run(
    node,
    [
      join(root, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--passWithNoTests',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...args,
    ],
    // what tests start by name is of the same version
    { show: true, timeoutSeconds, env: { PATH: `${dirname(node)}${delimiter}${process.env.PATH}` } },
  );
  if (timedOut) console.log(`✗ the tests were ended: they took more than ${timeoutSeconds / 60} minutes`);
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

/**
 * The tests on another version of Node (the npm package `node`), with the addon that is built already: it is made for
 * Node-API 8, which all have. Namespaces are Node's business least of all, and take the most time: they are left out.
 */
async function testsOnNode(major) {
  const directory = mkdtempSync(join(tmpdir(), `penstock-node-${major}-`));
  try {
    const install = [
      'install',
      '--prefix',
      directory,
      '--no-save',
      '--no-audit',
      '--no-fund',
      `node@${major}`,
    ];
    const npm = process.env.npm_execpath;
    const { code, output } = npm?.endsWith('npm-cli.js')
      ? await run(process.execPath, [npm, ...install], { cwd: directory })
      : await run('npm', install, { cwd: directory });
    const node = join(directory, 'node_modules/node/bin/node');
    if (code !== 0 || !existsSync(node)) {
      console.log(`✗ Node ${major} cannot be installed:\n${tail(output)}`);
      return { passed: 0, failed: 1, skipped: [] };
    }
    console.log(`\nthe tests on Node ${major}`);
    const result = await typescriptTests(['--exclude', namespaces], { node, timeoutSeconds: 900 });
    const skipped = result.skipped.map((name) => `Node ${major}: ${name}`);
    console.log(`Node ${major}: ${result.passed} passed, ${result.failed} failed`);
    return { ...result, skipped };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
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
  add(await typescriptTests(['--exclude', namespaces]));
  // one by one: nodes, kernels and clients of a network want the processors to themselves
  add(await typescriptTests(['test/netns', '--no-file-parallelism']));
  if (isCi) for (const major of otherNodes) add(await testsOnNode(major));
}

if (total.skipped.length > 0) {
  console.log(`\nleft out:\n${total.skipped.map((name) => `  ${name}`).join('\n')}`);
  // there everything that a test may need is installed, so one that does not run hides something
  if (isCi) total.failed += total.skipped.length;
}
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
