/** Namespaces with names of their own, processes in them, and nodes. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireThat, requireTool } from '../support/requires.js';

export const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const needs = [
  requireThat(process.getuid?.() === 0, 'not root'),
  requireTool('ip', 'iproute2'),
  requireTool('ping', 'iputils-ping'),
  requireTool('iperf3'),
  requireTool('ethtool'),
];
/** What is missing of what these tests need. */
export const missing = needs.find((need) => need.missing);

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly log: () => string;
}

export async function until(holds: () => boolean | Promise<boolean>, mostMs: number): Promise<boolean> {
  const end = performance.now() + mostMs;
  while (performance.now() < end) {
    if (await holds()) return true;
    await sleep(20);
  }
  return false;
}

export function ip(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync('ip', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr}`);
  return stdout;
}

export class Namespaces {
  /** 15 characters at most are left for an interface, none of which has it in its name; namespaces may be longer */
  readonly prefix = `pt${process.pid.toString(36)}${Math.floor(Math.random() * 46_656).toString(36)}`;
  /** configurations, keys and control sockets */
  readonly directory = mkdtempSync(join(tmpdir(), 'penstock-netns-'));
  readonly nodes = new Map<string, Running>();

  /** The namespace's whole name, for ip -n. */
  of(name: string): string {
    return `${this.prefix}-${name}`;
  }

  spawn(namespace: string, command: readonly string[]): Running {
    const child = spawn('ip', ['netns', 'exec', this.of(namespace), ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream!.on('data', (chunk) => (text += chunk));
    const ended = new Promise<number | null>((resolve) => void child.once('close', (code) => resolve(code)));
    return { child, ended, log: () => text };
  }

  /** A node by the file of its name. */
  start(node: string): Running {
    const started = this.spawn(node, [process.execPath, main, 'run', join(this.directory, `${node}.yaml`)]);
    this.nodes.set(node, started);
    return started;
  }

  /** The exit codes. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<(number | null)[]> {
    const ending = [...this.nodes.values()];
    this.nodes.clear();
    // of ip netns exec, which becomes the node
    for (const { child } of ending) child.kill(signal);
    return await Promise.all(ending.map(({ ended }) => ended));
  }

  async ping(from: string, to: string, ...options: string[]): Promise<boolean> {
    const { ended } = this.spawn(from, ['ping', '-q', '-c', '1', '-W', '1', ...options, to]);
    return (await ended) === 0;
  }

  show<V>(node: string, what: string): V {
    const words = [main, 'show', what, '--json', '--socket', join(this.directory, `${node}.sock`)];
    const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 });
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as V;
  }

  removeDirectory(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}
