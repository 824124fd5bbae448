import { Command } from 'commander';
import { openNode } from './ask.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

/** `penstock monitor`: what IKE does, one JSON object a line, until Ctrl-C. */
export function monitorCommand(output: Output = createOutput()): Command {
  return new Command('monitor')
    .summary('what IKE does on a running node, one JSON object a line')
    .description(
      'What IKE does on a running node: SAs that come up, get new keys and go down, exchanges that are refused and why. One JSON object a line, until Ctrl-C or as many as are said.',
    )
    .option('--count <n>', 'end after so many')
    .option('--socket <path>', 'its control socket; needed where several nodes run')
    .action(async (flags: { socket?: string; count?: string }) => {
      const most = flags.count === undefined ? Infinity : Number(flags.count);
      if (!(most >= 1)) throw new Exit('usage', `--count wants a whole number from 1 on, not ${flags.count}`);
      const client = await openNode(flags.socket);
      try {
        await follow(output, most, client);
      } finally {
        client.close();
      }
    });
}

function follow(output: Output, most: number, client: Awaited<ReturnType<typeof openNode>>): Promise<void> {
  return new Promise((resolve, reject) => {
    let count = 0;
    const end = () => {
      process.off('SIGINT', end).off('SIGTERM', end);
      client.onClose(() => {});
      resolve();
    };
    process.on('SIGINT', end).on('SIGTERM', end);
    client.onClose(() => reject(new Exit('failure', 'the node ended the session')));
    client.onTold((told) => {
      if (told.event !== 'ike' || count >= most) return;
      output.json({ time: told.time, ...told.ike });
      if (++count >= most) end();
    });
    client.request('ike.monitor', {}).catch(reject);
  });
}
