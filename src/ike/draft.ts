/** What a step works on: a copy of the SA that is changed, and the actions that gather. */
import type { IkeGatewayConfig, IkeVpnConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import { Secret } from '../model/secret.js';
import { ikeNatPort, notifyName, type Payload, type PayloadKind } from '../wire/ike.js';
import type { Bytes } from './crypto.js';
import { identityText } from './identity.js';
import type { RefusalName } from './reasons.js';
import type { Asking, ChildSa, ChildSelector, EspKey, IkePath, IkeSa, Job, Serving, Task } from './sa.js';

/** A time that does not come; JSON has no infinity. */
export const never = Number.MAX_SAFE_INTEGER;

/** What a step is handed of the world. */
export interface Env {
  /** of any clock that does not go back, and since 1970 */
  readonly nowMs: number;
  readonly wallMs: number;
  /** cryptographically strong */
  random(count: number): Bytes;
  gateway(name: string): IkeGatewayConfig | undefined;
  vpn(name: string): IkeVpnConfig | undefined;
  vpnsOf(gateway: string): readonly IkeVpnConfig[];
  /** SPIs that no SA has here: inbound ESP, and IKE */
  espSpi(): number;
  ikeSpi(): Bytes;
  /** never the same twice */
  nextNumber(): number;
  /** node-id (4 bits) and epoch (12) of this node, which begin every AES-GCM IV */
  readonly ivPrefix: number;
  /** why this peer may not come in, or null */
  refusePeer(sa: IkeSa, gateway: string): string | null;
  /** name of the tunnel that a CHILD SA of these selectors is, or null when another peer has its routes */
  claimTunnel(
    sa: IkeSa,
    vpn: IkeVpnConfig,
    selector: string,
    selectors: readonly ChildSelector[],
  ): string | null;
}

/** What happens, for people and programs (`monitor`). Nothing of a key is in it. */
export interface IkeEvent {
  readonly event:
    | 'ike-sa-up'
    | 'ike-sa-rekeyed'
    | 'ike-sa-down'
    | 'child-sa-up'
    | 'child-sa-rekeyed'
    | 'child-sa-down'
    | 'peer-moved'
    | 'refused';
  readonly gateway: string;
  readonly peer: string;
  readonly identity: string;
  readonly initiatorSpi: string;
  readonly responderSpi: string;
  readonly vpn?: string;
  readonly tunnel?: string;
  readonly inboundSpi?: number;
  readonly outboundSpi?: number;
  /** of what was refused or ended */
  readonly reason?: string;
  readonly refusal?: RefusalName;
  /** what the other side was told, or told us */
  readonly notify?: string;
}

export type SaAction =
  | { readonly kind: 'send'; readonly path: IkePath; readonly packets: readonly Bytes[] }
  | { readonly kind: 'compute'; readonly sa: number; readonly ticket: number; readonly job: Job }
  /**
   * The tunnel goes by this CHILD SA: its SAs but `kept` (inbound SPIs) go, these come. outbound null: the one that it has
   * goes on.
   */
  | {
      readonly kind: 'tunnel-keyed';
      readonly sa: number;
      readonly child: ChildSa;
      readonly gateway: string;
      readonly path: IkePath;
      readonly isEncapsulated: boolean;
      readonly kept: readonly number[];
      readonly inbound: readonly EspKey[];
      readonly outbound: EspKey | null;
    }
  | { readonly kind: 'tunnel-removed'; readonly sa: number; readonly tunnel: string }
  | { readonly kind: 'event'; readonly event: IkeEvent }
  | { readonly kind: 'count'; readonly name: RefusalName }
  /** For the table of SAs (engine.ts): a new one; this one's children to another; a peer that knows of no other. */
  | { readonly kind: 'spawn'; readonly sa: IkeSa }
  | { readonly kind: 'move-children'; readonly from: number; readonly to: number }
  /** of two that were made at the same time the one that does not stay */
  | { readonly kind: 'superseded'; readonly sa: number }
  | { readonly kind: 'initial-contact'; readonly sa: number };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class Draft {
  readonly sa: Mutable<IkeSa>;
  readonly env: Env;
  readonly actions: SaAction[] = [];
  /** nothing is left of the SA */
  gone = false;

  constructor(sa: IkeSa, env: Env) {
    this.sa = { ...sa };
    this.env = env;
  }

  /** The gateway, once it is known which one. */
  get gateway(): IkeGatewayConfig | undefined {
    return this.env.gateway(this.sa.gateways[0] ?? '');
  }

  get isEncapsulated(): boolean {
    return this.sa.natLocal || this.sa.natRemote;
  }

  send(packets: readonly Bytes[], path: IkePath = this.sa.path): void {
    this.actions.push({ kind: 'send', path, packets });
    if (packets.length > 0) this.sa.keepaliveAtMs = this.#keepaliveAt();
  }

  #keepaliveAt(): number {
    const every = this.gateway?.natKeepaliveMs ?? 0;
    const { natLocal, path } = this.sa;
    return natLocal && every > 0 && path.localPort === ikeNatPort ? this.env.nowMs + every : never;
  }

  /** Its number. */
  compute(job: Job): number {
    const ticket = this.env.nextNumber();
    this.actions.push({ kind: 'compute', sa: this.sa.id, ticket, job });
    return ticket;
  }

  event(event: IkeEvent['event'], more: Partial<IkeEvent> = {}): void {
    this.actions.push({ kind: 'event', event: { ...eventBase(this.sa), event, ...more } });
  }

  childEvent(event: IkeEvent['event'], child: ChildSa, reason?: string): void {
    const { vpn, tunnel, inboundSpi, outboundSpi } = child;
    this.event(event, {
      vpn,
      tunnel,
      inboundSpi,
      outboundSpi,
      ...(reason === undefined ? {} : { reason }),
    });
  }

  /** Counted, and said in one line. notify: what the peer is told. */
  refuse(refusal: RefusalName, reason: string, notify?: number): void {
    this.actions.push({ kind: 'count', name: refusal });
    const told = notify === undefined ? {} : { notify: notifyName(notify) };
    this.event('refused', { refusal, reason, ...told });
  }

  count(name: RefusalName): void {
    this.actions.push({ kind: 'count', name });
  }

  /** Behind what is to be asked already, unless that is among it. */
  ask(task: Task): void {
    if (!this.sa.queue.some((each) => isSameTask(each, task))) this.sa.queue = [...this.sa.queue, task];
  }

  changeChild(inboundSpi: number, change: Partial<ChildSa>): void {
    this.sa.children = this.sa.children.map((child) =>
      child.inboundSpi === inboundSpi ? { ...child, ...change } : child,
    );
  }
}

