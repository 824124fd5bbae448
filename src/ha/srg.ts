/**
 * Activeness of a services redundancy group, as a pure step: what is known now leads from one status to the next.
 *
 *   INIT ──ready──▶ HOLD ──the peer says what it is, or the ICL stays down and the probe decides──▶ ACTIVE or BACKUP
 *   any ──a monitor fails──▶ INELIGIBLE ──it clears──▶ BACKUP (the peer is ACTIVE) or HOLD
 *
 * Nobody becomes ACTIVE beside a peer that it hears until the peer has said, knowing of it, that it is not. For that each
 * hello has a number and says which of the other's it has heard. So a node that is HOLD or BACKUP since its hello n, or that
 * asked for the group in hello n, goes by what has heard n; what was under way before does not count.
 */
import type { ColdSyncStatus, FailureCode, SrgHello, SrgStatus } from '../model/high-availability.js';

/** What of the configuration decides. */
export interface SrgPolicy {
  readonly id: number;
  /** this node's; of equal priorities the lower is active */
  readonly nodeId: number;
  readonly priority: number;
  readonly preempt: boolean;
  /**
   * What the probe means while the ICL is down. routing: the answer came back here, so the network leads here: active. The
   * others: nobody answers, so nobody has the virtual address: take it. The two are opposites.
   */
  readonly activeWhen: 'answered' | 'unanswered';
  /** false: without the ICL the peer counts as gone */
  readonly hasProbe: boolean;
  /** something else decides, see SrgInput.told */
  readonly listens: boolean;
  /** how long HOLD waits for the ICL, and BACKUP for somebody to become ACTIVE */
  readonly holdMs: number;
}

/** What the peer said last, since the ICL is up. */
export interface PeerSrg extends SrgHello {
  readonly nodeId: number;
  readonly generation: number;
  /** it has all our state */
  readonly coldSync: ColdSyncStatus;
  /** number of the last hello of ours that it had heard, 0: none of this run */
  readonly heard: number;
}

/** What is known now. */
export interface SrgInput {
  /** configuration and data plane are there */
  readonly ready: boolean;
  readonly iclUp: boolean;
  /** null: nothing heard since the ICL is up */
  readonly peer: PeerSrg | null;
  /** of the monitor; empty: healthy */
  readonly failures: readonly FailureCode[];
  readonly probe: 'unknown' | 'answered' | 'unanswered';
  /** we have all of the peer's state */
  readonly coldSync: ColdSyncStatus;
  /** the node's routes are there: preempting before that would black-hole what comes */
  readonly routingReady: boolean;
  /** of a group that listens; null: not told yet */
  readonly told: 'active' | 'backup' | null;
  /** of the hello that will say what is decided now */
  readonly nextSequence: number;
}

export interface SrgState {
  readonly status: SrgStatus;
  readonly sinceMs: number;
  /** why, for people */
  readonly reason: string;
  /** number of the hello that said so first */
  readonly saidSequence: number;
  /** HOLD: until the probe decides; BACKUP: until a group without an ACTIVE node is elected anew. Infinity: not running */
  readonly untilMs: number;
  /** sequence: number of the hello that said so first */
  readonly request: (NonNullable<SrgHello['request']> & { readonly sequence: number }) | null;
  /** how many requests there have been */
  readonly requests: number;
  /** of the peer's requests, the last taken up */
  readonly handled: { readonly generation: number; readonly number: number };
  /** given up by an operator: it does not preempt by itself */
  readonly yielded: boolean;
  /** BACKUP: the run of the peer that was ACTIVE, and whether we had its state */
  readonly follows: { readonly generation: number; readonly synced: boolean } | null;
}

/** What happened, in order. */
export interface SrgChange {
  readonly from: SrgStatus;
  readonly to: SrgStatus;
  readonly reason: string;
}

export interface SteppedSrg {
  readonly state: SrgState;
  readonly changes: readonly SrgChange[];
}

export const initialSrg: SrgState = {
  status: 'INIT',
  sinceMs: 0,
  reason: 'started',
  saidSequence: 0,
  untilMs: Infinity,
  request: null,
  requests: 0,
  handled: { generation: 0, number: 0 },
  yielded: false,
  follows: null,
};

interface Next {
  readonly to: SrgStatus;
  readonly reason: string;
  /** a hand-over that the peer asked for, by its number */
  readonly handles?: number;
  readonly yields?: boolean;
}

