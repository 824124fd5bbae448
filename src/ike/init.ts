/** IKE_SA_INIT (RFC 7296 §1.2, §2.6, §2.7, §2.23). */
import { tuning } from '../config/limits.js';
import type { Address } from '../model/address.js';
import { Secret } from '../model/secret.js';
import {
  be16,
  concat,
  encodeMessage,
  encodePayload,
  exchangeType,
  ikeNatPort,
  notify,
  notifyName,
  notifyType,
  type Payload,
  type RawMessage,
} from '../wire/ike.js';
import { chooseIke, groupName, type IkeSuite, offerIke, suiteNames, suiteOf } from './algorithms.js';
import { beginAuth } from './auth.js';
import { type Bytes, dhSecret, dhSecretBytes, ikeKeys, isGroup, prf, sha1 } from './crypto.js';
import {
  type Draft,
  find,
  findAll,
  findError,
  findNotify,
  never,
  noAsking,
  noBytes,
  noServing,
  resendAfterMs,
} from './draft.js';
import { finish } from './finish.js';
import type { IkePath, JobResult } from './sa.js';
import { ourHashes } from './signature.js';
import { authorityHash } from './x509.js';

export const ikeNonceBytes = 32;
const noSpi = new Uint8Array(8);

const natHash = (initiatorSpi: Bytes, responderSpi: Bytes, address: Address, port: number): Bytes =>
  sha1(initiatorSpi, responderSpi, address.bytes, be16(port));

/** Of a message that goes by this path. */
const natNotifies = (path: IkePath, initiatorSpi: Bytes, responderSpi: Bytes): Payload[] => [
  notify(notifyType.natDetectionSourceIp, natHash(initiatorSpi, responderSpi, path.local, path.localPort)),
  notify(
    notifyType.natDetectionDestinationIp,
    natHash(initiatorSpi, responderSpi, path.remote, path.remotePort),
  ),
];

/** Whether addresses are other ones than the peer sees. */
function detectNat(
  draft: Draft,
  payloads: readonly Payload[],
  initiatorSpi: Bytes,
  responderSpi: Bytes,
): void {
  const { path } = draft.sa;
  const is = (data: Bytes, address: Address, port: number) =>
    Buffer.compare(data, natHash(initiatorSpi, responderSpi, address, port)) === 0;
  const notifies = findAll(payloads, 'notify');
  const sources = notifies.filter(({ type }) => type === notifyType.natDetectionSourceIp);
  const destinations = notifies.filter(({ type }) => type === notifyType.natDetectionDestinationIp);
  draft.sa.natRemote =
    sources.length > 0 && !sources.some(({ data }) => is(data, path.remote, path.remotePort));
  draft.sa.natLocal =
    destinations.length > 0 && !destinations.some(({ data }) => is(data, path.local, path.localPort));
}

function noteExtensions(draft: Draft, payloads: readonly Payload[]): void {
  draft.sa.fragmentation = findNotify(payloads, notifyType.fragmentationSupported) !== undefined;
  const hashes = findNotify(payloads, notifyType.signatureHashAlgorithms)?.data ?? noBytes;
  draft.sa.peerHashes = Array.from(
    { length: hashes.length >> 1 },
    (_, i) => (hashes[2 * i]! << 8) | hashes[2 * i + 1]!,
  );
}

const extensions = (): Payload[] => [
  notify(notifyType.fragmentationSupported),
  notify(notifyType.signatureHashAlgorithms, concat(...ourHashes.map(be16))),
];

/** Whose certificates we take. */
export function certificateRequest(draft: Draft): Payload[] {
  const authorities = draft.sa.gateways.flatMap(
    (name) => draft.env.gateway(name)?.certificate?.trustedCa ?? [],
  );
  if (authorities.length === 0) return [];
  return [{ kind: 'certificateRequest', encoding: 4, data: concat(...authorities.map(authorityHash)) }];
}

/** An answer in the clear to a request that leaves nothing behind. */
export function clearAnswer(
  { header }: RawMessage,
  responderSpi: Bytes,
  payloads: readonly Payload[],
): Bytes {
  return encodeMessage(
    {
      initiatorSpi: header.initiatorSpi,
      responderSpi,
      exchange: header.exchange,
      isFromInitiator: !header.isFromInitiator,
      isResponse: true,
      messageId: header.messageId,
    },
    payloads.map(encodePayload),
  );
}

const suitesOf = (draft: Draft, gateways: readonly string[]): IkeSuite[] =>
  gateways.flatMap((name) => draft.env.gateway(name)?.proposals.map(suiteOf) ?? []);

const isSameSuite = (a: IkeSuite, b: IkeSuite) => JSON.stringify(a) === JSON.stringify(b);

