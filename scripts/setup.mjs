#!/usr/bin/env node
/**
 * Makes a clone ready to run: system packages where this is root and apt is there, npm packages, the native core,
 * TypeScript. Does only what is missing or stale, and says nothing when that is nothing.
 *
 *   node scripts/setup.mjs               what `npm start` needs
 *   node scripts/setup.mjs --for-tests   and what the tests need
 */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  alone,
  digest,
  filesBelow,
  isStamped,
  jobs,
  root,
  run,
  say,
  tail,
  which,
  writeStamp,
} from './support.mjs';

class SetupError extends Error {}

/** What the native build needs, by Debian's names. */
const buildPackages = [
  { name: 'g++', isThere: () => which('g++') ?? which('clang++') ?? which('c++') },
  { name: 'make', isThere: () => which('make') ?? which('ninja') },
  { name: 'cmake', isThere: () => which('cmake') },
];

/** What the XDP program is built with; without it there are no AF_XDP ports. */
const xdpPackages = [
  { name: 'clang', isThere: () => which('clang') },
  { name: 'bpftool', isThere: () => which('bpftool') ?? existsSync('/usr/sbin/bpftool') },
  { name: 'libbpf-dev', isThere: () => existsSync('/usr/include/bpf/skel_internal.h') },
];

const hasCharonPlugin = (name) => existsSync(`/usr/lib/ipsec/plugins/libstrongswan-${name}.so`);

/** What some tests need; without it they are skipped, which CI counts as a failure. */
const testPackages = [
  { name: 'iproute2', isThere: () => which('ip') },
  { name: 'iputils-ping', isThere: () => which('ping') },
  { name: 'iperf3', isThere: () => which('iperf3') },
  { name: 'ethtool', isThere: () => which('ethtool') },
  { name: 'bird2', isThere: () => which('bird') ?? ['/usr/sbin/bird'].find(existsSync) },
  { name: 'strongswan-swanctl', isThere: () => which('swanctl') ?? existsSync('/usr/sbin/swanctl') },
  { name: 'strongswan-charon', isThere: () => existsSync('/usr/lib/ipsec/charon') },
  { name: 'libcharon-extra-plugins', isThere: () => hasCharonPlugin('kernel-libipsec') },
  { name: 'libstrongswan-standard-plugins', isThere: () => hasCharonPlugin('openssl') },
  { name: 'libstrongswan-extra-plugins', isThere: () => hasCharonPlugin('curve25519') },
  { name: 'frr', isThere: () => existsSync('/usr/lib/frr/bfdd') },
  { name: 'tshark', isThere: () => which('tshark') },
  // the native tests are no Node.js, which brings OpenSSL along
  { name: 'libssl-dev', isThere: () => existsSync('/usr/include/openssl/evp.h') },
  { name: 'python3-scapy', isThere: () => hasPython('scapy') },
  { name: 'python3-cryptography', isThere: () => hasPython('cryptography') },
];

/** What CI adds to the tests: fuzzing, formatting, the native linter. */
const ciPackages = [
  { name: 'clang', isThere: () => which('clang++') },
  { name: 'libclang-rt-14-dev', isThere: hasFuzzer },
  { name: 'clang-format', isThere: () => which('clang-format') },
  { name: 'clang-tidy', isThere: () => which('clang-tidy') },
];

function hasPython(module) {
  const places = ['/usr/lib/python3/dist-packages'];
  return places.some((place) => existsSync(join(place, module)));
}

function hasFuzzer() {
  const versions = (directory) => (existsSync(directory) ? readdirSync(directory) : []);
  return versions('/usr/lib')
    .filter((name) => name.startsWith('llvm-'))
    .flatMap((llvm) =>
      versions(`/usr/lib/${llvm}/lib/clang`).map((v) => `/usr/lib/${llvm}/lib/clang/${v}/lib/linux`),
    )
    .some((directory) => versions(directory).some((name) => name.startsWith('libclang_rt.fuzzer')));
}

/** Does what is missing. Throws SetupError with what to do about it. */
export async function setup({ forTests = false, forCi = false } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`needs Node 20.19 or later; this is ${process.versions.node}`);
  }
  await alone('set-up', async () => {
    const progress = new Progress();
    try {
      await systemPackages(progress, forTests, forCi);
      await npmPackages(progress);
      await nativeCore(progress);
      await compileTypeScript(progress);
    } finally {
      progress.end();
    }
  });
}

/** `penstock: setting up (once): packages 14 s, native core 9 s`, written as it goes. */
class Progress {
  #steps = 0;

