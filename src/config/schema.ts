/**
 * The shape of a configuration file, in the words of the reference documents' hierarchy. What a value alone can
 * say is checked here; what needs other parts of the file is checked by compile/.
 *
 * Where order matters there is a list of entries with a name; everything else is a mapping by name.
 */
import { z } from 'zod';
import { parseAddress } from './address.js';
import * as f from './fields.js';
import { limits } from './limits.js';
import { highAvailability } from './schema-high-availability.js';
import { ike, ipsecPolicy, ipsecProposal, vpnIke } from './schema-ike.js';

const kernelInterface = () =>
  f.name('kernel interface').max(15, { error: 'longer than 15 characters' }).optional();

const port = f
  .section({
    'af-xdp': kernelInterface(),
    'af-packet': kernelInterface(),
    tun: kernelInterface().describe(
      'a TUN interface, made by the node: packets that the kernel routes into it',
    ),
    tap: kernelInterface().describe('a TAP interface, made by the node: frames of the kernel'),
    memory: f.name('wire').optional(),
    pcap: f
      .section({
        read: f.path('a capture to receive from').optional(),
        write: f.path('a capture to send to, as pcapng').optional(),
      })
      .optional(),
  })
  .describe('where packets come from and go to: one of af-xdp, af-packet, tun, tap, memory, pcap');

const family = (which: 'inet' | 'inet6') =>
  f
    .section({
      address: f.list(f.interfaceAddress(which), 'addresses').optional(),
      filter: f.section({ input: f.name('filter').optional() }).optional(),
    })
    .nullable()
    .optional();

const interfaces = f.table(
  'interface',
  f.section({
    description: z.string().optional(),
    port: port.optional(),
    mac: f.mac().optional(),
    mtu: f.integer(limits.mtu, 'bytes').meta({ default: limits.mtu.fallback }).optional(),
    unit: f
      .table(
        'unit',
        f.section({
          description: z.string().optional(),
          'vlan-id': f.integer(limits.vlanId).optional(),
          family: f.section({ inet: family('inet'), inet6: family('inet6') }).optional(),
        }),
        z.string().regex(/^(0|[1-9]\d{0,4})$/, { error: 'a unit is a number, e.g. 0' }),
      )
      .refine((units) => Object.keys(units).length > 0, { error: 'empty; write at least unit 0' }),
  }),
  z.string().regex(/^[a-z][a-z0-9_-]*(\/\d+)*(:\d+)?$/, {
    error: 'not an interface name, e.g. ge-0/0/0; units go below it',
  }),
);

const bfdInterval = (what: string) => f.integer(limits.bfd.intervalMs, 'ms').describe(what);

/** Junos's words; what they leave out has Junos's defaults. */
const bfdLivenessDetection = f.section({
  'minimum-interval': bfdInterval('of sending and of receiving, in ms').optional(),
  'minimum-receive-interval': bfdInterval('of receiving, in ms; minimum-interval when left out').optional(),
  'transmit-interval': f
    .section({ 'minimum-interval': bfdInterval('of sending, in ms; minimum-interval when left out') })
    .optional(),
  multiplier: f
    .integer(limits.bfd.multiplier)
    .meta({ default: limits.bfd.multiplier.fallback })
    .optional()
    .describe('packets in a row that may be missing'),
  neighbor: f.address().optional().describe('the other end; the next hop when left out'),
  'local-address': f.address().optional().describe('our end of a multihop session (RFC 5883)'),
  'minimum-receive-ttl': f
    .integer(limits.bfd.ttl)
    .meta({ default: limits.bfd.ttl.fallback })
    .optional()
    .describe('of a multihop session: packets with less are dropped'),
  authentication: f
    .section({
      algorithm: f.word(
        ['meticulous-keyed-sha-1', 'keyed-sha-1'],
        ['keyed-md5', 'meticulous-keyed-md5', 'simple-password'],
      ),
      'key-chain': f.name('key chain'),
    })
    .optional(),
});

