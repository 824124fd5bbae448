/**
 * Four gateways in network namespaces behind a router, with a health check of every kind, and a thousand connections
 * of real clients: a gateway that fails in whatever way is left out after the configured retries, and taken back after
 * them; connections that are not its own never notice.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ControlClient } from '../../dist/control/client.js';
import type { RealServiceView, Views } from '../../dist/control/show/views.js';
import { requireThat, requireTool } from '../support/requires.js';

const file = (path: string) => new URL(path, import.meta.url).pathname;
const main = file('../../dist/cli/main.js');
const needs = [
  requireThat(process.getuid?.() === 0, 'not root'),
  requireTool('ip', 'iproute2'),
  requireTool('openssl'),
];
const missing = needs.find((need) => need.missing);

const prefix = `ph${process.pid.toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
const gateways = ['gw1', 'gw2', 'gw3', 'gw4'] as const;
type Gateway = (typeof gateways)[number];
const sources = Array.from({ length: 200 }, (_, i) => `10.20.1.${i + 1}`);
const connectionsEach = 5;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

let directory = '';
const children: ChildProcess[] = [];
const log: string[] = [];

interface Running {
  readonly child: ChildProcess;
  /** writes a line; the next line of its output */
  ask(line: string): Promise<string>;
  next(): Promise<string>;
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

function spawnIn(node: string, command: string[]): Running {
  const child = spawn('ip', ['netns', 'exec', `${prefix}-${node}`, ...command], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  children.push(child);
  child.stdin.on('error', () => {});
  child.stderr.on('data', (chunk) => log.push(`${node}: ${chunk}`));
  const lines: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    log.push(`${node}: ${line.slice(0, 200)}`);
    const wants = waiting.shift();
    if (wants === undefined) lines.push(line);
    else wants(line);
  });
  // whoever waits for a line of a process that has ended fails by what it gets
  child.once('exit', (code, signal) => {
    for (const wants of waiting) wants(`ended with ${code ?? signal}`);
  });
  const next = () =>
    new Promise<string>((resolve) => {
      const line = lines.shift();
      if (line === undefined) waiting.push(resolve);
      else resolve(line);
    });
  return {
    child,
    next,
    ask: (line) => {
      child.stdin.write(`${line}\n`);
      return next();
    },
  };
}

function setUp(): void {
  for (const node of ['client', 'tlb1', ...gateways]) {
    ip('netns', 'add', `${prefix}-${node}`);
    ip('-n', `${prefix}-${node}`, 'link', 'set', 'lo', 'up');
  }
  // penstock speaks for the router itself: its kernel is to be silent
  spawnSync('ip', [
    'netns',
    'exec',
    `${prefix}-tlb1`,
    'sysctl',
    '-qw',
    'net.ipv6.conf.default.disable_ipv6=1',
  ]);
  const link = (node: string, number: number) => {
    const peer = `${prefix}-${node}`;
    ip('-n', `${prefix}-tlb1`, 'link', 'add', node, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', peer);
    ip('-n', `${prefix}-tlb1`, 'link', 'set', node, 'up');
    ip('-n', peer, 'link', 'set', 'eth0', 'up');
    ip('-n', peer, 'address', 'add', `10.1.${number}.2/24`, 'dev', 'eth0');
    ip('-n', peer, 'route', 'add', 'default', 'via', `10.1.${number}.1`);
  };
  link('client', 9);
  for (const source of sources) ip('-n', `${prefix}-client`, 'address', 'add', `${source}/32`, 'dev', 'lo');
  gateways.forEach((gateway, i) => {
    link(gateway, i + 1);
    // its own address, which is probed, and the virtual one: direct server return
    for (const address of [`10.10.10.${i + 1}/32`, '10.0.0.1/32'])
      ip('-n', `${prefix}-${gateway}`, 'address', 'add', address, 'dev', 'lo');
    writeFileSync(join(directory, gateway), '');
  });
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=gateway', '-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')],
  ]);
  if (made.status !== 0) throw new Error(String(made.stderr));
  writeFileSync(join(directory, 'tlb1.yaml'), routerText());
}

const profiles = ['icmp', 'tcp', 'http', 'https', 'tls', 'udp', 'own', 'arp', 'link'] as const;

