import { Command } from 'commander';
import type { DrainView } from '../control/drain.js';
import { askNode } from './ask.js';
import { createOutput, type Output } from './output.js';

interface Flags {
  socket?: string;
  json?: boolean;
  force?: boolean;
}

/** `penstock drain MEMBER` and `penstock undrain MEMBER`. */
export function drainCommand(verb: 'drain' | 'undrain', output: Output = createOutput()): Command {
  const drained = verb === 'drain';
  const what = drained
    ? 'Take a real service out of the choice for new flows. It goes on with what reaches it, and packets on their way lose nothing; after that it can be stopped.'
    : 'Put a drained real service back into the choice for new flows.';
  const command = new Command(verb)
    .summary(
      drained ? 'take a real service out of the choice for new flows' : 'put a drained real service back',
    )
    .description(what)
    .argument('<real-service>', 'its name, or instance/name where several instances have it')
    .option('--socket <path>', "the router's control socket; needed where several nodes run")
    .option('--json', 'print one JSON object');
  if (drained) command.option('--force', 'also when a virtual service has none left for new flows then');
  return command.action(async (realService: string, flags: Flags) => {
    const view = await askNode<DrainView>(flags.socket, 'drain', {
      realService,
      drained,
      ...(flags.force === true ? { force: true } : {}),
    });
    if (flags.json === true) output.json(view);
    else for (const each of view.realServices) output.data(text(each));
  });
}

function text({ instance, name, drained, unchanged }: DrainView['realServices'][number]): string {
  const state = drained ? 'drained: it gets no new flows' : 'gets new flows';
  return `${instance}: ${name} ${state}${unchanged ? ' (as before)' : ''}`;
}
