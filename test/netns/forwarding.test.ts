/**
 * Forwarding modes with kernels at all ends, in network namespaces: TCP through translated virtual services and back, and
 * TCP to real services behind IP-in-IP and GUE, whose outer packets a kernel checks. Both families, and one inside the other.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { python, requirePython, requireThat, requireTool } from '../support/requires.js';

const file = (path: string) => new URL(path, import.meta.url).pathname;
const main = file('../../dist/cli/main.js');
const needs = [
  requireThat(process.getuid?.() === 0, 'not root'),
  requireTool('ip', 'iproute2'),
  requirePython('fcntl'),
  requireThat(spawnSync('test', ['-c', '/dev/net/tun']).status === 0, 'no /dev/net/tun: modprobe tun'),
];
const missing = needs.find((need) => need.missing);

const prefix = `pf${process.pid.toString(36)}${Math.floor(Math.random() * 1296).toString(36)}`;
const namespaces = ['client', 'lb', 'real1', 'real2'] as const;
type Namespace = (typeof namespaces)[number];
let directory = '';
const children: ChildProcess[] = [];

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}
const within = (node: Namespace) => `${prefix}-${node}`;

function spawnIn(node: Namespace, command: string[]) {
  const child = spawn('ip', ['netns', 'exec', within(node), ...command], { stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  const ended = new Promise<void>((resolve) => void child.once('close', () => resolve()));
  return { child, ended, log: () => text };
}

async function until(holds: () => boolean, mostMs: number, what: () => string): Promise<void> {
  for (let waited = 0; waited < mostMs; waited += 50) {
    if (holds()) return;
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(what());
}

/** Virtual addresses of a mode; the last number tells them apart. */
const virtual = { inet: (n: number) => `203.0.113.${n}`, inet6: (n: number) => `2001:db8:5::${n}` };
type Family = keyof typeof virtual;
const families = ['inet', 'inet6'] as const;
const modes = { translated: 1, ipip: 2, gue: 3, 'ipip-across': 4, 'gue-across': 5 } as const;

function links(): void {
  for (const node of namespaces) {
    ip('netns', 'add', within(node));
    ip('-n', within(node), 'link', 'set', 'lo', 'up');
  }
  const ends = { client: 1, real1: 2, real2: 3 } as const;
  for (const [node, net] of Object.entries(ends) as [Namespace, number][]) {
    ip(
      '-n',
      within('lb'),
      'link',
      'add',
      `e${net}`,
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      within(node),
    );
    ip('-n', within('lb'), 'link', 'set', `e${net}`, 'up');
    ip('-n', within(node), 'addr', 'add', `10.9.${net}.10/24`, 'dev', 'eth0');
    ip('-n', within(node), 'addr', 'add', `2001:db8:${net}::10/64`, 'dev', 'eth0', 'nodad');
    ip('-n', within(node), 'link', 'set', 'eth0', 'up');
    ip('-n', within(node), 'route', 'add', 'default', 'via', `10.9.${net}.1`);
    ip('-n', within(node), '-6', 'route', 'add', 'default', 'via', `2001:db8:${net}::1`);
    if (node === 'client') continue;
    for (const n of Object.values(modes).slice(1)) {
      ip('-n', within(node), 'addr', 'add', `${virtual.inet(n)}/32`, 'dev', 'lo');
      ip('-n', within(node), 'addr', 'add', `${virtual.inet6(n)}/128`, 'dev', 'lo', 'nodad');
    }
  }
}

function configuration(): string {
  const port = (n: number, filter: string) => `
  e${n}:
    port: { af-packet: e${n} }
    unit: { 0: { family: { inet: { address: 10.9.${n}.1/24${filter} }, inet6: { address: '2001:db8:${n}::1/64'${filter} } } } }`;
  const service = (name: keyof typeof modes, family: Family) => {
    const across = name.endsWith('across');
    const group = (family === 'inet') === across ? 'six' : 'four';
    const mode = name.replace('-across', '');
    const ports =
      mode === 'translated'
        ? 'service: { web: { protocol: tcp, virtual-port: 80, server-listening-port: 8080 } }, flow-memory'
        : 'flow-memory';
    return `
          ${name}-${family}: { mode: ${mode}, address: '${virtual[family](modes[name])}', routing-instance: services, group: ${group}, ${ports}, load-balance-method: { hash: { hash-key: 5-tuple } } }`;
  };
  const services = families.flatMap((family) =>
    (Object.keys(modes) as (keyof typeof modes)[]).map((name) => service(name, family)),
  );
  const filter = (prefixText: string) =>
    `{ CLIENTS: { term: [{ name: services, from: { destination-address: '${prefixText}' }, then: { routing-instance: services } }, { name: rest, then: { accept } }] } }`;
  return `
system: { host-name: lb, control-socket: ${join(directory, 'lb.sock')} }
interfaces:${port(1, ', filter: { input: CLIENTS }')}${port(2, '')}${port(3, '')}
  lo0: { unit: { 0: { family: { inet: { address: 10.9.0.1/32 }, inet6: { address: '2001:db8:9::1/128' } } } } }
routing-instances: { services: { instance-type: forwarding } }
firewall: { family: { inet: { filter: ${filter('203.0.113.0/24')} }, inet6: { filter: ${filter('2001:db8:5::/64')} } } }
services:
  traffic-load-balance:
    instance:
      all:
        interface: lo0.0
        client-vrf: default
        server-vrf: default
        group: { four: { real-services: [r1, r2] }, six: { real-services: [r1-six, r2-six] } }
        real-service: { r1: { address: 10.9.2.10 }, r2: { address: 10.9.3.10 }, r1-six: { address: '2001:db8:2::10' }, r2-six: { address: '2001:db8:3::10' } }
        virtual-service:${services.join('')}
`;
}

