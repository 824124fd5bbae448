/** The native tests: ctest, the same under sanitizers, and the fuzz targets. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jobs, root, run, tail, which } from './support.mjs';

const none = () => ({ passed: 0, failed: 0, skipped: [] });

/**
 * Builds the native tests and runs them. sanitize: '', 'address' (with undefined) or 'thread'. Without, the tests are built
 * where set-up has built the addon, so that nothing is compiled twice.
 */
export async function nativeTests(name, sanitize) {
  const result = none();
  if (!existsSync(join(root, 'native/CMakeLists.txt'))) return result;
  const build = sanitize === '' ? 'native/build' : `native/build-${name}`;
  const failed = (what, output) => {
    console.log(`✗ native tests (${name}): ${what}\n${tail(output, 80)}`);
    return { ...result, failed: result.failed + 1 };
  };
  const flags = sanitize === '' ? [] : ['-DPENSTOCK_ADDON=OFF', `-DPENSTOCK_SANITIZE=${sanitize}`];
  const configured = await configure(build, ['-DPENSTOCK_TESTS=ON', ...flags]);
  if (configured.code !== 0) return failed('cmake', configured.output);
  const built = await run('cmake', ['--build', build, '--parallel', jobs], { timeoutSeconds: 2400 });
  if (built.code !== 0) return failed('build', built.output);
  const env = {
    ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
    TSAN_OPTIONS: 'second_deadlock_stack=1',
  };
  const args = ['--test-dir', build, '--output-on-failure', '--timeout', '300', '-j', jobs];
  const { code, output, seconds } = await run('ctest', args, { env, timeoutSeconds: 1800 });
  const summary = /(\d+) tests failed out of (\d+)/.exec(output);
  if (summary === null) {
    return code === 0 || /No tests were found/.test(output) ? result : failed('ctest', output);
  }
  result.failed = Number(summary[1]);
  // ctest counts a test that skipped itself among those that passed
  result.skipped = [...output.matchAll(/^\s*\d+ - (\S+) \(Skipped\)/gm)].map(([, test]) => `native ${test}`);
  result.passed = Number(summary[2]) - result.failed - result.skipped.length;
  const mark = result.failed === 0 ? '✓' : '✗';
  console.log(`${mark} native tests (${name}): ${result.passed} of ${summary[2]}, ${Math.round(seconds)} s`);
  if (result.failed > 0) console.log(tail(output, 120));
  return result;
}

/** Runs each libFuzzer target for so many seconds, two at a time; each counts as a test. */
export async function fuzz(seconds) {
  const result = none();
  const targets = existsSync(join(root, 'native/fuzz'))
    ? readdirSync(join(root, 'native/fuzz')).flatMap((file) => /^(\w+)_fuzz\.cc$/.exec(file)?.[1] ?? [])
    : [];
  if (targets.length === 0) return result;
  if (!which('clang++')) {
    console.log('- fuzz targets: there is no clang++: apt-get install clang libclang-rt-14-dev');
    return { ...result, skipped: targets.map((name) => `fuzz ${name}`) };
  }
  const build = 'native/build-fuzz';
  const flags = [
    '-DCMAKE_C_COMPILER=clang',
    '-DCMAKE_CXX_COMPILER=clang++',
    '-DPENSTOCK_FUZZ=ON',
    '-DPENSTOCK_ADDON=OFF',
    '-DPENSTOCK_SANITIZE=address',
  ];
  const configured = await configure(build, flags);
  const built =
    configured.code === 0
      ? await run('cmake', ['--build', build, '--parallel', jobs], { timeoutSeconds: 2400 })
      : configured;
  if (built.code !== 0) {
    console.log(`✗ fuzz targets do not build\n${tail(built.output, 80)}`);
    return { ...result, failed: targets.length };
  }
  const binaries = new Map(findBinaries(join(root, build)).map((path) => [path.split('/').at(-1), path]));
  const queue = [...targets];
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const ok = await fuzzOne(name, binaries.get(`${name}_fuzz`), seconds);
      if (ok) result.passed++;
      else result.failed++;
    }
  };
  await Promise.all([worker(), worker()]);
  return result;
}

async function fuzzOne(name, binary, seconds) {
  if (binary === undefined) {
    console.log(`✗ fuzz ${name}: no target ${name}_fuzz in any CMakeLists.txt`);
    return false;
  }
  const scratch = mkdtempSync(join(tmpdir(), `penstock-fuzz-${name}-`));
  mkdirSync(join(scratch, 'found'));
  const seeds = join(root, 'native/fuzz/corpus', name);
  const args = [
    `-max_total_time=${seconds}`,
    '-rss_limit_mb=1024',
    '-timeout=10',
    `-artifact_prefix=${scratch}/`,
  ];
  args.push(join(scratch, 'found'), ...(existsSync(seeds) ? [seeds] : []));
  const { code, output } = await run(binary, args, { cwd: scratch, timeoutSeconds: seconds + 120 });
  const runs = /Done (\d+) runs/.exec(output)?.[1];
  if (code === 0) {
    console.log(`✓ fuzz ${name}: ${runs ?? '?'} runs in ${seconds} s`);
    rmSync(scratch, { recursive: true, force: true });
  } else {
    console.log(`✗ fuzz ${name}: the input that fails is in ${scratch}\n${tail(output, 60)}`);
  }
  return code === 0;
}

function configure(build, flags) {
  return run('cmake', ['-S', 'native', '-B', build, ...flags]);
}

function findBinaries(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === 'CMakeFiles' ? [] : findBinaries(path);
    return entry.name.endsWith('_fuzz') ? [path] : [];
  });
}
