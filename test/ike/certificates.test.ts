import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { IkeGatewayConfig } from '../../dist/config/config.js';
import { Secret } from '../../dist/model/secret.js';
import { certificateFields, derElements, dnText } from '../../dist/wire/x509.js';
import { hub, hubVpn, Lab, mismatches, spoke, spokeVpn } from './support.js';

const read = JSON.parse(
  readFileSync(new URL('../vectors/ike-certificates.json', import.meta.url), 'utf8'),
) as Record<string, { certificate: string; key?: string }>;
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
const der = (name: string) => bytes(read[name]!.certificate);

const certified = (
  gateway: IkeGatewayConfig,
  name: string,
  chain: string[] = [name],
  trusted = ['ca'],
): IkeGatewayConfig => ({
  ...gateway,
  preSharedKey: null,
  certificate: {
    chain: chain.map(der),
    privateKey: new Secret(bytes(read[name]!.key!)),
    trustedCa: trusted.map(der),
  },
  localIdentity: { kind: 'hostname', name: `${name}.example.net` },
});

const labOf = (left: IkeGatewayConfig, right: IkeGatewayConfig = certified(hub, 'gw'), more = {}) =>
  new Lab({
    left: { gateways: [left], vpns: [spokeVpn] },
    right: { gateways: [right], vpns: [hubVpn] },
    ...more,
  }).start();

describe('certificates', () => {
  it.each(['enb-rsa', 'enb-256', 'enb-384', 'enb-521'])('%s on one end, RSA-2048 on the other', (name) => {
    const lab = labOf(certified(spoke, name));
    expect(lab.right.happened('ike-sa-up')).toMatchObject([{ identity: `${name}.example.net` }]);
    expect(mismatches(lab)).toEqual([]);
    expect(lab.left.tunnels.size).toBe(1);
  });

  it('of an authority below the one that is trusted', () => {
    expect(labOf(certified(spoke, 'enb-sub', ['enb-sub', 'sub'])).right.tunnels.size).toBe(1);
    expect(labOf(certified(spoke, 'enb-sub')).right.happened('refused')).toMatchObject([
      { refusal: 'authenticationFailed', reason: expect.stringContaining('no trusted authority signed') },
    ]);
  });

  it('by the subject', () => {
    const { subject } = certificateFields(der('enb-256'))!;
    expect(dnText(subject)).toBe('C=DE, O=Example, CN=enb-256.example.net');
    const left = {
      ...certified(spoke, 'enb-256'),
      localIdentity: { kind: 'distinguished-name', der: subject } as const,
    };
    const remoteIdentity = { kind: 'wildcard-distinguished-name', parts: ['O=Example'] } as const;
    expect(labOf(left, { ...certified(hub, 'gw'), remoteIdentity }).right.tunnels.size).toBe(1);
    const other = { kind: 'wildcard-distinguished-name', parts: ['O=Other'] } as const;
    expect(labOf(left, { ...certified(hub, 'gw'), remoteIdentity: other }).right.tunnels.size).toBe(0);
  });

  it.each([
    ['that expired', certified(spoke, 'enb-old'), 'expired on'],
    [
      'of another identity',
      { ...certified(spoke, 'enb-256'), localIdentity: certified(spoke, 'enb-384').localIdentity },
      'does not have this identity',
    ],
    [
      'with another key',
      {
        ...certified(spoke, 'enb-256'),
        certificate: {
          ...certified(spoke, 'enb-256').certificate!,
          privateKey: new Secret(bytes(read['enb-sub']!.key!)),
        },
      },
      'signature is wrong',
    ],
  ] as const)('%s: refused, and said why', (_what, left, reason) => {
    const lab = labOf(left, undefined, { wallMs: Date.UTC(2050, 0, 1) });
    expect(lab.right.happened('refused')).toMatchObject([
      {
        refusal: 'authenticationFailed',
        notify: 'AUTHENTICATION_FAILED',
        reason: expect.stringContaining(reason),
      },
    ]);
    expect(lab.left.tunnels.size + lab.right.tunnels.size).toBe(0);
  });

  it('of an authority that is not ours', () => {
    const lab = labOf(certified(spoke, 'enb-256'), certified(hub, 'gw', ['gw'], ['sub']));
    expect(lab.right.tunnels.size).toBe(0);
  });

  it('a pre-shared key where a certificate is expected', () => {
    expect(labOf(spoke).right.happened('refused')).toMatchObject([{ refusal: 'authenticationFailed' }]);
  });

  it('cut short or changed are read without harm', () => {
    const whole = der('enb-256');
    for (let cut = 0; cut < whole.length; cut += 3) derElements(whole.subarray(0, cut));
    for (let at = 0; at < whole.length; at++) {
      const copy = Uint8Array.from(whole);
      copy[at]! ^= 0xff;
      certificateFields(copy);
      dnText(copy);
    }
  });
});
