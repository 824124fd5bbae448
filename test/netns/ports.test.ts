/**
 * The main job between kernel hosts on every kind of port, at 1500 and 9000 bytes: TCP and UDP by iperf3, and a file of
 * 100 MB that arrives as it was sent.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Views } from '../../dist/control/show/views.js';
import { ip, missing, Namespaces, sleep, until } from './support.js';

const script = new URL('../../examples/netns/lab.sh', import.meta.url).pathname;
const names = new Namespaces();
const { prefix, directory } = names;
let nextPort = 6300;

/** Received bytes. */
async function iperf(client: string, server: string, to: string, args: readonly string[]): Promise<number> {
  const port = String(nextPort++);
  const listener = names.spawn(server, ['iperf3', '-s', '-1', '--forceflush', '-p', port]);
  await until(() => listener.log().includes('listening'), 10_000);
  const { ended, log } = names.spawn(client, ['iperf3', '-J', '-t', '1', '-c', to, '-p', port, ...args]);
  await ended;
  listener.child.kill('SIGKILL');
  const report = JSON.parse(log());
  expect(report.error).toBeUndefined();
  const { sum_received: received, sum } = report.end;
  return received?.bytes ?? sum.bytes * (1 - sum.lost_percent / 100);
}

/** 100 MB from the client to the server, and whether what arrived is what was sent. */
async function file(client: string, server: string, to: string): Promise<boolean> {
  const port = nextPort++;
  const receive = `const hash = require('node:crypto').createHash('sha256'); let bytes = 0;
    require('node:net').createServer((socket) => socket.on('data', (data) => { bytes += data.length; hash.update(data); })
      .on('end', () => { console.log(bytes, hash.digest('hex')); process.exit(0); })).listen(${port}, '${to}',
      () => console.log('listening'));`;
  const send = `const { createHash, randomBytes } = require('node:crypto'); const part = randomBytes(1 << 20);
    const hash = createHash('sha256'); const socket = require('node:net').connect(${port}, '${to}', () => next(0));
    const next = (i) => { if (i === 100) return socket.end(() => console.log(100 << 20, hash.digest('hex')));
      part.writeUInt32BE(i, 0); hash.update(part); socket.write(Buffer.from(part), () => next(i + 1)); };`;
  const receiver = names.spawn(server, [process.execPath, '-e', receive]);
  await until(() => receiver.log().includes('listening'), 10_000);
  const sender = names.spawn(client, [process.execPath, '-e', send]);
  await Promise.race([receiver.ended, sleep(40_000)]);
  receiver.child.kill('SIGKILL');
  await sender.ended;
  return receiver.log().replace('listening\n', '') === sender.log() && sender.log().startsWith('104857600 ');
}

interface Kind {
  readonly port: 'af-xdp' | 'af-packet' | 'tun';
  readonly mtu: number;
}

/** The hosts of the lab: in namespaces of their own, or beside a node that made an interface for them. */
const hostsOf = ({ port }: Kind) =>
  port === 'tun' ? { client: 'enb', server: 'tlb1' } : { client: 'client', server: 'server' };

function addressHost(namespace: string, link: string, inet: string, inet6: string): void {
  const at = ['-n', `${prefix}-${namespace}`];
  ip('netns', 'exec', names.of(namespace), 'sysctl', '-qw', `net.ipv6.conf.${link}.disable_ipv6=0`);
  for (const [family, address] of [
    ['-4', inet],
    ['-6', inet6],
  ] as const) {
    ip(...at, 'address', 'add', address, 'dev', link, ...(family === '-6' ? ['nodad'] : []));
    ip(...at, family, 'route', 'add', 'default', 'dev', link);
  }
}

async function up(kind: Kind): Promise<void> {
  const made = spawnSync(script, ['up', prefix, directory, kind.port, String(kind.mtu)], {
    encoding: 'utf8',
  });
  if (made.status !== 0) throw new Error(made.stderr);
  for (const node of ['tlb1', 'gw1', 'gw2', 'enb']) names.start(node);
  const said = () => [...names.nodes.values()].map(({ log }) => log()).join('\n');
  const all = () => [...names.nodes].every(([node, { log }]) => log().includes(`${node} runs`));
  if (!(await until(all, 30_000))) throw new Error(`not all nodes run\n${said()}`);
  if (kind.port === 'tun') {
    addressHost('enb', 'inside0', '192.168.10.2/24', 'fd00:10::2/64');
    addressHost('tlb1', 'internet0', '203.0.113.2/24', '2001:db8:ffff::2/64');
  }
  const { client } = hostsOf(kind);
  const answers = async () =>
    (await names.ping(client, '203.0.113.2')) && (await names.ping(client, '2001:db8:ffff::2'));
  if (!(await until(answers, 20_000))) throw new Error(`no answer from the server\n${said()}`);
}

const down = () => spawnSync(script, ['down', prefix]);

describe.skipIf(missing !== undefined)(`ports of every kind${missing?.note ?? ''}`, () => {
  afterEach(async () => {
    await names.stop('SIGKILL');
    down();
  });
  afterAll(() => names.removeDirectory());

  const kinds: readonly Kind[] = [
    { port: 'af-xdp', mtu: 1500 },
    { port: 'af-xdp', mtu: 9000 },
    { port: 'af-packet', mtu: 9000 },
    { port: 'tun', mtu: 1500 },
    { port: 'tun', mtu: 9000 },
  ];
  it.each(kinds)(
    '$port carries the main job at $mtu',
    async (kind) => {
      await up(kind);
      const { client, server } = hostsOf(kind);
      const said = names.nodes.get('enb')!.log();
      if (kind.port === 'af-xdp')
        expect(said).toMatch(/ge-0\/0\/0: AF_XDP in the driver, copying; \d+ queues? for 1 worker/);
      for (const [to, header] of [
        ['203.0.113.2', 28],
        ['2001:db8:ffff::2', 48],
      ] as const) {
        // as large as the host's link, whole
        expect(
          await until(() => names.ping(client, to, '-M', 'do', '-s', String(kind.mtu - header)), 5_000),
        ).toBe(true);
        expect(await iperf(client, server, to, [])).toBeGreaterThan(1_000_000);
      }
      const payload = String(kind.mtu - 100);
      expect(await iperf(client, server, '203.0.113.2', ['-u', '-b', '20M', '-l', payload])).toBeGreaterThan(
        1_000_000,
      );
      expect(
        await iperf(client, server, '2001:db8:ffff::2', ['-u', '-b', '20M', '-l', payload]),
      ).toBeGreaterThan(1_000_000);
      expect(await file(client, server, kind.mtu === 1500 ? '203.0.113.2' : '2001:db8:ffff::2')).toBe(true);
      const { counters } = names.show<Views['counters']>('enb', 'counters');
      const wrong = ['oversized', 'badChecksum', 'badL4', 'authFailed', 'txRefused'];
      expect(counters.filter(({ name, value }) => wrong.includes(name) && Number(value) > 0)).toEqual([]);
      expect(await names.stop()).toEqual([0, 0, 0, 0]);
    },
    90_000,
  );
});
