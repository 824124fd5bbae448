/** What is in the way of a host's forwarding, each with its mend. Pure. */
import type { PortConfig } from '../../config/config.js';
import { buildPrograms, type HostFacts, type HostInterface } from './facts.js';

export interface Finding {
  readonly level: 'ok' | 'warning' | 'problem';
  /** CPU, kernel, an interface, … */
  readonly subject: string;
  readonly text: string;
  /** a command or a word of advice; null: nothing to mend */
  readonly fix: string | null;
}

const ok = (subject: string, text: string): Finding => ({ level: 'ok', subject, text, fix: null });
const warning = (subject: string, text: string, fix: string): Finding => ({
  level: 'warning',
  subject,
  text,
  fix,
});
const problem = (subject: string, text: string, fix: string): Finding => ({
  level: 'problem',
  subject,
  text,
  fix,
});

/** capability(7) */
const bits = { CAP_NET_ADMIN: 12n, CAP_NET_RAW: 13n, CAP_BPF: 39n } as const;
const leastMemlock = 32 * 1024 * 1024;
/** drivers with XDP of their own, and those of them with zero-copy AF_XDP sockets (as of Linux 6.12) */
const nativeXdp = new Set(
  'veth tun virtio_net ena hv_netvsc mlx4_en mlx5_core bnxt_en thunder-nicvf nfp qede ixgbevf i40e ice ixgbe igb igc stmmac'.split(
    ' ',
  ),
);
const zeroCopy = new Set('i40e ice ixgbe igb igc stmmac mlx5_core'.split(' '));

export interface Doctored {
  readonly host: HostFacts;
  /** ciphers' kernel that is chosen, and what is wrong with the choice */
  readonly crypto: { readonly active: string; readonly fault: string | null };
  /** of a configuration, whose interfaces alone are looked at then; null: every one that there is */
  readonly ports: readonly PortConfig[] | null;
}

export function findings({ host, crypto, ports }: Doctored): Finding[] {
  return [
    cpu(host, crypto),
    kernel(host),
    xdpSockets(host),
    ...capabilities(host, ports),
    memlock(host),
    hugepages(host),
    governor(host),
    isolation(host),
    ...interfacesOf(host, ports),
  ];
}

function cpu({ cpuModel, cpuFlags }: HostFacts, { active, fault }: Doctored['crypto']): Finding {
  if (fault !== null) return problem('CPU', fault, 'unset PENSTOCK_CRYPTO');
  const has = (flag: string, name: string) => (cpuFlags.has(flag) ? name : `no ${name}`);
  const list = [has('vaes', 'VAES'), has('vpclmulqdq', 'VPCLMULQDQ'), has('avx512f', 'AVX-512')].join(', ');
  const text = `${cpuModel || 'unknown'}: ${list}: kernel ${active}`;
  return active === 'portable'
    ? warning('CPU', text, 'a CPU with AES-NI seals and opens twenty times as fast')
    : ok('CPU', text);
}

function kernel({ kernel: [major, minor] }: HostFacts): Finding {
  const text = `Linux ${major}.${minor}`;
  return major > 5 || (major === 5 && minor >= 10)
    ? ok('kernel', text)
    : warning('kernel', `${text}: AF_XDP wants 5.10 or later`, 'use af-packet ports, or a later kernel');
}

function xdpSockets({ hasXdpSockets, programs }: HostFacts): Finding {
  if (!hasXdpSockets)
    return warning('AF_XDP', 'the kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS)', 'use af-packet ports');
  const missing = buildPrograms.filter((program) => !programs.has(program));
  return missing.length === 0
    ? ok('AF_XDP', 'sockets, and clang and bpftool to build the program with')
    : warning(
        'AF_XDP',
        `no ${missing.join(' and no ')}: its program is not built`,
        'apt-get install clang bpftool, then npm run setup',
      );
}

/** What the ports that are named need; without a configuration, what any may. */
function capabilities({ capabilities: has }: HostFacts, ports: Doctored['ports']): Finding[] {
  const kinds = new Set(ports?.map(({ port }) => port.kind) ?? (['af-packet', 'af-xdp'] as const));
  const needed = new Set<keyof typeof bits>();
  if (kinds.has('af-packet')) needed.add('CAP_NET_RAW');
  if (kinds.has('tun') || kinds.has('tap')) needed.add('CAP_NET_ADMIN');
  if (kinds.has('af-xdp'))
    for (const name of ['CAP_NET_RAW', 'CAP_NET_ADMIN', 'CAP_BPF'] as const) needed.add(name);
  const missing = [...needed].filter((name) => ((has >> bits[name]) & 1n) === 0n);
  if (needed.size === 0) return [];
  if (missing.length === 0) return [ok('capabilities', [...needed].join(', '))];
  const grant = missing.map((name) => name.toLowerCase()).join(',');
  return [
    problem(
      'capabilities',
      `${missing.join(', ')} missing: ports on interfaces of the kernel cannot be opened`,
      `run as root, or sudo setcap ${grant}+ep "$(readlink -f "$(command -v node)")"`,
    ),
  ];
}

