import { Command } from 'commander';
import { problemText } from '../config/problem.js';
import { checkFile } from '../control/config-file.js';
import { hostFacts } from '../control/doctor/facts.js';
import { type Finding, findings } from '../control/doctor/findings.js';
import { type InterfaceFacts, native } from '../pipeline/native.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

const marks = { ok: '✓', warning: '!', problem: '✗' } as const;

/** `penstock doctor [CONFIG]`: what of this host is in the way, each line with its mend. */
export function doctorCommand(output: Output = createOutput()): Command {
  return new Command('doctor')
    .summary('say what of this host and its interfaces is in the way, and how to mend it')
    .description(
      'Say what of this host and its interfaces is in the way of forwarding, each with its mend. With a configuration, ' +
        'only what that one needs. Ends with 3 when there is a problem.',
    )
    .argument('[config]', 'a configuration; - is standard input')
    .option('--json', 'print one JSON object')
    .option('--root <path>', 'where sysfs and procfs are', '/')
    .action((file: string | undefined, flags: { json?: boolean; root: string }) => {
      const checked = file === undefined ? null : checkFile(file);
      if (checked !== null && checked.config === null) {
        for (const problem of checked.problems) output.message(problemText(problem));
        throw new Exit('badConfiguration');
      }
      // of another root nothing can be asked of the kernel
      const ask = flags.root === '/' ? native().interfaceFacts : () => unknown;
      const host = hostFacts({ root: flags.root, path: process.env.PATH ?? '', interfaceFacts: ask });
      const list = findings({ host, crypto: native().crypto(), ports: checked?.config?.ports ?? null });
      const count = (level: Finding['level']) => list.filter((finding) => finding.level === level).length;
      const [problems, warnings] = [count('problem'), count('warning')];
      if (flags.json === true) output.json({ ok: problems === 0, problems, warnings, findings: list });
      else for (const line of doctorLines(list, output)) output.data(line);
      if (problems > 0) throw new Exit('degraded');
    });
}

const unknown: InterfaceFacts = {
  driver: null,
  queues: null,
  rssKeyBytes: null,
  rxChecksum: null,
  txChecksum: null,
  tso: null,
  gro: null,
  lro: null,
  rxVlan: null,
};

function doctorLines(list: readonly Finding[], { colours }: Output): string[] {
  const width = Math.max(14, ...list.map(({ subject }) => subject.length));
  const paint = { ok: colours.green, warning: colours.yellow, problem: colours.red } as const;
  const lines = list.map(({ level, subject, text, fix }) => {
    const mend = fix === null ? '' : `: ${fix}`;
    return `${paint[level](marks[level])} ${subject.padEnd(width)} ${text}${mend}`;
  });
  const counted = (level: Finding['level'], word: string) => {
    const number = list.filter((finding) => finding.level === level).length;
    return `${number} ${word}${number === 1 ? '' : 's'}`;
  };
  return [...lines, `${counted('problem', 'problem')}, ${counted('warning', 'warning')}`];
}
