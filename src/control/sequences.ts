/**
 * Where outbound sequence numbers of configured keys go on after a restart. The peer keeps its anti-replay window over
 * our restart, so a number that starts at 1 again would be dropped there. Numbers are reserved ahead, a block at a time,
 * and a run begins behind what the one before had reserved: with ESN the receiver finds the upper half of a number that
 * jumps by less than 2³¹ (RFC 4303 appendix A2).
 *
 * Nothing of security rests on this: nonces come of the generation.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Numbers reserved ahead; a run may skip as many. Half of it must last until the next note(). */
export const reservedAhead = 1n << 20n;

export class SequenceStore {
  readonly #path: string;
  readonly #reserved = new Map<string, bigint>();
  #unsaved = false;

  /** What cannot be read begins anew. */
  constructor(directory: string) {
    this.#path = join(directory, 'sequences');
    try {
      const saved: unknown = JSON.parse(readFileSync(this.#path, 'utf8'));
      for (const [sa, text] of Object.entries(saved as Record<string, unknown>)) {
        if (typeof text === 'string' && /^\d{1,20}$/.test(text)) this.#reserved.set(sa, BigInt(text));
      }
    } catch {
      // none was saved, or it was cut short
    }
  }

  /** The first number of an SA in this run; reserves from there. most: the last that it has. */
  begin(sa: string, most: bigint): bigint {
    const saved = this.#reserved.get(sa) ?? 1n;
    const first = saved < most ? saved : most;
    this.note(sa, first);
    return first;
  }

  /** The SA stands at this number; save() is needed when this returns true. */
  note(sa: string, next: bigint): boolean {
    const reserved = this.#reserved.get(sa) ?? 0n;
    if (next + reservedAhead / 2n > reserved) {
      this.#reserved.set(sa, next + reservedAhead);
      this.#unsaved = true;
    }
    return this.#unsaved;
  }

  /** Throws what the disk throws. */
  save(): void {
    if (!this.#unsaved) return;
    const text = JSON.stringify(
      Object.fromEntries([...this.#reserved].map(([sa, value]) => [sa, String(value)])),
    );
    const temporary = `${this.#path}.new`;
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, this.#path);
    this.#unsaved = false;
  }
}
