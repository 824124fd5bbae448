/**
 * All IKE SAs of a node: which of them a message is for, who may begin one, which tunnels are whose. What one SA does is
 * step.ts's. In: events. Out: actions. No clock, no randomness and no socket of its own.
 *
 * The table is changed in place, since it may hold tens of thousands; each SA in it is a value.
 */
import type { IkeGatewayConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import {
  decodeMessage,
  decodePayloads,
  exchangeType,
  ikePort,
  notify,
  notifyType,
  type Payload,
  type RawMessage,
} from '../wire/ike.js';
import { Cookies } from './cookies.js';
import { type Bytes, wipeIkeKeys } from './crypto.js';
import { Deadlines } from './deadlines.js';
import { type Env, find, findNotify, type IkeEvent, never, noBytes, type SaAction } from './draft.js';
import { identityText } from './identity.js';
import { clearAnswer } from './init.js';
import { type IkeConfig, Policies } from './policies.js';
import { type RefusalName, refusalNames } from './reasons.js';
import { type ChildSa, type IkePath, type IkeSa, type JobResult, type Task, wipeEspKey } from './sa.js';
import { deadlineOf, type SaEvent, step } from './step.js';
import { type Claim, claimOf, TunnelOwners } from './tunnel-owners.js';

export interface IkeEngineOptions {
  /** cryptographically strong */
  readonly random: (count: number) => Bytes;
  /** see Env */
  readonly ivPrefix: number;
}

export interface IkeTime {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** What is left to do for others. */
export type IkeAction = Exclude<
  SaAction,
  { kind: 'spawn' | 'move-children' | 'superseded' | 'initial-contact' | 'count' }
>;

export type { IkeConfig } from './policies.js';

const noSpi = new Uint8Array(8);
const hex = (bytes: Bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');

export class IkeEngine {
  readonly #random: (count: number) => Bytes;
  /** the same for every step: its clock is that of the event */
  readonly #env: Env;
  readonly #sas = new Map<number, IkeSa>();
  readonly #bySpi = new Map<string, number>();
  /** responders whose first message may come again, by its SPI and where it came from; and back */
  readonly #beginning = new Map<string, number>();
  readonly #beginningOf = new Map<number, string>();
  /** SAs of each gateway, once it is known which one, that are not over */
  readonly #ofGateway = new Map<string, number>();
  readonly #deadlines = new Deadlines();
  readonly #espSpis = new Set<number>();
  readonly #owners = new TunnelOwners();
  /** SAs that are up, by gateway, and by gateway and identity */
  readonly #up = new Map<string, Set<number>>();
  readonly #reconnects = new Map<string, { readonly atMs: number; readonly afterMs: number }>();
  readonly #counts = new Map<RefusalName, number>(refusalNames.map((name) => [name, 0]));
  readonly #cookies: Cookies;
  #policies = new Policies({ gateways: [], vpns: [] });
  #halfOpen = 0;
  #nextNumber = 1;
  #established = 0;
  #now: IkeTime = { nowMs: 0, wallMs: 0 };
  #actions: IkeAction[] = [];

  constructor({ random, ivPrefix }: IkeEngineOptions) {
    this.#random = random;
    this.#cookies = new Cookies(random);
    const now = () => this.#now;
    this.#env = {
      get nowMs() {
        return now().nowMs;
      },
      get wallMs() {
        return now().wallMs;
      },
      ivPrefix,
      random,
      gateway: (name) => this.#policies.gateways.get(name),
      vpn: (name) => this.#policies.vpns.get(name),
      vpnsOf: (name) => this.#policies.vpnsOf(name),
      espSpi: () => this.#espSpi(),
      ikeSpi: () => this.#ikeSpi(),
      nextNumber: () => this.#nextNumber++,
      refusePeer: (sa, gateway) => this.#refusePeer(sa, gateway),
      claimTunnel: (sa, vpn, selector, selectors) => {
        const isFixed = this.#policies.gateways.get(vpn.gateway)?.address !== null;
        const own = vpn.trafficSelectors.length === 1 ? vpn.name : `${vpn.name}/${selector}`;
        return this.#claimTunnel(sa, vpn.name, isFixed ? own : '', claimOf(vpn, selectors));
      },
    };
  }

  /** By id. */
  get sas(): ReadonlyMap<number, IkeSa> {
    return this.#sas;
  }

  /** How often each refusal happened since the start. */
  get counts(): ReadonlyMap<RefusalName, number> {
    return this.#counts;
  }

  get halfOpen(): number {
    return this.#halfOpen;
  }

  /** IKE SAs that came up since the start, those in another's place not counted. */
  get established(): number {
    return this.#established;
  }

  gateway(name: string): IkeGatewayConfig | undefined {
    return this.#policies.gateways.get(name);
  }

  /** When it wants to be told that time has passed; Infinity: never. */
  nextDeadline(): number {
    let at = this.#deadlines.next();
    for (const { atMs } of this.#reconnects.values()) at = Math.min(at, atMs);
    return at;
  }

  /**
   * Goes by this configuration from now on. SAs of gateways in `changed` end. Gateways whose VPNs are set up immediately
   * begin.
   */
  configure(config: IkeConfig, changed: ReadonlySet<string>, time: IkeTime): IkeAction[] {
    return this.#do(time, () => {
      this.#policies = new Policies(config);
      for (const sa of [...this.#sas.values()]) {
        const stays = sa.gateways.filter((name) => this.#policies.gateways.has(name) && !changed.has(name));
        if (stays.length > 0) continue;
        this.#remove(sa, 'the configuration changed');
      }
      for (const name of [...this.#reconnects.keys()])
        if (!this.#isWanted(name)) this.#reconnects.delete(name);
      for (const name of this.#policies.gateways.keys()) {
        if (this.#isWanted(name) && !this.#hasSa(name)) this.#initiate(name);
      }
    });
  }

  /** bytes: of the datagram, without the non-ESP marker. */
  receive(path: IkePath, bytes: Bytes, time: IkeTime): IkeAction[] {
    return this.#do(time, () => this.#receive(path, bytes));
  }

  /** Answers `compute`. */
  computed(sa: number, ticket: number, result: JobResult, time: IkeTime): IkeAction[] {
    return this.#do(time, () => this.#step(sa, { kind: 'computed', ticket, result }));
  }

  timePassed(time: IkeTime): IkeAction[] {
    return this.#do(time, () => {
      for (let id = this.#deadlines.take(time.nowMs); id !== undefined; id = this.#deadlines.take(time.nowMs))
        this.#step(id, { kind: 'time' });
      for (const [name, { atMs }] of this.#reconnects) {
        if (atMs > time.nowMs) continue;
        this.#reconnects.set(name, { ...this.#reconnects.get(name)!, atMs: Infinity });
        if (!this.#hasSa(name)) this.#initiate(name);
      }
    });
  }

  /** What tunnels have carried since their SAs were made, by inbound SPI. */
  traffic(
    packets: ReadonlyMap<number, { readonly inbound: bigint; readonly outbound: bigint }>,
    time: IkeTime,
  ): IkeAction[] {
    return this.#do(time, () => {
      for (const [id, sa] of this.#sas) {
        const own = sa.children.some(({ inboundSpi, inboundPackets, outboundPackets, vpn }) => {
          const now = packets.get(inboundSpi);
          if (now === undefined) return false;
          const moved = now.inbound !== inboundPackets || now.outbound !== outboundPackets;
          return moved || (this.#policies.vpns.get(vpn)?.idleTimeMs ?? null) !== null;
        });
        if (own) this.#step(id, { kind: 'traffic', packets });
      }
    });
  }

  /** The tasks of an SA, e.g. to delete it. False: there is none. */
  ask(id: number, task: Task, time: IkeTime): IkeAction[] {
    return this.#do(time, () => this.#step(id, { kind: 'task', task }));
  }

  /** Sets a gateway's tunnels up now. Throws when it has no address. */
  initiate(name: string, time: IkeTime): IkeAction[] {
    return this.#do(time, () => this.#initiate(name));
  }

  /** Every peer is told that its SAs end, once; nothing is waited for. */
  close(time: IkeTime): IkeAction[] {
    return this.#do(time, () => {
      this.#reconnects.clear();
      for (const [id, { state }] of [...this.#sas]) {
        if (state === 'up')
          this.#step(id, { kind: 'task', task: { kind: 'delete-ike', reason: 'shut down' } });
      }
    });
  }

  /** Wipes what keys there are. */
  wipe(): void {
    for (const sa of this.#sas.values()) wipeIkeKeys(sa.keys);
  }

  // ---- one event ----

  #do(time: IkeTime, work: () => void): IkeAction[] {
    this.#now = time;
    this.#actions = [];
    work();
    return this.#actions;
  }

  #step(id: number, event: SaEvent): void {
    const before = this.#sas.get(id);
    if (before === undefined) return;
    const { sa, actions } = step(before, event, this.#env);
    this.#put(id, before, sa);
    this.#perform(actions);
  }

  #put(id: number, before: IkeSa | null, sa: IkeSa | null): void {
    if (before !== null && before.state === 'half-open' && !before.isInitiator) this.#halfOpen--;
    if (before !== null && isUp(before)) for (const key of upKeys(before)) this.#removeUp(key, id);
    if (before !== null) this.#countOf(before, -1);
    if (sa === null || sa.state !== 'half-open') {
      this.#beginning.delete(this.#beginningOf.get(id) ?? '');
      this.#beginningOf.delete(id);
    }
    if (sa === null) {
      if (before === null) return;
      this.#sas.delete(id);
      this.#bySpi.delete(hex(before.localSpi));
      this.#deadlines.delete(id);
      this.#forgetSpis(before.children, []);
      this.#reconnectLater(before);
      return;
    }
    this.#sas.set(id, sa);
    this.#countOf(sa, 1);
    if (sa.state === 'half-open' && !sa.isInitiator) this.#halfOpen++;
    if (isUp(sa)) {
      for (const key of upKeys(sa)) {
        const set = this.#up.get(key);
        if (set === undefined) this.#up.set(key, new Set([id]));
        else set.add(id);
      }
    }
    if (before?.state === 'half-open' && sa.state === 'up') {
      this.#established++;
      this.#reconnects.delete(sa.gateways[0]!);
    }
    if (before !== null && before.children !== sa.children) this.#forgetSpis(before.children, sa.children);
    this.#deadlines.set(id, deadlineOf(sa));
  }

  #removeUp(key: string, id: number): void {
    const set = this.#up.get(key);
    set?.delete(id);
    if (set?.size === 0) this.#up.delete(key);
  }

  #countOf({ gateways, state }: IkeSa, by: number): void {
    if (gateways.length !== 1 || state === 'over') return;
    this.#ofGateway.set(gateways[0]!, (this.#ofGateway.get(gateways[0]!) ?? 0) + by);
  }

  #perform(actions: readonly SaAction[]): void {
    for (const action of actions) {
      switch (action.kind) {
        case 'count':
          this.#count(action.name);
          break;
        case 'spawn':
          this.#add(action.sa);
          if (action.sa.queue.length > 0) this.#step(action.sa.id, { kind: 'traffic', packets: new Map() });
          break;
        case 'move-children':
          this.#moveChildren(action.from, action.to);
          break;
        case 'superseded':
          this.#supersede(action.sa);
          break;
        case 'initial-contact':
          this.#initialContact(action.sa);
          break;
        case 'tunnel-removed':
          // another SA has it by now
          if (this.#owners.of(action.tunnel) !== action.sa) break;
          this.#owners.release(action.tunnel);
          this.#actions.push(action);
          break;
        case 'tunnel-keyed':
          if (this.#owners.of(action.child.tunnel) === action.sa) this.#actions.push(action);
          else
            for (const key of [...action.inbound, ...(action.outbound ? [action.outbound] : [])])
              wipeEspKey(key);
          break;
        default:
          this.#actions.push(action);
      }
    }
  }

  #count(name: RefusalName): void {
    this.#counts.set(name, this.#counts.get(name)! + 1);
  }

  #add(sa: IkeSa): void {
    this.#bySpi.set(hex(sa.localSpi), sa.id);
    this.#put(sa.id, null, sa);
  }

  // ---- messages ----

  #receive(path: IkePath, bytes: Bytes): void {
    const message = decodeMessage(bytes);
    if (!message.ok) {
      this.#count(message.reason === 'ike_bad_version' ? 'unsupportedVersion' : 'malformed');
      return;
    }
    const { header } = message.value;
    const isFirst = header.exchange === exchangeType.ikeSaInit && !header.isResponse;
    if (isFirst) {
      this.#receiveFirst(path, message.value);
      return;
    }
    const own = header.isFromInitiator ? header.responderSpi : header.initiatorSpi;
    const id = this.#bySpi.get(hex(own));
    const sa = id === undefined ? undefined : this.#sas.get(id);
    if (sa === undefined || !sa.path.local.equals(path.local)) {
      this.#count('unknownSpi');
      return;
    }
    // until it is known, any will do: then the one of the exchange that made the SA
    const theirs = header.isFromInitiator ? header.initiatorSpi : header.responderSpi;
    if (sa.keys !== null && Buffer.compare(sa.peerSpi, theirs) !== 0) {
      this.#count('unknownSpi');
      return;
    }
    this.#step(sa.id, { kind: 'message', message: message.value, path });
  }

  /** IKE_SA_INIT of a peer. */
  #receiveFirst(path: IkePath, message: RawMessage): void {
    const { header } = message;
    const isProper =
      header.messageId === 0 && header.isFromInitiator && header.responderSpi.every((byte) => byte === 0);
    if (!isProper || message.encryptedAt !== 0) {
      this.#count('malformed');
      return;
    }
    const known = this.#beginning.get(firstKey(path, header.initiatorSpi));
    if (known !== undefined) {
      this.#step(known, { kind: 'message', message, path });
      return;
    }
    const payloads = decodePayloads(message.payloads);
    if (!payloads.ok) {
      if (payloads.reason === 'ike_unknown_critical') {
        this.#count('unknownCritical');
        const told = notify(notifyType.unsupportedCriticalPayload, Uint8Array.of(payloads.detail ?? 0));
        this.#clear(path, message, [told]);
        return;
      }
      this.#count('malformed');
      return;
    }
    const gateways = this.#policies.gatewaysFor(path);
    if (gateways.length === 0) {
      this.#refused(path, 'gatewayLookupFailed', 'Gateway lookup failed', notifyType.noProposalChosen);
      this.#clear(path, message, [notify(notifyType.noProposalChosen)]);
      return;
    }
    if (!this.#mayBegin(path, message, payloads.value)) return;
    const sa: IkeSa = {
      ...emptySa,
      id: this.#nextNumber++,
      localSpi: this.#ikeSpi(),
      peerSpi: Uint8Array.from(header.initiatorSpi),
      path,
      gateways,
      createdMs: this.#now.nowMs,
      heardMs: this.#now.nowMs,
      expireAtMs: this.#now.nowMs + tuning.ike.halfOpenMs,
    };
    const { sa: made, actions } = step(
      sa,
      { kind: 'init-request', message, payloads: payloads.value },
      this.#env,
    );
    if (made !== null) {
      this.#add(made);
      const key = firstKey(path, header.initiatorSpi);
      this.#beginning.set(key, made.id);
      this.#beginningOf.set(made.id, key);
    }
    this.#perform(actions);
  }

  /** RFC 7296 §2.6: while many begin, whoever does has to show that it is where it says it is. */
  #mayBegin(path: IkePath, message: RawMessage, payloads: readonly Payload[]): boolean {
    if (this.#halfOpen < tuning.ike.cookieThreshold) return true;
    if (this.#halfOpen >= tuning.ike.mostHalfOpen || this.#sas.size >= tuning.ike.mostSas) {
      this.#count('halfOpenLimit');
      return false;
    }
    const nonce = find(payloads, 'nonce');
    if (nonce === undefined) {
      this.#count('malformed');
      return false;
    }
    const came = findNotify(payloads, notifyType.cookie)?.data;
    const of = [this.#now.nowMs, nonce.data, path.remote.bytes, message.header.initiatorSpi] as const;
    if (came !== undefined && this.#cookies.isOurs(came, ...of)) return true;
    this.#count(came === undefined ? 'cookieAsked' : 'cookieWrong');
    this.#clear(path, message, [notify(notifyType.cookie, this.#cookies.make(...of))]);
    return false;
  }

  #clear(path: IkePath, message: RawMessage, payloads: readonly Payload[]): void {
    this.#actions.push({ kind: 'send', path, packets: [clearAnswer(message, noSpi, payloads)] });
  }

  #refused(path: IkePath, refusal: RefusalName, reason: string, notifyTypeTold: number): void {
    this.#count(refusal);
    const event: IkeEvent = {
      event: 'refused',
      gateway: '',
      peer: `${path.remote}:${path.remotePort}`,
      identity: '',
      initiatorSpi: '',
      responderSpi: '',
      refusal,
      reason: `${reason} for ${path.local} in routing instance ${path.routingInstance}`,
      notify: notifyTypeTold === notifyType.noProposalChosen ? 'NO_PROPOSAL_CHOSEN' : '',
    };
    this.#actions.push({ kind: 'event', event });
  }

  // ---- initiating ----

  #isWanted(name: string): boolean {
    const gateway = this.#policies.gateways.get(name);
    const vpns = this.#policies.vpnsOf(name);
    return (
      gateway?.address != null && vpns.some(({ establishTunnels }) => establishTunnels === 'immediately')
    );
  }

  #hasSa(name: string): boolean {
    return (this.#ofGateway.get(name) ?? 0) > 0;
  }

  #initiate(name: string): void {
    const gateway = this.#policies.gateways.get(name);
    if (gateway?.address == null)
      throw new Error(`gateway ${name} has no address: its peers come by themselves`);
    const wanted = this.#policies
      .vpnsOf(name)
      .flatMap((vpn) => vpn.trafficSelectors.map((selector) => ({ vpn: vpn.name, selector: selector.name })));
    const { nowMs } = this.#now;
    const sa: IkeSa = {
      ...emptySa,
      id: this.#nextNumber++,
      isInitiator: true,
      localSpi: this.#ikeSpi(),
      path: {
        local: gateway.localAddress,
        localPort: ikePort,
        remote: gateway.address,
        remotePort: ikePort,
        routingInstance: gateway.routingInstance,
      },
      gateways: [name],
      createdMs: nowMs,
      heardMs: nowMs,
      expireAtMs: nowMs + 4 * tuning.ike.halfOpenMs,
      wanted,
    };
    this.#add(sa);
    this.#step(sa.id, { kind: 'begin' });
  }

  /** An SA is gone: another, where tunnels are to be up always and there is none; later each time. */
  #reconnectLater({ gateways }: IkeSa): void {
    const name = gateways[0]!;
    if (gateways.length !== 1 || !this.#isWanted(name) || this.#hasSa(name)) return;
    const afterMs = Math.min(
      (this.#reconnects.get(name)?.afterMs ?? tuning.ike.reconnectMs / 2) * 2,
      tuning.ike.mostReconnectMs,
    );
    this.#reconnects.set(name, { atMs: this.#now.nowMs + afterMs, afterMs });
  }

  // ---- what SAs share ----

  #ikeSpi(): Bytes {
    for (;;) {
      const spi = this.#random(8);
      if (!this.#bySpi.has(hex(spi)) && spi.some((byte) => byte !== 0)) return spi;
    }
  }

  #espSpi(): number {
    for (;;) {
      const bytes = this.#random(4);
      const spi = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      // RFC 4303 §2.1: up to 255 are reserved
      if (spi < 256 || this.#espSpis.has(spi)) continue;
      this.#espSpis.add(spi);
      return spi;
    }
  }

  #forgetSpis(before: readonly ChildSa[], after: readonly ChildSa[]): void {
    const left = new Set(after.map(({ inboundSpi }) => inboundSpi));
    for (const { inboundSpi } of before) if (!left.has(inboundSpi)) this.#espSpis.delete(inboundSpi);
  }

  #refusePeer(sa: IkeSa, gateway: string): string | null {
    const limit = this.#policies.gateways.get(gateway)?.connectionsLimit ?? null;
    const others = this.#up.get(gateway)?.size ?? 0;
    // the same peer again takes its own place
    const own = this.#up.get(identityKey({ ...sa, gateways: [gateway] }))?.size ?? 0;
    if (limit !== null && others - own >= limit) return `the gateway has ${limit} peers (connections-limit)`;
    return this.#sas.size >= tuning.ike.mostSas ? `the node has ${tuning.ike.mostSas} IKE SAs` : null;
  }

  /** fixed: the name that it is to have; '': any of the VPN's. Its name, or null when the prefixes are another's. */
  #claimTunnel(sa: IkeSa, vpn: string, fixed: string, claim: Claim): string | null {
    const had = this.#owners.holder(claim);
    const owner = had === null ? undefined : this.#sas.get(had.sa);
    // a route goes by the destination alone: it cannot lead into two of one peer
    if (had !== null && owner?.id === sa.id && had.local !== claim.local) return null;
    if (had !== null && owner !== undefined && owner.id !== sa.id) {
      if (identityKey(owner) !== identityKey(sa)) return null;
      // the peer began anew and has forgotten the other
      const rest = owner.children.filter(({ tunnel }) => tunnel !== had.tunnel);
      this.#put(owner.id, owner, { ...owner, children: rest });
    }
    const isFree = fixed !== '' && this.#owners.of(fixed) === undefined;
    const tunnel = had?.tunnel ?? (isFree ? fixed : `${vpn}/${this.#nextNumber++}`);
    this.#owners.take(tunnel, sa.id, claim);
    return tunnel;
  }

  #moveChildren(from: number, to: number): void {
    const source = this.#sas.get(from);
    const target = this.#sas.get(to);
    if (source === undefined || target === undefined) return;
    const tunnels = source.children.map(({ tunnel }) => tunnel);
    this.#owners.move(tunnels, from, to);
    const queue = source.queue.filter(({ kind }) => kind === 'child' || kind === 'delete-children');
    // SPIs go along
    this.#sas.set(from, {
      ...source,
      children: [],
      queue: source.queue.filter((task) => !queue.includes(task)),
    });
    const moved = {
      ...target,
      children: [...target.children, ...source.children],
      queue: [...target.queue, ...queue],
    };
    this.#sas.set(to, moved);
    this.#deadlines.set(from, deadlineOf(this.#sas.get(from)!));
    this.#deadlines.set(to, deadlineOf(moved));
  }

  /** The peer, whose it is, will delete it. */
  #supersede(id: number): void {
    const sa = this.#sas.get(id);
    if (sa === undefined) return;
    const expireAtMs = this.#now.nowMs + tuning.ike.halfOpenMs;
    this.#put(id, sa, { ...sa, state: 'replaced', rekeyAtMs: never, probeAtMs: never, expireAtMs });
  }

  /** The peer says that it has no other: those that are here are of before it was started again (RFC 7296 §2.4). */
  #initialContact(id: number): void {
    const sa = this.#sas.get(id);
    if (sa === undefined) return;
    for (const other of [...(this.#up.get(identityKey(sa)) ?? [])]) {
      const old = this.#sas.get(other);
      if (other !== id && old !== undefined) this.#remove(old, 'the peer began anew (INITIAL_CONTACT)');
    }
  }

  /** At once, without a word to the peer. */
  #remove(sa: IkeSa, reason: string): void {
    const ended = new Set(sa.children.map(({ tunnel }) => tunnel));
    wipeIkeKeys(sa.keys);
    this.#put(sa.id, sa, null);
    const removed = [...ended].map((tunnel) => ({ kind: 'tunnel-removed', sa: sa.id, tunnel }) as const);
    this.#perform(removed);
    if (sa.state !== 'up') return;
    const { gateways, path, peerIdentity, isInitiator, localSpi, peerSpi } = sa;
    const [initiatorSpi, responderSpi] = isInitiator ? [localSpi, peerSpi] : [peerSpi, localSpi];
    this.#actions.push({
      kind: 'event',
      event: {
        event: 'ike-sa-down',
        gateway: gateways[0]!,
        peer: `${path.remote}:${path.remotePort}`,
        identity: peerIdentity === null ? '' : identityText(peerIdentity),
        initiatorSpi: hex(initiatorSpi),
        responderSpi: hex(responderSpi),
        reason,
      },
    });
  }
}

