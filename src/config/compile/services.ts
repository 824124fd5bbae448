import type { Address } from '../../model/address.js';
import { notAHost, parseAddress } from '../address.js';
import type {
  InterfaceConfig,
  RealServiceConfig,
  TlbGroupConfig,
  TlbInstanceConfig,
  VirtualServiceConfig,
} from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import { checkForwarding, compileServicePorts } from './forwarding.js';
import type { Reach } from './interfaces.js';

type Services = NonNullable<ConfigDocument['services']>;
type TlbDocument = NonNullable<Services['traffic-load-balance']>['instance'][string];

const profilesPath = ['services', 'network-monitoring', 'profile'];

export function compileTlb(
  context: Context,
  interfaces: readonly InterfaceConfig[],
  reach: Reach,
): TlbInstanceConfig[] {
  const path = ['services', 'traffic-load-balance', 'instance'];
  const instances = Object.entries(context.document.services?.['traffic-load-balance']?.instance ?? {});
  const result = instances.map(([name, instance]) =>
    compileInstance(context, [...path, name], name, instance, interfaces, reach),
  );
  checkForwarding(context, path, result, interfaces, reach);
  checkCapacity(context, path, instances);
  checkVirtualAddresses(context, path, result);
  return result;
}

function compileInstance(
  context: Context,
  path: Path,
  name: string,
  instance: TlbDocument,
  interfaces: readonly InterfaceConfig[],
  reach: Reach,
): TlbInstanceConfig {
  const source = context.referInterface([...path, 'interface'], instance.interface);
  for (const key of ['client-vrf', 'server-vrf'] as const)
    context.referInstance([...path, key], instance[key]);
  const groups = Object.entries(instance.group).map(([group, entry]) =>
    compileGroup(context, path, group, entry, instance, reach),
  );
  checkProbeSource(
    context,
    path,
    groups,
    interfaces.find((entry) => entry.name === source),
  );
  return {
    name,
    interface: source ?? instance.interface,
    clientVrf: instance['client-vrf'],
    serverVrf: instance['server-vrf'],
    routeHoldSeconds: instance['route-hold-timer'] ?? limits.tlb.routeHoldSeconds.fallback,
    groups,
    virtualServices: Object.entries(instance['virtual-service']).map(([service, entry]) =>
      compileVirtualService(context, path, service, entry, reach),
    ),
  };
}

function compileGroup(
  context: Context,
  instancePath: Path,
  name: string,
  group: TlbDocument['group'][string],
  instance: TlbDocument,
  reach: Reach,
): TlbGroupConfig {
  const path = [...instancePath, 'group', name];
  const routingInstance = group['routing-instance'] ?? instance['server-vrf'];
  if (group['routing-instance'] !== undefined) {
    context.referInstance([...path, 'routing-instance'], group['routing-instance']);
  }
  const profiles = new Set<string>();
  group['network-monitoring-profile']?.forEach((profile, i) => {
    const at = [...path, 'network-monitoring-profile', i];
    context.refer(at, 'profile', profile, profilesPath);
    if (profiles.has(profile)) context.report(at, `${profile} is named already; remove one`);
    profiles.add(profile);
  });
  const realServices: RealServiceConfig[] = [];
  const seen = new Set<string>();
  group['real-services'].forEach((member, i) => {
    const at = [...path, 'real-services', i];
    if (seen.has(member)) context.report(at, `${member} is in the group already; remove one`);
    seen.add(member);
    context.refer(at, 'real service', member, [...instancePath, 'real-service']);
    const entry = Object.hasOwn(instance['real-service'], member)
      ? instance['real-service'][member]
      : undefined;
    if (entry === undefined) return;
    const sound =
      context.sound('interfaces') && context.sound('routing-instances') && context.sound('routing-options');
    if (sound && !reach.reaches(routingInstance, entry.address)) {
      context.report(at, `no route to ${member} (${entry.address}) in routing instance ${routingInstance}`);
    }
    realServices.push({
      name: member,
      address: parseAddress(entry.address)!,
      mode: entry.mode ?? null,
      adminDown: entry['admin-down'] !== undefined,
      weight: entry.weight ?? limits.tlb.weight.fallback,
    });
  });
  return {
    name,
    realServices,
    routingInstance,
    slowStartMs: 1000 * (group['slow-start'] ?? 0),
    networkMonitoringProfiles: group['network-monitoring-profile'] ?? [],
    healthCheckInterfaceSubunit: group['health-check-interface-subunit'] ?? 0,
    whenAllDown: group['when-all-down'] ?? 'fail-closed',
  };
}

