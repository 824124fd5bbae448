import { resolve } from 'node:path';
import { Command } from 'commander';
import { tuning } from '../config/limits.js';
import { checkConfig } from '../config/load.js';
import { type Problem, problemText } from '../config/problem.js';
import { readText, surroundings, unreadable } from '../control/config-file.js';
import type { BadConfiguration } from '../control/daemon.js';
import type { ApplyReport } from '../control/live-config.js';
import { askNode } from './ask.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

interface Flags {
  dryRun?: boolean;
  confirm?: string;
  confirmed?: boolean;
  socket?: string;
  json?: boolean;
}

/** `penstock apply NEW.yaml`: the difference to what the node runs by, and nothing else, is made. */
export function applyCommand(output: Output = createOutput()): Command {
  return new Command('apply')
    .summary('give a running node another configuration, without losing a packet')
    .description(
      'Give a running node another configuration. What is the same before and after is left alone, sessions and SAs ' +
        'included; what cannot be changed while it runs is refused by name, and then nothing is.',
    )
    .argument('[config]', 'the new configuration; - is standard input')
    .option('--dry-run', 'say what would change and which part of the flows would move, and change nothing')
    .option('--confirm <time>', 'roll back after that, e.g. 60s or 5m, unless apply --confirmed comes before')
    .option('--confirmed', 'the change that waits for it stays')
    .option('--socket <path>', 'its control socket; needed where several nodes run')
    .option('--json', 'print one JSON object')
    .action(async (file: string | undefined, flags: Flags) => {
      if (flags.confirmed === true) {
        if (file !== undefined) throw new Exit('usage', '--confirmed takes no configuration');
        await askNode(flags.socket, 'apply.confirm', {});
        if (flags.json === true) output.json({ outcome: 'confirmed' });
        else output.data('confirmed');
        return;
      }
      if (file === undefined)
        throw new Exit('usage', 'apply wants a configuration; try penstock apply --help');
      await apply(file, flags, output);
    });
}

async function apply(file: string, flags: Flags, output: Output): Promise<void> {
  const confirmSeconds = flags.confirm === undefined ? undefined : secondsOf(flags.confirm);
  if (confirmSeconds !== undefined && flags.dryRun === true)
    throw new Exit('usage', '--confirm and --dry-run: one of them');
  const text = readText(file === '-' ? 0 : file);
  if (typeof text !== 'string') throw badConfiguration([unreadable(file, text.wrong)], flags, output);
  const name = file === '-' ? '<stdin>' : file;
  const { config, problems } = checkConfig(text, name, surroundings);
  if (config === null) throw badConfiguration(problems, flags, output);
  for (const { manual } of config.vpns)
    for (const { key, authenticationKey } of [...manual.inbound, manual.outbound]) {
      key.wipe();
      authenticationKey?.wipe();
    }
  const report = await askNode<ApplyReport | BadConfiguration>(flags.socket, 'apply', {
    // what it names is found by the node as it is here
    file: file === '-' ? resolve('<stdin>') : resolve(file),
    text,
    ...(flags.dryRun === true ? { dryRun: true } : {}),
    ...(confirmSeconds === undefined ? {} : { confirmSeconds }),
  });
  if ('problems' in report) throw badConfiguration(report.problems, flags, output);
  if (flags.json === true) output.json(report);
  else for (const line of reportLines(report)) output.data(line);
  if (report.outcome === 'refused') throw new Exit('failure');
}

function badConfiguration(problems: readonly Problem[], flags: Flags, output: Output): Exit {
  if (flags.json === true) output.json({ outcome: 'bad-configuration', problems });
  else for (const problem of problems) output.message(problemText(problem));
  return new Exit('badConfiguration');
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };

/** `60`, `60s`, `5m`, `1h` */
function secondsOf(text: string): number {
  const match = /^(\d{1,6})([smh]?)$/.exec(text);
  const seconds = match === null ? 0 : Number(match[1]) * units[match[2] || 's']!;
  if (seconds < 1 || seconds > tuning.mostConfirmSeconds)
    throw new Exit('usage', `--confirm ${text}: not a time from 1s to 24h, e.g. 60s or 5m`);
  return seconds;
}

const outcomes: Readonly<Record<ApplyReport['outcome'], string>> = {
  applied: 'applied',
  'dry-run': 'dry run: nothing was changed',
  unchanged: 'nothing to change',
  refused: 'nothing was changed',
};

const signs = { added: '+', removed: '-', changed: '~' } as const;
const percent = (part: number) => `${(part * 100).toFixed(1)} %`;

function reportLines({ outcome, changes, refused, groups, workers, confirmSeconds }: ApplyReport): string[] {
  const lines = changes.map(({ change, section, name }) => `${signs[change]} ${section} ${name}`.trimEnd());
  const change = (before: number, after: number) => (before === after ? `${after}` : `${before} → ${after}`);
  for (const { group, moved, unavoidable, ...of } of groups) {
    const members = change(of.membersBefore, of.membersAfter);
    const slots = change(of.slotsBefore, of.slotsAfter);
    lines.push(
      `virtual service ${group}: ${members} members, ${slots} slots; ${percent(moved)} of the flows move, ${percent(unavoidable)} have to`,
    );
  }
  if (workers !== null && workers.after > workers.before) {
    lines.push(
      `workers: ${workers.before} → ${workers.after}; no tunnel moves, sessions without one are shared among all workers`,
    );
  }
  for (const { path, message } of refused) lines.push(`${path}: ${message}`);
  lines.push(
    confirmSeconds === null
      ? outcomes[outcome]
      : `applied, and rolled back in ${confirmSeconds} s unless confirmed: penstock apply --confirmed`,
  );
  return lines;
}
