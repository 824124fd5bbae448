import type { Address, Family } from '../../model/address.js';
import type { Prefix } from '../../model/prefix.js';
import { notAHost, parseAddress, parsePrefix } from '../address.js';
import type {
  AutoRouteInjectionConfig,
  EcmpMemberConfig,
  LoadBalance,
  RouteBfdConfig,
  RoutingInstanceConfig,
  StaticRouteConfig,
} from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import { type BfdDocument, nextHopSession } from './bfd.js';
import type { Context } from './context.js';
import type { Reach } from './interfaces.js';
import { ecmpHash, loadBalancing } from './policy.js';
import { policyChain } from './policy-options.js';

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
  const balance = loadBalancing(context);
  const found: RoutingInstanceConfig[] = [
    {
      name: 'default',
      instanceType: 'default',
      instanceImport: policyChain(
        context,
        ['routing-options', 'instance-import'],
        document['routing-options']?.['instance-import'],
      ),
      staticRoutes: staticRoutes(
        context,
        ['routing-options'],
        document['routing-options'],
        'default',
        reach,
        balance,
      ),
    },
  ];
  for (const [name, instance] of Object.entries(document['routing-instances'] ?? {})) {
    const path = ['routing-instances', name, 'routing-options'];
    found.push({
      name,
      instanceType: instance['instance-type'],
      instanceImport: policyChain(
        context,
        [...path, 'instance-import'],
        instance['routing-options']?.['instance-import'],
      ),
      staticRoutes: staticRoutes(context, path, instance['routing-options'], name, reach, balance),
    });
  }
  return found;
}

type RouteDocument = NonNullable<RoutingOptions['static']>['route'][string];

function staticRoutes(
  context: Context,
  path: Path,
  options: Pick<RoutingOptions, 'static'> | undefined,
  instance: string,
  reach: Reach,
  balance: (prefix: Prefix) => LoadBalance,
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
    routes.push(...routesOf(context, at, prefix, entry, instance, reach, balance));
  }
  return routes;
}

function routesOf(
  context: Context,
  at: Path,
  prefix: Prefix,
  entry: RouteDocument,
  instance: string,
  reach: Reach,
  balance: (prefix: Prefix) => LoadBalance,
): StaticRouteConfig[] {
  const { 'next-hop': nextHops = [], 'qualified-next-hop': qualified = {}, discard } = entry;
  const preference = entry.preference ?? limits.preference.fallback;
  const leads = nextHops.length + Object.keys(qualified).length > 0;
  if (leads === (discard !== undefined)) {
    context.report(at, `${leads ? 'says both' : 'leads nowhere'}; write next-hop or discard`, 'key');
  }
  const detection = entry['bfd-liveness-detection'];
  if (!leads) {
    if (detection !== undefined)
      context.report([...at, 'bfd-liveness-detection'], 'there is no next hop to watch; remove it', 'key');
    return [{ prefix, preference, nextHop: { kind: 'discard' }, bfd: [] }];
  }
  const hops: Hop[] = [];
  nextHops.forEach((text, i) => {
    const target = nextHopOf(context, [...at, 'next-hop', i], text, prefix, instance, reach);
    if (target !== undefined) hops.push({ at: [...at, 'next-hop', i], target, preference });
  });
  const sessions = new Map<Hop, Watch>();
  if (detection !== undefined)
    for (const hop of hops) sessions.set(hop, { at: [...at, 'bfd-liveness-detection'], document: detection });
  for (const [text, qualifiedHop] of Object.entries(qualified)) {
    const { member, weight, preference: own, 'bfd-liveness-detection': ownDetection } = qualifiedHop;
    const place = [...at, 'qualified-next-hop', text];
    const target = nextHopOf(context, place, text, prefix, instance, reach);
    if (target === undefined) continue;
    const hop = { at: place, target, preference: own ?? preference, name: member, weight };
    hops.push(hop);
    if (ownDetection !== undefined)
      sessions.set(hop, { at: [...place, 'bfd-liveness-detection'], document: ownDetection });
    else if (detection !== undefined)
      sessions.set(hop, { at: [...at, 'bfd-liveness-detection'], document: detection });
  }
  checkHops(context, hops);
  return [...groupBy(hops)].map(([of, list]) => ({
    prefix,
    preference: of,
    nextHop: list.length === 1 ? list[0]!.target : ecmpOf(context, list, balance(prefix)),
    bfd: list.flatMap((hop): RouteBfdConfig[] => {
      const watch = sessions.get(hop);
      return watch === undefined ? [] : guarded(context, watch, hop, instance, reach);
    }),
  }));
}

