/** What a services redundancy group watches: interfaces, addresses, BFD sessions; with weights and thresholds. */
import { notAHost, parseAddress } from '../address.js';
import type {
  BfdTargetConfig,
  EchoTargetConfig,
  MonitoredConfig,
  MonitorObjectConfig,
  SrgMonitorConfig,
} from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { Context } from './context.js';
import { type Around, compileLiveness } from './high-availability.js';
import type { GroupDocument } from './redundancy-groups.js';

type MonitorDocument = NonNullable<GroupDocument['monitor']>;
type ObjectDocument = NonNullable<MonitorDocument['monitor-object']>[string];
type BfdDocument = NonNullable<MonitorDocument['bfd-liveliness']>[string];
type EchoDocument = NonNullable<NonNullable<MonitorDocument['ip']>[string]>;

export function compileMonitor(
  context: Context,
  path: Path,
  monitor: MonitorDocument | undefined,
  around: Around,
): SrgMonitorConfig {
  const srgThreshold = monitor?.['srg-threshold'] ?? limits.highAvailability.monitor.weight.fallback;
  const named = Object.entries(monitor?.['monitor-object'] ?? {});
  const { objects: most } = limits.highAvailability.monitor;
  if (named.length > most)
    context.report(
      [...path, 'monitor-object'],
      `${named.length} monitor-objects; a group has at most ${most}`,
      'key',
    );
  const objects = named.map(([name, object]) =>
    compileObject(context, [...path, 'monitor-object', name], name, object, around),
  );
  const plain = compilePlain(context, path, monitor, srgThreshold, around);
  const all = [...objects, ...(plain === undefined ? [] : [plain])];
  const sum = all.map(heaviest).reduce((a, b) => a + b, 0);
  if (monitor !== undefined && all.length === 0)
    context.report(path, 'watches nothing; write monitor-object, interface, ip or bfd-liveliness', 'key');
  else if (sum < srgThreshold && all.length > 0)
    context.report(
      [...path, 'srg-threshold'],
      `${srgThreshold} is never reached: all that is watched weighs ${sum}`,
    );
  return { srgThreshold, objects: all };
}

/** All members of an object together. */
function heaviest({ interface: links, ip, bfdLiveliness }: MonitorObjectConfig): number {
  const members = [...(links?.members ?? []), ...(ip?.members ?? []), ...(bfdLiveliness?.members ?? [])];
  return members.reduce((sum, { weight }) => sum + weight, 0);
}

function compileObject(
  context: Context,
  path: Path,
  name: string,
  object: ObjectDocument,
  around: Around,
): MonitorObjectConfig {
  const links = Object.entries(object.interface?.['interface-name'] ?? {});
  const ips = Object.entries(object.ip?.['destination-ip'] ?? {});
  const sessions = Object.entries(object['bfd-liveliness']?.['destination-ip'] ?? {});
  const kind = <M extends { readonly weight: number }>(
    at: 'interface' | 'ip' | 'bfd-liveliness',
    members: M[],
  ): { threshold: number; members: M[] } | null => {
    const said = object[at];
    if (said === undefined) return null;
    const sum = members.reduce((total, { weight }) => total + weight, 0);
    const threshold = said.threshold ?? 1;
    if (members.length === 0) context.report([...path, at], 'watches nothing; write what it watches', 'key');
    else if (threshold > sum)
      context.report(
        [...path, at, 'threshold'],
        `${threshold} is never reached: the weights add up to ${sum}`,
      );
    return { threshold, members };
  };
  const compiled: MonitorObjectConfig = {
    name,
    objectThreshold: object['object-threshold'],
    interface: kind(
      'interface',
      links.map(([given, { weight }]) => ({
        name: linkOf(context, [...path, 'interface', 'interface-name', given], given, 'key'),
        weight,
      })),
    ),
    ip: kind(
      'ip',
      ips.map(([text, entry]) => ({
        ...compileEcho(context, [...path, 'ip', 'destination-ip', text], text, entry, around),
        weight: entry.weight,
      })),
    ),
    bfdLiveliness: kind(
      'bfd-liveliness',
      sessions.map(([text, entry]) => ({
        ...compileTarget(context, [...path, 'bfd-liveliness', 'destination-ip', text], text, entry, around),
        weight: entry.weight,
      })),
    ),
  };
  const sum = heaviest(compiled);
  if (sum > 0 && sum < compiled.objectThreshold)
    context.report(
      [...path, 'object-threshold'],
      `${compiled.objectThreshold} is never reached: the weights add up to ${sum}`,
    );
  else if (sum === 0) context.report(path, 'watches nothing; write interface, ip or bfd-liveliness', 'key');
  return compiled;
}