/** Responder: the SA is new, and its gateways those that the addresses leave. */
export function respondInit(draft: Draft, message: RawMessage, payloads: readonly Payload[]): void {
  const { sa, env } = draft;
  const reject = (type: number, data: Bytes = noBytes) => {
    draft.send([clearAnswer(message, noSpi, [notify(type, data)])]);
    draft.gone = true;
  };
  const offered = find(payloads, 'sa');
  const ke = find(payloads, 'ke');
  const nonce = find(payloads, 'nonce');
  if (offered === undefined || ke === undefined || nonce === undefined) {
    draft.count('malformed');
    reject(notifyType.invalidSyntax);
    return;
  }
  const chosen = chooseIke(suitesOf(draft, sa.gateways), offered.proposals, ke.group);
  if (chosen === null) {
    draft.refuse(
      'noProposal',
      `none of its proposals is ours: ${oursText(draft)}`,
      notifyType.noProposalChosen,
    );
    reject(notifyType.noProposalChosen);
    return;
  }
  const { suite, answer } = chosen;
  if (suite.group !== ke.group) {
    draft.count('wrongGroup');
    reject(notifyType.invalidKePayload, be16(suite.group));
    return;
  }
  sa.gateways = sa.gateways.filter((name) =>
    suitesOf(draft, [name]).some((each) => isSameSuite(each, suite)),
  );
  sa.suite = suite;
  sa.peerInit = Uint8Array.from(message.bytes);
  sa.peerNonce = Uint8Array.from(nonce.data);
  sa.localNonce = env.random(ikeNonceBytes);
  detectNat(draft, payloads, message.header.initiatorSpi, message.header.responderSpi);
  noteExtensions(draft, payloads);
  const secret = dhSecret(suite.group, env.random(dhSecretBytes));
  const ticket = draft.compute({ kind: 'dh', group: suite.group, secret, peer: Uint8Array.from(ke.data) });
  sa.serving = {
    ...noServing,
    ticket,
    stage: 'shared',
    messageId: 0,
    payloads: [{ kind: 'sa', proposals: [answer] }],
  };
}

/** What would have been taken, so that one can compare. */
const oursText = (draft: Draft) =>
  [
    ...new Set(
      suitesOf(draft, draft.sa.gateways).map((suite) => {
        const { encryption, authentication, pseudoRandomFunction } = suiteNames(suite);
        const integrity = authentication === 'none' ? '' : ` ${authentication}`;
        return `${encryption}${integrity} ${pseudoRandomFunction} ${groupName(suite.group)}`;
      }),
    ),
  ].join(', ');

/** Responder: the shared secret is there. */
export function answerInit(draft: Draft, result: JobResult): void {
  const { sa } = draft;
  const { payloads } = sa.serving!;
  if (result.kind !== 'dh' || result.shared === null) {
    draft.refuse('badKeyExchange', 'its key exchange value is none of the group');
    draft.gone = true;
    return;
  }
  const initiatorSpi = sa.peerSpi;
  makeKeys(draft, result.shared, initiatorSpi, sa.localSpi);
  const answer = encodeMessage(
    {
      initiatorSpi,
      responderSpi: sa.localSpi,
      exchange: exchangeType.ikeSaInit,
      isFromInitiator: false,
      isResponse: true,
      messageId: 0,
    },
    [
      ...payloads,
      { kind: 'ke', group: sa.suite!.group, data: result.publicKey } as const,
      { kind: 'nonce', data: sa.localNonce } as const,
      ...natNotifies(sa.path, initiatorSpi, sa.localSpi),
      ...certificateRequest(draft),
      ...extensions(),
    ].map(encodePayload),
  );
  sa.ownInit = answer;
  sa.receiveId = 1;
  sa.serving = null;
  sa.lastAnswer = { messageId: 0, packets: [answer] };
  draft.send([answer]);
}

function makeKeys(draft: Draft, shared: Bytes, initiatorSpi: Bytes, responderSpi: Bytes): void {
  const { sa } = draft;
  const [ni, nr] = sa.isInitiator ? [sa.localNonce, sa.peerNonce] : [sa.peerNonce, sa.localNonce];
  const nonces = concat(ni, nr);
  const seed = prf(sa.suite!.prf, nonces, shared);
  shared.fill(0);
  sa.keys = ikeKeys(sa.suite!, seed, nonces, initiatorSpi, responderSpi);
}

/** Initiator: our public value is wanted first. group: another than that of the best proposal, once the peer asked for it. */
export function beginInit(draft: Draft, group?: number): void {
  const { sa, env } = draft;
  const first = group ?? suitesOf(draft, sa.gateways)[0]!.group;
  const secret = dhSecret(first, env.random(dhSecretBytes));
  if (sa.localNonce.length === 0) sa.localNonce = env.random(ikeNonceBytes);
  const ticket = draft.compute({ kind: 'dh', group: first, secret, peer: null });
  sa.asking = {
    ...noAsking,
    task: { kind: 'init' },
    ticket,
    stage: 'key',
    group: first,
    secret: new Secret(Uint8Array.from(secret)),
  };
}

