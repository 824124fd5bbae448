/**
 * An IKE SA with its CHILD SAs, as a value: plain data and Secrets, nothing that runs. A step makes a new one; a pair sends
 * it across.
 */
import type { Address } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';
import type { EspKeys } from '../model/sa.js';
import type { Secret } from '../model/secret.js';
import type { Identification, Payload, TrafficSelectorRange } from '../wire/ike.js';
import type { ChildSuite, IkeSuite } from './algorithms.js';
import type { Bytes, IkeKeys } from './crypto.js';

/** Where messages go: both ends, and the routing instance that ours is in. */
export interface IkePath {
  readonly local: Address;
  readonly localPort: number;
  readonly remote: Address;
  readonly remotePort: number;
  readonly routingInstance: string;
}

/** What an inner packet of a CHILD SA must be like. */
export interface ChildSelector {
  readonly local: Prefix;
  readonly remote: Prefix;
  /** 0: any */
  readonly protocol: number;
  readonly localPorts: readonly [number, number];
  readonly remotePorts: readonly [number, number];
}

/** Whoever takes it wipes it. */
export interface EspKey extends EspKeys {
  readonly spi: number;
}

export function wipeEspKey({ key, authenticationKey }: EspKeys): void {
  key.wipe();
  authenticationKey?.wipe();
}

export interface ChildSa {
  /** never given twice on this node */
  readonly number: number;
  /** of its tunnel: the same for every rekey */
  readonly tunnel: string;
  readonly vpn: string;
  /** ours, which the peer sends to */
  readonly inboundSpi: number;
  readonly outboundSpi: number;
  readonly suite: ChildSuite;
  readonly localRanges: readonly TrafficSelectorRange[];
  readonly remoteRanges: readonly TrafficSelectorRange[];
  readonly selectors: readonly ChildSelector[];
  /**
   * up: in use. replaced: another has its place, and it waits to be deleted. deleting: we have asked for it. draining:
   * deleted, and what is still under way to it is taken until expireAtMs.
   */
  readonly state: 'up' | 'replaced' | 'deleting' | 'draining';
  /** the peer rekeyed: packets go by the one before until it deletes that (RFC 7296 §2.8), but no longer than switchAtMs */
  readonly waitingOutbound: EspKey | null;
  readonly switchAtMs: number;
  readonly createdMs: number;
  readonly rekeyAtMs: number;
  readonly expireAtMs: number;
  /** of the exchange that made it: of which of two at the same time stays (RFC 7296 §2.8.1), the lower one of either */
  readonly lowestNonce: Bytes;
  /** inboundSpi of the one whose place it took, 0: none */
  readonly replaces: number;
  readonly isOurs: boolean;
  readonly inboundPackets: bigint;
  readonly outboundPackets: bigint;
  readonly trafficMs: number;
}

/** What we ask the peer for, one after the other. */
export type Task =
  | { readonly kind: 'init' }
  | { readonly kind: 'auth' }
  | {
      readonly kind: 'child';
      readonly vpn: string;
      /** of the configuration, or of the CHILD SA that is rekeyed */
      readonly selector: string;
      /** inboundSpi of the CHILD SA whose place it takes; 0: none */
      readonly replaces: number;
    }
  | { readonly kind: 'rekey-ike' }
  | { readonly kind: 'delete-children'; readonly spis: readonly number[] }
  | { readonly kind: 'delete-ike'; readonly reason: string }
  | { readonly kind: 'probe' };

/** A request of ours: being made (a key exchange or signature is computed), or sent and not answered yet. */
export interface Asking {
  readonly task: Task;
  /** of the computation that it waits for; 0: it is sent */
  readonly ticket: number;
  readonly stage: 'key' | 'sign' | 'sent' | 'shared' | 'verify';
  readonly messageId: number;
  readonly packets: readonly Bytes[];
  readonly tries: number;
  readonly resendAtMs: number;
  readonly group: number;
  readonly secret: Secret | null;
  readonly nonce: Bytes;
  /** of the CHILD SA that is asked for */
  readonly spi: number;
  /** of the IKE SA that is asked for */
  readonly ikeSpi: Bytes;
  readonly tunnel: string;
  readonly number: number;
  /** the answer, while a computation is under way for it */
  readonly answer: readonly Payload[];
  /** the peer rekeys the same at the same time: what its exchange made */
  readonly collision: { readonly lowestNonce: Bytes; readonly spi: number } | null;
}

