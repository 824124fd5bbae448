/** One IKE SA as a pure step: an event leads from one state to the next, and to actions. */
import { tuning } from '../config/limits.js';
import { Secret } from '../model/secret.js';
import {
  decodePayloads,
  exchangeType,
  ikeNatPort,
  notify,
  notifyType,
  type Payload,
  protocolId,
  type RawMessage,
} from '../wire/ike.js';
import { authAnswered, authComputed, authSigned, authVerified, respondAuth } from './auth.js';
import { beginChild, childAnswered, respondChild, sendChild } from './child.js';
import { Draft, type Env, find, never, resendAfterMs, type SaAction } from './draft.js';
import { answer } from './exchange.js';
import { finish } from './finish.js';
import { informationalAnswered, respondInformational, sendInformational } from './informational.js';
import { answerInit, beginInit, initAnswered, initDone, respondInit, sendInit } from './init.js';
import { open } from './protect.js';
import { answerRekey, beginRekey, rekeyAnswered, rekeyDone, respondRekey, sendRekey } from './rekey.js';
import type { IkePath, IkeSa, JobResult, Task } from './sa.js';
import { drop, retire, switchOutbound, tellPath } from './tunnel-keys.js';

export type SaEvent =
  /** initiator: begin */
  | { readonly kind: 'begin' }
  /** responder: the first message, for which the SA was made */
  | { readonly kind: 'init-request'; readonly message: RawMessage; readonly payloads: readonly Payload[] }
  | { readonly kind: 'message'; readonly message: RawMessage; readonly path: IkePath }
  | { readonly kind: 'computed'; readonly ticket: number; readonly result: JobResult }
  | { readonly kind: 'task'; readonly task: Task }
  | { readonly kind: 'time' }
  /** packets that CHILD SAs have carried, by inbound SPI */
  | {
      readonly kind: 'traffic';
      readonly packets: ReadonlyMap<number, { readonly inbound: bigint; readonly outbound: bigint }>;
    };

/** sa null: nothing is left of it. */
export interface Stepped {
  readonly sa: IkeSa | null;
  readonly actions: readonly SaAction[];
}

export function step(sa: IkeSa, event: SaEvent, env: Env): Stepped {
  const draft = new Draft(sa, env);
  switch (event.kind) {
    case 'begin':
      beginInit(draft);
      break;
    case 'init-request':
      respondInit(draft, event.message, event.payloads);
      break;
    case 'message':
      onMessage(draft, event.message, event.path);
      break;
    case 'computed':
      onComputed(draft, event.ticket, event.result);
      break;
    case 'task':
      draft.ask(event.task);
      break;
    case 'time':
      onTime(draft);
      break;
    case 'traffic':
      onTraffic(draft, event.packets);
      break;
  }
  if (!draft.gone) pump(draft);
  return { sa: draft.gone ? null : draft.sa, actions: draft.actions };
}

/** When it wants to be told that time has passed. */
export function deadlineOf(sa: IkeSa): number {
  let deadline = Math.min(
    sa.asking?.resendAtMs ?? never,
    sa.rekeyAtMs,
    sa.expireAtMs,
    sa.keepaliveAtMs,
    sa.probeAtMs,
  );
  for (const { rekeyAtMs, expireAtMs, switchAtMs } of sa.children)
    deadline = Math.min(deadline, rekeyAtMs, expireAtMs, switchAtMs);
  return deadline;
}

/** Asks for what is next, when nothing is under way. */
function pump(draft: Draft): void {
  const { sa } = draft;
  while (sa.asking === null && sa.queue.length > 0 && sa.keys !== null && sa.state !== 'over') {
    const [task, ...rest] = sa.queue as [Task, ...Task[]];
    sa.queue = rest;
    if (sa.state !== 'up' && task.kind !== 'delete-ike') continue;
    if (task.kind === 'child') beginChild(draft, task);
    else if (task.kind === 'rekey-ike') beginRekey(draft);
    else sendInformational(draft, task);
  }
}

