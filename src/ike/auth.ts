/** IKE_AUTH (RFC 7296 §1.2, §2.15; signatures: RFC 7427). */
import type { IkeGatewayConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import {
  authMethod,
  certificateEncoding,
  concat,
  exchangeType,
  type Identification,
  identificationBody,
  notify,
  notifyName,
  notifyType,
  type Payload,
} from '../wire/ike.js';
import { childAnswered, initialChildRequest, respondChild } from './child.js';
import { type Bytes, isEqual, prf, pskAuth } from './crypto.js';
import { type Draft, find, findAll, findError, findNotify, never, noAsking, noServing } from './draft.js';
import { answer, request } from './exchange.js';
import { finish, linger } from './finish.js';
import { encodeIdentity, identityText, isExpected, isSameIdentity } from './identity.js';
import { certificateRequest } from './init.js';
import type { JobResult } from './sa.js';

/** What one's AUTH is of (RFC 7296 §2.15). */
function signedOctets(draft: Draft, ofInitiator: boolean, identity: Identification): Bytes {
  const { sa } = draft;
  const isOurs = ofInitiator === sa.isInitiator;
  const keys = sa.keys!;
  return concat(
    isOurs ? sa.ownInit : sa.peerInit,
    isOurs ? sa.peerNonce : sa.localNonce,
    prf(sa.suite!.prf, (ofInitiator ? keys.pi : keys.pr).reveal(), identificationBody(identity)),
  );
}

/** Our AUTH payload at once (pre-shared key), or the computation that makes it. */
function ownAuth(draft: Draft, gateway: IkeGatewayConfig): Payload | number {
  const { sa } = draft;
  const octets = signedOctets(draft, sa.isInitiator, encodeIdentity(gateway.localIdentity));
  if (gateway.preSharedKey !== null) {
    const data = pskAuth(sa.suite!.prf, gateway.preSharedKey, octets);
    return { kind: 'auth', method: authMethod.sharedKey, data };
  }
  const privateKey = Uint8Array.from(gateway.certificate!.privateKey.reveal());
  return draft.compute({ kind: 'sign', privateKey, peerHashes: sa.peerHashes, octets });
}

const certificatesOf = ({ certificate }: IkeGatewayConfig): Payload[] =>
  (certificate?.chain ?? []).map((data) => ({
    kind: 'certificate',
    encoding: certificateEncoding.x509Signature,
    data,
  }));

type AuthPayload = Extract<Payload, { kind: 'auth' }>;

/**
 * Whether the peer's AUTH is right: true, false, or the computation that finds out. reason: of false, for people.
 */
function checkPeer(
  draft: Draft,
  gateway: IkeGatewayConfig,
  auth: AuthPayload,
  payloads: readonly Payload[],
): { readonly ticket: number } | { readonly reason: string | null } {
  const { sa, env } = draft;
  const identity = sa.peerIdentity!;
  const octets = signedOctets(draft, !sa.isInitiator, identity);
  if (gateway.preSharedKey !== null) {
    if (auth.method !== authMethod.sharedKey)
      return { reason: 'it authenticates with a certificate, a pre-shared key is expected' };
    const expected = pskAuth(sa.suite!.prf, gateway.preSharedKey, octets);
    return { reason: isEqual(expected, auth.data) ? null : 'the pre-shared key is another' };
  }
  if (auth.method === authMethod.sharedKey)
    return { reason: 'it authenticates with a pre-shared key, a certificate is expected' };
  const chain = findAll(payloads, 'certificate')
    .filter(({ encoding }) => encoding === certificateEncoding.x509Signature)
    .map(({ data }) => Uint8Array.from(data));
  const ticket = draft.compute({
    kind: 'verify',
    chain,
    authorities: gateway.certificate!.trustedCa,
    identity,
    method: auth.method,
    signature: Uint8Array.from(auth.data),
    octets,
    wallMs: env.wallMs,
  });
  return { ticket };
}

// ---- responder ----

function reject(draft: Draft, messageId: number, type: number): void {
  answer(draft, exchangeType.ikeAuth, messageId, [notify(type)]);
  linger(draft, notifyName(type), tuning.ike.lingerMs);
}

export function respondAuth(draft: Draft, messageId: number, payloads: readonly Payload[]): void {
  const { sa, env } = draft;
  const identity = find(payloads, 'idInitiator');
  const auth = find(payloads, 'auth');
  if (identity === undefined) {
    draft.refuse('malformed', 'it says no identity', notifyType.invalidSyntax);
    reject(draft, messageId, notifyType.invalidSyntax);
    return;
  }
  sa.peerIdentity = { type: identity.type, data: Uint8Array.from(identity.data) };
  const told = find(payloads, 'idResponder');
  const expecting = sa.gateways.flatMap((name) => {
    const gateway = env.gateway(name);
    return gateway !== undefined && isExpected(gateway, identity) ? [gateway] : [];
  });
  // whom the peer wants to talk to decides between gateways that would both take it
  const named = expecting.filter(
    ({ localIdentity }) => told !== undefined && isSameIdentity(encodeIdentity(localIdentity), told),
  );
  const candidates = named.length > 0 ? named : expecting;
  const usesKey = auth?.method === authMethod.sharedKey;
  const gateway = candidates.find(({ preSharedKey }) => (preSharedKey !== null) === usesKey) ?? candidates[0];
  if (gateway === undefined) {
    draft.refuse(
      'unknownIdentity',
      `no gateway expects the identity ${identityText(identity)}`,
      notifyType.authenticationFailed,
    );
    reject(draft, messageId, notifyType.authenticationFailed);
    return;
  }
  sa.gateways = [gateway.name];
  if (auth === undefined) {
    draft.refuse(
      'authenticationFailed',
      'it wants EAP, which is not done here',
      notifyType.authenticationFailed,
    );
    reject(draft, messageId, notifyType.authenticationFailed);
    return;
  }
  const checked = checkPeer(draft, gateway, auth, payloads);
  if ('ticket' in checked) {
    sa.serving = { ...noServing, ticket: checked.ticket, stage: 'verify', messageId, payloads };
    return;
  }
  peerChecked(draft, messageId, payloads, checked.reason);
}

/** Responder: reason null: the peer is who it says. */
function peerChecked(
  draft: Draft,
  messageId: number,
  payloads: readonly Payload[],
  reason: string | null,
): void {
  const { sa, env } = draft;
  if (reason !== null) {
    draft.refuse('authenticationFailed', reason, notifyType.authenticationFailed);
    reject(draft, messageId, notifyType.authenticationFailed);
    return;
  }
  const gateway = draft.gateway!;
  const full = env.refusePeer(sa, gateway.name);
  if (full !== null) {
    draft.refuse('connectionsLimit', full, notifyType.authenticationFailed);
    reject(draft, messageId, notifyType.authenticationFailed);
    return;
  }
  const auth = ownAuth(draft, gateway);
  if (typeof auth === 'number') {
    sa.serving = { ...noServing, ticket: auth, stage: 'sign', messageId, payloads };
    return;
  }
  answerAuth(draft, messageId, payloads, auth);
}

/** Responder: the computation that the answer to IKE_AUTH waits for is done. */
export function authComputed(draft: Draft, result: JobResult): void {
  const { stage, messageId, payloads } = draft.sa.serving!;
  draft.sa.serving = null;
  const failure = result.kind === 'failed' ? result.reason : null;
  if (stage === 'verify') {
    peerChecked(draft, messageId, payloads, failure);
    return;
  }
  if (result.kind === 'signed') {
    answerAuth(draft, messageId, payloads, { ...result, kind: 'auth' });
    return;
  }
  draft.refuse('authenticationFailed', `we cannot sign: ${failure}`, notifyType.authenticationFailed);
  reject(draft, messageId, notifyType.authenticationFailed);
}

function answerAuth(draft: Draft, messageId: number, payloads: readonly Payload[], auth: Payload): void {
  const { sa } = draft;
  const gateway = draft.gateway!;
  established(draft);
  if (findNotify(payloads, notifyType.initialContact) !== undefined)
    draft.actions.push({ kind: 'initial-contact', sa: sa.id });
  const child =
    find(payloads, 'sa') === undefined ? [] : respondChild(draft, messageId, payloads, null, true);
  answer(draft, exchangeType.ikeAuth, messageId, [
    { kind: 'idResponder', ...encodeIdentity(gateway.localIdentity) },
    ...certificatesOf(gateway),
    auth,
    ...(child ?? []),
  ]);
}

// ---- both ----

function established(draft: Draft): void {
  const { sa } = draft;
  sa.state = 'up';
  startClocks(draft);
  sa.ownInit = new Uint8Array(0);
  sa.peerInit = new Uint8Array(0);
  draft.event('ike-sa-up');
}

/** When it is to be rekeyed, and when it ends whatever happens. Ends differ, so that both rarely begin at once. */
export function startClocks(draft: Draft): void {
  const { sa, env } = draft;
  const gateway = draft.gateway!;
  const proposal = gateway.proposals[0]!;
  const lifeMs = proposal.lifetimeSeconds * 1000;
  const rekeys = env.vpnsOf(gateway.name).some(({ rekeys: does }) => does) || sa.isInitiator;
  sa.heardMs = env.nowMs;
  sa.rekeyAtMs = rekeys ? env.nowMs + softLife(draft, lifeMs) : never;
  sa.expireAtMs = env.nowMs + lifeMs;
  const every = gateway.deadPeerDetection?.intervalMs ?? 0;
  sa.probeAtMs = every > 0 ? env.nowMs + every : never;
}

/** 80…87 % of a life for the initiator, 88…95 % for the responder. */
export function softLife({ sa, env }: Draft, lifeMs: number): number {
  const random = env.random(2);
  const part = ((random[0]! << 8) | random[1]!) / 0x10000;
  return Math.floor(lifeMs * ((sa.isInitiator ? 0.8 : 0.88) + 0.07 * part));
}

// ---- initiator ----

export function beginAuth(draft: Draft): void {
  const { sa } = draft;
  const auth = ownAuth(draft, draft.gateway!);
  sa.asking = {
    ...noAsking,
    task: { kind: 'auth' },
    stage: 'sign',
    ticket: typeof auth === 'number' ? auth : 0,
  };
  if (typeof auth !== 'number') sendAuth(draft, auth);
}

export function authSigned(draft: Draft, result: JobResult): void {
  if (result.kind === 'signed') {
    sendAuth(draft, { ...result, kind: 'auth' });
    return;
  }
  const reason = result.kind === 'failed' ? result.reason : 'no signature';
  draft.refuse('authenticationFailed', `we cannot sign: ${reason}`);
  finish(draft, 'we cannot sign');
}

function sendAuth(draft: Draft, auth: Payload): void {
  const gateway = draft.gateway!;
  const { remoteIdentity } = gateway;
  const isExact = remoteIdentity.kind !== 'any' && !remoteIdentity.kind.startsWith('wildcard');
  const expected = isExact ? encodeIdentity(remoteIdentity as Parameters<typeof encodeIdentity>[0]) : null;
  const child = initialChildRequest(draft);
  request(draft, exchangeType.ikeAuth, [
    { kind: 'idInitiator', ...encodeIdentity(gateway.localIdentity) },
    ...certificatesOf(gateway),
    ...certificateRequest(draft),
    ...(expected === null ? [] : [{ kind: 'idResponder', ...expected } as const]),
    auth,
    notify(notifyType.initialContact),
    ...child,
  ]);
}

export function authAnswered(draft: Draft, payloads: readonly Payload[]): void {
  const { sa } = draft;
  const identity = find(payloads, 'idResponder');
  const auth = find(payloads, 'auth');
  const error = findError(payloads);
  if (identity === undefined || auth === undefined) {
    const text = error === undefined ? 'answered without AUTH' : `says ${notifyName(error.type)}`;
    draft.refuse('peerRefused', `the peer ${text}`, error?.type);
    finish(draft, 'the peer refused');
    return;
  }
  const gateway = draft.gateway!;
  sa.peerIdentity = { type: identity.type, data: Uint8Array.from(identity.data) };
  if (!isExpected(gateway, identity)) {
    distrust(draft, 'unknownIdentity', `the peer is ${identityText(identity)}, another is expected`);
    return;
  }
  const checked = checkPeer(draft, gateway, auth, payloads);
  if ('ticket' in checked) {
    const { ticket } = checked;
    sa.asking = { ...sa.asking!, stage: 'verify', ticket, answer: payloads, resendAtMs: never };
    return;
  }
  peerProven(draft, payloads, checked.reason);
}

export function authVerified(draft: Draft, result: JobResult): void {
  const { answer: payloads } = draft.sa.asking!;
  peerProven(draft, payloads, result.kind === 'failed' ? result.reason : null);
}

function peerProven(draft: Draft, payloads: readonly Payload[], reason: string | null): void {
  const { sa } = draft;
  if (reason !== null) {
    distrust(draft, 'authenticationFailed', reason);
    return;
  }
  const asking = sa.asking!;
  established(draft);
  childAnswered(draft, asking, payloads, null);
  sa.asking = null;
  for (const { vpn, selector } of sa.wanted.slice(1))
    draft.ask({ kind: 'child', vpn, selector, replaces: 0 });
  sa.wanted = [];
}

/** Initiator: the responder is not whom we want; it believes that the SA is there, so it is told (RFC 7296 §2.21.2). */
function distrust(draft: Draft, refusal: 'unknownIdentity' | 'authenticationFailed', reason: string): void {
  const { sa } = draft;
  draft.refuse(refusal, reason, notifyType.authenticationFailed);
  sa.asking = null;
  sa.wanted = [];
  sa.queue = [{ kind: 'delete-ike', reason }];
}
