/** CHILD SAs: in IKE_AUTH, by CREATE_CHILD_SA, and in each other's place (RFC 7296 §1.3, §2.8, §2.9, §2.17). */
import type { IkeVpnConfig, IpsecProposalConfig, TrafficSelectorConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import type { Secret } from '../model/secret.js';
import {
  be16,
  be32,
  childNotify,
  concat,
  dhGroupId,
  exchangeType,
  notify,
  notifyName,
  notifyType,
  type Payload,
  type TrafficSelectorRange,
} from '../wire/ike.js';
import { type ChildSuite, type Chosen, chooseChild, groupIds, offerChild } from './algorithms.js';
import { softLife } from './auth.js';
import { type Bytes, childKeys, dhSecret, dhSecretBytes } from './crypto.js';
import {
  type Draft,
  find,
  findError,
  findNotify,
  lowerOf,
  never,
  noAsking,
  noServing,
  secretOf,
} from './draft.js';
import { request } from './exchange.js';
import { ikeNonceBytes } from './init.js';
import { isSameRanges, type Narrowed, narrowBoth, rangeOf, rangeText } from './ranges.js';
import { type Asking, type ChildSa, type EspKey, type Task, wipeEspKey } from './sa.js';
import { install } from './tunnel-keys.js';

type ChildTask = Extract<Task, { kind: 'child' }>;

/** Groups that we take for a CHILD SA where none is demanded: all but the weak one. */
const strongGroups = Object.values(groupIds).filter((id) => id !== dhGroupId.modp1024);

const groupOf = ({ perfectForwardSecrecy: group }: IkeVpnConfig): number =>
  group === null ? dhGroupId.none : groupIds[group];

const offerOf = (vpn: IkeVpnConfig, isInitial: boolean) => ({
  proposals: vpn.proposals,
  extendedSequenceNumbers: vpn.extendedSequenceNumber,
  group: isInitial ? dhGroupId.none : groupOf(vpn),
});

const proposalText = ({ encryptionAlgorithm, authenticationAlgorithm }: IpsecProposalConfig) =>
  authenticationAlgorithm === null
    ? encryptionAlgorithm
    : `${encryptionAlgorithm} with ${authenticationAlgorithm}`;

interface Made {
  readonly vpn: IkeVpnConfig;
  readonly tunnel: string;
  readonly suite: ChildSuite;
  readonly narrowed: Narrowed;
  readonly inboundSpi: number;
  readonly outboundSpi: number;
  readonly nonces: { readonly initiator: Bytes; readonly responder: Bytes };
  /** we began the exchange */
  readonly isOurs: boolean;
  readonly replaces: number;
}

/** Keys and the record of a new CHILD SA. */
function makeChild(
  draft: Draft,
  made: Made,
  shared: Secret | null,
): { child: ChildSa; inbound: EspKey; outbound: EspKey } {
  const { sa, env } = draft;
  const { vpn, suite, narrowed, inboundSpi, outboundSpi, nonces, isOurs } = made;
  const keys = childKeys(
    sa.suite!.prf,
    sa.keys!.d,
    shared,
    concat(nonces.initiator, nonces.responder),
    suite,
  );
  const [out, into] = isOurs
    ? [keys.fromInitiator, keys.fromResponder]
    : [keys.fromResponder, keys.fromInitiator];
  const lifeMs = vpn.proposals[0]!.lifetimeSeconds * 1000;
  const child: ChildSa = {
    number: env.nextNumber(),
    tunnel: made.tunnel,
    vpn: vpn.name,
    inboundSpi,
    outboundSpi,
    suite,
    localRanges: narrowed.local,
    remoteRanges: narrowed.remote,
    selectors: narrowed.selectors,
    state: 'up',
    waitingOutbound: null,
    switchAtMs: never,
    createdMs: env.nowMs,
    rekeyAtMs: vpn.rekeys || sa.isInitiator ? env.nowMs + softLife(draft, lifeMs) : never,
    expireAtMs: env.nowMs + lifeMs,
    lowestNonce: lowerOf(nonces.initiator, nonces.responder),
    replaces: made.replaces,
    isOurs,
    inboundPackets: 0n,
    outboundPackets: 0n,
    trafficMs: env.nowMs,
  };
  return { child, inbound: { spi: inboundSpi, ...into }, outbound: { spi: outboundSpi, ...out } };
}

// ---- responder ----

/**
 * The payloads that answer a request for a CHILD SA, errors too; null: a computation comes first, and then this again with
 * the shared secret.
 */
export function respondChild(
  draft: Draft,
  messageId: number,
  payloads: readonly Payload[],
  shared: { readonly secret: Secret; readonly publicKey: Bytes } | null,
  isInitial: boolean,
): Payload[] | null {
  const { sa, env } = draft;
  const proposals = find(payloads, 'sa')!.proposals;
  const theirs = find(payloads, 'tsInitiator')?.selectors;
  const ours = find(payloads, 'tsResponder')?.selectors;
  const nonce = isInitial ? sa.peerNonce : find(payloads, 'nonce')?.data;
  if (theirs === undefined || ours === undefined || nonce === undefined) {
    draft.refuse('malformed', 'a request for a CHILD SA without traffic selectors', notifyType.invalidSyntax);
    return [notify(notifyType.invalidSyntax)];
  }
  const old = rekeyed(draft, payloads);
  if (Array.isArray(old)) return old;
  if (old === null && sa.children.filter(({ state }) => state === 'up').length >= tuning.ike.mostChildren) {
    draft.refuse(
      'tooManyChildren',
      `more than ${tuning.ike.mostChildren} CHILD SAs`,
      notifyType.noAdditionalSas,
    );
    return [notify(notifyType.noAdditionalSas)];
  }
  const place = choosePlace(draft, old, ours, theirs);
  const wanted = () => `${theirs.map(rangeText).join(', ')} to ${ours.map(rangeText).join(', ')}`;
  if (place === null) {
    draft.refuse('tsUnacceptable', `no VPN has traffic selectors for ${wanted()}`, notifyType.tsUnacceptable);
    return [notify(notifyType.tsUnacceptable)];
  }
  const { vpn, selector, narrowed } = place;
  const chosen = chooseChild(offerOf(vpn, isInitial), proposals, isInitial ? [] : strongGroups);
  if (chosen === null) {
    draft.refuse(
      'noChildProposal',
      `vpn ${vpn.name} has ${vpn.proposals.map(proposalText).join(', ')} for ESP, which the peer does not offer`,
      notifyType.noProposalChosen,
    );
    return [notify(notifyType.noProposalChosen)];
  }
  const keyPayload = needsKey(draft, messageId, payloads, chosen, shared);
  if (keyPayload === null || Array.isArray(keyPayload)) return keyPayload;
  const tunnel = old?.tunnel ?? env.claimTunnel(sa, vpn, selector, narrowed.selectors);
  if (tunnel === null) {
    draft.refuse('tsUnacceptable', `another peer has ${wanted()}`, notifyType.tsUnacceptable);
    return [notify(notifyType.tsUnacceptable)];
  }
  const ownNonce = isInitial ? sa.localNonce : env.random(ikeNonceBytes);
  const made = makeChild(
    draft,
    {
      vpn,
      tunnel,
      suite: chosen.suite,
      narrowed,
      inboundSpi: env.espSpi(),
      outboundSpi: new DataView(chosen.offer.spi.buffer, chosen.offer.spi.byteOffset).getUint32(0),
      nonces: { initiator: Uint8Array.from(nonce), responder: ownNonce },
      isOurs: false,
      replaces: old?.inboundSpi ?? 0,
    },
    shared?.secret ?? null,
  );
  putInPlace(draft, old, made);
  return [
    { kind: 'sa', proposals: [{ ...chosen.answer, spi: be32(made.child.inboundSpi) }] },
    ...(isInitial ? [] : [{ kind: 'nonce', data: ownNonce } as const]),
    ...keyPayload.payloads,
    { kind: 'tsInitiator', selectors: narrowed.remote },
    { kind: 'tsResponder', selectors: narrowed.local },
  ];
}

/** Responder: installs it. The peer may send at once; we send by the one before until the peer deletes that. */
function putInPlace(
  draft: Draft,
  old: ChildSa | null,
  { child, inbound, outbound }: ReturnType<typeof makeChild>,
): void {
  const { sa, env } = draft;
  if (old === null) {
    install(draft, child, inbound, outbound);
    draft.childEvent('child-sa-up', child);
    return;
  }
  const waiting = { ...child, waitingOutbound: outbound, switchAtMs: env.nowMs + tuning.ike.switchMs };
  draft.changeChild(old.inboundSpi, { state: 'replaced', rekeyAtMs: never });
  install(draft, waiting, inbound, null);
  draft.childEvent('child-sa-rekeyed', child);
  const { asking } = sa;
  if (asking?.task.kind === 'child' && asking.task.replaces === old.inboundSpi) {
    const { lowestNonce, inboundSpi: spi } = child;
    sa.asking = { ...asking, collision: { lowestNonce, spi } };
  }
}

/** The CHILD SA whose place is to be taken, null: none is; payloads: it cannot be. */
function rekeyed(draft: Draft, payloads: readonly Payload[]): ChildSa | null | Payload[] {
  const said = findNotify(payloads, notifyType.rekeySa);
  if (said === undefined) return null;
  const spi = said.spi.length === 4 ? new DataView(said.spi.buffer, said.spi.byteOffset).getUint32(0) : 0;
  const child = draft.sa.children.find(({ outboundSpi }) => outboundSpi === spi);
  if (child === undefined || child.state === 'draining') {
    draft.count('childNotFound');
    return [childNotify(notifyType.childSaNotFound, spi)];
  }
  if (child.state === 'deleting') {
    draft.count('temporary');
    return [notify(notifyType.temporaryFailure)];
  }
  return child;
}

interface Place {
  readonly vpn: IkeVpnConfig;
  readonly selector: string;
  readonly narrowed: Narrowed;
}

/** The first traffic selector of the gateway's VPNs that leaves something of what is asked for. */
function choosePlace(
  { sa, env }: Draft,
  old: ChildSa | null,
  ours: readonly TrafficSelectorRange[],
  theirs: readonly TrafficSelectorRange[],
): Place | null {
  const vpns = env.vpnsOf(sa.gateways[0]!);
  for (const vpn of old === null ? vpns : vpns.filter(({ name }) => name === old.vpn)) {
    for (const selector of vpn.trafficSelectors) {
      const narrowed = narrowBoth(selector, ours, theirs);
      if (narrowed === null) continue;
      // one that takes another's place carries what that did (RFC 7296 §2.9.2)
      const isSame =
        old === null ||
        (isSameRanges(narrowed.local, old.localRanges) && isSameRanges(narrowed.remote, old.remoteRanges));
      if (isSame) return { vpn, selector: selector.name, narrowed };
    }
  }
  return null;
}

/** The key exchange of a CHILD SA: none, done, an error, or (null) under way. */
function needsKey(
  draft: Draft,
  messageId: number,
  payloads: readonly Payload[],
  { suite }: Chosen<ChildSuite>,
  shared: { readonly publicKey: Bytes } | null,
): { payloads: Payload[] } | Payload[] | null {
  const { group } = suite;
  if (group === dhGroupId.none) return { payloads: [] };
  if (shared !== null) return { payloads: [{ kind: 'ke', group, data: shared.publicKey }] };
  const ke = find(payloads, 'ke');
  if (ke === undefined || ke.group !== group) {
    draft.count('wrongGroup');
    return [notify(notifyType.invalidKePayload, be16(group))];
  }
  const secret = dhSecret(group, draft.env.random(dhSecretBytes));
  const ticket = draft.compute({ kind: 'dh', group, secret, peer: Uint8Array.from(ke.data) });
  draft.sa.serving = { ...noServing, ticket, stage: 'child-shared', messageId, payloads };
  return null;
}

// ---- initiator ----

interface Plan {
  readonly vpn: IkeVpnConfig;
  readonly selector: TrafficSelectorConfig;
  readonly local: readonly TrafficSelectorRange[];
  readonly remote: readonly TrafficSelectorRange[];
}

function planOf(draft: Draft, { vpn: name, selector, replaces }: Omit<ChildTask, 'kind'>): Plan | null {
  const vpn = draft.env.vpn(name);
  const old = draft.sa.children.find(({ inboundSpi }) => inboundSpi === replaces);
  if (vpn === undefined || (replaces !== 0 && old === undefined)) return null;
  if (old !== undefined) {
    const found =
      vpn.trafficSelectors.find((each) => narrowBoth(each, old.localRanges, old.remoteRanges) !== null) ??
      vpn.trafficSelectors[0]!;
    return { vpn, selector: found, local: old.localRanges, remote: old.remoteRanges };
  }
  const found = vpn.trafficSelectors.find((each) => each.name === selector);
  if (found === undefined) return null;
  return { vpn, selector: found, local: [rangeOf(found.localIp)], remote: [rangeOf(found.remoteIp)] };
}

const selectorPayloads = ({ local, remote }: Plan): Payload[] => [
  { kind: 'tsInitiator', selectors: local },
  { kind: 'tsResponder', selectors: remote },
];

/** What IKE_AUTH asks for besides: the first CHILD SA that is wanted. */
export function initialChildRequest(draft: Draft): Payload[] {
  const { sa, env } = draft;
  const [first] = sa.wanted;
  const plan = first === undefined ? null : planOf(draft, { ...first, replaces: 0 });
  if (plan === null) return [];
  const spi = env.espSpi();
  sa.asking = { ...sa.asking!, spi, nonce: sa.localNonce };
  return [
    { kind: 'sa', proposals: offerChild(offerOf(plan.vpn, true), be32(spi)) },
    ...selectorPayloads(plan),
  ];
}

/** A CREATE_CHILD_SA of ours; false: there is nothing to ask for any more. */
export function beginChild(draft: Draft, task: ChildTask, group?: number): boolean {
  const { sa, env } = draft;
  const plan = planOf(draft, task);
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === task.replaces);
  if (plan === null || (old !== undefined && old.state !== 'up')) return false;
  sa.asking = { ...noAsking, task, nonce: env.random(ikeNonceBytes), spi: env.espSpi() };
  const wanted = group ?? groupOf(plan.vpn);
  if (wanted === dhGroupId.none) {
    sendChild(draft, null);
    return true;
  }
  const secret = dhSecret(wanted, env.random(dhSecretBytes));
  const ticket = draft.compute({ kind: 'dh', group: wanted, secret, peer: null });
  sa.asking = {
    ...sa.asking,
    group: wanted,
    secret: secretOf(Uint8Array.from(secret)),
    ticket,
    stage: 'key',
  };
  return true;
}

