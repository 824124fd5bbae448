/** A place in a configuration: keys of mappings and indices of lists, from the top. */
export type Path = readonly (string | number)[];

/** One thing that is wrong: where, and what to write. Lines and columns count from 1; 0: not from a text. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** '' for the file as a whole */
  readonly path: string;
  readonly message: string;
}

/** Thrown by loadConfig() with every problem found; the message is one line for each. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(problemText).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** `file:line:column: path: message` */
export function problemText(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  return problem.path === ''
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.path}: ${problem.message}`;
}

/** Keys joined by dots; a key that has a dot itself stands in brackets. */
export function pathText(path: Path): string {
  let text = '';
  for (const part of path) {
    const key = showValue(part);
    if (key.includes('.')) text += `[${key}]`;
    else text += text === '' ? key : `.${key}`;
  }
  return text;
}

/** A value as messages show it: on one line, and short. */
export function showValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  // control characters could hide what a terminal shows
  const text = String(value).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '·');
  if (text === '') return 'an empty text';
  return text.length > 48 ? `${text.slice(0, 45)}…` : text;
}

/** The candidate that was most likely meant, or undefined when none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  if (word.length > 100) return undefined;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `; did you mean x?`, or nothing when no candidate is near. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}

/** Optimal string alignment: insertions, deletions, substitutions, neighbours swapped. At most `bound`. */
function editDistance(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) >= bound) return bound;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(substituted, last[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return Math.min(last[b.length]!, bound);
}
