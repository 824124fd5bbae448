/** Scenario files as commands take them, and their results as people read them. */
import { readFileSync } from 'node:fs';
import { Option } from 'commander';
import { ConfigError, type Problem } from '../config/problem.js';
import type { RunResult } from '../emulator/run.js';
import type { Scenario } from '../emulator/scenario.js';
import { type Combination, checkScenario, combinations } from '../emulator/scenario-file.js';
import { counters } from '../pipeline/counters.js';
import { Exit } from './exit-codes.js';
import { type Output, tableText } from './output.js';

export const combinationOption = () =>
  new Option('--on <combination>', 'one of the combinations that the scenario is for').choices(
    Object.keys(combinations),
  );

export interface NamedScenario {
  readonly combination: Combination;
  readonly scenario: Scenario;
}

/** Throws ConfigError with every problem of every file, Exit for one that cannot be read. */
export function checkedScenarios(files: readonly string[], on?: string): NamedScenario[] {
  const problems: Problem[] = [];
  const found = files.flatMap((file) => {
    const checked = checkScenario(read(file), file);
    problems.push(...checked.problems);
    return checked.scenarios ?? [];
  });
  if (problems.length > 0) throw new ConfigError(problems);
  const wanted = found.filter(({ combination }) => on === undefined || combination === on);
  if (wanted.length === 0) throw new Exit('usage', `--on ${on}: no scenario is for it`);
  return wanted;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Exit('failure', `${file}: ${(error as Error).message}`);
  }
}

const grouped = (count: number) => count.toLocaleString('en-US').replaceAll(',', ' ');
const ms = (value: number) => (value === 0 ? '0' : value.toFixed(value < 10 ? 2 : 0));

export function scenarioLines(
  result: RunResult & { combination: string },
  colours: Output['colours'],
): string[] {
  const { name, combination, seed, sent, delivered, lost, drops, nonces, digest, violations } = result;
  const why = Object.entries(drops).map(([reason, count]) => `${nameOf(reason)} ${grouped(count)}`);
  const rows = result.convergence.map(
    ({ atSeconds, event, flowClass, flows, count, hit, lost: gone, p50Ms, maxMs }) => [
      atSeconds.toFixed(1),
      event,
      flowClass,
      flows,
      count,
      hit,
      gone,
      ms(p50Ms),
      ms(maxMs),
    ],
  );
  return [
    `${name} on ${combination}, seed ${seed}: ${grouped(delivered)} of ${grouped(sent)} packets delivered, ${grouped(lost)} lost` +
      (why.length > 0 ? ` (dropped: ${why.join(', ')})` : ''),
    ...(rows.length === 0
      ? []
      : [
          tableText(
            [
              { head: 'At (s)', align: 'right' },
              { head: 'Event' },
              { head: 'Class' },
              { head: 'Flows' },
              { head: 'Count', align: 'right' },
              { head: 'Hit', align: 'right' },
              { head: 'Lost', align: 'right' },
              { head: 'p50 (ms)', align: 'right' },
              { head: 'Max (ms)', align: 'right' },
            ],
            rows,
          ),
        ]),
    `${grouped(nonces.seen)} nonces, ${nonces.repeated} twice · digest ${digest} · ` +
      (violations.length === 0 ? colours.green('holds') : colours.red(`${violations.length} violations`)),
    '',
  ];
}

/** As in counters.def, with hyphens. */
function nameOf(camelName: string): string {
  const found = counters.find((counter) => counter.camelName === camelName);
  return (found?.name ?? camelName).replaceAll('_', '-');
}
