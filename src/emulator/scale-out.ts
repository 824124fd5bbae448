/**
 * The network of the main job, as the validated design has it (reference: scale-out IPsec, TLB scenario), and its
 * traffic. Pure: addresses, configurations and flows are functions of a few numbers.
 *
 *   client ── enb ── tlb1 ══ gw1 … gwN ══ tlb1 ── server
 *
 * enb is all base stations in one node: each has an outer address and a tunnel of its own, and the inner source
 * address decides which. The router sends what is for the virtual address to a gateway by its source address
 * (direct server return), and what is for a base station's inner network to the gateway that announced it.
 */
import type { Config } from '../config/config.js';
import { makeConfig } from '../config/load.js';
import type { ConfigDocument } from '../config/schema.js';
import type { Address } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';
import type { Tunnel } from '../node/tunnel.js';
import type { HostFlow } from '../pipeline/native.js';
import { addressAt, prefixAt } from './addresses.js';
import { Seeded } from './random.js';

/** IP packet length: weight (reference: tested traffic profiles). */
export const secgwImix: readonly (readonly [length: number, weight: number])[] = [
  [64, 8],
  [127, 36],
  [255, 11],
  [511, 4],
  [1024, 2],
  [1518, 39],
];

/** The mix as a list to go round in, in an order that the seed decides. */
export function imixSizes(seed: number): number[] {
  const sizes = secgwImix.flatMap(([length, weight]) => Array<number>(weight).fill(length));
  return new Seeded(BigInt(seed)).shuffle(sizes);
}

/** Large enough for 1518 bytes of inner packet in IPv6 ESP; the reference uses 9000. */
const mtu = 2000;
const virtual = { inet: '10.0.0.1', inet6: '2001:db8::1' } as const;
const outer = { inet: '10.20.0.0', inet6: '2001:db8:20::' } as const;
const inner = { inet: '100.64.0.0', inet6: '2001:db8:6400::' } as const;
const server = { inet: '203.0.113.0', inet6: '2001:db8:ffff::' } as const;
/** each base station has an inner network of 16 addresses */
const innerBits = 4;

export interface BaseStation {
  readonly number: number;
  readonly outer: Address;
  readonly virtual: Address;
  readonly inner: Prefix;
}

/**
 * Half of the outer and half of the inner addresses are IPv6, in all four combinations. They go by blocks of
 * `workers`, so that every worker, which has the tunnels of its remainder, gets the same share of each.
 */
export function baseStation(number: number, workers: number): BaseStation {
  const combination = Math.floor(number / workers) % 4;
  const outerFamily = combination & 1 ? 'inet6' : 'inet';
  const innerFamily = combination === 1 || combination === 2 ? 'inet6' : 'inet';
  return {
    number,
    outer: addressAt(outer[outerFamily], number + 1),
    virtual: addressAt(virtual[outerFamily]),
    inner: prefixAt(inner[innerFamily], number << innerBits, (innerFamily === 'inet' ? 32 : 128) - innerBits),
  };
}

/** Its tunnel as the base station sees it, and as a gateway does. */
export function tunnelOf(station: BaseStation): { station: Tunnel; gateway: Tunnel } {
  const anywhere = prefixAt(station.inner.family === 'inet' ? '0.0.0.0' : '::', 0, 0);
  const common = {
    name: `enb${station.number}`,
    id: station.number,
    // memory wires steer nothing: the worker that has the flow has the tunnel, so that nothing is handed over
    anchoring: station.number,
    bindInterface: 'st0.0',
    antiReplayWindowSize: 1024,
    extendedSequenceNumber: true,
    dfBit: 'copy',
    copyOuterDscp: false,
    outerDscp: null,
    announced: 'when-keyed',
  } as const;
  return {
    station: {
      ...common,
      gateway: station.virtual,
      localAddress: station.outer,
      routingInstance: 'default',
      selectors: [{ local: station.inner, remote: anywhere }],
      bySource: 'base-stations',
    },
    gateway: {
      ...common,
      gateway: station.outer,
      localAddress: station.virtual,
      routingInstance: 'default',
      selectors: [{ local: anywhere, remote: station.inner }],
      bySource: null,
    },
  };
}

/**
 * Flow f's worker at the client is f modulo workers (host.h), so a flow gets a tunnel of the same remainder and
 * stays on one worker from end to end.
 */
