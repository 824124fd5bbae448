import { describe, expect, it } from 'vitest';
import { commentOf } from '../../dist/control/capture.js';
import { compileFilter } from '../../dist/control/capture-filter.js';
import { counterIndex } from '../../dist/pipeline/counters.js';
import type { CapturedFrame } from '../../dist/pipeline/native.js';
import { buildPath, dataplane, dropsOf, sleep, until } from './support.js';

const ports = ['ge-0/0/0', 'ge-0/0/1'];

/** A router with sessions on two workers and traffic, watched through a filter. */
async function watched(filter: string, { ringBytes = 1 << 20, forMs = 100 } = {}) {
  const plane = dataplane({ workers: 2, framesPerWorker: 2048 });
  const { client, router, server } = buildPath(plane.native, 40);
  await plane.start();
  plane.native.setSending(client, true);
  await until(() => plane.counters(server).delivered > 1000);
  const before = dropsOf(plane.counters(router));
  plane.native.setCapture(router, { filter: compileFilter(filter, ports), ringBytes });
  const frames: CapturedFrame[] = [];
  const end = Date.now() + forMs;
  while (Date.now() < end) {
    frames.push(...plane.native.takeCaptured(router, 10_000));
    await sleep(2);
  }
  const missed = plane.native.captureMissed(router);
  plane.native.setCapture(router, null);
  plane.native.setSending(client, false);
  await until(() => plane.native.framesInUse() === 0);
  plane.native.collect();
  const dropped = dropsOf(plane.counters(router)) - before;
  return { frames, missed, dropped };
}

describe('a capture', () => {
  it('has each packet as it came, with what became of it, and as it left', async () => {
    const { frames, dropped } = await watched('');
    // it costs no packet
    expect(dropped).toBe(0);
    const came = frames.filter(({ isOut }) => !isOut);
    const left = new Map(frames.filter(({ isOut }) => isOut).map((frame) => [frame.id, frame]));
    expect(came.length).toBeGreaterThan(50);
    let pairs = 0;
    for (const frame of came) {
      expect(frame.verdict).toBe('sent');
      expect(frame.detail).toBe(1 - frame.port);
      const out = left.get(frame.id);
      if (out === undefined) continue;
      pairs++;
      expect(out.port).toBe(frame.detail);
      expect(out.originalLength).toBe(frame.originalLength);
      // the same packet but for the MAC addresses, and one hop less
      const ttl = frame.data[12] === 0x08 ? 22 : 21;
      expect(out.data[ttl]).toBe(frame.data[ttl]! - 1);
      expect(out.data.subarray(34)).toEqual(frame.data.subarray(34));
    }
    expect(pairs).toBeGreaterThan(50);
  });

  it.each([
    ['in and udp', (frame: CapturedFrame) => !frame.isOut],
    ['out and interface ge-0/0/1', (frame: CapturedFrame) => frame.isOut && frame.port === 1],
    ['ip6 and not out', (frame: CapturedFrame) => !frame.isOut && frame.data[12] === 0x86],
    ['worker 1', (frame: CapturedFrame) => frame.worker === 1],
    ['(host 10.1.0.4 or dst port 1004-1006) in', (frame: CapturedFrame) => !frame.isOut],
    ['src net 10.1.0.0/16', (frame: CapturedFrame) => frame.data[26] === 10 && frame.data[27] === 1],
    ['greater 1300', (frame: CapturedFrame) => frame.originalLength >= 1300],
    ['not dropped', (frame: CapturedFrame) => frame.verdict !== 'dropped'],
  ] as const)('has what the filter says: %s', async (filter, holds) => {
    const { frames } = await watched(filter, { forMs: 40 });
    expect(frames.length).toBeGreaterThan(5);
    for (const frame of frames) expect(holds(frame)).toBe(true);
  });

  it.each(['arp', 'tcp', 'spi 0x1001', 'dropped', 'reason no-sa', 'host 10.9.9.9', 'less 60', 'esp and udp'])(
    'has nothing where nothing is such: %s',
    async (filter) => {
      expect((await watched(filter, { forMs: 20 })).frames).toEqual([]);
    },
  );

  it('says why a packet was dropped, with its bytes as they came', async () => {
    const plane = dataplane();
    const { client, router } = buildPath(plane.native, 10);
    plane.native.publish(router, { policies: { defaultPermit: false, policies: [] } });
    plane.native.setCapture(router, {
      filter: compileFilter('reason policyDeny', ports),
      ringBytes: 1 << 20,
    });
    await plane.start();
    plane.native.setSending(client, true);
    const frames: CapturedFrame[] = [];
    await until(() => {
      frames.push(...plane.native.takeCaptured(router, 1000));
      return frames.length > 20;
    });
    const [first] = frames;
    expect(first).toMatchObject({
      verdict: 'dropped',
      detail: counterIndex.policyDeny,
      isOut: false,
      port: 0,
    });
    expect(commentOf(first!, ports)).toBe('worker 0: dropped, Denied by policy (policyDeny)');
    expect(first!.data.subarray(0, 6)).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 2));
  });

  it('leaves out what does not fit, counts it, and loses no packet', async () => {
    const plane = dataplane({ framesPerWorker: 2048 });
    const { client, router, server } = buildPath(plane.native, 10);
    plane.native.setCapture(router, { filter: [], ringBytes: 1 << 16 });
    await plane.start();
    plane.native.setSending(client, true);
    await until(() => plane.counters(server).delivered > 2000);
    plane.native.setSending(client, false);
    await until(() => plane.native.framesInUse() === 0);
    expect(plane.native.captureMissed(router)).toBeGreaterThan(1000);
    const frames = plane.native.takeCaptured(router, 10_000);
    expect(frames.length).toBeGreaterThan(20);
    expect(dropsOf(plane.counters(router))).toBe(0);
    // what was taken has made room
    plane.native.setSending(client, true);
    await until(() => plane.native.takeCaptured(router, 10).length > 0);
    plane.native.setCapture(router, null);
    expect(plane.native.takeCaptured(router, 10)).toEqual([]);
  });
});

describe('a filter', () => {
  it.each([
    ['esp and', 'filter: it ends where a term is wanted'],
    ['(esp', 'filter: a ( without its )'],
    ['esp )', 'filter: ) is one too many'],
    ['epsp', 'filter: no term epsp; did you mean esp?'],
    ['host 10.0.0', 'filter: host 10.0.0: not an address, e.g. 10.0.0.1'],
    ['net 10.0.0.1', 'filter: net 10.0.0.1: not a prefix, e.g. 10.0.0.0/24'],
    ['src esp', 'filter: src and dst want host, net or port after them, not esp'],
    ['port 70000', 'filter: port 70000: not a port or a range of ports, e.g. 443 or 8000-8080'],
    ['spi 0x1g', 'filter: spi 0x1g: not a number up to 4294967295'],
    ['interface xe0', 'filter: no interface xe0; there is ge-0/0/0, ge-0/0/1'],
    ['reason policyDenny', 'filter: no drop reason policyDenny; did you mean policyDeny?'],
  ])('that is none says what to write: %s', (text, message) => {
    expect(() => compileFilter(text, ports)).toThrow(message);
  });
  it('binds not before and before or', () => {
    expect(compileFilter('not arp and tcp or udp', ports)).toEqual([
      { op: 'arp' },
      { op: 'not' },
      { op: 'protocol', a: 6 },
      { op: 'and' },
      { op: 'protocol', a: 17 },
      { op: 'or' },
    ]);
  });
});
