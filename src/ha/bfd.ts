/**
 * One BFD session (RFC 5880 §6), asynchronous mode, as a pure step. It does no timing: `transmit` says what is to be sent
 * over and over and how often, `expect` how long silence may last, and whoever drives it (native/core/liveness) sends,
 * watches, authenticates, and comes back with what changed.
 *
 *     Down ──Down──▶ Init ──Init, Up──▶ Up          what the other end says its state is
 *     Down ──Init──▶ Up                             silence, or AdminDown or Down from there: Down
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type BfdDiagnostic, type BfdPacket, type BfdState, encodeBfd, sha1Bytes } from '../wire/bfd.js';
import type { Bytes } from '../wire/bytes.js';

export interface BfdParameters {
  readonly desiredMinTxUs: number;
  readonly requiredMinRxUs: number;
  readonly detectMultiplier: number;
}

export interface BfdSettings extends BfdParameters {
  /** ours, not 0, of no other session of this node */
  readonly discriminator: number;
  /** keyed SHA1 (§6.7.4): at most 20 bytes; null: none */
  readonly auth: { readonly keyId: number; readonly key: Bytes; readonly isMeticulous: boolean } | null;
  /** where our authenticated packets begin to count */
  readonly firstSequence: number;
}

export interface BfdSession {
  readonly settings: BfdSettings;
  readonly state: BfdState;
  readonly diagnostic: BfdDiagnostic;
  readonly remote: {
    readonly state: BfdState;
    readonly diagnostic: BfdDiagnostic;
    /** 0: unknown */
    readonly discriminator: number;
    readonly desiredMinTxUs: number;
    readonly requiredMinRxUs: number;
    readonly detectMultiplier: number;
    readonly demand: boolean;
  };
  /** What is in force; the settings' own come to be so once the other end has said that it knows them (§6.8.3). */
  readonly inForce: { readonly desiredMinTxUs: number; readonly requiredMinRxUs: number };
  /** A poll sequence is under way: our packets carry P until one with F comes. */
  readonly polling: boolean;
  readonly ups: number;
  readonly downs: number;
}

export type BfdEvent =
  /** A packet for this session, its checks of TTL, addresses and authentication passed (see refusal()). */
  | { readonly kind: 'received'; readonly packet: BfdPacket }
  /** Nothing came for as long as `expect` said. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'admin'; readonly up: boolean }
  | { readonly kind: 'parameters'; readonly parameters: BfdParameters };

export type BfdAction =
  /** From now on this is sent, once at once and then at the interval, each gap shortened at random by up to a quarter
   * (§6.8.7; with a multiplier of 1 by at least a tenth). null: nothing is. */
  | { readonly kind: 'transmit'; readonly packet: BfdPacket; readonly intervalUs: number | null }
  /** Sent at once, and once. */
  | { readonly kind: 'send'; readonly packet: BfdPacket }
  /** Silence of this length is to be told; null: none is. */
  | { readonly kind: 'expect'; readonly detectionUs: number | null }
  | {
      readonly kind: 'changed';
      readonly from: BfdState;
      readonly to: BfdState;
      readonly diagnostic: BfdDiagnostic;
    };

export interface BfdStep {
  readonly session: BfdSession;
  readonly actions: readonly BfdAction[];
}

/** §6.8.3: how often at most while a session is not up */
const slowUs = 1_000_000;

export function beginBfd(settings: BfdSettings): BfdStep {
  const session: BfdSession = {
    settings,
    state: 'Down',
    diagnostic: 'none',
    remote: {
      state: 'Down',
      diagnostic: 'none',
      discriminator: 0,
      desiredMinTxUs: 0,
      requiredMinRxUs: 1,
      detectMultiplier: 0,
      demand: false,
    },
    inForce: { desiredMinTxUs: settings.desiredMinTxUs, requiredMinRxUs: settings.requiredMinRxUs },
    polling: false,
    ups: 0,
    downs: 0,
  };
  return { session, actions: [transmission(session)] };
}

export function stepBfd(session: BfdSession, event: BfdEvent): BfdStep {
  switch (event.kind) {
    case 'received':
      return received(session, event.packet);
    case 'silent':
      return silent(session);
    case 'admin':
      return administered(session, event.up);
    case 'parameters':
      return reparametrised(session, event.parameters);
  }
}