  async step(name, work) {
    process.stderr.write(this.#steps === 0 ? 'penstock: setting up (once): ' : ', ');
    this.#steps++;
    process.stderr.write(name);
    const started = process.hrtime.bigint();
    const result = await work();
    process.stderr.write(` ${Math.round(Number(process.hrtime.bigint() - started) / 1e9)} s`);
    return result;
  }

  end() {
    if (this.#steps > 0) process.stderr.write('\n');
    this.#steps = 0;
  }
}

const missingOf = (packages) => packages.filter(({ isThere }) => !isThere()).map(({ name }) => name);

async function systemPackages(progress, forTests, forCi) {
  const wanted = [
    ...buildPackages,
    ...(isNativeFresh() ? [] : xdpPackages),
    ...(forTests ? testPackages : []),
    ...(forCi ? ciPackages : []),
  ];
  const missing = missingOf(wanted);
  if (missing.length === 0) return;
  if (process.getuid?.() === 0 && which('apt-get')) {
    await progress.step('system packages', () => aptInstall(missing));
  }
  const required = missingOf(buildPackages);
  if (required.length > 0) {
    throw new SetupError(
      `the native core needs ${required.join(', ')}: apt-get install ${required.join(' ')}`,
    );
  }
  const left = missingOf(wanted.filter((each) => !xdpPackages.includes(each)));
  if (left.length > 0) {
    progress.end();
    say(`tests that need ${left.join(', ')} are left out: apt-get install ${left.join(' ')}`);
  }
}

async function aptInstall(packages) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const options = [
    '-o',
    'Acquire::Retries=1',
    '-o',
    'Acquire::http::Timeout=20',
    '-o',
    'DPkg::Lock::Timeout=120',
  ];
  const install = ['apt-get', ['install', '-y', '-q', '--no-install-recommends', ...options]];
  const all = await run(install[0], [...install[1], ...packages], { env });
  if (all.code === 0) return;
  // the lists may be old or missing; then one by one, so that one that is not there keeps no other away
  await run('apt-get', ['update', '-q', ...options], { env });
  for (const name of packages) await run(install[0], [...install[1], name], { env });
}

async function npmPackages(progress) {
  const stamp = 'node_modules/.penstock-packages';
  const value = digest(['package-lock.json']);
  if (isStamped(stamp, value) || installedByHand()) return;
  await progress.step('packages', async () => {
    const npm = process.env.npm_execpath;
    // the tools to build with are there for production, too
    const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
    const { code, output } = npm?.endsWith('npm-cli.js')
      ? await run(process.execPath, [npm, ...args])
      : await run('npm', args);
    if (code !== 0) throw new SetupError(`npm ci failed:\n${tail(output)}`);
    writeStamp(stamp, value);
  });
}

/** Someone ran npm install: npm's own record is no older than the lock file. */
function installedByHand() {
  const record = join(root, 'node_modules/.package-lock.json');
  return existsSync(record) && statSync(record).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

const isNativeSource = (path) => !/^native\/(build[^/]*|test|fuzz|bench)(\/|$)/.test(path);

const nativeStamp = 'native/build/.penstock-sources';

/** Of the sources, and of whether the XDP program can be built: tools that come later are a reason to build again. */
function nativeDigest() {
  const files = filesBelow(['native'], (path) => !isNativeSource(path));
  const xdp = missingOf(xdpPackages).length === 0 ? 'xdp' : 'no xdp';
  return digest([...files, 'package-lock.json'], process.arch, root, xdp);
}

const isNativeFresh = () =>
  isStamped(nativeStamp, nativeDigest()) && existsSync(join(root, 'native/build/Release/penstock.node'));

async function nativeCore(progress) {
  if (!existsSync(join(root, 'native/addon/CMakeLists.txt')) || isNativeFresh()) return;
  await progress.step('native core', async () => {
    const tool = join(root, 'node_modules/cmake-js/bin/cmake-js');
    const args = [
      'compile',
      '--directory',
      'native',
      '--out',
      'native/build',
      '--parallel',
      jobs,
      '--log-level',
      'warn',
      // npm test turns them on in the same place
      '--CDPENSTOCK_TESTS=OFF',
    ];
    const { code, output } = await run(process.execPath, [tool, ...args]);
    if (code !== 0) throw new SetupError(`the native core does not build:\n${tail(output, 60)}`);
    writeStamp(nativeStamp, nativeDigest());
  });
  const missing = missingOf(xdpPackages);
  if (missing.length > 0) {
    progress.end();
    say(`AF_XDP ports are left out: apt-get install ${missing.join(' ')}, then npm run setup`);
  }
}

async function compileTypeScript(progress) {
  const stamp = 'dist/.penstock-sources';
  const files = filesBelow(['src', 'bench'], (path) => path.includes('.') && !path.endsWith('.ts'));
  const value = digest([...files, 'tsconfig.json', 'package-lock.json']);
  if (isStamped(stamp, value)) return;
  await progress.step('TypeScript', async () => {
    for (const project of ['tsconfig.json', 'bench/tsconfig.json']) {
      const { code, output } = await run(process.execPath, [
        join(root, 'node_modules/typescript/bin/tsc'),
        '-p',
        project,
      ]);
      if (code !== 0) throw new SetupError(`TypeScript does not compile:\n${tail(output)}`);
    }
    removeOrphans();
    writeStamp(stamp, value);
  });
}

/** Compiled files whose source is gone would still be found by an import. */
function removeOrphans() {
  for (const file of filesBelow(['dist'])) {
    const stem = /^dist\/(.*?)\.(js|d\.ts|js\.map)$/.exec(file)?.[1];
    if (stem === undefined) continue;
    const source = stem.startsWith('bench/') ? `${stem}.ts` : `src/${stem}.ts`;
    if (!existsSync(join(root, source))) rmSync(join(root, file));
  }
}

/** Sets up and returns true, or says why not. */
export async function setupOrSay(options) {
  try {
    await setup(options);
    return true;
  } catch (error) {
    say(error instanceof SetupError ? error.message : error.stack);
    return false;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const args = process.argv.slice(2);
  const done = await setupOrSay({ forTests: args.includes('--for-tests'), forCi: args.includes('--for-ci') });
  process.exitCode = done ? 0 : 1;
}
