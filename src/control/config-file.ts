/** Configurations as files of this host. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { limits } from '../config/limits.js';
import { type Checked, checkConfig, type Surroundings } from '../config/load.js';
import type { Problem } from '../config/problem.js';

/** The files and environment of this process. */
export const surroundings: Surroundings = {
  readFile: (path) => readFileSync(path, 'utf8'),
  variable: (name) => process.env[name],
};

/** Reads and checks one file, - being standard input; what cannot be read is a problem, too. */
export function checkFile(file: string): Checked {
  const text = readText(file === '-' ? 0 : file);
  const name = file === '-' ? '<stdin>' : file;
  if (typeof text === 'string') return checkConfig(text, name, surroundings);
  return { config: null, problems: [unreadable(name, text.wrong)], warnings: [] };
}

export const unreadable = (file: string, message: string): Problem => ({
  file,
  line: 0,
  column: 0,
  path: '',
  message,
});

/** 0: standard input. */
export function readText(file: string | 0): string | { wrong: string } {
  let descriptor: number | undefined;
  try {
    descriptor = file === 0 ? 0 : openSync(file, 'r');
    const status = fstatSync(descriptor);
    if (status.isDirectory()) return { wrong: 'cannot be read: it is a directory' };
    // before it is in memory; checkConfig() says the same of what has no size
    if (status.size > limits.fileBytes) return { wrong: `larger than ${limits.fileBytes >> 20} MiB` };
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(descriptor));
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return { wrong: 'not a text file: it is not UTF-8' };
    const reasons: Record<string, string> = { ENOENT: 'there is no such file', EACCES: 'permission denied' };
    return { wrong: `cannot be read: ${reasons[String(code)] ?? (error as Error).message}` };
  } finally {
    if (descriptor !== undefined && descriptor !== 0) closeSync(descriptor);
  }
}
