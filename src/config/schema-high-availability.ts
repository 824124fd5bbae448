/** The shape of chassis.high-availability: two nodes as a pair (see schema.ts). */
import { z } from 'zod';
import * as f from './fields.js';
import { limits } from './limits.js';

const { liveness, srg, monitor, sync } = limits.highAvailability;

const number = (what: string, most: number) => {
  const error = `${what} is a number, e.g. 1`;
  return z
    .string()
    .regex(/^(0|[1-9]\d{0,3})$/, { error })
    .refine((text) => Number(text) <= most, { error: `${what} is at most ${most}` });
};

/** Asynchronous BFD (RFC 5880). */
export const livenessDetection = () =>
  f.section({
    'minimum-interval': f
      .integer(liveness.intervalMs, 'milliseconds')
      .meta({ default: liveness.intervalMs.fallback })
      .optional(),
    'minimum-receive-interval': f.integer(liveness.intervalMs, 'milliseconds').optional(),
    multiplier: f.integer(liveness.multiplier).meta({ default: liveness.multiplier.fallback }).optional(),
    authentication: f
      .section({
        algorithm: f
          .word(
            ['keyed-sha-1', 'meticulous-keyed-sha-1'],
            ['simple-password', 'keyed-md5', 'meticulous-keyed-md5'],
          )
          .meta({ default: 'keyed-sha-1' })
          .optional(),
        'key-id': f.integer(liveness.keyId),
        key: f.key,
      })
      .optional(),
  });

const echo = {
  'minimum-interval': f
    .integer(srg.probeIntervalMs, 'milliseconds')
    .meta({ default: srg.probeIntervalMs.fallback })
    .optional(),
  multiplier: f.integer(srg.probeMultiplier).meta({ default: srg.probeMultiplier.fallback }).optional(),
};

/** Keys of a BFD session that goes elsewhere than to the peer. */
const bfd = {
  'src-ip': f.address(),
  'session-type': f.word(['singlehop', 'multihop']).meta({ default: 'singlehop' }).optional(),
  interface: f.logicalInterface().optional(),
  'routing-instance': f.name('routing instance').optional(),
  'liveness-detection': livenessDetection().optional(),
};

/** Keys of an address that is asked for echoes. */
const ip = {
  'src-ip': f.address().optional(),
  'routing-instance': f.name('routing instance').optional(),
  ...echo,
};

const weight = { weight: f.integer(monitor.weight) };
const threshold = () => f.integer(monitor.weight).optional();

const monitorObject = f.section({
  'object-threshold': f.integer(monitor.weight),
  interface: f
    .section({
      threshold: threshold(),
      'interface-name': f.table('interface', f.section(weight), f.logicalInterface()),
    })
    .optional(),
  ip: f
    .section({
      threshold: threshold(),
      'destination-ip': f.table('address', f.section({ ...ip, ...weight }), f.address()),
    })
    .optional(),
  'bfd-liveliness': f
    .section({
      threshold: threshold(),
      'destination-ip': f.table('address', f.section({ ...bfd, ...weight }), f.address()),
    })
    .optional(),
});

const signalRoute = () =>
  f.section({ ip: f.address(), 'routing-instance': f.name('routing instance').optional() }).optional();

const redundancyGroup = f.section({
  'deployment-type': f
    .word(['routing', 'switching', 'hybrid'], ['cloud'])
    .meta({ default: 'routing' })
    .optional(),
  'peer-id': f.integer(limits.nodeId).optional(),
  'activeness-probe': f
    .section({
      'dest-ip': f.address().optional().describe('a router on the data segment that answers pings'),
      'src-ip': f.address().optional(),
      'routing-instance': f.name('routing instance').optional(),
      ...echo,
      'bfd-liveliness': f
        .table('address', f.section(bfd), f.address())
        .optional()
        .describe('instead of pings: a single-hop BFD session that is always on'),
    })
    .optional(),
  monitor: f
    .section({
      'srg-threshold': f.integer(monitor.weight).meta({ default: monitor.weight.fallback }).optional(),
      'monitor-object': f.table('monitor object', monitorObject).optional(),
      interface: f.list(f.logicalInterface(), 'interfaces, each of which must be up').optional(),
      ip: f.table('address', f.section(ip).nullable(), f.address()).optional(),
      'bfd-liveliness': f.table('address', f.section(bfd), f.address()).optional(),
    })
    .optional(),
  'active-signal-route': signalRoute(),
  'backup-signal-route': signalRoute(),
  'install-on-failure-route': signalRoute(),
  'prefix-list': f
    .table('prefix list', f.section({ 'routing-instance': f.name('routing instance').optional() }).nullable())
    .optional(),
  'managed-services': f.list(f.word(['ipsec']), 'services').optional(),
  preemption: f.flag(),
  'activeness-priority': f.integer(srg.priority).meta({ default: srg.priority.fallback }).optional(),
  'process-packet-on-backup': f.flag(),
  'virtual-ip': f
    .table(
      'virtual-ip',
      f.section({
        ip: z.union([f.interfaceAddress('inet'), f.interfaceAddress('inet6')], {
          error: 'not an address with a prefix length, e.g. 192.168.97.1/24',
        }),
        interface: f.logicalInterface(),
      }),
      number('the index of a virtual-ip', 9_999),
    )
    .optional(),
  'listen-ha-group': f.name('ha-group').optional().describe('active while that ha-group is'),
});

export const highAvailability = f.section({
  'local-id': f.section({
    id: f.integer(limits.nodeId),
    'local-ip': f.address(),
    'local-forwarding-ip': f.address().optional(),
  }),
  'peer-id': f.table(
    'peer',
    f.section({
      'peer-ip': f.address(),
      interface: f.logicalInterface(),
      'routing-instance': f.name('routing instance').optional(),
      'vpn-profile': f.name('VPN with ha-link-encryption').optional(),
      'liveness-detection': livenessDetection().optional(),
      'peer-forwarding-ip': f
        .section({
          ip: f.address(),
          interface: f.logicalInterface(),
          'routing-instance': f.name('routing instance').optional(),
          'liveness-detection': livenessDetection().optional(),
        })
        .optional(),
    }),
    number('a peer-id', limits.nodeId.most),
  ),
  'services-redundancy-group': f
    .table('services redundancy group', redundancyGroup, number('a services-redundancy-group', srg.id.most))
    .optional(),
  'ha-group': f
    .table('ha-group', f.section({ static: f.word(['active', 'backup']).optional() }).nullable())
    .optional()
    .describe('activeness that something else decides: VRRP, or this file'),
  'seqnum-sync': f
    .section({
      'oseq-shift': f.integer(sync.oseqShift).meta({ default: sync.oseqShift.fallback }).optional(),
      'sync-period-packets': f
        .integer(sync.periodPackets, 'packets')
        .meta({ default: sync.periodPackets.fallback })
        .optional(),
      'sync-period-time': f
        .number(sync.periodSeconds, 'seconds')
        .meta({ default: sync.periodSeconds.fallback })
        .optional(),
      'packet-rate': f
        .integer(sync.packetRate, 'packets per second')
        .meta({ default: sync.packetRate.fallback })
        .optional(),
    })
    .optional(),
  'replicate-services': f
    .section({
      'disable-replication-capability': f.flag(),
    })
    .optional(),
});
