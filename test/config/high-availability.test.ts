import { describe, expect, it } from 'vitest';
import { diff } from '../../dist/config/diff.js';
import { checkConfig, checkDocument, loadConfig } from '../../dist/config/load.js';
import { problemText } from '../../dist/config/problem.js';
import type { ConfigDocument } from '../../dist/config/schema.js';
import { readYaml } from '../../dist/config/yaml.js';
import { edited, pair, surroundings } from './samples.js';

const load = (...edits: readonly (readonly [string, string])[]) =>
  loadConfig(edited(pair, ...edits), 'a.yaml', surroundings);
const lines = (text: string) =>
  checkConfig(text, 'a.yaml', surroundings).problems.map((problem) =>
    problemText(problem).replace(/^a\.yaml:\d+:\d+: /, ''),
  );
const group1 = 'chassis.high-availability.services-redundancy-group.1';

describe('chassis.high-availability', () => {
  it('is one value', () => {
    const { highAvailability: it, system, vpns } = load();
    expect(system.nodeId).toBe(1);
    expect(vpns.map(({ name }) => name)).toEqual(['enb1']);
    expect(it).toMatchObject({
      localId: 1,
      peer: { id: 2, interface: 'ge-0/0/2.0', routingInstance: 'default' },
    });
    expect(String(it?.localIp)).toBe('10.3.1.2');
    expect(it?.peer.liveness).toEqual({
      minimumIntervalMs: 400,
      minimumReceiveIntervalMs: 400,
      multiplier: 5,
      authentication: null,
    });
    expect(it?.peer.forwarding).toMatchObject({
      interface: 'ge-0/0/3.0',
      liveness: { minimumIntervalMs: 1000 },
    });
    expect(it?.peer.linkEncryption).toMatchObject({
      name: 'ICL',
      manual: { routingInstance: 'default', outbound: { spi: 0x902 } },
    });
    expect(String(it?.peer.linkEncryption?.manual.gateway)).toBe('10.3.1.3');
    expect(it?.sync).toEqual({
      oseqShift: 65_536,
      periodPackets: 64,
      periodMs: 1000,
      packetRate: 7000,
      replicateSessions: true,
    });
  });

  it('has group 0 by itself, and the others by number', () => {
    const groups = load().highAvailability!.groups;
    expect(groups.map(({ id, deploymentType }) => [id, deploymentType])).toEqual([
      [0, 'routing'],
      [1, 'routing'],
      [2, 'hybrid'],
    ]);
    expect(groups[1]).toMatchObject({
      preemption: true,
      activenessPriority: 200,
      managesIpsec: true,
      activenessProbe: { kind: 'icmp', intervalMs: 1000, multiplier: 3, routingInstance: 'default' },
      activeSignalRoute: { routingInstance: 'MNHA-VR' },
    });
    expect(groups[1]!.prefixes.map(({ prefix }) => String(prefix))).toEqual(['10.0.0.1/32']);
    expect(groups[1]!.monitor).toMatchObject({
      srgThreshold: 100,
      objects: [
        {
          name: '',
          objectThreshold: 100,
          bfdLiveliness: { members: [{ weight: 100, sessionType: 'singlehop' }] },
        },
      ],
    });
    expect(groups[2]).toMatchObject({ activenessPriority: 100, preemption: false, activenessProbe: null });
    expect(groups[2]!.monitor.objects).toMatchObject([
      { name: 'servers', interface: { threshold: 100, members: [{ name: 'ge-0/0/1', weight: 100 }] } },
    ]);
    expect(groups[2]!.virtualIps.map(({ address, interface: onto }) => `${address} ${onto}`)).toEqual([
      '10.2.1.1/24 ge-0/0/1.0',
      '2001:db8:2::1/64 ge-0/0/1.0',
    ]);
  });

  it('is no pair without it', () => {
    expect(loadConfig('system: { host-name: a }', 'a.yaml', surroundings).highAvailability).toBeNull();
  });

  it('numbers the node, where system does not', () => {
    expect(load(['host-name: gw1a, node-id: 1', 'host-name: gw1a']).system.nodeId).toBe(1);
  });

  it('has BFD with authentication, probes by BFD, and ha-groups', () => {
    const { highAvailability: it } = load(
      [
        'minimum-interval: 400, multiplier: 5',
        'minimum-interval: 30, minimum-receive-interval: 50, authentication: { key-id: 7, key: { hex: 0011aabb } }',
      ],
      [
        'activeness-probe: { dest-ip: 10.1.1.1, src-ip: 10.0.0.1 }',
        'activeness-probe: { bfd-liveliness: { 10.1.1.1: { src-ip: 10.1.1.2, liveness-detection: { minimum-interval: 500 } } } }',
      ],
      ['        deployment-type: hybrid', '        deployment-type: hybrid\n        listen-ha-group: g'],
      ['    seqnum-sync:', '    ha-group: { g, h: { static: backup } }\n    seqnum-sync:'],
    );
    expect(it?.peer.liveness).toMatchObject({
      minimumIntervalMs: 30,
      minimumReceiveIntervalMs: 50,
      authentication: { algorithm: 'keyed-sha-1', keyId: 7 },
    });
    expect([...it!.peer.liveness.authentication!.key.reveal()]).toEqual([0, 0x11, 0xaa, 0xbb]);
    expect(it?.groups[1]?.activenessProbe).toMatchObject({
      kind: 'bfd',
      interface: 'ge-0/0/0.0',
      liveness: { minimumIntervalMs: 500, multiplier: 3 },
    });
    expect(it?.groups[2]?.haGroup).toBe('g');
    expect(it?.haGroups).toEqual([
      { name: 'g', static: null },
      { name: 'h', static: 'backup' },
    ]);
  });

  it('differs by section', () => {
    const changes = diff(
      load(),
      load(
        ['sync-period-packets: 64', 'sync-period-packets: 32'],
        ['activeness-priority: 200', 'activeness-priority: 90'],
      ),
    );
    expect(changes.map(({ section, name }) => `${section} ${name}`)).toEqual([
      'high-availability ',
      'services-redundancy-group 1',
    ]);
    expect(diff(load(), load())).toEqual([]);
  });

  it('warns of an oseq-shift that is too small for the rate', () => {
    const { config, warnings } = checkConfig(
      edited(pair, [
        'sync-period-packets: 64, sync-period-time: 1',
        'sync-period-packets: 0, sync-period-time: 10',
      ]),
      'a.yaml',
      surroundings,
    );
    expect(config).not.toBeNull();
    expect(warnings.map(({ message }) => message)).toEqual([
      'oseq-shift 65536 is too small for 7000 packets/s: 282800 is four times what is sent between two updates that the peer has',
    ]);
    expect(checkConfig(pair, 'a.yaml', surroundings).warnings).toEqual([]);
  });
});

