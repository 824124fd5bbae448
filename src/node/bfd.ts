/**
 * A node's BFD sessions: which there are, by the configuration and by those who ask while it runs; what they say to one
 * another (`ha/bfd.ts`); and what the native core is to send and to watch for.
 *
 * Whoever wants to know whether a neighbour lives names a session, and reads `state.bfd.get(name)?.up`. Two that name
 * the same ends share one session, with the shorter of their intervals, as Junos has it.
 */
import { createHash } from 'node:crypto';
import type { BfdPeerConfig, BfdTargetConfig, Config, LivenessConfig } from '../config/config.js';
import { type BfdAction, type BfdEvent, type BfdSession, beginBfd, stepBfd } from '../ha/bfd.js';
import type { Bytes } from '../pipeline/native.js';
import { adjacencies } from '../routing/table.js';
import { bfdTtl, decodeBfd, encodeBfd } from '../wire/bfd.js';
import type { BfdChange, BfdCommand, NodeAction } from './event.js';
import { groupBy } from './group-by.js';
import type { Stepped } from './services.js';
import type { NodeState } from './state.js';

export interface BfdWant {
  /** e.g. `icl`, or routeSession() */
  readonly name: string;
  /** for show, in Junos's words, e.g. Static */
  readonly client: string;
  readonly peer: BfdPeerConfig;
}

/** What one who named a session knows of it. */
export interface BfdUse {
  readonly client: string;
  /** in NodeState.bfdPeers */
  readonly peer: string;
  readonly up: boolean;
}

/** A session and the ends that it is between. */
export interface BfdPeer {
  /** the native core's number for it */
  readonly number: number;
  /** of all that share it */
  readonly peer: BfdPeerConfig;
  readonly clients: readonly string[];
  readonly session: BfdSession;
  /** of the state that it is in */
  readonly sinceMs: number;
}

/** Names the session that guards a next hop of a static route. */
export const routeSession = (
  routingInstance: string,
  prefix: { toString(): string },
  nextHop: { toString(): string },
) => `route ${routingInstance} ${prefix} ${nextHop}`;

export const probeSession = (group: number) => `probe ${group}`;
export const monitorSession = (address: { toString(): string }) => `monitor ${address}`;

/** Those who want sessions by what a configuration says; one line for each. */
const users: readonly ((config: Config) => readonly BfdWant[])[] = [routeSessions, pairSessions];

/** All sessions that a configuration wants. Pure. */
export function bfdSessions(config: Config): readonly BfdWant[] {
  return users.flatMap((wants) => wants(config));
}

function routeSessions({ routingInstances }: Config): BfdWant[] {
  return routingInstances.flatMap(({ name: instance, staticRoutes }) =>
    staticRoutes.flatMap(({ prefix, bfd }) =>
      bfd.map(({ nextHop, peer }) => ({
        name: routeSession(instance, prefix, nextHop),
        client: 'Static',
        peer,
      })),
    ),
  );
}

/** Of a pair: the ICL, the ICD, what groups are probed and monitored by. */
function pairSessions({ highAvailability: pair }: Config): BfdWant[] {
  if (pair === null) return [];
  const { peer, localIp, groups } = pair;
  const wants: BfdWant[] = [];
  const want = (name: string, client: string, of: Ends, liveness: LivenessConfig) => {
    if (!wants.some((other) => other.name === name))
      wants.push({ name, client, peer: peerConfig(of, liveness) });
  };
  // loopback to loopback, mostly: both nodes take it for multihop, wherever the addresses are
  const link = { local: localIp, remote: peer.ip, routingInstance: peer.routingInstance, multihop: true };
  want('icl', 'High-availability ICL', link, peer.liveness);
  if (peer.forwarding !== null) {
    const { localIp: local, peerIp: remote, routingInstance, liveness } = peer.forwarding;
    want('icd', 'High-availability ICD', { local, remote, routingInstance, multihop: true }, liveness);
  }
  const target = (name: string, client: string, of: BfdTargetConfig) => {
    const { source: local, destination: remote, routingInstance, sessionType, liveness } = of;
    want(name, client, { local, remote, routingInstance, multihop: sessionType === 'multihop' }, liveness);
  };
  for (const { id, activenessProbe, monitor } of groups) {
    if (activenessProbe?.kind === 'bfd')
      target(probeSession(id), `SRG${id} activeness probe`, activenessProbe);
    for (const { bfdLiveliness } of monitor.objects)
      for (const member of bfdLiveliness?.members ?? [])
        target(monitorSession(member.destination), `SRG${id} monitor`, member);
  }
  return wants;
}

