/** What must hold in every run, whatever happens to it. Each says as sentences what does not. */
import { counterIndex, counters as definitions } from '../pipeline/counters.js';
import type { FlowWindow } from './convergence.js';
import { describeEvent } from './convergence.js';
import type { World } from './world.js';

/**
 * Every frame is accounted for (law 3): what was made is what arrived, was consumed, was dropped by name, or is still
 * under way. hosts: plane indices of traffic endpoints, whose answers to ARP and neighbour discovery no counter says
 * were made.
 */
export function accountsOf(world: World, hosts: readonly number[]): string[] {
  const all = world.counters();
  const answeredByHosts = hosts.reduce(
    (sum, host) => sum + world.plane.counterTotals(host)[counterIndex.answered]!,
    0,
  );
  const made =
    all.sent +
    all.made +
    all.injected +
    all.linkDuplicated +
    all.errorsSent +
    all.tooBigSent +
    all.fragmentsMade +
    answeredByHosts;
  const dropped = definitions.reduce((sum, { isDrop, camelName }) => sum + (isDrop ? all[camelName] : 0), 0);
  const ended =
    all.delivered +
    all.mismatched +
    all.duplicates +
    all.unexpected +
    all.answered +
    all.punted +
    all.unsent +
    dropped;
  const held = world.plane.framesInUse();
  if (made === ended + held) return [];
  return [
    `${made} packets were made, and ${ended} ended somewhere, ${held} are under way: not accounted for`,
  ];
}

interface FlowOf {
  readonly flowClass: string;
  readonly station: number;
  readonly intervalMs: number;
}

/** until what a fault has moved is moved back, and agreed on anew */
const graceMs = 6000;
/** how long a fault lasts that says nothing of it */
const atOnceMs = 5000;

/** When a fault is over and what it had moved is back; a router that is not awake puts all of it off. */
function impacts(windows: readonly FlowWindow[]) {
  const faults = windows.flatMap(({ event, impacted, fromMs }) =>
    event === null
      ? []
      : [{ event, impacted, fromMs, untilMs: fromMs + (event.forMs ?? atOnceMs) + graceMs }],
  );
  for (let changed = true; changed; ) {
    changed = false;
    for (const fault of faults) {
      for (const { event, fromMs, untilMs } of faults) {
        if (event.kind !== 'graceful-restart' || fromMs >= fault.untilMs || untilMs <= fault.untilMs)
          continue;
        if (fault.fromMs >= untilMs) continue;
        fault.untilMs = untilMs;
        changed = true;
      }
    }
  }
  return faults;
}

/** Flows of gateways that no event is about lose nothing. */
export function unaffectedLost(windows: readonly FlowWindow[], flows: readonly FlowOf[]): string[] {
  const faults = impacts(windows);
  const impactedIn = windows.map(({ fromMs, untilMs }) => {
    const now = faults.filter((fault) => fault.fromMs <= untilMs && fault.untilMs >= fromMs);
    // another list of members is another table, in which others move, too
    if (now.some(({ event }) => event.kind === 'members')) return null;
    return new Set(now.flatMap((fault) => [...fault.impacted]));
  });
  const isAffected = (window: number, flow: number) => {
    const impacted = impactedIn[window]!;
    const { before, after } = windows[window]!.flows[flow]!;
    return impacted === null || [before, after].some((of) => of === null || impacted.has(of));
  };
  return windows.flatMap(({ event, flows: seen }, window) =>
    seen.flatMap(({ gapMs, gapFromMs, after }, i) => {
      const { station, intervalMs } = flows[i]!;
      if (gapMs < 1.9 * intervalMs) return [];
      // a gap that began earlier is of that time
      for (let w = window; w >= 0 && (w === window || windows[w]!.untilMs >= gapFromMs); w--)
        if (isAffected(w, i)) return [];
      const when = event === null ? 'before any event' : `after ${describeEvent(event)}`;
      return [
        `flow ${i} of base station ${station} lost packets ${when}, and ${after} had nothing to do with it`,
      ];
    }),
  );
}

/** At the end, long after all is mended, every flow goes on. */
export function silentFlows(windows: readonly FlowWindow[], flows: readonly FlowOf[]): string[] {
  return windows.at(-1)!.flows.flatMap(({ silentMs, after }, i) => {
    const { station, intervalMs } = flows[i]!;
    if (silentMs < 3 * intervalMs) return [];
    const seconds = (silentMs / 1000).toFixed(1);
    return [
      `flow ${i} of base station ${station}, whose gateway is ${after}, has got nothing for ${seconds} s`,
    ];
  });
}
