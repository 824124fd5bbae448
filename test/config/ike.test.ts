import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { diff } from '../../dist/config/diff.js';
import { checkConfig, loadConfig } from '../../dist/config/load.js';
import { problemText } from '../../dist/config/problem.js';
import { dnText } from '../../dist/wire/x509.js';

const vectors = JSON.parse(
  readFileSync(new URL('../vectors/ike-certificates.json', import.meta.url), 'utf8'),
) as Record<string, { certificate: string; key?: string }>;
const pem = (kind: string, base64: string) =>
  `-----BEGIN ${kind}-----\n${base64.match(/.{1,64}/g)!.join('\n')}\n-----END ${kind}-----\n`;
const files: Record<string, string> = {
  'psk.txt': 'a secret of a file\n',
  'gw.pem': pem('CERTIFICATE', vectors.gw!.certificate),
  'gw.key': pem('PRIVATE KEY', vectors.gw!.key!),
  'other.key': pem('PRIVATE KEY', vectors['enb-256']!.key!),
  'ca.pem': pem('CERTIFICATE', vectors.ca!.certificate),
};
const surroundings = {
  readFile: (path: string) => {
    const text = files[path.split('/').at(-1)!];
    if (text === undefined) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
    return text;
  },
  variable: (name: string) => (name === 'PSK' ? 'a secret of the environment' : undefined),
};

const text = `system: { host-name: gw1, node-id: 1 }
interfaces:
  ge-0/0/0: { port: { memory: outside }, unit: { 0: { family: { inet: { address: 10.1.1.2/24 } } } } }
  lo0: { unit: { 0: { family: { inet: { address: 10.0.0.1/32 } } } } }
  st0: { unit: { 1: { family: { inet } } } }
security:
  ike:
    proposal:
      strong: { authentication-method: pre-shared-keys, dh-group: group31, encryption-algorithm: aes-256-gcm }
    policy:
      mobile: { proposals: strong, pre-shared-key: { file: psk.txt } }
    gateway:
      avpn:
        ike-policy: mobile
        dynamic: { hostname: .example.net, ike-user-type: group-ike-id, connections-limit: 100 }
        dead-peer-detection: { probe-idle-tunnel, interval: 10, threshold: 3 }
        local-identity: { hostname: gw.example.net }
        local-address: 10.0.0.1
        version: v2-only
  ipsec:
    anti-replay-window-size: 512
    proposal: { gcm: { encryption-algorithm: aes-256-gcm, lifetime-seconds: 3600 } }
    policy: { gcm: { proposals: gcm } }
    vpn:
      avpn:
        bind-interface: st0.1
        ike: { gateway: avpn, ipsec-policy: gcm }
        traffic-selector: { ts: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.0/24 } }
  zones:
    security-zone:
      untrust: { interfaces: [ge-0/0/0.0] }
      vpn: { interfaces: [st0.1] }
`;

const load = (from = text) => loadConfig(from, 'gw.yaml', surroundings);
function problems(...changes: [string, string][]): string[] {
  let changed = text;
  for (const [from, to] of changes) {
    expect(changed).toContain(from);
    changed = changed.replace(from, to);
  }
  return checkConfig(changed, 'gw.yaml', surroundings).problems.map(problemText);
}

