/**
 * Routing policies at a real router: what a node's export-policy says of its routes BIRD beside it announces, and a router
 * hears: with a MED, with AS numbers prepended, or no longer. The filter is that of examples/bird.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireTool } from '../support/requires.js';
import { ip, main, missing, Namespaces, type Running, until } from './support.js';

process.env.PATH += ':/usr/sbin:/sbin';
const lacking = missing ?? [requireTool('bird', 'bird2')].find((need) => need.missing);
const policy = new URL('../../examples/bird/policy.conf', import.meta.url).pathname;

const net = new Namespaces();
const file = (name: string) => join(net.directory, name);
const daemons: Running[] = [];

/** signal: the signal route that there is, as `active` and `backup` of a group would have it. */
const nodeText = (signal: 'active' | 'backup' | 'neither' | 'failed') => {
  const signals = {
    active: '169.254.200.1/32',
    backup: '169.254.200.2/32',
    neither: null,
    failed: '169.254.200.3/32',
  };
  const route = signals[signal] === null ? '' : `, ${signals[signal]}: { discard }`;
  const condition = (name: string, prefix: string) =>
    `${name}: { if-route-exists: { address-family: { inet: { prefix: ${prefix}, table: inet.0 } } } }`;
  return `
system: { host-name: gw, control-socket: gw.sock }
interfaces:
  ge-0/0/0: { port: { memory: wire }, unit: { 0: { family: { inet: { address: 10.9.0.1/24 } } } } }
  ge-0/0/1: { port: { memory: wire }, unit: { 0: { family: { inet: { address: 10.9.1.1/24 } } } } }
routing-options:
  static: { route: { 192.0.2.0/24: { discard }, 198.51.100.0/24: { discard }${route} } }
  kernel: { export: static, export-policy: BY_ACTIVENESS, table: 100, protocol: 200 }
policy-options:
  prefix-list: { OURS: 192.0.2.0/24 }
  condition:
    ${condition('ACTIVE', '169.254.200.1/32')}
    ${condition('BACKUP', '169.254.200.2/32')}
    ${condition('FAILED', '169.254.200.3/32')}
  policy-statement:
    BY_ACTIVENESS:
      term:
        - { name: signals, from: { route-filter: { 169.254.200.0/24: orlonger } }, then: { reject } }
        - { name: others, from: { route-filter: { 198.51.100.0/24: exact } }, then: { accept } }
        - { name: failed, from: { condition: FAILED }, then: { reject } }
        - { name: active, from: { condition: ACTIVE }, then: { metric: 10, accept } }
        - { name: backup, from: { condition: BACKUP }, then: { metric: 20, as-path-prepend: 65001, accept } }
        - { name: neither, from: { prefix-list: OURS }, then: { metric: 30, as-path-prepend: 65001 65001, accept } }
`;
};

const birdText = (own: 'gw' | 'router') => {
  const [address, number, peer, peerNumber] =
    own === 'gw' ? ['10.1.1.2', 65001, '10.1.1.1', 65000] : ['10.1.1.1', 65000, '10.1.1.2', 65001];
  const session = (exported: string) => `
protocol bgp session {
  local ${address} as ${number};
  neighbor ${peer} as ${peerNumber};
  connect delay time 1; error wait time 1, 2; hold time 9;
  ipv4 { import all; export ${exported}; };
}`;
  const common = `router id ${address};\nprotocol device { scan time 1; }\n`;
  if (own === 'router') return common + session('none');
  return `${common}include "${policy}";
protocol kernel from_penstock {
  kernel table 100; learn; scan time 1;
  ipv4 { import filter { if krt_source = 200 then accept; reject; }; export none; };
}
${session(`filter { if source = RTS_INHERIT then { as_the_gateway_says(65001); accept; } reject; }`)}`;
};

/** What the router knows of a prefix: AS path and MED; null: nothing. */
function heard(prefix: string): { path: string; med: string | null } | null {
  const { stdout } = spawnSync('birdc', ['-s', file('router.ctl'), 'show', 'route', 'all', 'for', prefix], {
    encoding: 'utf8',
  });
  const path = /BGP.as_path: ([\d ]+)/.exec(stdout);
  return path === null ? null : { path: path[1]!.trim(), med: /BGP.med: (\d+)/.exec(stdout)?.[1] ?? null };
}

function apply(signal: Parameters<typeof nodeText>[0]): void {
  writeFileSync(file('next.yaml'), nodeText(signal));
  const { status, stderr } = spawnSync(
    process.execPath,
    [main, 'apply', file('next.yaml'), '--socket', file('gw.sock')],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(stderr);
}

const hears = (path: string | null, med: string | null = null) =>
  until(() => {
    const found = heard('192.0.2.0/24');
    return path === null ? found === null : found?.path === path && found.med === med;
  }, 8000);

describe.skipIf(lacking !== undefined)(`routing policies at a router${lacking?.note ?? ''}`, () => {
  beforeAll(async () => {
    for (const name of ['gw', 'router']) {
      ip('netns', 'add', net.of(name));
      ip('-n', net.of(name), 'link', 'set', 'lo', 'up');
    }
    ip(
      '-n',
      net.of('gw'),
      'link',
      'add',
      'eth0',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      net.of('router'),
    );
    for (const [name, address] of [['gw', '10.1.1.2/24'] as const, ['router', '10.1.1.1/24'] as const]) {
      ip('-n', net.of(name), 'addr', 'add', address, 'dev', 'eth0');
      ip('-n', net.of(name), 'link', 'set', 'eth0', 'up');
      writeFileSync(file(`${name}.conf`), birdText(name));
      const [conf, control, pid] = ['conf', 'ctl', 'pid'].map((end) => file(`${name}.${end}`)) as [
        string,
        string,
        string,
      ];
      daemons.push(net.spawn(name, ['bird', '-f', '-c', conf, '-s', control, '-P', pid]));
    }
    writeFileSync(file('gw.yaml'), nodeText('active'));
    net.start('gw');
    const isThere = await until(
      () => existsSync(file('gw.sock')) && heard('198.51.100.0/24') !== null,
      15_000,
    );
    const logs = [...net.nodes.values(), ...daemons].map(({ log }) => log()).join('\n');
    if (!isThere) throw new Error(logs);
  }, 30_000);

  afterAll(async () => {
    await net.stop();
    for (const { child, ended } of daemons) {
      child.kill();
      await ended;
    }
    for (const name of ['gw', 'router']) spawnSync('ip', ['netns', 'del', net.of(name)]);
    net.removeDirectory();
  }, 30_000);

  it('hears of a route plainly, prepended or not at all, as signal routes come and go', async () => {
    expect(await hears('65001', '10')).toBe(true);
    apply('backup');
    expect(await hears('65001 65001', '20')).toBe(true);
    apply('neither');
    expect(await hears('65001 65001 65001', '30')).toBe(true);
    apply('failed');
    expect(await hears(null)).toBe(true);
    expect(heard('198.51.100.0/24')).toEqual({ path: '65001', med: null });
    expect(heard('169.254.200.3/32')).toBeNull();
  }, 60_000);
});
