import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Effort } from './native-bench.js';
import type { Question } from './question.js';
import type { Series } from './series.js';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../cli/main.js', import.meta.url));

async function gbps(workers: number): Promise<number> {
  const args = [program, 'demo', '--seconds', '4', '--workers', String(workers), '--json'];
  const { stdout } = await run(process.execPath, args, { maxBuffer: 16 << 20 });
  return (JSON.parse(stdout) as { gbps: number }).gbps;
}

async function* wholePath({ rounds, only, progress }: Effort): AsyncGenerator<Series> {
  if (!'demo.gbps.1 demo.gbps.2'.includes(only)) return;
  const one: number[] = [];
  const two: number[] = [];
  for (let round = 1; round <= Math.min(rounds, 5); ++round) {
    progress(`demo, round ${round}`);
    one.push(await gbps(1));
    two.push(await gbps(2));
  }
  yield { id: 'demo.gbps.1', unit: 'Gbit/s', ours: one, peers: {} };
  yield { id: 'demo.gbps.2', unit: 'Gbit/s', ours: two, peers: { 'one-worker': one } };
}

export const demo: Question = {
  name: 'demo',
  title: 'The main job: clients → router → gateways → servers and back',
  method:
    'penstock demo for 4 s on one worker and on two, in turn: 1,000 tunnels, a gateway lost and returned, every packet compared. Peer "one-worker": the same on one.',
  run: wholePath,
};