/** A bfd-liveness-detection, and where it stands. */
interface Watch {
  readonly at: Path;
  readonly document: BfdDocument;
}

function guarded(
  context: Context,
  { at, document }: Watch,
  { target }: Hop,
  instance: string,
  reach: Reach,
): RouteBfdConfig[] {
  if (target.kind === 'interface') {
    context.report(at, `${target.interface} is no neighbour to watch; write an address as next hop`, 'key');
    return [];
  }
  const peer = nextHopSession(context, at, document, target.address, instance, reach);
  return peer === undefined ? [] : [{ nextHop: target.address, peer }];
}

interface Hop {
  readonly at: Path;
  readonly target: StaticRouteConfig['nextHop'] & { readonly kind: 'address' | 'interface' };
  readonly preference: number;
  readonly name?: string | undefined;
  readonly weight?: number | undefined;
}

const hopText = ({ target }: Hop) => (target.kind === 'address' ? String(target.address) : target.interface);
const hopName = (hop: Hop) => hop.name ?? hopText(hop);

function groupBy(hops: readonly Hop[]): Map<number, Hop[]> {
  const groups = new Map<number, Hop[]>();
  for (const hop of hops) groups.set(hop.preference, [...(groups.get(hop.preference) ?? []), hop]);
  return groups;
}

function checkHops(context: Context, hops: readonly Hop[]): void {
  const addresses = new Set<string>();
  const names = new Set<string>();
  for (const hop of hops) {
    const named = (hop.at.at(-2) === 'qualified-next-hop' ? 'key' : 'value') as 'key' | 'value';
    if (addresses.has(hopText(hop)))
      context.report(hop.at, `${hopText(hop)} is a next hop of this route already; remove one`, named);
    else if (names.has(`${hop.preference} ${hopName(hop)}`))
      context.report([...hop.at, 'member'], `${hopName(hop)} is a member already; choose another name`);
    if (hop.target.kind === 'interface' && hops.length > 1)
      context.report(hop.at, `${hop.target.interface} cannot share with others; write addresses`, named);
    addresses.add(hopText(hop));
    names.add(`${hop.preference} ${hopName(hop)}`);
  }
}

function ecmpOf(
  context: Context,
  hops: readonly Hop[],
  loadBalance: LoadBalance,
): StaticRouteConfig['nextHop'] {
  const members = hops.flatMap((hop): EcmpMemberConfig[] => {
    const { target, weight } = hop;
    if (target.kind !== 'address') return [];
    return [{ name: hopName(hop), address: target.address, weight: weight ?? limits.ecmp.weight.fallback }];
  });
  return { kind: 'ecmp', members, loadBalance, ...ecmpHash(context, loadBalance) };
}

function nextHopOf(
  context: Context,
  path: Path,
  text: string,
  prefix: Prefix,
  instance: string,
  reach: Reach,
): Hop['target'] | undefined {
  const place = path.at(-2) === 'qualified-next-hop' ? 'key' : 'value';
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
    context.report(path, `${text} is ${address.family}, the route is ${prefix.family}`, place);
  } else if (reason !== undefined) {
    context.report(path, `${text} is ${reason}; write the address of a neighbour`, place);
  } else if (context.sound('interfaces') && context.sound('routing-instances')) {
    const own = reach.instanceOfOwn(text) === instance;
    if (own)
      context.report(path, `${text} is an address of this node; write the address of a neighbour`, place);
    else if (!reach.connected(instance, text)) {
      context.report(path, `${text} is on no interface of routing instance ${instance}`, place);
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
