/**
 * The inter-chassis datapath of a node: what native code is to know of the other node of the pair, made of the state. It is
 * looked at again whenever the queue of events is empty (settlePair), so whoever changes what it rests on (liveness, groups,
 * ports) need not know of it.
 */
import type { Config, HighAvailabilityConfig, SrgConfig } from '../config/config.js';
import { decisionTable, icdState, type Served, servedBy } from '../ha/icd.js';
import { icdKeys } from '../ha/icd-key.js';
import type { IcdEntry, NextHopSituation } from '../pipeline/native.js';
import { type NodeState, noPair, type PairForwarding, withDirty } from './state.js';
import type { Tunnel } from './tunnel.js';

/** With the tables dirty that the pair's present state wants otherwise. */
export function settlePair(state: NodeState): NodeState {
  const pair = state.config?.highAvailability ?? null;
  const before = state.pair;
  const now = pair === null ? noPair : forwardingOf(state, pair);
  if (now.icd === before.icd && isSame(now.served, before.served) && now.closedPorts === before.closedPorts)
    return state;
  const settled = { ...state, pair: now };
  const onRoutes = !isSame(now.served, before.served) || now.closedPorts !== before.closedPorts;
  return withDirty(
    settled,
    ...(now.icd === before.icd ? [] : (['icd'] as const)),
    ...(onRoutes ? (['routes', 'spis'] as const) : []),
  );
}

function forwardingOf(state: NodeState, { peer, groups }: HighAvailabilityConfig): PairForwarding {
  const { closedPorts, bfd, srgs } = state;
  const live = bfd.get('icd')?.up === true;
  const icd = icdState({
    configured: peer.forwarding !== null,
    live,
    peerHeard: live || bfd.get('icl')?.up === true,
  });
  const served = new Map<number, Served>();
  for (const { id } of groups) {
    const group = srgs.get(id);
    if (id === 0 || group === undefined) continue;
    served.set(id, servedBy(group.status, group.peer?.status ?? null, state.pair.served.get(id) ?? 'either'));
  }
  return { icd, served, closedPorts };
}

const isSame = <K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>) =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);

/** For native code; with link null on a node of no pair, and on one without an ICD. */
export const icdEntry = (state: NodeState, config: Config): IcdEntry => ({
  verdicts: decisionTable(state.pair.icd),
  link: linkOf(state, config),
});

function linkOf({ numberings }: NodeState, config: Config): IcdEntry['link'] {
  const pair = config.highAvailability;
  const icd = pair?.peer.forwarding ?? null;
  if (pair === null || icd === null) return null;
  const { own, peers } = icdKeys(pair);
  return {
    localIp: icd.localIp.bytes,
    peerIp: icd.peerIp.bytes,
    localId: pair.localId,
    peerId: pair.peer.id,
    key: own,
    peerKeys: peers.slice(0, mostPeerKeys),
    routingInstance: numberings.routingInstances.of(icd.routingInstance),
    mtu: config.interfaces.find(({ name }) => name === icd.interface)?.mtu ?? 1500,
  };
}

const mostPeerKeys = 4;

/** The group that a tunnel goes with: that of the floating address it ends at. null: none. */
export function groupOfTunnel(
  { highAvailability }: Config,
  { localAddress, routingInstance }: Pick<Tunnel, 'localAddress' | 'routingInstance'>,
): SrgConfig | null {
  return (
    highAvailability?.groups.find(
      ({ managesIpsec, prefixes }) =>
        managesIpsec &&
        prefixes.some(
          (each) => each.routingInstance === routingInstance && each.prefix.contains(localAddress),
        ),
    ) ?? null
  );
}

const plain: NextHopSituation = { egressGone: false, served: 'either', backupServes: false };

/** What packets into this tunnel are told; nothing where nobody would ask. */
export function tunnelSituation(state: NodeState, tunnel: Tunnel): { situation?: NextHopSituation } {
  const group = state.config === null ? null : groupOfTunnel(state.config, tunnel);
  const served = group === null ? undefined : state.pair.served.get(group.id);
  return group === null || served === undefined
    ? {}
    : { situation: { ...plain, served, backupServes: group.processPacketOnBackup } };
}

/** Whether its group, if it has one, is active here. */
export function isServedHere(state: NodeState, tunnel: Tunnel): boolean {
  const { situation } = tunnelSituation(state, tunnel);
  return situation === undefined || situation.served === 'here';
}

/** Whether what comes by this tunnel is dropped here. */
export function isStandby(state: NodeState, tunnel: Tunnel): boolean {
  const { situation } = tunnelSituation(state, tunnel);
  return situation !== undefined && situation.served !== 'here' && !situation.backupServes;
}

/**
 * What packets out of this interface are told. connected: to the network itself, whose gateway may be a floating address; any
 * node may serve that which has the interface, so it does where it cannot ask.
 */
export function interfaceSituation(
  state: NodeState,
  interfaceName: string,
  connected: boolean,
): { situation?: NextHopSituation } {
  const { config, pair } = state;
  const groups = config?.highAvailability?.groups;
  if (config === null || groups === undefined) return {};
  const port = config.interfaces.find(({ name }) => name === interfaceName)?.port ?? null;
  const egressGone = port !== null && pair.closedPorts.has(port);
  const gateway = connected
    ? groups.find(({ virtualIps }) => virtualIps.some((ip) => ip.interface === interfaceName))
    : undefined;
  const served = gateway === undefined ? 'either' : (pair.served.get(gateway.id) ?? 'either');
  if (!egressGone && served === 'either') return {};
  return { situation: { egressGone, served, backupServes: served !== 'either' } };
}

/** A row of `show chassis high-availability data-plane statistics`. */
export interface DataPlaneStatistics {
  readonly name: string;
  readonly packetsSent: number;
  readonly packetsReceived: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** From the totals of the node's counters, by name. */
export function dataPlaneStatistics(total: (counter: IcdCounter) => number): DataPlaneStatistics[] {
  return [
    {
      name: 'ICD Data',
      packetsSent: total('icdSent'),
      packetsReceived: total('icdReceived'),
      bytesSent: total('icdSentBytes'),
      bytesReceived: total('icdReceivedBytes'),
    },
  ];
}

export type IcdCounter = 'icdSent' | 'icdReceived' | 'icdSentBytes' | 'icdReceivedBytes';
