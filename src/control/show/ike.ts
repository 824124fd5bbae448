/** IKE SAs as show has them. Nothing of a key is in it. */
import { suiteNames } from '../../ike/algorithms.js';
import type { IkeEngine } from '../../ike/engine.js';
import { identityText } from '../../ike/identity.js';
import { rangeText } from '../../ike/ranges.js';
import { refusals } from '../../ike/reasons.js';
import type { ChildSa, IkeSa } from '../../ike/sa.js';
import { isMeant } from '../ike.js';
import type { NodeView } from './node-view.js';
import type { IkeSaView, Views } from './views.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const secondsUntil = (atMs: number, nowMs: number) => Math.max(0, Math.round((atMs - nowMs) / 1000));
const spiText = (spi: number) => spi.toString(16).padStart(8, '0');

export function showIkeSas(
  { ike, nowMs }: NodeView,
  params: { gateway?: string | undefined; peer?: string | undefined; level?: string | undefined },
): Views['ike-security-associations'] {
  const sas =
    ike === null ? [] : [...ike.sas.values()].filter((sa) => isMeant(sa, params.gateway, params.peer));
  return {
    level: params.level === 'detail' ? 'detail' : 'brief',
    securityAssociations: sas.map((sa) => saView(ike!, sa, nowMs)),
  };
}

function saView(engine: IkeEngine, sa: IkeSa, nowMs: number): IkeSaView {
  const [initiatorSpi, responderSpi] = sa.isInitiator ? [sa.localSpi, sa.peerSpi] : [sa.peerSpi, sa.localSpi];
  const { path } = sa;
  const gateway = sa.gateways.length === 1 ? engine.gateway(sa.gateways[0]!) : undefined;
  return {
    index: sa.id,
    gateway: gateway?.name ?? null,
    state: sa.state,
    role: sa.isInitiator ? 'initiator' : 'responder',
    initiatorSpi: hex(initiatorSpi),
    responderSpi: hex(responderSpi),
    authenticationMethod:
      gateway === undefined ? null : gateway.preSharedKey === null ? 'certificates' : 'pre-shared-keys',
    localAddress: String(path.local),
    localPort: path.localPort,
    remoteAddress: String(path.remote),
    remotePort: path.remotePort,
    routingInstance: path.routingInstance,
    remoteIdentity: sa.peerIdentity === null ? null : identityText(sa.peerIdentity),
    algorithms: sa.suite === null ? null : suiteNames(sa.suite),
    natTraversal: { localBehindNat: sa.natLocal, remoteBehindNat: sa.natRemote },
    fragmentation: sa.fragmentation,
    lifetimeSeconds: sa.state === 'up' ? secondsUntil(sa.expireAtMs, nowMs) : null,
    idleSeconds: Math.max(0, Math.round((nowMs - sa.heardMs) / 1000)),
    childSas: sa.children.map((child) => childView(child, nowMs)),
  };
}

const childView = (child: ChildSa, nowMs: number): IkeSaView['childSas'][number] => ({
  tunnel: child.tunnel,
  vpn: child.vpn,
  state: child.state,
  inboundSpi: spiText(child.inboundSpi),
  outboundSpi: spiText(child.outboundSpi),
  localSelectors: child.localRanges.map(rangeText),
  remoteSelectors: child.remoteRanges.map(rangeText),
  lifetimeSeconds: secondsUntil(child.expireAtMs, nowMs),
});

/** What was refused, by name; those at 0 too. */
export function showIkeStatistics({ ike }: NodeView): Views['ike-statistics'] {
  const sas = ike === null ? [] : [...ike.sas.values()];
  return {
    up: sas.filter(({ state }) => state === 'up').length,
    halfOpen: ike?.halfOpen ?? 0,
    established: ike?.established ?? 0,
    refusals: [...(ike?.counts ?? [])].map(([name, count]) => ({ name, count, meaning: refusals[name] })),
  };
}

/** Of the CHILD SA that an SPI of ours is of: for the SAs of tunnels. */
export function childrenBySpi({ ike }: NodeView): Map<number, ChildSa> {
  const children = new Map<number, ChildSa>();
  for (const sa of ike?.sas.values() ?? [])
    for (const child of sa.children) {
      children.set(child.inboundSpi, child);
      children.set(child.outboundSpi, child);
    }
  return children;
}
