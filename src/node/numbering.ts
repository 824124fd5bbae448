/**
 * Numbers for names, the native tables' way of speaking: interface 3, zone 2. A name keeps its number as long as
 * the node lives, since sessions, frames under way and counters go by it.
 */
export class Numbering {
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #first: number;

  /** first: the number of the first name. */
  constructor(first = 0, numbers: ReadonlyMap<string, number> = new Map()) {
    this.#first = first;
    this.#numbers = numbers;
  }

  /** With these names, too; what is known keeps its number. */
  with(names: Iterable<string>): Numbering {
    let numbers: Map<string, number> | undefined;
    for (const name of names) {
      if ((numbers ?? this.#numbers).has(name)) continue;
      numbers ??= new Map(this.#numbers);
      numbers.set(name, this.#first + numbers.size);
    }
    return numbers === undefined ? this : new Numbering(this.#first, numbers);
  }

  /** Throws RangeError for a name that it was never given. */
  of(name: string): number {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new RangeError(`no number for ${name}`);
    return number;
  }

  nameOf(number: number): string | undefined {
    for (const [name, value] of this.#numbers) if (value === number) return name;
    return undefined;
  }

  get size(): number {
    return this.#numbers.size;
  }

  names(): IterableIterator<string> {
    return this.#numbers.keys();
  }
}
