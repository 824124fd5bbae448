/** `security ike`, and what of `security ipsec` goes with it. */
import { z } from 'zod';
import * as f from './fields.js';
import { limits } from './limits.js';

const dhGroup = () =>
  f.word(
    ['group31', 'group19', 'group20', 'group21', 'group14', 'group15', 'group16', 'group2'],
    ['group1', 'group5', 'group24'],
  );

/** A text that may be a key written in the wrong place: no message shows it. */
const hidden = (advice: string) =>
  z
    .string({ error: `not a text; write ${advice}` })
    .min(1, { error: `empty; write ${advice}` })
    .optional();

const ikeProposal = f.section({
  'authentication-method': f.word(
    [
      'pre-shared-keys',
      'certificates',
      'rsa-signatures',
      'ecdsa-signatures-256',
      'ecdsa-signatures-384',
      'ecdsa-signatures-521',
    ],
    ['dsa-signatures'],
  ),
  'dh-group': dhGroup(),
  'authentication-algorithm': f
    .word(['sha-256', 'sha-384', 'sha-512', 'sha1'], ['md5', 'sha-1'])
    .meta({ default: 'sha-256' })
    .describe('of the pseudo-random function, and of integrity with AES-CBC')
    .optional(),
  'encryption-algorithm': f.word(
    ['aes-256-gcm', 'aes-128-gcm', 'aes-256-cbc', 'aes-192-cbc', 'aes-128-cbc'],
    ['aes-192-gcm', '3des-cbc', 'des-cbc'],
  ),
  'lifetime-seconds': f
    .integer(limits.ike.lifetimeSeconds, 'seconds')
    .meta({ default: limits.ike.lifetimeSeconds.fallback })
    .optional(),
  'weak-algorithms': f
    .list(f.word(['sha1', 'group2']), 'weak algorithms')
    .describe('which of them may be used, by name')
    .optional(),
});

const preSharedKey = f.section({
  'ascii-text': hidden('the key as text'),
  hexadecimal: hidden('hexadecimal digits'),
  file: hidden('the path of a file with the key as text'),
  env: hidden('the name of an environment variable with the key as text'),
});

const certificate = f.section({
  'local-certificate': f.path('a PEM file: our certificate, then those up to an authority'),
  'private-key': f.path('a PEM file with its private key'),
  'trusted-ca': f
    .list(f.path('a PEM file of an authority'), 'PEM files')
    .min(1, { error: 'empty; write the PEM file of an authority' }),
});

const ikePolicy = f.section({
  proposals: f.list(f.name('proposal'), 'proposals').min(1, { error: 'empty; write the name of a proposal' }),
  'pre-shared-key': preSharedKey.optional(),
  certificate: certificate.optional(),
});

const hostName = () => f.text('a host name, e.g. gw1.example.net', 253);
const mailName = () => f.text('a user at a host, e.g. user@example.net', 253);
const identity = {
  hostname: hostName().optional(),
  inet: f.inetAddress().optional(),
  inet6: f.inet6Address().optional(),
  'user-at-hostname': mailName().optional(),
  'key-id': f.text('a key id', 253).optional(),
};
const wildcard = f
  .section({ wildcard: f.text('attributes, e.g. O=Example, OU=gateways') })
  .describe('attributes that the subject of the certificate must have');

const ikeGateway = f.section({
  'ike-policy': f.name('policy'),
  address: f.address().optional(),
  dynamic: f
    .section({
      hostname: f.text('a host name, or (group-ike-id) what it ends in, e.g. .example.net', 253).optional(),
      inet: f.inetAddress().optional(),
      inet6: f.inet6Address().optional(),
      'user-at-hostname': mailName().optional(),
      'distinguished-name': wildcard.optional(),
      'ike-user-type': f.word(['group-ike-id'], ['shared-ike-id']).optional(),
      'connections-limit': f.integer(limits.ike.connections, 'peers').optional(),
    })
    .optional(),
  'dead-peer-detection': f
    .section({
      optimized: f.flag(),
      'probe-idle-tunnel': f.flag(),
      'always-send': f.flag(),
      interval: f
        .integer(limits.ike.probeSeconds, 'seconds')
        .meta({ default: limits.ike.probeSeconds.fallback })
        .optional(),
      threshold: f
        .integer(limits.ike.probeThreshold, 'probes')
        .meta({ default: limits.ike.probeThreshold.fallback })
        .optional(),
    })
    .nullable()
    .optional(),
  'local-identity': f
    .section({ ...identity, 'distinguished-name': f.flag() })
    .describe('default: the subject of the certificate, or local-address')
    .optional(),
  'remote-identity': f
    .section({ ...identity, 'distinguished-name': wildcard.optional() })
    .describe('default: address')
    .optional(),
  'general-ikeid': f.flag().describe('any identity that authenticates'),
  'external-interface': f.logicalInterface().optional(),
  'local-address': f
    .address()
    .optional()
    .describe("ours; default: external-interface's first of the peer's family"),
  'nat-keepalive': f
    .integer(limits.ike.keepaliveSeconds, 'seconds')
    .meta({ default: limits.ike.keepaliveSeconds.fallback })
    .optional(),
  fragmentation: f
    .section({
      disable: f.flag(),
      size: f
        .integer(limits.ike.fragmentBytes, 'bytes')
        .meta({ default: limits.ike.fragmentBytes.fallback })
        .optional(),
    })
    .optional(),
  version: f.word(['v2-only'], ['v1-only']).optional(),
});

export const ike = f.section({
  proposal: f.table('proposal', ikeProposal),
  policy: f.table('policy', ikePolicy),
  gateway: f.table('gateway', ikeGateway),
});

export const ipsecProposal = f.section({
  protocol: f.word(['esp'], ['ah']).optional(),
  'encryption-algorithm': f.word(
    ['aes-256-gcm', 'aes-128-gcm', 'aes-256-cbc', 'aes-192-cbc', 'aes-128-cbc'],
    ['aes-192-gcm', '3des-cbc', 'des-cbc', 'null'],
  ),
  'authentication-algorithm': f
    .word(['hmac-sha-256-128', 'hmac-sha-384', 'hmac-sha-512', 'hmac-sha1-96'], ['hmac-md5-96'])
    .optional()
    .describe('of AES-CBC; AES-GCM has its own'),
  'weak-algorithms': f
    .list(f.word(['hmac-sha1-96']), 'weak algorithms')
    .optional()
    .describe('what is refused otherwise'),
  'lifetime-seconds': f
    .integer(limits.ike.lifetimeSeconds, 'seconds')
    .meta({ default: limits.ike.childLifetimeSeconds })
    .optional(),
  'lifetime-kilobytes': f.integer(limits.ike.lifetimeKilobytes, 'kilobytes').optional(),
});

export const ipsecPolicy = f.section({
  proposals: f.list(f.name('proposal'), 'proposals').min(1, { error: 'empty; write the name of a proposal' }),
  'perfect-forward-secrecy': f.section({ keys: dhGroup() }).optional(),
});

export const vpnIke = f.section({
  gateway: f.name('gateway'),
  'ipsec-policy': f.name('policy'),
});
