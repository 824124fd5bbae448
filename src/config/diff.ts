import { Secret } from '../model/secret.js';
import type {
  AriExportConfig,
  Config,
  FilterConfig,
  FlowConfig,
  HaGroupConfig,
  HighAvailabilityConfig,
  IkeGatewayConfig,
  IkeVpnConfig,
  InterfaceConfig,
  KernelRoutesConfig,
  MonitoringProfileConfig,
  PolicyConfig,
  PolicyStatementConfig,
  PortConfig,
  RouteConditionConfig,
  SrgConfig,
  StaticRouteConfig,
  SystemConfig,
  TlbGroupConfig,
  TlbInstanceConfig,
  VirtualServiceConfig,
  VpnConfig,
  ZoneConfig,
} from './config.js';
import { limits } from './limits.js';

/** What a configuration is made of, as far as one change can touch it alone. */
export interface Sections {
  system: SystemConfig;
  port: PortConfig;
  interface: InterfaceConfig;
  'routing-instance': { readonly name: string; readonly instanceType: string };
  /** named `instance prefix`, with ` preference N` behind it where that is not the usual one */
  'static-route': StaticRouteConfig;
  'instance-import': readonly string[];
  'policy-statement': PolicyStatementConfig;
  condition: RouteConditionConfig;
  'auto-route-injection': AriExportConfig;
  'kernel-routes': KernelRoutesConfig;
  /** named `family filter` */
  filter: FilterConfig;
  profile: MonitoringProfileConfig;
  'traffic-load-balance': Omit<TlbInstanceConfig, 'groups' | 'virtualServices'>;
  /** named `instance group` */
  group: TlbGroupConfig;
  /** named `instance service` */
  'virtual-service': VirtualServiceConfig;
  vpn: VpnConfig;
  'ike-gateway': IkeGatewayConfig;
  'ike-vpn': IkeVpnConfig;
  zone: ZoneConfig;
  /** All policies of a pair of zones, since their order counts; named `from-zone to-zone`. */
  policies: readonly PolicyConfig[];
  'default-policy': Config['defaultPolicy'];
  flow: FlowConfig;
  /** both nodes and what joins them */
  'high-availability': Omit<HighAvailabilityConfig, 'groups' | 'haGroups'>;
  'services-redundancy-group': SrgConfig;
  'ha-group': HaGroupConfig;
}

/** For people, where it is found in the file. */
export const sectionText: { readonly [S in keyof Sections]: string } = {
  system: 'system',
  port: 'interface',
  interface: 'unit',
  'routing-instance': 'routing instance',
  'static-route': 'static route',
  'instance-import': 'instance-import of routing instance',
  'policy-statement': 'policy statement',
  condition: 'condition',
  'auto-route-injection': 'auto-route-injection export',
  'kernel-routes': 'routes to and from the kernel',
  filter: 'firewall filter',
  profile: 'network-monitoring profile',
  'traffic-load-balance': 'traffic-load-balance instance',
  group: 'group',
  'virtual-service': 'virtual service',
  vpn: 'VPN',
  'ike-gateway': 'IKE gateway',
  'ike-vpn': 'VPN',
  zone: 'security zone',
  policies: 'policies',
  'default-policy': 'default-policy',
  flow: 'flow',
  'high-availability': 'high availability',
  'services-redundancy-group': 'services redundancy group',
  'ha-group': 'ha-group',
};

/** before null: added. after null: removed. */
export type Change = {
  [S in keyof Sections]: {
    readonly section: S;
    /** '' for what a system has one of */
    readonly name: string;
    readonly before: Sections[S] | null;
    readonly after: Sections[S] | null;
  };
}[keyof Sections];

/**
 * What changes from one configuration to another: removals first (in the old order), then changes and additions
 * (in the new order). Empty when both say the same; comments, order and spelling of a file do not count.
 */
export function diff(before: Config, after: Config): Change[] {
  const old = partsOf(before);
  const fresh = partsOf(after);
  const changes: Change[] = [];
  const add = ({ section, name }: Part, was: unknown, is: unknown) =>
    changes.push({ section, name, before: was, after: is } as Change);
  for (const [key, part] of old) {
    if (!fresh.has(key)) add(part, part.value, null);
  }
  for (const [key, part] of fresh) {
    const was = old.get(key);
    if (was === undefined || !isSame(was.value, part.value)) add(part, was?.value ?? null, part.value);
  }
  return changes;
}

interface Part {
  readonly section: keyof Sections;
  readonly name: string;
  readonly value: unknown;
}

function partsOf(config: Config): Map<string, Part> {
  const parts = new Map<string, Part>();
  const add = <S extends keyof Sections>(section: S, name: string, value: Sections[S]) =>
    parts.set(`${section} ${name}`, { section, name, value });
  add('system', '', config.system);
  for (const port of config.ports) add('port', port.name, port);
  for (const entry of config.interfaces) add('interface', entry.name, entry);
  for (const { name, instanceType, staticRoutes, instanceImport } of config.routingInstances) {
    add('routing-instance', name, { name, instanceType });
    if (instanceImport.length > 0) add('instance-import', name, instanceImport);
    for (const route of staticRoutes) {
      const backup = route.preference === limits.preference.fallback ? '' : ` preference ${route.preference}`;
      add('static-route', `${name} ${route.prefix}${backup}`, route);
    }
  }
  for (const statement of config.policyOptions.statements) add('policy-statement', statement.name, statement);
  for (const condition of config.policyOptions.conditions) add('condition', condition.name, condition);
  for (const router of config.autoRouteInjection.export) add('auto-route-injection', router.name, router);
  if (config.kernelRoutes !== null) add('kernel-routes', '', config.kernelRoutes);
  for (const filter of config.filters) add('filter', `${filter.family} ${filter.name}`, filter);
  for (const profile of config.networkMonitoring) add('profile', profile.name, profile);
  for (const { groups, virtualServices, ...instance } of config.trafficLoadBalance) {
    add('traffic-load-balance', instance.name, instance);
    for (const group of groups) add('group', `${instance.name} ${group.name}`, group);
    for (const service of virtualServices)
      add('virtual-service', `${instance.name} ${service.name}`, service);
  }
  for (const vpn of config.vpns) add('vpn', vpn.name, vpn);
  for (const gateway of config.ikeGateways) add('ike-gateway', gateway.name, gateway);
  for (const vpn of config.ikeVpns) add('ike-vpn', vpn.name, vpn);
  for (const zone of config.zones) add('zone', zone.name, zone);
  for (const [name, policies] of policiesByZones(config.policies)) add('policies', name, policies);
  add('default-policy', '', config.defaultPolicy);
  add('flow', '', config.flow);
  if (config.highAvailability !== null) {
    const { groups, haGroups, ...pair } = config.highAvailability;
    add('high-availability', '', pair);
    for (const group of groups) add('services-redundancy-group', String(group.id), group);
    for (const group of haGroups) add('ha-group', group.name, group);
  }
  return parts;
}

function policiesByZones(policies: readonly PolicyConfig[]): Map<string, PolicyConfig[]> {
  const byZones = new Map<string, PolicyConfig[]>();
  for (const policy of policies) {
    const name = `${policy.fromZone} ${policy.toZone}`;
    const list = byZones.get(name);
    if (list === undefined) byZones.set(name, [policy]);
    else list.push(policy);
  }
  return byZones;
}

/** Deep equality of values; secrets are compared by their bytes. */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Secret || b instanceof Secret)
    return a instanceof Secret && b instanceof Secret && a.equals(b);
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => {
    const [left, right] = [(a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]];
    return Object.hasOwn(b, key) && isSame(left, right);
  });
}
