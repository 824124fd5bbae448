import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hostFacts } from '../../dist/control/doctor/facts.js';
import { type Doctored, findings } from '../../dist/control/doctor/findings.js';
import type { InterfaceFacts } from '../../dist/pipeline/native.js';
import { requireThat } from '../support/requires.js';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'penstock-doctor-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A host where nothing is wrong, made of files; what is given replaces or (null) removes one. */
function made(changes: Readonly<Record<string, string | null>> = {}): string {
  const files: Record<string, string | null> = {
    'proc/cpuinfo': 'model name\t: Test CPU\nflags\t\t: fpu aes vaes vpclmulqdq\n',
    'proc/sys/kernel/osrelease': '6.18.0-test\n',
    'proc/self/status': 'CapInh:\t0\nCapEff:\t000001ffffffffff\n',
    'proc/self/limits': 'Max locked memory         8388608              8388608              bytes\n',
    'proc/net/protocols': 'protocol  size sockets\nPACKET    1 1\nXDP       1024   0\n',
    'sys/kernel/mm/transparent_hugepage/enabled': 'always [madvise] never\n',
    'sys/devices/system/cpu/isolated': '2-3\n',
    'sys/class/net/lo/mtu': '65536\n',
    'sys/class/net/eth1/mtu': '1500\n',
    'sys/class/net/eth1/operstate': 'up\n',
    'sys/class/net/eth1/queues/rx-0/rps_cpus': '0\n',
    'sys/class/net/eth1/queues/rx-1/rps_cpus': '0\n',
    ...changes,
  };
  for (const [file, text] of Object.entries(files)) {
    if (text === null) continue;
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  for (const program of ['clang', 'bpftool']) {
    mkdirSync(join(root, 'bin'), { recursive: true });
    writeFileSync(join(root, 'bin', program), '', { mode: 0o755 });
  }
  return root;
}

const card: InterfaceFacts = {
  driver: 'ice',
  queues: 2,
  rssKeyBytes: 52,
  rxChecksum: true,
  txChecksum: true,
  tso: true,
  gro: false,
  lro: false,
  rxVlan: false,
};

function doctor(of: Partial<Doctored> = {}, facts: Partial<InterfaceFacts> = {}) {
  const interfaceFacts = () => ({ ...card, ...facts });
  const host = hostFacts({ root, path: join(root, 'bin'), interfaceFacts });
  return findings({ host, crypto: { active: 'vaes256', fault: null }, ports: null, ...of }).map(
    ({ level, subject, text, fix }) => `${level} ${subject}: ${text}${fix === null ? '' : ` → ${fix}`}`,
  );
}

const port = (kind: 'af-packet' | 'af-xdp', mtu = 1500, name = 'eth1') => ({
  name: 'ge-0/0/0',
  port: { kind, interface: name },
  mac: null,
  mtu,
});

describe('the doctor', () => {
  it('finds nothing wrong where nothing is', () => {
    made();
    expect(doctor()).toEqual([
      'ok CPU: Test CPU: VAES, VPCLMULQDQ, no AVX-512: kernel vaes256',
      'ok kernel: Linux 6.18',
      'ok AF_XDP: sockets, and clang and bpftool to build the program with',
      'ok capabilities: CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF',
      'ok memlock: does not bound AF_XDP since Linux 5.11',
      'ok hugepages: transparent: madvise',
      'ok governor: none here: the clock is not ours to set',
      'ok isolated CPUs: 2-3',
      'ok eth1: ice, 2 queues, XDP zero-copy, RSS key of 52 bytes, MTU 1500',
    ]);
  });

  it.each<[string, Record<string, string | null>, string]>([
    [
      'memlock before 5.11',
      {
        'proc/sys/kernel/osrelease': '5.10.1\n',
        'proc/self/limits': 'Max locked memory         65536                65536                bytes\n',
      },
      'problem memlock: 64 kB; AF_XDP wants 32 MB before Linux 5.11 → ulimit -l unlimited',
    ],
    [
      'capabilities',
      { 'proc/self/status': 'CapEff:\t0000000000000000\n' },
      'problem capabilities: CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF missing: ports on interfaces of the kernel cannot be opened → run as root, or sudo setcap cap_net_raw,cap_net_admin,cap_bpf+ep "$(readlink -f "$(command -v node)")"',
    ],
    [
      'no AF_XDP',
      { 'proc/net/protocols': 'protocol\n' },
      'warning AF_XDP: the kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS) → use af-packet ports',
    ],
    [
      'hugepages',
      { 'sys/kernel/mm/transparent_hugepage/enabled': 'always madvise [never]\n' },
      'warning hugepages: transparent: never; frames and SAs miss the TLB more often → echo madvise > /sys/kernel/mm/transparent_hugepage/enabled',
    ],
    [
      'the governor',
      { 'sys/devices/system/cpu/cpu0/cpufreq/scaling_governor': 'powersave\n' },
      'warning governor: powersave: the clock follows the load, and latency follows the clock → cpupower frequency-set -g performance',
    ],
    [
      'an interface that is down',
      { 'sys/class/net/eth1/operstate': 'down\n' },
      'warning eth1: ice, 2 queues, XDP zero-copy, RSS key of 52 bytes, MTU 1500: down → ip link set eth1 up',
    ],
  ])('names what is in the way, and the mend: %s', (_, changes, line) => {
    made(changes);
    expect(doctor()).toContain(line);
  });

  it('knows which offloads AF_XDP cannot live with', () => {
    made();
    const veth = { driver: 'veth', rssKeyBytes: null, lro: true };
    expect(doctor({ ports: [port('af-xdp')] }, veth).filter((line) => line.includes('eth1'))).toEqual([
      'ok eth1: veth, 2 queues, XDP native, copy, no RSS key, MTU 1500',
      'warning eth1: LRO joins packets before they are seen → ethtool -K eth1 lro off',
      'warning eth1: tx-checksum offload leaves partial checksums to the other end, which AF_XDP cannot tell → ethtool -K eth1 tx off   (on the sending side)',
      'warning eth1: TSO sends packets larger than the MTU → ethtool -K eth1 tso off   (on the sending side)',
    ]);
    expect(doctor({ ports: [port('af-packet')] }, { ...veth, lro: false })).toHaveLength(9);
  });

  it('holds the host to what a configuration says', () => {
    made();
    expect(doctor({ ports: [port('af-packet', 9000)] })).toContain(
      'problem eth1: MTU 1500, and ge-0/0/0 is configured with 9000 → ip link set eth1 mtu 9000',
    );
    expect(doctor({ ports: [port('af-packet', 1500, 'eth7')] })).toContain(
      'problem eth7: there is no such interface, which ge-0/0/0 names → ip link shows those that there are',
    );
    expect(doctor({ ports: [] }).some((line) => line.includes('capabilities'))).toBe(false);
  });
});

describe('penstock doctor', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [main, 'doctor', ...args], { encoding: 'utf8', timeout: 20_000 });

  it('ends with 3 when there is a problem, in lines and in JSON', () => {
    made({ 'proc/self/status': 'CapEff:\t0\n' });
    const { status, stdout } = run('--root', root);
    expect(status).toBe(3);
    expect(stdout).toMatch(/^✗ capabilities {3}CAP_NET_RAW/m);
    expect(stdout).toMatch(/1 problem, \d warnings?\n$/);
    const json = JSON.parse(run('--root', root, '--json').stdout);
    expect(json).toMatchObject({ schemaVersion: 1, ok: false, problems: 1 });
  });

  it('looks at this host', () => {
    const { status, stdout, stderr } = run();
    expect(stderr).toBe('');
    expect([0, 3]).toContain(status);
    expect(stdout).toMatch(/^[✓!✗] CPU {12}/m);
  });
});

describe('penstock run without privilege', () => {
  const root = requireThat(process.getuid?.() === 0, 'not root');
  it.skipIf(root.missing)(`says in one line which capability is missing, and ends with 5${root.note}`, () => {
    const directory = mkdtempSync(join(tmpdir(), 'penstock-plain-'));
    try {
      writeFileSync(
        join(directory, 'node.yaml'),
        'system: { host-name: plain, control-socket: plain.sock }\n' +
          'interfaces: { ge-0/0/0: { port: { af-packet: lo }, unit: { 0: { family: { inet: { address: [10.1.1.1/24] } } } } } }\n',
      );
      // root without capabilities, not another user, who might not be allowed to reach the checkout or node's own file
      const command = [
        '--bounding-set=-all',
        '--inh-caps=-all',
        process.execPath,
        main,
        'run',
        join(directory, 'node.yaml'),
      ];
      const { status, stderr } = spawnSync('setpriv', command, { encoding: 'utf8', timeout: 20_000 });
      expect(stderr).toMatch(
        /^penstock: ge-0\/0\/0: .*CAP_NET_RAW: run as root, or grant it with '.*setcap.*'\n$/,
      );
      expect(status).toBe(5);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
