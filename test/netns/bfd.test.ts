/**
 * BFD against what others wrote: BIRD, and FRR's bfdd. Each comes up, is frozen, killed, and changes its intervals; the node's
 * routes go by it.
 */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Views } from '../../dist/control/show/views.js';
import { requireThat, requireTool } from '../support/requires.js';
import { ip, main, missing, Namespaces, type Running, sleep, until } from './support.js';

process.env.PATH += ':/usr/sbin:/sbin:/usr/lib/frr';
const needs = [
  requireTool('bird', 'bird2'),
  requireThat(existsSync('/usr/lib/frr/bfdd'), 'no frr: apt-get install frr'),
];
const lacking = missing ?? needs.find((need) => need.missing);

const net = new Namespaces();
const file = (name: string) => join(net.directory, name);
let frr = '';
const ofFrr = (name: string) => join(frr, name);

/** The peers' configurations, with the interval that they ask for. */
const birdText = (ms: number) => `
router id 10.0.1.2;
protocol device {}
protocol bfd { interface "*" { min rx interval ${ms} ms; min tx interval ${ms} ms; multiplier 3; }; neighbor 10.0.1.1; }
`;
const bfddText = (ms: number) => `
bfd
 peer 10.0.2.1 local-address 10.0.2.2 interface eth0
  detect-multiplier 3
  receive-interval ${ms}
  transmit-interval ${ms}
  no shutdown
 !
!
`;

const nodeText = `
system: { host-name: node, control-socket: node.sock }
interfaces:
  ge-0/0/1: { port: { af-packet: eth1 }, unit: { 0: { family: { inet: { address: 10.0.1.1/24 } } } } }
  ge-0/0/2: { port: { af-packet: eth2 }, unit: { 0: { family: { inet: { address: 10.0.2.1/24 } } } } }
routing-options:
  static:
    route:
      10.9.1.0/24: { next-hop: 10.0.1.2, bfd-liveness-detection: { minimum-interval: 50, multiplier: 3 } }
      10.9.2.0/24: { next-hop: 10.0.2.2, bfd-liveness-detection: { minimum-interval: 50, multiplier: 3 } }
`;

type Session = Views['bfd-session']['sessions'][number];
const sessionWith = (address: string): Session | undefined => {
  const words = [main, 'show', 'bfd', 'session', '--json', '--socket', file('node.sock')];
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 });
  if (stdout === '') throw new Error(stderr);
  return (JSON.parse(stdout) as Views['bfd-session']).sessions.find((session) => session.address === address);
};
const routes = () => {
  const { routes: all } = net.show<Views['route']>('node', 'route');
  return all.filter(({ protocol }) => protocol === 'static').map(({ prefix }) => prefix);
};

/** Frozen, thawed or killed: the daemon itself. */
function signal(running: Running | undefined, name: NodeJS.Signals): void {
  const child = running?.child as ChildProcess;
  child.kill(name);
}

const peers = {
  bird: {
    address: '10.0.1.2',
    route: '10.9.1.0/24',
    start(): Running {
      writeFileSync(file('bird.conf'), birdText(50));
      return net.spawn('bird', [
        'bird',
        '-f',
        '-c',
        file('bird.conf'),
        '-s',
        file('bird.ctl'),
        '-P',
        file('bird.pid'),
      ]);
    },
    slowDown(): void {
      writeFileSync(file('bird.conf'), birdText(200));
      spawnSync('birdc', ['-s', file('bird.ctl'), 'configure'], { encoding: 'utf8' });
    },
  },
  bfdd: {
    address: '10.0.2.2',
    route: '10.9.2.0/24',
    start(): Running {
      writeFileSync(ofFrr('bfdd.conf'), bfddText(50));
      const common = ['-z', ofFrr('zserv'), '--vty_socket', ofFrr('vty'), '-P', '0'];
      if (!net.nodes.has('zebra'))
        net.nodes.set(
          'zebra',
          net.spawn('bfdd', [
            '/usr/lib/frr/zebra',
            ...common,
            '-f',
            ofFrr('empty'),
            '-i',
            ofFrr('zebra.pid'),
          ]),
        );
      const control = ['--bfdctl', ofFrr('bfdd.ctl')];
      return net.spawn('bfdd', [
        '/usr/lib/frr/bfdd',
        ...common,
        ...control,
        '-f',
        ofFrr('bfdd.conf'),
        '-i',
        ofFrr('bfdd.pid'),
      ]);
    },
    slowDown(): void {
      const words = ['configure terminal', 'bfd', 'peer 10.0.2.1 local-address 10.0.2.2 interface eth0'];
      const commands = [...words, 'transmit-interval 200', 'receive-interval 200'].flatMap((word) => [
        '-c',
        word,
      ]);
      spawnSync('vtysh', ['--vty_socket', ofFrr('vty'), ...commands], { encoding: 'utf8' });
    },
  },
} as const;
type Peer = keyof typeof peers;
const running = new Map<Peer, Running>();
const logs = () => [...net.nodes, ...running].map(([name, { log }]) => `${name}: ${log()}`).join('\n');

