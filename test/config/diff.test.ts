import { describe, expect, it } from 'vitest';
import { type Change, diff } from '../../dist/config/diff.js';
import { loadConfig } from '../../dist/config/load.js';
import { digits, edited, gateway, router, surroundings } from './samples.js';

const load = (text: string) => loadConfig(text, 'node.yaml', surroundings);
const kindOf = ({ before, after }: Change) =>
  before === null ? 'added' : after === null ? 'removed' : 'changed';
const shortly = (changes: readonly Change[]) =>
  changes.map((change) => `${kindOf(change)} ${change.section} ${change.name}`.trim());

type Edits = readonly (readonly [string, string])[];

describe('diff', () => {
  it.each<[string, string, Edits, string[]]>([
    ['nothing', gateway, [], []],
    [
      'a comment and another spelling',
      gateway,
      [
        ['  node-id: 1', '  node-id: 0x1 # one'],
        ["'2001:db8:1::2/64'", '"2001:0db8:1:0::2/64"'],
      ],
      [],
    ],
    ['the host name', gateway, [['host-name: gw1', 'host-name: gw9']], ['changed system']],
    ['a key', gateway, [[digits('a1'), digits('a2')]], ['changed vpn enb1']],
    [
      'where a key comes from, not the key',
      gateway,
      [['{ env: OUTBOUND_KEY }', `{ hex: ${digits('b2')} }`]],
      [],
    ],
    [
      'a route added',
      gateway,
      [
        [
          '      192.0.2.128/25: { discard }',
          '      192.0.2.128/25: { discard }\n      10.99.0.0/16: { discard }',
        ],
      ],
      ['added static-route default 10.99.0.0/16'],
    ],
    [
      'a route gone',
      gateway,
      [['      192.0.2.128/25: { discard }\n', '']],
      ['removed static-route default 192.0.2.128/25'],
    ],
    [
      'an MTU',
      gateway,
      [['    port: { af-packet: veth0 }', '    port: { af-packet: veth0 }\n    mtu: 1400']],
      ['changed port ge-0/0/0', 'changed interface ge-0/0/0.0'],
    ],
    [
      'another zone',
      gateway,
      [
        ['[ge-0/0/0.0, lo0]', '[ge-0/0/0.0]'],
        ['interfaces: ge-0/0/1.0', 'interfaces: [ge-0/0/1.0, lo0]'],
      ],
      ['changed interface lo0.0', 'changed zone trust', 'changed zone untrust'],
    ],
    ['a policy', gateway, [['then: { permit }', 'then: { deny }']], ['changed policies vpn untrust']],
    [
      'the default policy and the flow',
      gateway,
      [
        ['deny-all', 'permit-all'],
        ['no-syn-check }', 'no-syn-check-in-tunnel }'],
      ],
      ['changed default-policy', 'changed flow'],
    ],
    ['a weight', router, [['weight: 3', 'weight: 4']], ['changed group ipsec_lb srx_group']],
    ['a member', router, [['[SRX1, SRX2]', '[SRX1]']], ['changed group ipsec_lb srx_group']],
    ['a seed', router, [['seed: 7', 'seed: 8']], ['changed virtual-service ipsec_lb srx_trust_vs']],
    ['a term', router, [['protocol: [esp, udp]', 'protocol: esp']], ['changed filter inet IPSEC_LB']],
    ['a probe', router, [['failure-retries: 3', 'failure-retries: 4']], ['changed profile icmp-profile']],
  ])('%s', (_, text, edits, expected) => {
    expect(shortly(diff(load(text), load(edited(text, ...edits))))).toEqual(expected);
  });

  it('is turned round by turning the configurations round', () => {
    const [a, b] = [load(gateway), load(edited(gateway, ['      192.0.2.128/25: { discard }\n', '']))];
    expect(shortly(diff(b, a))).toEqual(['added static-route default 192.0.2.128/25']);
  });

  it('carries both sides', () => {
    const [change] = diff(load(gateway), load(edited(gateway, ['host-name: gw1', 'host-name: gw9'])));
    expect(change).toMatchObject({
      section: 'system',
      before: { hostName: 'gw1' },
      after: { hostName: 'gw9' },
    });
  });

  it('tells policies whose order has changed', () => {
    const second =
      '\n              - name: none\n                match: { source-address: any, destination-address: any, application: any }\n                then: { deny }';
    const first =
      '\n              - name: mobiles-out\n                match: { source-address: mobiles, destination-address: any, application: [web, ping] }\n                then: { permit }';
    const ab = edited(gateway, [first, first + second]);
    const ba = edited(gateway, [first, second + first]);
    expect(shortly(diff(load(ab), load(ba)))).toEqual(['changed policies vpn untrust']);
  });
});
