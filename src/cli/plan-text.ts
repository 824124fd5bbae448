/** A plan for people. */
import { defaultTableSize } from '../lb/chash.js';
import type { ModelName } from '../lb/models/index.js';
import { type Column, type GroupPlan, isAllDead, type ModelPlan } from '../lb/plan/plan.js';
import { tableText } from './output.js';
import type { Planned } from './plan.js';
import type { CountedFlows } from './plan-flows.js';
import { percent } from './plan-json.js';

/** Members that are listed; of more the page and --json tell. */
const mostListed = 8;
const mostInTable = 32;

export function planText({ flows, plans, detailedModels }: Planned): string[] {
  return plans.flatMap((plan, i) => [
    ...(i > 0 ? [''] : []),
    ...groupText(plan, flows?.name ?? '', flows?.counted[i] ?? null, detailedModels),
  ]);
}

export const whole = (value: number) => Math.round(value).toLocaleString('en-US');
export const percentText = (part: number, total: number) => `${percent(part, total).toFixed(1)} %`;

export const modelLabel = (model: ModelName) => (model === 'ring' ? 'ring(160)' : model);

function groupText(
  plan: GroupPlan,
  flowsName: string,
  counted: CountedFlows | null,
  detailedModels: boolean,
): string[] {
  const isStill = plan.stages.length === 1;
  return [
    headLine(plan),
    ...notes(plan),
    ...(isStill ? [] : movedLines(plan, flowsName)),
    ...imbalanceLines(plan, counted),
    ...memberLines(plan),
    ...(plan.stages.length > 2 ? eventLines(plan) : []),
    ...(isStill ? [] : modelLines(plan, detailedModels)),
    ...(counted?.elsewhere ? [`(${whole(counted.elsewhere)} flows to other addresses are left out)`] : []),
  ];
}

export function headLine({ stages, tables }: GroupPlan): string {
  const first = stages[0]!;
  const last = stages.at(-1)!;
  const range = (a: string, b: string) => (a === b ? a : `${a} → ${b}`);
  const up = (i: number) => tables[i]!.members.length - tables[i]!.dead.size;
  const members = range(String(up(0)), String(up(tables.length - 1)));
  const { hashKey, sticky, slack } = last.group;
  const words = [
    sticky ? 'chash, sticky' : 'chash',
    range(first.group.hashKey, hashKey),
    `${range(whole(tables[0]!.slots.length), whole(tables.at(-1)!.slots.length))} slots`,
    ...(slack > 0 ? [`slack ${(100 * slack).toFixed(1)} %`] : []),
  ];
  return `group ${first.group.name}   ${members} members   ${words.join(', ')}`;
}

/** What one should know before reading the numbers. */
export function notes({ stages, tables, rehashed }: GroupPlan): string[] {
  const lines: string[] = [];
  const sizes = [...new Set(tables.map(({ slots }) => slots.length))];
  if (rehashed) {
    lines.push('flows hash otherwise afterwards, so all are dealt anew: slots are counted as chance has it');
  } else if (sizes.length > 1) {
    const members = Math.max(...stages.map(({ state }) => state.members.length));
    const size = Math.max(defaultTableSize(members), ...sizes);
    lines.push(
      `the table changes its size, and with that most flows: --slots ${size} shows what one size would move`,
    );
  }
  if (tables.some((table) => isAllDead(table))) lines.push('at some time nobody is left to take flows');
  if (stages.some(({ state }) => state.draining.size > 0)) {
    lines.push('drained members lose all flows here: only a flow memory lets old flows end where they are');
  }
  return lines.map((line) => `  note: ${line}`);
}

const columnTitle = (column: Column, flowsName: string) =>
  column.kind === 'flows' ? `flows in ${flowsName}` : column.kind === 'slots' ? column.unit : 'bytes';

function movedLines({ columns }: GroupPlan, flowsName: string): string[] {
  const [slots] = columns as [Column, ...Column[]];
  const row = (label: string, of: (column: Column) => number, all: boolean) => [
    label,
    ...columns.flatMap((column) => {
      const value = of(column);
      const { total } = column.overall;
      if (column.kind === 'bytes') return [percentText(value, total)];
      const count = column.kind === 'flows' && all ? `${whole(value)} of ${whole(total)}` : whole(value);
      return [count, percentText(value, total)];
    }),
  ];
  const heads = columns.flatMap((column) => {
    const title = columnTitle(column, flowsName);
    return column.kind === 'bytes' ? [title] : [title, ''];
  });
  const lines = tableText(
    ['', ...heads].map((head, i) => ({ head, align: i === 0 ? 'left' : 'right' })),
    [
      row('moved', ({ overall }) => overall.moved, true),
      row('  unavoidable', ({ overall }) => overall.unavoidable, false),
      row('  excess', ({ overall }) => overall.excess, false),
    ],
  ).split('\n');
  const moved = fromAndTo(slots);
  return moved === '' ? lines : [...lines, moved];
}