const routingOptions = f.section({
  'instance-import': f
    .list(f.name('policy statement'), 'policy statements')
    .optional()
    .describe('which routes of other routing instances are taken over'),
  static: f
    .section({
      route: f.table(
        'route',
        f.section({
          'next-hop': f
            .list(z.string({ error: 'not a next hop; write an address or an st0 unit' }), 'next hops')
            .min(1, { error: 'empty; write at least one next hop' })
            .max(limits.ecmp.members, { error: `more than ${limits.ecmp.members} next hops` })
            .optional()
            .describe('addresses that share the traffic (an ECMP group), or an st0 unit'),
          'qualified-next-hop': f
            .table(
              'next hop',
              f.section({
                member: f.name('member').optional(),
                weight: f
                  .integer(limits.ecmp.weight)
                  .meta({ default: limits.ecmp.weight.fallback })
                  .optional(),
                preference: f.integer(limits.preference).optional(),
                'bfd-liveness-detection': bfdLivenessDetection.optional(),
              }),
              f.address(),
            )
            .optional(),
          preference: f.integer(limits.preference).meta({ default: limits.preference.fallback }).optional(),
          discard: f.flag(),
          'bfd-liveness-detection': bfdLivenessDetection
            .optional()
            .describe('each next hop is of use only while its BFD session is up'),
        }),
        f.prefix(),
      ),
    })
    .optional(),
});

const forwardingTable = f.section({
  export: f.list(f.name('policy statement'), 'policy statements'),
});

const hashFunction = () => f.word(['xxh64', 'siphash-1-3', 'toeplitz']).meta({ default: 'xxh64' });
const hashSeed = () => f.integer({ least: 0, most: Number.MAX_SAFE_INTEGER }).meta({ default: 0 });

const forwardingOptions = f.section({
  'enhanced-hash-key': f
    .section({
      symmetric: f.flag(),
      'hash-function': hashFunction().optional(),
      'hash-seed': hashSeed().optional(),
      'no-sticky': f.flag(),
    })
    .optional(),
});

/** Bytes of a probe. */
const payload = () =>
  f.section({
    ascii: f.text('a text').optional(),
    hex: z
      .string({ error: 'not hexadecimal digits; write an even number of them in quotes' })
      .regex(/^([0-9a-fA-F]{2})+$/, { error: 'not an even number of hexadecimal digits' })
      .max(2048, { error: 'more than 1024 bytes' })
      .optional(),
  });

const conditionRoute = (of: 'inet' | 'inet6') =>
  f
    .section({
      prefix: f.prefixOf(of),
      table: f.text(`a table, e.g. ${of}.0 or VR.${of}.0`, 80),
    })
    .optional();

const policyOptions = f.section({
  condition: f
    .table(
      'condition',
      f.section({
        'if-route-exists': f.section({
          'address-family': f.section({ inet: conditionRoute('inet'), inet6: conditionRoute('inet6') }),
        }),
      }),
    )
    .optional(),
  'prefix-list': f.table('prefix list', f.list(f.prefix(), 'prefixes')).optional(),
  'policy-statement': f
    .table(
      'policy statement',
      f.section({
        from: policyFrom().optional(),
        then: policyThen().optional(),
        term: f
          .list(
            f.section({ name: f.name('term'), from: policyFrom().optional(), then: policyThen() }),
            'terms',
          )
          .optional(),
      }),
    )
    .optional(),
});

function policyFrom() {
  return f.section({
    'prefix-list': f.list(f.name('prefix list'), 'prefix lists').optional(),
    'prefix-list-filter': f.table('prefix list', f.word(['exact', 'longer', 'orlonger'])).optional(),
    'route-filter': f.table('prefix', f.word(['exact', 'longer', 'orlonger']), f.prefix()).optional(),
    instance: f.name('routing instance').optional(),
    protocol: f
      .list(
        f.word(['static', 'direct', 'local', 'ari-ts', 'tlb', 'kernel', 'signal'], ['bgp', 'ospf', 'isis']),
        'protocols',
      )
      .optional(),
    metric: f.integer(limits.policy.metric).optional(),
    condition: f.list(f.name('condition'), 'conditions').optional(),
  });
}

function policyThen() {
  return f.section({
    'load-balance': f
      .word(
        ['consistent-hash', 'per-packet', 'source-ip-only', 'destination-ip-only'],
        ['random', 'per-prefix'],
      )
      .optional(),
    metric: f.integer(limits.policy.metric).optional().describe('MED'),
    'as-path-prepend': z
      .union([z.int(), z.string()], { error: 'not AS numbers, e.g. 65000 65000' })
      .transform(String)
      .pipe(
        z
          .string()
          .regex(/^\d{1,10}( \d{1,10}){0,14}$/, { error: 'not 1 to 15 AS numbers, e.g. 65000 65000' }),
      )
      .optional(),
    preference: f.integer(limits.preference).optional(),
    'next-hop': z
      .string({ error: 'not a next hop; write an address or discard' })
      .refine((text) => text === 'discard' || parseAddress(text) !== undefined, {
        error: 'not a next hop; write an address or discard',
      })
      .optional(),
    accept: f.flag(),
    reject: f.flag(),
    next: f.word(['term', 'policy']).optional(),
  });
}