// ---- messages ----

function onMessage(draft: Draft, message: RawMessage, path: IkePath): void {
  const { header } = message;
  if (header.exchange === exchangeType.ikeSaInit) {
    onInit(draft, message);
    return;
  }
  if (draft.sa.keys === null) {
    draft.count('unexpectedMessageId');
    return;
  }
  // from the other end of the SA, not ourselves reflected
  if (header.isFromInitiator === draft.sa.isInitiator) {
    draft.count('authenticationTag');
    return;
  }
  if (header.isResponse) onResponse(draft, message, path);
  else onRequest(draft, message, path);
}

function onInit(draft: Draft, message: RawMessage): void {
  const { sa } = draft;
  const { header } = message;
  if (!header.isResponse) {
    // a repetition, to the letter: anything else is no business of this SA
    const { lastAnswer } = sa;
    if (
      lastAnswer?.messageId === 0 &&
      sa.state === 'half-open' &&
      Buffer.compare(sa.peerInit, message.bytes) === 0
    )
      draft.send(lastAnswer.packets);
    return;
  }
  const isAwaited = sa.asking?.task.kind === 'init' && sa.asking.stage === 'sent';
  if (!isAwaited || header.messageId !== 0 || header.isFromInitiator) {
    draft.count('unexpectedMessageId');
    return;
  }
  const payloads = decodePayloads(message.payloads);
  if (!payloads.ok) {
    draft.count('malformed');
    return;
  }
  initAnswered(draft, message, payloads.value);
}

function onRequest(draft: Draft, message: RawMessage, path: IkePath): void {
  const { sa } = draft;
  const { messageId, exchange } = message.header;
  const { lastAnswer } = sa;
  if (messageId === sa.receiveId - 1 && lastAnswer?.messageId === messageId) {
    // of fragments the first one alone asks for the answer again (RFC 7383 §2.6.1)
    const opened = open(draft, message);
    if (opened.kind === 'opened' || (opened.kind === 'fragment' && opened.isFirst))
      draft.send(lastAnswer.packets, path);
    sa.fragments = null;
    return;
  }
  if (messageId !== sa.receiveId) {
    draft.count('unexpectedMessageId');
    return;
  }
  if (sa.serving !== null) return;
  const isAuth = exchange === exchangeType.ikeAuth;
  const opened = open(draft, message);
  if (opened.kind === 'forged') {
    draft.count('authenticationTag');
    return;
  }
  if (opened.kind === 'fragment') return;
  heard(draft, path);
  if (sa.state === 'over') {
    answer(draft, exchange, messageId, []);
    return;
  }
  const payloads = opened.kind === 'opened' ? decodePayloads(opened.payloads) : opened;
  if (!('ok' in payloads) || !payloads.ok) {
    const detail = 'detail' in payloads ? payloads.detail : undefined;
    const isCritical = payloads.reason === 'ike_unknown_critical';
    draft.refuse(isCritical ? 'unknownCritical' : 'malformed', payloads.reason);
    const told = isCritical
      ? notify(notifyType.unsupportedCriticalPayload, Uint8Array.of(detail ?? 0))
      : notify(notifyType.invalidSyntax);
    answer(draft, exchange, messageId, [told]);
    if (sa.state === 'half-open' || !isCritical) finish(draft, payloads.reason);
    return;
  }
  if (isAuth !== (sa.state === 'half-open')) {
    draft.count('malformed');
    answer(draft, exchange, messageId, [notify(notifyType.invalidSyntax)]);
    return;
  }
  serve(draft, exchange, messageId, payloads.value);
}