type Holder = Record<string | number, unknown>;

function placesOf(holder: Holder): (readonly [Holder, string])[] {
  return Object.keys(holder).flatMap((key) => {
    const below = holder[key];
    const places = typeof below === 'object' && below !== null ? placesOf(below as Holder) : [];
    return [[holder, key] as const, ...places];
  });
}

describe('garbage', () => {
  it('in any place throws nothing', () => {
    const document = readYaml(pair, 'a.yaml').value as { chassis: Holder };
    const check = () => checkDocument(document as unknown as ConfigDocument, 'a.yaml', surroundings);
    let places = 0;
    for (const [holder, key] of placesOf(document.chassis)) {
      const right = holder[key];
      for (const wrong of [
        null,
        7,
        -1,
        true,
        'x y',
        '10.9.9.9',
        '10.2.0.0/8',
        [],
        {},
        [[]],
        { 1: {} },
        undefined,
      ]) {
        holder[key] = wrong;
        expect(check).not.toThrow();
        places++;
      }
      holder[key] = right;
    }
    expect(places).toBeGreaterThan(500);
    expect(check().problems).toEqual([]);
  });
});

type Edit = readonly [string, string];
const refused: readonly (readonly [string, readonly Edit[], readonly string[]])[] = [
  [
    'equal node-ids',
    [
      ['      2:\n        peer-ip', '      1:\n        peer-ip'],
      ['peer-id: 2\n', 'peer-id: 1\n'],
    ],
    [
      "chassis.high-availability.local-id.id: 1 is the peer's, too: their IVs would be the same; number the nodes apart, 1 to 15",
    ],
  ],
  [
    'a local-id that is not the node-id',
    [['{ id: 1,', '{ id: 3,']],
    ['chassis.high-availability.local-id.id: 3, but system.node-id is 1; write the same, or leave that out'],
  ],
  [
    'an ICL from no address of its interface',
    [['local-ip: 10.3.1.2', 'local-ip: 10.3.1.9']],
    [
      'chassis.high-availability.local-id.local-ip: 10.3.1.9 is no address of ge-0/0/2.0, the interface of this link',
    ],
  ],
  [
    'a peer that no route leads to',
    [['peer-ip: 10.3.1.3', 'peer-ip: 172.16.0.1']],
    ['chassis.high-availability.peer-id.2.peer-ip: no route to 172.16.0.1 in routing instance default'],
  ],
  [
    'a peer that is this node',
    [['peer-ip: 10.3.1.3', 'peer-ip: 10.1.1.2']],
    [
      "chassis.high-availability.peer-id.2.peer-ip: 10.1.1.2 is an address of this node; write the peer's address",
    ],
  ],
  [
    'an ICL in clear text where keys cross it',
    [
      ['        vpn-profile: ICL\n', ''],
      ['        ha-link-encryption:\n', '        ha-link-encryption: \n'],
    ],
    [
      'chassis.high-availability.peer-id.2.vpn-profile: missing; keys of services-redundancy-group 1 cross the ICL: name a VPN with ha-link-encryption',
      'security.ipsec.vpn.ICL.ha-link-encryption: no vpn-profile of a peer-id names this VPN',
    ],
  ],
  [
    'a vpn-profile that is no VPN of the ICL',
    [['vpn-profile: ICL', 'vpn-profile: enb1']],
    [
      'chassis.high-availability.peer-id.2.vpn-profile: VPN enb1 is not for the ICL; write ha-link-encryption in it',
      'security.ipsec.vpn.ICL.ha-link-encryption: no vpn-profile of a peer-id names this VPN',
    ],
  ],
  [
    'an ICL VPN with more than keys',
    [['        ha-link-encryption:\n', '        ha-link-encryption:\n        bind-interface: st0.1\n']],
    ['security.ipsec.vpn.ICL.bind-interface: a VPN with ha-link-encryption has none; remove it'],
  ],
  [
    'half an ICD',
    [[', local-forwarding-ip: 10.4.1.2', '']],
    [
      'chassis.high-availability.local-id.local-forwarding-ip: missing; write our end of the ICD, or leave peer-forwarding-ip out',
    ],
  ],
  [
    'two peers',
    [
      [
        '    services-redundancy-group:',
        '      3: { peer-ip: 10.3.1.4, interface: ge-0/0/2 }\n    services-redundancy-group:',
      ],
    ],
    ['chassis.high-availability.peer-id.3: a second peer; a pair has two nodes'],
  ],
  [
    'the ICL in another routing instance than the floating address',
    [
      [
        '  MNHA-VR: { instance-type: virtual-router }',
        '  MNHA-VR: { instance-type: virtual-router, interface: ge-0/0/2 }',
      ],
    ],
    [
      `${group1}.prefix-list: 10.0.0.1 on lo0.0 is in routing instance default, the ICL in MNHA-VR; put both into one`,
    ],
  ],
  [
    'a floating address where no physical interface is',
    [
      [
        '  MNHA-VR: { instance-type: virtual-router }',
        '  MNHA-VR: { instance-type: virtual-router, interface: [lo0.0, lo0.1], routing-options: { static: { route: { 10.3.1.3/32: { discard }, 10.20.0.0/16: { discard } } } } }',
      ],
      ['lo0: { unit: { 0: {', 'lo0: { unit: { 1: { family: { inet: { address: 10.3.3.3/32 } } }, 0: {'],
      ['local-ip: 10.3.1.2', 'local-ip: 10.3.3.3'],
      ['        interface: ge-0/0/2\n', '        interface: lo0.1\n'],
      ['prefix-list: { ike_lo0 }', 'prefix-list: { ike_lo0: { routing-instance: MNHA-VR } }'],
    ],
    [
      `${group1}.prefix-list: 10.0.0.1 on lo0.0 is in routing instance MNHA-VR, which has no physical interface: nothing gets there`,
    ],
  ],
  [
    'a floating address in another zone than its interface',
    [
      ['trust: { interfaces: [ge-0/0/0, lo0] }', 'trust: { interfaces: [ge-0/0/0] }'],
      ['untrust: { interfaces: ge-0/0/1 }', 'untrust: { interfaces: [ge-0/0/1, lo0] }'],
    ],
    [
      `${group1}.prefix-list: 10.0.0.1 on lo0.0 is in zone untrust, ge-0/0/0.0 towards 10.20.0.1 in trust; put both into one`,
    ],
  ],
  [
    'managed IPsec without a floating address',
    [['        prefix-list: { ike_lo0 }\n', '']],
    [
      `${group1}.prefix-list: missing; managed-services ipsec wants the floating address that IKE peers send to`,
    ],
  ],
  [
    'a prefix list that names no address of lo0',
    [['ike_lo0: 10.0.0.1/32', 'ike_lo0: 10.0.0.2/32']],
    [
      `${group1}.prefix-list: none of its addresses is on lo0 in routing instance default; add the floating address there`,
    ],
  ],
  [
    'one floating address in two groups',
    [
      [
        '        deployment-type: hybrid',
        '        deployment-type: hybrid\n        managed-services: ipsec\n        prefix-list: { ike_lo0 }',
      ],
    ],
    [
      'chassis.high-availability.services-redundancy-group.2.prefix-list: 10.0.0.1 is in services-redundancy-group 1 too; an address floats with one group',
    ],
  ],
  [
    'one virtual-ip in two groups',
    [
      [
        '    seqnum-sync:',
        '      3: { deployment-type: switching, virtual-ip: { 1: { ip: 10.2.1.1/24, interface: ge-0/0/1 } } }\n    seqnum-sync:',
      ],
    ],
    [
      'chassis.high-availability.services-redundancy-group.3.virtual-ip.1.ip: 10.2.1.1 is that of chassis.high-availability.services-redundancy-group.2.virtual-ip.1 too; a virtual-ip is in one group',
    ],
  ],
  [
    'a virtual-ip that is the node’s own',
    [['1: { ip: 10.2.1.1/24', '1: { ip: 10.2.1.2/24']],
    [
      'chassis.high-availability.services-redundancy-group.2.virtual-ip.1.ip: 10.2.1.2 is an address of this node itself; write one that both share',
    ],
  ],
  [
    'a virtual-ip outside the networks of its interface',
    [['1: { ip: 10.2.1.1/24', '1: { ip: 10.9.1.1/24']],
    [
      'chassis.high-availability.services-redundancy-group.2.virtual-ip.1.ip: ge-0/0/1.0 has no address in 10.9.1.0/24; give it one of its own there',
    ],
  ],
  [
    'a virtual-ip in routing mode',
    [['deployment-type: hybrid', 'activeness-probe: { dest-ip: 10.2.1.9, src-ip: 10.2.1.1 }']],
    [
      'chassis.high-availability.services-redundancy-group.2.virtual-ip: of deployment-type routing addresses float by routes; write a prefix-list, or deployment-type hybrid',
    ],
  ],
  [
    'no virtual-ip in hybrid mode',
    [['peer-id: 2\n', 'peer-id: 2\n        deployment-type: hybrid\n']],
    [`${group1}.virtual-ip: missing; deployment-type hybrid has at least one`],
  ],
  [
    'no probe in routing mode',
    [['        activeness-probe: { dest-ip: 10.1.1.1, src-ip: 10.0.0.1 }\n', '']],
    [
      `${group1}.activeness-probe: missing; of deployment-type routing it says which node the network leads to when the ICL is down`,
    ],
  ],
  [
    'pings and BFD at once',
    [
      [
        'src-ip: 10.0.0.1 }',
        'src-ip: 10.0.0.1, bfd-liveliness: { 10.1.1.1: { src-ip: 10.1.1.2, interface: ge-0/0/0 } } }',
      ],
    ],
    [`${group1}.activeness-probe.bfd-liveliness: there is a dest-ip for pings, too; write one of them`],
  ],
  [
    'a probe from an address that is not here',
    [['dest-ip: 10.1.1.1, src-ip: 10.0.0.1', 'dest-ip: 10.1.1.1, src-ip: 10.0.0.9']],
    [`${group1}.activeness-probe.src-ip: 10.0.0.9 is no address of this node; write a floating address`],
  ],
  [
    'signal routes that are the same',
    [['192.168.255.1', '192.168.255.0']],
    [
      `${group1}.backup-signal-route.ip: 192.168.255.0 is that of ${group1}.active-signal-route too: nobody could tell which is there; write another`,
    ],
  ],
  [
    'more than ten monitor-objects',
    [
      [
        'monitor: { bfd-liveliness: { 10.1.1.1: { src-ip: 10.1.1.2, interface: ge-0/0/0 } } }',
        `monitor: { monitor-object: { ${Array.from({ length: 11 }, (_, i) => `o${i}: { object-threshold: 1, interface: { interface-name: { ge-0/0/0: { weight: 100 } } } }`).join(', ')} } }`,
      ],
    ],
    [`${group1}.monitor.monitor-object: 11 monitor-objects; a group has at most 10`],
  ],
  [
    'thresholds that are never reached',
    [
      [
        'servers: { object-threshold: 100, interface: { threshold: 100, interface-name: { ge-0/0/1: { weight: 100 } } } }',
        'servers: { object-threshold: 300, interface: { threshold: 200, interface-name: { ge-0/0/1: { weight: 50 } } } }',
      ],
    ],
    [
      'chassis.high-availability.services-redundancy-group.2.monitor.srg-threshold: 100 is never reached: all that is watched weighs 50',
      'chassis.high-availability.services-redundancy-group.2.monitor.monitor-object.servers.object-threshold: 300 is never reached: the weights add up to 50',
      'chassis.high-availability.services-redundancy-group.2.monitor.monitor-object.servers.interface.threshold: 200 is never reached: the weights add up to 50',
    ],
  ],
  [
    'group 0 with an election',
    [
      [
        '      1:\n        peer-id: 2',
        '      0: { preemption, install-on-failure-route: { ip: 192.0.2.1 } }\n      1:\n        peer-id: 2',
      ],
    ],
    [
      'chassis.high-availability.services-redundancy-group.0.preemption: services-redundancy-group 0 is active on both nodes; remove it',
      'chassis.high-availability.services-redundancy-group.0.install-on-failure-route: nothing fails without a monitor; add one',
    ],
  ],
  [
    'install-on-failure-route elsewhere',
    [['        preemption:\n', '        preemption:\n        install-on-failure-route: { ip: 192.0.2.1 }\n']],
    [
      `${group1}.install-on-failure-route: for services-redundancy-group 0 only; write active-signal-route and backup-signal-route`,
    ],
  ],
  [
    'a group that listens and elects',
    [
      ['        preemption:\n', '        preemption:\n        listen-ha-group: g\n'],
      ['    seqnum-sync:', '    ha-group: { g }\n    seqnum-sync:'],
    ],
    [
      `${group1}.activeness-probe: listen-ha-group says who is active; remove it`,
      `${group1}.preemption: listen-ha-group says who is active; remove it`,
      `${group1}.activeness-priority: listen-ha-group says who is active; remove it`,
    ],
  ],
  [
    'an ha-group that is not there',
    [['        deployment-type: hybrid', '        deployment-type: hybrid\n        listen-ha-group: g']],
    [
      'chassis.high-availability.services-redundancy-group.2.listen-ha-group: no ha-group g; there is no ha-group: add it under chassis.high-availability.ha-group',
    ],
  ],
  [
    'another peer than there is',
    [['peer-id: 2\n', 'peer-id: 3\n']],
    [`${group1}.peer-id: 3 is no peer of this node; write 2`],
  ],
  [
    'updates that are all off',
    [['sync-period-packets: 64, sync-period-time: 1', 'sync-period-packets: 0, sync-period-time: 0']],
    [
      'chassis.high-availability.seqnum-sync.sync-period-packets: off, and so is sync-period-time: the peer would never know; write one of them',
    ],
  ],
  [
    'a BFD key that is too long',
    [['multiplier: 5 }', `multiplier: 5, authentication: { key-id: 1, key: { hex: ${'0'.repeat(42)} } } }`]],
    [
      'chassis.high-availability.peer-id.2.liveness-detection.authentication.key.hex: 42 digits; SHA1 authentication wants 2 to 40 hexadecimal digits',
    ],
  ],
  [
    'BFD faster than 10 ms',
    [['minimum-interval: 400', 'minimum-interval: 9']],
    [
      'chassis.high-availability.peer-id.2.liveness-detection.minimum-interval: 9 is not a whole number from 10 to 60000 milliseconds',
    ],
  ],
  [
    'a group number that is none',
    [['      2:\n        deployment-type', '      two:\n        deployment-type']],
    [
      'chassis.high-availability.services-redundancy-group.two: a services-redundancy-group is a number, e.g. 1',
    ],
  ],
];

describe('check refuses', () => {
  it.each(refused)('%s', (_, edits, expected) => expect(lines(edited(pair, ...edits))).toEqual(expected));

  it('more than 2,000 virtual-ips of a group', () => {
    const many = Array.from(
      { length: 2001 },
      (_, i) => `${i + 3}: { ip: 10.2.${8 + (i >> 7)}.${(i & 127) + 1}/16, interface: ge-0/0/1 }`,
    ).join('\n          ');
    const text = edited(
      pair,
      ["2: { ip: '2001:db8:2::1/64', interface: ge-0/0/1 }", many],
      ['address: 10.2.1.2/24', 'address: [10.2.1.2/24, 10.2.2.2/16]'],
    );
    expect(lines(text)).toEqual([
      'chassis.high-availability.services-redundancy-group.2.virtual-ip: 2002 virtual-ips; a group has at most 2000',
    ]);
  });
});
