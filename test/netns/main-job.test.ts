/**
 * The main job on real packets: kernel hosts and four nodes in network namespaces, packet sockets on veth pairs. It is
 * examples/netns with assertions.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SasView, Views } from '../../dist/control/show/views.js';
import { requireThat, requireTool } from '../support/requires.js';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const lab = new URL('../../examples/netns/lab.sh', import.meta.url).pathname;
const needs = [
  requireThat(process.getuid?.() === 0, 'not root'),
  requireTool('ip', 'iproute2'),
  requireTool('ping', 'iputils-ping'),
  requireTool('iperf3'),
];
const missing = needs.find((need) => need.missing);

// 15 characters at most are left for an interface, none of which has it in its name; namespaces may be longer
const prefix = `pen${process.pid.toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
const server = { inet: '203.0.113.2', inet6: '2001:db8:ffff::2' } as const;
type Family = keyof typeof server;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

let directory = '';
const nodes = new Map<string, { child: ChildProcess; ended: Promise<number | null>; log: () => string }>();
const others: ChildProcess[] = [];

const inside = (node: string, command: string[]) => ['ip', 'netns', 'exec', `${prefix}-${node}`, ...command];

function spawnIn(node: string, command: string[]) {
  const [program, ...args] = inside(node, command);
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream!.on('data', (chunk) => (text += chunk));
  const ended = new Promise<number | null>((resolve) => void child.once('close', (code) => resolve(code)));
  return { child, ended, log: () => text };
}

function start(node: string): void {
  nodes.set(node, spawnIn(node, [process.execPath, main, 'run', join(directory, `${node}.yaml`)]));
}

async function stop(node: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  const running = nodes.get(node)!;
  nodes.delete(node);
  running.child.kill(signal);
  return await running.ended;
}

/** From the client; the part of answers that came, 0 to 1. */
async function ping(family: Family, count: number, intervalSeconds = 0.05): Promise<number> {
  const { ended, log } = spawnIn('client', [
    'ping',
    family === 'inet' ? '-4' : '-6',
    '-q',
    '-c',
    String(count),
    '-i',
    String(intervalSeconds),
    '-W',
    '1',
    server[family],
  ]);
  await ended;
  const received = / (\d+) received/.exec(log());
  return received === null ? 0 : Number(received[1]) / count;
}

let nextPort = 5300;

/** A transfer with a server of its own, from the client. */
async function iperf(family: Family, args: readonly string[]) {
  const port = String(nextPort++);
  const listener = spawnIn('server', ['iperf3', '-s', '-1', '--forceflush', '-p', port]);
  others.push(listener.child);
  await until(async () => listener.log().includes('listening'), 10_000);
  const { ended, log } = spawnIn('client', ['iperf3', '-J', '-c', server[family], '-p', port, ...args]);
  await ended;
  listener.child.kill('SIGKILL');
  const report = JSON.parse(log());
  const intervals: { sum: { bytes: number } }[] = report.intervals ?? [];
  return {
    bytes: intervals.reduce((total, { sum }) => total + sum.bytes, 0),
    error: report.error as string | undefined,
    bytesPerInterval: intervals.map(({ sum }) => sum.bytes),
  };
}