function serve(draft: Draft, exchange: number, messageId: number, payloads: readonly Payload[]): void {
  const { sa } = draft;
  switch (exchange) {
    case exchangeType.ikeAuth:
      respondAuth(draft, messageId, payloads);
      return;
    case exchangeType.informational:
      respondInformational(draft, messageId, payloads);
      return;
    case exchangeType.createChildSa: {
      const refuse = (type: number) => answer(draft, exchange, messageId, [notify(type)]);
      const offered = find(payloads, 'sa');
      if (offered === undefined) {
        refuse(notifyType.invalidSyntax);
        return;
      }
      if (sa.state !== 'up') {
        draft.count('temporary');
        refuse(notifyType.temporaryFailure);
        return;
      }
      if (offered.proposals[0]?.protocol === protocolId.ike) {
        respondRekey(draft, messageId, payloads);
        return;
      }
      // RFC 7296 §2.25.2: not while the IKE SA itself is replaced
      if (sa.asking?.task.kind === 'rekey-ike') {
        draft.count('temporary');
        refuse(notifyType.temporaryFailure);
        return;
      }
      const answered = respondChild(draft, messageId, payloads, null, false);
      if (answered !== null) answer(draft, exchange, messageId, answered);
      return;
    }
    default:
      draft.count('malformed');
      answer(draft, exchange, messageId, [notify(notifyType.invalidSyntax)]);
      return;
  }
}

function onResponse(draft: Draft, message: RawMessage, path: IkePath): void {
  const { sa } = draft;
  const { asking } = sa;
  const { messageId, exchange } = message.header;
  if (asking === null || asking.stage !== 'sent' || asking.messageId !== messageId) {
    draft.count('unexpectedMessageId');
    return;
  }
  if (exchange !== exchangeOf(asking.task)) {
    draft.count('malformed');
    return;
  }
  const opened = open(draft, message);
  if (opened.kind === 'forged') {
    draft.count('authenticationTag');
    return;
  }
  if (opened.kind === 'fragment') return;
  heard(draft, path);
  const payloads = opened.kind === 'opened' ? decodePayloads(opened.payloads) : opened;
  if (!('ok' in payloads) || !payloads.ok) {
    draft.refuse('malformed', payloads.reason);
    finish(draft, payloads.reason);
    return;
  }
  answered(draft, asking.task, payloads.value);
}

const exchangeOf = ({ kind }: Task): number =>
  kind === 'auth'
    ? exchangeType.ikeAuth
    : kind === 'child' || kind === 'rekey-ike'
      ? exchangeType.createChildSa
      : exchangeType.informational;

function answered(draft: Draft, task: Task, payloads: readonly Payload[]): void {
  const { sa } = draft;
  const asking = sa.asking!;
  switch (task.kind) {
    case 'auth':
      authAnswered(draft, payloads);
      return;
    case 'rekey-ike':
      if (!rekeyAnswered(draft, payloads)) sa.asking = null;
      return;
    case 'child': {
      const ke = find(payloads, 'ke');
      if (asking.group !== 0 && ke !== undefined && ke.group === asking.group) {
        const secret = Uint8Array.from(asking.secret!.reveal());
        const peer = Uint8Array.from(ke.data);
        const ticket = draft.compute({ kind: 'dh', group: asking.group, secret, peer });
        sa.asking = { ...asking, ticket, stage: 'shared', resendAtMs: never, answer: payloads };
        return;
      }
      asking.secret?.wipe();
      if (asking.group !== 0 && find(payloads, 'sa') !== undefined)
        draft.refuse('badKeyExchange', 'the peer left out the key exchange');
      else childAnswered(draft, asking, payloads, null);
      // unless it was asked anew, with another group
      if (sa.asking === asking) sa.asking = null;
      return;
    }
    default:
      sa.asking = null;
      informationalAnswered(draft, task);
  }
}

