/**
 * All that a simulation draws: faults, keys, SPIs, times. Seeded, quick, and the same on every machine (32-bit integer
 * arithmetic alone). Each use has a sequence of its own by name, so that one more draw here changes nothing there.
 */
export class Draws {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, name: string) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = hash >>> 0;
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 0 ≤ n < 2³². sfc32 (Doty-Humphrey, PractRand). */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    this.#c |= 0;
    return sum >>> 0;
  }

  /** 0 ≤ n < limit ≤ 2³²; the bias is under limit / 2³². */
  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  /** least ≤ n ≤ most */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  chance(parts: number, of: number): boolean {
    return this.below(of) < parts;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i += 4) {
      const word = this.next();
      for (let j = i; j < Math.min(count, i + 4); j++) bytes[j] = word >>> (8 * (j - i));
    }
    return bytes;
  }
}
