import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { explore } from '../emulator/exploration.js';
import { runScenario } from '../emulator/run.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';
import { checkedScenarios, combinationOption, scenarioLines } from './scenario-text.js';

interface SimulateFlags {
  seed?: string;
  runs?: string;
  threads?: string;
  on?: string;
  json?: boolean;
}

/** `penstock simulate`: scenarios, or random faults, in virtual time. */
export function simulateCommand(output: Output = createOutput()): Command {
  return new Command('simulate')
    .summary('try scenarios, or thousands of random failures, in virtual time')
    .description(
      'Run whole topologies in one process and in virtual time: the nodes of the daemon and its packet path, links, hosts ' +
        'and faults. The same seed is the same run, bit for bit. With scenario files: what they say, and whether it holds. ' +
        'With --runs: random faults, and of a run in which something does not hold the shortest list of faults that shows it.',
    )
    .argument('[scenarios...]', 'scenario files (YAML, docs/scenarios.md)')
    .option('--seed <n>', 'decides everything that is drawn (1)')
    .option('--runs <n>', 'so many runs with random faults')
    .option('--threads <n>', 'of --runs (one a CPU)')
    .addOption(combinationOption())
    .option('--json', 'print one JSON object')
    .action((files: string[], flags: SimulateFlags) => simulate(files, flags, output));
}

async function simulate(files: readonly string[], flags: SimulateFlags, output: Output): Promise<void> {
  const seed = whole('seed', flags.seed, 1, 0, 2 ** 50);
  if (flags.runs !== undefined) {
    if (files.length > 0) throw new Exit('usage', 'scenario files or --runs, not both');
    return exploreAll(seed, flags, output);
  }
  if (files.length === 0)
    throw new Exit('usage', 'write a scenario file, or --runs N; there are some in examples/scenarios');
  const results = checkedScenarios(files, flags.on).map(({ combination, scenario }) => {
    const result = { combination, ...runScenario({ scenario, seed }) };
    if (flags.json !== true) for (const line of scenarioLines(result, output.colours)) output.data(line);
    return result;
  });
  if (flags.json === true) output.json({ seed, results });
  const violations = results.flatMap((result) => result.violations);
  for (const violation of violations) output.message(violation);
  if (violations.length > 0) throw new Exit('thresholdFailed');
}

async function exploreAll(seed: number, flags: SimulateFlags, output: Output): Promise<void> {
  const runs = whole('runs', flags.runs, 1000, 1, 10_000_000);
  const threads = whole('threads', flags.threads, availableParallelism(), 1, 64);
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const began = performance.now();
  let said = began;
  const onProgress = (done: number, found: number) => {
    if (performance.now() - said < 10_000) return;
    said = performance.now();
    output.message(`${done} of ${runs} runs, ${found} with violations`);
  };
  try {
    const result = await explore({ seed, runs, threads, onProgress, signal: interrupt.signal });
    const seconds = Math.round((performance.now() - began) / 100) / 10;
    const { violations, packets, digest } = result;
    if (flags.json === true) {
      output.json({ seconds, threads, packets, digest, seed, runs: result.runs, violations });
    } else {
      output.data(
        `${result.runs} runs, ${packets} packets, ${seconds} s on ${threads} threads, digest ${digest}`,
      );
      for (const violation of violations) {
        output.data('');
        output.data(`seed ${violation.seed} on ${violation.topology}:`);
        for (const what of violation.what) output.data(`  ${what}`);
        output.data('  with nothing more than');
        for (const event of violation.events) output.data(`    ${event}`);
      }
      const { green, red } = output.colours;
      output.data(violations.length === 0 ? green('no violations') : red(`${violations.length} violations`));
    }
    if (violations.length > 0) throw new Exit('failure');
    if (interrupt.signal.aborted) throw new Exit('interrupted');
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

/** Throws Exit with what to write instead. */
function whole(
  flag: string,
  text: string | undefined,
  fallback: number,
  least: number,
  most: number,
): number {
  if (text === undefined) return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new Exit('usage', `--${flag} ${text}: write a whole number from ${least} to ${most}`);
}