const isUp = ({ state }: IkeSa) => state === 'up';
const identityKey = ({ gateways, peerIdentity }: IkeSa) =>
  `${gateways[0]} ${peerIdentity?.type ?? ''} ${peerIdentity === null ? '' : hex(peerIdentity.data)}`;
const upKeys = (sa: IkeSa) => [sa.gateways[0]!, identityKey(sa)];
const firstKey = (
  { remote, remotePort, local }: Pick<IkePath, 'remote' | 'remotePort' | 'local'>,
  spi: Bytes,
) => `${remote} ${remotePort} ${local} ${hex(spi)}`;

const emptySa: Omit<IkeSa, 'id' | 'localSpi' | 'path' | 'gateways' | 'createdMs' | 'heardMs' | 'expireAtMs'> =
  {
    state: 'half-open',
    isInitiator: false,
    peerSpi: noSpi,
    suite: null,
    keys: null,
    localNonce: noBytes,
    peerNonce: noBytes,
    ownInit: noBytes,
    peerInit: noBytes,
    cookie: noBytes,
    peerIdentity: null,
    peerHashes: [],
    natLocal: false,
    natRemote: false,
    fragmentation: false,
    sendId: 0,
    receiveId: 0,
    lastAnswer: null,
    fragments: null,
    sealed: 0,
    asking: null,
    serving: null,
    queue: [],
    children: [],
    sentTrafficMs: 0,
    rekeyAtMs: never,
    keepaliveAtMs: never,
    probeAtMs: never,
    replacedBy: 0,
    lowestNonce: noBytes,
    wanted: [],
  };
