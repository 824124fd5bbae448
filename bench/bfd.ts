/**
 * Does a busy worker flap BFD? 24 sessions at 50 ms × 3 between two nodes on one worker, which forwards as much between two
 * hosts as it can: the longest gap between two packets of a session, and how often a session went down.
 *
 *   node dist/bench/bfd.js [seconds] [sessions] [interval in ms] [workers]
 */
import { cpus } from 'node:os';
import { loadConfig } from '#penstock/config/load.js';
import { realClock } from '#penstock/emulator/clock.js';
import { macOf, Network } from '#penstock/emulator/network.js';
import { Dataplane } from '#penstock/pipeline/dataplane.js';

const [seconds, sessions, intervalMs, workers] = [60, 24, 50, 1].map((fallback, i) =>
  Number(process.argv[i + 2] ?? fallback),
) as [number, number, number, number];

const surroundings = {
  readFile: () => {
    throw new Error('no files here');
  },
  variable: () => undefined,
};
const each = <T>(make: (n: number) => T) => Array.from({ length: sessions }, (_, i) => make(i + 1));

/** Session n is between 10.1.n.1 and 10.1.n.2, and guards a route of its own. */
function nodeConfig(name: 'one' | 'two') {
  const [own, other, hosts, away] = name === 'one' ? [1, 2, 20, 30] : [2, 1, 30, 20];
  const routes = each(
    (n) =>
      `10.9.${n}.0/24: { next-hop: 10.1.${n}.${other}, bfd-liveness-detection: { minimum-interval: ${intervalMs}, multiplier: 3 } }`,
  );
  return loadConfig(
    `
system: { host-name: ${name}, workers: ${workers} }
interfaces:
  ge-0/0/0: { port: { memory: link }, unit: { 0: { family: { inet: { address: [${each((n) => `10.1.${n}.${own}/30`).join(', ')}] } } } } }
  ge-0/0/1: { port: { memory: host-${name} }, unit: { 0: { family: { inet: { address: 10.${hosts}.255.254/16 } } } } }
routing-options: { static: { route: { 10.${away}.0.0/16: { next-hop: 10.1.1.${other} }, ${routes.join(', ')} } } }
`,
    `${name}.yaml`,
    surroundings,
  );
}

const dataplane = new Dataplane({
  workers,
  framesPerWorker: 8192,
  controlFrames: 1024,
  handOverRing: 1024,
  timers: realClock,
});
const network = new Network({
  dataplane,
  clock: realClock,
  linkDelayMs: 1,
  wireCapacity: 1024,
  onReport: () => {},
});
const nodes = (['one', 'two'] as const).map((name) => network.addForwarder(nodeConfig(name)));
const flows = Array.from({ length: 1000 }, (_, i) => ({
  source: Uint8Array.of(10, 20, i >> 8, Math.min((i & 255) + 1, 255)),
  destination: Uint8Array.of(10, 30, 0, 1),
  sourcePort: 1024 + i,
  destinationPort: 2000,
}));
const host = (name: string, server: boolean, node: string) => ({
  name,
  server,
  mac: macOf(name, 'eth0'),
  gatewayMac: macOf(node, 'ge-0/0/1'),
  flows,
  sizes: [64, 700, 1400],
  credit: 512,
  seed: 1,
});
const client = network.addHost(host('client', false, 'one'), 'host-one');
network.addHost(host('server', true, 'two'), 'host-two');
network.start();

await dataplane.start();
const watch = setInterval(() => network.tellOfLiveness(), 5);
const look = setInterval(() => {
  network.lookAtNeighbours();
  dataplane.native.collect();
}, 50);
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const peers = () => nodes.flatMap(({ driver }) => [...driver.state.bfdPeers.values()]);
const isUp = () => peers().every(({ session }) => session.state === 'Up' && !session.polling);
for (let i = 0; i < 200 && !isUp(); i++) await sleep(50);
if (!isUp()) throw new Error('the sessions did not come up');
dataplane.native.setSending(client, true);
const before = dataplane.native.workerStatus();
const delivered = dataplane.counters(client).delivered;
await sleep(seconds * 1000);
const after = dataplane.native.workerStatus();
const packets = dataplane.counters(client).delivered - delivered;
dataplane.native.setSending(client, false);
clearInterval(watch);
clearInterval(look);
const status = nodes.flatMap(({ index }) => dataplane.native.livenessStatus(index));
const gaps = status.map(({ longestGapNs }) => Number(longestGapNs) / 1e6).sort((a, b) => a - b);
const downs = peers().reduce((sum, { session }) => sum + session.downs, 0);
const busy = after.map(({ busyTurns, turns }, worker) => {
  const was = before[worker]!;
  return Math.round((100 * (busyTurns - was.busyTurns)) / Math.max(1, turns - was.turns));
});
console.log(
  `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} CPUs; ${workers} workers, turns with work: ${busy.join(', ')} %`,
);
console.log(
  `${2 * sessions} ends of ${sessions} sessions at ${intervalMs} ms × 3 for ${seconds} s, ${(packets / seconds / 1e3).toFixed(0)} k packets/s each way through both nodes`,
);
console.log(
  `longest gap between two packets of a session: median ${gaps[gaps.length >> 1]!.toFixed(1)} ms, most ${gaps.at(-1)!.toFixed(1)} ms (1.5 intervals: ${1.5 * intervalMs} ms); sessions that went down: ${downs}`,
);
await dataplane.stop();
dataplane.close();
process.exitCode = downs > 0 || gaps.at(-1)! > 1.5 * intervalMs ? 1 : 0;