/** More than this never follow from one another: INIT, HOLD, BACKUP or ACTIVE. */
const mostChanges = 4;

export function stepSrg(before: SrgState, policy: SrgPolicy, input: SrgInput, nowMs: number): SteppedSrg {
  let state = tracked(before, policy, input, nowMs);
  const changes: SrgChange[] = [];
  for (let i = 0; i < mostChanges; i++) {
    const next = decide(state, policy, input, nowMs);
    if (next === null) break;
    changes.push({ from: state.status, to: next.to, reason: next.reason });
    state = tracked(entered(state, policy, next, input, nowMs), policy, input, nowMs);
  }
  return { state, changes };
}

/** When the state changes by itself; Infinity: never. */
export function srgDeadline({ status, untilMs }: SrgState, { iclUp }: Pick<SrgInput, 'iclUp'>): number {
  // with the ICL up it is the peer's word that HOLD waits for
  return status === 'HOLD' && iclUp ? Infinity : untilMs;
}

/** Whether the probe is to be asked now. */
export function wantsProbe(
  { status }: SrgState,
  policy: SrgPolicy,
  { iclUp }: Pick<SrgInput, 'iclUp'>,
): boolean {
  return policy.hasProbe && !policy.listens && !iclUp && status !== 'INIT' && status !== 'INELIGIBLE';
}

export type SrgCommand =
  /** the peer is to be ACTIVE */
  | 'failover'
  /** whoever has the higher priority is to be ACTIVE */
  | 'failback';

/** An operator's word, or that of a monitored event. refused: why nothing comes of it. */
export function commandSrg(
  state: SrgState,
  policy: SrgPolicy,
  input: SrgInput,
  command: SrgCommand,
  options: { readonly force: boolean },
  nowMs: number,
): SteppedSrg & { readonly refused: string | null } {
  const refuse = (refused: string) => ({ state, changes: [], refused });
  const { peer } = input;
  if (policy.listens) return refuse('its ha-group decides; tell that');
  if (state.status !== 'ACTIVE' && state.status !== 'BACKUP') return refuse(`it is ${state.status} here`);
  if (peer === null) return refuse('the peer is not heard over the ICL');
  const wanted = command === 'failover' ? 'peer' : beats(policy, peer) ? 'here' : 'peer';
  if (wanted === (state.status === 'ACTIVE' ? 'here' : 'peer')) {
    // also an end of what an operator's failover began
    const settled = command === 'failback' ? { ...state, yielded: false } : state;
    if (command === 'failback') return { state: settled, changes: [], refused: null };
    return refuse(`node ${peer.nodeId} is to be ACTIVE, and this one is ${state.status} already`);
  }
  if (wanted === 'here') {
    if (input.coldSync !== 'COMPLETE' && !options.force)
      return refuse(`cold sync is ${input.coldSync}: sessions would be lost (force does it nevertheless)`);
    const asked = withRequest({ ...state, yielded: false }, 'ACTIVE', input);
    return { ...stepSrg(asked, policy, input, nowMs), refused: null };
  }
  if (peer.status !== 'BACKUP' || !peer.healthy)
    return refuse(`node ${peer.nodeId} is ${peer.status} and cannot take it`);
  if (peer.coldSync !== 'COMPLETE' && !options.force)
    return refuse(
      `node ${peer.nodeId} is not in sync (${peer.coldSync}): sessions would be lost (force does it nevertheless)`,
    );
  const next: Next = { to: 'BACKUP', reason: command, yields: beats(policy, peer) };
  const given = withRequest(entered(state, policy, next, input, nowMs), 'BACKUP', input);
  return {
    state: given,
    changes: [{ from: state.status, to: 'BACKUP', reason: command }],
    refused: null,
  };
}

function withRequest(state: SrgState, status: 'ACTIVE' | 'BACKUP', { nextSequence }: SrgInput): SrgState {
  const number = state.requests + 1;
  return { ...state, requests: number, request: { number, status, sequence: nextSequence } };
}

/** Higher priority; of equal ones the lower node-id. */
function beats({ priority, nodeId }: SrgPolicy, peer: PeerSrg): boolean {
  return priority === peer.priority ? nodeId < peer.nodeId : priority > peer.priority;
}

