import { Command } from 'commander';
import type { Config } from '../config/config.js';
import { jsonSchema } from '../config/json-schema.js';
import { problemText } from '../config/problem.js';
import { checkFile } from '../control/config-file.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

/** `penstock check FILE…`: every problem of each file, exit 4 when there is one; what can run and may not do what is wanted is a warning. */
export function checkCommand(output: Output = createOutput()): Command {
  return new Command('check')
    .summary('say what is wrong with a configuration, and what to write')
    .description(
      'Check configurations: every problem as file:line:column: path: what is wrong, what to write.',
    )
    .argument('[file...]', 'configurations; - is standard input')
    .option('--json', 'print one JSON object')
    .option('--schema', 'print the JSON Schema of configurations, for editors')
    .action((files: string[], options: { json?: boolean; schema?: boolean }) => {
      if (options.schema) {
        output.data(JSON.stringify(jsonSchema(), null, 2));
        return;
      }
      if (files.length === 0) throw new Exit('usage', 'check wants a file; try penstock check --help');
      const results = files.map((file) => ({ file: file === '-' ? '<stdin>' : file, ...checkFile(file) }));
      const errors = results.reduce((sum, { problems }) => sum + problems.length, 0);
      if (options.json) {
        output.json({
          ok: errors === 0,
          errors,
          files: results.map(({ file, config, problems, warnings }) => ({
            file,
            ok: config !== null,
            problems,
            warnings,
          })),
        });
      } else {
        for (const { file, config, problems, warnings } of results) {
          for (const problem of problems) output.data(problemText(problem));
          for (const warning of warnings) output.data(`warning: ${problemText(warning)}`);
          if (config !== null) output.data(`${file}: ok: ${summary(config)}`);
        }
        if (errors > 0) output.data(`${errors} error${errors === 1 ? '' : 's'}`);
      }
      if (errors > 0) throw new Exit('badConfiguration');
    });
}

/** The configuration in a file. Throws Exit with every problem. */
export function loadFile(file: string): Config {
  const { config, problems } = checkFile(file);
  if (config !== null) return config;
  throw new Exit('badConfiguration', problems.map(problemText).join('\npenstock: '));
}

function summary(config: Config): string {
  const count = (number: number, one: string, many = `${one}s`) =>
    number === 0 ? [] : [`${number} ${number === 1 ? one : many}`];
  const virtualServices = config.trafficLoadBalance.flatMap((instance) => instance.virtualServices);
  return [
    config.system.hostName,
    ...count(config.interfaces.length, 'interface'),
    ...count(virtualServices.length, 'virtual service'),
    ...count(config.vpns.length, 'VPN'),
    ...count(config.policies.length, 'policy', 'policies'),
  ].join(', ');
}
