/**
 * What does the death of the active gateway cost? A pair on a switched segment (takeover-lab.ts) carries SECGW-IMIX over
 * many tunnels between kernel hosts; whoever is active is killed (SIGKILL), again and again, the other way round each time.
 *
 *   node dist/bench/takeover.js [--runs 50] [--tunnels 1000] [--rate 20000] [--tcp 20] [--interval 30] [--json]
 *
 * interval: of BFD on the ICL, in ms; three are missed. rate: packets a second, both directions together. The outage of a run is the longest time in which no answer came back
 * to the client, whose packets cross the pair twice. As root.
 */
import { createInterface, type Interface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { Views } from '#penstock/control/show/views.js';
import { type Gateway, type Process, TakeoverLab } from './takeover-lab.js';
import type { TrafficReport } from './takeover-traffic.js';

export interface TakeoverRun {
  readonly killed: Gateway;
  readonly outageMs: number;
  readonly sent: number;
  readonly answered: number;
  readonly tcpStallMs: number;
}

export interface TakeoverReport {
  readonly schemaVersion: 1;
  readonly tunnels: number;
  readonly packetsPerSecond: number;
  readonly detectionMs: number;
  readonly runs: readonly TakeoverRun[];
  readonly outageMs: { readonly median: number; readonly worst: number };
  readonly tcp: { readonly connections: number; readonly broken: number };
  /** SPIs of a tunnel differ between before and after */
  readonly spisChanged: number;
}

/** what a run counts around the kill */
const beforeMs = 500;
const afterMs = 1000;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export interface TakeoverOptions {
  readonly runs: number;
  readonly tunnels: number;
  readonly rate: number;
  readonly tcp: number;
  /** BFD of the ICL */
  readonly intervalMs: number;
  readonly onRun: (run: TakeoverRun, number: number) => void;
}

/** Throws naming what did not come up, with the nodes' logs. */
export async function takeover(options: TakeoverOptions): Promise<TakeoverReport> {
  const multiplier = 3;
  const lab = new TakeoverLab({ tunnels: options.tunnels, intervalMs: options.intervalMs, multiplier });
  const interrupted = () => void lab.close().then(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  try {
    for (const node of ['enb', 'gwa', 'gwb'] as const) lab.start(node);
    const serving = lab.serve(options.tunnels);
    await ready(lab, 'gwa', 'gwb');
    await until(
      () => serving.log().includes('listening'),
      () => `server: ${serving.log()}`,
    );
    await until(
      () => lab.ping(),
      () => `no way from the client to the server\n${logs(lab)}`,
    );
    const before = spis(lab, 'gwa');
    const traffic = new Traffic(lab.send(options.tunnels, options.rate, options.tcp));
    await sleep(3000); // neighbours, sessions, connections
    const runs: TakeoverRun[] = [];
    let [active, standby]: [Gateway, Gateway] = ['gwa', 'gwb'];
    let tcp = { connections: 0, broken: 0 };
    for (let n = 0; n < options.runs; n++) {
      await traffic.report();
      await sleep(beforeMs);
      await lab.kill(active);
      await sleep(afterMs);
      const seen = await traffic.report();
      tcp = seen.tcp;
      const run: TakeoverRun = {
        killed: active,
        outageMs: seen.gapMs,
        sent: seen.sent,
        answered: seen.answered,
        tcpStallMs: seen.tcp.stallMs,
      };
      runs.push(run);
      options.onRun(run, n + 1);
      lab.start(active);
      [active, standby] = [standby, active];
      await ready(lab, active, standby);
    }
    const after = spis(lab, active);
    traffic.end();
    const outages = runs.map(({ outageMs }) => outageMs).sort((a, b) => a - b);
    return {
      schemaVersion: 1,
      tunnels: options.tunnels,
      packetsPerSecond: options.rate,
      detectionMs: options.intervalMs * multiplier,
      runs,
      outageMs: { median: outages[outages.length >> 1] ?? Number.NaN, worst: outages.at(-1) ?? Number.NaN },
      tcp,
      spisChanged: [...before].filter(([tunnel, numbers]) => after.get(tunnel) !== numbers).length,
    };
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
    await lab.close();
  }
}

/** One is ACTIVE, and the other has all its state. */
async function ready(lab: TakeoverLab, active: Gateway, standby: Gateway): Promise<void> {
  await until(
    () => {
      const [one, other] = [pair(lab, active), pair(lab, standby)];
      return one?.status === 'ACTIVE' && other?.status === 'BACKUP' && other.coldSync === 'COMPLETE';
    },
    () => `${active} is ${text(pair(lab, active))}, ${standby} ${text(pair(lab, standby))}\n${logs(lab)}`,
  );
}

function pair(lab: TakeoverLab, node: Gateway) {
  const view = lab.show<Views['high-availability']>(node, 'chassis', 'high-availability', 'information');
  if (view === null) return null;
  const group = view.groups.find(({ id }) => id === 1);
  return { status: group?.status, coldSync: view.peer.coldSyncStatus };
}

const text = (state: ReturnType<typeof pair>) =>
  state === null ? 'silent' : `${state.status}, cold sync ${state.coldSync}`;

/** By tunnel: the SPIs of both directions. */
function spis(lab: TakeoverLab, node: Gateway): Map<string, string> {
  const { securityAssociations } = lab.show<Views['security-associations']>(node, 'sa')!;
  const found = new Map<string, string>();
  // the ICL's own are the same two, turned round
  for (const { vpn, direction, spi } of securityAssociations.filter(({ vpn: name }) => name !== 'ICL'))
    found.set(vpn, `${found.get(vpn) ?? ''} ${direction} ${spi}`);
  return found;
}

function logs(lab: TakeoverLab): string {
  return (['enb', 'gwa', 'gwb'] as const).map((node) => `${node}:\n${lab.log(node)}`).join('\n');
}

async function until(holds: () => boolean | Promise<boolean>, otherwise: () => string): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(otherwise());
    await sleep(100);
  }
}