type Ends = Pick<BfdPeerConfig, 'local' | 'remote' | 'routingInstance' | 'multihop'>;

function peerConfig(ends: Ends, liveness: LivenessConfig): BfdPeerConfig {
  const { minimumIntervalMs, minimumReceiveIntervalMs, multiplier, authentication } = liveness;
  return {
    ...ends,
    minimumTtl: ends.multihop ? 1 : bfdTtl,
    minimumTransmitMs: minimumIntervalMs,
    minimumReceiveMs: minimumReceiveIntervalMs,
    multiplier,
    auth:
      authentication === null
        ? null
        : {
            isMeticulous: authentication.algorithm === 'meticulous-keyed-sha-1',
            keyId: authentication.keyId,
            key: authentication.key,
          },
  };
}

/** With the sessions that this configuration wants, and no others; those that stay go on. */
export function configureBfd(state: NodeState, config: Config, nowMs: number): Stepped {
  return settle(state, [...bfdSessions(config), ...state.bfdAsked.values()], nowMs);
}

/** Someone wants a session that no configuration names, or (null) wants it no more. */
export function askForBfd(
  state: NodeState,
  name: string,
  want: Omit<BfdWant, 'name'> | null,
  nowMs: number,
): Stepped {
  const bfdAsked = new Map(state.bfdAsked);
  if (want === null) bfdAsked.delete(name);
  else bfdAsked.set(name, { name, ...want });
  const configured = state.config === null ? [] : bfdSessions(state.config);
  return settle({ ...state, bfdAsked }, [...configured, ...bfdAsked.values()], nowMs);
}

/** What is told of a session that is open. */
type SessionCommand = Exclude<BfdCommand, { kind: 'open' }>;

const endsOf = ({ routingInstance, local, remote, multihop }: BfdPeerConfig) =>
  `${routingInstance} ${local} ${remote}${multihop ? ' multihop' : ''}`;

function settle(before: NodeState, wants: readonly BfdWant[], nowMs: number): Stepped {
  let state = before;
  const peers = new Map<string, BfdPeer>();
  const commands: BfdCommand[] = [];
  const changes: BfdChange[] = [];
  const wanted = new Map(
    [...groupBy(wants, ({ peer }) => endsOf(peer))].map(([ends, list]) => [ends, merged(list)]),
  );
  for (const [ends, peer] of before.bfdPeers) {
    const next = wanted.get(ends);
    if (next !== undefined && isAsBefore(peer.peer, next.peer)) continue;
    // RFC 5880 §6.8.16: the other end hears that it was meant
    const last = act(peer, { kind: 'admin', up: false }, nowMs);
    commands.push(...last.commands, { kind: 'close', session: peer.number });
    if (next === undefined) continue;
    changes.push(...tellingOf(before, ends, false, 'administratively down'));
  }
  for (const [ends, { peer, clients }] of wanted) {
    const was = before.bfdPeers.get(ends);
    if (was !== undefined && isAsBefore(was.peer, peer)) {
      const kept = { ...was, peer, clients };
      const stepped = isTimedAs(was.peer, peer)
        ? { peer: kept, commands: [] }
        : act(kept, { kind: 'parameters', parameters: parametersOf(peer) }, nowMs);
      peers.set(ends, stepped.peer);
      commands.push(...stepped.commands);
      continue;
    }
    const opened = open(state, peers, ends, peer, clients, nowMs);
    state = { ...state, ticket: state.ticket + 1 };
    peers.set(ends, opened.peer);
    commands.push(...opened.commands);
  }
  const bfd = new Map(
    wants.map(({ name, client, peer }): [string, BfdUse] => {
      const ends = endsOf(peer);
      return [name, { client, peer: ends, up: peers.get(ends)!.session.state === 'Up' }];
    }),
  );
  const actions: NodeAction[] = [];
  if (commands.length > 0) actions.push({ kind: 'liveness', commands });
  if (changes.length > 0) actions.push({ kind: 'bfd-changed', changes });
  return { state: { ...state, bfd, bfdPeers: peers }, actions };
}

