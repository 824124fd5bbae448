import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { makeConfig } from '#penstock/config/load.js';
import type { ConfigDocument } from '#penstock/config/schema.js';
import { IkeRuntime } from '#penstock/control/ike.js';
import { processTimers } from '#penstock/control/timers.js';
import { NodeDriver } from '#penstock/node/drive.js';
import { performNative } from '#penstock/node/native-actions.js';
import { Dataplane } from '#penstock/pipeline/dataplane.js';
import { childPolicy, hub, IkeWire, proposals } from './ike-wire.js';
import type { Effort } from './native-bench.js';
import type { Question } from './question.js';
import type { Series } from './series.js';

const tunnels = Number(process.env.PENSTOCK_BENCH_TUNNELS ?? 2000);
const fleet = new URL('./ike-fleet.js', import.meta.url);
const giveUpMs = 120_000;

const document = {
  system: { 'host-name': 'hub', 'node-id': 1 },
  interfaces: {
    lo0: { unit: { 0: { family: { inet: { address: [`${hub}/32`] } } } } },
    st0: { unit: { 1: { family: { inet: null } } } },
  },
  security: {
    ike: {
      ...proposals,
      gateway: {
        avpn: {
          'ike-policy': 'p',
          dynamic: { hostname: '.example.net', 'ike-user-type': 'group-ike-id' },
          'local-address': hub,
          'local-identity': { hostname: 'hub.example.net' },
        },
      },
    },
    ipsec: {
      ...childPolicy,
      vpn: {
        avpn: {
          'bind-interface': 'st0.1',
          ike: { gateway: 'avpn', 'ipsec-policy': 'q' },
          'traffic-selector': { ts: { 'local-ip': '0.0.0.0/0', 'remote-ip': '172.16.0.0/12' } },
        },
      },
    },
    zones: { 'security-zone': { z: { interfaces: ['st0.1'] } } },
  },
} as unknown as ConfigDocument;

/** A responder with all that a gateway has but its ports: engine, node, native tables and SAs. */
function responder(send: (packets: readonly Uint8Array[]) => number) {
  const dataplane = new Dataplane({
    workers: 1,
    framesPerWorker: 1024,
    controlFrames: 64,
    handOverRing: 64,
    timers: processTimers,
  });
  const node = dataplane.native.addForwarder({
    name: 'hub',
    sessionLimit: 1024,
    flowLimit: 1,
    neighbourLimit: 64,
    saLimit: 4 * tunnels,
    statistics: 64,
    auditedKeys: 0,
  });
  const nowMs = () => performance.now();
  const driver = new NodeDriver((action) => performNative(dataplane.native, node, action) ?? [], nowMs);
  const config = makeConfig(document, 'hub', { readFile: () => '', variable: () => undefined });
  driver.post({ kind: 'configured', config, setup: { ports: new Map(), workers: 1 } });
  const runtime = new IkeRuntime({
    nodeId: 1,
    nowMs,
    log: () => {},
    state: () => driver.state,
    post: (...events) => driver.post(...events),
    originate: (_instance, packets) => send(packets),
    saStatus: (direction, indices) => dataplane.native.saStatus(node, direction, indices),
    onEvent: () => {},
  });
  runtime.configure(config);
  const stop = processTimers.every(2, () => runtime.tick());
  const close = async () => {
    stop();
    await runtime.close();
    dataplane.close();
  };
  return { runtime, driver, close };
}

async function told(child: ChildProcess, kind: string): Promise<{ port?: number }> {
  const signal = AbortSignal.timeout(giveUpMs);
  try {
    for (;;) {
      const [message] = (await once(child, 'message', { signal })) as [{ kind: string; port?: number }];
      if (message.kind === kind) return message;
    }
  } catch (error) {
    throw new Error(`ike: the fleet of ${tunnels} did not say "${kind}" in ${giveUpMs / 1000} s`, {
      cause: error,
    });
  }
}

/** Set-ups and deletes a second. */
async function round(): Promise<{ setup: number; teardown: number; kilobytes: number }> {
  const wire = new IkeWire();
  const { runtime, driver, close } = responder((packets) => wire.send(packets));
  const port = await wire.open((frame) => void runtime.receive(frame, () => 'default'));
  const child = fork(fleet);
  try {
    child.send({ tunnels, port });
    wire.connect((await told(child, 'ready')).port!);
    const before = process.memoryUsage.rss();
    const began = performance.now();
    child.send({ kind: 'begin' });
    await told(child, 'up');
    while (driver.state.tunnels.size < tunnels) await new Promise((resolve) => setTimeout(resolve, 1));
    const upMs = performance.now() - began;
    const kilobytes = (process.memoryUsage.rss() - before) / tunnels / 1024;
    const clearing = performance.now();
    child.send({ kind: 'clear' });
    await told(child, 'down');
    while (driver.state.tunnels.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const downMs = performance.now() - clearing;
    return { setup: (tunnels / upMs) * 1000, teardown: (tunnels / downMs) * 1000, kilobytes };
  } finally {
    child.kill();
    wire.close();
    await close();
  }
}

async function* rates({ rounds, only, progress }: Effort): AsyncGenerator<Series> {
  const ids = ['ike.setup.rate', 'ike.teardown.rate', 'ike.memory.tunnel'];
  if (!ids.some((id) => id.includes(only))) return;
  const results: Awaited<ReturnType<typeof round>>[] = [];
  for (let i = 1; i <= Math.min(rounds, 5); i++) {
    progress(`ike, round ${i}`);
    results.push(await round());
  }
  yield { id: ids[0]!, unit: '/s', ours: results.map(({ setup }) => setup), peers: {} };
  yield { id: ids[1]!, unit: '/s', ours: results.map(({ teardown }) => teardown), peers: {} };
  yield { id: ids[2]!, unit: 'KB', ours: results.map(({ kilobytes }) => kilobytes), peers: {} };
}

export const ike: Question = {
  name: 'ike',
  title: 'IKE: how many clients a second does a gateway take in?',
  method: `${tunnels.toLocaleString('en-US')} initiators in a process of their own, each with an address, an identity and a prefix behind it, 192 at a time, IP packets in datagrams on the loopback; IKE_SA_INIT and IKE_AUTH with X25519, a pre-shared key and AES-256-GCM, then SAs and routes in the native tables. Both ends are on this machine. ike.teardown.rate: all deleted again. ike.memory.tunnel: what the gateway's process grew by, each.`,
  run: rates,
};