function show<V>(node: string, ...words: string[]): V {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [main, 'show', ...words, '--json', '--socket', join(directory, `${node}.sock`)],
    {
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as V;
}

const runs = (node: string) => nodes.get(node)!.log().includes(`${node} runs`);

/** Inbound packets of each gateway's tunnel of this family. */
function opened(node: string, family: Family): number {
  const { securityAssociations } = show<SasView>(node, 'sa');
  return securityAssociations
    .filter(({ direction, vpn }) => direction === 'inbound' && vpn === `enb-${family}`)
    .reduce((sum, { packets }) => sum + Number(packets), 0);
}

async function until(holds: () => Promise<boolean>, mostMs: number): Promise<boolean> {
  const end = Date.now() + mostMs;
  while (Date.now() < end) {
    if (await holds()) return true;
    await sleep(50);
  }
  return false;
}

describe.skipIf(missing !== undefined)(
  `the main job between network namespaces${missing?.note ?? ''}`,
  () => {
    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'penstock-netns-'));
      const made = spawnSync(lab, ['up', prefix, directory], { encoding: 'utf8' });
      if (made.status !== 0) throw new Error(made.stderr);
      for (const node of ['tlb1', 'gw1', 'gw2', 'enb']) start(node);
      const up = await until(
        async () => (await ping('inet', 1)) === 1 && (await ping('inet6', 1)) === 1,
        30_000,
      );
      if (!up)
        throw new Error(
          `no answer from the server\n${[...nodes.values()].map(({ log }) => log()).join('\n')}`,
        );
    }, 90_000);

    afterAll(async () => {
      for (const node of [...nodes.keys()]) await stop(node);
      for (const child of others) child.kill('SIGKILL');
      spawnSync(lab, ['down', prefix]);
      if (directory !== '') rmSync(directory, { recursive: true, force: true });
    }, 60_000);

    it.each(['inet', 'inet6'] as const)('carries pings, %s', async (family) => {
      expect(await ping(family, 20)).toBe(1);
      expect(opened('gw1', family) + opened('gw2', family)).toBeGreaterThanOrEqual(20);
    });

    it('seals what it carries: nothing but ESP to the virtual address passes the access link', () => {
      const { filters } = show<Views['counters']>('tlb1', 'counters');
      const count = (family: string, counter: string) =>
        Number(filters.find((each) => each.family === family && each.counter === counter)?.packets ?? 0);
      expect(count('inet', 'ipsec_tlb_traffic')).toBeGreaterThanOrEqual(20);
      expect(count('inet6', 'ipsec_tlb_traffic')).toBeGreaterThanOrEqual(20);
      expect(count('inet', 'other_traffic')).toBe(0);
      const { sessions } = show<Views['session']>('tlb1', 'sessions');
      expect(sessions).toEqual([]);
    });

    const transfers: readonly (readonly [string, Family, readonly string[]])[] = [
      ['TCP, IPv4', 'inet', []],
      ['TCP back, IPv4', 'inet', ['-R']],
      ['TCP, IPv6', 'inet6', []],
      ['TCP back, IPv6', 'inet6', ['-R']],
      ['UDP there and back, IPv4', 'inet', ['-u', '-b', '10M', '--bidir', '-l', '1200']],
    ];
    it.each(transfers)(
      'carries iperf3, %s',
      async (_, family, args) => {
        const { bytes, error } = await iperf(family, ['-t', '2', ...args]);
        expect(error).toBeUndefined();
        expect(bytes).toBeGreaterThan(1_000_000);
      },
      30_000,
    );

    it('carries packets as large as the client’s link, whole', async () => {
      // the outer links have room for ESP around 1500 bytes
      const whole = spawnIn('client', [
        'ping',
        '-c',
        '3',
        '-i',
        '0.1',
        '-W',
        '1',
        '-s',
        '1472',
        '-M',
        'do',
        server.inet,
      ]);
      await whole.ended;
      expect(whole.log()).toContain(' 0% packet loss');
    });

    it('goes on over the other gateway when the one it uses is stopped, and back when that is there again', async () => {
      await ping('inet', 3);
      const user = (() => {
        const before = { gw1: opened('gw1', 'inet'), gw2: opened('gw2', 'inet') };
        spawnSync(inside('client', [])[0]!, [
          ...inside('client', ['ping', '-q', '-c', '3', '-i', '0.05', '-W', '1', server.inet]).slice(1),
        ]);
        return opened('gw1', 'inet') > before.gw1 ? 'gw1' : 'gw2';
      })();
      const other = user === 'gw1' ? 'gw2' : 'gw1';
      const otherBefore = opened(other, 'inet');
      const transfer = iperf('inet', ['-t', '12']);
      const pings = ping('inet', 110, 0.1);
      await sleep(3000);
      expect(await stop(user)).toBe(0);
      await sleep(2000);
      // while it is off
      expect(opened(other, 'inet')).toBeGreaterThan(otherBefore + 10);
      const { virtualServices } = show<Views['traffic-load-balance']>('tlb1', 'tlb');
      for (const service of virtualServices) {
        expect(service).toMatchObject({ activeRealServices: 1, totalRealServices: 2 });
        expect(service.realServices.find(({ name }) => name === user)).toMatchObject({
          status: 'DOWN',
          slots: 0,
        });
      }
      const ari = show<Views['route']>('tlb1', 'route').routes.filter(
        ({ protocol }) => protocol === 'ari-ts',
      );
      expect(ari.filter(({ origin }) => origin === user)).toEqual([]);
      expect(ari.find(({ prefix }) => prefix === '192.168.10.0/24')).toMatchObject({
        origin: other,
        active: true,
      });

      start(user);
      const { bytes, error, bytesPerInterval } = await transfer;
      expect(error).toBeUndefined();
      expect(bytes).toBeGreaterThan(1_000_000);
      // it moved in the last second, too
      expect(bytesPerInterval.at(-1)).toBeGreaterThan(0);
      expect(await pings).toBeGreaterThan(0.9);
      expect(nodes.get('tlb1')!.log()).toMatch(
        /256 of 512 slots re-homed, 0 others moved; 1 of 2 real services up/,
      );
      expect(await until(async () => runs(user), 20_000)).toBe(true);
      expect(await until(async () => (await ping('inet', 5)) === 1, 20_000)).toBe(true);
      // back: its generation has grown, its peer takes what it seals
      expect(await ping('inet', 10)).toBe(1);
      const sas = show<SasView>(user, 'sa');
      expect(sas.generation).toBe(2);
      expect(opened(user, 'inet')).toBeGreaterThanOrEqual(10);
      const drops = show<SasView>('enb', 'sa').securityAssociations.map(({ drops: of }) => of);
      expect(drops.flatMap((of) => Object.keys(of))).toEqual([]);
    }, 90_000);

    it('goes on when a gateway is killed', async () => {
      const pings = ping('inet', 60, 0.1);
      await sleep(1500);
      const before = { gw1: opened('gw1', 'inet'), gw2: opened('gw2', 'inet') };
      await sleep(300);
      const user = opened('gw1', 'inet') > before.gw1 ? 'gw1' : 'gw2';
      await stop(user, 'SIGKILL');
      expect(await pings).toBeGreaterThan(0.85);
      start(user);
      expect(await until(async () => (await ping('inet', 1)) === 1, 20_000)).toBe(true);
    }, 60_000);

    it('reports a port that vanishes by name, and the rest goes on', async () => {
      spawnSync('ip', ['-n', `${prefix}-tlb1`, 'link', 'delete', 'gw2-untrust']);
      const said = () => nodes.get('tlb1')!.log();
      expect(await until(async () => said().includes('xe2 is gone'), 10_000)).toBe(true);
      expect(said()).toMatch(/xe2 is gone: .+; the other ports go on/);
      const ports = show<Views['ports']>('tlb1', 'ports').ports;
      expect(ports.filter(({ open }) => !open).map(({ name }) => name)).toEqual(['xe2']);
      await stop('gw2');
      expect(
        await until(async () => (await ping('inet', 1)) === 1 && (await ping('inet6', 1)) === 1, 20_000),
      ).toBe(true);
      expect(await ping('inet', 10)).toBe(1);
      expect(await ping('inet6', 10)).toBe(1);
    }, 60_000);
  },
);