const routingInstances = f.table(
  'routing instance',
  f.section({
    'instance-type': f.word(['virtual-router', 'forwarding'], ['vrf', 'virtual-switch', 'evpn']),
    interface: f.list(f.logicalInterface(), 'interfaces').optional(),
    'routing-options': routingOptions.optional(),
  }),
);

const autoRouteInjection = f.section({
  export: f.table(
    'router',
    f.section({
      'control-socket': f.path("the router's control socket"),
      'routing-instance': f.name('routing instance'),
      'next-hop': f
        .list(f.address(), 'our addresses on its side')
        .min(1, { error: 'empty; write one address a family' }),
    }),
  ),
});

const kernelRoutes = f.section({
  export: f
    .list(
      f.word(['ari-ts', 'virtual-service', 'tunnel-endpoint', 'static', 'direct', 'signal']),
      'kinds of routes',
    )
    .optional()
    .describe('which routes the kernel is told of'),
  'export-policy': f
    .list(f.name('policy statement'), 'policy statements')
    .optional()
    .describe('what decides about each of them, and says with what metric'),
  import: f.flag().describe("the kernel's routes through interfaces that a port shares with it"),
  interface: kernelInterface()
    .describe('a TUN interface that the node makes, and exported routes go with')
    .meta({ default: limits.kernelRoutes.interface }),
  table: f
    .integer(limits.kernelRoutes.table)
    .meta({ default: limits.kernelRoutes.table.fallback })
    .optional(),
  protocol: f
    .integer(limits.kernelRoutes.protocol)
    .meta({ default: limits.kernelRoutes.protocol.fallback })
    .optional(),
});

const protocol = z
  .union([z.string(), z.int().min(0).max(255)], {
    error: 'not a protocol; write its name or number, e.g. esp or 50',
  })
  .describe('a protocol name or its number');

const filter = (which: 'inet' | 'inet6') =>
  f
    .section({
      filter: f.table(
        'filter',
        f.section({
          term: f
            .list(
              f.section({
                name: f.name('term'),
                from: f
                  .section({
                    'source-address': f.list(f.prefixOf(which), 'prefixes').optional(),
                    'destination-address': f.list(f.prefixOf(which), 'prefixes').optional(),
                    protocol: f.list(protocol, 'protocols').optional(),
                  })
                  .optional(),
                then: f.section({
                  count: f.name('counter').optional(),
                  'routing-instance': f.name('routing instance').optional(),
                  accept: f.flag(),
                  discard: f.flag(),
                }),
              }),
              'terms',
            )
            .min(1, { error: 'empty; write at least one term' }),
        }),
      ),
    })
    .optional();

/** How a real service is reached. */
const forwardingMode = () =>
  f.word(['direct-server-return', 'layer2-direct-server-return', 'translated', 'ipip', 'gue']);

const servicePort = () => f.integer({ least: 1, most: 65_535 });

