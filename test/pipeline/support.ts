import { afterEach } from 'vitest';
import { type CounterName, counters } from '../../dist/pipeline/counters.js';
import {
  type CounterValues,
  Dataplane,
  type DataplaneOptions,
  type StopReport,
} from '../../dist/pipeline/dataplane.js';
import type { HostFlow, InterfaceEntry, NativePlane, TableParts } from '../../dist/pipeline/native.js';
import type { Timers } from '../../dist/pipeline/timers.js';

export const timers: Timers = {
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs).unref();
    return () => clearInterval(timer);
  },
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Waits until `holds`, at most so long; the test that asked fails on what it then finds. */
export async function until(holds: () => boolean, mostMs = 10_000): Promise<void> {
  for (let waited = 0; waited < mostMs && !holds(); waited += 5) await sleep(5);
}

const open = new Set<Dataplane>();

/** A dataplane that is stopped and closed after the test, however it ends. */
export function dataplane(options: Partial<DataplaneOptions> = {}): Dataplane {
  const made = new Dataplane({
    workers: 1,
    framesPerWorker: 1024,
    controlFrames: 64,
    handOverRing: 512,
    timers,
    ...options,
  });
  open.add(made);
  return made;
}

export async function cleanUp(): Promise<void> {
  const reports: StopReport[] = [];
  for (const plane of open) {
    reports.push(await plane.stop());
    plane.close();
  }
  open.clear();
  if (reports.some(({ stuck }) => stuck)) throw new Error('a worker thread did not end');
}
afterEach(cleanUp);

export const ip = (text: string) => Uint8Array.from(text.split('.').map(Number));
export const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last);

/** 2001:db8:… with these last two bytes of the second and eighth group. */
export const ip6 = (net: number, host: number) =>
  Uint8Array.of(0x20, 1, 0x0d, 0xb8, net >> 8, net & 255, 0, 0, 0, 0, 0, 0, 0, 0, host >> 8, host & 255);

export const forwarderOptions = {
  name: 'router',
  sessionLimit: 4096,
  neighbourLimit: 64,
  saLimit: 16,
  statistics: 16,
  auditedKeys: 0,
};

export const hostOptions = (server: boolean, flows: HostFlow[]) => ({
  name: server ? 'server' : 'client',
  server,
  mac: mac(server ? 4 : 1),
  gatewayMac: mac(server ? 3 : 2),
  flows,
  sizes: [64, 127, 255, 1400],
  credit: 64,
  seed: 7,
});

/** Half of them IPv6: from 10.1.x.x and 2001:db8:1:: to 10.2.x.x and 2001:db8:2::. */
export function flows(count: number): HostFlow[] {
  return Array.from({ length: count }, (_, i) => ({
    source: i % 2 ? ip6(1, i) : ip(`10.1.${i >> 8}.${i & 255}`),
    destination: i % 2 ? ip6(2, i % 7) : ip(`10.2.0.${i % 7}`),
    sourcePort: 1000 + i,
    destinationPort: 2000 + (i % 5),
  }));
}

export const interfaceEntry = (
  port: number,
  last: number,
  addresses: Uint8Array[],
  zone = 0,
): InterfaceEntry => ({
  port,
  vlan: 0,
  mtu: 2000,
  routingInstance: 0,
  zone,
  filterV4: -1,
  filterV6: -1,
  mac: mac(last),
  addresses,
});

export interface Path {
  client: number;
  router: number;
  server: number;
}

/** What the router between the two hosts publishes. */
export function pathTables(sessions: boolean): TableParts {
  const connected = (networkPrefix: Uint8Array, length: number, number: number) => ({
    routingInstance: 0,
    prefix: networkPrefix,
    length,
    nextHop: { kind: 'connected' as const, interface: number },
  });
  return {
    interfaces: [
      interfaceEntry(0, 2, [ip('10.1.255.254'), ip6(1, 0xffff)], 1),
      interfaceEntry(1, 3, [ip('10.2.255.254'), ip6(2, 0xffff)], 2),
    ],
    routes: [
      connected(ip('10.1.0.0'), 16, 0),
      connected(ip6(1, 0), 48, 0),
      connected(ip('10.2.0.0'), 16, 1),
      connected(ip6(2, 0), 48, 1),
    ],
    policies: { defaultPermit: true, policies: [] },
    flow: { sessions, synCheck: true, synCheckInTunnel: true },
  };
}

/** client ── router ── server on memory wires; the router keeps sessions or not. */
export function buildPath(plane: NativePlane, flowCount: number, sessions = true): Path {
  const all = flows(flowCount);
  const client = plane.addHost(hostOptions(false, all));
  const router = plane.addForwarder({ ...forwarderOptions, neighbourLimit: 4 * flowCount + 64 });
  const server = plane.addHost(hostOptions(true, all));
  plane.addWire(client, router, 256);
  plane.addWire(router, server, 256);
  plane.publish(router, pathTables(sessions));
  return { client, router, server };
}

export const dropsOf = (values: CounterValues): number =>
  counters.reduce((sum, { isDrop, camelName }) => sum + (isDrop ? values[camelName] : 0), 0);

export const nonZero = (values: CounterValues): Partial<Record<CounterName, number>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0));
