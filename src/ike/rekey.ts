/** An IKE SA in another's place (RFC 7296 §1.3.2, §2.8, §2.18). Its CHILD SAs go over to it. */
import { tuning } from '../config/limits.js';
import {
  be16,
  concat,
  exchangeType,
  notify,
  notifyName,
  notifyType,
  type Payload,
  protocolId,
} from '../wire/ike.js';
import { chooseIke, type IkeSuite, offerIke, suiteOf } from './algorithms.js';
import { startClocks } from './auth.js';
import { type Bytes, dhSecret, dhSecretBytes, ikeKeys, isGroup, prf } from './crypto.js';
import {
  Draft,
  eventBase,
  find,
  findError,
  lowerOf,
  never,
  noAsking,
  noBytes,
  noServing,
  secretOf,
} from './draft.js';
import { answer, request } from './exchange.js';
import { ikeNonceBytes } from './init.js';
import type { IkeSa, JobResult } from './sa.js';

const suitesOf = (draft: Draft): IkeSuite[] => draft.gateway?.proposals.map(suiteOf) ?? [];

interface Made {
  readonly suite: IkeSuite;
  readonly shared: Bytes;
  readonly initiatorNonce: Bytes;
  readonly responderNonce: Bytes;
  readonly isInitiator: boolean;
  readonly localSpi: Bytes;
  readonly peerSpi: Bytes;
}

function makeSa(draft: Draft, made: Made): IkeSa {
  const { sa, env } = draft;
  const { suite, shared, initiatorNonce, responderNonce, isInitiator, localSpi, peerSpi } = made;
  const nonces = concat(initiatorNonce, responderNonce);
  const seed = prf(sa.suite!.prf, sa.keys!.d.reveal(), shared, nonces);
  shared.fill(0);
  const [initiatorSpi, responderSpi] = isInitiator ? [localSpi, peerSpi] : [peerSpi, localSpi];
  const fresh = new Draft(
    {
      ...sa,
      id: env.nextNumber(),
      state: 'up',
      isInitiator,
      localSpi,
      peerSpi,
      suite,
      keys: ikeKeys(suite, seed, nonces, initiatorSpi, responderSpi),
      localNonce: noBytes,
      peerNonce: noBytes,
      cookie: noBytes,
      sendId: 0,
      receiveId: 0,
      lastAnswer: null,
      fragments: null,
      sealed: 0,
      asking: null,
      serving: null,
      queue: [],
      children: [],
      createdMs: env.nowMs,
      replacedBy: 0,
      lowestNonce: lowerOf(initiatorNonce, responderNonce),
      wanted: [],
    },
    env,
  );
  startClocks(fresh);
  return fresh.sa;
}

/** The children are the other's now, and the peer, or we, will ask for this one to be deleted. */
function giveWay(draft: Draft, to: number): void {
  const { sa, env } = draft;
  draft.actions.push({ kind: 'move-children', from: sa.id, to });
  Object.assign(sa, {
    state: 'replaced',
    replacedBy: to,
    rekeyAtMs: never,
    probeAtMs: never,
    expireAtMs: env.nowMs + tuning.ike.halfOpenMs,
  });
}

const tell = (draft: Draft, sa: IkeSa) =>
  draft.actions.push({ kind: 'event', event: { ...eventBase(sa), event: 'ike-sa-rekeyed' } });

// ---- responder ----

export function respondRekey(draft: Draft, messageId: number, payloads: readonly Payload[]): void {
  const { sa, env } = draft;
  const refuse = (type: number, data: Bytes = noBytes) =>
    answer(draft, exchangeType.createChildSa, messageId, [notify(type, data)]);
  const ke = find(payloads, 'ke');
  const nonce = find(payloads, 'nonce');
  const { asking } = sa;
  if (asking !== null && asking.task.kind !== 'rekey-ike' && asking.task.kind !== 'probe') {
    draft.count('temporary');
    refuse(notifyType.temporaryFailure);
    return;
  }
  const chosen = chooseIke(suitesOf(draft), find(payloads, 'sa')!.proposals, ke?.group ?? null);
  if (chosen === null || chosen.offer.spi.length !== 8) {
    draft.refuse(
      'noProposal',
      'none of its proposals for another IKE SA is ours',
      notifyType.noProposalChosen,
    );
    refuse(notifyType.noProposalChosen);
    return;
  }
  const { suite, answer: proposal, offer } = chosen;
  if (ke === undefined || nonce === undefined) {
    refuse(notifyType.invalidSyntax);
    return;
  }
  if (ke.group !== suite.group) {
    draft.count('wrongGroup');
    refuse(notifyType.invalidKePayload, be16(suite.group));
    return;
  }
  const secret = dhSecret(suite.group, env.random(dhSecretBytes));
  const ticket = draft.compute({ kind: 'dh', group: suite.group, secret, peer: Uint8Array.from(ke.data) });
  sa.serving = {
    ...noServing,
    ticket,
    stage: 'ike-shared',
    messageId,
    payloads: [{ kind: 'sa', proposals: [proposal] }],
    suite,
    nonce: Uint8Array.from(nonce.data),
    peerSpi: Uint8Array.from(offer.spi),
  };
}

