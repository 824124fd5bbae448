/** `show chassis high-availability …`: the pair as this node sees it. */
import type { HighAvailabilityConfig, SignalRouteConfig, SrgConfig } from '../../config/config.js';
import { monitorSession, probeSession } from '../../node/bfd.js';
import { monitorEcho, probeEcho } from '../../node/echoes.js';
import { dataPlaneStatistics } from '../../node/icd.js';
import { interfaceScheme } from '../../node/interface-scheme.js';
import type { SrgNode } from '../../node/srg.js';
import type { NodeState } from '../../node/state.js';
import type { PairSyncView } from '../../node/sync.js';
import { counterIndex } from '../../pipeline/counters.js';
import type { NodeView } from './node-view.js';
import type {
  MonitorView,
  RedundancyGroupView,
  SignalRouteView,
  SynchronizationView,
  Views,
} from './views.js';

/** Throws Error on a node of no pair. */
function pairOf({ state }: NodeView): HighAvailabilityConfig {
  const pair = state.config?.highAvailability ?? null;
  if (pair === null) throw new Error('this node is of no pair; configure chassis high-availability');
  return pair;
}

export function showHighAvailability(
  node: NodeView,
  { level = 'brief' }: { level?: 'brief' | 'detail' | undefined },
): Views['high-availability'] {
  const pair = pairOf(node);
  const { state } = node;
  const { peer } = pair;
  const up = (name: string) => (state.bfd.get(name)?.up === true ? 'UP' : 'DOWN');
  const theirs = state.redundancy?.peer?.interfaceScheme;
  return {
    level,
    nodeStatus: 'ONLINE',
    localId: pair.localId,
    localIp: String(pair.localIp),
    localForwardingIp: peer.forwarding === null ? null : String(peer.forwarding.localIp),
    peer: {
      id: peer.id,
      ip: String(peer.ip),
      interface: peer.interface,
      routingInstance: peer.routingInstance,
      encrypted: peer.linkEncryption !== null,
      connState: up('icl'),
      detectionIntervalMs: peer.liveness.minimumIntervalMs,
      detectionMultiplier: peer.liveness.multiplier,
      coldSyncStatus: state.coldSync,
      interfaceScheme:
        theirs === undefined ? 'unknown' : theirs === interfaceScheme(state.config!) ? 'same' : 'different',
      forwarding:
        peer.forwarding === null
          ? null
          : {
              ip: String(peer.forwarding.peerIp),
              interface: peer.forwarding.interface,
              routingInstance: peer.forwarding.routingInstance,
              connState: up('icd'),
            },
    },
    groups: pair.groups.map((group) => groupView(node, pair, group)),
    synchronization: node.pair === null ? null : synchronization(node.pair),
  };
}

function synchronization(pair: PairSyncView): SynchronizationView {
  const { isConnected, peerColdSync, roundTripMs, differing, queued, underWay, link, exposure } = pair;
  const { said, saidBytes, overflows, copied, updated, closed, refused, swept } = pair.sessions;
  const { unknownNames, malformed, digests, mismatches } = pair.sessions;
  return {
    connected: isConnected,
    peerColdSyncStatus: peerColdSync,
    roundTripMs: roundTripMs === null ? null : Math.round(roundTripMs * 10) / 10,
    differing,
    queued,
    underWay,
    datagrams: {
      sent: link.sent,
      sentBytes: link.sentBytes,
      received: link.received,
      receivedBytes: link.receivedBytes,
      sentAgain: link.again,
      dropped: { ...link.dropped },
    },
    objects: {
      sent: link.objectsSent,
      taken: link.objectsTaken,
      coalesced: link.coalesced,
      queueFull: link.queueFull,
    },
    sessions: {
      ...{ said, saidBytes, overflows, copied, updated, closed, refused, swept },
      ...{ unknownNames, malformed, digests, mismatches },
    },
    exposure: { outbound: Number(exposure.outbound), inbound: Number(exposure.inbound) },
    refused: [...pair.refused].map(([tunnel, reason]) => ({ tunnel, reason })),
  };
}

/** One group with all there is to say. Throws Error naming the groups there are. */
export function showRedundancyGroup(
  node: NodeView,
  { group: wanted }: { group: string },
): Views['services-redundancy-group'] {
  const pair = pairOf(node);
  const group = pair.groups.find(({ id }) => String(id) === wanted);
  if (group === undefined)
    throw new Error(
      `no services-redundancy-group ${wanted}; there is ${pair.groups.map(({ id }) => id).join(', ')}`,
    );
  return { group: groupView(node, pair, group) };
}

/** What crossed the ICD. */
export function showDataPlaneStatistics(node: NodeView): Views['data-plane-statistics'] {
  pairOf(node);
  const totals = node.dataplane.native.counterTotals(node.node);
  return { rows: dataPlaneStatistics((name) => totals[counterIndex[name]]!) };
}