/** What stands right below monitor: each fails the group alone. */
function compilePlain(
  context: Context,
  path: Path,
  monitor: MonitorDocument | undefined,
  weight: number,
  around: Around,
): MonitorObjectConfig | undefined {
  const { interface: links = [], ip = {}, 'bfd-liveliness': sessions = {} } = monitor ?? {};
  const of = <M>(members: M[]): MonitoredConfig<M> | null =>
    members.length === 0
      ? null
      : { threshold: weight, members: members.map((each) => ({ ...each, weight })) };
  const object: MonitorObjectConfig = {
    name: '',
    objectThreshold: weight,
    interface: of(
      links.map((given, i) => ({ name: linkOf(context, [...path, 'interface', i], given, 'value') })),
    ),
    ip: of(
      Object.entries(ip).map(([text, entry]) =>
        compileEcho(context, [...path, 'ip', text], text, entry ?? {}, around),
      ),
    ),
    bfdLiveliness: of(
      Object.entries(sessions).map(([text, entry]) =>
        compileTarget(context, [...path, 'bfd-liveliness', text], text, entry, around),
      ),
    ),
  };
  return heaviest(object) === 0 ? undefined : object;
}

/** A link is a port's, whether it is named with a unit or not. */
function linkOf(context: Context, path: Path, given: string, at: 'key' | 'value'): string {
  const port = given.replace(/\.\d+$/, '');
  if (port === 'lo0' || port === 'st0')
    context.report(path, `${given} has no link; write an interface with a port`, at);
  else if (context.names('interfaces').includes(port)) return port;
  else context.referInterface(path, given);
  return port;
}

function compileEcho(
  context: Context,
  path: Path,
  text: string,
  entry: EchoDocument,
  { reach }: Around,
): EchoTargetConfig {
  const { probeIntervalMs, probeMultiplier } = limits.highAvailability.srg;
  const source = entry['src-ip'];
  const instance = entry['routing-instance'];
  checkEnds(context, path, text, source, reach);
  if (instance !== undefined) context.referInstance([...path, 'routing-instance'], instance);
  return {
    destination: parseAddress(text)!,
    source: source === undefined ? null : parseAddress(source)!,
    routingInstance:
      instance ?? (source === undefined ? undefined : reach.instanceOfOwn(source)) ?? 'default',
    intervalMs: entry['minimum-interval'] ?? probeIntervalMs.fallback,
    multiplier: entry.multiplier ?? probeMultiplier.fallback,
  };
}

/** A BFD session to a router; one hop away it goes out of an interface. */
export function compileTarget(
  context: Context,
  path: Path,
  text: string,
  entry: BfdDocument,
  { interfaces, reach }: Around,
): BfdTargetConfig {
  const source = entry['src-ip'];
  const sessionType = entry['session-type'] ?? 'singlehop';
  const instance = entry['routing-instance'];
  checkEnds(context, path, text, source, reach);
  if (instance !== undefined) context.referInstance([...path, 'routing-instance'], instance);
  const given = entry.interface;
  const name = given === undefined ? undefined : context.referInterface([...path, 'interface'], given);
  const own = interfaces.find(({ addresses }) =>
    addresses.some(({ address }) => address.equals(parseAddress(source)!)),
  );
  if (
    sessionType === 'singlehop' &&
    given === undefined &&
    own?.kind !== 'port' &&
    context.sound('interfaces')
  )
    context.report([...path, 'interface'], 'missing; a single-hop session goes out of one', 'key');
  return {
    destination: parseAddress(text)!,
    source: parseAddress(source)!,
    sessionType,
    interface: sessionType === 'multihop' ? null : (name ?? own?.name ?? ''),
    routingInstance: instance ?? reach.instanceOfOwn(source) ?? 'default',
    liveness: compileLiveness(context, [...path, 'liveness-detection'], entry['liveness-detection']),
  };
}

function checkEnds(
  context: Context,
  path: Path,
  text: string,
  source: string | undefined,
  reach: Around['reach'],
): void {
  const to = parseAddress(text)!;
  const reason = notAHost(to);
  if (reason !== undefined)
    context.report(path, `${text} is ${reason}; write the address of a router`, 'key');
  if (source === undefined) return;
  const from = parseAddress(source)!;
  if (from.family !== to.family)
    context.report([...path, 'src-ip'], `${source} is ${from.family}, ${text} is not`);
  else if (reach.instanceOfOwn(source) === undefined && context.sound('interfaces'))
    context.report([...path, 'src-ip'], `${source} is no address of this node; add it to an interface`);
}
