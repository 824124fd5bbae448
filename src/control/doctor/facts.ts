/** What a host is like, read from a root that a test may make. Nothing is judged here. */
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { InterfaceFacts } from '../../pipeline/native.js';

export interface HostFacts {
  readonly cpuModel: string;
  readonly cpuFlags: ReadonlySet<string>;
  /** e.g. [6, 18] */
  readonly kernel: readonly [major: number, minor: number];
  /** effective capabilities of this process, as a bit mask */
  readonly capabilities: bigint;
  /** bytes; null: unlimited */
  readonly memlockBytes: number | null;
  /** always, madvise, never; null: not known */
  readonly transparentHugepages: string | null;
  /** null: the CPU has none, e.g. in a virtual machine */
  readonly governor: string | null;
  /** e.g. 2-3; '' none */
  readonly isolatedCpus: string;
  readonly hasXdpSockets: boolean;
  /** programs that are on the PATH, of those that AF_XDP is built with */
  readonly programs: ReadonlySet<string>;
  readonly interfaces: readonly HostInterface[];
}

export interface HostInterface extends InterfaceFacts {
  readonly name: string;
  readonly mtu: number;
  readonly isUp: boolean;
  /** in sysfs; one that is full of queues without ethtool's word */
  readonly rxQueues: number;
}

export interface FactSources {
  /** of sysfs and procfs: / */
  readonly root: string;
  readonly path: string;
  readonly interfaceFacts: (name: string) => InterfaceFacts;
}

export const buildPrograms = ['clang', 'bpftool'] as const;

export function hostFacts({ root, path, interfaceFacts }: FactSources): HostFacts {
  const text = (file: string) => {
    try {
      return readFileSync(join(root, file), 'utf8').trim();
    } catch {
      return null;
    }
  };
  const line = (file: string, pattern: RegExp) => pattern.exec(text(file) ?? '')?.[1]?.trim() ?? '';
  const kernel = /^(\d+)\.(\d+)/.exec(text('proc/sys/kernel/osrelease') ?? '') ?? ['', '0', '0'];
  const memlock = line('proc/self/limits', /^Max locked memory\s+(\S+)/m);
  const choice = /\[(\w+)\]/.exec(text('sys/kernel/mm/transparent_hugepage/enabled') ?? '');
  return {
    cpuModel: line('proc/cpuinfo', /^model name\s*:(.*)$/m),
    cpuFlags: new Set(line('proc/cpuinfo', /^(?:flags|Features)\s*:(.*)$/m).split(/\s+/)),
    kernel: [Number(kernel[1]), Number(kernel[2])],
    capabilities: BigInt(`0x${line('proc/self/status', /^CapEff:\s*(\w+)$/m) || '0'}`),
    memlockBytes: memlock === 'unlimited' || memlock === '' ? null : Number(memlock),
    transparentHugepages: choice?.[1] ?? null,
    governor: text('sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
    isolatedCpus: text('sys/devices/system/cpu/isolated') ?? '',
    hasXdpSockets: /^XDP\s/m.test(text('proc/net/protocols') ?? ''),
    programs: new Set(buildPrograms.filter((program) => isOnPath(program, path))),
    interfaces: names(join(root, 'sys/class/net'))
      .filter((name) => name !== 'lo' && text(`sys/class/net/${name}/mtu`) !== null)
      .map((name) => ({
        name,
        mtu: Number(text(`sys/class/net/${name}/mtu`)),
        isUp: ['up', 'unknown'].includes(text(`sys/class/net/${name}/operstate`) ?? ''),
        rxQueues: names(join(root, `sys/class/net/${name}/queues`)).filter((queue) => queue.startsWith('rx-'))
          .length,
        ...interfaceFacts(name),
      })),
  };
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

function isOnPath(program: string, path: string): boolean {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
