import { Command } from 'commander';
import { problemText } from '../config/problem.js';
import { checkFile } from '../control/config-file.js';
import { Daemon } from '../control/daemon.js';
import { StartError } from '../control/errors.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

/** `penstock run CONFIG`: a node on the ports that its configuration names, until it is told to end. */
export function runCommand(output: Output = createOutput()): Command {
  return new Command('run')
    .summary('run a node: router, gateway or both, by its configuration')
    .description(
      'Run a node on the ports that its configuration names, until SIGTERM or SIGINT: then its routes are taken back ' +
        'and what it holds is sent before it ends. SIGHUP: its file is checked and applied again. What happens is ' +
        'told on standard error; penstock show asks it.',
    )
    .argument('<config>', 'the configuration; - is standard input')
    .option('--json', 'tell what happens as one JSON object a line')
    .action(async (file: string, options: { json?: boolean }) => run(file, options.json === true, output));
}

async function run(file: string, json: boolean, output: Output): Promise<void> {
  const { config, problems, warnings } = checkFile(file);
  if (config === null) {
    if (json) output.json({ problems });
    else for (const problem of problems) output.message(problemText(problem));
    throw new Exit('badConfiguration');
  }
  const log = json
    ? (message: string) => output.json({ time: new Date().toISOString(), message })
    : output.message;
  for (const warning of warnings) log(`warning: ${problemText(warning)}`);
  let end: (why: Ending) => void = () => {};
  const ended = new Promise<Ending>((resolve) => {
    end = resolve;
  });
  const onSignal = (signal: NodeJS.Signals) => end({ signal });
  // one that comes while it starts is answered by what it starts with
  let onReload = () => {};
  const onHangUp = () => onReload();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onHangUp);
  try {
    const daemon = await start(config, log, (failure) => end({ failure }));
    onReload = () => daemon.reload();
    const why = await ended;
    if ('signal' in why) log(`${why.signal}: ending`);
    else log(`${why.failure}; ending`);
    await daemon.stop();
    if ('failure' in why) throw new Exit('failure');
    if (why.signal === 'SIGINT') throw new Exit('interrupted');
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onHangUp);
  }
}

type Ending = { readonly signal: NodeJS.Signals } | { readonly failure: string };

async function start(
  config: Parameters<typeof Daemon.start>[0]['config'],
  log: (line: string) => void,
  onFailure: (message: string) => void,
): Promise<Daemon> {
  try {
    return await Daemon.start({ config, log, onFailure });
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    throw new Exit(error.reason === 'privilege' ? 'lackingPrivilege' : 'failure', error.message);
  }
}
