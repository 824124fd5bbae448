/** Plots as SVG: strings, without scripts, fonts or anything from elsewhere. Colours come from the page's classes. */

export const escaped = (text: string) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);

const number = (value: number) => String(Math.round(value * 100) / 100);

function svg(width: number, height: number, title: string, body: string): string {
  return `<svg viewBox="0 0 ${number(width)} ${number(height)}" width="${number(width)}" role="img" aria-label="${escaped(title)}">${body}</svg>`;
}

interface TextAt {
  readonly x: number;
  readonly y: number;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly turned?: boolean;
}

function label(text: string, { x, y, anchor = 'start', turned = false }: TextAt): string {
  const turn = turned ? ` transform="rotate(-60 ${number(x)} ${number(y)})"` : '';
  return `<text x="${number(x)}" y="${number(y)}" text-anchor="${anchor}"${turn}>${escaped(text)}</text>`;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function rectangle({ x, y, width, height }: Box, attributes: string, tip: string): string {
  return `<rect x="${number(x)}" y="${number(y)}" width="${number(width)}" height="${number(height)}" ${attributes}><title>${escaped(tip)}</title></rect>`;
}

const plotWidth = 860;

/** A step of 1, 2 or 5 times a power of ten: about five of them reach `most`. */
function niceStep(most: number): number {
  const rough = most / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
}

/** Lines across, with their values in percent at the left. */
function grid(most: number, left: number, top: number, height: number): string {
  const step = niceStep(most);
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  let lines = '';
  for (let value = 0; value <= most * 1.0001; value += step) {
    const y = top + height - (value / most) * height;
    lines += `<line class="grid" x1="${left}" x2="${plotWidth}" y1="${number(y)}" y2="${number(y)}"/>`;
    lines += label(`${value.toFixed(digits)} %`, { x: left - 6, y: y + 4, anchor: 'end' });
  }
  return lines;
}

/** Classes s0 … s7 of the page. */
const colours = 8;
export const colourClass = (series: number) => `s${series % colours}`;

export interface Bars {
  readonly title: string;
  /** colour of the first series; 0 when left out */
  readonly firstColour?: number;
  readonly series: readonly string[];
  readonly groups: readonly {
    readonly name: string /** in percent, by series */;
    readonly values: readonly number[];
  }[];
}

/** Groups of bars side by side; with very many of them, names are left to the tips. */
export function bars({ title, series, groups, firstColour = 0 }: Bars): string {
  const left = 56;
  const top = 8;
  const height = 180;
  const room = (plotWidth - left) / groups.length;
  const isNamed = room >= 12;
  const isTurned = isNamed && groups.some(({ name }) => name.length * 7 > room);
  const most = Math.max(1e-9, ...groups.flatMap(({ values }) => values)) * 1.05;
  const gap = room > 8 ? Math.min(room * 0.2, 24) : 0;
  const width = (room - gap) / series.length;
  const body = groups.map(({ name, values }, i) => {
    const x = left + i * room + gap / 2;
    const drawn = values.map((value, s) => {
      const tall = (value / most) * height;
      return rectangle(
        { x: x + s * width, y: top + height - tall, width: Math.max(0.5, width * 0.96), height: tall },
        `class="${colourClass(firstColour + s)}"`,
        `${name}, ${series[s]}: ${value.toFixed(2)} %`,
      );
    });
    const middle = x + (room - gap) / 2;
    const text = !isNamed
      ? ''
      : isTurned
        ? label(name, { x: middle + 4, y: top + height + 14, anchor: 'end', turned: true })
        : label(name, { x: middle, y: top + height + 16, anchor: 'middle' });
    return drawn.join('') + text;
  });
  const longest = Math.max(...groups.map(({ name }) => name.length));
  const below = isTurned ? Math.min(160, 20 + longest * 6.2) : 26;
  return svg(plotWidth, top + height + below, title, grid(most, left, top, height) + body.join(''));
}

export interface Matrix {
  readonly title: string;
  readonly unit: string;
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly cells: readonly { readonly from: number; readonly to: number; readonly count: number }[];
}

/** From is down, to is across; the darker, the more moves. */
export function matrix({ title, unit, from, to, cells }: Matrix): string {
  const longest = (names: readonly string[]) =>
    Math.min(140, 8 + 6.6 * Math.max(...names.map((name) => name.length)));
  const size = Math.max(2.5, Math.min(34, (plotWidth - 140) / to.length, 520 / from.length));
  const isNamed = size >= 11;
  const left = isNamed ? longest(from) : 8;
  const top = isNamed ? longest(to) + 6 : 8;
  const most = Math.max(...cells.map(({ count }) => count));
  const body = cells.map(({ from: row, to: column, count }) =>
    rectangle(
      { x: left + column * size, y: top + row * size, width: size - 0.6, height: size - 0.6 },
      `class="heat" fill-opacity="${number(0.12 + (0.88 * count) / most)}"`,
      `${from[row]} → ${to[column]}: ${Math.round(count).toLocaleString('en-US')} ${unit}`,
    ),
  );
  const names = isNamed
    ? [
        ...from.map((name, i) => label(name, { x: left - 6, y: top + (i + 0.5) * size + 4, anchor: 'end' })),
        ...to.map((name, i) => label(name, { x: left + (i + 0.6) * size, y: top - 6, turned: true })),
      ]
    : [];
  const frame = `<rect class="frame" x="${left}" y="${top}" width="${number(to.length * size)}" height="${number(from.length * size)}"/>`;
  return svg(
    left + to.length * size + (isNamed ? 60 : 8),
    top + from.length * size + 8,
    title,
    frame + names.join('') + body.join(''),
  );
}
