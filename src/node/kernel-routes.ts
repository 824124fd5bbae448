/** Which routes of this node the kernel is told of. Pure; flush() asks once the tables that they rest on are published. */
import type { Config } from '../config/config.js';
import { Prefix } from '../model/prefix.js';
import type { NodeAction } from './event.js';
import { isTunnelActive } from './srg-of.js';
import type { NodeState } from './state.js';

/** By prefix text. */
export function wantedKernelRoutes(state: NodeState): ReadonlyMap<string, Prefix> {
  const wanted = new Map<string, Prefix>();
  const { config } = state;
  const add = (prefix: Prefix) => wanted.set(String(prefix), prefix);
  for (const kind of config?.kernelRoutes?.export ?? []) {
    switch (kind) {
      case 'ari-ts':
        // what routers over a control session hear of, too: tunnels that are here now
        for (const { tunnel, outbound, proven } of state.tunnels.values()) {
          if (!proven || outbound === null || tunnel.bySource !== null) continue;
          if (!isTunnelActive(state, tunnel)) continue;
          for (const { remote } of tunnel.selectors) add(remote);
        }
        break;
      case 'virtual-service':
        // while its own route is there: once no real service is up it may be held for a while
        for (const { service, installed } of state.groups.values())
          if (service !== null && installed !== null) add(Prefix.host(service.config.address));
        break;
      case 'tunnel-endpoint': {
        const own = loopbackAddresses(config!);
        // peers have to find it before there is a tunnel
        for (const { localAddress } of config!.ikeGateways)
          if (own.has(String(localAddress))) add(Prefix.host(localAddress));
        for (const { tunnel, outbound } of state.tunnels.values())
          if (outbound !== null && own.has(String(tunnel.localAddress)) && isTunnelActive(state, tunnel))
            add(Prefix.host(tunnel.localAddress));
      }
    }
  }
  return wanted;
}

function loopbackAddresses({ interfaces }: Config): Set<string> {
  return new Set(
    interfaces.flatMap(({ kind, addresses }) =>
      kind === 'loopback' ? addresses.map(({ address }) => String(address)) : [],
    ),
  );
}

/** What the kernel has to be told now, and what it knows then. */
export function kernelRoutesChange(state: NodeState): {
  readonly exported: NodeState['exported'];
  readonly actions: readonly NodeAction[];
} {
  const { exported } = state;
  // of a node that never told the kernel anything nothing is looked at
  if (exported.size === 0 && (state.config?.kernelRoutes?.export.length ?? 0) === 0)
    return { exported, actions: [] };
  const wanted = wantedKernelRoutes(state);
  const add = [...wanted].flatMap(([text, prefix]) => (exported.has(text) ? [] : [prefix]));
  const remove = [...exported].flatMap(([text, prefix]) => (wanted.has(text) ? [] : [prefix]));
  if (add.length === 0 && remove.length === 0) return { exported, actions: [] };
  return { exported: wanted, actions: [{ kind: 'kernel-routes', add, remove }] };
}
