import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { describeEvent } from '../emulator/convergence.js';
import { ScenarioRun } from '../emulator/run.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';
import { checkedScenarios, combinationOption, scenarioLines } from './scenario-text.js';

interface EmulateFlags {
  seed?: string;
  on?: string;
  json?: boolean;
}

/** `penstock emulate`: scenarios as time passes. */
export function emulateCommand(output: Output = createOutput()): Command {
  return new Command('emulate')
    .summary('run a scenario in real time and tell what happens')
    .description(
      'Run the topology, traffic and events of a scenario file in this process as time passes, without root, and say what ' +
        'nodes report meanwhile. penstock simulate runs the same in virtual time.',
    )
    .argument('<scenario>', 'scenario file (YAML, docs/scenarios.md)')
    .option('--seed <n>', 'decides everything that is drawn (1)')
    .addOption(combinationOption())
    .option('--json', 'print one JSON object at the end')
    .action((file: string, flags: EmulateFlags) => emulate(file, flags, output));
}

async function emulate(file: string, flags: EmulateFlags, output: Output): Promise<void> {
  const seed = Number(flags.seed ?? 1);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new Exit('usage', `--seed ${flags.seed}: write a whole number`);
  const say = flags.json === true ? output.message : output.data;
  let interrupted = false;
  const onSignal = () => {
    interrupted = true;
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const results: object[] = [];
  const violations: string[] = [];
  try {
    for (const { combination, scenario } of checkedScenarios([file], flags.on)) {
      if (interrupted) break;
      say(`${scenario.name} on ${combination}: ${(scenario.warmUpMs + scenario.durationMs) / 1000} s`);
      const at = () => `${((run.world.nowMs - scenario.warmUpMs) / 1000).toFixed(3).padStart(9)} s  `;
      const run = new ScenarioRun({
        scenario,
        seed,
        onEvent: (event) => say(`${at()}${describeEvent(event)}`),
        onReport: (_, node, report) => {
          if (report.kind === 'real-service' || report.kind === 'next-hop')
            say(`${at()}${node}: ${report.name} ${report.up ? 'up' : 'down'} (${report.sign})`);
        },
      });
      try {
        const began = performance.now();
        const result = await run.runInRealTime(
          () => performance.now() - began,
          () => pause(1),
          () => interrupted,
        );
        results.push({ combination, ...result });
        if (!interrupted) violations.push(...result.violations);
        if (flags.json !== true)
          for (const line of scenarioLines({ combination, ...result }, output.colours)) output.data(line);
      } finally {
        run.close();
      }
    }
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
  if (flags.json === true) output.json({ seed, results });
  for (const violation of violations) output.message(violation);
  if (interrupted) throw new Exit('interrupted');
  if (violations.length > 0) throw new Exit('thresholdFailed');
}
