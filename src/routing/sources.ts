/** The routes that a configuration brings by itself: of interfaces, and static ones. */
import type { InterfaceConfig, RoutingInstanceConfig } from '../config/config.js';
import type { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import { preferenceOf, type Route, type RouteNextHop } from './route.js';

/** Own addresses are local; networks of links are direct. */
export function interfaceRoutes(interfaces: readonly InterfaceConfig[], nowMs: number): Route[] {
  const routes: Route[] = [];
  for (const { name, kind, routingInstance, addresses } of interfaces) {
    for (const address of addresses) {
      const own = Prefix.host(address.address);
      const base = { routingInstance, origin: name, sinceMs: nowMs };
      routes.push({ ...base, prefix: own, protocol: 'local', nextHop: { kind: 'local', interface: name } });
      if (kind !== 'port' || address.length === own.length) continue;
      const nextHop: RouteNextHop = { kind: 'direct', interface: name };
      routes.push({ ...base, prefix: address.network(), protocol: 'direct', nextHop });
    }
  }
  return routes;
}

/** Names the group of a static route's next hops. */
export function ecmpGroupKey(routingInstance: string, prefix: Prefix, preference: number): string {
  const backup = preference === preferenceOf.static ? '' : ` preference ${preference}`;
  return `${routingInstance} ${prefix}${backup}`;
}

/**
 * tunnelOf: the tunnel that is bound to an st0 unit, undefined when none is. isAlive: whether the BFD session that guards a
 * next hop is up; without one that is, there is no route.
 */
export function staticRoutes(
  instances: readonly RoutingInstanceConfig[],
  tunnelOf: (interfaceName: string) => string | undefined,
  nowMs: number,
  isAlive: (routingInstance: string, prefix: Prefix, nextHop: Address) => boolean = () => true,
): Route[] {
  return instances.flatMap(({ name, staticRoutes }) =>
    staticRoutes.flatMap(({ prefix, preference, nextHop, bfd }): Route[] => {
      const watched = new Set(bfd.map((each) => String(each.nextHop)));
      const isOfUse = (address: Address) => !watched.has(String(address)) || isAlive(name, prefix, address);
      const isUsual = preference === preferenceOf.static;
      const route = {
        routingInstance: name,
        prefix,
        protocol: 'static',
        // one for each preference that the prefix has
        origin: isUsual ? 'configuration' : `configuration preference ${preference}`,
        sinceMs: nowMs,
        ...(isUsual ? {} : { preference }),
      } as const;
      if (nextHop.kind === 'ecmp') {
        const group = ecmpGroupKey(name, prefix, preference);
        const addresses = nextHop.members.map(({ address }) => address).filter(isOfUse);
        if (addresses.length === 0) return [];
        return [{ ...route, nextHop: { kind: 'ecmp', group, addresses } }];
      }
      if (nextHop.kind === 'address' && !isOfUse(nextHop.address)) return [];
      if (nextHop.kind !== 'interface') return [{ ...route, nextHop }];
      const tunnel = tunnelOf(nextHop.interface);
      if (tunnel === undefined) return [];
      return [{ ...route, nextHop: { kind: 'tunnel', tunnel, interface: nextHop.interface } }];
    }),
  );
}
