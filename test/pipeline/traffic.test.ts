/** Two hosts and a forwarder on memory wires, real worker threads: every packet is accounted for. */
import { expect, it } from 'vitest';
import { counterIndex } from '../../dist/pipeline/counters.js';
import type { Dataplane } from '../../dist/pipeline/dataplane.js';
import type { SessionStatus } from '../../dist/pipeline/native.js';
import { buildPath, dataplane, dropsOf, type Path, pathTables, sleep, until } from './support.js';

const flowCount = 300;

/** What the hosts sent, and what became of it. */
function account(plane: Dataplane, path: Path) {
  const all = [path.client, path.router, path.server].map((node) => plane.counters(node));
  const sum = (of: (values: (typeof all)[0]) => number) =>
    all.reduce((total, values) => total + of(values), 0);
  return {
    sent: sum(({ sent }) => sent),
    delivered: sum(({ delivered }) => delivered),
    dropped: sum(dropsOf),
    mismatched: sum(({ mismatched }) => mismatched),
    unsent: sum(({ unsent }) => unsent),
  };
}

function sessionsOf(plane: Dataplane, node: number, pageSize: number): SessionStatus[] {
  const all: SessionStatus[] = [];
  for (let worker = 0; worker < plane.workers; worker++) {
    for (let cursor: bigint | null = 0n; cursor !== null; ) {
      const page = plane.native.sessions(node, worker, cursor, pageSize);
      all.push(...page.sessions);
      cursor = page.cursor;
    }
  }
  return all;
}

it.each([1, 2, 3])('both ways on %i workers', async (workers) => {
  const plane = dataplane({ workers });
  const path = buildPath(plane.native, flowCount);
  await plane.start();
  plane.native.setSending(path.client, true);
  await until(() => plane.countersByWorker(path.client).every(({ delivered }) => delivered > 5000));
  plane.native.setSending(path.client, false);
  await until(() => plane.native.framesInUse() === 0);

  expect(plane.native.framesInUse()).toBe(0);
  const { sent, delivered, dropped, mismatched } = account(plane, path);
  expect(sent).toBe(delivered + dropped);
  expect(mismatched).toBe(0);
  expect(delivered).toBeGreaterThan(10_000 * workers);

  // Both directions of a session meet on one worker: each flow is there once, with packets in both wings.
  const sessions = sessionsOf(plane, path.router, 64);
  expect(sessions).toHaveLength(flowCount);
  expect(plane.native.sessionCount(path.router)).toBe(flowCount);
  const ports = new Set(sessions.map((session) => session.in.sourcePort));
  expect(ports.size).toBe(flowCount);
  for (const session of sessions) {
    expect(session.in.packets).toBeGreaterThan(0n);
    expect(session.out.packets).toBeGreaterThan(0n);
    expect(session.out.source).toEqual(session.in.destination);
    expect(session.in.zone).toBe(1);
    expect(session.out.zone).toBe(2);
    expect(session.timeoutSeconds).toBeGreaterThan(0);
  }
  const owners = new Set(sessions.map(({ worker }) => worker));
  expect(owners.size).toBe(workers);
  const { handedOver, takenOver, handOverFull } = plane.counters(path.router);
  expect(takenOver).toBe(handedOver);
  expect(handOverFull).toBe(0);
  if (workers === 1) expect(handedOver).toBe(0);
  else expect(handedOver).toBeGreaterThan(1000);
  expect(await plane.stop()).toMatchObject({ clean: true });
});

it('workers that join under load lose nothing, repeat nothing and move every session at most once', async () => {
  const plane = dataplane({ workers: 1, mostWorkers: 3 });
  const path = buildPath(plane.native, flowCount);
  await plane.start();
  plane.native.setSending(path.client, true);
  const delivered = () => plane.counters(path.client).delivered;
  await until(() => delivered() > 5_000 && plane.native.sessionCount(path.router) === flowCount);
  await until(() => plane.native.neighbours(path.router).every(({ state }) => state !== 'incomplete'));
  const before = account(plane, path).dropped; // while neighbours were not known
  const { sessionsCreated } = plane.counters(path.router);
  for (const workers of [2, 3]) {
    await plane.grow(workers);
    expect(plane.workers).toBe(workers);
    expect(plane.native.flowsMoving()).toBe(false);
    const passed = delivered();
    await until(() => delivered() > passed + 2_000);
  }
  plane.native.setSending(path.client, false);
  await until(() => plane.native.framesInUse() === 0);
  const { sent, delivered: arrived, dropped, mismatched } = account(plane, path);
  expect({ dropped, mismatched, lost: sent - arrived - dropped }).toEqual({
    dropped: before,
    mismatched: 0,
    lost: 0,
  });
  // Nobody's session was set up anew, and each is in one place.
  const of = plane.counters(path.router);
  expect(of.sessionsCreated).toBe(sessionsCreated);
  expect(of.flowsMoved).toBeGreaterThan(flowCount / 3);
  expect(of.takenOver).toBe(of.handedOver);
  const sessions = sessionsOf(plane, path.router, 64);
  expect(new Set(sessions.map((session) => session.in.sourcePort)).size).toBe(flowCount);
  expect(sessions).toHaveLength(flowCount);
  for (let worker = 0; worker < 3; worker++)
    expect(sessions.filter((session) => session.worker === worker).length).toBeGreaterThan(flowCount / 6);
  expect(plane.workerStatus().map(({ state }) => state)).not.toContain('idle');
  expect(() => plane.grow(2)).toThrow(/grow.workers: .*3/);
  expect(() => plane.grow(4)).toThrow(/grow.workers: .*3/);
  expect(await plane.stop()).toMatchObject({ clean: true });
});