export function sendChild(draft: Draft, publicKey: Bytes | null): void {
  const { sa } = draft;
  const asking = sa.asking!;
  const task = asking.task as ChildTask;
  const plan = planOf(draft, task);
  if (plan === null) {
    sa.asking = null;
    return;
  }
  const offer = { ...offerOf(plan.vpn, false), group: asking.group };
  request(draft, exchangeType.createChildSa, [
    ...(task.replaces === 0 ? [] : [childNotify(notifyType.rekeySa, task.replaces)]),
    { kind: 'sa', proposals: offerChild(offer, be32(asking.spi)) },
    { kind: 'nonce', data: asking.nonce },
    ...(publicKey === null ? [] : [{ kind: 'ke', group: asking.group, data: publicKey } as const]),
    ...selectorPayloads(plan),
  ]);
}

/** An answer to a CHILD SA of ours, in IKE_AUTH too; shared: where keys were exchanged. */
export function childAnswered(
  draft: Draft,
  asking: Asking,
  payloads: readonly Payload[],
  shared: Secret | null,
): void {
  const { sa, env } = draft;
  const isInitial = asking.task.kind === 'auth';
  const task: ChildTask | undefined = isInitial
    ? sa.wanted[0] && { kind: 'child', ...sa.wanted[0], replaces: 0 }
    : (asking.task as ChildTask);
  const plan = task === undefined ? null : planOf(draft, task);
  if (task === undefined || plan === null) return;
  const error = findError(payloads);
  const proposals = find(payloads, 'sa')?.proposals ?? [];
  const local = find(payloads, 'tsInitiator')?.selectors;
  const remote = find(payloads, 'tsResponder')?.selectors;
  const nonce = isInitial ? sa.peerNonce : find(payloads, 'nonce')?.data;
  if (error !== undefined && proposals.length === 0) {
    childRefused(draft, task, error.type, error.data);
    return;
  }
  const offer = { ...offerOf(plan.vpn, isInitial), group: asking.group };
  const chosen =
    proposals.length === 1 ? chooseChild(offer, proposals, isInitial ? [] : [asking.group]) : null;
  const narrowed =
    local === undefined || remote === undefined ? null : narrowBoth(plan.selector, local, remote);
  const outboundSpi = proposals[0]?.spi;
  if (chosen === null || narrowed === null || nonce === undefined || outboundSpi?.length !== 4) {
    draft.refuse('noChildProposal', `vpn ${plan.vpn.name}: the peer answers with what was not offered`);
    return;
  }
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === task.replaces) ?? null;
  const tunnel = old?.tunnel ?? env.claimTunnel(sa, plan.vpn, task.selector, narrowed.selectors);
  if (tunnel === null) {
    draft.refuse('tsUnacceptable', `vpn ${plan.vpn.name}: another peer has the same remote-ip`);
    return;
  }
  const made = makeChild(
    draft,
    {
      vpn: plan.vpn,
      tunnel,
      suite: chosen.suite,
      narrowed,
      inboundSpi: asking.spi,
      outboundSpi: new DataView(outboundSpi.buffer, outboundSpi.byteOffset).getUint32(0),
      nonces: { initiator: asking.nonce, responder: Uint8Array.from(nonce) },
      isOurs: true,
      replaces: old?.inboundSpi ?? 0,
    },
    shared,
  );
  settle(draft, asking, old, made);
}

