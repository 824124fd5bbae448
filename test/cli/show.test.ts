import { describe, expect, it } from 'vitest';
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
    ['route', 'route', {}],
    ['rou table TRUST_VR', 'route', { table: 'TRUST_VR' }],
    ['counters', 'counters', {}],
    ['workers', 'workers', {}],
    ['neighbours', 'neighbours', {}],
    ['arp', 'neighbours', {}],
  ])('%s', (line, view, params) => expect(meaning(line)).toEqual([view, params]));

  it.each([
    ['', /^2 show wants to know what: security flow session, /],
    ['rute', /^2 nothing to show called rute; did you mean route\?$/],
    ['security', /^2 nothing to show called security; /],
    ['security flow', /^2 nothing to show called security flow; /],
    ['route instance x', /^2 show route takes table NAME, not instance$/],
    ['workers 1', /^2 show workers takes nothing more, not 1$/],
    ['tlb instance', /^2 show services traffic-load-balance statistics instance wants a name$/],
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

inet.0: 1 destinations, 1 routes (1 active, 0 holddown, 0 hidden)
+ = Active Route, - = Last Active, * = Both
10.9.0.0/24        *[Direct/0] 03:33:30
                    > via ge-0/0/0.0
`,
    );
  });

  it('of sessions', () => {
    const wing = { protocol: 'tcp', haWingState: 'Active' };
    const lines = showText('session', {
      totalSessions: 1,
      next: null,
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
      'Session ID: 22363, Policy name: default-permit/9, HA State: Active, Timeout: 1714, Session State: Valid',
      '  In: 192.168.100.33/13623 --> 10.177.177.77/22;tcp, Conn Tag: 0x0, If: ge-0/0/2.0, Pkts: 1560, Bytes: 106121, HA Wing State: Active,',
      '  Out: 10.177.177.77/22 --> 192.168.100.33/13623;tcp, Conn Tag: 0x0, If: ge-0/0/4.0, Pkts: 0, Bytes: 0, HA Wing State: Active,',
      'Total sessions: 1',
    ]);
  });

  it('of load balancing', () => {
    const real = { drained: false, sinceSeconds: 1, neighbour: 'up', session: 'none', slots: 256 };
    const text = showText('traffic-load-balance', {
      virtualServices: [
        {
          instance: 'ipsec_lb',
          interface: 'lo0.0',
          interfaceState: 'UP',
          activeRealServices: 1,
          totalRealServices: 2,
          virtualService: 'srx_trust_vs',
          address: '10.0.0.1',
          mode: 'Direct Server Return mode',
          routingInstance: 'srx-tproxy-fi',
          group: 'mnha_srx_group',
          slots: 512,
          upSeconds: 21_481,
          packetsSent: 1669n,
          bytesSent: 10_615n,
          realServices: [
            {
              ...real,
              name: 'MNHA_SRX1',
              address: '10.10.10.1',
              status: 'UP',
              packetsSent: 968n,
              bytesSent: 6161n,
            },
            {
              ...real,
              name: 'MNHA_SRX2',
              address: '10.10.10.2',
              status: 'DOWN',
              packetsSent: 701n,
              bytesSent: 4454n,
            },
          ],
        },
      ],
    }).join('\n');
    expect(text).toContain('Traffic load balance instance name    : ipsec_lb\n');
    expect(text).toContain('Virtual service mode                  : Direct Server Return mode\n');
    expect(text).toContain('Up time                               : 05:58:01\n');
    expect(text).toMatch(/^Real service +Address +Sts +Packet Sent +Byte Sent +Packet Recv +Byte Recv/m);
    expect(text).toMatch(/^MNHA_SRX2 +10\.10\.10\.2 +DOWN +701 +4454/m);
  });

  it('of drop records', () => {
    const record = {
      time: '2026-11-21T14:47:10.648Z',
      source: '10.177.177.77',
      sourcePort: 22,
      destination: '192.168.100.33',
      destinationPort: 12_692,
      protocol: 'tcp',
      port: 'ge-0/0/4',
      reason: 'notSyn',
      words: 'First path Pkt not syn',
    };
    expect(showText('packet-drop', { records: [record] })).toEqual([
      '14:47:10.648:LSYS-ID-00 10.177.177.77/22-->192.168.100.33/12692;tcp,ge-0/0/4,Dropped by FLOW:First path Pkt not syn',
    ]);
    expect(showText('packet-drop', { records: [] })).toEqual(['No packet was dropped']);
  });

  it('of what is empty', () => {
    expect(showText('session', { sessions: [], totalSessions: 0, next: null })).toEqual([
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
