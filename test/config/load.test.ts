import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../dist/config/config.js';
import { limits } from '../../dist/config/limits.js';
import { checkConfig, checkDocument, loadConfig, makeConfig } from '../../dist/config/load.js';
import { ConfigError } from '../../dist/config/problem.js';
import type { ConfigDocument } from '../../dist/config/schema.js';
import { digits, edited, gateway, pair, router, surroundings } from './samples.js';

/** Addresses and prefixes as texts, byte strings as lists. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, entry) => (entry instanceof Uint8Array ? [...entry] : (entry as unknown))),
  );
}

const load = (text: string, file = '/etc/penstock/node.yaml'): Config => loadConfig(text, file, surroundings);

describe('loadConfig', () => {
  const config = load(gateway);

  it('fills in what the file leaves out and resolves names', () => {
    expect(plain(config.interfaces)).toEqual([
      {
        name: 'ge-0/0/0.0',
        kind: 'port',
        port: 'ge-0/0/0',
        mtu: 1500,
        vlanId: null,
        addresses: ['10.1.1.2/24', '2001:db8:1::2/64'],
        filterInput: { inet: null, inet6: null },
        routingInstance: 'default',
        zone: 'trust',
      },
      {
        name: 'ge-0/0/1.0',
        kind: 'port',
        port: 'ge-0/0/1',
        mtu: 1500,
        vlanId: null,
        addresses: ['10.2.1.2/24'],
        filterInput: { inet: null, inet6: null },
        routingInstance: 'default',
        zone: 'untrust',
      },
      {
        name: 'lo0.0',
        kind: 'loopback',
        port: null,
        mtu: 1500,
        vlanId: null,
        addresses: ['10.0.0.1/32', '10.10.10.1/32'],
        filterInput: { inet: null, inet6: null },
        routingInstance: 'default',
        zone: 'trust',
      },
      {
        name: 'st0.1',
        kind: 'tunnel',
        port: null,
        mtu: 1500,
        vlanId: null,
        addresses: [],
        filterInput: { inet: null, inet6: null },
        routingInstance: 'default',
        zone: 'vpn',
      },
    ]);
    expect(plain(config.ports)).toEqual([
      { name: 'ge-0/0/0', port: { kind: 'af-packet', interface: 'veth0' }, mac: null, mtu: 1500 },
      { name: 'ge-0/0/1', port: { kind: 'memory', wire: 'inside' }, mac: [2, 0, 0, 0, 0, 1], mtu: 1500 },
    ]);
  });

  it('counts relative paths from the directory of the file', () => {
    expect(config.system).toEqual({
      hostName: 'gw1',
      nodeId: 1,
      workers: 2,
      maximumWorkers: null,
      stateDirectory: '/etc/penstock/state/gw1',
      controlSocket: '/run/penstock/gw1.sock',
    });
  });

  it('reads routes, ARI exports, policies and flow options', () => {
    expect(plain(config.routingInstances)).toEqual([
      {
        name: 'default',
        instanceType: 'default',
        instanceImport: [],
        staticRoutes: [
          {
            prefix: '10.20.0.0/16',
            preference: 5,
            nextHop: { kind: 'address', address: '10.1.1.1' },
            bfd: [],
          },
          { prefix: '0.0.0.0/0', preference: 5, nextHop: { kind: 'address', address: '10.2.1.1' }, bfd: [] },
          { prefix: '192.0.2.128/25', preference: 5, nextHop: { kind: 'discard' }, bfd: [] },
        ],
      },
    ]);
    expect(plain(config.autoRouteInjection.export)).toEqual([
      {
        name: 'tlb1',
        controlSocket: '/run/penstock/tlb1.sock',
        routingInstance: 'UNTRUST_VR',
        nextHop: { inet: '10.2.1.2', inet6: null },
      },
    ]);
    expect(plain(config.policies)).toEqual([
      {
        name: 'mobiles-out',
        fromZone: 'vpn',
        toZone: 'untrust',
        sourceAddress: ['192.0.2.0/24'],
        destinationAddress: [],
        action: 'permit',
        application: [
          { name: 'web', protocol: 6, destinationPort: [80, 443] },
          { name: 'ping', protocol: 1, destinationPort: null },
        ],
      },
    ]);
    expect(config.flow).toEqual({
      sessions: true,
      sessionLimit: 1000,
      flowLimit: 262_144,
      synCheck: false,
      synCheckInTunnel: true,
      syncIcmpSession: false,
    });
  });

  it('reads a VPN, its keys from where they are', () => {
    const vpn = config.vpns[0]!;
    expect(vpn).toMatchObject({
      name: 'enb1',
      bindInterface: 'st0.1',
      antiReplayWindowSize: 512,
      dfBit: 'clear',
    });
    expect(plain(vpn.manual)).toMatchObject({
      gateway: '10.20.0.1',
      localAddress: '10.0.0.1',
      routingInstance: 'default',
      encryptionAlgorithm: 'aes-256-gcm',
    });
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    expect(hex(vpn.manual.inbound[0]!.key.reveal())).toBe(digits('a1'));
    expect(hex(vpn.manual.outbound.key.reveal())).toBe(digits('b2'));
    const fromFile = load(edited(gateway, ['{ env: OUTBOUND_KEY }', '{ file: keys/outbound }']), 'node.yaml');
    expect(hex(fromFile.vpns[0]!.manual.outbound.key.reveal())).toBe(digits('c3'));
  });

  it("lets a VPN's window win over that of all, and lets one VPN have none", () => {
    const of = (text: string) =>
      load(edited(gateway, ['bind-interface: st0.1', text])).vpns[0]!.antiReplayWindowSize;
    expect(of('bind-interface: st0.1\n        anti-replay-window-size: 8192')).toBe(8192);
    expect(of('bind-interface: st0.1\n        no-anti-replay:')).toBeNull();
    expect(
      load(edited(gateway, ['    anti-replay-window-size: 512\n', ''])).vpns[0]!.antiReplayWindowSize,
    ).toBe(64);
  });

  it('reads a router', () => {
    const { filters, trafficLoadBalance, networkMonitoring, routingInstances, interfaces } = load(router);
    expect(plain(filters)).toMatchObject([
      {
        name: 'IPSEC_LB',
        family: 'inet',
        terms: [
          {
            name: 'IPSEC',
            destinationAddress: ['10.0.0.1/32'],
            protocol: [50, 17],
            count: 'ipsec_tlb_traffic',
            action: { kind: 'routing-instance', routingInstance: 'srx-tproxy-fi' },
          },
          { name: 'other_traffic', action: { kind: 'accept' }, count: 'other_traffic' },
        ],
      },
    ]);
    expect(plain(trafficLoadBalance)).toEqual([
      {
        name: 'ipsec_lb',
        interface: 'lo0.0',
        clientVrf: 'TRUST_VR',
        serverVrf: 'TRUST_VR',
        routeHoldSeconds: 180,
        groups: [
          {
            name: 'srx_group',
            routingInstance: 'TRUST_VR',
            networkMonitoringProfiles: ['icmp-profile'],
            healthCheckInterfaceSubunit: 0,
            whenAllDown: 'fail-closed',
            realServices: [
              { name: 'SRX1', address: '10.10.10.1', weight: 1, mode: null, adminDown: false },
              { name: 'SRX2', address: '10.10.10.2', weight: 3, mode: null, adminDown: false },
            ],
            slowStartMs: 0,
          },
        ],
        virtualServices: [
          {
            name: 'srx_trust_vs',
            mode: 'direct-server-return',
            services: [],
            flowMemory: false,
            address: '10.0.0.1',
            routingInstance: 'srx-tproxy-fi',
            group: 'srx_group',
            hash: { key: 'source-ip', function: 'xxh64', seed: 7, size: 0, slack: 0 },
          },
        ],
      },
    ]);
    expect(networkMonitoring).toEqual([
      {
        name: 'icmp-profile',
        probe: { kind: 'icmp' },
        probeIntervalMs: 2000,
        timeoutMs: 2000,
        jitter: 0.1,
        sourceAddress: { inet: null, inet6: null },
        failureRetries: 3,
        recoveryRetries: 1,
      },
    ]);
    expect(routingInstances.map(({ name }) => name)).toEqual(['default', 'TRUST_VR', 'srx-tproxy-fi']);
    expect(interfaces.map(({ name, routingInstance, zone }) => [name, routingInstance, zone])).toEqual([
      ['ae10.40', 'TRUST_VR', null],
      ['ae1.0', 'TRUST_VR', null],
      ['lo0.0', 'TRUST_VR', null],
    ]);
  });

  it('ends a filter that has no last word with a discard', () => {
    const [filter] = load(
      edited(router, [
        '            - name: other_traffic\n              then: { count: other_traffic, accept }\n',
        '',
      ]),
    ).filters;
    expect(filter!.terms.map(({ name, action }) => [name, action.kind])).toEqual([
      ['IPSEC', 'routing-instance'],
      ['implicit-discard', 'discard'],
    ]);
  });

  it('throws a ConfigError that carries every problem', () => {
    const text = edited(gateway, ['node-id: 1', 'node-id: 0'], ['workers: 2', 'workers: 0']);
    let error: unknown;
    try {
      load(text, 'gw.yaml');
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).problems.map(({ line }) => line)).toEqual([3, 4]);
    expect((error as ConfigError).message).toBe(
      'gw.yaml:3:12: system.node-id: 0 is not a whole number from 1 to 15\n' +
        'gw.yaml:4:12: system.workers: 0 is not a whole number from 1 to 64',
    );
  });
});

describe('keys', () => {
  const config = load(gateway);

  it('are in nothing that shows a configuration', () => {
    const texts = [
      JSON.stringify(config),
      inspect(config, { depth: 20, showHidden: true }),
      String(config.vpns[0]!.manual.outbound.key),
    ];
    for (const text of texts) {
      expect(text).toContain('<secret>');
      expect(text).not.toMatch(/a1a1|b2b2|161, 161|178, 178/);
    }
  });

  it.each([
    ['inbound', `{ hex: ${digits('a1')} }`, ['ZZ', '00', 'G']],
    ['outbound', '{ env: OUTBOUND_KEY }', []],
  ])('of %s SAs are in no message, however wrong', (_, from) => {
    const secret = 'deadbeef'.repeat(9);
    const wrongs = [
      secret,
      `[${secret}]`,
      `{ ${secret} }`,
      `{ hexx: ${secret} }`,
      `{ hex: [${secret}] }`,
      `{ hex: { a: ${secret} } }`,
      `{ hex: ${secret}0 }`,
      `{ hex: ${secret}, env: A }`,
      `{ env: ${secret} }`,
      `{ file: ${secret} }`,
      `{ ${secret}: ${secret} }`,
      `{ hex: ${secret}, ${secret}: 1 }`,
      `!!binary ${secret}`,
    ];
    for (const wrong of wrongs) {
      const { config: none, problems } = checkConfig(edited(gateway, [from, wrong]), 'gw.yaml', surroundings);
      expect(none, wrong).toBeNull();
      expect(JSON.stringify(problems), wrong).not.toContain('deadbeef');
    }
  });
});

describe('garbage', () => {
  const check = (text: string) => checkConfig(text, 'bad.yaml', surroundings);
  const random = (seed: number, length: number) => {
    // a linear congruential generator: the same bytes on every run
    let state = seed;
    return Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return String.fromCharCode(state >>> 24);
    }).join('');
  };

  it.each([
    ['nothing', '', 'bad.yaml:1:1: empty; write at least system.host-name'],
    ['a comment', '# nothing\n', 'bad.yaml:1:1: empty; write at least system.host-name'],
    ['a number', '42', 'bad.yaml:1:1: 42 is not a mapping; write keys and values below it'],
    ['a list', '- a\n- b\n', 'bad.yaml:1:1: a list is not a mapping; write keys and values below it'],
    ['a zero byte', 'system:\n  host-name: a\0b\n', 'bad.yaml:2:15: not a text file: character U+0000'],
    ['brackets', '['.repeat(1_000_000), 'bad.yaml:1:1: nested deeper than 64 levels'],
    ['braces', '{a: '.repeat(300_000), 'bad.yaml:1:1: nested deeper than 64 levels'],
    ['dashes', '- '.repeat(500_000), 'bad.yaml:1:1: nested deeper than 64 levels'],
    ['question marks', '? '.repeat(500_000), 'bad.yaml:1:1: nested deeper than 64 levels'],
  ])('%s', (_, text, line) => {
    const { config, problems } = check(text);
    expect(config).toBeNull();
    expect(
      problems.map(
        ({ file, line: l, column, path, message }) =>
          `${file}:${l}:${column}: ${path === '' ? '' : `${path}: `}${message}`,
      ),
    ).toEqual([line]);
  });

  it('nested by a thousand indentations', () => {
    const text = Array.from({ length: 1000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n');
    expect(check(text).problems.length).toBeGreaterThan(0);
  });

  it('aliases that would grow a thousandfold', () => {
    const text = [
      'a: &a [x, x, x, x, x, x, x, x, x, x]',
      ...['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map(
        (name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefghi'[i]}`).join(', ')}]`,
      ),
    ].join('\n');
    const { problems } = check(text);
    expect(problems[0]!.message).toContain('alias *a is not supported; write the value out');
  });

  it('a key that would reach into every object', () => {
    const { problems } = check('system: { host-name: a }\n__proto__: { polluted: yes }\n');
    expect(problems.map(({ line, message }) => [line, message])).toEqual([[2, '__proto__ cannot be a key']]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(check('system: { host-name: a }\nconstructor: 1\ntoString: 2\n').problems).toHaveLength(2);
  });

  it('random bytes, random edits', () => {
    for (let seed = 1; seed <= 200; seed++) {
      expect(check(random(seed, 400)).config).toBeNull();
      const at = Math.imul(seed, 2_654_435_761) >>> 0;
      for (const text of [gateway, pair]) {
        const cut = at % text.length;
        const damaged = text.slice(0, cut) + random(seed, 1 + (seed % 5)) + text.slice(cut + (seed % 7));
        expect(() => check(damaged)).not.toThrow();
        expect(() => check(text.slice(0, cut))).not.toThrow();
      }
    }
  });

  it('a file larger than it may be', () => {
    expect(check('#'.repeat(limits.fileBytes + 1)).problems[0]!.message).toBe('larger than 16 MiB');
  });

  it('a value of the wrong kind in any place', () => {
    const document = makeTree();
    let places = 0;
    for (const [holder, key] of placesOf(document)) {
      const right = holder[key];
      for (const wrong of [null, 7, -1, true, 'x y', [], {}, [[]], { a: { b: 1 } }, Number.NaN, undefined]) {
        holder[key] = wrong;
        expect(() =>
          checkDocument(document as unknown as ConfigDocument, 'document', surroundings),
        ).not.toThrow();
        places++;
      }
      holder[key] = right;
    }
    expect(places).toBeGreaterThan(800);
    expect(checkDocument(document as unknown as ConfigDocument, 'document', surroundings).problems).toEqual(
      [],
    );
  });
});

type Holder = Record<string | number, unknown>;

/** The gateway's sample as a program would make it. */
function makeTree(): Holder {
  return {
    system: { 'host-name': 'gw1', 'node-id': 1, 'state-directory': '/var/lib/penstock' },
    interfaces: {
      'ge-0/0/0': {
        port: { memory: 'outside' },
        unit: { 0: { family: { inet: { address: ['10.1.1.2/24'] } } } },
      },
      lo0: { unit: { 0: { family: { inet: { address: ['10.0.0.1/32'] } } } } },
      st0: { unit: { 1: { family: { inet: null } } } },
    },
    'routing-options': {
      static: { route: { '0.0.0.0/0': { 'next-hop': '10.1.1.1' }, '10.9.0.0/16': { discard: null } } },
    },
    security: {
      ipsec: {
        vpn: {
          one: {
            'bind-interface': 'st0.1',
            manual: {
              gateway: '10.20.0.1',
              'local-address': '10.0.0.1',
              'encryption-algorithm': 'aes-128-gcm',
              inbound: [{ spi: 4097, key: { hex: digits('a1', 20) } }],
              outbound: { spi: 8193, key: { hex: digits('b2', 20) } },
            },
            'traffic-selector': { ts: { 'local-ip': '0.0.0.0/0', 'remote-ip': '192.0.2.1/32' } },
          },
        },
      },
      zones: { 'security-zone': { trust: { interfaces: ['ge-0/0/0.0', 'st0.1'] } } },
      policies: {
        'from-zone': {
          trust: {
            'to-zone': {
              trust: {
                policy: [
                  {
                    name: 'all',
                    match: {
                      'source-address': ['any'],
                      'destination-address': ['any'],
                      application: ['any'],
                    },
                    then: { permit: null },
                  },
                ],
              },
            },
          },
        },
      },
    },
  };
}

