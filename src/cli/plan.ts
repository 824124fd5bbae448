import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { suggestion } from '../config/problem.js';
import { maxTableSize } from '../lb/chash.js';
import { type ModelName, models } from '../lb/models/index.js';
import { casesOf } from '../lb/plan/cases.js';
import { type EventKind, eventKinds, PlanError, type PlanEvent, parseEvent } from '../lb/plan/events.js';
import { type FlowSpec, parseFlowSpec } from '../lb/plan/flow-spec.js';
import { type PlannedGroup, plannedGroups } from '../lb/plan/groups.js';
import { cellsOf, dealTables, type GroupPlan, makePlan, type Stage } from '../lb/plan/plan.js';
import { native } from '../pipeline/native.js';
import { loadFile } from './check.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';
import { countFlows, type FlowsRead } from './plan-flows.js';
import { planPage } from './plan-html.js';
import { aboveText, planJson, thresholdOf } from './plan-json.js';
import { planText } from './plan-text.js';
import { createProgress, type Progress } from './progress.js';

/** What others run that nearly everybody can place: compared with unless --model says otherwise. */
const usualModels: readonly ModelName[] = ['maglev', 'ring', 'modulo'];

interface Flags {
  flows?: string;
  model?: string[];
  group?: string[];
  maxMoved?: string;
  slots?: string;
  slack?: string;
  sticky?: boolean;
  seed?: string;
  json?: boolean;
  html?: string;
}

/** All that a plan shows. */
export interface Planned {
  readonly before: string;
  readonly after: string | null;
  readonly flows: FlowsRead | null;
  readonly plans: readonly GroupPlan[];
  /** percent; null: any part may move */
  readonly maxMoved: number | null;
  /** the models were asked for by name */
  readonly detailedModels: boolean;
}

/** `penstock plan BEFORE [AFTER] [events]`: which flows move. */
export function planCommand(output: Output = createOutput()): Command {
  const events: PlanEvent[] = [];
  const again = (value: string, before: string[] | undefined) => [...(before ?? []), value];
  const command = new Command('plan')
    .summary('say before a change which flows will move')
    .description(
      'Say which flows move from one configuration to another, or when members of a group fail, come and go, in the ' +
        'order given: of all possible flows exactly, and of flows that were captured, listed or are made up.',
    )
    .argument('<before>', 'the configuration as it is; - is standard input')
    .argument('[after]', 'the configuration as it shall be');
  const what: Record<EventKind, string> = {
    fail: 'a member fails',
    recover: 'it is back, from a failure or a drain',
    drain: 'it takes no new flows',
    add: 'a member joins the group (name, or name=weight)',
    remove: 'a member leaves the group',
    weight: 'its weight changes (name=weight)',
  };
  for (const kind of eventKinds) {
    const value = kind === 'weight' ? 'name=weight' : 'name';
    command.option(`--${kind} <${value}>`, what[kind], (text) => {
      events.push(orUsage(() => parseEvent(kind, text)));
      return text;
    });
  }
  return command
    .option('--flows <what>', 'a pcap, pcapng or CSV file, uniform:N, zipf:N[:EXPONENT] or subnet:PREFIX:N')
    .option('--seed <n>', 'of generated flows', '1')
    .option('--model <name>', `what to compare with: ${Object.keys(models).join(', ')}; repeatable`, again)
    .option('--group <name>', 'which group, where there are several; repeatable', again)
    .option('--slots <n>', 'the size of the tables, instead of what the configuration has')
    .option('--slack <percent>', 'how far a member may stand above its share')
    .option('--sticky', 'each table starts from the one before')
    .option('--max-moved <percent>', 'exit 99 when more flows move (of all possible ones without --flows)')
    .option('--json', 'print one JSON object')
    .option('--html <file>', 'write a page with plots, which needs no network')
    .action((before: string, after: string | undefined, flags: Flags) =>
      plan(before, after ?? null, events, flags, output),
    );
}

