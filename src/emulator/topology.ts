/**
 * Topologies of the reference (scale-out IPsec, table 2): one or two routers that balance by ECMP or TLB, and behind
 * them standalone gateways. Pure: configurations, links and tunnels are functions of a few numbers.
 *
 *   client ── enb ══ mx1 (mx2) ══ gw1 … gwN ══ mx1 (mx2) ══ internet ── server
 *
 * enb is all base stations in one node: each has an outer address and a tunnel of its own, and the inner source address
 * decides which. internet is what is behind the routers. Every link has both families.
 */
import type { Config } from '../config/config.js';
import { makeConfig } from '../config/load.js';
import type { ConfigDocument } from '../config/schema.js';
import type { Address } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';
import type { Tunnel } from '../node/tunnel.js';
import { addressAt, prefixAt } from './addresses.js';

export interface TopologySpec {
  readonly method: 'ecmp' | 'tlb';
  readonly routers: 1 | 2;
  /** standalone ones */
  readonly gateways: number;
  /** base stations, a tunnel each */
  readonly tunnels: number;
}

export type Role = 'stations' | 'router' | 'gateway' | 'internet';

export interface TopologyNode {
  readonly name: string;
  readonly role: Role;
  readonly config: Config;
}

export interface TopologyLink {
  /** names of both ends, and what it is for where there are several */
  readonly name: string;
  /** nodes, or 'client' and 'server' */
  readonly ends: readonly [string, string];
}

export interface Topology {
  readonly spec: TopologySpec;
  readonly nodes: readonly TopologyNode[];
  readonly links: readonly TopologyLink[];
  readonly stations: readonly Station[];
  readonly routers: readonly string[];
  readonly gateways: readonly string[];
}

export interface Station {
  readonly number: number;
  readonly outer: Address;
  /** of the gateways, to all of which it belongs */
  readonly virtual: Address;
  readonly inner: Prefix;
  readonly server: Address;
}

export const stationsNode = 'enb';
export const internetNode = 'internet';
export const tunnelName = (station: number) => `enb${station}`;
export const clientLink = 'client--enb';
export const serverLink = 'internet--server';
export const accessLink = (router: string) => `enb--${router}`;
export const internetLink = (router: string) => `${router}--internet`;
export const trustLink = (router: string, gateway: string) => `${router}--${gateway}-trust`;
export const untrustLink = (router: string, gateway: string) => `${router}--${gateway}-untrust`;

const mtu = 2000;
const virtual = { inet: '10.0.0.1', inet6: '2001:db8::1' } as const;
const outer = { inet: '10.20.0.0', inet6: '2001:db8:20::' } as const;
const inner = { inet: '100.64.0.0', inet6: '2001:db8:6400::' } as const;
const server = { inet: '203.0.113.1', inet6: '2001:db8:ffff::1' } as const;
const innerBits = 4;
type Family = 'inet' | 'inet6';

/** Half of the outer and half of the inner addresses are IPv6, in all four combinations. */
export function stationOf(number: number): Station {
  const combination = number % 4;
  const outerFamily: Family = combination & 1 ? 'inet6' : 'inet';
  const innerFamily: Family = combination === 1 || combination === 2 ? 'inet6' : 'inet';
  return {
    number,
    outer: addressAt(outer[outerFamily], number + 1),
    virtual: addressAt(virtual[outerFamily]),
    inner: prefixAt(inner[innerFamily], number << innerBits, (innerFamily === 'inet' ? 32 : 128) - innerBits),
    server: addressAt(server[innerFamily]),
  };
}

/** Its tunnel as the base station sees it, and as a gateway does. */
export function tunnelOf(station: Station): { station: Tunnel; gateway: Tunnel } {
  const anywhere = prefixAt(station.inner.family === 'inet' ? '0.0.0.0' : '::', 0, 0);
  const common = {
    name: tunnelName(station.number),
    id: station.number,
    anchoring: 0,
    bindInterface: 'st0.0',
    antiReplayWindowSize: 64,
    extendedSequenceNumber: true,
    dfBit: 'copy',
    copyOuterDscp: false,
    outerDscp: null,
    announced: 'when-keyed',
    routingInstance: 'default',
  } as const;
  return {
    station: {
      ...common,
      gateway: station.virtual,
      localAddress: station.outer,
      selectors: [{ local: station.inner, remote: anywhere }],
      bySource: 'base-stations',
    },
    gateway: {
      ...common,
      gateway: station.outer,
      localAddress: station.virtual,
      selectors: [{ local: anywhere, remote: station.inner }],
      bySource: null,
    },
  };
}