export function answerRekey(draft: Draft, result: JobResult): void {
  const { sa, env } = draft;
  const { messageId, payloads, suite, nonce, peerSpi } = sa.serving!;
  if (result.kind !== 'dh' || result.shared === null) {
    draft.refuse('badKeyExchange', 'its key exchange value is none of the group', notifyType.invalidSyntax);
    answer(draft, exchangeType.createChildSa, messageId, [notify(notifyType.invalidSyntax)]);
    return;
  }
  const localSpi = env.ikeSpi();
  const ownNonce = env.random(ikeNonceBytes);
  const fresh = makeSa(draft, {
    suite: suite!,
    shared: result.shared,
    initiatorNonce: nonce,
    responderNonce: ownNonce,
    isInitiator: false,
    localSpi,
    peerSpi,
  });
  const proposals = find(payloads, 'sa')!.proposals.map((each) => ({ ...each, spi: localSpi }));
  answer(draft, exchangeType.createChildSa, messageId, [
    { kind: 'sa', proposals },
    { kind: 'nonce', data: ownNonce },
    { kind: 'ke', group: suite!.group, data: result.publicKey },
  ]);
  draft.actions.push({ kind: 'spawn', sa: fresh });
  if (sa.asking?.task.kind === 'rekey-ike') {
    // which of both stays is known once ours is answered
    sa.asking = { ...sa.asking, collision: { lowestNonce: fresh.lowestNonce, spi: fresh.id } };
    return;
  }
  giveWay(draft, fresh.id);
  tell(draft, fresh);
}

// ---- initiator ----

export function beginRekey(draft: Draft, group?: number): void {
  const { sa, env } = draft;
  const wanted = group ?? sa.suite!.group;
  const secret = dhSecret(wanted, env.random(dhSecretBytes));
  const ticket = draft.compute({ kind: 'dh', group: wanted, secret, peer: null });
  sa.asking = {
    ...noAsking,
    task: { kind: 'rekey-ike' },
    stage: 'key',
    ticket,
    group: wanted,
    secret: secretOf(Uint8Array.from(secret)),
    nonce: env.random(ikeNonceBytes),
    ikeSpi: env.ikeSpi(),
  };
}

export function sendRekey(draft: Draft, publicKey: Bytes): void {
  const { group, nonce, ikeSpi } = draft.sa.asking!;
  request(draft, exchangeType.createChildSa, [
    { kind: 'sa', proposals: offerIke(suitesOf(draft), ikeSpi) },
    { kind: 'nonce', data: nonce },
    { kind: 'ke', group, data: publicKey },
  ]);
}

/** true: the shared secret is computed first. */
export function rekeyAnswered(draft: Draft, payloads: readonly Payload[]): boolean {
  const { sa, env } = draft;
  const asking = sa.asking!;
  const error = findError(payloads);
  const later = () => {
    sa.rekeyAtMs = env.nowMs + tuning.ike.retryMs * (1 + env.random(1)[0]! / 256);
  };
  if (error?.type === notifyType.invalidKePayload && error.data.length === 2) {
    const group = (error.data[0]! << 8) | error.data[1]!;
    const isOurs = suitesOf(draft).some((suite) => suite.group === group);
    if (isOurs && isGroup(group) && group !== asking.group) {
      asking.secret?.wipe();
      beginRekey(draft, group);
      return true;
    }
  }
  if (error !== undefined) {
    if (error.type === notifyType.temporaryFailure) draft.count('temporary');
    else draft.refuse('peerRefused', `the peer says ${notifyName(error.type)} to another IKE SA`, error.type);
    asking.secret?.wipe();
    // the peer's own of the same time is the one that stays
    if (asking.collision === null) later();
    else giveWay(draft, asking.collision.spi);
    return false;
  }
  const proposals = find(payloads, 'sa')?.proposals ?? [];
  const ke = find(payloads, 'ke');
  const nonce = find(payloads, 'nonce');
  const suites = suitesOf(draft).filter(({ group }) => group === asking.group);
  const chosen = proposals.length === 1 ? chooseIke(suites, proposals, asking.group) : null;
  const isIke = chosen?.offer.protocol === protocolId.ike && chosen.offer.spi.length === 8;
  if (!isIke || ke === undefined || nonce === undefined || ke.group !== asking.group) {
    draft.refuse('noProposal', 'the peer answers with what was not offered');
    later();
    return false;
  }
  const secret = Uint8Array.from(asking.secret!.reveal());
  const peer = Uint8Array.from(ke.data);
  const ticket = draft.compute({ kind: 'dh', group: asking.group, secret, peer });
  sa.asking = { ...asking, ticket, stage: 'shared', resendAtMs: never, answer: payloads };
  return true;
}

export function rekeyDone(draft: Draft, result: JobResult): void {
  const { sa } = draft;
  const asking = sa.asking!;
  const { answer: payloads, collision } = asking;
  asking.secret?.wipe();
  sa.asking = null;
  if (result.kind !== 'dh' || result.shared === null) {
    draft.refuse('badKeyExchange', 'the peer sent a key exchange value that is none of the group');
    return;
  }
  const suites = suitesOf(draft).filter(({ group }) => group === asking.group);
  const { suite, offer } = chooseIke(suites, find(payloads, 'sa')!.proposals, asking.group)!;
  const fresh = makeSa(draft, {
    suite,
    shared: result.shared,
    initiatorNonce: asking.nonce,
    responderNonce: Uint8Array.from(find(payloads, 'nonce')!.data),
    isInitiator: true,
    localSpi: asking.ikeSpi,
    peerSpi: Uint8Array.from(offer.spi),
  });
  const isOver = { kind: 'delete-ike', reason: 'rekeyed' } as const;
  const weLose = collision !== null && Buffer.compare(fresh.lowestNonce, collision.lowestNonce) < 0;
  if (weLose) {
    draft.actions.push({ kind: 'spawn', sa: { ...fresh, state: 'replaced', queue: [isOver] } });
    giveWay(draft, collision.spi);
    draft.event('ike-sa-rekeyed');
    return;
  }
  draft.actions.push({ kind: 'spawn', sa: fresh });
  if (collision !== null) draft.actions.push({ kind: 'superseded', sa: collision.spi });
  giveWay(draft, fresh.id);
  tell(draft, fresh);
  sa.queue = [isOver];
}
