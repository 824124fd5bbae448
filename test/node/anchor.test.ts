import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Anchors,
  anchorGateways,
  type GatewayKind,
  loadFactor,
  noAnchors,
  pinGateways,
  releaseGateways,
} from '../../dist/node/anchor.js';
import type { NodeEvent } from '../../dist/node/event.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import { config, configured, gatewayText, ofKind, run, setupOf } from './fixtures.js';

const units = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 8 });
const kind = fc.constantFrom<GatewayKind>('site-to-site', 'dynamic');
const name = fc.integer({ min: 0, max: 40 }).map((number) => `gateway${number}`);
const gateways = fc.array(fc.tuple(name, kind), { maxLength: 60 });
const siteToSite = fc
  .uniqueArray(name, { maxLength: 40 })
  .map((names) => names.map((each): [string, GatewayKind] => [each, 'site-to-site']));

const unitOf = (anchors: Anchors, gateway: string) => anchors.gateways.get(gateway)?.unit;
const counted = (anchors: Anchors, count: number) => {
  const counts = new Array<number>(count).fill(0);
  for (const { unit, kind: of } of anchors.gateways.values()) if (of === 'site-to-site') counts[unit]!++;
  return counts;
};

describe('anchoring', () => {
  it('puts three gateways on three units, and any of them anchors the fourth (the table of the reference)', () => {
    const three: [string, GatewayKind][] = ['IKE-1', 'IKE-2', 'IKE-3'].map((each) => [each, 'site-to-site']);
    const anchors = anchorGateways(noAnchors, three, [1, 1, 1]);
    expect(three.map(([each]) => unitOf(anchors, each))).toEqual([0, 1, 2]);
    expect(unitOf(anchorGateways(anchors, [['IKE-4', 'site-to-site']], [1, 1, 1]), 'IKE-4')).toBe(0);
  });

  it('weighs by flow threads: twice the threads, twice the gateways', () => {
    const anchors = anchorGateways(
      noAnchors,
      Array.from({ length: 9 }, (_, i): [string, GatewayKind] => [`g${i}`, 'site-to-site']),
      [1, 2],
    );
    expect(counted(anchors, 2)).toEqual([3, 6]);
    expect(loadFactor(6, 2)).toBe(3);
  });

  it('deals dynamic gateways in turn, whatever the load', () => {
    const loaded = pinGateways(noAnchors, new Map(Array.from({ length: 9 }, (_, i) => [`g${i}`, 1])));
    const dynamic = Array.from({ length: 5 }, (_, i): [string, GatewayKind] => [`d${i}`, 'dynamic']);
    const anchors = anchorGateways(loaded, dynamic, [1, 1, 1]);
    expect(dynamic.map(([each]) => unitOf(anchors, each))).toEqual([0, 1, 2, 0, 1]);
  });

  it('anchors each site-to-site gateway where the load was least', () => {
    fc.assert(
      fc.property(
        gateways,
        fc.tuple(name, fc.constant<GatewayKind>('site-to-site')),
        units,
        (old, one, threads) => {
          const before = anchorGateways(noAnchors, old, threads);
          const after = anchorGateways(before, [one], threads);
          if (before.gateways.has(one[0])) {
            expect(after).toBe(before);
            return;
          }
          const loads = counted(before, threads.length).map((count, unit) => count / threads[unit]!);
          expect(loads[unitOf(after, one[0])!]).toBe(Math.min(...loads));
        },
      ),
    );
  });

  it('keeps loads within one gateway of each other', () => {
    fc.assert(
      fc.property(siteToSite, fc.integer({ min: 1, max: 8 }), (list, count) => {
        const counts = counted(anchorGateways(noAnchors, list, new Array<number>(count).fill(1)), count);
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('moves no gateway when more come, when some go, or when a unit is added', () => {
    fc.assert(
      fc.property(gateways, gateways, units, units, fc.array(name), (first, second, threads, added, gone) => {
        const before = anchorGateways(noAnchors, first, threads);
        const grown = [...threads, ...added];
        const after = anchorGateways(releaseGateways(before, gone), second, grown);
        const left = new Set(gone);
        for (const [each, { unit }] of before.gateways) {
          if (!left.has(each)) expect(unitOf(after, each)).toBe(unit);
        }
        for (const { unit } of after.gateways.values()) expect(unit).toBeLessThan(grown.length);
      }),
    );
  });

  it('anchors anew only what was on a unit that is gone', () => {
    fc.assert(
      fc.property(gateways, units, (list, threads) => {
        const before = anchorGateways(noAnchors, list, [...threads, 1]);
        const after = anchorGateways(before, list, threads);
        for (const [each, { unit }] of before.gateways) {
          const now = unitOf(after, each)!;
          if (unit < threads.length) expect(now).toBe(unit);
          expect(now).toBeLessThan(threads.length);
        }
      }),
    );
  });

  it('is the same for the same events', () => {
    fc.assert(
      fc.property(gateways, units, (list, threads) => {
        const [once, twice] = [0, 1].map(() => anchorGateways(noAnchors, list, threads));
        expect(once).toEqual(twice);
      }),
    );
  });
});

describe('tunnels of a node', () => {
  const text = gatewayText.replace('gateway: 10.20.0.2', 'gateway: 10.20.0.1');
  const keyed = (of: string): NodeEvent => ({ kind: 'tunnels-keyed', tunnels: manualTunnels(config(of), 1) });
  const anchorsOf = (of: string, state = configured(of).state) => {
    const [add] = ofKind(run(state, keyed(of)).actions, 'add-sas');
    return add!.outbound.map(({ tunnel, anchor }) => [tunnel.name, anchor]);
  };

  it('stay together when they run over one gateway', () => {
    expect(anchorsOf(gatewayText)).toEqual([
      ['enb1', 0],
      ['enb2', 1],
    ]);
    expect(anchorsOf(text)).toEqual([
      ['enb1', 0],
      ['enb2', 0],
    ]);
  });

  it('stay where they are when keys are replaced after a worker came', () => {
    const more = gatewayText.replace('workers: 2', 'workers: 3');
    const { state } = run(configured(gatewayText).state, keyed(gatewayText));
    const grown = run(state, ...configuredEvents(more));
    expect(anchorsOf(more, grown.state)).toEqual([
      ['enb1', 0],
      ['enb2', 1],
    ]);
  });
});

function configuredEvents(text: string): NodeEvent[] {
  return [{ kind: 'configured', config: config(text), setup: setupOf(config(text)) }];
}
