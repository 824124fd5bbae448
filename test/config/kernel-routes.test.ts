import { describe, expect, it } from 'vitest';
import { diff } from '../../dist/config/diff.js';
import { refusals } from '../../dist/config/live.js';
import { checkConfig, loadConfig } from '../../dist/config/load.js';
import { problemText } from '../../dist/config/problem.js';
import { edited, gateway, router, surroundings } from './samples.js';

const withKernel = (section: string, text = gateway) =>
  edited(text, ['  auto-route-injection:', `  kernel: ${section}\n  auto-route-injection:`]);
const kernelOf = (section: string) => loadConfig(withKernel(section), 'gw.yaml', surroundings).kernelRoutes;
const problems = (text: string) =>
  checkConfig(text, 'gw.yaml', surroundings).problems.map((problem) =>
    problemText(problem).replace('gw.yaml:', ''),
  );

describe('routing-options.kernel', () => {
  it('is off when it is not there', () => {
    expect(loadConfig(gateway, 'gw.yaml', surroundings).kernelRoutes).toBeNull();
  });

  it('has a table, a protocol and an interface by itself', () => {
    expect(kernelOf('{ export: ari-ts }')).toEqual({
      export: ['ari-ts'],
      exportPolicy: [],
      import: false,
      interface: 'penstock0',
      table: 100,
      protocol: 200,
    });
  });

  it('takes all that is written', () => {
    const section =
      '{ export: [tunnel-endpoint, ari-ts, ari-ts], import, interface: anycast0, table: 4000, protocol: 77 }';
    expect(kernelOf(section)).toEqual({
      export: ['tunnel-endpoint', 'ari-ts'],
      exportPolicy: [],
      import: true,
      interface: 'anycast0',
      table: 4000,
      protocol: 77,
    });
  });

  it.each([
    [
      'nothing to do',
      '{ table: 100 }',
      ['27:3: routing-options.kernel: does nothing; write export, import or both'],
    ],
    [
      'a kind that there is not',
      '{ export: ari }',
      [
        '27:21: routing-options.kernel.export.0: ari is not known; write ari-ts, virtual-service, tunnel-endpoint, static, direct or signal',
      ],
    ],
    [
      'virtual services where there are none',
      '{ export: [virtual-service] }',
      ['27:22: routing-options.kernel.export.0: there is no virtual service here; leave it out'],
    ],
    [
      'the table that the kernel routes by',
      '{ export: ari-ts, table: 254 }',
      [
        '27:36: routing-options.kernel.table: 254 is a table that the kernel routes by; choose another, e.g. 100',
      ],
    ],
    [
      'a protocol that is a daemon’s',
      '{ export: ari-ts, protocol: 186 }',
      ["27:39: routing-options.kernel.protocol: 186 is bgp's; choose another, e.g. 200"],
    ],
    [
      'a protocol that is the kernel’s',
      '{ export: ari-ts, protocol: 2 }',
      ['27:39: routing-options.kernel.protocol: 2 is not a whole number from 19 to 255'],
    ],
    [
      'the interface of a port',
      '{ export: ari-ts, interface: veth0 }',
      ['27:40: routing-options.kernel.interface: veth0 is the interface of ge-0/0/0; choose another'],
    ],
    [
      'an interface with too long a name',
      '{ export: ari-ts, interface: a-much-too-long-name }',
      ['27:40: routing-options.kernel.interface: longer than 15 characters'],
    ],
    [
      'an unknown word',
      '{ exports: ari-ts }',
      ['27:13: routing-options.kernel.exports: unknown key; did you mean export?'],
    ],
  ])('refuses %s', (_, section, expected) => expect(problems(withKernel(section))).toEqual(expected));

  it('refuses tunnel endpoints that are on no loopback, and imports without a port on the kernel', () => {
    const elsewhere = edited(
      withKernel('{ export: tunnel-endpoint, import }'),
      ['local-address: 10.0.0.1', 'local-address: 10.1.1.2'],
      ['port: { af-packet: veth0 }', 'port: { memory: outside }'],
    );
    expect(problems(elsewhere).map((line) => line.slice(line.indexOf(' ')))).toEqual([
      ' routing-options.kernel.export.0: no VPN has its local-address on lo0, where it can be anycast; leave it out',
      ' routing-options.kernel.import: no port is on an interface of the kernel (af-xdp or af-packet)',
    ]);
  });

  it('exports virtual services of a router', () => {
    const text = edited(router, [
      'firewall:',
      'routing-options: { kernel: { export: virtual-service } }\nfirewall:',
    ]);
    expect(loadConfig(text, 'tlb.yaml', surroundings).kernelRoutes?.export).toEqual(['virtual-service']);
  });

  it('is a change of its own; a running node takes which routes are exported', () => {
    const configOf = (section: string) => loadConfig(withKernel(section), 'gw.yaml', surroundings);
    const before = configOf('{ export: ari-ts }');
    const more = diff(before, configOf('{ export: [ari-ts, tunnel-endpoint] }'));
    expect(more.map(({ section }) => section)).toEqual(['kernel-routes']);
    expect(refusals(more)).toEqual([]);
    const none = diff(before, loadConfig(gateway, 'gw.yaml', surroundings));
    for (const changes of [diff(before, configOf('{ export: ari-ts, table: 101 }')), none]) {
      expect(refusals(changes).map(({ path }) => path)).toEqual(['routing-options.kernel']);
    }
  });
});