function routerText(): string {
  const every = 'probe-interval: 0.8, timeout: 0.75, failure-retries: 3, recovery-retries: 2';
  const seldom = 'probe-interval: 1.6, timeout: 1.5, failure-retries: 2, recovery-retries: 1';
  const port = (name: string, number: number, filter = '') =>
    `  ${name}: { port: { af-packet: ${name} }, unit: { 0: { family: { inet: { address: 10.1.${number}.1/24${filter} } } } } }`;
  const script = `test -e "$0/$PENSTOCK_REAL_SERVICE" || { echo "no file $PENSTOCK_REAL_SERVICE"; exit 3; }`;
  return `
system: { host-name: tlb1, control-socket: ${directory}/tlb1.sock, state-directory: ${directory}/state }
interfaces:
${port('client', 9, ', filter: { input: LB }')}
${gateways.map((gateway, i) => port(gateway, i + 1)).join('\n')}
  lo0: { unit: { 0: { family: { inet: { address: 10.10.10.253/32 } } } } }
routing-instances:
  TRUST_VR:
    instance-type: virtual-router
    interface: [client, gw1, gw2, gw3, gw4, lo0]
    routing-options:
      static:
        route:
          10.20.1.0/24: { next-hop: 10.1.9.2 }
${gateways.map((_, i) => `          10.10.10.${i + 1}/32: { next-hop: 10.1.${i + 1}.2 }`).join('\n')}
  lb-fi: { instance-type: forwarding }
firewall:
  family:
    inet:
      filter:
        LB:
          term:
            - { name: VIRTUAL, from: { destination-address: 10.0.0.1/32 }, then: { count: balanced, routing-instance: lb-fi } }
            - { name: other, then: { count: other, accept } }
services:
  network-monitoring:
    profile:
      icmp: { icmp, ${every} }
      tcp: { tcp: { port: 7000 }, ${every} }
      http: { http: { port: 8080, url: /health, body-match: all is well }, ${every} }
      https: { https: { port: 8443, status-code: [200, 204] }, ${seldom} }
      tls: { ssl-hello: { port: 8443 }, ${every} }
      udp: { udp: { port: 9000, send: { ascii: PING }, expect: { ascii: PONG } }, ${every} }
      own: { custom: { command: [sh, -c, '${script}', ${directory}] }, ${seldom} }
      arp: { neighbour }
      link: { link }
  traffic-load-balance:
    instance:
      lb:
        interface: lo0.0
        client-vrf: TRUST_VR
        server-vrf: TRUST_VR
        route-hold-timer: 1
        group: { gateways: { real-services: [gw1, gw2, gw3, gw4], network-monitoring-profile: [${profiles.join(', ')}] } }
        real-service:
${gateways.map((gateway, i) => `          ${gateway}: { address: 10.10.10.${i + 1} }`).join('\n')}
        virtual-service:
          vs:
            mode: direct-server-return
            address: 10.0.0.1
            routing-instance: lb-fi
            group: gateways
            load-balance-method: { hash: { hash-key: source-ip } }
`;
}

/** Over the control socket: a command each time would cost more than the checks. */
async function show<V>(what: string, params: object = {}): Promise<V> {
  const control = await ControlClient.open(join(directory, 'tlb1.sock'));
  try {
    return (await control.request('show', { what, ...params })) as V;
  } finally {
    control.close();
  }
}

async function realServices(): Promise<Map<string, RealServiceView>> {
  const { virtualServices } = await show<Views['traffic-load-balance']>('traffic-load-balance');
  return new Map(virtualServices[0]!.realServices.map((real) => [real.name, real]));
}

async function until(holds: () => Promise<boolean>, mostMs: number): Promise<boolean> {
  const end = Date.now() + mostMs;
  while (Date.now() < end) {
    if (await holds()) return true;
    await sleep(100);
  }
  return false;
}

interface Connection {
  source: string;
  gateway: string;
  isOpen: boolean;
  echoed: number;
  lost: number;
  reason: string;
}