function* placesOf(holder: Holder): Generator<[Holder, string | number]> {
  for (const key of Object.keys(holder)) {
    yield [holder, key];
    const value = holder[key];
    if (typeof value === 'object' && value !== null) yield* placesOf(value as Holder);
  }
}

describe('makeConfig', () => {
  it('makes what the same text makes', () => {
    const config = makeConfig(makeTree() as unknown as ConfigDocument, 'demo', surroundings);
    expect(config.vpns[0]!.manual.inbound[0]!.spi).toBe(4097);
    expect(config.system.hostName).toBe('gw1');
  });

  it('says where something is wrong by its path', () => {
    const tree = makeTree() as { system: Holder };
    tree.system.workers = 99;
    expect(() => makeConfig(tree as unknown as ConfigDocument, 'demo', surroundings)).toThrow(
      'demo: system.workers: 99 is not a whole number from 1 to 64',
    );
  });
});

describe('size', () => {
  it('checks 2,000 VPNs in one pass', () => {
    const vpn = (i: number) => `
      enb${i}:
        bind-interface: st0.1
        manual:
          gateway: 10.20.${i >> 8}.${i & 255}
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: ${i + 1000}, key: { hex: ${(i + 1).toString(16).padStart(72, '0')} } }]
          outbound: { spi: ${i + 1000}, key: { hex: ${(i + 1).toString(16).padStart(8, '0').padStart(72, 'a')} } }
        traffic-selector: { ts: { local-ip: 0.0.0.0/0, remote-ip: 192.0.${i >> 8}.${i & 255}/32 } }`;
    const [before, after] = gateway.split(/ {6}enb1:[\s\S]*(?= {2}address-book)/) as [string, string];
    const all = Array.from({ length: 2000 }, (_, i) => vpn(i))
      .join('')
      .slice(1);
    const text = `${before}${all}\n${after}`.replace(
      '10.20.0.0/16: { next-hop: 10.1.1.1 }',
      '10.16.0.0/12: { next-hop: 10.1.1.1 }',
    );
    expect(load(text).vpns).toHaveLength(2000);
    // and every one of 2,000 problems has its own line
    const { problems } = checkConfig(text.replaceAll('aes-256-gcm', '3des-cbc'), 'big.yaml', surroundings);
    expect(new Set(problems.map(({ line }) => line)).size).toBe(2000);
  });
});

describe('the schema for editors', () => {
  it('is the one in docs', async () => {
    const { jsonSchema } = await import('../../dist/config/json-schema.js');
    const text = readFileSync(new URL('../../docs/penstock.schema.json', import.meta.url), 'utf8');
    expect(JSON.parse(text)).toEqual(jsonSchema());
  });
});
