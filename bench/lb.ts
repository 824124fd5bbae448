import { LoadBalancer } from '#penstock/lb/load-balancer.js';
import { secondsPerCall } from './micro.js';
import type { Effort } from './native-bench.js';
import type { Question } from './question.js';
import type { Series } from './series.js';

const members = Array.from({ length: 256 }, (_, i) => ({ name: `member${i}` }));
/** picks in one call of a bench: what a loop costs must not count */
const texts = 1024;
const numbers = 1_000_000;

async function* picks({ only, progress }: Effort): AsyncGenerator<Series> {
  const bySource = new LoadBalancer({ members, seed: 7 });
  const byPorts = new LoadBalancer({ members, seed: 7, key: '5-tuple' });
  const addresses = Uint32Array.from({ length: numbers }, (_, i) => Math.imul(i, 2_654_435_761));
  const out = new Uint16Array(numbers);
  const sources = Array.from(addresses.subarray(0, texts), (one) =>
    [24, 16, 8, 0].map((shift) => (one >>> shift) & 255).join('.'),
  );
  const flows = sources.map((source, i) => ({
    source,
    destination: '203.0.113.1',
    protocol: 6,
    sourcePort: 1024 + i,
    destinationPort: 443,
  }));
  const questions: readonly (readonly [string, number, () => void])[] = [
    ['lb.pick.address', texts, () => sources.forEach((source) => void bySource.pick(source))],
    ['lb.pick.flow', texts, () => flows.forEach((flow) => void byPorts.pick(flow))],
    ['lb.pick.bulk', numbers, () => void bySource.pickAddresses(addresses, out)],
  ];
  for (const [id, count, work] of questions) {
    if (!id.includes(only)) continue;
    progress(id);
    yield {
      id,
      unit: 'M/s',
      ours: secondsPerCall(work).map((seconds) => count / seconds / 1e6),
      peers: {},
    };
  }
}

export const lb: Question = {
  name: 'lb',
  title: 'Embedding: how many picks a second does a program get?',
  method:
    '256 members, 65,536 slots, benchmark.js. lb.pick.address: one call for each IPv4 address, as text; lb.pick.flow: one for each flow of two addresses, ports and protocol; lb.pick.bulk: a million addresses in one call.',
  run: picks,
};