/** Something of the peer's authenticated. A peer behind a NAT may be somewhere else now (RFC 7296 §2.23). */
function heard(draft: Draft, path: IkePath): void {
  const { sa, env } = draft;
  sa.heardMs = env.nowMs;
  const before = sa.path;
  const isSame =
    before.remotePort === path.remotePort &&
    before.localPort === path.localPort &&
    before.remote.equals(path.remote);
  if (isSame) return;
  // who is behind a NAT does not let the other end move (same place)
  if (sa.state !== 'half-open' && (sa.natLocal || !sa.natRemote)) return;
  sa.path = path;
  if (sa.state !== 'up') return;
  draft.event('peer-moved', { reason: `was ${before.remote}:${before.remotePort}` });
  tellPath(draft);
}

// ---- computations ----

function onComputed(draft: Draft, ticket: number, result: JobResult): void {
  const { sa } = draft;
  if (sa.serving?.ticket === ticket) {
    served(draft, result);
    return;
  }
  const { asking } = sa;
  if (asking === null || asking.ticket !== ticket) return;
  const publicKey = result.kind === 'dh' ? result.publicKey : new Uint8Array(0);
  switch (asking.task.kind) {
    case 'init':
      if (asking.stage === 'key') sendInit(draft, publicKey);
      else initDone(draft, result);
      return;
    case 'auth':
      if (asking.stage === 'sign') authSigned(draft, result);
      else authVerified(draft, result);
      return;
    case 'rekey-ike':
      if (asking.stage === 'key') sendRekey(draft, publicKey);
      else rekeyDone(draft, result);
      return;
    case 'child': {
      if (asking.stage === 'key') {
        sendChild(draft, publicKey);
        return;
      }
      asking.secret?.wipe();
      if (result.kind !== 'dh' || result.shared === null)
        draft.refuse('badKeyExchange', 'the peer sent a key exchange value that is none of the group');
      else {
        const shared = new Secret(result.shared);
        childAnswered(draft, asking, asking.answer, shared);
        shared.wipe();
      }
      if (sa.asking === asking) sa.asking = null;
    }
  }
}

function served(draft: Draft, result: JobResult): void {
  const { sa } = draft;
  const { stage, messageId, payloads } = sa.serving!;
  switch (stage) {
    case 'shared':
      answerInit(draft, result);
      return;
    case 'verify':
    case 'sign':
      authComputed(draft, result);
      return;
    case 'ike-shared':
      answerRekey(draft, result);
      return;
    case 'child-shared': {
      if (result.kind !== 'dh' || result.shared === null) {
        draft.refuse(
          'badKeyExchange',
          'its key exchange value is none of the group',
          notifyType.invalidSyntax,
        );
        answer(draft, exchangeType.createChildSa, messageId, [notify(notifyType.invalidSyntax)]);
        return;
      }
      const secret = new Secret(result.shared);
      const { publicKey } = result;
      const made = respondChild(draft, messageId, payloads, { secret, publicKey }, false);
      secret.wipe();
      answer(draft, exchangeType.createChildSa, messageId, made ?? []);
    }
  }
}

// ---- time ----

function onTime(draft: Draft): void {
  const { sa, env } = draft;
  const now = env.nowMs;
  if (sa.expireAtMs <= now) {
    expire(draft);
    return;
  }
  if (sa.asking !== null && sa.asking.resendAtMs <= now) resend(draft);
  if (draft.gone) return;
  if (sa.rekeyAtMs <= now) {
    sa.rekeyAtMs = never;
    draft.ask({ kind: 'rekey-ike' });
  }
  if (sa.keepaliveAtMs <= now) {
    sa.keepaliveAtMs = never;
    // RFC 3948 §4: one byte, which is no message; who sends it puts no marker before it
    if (sa.path.localPort === ikeNatPort) draft.send([Uint8Array.of(0xff)]);
  }
  for (const child of sa.children) {
    if (child.switchAtMs <= now) switchOutbound(draft, child);
    if (child.expireAtMs <= now) {
      if (child.state === 'draining') drop(draft, child);
      else {
        draft.changeChild(child.inboundSpi, { expireAtMs: now + tuning.ike.halfOpenMs });
        if (child.state === 'deleting') retire(draft, child, 'its lifetime is over');
        else draft.ask({ kind: 'delete-children', spis: [child.inboundSpi] });
      }
    } else if (child.rekeyAtMs <= now && child.state === 'up') {
      draft.changeChild(child.inboundSpi, { rekeyAtMs: never });
      draft.ask({ kind: 'child', vpn: child.vpn, selector: '', replaces: child.inboundSpi });
    }
  }
  if (sa.probeAtMs <= now) probe(draft);
}

