/** `penstock plan --json`; docs/plan.md has the fields. */
import type { Column, Counted, GroupPlan } from '../lb/plan/plan.js';
import type { Planned } from './plan.js';
import type { CountedFlows } from './plan-flows.js';

export function planJson(planned: Planned): object {
  const { before, after, flows, plans } = planned;
  return {
    before,
    after,
    flows: flows && {
      name: flows.name,
      records: flows.records,
      rubbishLines: flows.rubbish,
      firstRubbishLines: flows.firstRubbish,
      otherPackets: flows.otherPackets,
      fault: flows.fault,
    },
    groups: plans.map((plan, i) => groupJson(plan, flows?.counted[i] ?? null)),
    threshold: thresholdOf(planned),
  };
}

/** null: none was asked for. Of flows, where there are some; of several groups the one that moves most. */
export function thresholdOf({
  plans,
  maxMoved,
}: Planned): { maxMovedPercent: number; movedPercent: number; ok: boolean } | null {
  if (maxMoved === null) return null;
  const movedPercent = Math.max(...plans.map(movedPercentOf));
  return { maxMovedPercent: maxMoved, movedPercent, ok: movedPercent <= maxMoved };
}

/** With as many digits as it takes to see that it is more than `most`. */
export function aboveText(percent: number, most: number): string {
  for (let digits = 1; digits < 12; digits++) {
    const text = percent.toFixed(digits);
    if (Number(text) > most) return text;
  }
  return String(percent);
}

function movedPercentOf({ columns }: GroupPlan): number {
  const column = columns.find(({ kind }) => kind === 'flows') ?? columns[0]!;
  return percent(column.movedOnce, column.overall.total);
}

export const percent = (part: number, total: number) => (total === 0 ? 0 : (100 * part) / total);

function groupJson(plan: GroupPlan, counted: CountedFlows | null): object {
  const { group, stages, tables, columns, models, rehashed } = plan;
  const last = stages.at(-1)!;
  return {
    group: group.name,
    virtualServices: group.virtualServices.map(({ name, address }) => ({ name, address: String(address) })),
    hashKey: last.group.hashKey,
    hash: last.group.hash,
    seed: last.group.seed,
    slackPercent: 100 * last.group.slack,
    sticky: last.group.sticky,
    rehashed,
    tables: tables.map(({ members, dead, slots, digest }, i) => ({
      event: stages[i]!.label,
      members,
      ineligible: [...dead],
      slots: slots.length,
      digest: digest.toString(16).padStart(16, '0'),
    })),
    flowsElsewhere: counted?.elsewhere ?? null,
    heaviest: counted?.heaviest ?? null,
    columns: columns.map(columnJson),
    models: models.map(({ model, columns: each }) => ({ model, columns: each.map(columnJson) })),
  };
}

function columnJson({ kind, unit, overall, steps, movedOnce }: Column): object {
  return {
    kind,
    unit,
    ...countedJson(overall),
    movedOnce,
    movedOncePercent: percent(movedOnce, overall.total),
    steps: steps.map(countedJson),
  };
}

function countedJson({ total, moved, unavoidable, excess, imbalance, members, moves }: Counted): object {
  return {
    total,
    moved,
    movedPercent: percent(moved, total),
    unavoidable,
    excess,
    excessPercent: percent(excess, total),
    imbalance,
    members,
    moves,
  };
}
