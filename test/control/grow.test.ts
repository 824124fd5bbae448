/** More workers, while a node runs: what apply does, and what it refuses by name. */
import { expect, it } from 'vitest';
import { ControlClient } from '../../dist/control/client.js';
import type { ApplyReport } from '../../dist/control/live-config.js';
import type { ViewName, Views } from '../../dist/control/show/views.js';
import { directory, start, until } from './support.js';

const vpn = (n: number) => `
      enb${n}:
        bind-interface: st0.0
        manual:
          gateway: 10.20.0.${n}
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: ${0x1000 + n}, key: { hex: ${`a${n}`.repeat(36)} } }]
          outbound: { spi: ${0x2000 + n}, key: { hex: ${`b${n}`.repeat(36)} } }
        traffic-selector: { ts1: { local-ip: 203.0.113.0/24, remote-ip: 192.0.2.${n}/32 } }`;

const gateway = (path: string, workers: number, vpns: number[], system = '') => `
system: { host-name: gw1, node-id: 1, workers: ${workers}, maximum-workers: 3, state-directory: ${path}/state, control-socket: ${path}/gw1.sock ${system} }
interfaces:
  ge-0/0/0: { port: { memory: w }, unit: { 0: { family: { inet: { address: [10.1.1.2/24] } } } } }
  ge-0/0/1: { port: { memory: w }, unit: { 0: { family: { inet: { address: [10.2.1.2/24] } } } } }
  lo0: { unit: { 0: { family: { inet: { address: [10.0.0.1/32] } } } } }
  st0: { unit: { 0: {} } }
routing-options:
  static: { route: { 10.20.0.0/16: { next-hop: 10.1.1.1 }, 203.0.113.0/24: { next-hop: 10.2.1.1 } } }
security:
  zones: { security-zone: { trust: { interfaces: [st0.0, ge-0/0/0.0] }, untrust: { interfaces: [ge-0/0/1.0] } } }
  policies: { default-policy: permit-all }
  ipsec:
    vpn:${vpns.map(vpn).join('')}
`;

it('a node is given further workers: tunnels stay, new ones go to them, and what cannot be is refused by name', async () => {
  const path = directory();
  const file = `${path}/gw.yaml`;
  const { log, failures } = await start(gateway(path, 1, [1, 2]), path);
  const client = await ControlClient.open(`${path}/gw1.sock`);
  const show = async <V extends ViewName>(what: V) => (await client.request('show', { what })) as Views[V];
  const apply = async (text: string, options: object = {}) =>
    (await client.request('apply', { file, text, ...options })) as ApplyReport;
  const workers = async () => (await show('workers')).workers.length;
  const anchors = async () => (await show('tunnel-map-summary')).ikeGateways.map(({ worker }) => worker);

  const dry = await apply(gateway(path, 2, [1, 2]), { dryRun: true });
  expect(dry).toMatchObject({ outcome: 'dry-run', workers: { before: 1, after: 2 }, refused: [] });
  expect(await workers()).toBe(1);
  expect(await apply(gateway(path, 2, [1, 2]), { confirmSeconds: 60 })).toMatchObject({
    outcome: 'refused',
    refused: [{ path: 'system.workers', message: expect.stringContaining('without --confirm') }],
  });
  expect(
    await apply(gateway(path, 4, [1, 2], '').replace('maximum-workers: 3', 'maximum-workers: 4')),
  ).toMatchObject({
    outcome: 'refused',
    refused: [
      { path: 'system.maximum-workers', message: expect.stringContaining('memory was laid out for it') },
      { path: 'system.workers', message: expect.stringContaining('room for 3') },
    ],
  });

  expect(await apply(gateway(path, 3, [1, 2]))).toMatchObject({ outcome: 'applied' });
  await until(() => log.some((line) => line.startsWith('3 workers run')));
  expect(log.join('\n')).toContain('3 workers run');
  expect((await show('workers')).workers.map(({ state }) => state)).not.toContain('idle');
  expect(await anchors()).toEqual([0, 0]);
  expect(await apply(gateway(path, 3, [1, 2, 3, 4]))).toMatchObject({ outcome: 'applied', workers: null });
  expect((await anchors()).slice(0, 2)).toEqual([0, 0]);
  expect((await anchors()).slice(2).sort()).toEqual([1, 2]);

  expect(await apply(gateway(path, 2, [1, 2, 3, 4]))).toMatchObject({
    outcome: 'refused',
    refused: [{ path: 'system.workers', message: expect.stringContaining('cannot become fewer') }],
  });
  expect(await workers()).toBe(3);
  expect(failures).toEqual([]);
  client.close();
});
