/** strongSwan connects as a client: what every change is held to. All combinations: scripts/ike-matrix.mjs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Views } from '../../dist/control/show/views.js';
import {
  allProposals,
  connection,
  gatewaySecurity,
  IkeLab,
  missing as lacking,
  swanctlConf,
  until,
} from '../../scripts/ike-lab.mjs';
import { requireThat, requireTool } from '../support/requires.js';

const lack = lacking();
const needs = [
  requireThat(lack === null, lack ?? ''),
  requireTool('ip', 'iproute2'),
  requireTool('ping', 'iputils-ping'),
];
const missing = needs.find((need) => need.missing);

describe.skipIf(missing !== undefined)(`strongSwan as a client${missing?.note ?? ''}`, () => {
  const lab = new IkeLab();
  const log = () => lab.gateway!.log();
  const up = (name: string) =>
    expect(lab.swanctl('--initiate', '--child', name)).toMatchObject({ status: 0 });
  const down = (name: string) => lab.swanctl('--terminate', '--ike', name);

  beforeAll(async () => {
    lab.up();
    await lab.startGateway(gatewaySecurity());
    await lab.startPeer(
      swanctlConf(
        connection('psk'),
        connection('p384', { proposal: allProposals[2]![4]! }),
        connection('enb-rsa', { auth: 'enb-rsa' }),
        connection('enb-256', { auth: 'enb-256' }),
        connection('stranger', { id: 'stranger.example.org' }),
        connection('cbc', { esp: 'aes256-sha256' }),
        connection('cbc-192', { esp: 'aes192-sha256' }),
      ),
    );
  }, 60_000);
  afterAll(async () => {
    await lab.down();
  }, 20_000);

  it('PSK, X25519, AES-256-GCM: packets pass, keys are replaced under traffic without loss', async () => {
    up('psk');
    const pinging = lab.ping(200, 0.01);
    expect(lab.swanctl('--rekey', '--child', 'psk').status).toBe(0);
    expect(lab.swanctl('--rekey', '--ike', 'psk').status).toBe(0);
    expect(await pinging).toBe(1);
    expect(await until(() => log().includes('new keys') && log().includes('new IKE SA'), 2000)).toBe(true);
    const { securityAssociations } = JSON.parse(
      lab.penstock('show', 'ike', '--json').stdout,
    ) as Views['ike-security-associations'];
    expect(securityAssociations.filter(({ state }) => state === 'up')).toMatchObject([
      {
        gateway: 'keyed',
        role: 'responder',
        remoteIdentity: 'enb1.psk.example.net',
        algorithms: { encryption: 'aes256-gcm', dhGroup: 'DH-group-31' },
        childSas: [
          expect.objectContaining({ remoteSelectors: ['10.1.0.0/24'], localSelectors: ['10.2.0.0/24'] }),
        ],
      },
    ]);
    const routes = JSON.parse(lab.penstock('show', 'route', '--json').stdout) as Views['route'];
    expect(routes.routes).toContainEqual(
      expect.objectContaining({ prefix: '10.1.0.0/24', protocol: 'ari-ts' }),
    );
    down('psk');
    expect(await until(() => log().includes('the peer deleted it'), 2000)).toBe(true);
    const after = JSON.parse(lab.penstock('show', 'route', '--json').stdout) as Views['route'];
    expect(after.routes.filter(({ protocol }) => protocol === 'ari-ts')).toEqual([]);
  }, 30_000);

  it.each(['p384', 'enb-rsa', 'enb-256', 'cbc'])('%s', async (name) => {
    up(name);
    expect(await lab.ping()).toBe(1);
    down(name);
  });

  it.each([
    [
      'stranger',
      'AUTH_FAILED',
      'no gateway expects the identity stranger.example.org [AUTHENTICATION_FAILED]',
    ],
    [
      'cbc-192',
      'NO_PROP',
      'aes-128-cbc with hmac-sha-512 for ESP, which the peer does not offer [NO_PROPOSAL_CHOSEN]',
    ],
  ])('%s is refused: one notify, one line', async (name, notify, line) => {
    expect(lab.swanctl('--initiate', '--child', name).text).toContain(notify);
    expect(await until(() => log().split(line).length === 2, 2000)).toBe(true);
    down(name);
  });

  it('is cleared by the gateway', async () => {
    up('psk');
    expect(
      lab.penstock('clear', 'security', 'ike', 'security-associations', 'enb1.psk.example.net').stdout,
    ).toBe('1 IKE SAs deleted\n');
    expect(await until(() => !lab.swanctl('--list-sas').text.includes('INSTALLED'), 3000)).toBe(true);
    expect(lab.penstock('show', 'security', 'ike', 'stats').stdout).toContain('unknownIdentity');
  });
});
