import type { Address } from './address.js';
import type { Prefix } from './prefix.js';
import type { Secret } from './secret.js';

/** Which inner packets an SA carries, seen in the direction that it carries them. */
export interface SaSelector {
  readonly source: Prefix;
  readonly destination: Prefix;
}

export interface UdpEncapsulation {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** By Junos's names; the ICV of the last two is half of the hash (RFC 4868). */
export type AuthenticationAlgorithm = 'hmac-sha1-96' | 'hmac-sha-256-128' | 'hmac-sha-384' | 'hmac-sha-512';

/** What protects an SA's packets; how many bits AES has is for its key to say. */
export type EspAlgorithm = 'aes-gcm' | `aes-cbc-${AuthenticationAlgorithm}`;

export const espAlgorithms: readonly EspAlgorithm[] = [
  'aes-gcm',
  'aes-cbc-hmac-sha1-96',
  'aes-cbc-hmac-sha-256-128',
  'aes-cbc-hmac-sha-384',
  'aes-cbc-hmac-sha-512',
];

export interface Authentication {
  readonly hash: 'sha1' | 'sha256' | 'sha384' | 'sha512';
  /** of the key, in bytes: as long as the hash (RFC 2404 §3, RFC 4868 §2.1.1) */
  readonly keyBytes: number;
  readonly icvBytes: number;
}

export const authentications: Readonly<Record<AuthenticationAlgorithm, Authentication>> = {
  'hmac-sha1-96': { hash: 'sha1', keyBytes: 20, icvBytes: 12 },
  'hmac-sha-256-128': { hash: 'sha256', keyBytes: 32, icvBytes: 16 },
  'hmac-sha-384': { hash: 'sha384', keyBytes: 48, icvBytes: 24 },
  'hmac-sha-512': { hash: 'sha512', keyBytes: 64, icvBytes: 32 },
};

/** null: AES-GCM, which authenticates by itself. */
export const authenticationOf = (algorithm: EspAlgorithm): Authentication | null =>
  algorithm === 'aes-gcm'
    ? null
    : authentications[algorithm.slice('aes-cbc-'.length) as AuthenticationAlgorithm];

/** Keys of an SA. */
export interface EspKeys {
  readonly algorithm: EspAlgorithm;
  /** AES-GCM: the AES key (16 or 32 bytes), then the 4-byte salt; AES-CBC: 16, 24 or 32 bytes */
  readonly key: Secret;
  /** null: AES-GCM */
  readonly authenticationKey: Secret | null;
}

/** What both ends of an ESP security association know (RFC 4301 §4.4.2.1; AES-GCM, RFC 4106; AES-CBC, RFC 3602). */
export interface Sa extends EspKeys {
  readonly spi: number;
  readonly extendedSequenceNumber: boolean;
  /** a packet must be in one of them; none: any may pass */
  readonly selectors: readonly SaSelector[];
}

export interface InboundSa extends Sa {
  /** packets, a power of two from 64 to 8192; null: no anti-replay */
  readonly antiReplayWindowSize: number | null;
  /** everything up to it counts as seen */
  readonly highestSequence: bigint;
  /** the inner packet takes the outer one's DSCP */
  readonly copyOuterDscp: boolean;
}

/** The next IV: node-id (4 bits) | epoch (12) | counter (48). The counter is 2^48 when the epoch's IVs are used up. */
export interface IvState {
  readonly nodeId: number;
  readonly epoch: number;
  readonly counter: bigint;
}

export interface OutboundSa extends Sa {
  /** of the outer header; both of one family */
  readonly source: Address;
  readonly destination: Address;
  /** RFC 3948; null: none */
  readonly udp: UdpEncapsulation | null;
  /** 2^32 (with ESN 2^64) when the last one was used */
  readonly nextSequence: bigint;
  readonly nextIv: IvState;
  readonly dfBit: 'copy' | 'set' | 'clear';
  /** of the outer header; null: copied from the inner packet */
  readonly outerDscp: number | null;
  /** of the path, bytes of IP packet */
  readonly mtu: number;
}

export const ivCounterEnd = 2n ** 48n;
