import { Command } from 'commander';
import { askNode } from './ask.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

interface Flags {
  socket?: string;
  json?: boolean;
}

const topic = ['security', 'ike', 'security-associations'];

/** `penstock clear security ike security-associations [PEER] [gateway NAME]`. */
export function clearCommand(output: Output = createOutput()): Command {
  return new Command('clear')
    .summary('delete IKE SAs of a running node, with their tunnels')
    .description(
      'Delete IKE SAs, all of them or those of a peer (its address or identity) or a gateway. Peers are told; what is to be up always is set up anew.',
    )
    .argument('<words...>', 'security ike security-associations [PEER] [gateway NAME]; "ike …" will do')
    .option('--socket <path>', 'its control socket; needed where several nodes run')
    .option('--json', 'print one JSON object')
    .action(async (words: string[], flags: Flags) => {
      const result = await askNode<{ cleared: number }>(flags.socket, 'ike.clear', understand(words));
      if (flags.json === true) output.json(result);
      else output.data(`${result.cleared} IKE SAs deleted`);
    });
}

function understand(words: readonly string[]): { gateway?: string; peer?: string } {
  const wanted = words[0] === 'ike' ? topic.slice(1) : topic;
  if (!wanted.every((word, i) => words[i] !== undefined && word.startsWith(words[i]!)))
    throw new Exit('usage', `clear takes ${topic.join(' ')}, not ${words.join(' ')}`);
  const rest = words.slice(wanted.length);
  const at = rest.indexOf('gateway');
  const gateway = at < 0 ? undefined : rest[at + 1];
  if (at >= 0 && gateway === undefined) throw new Exit('usage', 'gateway wants a name');
  const others = at < 0 ? rest : [...rest.slice(0, at), ...rest.slice(at + 2)];
  if (others.length > 1) throw new Exit('usage', `one peer, not ${others.join(' ')}`);
  return {
    ...(gateway === undefined ? {} : { gateway }),
    ...(others[0] === undefined ? {} : { peer: others[0] }),
  };
}
