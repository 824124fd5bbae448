import { describe, expect, it } from 'vitest';
import { diff } from '../../dist/config/diff.js';
import { checkConfig, loadConfig } from '../../dist/config/load.js';
import { problemText } from '../../dist/config/problem.js';
import { digits, edited, gateway, surroundings } from './samples.js';

const cbc = (algorithm: string, keyBytes: number, authentication = 'hmac-sha-256-128', macBytes = 32) =>
  edited(
    gateway,
    ['aes-256-gcm', `${algorithm}\n          authentication-algorithm: ${authentication}`],
    [
      `key: { hex: ${digits('a1')} }`,
      `key: { hex: ${digits('a1', keyBytes)} }, authentication-key: { hex: ${digits('a9', macBytes)} }`,
    ],
    [
      'key: { env: OUTBOUND_KEY }',
      `key: { hex: ${digits('b1', keyBytes)} }, authentication-key: { hex: ${digits('b9', macBytes)} }`,
    ],
  );
const of = (text: string) => checkConfig(text, 'gw.yaml', surroundings);
const lines = (text: string) =>
  of(text).problems.map((problem) =>
    problemText(problem).replaceAll('gw.yaml:', '').replaceAll('security.ipsec.vpn.enb1.manual.', ''),
  );

describe('AES-CBC with manual keys', () => {
  it.each([
    ['aes-128-cbc', 16, 'hmac-sha-256-128', 32],
    ['aes-192-cbc', 24, 'hmac-sha-384', 48],
    ['aes-256-cbc', 32, 'hmac-sha-512', 64],
  ] as const)('%s has a key of %i bytes, %s one of %i', (algorithm, keyBytes, authentication, macBytes) => {
    const { manual } = loadConfig(cbc(algorithm, keyBytes, authentication, macBytes), 'gw.yaml', surroundings)
      .vpns[0]!;
    expect(manual).toMatchObject({
      encryptionAlgorithm: algorithm,
      authenticationAlgorithm: authentication,
    });
    for (const { algorithm: both, key, authenticationKey } of [...manual.inbound, manual.outbound]) {
      expect(both).toBe(`aes-cbc-${authentication}`);
      expect(key.reveal()).toHaveLength(keyBytes);
      expect(authenticationKey?.reveal()).toHaveLength(macBytes);
    }
    expect(lines(cbc(algorithm, keyBytes + 4, authentication, macBytes - 1))).toEqual([
      `42:42: inbound.0.key.hex: ${keyBytes * 2 + 8} digits; ${algorithm} wants ${keyBytes * 2} hexadecimal digits`,
      `42:${keyBytes * 2 + 81}: inbound.0.authentication-key.hex: ${macBytes * 2 - 2} digits; ${authentication} wants ${macBytes * 2} hexadecimal digits`,
      `43:48: outbound.key.hex: ${keyBytes * 2 + 8} digits; ${algorithm} wants ${keyBytes * 2} hexadecimal digits`,
      `43:${keyBytes * 2 + 87}: outbound.authentication-key.hex: ${macBytes * 2 - 2} digits; ${authentication} wants ${macBytes * 2} hexadecimal digits`,
    ]);
  });

  it('is authenticated, and AES-GCM by nothing else', () => {
    expect(lines(edited(gateway, ['aes-256-gcm', 'aes-256-cbc']))[0]).toBe(
      '36:9: authentication-algorithm: missing; aes-256-cbc wants one, e.g. hmac-sha-256-128',
    );
    expect(lines(cbc('aes-256-gcm', 36))).toEqual([
      '40:11: authentication-algorithm: aes-256-gcm authenticates by itself; remove it',
      expect.stringContaining('inbound.0.authentication-key: AES-GCM has none; remove it'),
      expect.stringContaining('outbound.authentication-key: AES-GCM has none; remove it'),
    ]);
    const without = cbc('aes-256-cbc', 32).replace(/, authentication-key: \{ hex: b9\w+ \}/, '');
    expect(lines(without)).toEqual([
      expect.stringContaining('authentication-key: missing; hmac-sha-256-128 wants 64 hexadecimal digits'),
    ]);
  });

  it('rests on SHA-1 only where that is allowed by name, and then with a warning', () => {
    const sha1 = cbc('aes-128-cbc', 16, 'hmac-sha1-96', 20);
    expect(lines(sha1)).toEqual([
      '40:37: authentication-algorithm: hmac-sha1-96 is weak (RFC 8221); write hmac-sha-256-128, or allow it by name with weak-algorithms: hmac-sha1-96',
    ]);
    const allowed = edited(sha1, [
      'hmac-sha1-96\n',
      'hmac-sha1-96\n          weak-algorithms: hmac-sha1-96\n',
    ]);
    const { config, warnings } = of(allowed);
    expect(config!.vpns[0]!.manual.outbound.algorithm).toBe('aes-cbc-hmac-sha1-96');
    expect(warnings.map(problemText)).toEqual([
      'gw.yaml:40:37: security.ipsec.vpn.enb1.manual.authentication-algorithm: hmac-sha1-96 is weak (RFC 8221); hmac-sha-256-128 is better, once the peer has it',
    ]);
    expect(of(cbc('aes-128-cbc', 16)).warnings).toEqual([]);
  });

  it('differs by its authentication key alone', () => {
    const [before, after] = [cbc('aes-256-cbc', 32), cbc('aes-256-cbc', 32).replaceAll('b9b9', 'b9ba')].map(
      (text) => loadConfig(text, 'gw.yaml', surroundings),
    );
    expect(diff(before!, after!).map((change) => change.section)).toEqual(['vpn']);
    expect(diff(before!, before!)).toEqual([]);
  });
});
