/** `show bfd session`: every session, and how its other end does. */
import { detectionUs, transmitIntervalUs } from '../../ha/bfd.js';
import { type BfdPeer, bfdInterface } from '../../node/bfd.js';
import type { LivenessStatus } from '../../pipeline/native.js';
import type { BfdDiagnostic } from '../../wire/bfd.js';
import type { NodeView } from './node-view.js';
import type { BfdSessionView, Views } from './views.js';

/** RFC 5880 §4.1, in Junos's words. */
const diagnosticWords: Readonly<Record<BfdDiagnostic, string>> = {
  none: 'None',
  'detection time expired': 'CtlExpire',
  'echo failed': 'EchoExpire',
  'neighbour signalled down': 'NbrSignal',
  'forwarding plane reset': 'FwdPlaneReset',
  'path down': 'PathDown',
  'concatenated path down': 'ConcatPathDown',
  'administratively down': 'AdminDown',
  'reverse concatenated path down': 'RConcatPathDown',
};

export function showBfdSessions(
  view: NodeView,
  params: { level?: 'detail' | 'extensive' | undefined; address?: string | undefined },
): Views['bfd-session'] {
  const { state, dataplane, node } = view;
  const peers = [...state.bfdPeers.values()];
  const status = new Map(
    peers.length === 0 ? [] : dataplane.native.livenessStatus(node).map((each) => [each.session, each]),
  );
  const all = peers.map((peer) => sessionView(view, peer, status.get(peer.number)));
  const sessions =
    params.address === undefined ? all : all.filter(({ address }) => address === params.address);
  const sum = (of: (session: BfdSessionView) => number | null) =>
    sessions.reduce((total, session) => total + 1 / (of(session) ?? Infinity), 0);
  return {
    level: params.level ?? 'brief',
    sessions,
    clients: [...state.bfd.values()].length,
    cumulativeTransmitRate: sum(({ transmitIntervalSeconds }) => transmitIntervalSeconds),
    cumulativeReceiveRate: sum(({ receiveIntervalSeconds }) => receiveIntervalSeconds),
  };
}

function sessionView(
  { state, nowMs, coreEpochMs }: NodeView,
  of: BfdPeer,
  status: LivenessStatus | undefined,
): BfdSessionView {
  const { peer, session, clients, sinceMs } = of;
  const { settings, remote } = session;
  const seconds = (us: number | null) => (us === null ? null : us / 1e6);
  const heardAt = status === undefined || status.lastHeardNs === 0n ? null : Number(status.lastHeardNs) / 1e6;
  return {
    address: String(peer.remote),
    localAddress: String(peer.local),
    routingInstance: peer.routingInstance,
    state: session.state,
    interface: bfdInterface(state, of),
    multihop: peer.multihop,
    detectionSeconds: seconds(detectionUs(session)),
    transmitIntervalSeconds: seconds(transmitIntervalUs(session)),
    receiveIntervalSeconds:
      remote.detectMultiplier === 0
        ? null
        : seconds(Math.max(session.inForce.requiredMinRxUs, remote.desiredMinTxUs)),
    multiplier: settings.detectMultiplier,
    clients: [...clients],
    sinceSeconds: (nowMs - sinceMs) / 1000,
    localDiagnostic: diagnosticWords[session.diagnostic],
    remoteDiagnostic: diagnosticWords[remote.diagnostic],
    remoteState: remote.state,
    localMinimumTransmitSeconds: settings.desiredMinTxUs / 1e6,
    localMinimumReceiveSeconds: settings.requiredMinRxUs / 1e6,
    remoteMinimumTransmitSeconds: remote.desiredMinTxUs / 1e6,
    remoteMinimumReceiveSeconds: remote.requiredMinRxUs / 1e6,
    remoteMultiplier: remote.detectMultiplier,
    localDiscriminator: settings.discriminator,
    remoteDiscriminator: remote.discriminator,
    authentication:
      settings.auth === null
        ? null
        : {
            algorithm: settings.auth.isMeticulous ? 'meticulous-keyed-sha-1' : 'keyed-sha-1',
            keyId: settings.auth.keyId,
          },
    isPolling: session.polling,
    ups: session.ups,
    downs: session.downs,
    packetsSent: status?.sent ?? 0n,
    packetsHeard: status?.heard ?? 0n,
    packetsRefused: status?.refused ?? 0n,
    longestGapSeconds: status === undefined ? 0 : Number(status.longestGapNs) / 1e9,
    heardAt: heardAt === null ? null : new Date(coreEpochMs + heardAt).toISOString(),
  };
}