export function eventBase(sa: IkeSa): Omit<IkeEvent, 'event'> {
  const hex = (bytes: Bytes) => Buffer.from(bytes).toString('hex');
  const [initiator, responder] = sa.isInitiator ? [sa.localSpi, sa.peerSpi] : [sa.peerSpi, sa.localSpi];
  return {
    gateway: sa.gateways.length === 1 ? sa.gateways[0]! : '',
    peer: `${sa.path.remote}:${sa.path.remotePort}`,
    identity: sa.peerIdentity === null ? '' : identityText(sa.peerIdentity),
    initiatorSpi: hex(initiator),
    responderSpi: hex(responder),
  };
}

const isSameTask = (a: Task, b: Task): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The payload that may be of this kind: two kinds of one shape share a member of Payload. */
type PayloadOf<K extends PayloadKind, P = Payload> = P extends Payload
  ? K extends P['kind']
    ? P
    : never
  : never;

export const find = <K extends PayloadKind>(
  payloads: readonly Payload[],
  kind: K,
): PayloadOf<K> | undefined => findAll(payloads, kind)[0];

export const findAll = <K extends PayloadKind>(payloads: readonly Payload[], kind: K): PayloadOf<K>[] =>
  payloads.filter((payload) => payload.kind === kind) as PayloadOf<K>[];

export const findNotify = (payloads: readonly Payload[], type: number) =>
  findAll(payloads, 'notify').find((each) => each.type === type);

/** The first error that is told, if any (RFC 7296 §3.10.1: types below 16384). */
export const findError = (payloads: readonly Payload[]) =>
  findAll(payloads, 'notify').find(({ type }) => type < 16_384);

export const noBytes: Bytes = new Uint8Array(0);

export const noAsking: Omit<Asking, 'task'> = {
  ticket: 0,
  stage: 'key',
  messageId: 0,
  packets: [],
  tries: 0,
  resendAtMs: never,
  group: 0,
  secret: null,
  nonce: noBytes,
  spi: 0,
  ikeSpi: noBytes,
  tunnel: '',
  number: 0,
  answer: [],
  collision: null,
};

export const noServing: Omit<Serving, 'ticket' | 'stage' | 'messageId' | 'payloads'> = {
  suite: null,
  nonce: noBytes,
  peerSpi: noBytes,
};

/** The lower of the nonces of an exchange (RFC 7296 §2.8.1). */
export const lowerOf = (a: Bytes, b: Bytes): Bytes => (Buffer.compare(a, b) <= 0 ? a : b);

/** What a request is to be sent again after. */
export const resendAfterMs = (tries: number): number =>
  tuning.ike.resendMs * 2 ** Math.min(tries, tuning.ike.mostResends);

export const secretOf = (random: Bytes): Secret => new Secret(random);
