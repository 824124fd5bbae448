/** What IKE has agreed on, as events of the node: CHILD SAs become tunnels. Pure. */
import type { IkeGatewayConfig, IkeVpnConfig } from '../config/config.js';
import type { IkeAction } from '../ike/engine.js';
import type { NodeEvent } from './event.js';
import type { Tunnel, TunnelKeys } from './tunnel.js';

type Keyed = Extract<IkeAction, { kind: 'tunnel-keyed' }>;

/** Tunnels with manual keys count from 0, those of IKE from here. */
export const firstIkeTunnel = 1 << 20;

/** Of a configuration, which may have thousands. */
export interface IkeByName {
  readonly vpns: ReadonlyMap<string, IkeVpnConfig>;
  readonly gateways: ReadonlyMap<string, IkeGatewayConfig>;
}

/** null: the VPN is not configured any more. id: see Tunnel. */
export function tunnelOfChild(
  { vpns, gateways }: IkeByName,
  { child, gateway: gatewayName, path, isEncapsulated }: Keyed,
  id: number,
): Tunnel | null {
  const vpn = vpns.get(child.vpn);
  const gateway = gateways.get(gatewayName);
  if (vpn === undefined || gateway === undefined) return null;
  return {
    name: child.tunnel,
    id,
    gateway: path.remote,
    localAddress: path.local,
    anchoring: gateway.address === null ? 'dynamic' : 'site-to-site',
    routingInstance: path.routingInstance,
    bindInterface: vpn.bindInterface,
    selectors: child.selectors,
    udp: isEncapsulated ? { sourcePort: path.localPort, destinationPort: path.remotePort } : null,
    lifetimeKilobytes: vpn.proposals[0]!.lifetimeKilobytes,
    antiReplayWindowSize: vpn.antiReplayWindowSize,
    extendedSequenceNumber: child.suite.extendedSequenceNumbers,
    dfBit: vpn.dfBit,
    copyOuterDscp: vpn.copyOuterDscp,
    outerDscp: vpn.outerDscp,
    bySource: null,
    announced: 'when-keyed',
  };
}

/** Keys of an exchange are used by this process alone, from the first IV on. */
export const tunnelKeys = (tunnel: Tunnel, { kept, inbound, outbound }: Keyed): TunnelKeys => ({
  tunnel,
  inbound,
  kept,
  outbound,
  epoch: 0,
  nextSequence: 1n,
});

/**
 * Events for what happened one after the other. One of a kind for as many as can go together: of a tunnel that is named
 * twice the second comes behind the first.
 */
export function gather(changes: readonly (TunnelKeys | string)[]): NodeEvent[] {
  const events: NodeEvent[] = [];
  let keyed: TunnelKeys[] = [];
  let removed: string[] = [];
  let named = new Set<string>();
  const flush = () => {
    if (keyed.length > 0) events.push({ kind: 'tunnels-keyed', tunnels: keyed });
    if (removed.length > 0) events.push({ kind: 'tunnels-removed', tunnels: removed });
    keyed = [];
    removed = [];
    named = new Set();
  };
  for (const change of changes) {
    const name = typeof change === 'string' ? change : change.tunnel.name;
    if (named.has(name)) flush();
    named.add(name);
    if (typeof change === 'string') removed.push(change);
    else keyed.push(change);
  }
  flush();
  return events;
}
