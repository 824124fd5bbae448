/**
 * What do health checks cost? 10,000 of them, one every 5 s each, through the userspace stack of the daemon (PortNetwork)
 * against ends that answer in this same process, whose cost counts along: an upper bound.
 *
 *   node dist/bench/health-checks.js [checks] [seconds]
 */
import { cpuUsage } from 'node:process';
import { HealthMonitor } from '#penstock/control/probe/monitor.js';
import { PortNetwork } from '#penstock/control/probe/port-network.js';
import { NetworkProber } from '#penstock/control/probe/prober.js';
import { Address } from '#penstock/model/address.js';
import type { ActiveProbe, WantedCheck } from '#penstock/node/health.js';
import { answerTo } from './health-peer.js';

const checks = Number(process.argv[2] ?? 10_000);
const seconds = Number(process.argv[3] ?? 20);
const intervalMs = 5000;
const warmUpMs = intervalMs + 500;

const nowMs = () => performance.now();
const answers: Uint8Array[] = [];
const network: PortNetwork = new PortNetwork({
  nowMs,
  random: Math.random,
  originate: (_instance, packets) => {
    for (const packet of packets) answers.push(...answerTo(packet));
    return packets.length;
  },
});

let changes = 0;
const monitor = new HealthMonitor({
  prober: new NetworkProber(network),
  timers: {
    every: (ms, run) => {
      const timer = setInterval(run, ms);
      return () => clearInterval(timer);
    },
    after: (ms, run) => {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  },
  nowMs,
  random: Math.random,
  onChange: (all) => {
    changes += all.length;
  },
  beforeTick: () => {
    for (const frame of answers.splice(0)) network.receive(frame);
  },
  afterTick: () => {
    network.tick();
    network.flush();
  },
});

const kinds: readonly ActiveProbe[] = [
  { kind: 'icmp' },
  { kind: 'tcp', port: 80 },
  {
    kind: 'http',
    port: 80,
    method: 'GET',
    url: '/',
    hostName: null,
    statusCodes: [[200, 299]],
    bodyMatch: 'well',
  },
  { kind: 'udp', port: 53, send: Uint8Array.of(1, 2, 3), expect: Uint8Array.of(1, 2, 3) },
];
const source = new Address(Uint8Array.of(10, 10, 10, 253));
const settings = { intervalMs, timeoutMs: intervalMs, jitter: 0.1, failureRetries: 3, recoveryRetries: 1 };
const wanted = Array.from(
  { length: checks },
  (_, i): WantedCheck => ({
    service: String(i),
    profile: 'p',
    realService: String(i),
    probe: kinds[i % kinds.length]!,
    settings,
    path: { address: new Address(Uint8Array.of(10, 20, i >> 8, i & 255)), source, routingInstance: 'x' },
  }),
);

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
monitor.configure(wanted);
await pause(warmUpMs);
const up = wanted.filter(({ service }) => monitor.viewOf(service)[0]?.state.up === true).length;
const total = () =>
  wanted.reduce(
    (sum, { service }) => {
      const { state } = monitor.viewOf(service)[0]!;
      return { sent: sum.sent + state.sent, failed: sum.failed + state.failed };
    },
    { sent: 0, failed: 0 },
  );
const before = { at: nowMs(), cpu: cpuUsage(), ...total() };
let latest = 0;
let expected = nowMs() + 10;
const lateness = setInterval(() => {
  latest = Math.max(latest, nowMs() - expected);
  expected = nowMs() + 10;
}, 10);
await pause(seconds * 1000);
clearInterval(lateness);
const cpu = cpuUsage(before.cpu);
const tookMs = nowMs() - before.at;
const after = total();
monitor.close();
console.log(
  JSON.stringify({
    checks,
    up,
    changes,
    probesPerSecond: Math.round((after.sent - before.sent) / (tookMs / 1000)),
    failed: after.failed,
    cpuPercentOfACore: Math.round((cpu.user + cpu.system) / tookMs) / 10,
    timersLateByMsAtMost: Math.round(latest),
  }),
);
