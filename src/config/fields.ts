/** The kinds of values a configuration has. Each knows what to write instead of a wrong one. */
import { z } from 'zod';
import { parseAddress, parsePrefix } from './address.js';
import { limits } from './limits.js';
import { showValue, suggestion } from './problem.js';

type Issue = { readonly input?: unknown };

/** The message for a value that is not what it must be. advice: an example ('e.g. …'), or what to write. */
function wrong(what: string, advice: string) {
  const isExample = advice.startsWith('e.g.');
  const missing = isExample ? `missing; write ${what}, ${advice}` : `missing; write ${advice}`;
  return ({ input }: Issue) => {
    if (input === undefined) return missing;
    return `${showValue(input)} is not ${what}${isExample ? ',' : '; write'} ${advice}`;
  };
}

export function section<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, { error: wrong('a mapping', 'keys and values below it') });
}

/** Entries by name. */
export function table<T extends z.ZodType>(kind: string, value: T, key = name(kind)) {
  return z.record(key, value, {
    error: wrong('a mapping', `the name of each ${kind} and its values below it`),
  });
}

/** A list; of single values a lone one needs no brackets (see walk.ts). */
export function list<T extends z.ZodType>(item: T, what: string) {
  return z.array(item, { error: wrong('a list', `a list of ${what}`) });
}

/** A statement without a value: `permit:`, or `{ permit }`. */
export function flag() {
  const error = (issue: Issue) =>
    `takes no value, not ${showValue(issue.input)}; leave the statement out to say no`;
  return z.union([z.null(), z.literal(true)], { error }).optional();
}

export function name(kind: string) {
  const error = ({ input }: Issue) =>
    input === undefined
      ? `missing; write the name of a ${kind}`
      : `${showValue(input)} is not a name; write letters, digits and _ . : / -, at most ${limits.nameLength} of them`;
  return z.string({ error }).regex(/^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,62}$/, { error });
}

