import type { Address, Family } from '../../model/address.js';
import type { Prefix } from '../../model/prefix.js';
import { notAHost, parseAddress, parsePrefix } from '../address.js';
import type { AutoRouteInjectionConfig, RoutingInstanceConfig, StaticRouteConfig } from '../config.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import type { Reach } from './interfaces.js';

type RoutingOptions = NonNullable<ConfigDocument['routing-options']>;

/** Which instance each interface that is named in one belongs to. */
export function instancesOfInterfaces(context: Context): Map<string, string> {
  const instanceOf = new Map<string, string>();
  for (const [name, instance] of Object.entries(context.document['routing-instances'] ?? {})) {
    const path = ['routing-instances', name, 'interface'];
    if (name === 'default') {
      context.report(
        ['routing-instances', name],
        'default is the name of the instance outside; choose another',
        'key',
      );
    }
    const interfaces = instance.interface ?? [];
    if (instance['instance-type'] === 'forwarding' && interfaces.length > 0) {
      context.report(path, 'an instance of type forwarding has no interfaces; remove them', 'key');
    }
    interfaces.forEach((given, i) => {
      const full = context.referInterface([...path, i], given);
      const other = full === undefined ? undefined : instanceOf.get(full);
      if (other !== undefined)
        context.report([...path, i], `${full} is in routing instance ${other} already`);
      else if (full !== undefined) instanceOf.set(full, name);
    });
  }
  return instanceOf;
}

export function compileRoutingInstances(context: Context, reach: Reach): RoutingInstanceConfig[] {
  const { document } = context;
  const found: RoutingInstanceConfig[] = [
    {
      name: 'default',
      instanceType: 'default',
      staticRoutes: staticRoutes(context, ['routing-options'], document['routing-options'], 'default', reach),
    },
  ];
  for (const [name, instance] of Object.entries(document['routing-instances'] ?? {})) {
    const path = ['routing-instances', name, 'routing-options'];
    found.push({
      name,
      instanceType: instance['instance-type'],
      staticRoutes: staticRoutes(context, path, instance['routing-options'], name, reach),
    });
  }
  return found;
}

function staticRoutes(
  context: Context,
  path: Path,
  options: Pick<RoutingOptions, 'static'> | undefined,
  instance: string,
  reach: Reach,
): StaticRouteConfig[] {
  const routes: StaticRouteConfig[] = [];
  const seen = new Map<string, string>();
  for (const [text, entry] of Object.entries(options?.static?.route ?? {})) {
    const at = [...path, 'static', 'route', text];
    const prefix = parsePrefix(text)!;
    const other = seen.get(String(prefix));
    if (other !== undefined) context.report(at, `the same prefix as ${other}; remove one`, 'key');
    seen.set(String(prefix), text);
    reach.addRoute(instance, prefix);
    const nextHop = entry['next-hop'];
    if ((nextHop === undefined) === (entry.discard === undefined)) {
      context.report(
        at,
        `${nextHop === undefined ? 'leads nowhere' : 'says both'}; write next-hop or discard`,
        'key',
      );
    }
    const target =
      nextHop === undefined
        ? { kind: 'discard' as const }
        : nextHopOf(context, at, nextHop, prefix, instance, reach);
    if (target !== undefined) routes.push({ prefix, nextHop: target });
  }
  return routes;
}

function nextHopOf(
  context: Context,
  at: Path,
  text: string,
  prefix: Prefix,
  instance: string,
  reach: Reach,
): StaticRouteConfig['nextHop'] | undefined {
  const path = [...at, 'next-hop'];
  const address = parseAddress(text);
  if (address === undefined) {
    if (!/^st0(\.\d+)?$/.test(text)) {
      context.report(
        path,
        `${text} is not a next hop; write an address or an st0 unit, e.g. 10.1.1.2 or st0.1`,
      );
      return undefined;
    }
    const full = context.referInterface(path, text);
    return full === undefined ? undefined : { kind: 'interface', interface: full };
  }
  const reason = notAHost(address);
  if (address.family !== prefix.family) {
    context.report(path, `${text} is ${address.family}, the route is ${prefix.family}`);
  } else if (reason !== undefined) {
    context.report(path, `${text} is ${reason}; write the address of a neighbour`);
  } else if (context.sound('interfaces') && context.sound('routing-instances')) {
    const own = reach.instanceOfOwn(text) === instance;
    if (own) context.report(path, `${text} is an address of this node; write the address of a neighbour`);
    else if (!reach.connected(instance, text)) {
      context.report(path, `${text} is on no interface of routing instance ${instance}`);
    }
  }
  return { kind: 'address', address };
}

export function compileAutoRouteInjection(context: Context): AutoRouteInjectionConfig {
  const routers = context.document['routing-options']?.['auto-route-injection']?.export ?? {};
  const path = ['routing-options', 'auto-route-injection', 'export'];
  return {
    export: Object.entries(routers).map(([name, entry]) => {
      const at = [...path, name];
      const nextHop: Record<Family, Address | null> = { inet: null, inet6: null };
      entry['next-hop'].forEach((text, i) => {
        const address = parseAddress(text)!;
        if (nextHop[address.family] !== null) {
          context.report([...at, 'next-hop', i], `a second ${address.family} address; one a family`);
        }
        nextHop[address.family] = address;
      });
      return {
        name,
        controlSocket: context.socketPath([...at, 'control-socket'], entry['control-socket'])!,
        routingInstance: entry['routing-instance'],
        nextHop,
      };
    }),
  };
}