const rank = ({ priority }: SrgPolicy, peer: PeerSrg, nodeId: number) =>
  priority === peer.priority
    ? `equal priority, node ${Math.min(nodeId, peer.nodeId)} is the lower`
    : `priority ${priority} against the peer's ${peer.priority}`;

/** Rows as in the table of docs/pair.md; null: it stays as it is. */
function decide(state: SrgState, policy: SrgPolicy, input: SrgInput, nowMs: number): Next | null {
  const { status } = state;
  if (!input.ready) return status === 'INIT' ? null : { to: 'INIT', reason: 'not ready' };
  if (input.failures.length > 0) {
    // 7, and 9: also when the peer is INELIGIBLE, too; nobody is active then
    const codes = input.failures.join(' ');
    return status === 'INELIGIBLE' ? null : { to: 'INELIGIBLE', reason: `monitor failed: ${codes}` };
  }
  if (policy.listens) return listening(status, input);
  switch (status) {
    case 'INIT':
      return { to: 'HOLD', reason: 'ready' }; // 1
    case 'HOLD':
      return hold(state, policy, input, nowMs);
    case 'INELIGIBLE':
      return input.peer?.status === 'ACTIVE'
        ? { to: 'BACKUP', reason: 'monitor clear, the peer is ACTIVE' } // 10
        : { to: 'HOLD', reason: 'monitor clear' }; // 11
    case 'ACTIVE':
      return active(state, policy, input);
    case 'BACKUP':
      return backup(state, policy, input, nowMs);
  }
}

function listening(status: SrgStatus, { told }: SrgInput): Next | null {
  const to = told === null ? 'HOLD' : told === 'active' ? 'ACTIVE' : 'BACKUP';
  return status === to
    ? null
    : { to, reason: told === null ? 'ha-group not told yet' : `ha-group is ${told}` };
}

function hold(state: SrgState, policy: SrgPolicy, input: SrgInput, nowMs: number): Next | null {
  const { peer } = input;
  const expired = nowMs >= state.untilMs;
  if (!input.iclUp) return expired ? probed(state, policy, input) : null; // 6
  if (peer === null) return null;
  if (peer.status === 'ACTIVE') return { to: 'BACKUP', reason: 'the peer is ACTIVE' }; // 2
  if (peer.heard < state.saidSequence) return null;
  const reason = rank(policy, peer, policy.nodeId);
  if (peer.status === 'INELIGIBLE') return { to: 'ACTIVE', reason: 'the peer is INELIGIBLE' };
  if (beats(policy, peer)) return { to: 'ACTIVE', reason }; // 3, 5
  if (peer.status === 'HOLD') return { to: 'BACKUP', reason }; // 4, 5
  // a peer that never gets ready keeps nobody from being active
  return peer.status === 'INIT' && expired ? { to: 'ACTIVE', reason: 'the peer does not get ready' } : null;
}

/** 15: what the probe says while the ICL is down. Who is ACTIVE stays so: alone it has to, and the network leads to one of two. */
function probed(state: SrgState, policy: SrgPolicy, { probe }: SrgInput): Next | null {
  if (!policy.hasProbe) return { to: 'ACTIVE', reason: 'ICL down, no probe' };
  if (probe === 'unknown') return null;
  const reason = `ICL down, probe ${probe}`;
  if (probe === policy.activeWhen) return { to: 'ACTIVE', reason };
  return state.status === 'HOLD' ? { to: 'BACKUP', reason } : null;
}

function active(state: SrgState, policy: SrgPolicy, { peer }: SrgInput): Next | null {
  if (peer === null) return null;
  if (peer.status === 'ACTIVE') {
    // 16: contact after a split
    return beats(policy, peer)
      ? null
      : { to: 'BACKUP', reason: `both ACTIVE, ${rank(policy, peer, policy.nodeId)}` };
  }
  const asked = newRequest(state, peer);
  if (asked?.status !== 'ACTIVE' || peer.status !== 'BACKUP' || !peer.healthy) return null;
  return {
    to: 'BACKUP',
    reason: 'the peer asked for it',
    handles: asked.number,
    yields: beats(policy, peer),
  };
}

