/**
 * Two gateways at one address, and BIRD beside each: a router hears of the address from both by BGP and chooses by ECMP, a
 * gateway that is killed takes its routes along. It is examples/bird with assertions.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SasView, Views } from '../../dist/control/show/views.js';
import { requireThat, requireTool } from '../support/requires.js';

process.env.PATH += ':/usr/sbin:/sbin';
const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const lab = new URL('../../examples/bird/lab.sh', import.meta.url).pathname;
const needs = [
  requireThat(process.getuid?.() === 0, 'not root'),
  requireTool('ip', 'iproute2'),
  requireTool('ping', 'iputils-ping'),
  requireTool('bird', 'bird2'),
];
const missing = needs.find((need) => need.missing);

const prefix = `pen${process.pid.toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
const tunnels = Array.from({ length: 16 }, (_, i) => i + 1);
const gateways = ['gw1', 'gw2'] as const;
type Gateway = (typeof gateways)[number];
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly log: () => string;
}

let directory = '';
const running = new Map<string, Running>();

function spawnIn(node: string, command: readonly string[]): Running {
  const child = spawn('ip', ['netns', 'exec', `${prefix}-${node}`, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream!.on('data', (chunk) => (text += chunk));
  const ended = new Promise<number | null>((resolve) => void child.once('close', resolve));
  return { child, ended, log: () => text };
}

function startBird(node: string): void {
  const of = (end: string) => join(directory, `${node}.${end}`);
  running.set(
    `bird-${node}`,
    spawnIn(node, ['bird', '-f', '-c', of('conf'), '-s', of('ctl'), '-P', of('pid')]),
  );
}

function start(node: string): void {
  running.set(node, spawnIn(node, [process.execPath, main, 'run', join(directory, `${node}.yaml`)]));
}

async function stop(name: string, signal: NodeJS.Signals): Promise<number | null> {
  const { child, ended } = running.get(name)!;
  running.delete(name);
  child.kill(signal);
  return await ended;
}

function show<V>(node: string, ...words: string[]): V {
  const args = [main, 'show', ...words, '--json', '--socket', join(directory, `${node}.sock`)];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000 });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as V;
}

interface KernelRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
  readonly nexthops?: readonly { readonly gateway: string }[];
}

function kernelRoutes(node: string, ...which: string[]): KernelRoute[] {
  const args = ['-n', `${prefix}-${node}`, '-json', 'route', 'show', ...which];
  const { stdout } = spawnSync('ip', args, { encoding: 'utf8' });
  return stdout.trim() === '' ? [] : (JSON.parse(stdout) as KernelRoute[]);
}

const hopsOf = (routes: readonly KernelRoute[]): string[] =>
  routes.flatMap(({ gateway, nexthops }) => nexthops?.map((hop) => hop.gateway) ?? [gateway ?? '']).sort();

/** Where the router sends packets to the prefix. */
const nextHops = (to: string): string[] => hopsOf(kernelRoutes('router', to));

/** Where it sends packets to each client, by its tunnel. */
function clientHops(): Map<number, string[]> {
  const routes = kernelRoutes('router').filter(({ dst }) => dst.startsWith('192.168.10.'));
  return new Map(routes.map((route) => [Number(route.dst.split('.').at(-1)), hopsOf([route])]));
}

/** From the client of a tunnel to its server; resolves to what was lost. */
async function ping(tunnel: number, count: number, intervalSeconds = 0.05) {
  const { ended, log } = spawnIn('client', [
    'ping',
    '-q',
    '-c',
    String(count),
    '-i',
    String(intervalSeconds),
    '-W',
    '1',
    '-I',
    `192.168.10.${tunnel}`,
    `203.0.113.${tunnel}`,
  ]);
  await ended;
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(log()) ?? ['', '0', '0'];
  return { sent: Number(sent), received: Number(received), lost: Number(sent) - Number(received) };
}

/** Packets that each tunnel brought to a gateway, by the tunnel's number. */
function opened(gateway: Gateway): Map<number, number> {
  const { securityAssociations } = show<SasView>(gateway, 'sa');
  return new Map(
    securityAssociations
      .filter(({ direction }) => direction === 'inbound')
      .map(({ vpn, packets }) => [Number(vpn.replace('enb', '')), Number(packets)]),
  );
}

async function until(holds: () => boolean | Promise<boolean>, mostMs: number): Promise<boolean> {
  const end = performance.now() + mostMs;
  while (performance.now() < end) {
    if (await holds()) return true;
    await sleep(50);
  }
  return false;
}

const logs = () => [...running].map(([name, { log }]) => `${name}: ${log()}`).join('\n');
const both = ['10.1.1.2', '10.1.2.2'];

