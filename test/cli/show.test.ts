import { describe, expect, it } from 'vitest';
import { comparedText, compareGroups } from '../../dist/cli/compare-groups.js';
import { understand } from '../../dist/cli/show.js';
import { age, showText } from '../../dist/cli/show-text.js';

const meaning = (line: string) => {
  const { topic, params } = understand(line.split(' '));
  return [topic.view, params];
};
const refusal = (line: string) => {
  try {
    understand(line === '' ? [] : line.split(' '));
    return 'understood';
  } catch (error) {
    return `${(error as { code: number }).code} ${(error as Error).message}`;
  }
};

describe('what show understands', () => {
  it.each([
    ['security flow session', 'session', {}],
    ['sessions', 'session', {}],
    ['sec fl ses', 'session', {}],
    ['security ipsec security-associations', 'security-associations', {}],
    ['security ipsec security-associations vpn-name enb1', 'security-associations', { vpn: 'enb1' }],
    ['sa', 'security-associations', {}],
    ['security packet-drop records', 'packet-drop', {}],
    ['drops', 'packet-drop', {}],
    ['services traffic-load-balance statistics', 'traffic-load-balance', {}],
    [
      'services traffic-load-balance statistics instance ipsec_lb',
      'traffic-load-balance',
      { instance: 'ipsec_lb' },
    ],
    ['tlb instance ipsec_lb', 'traffic-load-balance', { instance: 'ipsec_lb' }],
    ['tlb group g real-service r', 'traffic-load-balance', { group: 'g', realService: 'r' }],
    ['load-balance groups', 'load-balance-groups', {}],
    ['route forwarding-table destination 10.0.0.1/32', 'forwarding-table', { destination: '10.0.0.1/32' }],
    ['route', 'route', {}],
    ['rou table TRUST_VR', 'route', { table: 'TRUST_VR' }],
    ['chassis high-availability information', 'high-availability', {}],
    ['cha hi inf det', 'high-availability', { level: 'detail' }],
    ['chassis high-availability services-redundancy-group 1', 'services-redundancy-group', { group: '1' }],
    ['srg 2', 'services-redundancy-group', { group: '2' }],
    ['chassis high-availability data-plane statistics', 'data-plane-statistics', {}],
    ['counters', 'counters', {}],
    ['security ike tunnel-map', 'tunnel-map', {}],
    ['security ike tunnel-map summary', 'tunnel-map-summary', {}],
    ['sec ike tunnel-m sum', 'tunnel-map-summary', {}],
    ['security ipsec tunnel-distribution', 'tunnel-distribution', {}],
    ['sec ips tunnel-d', 'tunnel-distribution', {}],
    ['workers', 'workers', {}],
    ['neighbours', 'neighbours', {}],
    ['arp', 'neighbours', {}],
  ])('%s', (line, view, params) => expect(meaning(line)).toEqual([view, params]));

  it.each([
    ['', /^2 show wants to know what: security flow session, /],
    ['rute', /^2 nothing to show called rute; did you mean route\?$/],
    ['security', /^2 nothing to show called security; /],
    ['security flow', /^2 nothing to show called security flow; /],
    ['route instance x', /^2 show route takes table NAME, destination NAME, protocol NAME, not instance$/],
    ['workers 1', /^2 show workers takes nothing more, not 1$/],
    ['tlb instance', /^2 show services traffic-load-balance statistics instance wants a name$/],
    ['srg', /^2 show chassis high-availability services-redundancy-group wants one number behind it$/],
    ['constructor', /^2 nothing to show called constructor/],
  ])('refuses "%s"', (line, message) => expect(refusal(line)).toMatch(message));
});

describe('ages', () => {
  it.each([
    [0, '00:00:00'],
    [11_650, '03:14:10'],
    [86_399, '23:59:59'],
    [4 * 86_400 + 17_573, '4d 04:52:53'],
  ])('%i s: %s', (seconds, text) => expect(age(seconds)).toBe(text));
});

