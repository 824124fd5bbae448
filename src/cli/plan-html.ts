/** `penstock plan --html`: one page that needs nothing else. */
import type { Column, Counted, GroupPlan } from '../lb/plan/plan.js';
import type { Planned } from './plan.js';
import type { CountedFlows } from './plan-flows.js';
import { aboveText, percent, thresholdOf } from './plan-json.js';
import { bars, colourClass, escaped, matrix } from './plan-plots.js';
import { headLine, modelLabel, notes, percentText, whole } from './plan-text.js';

export function planPage(planned: Planned): string {
  const { before, after, flows, plans } = planned;
  const files = after === null ? before : `${before} → ${after}`;
  const threshold = thresholdOf(planned);
  const verdict =
    threshold === null
      ? ''
      : `<p class="${threshold.ok ? 'good' : 'bad'}">moved ${threshold.ok ? threshold.movedPercent.toFixed(1) : aboveText(threshold.movedPercent, threshold.maxMovedPercent)} %, at most ${threshold.maxMovedPercent} % may</p>`;
  const sections = plans.map((plan, i) => section(plan, flows?.name ?? '', flows?.counted[i] ?? null));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>penstock plan ${escaped(files)}</title><style>${style}</style></head><body>
<h1>penstock plan <small>${escaped(files)}${flows === null ? '' : ` · flows: ${escaped(flows.name)}`}</small></h1>
${verdict}${sections.join('\n')}
</body></html>
`;
}

const style = `
:root{color-scheme:light dark;--ink:#1b2430;--soft:#66717f;--paper:#fff;--card:#f4f6f8;--line:#dfe4e9;--a:#9db4c8;--b:#1668a7;--c:#c2571a;--d:#3d8a5f;--e:#8a5aa8;--f:#b0902c}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaee;--soft:#98a3af;--paper:#14191f;--card:#1d242c;--line:#323c47;--a:#5d7387;--b:#5aa9e6;--c:#e8894f;--d:#6fbf92;--e:#b58ad2;--f:#d8b95a}}
body{margin:2rem auto;padding:0 1rem;max-width:900px;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h1 small{font-weight:400;color:var(--soft)}h2{font-size:1.15rem;margin-top:2.2rem;border-top:1px solid var(--line);padding-top:1.2rem}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem}.tile{background:var(--card);border-radius:8px;padding:.6rem 1rem;min-width:9rem}
.tile b{display:block;font-size:1.5rem}.tile span,.note,.legend{color:var(--soft);font-size:.85rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid var(--line)}td:first-child,th:first-child{text-align:left}
svg{max-width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
.grid{stroke:var(--line)}.frame{fill:none;stroke:var(--line)}.heat{fill:var(--b)}
.s0{fill:var(--a);background:var(--a)}.s1{fill:var(--b);background:var(--b)}.s2{fill:var(--c);background:var(--c)}.s3{fill:var(--d);background:var(--d)}.s4{fill:var(--e);background:var(--e)}.s5{fill:var(--f);background:var(--f)}.s6{fill:var(--ink);background:var(--ink)}.s7{fill:var(--soft);background:var(--soft)}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 1em;vertical-align:-.05em}
.good{color:var(--d)}.bad{color:var(--c);font-weight:600}`;

function section(plan: GroupPlan, flowsName: string, counted: CountedFlows | null): string {
  const { columns, stages } = plan;
  const isStill = stages.length === 1;
  return [
    `<h2>${escaped(headLine(plan))}</h2>`,
    ...notes(plan).map((note) => `<p class="note">${escaped(note.trim())}</p>`),
    isStill ? '' : tiles(columns),
    isStill ? '' : movedTable(columns, flowsName),
    ...columns.map((column) => shares(column, isStill, counted)),
    ...columns.map((column) => moves(column)),
    stages.length > 2 ? overEvents(plan) : '',
    isStill ? '' : comparison(plan),
  ].join('\n');
}

const titleOf = ({ kind, unit }: Column) => (kind === 'slots' ? unit : kind);
const ratio = (value: number | null) => (value === null ? '–' : value.toFixed(3));

function tiles(columns: readonly Column[]): string {
  const tile = (value: string, text: string) => `<div class="tile"><b>${value}</b><span>${text}</span></div>`;
  const found = columns.flatMap((column) => {
    const { total, moved, excess, imbalance } = column.overall;
    const of = `of ${titleOf(column)}`;
    return [
      tile(percentText(moved, total), `moved, ${of}`),
      ...(column.kind === 'slots' ? [tile(percentText(excess, total), `excess, ${of}`)] : []),
      tile(
        `${ratio(imbalance.before)} → ${ratio(imbalance.after)}`,
        `imbalance ${of}: the largest share over its due`,
      ),
    ];
  });
  return `<div class="tiles">${found.join('')}</div>`;
}

function movedTable(columns: readonly Column[], flowsName: string): string {
  const rows = (
    [
      ['moved', (counted: Counted) => counted.moved],
      ['unavoidable', (counted: Counted) => counted.unavoidable],
      ['excess', (counted: Counted) => counted.excess],
      ['of', (counted: Counted) => counted.total],
    ] as const
  ).map(
    ([name, of]) =>
      `<tr><td>${name}</td>${columns.map(({ overall }) => `<td>${whole(of(overall))}</td><td>${percentText(of(overall), overall.total)}</td>`).join('')}</tr>`,
  );
  const heads = columns.map(
    (column) =>
      `<th colspan="2">${escaped(column.kind === 'flows' ? `flows in ${flowsName}` : titleOf(column))}</th>`,
  );
  return `<h3>What moves</h3><table><tr><th></th>${heads.join('')}</tr>${rows.join('')}</table>`;
}

const legend = (series: readonly string[], firstColour = 0) =>
  `<p class="legend">${series.map((name, i) => `<i class="${colourClass(firstColour + i)}"></i>${escaped(name)}`).join('')}</p>`;

const inOrder = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });

function shares(column: Column, isStill: boolean, counted: CountedFlows | null): string {
  const { overall } = column;
  const title = `Shares of ${titleOf(column)}, by member`;
  const series = isStill ? ['share'] : ['before', 'after'];
  const groups = overall.members
    .map(({ name, before, after }) => ({
      name: name ?? 'nobody',
      values: (isStill ? [after] : [before, after]).map((held) => percent(held, overall.total)),
    }))
    .sort((a, b) => inOrder(a.name, b.name));
  const { heaviest } = counted ?? { heaviest: null };
  const heavy =
    column.kind === 'bytes' && heaviest !== null
      ? `<p class="note">${escaped(heaviest.name)} alone is ${percentText(heaviest.bytes, overall.total)} of all bytes, and cannot be divided.</p>`
      : '';
  return `<h3>${title}</h3>${isStill ? '' : legend(series)}${bars({ title, series, groups })}${heavy}`;
}

/** A picture of more cells than this would be larger than anybody reads. */
const mostCells = 20_000;

function moves(column: Column): string {
  const { overall } = column;
  if (overall.moves.length === 0) return '';
  const title = `From → to, in ${titleOf(column)}`;
  if (overall.moves.length > mostCells) {
    return `<h3>${title}</h3><p class="note">${whole(overall.moves.length)} pairs of members: too many to draw; --json has them.</p>`;
  }
  const nameOf = (name: string | null) => name ?? 'nobody';
  const sorted = (side: 'from' | 'to') =>
    [...new Set(overall.moves.map((move) => nameOf(move[side])))].sort(inOrder);
  const from = sorted('from');
  const to = sorted('to');
  const rows = new Map(from.map((name, i) => [name, i]));
  const places = new Map(to.map((name, i) => [name, i]));
  const cells = overall.moves.map((move) => ({
    from: rows.get(nameOf(move.from))!,
    to: places.get(nameOf(move.to))!,
    count: move.count,
  }));
  return `<h3>${title}</h3><p class="note">From is down (${from.length}), to is across (${to.length}); the darker, the more.</p>${matrix({ title, unit: titleOf(column), from, to, cells })}`;
}

/** Of flows, where there are some. */
const mainColumn = (columns: readonly Column[]) =>
  columns.find(({ kind }) => kind === 'flows') ?? columns[0]!;

function overEvents({ stages, columns, models }: GroupPlan): string {
  const column = mainColumn(columns);
  const title = `Moved by each event, of ${titleOf(column)}`;
  const all = [column, ...models.map((model) => mainColumn(model.columns))];
  const series = ['chash', ...models.map(({ model }) => modelLabel(model))];
  const groups = stages.slice(1).map(({ label }, i) => ({
    name: label,
    values: all.map(({ steps }) => percent(steps[i]!.moved, steps[i]!.total)),
  }));
  const once = `Moved at least once: ${percentText(column.movedOnce, column.overall.total)}.`;
  return `<h3>${title}</h3>${legend(series, 1)}${bars({ title, series, groups, firstColour: 1 })}<p class="note">${once}</p>`;
}

function comparison({ columns, models }: GroupPlan): string {
  if (models.length === 0) return '';
  const rows = [
    { name: 'chash (this)', columns },
    ...models.map((model) => ({ name: modelLabel(model.model), columns: model.columns })),
  ].map(
    ({ name, columns: each }) =>
      `<tr><td>${escaped(name)}</td>${each.map(({ overall: { moved, excess, total, imbalance } }) => `<td>${percentText(moved, total)}</td><td>${percentText(excess, total)}</td><td>${ratio(imbalance.after)}</td>`).join('')}</tr>`,
  );
  const heads = columns.map((column) => `<th colspan="3">${titleOf(column)}</th>`).join('');
  const second = columns.map(() => '<th>moved</th><th>excess</th><th>imbalance</th>').join('');
  return `<h3>The same with what others run</h3><table><tr><th></th>${heads}</tr><tr><th></th>${second}</tr>${rows.join('')}</table>`;
}