/** Who gives how many slots, and who gets them. */
function fromAndTo({ overall }: Column): string {
  const sums = (side: 'from' | 'to') => {
    const counts = new Map<string, number>();
    for (const move of overall.moves) {
      const name = move[side] ?? 'nobody';
      counts.set(name, (counts.get(name) ?? 0) + move.count);
    }
    const all = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    const shown = all
      .slice(0, mostListed)
      .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
      .map(([name, count]) => `${name} ${whole(count)}`)
      .join('  ');
    return all.length > mostListed ? `${shown}  and ${all.length - mostListed} more` : shown;
  };
  return overall.moves.length === 0 ? '' : `  from  ${sums('from')}   to  ${sums('to')}`;
}

const ratio = (value: number | null) => (value === null ? '–' : value.toFixed(3));

function imbalanceLines({ columns, stages }: GroupPlan, counted: CountedFlows | null): string[] {
  const of = (side: 'before' | 'after') =>
    columns
      .map(({ kind, overall }) => {
        const heaviest = kind === 'bytes' && side === 'after' ? heaviestText(counted, overall.total) : '';
        return `${ratio(overall.imbalance[side])} (${kind}${heaviest})`;
      })
      .join('  ');
  if (stages.length === 1) return [`imbalance    ${of('after')}`];
  return [`imbalance    before ${of('before')}   after ${of('after')}`];
}

function heaviestText(counted: CountedFlows | null, total: number): string {
  if (counted?.heaviest == null || total === 0) return '';
  const part = percent(counted.heaviest.bytes, total);
  return part < 1 ? '' : `: ${counted.heaviest.name} alone is ${part.toFixed(0)} %`;
}

function memberLines({ columns, stages }: GroupPlan): string[] {
  const [slots] = columns as [Column, ...Column[]];
  const names = slots.overall.members.map(({ name }) => name);
  if (names.length > mostInTable) {
    return [`(--json and --html have the shares of all ${names.length} members)`];
  }
  const isStill = stages.length === 1;
  const share = (column: Column, name: string | null, side: 'before' | 'after') => {
    const held = column.overall.members.find((member) => member.name === name)?.[side] ?? 0;
    return held === 0 ? '–' : percentText(held, column.overall.total);
  };
  const sides = isStill ? (['after'] as const) : (['before', 'after'] as const);
  const heads = columns.flatMap(({ kind }) => (isStill ? [kind] : [`${kind} before`, 'after']));
  const sorted = [...names].sort((a, b) =>
    (a ?? '\uffff').localeCompare(b ?? '\uffff', 'en', { numeric: true }),
  );
  const text = tableText(
    ['  share of', ...heads].map((head, i) => ({ head, align: i === 0 ? 'left' : 'right' })),
    sorted.map((name) => [
      `    ${name ?? 'nobody'}`,
      ...columns.flatMap((column) => sides.map((side) => share(column, name, side))),
    ]),
  );
  return text.split('\n');
}

function eventLines({ columns, stages }: GroupPlan): string[] {
  const column = columns.find(({ kind }) => kind === 'flows') ?? columns[0]!;
  const rows = stages.slice(1).map(({ label }, i) => {
    const { total, moved, excess, imbalance } = column.steps[i]!;
    return [`  ${label}`, percentText(moved, total), percentText(excess, total), ratio(imbalance.after)];
  });
  const { movedOnce, overall } = column;
  return [
    ...tableText(
      [`one after the other (${column.kind})`, 'moved', 'excess', 'imbalance'].map((head, i) => ({
        head,
        align: i === 0 ? 'left' : 'right',
      })),
      rows,
    ).split('\n'),
    `  moved at least once ${percentText(movedOnce, overall.total)}`,
  ];
}

function modelLines({ models, columns }: GroupPlan, isDetailed: boolean): string[] {
  if (models.length === 0) return [];
  if (!isDetailed) {
    const kind = columns.some((column) => column.kind === 'flows') ? 'flows' : 'slots';
    const part = ({ columns: each }: ModelPlan) => {
      const { overall } = each.find((column) => column.kind === kind)!;
      return percentText(overall.moved, overall.total);
    };
    const list = models.map((model) => `${modelLabel(model.model)} ${part(model)}`).join('   ');
    return [`the same with what others run:  ${list}`];
  }
  const heads = columns.flatMap(({ kind }) => [`${kind} moved`, 'excess', 'imbalance']);
  const rows = models.map(({ model, columns: each }) => [
    `  ${modelLabel(model)}`,
    ...each.flatMap(({ overall }) => [
      percentText(overall.moved, overall.total),
      percentText(overall.excess, overall.total),
      ratio(overall.imbalance.after),
    ]),
  ]);
  return tableText(
    ['the same with', ...heads].map((head, i) => ({ head, align: i === 0 ? 'left' : 'right' })),
    rows,
  ).split('\n');
}
