/**
 * Topologies of the reference (scale-out IPsec, table 2): one or two routers that balance by ECMP or TLB, and behind
 * them standalone gateways, or pairs of them. Pure: configurations, links and tunnels are functions of a few numbers.
 *
 *   client ── enb ══ mx1 (mx2) ══ gw1 … gwN ══ mx1 (mx2) ══ internet ── server
 *
 * A pair's nodes are gw1a and gw1b, with links between them for the ICL and the ICD.
 * enb is all base stations in one node: each has an outer address and a tunnel of its own, and the inner source address
 * decides which. internet is what is behind the routers. Every link has both families.
 */
import type { Config } from '../config/config.js';
import { makeConfig } from '../config/load.js';
import type { ConfigDocument } from '../config/schema.js';
import type { Address } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';
import type { Tunnel } from '../node/tunnel.js';
import type { Announcement } from '../routing/ari.js';
import { addressAt, prefixAt } from './addresses.js';

export interface TopologySpec {
  readonly method: 'ecmp' | 'tlb';
  readonly routers: 1 | 2;
  /** standalone ones, or pairs */
  readonly gateways: number;
  readonly pairs?: boolean;
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
  /** all of them; of a pair both nodes */
  readonly gateways: readonly string[];
  /** node ids of a pair: its nodes, each with the other */
  readonly peers: ReadonlyMap<string, string>;
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
const realServiceAddress = (unit: number) => `10.10.10.${4 * unit}`;
const realServiceNetwork = (unit: number) => `10.10.10.${4 * unit}/30`;

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

/** Of unit u: the two nodes of a pair, or the one that stands alone. Each has a place of its own on the routers' links. */
export const nodesOf = (unit: number, isPair: boolean): { name: string; place: number }[] =>
  isPair
    ? [
        { name: `gw${unit}a`, place: 2 * unit - 1 },
        { name: `gw${unit}b`, place: 2 * unit },
      ]
    : [{ name: `gw${unit}`, place: unit }];
export const iclLink = (unit: number) => `gw${unit}a--gw${unit}b-icl`;
export const icdLink = (unit: number) => `gw${unit}a--gw${unit}b-icd`;
/** What a router reaches a pair's active node by, in the instance of its trust side. */
export function floatingRoute(
  { spec, gateways }: Topology,
  gateway: string,
  router: string,
): Announcement | null {
  if (spec.pairs !== true) return null;
  const place = gateways.indexOf(gateway) + 1;
  const unit = Math.ceil(place / 2);
  const r = Number(router.replace(/^mx/, ''));
  return {
    routingInstance: 'TRUST_VR',
    prefix: prefixAt(realServiceAddress(unit), 0, 32),
    nextHop: addressAt(trust(r, place).otherHop[0]),
  };
}

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

/** A gateway: its name, its place on the routers' links, and (of a pair) which of both nodes it is. */
export function gatewayConfig(
  unit: number,
  routers: number,
  { name, place }: { readonly name: string; readonly place: number } = nodesOf(unit, false)[0]!,
  half: 1 | 2 | null = null,
): Config {
  const numbers = Array.from({ length: routers }, (_, i) => i + 1);
  const zones = {
    trusted: numbers.map((r) => `ge-0/0/${2 * r - 2}.0`),
    untrusted: numbers.map((r) => `ge-0/0/${2 * r - 1}.0`),
  };
  const document = {
    system: {
      'host-name': name,
      'node-id': half ?? ((unit - 1) % 14) + 1,
      ...(half === null ? {} : { 'state-directory': 'state' }),
    },
    interfaces: {
      ...Object.fromEntries(
        numbers.flatMap((r) => [
          [`ge-0/0/${2 * r - 2}`, port(trustLink(routerName(r), name), ...trust(r, place).other)],
          [`ge-0/0/${2 * r - 1}`, port(untrustLink(routerName(r), name), ...untrust(r, place).other)],
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
        '10.20.0.0/16': numbers.map((r) => trust(r, place).routerHop[0]),
        '2001:db8:20::/48': numbers.map((r) => trust(r, place).routerHop[1]),
        '0.0.0.0/0': numbers.map((r) => untrust(r, place).routerHop[0]),
        '::/0': numbers.map((r) => untrust(r, place).routerHop[1]),
      }),
      'auto-route-injection': {
        export: Object.fromEntries(
          numbers.map((r) => [
            routerName(r),
            {
              'control-socket': `/emulated/${routerName(r)}.sock`,
              'routing-instance': 'UNTRUST_VR',
              'next-hop': [...untrust(r, place).otherHop],
            },
          ]),
        ),
      },
    },
    security: firewall(zones.trusted, zones.untrusted),
  };
  return compile((half === null ? document : ofPair(document, unit, half)) as ConfigDocument);
}

const pairKeys = { 1: '5a', 2: '5b' } as const;

/** The same as one node of a pair: SRG1 has the address that tunnels end at. */
function ofPair<D extends { interfaces: object; security: ReturnType<typeof firewall> }>(
  document: D,
  unit: number,
  half: 1 | 2,
): object {
  const peer = half === 1 ? 2 : 1;
  const icl = `10.150.${unit}`;
  const icd = `10.151.${unit}`;
  const { zones, ...security } = document.security;
  const place = nodesOf(unit, true)[half - 1]!.place;
  const routerSide = Object.keys(document.interfaces).filter((name) => name.startsWith('ge-0/0/'));
  return {
    ...document,
    chassis: {
      'high-availability': {
        'local-id': { id: half, 'local-ip': `${icl}.${half}`, 'local-forwarding-ip': `${icd}.${half}` },
        'peer-id': {
          [peer]: {
            'peer-ip': `${icl}.${peer}`,
            interface: 'ge-0/1/0',
            'vpn-profile': 'ICL',
            'liveness-detection': { 'minimum-interval': 100, multiplier: 3 },
            'peer-forwarding-ip': {
              ip: `${icd}.${peer}`,
              interface: 'ge-0/1/1.0',
              'liveness-detection': { 'minimum-interval': 400, multiplier: 5 },
            },
          },
        },
        'services-redundancy-group': {
          1: {
            'peer-id': peer,
            'activeness-probe': {
              'dest-ip': trust(1, place).routerHop[0],
              'src-ip': realServiceAddress(unit),
              'minimum-interval': 200,
              multiplier: 3,
            },
            // with all links to a router, or one of each side to two, it serves on
            monitor: {
              'srg-threshold': 100,
              'monitor-object': {
                routers: {
                  'object-threshold': 100,
                  interface: {
                    threshold: 100,
                    'interface-name': Object.fromEntries(
                      routerSide.map((name) => [name, { weight: 200 / routerSide.length }]),
                    ),
                  },
                },
              },
            },
            'prefix-list': { floating: null },
            'managed-services': ['ipsec'],
            'activeness-priority': half === 1 ? 200 : 100,
          },
        },
      },
    },
    interfaces: {
      ...document.interfaces,
      'ge-0/1/0': port(iclLink(unit), `${icl}.${half}/24`, `fd00:150:${unit}::${half}/64`),
      'ge-0/1/1': port(icdLink(unit), `${icd}.${half}/24`, `fd00:151:${unit}::${half}/64`),
    },
    'policy-options': {
      'prefix-list': {
        floating: [`${virtual.inet}/32`, `${virtual.inet6}/128`, `${realServiceAddress(unit)}/32`],
      },
    },
    security: {
      ...security,
      ipsec: {
        vpn: {
          ICL: {
            'ha-link-encryption': true,
            manual: {
              'encryption-algorithm': 'aes-256-gcm',
              inbound: [{ spi: 0x900 + half, key: { hex: pairKeys[half].repeat(36) } }],
              outbound: { spi: 0x900 + peer, key: { hex: pairKeys[peer].repeat(36) } },
            },
          },
        },
      },
      zones: {
        'security-zone': {
          ...zones['security-zone'],
          ha: { interfaces: ['ge-0/1/0', 'ge-0/1/1'] },
        },
      },
    },
  };
}

/** The router with links to `all` gateways, of which `members` share the traffic. */
export function routerConfig(
  { method, pairs: isPair = false }: Pick<TopologySpec, 'method' | 'pairs'>,
  r: number,
  all: number,
  members: readonly number[],
): Config {
  const name = routerName(r);
  const units = Array.from({ length: all }, (_, i) => i + 1);
  const places = units.flatMap((unit) => nodesOf(unit, isPair));
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
        places.flatMap(({ name: gateway, place }) => [
          [`ae${place}`, port(trustLink(name, gateway), ...trust(r, place).router)],
          [`xe${place}`, port(untrustLink(name, gateway), ...untrust(r, place).router)],
        ]),
      ),
    },
    'routing-instances': {
      TRUST_VR: {
        'instance-type': 'virtual-router',
        interface: ['ae0', 'lo0', ...places.map(({ place }) => `ae${place}`)],
        'routing-options': routes({
          '10.20.0.0/16': [access(r).otherHop[0]],
          '2001:db8:20::/48': [access(r).otherHop[1]],
          ...(method === 'ecmp'
            ? toGateways
            : Object.fromEntries(
                // where a pair's is, its nodes say; until they do it is the first one's
                units.map((unit) => [
                  isPair ? realServiceNetwork(unit) : `${realServiceAddress(unit)}/32`,
                  [trust(r, nodesOf(unit, isPair)[0]!.place).otherHop[0]],
                ]),
              )),
        }),
      },
      UNTRUST_VR: {
        'instance-type': 'virtual-router',
        interface: ['xe0', ...places.map(({ place }) => `xe${place}`)],
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

/** Throws RangeError for what the reference does not have either: ECMP with two routers, or with pairs. */
export function makeTopology(spec: TopologySpec): Topology {
  const { pairs: isPair = false } = spec;
  if (spec.method === 'ecmp' && (spec.routers === 2 || isPair))
    throw new RangeError('two routers, and pairs, are balanced by TLB (table 2 of the reference)');
  const routerNumbers = Array.from({ length: spec.routers }, (_, i) => i + 1);
  const units = Array.from({ length: spec.gateways }, (_, i) => i + 1);
  const stations = Array.from({ length: spec.tunnels }, (_, number) => stationOf(number));
  const routers = routerNumbers.map(routerName);
  const nodes = units.map((unit) => nodesOf(unit, isPair));
  const gateways = nodes.flat().map(({ name }) => name);
  const halves = (isPair ? [1, 2] : [null]) as (1 | 2 | null)[];
  return {
    spec,
    stations,
    routers,
    gateways,
    peers: new Map(
      isPair
        ? nodes.flatMap(([a, b]) => [
            [a!.name, b!.name],
            [b!.name, a!.name],
          ])
        : [],
    ),
    nodes: [
      { name: stationsNode, role: 'stations', config: stationsConfig(stations, spec.routers) },
      ...routerNumbers.map((r) => ({
        name: routerName(r),
        role: 'router' as const,
        config: routerConfig(spec, r, spec.gateways, units),
      })),
      ...units.flatMap((unit) =>
        nodesOf(unit, isPair).map((node, i) => ({
          name: node.name,
          role: 'gateway' as const,
          config: gatewayConfig(unit, spec.routers, node, halves[i]!),
        })),
      ),
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
      ...(isPair
        ? units.flatMap((unit) =>
            [iclLink(unit), icdLink(unit)].map((name) => ({
              name,
              ends: [`gw${unit}a`, `gw${unit}b`] as const,
            })),
          )
        : []),
      ...routers.map((router) => ({ name: internetLink(router), ends: [router, internetNode] as const })),
      { name: serverLink, ends: [internetNode, 'server'] },
    ],
  };
}
