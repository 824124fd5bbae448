import { readFileSync, writeFileSync } from 'node:fs';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { Exit } from '#penstock/cli/exit-codes.js';
import { createOutput, tableText } from '#penstock/cli/output.js';
import { changeCells, compare } from './compare.js';
import { environment } from './environment.js';
import { type IpsecMbPath, ipsecMbPaths } from './native-bench.js';
import type { Question } from './question.js';
import { questions } from './questions.js';
import { cells, environmentLine, heads, html, markdown, type Report, type Section } from './report.js';
import { type Series, summarise } from './series.js';
import { judge, parseThreshold, type Threshold } from './threshold.js';

interface Options {
  readonly rounds: number;
  readonly only: string;
  readonly ipsecMb: IpsecMbPath;
  readonly json?: boolean;
  readonly markdown?: boolean;
  readonly html?: string;
  readonly compare?: string;
  readonly threshold: readonly Threshold[];
}

function rounds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 3 || value > 1000) {
    throw new InvalidArgumentError('a whole number from 3 to 1000: a spread wants rounds');
  }
  return value;
}

function threshold(text: string, before: readonly Threshold[]): Threshold[] {
  try {
    return [...before, parseThreshold(text)];
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function readReport(path: string): Report {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as Partial<Report>;
    if (!Array.isArray(report.results) || report.environment === undefined)
      throw new Error('no results in it');
    return report as Report;
  } catch (error) {
    throw new Exit('usage', `${path}: not a report of penstock bench --json: ${(error as Error).message}`);
  }
}

export function benchCommand(): Command {
  return new Command('bench')
    .description('measure what this host can do, against the peers there are')
    .addArgument(
      new Argument('[question]', 'what to measure; compare: two reports')
        .choices([...questions.map(({ name }) => name), 'all', 'compare'])
        .default('all'),
    )
    .argument('[reports...]', 'with compare: the earlier and the later report')
    .option('--rounds <n>', 'rounds, peers in turn within each', rounds, 7)
    .option('--only <text>', 'only ids that contain this', '')
    .addOption(
      new Option(
        '--ipsec-mb <path>',
        'crypto: the code path that libipsec-mb takes; our own: PENSTOCK_CRYPTO',
      )
        .choices(ipsecMbPaths)
        .default('auto'),
    )
    .option('--json', 'one JSON object on standard output')
    .option('--markdown', 'Markdown on standard output')
    .option('--html <file>', 'also write a page with plots; needs no network')
    .option('--compare <file>', 'say what changed since this report')
    .option('--threshold <bound>', "exit 99 unless it holds, e.g. 'esp.gbps>20' (repeatable)", threshold, [])
    .action((name: string, reports: string[], options: Options) =>
      name === 'compare' ? compareReports(reports, options) : bench(name, reports, options),
    );
}

async function bench(name: string, extra: readonly string[], options: Options): Promise<void> {
  const output = createOutput();
  if (extra.length > 0) throw new Exit('usage', `bench ${name}: ${extra[0]} is one argument too many`);
  const before = options.compare === undefined ? undefined : readReport(options.compare);
  const asked = name === 'all' ? questions : questions.filter((question) => question.name === name);
  const finish = environment();
  const answers: Answer[] = [];
  let isWhole = true;
  for (const question of asked) {
    try {
      answers.push(await ask(question, options, output.message));
    } catch (error) {
      if (name !== 'all') throw error;
      // of many, the others are answered all the same
      isWhole = false;
      output.message(`${question.name} has no answer: ${(error as Error).message}`);
    }
  }
  const env = finish();
  if (env.isLoaded) output.message('this machine is loaded: every spread is the whole range');
  const sections = answers.map(({ question: { title, method }, series }): Section => {
    return { title, method, results: series.map((one) => summarise(one, env.isLoaded)) };
  });
  const report: Report = { environment: env, results: sections.flatMap(({ results }) => results) };
  if (options.html !== undefined) {
    writeFileSync(options.html, html(report.environment, sections));
    output.message(`report: ${options.html}`);
  }
  const verdicts = judgeOrUsage(options.threshold, report);
  if (options.json) {
    output.json({ ...report, ...(verdicts.length > 0 ? { thresholds: verdicts } : {}) });
  } else if (options.markdown) {
    output.data(markdown(report.environment, sections));
  } else {
    output.data(environmentLine(report.environment));
    for (const { title, results } of sections) {
      output.data(`\n${title}\n${tableText(columns, results.map(cells))}`);
    }
  }
  if (before && !options.json) output.data(`\n${changesText(before, report)}`);
  const failed = verdicts.filter(({ holds }) => !holds);
  for (const verdict of failed)
    output.message(`${verdict.threshold} does not hold: ${verdict.id} is ${verdict.value}`);
  if (failed.length > 0) throw new Exit('thresholdFailed');
  if (!isWhole) throw new Exit('failure');
}

const columns = heads.map((head, i) => ({
  head,
  align: i === 1 || i === 2 ? ('right' as const) : ('left' as const),
}));

interface Answer {
  readonly question: Question;
  readonly series: readonly Series[];
}

async function ask(
  question: Question,
  { rounds: most, only, ipsecMb }: Options,
  progress: (line: string) => void,
): Promise<Answer> {
  progress(question.title);
  const all: Series[] = [];
  for await (const series of question.run({ rounds: most, only, ipsecMb, progress })) {
    progress(`  ${cells(summarise(series, true)).filter(Boolean).join('  ')}`);
    all.push(series);
  }
  return { question, series: all };
}

function judgeOrUsage(thresholds: readonly Threshold[], report: Report) {
  try {
    return judge(thresholds, report.results);
  } catch (error) {
    throw new Exit('usage', (error as Error).message);
  }
}

function changesText(before: Report, after: Report): string {
  const heads = ['id', 'before', 'after', 'unit', 'times better', ''].map((head) => ({ head }));
  return tableText(heads, compare(before, after).map(changeCells));
}

function compareReports(paths: readonly string[], options: Options): void {
  const output = createOutput();
  const [first, second] = paths;
  if (first === undefined || second === undefined || paths.length > 2) {
    throw new Exit('usage', 'bench compare wants two reports: penstock bench compare before.json after.json');
  }
  const before = readReport(first);
  const after = readReport(second);
  if (options.json) {
    output.json({ before: before.environment, after: after.environment, changes: compare(before, after) });
  } else {
    output.data(
      `before: ${environmentLine(before.environment)}\nafter:  ${environmentLine(after.environment)}`,
    );
    output.data(changesText(before, after));
  }
}
