/** Which routes of this node the kernel is told of. Pure; flush() asks once the tables that they rest on are published. */
import type { Config } from '../config/config.js';
import { Prefix } from '../model/prefix.js';
import { conditionsOf, evaluatePolicies, kernelMetric, type PolicySubject } from '../routing/policy.js';
import { activeRoutes } from '../routing/table.js';
import type { KernelExport, NodeAction } from './event.js';
import { isTunnelActive } from './srg-of.js';
import type { NodeState } from './state.js';
import { isUsable } from './tables.js';

/** By prefix text. */
export function wantedKernelRoutes(state: NodeState): ReadonlyMap<string, KernelExport> {
  const wanted = new Map<string, KernelExport>();
  const { config } = state;
  if (config?.kernelRoutes == null) return wanted;
  const { exportPolicy } = config.kernelRoutes;
  const holds = conditionsOf(state.routes, config.policyOptions.conditions);
  for (const subject of candidates(state, config)) {
    const text = String(subject.prefix);
    // of routes of several instances for one prefix the first that passes counts
    if (wanted.has(text)) continue;
    const verdict = evaluatePolicies(config.policyOptions, exportPolicy, subject, holds);
    if (verdict.action !== 'reject')
      wanted.set(text, { prefix: subject.prefix, metric: kernelMetric(verdict) });
  }
  return wanted;
}

/** What `export` names. */
function candidates(state: NodeState, config: Config): PolicySubject[] {
  const found: PolicySubject[] = [];
  const { export: kinds, exportPolicy } = config.kernelRoutes!;
  const instanceOf = new Map(config.interfaces.map(({ name, routingInstance }) => [name, routingInstance]));
  const add = (prefix: Prefix, protocol: PolicySubject['protocol'], routingInstance: string) =>
    found.push({ prefix, protocol, routingInstance, metric: 0 });
  for (const kind of kinds) {
    switch (kind) {
      case 'ari-ts':
        // what routers over a control session hear of, too: tunnels that are here now
        for (const { tunnel, outbound, proven } of state.tunnels.values()) {
          if (!proven || outbound === null || tunnel.bySource !== null) continue;
          if (!isTunnelActive(state, tunnel)) continue;
          const instance = instanceOf.get(tunnel.bindInterface) ?? 'default';
          for (const { remote } of tunnel.selectors) add(remote, 'ari-ts', instance);
        }
        break;
      case 'virtual-service':
        // while its own route is there: once no real service is up it may be held for a while
        for (const { service, installed } of state.groups.values())
          if (service !== null && installed !== null)
            add(Prefix.host(service.config.address), 'tlb', service.config.routingInstance);
        break;
      case 'tunnel-endpoint': {
        const own = loopbackAddresses(config);
        // peers have to find it before there is a tunnel
        for (const { localAddress } of config.ikeGateways) {
          const instance = own.get(String(localAddress));
          if (instance !== undefined) add(Prefix.host(localAddress), 'local', instance);
        }
        for (const { tunnel, outbound } of state.tunnels.values()) {
          const instance = own.get(String(tunnel.localAddress));
          // whether a node that stands by says so is the policies', where there are some
          const speaks = exportPolicy.length > 0 || isTunnelActive(state, tunnel);
          if (outbound !== null && instance !== undefined && speaks)
            add(Prefix.host(tunnel.localAddress), 'local', instance);
        }
        break;
      }
      default:
        for (const { route } of activeRoutes(state.routes, (each) => isUsable(state, each)))
          if (route.protocol === kind) add(route.prefix.network(), kind, route.routingInstance);
    }
  }
  return found;
}

/** Routing instances of addresses on lo0. */
function loopbackAddresses({ interfaces }: Config): Map<string, string> {
  return new Map(
    interfaces.flatMap(({ kind, addresses, routingInstance }) =>
      kind === 'loopback'
        ? addresses.map(({ address }): [string, string] => [String(address), routingInstance])
        : [],
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
  const without = (all: NodeState['exported'], others: NodeState['exported']) =>
    [...all].flatMap(([text, route]) => (others.get(text)?.metric === route.metric ? [] : [route]));
  // with another metric it is another route of the kernel's, which is there before the first goes
  const add = without(wanted, exported);
  const remove = without(exported, wanted);
  if (add.length === 0 && remove.length === 0) return { exported, actions: [] };
  return { exported: wanted, actions: [{ kind: 'kernel-routes', add, remove }] };
}