function expire(draft: Draft): void {
  const { sa, env } = draft;
  if (sa.state === 'up') {
    sa.expireAtMs = env.nowMs + tuning.ike.halfOpenMs;
    draft.ask({ kind: 'delete-ike', reason: 'its lifetime is over' });
    return;
  }
  if (sa.state === 'half-open') draft.refuse('timedOut', 'the exchange was begun and not finished');
  finish(draft, 'its lifetime is over');
}

function resend(draft: Draft): void {
  const { sa, env } = draft;
  const asking = sa.asking!;
  const detection = draft.gateway?.deadPeerDetection ?? null;
  const isProbe = asking.task.kind === 'probe' && detection !== null;
  const most = isProbe ? detection.threshold : tuning.ike.mostTries;
  const tries = asking.tries + 1;
  if (tries >= most) {
    draft.refuse('timedOut', `no answer to ${asking.task.kind} after ${tries} messages`);
    finish(draft, 'the peer does not answer');
    return;
  }
  const afterMs = isProbe ? detection.intervalMs : resendAfterMs(tries);
  sa.asking = { ...asking, tries, resendAtMs: env.nowMs + afterMs };
  draft.send(asking.packets);
}

/** Whether the peer is to be asked for a sign of life (RFC 7296 §2.4). */
function probe(draft: Draft): void {
  const { sa, env } = draft;
  const detection = draft.gateway?.deadPeerDetection ?? null;
  if (detection === null || sa.state !== 'up') {
    sa.probeAtMs = never;
    return;
  }
  const { mode, intervalMs } = detection;
  const idleMs = env.nowMs - sa.heardMs;
  sa.probeAtMs =
    env.nowMs + (mode !== 'always-send' && idleMs < intervalMs ? intervalMs - idleMs : intervalMs);
  const isWanted =
    mode === 'always-send' ||
    (idleMs >= intervalMs && (mode === 'probe-idle-tunnel' || sa.sentTrafficMs > sa.heardMs));
  if (!isWanted || sa.asking !== null) return;
  draft.ask({ kind: 'probe' });
}

function onTraffic(
  draft: Draft,
  packets: ReadonlyMap<number, { readonly inbound: bigint; readonly outbound: bigint }>,
): void {
  const { sa, env } = draft;
  const idle: number[] = [];
  for (const child of sa.children) {
    const now = packets.get(child.inboundSpi);
    if (now === undefined) continue;
    const came = now.inbound > child.inboundPackets;
    const went = now.outbound > child.outboundPackets;
    if (came) sa.heardMs = env.nowMs;
    if (went) sa.sentTrafficMs = env.nowMs;
    const trafficMs = came || went ? env.nowMs : child.trafficMs;
    draft.changeChild(child.inboundSpi, {
      inboundPackets: now.inbound,
      outboundPackets: now.outbound,
      trafficMs,
    });
    // the peer uses its new keys: nothing of the old ones is waited for
    if (came && child.waitingOutbound !== null) switchOutbound(draft, { ...child, trafficMs });
    const idleTimeMs = env.vpn(child.vpn)?.idleTimeMs ?? null;
    if (idleTimeMs !== null && child.state === 'up' && env.nowMs - trafficMs >= idleTimeMs)
      idle.push(child.inboundSpi);
  }
  if (idle.length > 0) draft.ask({ kind: 'delete-children', spis: idle });
}