function backup(state: SrgState, policy: SrgPolicy, input: SrgInput, nowMs: number): Next | null {
  const { peer } = input;
  if (!input.iclUp) return probed(state, policy, input); // 15
  if (peer === null) return null;
  const waited = nowMs >= state.untilMs ? ({ to: 'HOLD', reason: 'nobody is ACTIVE' } as const) : null;
  const { follows } = state;
  // it cannot be ACTIVE again before it has heard of this node, and then it hears that
  if (follows?.synced === true && peer.generation !== follows.generation && isStarting(peer))
    return { to: 'ACTIVE', reason: 'the peer started anew, its state is here' }; // 18
  // what it said before it knew that this node is BACKUP does not count
  if (peer.heard < state.saidSequence) return waited;
  switch (peer.status) {
    case 'ACTIVE':
      return null; // 12 asks, see tracked(); 13
    case 'INELIGIBLE':
      return { to: 'ACTIVE', reason: 'the peer is INELIGIBLE' }; // 8
    case 'BACKUP': {
      const asked = newRequest(state, peer);
      if (asked?.status === 'BACKUP')
        return { to: 'ACTIVE', reason: 'the peer handed it over', handles: asked.number }; // 14
      const { request } = state;
      if (request?.status === 'ACTIVE' && peer.heard >= request.sequence)
        return { to: 'ACTIVE', reason: `taken over, ${rank(policy, peer, policy.nodeId)}` }; // 12
      break;
    }
    case 'HOLD':
      // it cannot become ACTIVE against the better one, so nobody else will
      if (beats(policy, peer)) return { to: 'ACTIVE', reason: rank(policy, peer, policy.nodeId) }; // 18
  }
  return waited;
}

const isStarting = ({ status }: PeerSrg) => status === 'INIT' || status === 'HOLD';

function newRequest({ handled }: SrgState, { request, generation }: PeerSrg): SrgHello['request'] {
  const last = handled.generation === generation ? handled.number : 0;
  return request !== null && request.number > last ? request : null;
}

function entered(
  state: SrgState,
  { holdMs }: SrgPolicy,
  next: Next,
  input: SrgInput,
  nowMs: number,
): SrgState {
  const { peer, nextSequence } = input;
  const handled =
    next.handles === undefined || peer === null
      ? state.handled
      : { generation: peer.generation, number: next.handles };
  return {
    ...state,
    status: next.to,
    sinceMs: nowMs,
    reason: next.reason,
    saidSequence: nextSequence,
    untilMs: next.to === 'HOLD' ? nowMs + holdMs : Infinity,
    request: null,
    handled,
    yielded: next.to === 'ACTIVE' ? false : (next.yields ?? state.yielded),
    follows: next.to === 'BACKUP' ? state.follows : null,
  };
}

/** What a status remembers of its input: whom a BACKUP follows, how long nobody is ACTIVE, what it asks for. */
function tracked(state: SrgState, policy: SrgPolicy, input: SrgInput, nowMs: number): SrgState {
  if (state.status !== 'BACKUP' || policy.listens) return state;
  const { peer } = input;
  if (!input.iclUp || peer === null) {
    return state.request === null && state.untilMs === Infinity
      ? state
      : { ...state, request: null, untilMs: Infinity };
  }
  const isActive = peer.status === 'ACTIVE';
  const untilMs = isActive ? Infinity : Math.min(state.untilMs, nowMs + policy.holdMs);
  const synced = input.coldSync === 'COMPLETE';
  const follows =
    isActive && (state.follows?.generation !== peer.generation || state.follows.synced !== synced)
      ? { generation: peer.generation, synced }
      : state.follows;
  const same = untilMs === state.untilMs && follows === state.follows;
  const next = same ? state : { ...state, untilMs, follows };
  return asking(next, policy, input, peer);
}

/** 12: a preemption asks first; what keeps it from that takes the request back. An operator's handing over ends once it is taken. */
function asking(state: SrgState, policy: SrgPolicy, input: SrgInput, peer: PeerSrg): SrgState {
  const { request } = state;
  if (request?.status === 'BACKUP') return peer.status === 'ACTIVE' ? { ...state, request: null } : state;
  const may = input.coldSync === 'COMPLETE' && input.routingReady;
  const wants = policy.preempt && !state.yielded && policy.priority > peer.priority && may;
  if (request === null) {
    return wants && peer.status === 'ACTIVE' ? withRequest(state, 'ACTIVE', input) : state;
  }
  return state;
}