describe.skipIf(missing !== undefined)(
  `health checks between network namespaces${missing?.note ?? ''}`,
  () => {
    const servers = new Map<Gateway, Running>();
    let client: Running;
    let router: Running;
    /** where each source address is at home, while all are up */
    const home = new Map<string, string>();

    const startServer = async (gateway: Gateway) => {
      const address = `10.10.10.${gateways.indexOf(gateway) + 1}`;
      const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
      const server = spawnIn(gateway, [
        process.execPath,
        file('health/server.mjs'),
        gateway,
        address,
        key,
        certificate,
      ]);
      servers.set(gateway, server);
      expect(await server.next()).toBe('ready');
    };
    const count = async () =>
      (JSON.parse(await client.ask('count')) as { connections: Connection[] }).connections;
    const statusOf = async (gateway: Gateway) => (await realServices()).get(gateway)!.status;
    const allAre = async (status: 'UP' | 'DOWN') =>
      [...(await realServices()).values()].every((real) => real.status === status);

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'penstock-health-'));
      setUp();
      await Promise.all(gateways.map(startServer));
      router = spawnIn('tlb1', [process.execPath, main, 'run', join(directory, 'tlb1.yaml')]);
      const up = await until(() => allAre('UP').catch(() => false), 30_000);
      if (!up) throw new Error(`not all gateways came up\n${log.join('\n')}`);
      client = spawnIn('client', [
        ...[process.execPath, file('health/client.mjs'), '10.0.0.1', '7000', String(connectionsEach)],
        ...sources,
      ]);
      expect(JSON.parse(await client.ask('open')), log.join('\n')).toEqual({
        open: sources.length * connectionsEach,
      });
      for (const { source, gateway } of await count()) home.set(source, gateway);
    }, 90_000);

    afterAll(() => {
      for (const child of children) {
        child.kill('SIGCONT');
        child.kill('SIGKILL');
      }
      for (const node of ['client', 'tlb1', ...gateways])
        spawnSync('ip', ['netns', 'delete', `${prefix}-${node}`]);
      if (directory !== '') rmSync(directory, { recursive: true, force: true });
    });

    it('asks in every way, and all answer', async () => {
      for (const [name, { probes, slots }] of await realServices()) {
        expect(
          probes.map(({ profile, state }) => `${name} ${profile} ${state}`),
          log.join('\n'),
        ).toEqual(profiles.slice(0, 7).map((profile) => `${name} ${profile} UP`));
        expect(slots).toBe(256);
      }
      expect(new Set(home.values())).toEqual(new Set(gateways));
      const { filters } = await show<Views['counters']>('counters');
      expect(Number(filters.find(({ counter }) => counter === 'balanced')?.packets)).toBeGreaterThan(1000);
    });

    interface Fault {
      readonly gateway: Gateway;
      /** the checks that must find it out, some of which may before the others */
      readonly by: readonly (typeof profiles)[number][];
      readonly message: RegExp;
      readonly begin: () => unknown;
      readonly end: () => unknown;
    }
    const faults: Readonly<Record<string, Fault>> = {
      'is frozen': {
        gateway: 'gw1',
        by: ['http', 'tls', 'udp'],
        message: /^no answer within 750 ms$/,
        begin: () => servers.get('gw1')!.child.kill('SIGSTOP'),
        end: () => servers.get('gw1')!.child.kill('SIGCONT'),
      },
      'is killed': {
        gateway: 'gw2',
        by: ['tcp', 'http', 'tls'],
        message: /^connection refused$/,
        begin: () => servers.get('gw2')!.child.kill('SIGKILL'),
        end: () => startServer('gw2'),
      },
      'is cut off': {
        gateway: 'gw3',
        by: ['icmp', 'tcp', 'udp'],
        message: /^no answer within 750 ms$/,
        begin: () => ip('-n', `${prefix}-gw3`, 'link', 'set', 'eth0', 'down'),
        end: () => {
          ip('-n', `${prefix}-gw3`, 'link', 'set', 'eth0', 'up');
          ip('-n', `${prefix}-gw3`, 'route', 'replace', 'default', 'via', '10.1.3.1');
        },
      },
      'answers 500': {
        gateway: 'gw4',
        by: ['http', 'https'],
        message: /^HTTP status 500$/,
        begin: () => servers.get('gw4')!.child.stdin!.write('error\n'),
        end: () => servers.get('gw4')!.child.stdin!.write('ok\n'),
      },
      'answers slowly': {
        gateway: 'gw1',
        by: ['http', 'https'],
        message: /^no answer within (750|1500) ms$/,
        begin: () => servers.get('gw1')!.child.stdin!.write('slow\n'),
        end: () => servers.get('gw1')!.child.stdin!.write('ok\n'),
      },
      'says no to a check of one’s own': {
        gateway: 'gw2',
        by: ['own'],
        message: /^exit code 3: no file gw2$/,
        begin: () => rmSync(join(directory, 'gw2')),
        end: () => writeFileSync(join(directory, 'gw2'), ''),
      },
    };

    it.each(Object.keys(faults))(
      'a gateway that %s is out after its retries, back after the others, and nobody else notices',
      async (name) => {
        const { gateway, by, message, begin, end } = faults[name]!;
        const probesOf = async () => (await realServices()).get(gateway)!.probes;
        const before = await count();
        const wentDown = new Map((await probesOf()).map((probe) => [probe.profile, probe.wentDown]));
        begin();
        expect(await until(async () => (await statusOf(gateway)) === 'DOWN', 20_000), log.join('\n')).toBe(
          true,
        );
        const found = async () => {
          const probes = await probesOf();
          return by.every((profile) => {
            const probe = probes.find((each) => each.profile === profile)!;
            return probe.wentDown > wentDown.get(profile)!;
          });
        };
        expect(await until(found, 10_000), log.join('\n')).toBe(true);
        const down = await realServices();
        for (const [other, real] of down)
          expect(real.status, `${other}\n${log.join('\n')}`).toBe(other === gateway ? 'DOWN' : 'UP');
        expect(down.get(gateway)!.slots).toBe(0);
        const slots = [...down.values()].map((real) => real.slots).sort((a, b) => a - b);
        expect(slots).toEqual([0, 341, 341, 342]);
        for (const profile of by) {
          const probe = down.get(gateway)!.probes.find((each) => each.profile === profile)!;
          expect(probe.message).toMatch(message);
          expect(probe.consecutiveFailures).toBeGreaterThanOrEqual(probe.failureRetries);
        }

        await end();
        expect(await until(async () => (await statusOf(gateway)) === 'UP', 20_000), log.join('\n')).toBe(
          true,
        );
        expect((await realServices()).get(gateway)!.slots).toBe(256);
        // a byte of each is under way for two seconds at most
        await sleep(2500);
        const after = await count();
        // those at home elsewhere: none was lost, and what they send goes on coming back
        const others = after
          .map((connection, i) => ({ ...connection, before: before[i]! }))
          .filter(({ source }) => home.get(source) !== gateway);
        const troubled = others.filter(
          (each) => !each.isOpen || each.lost > each.before.lost || each.echoed === each.before.echoed,
        );
        expect(troubled.slice(0, 5), log.join('\n')).toEqual([]);
        // its own clients come back to where they were
        const all = { open: sources.length * connectionsEach };
        let reopened = JSON.parse(await client.ask('open'));
        for (let tries = 0; tries < 5 && reopened.open < all.open; tries++) {
          await sleep(500);
          reopened = JSON.parse(await client.ask('open'));
        }
        expect(reopened).toEqual(all);
        for (const connection of await count()) expect(connection.gateway).toBe(home.get(connection.source));
      },
      60_000,
    );

    it('withdraws the route when none is up, a while later, and installs it again', async () => {
      const hasRoute = async () => {
        const { routes } = await show<Views['route']>('route', { table: 'lb-fi' });
        return routes.some(({ protocol }) => protocol === 'tlb');
      };
      expect(await hasRoute()).toBe(true);
      for (const gateway of gateways) rmSync(join(directory, gateway));
      expect(await until(() => allAre('DOWN'), 20_000)).toBe(true);
      expect(await until(async () => !(await hasRoute()), 10_000)).toBe(true);
      for (const gateway of gateways) writeFileSync(join(directory, gateway), '');
      expect(await until(() => allAre('UP'), 20_000)).toBe(true);
      expect(await hasRoute()).toBe(true);
      const said = log.join('\n');
      expect(said).toMatch(/its route is withdrawn: no real service is up/);
      router.child.kill('SIGTERM');
      expect(await new Promise((resolve) => router.child.once('exit', resolve))).toBe(0);
    }, 60_000);
  },
);