/** Initiator: it is there. With what was asked for meanwhile: a cookie. */
export function sendInit(draft: Draft, publicKey: Bytes): void {
  const { sa, env } = draft;
  const asking = sa.asking!;
  const message = encodeMessage(
    {
      initiatorSpi: sa.localSpi,
      responderSpi: noSpi,
      exchange: exchangeType.ikeSaInit,
      isFromInitiator: true,
      isResponse: false,
      messageId: 0,
    },
    [
      ...(sa.cookie.length === 0 ? [] : [notify(notifyType.cookie, sa.cookie)]),
      { kind: 'sa', proposals: offerIke(suitesOf(draft, sa.gateways)) } as const,
      { kind: 'ke', group: asking.group, data: publicKey } as const,
      { kind: 'nonce', data: sa.localNonce } as const,
      ...natNotifies(sa.path, sa.localSpi, noSpi),
      ...extensions(),
    ].map(encodePayload),
  );
  sa.ownInit = message;
  sa.asking = {
    ...asking,
    ticket: 0,
    stage: 'sent',
    packets: [message],
    resendAtMs: env.nowMs + resendAfterMs(0),
  };
  draft.send([message]);
}

/** Initiator: an answer. What it says is nobody's yet, so what makes no sense is left alone. */
export function initAnswered(draft: Draft, message: RawMessage, payloads: readonly Payload[]): void {
  const { sa } = draft;
  const asking = sa.asking!;
  const cookie = findNotify(payloads, notifyType.cookie);
  if (cookie !== undefined && cookie.data.length >= 1 && cookie.data.length <= 64) {
    if (sa.cookie.length > 0 && Buffer.compare(sa.cookie, cookie.data) === 0) return;
    sa.cookie = Uint8Array.from(cookie.data);
    asking.secret?.wipe();
    beginInit(draft, asking.group);
    return;
  }
  const wanted = findNotify(payloads, notifyType.invalidKePayload);
  if (wanted !== undefined && wanted.data.length === 2) {
    const group = (wanted.data[0]! << 8) | wanted.data[1]!;
    const isOurs = suitesOf(draft, sa.gateways).some((suite) => suite.group === group);
    if (!isOurs || !isGroup(group) || group === asking.group || asking.tries > tuning.ike.mostResends) return;
    asking.secret?.wipe();
    beginInit(draft, group);
    return;
  }
  const error = findError(payloads);
  if (error !== undefined) {
    draft.refuse('peerRefused', `the peer says ${notifyName(error.type)}`, error.type);
    finish(draft, 'the peer refused');
    return;
  }
  const chosenProposals = find(payloads, 'sa')?.proposals ?? [];
  const ke = find(payloads, 'ke');
  const nonce = find(payloads, 'nonce');
  const suites = suitesOf(draft, sa.gateways).filter(({ group }) => group === asking.group);
  const chosen = chosenProposals.length === 1 ? chooseIke(suites, chosenProposals, asking.group) : null;
  const peerSpi = message.header.responderSpi;
  if (
    ke === undefined ||
    nonce === undefined ||
    ke.group !== asking.group ||
    peerSpi.every((byte) => byte === 0)
  ) {
    draft.count('malformed');
    return;
  }
  if (chosen === null || chosen.offer.transforms.length !== chosen.answer.transforms.length) {
    draft.count('noProposal');
    return;
  }
  sa.suite = chosen.suite;
  sa.peerSpi = Uint8Array.from(peerSpi);
  sa.peerInit = Uint8Array.from(message.bytes);
  sa.peerNonce = Uint8Array.from(nonce.data);
  detectNat(draft, payloads, sa.localSpi, sa.peerSpi);
  noteExtensions(draft, payloads);
  const secret = asking.secret!.reveal();
  const peer = Uint8Array.from(ke.data);
  const ticket = draft.compute({ kind: 'dh', group: asking.group, secret: Uint8Array.from(secret), peer });
  sa.asking = { ...asking, ticket, stage: 'shared', resendAtMs: never };
}

/** Initiator: the shared secret is there. */
export function initDone(draft: Draft, result: JobResult): void {
  const { sa } = draft;
  sa.asking!.secret?.wipe();
  if (result.kind !== 'dh' || result.shared === null) {
    draft.refuse('badKeyExchange', 'the peer sent a key exchange value that is none of the group');
    finish(draft, 'no key exchange');
    return;
  }
  makeKeys(draft, result.shared, sa.localSpi, sa.peerSpi);
  sa.asking = null;
  sa.sendId = 1;
  // RFC 7296 §2.23: from now on both ends use the other port
  if (draft.isEncapsulated) sa.path = { ...sa.path, localPort: ikeNatPort, remotePort: ikeNatPort };
  beginAuth(draft);
}