/** Several that share a session: the shorter intervals, and the multiplier that goes with the shortest. */
function merged(list: readonly BfdWant[]): {
  readonly peer: BfdPeerConfig;
  readonly clients: readonly string[];
} {
  const [first] = list as readonly [BfdWant, ...BfdWant[]];
  const fastest = list.reduce((best, want) =>
    want.peer.minimumReceiveMs * want.peer.multiplier < best.peer.minimumReceiveMs * best.peer.multiplier
      ? want
      : best,
  );
  return {
    peer: {
      ...first.peer,
      minimumTransmitMs: Math.min(...list.map(({ peer }) => peer.minimumTransmitMs)),
      minimumReceiveMs: Math.min(...list.map(({ peer }) => peer.minimumReceiveMs)),
      multiplier: fastest.peer.multiplier,
      auth: list.find(({ peer }) => peer.auth !== null)?.peer.auth ?? null,
    },
    clients: [...new Set(list.map(({ client }) => client))],
  };
}

/** What a session cannot change while it lives. */
function isAsBefore(a: BfdPeerConfig, b: BfdPeerConfig): boolean {
  if (a.minimumTtl !== b.minimumTtl || (a.auth === null) !== (b.auth === null)) return false;
  if (a.auth === null || b.auth === null) return true;
  return (
    a.auth.isMeticulous === b.auth.isMeticulous &&
    a.auth.keyId === b.auth.keyId &&
    a.auth.key.equals(b.auth.key)
  );
}

const isTimedAs = (a: BfdPeerConfig, b: BfdPeerConfig) =>
  a.minimumTransmitMs === b.minimumTransmitMs &&
  a.minimumReceiveMs === b.minimumReceiveMs &&
  a.multiplier === b.multiplier;

const parametersOf = ({ minimumTransmitMs, minimumReceiveMs, multiplier }: BfdPeerConfig) => ({
  desiredMinTxUs: minimumTransmitMs * 1000,
  requiredMinRxUs: minimumReceiveMs * 1000,
  detectMultiplier: multiplier,
});

function open(
  state: NodeState,
  others: ReadonlyMap<string, BfdPeer>,
  ends: string,
  peer: BfdPeerConfig,
  clients: readonly string[],
  nowMs: number,
): { readonly peer: BfdPeer; readonly commands: readonly BfdCommand[] } {
  const { ticket, setup, config } = state;
  const draw = (what: string) =>
    createHash('sha256')
      .update(`${setup.seed ?? 0} ${config?.system.hostName} ${ends} ${ticket} ${what}`)
      .digest()
      .readUInt32BE(0);
  const taken = new Set(
    [...others.values(), ...state.bfdPeers.values()].map(({ session }) => session.settings.discriminator),
  );
  let discriminator = draw('discriminator');
  while (discriminator === 0 || taken.has(discriminator)) discriminator = (discriminator + 1) >>> 0;
  const firstSequence = draw('sequence');
  const { auth, local, remote, routingInstance, multihop, minimumTtl } = peer;
  const begun = beginBfd({
    ...parametersOf(peer),
    discriminator,
    auth: auth === null ? null : { ...auth, key: auth.key.reveal() },
    firstSequence,
  });
  const opened: BfdPeer = { number: ticket, peer, clients, session: begun.session, sinceMs: nowMs };
  return {
    peer: opened,
    commands: [
      {
        kind: 'open',
        session: ticket,
        local: local.bytes,
        remote: remote.bytes,
        routingInstance: state.numberings.routingInstances.of(routingInstance),
        multihop,
        minimumTtl,
        // RFC 5881 §4: from 49152 on, of each session its own
        sourcePort: 49_152 + (discriminator % 16_384),
        discriminator,
        seed: draw('jitter'),
        auth: auth === null ? null : { ...auth, firstSequence },
      },
      ...commandsOf(ticket, begun.actions),
    ],
  };
}

