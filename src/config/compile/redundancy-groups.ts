/** services-redundancy-group: what each says, and what cannot work. */
import { Prefix } from '../../model/prefix.js';
import { parseAddress, parsePrefix } from '../address.js';
import type {
  ActivenessProbeConfig,
  FloatingPrefixConfig,
  HaPeerConfig,
  SignalRouteConfig,
  SrgConfig,
  VirtualIpConfig,
} from '../config.js';
import { limits } from '../limits.js';
import { type Path, pathText } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import { checkFloating } from './floating.js';
import type { Around } from './high-availability.js';
import { compileMonitor, compileTarget } from './srg-monitor.js';

type Document = NonNullable<NonNullable<ConfigDocument['chassis']>['high-availability']>;
export type GroupDocument = NonNullable<Document['services-redundancy-group']>[string];

const groupsPath: Path = ['chassis', 'high-availability', 'services-redundancy-group'];

/** By what is to be there once among all groups: the place that has it. */
interface Taken {
  readonly virtualIps: Map<string, Path>;
  readonly signalRoutes: Map<string, Path>;
}

export function compileGroups(
  context: Context,
  pair: Document,
  peer: HaPeerConfig,
  around: Around,
): SrgConfig[] {
  const documents = Object.entries(pair['services-redundancy-group'] ?? {});
  const taken: Taken = { virtualIps: new Map(), signalRoutes: new Map() };
  const groups = documents.map(([id, group]) =>
    compileGroup(context, Number(id), group, peer, around, taken),
  );
  if (groups.every(({ id }) => id !== 0)) groups.push(compileGroup(context, 0, {}, peer, around, taken));
  groups.sort((a, b) => a.id - b.id);
  checkFloating(context, groups, peer, around, groupsPath);
  return groups;
}

function compileGroup(
  context: Context,
  id: number,
  group: GroupDocument,
  peer: HaPeerConfig,
  around: Around,
  taken: Taken,
): SrgConfig {
  const path = [...groupsPath, String(id)];
  if (id === 0) checkAlwaysActive(context, path, group);
  else checkElected(context, path, group);
  const named = group['peer-id'];
  if (named !== undefined && named !== peer.id)
    context.report([...path, 'peer-id'], `${named} is no peer of this node; write ${peer.id}`);
  const [active, backup, onFailure] = (
    ['active-signal-route', 'backup-signal-route', 'install-on-failure-route'] as const
  ).map((key) => signalRoute(context, [...path, key], group[key], taken));
  return {
    id,
    deploymentType: group['deployment-type'] ?? 'routing',
    activenessProbe: compileProbe(context, [...path, 'activeness-probe'], group, around),
    monitor: compileMonitor(context, [...path, 'monitor'], group.monitor, around),
    activeSignalRoute: active!,
    backupSignalRoute: backup!,
    installOnFailureRoute: onFailure!,
    prefixes: floatingPrefixes(context, path, group),
    managesIpsec: group['managed-services']?.includes('ipsec') ?? false,
    preemption: group.preemption !== undefined,
    activenessPriority: group['activeness-priority'] ?? limits.highAvailability.srg.priority.fallback,
    processPacketOnBackup: group['process-packet-on-backup'] !== undefined,
    virtualIps: virtualIps(context, [...path, 'virtual-ip'], group, around, taken),
    haGroup: haGroupOf(context, path, group),
  };
}

/** SRG0 is active on both nodes: there is nothing to decide. */
function checkAlwaysActive(context: Context, path: Path, group: GroupDocument): void {
  const without = [
    'deployment-type',
    'activeness-probe',
    'active-signal-route',
    'backup-signal-route',
    'managed-services',
    'preemption',
    'activeness-priority',
    'process-packet-on-backup',
    'virtual-ip',
    'listen-ha-group',
  ] as const;
  for (const key of without) {
    if (group[key] !== undefined)
      context.report([...path, key], 'services-redundancy-group 0 is active on both nodes; remove it', 'key');
  }
  if (group['install-on-failure-route'] !== undefined && group.monitor === undefined)
    context.report([...path, 'install-on-failure-route'], 'nothing fails without a monitor; add one', 'key');
}