/** How long silence may last (§6.8.4); null: for ever, since nothing has come yet. */
export function detectionUs({ remote, inForce, state }: BfdSession): number | null {
  if (remote.detectMultiplier === 0 || state === 'AdminDown') return null;
  return remote.detectMultiplier * Math.max(inForce.requiredMinRxUs, remote.desiredMinTxUs);
}

/** How often we send (§6.8.7), before jitter; null: not at all. */
export function transmitIntervalUs({ state, remote, inForce }: BfdSession): number | null {
  if (remote.requiredMinRxUs === 0) return null;
  // §6.6: the other end asks for silence, once both know that the session is up
  if (remote.demand && state === 'Up' && remote.state === 'Up') return null;
  const own = state === 'Up' ? inForce.desiredMinTxUs : Math.max(slowUs, inForce.desiredMinTxUs);
  return Math.max(own, remote.requiredMinRxUs);
}

/** What we send now. Its hash is written by seal(), which knows the sequence number of each single packet. */
function packetOf(session: BfdSession, final: boolean): BfdPacket {
  const { settings, state, diagnostic, remote, polling } = session;
  const slow = state === 'Up' ? settings.desiredMinTxUs : Math.max(slowUs, settings.desiredMinTxUs);
  return {
    state,
    diagnostic,
    poll: polling && !final,
    final,
    controlPlaneIndependent: true,
    demand: false,
    detectMultiplier: settings.detectMultiplier,
    myDiscriminator: settings.discriminator,
    yourDiscriminator: remote.discriminator,
    desiredMinTxUs: slow,
    requiredMinRxUs: settings.requiredMinRxUs,
    requiredMinEchoRxUs: 0,
    auth:
      settings.auth === null
        ? null
        : {
            type: settings.auth.isMeticulous ? 'meticulous-keyed-sha1' : 'keyed-sha1',
            keyId: settings.auth.keyId,
            // of each packet its own, which whoever sends counts
            sequence: 0,
            hash: new Uint8Array(sha1Bytes),
          },
  };
}

function transmission(session: BfdSession): BfdAction {
  return {
    kind: 'transmit',
    packet: packetOf(session, false),
    intervalUs: transmitIntervalUs(session),
  };
}

/** The bytes of a packet, its hash in place (§6.7.4: over the whole packet, the key standing where the hash will). */
export function sealBfd(packet: BfdPacket, key: Bytes | null): Bytes {
  const bytes = encodeBfd(packet);
  if (packet.auth === null || key === null) return bytes;
  bytes.set(hashOf(bytes, key), bytes.length - sha1Bytes);
  return bytes;
}

function hashOf(packet: Bytes, key: Bytes): Bytes {
  const keyed = packet.slice();
  keyed.fill(0, keyed.length - sha1Bytes);
  keyed.set(key, keyed.length - sha1Bytes);
  const hash = createHash('sha1').update(keyed).digest();
  keyed.fill(0);
  return hash;
}

/**
 * Why a packet may not be believed (§6.8.6, §6.7.4), null: it may. heard: the sequence number of the last that was, null:
 * none, or too long ago. What native/core/liveness does for every packet.
 */
export function refusal(
  { auth: wanted, discriminator, detectMultiplier }: BfdSettings,
  heard: number | null,
  { auth, yourDiscriminator }: BfdPacket,
  bytes: Bytes,
): 'bfd_session' | 'bfd_auth' | null {
  if (yourDiscriminator !== 0 && yourDiscriminator !== discriminator) return 'bfd_session';
  if (wanted === null || auth === null) return wanted === null && auth === null ? null : 'bfd_auth';
  const type = wanted.isMeticulous ? 'meticulous-keyed-sha1' : 'keyed-sha1';
  if (auth.type !== type || auth.keyId !== wanted.keyId) return 'bfd_auth';
  if (heard !== null) {
    const ahead = (auth.sequence - heard) >>> 0;
    if (ahead > 3 * detectMultiplier || (wanted.isMeticulous && ahead === 0)) return 'bfd_auth';
  }
  const whole = bytes.subarray(0, bytes[3]!);
  return timingSafeEqual(hashOf(whole, wanted.key), auth.hash) ? null : 'bfd_auth';
}