export function flowsOf(tunnels: number, flows: number, workers: number): (HostFlow & { tunnel: number })[] {
  const perWorker = Array.from({ length: workers }, (_, w) => Math.ceil((tunnels - w) / workers));
  return Array.from({ length: flows }, (_, flow) => {
    const worker = flow % workers;
    const turn = Math.floor(flow / workers);
    const count = perWorker[worker]!;
    // with fewer tunnels than workers some have none of their own
    const tunnel = count > 0 ? (turn % count) * workers + worker : flow % tunnels;
    const nth = count > 0 ? Math.floor(turn / count) : Math.floor(flow / tunnels);
    const { inner: network } = baseStation(tunnel, workers);
    const host = nth % ((1 << innerBits) - 2);
    return {
      tunnel,
      source: addressAt(String(network.address), host + 1).bytes,
      destination: addressAt(server[network.family], 1 + (flow % 200)).bytes,
      sourcePort: 1024 + (flow % 60_000),
      destinationPort: 5001,
    };
  });
}

const noSurroundings = {
  readFile: (): string => {
    throw new Error('the emulator has no files');
  },
  variable: () => undefined,
};

const config = (document: ConfigDocument) =>
  makeConfig(document, document.system['host-name'], noSurroundings);
const memory = (wire: string) => ({ port: { memory: wire }, mtu });
const dual = (inet: string, inet6: string) => ({ inet: { address: [inet] }, inet6: { address: [inet6] } });
const routes = (list: Record<string, string>) => ({
  static: { route: Object.fromEntries(Object.entries(list).map(([to, hop]) => [to, { 'next-hop': [hop] }])) },
});

export const gatewayName = (number: number) => `gw${number}`;
export const realServiceAddress = (number: number) => `10.10.10.${number}`;
/** Wires by the names of their ends. */
export const wires = {
  client: 'client--enb',
  access: 'enb--tlb1',
  internet: 'tlb1--server',
  trust: (gateway: number) => `tlb1--gw${gateway}-trust`,
  untrust: (gateway: number) => `tlb1--gw${gateway}-untrust`,
} as const;

export function baseStationsConfig(stations: readonly BaseStation[]): Config {
  const own = (family: 'inet' | 'inet6') =>
    stations
      .filter((station) => station.outer.family === family)
      .map((station) => `${station.outer}/${family === 'inet' ? 32 : 128}`);
  return config({
    system: { 'host-name': 'enb', 'node-id': 15 },
    interfaces: {
      'ge-0/0/0': { ...memory(wires.client), unit: { 0: { family: dual('10.3.0.1/30', 'fd00:3::1/64') } } },
      'ge-0/0/1': { ...memory(wires.access), unit: { 0: { family: dual('10.40.1.3/31', 'fd00:40::3/64') } } },
      lo0: { unit: { 0: { family: { inet: { address: own('inet') }, inet6: { address: own('inet6') } } } } },
      st0: { unit: { 0: {} } },
    },
    'routing-instances': { 'base-stations': { 'instance-type': 'forwarding' } },
    'routing-options': routes({
      [`${virtual.inet}/32`]: '10.40.1.2',
      [`${virtual.inet6}/128`]: 'fd00:40::2',
      '100.64.0.0/10': '10.3.0.2',
      '2001:db8:6400::/40': 'fd00:3::2',
    }),
  });
}

export function gatewayConfig(number: number): Config {
  return config({
    // keys are fresh for each gateway, so node-ids may come again
    system: { 'host-name': gatewayName(number), 'node-id': ((number - 1) % 14) + 1 },
    interfaces: {
      'ge-0/0/0': {
        ...memory(wires.trust(number)),
        unit: { 0: { family: dual(`10.1.${number}.2/30`, `fd00:1:${number}::2/64`) } },
      },
      'ge-0/0/1': {
        ...memory(wires.untrust(number)),
        unit: { 0: { family: dual(`10.2.${number}.2/30`, `fd00:2:${number}::2/64`) } },
      },
      lo0: {
        unit: {
          0: {
            family: {
              inet: { address: [`${virtual.inet}/32`, `${realServiceAddress(number)}/32`] },
              inet6: { address: [`${virtual.inet6}/128`] },
            },
          },
        },
      },
      st0: { unit: { 0: {} } },
    },
    'routing-options': {
      ...routes({
        '10.20.0.0/16': `10.1.${number}.1`,
        '2001:db8:20::/48': `fd00:1:${number}::1`,
        '0.0.0.0/0': `10.2.${number}.1`,
        '::/0': `fd00:2:${number}::1`,
      }),
      'auto-route-injection': {
        export: {
          tlb1: {
            'control-socket': '/emulated/tlb1.sock',
            'routing-instance': 'UNTRUST_VR',
            'next-hop': [`10.2.${number}.2`, `fd00:2:${number}::2`],
          },
        },
      },
    },
    security: {
      zones: {
        'security-zone': {
          trust: { interfaces: ['st0.0', 'ge-0/0/0.0'] },
          untrust: { interfaces: ['ge-0/0/1.0'] },
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
                    match: {
                      'source-address': ['any'],
                      'destination-address': ['any'],
                      application: ['any'],
                    },
                    then: { permit: true },
                  },
                ],
              },
            },
          },
        },
      },
      flow: { 'session-limit': 65_536 },
    },
  });
}