const trafficLoadBalance = f.section({
  'routing-engine-mode': f.flag(),
  'flow-limit': f.integer(limits.flowLimit, 'flows').meta({ default: limits.flowLimit.fallback }).optional(),
  instance: f.table(
    'instance',
    f.section({
      interface: f.logicalInterface(),
      'route-hold-timer': f
        .integer(limits.tlb.routeHoldSeconds, 'seconds')
        .meta({ default: limits.tlb.routeHoldSeconds.fallback })
        .optional(),
      'client-vrf': f.name('routing instance'),
      'server-vrf': f.name('routing instance'),
      group: f.table(
        'group',
        f.section({
          'real-services': f
            .list(f.name('real service'), 'real services')
            .min(1, { error: 'empty; write at least one real service' })
            .max(limits.tlb.membersPerGroup, {
              error: (issue) =>
                `${(issue.input as unknown[]).length} real services; a group has at most ${limits.tlb.membersPerGroup}`,
            }),
          'routing-instance': f.name('routing instance').optional(),
          'slow-start': f.integer(limits.tlb.slowStartSeconds, 'seconds').meta({ default: 0 }).optional(),
          'network-monitoring-profile': f
            .list(f.name('profile'), 'profiles')
            .max(limits.tlb.profilesPerGroup, { error: `more than ${limits.tlb.profilesPerGroup} profiles` })
            .optional(),
          'health-check-interface-subunit': f.integer(limits.unit).meta({ default: 0 }).optional(),
          'when-all-down': f.word(['fail-closed', 'fail-open']).meta({ default: 'fail-closed' }).optional(),
        }),
      ),
      'real-service': f.table(
        'real service',
        f.section({
          address: f.address(),
          mode: forwardingMode().optional(),
          'admin-down': f.flag(),
          weight: f.integer(limits.tlb.weight).meta({ default: limits.tlb.weight.fallback }).optional(),
        }),
      ),
      'virtual-service': f.table(
        'virtual service',
        f.section({
          mode: forwardingMode(),
          address: f.address(),
          'routing-instance': f.name('routing instance'),
          group: f.name('group'),
          service: f
            .table(
              'service',
              f.section({
                protocol: f.word(['tcp', 'udp']),
                'virtual-port': servicePort(),
                'server-listening-port': servicePort().optional(),
              }),
            )
            .optional(),
          'flow-memory': f.flag(),
          'load-balance-method': f.section({
            hash: f.section({
              'hash-key': f.word(
                ['source-ip', 'destination-ip', 'symmetric', '5-tuple', 'symmetric-5-tuple'],
                ['protocol', 'proto'],
              ),
              'hash-function': hashFunction().optional(),
              seed: hashSeed().optional(),
              'table-size': f.integer(limits.tlb.tableSize, 'slots').optional(),
              slack: f
                .number(limits.tlb.slackPercent, 'percent')
                .meta({ default: limits.tlb.slackPercent.fallback })
                .optional(),
            }),
          }),
        }),
      ),
    }),
  ),
});

const tcpPort = () => f.integer({ least: 1, most: 65_535 });
const statusCode = z
  .union([z.int().min(100).max(599), z.string().regex(/^[1-5]\d\d-[1-5]\d\d$/)], {
    error: 'not a status code or a range of them, e.g. 200 or 200-399',
  })
  .describe('a status code or a range, e.g. 200-399');
const http = () =>
  f
    .section({
      port: tcpPort().optional(),
      method: f.word(['GET', 'HEAD', 'OPTIONS']).meta({ default: 'GET' }).optional(),
      url: f
        .text('a path, e.g. /health')
        .regex(/^\/[!-~]*$/, { error: 'not a path of a URL; write e.g. /health' })
        .meta({ default: '/' })
        .optional(),
      'host-name': f
        .text('a host name', 253)
        .regex(/^[A-Za-z0-9.:[\]_-]+$/, { error: 'not a host name, e.g. www.example.net' })
        .optional(),
      'status-code': f.list(statusCode, 'status codes').optional(),
      'body-match': f.text('a text that the body holds').optional(),
    })
    .nullable()
    .optional();

const networkMonitoring = f.section({
  profile: f.table(
    'profile',
    f.section({
      icmp: f.flag(),
      tcp: f.section({ port: tcpPort() }).optional(),
      http: http(),
      https: http(),
      'ssl-hello': f
        .section({ port: tcpPort().optional(), 'host-name': f.text('a host name', 253).optional() })
        .nullable()
        .optional(),
      udp: f
        .section({ port: tcpPort(), send: payload().optional(), expect: payload().optional() })
        .optional(),
      custom: f
        .section({
          command: f
            .list(f.text('a word of a command', 4096), 'words, the program first')
            .min(1, { error: 'empty; write the program and its arguments' })
            .max(limits.tlb.commandWords, { error: `more than ${limits.tlb.commandWords} words` })
            .optional(),
          function: f.name('function that the embedding program hands in').optional(),
        })
        .optional(),
      neighbour: f.flag(),
      link: f.flag(),
      'probe-interval': f
        .number(limits.tlb.probeIntervalSeconds, 'seconds')
        .meta({ default: limits.tlb.probeIntervalSeconds.fallback })
        .optional(),
      timeout: f.number(limits.tlb.timeoutSeconds, 'seconds').optional(),
      jitter: f.number(limits.tlb.jitter, 'percent').meta({ default: limits.tlb.jitter.fallback }).optional(),
      'source-address': f.list(f.address(), 'addresses, one a family').optional(),
      'failure-retries': f
        .integer(limits.tlb.retries)
        .meta({ default: limits.tlb.failureRetries })
        .optional(),
      'recovery-retries': f
        .integer(limits.tlb.retries)
        .meta({ default: limits.tlb.recoveryRetries })
        .optional(),
    }),
  ),
});