describe.skipIf(lacking !== undefined)(`BFD against real peers${lacking?.note ?? ''}`, () => {
  beforeAll(async () => {
    for (const name of ['node', 'bird', 'bfdd']) {
      ip('netns', 'add', net.of(name));
      ip('-n', net.of(name), 'link', 'set', 'lo', 'up');
    }
    for (const [i, name] of [[1, 'bird'] as const, [2, 'bfdd'] as const]) {
      const [a, b] = [`${net.prefix}a${i}`, `${net.prefix}b${i}`].map((end) => end.slice(-15));
      ip('link', 'add', a!, 'type', 'veth', 'peer', 'name', b!);
      ip('link', 'set', a!, 'netns', net.of('node'), 'name', `eth${i}`, 'up');
      ip('link', 'set', b!, 'netns', net.of(name), 'name', 'eth0', 'up');
      ip('-n', net.of(name), 'addr', 'add', `10.0.${i}.2/24`, 'dev', 'eth0');
    }
    writeFileSync(file('node.yaml'), nodeText);
    writeFileSync(ofFrr('empty'), '');
    frr = mkdtempSync(join(tmpdir(), 'penstock-frr-'));
    mkdirSync(ofFrr('vty'));
    // frr's daemons give up root's rights
    for (const place of [frr, ofFrr('vty')]) chmodSync(place, 0o777);
    net.start('node');
    for (const name of Object.keys(peers) as Peer[]) running.set(name, peers[name].start());
    const isUp = () => Object.values(peers).every(({ address }) => sessionWith(address)?.state === 'Up');
    if (!(await until(() => existsSync(file('node.sock')) && isUp(), 20_000))) throw new Error(logs());
  }, 40_000);

  afterAll(async () => {
    for (const each of running.values()) {
      each.child.kill('SIGCONT');
      each.child.kill('SIGKILL');
      await each.ended;
    }
    await net.stop('SIGTERM');
    for (const name of ['node', 'bird', 'bfdd']) spawnSync('ip', ['netns', 'del', net.of(name)]);
    net.removeDirectory();
    if (frr !== '') rmSync(frr, { recursive: true, force: true });
  }, 30_000);

  it('comes up with both, and the routes with it', () => {
    for (const { address } of Object.values(peers))
      expect(sessionWith(address)).toMatchObject({
        state: 'Up',
        detectionSeconds: 0.15,
        transmitIntervalSeconds: 0.05,
      });
    expect(routes().sort()).toEqual(['10.9.1.0/24', '10.9.2.0/24']);
  });

  it('goes by slower intervals once a peer asks for them, without a flap', async () => {
    for (const { slowDown } of Object.values(peers)) slowDown();
    const isSlower = () =>
      Object.values(peers).every(({ address }) => sessionWith(address)?.transmitIntervalSeconds === 0.2);
    expect(await until(isSlower, 8000), logs()).toBe(true);
    for (const { address } of Object.values(peers))
      expect(sessionWith(address)).toMatchObject({ state: 'Up', downs: 0, detectionSeconds: 0.6 });
  });

  it('notices a peer that is frozen, and that it goes on', async () => {
    for (const each of running.values()) signal(each, 'SIGSTOP');
    expect(await until(() => routes().length === 0, 5000)).toBe(true);
    for (const { address } of Object.values(peers))
      expect(sessionWith(address)).toMatchObject({ state: 'Down', localDiagnostic: 'CtlExpire', downs: 1 });
    for (const each of running.values()) signal(each, 'SIGCONT');
    expect(await until(() => routes().length === 2, 8000), logs()).toBe(true);
  });

  it('notices a peer that is killed, and the next that comes in its place', async () => {
    for (const [name, each] of running) {
      signal(each, 'SIGKILL');
      await each.ended;
      running.delete(name);
    }
    expect(await until(() => routes().length === 0, 5000)).toBe(true);
    for (const name of Object.keys(peers) as Peer[]) running.set(name, peers[name].start());
    expect(await until(() => routes().length === 2, 10_000), logs()).toBe(true);
    await sleep(300);
    for (const { address } of Object.values(peers))
      expect(sessionWith(address)).toMatchObject({ state: 'Up', downs: 2 });
  });
});