const isUnspecified = ({ bytes }: Address) => bytes.every((byte) => byte === 0);

function checkProbeSource(
  context: Context,
  path: Path,
  groups: readonly TlbGroupConfig[],
  source: InterfaceConfig | undefined,
): void {
  if (source === undefined || !context.sound('interfaces')) return;
  const profiles = context.document.services?.['network-monitoring']?.profile ?? {};
  // those that send from the instance's interface: not passive ones, commands, and those with an address of their own
  const needsSource = (name: string) => {
    const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
    if (profile === undefined) return false;
    const { neighbour, link, custom } = profile;
    return [neighbour, link, custom, profile['source-address']].every((entry) => entry === undefined);
  };
  const probed = groups.filter((group) => group.networkMonitoringProfiles.some(needsSource));
  const families = new Set(
    probed.flatMap((group) => group.realServices.map((service) => service.address.family)),
  );
  for (const family of families) {
    if (!source.addresses.some((address) => address.family === family)) {
      context.report(
        [...path, 'interface'],
        `${source.name} has no ${family} address to probe ${family} real services from`,
      );
    }
  }
}

function compileVirtualService(
  context: Context,
  instancePath: Path,
  name: string,
  service: TlbDocument['virtual-service'][string],
  reach: Reach,
): VirtualServiceConfig {
  const path = [...instancePath, 'virtual-service', name];
  const address = parseAddress(service.address)!;
  const instance = service['routing-instance'];
  context.refer([...path, 'group'], 'group', service.group, [...instancePath, 'group']);
  const known = context.refer([...path, 'routing-instance'], 'routing instance', instance, [
    'routing-instances',
  ]);
  const type = context.document['routing-instances']?.[instance]?.['instance-type'];
  if (known && type !== undefined && type !== 'forwarding') {
    context.report(
      [...path, 'routing-instance'],
      `${instance} is a ${type}; write an instance of type forwarding`,
    );
  }
  // 0.0.0.0 and :: stand for every address that the filter sends there
  const reason = isUnspecified(address) ? undefined : notAHost(address);
  if (reason !== undefined)
    context.report([...path, 'address'], `${service.address} is ${reason}; write a unicast address`);
  const owner = context.sound('interfaces') ? reach.instanceOfOwn(service.address) : undefined;
  if (owner !== undefined) {
    context.report(
      [...path, 'address'],
      `${service.address} is an address of this node; only the real services may have it`,
    );
  }
  const { hash } = service['load-balance-method'];
  return {
    name,
    mode: service.mode,
    services: compileServicePorts(context, [...path, 'service'], service.service ?? {}),
    flowMemory: service['flow-memory'] !== undefined,
    address,
    routingInstance: instance,
    group: service.group,
    hash: {
      key: hash['hash-key'],
      function: hash['hash-function'] ?? 'xxh64',
      seed: hash.seed ?? 0,
      size: hash['table-size'] ?? 0,
      slack: Math.round(100 * (hash.slack ?? limits.tlb.slackPercent.fallback)),
    },
  };
}

function checkCapacity(
  context: Context,
  path: Path,
  instances: readonly (readonly [string, TlbDocument])[],
): void {
  let groups = 0;
  let realServices = 0;
  for (const [name, instance] of instances) {
    const before = { groups, realServices };
    groups += Object.keys(instance.group).length;
    realServices += Object.keys(instance['real-service']).length;
    const { groups: mostGroups, realServices: mostRealServices } = limits.tlb;
    if (before.groups <= mostGroups && groups > mostGroups) {
      context.report([...path, name, 'group'], `more than ${mostGroups} groups in all`, 'key');
    }
    if (before.realServices <= mostRealServices && realServices > mostRealServices) {
      context.report(
        [...path, name, 'real-service'],
        `more than ${mostRealServices} real services in all`,
        'key',
      );
    }
  }
}

function checkVirtualAddresses(context: Context, path: Path, instances: readonly TlbInstanceConfig[]): void {
  const owners = new Map<string, string>();
  for (const instance of instances) {
    for (const { name, address, routingInstance } of instance.virtualServices) {
      const key = `${routingInstance} ${address}`;
      const owner = owners.get(key);
      if (owner !== undefined) {
        const at = [...path, instance.name, 'virtual-service', name, 'address'];
        context.report(
          at,
          `${address} is the address of virtual service ${owner} already, in ${routingInstance}`,
        );
      }
      owners.set(key, name);
    }
  }
}