/** A request of the peer's whose answer waits for a computation. */
export interface Serving {
  readonly ticket: number;
  readonly stage: 'shared' | 'verify' | 'sign' | 'child-shared' | 'ike-shared';
  readonly messageId: number;
  readonly payloads: readonly Payload[];
  readonly suite: IkeSuite | null;
  readonly nonce: Bytes;
  /** of the peer's, for IKE SAs that take another's place */
  readonly peerSpi: Bytes;
}

export type IkeState =
  /** the first two exchanges are not done */
  | 'half-open'
  | 'up'
  /** another has its place, and it waits to be deleted */
  | 'replaced'
  /** we have asked for it to be deleted */
  | 'deleting'
  /** it only answers repetitions of the last request, until it expires */
  | 'over';

export interface IkeSa {
  /** of this node, never given twice */
  readonly id: number;
  readonly state: IkeState;
  /** the original initiator */
  readonly isInitiator: boolean;
  /** 8 bytes; the peer's are zero until it has answered */
  readonly localSpi: Bytes;
  readonly peerSpi: Bytes;
  readonly path: IkePath;
  /** names; more than one until the peer has said who it is */
  readonly gateways: readonly string[];
  readonly suite: IkeSuite | null;
  readonly keys: IkeKeys | null;
  readonly localNonce: Bytes;
  readonly peerNonce: Bytes;
  /** the first two messages as they were sent, which AUTH signs */
  readonly ownInit: Bytes;
  readonly peerInit: Bytes;
  readonly cookie: Bytes;
  readonly peerIdentity: Identification | null;
  readonly peerHashes: readonly number[];
  readonly natLocal: boolean;
  readonly natRemote: boolean;
  readonly fragmentation: boolean;
  /** of the next request of ours, and of the peer's */
  readonly sendId: number;
  readonly receiveId: number;
  readonly lastAnswer: { readonly messageId: number; readonly packets: readonly Bytes[] } | null;
  readonly fragments: {
    readonly messageId: number;
    readonly isResponse: boolean;
    readonly total: number;
    readonly innerType: number;
    readonly parts: readonly (Bytes | null)[];
  } | null;
  /** of the next AES-GCM IV of ours: no two messages have one */
  readonly sealed: number;
  readonly asking: Asking | null;
  readonly serving: Serving | null;
  readonly queue: readonly Task[];
  readonly children: readonly ChildSa[];
  readonly createdMs: number;
  /** something of the peer's authenticated */
  readonly heardMs: number;
  readonly sentTrafficMs: number;
  readonly rekeyAtMs: number;
  readonly expireAtMs: number;
  readonly keepaliveAtMs: number;
  readonly probeAtMs: number;
  /** id of the IKE SA that took its place; 0: none */
  readonly replacedBy: number;
  /** of the exchange that made it, as of a CHILD SA; empty for a first one */
  readonly lowestNonce: Bytes;
  /** VPNs to be set up once it is there; what is left of the plan of an initiator */
  readonly wanted: readonly { readonly vpn: string; readonly selector: string }[];
}

/** What takes long to compute: for other threads. Functions of the job alone (jobs.ts). */
export type Job =
  | {
      readonly kind: 'dh';
      readonly group: number;
      readonly secret: Bytes;
      /** null: our public value alone */
      readonly peer: Bytes | null;
    }
  | {
      readonly kind: 'sign';
      readonly privateKey: Bytes;
      readonly peerHashes: readonly number[];
      readonly octets: Bytes;
    }
  | {
      readonly kind: 'verify';
      readonly chain: readonly Bytes[];
      readonly authorities: readonly Bytes[];
      readonly identity: Identification;
      readonly method: number;
      readonly signature: Bytes;
      readonly octets: Bytes;
      readonly wallMs: number;
    };

export type JobResult =
  /** shared: null where the peer's value was none, or none was given */
  | { readonly kind: 'dh'; readonly publicKey: Bytes; readonly shared: Bytes | null }
  | { readonly kind: 'signed'; readonly method: number; readonly data: Bytes }
  | { readonly kind: 'verified' }
  | { readonly kind: 'failed'; readonly reason: string };

/** Why an exchange was refused, by name; what it means is in reasons.ts. */
export type { RefusalName } from './reasons.js';