const toTlb = (family: 'inet' | 'inet6') => ({
  IPSEC_LB: {
    term: [
      {
        name: 'IPSEC',
        from: { 'destination-address': [`${virtual[family]}/${family === 'inet' ? 32 : 128}`] },
        then: { count: 'ipsec_tlb_traffic', 'routing-instance': 'srx-tproxy-fi' },
      },
      {
        name: 'other_traffic',
        then: { count: 'other_traffic', accept: true as const },
      },
    ],
  },
});

export function routerConfig(gateways: number, seed: number): Config {
  const numbers = Array.from({ length: gateways }, (_, i) => i + 1);
  const links: NonNullable<ConfigDocument['interfaces']> = {
    ae0: {
      ...memory(wires.access),
      unit: {
        0: {
          family: {
            inet: { address: ['10.40.1.2/31'], filter: { input: 'IPSEC_LB' } },
            inet6: { address: ['fd00:40::2/64'], filter: { input: 'IPSEC_LB' } },
          },
        },
      },
    },
    xe0: { ...memory(wires.internet), unit: { 0: { family: dual('10.9.0.1/30', 'fd00:9::1/64') } } },
    lo0: { unit: { 0: { family: { inet: { address: ['10.10.10.253/32'] } } } } },
  };
  for (const number of numbers) {
    links[`ae${number}`] = {
      ...memory(wires.trust(number)),
      unit: { 0: { family: dual(`10.1.${number}.1/30`, `fd00:1:${number}::1/64`) } },
    };
    links[`xe${number}`] = {
      ...memory(wires.untrust(number)),
      unit: { 0: { family: dual(`10.2.${number}.1/30`, `fd00:2:${number}::1/64`) } },
    };
  }
  const virtualService = (family: 'inet' | 'inet6') => ({
    mode: 'direct-server-return' as const,
    address: virtual[family],
    'routing-instance': 'srx-tproxy-fi',
    group: 'srx_group',
    'load-balance-method': { hash: { 'hash-key': 'source-ip' as const, seed } },
  });
  return config({
    system: { 'host-name': 'tlb1' },
    interfaces: links,
    'routing-instances': {
      TRUST_VR: {
        'instance-type': 'virtual-router',
        interface: ['ae0', 'lo0', ...numbers.map((number) => `ae${number}`)],
        'routing-options': routes({
          '10.20.0.0/16': '10.40.1.3',
          '2001:db8:20::/48': 'fd00:40::3',
          ...Object.fromEntries(numbers.map((n) => [`${realServiceAddress(n)}/32`, `10.1.${n}.2`])),
        }),
      },
      UNTRUST_VR: {
        'instance-type': 'virtual-router',
        interface: ['xe0', ...numbers.map((number) => `xe${number}`)],
        'routing-options': routes({ '203.0.113.0/24': '10.9.0.2', '2001:db8:ffff::/48': 'fd00:9::2' }),
      },
      'srx-tproxy-fi': { 'instance-type': 'forwarding' },
    },
    firewall: { family: { inet: { filter: toTlb('inet') }, inet6: { filter: toTlb('inet6') } } },
    services: {
      'traffic-load-balance': {
        instance: {
          ipsec_lb: {
            interface: 'lo0.0',
            'client-vrf': 'TRUST_VR',
            'server-vrf': 'TRUST_VR',
            group: {
              srx_group: { 'real-services': numbers.map(gatewayName), 'routing-instance': 'TRUST_VR' },
            },
            'real-service': Object.fromEntries(
              numbers.map((number) => [gatewayName(number), { address: realServiceAddress(number) }]),
            ),
            'virtual-service': { vs_inet: virtualService('inet'), vs_inet6: virtualService('inet6') },
          },
        },
      },
    },
  });
}