describe('tables in the reference’s words', () => {
  it('of routes', () => {
    const base = {
      routingInstance: 'UNTRUST_VR',
      family: 'inet',
      active: true,
      hidden: false,
      ageSeconds: 12_810,
      kernelMetric: null,
      importedFrom: null,
      nextHops: [],
    } as const;
    const lines = showText('route', {
      routes: [
        {
          ...base,
          prefix: '192.0.2.1/32',
          protocol: 'ari-ts',
          preference: 5,
          nextHop: '10.1.1.18',
          via: 'ae3.1',
          origin: 'gw3',
        },
        {
          ...base,
          prefix: '192.0.2.1/32',
          active: false,
          protocol: 'ari-ts',
          preference: 5,
          nextHop: '10.1.1.2',
          via: 'ae1.1',
          origin: 'gw1',
        },
        {
          ...base,
          prefix: '198.51.100.0/24',
          active: false,
          hidden: true,
          protocol: 'static',
          preference: 5,
          nextHop: '172.16.0.1',
          via: null,
          origin: 'configuration',
        },
        {
          ...base,
          routingInstance: 'default',
          prefix: '10.9.0.0/24',
          protocol: 'direct',
          preference: 0,
          nextHop: '',
          via: 'ge-0/0/0.0',
          origin: 'ge-0/0/0.0',
        },
        {
          ...base,
          routingInstance: 'default',
          prefix: '10.10.0.0/24',
          protocol: 'static',
          preference: 5,
          nextHop: '10.1.1.0 10.1.1.8 10.1.1.16',
          nextHops: [
            { name: '10.1.1.0', address: '10.1.1.0', via: 'ae1.0', status: 'UP' },
            { name: '10.1.1.8', address: '10.1.1.8', via: 'ae2.0', status: 'DOWN' },
            { name: '10.1.1.16', address: '10.1.1.16', via: null, status: 'DOWN' },
          ],
          via: null,
          origin: 'configuration',
        },
      ],
    });
    expect(lines.join('\n')).toBe(
      `UNTRUST_VR.inet.0: 2 destinations, 3 routes (1 active, 0 holddown, 1 hidden)
+ = Active Route, - = Last Active, * = Both
192.0.2.1/32       *[ARI-TS/5] 03:33:30, from gw3
                    > to 10.1.1.18 via ae3.1
                    [ARI-TS/5] 03:33:30, from gw1
                      to 10.1.1.2 via ae1.1
198.51.100.0/24     [Static/5] 03:33:30
                      to 172.16.0.1, not reachable

inet.0: 2 destinations, 2 routes (2 active, 0 holddown, 0 hidden)
+ = Active Route, - = Last Active, * = Both
10.9.0.0/24        *[Direct/0] 03:33:30
                    > via ge-0/0/0.0
10.10.0.0/24       *[Static/5] 03:33:30
                    > to 10.1.1.0 via ae1.0
                      to 10.1.1.8 via ae2.0, down
                      to 10.1.1.16, not reachable
`,
    );
  });

  it('of sessions', () => {
    const wing = { protocol: 'tcp', haWingState: 'Active' };
    const lines = showText('session', {
      totalSessions: 1,
      next: null,
      tunnelSessions: [
        {
          sessionId: 51,
          haState: 'Backup',
          in: {
            protocol: 'esp',
            haWingState: 'Active',
            source: '10.177.177.77',
            sourcePort: 0,
            destination: '10.165.251.200',
            destinationPort: 0,
            interface: 'lo0.10',
            packets: 0n,
            bytes: 0n,
          },
        },
      ],
      sessions: [
        {
          sessionId: 22_363n,
          policyName: 'default-permit/9',
          haState: 'Active',
          timeoutSeconds: 1714,
          sessionState: 'Valid',
          tcpState: 'established',
          worker: 0,
          in: {
            ...wing,
            source: '192.168.100.33',
            sourcePort: 13_623,
            destination: '10.177.177.77',
            destinationPort: 22,
            interface: 'ge-0/0/2.0',
            packets: 1560n,
            bytes: 106_121n,
          },
          out: {
            ...wing,
            source: '10.177.177.77',
            sourcePort: 22,
            destination: '192.168.100.33',
            destinationPort: 13_623,
            interface: 'ge-0/0/4.0',
            packets: 0n,
            bytes: 0n,
          },
        },
      ],
    });
    expect(lines).toEqual([
      'Session ID: 51, Policy name: N/A, HA State: Backup, Timeout: N/A, Session State: Valid',
      '  In: 10.177.177.77/0 --> 10.165.251.200/0;esp, Conn Tag: 0x0, If: lo0.10, Pkts: 0, Bytes: 0, HA Wing State: Active,',
      'Session ID: 22363, Policy name: default-permit/9, HA State: Active, Timeout: 1714, Session State: Valid',
      '  In: 192.168.100.33/13623 --> 10.177.177.77/22;tcp, Conn Tag: 0x0, If: ge-0/0/2.0, Pkts: 1560, Bytes: 106121, HA Wing State: Active,',
      '  Out: 10.177.177.77/22 --> 192.168.100.33/13623;tcp, Conn Tag: 0x0, If: ge-0/0/4.0, Pkts: 0, Bytes: 0, HA Wing State: Active,',
      'Total sessions: 1',
    ]);
  });

  const probe = {
    profile: 'http-profile',
    type: 'http',
    port: 8080,
    intervalSeconds: 0.5,
    timeoutSeconds: 0.25,
    failureRetries: 3,
    recoveryRetries: 2,
    state: 'DOWN',
    sent: 100,
    succeeded: 90,
    failed: 10,
    timedOut: 4,
    consecutiveSuccesses: 0,
    consecutiveFailures: 7,
    wentUp: 1,
    wentDown: 1,
    roundTripMilliseconds: 1.25,
    message: 'HTTP status 500',
  } as const;
  const real = {
    drained: false,
    sinceSeconds: 1,
    neighbour: 'up',
    session: 'none',
    slots: 256,
    weight: 1,
    routingInstance: 'TRUST_VR',
    packetsReceived: null,
    bytesReceived: null,
    probes: [],
  };
  const realServices = [
    {
      ...real,
      name: 'MNHA_SRX1',
      address: '10.10.10.1',
      status: 'UP',
      packetsSent: 968_865_783n,
      bytesSent: 616_132_687_984n,
    },
    {
      ...real,
      name: 'MNHA_SRX2',
      address: '10.10.10.2',
      status: 'DOWN',
      packetsSent: 700_415_829n,
      bytesSent: 445_395_235_970n,
      probes: [probe],
    },
  ] as const;
  const service = {
    instance: 'ipsec_lb',
    interface: 'lo0.0',
    interfaceState: 'UP',
    interfaceType: 'Multi services',
    routeHoldTimerSeconds: 180,
    routeInstalled: true,
    activeRealServices: 1,
    totalRealServices: 2,
    virtualService: 'mnha_srx_vip',
    address: '10.0.0.1',
    mode: 'Direct Server Return mode',
    routingInstance: 'srx-tpoxy-fi',
    group: 'mnha_srx_group',
    healthCheckInterfaceSubunit: 0,
    nextHopIndex: 613,
    whenAllDown: 'fail-closed',
    slots: 512,
    digest: '0123456789abcdef',
    upSeconds: 21_481,
    packetsSent: 1_669_281_612n,
    bytesSent: 1_061_527_923_954n,
  } as const;

  it('of load balancing, with the fields of the reference in its order', () => {
    const virtualServices = [{ ...service, realServices }];
    expect(showText('traffic-load-balance', { virtualServices }).join('\n')).toBe(
      `Traffic load balance instance name      : ipsec_lb
Multi services interface name           : lo0.0
Interface state                         : UP
Interface type                          : Multi services
Route hold timer                        : 180
Active real service count               : 1
Total real service count                : 2
Traffic load balance virtual svc name   : mnha_srx_vip
IP address                              : 10.0.0.1
Virtual service mode                    : Direct Server Return mode
Routing instance name                   : srx-tpoxy-fi
Traffic load balance group name         : mnha_srx_group
Health check interface subunit          : 0
Demux Nexthop index                     : N/A
Nexthop index                           : 613
Up time                                 : 05:58:01
Total packet sent count                 : 1669281612
Total byte sent count                   : 1061527923954

Real service  Address     Sts   Packet Sent     Byte Sent  Packet Recv  Byte Recv
MNHA_SRX1     10.10.10.1  UP      968865783  616132687984
MNHA_SRX2     10.10.10.2  DOWN    700415829  445395235970
MNHA_SRX2: http-profile HTTP status 500
`,
    );
  });

  it('of one real service, with its health checks', () => {
    const virtualServices = [{ ...service, realServices: [realServices[1]] }];
    const text = showText('traffic-load-balance', { virtualServices }).join('\n');
    expect(text).toContain('Traffic load balance real service name  : MNHA_SRX2\n');
    expect(text).toContain('Network monitoring probe down count     : 1\n');
    expect(text).toContain('Probe type                              : HTTP\nPort number');
    expect(text).toContain('Probe consecutive fail                  : 7\n');
    expect(text).toContain('Probe last failure                      : HTTP status 500\n');
  });

  const group = {
    name: 'TRUST_VR 10.0.0.1/32',
    kind: 'ecmp',
    loadBalance: 'source-ip-only',
    hashKey: 'source-ip',
    hashFunction: 'xxh64',
    hashSeed: 7,
    mode: 'sticky',
    slots: 512,
    digest: '0123456789abcdef',
    members: [
      {
        name: '10.1.1.0',
        address: '10.1.1.0',
        via: 'ae1.0',
        status: 'UP',
        weight: 1,
        slots: 512,
        packetsSent: 5n,
        bytesSent: 500n,
      },
    ],
  } as const;

  it('of groups, and of the forwarding table', () => {
    expect(showText('load-balance-groups', { hostName: 'tlb1', groups: [group] }).slice(0, 2)).toEqual([
      'Group TRUST_VR 10.0.0.1/32',
      '  load-balance source-ip-only, hash-key source-ip, xxh64 seed 7, 512 slots, sticky, digest 0123456789abcdef',
    ]);
    const hop = (address: string, index: number) =>
      ({ address, type: 'ucst', index, references: 4, interface: `ae${index}.0` }) as const;
    const entry = {
      destination: '10.0.0.1/32',
      type: 'user',
      nextHops: [hop('10.1.1.0', 1), hop('10.1.1.8', 2)],
      group: 'trust-vr 10.0.0.1/32',
      digest: '0123456789abcdef',
    } as const;
    const table = {
      name: 'trust-vr.inet',
      routingInstance: 'trust-vr',
      family: 'inet',
      entries: [entry],
    } as const;
    expect(showText('forwarding-table', { tables: [table] })).toEqual([
      'Routing table: trust-vr.inet',
      'Internet:',
      'Destination      Type RtRef  Next hop      Type Index NhRef Netif',
      '10.0.0.1/32      user     0  10.1.1.0      ucst     1     4 ae1.0',
      '                             10.1.1.8      ucst     2     4 ae2.0',
      '10.0.0.1/32: group trust-vr 10.0.0.1/32, digest 0123456789abcdef',
      '',
    ]);
  });

  it('says whether two routers send every flow to the same member, and if not, why', () => {
    const of = (hostName: string, ...groups: (typeof group)[]) => ({ hostName, groups });
    const other = (change: object) =>
      compareGroups(of('mx1', group), of('mx2', { ...group, ...change })).groups[0];
    expect(compareGroups(of('mx1', group), of('mx2', group))).toMatchObject({ agree: true });
    expect(other({ hashKey: 'destination-ip' })).toMatchObject({
      agree: false,
      why: 'hash key: source-ip here, destination-ip there',
    });
    expect(other({ members: [{ ...group.members[0], status: 'DOWN' }] })?.why).toBe(
      'members up: 10.1.1.0 here, none there',
    );
    expect(other({ digest: '0000000000000000' })?.why).toMatch(
      /^other tables of old: copy ecmp-tables\.json/,
    );
    const alone = compareGroups(of('mx1', group), of('mx2'));
    expect(alone.groups[0]).toMatchObject({ why: 'only on mx1', digests: ['0123456789abcdef', null] });
    expect(comparedText(alone).at(-1)).toBe('1 of 1 groups differ');
  });

  it('of drop records', () => {
    const record = {
      time: '2026-11-21T14:47:10.648Z',
      source: '10.177.177.77',
      sourcePort: 22,
      destination: '192.168.100.33',
      destinationPort: 12_692,
      protocol: 'tcp',
      identification: 61_105,
      port: 'ge-0/0/4',
      interface: 'ge-0/0/4.0',
      reason: 'notSyn',
      words: 'First path Pkt not syn',
    };
    expect(showText('packet-drop', { records: [record] })).toEqual([
      '14:47:10.648:LSYS-ID-00 10.177.177.77/22-->192.168.100.33/12692;tcp,ipid-61105,ge-0/0/4.0,Dropped by FLOW:First path Pkt not syn',
    ]);
    expect(showText('packet-drop', { records: [] })).toEqual(['No packet was dropped']);
  });

  it('of what is empty', () => {
    expect(showText('session', { tunnelSessions: [], sessions: [], totalSessions: 0, next: null })).toEqual([
      'Total sessions: 0',
    ]);
    expect(showText('neighbours', { neighbours: [] })).toEqual(['Total entries: 0']);
    expect(showText('counters', { counters: [], filters: [] })).toEqual(['nothing counted yet']);
    expect(showText('route', { routes: [] })).toEqual([]);
    expect(
      showText('security-associations', { activeTunnels: 0, securityAssociations: [], generation: null }),
    ).toEqual(['Total active tunnels: 0     Total IPsec sas: 0']);
  });
});