function memlock({ kernel: [major, minor], memlockBytes }: HostFacts): Finding {
  if (major > 5 || (major === 5 && minor >= 11))
    return ok('memlock', 'does not bound AF_XDP since Linux 5.11');
  if (memlockBytes === null) return ok('memlock', 'unlimited');
  const text = `${Math.round(memlockBytes / 1024)} kB; AF_XDP wants 32 MB before Linux 5.11`;
  return memlockBytes >= leastMemlock ? ok('memlock', text) : problem('memlock', text, 'ulimit -l unlimited');
}

function hugepages({ transparentHugepages: choice }: HostFacts): Finding {
  if (choice === 'always' || choice === 'madvise') return ok('hugepages', `transparent: ${choice}`);
  return warning(
    'hugepages',
    `transparent: ${choice ?? 'not known'}; frames and SAs miss the TLB more often`,
    'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled',
  );
}

function governor({ governor: of }: HostFacts): Finding {
  if (of === null) return ok('governor', 'none here: the clock is not ours to set');
  return of === 'performance'
    ? ok('governor', of)
    : warning(
        'governor',
        `${of}: the clock follows the load, and latency follows the clock`,
        'cpupower frequency-set -g performance',
      );
}

function isolation({ isolatedCpus }: HostFacts): Finding {
  return isolatedCpus === ''
    ? ok('isolated CPUs', 'none: workers share theirs with what else runs (isolcpus= gives them some alone)')
    : ok('isolated CPUs', isolatedCpus);
}

function interfacesOf(host: HostFacts, ports: Doctored['ports']): Finding[] {
  if (ports === null) return host.interfaces.flatMap((each) => interfaceFindings(each, null));
  return ports.flatMap((port): Finding[] => {
    if (port.port.kind !== 'af-packet' && port.port.kind !== 'af-xdp') return [];
    const { interface: name } = port.port;
    const found = host.interfaces.find((each) => each.name === name);
    if (found === undefined)
      return [
        problem(
          name,
          `there is no such interface, which ${port.name} names`,
          'ip link shows those that there are',
        ),
      ];
    return interfaceFindings(found, port);
  });
}

function interfaceFindings(of: HostInterface, port: PortConfig | null): Finding[] {
  const { name, driver, mtu, isUp } = of;
  const queues = of.queues ?? of.rxQueues;
  const xdp =
    driver !== null && zeroCopy.has(driver)
      ? 'zero-copy'
      : driver !== null && nativeXdp.has(driver)
        ? 'native, copy'
        : 'generic';
  const rss = !of.rssKeyBytes ? 'no RSS key' : `RSS key of ${of.rssKeyBytes} bytes`;
  const summary = `${driver ?? 'driver unknown'}, ${queues} queue${queues === 1 ? '' : 's'}, XDP ${xdp}, ${rss}, MTU ${mtu}`;
  const list: Finding[] = [
    isUp ? ok(name, summary) : warning(name, `${summary}: down`, `ip link set ${name} up`),
  ];
  if (port !== null && port.mtu > mtu)
    list.push(
      problem(
        name,
        `MTU ${mtu}, and ${port.name} is configured with ${port.mtu}`,
        `ip link set ${name} mtu ${port.mtu}`,
      ),
    );
  // what nothing passes need not be mended
  if (isUp || port !== null) list.push(...offloads(of, port));
  return list;
}

/** Frames without a whole checksum, or larger than the link's. AF_PACKET completes and cuts them; AF_XDP cannot tell. */
function offloads(
  { name, driver, gro, lro, txChecksum, tso, rxVlan }: HostInterface,
  port: PortConfig | null,
): Finding[] {
  const list: Finding[] = [];
  const onXdp = port === null || port.port.kind === 'af-xdp';
  if (lro === true)
    list.push(warning(name, 'LRO joins packets before they are seen', `ethtool -K ${name} lro off`));
  if (!onXdp) return list;
  if (gro === true && driver !== 'veth')
    list.push(warning(name, 'GRO joins packets under generic XDP', `ethtool -K ${name} gro off`));
  // what a veth sends is what its other end receives
  if (driver === 'veth' && txChecksum === true)
    list.push(
      warning(
        name,
        'tx-checksum offload leaves partial checksums to the other end, which AF_XDP cannot tell',
        `ethtool -K ${name} tx off   (on the sending side)`,
      ),
    );
  if (driver === 'veth' && tso === true)
    list.push(
      warning(
        name,
        'TSO sends packets larger than the MTU',
        `ethtool -K ${name} tso off   (on the sending side)`,
      ),
    );
  if (rxVlan === true && driver !== 'veth')
    list.push(warning(name, 'VLAN tags are taken off before XDP sees them', `ethtool -K ${name} rxvlan off`));
  return list;
}
