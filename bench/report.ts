import type { Environment } from './environment.js';
import { isLessBetter, type Result } from './series.js';

/** What `penstock bench --json` prints, --compare reads, and every other form is made of. */
export interface Report {
  readonly environment: Environment;
  readonly results: readonly Result[];
}

/** Null: the measurement found none. */
export function figure(value: number | null): string {
  if (value === null) return 'none';
  if (value === 0) return '0';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toFixed(digits);
}

export function environmentLine(env: Environment): string {
  const busy = `load ${env.loadBefore.toFixed(2)}, others ${env.othersBusy.toFixed(2)} and steal ${env.stolen.toFixed(2)} CPUs`;
  const load = env.isLoaded ? `${busy}: LOADED, ± is the whole range` : `${busy}; ± is the middle half`;
  return `${env.cpu}, ${env.cpus} CPUs, ${env.isa}, kernel ${env.kernel}, governor ${env.governor}, commit ${env.commit}, ${load}`;
}

/** Columns of a result, the same in the terminal, in Markdown and in HTML. */
export const heads = ['id', 'ours', '±', 'unit', 'cycles', 'against', 'times better'] as const;

export function cells(result: Result): string[] {
  const half = result.spread === null ? null : (result.spread.high - result.spread.low) / 2;
  const cycles =
    result.cyclesPerByte !== undefined
      ? `${figure(result.cyclesPerByte)} /B`
      : result.cyclesPerPacket !== undefined
        ? `${figure(result.cyclesPerPacket)} /packet`
        : '';
  const peers = Object.entries(result.peers);
  const notes = [
    ...(result.none === undefined
      ? []
      : [
          `no loss-free rate found${result.ours === null ? '' : ` in ${result.none} of ${result.rounds} rounds`}`,
        ]),
    ...(result.shares
      ? [`shares ${result.shares.map((share) => `${(share * 100).toFixed(1)} %`).join(' ')}`]
      : []),
    ...(result.worst === undefined ? [] : [`worst ${figure(result.worst)}`]),
    ...(result.coreCyclesPerPacket === undefined
      ? []
      : [`core cycles ${figure(result.coreCyclesPerPacket)} /packet`]),
  ];
  return [
    result.id,
    figure(result.ours),
    half === null ? '' : figure(half),
    result.unit,
    cycles,
    [...peers.map(([name, value]) => `${name} ${figure(value)}`), ...notes].join(', '),
    peers
      .map(([name]) => {
        const ratio = result.ratio[name];
        return ratio ? `${ratio.median.toFixed(2)} ±${((ratio.high - ratio.low) / 2).toFixed(2)}` : '';
      })
      .join(', '),
  ];
}

export interface Section {
  readonly title: string;
  readonly method: string;
  readonly results: readonly Result[];
}

export function markdown(env: Environment, sections: readonly Section[]): string {
  const lines = ['# Results', '', `Measured ${env.date.slice(0, 10)} on ${environmentLine(env)}.`, ''];
  for (const { title, method, results } of sections) {
    lines.push(
      `## ${title}`,
      '',
      method,
      '',
      `| ${heads.join(' | ')} |`,
      `|${heads.map(() => '---').join('|')}|`,
    );
    for (const result of results) lines.push(`| ${cells(result).join(' | ')} |`);
    lines.push('');
  }
  return lines.join('\n');
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** A bar a contestant, ours first; the longest is 400 wide. */
function plot(result: Result): string {
  const bars = [['penstock', result.ours] as const, ...Object.entries(result.peers)];
  const most = Math.max(...bars.map(([, value]) => value ?? 0));
  const rows = bars.map(([name, value], i) => {
    const y = i * 18;
    const width = most > 0 ? ((value ?? 0) / most) * 400 : 0;
    const label = `${escapeHtml(name)} ${figure(value)}`;
    return `<rect x="0" y="${y}" width="${width.toFixed(1)}" height="14" class="${i === 0 ? 'own' : 'peer'}"/><text x="${(width + 6).toFixed(1)}" y="${y + 12}">${label}</text>`;
  });
  const hint = isLessBetter(result.unit) ? 'less is better' : 'more is better';
  return `<figure><figcaption>${escapeHtml(result.id)}, ${escapeHtml(result.unit)} (${hint})</figcaption><svg width="600" height="${bars.length * 18}" role="img">${rows.join('')}</svg></figure>`;
}

/** One page that needs no network and no script. */
export function html(env: Environment, sections: readonly Section[]): string {
  const body = sections.map(({ title, method, results }) => {
    const rows = results.map(
      (r) =>
        `<tr>${cells(r)
          .map((cell) => `<td>${escapeHtml(cell)}</td>`)
          .join('')}</tr>`,
    );
    const head = heads.map((text) => `<th>${text}</th>`).join('');
    return `<h2>${escapeHtml(title)}</h2><p>${escapeHtml(method)}</p>${results.map(plot).join('')}<table><tr>${head}</tr>${rows.join('')}</table>`;
  });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>penstock bench</title><style>
body{font:14px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.15rem .7rem;border-bottom:1px solid #ddd;text-align:left}
td:nth-child(2),td:nth-child(3){text-align:right;font-variant-numeric:tabular-nums}
figure{display:inline-block;margin:.6rem 1.5rem .6rem 0}figcaption{font-weight:600}text{font-size:12px}
.own{fill:#0b6e4f}.peer{fill:#b9c0c7}</style><h1>penstock bench</h1><p>${escapeHtml(environmentLine(env))}</p>${body.join('')}</html>\n`;
}
