import type { Prefix } from '../../model/prefix.js';
import { parsePrefix } from '../address.js';
import type { ApplicationConfig, FlowConfig, InterfaceConfig, PolicyConfig, ZoneConfig } from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import { checkNames } from './filters.js';
import { protocolNumber } from './protocols.js';

type Policies = NonNullable<NonNullable<ConfigDocument['security']>['policies']>;
type PolicyDocument = NonNullable<Policies['from-zone']>[string]['to-zone'][string]['policy'][number];

const zonesPath = ['security', 'zones', 'security-zone'];

/** Addresses that policies may name without an address book. */
const anyAddresses: Readonly<Record<string, readonly string[]>> = {
  any: [],
  'any-ipv4': ['0.0.0.0/0'],
  'any-ipv6': ['::/0'],
};

export function compileZones(context: Context): { zones: ZoneConfig[]; zoneOf: Map<string, string> } {
  const zoneOf = new Map<string, string>();
  const zones: ZoneConfig[] = [];
  for (const [name, zone] of Object.entries(context.document.security?.zones?.['security-zone'] ?? {})) {
    const interfaces: string[] = [];
    zone.interfaces.forEach((given, i) => {
      const path = [...zonesPath, name, 'interfaces', i];
      const full = context.referInterface(path, given);
      const other = full === undefined ? undefined : zoneOf.get(full);
      if (other !== undefined) context.report(path, `${full} is in security zone ${other} already`);
      else if (full !== undefined) {
        zoneOf.set(full, name);
        interfaces.push(full);
      }
    });
    zones.push({ name, interfaces });
  }
  return { zones, zoneOf };
}

/** Where sessions are kept, each packet comes from a zone and goes to one. */
export function checkEveryInterfaceHasAZone(context: Context, interfaces: readonly InterfaceConfig[]): void {
  const { security } = context.document;
  if (security?.zones === undefined && security?.ipsec === undefined) return;
  if (!context.sound(...zonesPath)) return;
  for (const { name, kind, zone } of interfaces) {
    if (kind === 'loopback' || zone !== null) continue;
    const dot = name.lastIndexOf('.');
    const path = ['interfaces', name.slice(0, dot), 'unit', name.slice(dot + 1)];
    context.report(
      path,
      `in no security zone; add ${name} to ${zonesPath.join('.')}.<name>.interfaces`,
      'key',
    );
  }
}

export function compilePolicies(context: Context): PolicyConfig[] {
  const applications = compileApplications(context);
  const found: PolicyConfig[] = [];
  for (const [from, entry] of Object.entries(context.document.security?.policies?.['from-zone'] ?? {})) {
    const fromPath = ['security', 'policies', 'from-zone', from];
    context.refer(fromPath, 'security zone', from, zonesPath);
    for (const [to, { policy }] of Object.entries(entry['to-zone'])) {
      const path = [...fromPath, 'to-zone', to];
      context.refer(path, 'security zone', to, zonesPath);
      checkNames(context, [...path, 'policy'], 'policy', policy);
      policy.forEach((document, i) => {
        found.push(compilePolicy(context, [...path, 'policy', i], from, to, document, applications));
      });
    }
  }
  return found;
}

function compilePolicy(
  context: Context,
  path: Path,
  fromZone: string,
  toZone: string,
  policy: PolicyDocument,
  applications: ReadonlyMap<string, ApplicationConfig>,
): PolicyConfig {
  const { permit, deny } = policy.then;
  if ((permit === undefined) === (deny === undefined)) {
    const says = permit === undefined ? 'says nothing' : 'says both';
    context.report([...path, 'then'], `${says}; write { permit } or { deny }`, 'key');
  }
  const match = [...path, 'match'];
  return {
    name: policy.name,
    fromZone,
    toZone,
    sourceAddress: bookAddresses(context, [...match, 'source-address'], policy.match['source-address']),
    destinationAddress: bookAddresses(
      context,
      [...match, 'destination-address'],
      policy.match['destination-address'],
    ),
    application: named(context, [...match, 'application'], policy.match.application, applications),
    action: permit === undefined ? 'deny' : 'permit',
  };
}

function bookAddresses(context: Context, path: Path, names: readonly string[]): Prefix[] {
  const book = context.document.security?.['address-book']?.global?.address ?? {};
  const texts: string[] = [];
  names.forEach((name, i) => {
    const builtIn = Object.hasOwn(anyAddresses, name) ? anyAddresses[name] : undefined;
    if (name === 'any' && names.length > 1)
      context.report([...path, i], 'any stands alone; remove the others');
    if (builtIn !== undefined) texts.push(...builtIn);
    else if (
      context.refer([...path, i], 'address', name, ['security', 'address-book', 'global', 'address'])
    ) {
      const text = Object.hasOwn(book, name) ? book[name] : undefined;
      if (text !== undefined) texts.push(text);
    }
  });
  return texts.map((text) => parsePrefix(text)!);
}

function named(
  context: Context,
  path: Path,
  names: readonly string[],
  applications: ReadonlyMap<string, ApplicationConfig>,
): ApplicationConfig[] {
  const found: ApplicationConfig[] = [];
  names.forEach((name, i) => {
    if (name === 'any') {
      if (names.length > 1) context.report([...path, i], 'any stands alone; remove the others');
      return;
    }
    if (!context.refer([...path, i], 'application', name, ['applications', 'application'])) return;
    const application = applications.get(name);
    if (application !== undefined) found.push(application);
  });
  return found;
}

function compileApplications(context: Context): Map<string, ApplicationConfig> {
  const found = new Map<string, ApplicationConfig>();
  for (const [name, entry] of Object.entries(context.document.applications?.application ?? {})) {
    const path = ['applications', 'application', name];
    const protocol = protocolNumber(entry.protocol);
    if (typeof protocol !== 'number') context.report([...path, 'protocol'], protocol.wrong);
    const number = typeof protocol === 'number' ? protocol : 0;
    const ports = entry['destination-port'];
    const portsPath = [...path, 'destination-port'];
    const range = ports === undefined ? null : portRange(ports);
    if (range !== null && (range[0] > range[1] || range[1] > 65_535)) {
      context.report(portsPath, `${ports} is not a range of ports from 0 to 65535, the lower first`);
    } else if (range !== null && ![6, 17, 132].includes(number) && typeof protocol === 'number') {
      context.report(portsPath, `${entry.protocol} has no ports; remove it`, 'key');
    }
    found.set(name, { name, protocol: number, destinationPort: range });
  }
  return found;
}

function portRange(ports: number | string): readonly [number, number] {
  const [low, high] = String(ports).split('-').map(Number);
  return [low!, high ?? low!];
}

export function compileFlow(context: Context): FlowConfig {
  const flow = context.document.security?.flow;
  return {
    sessions: context.document.security?.zones !== undefined,
    flowLimit:
      context.document.services?.['traffic-load-balance']?.['flow-limit'] ?? limits.flowLimit.fallback,
    sessionLimit: flow?.['session-limit'] ?? limits.sessionLimit.fallback,
    synCheck: flow?.['tcp-session']?.['no-syn-check'] === undefined,
    synCheckInTunnel: flow?.['tcp-session']?.['no-syn-check-in-tunnel'] === undefined,
    syncIcmpSession: flow?.['sync-icmp-session'] !== undefined,
  };
}
