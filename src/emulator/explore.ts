/**
 * Random exploration: faults drawn over all kinds, at drawn times, on every topology in turn; and for a run in which
 * something does not hold, the shortest list of its faults in which it still does not.
 */

import { describeEvent } from './convergence.js';
import { Draws } from './draws.js';
import { type RunOptions, type RunResult, runScenario } from './run.js';
import {
  defaultDetection,
  type FaultKind,
  faultKinds,
  type Scenario,
  type ScenarioEvent,
} from './scenario.js';
import { icdLink, iclLink, nodesOf, type TopologySpec, trustLink, untrustLink } from './topology.js';

export interface Violation {
  /** repeats the run: penstock simulate --run-seed */
  readonly seed: number;
  readonly topology: string;
  readonly what: readonly string[];
  /** the shortest list of events in which it still happens */
  readonly events: readonly string[];
}

const durationMs = 60_000;
const firstFaultMs = 3_000;
const lastFaultMs = 48_000;
/** everything is mended by then */
const mendedMs = 50_000;
const leastFaults = 5;
const mostFaults = 8;

const topologies: readonly (TopologySpec & { readonly name: string })[] = [
  { name: 'ecmp', method: 'ecmp', routers: 1, gateways: 3, tunnels: 10 },
  { name: 'tlb', method: 'tlb', routers: 1, gateways: 3, tunnels: 10 },
  { name: 'tlb-dual', method: 'tlb', routers: 2, gateways: 3, tunnels: 10 },
  { name: 'tlb-pair', method: 'tlb', routers: 1, pairs: true, gateways: 2, tunnels: 10 },
  { name: 'tlb-dual-pair', method: 'tlb', routers: 2, pairs: true, gateways: 2, tunnels: 10 },
];

/** All but a change of routers, which is planned and no fault. */
const kinds: readonly FaultKind[] = faultKinds.filter((kind) => kind !== 'switch-over');

/** The seed of run number n: whatever n is, the same run. */
export function seedOfRun(seed: number, run: number): number {
  const draws = new Draws(seed, `run ${run}`);
  return draws.next() * 2 ** 20 + draws.below(2 ** 20);
}

/** What one run tries. Pure: a function of its seed. */
export function drawScenario(seed: number): { readonly topology: string; readonly scenario: Scenario } {
  const draws = new Draws(seed, 'scenario');
  const { name, ...spec } = draws.pick(topologies);
  const events = Array.from({ length: draws.between(leastFaults, mostFaults) }, () => drawFault(draws, spec));
  return {
    topology: name,
    scenario: {
      name,
      topology: spec,
      quality: { bitsPerSecond: 1_000_000_000, delayNs: 500_000 },
      links: {},
      warmUpMs: 1500,
      durationMs,
      detection: defaultDetection,
      traffic: [{ name: 'tunnel', sessions: 20, packetsPerSecond: 1, size: 100 }],
      events: events.toSorted((a, b) => a.atMs - b.atMs),
      expect: [],
    },
  };
}

function drawFault(draws: Draws, spec: TopologySpec): ScenarioEvent {
  const atMs = draws.between(firstFaultMs, lastFaultMs);
  const forMs = draws.between(100, Math.min(8000, mendedMs - atMs));
  const unit = draws.between(1, spec.gateways);
  const isPair = spec.pairs === true;
  const gateway = draws.pick(nodesOf(unit, isPair)).name;
  const router = `mx${draws.between(1, spec.routers)}`;
  const node = draws.chance(1, 5) ? router : gateway;
  const isTrust = draws.chance(1, 2);
  // of a pair, the links between its nodes as often as one of the router's
  const isWithin = isPair && draws.chance(1, 3);
  const link = isWithin
    ? draws.pick([iclLink(unit), icdLink(unit)])
    : isTrust
      ? trustLink(router, gateway)
      : untrustLink(router, gateway);
  const kind = draws.pick(kinds);
  switch (kind) {
    case 'kill':
    case 'power-off':
    case 'reboot':
    case 'freeze':
      return { kind, node, atMs, forMs };
    case 'link-down':
      return { kind, link, atMs, forMs };
    case 'one-way-loss':
      return { kind, link, from: isWithin || draws.chance(1, 2) ? gateway : router, atMs, forMs };
    case 'link-quality': {
      const part = () => (draws.chance(1, 2) ? draws.between(1_000, 300_000) : 0);
      const quality = {
        bitsPerSecond: 10 ** draws.between(5, 9),
        delayNs: draws.between(0, 20_000_000),
        jitterNs: draws.between(0, 5_000_000),
        heldBackNs: 10_000_000,
        lossPpm: part(),
        reorderPpm: part(),
        // behind the tunnel nobody would notice but the hosts
        corruptPpm: isTrust && !isWithin ? part() : 0,
      };
      return { kind, link, quality, atMs, forMs };
    }
    case 'clock-skew':
      return {
        kind,
        node,
        offsetMs: draws.between(0, 60_000),
        gainedPpm: draws.between(-500, 500),
        atMs,
      };
    case 'members': {
      const gone = draws.between(1, spec.gateways);
      const members = Array.from({ length: spec.gateways }, (_, i) => i + 1).filter((n) => n !== gone);
      return { kind, members, atMs, forMs };
    }
    case 'ipsec-failure':
      return { kind, node: gateway, atMs, forMs };
    default:
      return { kind: kind as 'tlb-restart', node: router, atMs, forMs };
  }
}

/** One run of an exploration, and what did not hold in it; null: all did. tamper makes the hook for each run. */
export function exploreOne(
  seed: number,
  tamper?: () => NonNullable<RunOptions['tamper']>,
): { readonly result: RunResult; readonly violation: Violation | null } {
  const { topology, scenario } = drawScenario(seed);
  const run = (events: readonly ScenarioEvent[]) =>
    runScenario({
      scenario: { ...scenario, events },
      seed,
      allMustRecover: true,
      ...(tamper && { tamper: tamper() }),
    });
  const result = run(scenario.events);
  if (result.violations.length === 0) return { result, violation: null };
  const events = shortest(scenario.events, (some) => run(some).violations.length > 0);
  const { violations: what } = run(events);
  const text = ({ atMs, ...fault }: ScenarioEvent) =>
    `${(atMs / 1000).toFixed(3)} s: ${describeEvent({ atMs, ...fault } as ScenarioEvent)}`;
  return { result, violation: { seed, topology, what, events: events.map(text) } };
}

/** The shortest list that still fails, by leaving out ever smaller parts (delta debugging, Zeller's ddmin). */
export function shortest<T>(items: readonly T[], fails: (items: readonly T[]) => boolean): readonly T[] {
  let kept = items;
  for (let parts = 2; kept.length > 0; ) {
    const size = Math.ceil(kept.length / parts);
    let found: readonly T[] | null = null;
    for (let at = 0; at < kept.length && found === null; at += size) {
      const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (fails(rest)) found = rest;
    }
    if (found !== null) {
      kept = found;
      parts = Math.max(2, parts - 1);
    } else if (size <= 1) {
      break;
    } else {
      parts = Math.min(kept.length, parts * 2);
    }
  }
  return kept;
}
