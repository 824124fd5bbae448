/** Flows counted by cell, seen as flows of the slots of tables: native/core/chash/flow_count.h says what a cell is. */
import type { FlowCounts } from '../../pipeline/native.js';
import { type Overlaps, slotEnd } from '../movement.js';

const hashes = 4294967296;

export class Cells {
  readonly sizes: readonly number[];
  readonly count: number;
  readonly #slots = new Map<number, Uint32Array>();

  /** Sizes of tables, in any order and number; each counts once. */
  constructor(sizes: Iterable<number>) {
    this.sizes = [...new Set(sizes)].sort((a, b) => a - b);
    this.count = this.sizes.reduce((sum, size) => sum + size - 1, 1);
    const at = this.sizes.map(() => 0);
    const slots = this.sizes.map(() => new Uint32Array(this.count));
    for (let cell = 0; cell < this.count; ) {
      for (const [i, slot] of at.entries()) slots[i]![cell] = slot;
      const ends = at.map((slot, i) => slotEnd(slot, this.sizes[i]!));
      const next = Math.min(...ends);
      // where slots of several tables end together, the numbers between belong to no hash
      for (const [i, end] of ends.entries()) {
        if (end !== next) continue;
        at[i]!++;
        cell++;
      }
    }
    for (const [i, size] of this.sizes.entries()) this.#slots.set(size, slots[i]!);
  }

  /** For movement(): what flows (or their bytes) the slots of tables of these two sizes share. */
  overlaps(before: number, after: number, counts: Float64Array): Overlaps {
    const oldSlots = this.#slots.get(before)!;
    const newSlots = this.#slots.get(after)!;
    return (visit) => {
      counts.forEach((count, cell) => {
        if (count > 0) visit(oldSlots[cell]!, newSlots[cell]!, count);
      });
    };
  }

  /**
   * How many hash values each cell has, in slots of the largest of these tables where the others' sizes divide its size and
   * that is a power of two, else in hash values.
   */
  widths(tableSizes: readonly number[]): { widths: Float64Array; unit: 'slots' | 'hash values' } {
    const largest = Math.max(...tableSizes);
    const isWhole = hashes % largest === 0 && tableSizes.every((size) => largest % size === 0);
    const unit = isWhole ? hashes / largest : 1;
    const widths = new Float64Array(this.count);
    let start = 0;
    for (let cell = 0; cell < this.count; cell++) {
      const end = Math.min(...this.sizes.map((size) => slotEnd(this.#slots.get(size)![cell]!, size)));
      // a cell of no hash has the slots 0, which ended long before
      widths[cell] = Math.max(0, end - start) / unit;
      start = Math.max(start, end);
    }
    return { widths, unit: isWhole ? 'slots' : 'hash values' };
  }

  /** The slot, in a table of this size, of each cell. */
  slots(size: number): Uint32Array {
    return this.#slots.get(size)!;
  }
}

export function emptyCounts(cells: Cells): FlowCounts {
  return { flows: new Float64Array(cells.count), bytes: new Float64Array(cells.count) };
}

export function addCounts(to: FlowCounts, more: FlowCounts): void {
  for (let cell = 0; cell < to.flows.length; cell++) {
    to.flows[cell]! += more.flows[cell]!;
    to.bytes[cell]! += more.bytes[cell]!;
  }
}
