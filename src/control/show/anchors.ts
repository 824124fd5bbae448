/** On which unit each tunnel is, and how loaded the units are. */
import { loadFactor } from '../../node/anchor.js';
import { gatewayOf, type Tunnel } from '../../node/tunnel.js';
import type { NodeView } from './node-view.js';
import type { GatewayView, UnitView, Views } from './views.js';

/** A worker has one flow thread. */
const flowThreads = 1;
const nameOf = (unit: number) => `SPU${unit}`;

export function showTunnelMap(view: NodeView): Views['tunnel-map'] {
  return { units: unitsOf(view, gatewaysOf(view)) };
}

export function showTunnelMapSummary(view: NodeView): Views['tunnel-map-summary'] {
  return { ikeGateways: gatewaysOf(view) };
}

export function showTunnelDistribution(view: NodeView): Views['tunnel-distribution'] {
  const gateways = gatewaysOf(view);
  return {
    units: unitsOf(view, gateways).map((unit) => ({
      ...unit,
      gateways: gateways.filter(({ worker }) => worker === unit.worker),
    })),
  };
}

function unitsOf({ state }: NodeView, gateways: readonly GatewayView[]): UnitView[] {
  return Array.from({ length: state.setup.workers }, (_, worker) => {
    const own = gateways.filter((gateway) => gateway.worker === worker);
    const tunnels = own.reduce((sum, { ipsecTunnels }) => sum + ipsecTunnels.length, 0);
    return {
      unit: nameOf(worker),
      worker,
      flowThreads,
      ikeGateways: own.length,
      ipsecTunnels: tunnels,
      loadFactor: loadFactor(tunnels, flowThreads),
    };
  });
}

function gatewaysOf({ state }: NodeView): GatewayView[] {
  const tunnelsOf = new Map<string, Tunnel[]>();
  for (const { tunnel } of state.tunnels.values()) {
    const key = gatewayOf(tunnel);
    const list = tunnelsOf.get(key);
    if (list === undefined) tunnelsOf.set(key, [tunnel]);
    else list.push(tunnel);
  }
  return [...state.anchors.gateways].flatMap(([key, { unit, kind }]): GatewayView[] => {
    const tunnels = tunnelsOf.get(key);
    // its keys are on their way
    if (tunnels === undefined) return [];
    const [{ gateway, localAddress, routingInstance }] = tunnels as [Tunnel];
    return [
      {
        ikeGateway: String(gateway),
        localAddress: String(localAddress),
        routingInstance,
        kind,
        unit: nameOf(unit),
        worker: unit,
        ipsecTunnels: tunnels.map(({ name }) => name),
      },
    ];
  });
}