async function plan(
  before: string,
  after: string | null,
  events: readonly PlanEvent[],
  flags: Flags,
  output: Output,
): Promise<void> {
  const asked = orUsage(() => ({
    compared: flags.model === undefined ? usualModels : flags.model.map(modelOf),
    spec: flags.flows === undefined ? null : parseFlowSpec(flags.flows),
    maxMoved: flags.maxMoved === undefined ? null : percentOf('--max-moved', flags.maxMoved),
    seed: BigInt(wholeOf('--seed', flags.seed ?? '1', 0, Number.MAX_SAFE_INTEGER)),
    override: overrideOf(flags),
  }));
  if ([before, after, flags.flows].filter((file) => file === '-').length > 1)
    throw new Exit('usage', 'standard input is read once: name a file for the others');
  const configs = [before, ...(after === null ? [] : [after])].map((file) => loadFile(file));
  const [old, young] = configs.map((config) => plannedGroups(config).map(asked.override));
  const { cases, left } = orUsage(() => casesOf(old!, young ?? null, events, flags.group ?? []));
  for (const name of left) output.message(`group ${name} is not in the new configuration: it is not planned`);
  const progress = createProgress('flows');
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once('SIGINT', onSignal);
  try {
    const { flows, plans } = await work(cases, asked, progress, interrupt.signal);
    const planned: Planned = {
      before,
      after,
      flows,
      plans,
      maxMoved: asked.maxMoved,
      detailedModels: flags.model !== undefined,
    };
    progress.end();
    if (flags.html !== undefined) writePage(flags.html, planPage(planned));
    if (flags.json === true) output.json(planJson(planned));
    else for (const line of planText(planned)) output.data(line);
    warn(flows, output);
    const threshold = thresholdOf(planned);
    if (threshold !== null && !threshold.ok) {
      const { movedPercent, maxMovedPercent } = threshold;
      const line = `moved ${aboveText(movedPercent, maxMovedPercent)} % > ${maxMovedPercent} %`;
      if (flags.json === true) output.message(line);
      else output.data(line);
      throw new Exit('thresholdFailed');
    }
  } finally {
    progress.end();
    process.off('SIGINT', onSignal);
  }
}

async function work(
  cases: readonly (readonly Stage[])[],
  { compared, spec, seed }: { compared: readonly ModelName[]; spec: FlowSpec | null; seed: bigint },
  progress: Progress,
  signal: AbortSignal,
): Promise<{ flows: FlowsRead | null; plans: GroupPlan[] }> {
  const wanted = cases.map((stages) => ({ group: stages[0]!.group, cells: cellsOf(stages, compared) }));
  const flows = spec === null ? null : await countFlows(spec, wanted, { progress, seed, signal });
  const plans: GroupPlan[] = [];
  for (const [i, stages] of cases.entries()) {
    const tables = await dealTables(stages, async (options) => native().chashBuild(options));
    const counts = flows?.counted[i]?.counts ?? null;
    plans.push(makePlan(stages, tables, wanted[i]!.cells, counts, compared));
  }
  return { flows, plans };
}

function modelOf(name: string): ModelName {
  if (Object.hasOwn(models, name)) return name as ModelName;
  const names = Object.keys(models);
  throw new PlanError(
    `--model ${name}: no such model${suggestion(name, names) || `; there is ${names.join(', ')}`}`,
  );
}

function percentOf(flag: string, text: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,6})?)\s*%?$/.exec(text.trim());
  const percent = match === null ? Number.NaN : Number(match[1]);
  if (percent <= 100) return percent;
  throw new PlanError(`${flag} ${text}: write a percentage from 0 to 100, e.g. ${flag} 5%`);
}

function wholeOf(flag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new PlanError(`${flag} ${text}: write a whole number from ${least} to ${most}`);
}

function overrideOf(flags: Flags): (group: PlannedGroup) => PlannedGroup {
  const more = {
    ...(flags.slots === undefined ? {} : { size: wholeOf('--slots', flags.slots, 1, maxTableSize) }),
    ...(flags.slack === undefined ? {} : { slack: percentOf('--slack', flags.slack) / 100 }),
    ...(flags.sticky === true ? { sticky: true } : {}),
  };
  return (group) => ({ ...group, ...more });
}

function orUsage<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof PlanError) throw new Exit('usage', error.message);
    throw error;
  }
}

/** All of the page or none of it. */
function writePage(file: string, page: string): void {
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    writeFileSync(draft, page);
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw new Exit('failure', `${file}: cannot be written: ${(error as Error).message}`);
  }
}

/** What was left out of the flows, for people. */
function warn(flows: FlowsRead | null, output: Output): void {
  if (flows === null) return;
  const { name, rubbish, firstRubbish, otherPackets, fault } = flows;
  if (rubbish > 0) {
    output.message(
      `${name}: ${rubbish} line${rubbish === 1 ? ' is no flow' : 's are no flows'} and left out:`,
    );
    for (const { line, why } of firstRubbish) output.message(`  line ${line}: ${why}`);
  }
  if (otherPackets > 0) output.message(`${name}: ${otherPackets} packets that are not IP are left out`);
  if (fault !== null) output.message(`${name}: the capture is damaged, what comes before counts: ${fault}`);
}
