#!/usr/bin/env node
/**
 * Makes src/pipeline/counters.ts and docs/counters.md of native/counters.def, the one place where counters and
 * drop reasons are declared. The order is that of the C++ enum, which includes the same file.
 *
 *   node scripts/generate-counters.mjs            writes what is stale
 *   node scripts/generate-counters.mjs --check    writes nothing; exit 1 when something is stale
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const definitions = 'native/counters.def';
/** biome.json's */
const lineWidth = 110;

/** COUNTER(name, unit, "meaning") or DROP(name, "words", "meaning"); a string may be cut into several literals. */
const string = '"(?:[^"\\\\]|\\\\.)*"';
const strings = `${string}(?:\\s*${string})*`;
const entry = new RegExp(
  `^(?:COUNTER\\(\\s*(\\w+)\\s*,\\s*(\\w+)\\s*,\\s*(${strings})\\s*\\)` +
    `|DROP\\(\\s*(\\w+)\\s*,\\s*(${strings})\\s*,\\s*(${strings})\\s*\\))`,
);

function text(literals) {
  return [...literals.matchAll(new RegExp(string, 'g'))].map((match) => JSON.parse(match[0])).join('');
}

/** Reads the definitions; throws an Error that names the line it cannot read. */
export function parse(source) {
  const counters = [];
  const names = new Set();
  for (let at = 0; at < source.length; ) {
    const start = source.slice(at).search(/^(?:COUNTER|DROP)\(/m);
    if (start < 0) break;
    at += start;
    const line = source.slice(0, at).split('\n').length;
    const match = entry.exec(source.slice(at));
    if (!match)
      throw new Error(
        `${definitions}:${line}: not COUNTER(name, unit, "meaning") or DROP(name, "words", "meaning")`,
      );
    const [whole, counter, unit, meaning, drop, words, dropMeaning] = match;
    const name = counter ?? drop;
    if (names.has(name)) throw new Error(`${definitions}:${line}: ${name} is declared twice`);
    names.add(name);
    counters.push(
      counter
        ? { name, unit, words: name.replaceAll('_', ' '), meaning: text(meaning), isDrop: false }
        : { name, unit: 'packets', words: text(words), meaning: text(dropMeaning), isDrop: true },
    );
    at += whole.length;
  }
  return counters;
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
// As biome formats: single quotes unless that needs more escapes.
const quoted = (value) =>
  value.includes("'")
    ? JSON.stringify(value)
    : `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"')}'`;

/** A line of an object, broken where biome breaks it. */
const field = (name, value) => {
  const line = `    ${name}: ${value},`;
  return line.length > lineWidth ? `    ${name}:\n      ${value},\n` : `${line}\n`;
};

export function typescript(counters) {
  const rows = counters.map(({ name, unit, words, meaning, isDrop }) => {
    const fields = [
      field('name', quoted(name)),
      field('camelName', quoted(camel(name))),
      field('unit', quoted(unit)),
      field('words', quoted(words)),
      field('meaning', quoted(meaning)),
      field('isDrop', isDrop),
    ];
    return `  {\n${fields.join('')}  },\n`;
  });
  const index = counters.map(({ name }, at) => `  ${camel(name)}: ${at},\n`);
  const drops = counters.filter(({ isDrop }) => isDrop);
  return `// Made by scripts/generate-counters.mjs from ${definitions}: change that, not this.

/** What a word of a node's counters counts. The index in \`counters\` is that of the native enum. */
export interface CounterDefinition {
  /** as in ${definitions} and in JSON */
  readonly name: string;
  readonly camelName: CounterName;
  readonly unit: string;
  /** what show prints */
  readonly words: string;
  readonly meaning: string;
  /** a frame freed and counted */
  readonly isDrop: boolean;
}

/** Index of each counter in a row of counters. */
export const counterIndex = {
${index.join('')}} as const;

export type CounterName = keyof typeof counterIndex;

export const counters: readonly CounterDefinition[] = [
${rows.join('')}];

export const counterCount = ${counters.length};

/** Names in index order, as in ${definitions}. */
export const counterNames: readonly string[] = counters.map((counter) => counter.name);

/** Indices of the ${drops.length} drop reasons. */
export const dropIndices: readonly number[] = counters.flatMap((counter, index) =>
  counter.isDrop ? [index] : [],
);
`;
}

export function markdown(counters) {
  const cell = (value) => value.replaceAll('|', '\\|');
  const plain = counters
    .filter(({ isDrop }) => !isDrop)
    .map(({ name, unit, meaning }) => `| \`${name}\` | ${unit} | ${cell(meaning)} |\n`);
  const drops = counters
    .filter(({ isDrop }) => isDrop)
    .map(({ name, words, meaning }) => `| \`${name}\` | ${cell(words)} | ${cell(meaning)} |\n`);
  return `# Counters

Made by scripts/generate-counters.mjs from ${definitions}: change that, not this.

Each node counts for itself, one row per worker; what is shown is the sum of the rows. A dropped packet is counted
under exactly one reason, so that in = out + dropped + punted + held.

## What happened

| counter | unit | meaning |
| --- | --- | --- |
${plain.join('')}
## Why packets are dropped

| reason | shown as | meaning |
| --- | --- | --- |
${drops.join('')}`;
}

function main(arguments_) {
  const check = arguments_.includes('--check');
  const counters = parse(readFileSync(join(root, definitions), 'utf8'));
  if (counters.length === 0) throw new Error(`${definitions}: declares nothing`);
  let stale = 0;
  for (const [file, wanted] of [
    ['src/pipeline/counters.ts', typescript(counters)],
    ['docs/counters.md', markdown(counters)],
  ]) {
    let present = null;
    try {
      present = readFileSync(join(root, file), 'utf8');
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
    if (present === wanted) continue;
    ++stale;
    if (check)
      console.error(`${file} is not what ${definitions} says: run node scripts/generate-counters.mjs`);
    else writeFileSync(join(root, file), wanted);
  }
  return check && stale > 0 ? 1 : 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    process.exitCode = main(process.argv.slice(2));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
