/**
 * The tables that sticky groups go on from after a restart, in one file of the state directory. Copied to another
 * router's before that starts, it goes on from the same tables, and their digests agree.
 *
 *   {"version":1,"tables":{"TRUST_VR 10.0.0.1/32":{"members":["10.1.1.2","10.1.2.2"],"home":"AAABAAEA…"}}}
 *
 * home: for each slot the member's number, 16 bits, little-endian, in base64.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { StickyTable } from '../node/state.js';
import { codeOf } from './errors.js';

export const tableFile = 'ecmp-tables.json';

const shape = z.object({
  version: z.literal(1),
  tables: z.record(z.string(), z.object({ members: z.array(z.string()).max(1024), home: z.base64() })),
});

export class TableStore {
  readonly #path: string;
  readonly #tables = new Map<string, StickyTable>();
  #unsaved = false;
  /** why the file that is there could not be used; null: it could, or there is none */
  readonly fault: string | null;

  constructor(directory: string) {
    this.#path = join(directory, tableFile);
    let fault: string | null = null;
    try {
      const { tables } = shape.parse(JSON.parse(readFileSync(this.#path, 'utf8')));
      for (const [group, { members, home }] of Object.entries(tables)) {
        const slots = slotsOf(home);
        if (slots.every((member) => member < members.length))
          this.#tables.set(group, { members, home: slots });
        else fault = `${this.#path}: ${group} names members that it does not list; it begins anew`;
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') fault = `${this.#path} cannot be read, so tables begin anew`;
    }
    this.fault = fault;
  }

  get tables(): ReadonlyMap<string, StickyTable> {
    return this.#tables;
  }

  keep(group: string, table: StickyTable): void {
    this.#tables.set(group, table);
    this.#unsaved = true;
  }

  /** Throws what the disk throws. */
  save(): void {
    if (!this.#unsaved) return;
    const tables = Object.fromEntries(
      [...this.#tables].map(([group, { members, home }]) => [group, { members, home: textOf(home) }]),
    );
    const temporary = `${this.#path}.new`;
    const file = openSync(temporary, 'w', 0o600);
    try {
      writeSync(file, `${JSON.stringify({ version: 1, tables })}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, this.#path);
    this.#unsaved = false;
  }
}

function slotsOf(text: string): Uint16Array {
  const bytes = Buffer.from(text, 'base64');
  return Uint16Array.from({ length: bytes.length >> 1 }, (_, slot) => bytes.readUInt16LE(2 * slot));
}

function textOf(slots: Uint16Array): string {
  const bytes = Buffer.from(slots.buffer, slots.byteOffset, slots.byteLength);
  return (endianness() === 'LE' ? bytes : Buffer.from(bytes).swap16()).toString('base64');
}
