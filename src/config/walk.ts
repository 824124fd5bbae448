/** What the schema says about a document before zod reads it: lone values become lists, unknown keys are named. */
import type { z } from 'zod';
import { nearest, type Path, pathText } from './problem.js';
import { misplaced, notYet, schema } from './schema.js';

export interface Finding {
  readonly path: Path;
  readonly message: string;
  readonly at: 'key' | 'value';
  /** Where a misspelt key would have been: nothing is said about what is missing there. */
  readonly meant?: Path;
}

interface Def {
  type: string;
  innerType?: z.ZodType;
  element?: z.ZodType;
  valueType?: z.ZodType;
  shape?: Record<string, z.ZodType>;
}

function defOf(type: z.ZodType): Def {
  const def = type.def as unknown as Def;
  return def.innerType !== undefined ? defOf(def.innerType) : def;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * A copy of the value in which a lone name, number or word stands in a list where the schema wants a list of
 * them, and from which unknown keys are gone.
 */
export function normalise(
  value: unknown,
  findings: Finding[],
  type: z.ZodType = schema,
  path: Path = [],
): unknown {
  const def = defOf(type);
  if (def.type === 'array') {
    const element = def.element!;
    if (Array.isArray(value)) return value.map((item, i) => normalise(item, findings, element, [...path, i]));
    const lone =
      defOf(element).type !== 'object' && value !== null && value !== undefined && !isObject(value);
    return lone ? [normalise(value, findings, element, path)] : value;
  }
  if (!isObject(value) || (def.type !== 'object' && def.type !== 'record')) {
    return textOf(value, def);
  }
  const copy: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) {
    const child = childOf(def, key);
    if (child !== undefined) copy[key] = normalise(entry, findings, child, [...path, key]);
    else findings.push(unknownKey(path, key, Object.keys(def.shape ?? {})));
  }
  return copy;
}

/** The schema of an entry; undefined where the key is not known, or would be no entry but the object's prototype. */
function childOf(def: Def, key: string): z.ZodType | undefined {
  if (key === '__proto__') return undefined;
  if (def.type === 'record') return def.valueType;
  return Object.hasOwn(def.shape!, key) ? def.shape![key] : undefined;
}

/** A name may be written in digits alone: `group: 5` names group 5. A number may have a fraction. */
function textOf(value: unknown, def: Def): unknown {
  if (def.type === 'number' && typeof value === 'string' && /^\d{1,9}\.\d{1,9}$/.test(value))
    return Number(value);
  return typeof value === 'number' && def.type === 'string' ? String(value) : value;
}

function unknownKey(path: Path, key: string, known: string[]): Finding {
  // `key: { 00112233… }` has the key where a word should be: not to be shown
  if (path.at(-1) === 'key') {
    return { path, message: 'unknown key; write { hex: … }, { file: … } or { env: … }', at: 'value' };
  }
  const place = pathText([...path, key]);
  const elsewhere = Object.hasOwn(misplaced, place) ? misplaced[place] : undefined;
  if (elsewhere !== undefined) return { path: [...path, key], message: elsewhere, at: 'key' };
  const later = Object.hasOwn(notYet, key) ? notYet[key] : undefined;
  if (later !== undefined) return { path: [...path, key], message: `not supported yet; ${later}`, at: 'key' };
  const meant = nearest(key, known);
  const advice = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean ${meant}?`;
  return {
    path: [...path, key],
    message: `unknown key; ${advice}`,
    at: 'key',
    ...(meant === undefined ? {} : { meant: [...path, meant] }),
  };
}

/** The value at a path, undefined when there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const part of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string | number, unknown>)[part];
  }
  return at;
}

/**
 * Takes what is at the path out of the document, so that the rest can be checked further: a wrong value goes
 * with its key; where something is missing, what lacks it goes; one wrong entry takes its whole list along,
 * since indices of the others would change.
 */
export function prune(document: unknown, path: Path): boolean {
  let gone = [...path];
  if (valueAt(document, gone) === undefined) gone = gone.slice(0, -1);
  while (gone.length > 0) {
    const parent = valueAt(document, gone.slice(0, -1));
    if (isObject(parent)) {
      delete parent[gone.at(-1)!];
      return true;
    }
    gone = gone.slice(0, -1);
  }
  return false;
}
