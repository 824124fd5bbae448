import { spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Series } from './series.js';

export const ipsecMbPaths = ['auto', 'avx2'] as const;
export type IpsecMbPath = (typeof ipsecMbPaths)[number];

/** How long and how much: a question may do less of it, never more. */
export interface Effort {
  readonly rounds: number;
  /** only ids that contain this */
  readonly only: string;
  /** which of its code paths libipsec-mb takes: what this processor allows, or AVX2's */
  readonly ipsecMb: IpsecMbPath;
  readonly progress: (line: string) => void;
}

const source = fileURLToPath(new URL('../../native', import.meta.url));
const build = fileURLToPath(new URL('../../native/build-bench', import.meta.url));
let isBuilt = false;

/**
 * The bench binaries: the core's own loop, and the peers' libraries linked beside it, never into the product.
 * Throws with the compiler's last lines.
 */
function buildBenches(progress: (line: string) => void): void {
  if (isBuilt) return;
  progress('building the bench binaries');
  const jobs = String(availableParallelism());
  const steps: readonly (readonly [string, ...string[]])[] = [
    ['cmake', '-S', source, '-B', build, '-DPENSTOCK_BENCH=ON', '-DPENSTOCK_ADDON=OFF'],
    ['cmake', '--build', build, '-j', jobs],
  ];
  for (const [command, ...args] of steps) {
    const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (error) throw new Error(`the benches need ${command} to be built: ${error.message}`);
    if (status !== 0) {
      throw new Error(`${command} failed:\n${`${stdout}${stderr}`.trim().split('\n').slice(-15).join('\n')}`);
    }
    for (const line of stdout.split('\n')) {
      if (line.includes('to compare with')) progress(line.replace(/^--\s*/, ''));
    }
  }
  isBuilt = true;
}

/** Runs native/bench/NAME_bench and gives its series as they come. Throws when it fails, with what it said. */
export async function* nativeBench(
  name: string,
  args: readonly string[],
  { rounds, only, progress }: Effort,
): AsyncGenerator<Series> {
  buildBenches(progress);
  const child = spawn(
    `${build}/bench/${name}_bench`,
    ['--rounds', String(rounds), ...(only ? ['--only', only] : []), ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
    for (const line of chunk.toString().split('\n')) if (line.includes('to compare with')) progress(line);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const value = JSON.parse(line) as Partial<Series>;
      if (value.id !== undefined) yield value as Series;
    }
  } finally {
    if (child.exitCode === null) child.kill();
  }
  const code = await ended;
  if (code !== 0) throw new Error(`${name}_bench ended with ${code}: ${said.trim()}`);
}