interface Answer {
  name?: string;
  localAddress?: string;
  remoteAddress?: string;
  same?: boolean;
  error?: string;
}

async function connections(address: string, count: number, bytes: number): Promise<Answer[]> {
  const run = spawnIn('client', [
    process.execPath,
    file('forwarding/client.mjs'),
    address,
    '80',
    String(count),
    String(bytes),
  ]);
  await run.ended;
  return run
    .log()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const showCounters = (): string => {
  const { stdout } = spawnSync(
    process.execPath,
    [main, 'show', 'counters', '--json', '--socket', join(directory, 'lb.sock')],
    { encoding: 'utf8', timeout: 20_000 },
  );
  return stdout;
};

describe.skipIf(missing !== undefined)(
  `forwarding modes between network namespaces${missing?.note ?? ''}`,
  () => {
    const decapsulators: ReturnType<typeof spawnIn>[] = [];

    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'penstock-forwarding-'));
      links();
      const waits: [ReturnType<typeof spawnIn>, string][] = [];
      for (const node of ['real1', 'real2'] as const) {
        const decapsulator = spawnIn(node, [python, file('forwarding/decapsulate.py'), 'far']);
        decapsulators.push(decapsulator);
        waits.push([decapsulator, 'ready']);
        waits.push([
          spawnIn(node, [process.execPath, file('forwarding/server.mjs'), node, '80', '8080']),
          'ready',
        ]);
      }
      writeFileSync(join(directory, 'lb.yaml'), configuration());
      waits.push([spawnIn('lb', [process.execPath, main, 'run', join(directory, 'lb.yaml')]), 'lb runs']);
      for (const [process, word] of waits) {
        await until(
          () => process.log().includes(word),
          20_000,
          () => `${word} was never said:\n${process.log()}`,
        );
      }
      for (const node of ['real1', 'real2'] as const) ip('-n', within(node), 'link', 'set', 'far', 'up');
      // a group's table is dealt once its real services are seen
      for (const family of families) {
        let answered: Answer[] = [];
        for (let tries = 0; tries < 20 && answered[0]?.name === undefined; tries++)
          answered = await connections(virtual[family](1), 1, 1);
        if (answered[0]?.name === undefined)
          throw new Error(`${JSON.stringify(answered)}\n${waits.at(-1)![0].log()}`);
      }
    }, 60_000);

    afterAll(() => {
      for (const child of children) child.kill('SIGKILL');
      for (const node of namespaces) spawnSync('ip', ['netns', 'del', within(node)]);
      if (directory !== '') rmSync(directory, { recursive: true });
    });

    it.each(families)('TCP through a translated service and back, %s', async (family) => {
      const answers = await connections(virtual[family](modes.translated), 24, 100_000);
      expect(answers.filter(({ same }) => same !== true)).toEqual([]);
      expect(new Set(answers.map(({ name }) => name))).toEqual(new Set(['real1', 'real2']));
      // the real service sees the client, and itself as it is
      for (const { localAddress, remoteAddress } of answers) {
        expect(localAddress).toMatch(family === 'inet' ? /10\.9\.[23]\.10$/ : /^2001:db8:[23]::10$/);
        expect(remoteAddress).toMatch(family === 'inet' ? /10\.9\.1\.10$/ : /^2001:db8:1::10$/);
      }
    });

    it.each(
      families.flatMap((family) =>
        (['ipip', 'gue', 'ipip-across', 'gue-across'] as const).map((mode) => [mode, family] as const),
      ),
    )('TCP through %s to real services that answer themselves, %s', async (mode, family) => {
      const address = virtual[family](modes[mode]);
      const answers = await connections(address, 16, 100_000);
      expect(answers.filter(({ same }) => same !== true)).toEqual([]);
      expect(new Set(answers.map(({ name }) => name))).toEqual(new Set(['real1', 'real2']));
      for (const { localAddress } of answers) expect(localAddress?.replace('::ffff:', '')).toBe(address);
    });

    it('every kind of tunnel was used, and what did not fit was told to the client', async () => {
      const kinds = new Map<string, number>();
      for (const each of decapsulators) {
        each.child.stdin!.end();
        await each.ended;
        for (const [, kind, count] of each.log().matchAll(/^(.+) (\d+)$/gm))
          kinds.set(kind!, (kinds.get(kind!) ?? 0) + Number(count));
      }
      for (const kind of ['4 in 4', '41 in 4', '4 in 6', '41 in 6', 'gue in 4', 'gue in 6'])
        expect([kind, kinds.get(kind)! > 100]).toEqual([kind, true]);
      const { counters } = JSON.parse(showCounters()) as { counters: { name: string; value: number }[] };
      const value = (wanted: string) => counters.find(({ name }) => name === wanted)?.value ?? 0;
      for (const name of ['tooBigSent', 'encapsulated', 'translated', 'translatedBack', 'flowsRemembered'])
        expect([name, value(name) > 0]).toEqual([name, true]);
    });
  },
);