function checkElected(context: Context, path: Path, group: GroupDocument): void {
  if (group['install-on-failure-route'] !== undefined)
    context.report(
      [...path, 'install-on-failure-route'],
      'for services-redundancy-group 0 only; write active-signal-route and backup-signal-route',
      'key',
    );
  const type = group['deployment-type'] ?? 'routing';
  if (group['listen-ha-group'] !== undefined) {
    for (const key of ['activeness-probe', 'preemption', 'activeness-priority'] as const) {
      if (group[key] !== undefined)
        context.report([...path, key], 'listen-ha-group says who is active; remove it', 'key');
    }
  } else if (type === 'routing' && group['activeness-probe'] === undefined) {
    context.report(
      [...path, 'activeness-probe'],
      'missing; of deployment-type routing it says which node the network leads to when the ICL is down',
      'key',
    );
  }
  if (type === 'routing' && group['virtual-ip'] !== undefined)
    context.report(
      [...path, 'virtual-ip'],
      'of deployment-type routing addresses float by routes; write a prefix-list, or deployment-type hybrid',
      'key',
    );
  if (type !== 'routing' && Object.keys(group['virtual-ip'] ?? {}).length === 0)
    context.report([...path, 'virtual-ip'], `missing; deployment-type ${type} has at least one`, 'key');
}

function haGroupOf(context: Context, path: Path, group: GroupDocument): string | null {
  const name = group['listen-ha-group'];
  if (name === undefined) return null;
  context.refer([...path, 'listen-ha-group'], 'ha-group', name, ['chassis', 'high-availability', 'ha-group']);
  return name;
}

function compileProbe(
  context: Context,
  path: Path,
  { 'activeness-probe': probe }: GroupDocument,
  around: Around,
): ActivenessProbeConfig | null {
  if (probe === undefined) return null;
  const sessions = Object.entries(probe['bfd-liveliness'] ?? {});
  if (probe['dest-ip'] !== undefined && sessions.length > 0) {
    context.report(
      [...path, 'bfd-liveliness'],
      'there is a dest-ip for pings, too; write one of them',
      'key',
    );
    return null;
  }
  const [session] = sessions;
  if (session !== undefined) {
    if (sessions.length > 1)
      context.report([...path, 'bfd-liveliness', sessions[1]![0]], 'a second session; one decides', 'key');
    const at = [...path, 'bfd-liveliness', session[0]];
    if (session[1]['session-type'] === 'multihop')
      context.report([...at, 'session-type'], 'a probe is of a neighbour; write singlehop');
    return { kind: 'bfd', ...compileTarget(context, at, session[0], session[1], around) };
  }
  const { 'dest-ip': destination, 'src-ip': source } = probe;
  for (const key of ['dest-ip', 'src-ip'] as const) {
    if (probe[key] === undefined)
      context.report([...path, key], 'missing; write an IP address, e.g. 10.0.0.1 or 2001:db8::1', 'key');
  }
  if (destination === undefined || source === undefined) return null;
  const [to, from] = [parseAddress(destination)!, parseAddress(source)!];
  const instance = probe['routing-instance'];
  if (instance !== undefined) context.referInstance([...path, 'routing-instance'], instance);
  const own = around.reach.instanceOfOwn(source);
  if (to.family !== from.family)
    context.report([...path, 'src-ip'], `${from} is ${from.family}, dest-ip ${to} is not`);
  else if (own === undefined && !isVirtual(context, source) && context.sound('interfaces'))
    context.report([...path, 'src-ip'], `${from} is no address of this node; write a floating address`);
  const { probeIntervalMs, probeMultiplier } = limits.highAvailability.srg;
  return {
    kind: 'icmp',
    destination: to,
    source: from,
    routingInstance: instance ?? own ?? 'default',
    intervalMs: probe['minimum-interval'] ?? probeIntervalMs.fallback,
    multiplier: probe.multiplier ?? probeMultiplier.fallback,
  };
}