const noSurroundings = {
  readFile: (): string => {
    throw new Error('the emulator has no files');
  },
  variable: () => undefined,
};
const compile = (document: ConfigDocument) =>
  makeConfig(document, document.system['host-name'], noSurroundings);

type Interfaces = NonNullable<ConfigDocument['interfaces']>;
const port = (wire: string, inet: string, inet6: string, filter?: string): Interfaces[string] => {
  const input = filter === undefined ? {} : { filter: { input: filter } };
  return {
    port: { memory: wire },
    mtu,
    unit: { 0: { family: { inet: { address: [inet], ...input }, inet6: { address: [inet6], ...input } } } },
  };
};
const routes = (list: Record<string, readonly string[]>) => ({
  static: {
    route: Object.fromEntries(Object.entries(list).map(([to, hops]) => [to, { 'next-hop': [...hops] }])),
  },
});

/** The link of router r (1, 2) with another: its end .1, the other .2. */
const ends = (kind: number, r: number, unit: number) => ({
  router: [`10.${kind + r}.${unit}.1/30`, `fd00:${kind + r}:${unit}::1/64`] as const,
  other: [`10.${kind + r}.${unit}.2/30`, `fd00:${kind + r}:${unit}::2/64`] as const,
  routerHop: [`10.${kind + r}.${unit}.1`, `fd00:${kind + r}:${unit}::1`] as const,
  otherHop: [`10.${kind + r}.${unit}.2`, `fd00:${kind + r}:${unit}::2`] as const,
});
const trust = (r: number, unit: number) => ends(100, r, unit);
const untrust = (r: number, unit: number) => ends(110, r, unit);
const access = (r: number) => ends(120, r, 0);
const internet = (r: number) => ends(130, r, 0);
const realServiceAddress = (unit: number) => `10.10.10.${unit}`;

/** The hash of all groups of a router is by the peer's address, so that a tunnel stays together. */
const bySource = {
  'routing-options': { 'forwarding-table': { export: ['lb_hash'] } },
  'policy-options': {
    'prefix-list': {
      IPsecGW_v4: [`${virtual.inet}/32`],
      IPsecGW_v6: [`${virtual.inet6}/128`],
    },
    'policy-statement': {
      lb_hash: {
        term: ['IPsecGW_v4', 'IPsecGW_v6'].map((list) => ({
          name: list,
          from: { 'prefix-list-filter': { [list]: 'exact' } },
          then: { 'load-balance': 'source-ip-only', accept: true },
        })),
      },
    },
  },
};

export const routerName = (r: number) => `mx${r}`;
export const gatewayName = (unit: number) => `gw${unit}`;

export function stationsConfig(stations: readonly Station[], routers: number): Config {
  const numbers = Array.from({ length: routers }, (_, i) => i + 1);
  const own = (family: Family) =>
    stations
      .filter((station) => station.outer.family === family)
      .map((station) => `${station.outer}/${family === 'inet' ? 32 : 128}`);
  return compile({
    system: { 'host-name': stationsNode, 'node-id': 15 },
    interfaces: {
      'ge-0/0/0': port(clientLink, '10.140.0.1/30', 'fd00:140::1/64'),
      ...Object.fromEntries(
        numbers.map((r) => [`ge-0/0/${r}`, port(accessLink(routerName(r)), ...access(r).other)]),
      ),
      lo0: { unit: { 0: { family: { inet: { address: own('inet') }, inet6: { address: own('inet6') } } } } },
      st0: { unit: { 0: {} } },
    },
    'routing-instances': { 'base-stations': { 'instance-type': 'forwarding' } },
    'routing-options': routes({
      [`${virtual.inet}/32`]: numbers.map((r) => access(r).routerHop[0]),
      [`${virtual.inet6}/128`]: numbers.map((r) => access(r).routerHop[1]),
      '100.64.0.0/10': ['10.140.0.2'],
      '2001:db8:6400::/40': ['fd00:140::2'],
    }),
    security: { flow: { 'session-limit': sessionLimit } },
  } as ConfigDocument);
}

