/** What may happen to a port: its process is killed, its interface taken away and put back, or nobody may open it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Views } from '../../dist/control/show/views.js';
import { ip, main, missing, Namespaces, sleep, until } from './support.js';

const names = new Namespaces();
const path = join(names.directory, 'router.yaml');

/** left ── in0 router out0 ── right, and the router's configuration. */
function lab(port: string, workers = 2): void {
  for (const name of ['left', 'router', 'right']) {
    ip('netns', 'add', names.of(name));
    ip('-n', names.of(name), 'link', 'set', 'lo', 'up');
  }
  ip('netns', 'exec', names.of('router'), 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  if (port !== 'tun') {
    link('left', 'in0', 1);
    link('right', 'out0', 2);
  }
  writeFileSync(
    path,
    `system: { host-name: router, workers: ${workers}, control-socket: router.sock }
interfaces:
  ge-0/0/0: { port: { ${port}: in0 }, unit: { 0: { family: { inet: { address: [10.1.1.254/24] } } } } }
  ge-0/0/1: { port: { ${port}: out0 }, unit: { 0: { family: { inet: { address: [10.1.2.254/24] } } } } }
`,
  );
}

/** A link between a host and the router, and the host's address. */
function link(host: string, name: string, network: number): void {
  const [router, at] = [names.of('router'), names.of(host)];
  ip('-n', router, 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', at);
  ip('-n', at, 'address', 'add', `10.1.${network}.1/24`, 'dev', 'eth0');
  ip('-n', at, 'link', 'set', 'eth0', 'up');
  ip('-n', at, 'route', 'add', 'default', 'via', `10.1.${network}.254`);
  ip('-n', router, 'link', 'set', name, 'up');
  ip('netns', 'exec', at, 'ethtool', '-K', 'eth0', 'tx', 'off');
}

const passes = () => names.ping('left', '10.1.2.1', '-W', '0.1');
const links = () =>
  JSON.parse(ip('-n', names.of('router'), '-j', 'link')) as { ifname: string; xdp?: unknown }[];
const programs = () => links().filter(({ xdp }) => xdp !== undefined).length;

describe.skipIf(missing !== undefined)(`faults of ports${missing?.note ?? ''}`, () => {
  afterEach(async () => {
    await names.stop('SIGKILL');
    for (const name of ['left', 'router', 'right']) spawnSync('ip', ['netns', 'delete', names.of(name)]);
  });
  afterAll(() => names.removeDirectory());

  it.each(['af-xdp', 'af-packet'])(
    '%s: a killed process leaves nothing, and the next one is there at once',
    async (port) => {
      lab(port);
      for (let round = 0; round < 2; round++) {
        names.start('router');
        expect(await until(passes, 20_000)).toBe(true);
        expect(programs()).toBe(port === 'af-xdp' ? 2 : 0);
        await names.stop('SIGKILL');
        expect(await until(() => programs() === 0, 5_000)).toBe(true);
        const sockets = ip('netns', 'exec', names.of('router'), 'cat', '/proc/net/packet');
        expect(sockets.trim().split('\n')).toHaveLength(1);
      }
    },
    60_000,
  );

  it.each(['af-xdp', 'af-packet'])(
    '%s: goes on by itself when its interface is taken away under load and put back',
    async (port) => {
      lab(port);
      const { child, log } = names.start('router');
      expect(await until(passes, 20_000)).toBe(true);
      const load = names.spawn('left', ['ping', '-q', '-i', '0.002', '-s', '1000', '-w', '30', '10.1.2.1']);
      for (let round = 1; round <= 2; round++) {
        await sleep(300);
        ip('-n', names.of('router'), 'link', 'delete', 'out0');
        const gone = () => log().split('out0 was removed').length === round + 1;
        expect(await until(gone, 5_000)).toBe(true);
        await sleep(200);
        link('right', 'out0', 2);
        const since = performance.now();
        expect(await until(passes, 10_000)).toBe(true);
        console.log(
          `${port}: passes ${Math.round(performance.now() - since)} ms after the interface was back`,
        );
        const back = () => log().split('ge-0/0/1 is back').length === round + 1;
        expect(await until(back, 5_000)).toBe(true);
      }
      load.child.kill('SIGKILL');
      expect(child.exitCode).toBeNull();
      const { counters } = names.show<Views['counters']>('router', 'counters');
      const value = (name: string) => Number(counters.find((each) => each.name === name)?.value ?? 0);
      expect(value('portClosed') + value('noNeighbour') + value('neighbourPending')).toBeGreaterThan(0);
      expect(await names.stop()).toEqual([0]);
    },
    60_000,
  );

  it.each([
    [
      'af-xdp',
      /AF_XDP needs the capabilities CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON: run as root, or grant with 'sudo setcap /,
    ],
    ['af-packet', /raw sockets need the capability CAP_NET_RAW: run as root, or grant it with 'sudo setcap /],
    ['tun', /needs the capability CAP_NET_ADMIN: run as root, or grant with 'sudo setcap /],
  ])(
    '%s without privilege: one line that says what is missing, exit 5',
    async (port, line) => {
      lab(port, 1);
      // a place of nobody's own, for the control socket
      const place = join(names.directory, port);
      mkdirSync(place, { mode: 0o700 });
      chownSync(place, 65_534, 65_534);
      chmodSync(names.directory, 0o711);
      copyFileSync(path, join(place, 'router.yaml'));
      const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const { ended, log } = names.spawn('router', [
        ...nobody,
        process.execPath,
        main,
        'run',
        join(place, 'router.yaml'),
      ]);
      const code = await ended;
      chmodSync(names.directory, 0o700);
      expect(code).toBe(5);
      expect(log().trim().split('\n')).toHaveLength(1);
      expect(log()).toMatch(line);
    },
    30_000,
  );

  it('a TUN goes with its process, and comes back when it is taken away', async () => {
    lab('tun');
    writeFileSync(
      path,
      `system: { host-name: router, workers: 2, control-socket: router.sock }
interfaces:
  ge-0/0/0: { port: { tun: tun7 }, mtu: 1400, unit: { 0: { family: { inet: { address: [10.1.1.254/24] } } } } }
  ge-0/0/1: { port: { tap: tap7 }, unit: { 0: { family: { inet: { address: [10.1.2.254/24] } } } } }
`,
    );
    const { log } = names.start('router');
    const there = () => links().filter(({ ifname }) => ['tun7', 'tap7'].includes(ifname)).length;
    const address = () => {
      ip('-n', names.of('router'), 'address', 'add', '10.1.1.1/24', 'dev', 'tun7');
      ip('-n', names.of('router'), 'address', 'add', '10.1.2.1/24', 'dev', 'tap7');
    };
    const answers = async () =>
      (await names.ping('router', '10.1.1.254')) && (await names.ping('router', '10.1.2.254'));
    expect(await until(() => log().includes('router runs'), 20_000)).toBe(true);
    address();
    expect(await until(answers, 10_000)).toBe(true);
    expect(ip('-n', names.of('router'), 'link', 'show', 'tun7')).toContain('mtu 1400');
    for (const name of ['tun7', 'tap7']) ip('-n', names.of('router'), 'link', 'delete', name);
    expect(await until(() => there() === 2, 5_000)).toBe(true);
    address();
    expect(await until(answers, 10_000)).toBe(true);
    await names.stop('SIGKILL');
    expect(await until(() => there() === 0, 5_000)).toBe(true);
  }, 60_000);
});
