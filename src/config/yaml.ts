import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  Scalar,
  type YAMLMap,
} from 'yaml';
import { limits } from './limits.js';
import { type Path, type Problem, pathText, showValue } from './problem.js';

/** A configuration's text, read: plain values, and where in the text each of them stands. */
export interface YamlDocument {
  /** mappings, lists, strings, safe integers, true, false, null; undefined when it could not be read */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** The problem at a place: at its key, or at its value; at the nearest mapping around it when it is missing. */
  problem(path: Path, message: string, at?: 'key' | 'value'): Problem;
}

/**
 * Reads YAML 1.2 without its surprises: numbers are whole, in decimal or 0x…, everything else is text; no
 * aliases, merge keys or tags, so no text grows when it is read. Never throws.
 */
export function readYaml(text: string, file: string): YamlDocument {
  const lines = new LineCounter();
  const problems: Problem[] = [];
  const problemAt = (offset: number, path: Path, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col), path: pathText(path), message };
  };
  const unreadable = (problem: Problem): YamlDocument => ({
    value: undefined,
    problems: [problem],
    problem: (path, message) => ({ ...problem, path: pathText(path), message }),
  });
  const nowhere = { file, line: 1, column: 1, path: '' };

  if (text.length > limits.fileBytes) {
    return unreadable({ ...nowhere, message: `larger than ${limits.fileBytes >> 20} MiB` });
  }
  const strange = unprintable(text);
  if (strange !== undefined) return unreadable({ file, ...strange });
  if (deeperThan(text, limits.nesting)) {
    return unreadable({ ...nowhere, message: `nested deeper than ${limits.nesting} levels` });
  }

  let root: Node | null;
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      schema: 'failsafe',
      // read() finds keys written twice: here every key would be compared with every other
      uniqueKeys: false,
      logLevel: 'error',
    });
    for (const { code, message, pos } of document.errors) {
      const problem = problemAt(pos[0], [], yamlErrors[code] ?? `not YAML: ${message}`);
      // the first of a line is the reason of the others
      if (problems.at(-1)?.line !== problem.line) problems.push(problem);
    }
    root = document.contents;
  } catch (error) {
    // the parser calls itself for each level, and a stack is finite
    if (error instanceof RangeError) {
      return unreadable({ ...nowhere, message: `nested deeper than ${limits.nesting} levels` });
    }
    return unreadable({ ...nowhere, message: `not YAML: ${error instanceof Error ? error.message : error}` });
  }

  const report = (node: Node | null | undefined, path: Path, message: string) =>
    problems.push(problemAt(node?.range?.[0] ?? 0, path, message));

  const read = (node: Node | null | undefined, path: Path): unknown => {
    if (node === null || node === undefined) return null;
    if (path.length > limits.nesting) {
      report(node, path.slice(0, 3), `nested deeper than ${limits.nesting} levels`);
      return null;
    }
    if (isAlias(node)) {
      report(node, path, `alias *${showValue(node.source)} is not supported; write the value out`);
      return null;
    }
    if (node.tag !== undefined)
      report(node, path, `tag ${showValue(node.tag)} is not supported; leave it out`);
    if (isScalar(node)) return scalarValue(node);
    if (isSeq(node)) return node.items.map((item, i) => read(item as Node, [...path, i]));
    return isMap(node) ? readMap(node.items as Pair<Node, Node | null>[], path) : null;
  };

  const readMap = (items: Pair<Node, Node | null>[], path: Path): unknown => {
    const object: Record<string, unknown> = {};
    for (const { key, value } of items) {
      const name = keyOf(key);
      if (name === undefined || name === '__proto__') {
        report(
          key,
          path,
          `${name === undefined ? 'a key is missing or not a word' : `${name} cannot be a key`}`,
        );
      } else if (Object.hasOwn(object, name)) {
        report(key, [...path, name], 'written twice; remove one');
      } else {
        object[name] = read(value, [...path, name]);
      }
    }
    return object;
  };

  const index: PairIndex = new Map();
  const value = problems.length > 0 ? undefined : read(root, []);
  return {
    value: value ?? undefined,
    problems,
    problem(path, message, at = 'value') {
      const place = locate(root, path, index);
      return problemAt(at === 'value' ? place.value : place.key, path, message);
    },
  };
}

