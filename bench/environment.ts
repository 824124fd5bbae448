import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { native } from '#penstock/pipeline/native.js';

/** Where and on what a result was measured. */
export interface Environment {
  readonly cpu: string;
  readonly cpus: number;
  /** the AES-GCM kernel in use, and those that this processor runs */
  readonly isa: string;
  readonly isas: readonly string[];
  readonly kernel: string;
  /** of CPU 0; 'none' where the host decides */
  readonly governor: string;
  /** one-minute load before the run, and after it */
  readonly loadBefore: number;
  readonly loadAfter: number;
  /** CPUs that other processes kept busy during the run, and that the host gave to others (steal), on average */
  readonly othersBusy: number;
  readonly stolen: number;
  /** somebody else was busy: every spread is the whole range then */
  readonly isLoaded: boolean;
  readonly commit: string;
  readonly node: string;
  readonly date: string;
}

/** Load before the run, or CPUs busy with others' work during it, above which a run is called loaded. */
const quietLoad = 0.5;
const quietOthers = 0.2;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}

function commit(): string {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  try {
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', root, ...args], { encoding: 'utf8' }).trim();
    return (
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') ? '+' : '')
    );
  } catch {
    return 'unknown';
  }
}

/** Ticks (1/100 s) since some moment: the machine's time, all processes', the host's for others, and our own with our children's. */
interface Ticks {
  readonly uptime: number;
  readonly busy: number;
  readonly stolen: number;
  readonly own: number;
}

function ticks(): Ticks {
  // proc(5): user nice system idle iowait irq softirq steal; and utime … cstime are fields 14 to 17, the command's
  // name before them may hold anything but a last parenthesis
  const all = (read('/proc/stat') ?? '').split('\n', 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = all;
  const own = (read('/proc/self/stat') ?? '').replace(/^.*\)/s, '').trim().split(' ').slice(11, 15);
  return {
    uptime: Number((read('/proc/uptime') ?? '0').split(' ')[0]) * 100,
    busy: user + nice + system + irq + softirq,
    stolen: steal,
    own: own.reduce((sum, field) => sum + Number(field), 0),
  };
}

/** Call it before the run; the result, called after it, completes the block. */
export function environment(): () => Environment {
  const loadBefore = loadavg()[0] as number;
  const before = ticks();
  const crypto = native().crypto();
  return () => {
    const after = ticks();
    const elapsed = Math.max(1, after.uptime - before.uptime);
    const othersBusy = Math.max(0, after.busy - before.busy - (after.own - before.own)) / elapsed;
    const stolen = (after.stolen - before.stolen) / elapsed;
    return {
      cpu: /^model name\s*:\s*(.*)$/m.exec(read('/proc/cpuinfo') ?? '')?.[1] ?? process.arch,
      cpus: availableParallelism(),
      isa: crypto.active,
      isas: crypto.available,
      kernel: release(),
      governor: read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor') ?? 'none',
      loadBefore,
      loadAfter: loadavg()[0] as number,
      othersBusy,
      stolen,
      isLoaded: loadBefore > quietLoad || othersBusy + stolen > quietOthers,
      commit: commit(),
      node: process.version,
      date: new Date().toISOString(),
    };
  };
}