class Traffic {
  readonly #process: Process;
  readonly #lines: Interface;

  constructor(sending: Process) {
    this.#process = sending;
    this.#lines = createInterface({ input: sending.child.stdout! });
  }

  /** What happened since the last one. */
  report(): Promise<TrafficReport> {
    return new Promise((resolve, reject) => {
      const onLine = (line: string) => {
        if (!line.startsWith('{')) return;
        this.#lines.off('line', onLine);
        resolve(JSON.parse(line) as TrafficReport);
      };
      this.#lines.on('line', onLine);
      void this.#process.ended.then(() => reject(new Error(`the client ended: ${this.#process.log()}`)));
      this.#process.child.stdin!.write('\n');
    });
  }

  end(): void {
    this.#process.child.stdin!.end();
  }
}

async function command(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '50' },
      tunnels: { type: 'string', default: '1000' },
      rate: { type: 'string', default: '20000' },
      tcp: { type: 'string', default: '20' },
      interval: { type: 'string', default: '30' },
      json: { type: 'boolean', default: false },
    },
  });
  const report = await takeover({
    runs: Number(values.runs),
    tunnels: Number(values.tunnels),
    rate: Number(values.rate),
    tcp: Number(values.tcp),
    intervalMs: Number(values.interval),
    onRun: (run, number) => {
      const lost = run.sent - run.answered;
      console.error(
        `${number}: ${run.killed} killed, outage ${run.outageMs.toFixed(0)} ms, ${lost} of ${run.sent} lost, TCP stalled ${run.tcpStallMs.toFixed(0)} ms`,
      );
    },
  });
  if (values.json) {
    console.log(JSON.stringify(report, null, 2));
    return;
  }
  const { outageMs, tcp, detectionMs, spisChanged } = report;
  console.log(
    `${report.runs.length} takeovers, detection ${detectionMs} ms: outage median ${outageMs.median.toFixed(0)} ms, worst ${outageMs.worst.toFixed(0)} ms; ` +
      `${tcp.broken} of ${tcp.connections} TCP connections broken, SPIs changed on ${spisChanged} of ${report.tunnels} tunnels`,
  );
}

if (process.argv[1] === import.meta.filename) await command();