const sa = f.section({
  spi: f.integer(limits.ipsec.spi),
  key: f.key,
  'authentication-key': f.key.optional(),
});

const manual = f.section({
  gateway: f.address().optional().describe("the peer's outer address"),
  'local-address': f.address().optional().describe('our outer address'),
  protocol: f.word(['esp'], ['ah']).optional(),
  'encryption-algorithm': f.word(
    ['aes-256-gcm', 'aes-128-gcm', 'aes-256-cbc', 'aes-192-cbc', 'aes-128-cbc'],
    ['aes-192-gcm', '3des-cbc', 'des-cbc', 'null'],
  ),
  'authentication-algorithm': f
    .word(['hmac-sha-256-128', 'hmac-sha-384', 'hmac-sha-512', 'hmac-sha1-96'], ['hmac-md5-96'])
    .optional()
    .describe('of AES-CBC; AES-GCM has its own'),
  'weak-algorithms': f
    .list(f.word(['hmac-sha1-96']), 'weak algorithms')
    .optional()
    .describe('what is refused otherwise'),
  inbound: f
    .list(sa, 'inbound SAs')
    .min(1, { error: 'empty; write at least one inbound SA' })
    .max(limits.ipsec.inboundPerVpn, { error: `more than ${limits.ipsec.inboundPerVpn} inbound SAs` }),
  outbound: sa,
});

const ipsec = f.section({
  'anti-replay-window-size': f.windowSize().optional(),
  proposal: f.table('proposal', ipsecProposal).optional(),
  policy: f.table('policy', ipsecPolicy).optional(),
  vpn: f.table(
    'vpn',
    f.section({
      'ha-link-encryption': f
        .flag()
        .describe("the keys are those of the pair's ICL: named by vpn-profile, between local-ip and peer-ip"),
      'bind-interface': f.logicalInterface().optional(),
      manual: manual.optional(),
      ike: vpnIke.optional(),
      'establish-tunnels': f
        .word(['immediately', 'responder-only', 'responder-only-no-rekey'], ['on-traffic'])
        .meta({ default: 'responder-only' })
        .optional(),
      'idle-time': f.integer(limits.ike.idleSeconds, 'seconds').optional(),
      'traffic-selector': f
        .table('traffic selector', f.section({ 'local-ip': f.prefix(), 'remote-ip': f.prefix() }))
        .optional(),
      'anti-replay-window-size': f.windowSize().optional(),
      'no-anti-replay': f.flag(),
      'extended-sequence-number': f.flag(),
      'df-bit': f.word(['clear', 'set', 'copy']).meta({ default: 'clear' }).optional(),
      'copy-outer-dscp': f.flag(),
      'outer-dscp': f.integer({ least: 0, most: 63 }).optional(),
    }),
  ),
});

/** What stands under host-inbound-traffic: the node answers ping, ARP and neighbour discovery everywhere. */
const all = (what: string) => f.list(f.word(['all'], ['ping', 'ike', 'bgp', 'bfd', 'ssh']), what).optional();

const zones = f.section({
  'security-zone': f.table(
    'security zone',
    f.section({
      'host-inbound-traffic': f
        .section({ 'system-services': all('system services'), protocols: all('protocols') })
        .optional(),
      interfaces: f.list(f.logicalInterface(), 'interfaces'),
    }),
  ),
});

const policy = f.section({
  name: f.name('policy'),
  match: f.section({
    'source-address': f.list(f.name('address'), 'addresses'),
    'destination-address': f.list(f.name('address'), 'addresses'),
    application: f.list(f.name('application'), 'applications'),
  }),
  then: f.section({ permit: f.flag(), deny: f.flag() }),
});

const policies = f.section({
  'from-zone': f
    .table(
      'security zone',
      f.section({
        'to-zone': f.table(
          'security zone',
          f.section({
            policy: f.list(policy, 'policies').min(1, { error: 'empty; write at least one policy' }),
          }),
        ),
      }),
    )
    .optional(),
  'default-policy': f.word(['deny-all', 'permit-all']).meta({ default: 'deny-all' }).optional(),
});