function isVirtual(context: Context, text: string): boolean {
  const groups = context.document.chassis?.['high-availability']?.['services-redundancy-group'] ?? {};
  const address = parseAddress(text)!;
  return Object.values(groups).some((group) =>
    Object.values(group['virtual-ip'] ?? {}).some(({ ip }) => parsePrefix(ip)!.address.equals(address)),
  );
}

function signalRoute(
  context: Context,
  path: Path,
  route: GroupDocument['active-signal-route'],
  taken: Taken,
): SignalRouteConfig | null {
  if (route === undefined) return null;
  const address = parseAddress(route.ip)!;
  const routingInstance = route['routing-instance'] ?? 'default';
  if (route['routing-instance'] !== undefined)
    context.referInstance([...path, 'routing-instance'], routingInstance);
  const key = `${routingInstance} ${address}`;
  const other = taken.signalRoutes.get(key);
  if (other !== undefined)
    context.report(
      [...path, 'ip'],
      `${address} is that of ${pathText(other)} too: nobody could tell which is there; write another`,
    );
  else taken.signalRoutes.set(key, path);
  return { address, routingInstance };
}

function floatingPrefixes(context: Context, path: Path, group: GroupDocument): FloatingPrefixConfig[] {
  const lists = context.document['policy-options']?.['prefix-list'] ?? {};
  return Object.entries(group['prefix-list'] ?? {}).flatMap(([name, said]) => {
    const at = [...path, 'prefix-list', name];
    const instance = said?.['routing-instance'];
    if (instance !== undefined) context.referInstance([...at, 'routing-instance'], instance);
    context.refer(at, 'prefix list', name, ['policy-options', 'prefix-list']);
    const texts = Object.hasOwn(lists, name) ? lists[name]! : [];
    return texts.map((text) => ({ prefix: parsePrefix(text)!, routingInstance: instance ?? 'default' }));
  });
}

function virtualIps(
  context: Context,
  path: Path,
  group: GroupDocument,
  { interfaces, reach }: Around,
  taken: Taken,
): VirtualIpConfig[] {
  const entries = Object.entries(group['virtual-ip'] ?? {});
  const { virtualIps: most } = limits.highAvailability.srg;
  if (entries.length > most)
    context.report(path, `${entries.length} virtual-ips; a group has at most ${most}`, 'key');
  return entries.map(([index, entry]) => {
    const at = [...path, index];
    const address = parsePrefix(entry.ip)!;
    const name = context.referInterface([...at, 'interface'], entry.interface);
    const found = { index: Number(index), address, interface: name ?? entry.interface };
    const onto = interfaces.find((each) => each.name === name);
    if (onto === undefined || !context.sound('interfaces')) return found;
    const text = String(address.address);
    const key = `${onto.routingInstance} ${text}`;
    const other = taken.virtualIps.get(key);
    if (other !== undefined)
      context.report(
        [...at, 'ip'],
        `${text} is that of ${pathText(other)} too; a virtual-ip is in one group`,
      );
    else taken.virtualIps.set(key, at);
    const network = new Prefix(address.address, address.length).network();
    if (onto.kind !== 'port')
      context.report([...at, 'interface'], `${name} has no link; write an interface with a port`);
    else if (reach.instanceOfOwn(text) === onto.routingInstance)
      context.report([...at, 'ip'], `${text} is an address of this node itself; write one that both share`);
    else if (!onto.addresses.some((own) => own.network().equals(network)))
      context.report([...at, 'ip'], `${name} has no address in ${network}; give it one of its own there`);
    return found;
  });
}
