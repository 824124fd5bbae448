/**
 * An SA file on disk. Its numbers are replaced as a whole or not at all, and only if the file is still what was read: two
 * commands on one file can never both believe that the same IV is theirs.
 */
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Exit } from './exit-codes.js';

const othersMayRead = 0o004;
const othersMayWrite = 0o002;
const groupMay = 0o060;
/** how long another command may take for its few system calls */
const patienceMs = 1000;

/** Throws ConfigError's kin: an Exit that names the file and the mend. */
function refuse(file: string, message: string): never {
  throw new Exit('badConfiguration', `${file}: ${message}`);
}

/**
 * The text of a file with a key in it. Refuses one that any other user may read or write, and calls `warn` for one that its
 * group may.
 */
export function readSecretFile(file: string, warn: (message: string) => void): string {
  const descriptor = openSync(file, 'r');
  try {
    const { mode } = fstatSync(descriptor);
    const text = `mode 0${(mode & 0o777).toString(8)}`;
    if ((mode & othersMayRead) !== 0)
      refuse(file, `${text}: other users may read the key; chmod 600 ${file}`);
    if ((mode & othersMayWrite) !== 0) refuse(file, `${text}: other users may change it; chmod 600 ${file}`);
    if ((mode & groupMay) !== 0)
      warn(`${file}: ${text}: its group may read or change the key; chmod 600 ${file}`);
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

export class SaStore {
  readonly #shown: string;
  readonly #file: string;
  #text: string;

  /** text: what readSecretFile() gave. */
  constructor(file: string, text: string) {
    this.#shown = file;
    // a symbolic link stays one
    this.#file = realpathSync(file);
    this.#text = text;
  }

  /**
   * Replaces the file, durably on return. Throws an Exit, and nothing is changed, when someone else has changed the file or
   * is about to.
   */
  async replace(text: string): Promise<void> {
    const next = `${this.#file}.next`;
    // who creates this file has the right to replace the other
    const descriptor = await this.#create(next);
    try {
      try {
        if (readFileSync(this.#file, 'utf8') !== this.#text) {
          throw new Exit(
            'failure',
            `${this.#shown}: changed while it was in use; nothing was written, try again`,
          );
        }
        const current = openSync(this.#file, 'r');
        fchmodSync(descriptor, fstatSync(current).mode & 0o777);
        closeSync(current);
        for (let bytes = Buffer.from(text); bytes.length > 0; ) {
          bytes = bytes.subarray(writeSync(descriptor, bytes));
        }
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
      renameSync(next, this.#file);
    } catch (error) {
      rmSync(next, { force: true });
      throw error;
    }
    const directory = openSync(dirname(this.#file), 'r');
    fsyncSync(directory);
    closeSync(directory);
    this.#text = text;
  }

  async #create(next: string): Promise<number> {
    for (let waited = 0; ; waited += 10) {
      try {
        return openSync(next, 'wx', 0o600);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        if (waited >= patienceMs) {
          throw new Exit(
            'failure',
            `${next} is left of a command that was killed, or of one at work; remove it if none is`,
          );
        }
      }
      await sleep(10);
    }
  }
}