export function internetConfig(routers: number): Config {
  const numbers = Array.from({ length: routers }, (_, i) => i + 1);
  return compile({
    system: { 'host-name': internetNode },
    interfaces: {
      'ge-0/0/0': port(serverLink, '10.141.0.1/30', 'fd00:141::1/64'),
      ...Object.fromEntries(
        numbers.map((r) => [`ge-0/0/${r}`, port(internetLink(routerName(r)), ...internet(r).other)]),
      ),
    },
    'routing-options': routes({
      '203.0.113.0/24': ['10.141.0.2'],
      '2001:db8:ffff::/48': ['fd00:141::2'],
      '100.64.0.0/10': numbers.map((r) => internet(r).routerHop[0]),
      '2001:db8:6400::/40': numbers.map((r) => internet(r).routerHop[1]),
    }),
    security: { flow: { 'session-limit': sessionLimit } },
  } as ConfigDocument);
}

const sessionLimit = 4096;

/** What two zones of a gateway may exchange. */
const firewall = (trusted: readonly string[], untrusted: readonly string[]) => ({
  zones: {
    'security-zone': {
      trust: { interfaces: ['st0.0', ...trusted] },
      untrust: { interfaces: [...untrusted] },
    },
  },
  policies: {
    'from-zone': {
      trust: {
        'to-zone': {
          untrust: {
            policy: [
              {
                name: 't2u-permit',
                match: { 'source-address': ['any'], 'destination-address': ['any'], application: ['any'] },
                then: { permit: true },
              },
            ],
          },
        },
      },
    },
  },
  flow: { 'session-limit': sessionLimit },
});

export function gatewayConfig(unit: number, routers: number): Config {
  const numbers = Array.from({ length: routers }, (_, i) => i + 1);
  const name = gatewayName(unit);
  return compile({
    system: { 'host-name': name, 'node-id': ((unit - 1) % 14) + 1 },
    interfaces: {
      ...Object.fromEntries(
        numbers.flatMap((r) => [
          [`ge-0/0/${2 * r - 2}`, port(trustLink(routerName(r), name), ...trust(r, unit).other)],
          [`ge-0/0/${2 * r - 1}`, port(untrustLink(routerName(r), name), ...untrust(r, unit).other)],
        ]),
      ),
      lo0: {
        unit: {
          0: {
            family: {
              inet: { address: [`${virtual.inet}/32`, `${realServiceAddress(unit)}/32`] },
              inet6: { address: [`${virtual.inet6}/128`] },
            },
          },
        },
      },
      st0: { unit: { 0: {} } },
    },
    'routing-options': {
      ...routes({
        '10.20.0.0/16': numbers.map((r) => trust(r, unit).routerHop[0]),
        '2001:db8:20::/48': numbers.map((r) => trust(r, unit).routerHop[1]),
        '0.0.0.0/0': numbers.map((r) => untrust(r, unit).routerHop[0]),
        '::/0': numbers.map((r) => untrust(r, unit).routerHop[1]),
      }),
      'auto-route-injection': {
        export: Object.fromEntries(
          numbers.map((r) => [
            routerName(r),
            {
              'control-socket': `/emulated/${routerName(r)}.sock`,
              'routing-instance': 'UNTRUST_VR',
              'next-hop': [...untrust(r, unit).otherHop],
            },
          ]),
        ),
      },
    },
    security: firewall(
      numbers.map((r) => `ge-0/0/${2 * r - 2}.0`),
      numbers.map((r) => `ge-0/0/${2 * r - 1}.0`),
    ),
  } as ConfigDocument);
}

/** The router with links to `all` gateways, of which `members` share the traffic. */
export function routerConfig(
  { method }: Pick<TopologySpec, 'method'>,
  r: number,
  all: number,
  members: readonly number[],
): Config {
  const name = routerName(r);
  const units = Array.from({ length: all }, (_, i) => i + 1);
  const filter = method === 'tlb' ? 'IPSEC_LB' : undefined;
  const toGateways = {
    [`${virtual.inet}/32`]: members.map((unit) => trust(r, unit).otherHop[0]),
    [`${virtual.inet6}/128`]: members.map((unit) => trust(r, unit).otherHop[1]),
  };
  return compile({
    system: { 'host-name': name },
    interfaces: {
      ae0: port(accessLink(name), ...access(r).router, filter),
      xe0: port(internetLink(name), ...internet(r).router),
      lo0: { unit: { 0: { family: { inet: { address: [`10.10.10.${250 + r}/32`] } } } } },
      ...Object.fromEntries(
        units.flatMap((unit) => [
          [`ae${unit}`, port(trustLink(name, gatewayName(unit)), ...trust(r, unit).router)],
          [`xe${unit}`, port(untrustLink(name, gatewayName(unit)), ...untrust(r, unit).router)],
        ]),
      ),
    },
    'routing-instances': {
      TRUST_VR: {
        'instance-type': 'virtual-router',
        interface: ['ae0', 'lo0', ...units.map((unit) => `ae${unit}`)],
        'routing-options': routes({
          '10.20.0.0/16': [access(r).otherHop[0]],
          '2001:db8:20::/48': [access(r).otherHop[1]],
          ...(method === 'ecmp'
            ? toGateways
            : Object.fromEntries(
                units.map((unit) => [`${realServiceAddress(unit)}/32`, [trust(r, unit).otherHop[0]]]),
              )),
        }),
      },
      UNTRUST_VR: {
        'instance-type': 'virtual-router',
        interface: ['xe0', ...units.map((unit) => `xe${unit}`)],
        'routing-options': routes({
          '203.0.113.0/24': [internet(r).otherHop[0]],
          '2001:db8:ffff::/48': [internet(r).otherHop[1]],
        }),
      },
      ...(method === 'tlb' ? { 'srx-tproxy-fi': { 'instance-type': 'forwarding' as const } } : {}),
    },
    ...(method === 'tlb' ? balancer(members) : bySource),
    security: { flow: { 'session-limit': sessionLimit } },
  } as ConfigDocument);
}

