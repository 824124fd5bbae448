/** What the scripts share. Only Node's own modules: they run before anything is installed. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const isCi = !['', '0', 'false', undefined].includes(process.env.CI);
export const jobs = String(availableParallelism());

/** For people; standard output is for results. */
export function say(text) {
  process.stderr.write(`penstock: ${text}\n`);
}

const running = new Set();

/**
 * Runs a program in a process group of its own, which ends when this process is told to, or when timeoutSeconds
 * have passed. Resolves to { code, output, seconds, timedOut }; output is empty when `show` hands it on.
 */
export function run(command, args, { cwd = root, env = {}, timeoutSeconds = 900, show = false, input } = {}) {
  const started = process.hrtime.bigint();
  return new Promise((resolve) => {
    const stdio = [
      input === undefined ? 'ignore' : 'inherit',
      show ? 'inherit' : 'pipe',
      show ? 'inherit' : 'pipe',
    ];
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio, detached: true });
    const chunks = [];
    let timedOut = false;
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));
    const timer = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid, 'SIGKILL');
    }, timeoutSeconds * 1000);
    const done = (code, output) => {
      clearTimeout(timer);
      running.delete(child.pid);
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      resolve({ code, output: output ?? Buffer.concat(chunks).toString('utf8'), seconds, timedOut });
    };
    child.on('error', (error) => done(127, `${command}: ${error.message}`));
    child.on('close', (code, signal) => done(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)));
    if (child.pid !== undefined) running.add(child.pid);
  });
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // it has ended
  }
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]) {
  process.on(signal, () => {
    for (const pid of running) killGroup(pid, signal);
    releaseLocks();
    process.exit(code);
  });
}

/** The full path of a program, or undefined. */
export function which(program) {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, program);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not here
    }
  }
  return undefined;
}

/** The last lines of a program's output, to show what went wrong. */
export function tail(text, lines = 40) {
  return text.trimEnd().split('\n').slice(-lines).join('\n');
}

/** Files below the paths, sorted, without those that skip() names by their path from the root. */
export function filesBelow(paths, skip = () => false) {
  const found = [];
  const visit = (path) => {
    const full = join(root, path);
    if (skip(path) || !existsSync(full)) return;
    if (!statSync(full).isDirectory()) found.push(path);
    else for (const name of readdirSync(full)) visit(`${path}/${name}`);
  };
  for (const path of paths) visit(path);
  return found.sort();
}

/** A digest of the files' names and contents, and of whatever else the result depends on. */
export function digest(files, ...more) {
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.update(more.join('\0')).digest('hex');
}

export function isStamped(stamp, value) {
  try {
    return readFileSync(join(root, stamp), 'utf8') === value;
  } catch {
    return false;
  }
}

export function writeStamp(stamp, value) {
  mkdirSync(dirname(join(root, stamp)), { recursive: true });
  writeFileSync(join(root, stamp), value);
}

const held = new Set();

function releaseLocks() {
  for (const path of held) rmSync(path, { recursive: true, force: true });
  held.clear();
}

/** Runs the function while no other process on this host does so for this clone and name. */
export async function alone(name, work, directory = tmpdir()) {
  const clone = createHash('sha256').update(root).digest('hex').slice(0, 12);
  const path = join(directory, `penstock-${clone}-${name.replaceAll(' ', '-')}.lock`);
  let said = false;
  while (!(await tryLock(path))) {
    if (!said) say(`waiting for another ${name} of this clone`);
    said = true;
    await sleep(250);
  }
  held.add(path);
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
    held.delete(path);
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const holderOf = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

async function tryLock(path) {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    // two that found a dead holder at once may each have removed a file: the one whose file stays has it
    await sleep(20);
    return holderOf(path) === String(process.pid);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const holder = holderOf(path);
  if (holder !== undefined && !isAlive(holder, path)) rmSync(path, { force: true });
  return false;
}

function isAlive(holder, path) {
  try {
    // still being written, unless its writer died just then
    if (holder === '') return Date.now() - statSync(path).mtimeMs < 10_000;
    process.kill(Number(holder), 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
