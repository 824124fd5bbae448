/** examples/pair with assertions: virtual addresses that move between two nodes, seen by kernel hosts on both sides. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Views } from '../../dist/control/show/views.js';
import { main, missing, Namespaces, until } from './support.js';

const lab = new URL('../../examples/pair/lab.sh', import.meta.url).pathname;
const names = new Namespaces();

function run(command: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    cwd: names.directory,
    timeout: 20_000,
  });
  return { status, text: stdout + stderr };
}

const penstock = (...args: string[]) => run(process.execPath, main, ...args);

function statusOf(node: string): string {
  const { status, text } = penstock('show', 'srg', '1', '--json', '--socket', `${node}.sock`);
  return status === 0 ? (JSON.parse(text) as Views['services-redundancy-group']).group.status : text;
}

/** The station that the host has the gateway's address of. */
function gatewayMac(): string {
  const { text } = run('ip', '-n', names.of('lan'), 'neighbour', 'show', '192.168.97.1');
  return /lladdr (\S+)/.exec(text)?.[1] ?? text;
}

const macOf = (node: string) =>
  run('ip', 'netns', 'exec', names.of(node), 'cat', '/sys/class/net/lan0/address').text.trim();

describe.skipIf(missing !== undefined)(`a pair of gateways${missing?.note ?? ''}`, () => {
  beforeAll(() => {
    const { status, text } = run(lab, 'up', names.prefix, names.directory);
    if (status !== 0) throw new Error(text);
  }, 30_000);

  afterAll(async () => {
    await names.stop('SIGKILL');
    run(lab, 'down', names.prefix);
    names.removeDirectory();
  }, 30_000);

  it('moves its addresses with the group, and kernel hosts follow', async () => {
    for (const node of ['a', 'b']) names.start(node);
    const settled = () => statusOf('a') === 'ACTIVE' && statusOf('b') === 'BACKUP';
    expect(await until(settled, 30_000), `${statusOf('a')} ${statusOf('b')}`).toBe(true);
    expect(await names.ping('lan', '198.51.100.99')).toBe(true);
    expect(gatewayMac()).toBe(macOf('a'));

    const asked = penstock(
      'failover',
      'peer-id',
      '2',
      'services-redundancy-group',
      '1',
      '--socket',
      'a.sock',
    );
    expect(asked.text).toBe('services-redundancy-group 1: BACKUP here, the peer is asked\n');
    expect(await until(() => statusOf('b') === 'ACTIVE', 10_000)).toBe(true);
    // the announcement was enough: nobody asked
    expect(await until(() => gatewayMac() === macOf('b'), 3_000)).toBe(true);
    expect(await names.ping('lan', '198.51.100.99')).toBe(true);

    const refused = penstock(
      'failover',
      'peer-id',
      '7',
      'services-redundancy-group',
      '1',
      '--socket',
      'b.sock',
    );
    expect([refused.status, refused.text]).toEqual([1, 'penstock: node 7 is no peer of this one; it is 1\n']);

    names.nodes.get('b')!.child.kill('SIGKILL');
    expect(await until(() => statusOf('a') === 'ACTIVE', 10_000)).toBe(true);
    expect(await names.ping('lan', '198.51.100.99')).toBe(true);
  }, 90_000);
});