function received(before: BfdSession, packet: BfdPacket): BfdStep {
  let session: BfdSession = {
    ...before,
    remote: {
      state: packet.state,
      diagnostic: packet.diagnostic,
      discriminator: packet.myDiscriminator,
      desiredMinTxUs: packet.desiredMinTxUs,
      requiredMinRxUs: packet.requiredMinRxUs,
      detectMultiplier: packet.detectMultiplier,
      demand: packet.demand,
    },
  };
  if (packet.final && session.polling) session = { ...session, polling: false, inForce: session.settings };
  const heard = afterHearing(session.state, packet.state);
  if (heard !== null) session = moved(session, heard.to, heard.diagnostic);
  const actions = consequences(before, session);
  // §6.8.7: answered at once, whatever the interval
  if (packet.poll && session.state !== 'AdminDown')
    actions.push({ kind: 'send', packet: packetOf(session, true) });
  return { session, actions };
}

/** §6.8.6, the state machine of §6.2. */
function afterHearing(
  own: BfdState,
  remote: BfdState,
): { readonly to: BfdState; readonly diagnostic: BfdDiagnostic } | null {
  if (own === 'AdminDown') return null;
  if (remote === 'AdminDown')
    return own === 'Down' ? null : { to: 'Down', diagnostic: 'neighbour signalled down' };
  switch (own) {
    case 'Down':
      if (remote === 'Down') return { to: 'Init', diagnostic: 'none' };
      return remote === 'Init' ? { to: 'Up', diagnostic: 'none' } : null;
    case 'Init':
      return remote === 'Down' ? null : { to: 'Up', diagnostic: 'none' };
    case 'Up':
      return remote === 'Down' ? { to: 'Down', diagnostic: 'neighbour signalled down' } : null;
  }
}

function moved(session: BfdSession, to: BfdState, diagnostic: BfdDiagnostic): BfdSession {
  return {
    ...session,
    state: to,
    diagnostic: to === 'Up' ? 'none' : diagnostic,
    // coming up is a change of our interval, which the other end is told by a poll (§6.8.3)
    polling: to === 'Up',
    inForce: to === 'Up' ? session.inForce : session.settings,
    ups: session.ups + (to === 'Up' ? 1 : 0),
    downs: session.downs + (session.state === 'Up' ? 1 : 0),
  };
}

/** §6.8.4. The other end is forgotten, so that one that starts anew can be heard. */
function silent(before: BfdSession): BfdStep {
  if (before.state === 'AdminDown') return { session: before, actions: [] };
  const forgotten: BfdSession = {
    ...before,
    remote: {
      ...before.remote,
      state: 'Down',
      discriminator: 0,
      detectMultiplier: 0,
      requiredMinRxUs: 1,
      demand: false,
    },
  };
  const session = before.state === 'Down' ? forgotten : moved(forgotten, 'Down', 'detection time expired');
  return { session, actions: consequences(before, session) };
}

/** §6.8.16 */
function administered(before: BfdSession, up: boolean): BfdStep {
  const isDown = before.state === 'AdminDown';
  if (up !== isDown) return { session: before, actions: [] };
  const session = up ? moved(before, 'Down', 'none') : moved(before, 'AdminDown', 'administratively down');
  return { session, actions: consequences(before, session) };
}

/** §6.8.3: what makes us send less, or expect more, waits for the end of a poll; the rest is in force at once. */
function reparametrised(before: BfdSession, parameters: BfdParameters): BfdStep {
  const settings = { ...before.settings, ...parameters };
  const isUp = before.state === 'Up';
  const { desiredMinTxUs, requiredMinRxUs } = before.inForce;
  const session: BfdSession = {
    ...before,
    settings,
    polling: isUp,
    inForce: isUp
      ? {
          desiredMinTxUs: Math.min(desiredMinTxUs, settings.desiredMinTxUs),
          requiredMinRxUs: Math.max(requiredMinRxUs, settings.requiredMinRxUs),
        }
      : settings,
  };
  return { session, actions: consequences(before, session) };
}

/** What is to be done about the difference. */
function consequences(before: BfdSession, after: BfdSession): BfdAction[] {
  const actions: BfdAction[] = [];
  if (before.state !== after.state)
    actions.push({ kind: 'changed', from: before.state, to: after.state, diagnostic: after.diagnostic });
  if (detectionUs(before) !== detectionUs(after))
    actions.push({ kind: 'expect', detectionUs: detectionUs(after) });
  const was = transmission(before);
  const is = transmission(after);
  if (JSON.stringify(was) !== JSON.stringify(is)) actions.push(is);
  return actions;
}
