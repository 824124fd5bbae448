/** A further worker on ports of every kind, while a node carries traffic: no packet lost, none twice, no session anew. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Views } from '../../dist/control/show/views.js';
import { ip, main, missing, Namespaces, until } from './support.js';

const names = new Namespaces();
const path = join(names.directory, 'gateway.yaml');

/** left ── in0 (AF_XDP) gateway out0 (AF_PACKET) ── right, and tun7, behind which the gateway's own host is. */
function lab(): void {
  for (const name of ['left', 'gateway', 'right']) {
    ip('netns', 'add', names.of(name));
    ip('-n', names.of(name), 'link', 'set', 'lo', 'up');
  }
  ip('netns', 'exec', names.of('gateway'), 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=1');
  for (const [host, name, network] of [
    ['left', 'in0', 1],
    ['right', 'out0', 2],
  ] as const) {
    const at = names.of(host);
    ip('-n', names.of('gateway'), 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', at);
    ip('-n', at, 'address', 'add', `10.1.${network}.1/24`, 'dev', 'eth0');
    ip('-n', at, 'link', 'set', 'eth0', 'up');
    ip('-n', at, 'route', 'add', 'default', 'via', `10.1.${network}.254`);
    ip('-n', names.of('gateway'), 'link', 'set', name, 'up');
    ip('netns', 'exec', at, 'ethtool', '-K', 'eth0', 'tx', 'off');
  }
}

const configuration = (workers: number) => `
system: { host-name: gateway, workers: ${workers}, maximum-workers: 2, control-socket: gateway.sock }
interfaces:
  ge-0/0/0: { port: { af-xdp: in0 }, unit: { 0: { family: { inet: { address: [10.1.1.254/24] } } } } }
  ge-0/0/1: { port: { af-packet: out0 }, unit: { 0: { family: { inet: { address: [10.1.2.254/24] } } } } }
  ge-0/0/2: { port: { tun: tun7 }, unit: { 0: { family: { inet: { address: [10.1.3.254/24] } } } } }
security:
  zones: { security-zone: { all: { interfaces: [ge-0/0/0.0, ge-0/0/1.0, ge-0/0/2.0] } } }
  policies: { default-policy: permit-all }
`;

describe.skipIf(missing !== undefined)(`a further worker${missing?.note ?? ''}`, () => {
  afterAll(async () => {
    await names.stop('SIGKILL');
    for (const name of ['left', 'gateway', 'right']) spawnSync('ip', ['netns', 'delete', names.of(name)]);
    names.removeDirectory();
  });

  it('joins on AF_XDP, AF_PACKET and TUN under load', async () => {
    lab();
    writeFileSync(path, configuration(1));
    const { log } = names.start('gateway');
    expect(await until(() => log().includes('gateway runs'), 20_000), log()).toBe(true);
    ip('-n', names.of('gateway'), 'address', 'add', '10.1.3.1/24', 'dev', 'tun7');
    ip('-n', names.of('gateway'), 'route', 'add', '10.1.1.0/24', 'dev', 'tun7');
    for (const to of ['10.1.2.1', '10.1.3.1'])
      expect(await until(() => names.ping('left', to, '-W', '0.1'), 20_000), to).toBe(true);
    const counter = (name: string) => {
      const { counters } = names.show<Views['counters']>('gateway', 'counters');
      return Number(counters.find((each) => each.name === name)?.value ?? 0);
    };
    const before = counter('sessionsCreated');
    // each is a flow
    const pings = Array.from({ length: 16 }, (_, i) =>
      names.spawn('left', ['ping', '-q', '-i', '0.01', '-c', '200', i % 2 === 0 ? '10.1.2.1' : '10.1.3.1']),
    );
    expect(await until(() => counter('sessionsCreated') === before + 16, 10_000)).toBe(true);
    writeFileSync(path, configuration(2));
    const applied = spawnSync(
      process.execPath,
      [main, 'apply', path, '--socket', join(names.directory, 'gateway.sock')],
      { encoding: 'utf8', timeout: 20_000 },
    );
    expect(applied.stdout).toContain('workers: 1 → 2; no tunnel moves');
    for (const { ended, log: said } of pings) {
      await ended;
      expect(said()).toContain('200 packets transmitted, 200 received, 0% packet loss');
      expect(said()).not.toContain('duplicates');
    }
    expect(log()).toContain('2 workers run');
    expect(counter('sessionsCreated')).toBe(before + 16);
    expect(counter('flowsMoved')).toBeGreaterThan(0);
    const { workers } = names.show<Views['workers']>('gateway', 'workers');
    expect(workers).toHaveLength(2);
    expect(counter('takenOver')).toBeGreaterThan(0);
    for (const port of names.show<Views['ports']>('gateway', 'ports').ports) expect(port.fault).toBe('');
    expect(await names.stop()).toEqual([0]);
  }, 60_000);
});
