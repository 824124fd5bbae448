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

/** What both ends of an ESP security association know (RFC 4301 §4.4.2.1; AES-GCM, RFC 4106). */
export interface Sa {
  readonly spi: number;
  /** AES key (16 or 32 bytes), then the 4-byte salt */
  readonly key: Secret;
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
