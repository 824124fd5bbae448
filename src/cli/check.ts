import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { Config } from '../config/config.js';
import { jsonSchema } from '../config/json-schema.js';
import { limits } from '../config/limits.js';
import { type Checked, checkConfig, type Surroundings } from '../config/load.js';
import { type Problem, problemText } from '../config/problem.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

/** `penstock check FILE…`: every problem of each file, exit 4 when there is one. */
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
          files: results.map(({ file, config, problems }) => ({ file, ok: config !== null, problems })),
        });
      } else {
        for (const { file, config, problems } of results) {
          for (const problem of problems) output.data(problemText(problem));
          if (config !== null) output.data(`${file}: ok: ${summary(config)}`);
        }
        if (errors > 0) output.data(`${errors} error${errors === 1 ? '' : 's'}`);
      }
      if (errors > 0) throw new Exit('badConfiguration');
    });
}

/** Reads and checks one file; what cannot be read is a problem, too. */
export function checkFile(file: string): Checked {
  const text = readText(file === '-' ? 0 : file);
  const name = file === '-' ? '<stdin>' : file;
  if (typeof text === 'string') return checkConfig(text, name, surroundings);
  const problem: Problem = { file: name, line: 0, column: 0, path: '', message: text.wrong };
  return { config: null, problems: [problem] };
}

/** The configuration in a file. Throws Exit with every problem. */
export function loadFile(file: string): Config {
  const { config, problems } = checkFile(file);
  if (config !== null) return config;
  throw new Exit('badConfiguration', problems.map(problemText).join('\npenstock: '));
}

/** The files and environment of this process. */
export const surroundings: Surroundings = {
  readFile: (path) => readFileSync(path, 'utf8'),
  variable: (name) => process.env[name],
};

function readText(file: string | 0): string | { wrong: string } {
  let descriptor: number | undefined;
  try {
    descriptor = file === 0 ? 0 : openSync(file, 'r');
    const status = fstatSync(descriptor);
    if (status.isDirectory()) return { wrong: 'cannot be read: it is a directory' };
    // before it is in memory; checkConfig() says the same of what has no size
    if (status.size > limits.fileBytes) return { wrong: `larger than ${limits.fileBytes >> 20} MiB` };
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(descriptor));
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return { wrong: 'not a text file: it is not UTF-8' };
    const reasons: Record<string, string> = { ENOENT: 'there is no such file', EACCES: 'permission denied' };
    return { wrong: `cannot be read: ${reasons[String(code)] ?? (error as Error).message}` };
  } finally {
    if (descriptor !== undefined && descriptor !== 0) closeSync(descriptor);
  }
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
