import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { runMainJob } from '../emulator/main-job.js';
import type { MainJobEvent, MainJobOptions } from '../emulator/main-job-types.js';
import { demoResult, eventLines, headLines, resultLines } from './demo-text.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

const bounds = {
  seconds: { least: 1, most: 86_400, fallback: 10 },
  tunnels: { least: 1, most: 10_000, fallback: 1_000 },
  gateways: { least: 2, most: 64, fallback: 4 },
  workers: { least: 1, most: 64 },
  /** an IPv6 packet with what the hosts compare by, and what a 2000-byte link holds behind ESP */
  size: { least: 64, most: 1_900 },
  seed: { least: 0, most: Number.MAX_SAFE_INTEGER, fallback: 1 },
} as const;

const flowsPerTunnel = 10;
/** More workers than this bring the main job little: its flows are few for them. */
const mostWorkersByItself = 8;

type Flag = keyof typeof bounds;

interface DemoFlags extends Partial<Record<Flag, string>> {
  json?: boolean;
}

/** `penstock demo`: the main job in one process, on memory ports. */
export function demoCommand(output: Output = createOutput()): Command {
  const range = ({ least, most }: { least: number; most: number }) => `${least} to ${most}`;
  return new Command('demo')
    .summary('run the main job on memory ports: tunnels, router, gateways, a failure')
    .description(
      'Run the main job in this process, without root: base stations send IPsec through a router and its gateways to a ' +
        'server that answers, every packet is compared, and half-way one gateway is shut off.',
    )
    .option('--seconds <n>', `how long to send (${bounds.seconds.fallback})`)
    .option('--tunnels <n>', `base stations (${bounds.tunnels.fallback}), each with ${flowsPerTunnel} flows`)
    .option('--gateways <n>', `gateways behind the router (${bounds.gateways.fallback})`)
    .option('--workers <n>', 'worker threads (one a CPU)')
    .option('--size <bytes>', `one size of inner IP packets, ${range(bounds.size)}, instead of SECGW-IMIX`)
    .option('--seed <n>', 'for sizes, contents and the hash; keys are always fresh')
    .option('--json', 'print one JSON object at the end')
    .action((flags: DemoFlags) => demo(flags, output));
}

async function demo(flags: DemoFlags, output: Output): Promise<void> {
  const tunnels = numberOf(flags, 'tunnels', bounds.tunnels.fallback);
  const options: MainJobOptions = {
    seconds: numberOf(flags, 'seconds', bounds.seconds.fallback),
    tunnels,
    flows: tunnels * flowsPerTunnel,
    gateways: numberOf(flags, 'gateways', bounds.gateways.fallback),
    workers: numberOf(flags, 'workers', Math.min(mostWorkersByItself, availableParallelism())),
    size: flags.size === undefined ? null : numberOf(flags, 'size', 0),
    seed: numberOf(flags, 'seed', bounds.seed.fallback),
  };
  const say = flags.json === true ? output.message : output.data;
  const onEvent = (event: MainJobEvent) => {
    const lines = event.kind === 'started' ? headLines(options, event.kernel) : eventLines(event, options);
    for (const line of lines) say(line);
  };
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const result = await runMainJob({ ...options, onEvent, signal: interrupt.signal });
    if (flags.json === true) output.json(demoResult(result));
    else for (const line of resultLines(result, output.colours)) output.data(line);
    for (const violation of result.violations) output.message(violation);
    if (result.violations.length > 0) throw new Exit('failure');
    if (result.interrupted) throw new Exit('interrupted');
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** Throws Exit with what to write instead. */
function numberOf(flags: DemoFlags, flag: Flag, fallback: number): number {
  const text = flags[flag];
  if (text === undefined) return fallback;
  const { least, most } = bounds[flag];
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const example = 'fallback' in bounds[flag] ? `, e.g. --${flag} ${bounds[flag].fallback}` : '';
  const reason =
    flag === 'gateways' && value < least
      ? `${least} or more are needed, since one is shut off`
      : `write a whole number from ${least} to ${most}`;
  throw new Exit('usage', `--${flag} ${text}: ${reason}${example}`);
}