/** A session's step, and what the native core has to be told of it. */
function act(
  before: BfdPeer,
  event: BfdEvent,
  nowMs: number,
): { readonly peer: BfdPeer; readonly commands: readonly SessionCommand[]; readonly diagnostic: string } {
  const { session, actions } = stepBfd(before.session, event);
  const sinceMs = session.state === before.session.state ? before.sinceMs : nowMs;
  return {
    peer: { ...before, session, sinceMs },
    commands: commandsOf(before.number, actions),
    diagnostic: session.diagnostic,
  };
}

function commandsOf(session: number, actions: readonly BfdAction[]): SessionCommand[] {
  return actions.flatMap((action): SessionCommand[] => {
    switch (action.kind) {
      case 'transmit':
        return [
          { kind: 'transmit', session, packet: encodeBfd(action.packet), intervalUs: action.intervalUs },
        ];
      case 'send':
        return [{ kind: 'send', session, packet: encodeBfd(action.packet) }];
      case 'expect':
        return [{ kind: 'expect', session, detectionUs: action.detectionUs }];
      default:
        return [];
    }
  });
}

/** The native core heard something new, or (null) nothing for too long. */
export function livenessTold(
  state: NodeState,
  told: readonly { readonly session: number; readonly packet: Bytes | null }[],
  nowMs: number,
): Stepped {
  const endsOfNumber = new Map([...state.bfdPeers].map(([ends, { number }]) => [number, ends]));
  const peers = new Map(state.bfdPeers);
  const commands: SessionCommand[] = [];
  const changed = new Map<string, string>();
  for (const { session: number, packet } of told) {
    const ends = endsOfNumber.get(number);
    if (ends === undefined) continue;
    const event = eventOf(packet);
    if (event === null) continue;
    const before = peers.get(ends)!;
    const stepped = act(before, event, nowMs);
    peers.set(ends, stepped.peer);
    commands.push(...stepped.commands);
    if (stepped.peer.session.state !== before.session.state) changed.set(ends, stepped.diagnostic);
  }
  const bfd = new Map(state.bfd);
  const changes: BfdChange[] = [];
  const reports: NodeAction[] = [];
  for (const [ends, diagnostic] of changed) {
    const up = peers.get(ends)!.session.state === 'Up';
    const mine = tellingOf(state, ends, up, diagnostic);
    for (const { session } of mine) bfd.set(session, { ...bfd.get(session)!, up });
    if (mine.length === 0) continue;
    changes.push(...mine);
    const { peer } = peers.get(ends)!;
    const address = String(peer.remote);
    reports.push({ kind: 'report', report: { kind: 'bfd', address, up, diagnostic } });
  }
  const actions: NodeAction[] = [];
  if (commands.length > 0) actions.push({ kind: 'liveness', commands });
  actions.push(...reports);
  if (changes.length > 0) actions.push({ kind: 'bfd-changed', changes });
  return { state: { ...state, bfd, bfdPeers: peers }, actions };
}

function eventOf(packet: Bytes | null): BfdEvent | null {
  if (packet === null) return { kind: 'silent' };
  const decoded = decodeBfd(packet);
  return decoded.ok ? { kind: 'received', packet: decoded.value } : null;
}

/** Who is told: all that named the session and think otherwise. */
function tellingOf(state: NodeState, ends: string, up: boolean, diagnostic: string): BfdChange[] {
  return [...state.bfd].flatMap(([session, use]) =>
    use.peer === ends && use.up !== up ? [{ session, up, diagnostic }] : [],
  );
}

/** The node ends: its neighbours hear it now, instead of after the detection time. */
export function stopBfd(state: NodeState, nowMs: number): Stepped {
  const peers = new Map(state.bfdPeers);
  const commands: SessionCommand[] = [];
  for (const [ends, peer] of peers) {
    const stepped = act(peer, { kind: 'admin', up: false }, nowMs);
    peers.set(ends, stepped.peer);
    commands.push(...stepped.commands);
  }
  const actions: NodeAction[] = commands.length === 0 ? [] : [{ kind: 'liveness', commands }];
  return { state: { ...state, bfdPeers: peers }, actions };
}

/** The interface that a single-hop session runs on, null: multihop, or its neighbour is on none. */
export function bfdInterface(state: NodeState, { peer }: BfdPeer): string | null {
  if (peer.multihop) return null;
  return adjacencies(state.routes)(peer.routingInstance, peer.remote)?.interface ?? null;
}