describe('security.ike', () => {
  it('is the gateway of the reference: dynamic, by what host names end in', () => {
    const { ikeGateways, ikeVpns, vpns } = load();
    expect(vpns).toEqual([]);
    expect(ikeGateways).toMatchObject([
      {
        name: 'avpn',
        address: null,
        connectionsLimit: 100,
        routingInstance: 'default',
        certificate: null,
        localIdentity: { kind: 'hostname', name: 'gw.example.net' },
        remoteIdentity: { kind: 'wildcard-hostname', suffix: '.example.net' },
        deadPeerDetection: { mode: 'probe-idle-tunnel', intervalMs: 10_000, threshold: 3 },
        fragmentBytes: 1280,
      },
    ]);
    expect(Buffer.from(ikeGateways[0]!.preSharedKey!.reveal()).toString()).toBe('a secret of a file');
    expect(JSON.stringify(ikeGateways)).not.toContain('secret of a file');
    expect(ikeVpns).toMatchObject([
      {
        name: 'avpn',
        gateway: 'avpn',
        antiReplayWindowSize: 512,
        establishTunnels: 'responder-only',
        rekeys: true,
      },
    ]);
  });

  it('reads certificates, and takes the subject for the identity', () => {
    const certified = text
      .replace('pre-shared-keys', 'rsa-signatures')
      .replace(
        'pre-shared-key: { file: psk.txt }',
        'certificate: { local-certificate: gw.pem, private-key: gw.key, trusted-ca: ca.pem }',
      )
      .replace('        local-identity: { hostname: gw.example.net }\n', '');
    const [gateway] = load(certified).ikeGateways;
    expect(gateway!.preSharedKey).toBeNull();
    expect(gateway!.certificate!.chain).toHaveLength(1);
    const { localIdentity } = gateway!;
    expect(localIdentity.kind === 'distinguished-name' && dnText(localIdentity.der)).toBe(
      'C=DE, O=Example, CN=gw.example.net',
    );
    expect(JSON.stringify(gateway!.certificate!.privateKey)).toBe('"<secret>"');
    const wrongKey = certified.replace('gw.key', 'other.key');
    expect(checkConfig(wrongKey, 'gw.yaml', surroundings).problems.map(problemText)).toMatchObject([
      expect.stringContaining('private-key: is of another certificate'),
    ]);
    const noCertificate = certified.replace('trusted-ca: ca.pem', 'trusted-ca: psk.txt');
    expect(checkConfig(noCertificate, 'gw.yaml', surroundings).problems.map(problemText)).toMatchObject([
      expect.stringContaining('holds no certificate in PEM'),
    ]);
  });

  it('takes weak algorithms by name alone, and warns', () => {
    const weak: [string, string][] = [
      [
        'dh-group: group31, encryption-algorithm: aes-256-gcm',
        'dh-group: group2, authentication-algorithm: sha1, encryption-algorithm: aes-256-cbc',
      ],
    ];
    expect(problems(...weak)).toEqual([
      expect.stringContaining(
        'dh-group: group2 is weak (RFC 8247); write group14 or higher, or allow it by name with weak-algorithms: group2',
      ),
      expect.stringContaining('authentication-algorithm: sha1 is weak (RFC 8247); write sha-256'),
    ]);
    const allowed = text.replace(weak[0]![0], `${weak[0]![1]}, weak-algorithms: [sha1, group2]`);
    const { config, warnings } = checkConfig(allowed, 'gw.yaml', surroundings);
    expect(config).not.toBeNull();
    expect(warnings.map(problemText)).toHaveLength(2);
  });

  it.each<[string, [string, string][], string]>([
    [
      'a policy that is not there',
      [['ike-policy: mobile', 'ike-policy: mobil']],
      'no policy mobil; did you mean mobile?',
    ],
    ['a proposal that is not there', [['proposals: strong', 'proposals: weak']], 'no proposal weak'],
    ['a gateway that is not there', [['gateway: avpn, ipsec', 'gateway: other, ipsec']], 'no gateway other'],
    [
      'no peer',
      [
        [
          'dynamic: { hostname: .example.net, ike-user-type: group-ike-id, connections-limit: 100 }',
          'nat-keepalive: 5',
        ],
      ],
      'has neither address nor dynamic',
    ],
    [
      'an address that is not ours',
      [['local-address: 10.0.0.1', 'local-address: 10.0.0.9']],
      '10.0.0.9 is no address of this node',
    ],
    [
      'an ending without a group',
      [[', ike-user-type: group-ike-id', '']],
      'write ike-user-type: group-ike-id with it',
    ],
    [
      'a short key',
      [['{ file: psk.txt }', '{ ascii-text: short }']],
      'a key of 5 bytes; write from 8 to 255',
    ],
    ['two keys', [['{ file: psk.txt }', '{ file: psk.txt, env: PSK }']], 'says file and env; write one of'],
    ['a key that is not there', [['{ file: psk.txt }', '{ file: none.txt }']], 'there is no such file'],
    [
      'no keys at all',
      [['        ike: { gateway: avpn, ipsec-policy: gcm }\n', '']],
      'has no keys; write ike with gateway',
    ],
    [
      'a dynamic gateway that is called',
      [['bind-interface: st0.1', 'bind-interface: st0.1\n        establish-tunnels: immediately']],
      'its peers come by themselves',
    ],
    [
      'traffic as the beginning',
      [['bind-interface: st0.1', 'bind-interface: st0.1\n        establish-tunnels: on-traffic']],
      'on-traffic is not supported yet',
    ],
    ['version 1', [['version: v2-only', 'version: v1-only']], 'v1-only is not supported yet; write v2-only'],
    [
      'AES-CBC for ESP without an HMAC',
      [
        [
          'gcm: { encryption-algorithm: aes-256-gcm, lifetime',
          'gcm: { encryption-algorithm: aes-256-cbc, lifetime',
        ],
      ],
      'missing; aes-256-cbc wants one, e.g. hmac-sha-256-128',
    ],
    [
      'SHA-1 for ESP that is not allowed by name',
      [
        [
          'gcm: { encryption-algorithm: aes-256-gcm, lifetime',
          'gcm: { encryption-algorithm: aes-256-cbc, authentication-algorithm: hmac-sha1-96, lifetime',
        ],
      ],
      'hmac-sha1-96 is weak (RFC 8221)',
    ],
    ['no node-id', [[', node-id: 1', '']], 'missing; VPNs want one from 1 to 15'],
  ])('refuses %s', (_what, changes, message) => {
    expect(problems(...changes)).toEqual([expect.stringContaining(message)]);
  });

  it('is a part of what changes', () => {
    const before = load();
    expect(diff(before, load())).toEqual([]);
    const sections = (from: string, to: string) =>
      diff(before, load(text.replace(from, to))).map(({ section, name }) => `${section} ${name}`);
    expect(sections('{ file: psk.txt }', '{ env: PSK }')).toEqual(['ike-gateway avpn']);
    expect(sections('lifetime-seconds: 3600', 'lifetime-seconds: 1800')).toEqual(['ike-vpn avpn']);
  });
});