describe('where tunnels are anchored', () => {
  const gateway = (ikeGateway: string, ...ipsecTunnels: string[]) => ({
    ikeGateway,
    localAddress: '10.0.0.1',
    routingInstance: 'default',
    kind: 'site-to-site' as const,
    unit: 'SPU0',
    worker: 0,
    ipsecTunnels,
  });
  const unit = (worker: number, ikeGateways: number, ipsecTunnels: number) => ({
    unit: `SPU${worker}`,
    worker,
    flowThreads: 1,
    ikeGateways,
    ipsecTunnels,
    loadFactor: ipsecTunnels,
  });
  const text = (lines: readonly string[]) =>
    lines.flatMap((line) => line.split('\n')).map((line) => line.trim().replaceAll(/ {2,}/g, ' | '));

  it('is told by unit', () => {
    expect(text(showText('tunnel-map', { units: [unit(0, 2, 3), unit(1, 0, 0)] }))).toEqual([
      'SPU | Worker | Flow RT threads | IKE Gateways | IPsec Tunnels | Load factor',
      'SPU0 | 0 | 1 | 2 | 3 | 3.00',
      'SPU1 | 1 | 1 | 0 | 0 | 0.00',
    ]);
  });

  it('is told by gateway', () => {
    const ikeGateways = [gateway('10.20.0.1', 'enb1', 'enb2')];
    expect(text(showText('tunnel-map-summary', { ikeGateways }))).toEqual([
      'IKE Gateway | Local address | Routing instance | Type | SPU | IPsec Tunnels',
      '10.20.0.1 | 10.0.0.1 | default | site-to-site | SPU0 | 2',
      'Total IKE gateways: 1',
    ]);
  });

  it('is told by tunnel, each unit and gateway once', () => {
    const gateways = [gateway('10.20.0.1', 'enb1', 'enb2'), gateway('10.20.0.2', 'enb3')];
    const units = [
      { ...unit(0, 2, 3), gateways },
      { ...unit(1, 0, 0), gateways: [] },
    ];
    expect(text(showText('tunnel-distribution', { units }))).toEqual([
      'SPU | IKE Gateway | IPsec Tunnel | Load factor',
      'SPU0 | 10.20.0.1 | enb1 | 3.00',
      'enb2',
      '10.20.0.2 | enb3',
      'SPU1 | - | - | 0.00',
    ]);
  });
});