export function integer({ least, most }: { least: number; most: number }, unit = '') {
  const range = `a whole number from ${least} to ${most}`;
  const error = (issue: Issue) =>
    issue.input === undefined
      ? `missing; write ${range}`
      : `${showValue(issue.input)} is not ${range}${unit === '' ? '' : ` ${unit}`}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

/** A number that need not be whole. */
export function number({ least, most }: { least: number; most: number }, unit = '') {
  const range = `a number from ${least} to ${most}`;
  const error = (issue: Issue) =>
    issue.input === undefined
      ? `missing; write ${range}`
      : `${showValue(issue.input)} is not ${range}${unit === '' ? '' : ` ${unit}`}`;
  return z.number({ error }).min(least, { error }).max(most, { error });
}

/** A text of at least one character. */
export function text(what: string, most = 1024) {
  const error = ({ input }: Issue) =>
    input === undefined ? `missing; write ${what}` : `${showValue(input)} is not ${what}`;
  return z
    .string({ error })
    .min(1, { error: `empty; write ${what}` })
    .max(most, { error: `longer than ${most}` });
}

/**
 * One of several words. `refused` names words of the reference documents that this version does not do yet.
 */
export function word<const T extends readonly [string, ...string[]]>(
  words: T,
  refused: readonly string[] = [],
) {
  const choices = words.length === 1 ? words[0] : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  const error = (issue: Issue) => {
    const given = issue.input;
    if (given === undefined) return `missing; write ${choices}`;
    if (typeof given === 'string' && refused.includes(given)) {
      return `${given} is not supported yet; write ${choices}`;
    }
    const hint = typeof given === 'string' ? suggestion(given, words) : '';
    return `${showValue(given)} is not known${hint === '' ? `; write ${choices}` : hint}`;
  };
  return z.enum(words, { error });
}

function parsed(parse: (text: string) => unknown, what: string, advice: string, format: string) {
  const error = wrong(what, advice);
  return z
    .string({ error })
    .refine((text) => parse(text) !== undefined, { error })
    .meta({ description: `${what}, ${advice}`, format });
}

export const address = () => parsed(parseAddress, 'an IP address', 'e.g. 10.0.0.1 or 2001:db8::1', 'ip');
export const inetAddress = () =>
  parsed((text) => inFamily(parseAddress(text), 'inet'), 'an IPv4 address', 'e.g. 10.0.0.1', 'ipv4');
export const inet6Address = () =>
  parsed((text) => inFamily(parseAddress(text), 'inet6'), 'an IPv6 address', 'e.g. 2001:db8::1', 'ipv6');
export const interfaceAddress = (family: 'inet' | 'inet6') =>
  parsed(
    (text) => inFamily(parsePrefix(text), family),
    `an ${family === 'inet' ? 'IPv4' : 'IPv6'} address with a prefix length`,
    family === 'inet' ? 'e.g. 10.1.1.1/24' : 'e.g. 2001:db8::1/64',
    'prefix',
  );
export const prefix = () => networkOf('a CIDR prefix', 'e.g. 10.0.0.0/24 or 2001:db8::/32');
export const prefixOf = (family: 'inet' | 'inet6') =>
  networkOf(
    family === 'inet' ? 'an IPv4 prefix' : 'an IPv6 prefix',
    family === 'inet' ? 'e.g. 10.0.0.0/24' : 'e.g. 2001:db8::/32',
    family,
  );

/** A prefix without bits behind its length. */
function networkOf(what: string, advice: string, family?: 'inet' | 'inet6') {
  const read = (text: string) => {
    const value = parsePrefix(text);
    return family === undefined ? value : inFamily(value, family);
  };
  const error = (issue: Issue) => {
    const value = typeof issue.input === 'string' ? read(issue.input) : undefined;
    return value === undefined
      ? wrong(what, advice)(issue)
      : `${issue.input} has bits set behind /${value.length}; write ${value.network()}`;
  };
  return z
    .string({ error })
    .refine((text) => read(text)?.isNetwork() === true, { error })
    .meta({ description: `${what}, ${advice}`, format: 'prefix' });
}

function inFamily<T extends { family: string }>(value: T | undefined, family: string): T | undefined {
  return value?.family === family ? value : undefined;
}

export function mac() {
  const error = wrong('a unicast MAC address', 'e.g. 02:00:00:00:00:01');
  return z.string({ error }).regex(/^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$/, { error });
}

/** A path on this host; relative ones count from the configuration's directory. */
export function path(what: string) {
  const error = wrong('a path', `the path of ${what}`);
  return z.string({ error }).min(1, { error }).max(4095, { error });
}

/** 64 … 8192, a power of two. */
export function windowSize() {
  const { least, most } = limits.ipsec.antiReplayWindow;
  const isPower = (n: number) => n >= least && n <= most && (n & (n - 1)) === 0;
  const error = (issue: Issue) => {
    const given = issue.input;
    const text = `${showValue(given)} is not a power of two from ${least} to ${most}`;
    if (typeof given !== 'number' || !Number.isFinite(given)) return text;
    if (given > most) return `${text}; ${most} is the largest`;
    if (given < least) return `${text}; ${least} is the smallest`;
    return `${text}; ${2 ** Math.ceil(Math.log2(given))} is the next`;
  };
  return z.int({ error }).refine(isPower, { error }).meta({ minimum: least, maximum: most });
}

export const logicalInterface = () => {
  const error = (issue: { input?: unknown }) =>
    issue.input === undefined
      ? 'missing; write an interface, e.g. ge-0/0/0.0'
      : 'not an interface, e.g. ge-0/0/0.0';
  return z.string({ error }).regex(/^[a-z][a-z0-9_-]*(\/\d+)*(:\d+)?(\.\d+)?$/, { error });
};

/** A text that may be a key written in the wrong place: no message shows it. */
export const hidden = (advice: string) =>
  z
    .string({ error: `not a text; write ${advice}` })
    .min(1, { error: `empty; write ${advice}` })
    .optional();

/** Exactly one of three places; the bytes are the AES key and then the salt. Never part of a message. */
export const key = z.strictObject(
  {
    hex: hidden('hexadecimal digits').describe('key and salt in hexadecimal digits'),
    file: hidden('the path of a file with the hexadecimal digits'),
    env: hidden('the name of an environment variable'),
  },
  {
    error: (issue) =>
      `${issue.input === undefined ? 'missing' : 'not a mapping'}; write { hex: … }, { file: … } or { env: … }`,
  },
);