const flow = f.section({
  'tcp-session': f.section({ 'no-syn-check': f.flag(), 'no-syn-check-in-tunnel': f.flag() }).optional(),
  'session-limit': f.integer(limits.sessionLimit).meta({ default: limits.sessionLimit.fallback }).optional(),
  'sync-icmp-session': f.flag().describe('sessions of ICMP are synchronised with the peer, too'),
});

const keyChains = f.section({
  'key-chain': f.table(
    'key chain',
    f.section({
      key: f.table(
        'key',
        f.section({
          secret: z.strictObject(
            {
              ascii: f.hidden('the key itself'),
              file: f.hidden('the path of a file with the key'),
              env: f.hidden('the name of an environment variable'),
            },
            {
              error: (issue) =>
                `${issue.input === undefined ? 'missing' : 'not a mapping'}; write { ascii: … }, { file: … } or { env: … }`,
            },
          ),
        }),
        z
          .string()
          .regex(/^(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$/, { error: 'a key is a number from 0 to 255' }),
      ),
    }),
  ),
});

const security = f.section({
  'authentication-key-chains': keyChains.optional(),
  'address-book': f
    .section({ global: f.section({ address: f.table('address', f.prefix()) }).optional() })
    .optional(),
  ike: ike.optional(),
  ipsec: ipsec.optional(),
  zones: zones.optional(),
  policies: policies.optional(),
  flow: flow.optional(),
});

const applications = f.section({
  application: f.table(
    'application',
    f.section({
      protocol,
      'destination-port': z
        .union([z.int().min(0).max(65_535), z.string().regex(/^\d{1,5}-\d{1,5}$/)], {
          error: 'not a port or a range of ports, e.g. 443 or 8000-8080',
        })
        .optional(),
    }),
  ),
});

export const schema = f.section({
  system: f.section({
    'host-name': f.name('host'),
    'node-id': f.integer(limits.nodeId).optional(),
    workers: f.integer(limits.workers).meta({ default: limits.workers.fallback }).optional(),
    'maximum-workers': f.integer(limits.workers).optional(),
    'state-directory': f.path('a directory that outlives the process').optional(),
    'control-socket': f.path('the control socket').optional(),
  }),
  chassis: f.section({ 'high-availability': highAvailability.optional() }).optional(),
  interfaces: interfaces.optional(),
  'routing-instances': routingInstances.optional(),
  'routing-options': routingOptions
    .extend({
      'auto-route-injection': autoRouteInjection.optional(),
      kernel: kernelRoutes.optional(),
      'forwarding-table': forwardingTable.optional(),
    })
    .optional(),
  'policy-options': policyOptions.optional(),
  'forwarding-options': forwardingOptions.optional(),
  firewall: f.section({ family: f.section({ inet: filter('inet'), inet6: filter('inet6') }) }).optional(),
  services: f
    .section({
      'traffic-load-balance': trafficLoadBalance.optional(),
      'network-monitoring': networkMonitoring.optional(),
    })
    .optional(),
  security: security.optional(),
  applications: applications.optional(),
});

/** A configuration as the file has it, e.g. for programs that make one instead of reading it. */
export type ConfigDocument = z.input<typeof schema>;

/** Words of the reference documents that may come in a file and are not done yet, with what to do instead. */
export const notYet: Readonly<Record<string, string>> = {
  cluster: 'write high-availability',
  'replication-threshold': 'leave it out: sessions cross at once',
  protocols: 'write static routes',
  nat: 'leave it out',
  eap: 'write a pre-shared-key or a certificate',
  aaa: 'write a pre-shared-key or a certificate',
  'vpn-monitor': 'write dead-peer-detection below the gateway',
  'proposal-set': 'write proposals',
  log: 'counters and show security packet-drop records say what happened',
  reject: 'write deny',
  'local-preference': 'a neighbour in another AS does not hear it; write metric or as-path-prepend',
  community: 'write metric or as-path-prepend, and let the routing daemon set communities by them',
  'address-set': 'list the addresses in the policy',
};

/** Words that stand in another place than where one may look for them. */
export const misplaced: Readonly<Record<string, string>> = {
  'security.ipsec.no-anti-replay': 'for one VPN only; write it below security.ipsec.vpn.<name>',
};
