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
  /** somebody else was busy: every spread is the whole range then */
  readonly isLoaded: boolean;
  readonly commit: string;
  readonly node: string;
  readonly date: string;
}

/** Load of others, in CPUs, above which a run is called loaded. Our own run makes about one CPU busy. */
const quietLoad = 0.5;

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

/** Call it before the run; the result, called after it, completes the block. */
export function environment(): () => Environment {
  const loadBefore = loadavg()[0] as number;
  const crypto = native().crypto();
  return () => ({
    cpu: /^model name\s*:\s*(.*)$/m.exec(read('/proc/cpuinfo') ?? '')?.[1] ?? process.arch,
    cpus: availableParallelism(),
    isa: crypto.active,
    isas: crypto.available,
    kernel: release(),
    governor: read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor') ?? 'none',
    loadBefore,
    loadAfter: loadavg()[0] as number,
    isLoaded: loadBefore > quietLoad,
    commit: commit(),
    node: process.version,
    date: new Date().toISOString(),
  });
}
