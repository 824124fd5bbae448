/**
 * The services redundancy groups of a node. After every event what is known now (liveness, monitors, probes, hellos) goes
 * through `ha/srg.ts`; what follows from a change of status is done by the hooks below, and the peer is told.
 */
import type { HighAvailabilityConfig, SrgConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import { judgeMonitor, type MonitorFacts, type MonitorVerdict } from '../ha/monitor.js';
import {
  commandSrg,
  initialSrg,
  type PeerSrg,
  type SrgChange,
  type SrgCommand,
  type SrgInput,
  type SrgPolicy,
  type SrgState,
  srgDeadline,
  stepSrg,
} from '../ha/srg.js';
import type { SrgHello, SrgHellos, SrgStatus } from '../model/high-availability.js';
import { type EchoRun, echoesDeadline, stepEchoes } from './echoes.js';
import type { NodeAction } from './event.js';
import { interfaceScheme } from './interface-scheme.js';
import { awaitedDeadline, isWatched, monitorFacts, probeVerdict } from './monitor-facts.js';
import type { Stepped } from './services.js';
import { announceAddresses, followStatus, settleRoutes } from './srg-effects.js';
import { type NodeState, withDirty } from './state.js';

export interface SrgNode {
  readonly id: number;
  readonly status: SrgStatus;
  readonly sinceMs: number;
  /** why, for people */
  readonly reason: string;
  /** of SRG0 what it was made with: there is nothing to decide */
  readonly machine: SrgState;
  readonly verdict: MonitorVerdict;
  /** what the peer said last since the ICL is up; null: nothing */
  readonly peer: PeerSrg | null;
  readonly probe: SrgInput['probe'];
}

/** A virtual address that stations on its link are to hear of. */
export interface Announced {
  readonly group: number;
  /** of the group's virtual-ips */
  readonly index: number;
  /** how many times more */
  readonly rounds: number;
  readonly atMs: number;
}

/** What the groups of a pair share. */
export interface RedundancyState {
  /** that all this is of */
  readonly config: HighAvailabilityConfig;
  /** of the last hello that was sent */
  readonly sequence: number;
  readonly helloDueMs: number;
  /** what it said of the groups */
  readonly said: readonly SrgHello[];
  /** last hello of the peer that was heard, also before the ICL went down */
  readonly heard: SrgHellos['heard'];
  /** since the ICL is up */
  readonly peer: SrgHellos | null;
  readonly iclUp: boolean;
  readonly echoes: ReadonlyMap<string, EchoRun>;
  /** by ha-group: what VRRP says */
  readonly told: ReadonlyMap<string, 'active' | 'backup'>;
  /** since when all routes are there; Infinity: they are not */
  readonly routingSinceMs: number;
  readonly announcing: readonly Announced[];
  /** when something is so that only the time decides; Infinity: nothing waits for that */
  readonly waitsUntilMs: number;
}

/** After a change of status, in order; one line for whoever has something to do. */
export type SrgHook = (
  state: NodeState,
  change: SrgChange & { readonly id: number },
  nowMs: number,
) => Stepped;
const hooks: readonly SrgHook[] = [followStatus];

/** Monotonic for what `generation` names: a start of the node. */
const generationOf = ({ setup }: NodeState) => setup.generation ?? 1;

/** To be called after every event: a node of no pair is as it was. */
export function settleGroups({ state: before, actions }: Stepped, nowMs: number): Stepped {
  const config = before.config?.highAvailability ?? null;
  if (config === null) return { state: withoutPair(before), actions };
  const echoed = stepEchoes(withLiveness(begun(before, config, nowMs), nowMs), nowMs);
  let state = withRouting(echoed.state, nowMs);
  const done: NodeAction[] = [...actions, ...echoed.actions];
  const facts = monitorFacts(state, nowMs);
  for (const group of config.groups) {
    const stepped = settleGroup(state, group, facts, nowMs);
    state = stepped.state;
    done.push(...stepped.actions);
  }
  const announced = announceAddresses(settleRoutes(state, nowMs), nowMs);
  done.push(...announced.actions);
  const told = tellPeer(withWait(announced.state, nowMs), nowMs);
  return { state: told.state, actions: [...done, ...told.actions] };
}

function withoutPair(state: NodeState): NodeState {
  if (state.redundancy === null) return state;
  return withDirty(settleRoutes({ ...state, redundancy: null, srgs: new Map() }, 0), 'interfaces', 'spis');
}

/** With what is kept of the pair, for this configuration. */
function begun(state: NodeState, config: HighAvailabilityConfig, nowMs: number): NodeState {
  const { redundancy: pair } = state;
  if (pair?.config === config) return state;
  if (pair === null) {
    const fresh: RedundancyState = {
      config,
      sequence: 0,
      helloDueMs: nowMs,
      said: [],
      heard: { generation: 0, sequence: 0 },
      peer: null,
      iclUp: false,
      echoes: new Map(),
      told: new Map(),
      routingSinceMs: Infinity,
      announcing: [],
      waitsUntilMs: Infinity,
    };
    return { ...state, redundancy: fresh };
  }
  const groups = new Set(config.groups.map(({ id }) => id));
  const srgs = new Map([...state.srgs].filter(([id]) => groups.has(id)));
  const same = pair.config.peer.id === config.peer.id;
  return {
    ...state,
    srgs,
    redundancy: { ...pair, config, announcing: [], ...(same ? {} : { peer: null }) },
  };
}

const changed = (state: NodeState, change: Partial<RedundancyState>): NodeState => ({
  ...state,
  redundancy: { ...state.redundancy!, ...change },
});

function withLiveness(state: NodeState, nowMs: number): NodeState {
  const iclUp = state.bfd.get('icl')?.up === true;
  if (iclUp === state.redundancy!.iclUp) return state;
  // what was said before the split counts no more; and the peer hears at once where this node stands
  const { heard, helloDueMs } = state.redundancy!;
  return changed(state, {
    iclUp,
    peer: null,
    // a clock that was set back may have numbered its next start lower: nothing old is under way any more
    heard: iclUp ? heard : { generation: 0, sequence: 0 },
    helloDueMs: iclUp ? nowMs : helloDueMs,
  });
}

/** When the time alone changes what is known. */
function withWait(state: NodeState, nowMs: number): NodeState {
  const pair = state.redundancy!;
  const routingMs = pair.routingSinceMs + tuning.pair.routingSettleMs;
  const waitsUntilMs = Math.min(awaitedDeadline(state, nowMs), routingMs > nowMs ? routingMs : Infinity);
  return waitsUntilMs === pair.waitsUntilMs ? state : changed(state, { waitsUntilMs });
}

/** A preemption that came before its routes would black-hole what follows it. */
function withRouting(state: NodeState, nowMs: number): NodeState {
  const { config, setup, closedPorts, bfd, redundancy: pair } = state;
  const ready =
    config!.ports.every(({ name }) => setup.ports.has(name) && !closedPorts.has(name)) &&
    [...bfd.values()].every(({ up, client }) => up || client !== 'Static');
  if (ready === Number.isFinite(pair!.routingSinceMs)) return state;
  return changed(state, { routingSinceMs: ready ? nowMs : Infinity });
}

function settleGroup(before: NodeState, group: SrgConfig, facts: MonitorFacts, nowMs: number): Stepped {
  const was = before.srgs.get(group.id);
  const verdict = judgeMonitor(group.monitor, facts);
  const input = inputOf(before, group, verdict, nowMs);
  const machine = was?.machine ?? { ...initialSrg, sinceMs: nowMs };
  const { state: next, changes } =
    group.id === 0
      ? alwaysActive(machine, nowMs)
      : stepSrg(machine, policyOf(before.redundancy!.config, group), input, nowMs);
  return entered(before, group, { machine: next, verdict, changes, input }, nowMs);
}

interface Settled {
  readonly machine: SrgState;
  readonly verdict: MonitorVerdict;
  readonly changes: readonly SrgChange[];
  readonly input: SrgInput;
}

/** What the group is from now on, and what follows from it. */
function entered(before: NodeState, { id }: SrgConfig, settled: Settled, nowMs: number): Stepped {
  const { machine, verdict, changes, input } = settled;
  const { status, sinceMs, reason } = machine;
  const { peer, probe } = input;
  const was = before.srgs.get(id);
  const node: SrgNode = { id, status, sinceMs, reason, machine, verdict, peer, probe };
  const same = was !== undefined && isSameNode(was, node);
  let state: NodeState = same ? before : { ...before, srgs: new Map(before.srgs).set(id, node) };
  if (was !== undefined && was.verdict.failed !== verdict.failed)
    state = withDirty(state, 'interfaces', 'routes');
  const actions: NodeAction[] = [];
  for (const change of changes) {
    actions.push({ kind: 'report', report: { kind: 'srg', id, ...change } });
    actions.push({ kind: 'srg-changed', id, from: change.from, to: change.to });
    for (const hook of hooks) {
      const stepped = hook(state, { id, ...change }, nowMs);
      state = stepped.state;
      actions.push(...stepped.actions);
    }
  }
  return { state, actions };
}

function isSameNode(a: SrgNode, b: SrgNode): boolean {
  return (
    a.machine === b.machine &&
    a.peer === b.peer &&
    a.probe === b.probe &&
    a.verdict.failed === b.verdict.failed &&
    a.verdict.weight === b.verdict.weight
  );
}

/** SRG0: ACTIVE on both nodes. */
function alwaysActive(machine: SrgState, nowMs: number): { state: SrgState; changes: readonly SrgChange[] } {
  const { status: from } = machine;
  if (from === 'ACTIVE') return { state: machine, changes: [] };
  const reason = 'on both nodes';
  return {
    state: { ...machine, status: 'ACTIVE', sinceMs: nowMs, reason },
    changes: [{ from, to: 'ACTIVE', reason }],
  };
}

export function policyOf({ localId, peer }: HighAvailabilityConfig, group: SrgConfig): SrgPolicy {
  const { minimumIntervalMs, multiplier } = peer.liveness;
  return {
    id: group.id,
    nodeId: localId,
    priority: group.activenessPriority,
    preempt: group.preemption,
    activeWhen: group.deploymentType === 'routing' ? 'answered' : 'unanswered',
    hasProbe: group.activenessProbe !== null,
    listens: group.haGroup !== null,
    holdMs: Math.max(tuning.pair.leastHoldMs, 2 * minimumIntervalMs * multiplier),
  };
}

export function inputOf(
  state: NodeState,
  group: SrgConfig,
  verdict: MonitorVerdict,
  nowMs: number,
): SrgInput {
  const pair = state.redundancy!;
  const { haGroup } = group;
  const haGroups = pair.config.haGroups;
  return {
    ready:
      state.srgs.has(group.id) && state.srgs.get(group.id)!.status !== 'INIT'
        ? true
        : isWatched(state, group, nowMs),
    iclUp: pair.iclUp,
    peer: peerOf(state, pair, group.id),
    failures: verdict.failures,
    probe: probeVerdict(state, group, nowMs),
    coldSync: state.coldSync,
    routingReady: nowMs >= pair.routingSinceMs + tuning.pair.routingSettleMs,
    told:
      haGroup === null
        ? null
        : (haGroups.find(({ name }) => name === haGroup)?.static ?? pair.told.get(haGroup) ?? null),
    nextSequence: pair.sequence + 1,
  };
}

/** The same object while the hello is, so that a group which hears nothing new does not change. */
const peers = new WeakMap<SrgHellos, Map<number, PeerSrg | null>>();

function peerOf(state: NodeState, { peer }: RedundancyState, id: number): PeerSrg | null {
  if (peer === null) return null;
  const known = peers.get(peer) ?? new Map<number, PeerSrg | null>();
  peers.set(peer, known);
  const before = known.get(id);
  if (before !== undefined) return before;
  const of = peer.groups.find((group) => group.id === id);
  const knowsUs = peer.heard.generation === generationOf(state);
  const found =
    of === undefined
      ? null
      : {
          ...of,
          nodeId: peer.nodeId,
          generation: peer.generation,
          coldSync: peer.coldSync,
          heard: knowsUs ? peer.heard.sequence : 0,
        };
  known.set(id, found);
  return found;
}

/** A hello came over the ICL. One that is late, or of a node that is not the peer, changes nothing. */
export function helloReceived(state: NodeState, hello: SrgHellos): Stepped {
  const { redundancy: pair } = state;
  if (pair === null || !pair.iclUp) return { state, actions: [] };
  const { heard, peer } = pair;
  if (hello.nodeId !== pair.config.peer.id) {
    const reason = `a hello of node ${hello.nodeId}, not of the peer ${pair.config.peer.id}`;
    return { state, actions: [{ kind: 'report', report: { kind: 'pair', message: reason } }] };
  }
  const isLate =
    hello.generation < heard.generation ||
    (hello.generation === heard.generation && hello.sequence <= heard.sequence);
  if (isLate) return { state, actions: [] };
  const { generation, sequence } = hello;
  const next = changed(state, { peer: hello, heard: { generation, sequence } });
  const scheme = interfaceScheme(state.config!);
  if (hello.interfaceScheme === scheme || peer?.interfaceScheme === hello.interfaceScheme)
    return { state: next, actions: [] };
  const message =
    'the interfaces, zones or routing instances of the two nodes differ: asymmetric flows are dropped';
  return { state: next, actions: [{ kind: 'report', report: { kind: 'pair', message } }] };
}

/** An operator's word, or that of a monitored event. refused: why nothing comes of it. */
export function commandGroup(
  state: NodeState,
  id: number,
  command: SrgCommand,
  force: boolean,
  nowMs: number,
): Stepped & { readonly refused: string | null } {
  const group = state.redundancy?.config.groups.find((each) => each.id === id);
  const node = state.srgs.get(id);
  const refuse = (refused: string) => ({ state, actions: [], refused });
  if (state.redundancy === null) return refuse('this node is of no pair');
  if (group === undefined || node === undefined) return refuse(`there is no services-redundancy-group ${id}`);
  if (id === 0) return refuse('services-redundancy-group 0 is active on both nodes');
  const input = inputOf(state, group, node.verdict, nowMs);
  const {
    state: machine,
    changes,
    refused,
  } = commandSrg(node.machine, policyOf(state.redundancy.config, group), input, command, { force }, nowMs);
  if (refused !== null) return refuse(refused);
  return {
    ...entered(state, group, { machine, verdict: node.verdict, changes, input }, nowMs),
    refused: null,
  };
}

/** VRRP says whether this node has the ha-group. */
export function haGroupTold(state: NodeState, name: string, told: 'active' | 'backup'): Stepped {
  if (state.redundancy === null || state.redundancy.told.get(name) === told) return { state, actions: [] };
  return { state: changed(state, { told: new Map(state.redundancy.told).set(name, told) }), actions: [] };
}

/** What the peer hears: at once when something is new, otherwise every so often. */
function tellPeer(state: NodeState, nowMs: number): Stepped {
  const pair = state.redundancy!;
  if (!pair.iclUp) return { state, actions: [] };
  const groups = pair.config.groups.filter(({ id }) => id > 0).map((group) => helloOf(state, group));
  const isNew = JSON.stringify(groups) !== JSON.stringify(pair.said);
  if (!isNew && nowMs < pair.helloDueMs) return { state, actions: [] };
  const sequence = pair.sequence + 1;
  const hello: SrgHellos = {
    nodeId: pair.config.localId,
    generation: generationOf(state),
    sequence,
    heard: pair.heard,
    coldSync: state.coldSync,
    interfaceScheme: interfaceScheme(state.config!),
    groups,
  };
  return {
    state: changed(state, { sequence, said: groups, helloDueMs: nowMs + tuning.pair.helloMs }),
    actions: [{ kind: 'srg-hello', hello }],
  };
}

function helloOf(
  { srgs }: NodeState,
  { id, activenessPriority: priority, preemption: preempt }: SrgConfig,
): SrgHello {
  const { status, machine, verdict } = srgs.get(id)!;
  const { request } = machine;
  return {
    id,
    status,
    priority,
    preempt,
    healthy: !verdict.failed,
    failures: verdict.failures,
    request: request === null ? null : { number: request.number, status: request.status },
  };
}

/** When time-passed is to be said at the latest. */
export function groupsDeadline(state: NodeState): number {
  const { redundancy: pair } = state;
  if (pair === null) return Infinity;
  let earliest = Math.min(echoesDeadline(pair.echoes), pair.iclUp ? pair.helloDueMs : Infinity);
  for (const { atMs } of pair.announcing) earliest = Math.min(earliest, atMs);
  for (const { machine } of state.srgs.values())
    earliest = Math.min(earliest, srgDeadline(machine, { iclUp: pair.iclUp }));
  return Math.min(earliest, pair.waitsUntilMs);
}