/** Ours is there. Where the peer made one for the same place meanwhile, the lowest nonce of all loses (RFC 7296 §2.8.1). */
function settle(
  draft: Draft,
  { collision }: Asking,
  old: ChildSa | null,
  { child, inbound, outbound }: ReturnType<typeof makeChild>,
): void {
  const { sa } = draft;
  const theirs = sa.children.find(({ inboundSpi }) => inboundSpi === collision?.spi);
  const weLose =
    collision !== null &&
    theirs !== undefined &&
    Buffer.compare(child.lowestNonce, collision.lowestNonce) < 0;
  if (weLose) {
    install(draft, { ...child, state: 'replaced', rekeyAtMs: never }, inbound, null);
    wipeEspKey(outbound);
    draft.ask({ kind: 'delete-children', spis: [child.inboundSpi] });
    return;
  }
  if (theirs !== undefined) {
    if (theirs.waitingOutbound !== null) wipeEspKey(theirs.waitingOutbound);
    draft.changeChild(theirs.inboundSpi, {
      state: 'replaced',
      waitingOutbound: null,
      switchAtMs: never,
      rekeyAtMs: never,
    });
  }
  if (old !== null) draft.changeChild(old.inboundSpi, { state: 'replaced', rekeyAtMs: never });
  install(draft, child, inbound, outbound);
  draft.childEvent(old === null ? 'child-sa-up' : 'child-sa-rekeyed', child);
  if (old !== null) draft.ask({ kind: 'delete-children', spis: [old.inboundSpi] });
}

function childRefused(draft: Draft, task: ChildTask, type: number, data: Bytes): void {
  const { sa, env } = draft;
  const retryMs = env.nowMs + tuning.ike.retryMs + Math.floor((env.random(1)[0]! / 256) * tuning.ike.retryMs);
  if (type === notifyType.invalidKePayload && data.length === 2) {
    const group = (data[0]! << 8) | data[1]!;
    if (strongGroups.includes(group) && group !== sa.asking?.group) {
      sa.asking = null;
      beginChild(draft, task, group);
      return;
    }
  }
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === task.replaces);
  if (type === notifyType.childSaNotFound && old !== undefined) {
    // RFC 7296 §2.25.1: the peer has none, so ours is nothing either
    draft.ask({ kind: 'delete-children', spis: [old.inboundSpi] });
  } else if (old !== undefined) draft.changeChild(old.inboundSpi, { rekeyAtMs: retryMs });
  if (type === notifyType.temporaryFailure) {
    draft.count('temporary');
    return;
  }
  draft.refuse('peerRefused', `vpn ${task.vpn}: the peer says ${notifyName(type)}`, type);
}