describe.skipIf(missing !== undefined)(`two gateways at one address, by BGP${missing?.note ?? ''}`, () => {
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'penstock-bird-'));
    const made = spawnSync(lab, ['up', prefix, directory], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(made.stderr);
    for (const node of ['router', ...gateways]) startBird(node);
    for (const node of [...gateways, 'enb']) start(node);
    const learned = await until(() => nextHops('10.0.0.1').length === 2, 30_000);
    if (!learned) throw new Error(`the router has not heard of 10.0.0.1 from both\n${logs()}`);
    const carried = await until(async () => (await ping(1, 1)).received === 1, 20_000);
    if (!carried) throw new Error(`no answer from the server\n${logs()}`);
  }, 90_000);

  afterAll(async () => {
    for (const name of [...running.keys()]) await stop(name, 'SIGTERM');
    spawnSync(lab, ['down', prefix]);
    if (directory !== '') rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  it('the router hears of it from both, and each gateway of what the router knows', () => {
    expect(nextHops('10.0.0.1')).toEqual(both);
    for (const gateway of gateways) {
      const own = kernelRoutes(gateway, 'table', '100').filter(({ dst }) => dst === '10.0.0.1');
      expect(own).toMatchObject([{ dev: 'penstock0', protocol: '200' }]);
      const { routes } = show<Views['route']>(gateway, 'route');
      const number = gateway.at(-1);
      expect(routes.filter(({ protocol }) => protocol === 'kernel')).toMatchObject([
        { prefix: `10.1.${number}.3/32`, nextHop: 'Discard', active: true },
        { prefix: '10.20.0.0/16', nextHop: `10.1.${number}.1`, via: 'ge-0/0/0.0', active: true },
      ]);
    }
  });

  it('what goes there is balanced over both, and comes back by the gateway that has the tunnel', async () => {
    // the first packet of a tunnel shows where it is; the router has its way back a moment later
    await Promise.all(tunnels.map((tunnel) => ping(tunnel, 1)));
    await until(() => clientHops().size === tunnels.length, 10_000);
    const before = gateways.map(opened);
    const results = await Promise.all(tunnels.map((tunnel) => ping(tunnel, 10, 0.02)));
    expect(results.map(({ received }) => received)).toEqual(tunnels.map(() => 10));
    const [gw1, gw2] = gateways.map((gateway, i) =>
      tunnels.filter((tunnel) => opened(gateway).get(tunnel)! > before[i]!.get(tunnel)!),
    );
    // all sixteen on one would be a chance of 1 to 32,768
    expect(gw1!.length).toBeGreaterThan(0);
    expect(gw2!.length).toBeGreaterThan(0);
    expect([...gw1!, ...gw2!].sort((a, b) => a - b)).toEqual(tunnels);
    const hops = clientHops();
    for (const tunnel of tunnels)
      expect(hops.get(tunnel)).toEqual([gw1!.includes(tunnel) ? '10.2.1.2' : '10.2.2.2']);
  }, 60_000);

  it('a gateway that is killed takes its routes along, and ≤ 1 s of its traffic is lost', async () => {
    const hops = clientHops();
    const mine = tunnels.filter((tunnel) => hops.get(tunnel)?.[0] === '10.2.1.2').slice(0, 3);
    const others = tunnels.filter((tunnel) => hops.get(tunnel)?.[0] === '10.2.2.2').slice(0, 2);
    const pings = Promise.all([...mine, ...others].map((tunnel) => ping(tunnel, 400, 0.01)));
    await sleep(1500);
    await stop('gw1', 'SIGKILL');
    expect(kernelRoutes('gw1', 'table', '100')).toEqual([]);
    expect(await until(() => nextHops('10.0.0.1').length === 1, 5000)).toBe(true);
    expect(nextHops('10.0.0.1')).toEqual(['10.1.2.2']);
    const results = await pings;
    // 100 pings are a second of them: sent at 10 ms at the least
    for (const { sent, lost } of results.slice(0, mine.length)) {
      expect(sent).toBe(400);
      expect(lost).toBeLessThanOrEqual(100);
    }
    expect(results.slice(mine.length).map(({ lost }) => lost)).toEqual(others.map(() => 0));
    const after = clientHops();
    for (const tunnel of mine) expect(after.get(tunnel)).toEqual(['10.2.2.2']);
    const links = spawnSync('ip', ['-n', `${prefix}-gw1`, '-br', 'link'], { encoding: 'utf8' }).stdout;
    expect(links).not.toContain('penstock0');
  }, 60_000);

  it('works at once when it is started again', async () => {
    start('gw1');
    expect(await until(() => nextHops('10.0.0.1').length === 2, 20_000)).toBe(true);
    expect(nextHops('10.0.0.1')).toEqual(both);
    expect(await until(async () => (await ping(1, 5)).received === 5, 20_000)).toBe(true);
  }, 60_000);

  it('a gateway that is stopped withdraws its routes first', async () => {
    const pings = Promise.all(tunnels.slice(0, 6).map((tunnel) => ping(tunnel, 250, 0.01)));
    await sleep(1000);
    expect(await stop('gw1', 'SIGTERM')).toBe(0);
    expect(kernelRoutes('gw1', 'table', '100')).toEqual([]);
    expect(await until(() => nextHops('10.0.0.1').length === 1, 5000)).toBe(true);
    for (const { lost } of await pings) expect(lost).toBeLessThanOrEqual(100);
  }, 60_000);
});