it.each([1, 2])(
  'stopped in mid-traffic on %i workers: what is held is held, and can be driven on',
  async (workers) => {
    const plane = dataplane({ workers });
    const path = buildPath(plane.native, flowCount);
    await plane.start();
    plane.native.setSending(path.client, true);
    await until(() => plane.counters(path.client).delivered > 5000);
    await plane.stop();
    const then = account(plane, path);
    const held = then.sent - then.delivered - then.dropped;
    expect(held).toBeGreaterThanOrEqual(0);
    expect(held).toBeLessThanOrEqual(plane.native.framesInUse());

    plane.native.setSending(path.client, false);
    let now = 10n ** 15n;
    for (let steps = 0; steps < 1000 && plane.native.framesInUse() > 0; steps++) plane.native.step(now++);
    expect(plane.native.framesInUse()).toBe(0);
    const { sent, delivered, dropped, mismatched } = account(plane, path);
    expect(sent).toBe(delivered + dropped);
    expect(mismatched).toBe(0);
  },
);

it('a node that is shut drops by name what it holds and gets; nothing is lost without a name', async () => {
  const plane = dataplane({ workers: 2 });
  const path = buildPath(plane.native, flowCount, false);
  await plane.start();
  plane.native.setSending(path.client, true);
  await until(() => plane.counters(path.client).delivered > 5000);
  plane.native.setNodeRunning(path.router, false);
  await until(() => plane.counters(path.router).portClosed > 1000);
  plane.native.setNodeRunning(path.router, true);
  const before = plane.counters(path.client).delivered;
  await until(() => plane.counters(path.client).delivered > before + 1000);
  plane.native.setSending(path.client, false);
  await until(() => plane.native.framesInUse() === 0);
  const { sent, delivered, dropped } = account(plane, path);
  expect(plane.counters(path.router).portClosed).toBeGreaterThan(1000);
  expect(plane.counters(path.client).delivered).toBeGreaterThan(before + 1000);
  expect(sent).toBe(delivered + dropped);
});

it('a publication under traffic loses no packet', async () => {
  const plane = dataplane({ workers: 2 });
  const path = buildPath(plane.native, flowCount);
  await plane.start();
  plane.native.setSending(path.client, true);
  await until(() => plane.counters(path.client).delivered > 5000);
  const before = account(plane, path).dropped;
  const { routes, interfaces } = pathTables(true);
  for (let round = 0; round < 200; round++) {
    plane.publish(
      path.router,
      round % 2 ? { routes: routes! } : { routes: routes!, interfaces: interfaces! },
    );
    plane.native.collect();
    await sleep(1);
  }
  plane.native.setSending(path.client, false);
  await until(() => plane.native.framesInUse() === 0);
  const { sent, delivered, dropped } = account(plane, path);
  expect(dropped).toBe(before);
  expect(sent).toBe(delivered + dropped);
});

it('latency of what was delivered, in buckets', async () => {
  const plane = dataplane();
  const path = buildPath(plane.native, 10);
  await plane.start();
  plane.native.setSending(path.client, true);
  await until(() => plane.counters(path.client).delivered > 5000);
  await plane.stop();
  const { counts, upperNs } = plane.native.latency(path.client);
  expect(counts.length).toBe(upperNs.length);
  expect(Number(counts.reduce((sum, count) => sum + count, 0n))).toBe(plane.counters(path.client).delivered);
  expect(upperNs.every((bound, i) => i === 0 || bound > upperNs[i - 1]!)).toBe(true);
});

it('neighbours and drop records, as they are while workers run', async () => {
  const plane = dataplane();
  const path = buildPath(plane.native, 10);
  await plane.start();
  plane.native.setSending(path.client, true);
  await until(() => plane.counters(path.client).delivered > 1000);
  const neighbours = plane.native.neighbours(path.router);
  expect(neighbours.length).toBeGreaterThanOrEqual(17);
  expect(neighbours.every(({ state, mac }) => state === 'reachable' && mac?.length === 6)).toBe(true);
  expect(new Set(neighbours.map((neighbour) => neighbour.interface))).toEqual(new Set([0, 1]));

  plane.publish(path.router, { routes: [] });
  await until(() => plane.counters(path.router).noRoute > 300);
  // what the router would have said of them has no route either
  const all = plane.native.dropRecords(path.router, 100);
  const records = all.filter(({ protocol }) => protocol === 17).slice(0, 5);
  expect(records).toHaveLength(5);
  for (const record of records) {
    expect(record).toMatchObject({ reason: counterIndex.noRoute, protocol: 17, port: 0 });
    expect(record.source!.length).toBe(record.destination!.length);
  }
  expect(records[0]!.timeNs).toBeGreaterThanOrEqual(records[4]!.timeNs);
});