const toBalancer = (family: Family) => ({
  IPSEC_LB: {
    term: [
      {
        name: 'IPSEC',
        from: { 'destination-address': [`${virtual[family]}/${family === 'inet' ? 32 : 128}`] },
        then: { 'routing-instance': 'srx-tproxy-fi' },
      },
      { name: 'other_traffic', then: { accept: true as const } },
    ],
  },
});

function balancer(members: readonly number[]) {
  const service = (family: Family) => ({
    mode: 'direct-server-return' as const,
    address: virtual[family],
    'routing-instance': 'srx-tproxy-fi',
    group: 'srx_group',
    'load-balance-method': { hash: { 'hash-key': 'source-ip' as const } },
  });
  return {
    firewall: { family: { inet: { filter: toBalancer('inet') }, inet6: { filter: toBalancer('inet6') } } },
    services: {
      'traffic-load-balance': {
        instance: {
          ipsec_lb: {
            interface: 'lo0.0',
            'client-vrf': 'TRUST_VR',
            'server-vrf': 'TRUST_VR',
            group: {
              srx_group: { 'real-services': members.map(gatewayName), 'routing-instance': 'TRUST_VR' },
            },
            'real-service': Object.fromEntries(
              members.map((unit) => [gatewayName(unit), { address: realServiceAddress(unit) }]),
            ),
            'virtual-service': { vs_inet: service('inet'), vs_inet6: service('inet6') },
          },
        },
      },
    },
  };
}

/** Throws RangeError for what the reference does not have either: two routers that balance by ECMP. */
export function makeTopology(spec: TopologySpec): Topology {
  if (spec.method === 'ecmp' && spec.routers === 2)
    throw new RangeError('two routers balance by TLB; with ECMP there is one (table 2 of the reference)');
  const routerNumbers = Array.from({ length: spec.routers }, (_, i) => i + 1);
  const units = Array.from({ length: spec.gateways }, (_, i) => i + 1);
  const stations = Array.from({ length: spec.tunnels }, (_, number) => stationOf(number));
  const routers = routerNumbers.map(routerName);
  const gateways = units.map(gatewayName);
  return {
    spec,
    stations,
    routers,
    gateways,
    nodes: [
      { name: stationsNode, role: 'stations', config: stationsConfig(stations, spec.routers) },
      ...routerNumbers.map((r) => ({
        name: routerName(r),
        role: 'router' as const,
        config: routerConfig(spec, r, spec.gateways, units),
      })),
      ...units.map((unit) => ({
        name: gatewayName(unit),
        role: 'gateway' as const,
        config: gatewayConfig(unit, spec.routers),
      })),
      { name: internetNode, role: 'internet', config: internetConfig(spec.routers) },
    ],
    links: [
      { name: clientLink, ends: ['client', stationsNode] },
      ...routers.map((router) => ({ name: accessLink(router), ends: [stationsNode, router] as const })),
      ...routers.flatMap((router) =>
        gateways.flatMap((gateway) => [
          { name: trustLink(router, gateway), ends: [router, gateway] as const },
          { name: untrustLink(router, gateway), ends: [router, gateway] as const },
        ]),
      ),
      ...routers.map((router) => ({ name: internetLink(router), ends: [router, internetNode] as const })),
      { name: serverLink, ends: [internetNode, 'server'] },
    ],
  };
}
