/**
 * The node's generation: a number that is never used twice, however the process ends, so that keys which outlive it
 * (those of a configuration) never meet an IV of an earlier run (specs: IV = node-id | epoch | counter; the epoch of a
 * configured key is the generation).
 *
 * A generation is claimed by creating the file `generation.N`, which only one process can, and is used only after the
 * file and its directory entry are on disk. So a crash at any point costs a number at most, nothing can be torn, and
 * two processes on one directory get different numbers. `state` stands for "there were generations here": where it is
 * and no generation is, they were lost, and nobody knows what has been used.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** What claiming needs of a disk. Paths are of one directory and of files in it. */
export interface Disk {
  makeDirectory(path: string): void;
  list(path: string): string[];
  /** False when it is there already. The file itself is durable on return, its directory entry not yet. */
  createExclusively(path: string): boolean;
  /** Directory entries are durable on return. */
  syncDirectory(path: string): void;
  remove(path: string): void;
}

export const disk: Disk = {
  makeDirectory: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
  list: (path) => readdirSync(path),
  createExclusively: (path) => {
    let file: number;
    try {
      file = openSync(path, 'wx', 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
    fsyncSync(file);
    closeSync(file);
    return true;
  },
  syncDirectory: (path) => {
    const directory = openSync(path, 'r');
    fsyncSync(directory);
    closeSync(directory);
  },
  remove: (path) => rmSync(path, { force: true }),
};

const marker = 'state';
const claimPattern = /^generation\.([1-9]\d{0,15})$/;
/** Claims that stay: a listing is no snapshot, and must not miss all of them while other processes claim. */
const kept = 8;

/**
 * The next generation, from 1 on; null when earlier ones were lost. Throws what the disk throws (EACCES, ENOSPC, …).
 */
export function claimGeneration(directory: string, on: Disk = disk): number | null {
  on.makeDirectory(directory);
  const before = on.list(directory);
  let highest = Math.max(0, ...claimsIn(before));
  if (highest === 0 && before.includes(marker)) return null;
  for (;;) {
    const mine = highest + 1;
    const path = join(directory, `generation.${mine}`);
    const created = on.createExclusively(path);
    const claims = claimsIn(on.list(directory));
    highest = Math.max(mine, ...claims);
    if (!created) continue;
    if (highest > mine) {
      // another process has gone past it: this one may have been used and removed before
      on.remove(path);
      continue;
    }
    on.syncDirectory(directory);
    // only now, so that the marker never stands without a generation
    if (!before.includes(marker)) {
      on.createExclusively(join(directory, marker));
      on.syncDirectory(directory);
    }
    for (const older of claims) {
      if (older <= mine - kept) on.remove(join(directory, `generation.${older}`));
    }
    return mine;
  }
}

function claimsIn(names: readonly string[]): number[] {
  return names.flatMap((name) => {
    const match = claimPattern.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

/** The epoch has 12 bits of the IV. */
export const largestEpoch = 4095;

/** The epoch of keys whose base generation this is, or null when there is none left or the generation is unknown. */
export function epochOf(generation: number | null, base = 0): number | null {
  if (generation === null) return null;
  const epoch = generation - base;
  return epoch >= 0 && epoch <= largestEpoch ? epoch : null;
}
