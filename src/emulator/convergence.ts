/** What an event cost flows, as a traffic generator reports it. Pure. */
import type { Expectation, Scenario, ScenarioEvent } from './scenario.js';

/** From one event to the next. */
export interface FlowWindow {
  /** null: before the first */
  readonly event: ScenarioEvent | null;
  /** gateways that the event is about */
  readonly impacted: ReadonlySet<string>;
  readonly fromMs: number;
  readonly untilMs: number;
  /** by station: whom it had keys with when the window opened */
  readonly gateways: readonly (string | null)[];
  readonly flows: readonly FlowInWindow[];
}

export interface FlowInWindow {
  readonly sent: number;
  readonly requests: number;
  readonly answers: number;
  /** the longest time in which nothing came at one of its ends */
  readonly gapMs: number;
  /** in the world's time; may lie before the window */
  readonly gapFromMs: number;
  /** since something last came at both ends */
  readonly silentMs: number;
  readonly before: string | null;
  readonly after: string | null;
}

export interface Convergence {
  readonly atSeconds: number;
  readonly event: string;
  readonly flowClass: string;
  readonly flows: 'affected' | 'unaffected';
  readonly count: number;
  /** flows of these that lost something */
  readonly hit: number;
  /** packets of both directions */
  readonly lost: number;
  /** time without a packet, more than the flow's interval; of the flows that were hit */
  readonly p50Ms: number;
  readonly maxMs: number;
}

export function describeEvent({ atMs: _, ...fault }: ScenarioEvent): string {
  const { kind } = fault;
  const parts: string[] = [kind];
  if ('node' in fault) parts.push(fault.node);
  if ('link' in fault) parts.push(fault.link);
  if ('from' in fault) parts.push(`from ${fault.from}`);
  if ('members' in fault) parts.push(fault.members.map((n) => `gw${n}`).join(' '));
  if (fault.forMs !== undefined) parts.push(`for ${fault.forMs} ms`);
  return parts.join(' ');
}

/** A flow is affected when its gateway is, or the one that it has afterwards. */
export function convergenceOf(
  windows: readonly FlowWindow[],
  flows: readonly { readonly flowClass: string; readonly intervalMs: number }[],
  { traffic, warmUpMs }: Pick<Scenario, 'traffic' | 'warmUpMs'>,
): Convergence[] {
  return windows.flatMap((window) =>
    traffic.flatMap(({ name }) =>
      (['affected', 'unaffected'] as const).flatMap((which) => {
        const { impacted, event } = window;
        const own = window.flows.flatMap((flow, i) => {
          const isAffected = [flow.before, flow.after].some((of) => of === null || impacted.has(of));
          const { flowClass, intervalMs } = flows[i]!;
          return flowClass === name && isAffected === (which === 'affected') ? [{ ...flow, intervalMs }] : [];
        });
        if (own.length === 0) return [];
        const outages = own
          .map(({ gapMs, intervalMs }) => (gapMs > 1.9 * intervalMs ? gapMs - intervalMs : 0))
          .filter((ms) => ms > 0)
          .sort((a, b) => a - b);
        return [
          {
            atSeconds: (window.fromMs - warmUpMs) / 1000,
            event: describeEvent(event!),
            flowClass: name,
            flows: which,
            count: own.length,
            hit: outages.length,
            lost: own.reduce((sum, { sent, answers }) => sum + Math.max(0, sent - answers), 0),
            p50Ms: percentile(outages, 0.5),
            maxMs: percentile(outages, 1),
          },
        ];
      }),
    ),
  );
}

/** What does not hold, as sentences. */
export function unmet(convergence: readonly Convergence[], expect: readonly Expectation[]): string[] {
  return expect.flatMap(({ flowClass, flows, lost, recoveredWithinMs }) =>
    convergence
      .filter(
        (row) =>
          (flowClass === null || row.flowClass === flowClass) && (flows === 'all' || row.flows === flows),
      )
      .flatMap((row) => {
        const who = `${row.flows} flows of ${row.flowClass} at ${row.atSeconds} s (${row.event})`;
        return [
          ...(lost !== null && row.lost > lost
            ? [`${who} lost ${row.lost} packets, not at most ${lost}`]
            : []),
          ...(recoveredWithinMs !== null && row.maxMs > recoveredWithinMs
            ? [`${who} got nothing for ${row.maxMs} ms, not at most ${recoveredWithinMs}`]
            : []),
        ];
      }),
  );
}

function percentile(sorted: readonly number[], fraction: number): number {
  if (sorted.length === 0) return 0;
  const value = sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)]!;
  return Math.round(value * 1000) / 1000;
}