/** Where the parser's own words are about its interface. */
const yamlErrors: Readonly<Partial<Record<string, string>>> = {
  MULTIPLE_DOCS: 'a second document; one file is one system',
  TAB_AS_INDENT: 'a tab; indent with blanks',
};

function keyOf(key: Node | null): string | undefined {
  return isScalar(key) && typeof key.value === 'string' && key.value !== '' ? key.value : undefined;
}

function scalarValue(node: Scalar): unknown {
  const text = String(node.value ?? '');
  if (node.type !== Scalar.PLAIN) return text;
  if (text === '' || text === '~' || text === 'null') return null;
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (/^(0|-?[1-9]\d*)$/.test(text) || /^0x[0-9a-fA-F]+$/.test(text)) {
    const number = Number(text);
    if (Number.isSafeInteger(number)) return number;
  }
  return text;
}

/** Pairs of mappings by key, made when a place in them is looked for: a file may have thousands of problems. */
type PairIndex = Map<YAMLMap, Map<string, Pair<Node, Node | null>>>;

function pairsOf(map: YAMLMap, index: PairIndex): Map<string, Pair<Node, Node | null>> {
  let pairs = index.get(map);
  if (pairs === undefined) {
    pairs = new Map();
    for (const pair of map.items as Pair<Node, Node | null>[]) {
      const key = keyOf(pair.key);
      // of a key that is written twice the first counts
      if (key !== undefined && !pairs.has(key)) pairs.set(key, pair);
    }
    index.set(map, pairs);
  }
  return pairs;
}

/** Offsets of a place's key and value; where it does not exist, those of the nearest thing around it. */
function locate(root: Node | null, path: Path, index: PairIndex): { key: number; value: number } {
  let node: Node | null | undefined = root;
  let place = { key: root?.range?.[0] ?? 0, value: root?.range?.[0] ?? 0 };
  for (const part of path) {
    if (isSeq(node) && typeof part === 'number' && part < node.items.length) {
      node = node.items[part] as Node;
      const offset = node.range?.[0] ?? place.value;
      place = { key: offset, value: offset };
    } else if (isMap(node)) {
      const pair: Pair<Node, Node | null> | undefined = pairsOf(node, index).get(String(part));
      // missing: the key of the mapping that lacks it says more than its first entry
      if (pair === undefined) return { key: place.key, value: place.key };
      const key: number = pair.key.range?.[0] ?? place.key;
      node = pair.value;
      // a key without a value has a value of no characters, which may stand on the next line
      const empty = node === null || (isScalar(node) && node.range?.[0] === node.range?.[1]);
      place = { key, value: empty ? key : (node?.range?.[0] ?? key) };
    } else {
      return place;
    }
  }
  return place;
}

/** The first character that no text has, as a problem. */
function unprintable(
  text: string,
): { line: number; column: number; path: string; message: string } | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const at = text.search(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffd]/);
  if (at < 0) return undefined;
  const before = text.slice(0, at).split('\n');
  const code = text.charCodeAt(at).toString(16).padStart(4, '0');
  return {
    line: before.length,
    column: before.at(-1)!.length + 1,
    path: '',
    message: `not a text file: character U+${code.toUpperCase()}`,
  };
}

/** A guard that costs one pass, so that a megabyte of brackets never reaches the parser. */
function deeperThan(text: string, levels: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x5b || c === 0x7b) {
      // brackets in texts and comments count too: four times the levels that a configuration may have
      if (++depth > 4 * levels) return true;
    } else if ((c === 0x5d || c === 0x7d) && depth > 0) depth--;
  }
  return /(?:[-?:][ \t]+){256}/.test(text);
}
