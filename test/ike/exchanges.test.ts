import { describe, expect, it } from 'vitest';
import type { DhGroupName } from '../../dist/config/config.js';
import { address, hub, hubVpn, Lab, mismatches, prefix, proposal, psk, spoke, spokeVpn } from './support.js';

const both = (over: Parameters<typeof proposal>[0]) => ({
  left: { gateways: [{ ...spoke, proposals: [proposal(over)] }], vpns: [spokeVpn] },
  right: { gateways: [{ ...hub, proposals: [proposal(over)] }], vpns: [hubVpn] },
});

describe('a tunnel by IKEv2', () => {
  it('comes up with four messages, narrowed to what both want', () => {
    const lab = new Lab().start();
    expect(lab.sent).toHaveLength(4);
    expect(mismatches(lab)).toEqual([]);
    const [tunnel] = lab.right.tunnels.values();
    expect(tunnel!.child.selectors).toMatchObject([{ protocol: 0 }]);
    expect(tunnel!.child.selectors.map(({ local, remote }) => `${local} ${remote}`)).toEqual([
      '10.2.0.0/24 10.1.0.0/24',
    ]);
    expect(tunnel!.isEncapsulated).toBe(false);
    expect([...lab.left.tunnels.keys()]).toEqual(['spoke-vpn']);
    expect(lab.right.happened('ike-sa-up')).toMatchObject([
      { identity: 'enb1.example.net', gateway: 'hub-side' },
    ]);
    expect(JSON.stringify(lab.right.events)).not.toContain('pre-shared key');
  });

  const groups: DhGroupName[] = [
    'group14',
    'group15',
    'group16',
    'group19',
    'group20',
    'group21',
    'group31',
    'group2',
  ];
  it.each(groups)('with %s', (dhGroup) => {
    const lab = new Lab(both({ dhGroup })).start();
    expect(mismatches(lab)).toEqual([]);
    expect(lab.right.tunnels.size).toBe(1);
  });

  it.each([
    ['aes-128-gcm', 'sha-256'],
    ['aes-256-gcm', 'sha-384'],
    ['aes-256-gcm', 'sha-512'],
    ['aes-128-cbc', 'sha-256'],
    ['aes-192-cbc', 'sha-384'],
    ['aes-256-cbc', 'sha-512'],
    ['aes-256-cbc', 'sha1'],
  ] as const)('with %s and %s', (encryptionAlgorithm, authenticationAlgorithm) => {
    const lab = new Lab(both({ encryptionAlgorithm, authenticationAlgorithm })).start();
    expect(mismatches(lab)).toEqual([]);
    expect(lab.right.tunnels.size).toBe(1);
  });

  it.each([
    ['aes-128-cbc', 'hmac-sha-256-128'],
    ['aes-192-cbc', 'hmac-sha-384'],
    ['aes-256-cbc', 'hmac-sha-512'],
    ['aes-256-cbc', 'hmac-sha1-96'],
  ] as const)('ESP with %s and %s', (encryptionAlgorithm, authenticationAlgorithm) => {
    const proposals = [{ ...hubVpn.proposals[0]!, encryptionAlgorithm, authenticationAlgorithm }];
    const lab = new Lab({
      left: { gateways: [spoke], vpns: [{ ...spokeVpn, proposals }] },
      right: { gateways: [hub], vpns: [{ ...hubVpn, proposals }] },
    }).start();
    expect(mismatches(lab)).toEqual([]);
    const [child] = [...lab.right.engine.sas.values()].flatMap(({ children }) => children);
    expect(child?.suite).toMatchObject({
      keyBits: Number(encryptionAlgorithm.slice(4, 7)),
      authentication: authenticationAlgorithm,
    });
  });

  it('asks for another group and gets it', () => {
    const lab = new Lab({
      left: {
        gateways: [{ ...spoke, proposals: [proposal(), proposal({ dhGroup: 'group19' })] }],
        vpns: [spokeVpn],
      },
      right: { gateways: [{ ...hub, proposals: [proposal({ dhGroup: 'group19' })] }], vpns: [hubVpn] },
    }).start();
    expect(lab.right.count('wrongGroup')).toBe(1);
    expect(lab.sent).toHaveLength(6);
    expect(mismatches(lab)).toEqual([]);
    expect(lab.right.tunnels.size).toBe(1);
  });

  it('behind a NAT goes by UDP, and is found again where the NAT moves it', () => {
    let shift = 20_000;
    const nat = { address: address('198.51.100.7'), port: (port: number) => shift + port };
    const lab = new Lab({ nat }).start();
    const tunnel = () => [...lab.right.tunnels.values()][0]!;
    expect(tunnel().isEncapsulated).toBe(true);
    expect(tunnel().path).toMatchObject({ localPort: 4500, remotePort: 24_500 });
    expect([...lab.left.tunnels.values()][0]!.path).toMatchObject({ localPort: 4500, remotePort: 4500 });
    shift = 30_000;
    lab.ask(lab.left, { kind: 'probe' });
    lab.run();
    expect(tunnel().path.remotePort).toBe(34_500);
    expect(mismatches(lab)).toEqual([]);
  });

  it('in fragments', () => {
    const small = { fragmentBytes: 160 };
    const lab = new Lab({
      left: { gateways: [{ ...spoke, ...small }], vpns: [spokeVpn] },
      right: { gateways: [{ ...hub, ...small }], vpns: [hubVpn] },
    }).start();
    expect(lab.sent.length).toBeGreaterThan(6);
    expect(Math.max(...lab.sent.slice(2).map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(160 - 32);
    expect(mismatches(lab)).toEqual([]);
    expect(lab.right.tunnels.size).toBe(1);
  });

  it('several CHILD SAs, one for each traffic selector', () => {
    const trafficSelectors = [1, 2, 3].map((i) => ({
      name: `ts${i}`,
      localIp: prefix(`10.${i}.0.0/24`),
      remoteIp: prefix(`10.9.${i}.0/24`),
    }));
    const lab = new Lab({
      left: { gateways: [spoke], vpns: [{ ...spokeVpn, trafficSelectors }] },
    }).start();
    expect([...lab.left.tunnels.keys()].sort()).toEqual([1, 2, 3].map((i) => `spoke-vpn/ts${i}`));
    expect(lab.right.tunnels.size).toBe(3);
    expect(mismatches(lab)).toEqual([]);
  });
});

describe('refused', () => {
  const right = (over: Partial<typeof hub>, vpn: Partial<typeof hubVpn> = {}) => ({
    right: { gateways: [{ ...hub, ...over }], vpns: [{ ...hubVpn, ...vpn }] },
  });

  it.each([
    [
      'another pre-shared key',
      right({ preSharedKey: psk('another') }),
      'authenticationFailed',
      'AUTHENTICATION_FAILED',
    ],
    [
      'an identity that nobody expects',
      right({ remoteIdentity: { kind: 'wildcard-hostname', suffix: '.example.org' } }),
      'unknownIdentity',
      'AUTHENTICATION_FAILED',
    ],
    [
      'no proposal in common',
      right({ proposals: [proposal({ encryptionAlgorithm: 'aes-128-gcm' })] }),
      'noProposal',
      'NO_PROPOSAL_CHOSEN',
    ],
    [
      'an address without a gateway',
      right({ localAddress: address('192.0.2.9') }),
      'gatewayLookupFailed',
      'NO_PROPOSAL_CHOSEN',
    ],
  ] as const)('%s: the right notify, one line', (_what, options, refusal, notify) => {
    const lab = new Lab(options).begin();
    lab.run();
    expect(lab.right.tunnels.size + lab.left.tunnels.size).toBe(0);
    expect(lab.right.happened('refused')).toMatchObject([{ refusal, notify }]);
    expect(lab.right.count(refusal)).toBe(1);
    expect(lab.left.happened('refused')).toMatchObject([{ refusal: 'peerRefused', notify }]);
    expect(lab.right.up).toEqual([]);
    lab.pass(20_000);
    expect(lab.right.tunnels.size).toBe(0);
  });

  it.each([
    [
      'selectors',
      { trafficSelectors: [{ name: 'ts', localIp: prefix('10.77.0.0/16'), remoteIp: prefix('0.0.0.0/0') }] },
      'tsUnacceptable',
      'TS_UNACCEPTABLE',
    ],
    [
      'ESP proposals',
      { proposals: [{ ...hubVpn.proposals[0]!, encryptionAlgorithm: 'aes-128-gcm' as const }] },
      'noChildProposal',
      'NO_PROPOSAL_CHOSEN',
    ],
  ] as const)('%s of the CHILD SA alone: the IKE SA is there', (_what, vpn, refusal, notify) => {
    const lab = new Lab(right({}, vpn as Partial<typeof hubVpn>)).start();
    expect(lab.right.up).toHaveLength(1);
    expect(lab.right.tunnels.size + lab.left.tunnels.size).toBe(0);
    expect(lab.right.happened('refused')).toMatchObject([{ refusal, notify }]);
    expect(lab.left.happened('refused')).toMatchObject([{ notify }]);
  });

  it('a peer beyond connections-limit, but not the same one again', () => {
    const lab = new Lab(right({ connectionsLimit: 0 })).start();
    expect(lab.right.happened('refused')).toMatchObject([{ refusal: 'connectionsLimit' }]);
  });

  it('a responder that is another: nothing is installed, and it is told', () => {
    const lab = new Lab(right({ localIdentity: { kind: 'hostname', name: 'evil.example.net' } })).start();
    expect(lab.left.tunnels.size + lab.right.tunnels.size).toBe(0);
    expect(lab.left.happened('refused')).toMatchObject([{ refusal: 'unknownIdentity' }]);
    expect(lab.right.happened('ike-sa-down')).toHaveLength(1);
  });

  it('another peer’s routes', () => {
    const other = {
      ...spoke,
      name: 'other',
      localIdentity: { kind: 'hostname', name: 'enb2.example.net' } as const,
    };
    const lab = new Lab({
      left: {
        gateways: [spoke, other],
        vpns: [spokeVpn, { ...spokeVpn, name: 'other-vpn', gateway: 'other', bindInterface: 'st0.2' }],
      },
    }).start();
    expect(lab.right.tunnels.size).toBe(1);
    expect(lab.right.happened('refused')).toMatchObject([{ refusal: 'tsUnacceptable' }]);
  });
});

describe('over time', () => {
  it('CHILD SAs are rekeyed, by either side, and never is there nothing to send by', () => {
    const lab = new Lab().start();
    const first = [...lab.right.tunnels.values()][0]!.outbound!.spi;
    lab.pass(2 * 1800 * 1000);
    const rekeys = lab.left.happened('child-sa-rekeyed').length;
    expect(rekeys).toBeGreaterThanOrEqual(2);
    expect(mismatches(lab)).toEqual([]);
    expect([...lab.right.tunnels.values()][0]!.outbound!.spi).not.toBe(first);
    expect([...lab.right.tunnels.values()][0]!.inbound.size).toBe(1);
  });

  it('the IKE SA is rekeyed, and its tunnels stay as they are', () => {
    const lab = new Lab({
      left: { gateways: [{ ...spoke, proposals: [proposal({ lifetimeSeconds: 600 })] }], vpns: [spokeVpn] },
    }).start();
    const spis = [...lab.right.tunnels.values()].map(({ outbound }) => outbound!.spi);
    lab.pass(590_000);
    expect(lab.left.happened('ike-sa-rekeyed')).toHaveLength(1);
    expect(lab.right.happened('ike-sa-rekeyed')).toHaveLength(1);
    expect([...lab.right.tunnels.values()].map(({ outbound }) => outbound!.spi)).toEqual(spis);
    expect(mismatches(lab)).toEqual([]);
    expect(lab.left.happened('ike-sa-down')).toEqual([]);
    lab.pass(40_000);
    expect(lab.left.engine.sas.size).toBe(1);
    expect(lab.right.engine.sas.size).toBe(1);
  });

  it('with perfect-forward-secrecy', () => {
    const pfs = { perfectForwardSecrecy: 'group19' } as const;
    const lab = new Lab({
      left: { gateways: [spoke], vpns: [{ ...spokeVpn, ...pfs }] },
      right: { gateways: [hub], vpns: [{ ...hubVpn, ...pfs }] },
    }).start();
    lab.ask(lab.left, {
      kind: 'child',
      vpn: 'spoke-vpn',
      selector: '',
      replaces: lab.left.children[0]!.inboundSpi,
    });
    lab.run();
    expect(lab.left.children[0]!.suite.group).toBe(19);
    expect(mismatches(lab)).toEqual([]);
    lab.ask(lab.right, {
      kind: 'child',
      vpn: 'hub-vpn',
      selector: '',
      replaces: lab.right.children[0]!.inboundSpi,
    });
    lab.pass(10_000);
    expect(lab.right.children[0]!.isOurs).toBe(true);
    expect(mismatches(lab)).toEqual([]);
  });

  it('a peer that is gone is found out, and its tunnel ends', () => {
    let cut = false;
    const lab = new Lab({ wire: ({ bytes }) => (cut ? [] : [bytes]) }).start();
    cut = true;
    lab.pass(60_000);
    expect(lab.right.tunnels.size).toBe(0);
    expect(lab.right.happened('ike-sa-down')).toMatchObject([{ reason: 'the peer does not answer' }]);
    // the initiator begins anew once the way is there again
    cut = false;
    lab.pass(70_000);
    expect(lab.right.tunnels.size).toBe(1);
    expect(mismatches(lab)).toEqual([]);
  });

  it('a peer that was started again takes its own place', () => {
    const lab = new Lab().start();
    const fresh = new Lab({ seed: '2' });
    // the same hub, another process on the left
    const { right } = lab;
    Object.assign(fresh, { right });
    fresh.perform(
      fresh.left,
      fresh.left.engine.configure({ gateways: [spoke], vpns: [spokeVpn] }, new Set(), fresh.time),
    );
    fresh.run();
    expect(right.up).toHaveLength(1);
    expect(right.tunnels.size).toBe(1);
    expect(mismatches(fresh)).toEqual([]);
  });

  it('is deleted: both ends have nothing', () => {
    const lab = new Lab({
      left: { gateways: [spoke], vpns: [{ ...spokeVpn, establishTunnels: 'responder-only' }] },
    }).begin();
    lab.perform(lab.left, lab.left.engine.initiate('spoke-side', lab.time));
    lab.run();
    expect(lab.right.tunnels.size).toBe(1);
    lab.ask(lab.left, { kind: 'delete-ike', reason: 'cleared' });
    lab.run();
    lab.pass(10_000);
    expect(lab.left.engine.sas.size + lab.right.engine.sas.size).toBe(0);
    expect(lab.left.tunnels.size + lab.right.tunnels.size).toBe(0);
  });

  it('idle tunnels end', () => {
    const lab = new Lab({ right: { gateways: [hub], vpns: [{ ...hubVpn, idleTimeMs: 60_000 }] } }).start();
    const traffic = (inbound: bigint) => {
      const packets = new Map(
        lab.right.children.map(({ inboundSpi }) => [inboundSpi, { inbound, outbound: 0n }]),
      );
      lab.perform(lab.right, lab.right.engine.traffic(packets, lab.time));
      lab.run();
    };
    for (let i = 1; i < 5; i++) {
      lab.pass(30_000);
      traffic(BigInt(i));
    }
    expect(lab.right.tunnels.size).toBe(1);
    lab.pass(61_000);
    traffic(4n);
    expect(lab.right.tunnels.size + lab.left.tunnels.size).toBe(0);
  });
});

describe('at the same time', () => {
  const rekeyChild = (lab: Lab, end: Lab['left'], vpn: string) =>
    lab.ask(end, { kind: 'child', vpn, selector: '', replaces: end.children[0]!.inboundSpi });

  it.each(Array.from({ length: 12 }, (_, i) => String(i)))(
    'both rekey the CHILD SA: one stays (seed %s)',
    (seed) => {
      const lab = new Lab({ seed }).start();
      rekeyChild(lab, lab.left, 'spoke-vpn');
      rekeyChild(lab, lab.right, 'hub-vpn');
      lab.run();
      lab.pass(10_000);
      expect(lab.left.children).toHaveLength(1);
      expect(lab.right.children).toHaveLength(1);
      expect(mismatches(lab)).toEqual([]);
      expect([...lab.left.tunnels.values()][0]!.inbound.size).toBe(1);
      expect([...lab.right.tunnels.values()][0]!.inbound.size).toBe(1);
    },
  );

  it.each(Array.from({ length: 12 }, (_, i) => String(i)))(
    'both rekey the IKE SA: one stays (seed %s)',
    (seed) => {
      const lab = new Lab({ seed }).start();
      lab.ask(lab.left, { kind: 'rekey-ike' });
      lab.ask(lab.right, { kind: 'rekey-ike' });
      lab.run();
      lab.pass(40_000);
      expect(lab.left.up).toHaveLength(1);
      expect(lab.right.up).toHaveLength(1);
      expect(lab.left.engine.sas.size).toBe(1);
      expect(lab.right.engine.sas.size).toBe(1);
      expect(mismatches(lab)).toEqual([]);
      expect(lab.left.tunnels.size).toBe(1);
      expect(lab.left.happened('ike-sa-down')).toEqual([]);
      expect(lab.right.happened('ike-sa-down')).toEqual([]);
    },
  );

  it('one rekeys the IKE SA, the other the CHILD SA', () => {
    const lab = new Lab().start();
    lab.ask(lab.left, { kind: 'rekey-ike' });
    rekeyChild(lab, lab.right, 'hub-vpn');
    lab.run();
    lab.pass(20_000);
    expect(mismatches(lab)).toEqual([]);
    expect(lab.left.tunnels.size).toBe(1);
    expect(lab.left.up).toHaveLength(1);
  });

  it('both delete', () => {
    const lab = new Lab({
      left: { gateways: [spoke], vpns: [{ ...spokeVpn, establishTunnels: 'responder-only' }] },
    }).begin();
    lab.perform(lab.left, lab.left.engine.initiate('spoke-side', lab.time));
    lab.run();
    lab.ask(lab.left, { kind: 'delete-children', spis: [lab.left.children[0]!.inboundSpi] });
    lab.ask(lab.right, { kind: 'delete-children', spis: [lab.right.children[0]!.inboundSpi] });
    lab.run();
    expect(lab.left.tunnels.size + lab.right.tunnels.size).toBe(0);
    lab.ask(lab.left, { kind: 'delete-ike', reason: 'cleared' });
    lab.ask(lab.right, { kind: 'delete-ike', reason: 'cleared' });
    lab.run();
    lab.pass(40_000);
    expect(lab.left.engine.sas.size + lab.right.engine.sas.size).toBe(0);
  });
});
