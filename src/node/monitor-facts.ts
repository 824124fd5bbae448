/** What is known of what the groups of a pair watch. Pure. */
import type { SrgConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import type { MonitorFacts } from '../ha/monitor.js';
import type { SrgInput } from '../ha/srg.js';
import { monitorSession, probeSession } from './bfd.js';
import { monitorEcho, probeEcho } from './echoes.js';
import type { NodeState } from './state.js';

/** A session that never came up yet, and need not have. */
function isAwaited({ bfd, bfdPeers }: NodeState, name: string, nowMs: number): boolean {
  return nowMs < awaitedUntil({ bfd, bfdPeers }, name);
}

function awaitedUntil({ bfd, bfdPeers }: Pick<NodeState, 'bfd' | 'bfdPeers'>, name: string): number {
  const peer = bfdPeers.get(bfd.get(name)?.peer ?? '');
  return peer === undefined || peer.session.ups > 0 ? -Infinity : peer.sinceMs + tuning.pair.graceMs;
}

export function monitorFacts(state: NodeState, nowMs: number): MonitorFacts {
  const { setup, closedPorts, redundancy, bfd } = state;
  return {
    interfaceUp: (name) => setup.ports.has(name) && !closedPorts.has(name),
    ipUp: (target) => redundancy?.echoes.get(monitorEcho(target))?.echo.verdict !== 'unanswered',
    bfdUp: (target) => {
      const name = monitorSession(target.destination);
      return bfd.get(name)?.up === true || isAwaited(state, name, nowMs);
    },
  };
}

const sessionsOf = ({ id, monitor, activenessProbe }: SrgConfig): string[] => [
  ...monitor.objects.flatMap(({ bfdLiveliness }) =>
    (bfdLiveliness?.members ?? []).map(({ destination }) => monitorSession(destination)),
  ),
  ...(activenessProbe?.kind === 'bfd' ? [probeSession(id)] : []),
];

/** When a session that is awaited counts as down; Infinity: none is. */
export function awaitedDeadline(state: NodeState, nowMs: number): number {
  const all = state.redundancy?.config.groups.flatMap(sessionsOf) ?? [];
  const times = all.map((name) => awaitedUntil(state, name)).filter((at) => at > nowMs);
  return Math.min(Infinity, ...times);
}

/** Whether a group may start: what it watches has come up, or had its time to. */
export function isWatched(state: NodeState, group: SrgConfig, nowMs: number): boolean {
  return sessionsOf(group).every(
    (name) => state.bfd.get(name)?.up === true || !isAwaited(state, name, nowMs),
  );
}

export function probeVerdict(state: NodeState, group: SrgConfig, nowMs: number): SrgInput['probe'] {
  const { id, activenessProbe } = group;
  if (activenessProbe?.kind !== 'bfd')
    return state.redundancy?.echoes.get(probeEcho(id))?.echo.verdict ?? 'unknown';
  const name = probeSession(id);
  if (state.bfd.get(name)?.up === true) return 'answered';
  return isAwaited(state, name, nowMs) ? 'unknown' : 'unanswered';
}