function groupView(node: NodeView, pair: HighAvailabilityConfig, group: SrgConfig): RedundancyGroupView {
  const { state, nowMs } = node;
  const known = state.srgs.get(group.id);
  const status = known?.status ?? 'INIT';
  const owns = status === 'ACTIVE';
  return {
    id: group.id,
    deploymentType: group.deploymentType,
    status,
    sinceSeconds: known === undefined ? 0 : Math.max(0, Math.floor((nowMs - known.sinceMs) / 1000)),
    reason: known?.reason ?? '',
    activenessPriority: group.activenessPriority,
    preemption: group.preemption,
    processPacketOnBackup: group.processPacketOnBackup,
    controlPlaneState: known === undefined ? 'NOT READY' : 'READY',
    systemIntegrityCheck:
      status === 'BACKUP' ? (state.coldSync === 'COMPLETE' ? 'COMPLETE' : 'IN PROGRESS') : 'N/A',
    failureEvents: known?.verdict.failures ?? [],
    haGroup: group.haGroup,
    peer: {
      id: pair.peer.id,
      status: known?.peer?.status ?? null,
      health: known?.peer == null ? null : known.peer.healthy ? 'HEALTHY' : 'UNHEALTHY',
      failoverReadiness: readiness(known),
    },
    signalRoutes: signalRoutes(state, group),
    virtualIps: group.virtualIps.map(({ index, address, interface: name }) => ({
      index,
      ip: String(address),
      interface: name,
      installed: owns,
    })),
    probe: probeView(state, group),
    monitors: monitors(state, group),
    monitorWeight: known?.verdict.weight ?? 0,
    monitorThreshold: group.monitor.srgThreshold,
    prefixes: group.prefixes.map(({ prefix, routingInstance }) => ({
      prefix: String(prefix),
      routingInstance,
    })),
    managesIpsec: group.managesIpsec,
  };
}

/** Whether the peer can take the group over: only the ACTIVE node can hand it over. */
function readiness(known: SrgNode | undefined): 'READY' | 'NOT READY' | 'N/A' {
  if (known?.status !== 'ACTIVE') return 'N/A';
  const { peer } = known;
  return peer?.status === 'BACKUP' && peer.healthy && peer.coldSync === 'COMPLETE' ? 'READY' : 'NOT READY';
}

function signalRoutes({ srgRoutes }: NodeState, group: SrgConfig): SignalRouteView[] {
  const of = (kind: SignalRouteView['kind'], route: SignalRouteConfig | null): SignalRouteView[] =>
    route === null
      ? []
      : [
          {
            kind,
            ip: String(route.address),
            routingInstance: route.routingInstance,
            installed: [...srgRoutes].some((key) => key.endsWith(` srg ${group.id} ${kind}`)),
          },
        ];
  return [
    ...of('active', group.activeSignalRoute),
    ...of('backup', group.backupSignalRoute),
    ...of('install-on-failure', group.installOnFailureRoute),
  ];
}

function probeView(
  { redundancy, srgs, bfd }: NodeState,
  { id, activenessProbe: probe }: SrgConfig,
): RedundancyGroupView['probe'] {
  if (probe === null) return null;
  const verdict = srgs.get(id)?.probe ?? 'unknown';
  return {
    destination: String(probe.destination),
    source: String(probe.source),
    routingInstance: probe.routingInstance,
    type: probe.kind === 'icmp' ? 'ICMP Probe' : 'BFD Probe',
    running:
      probe.kind === 'bfd' ? bfd.has(probeSession(id)) : redundancy?.echoes.has(probeEcho(id)) === true,
    result: verdict === 'unknown' ? null : verdict === 'answered' ? 'REACHABLE' : 'UNREACHABLE',
  };
}

function monitors(state: NodeState, { monitor }: SrgConfig): MonitorView[] {
  const { setup, closedPorts, bfd, redundancy } = state;
  return monitor.objects.flatMap(({ name: object, interface: links, ip, bfdLiveliness }): MonitorView[] => [
    ...(bfdLiveliness?.members ?? []).map((target) => ({
      object,
      kind: 'BFD' as const,
      target: String(target.destination),
      source: String(target.source),
      interface: target.interface,
      weight: target.weight,
      up: bfd.get(monitorSession(target.destination))?.up === true,
    })),
    ...(links?.members ?? []).map(({ name, weight }) => ({
      object,
      kind: 'Interface' as const,
      target: name,
      source: null,
      interface: name,
      weight,
      up: setup.ports.has(name) && !closedPorts.has(name),
    })),
    ...(ip?.members ?? []).map((target) => ({
      object,
      kind: 'IP' as const,
      target: String(target.destination),
      source: target.source === null ? null : String(target.source),
      interface: null,
      weight: target.weight,
      up: redundancy?.echoes.get(monitorEcho(target))?.echo.verdict === 'answered',
    })),
  ]);
}
