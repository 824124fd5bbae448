const shown = '<secret>';

/**
 * Bytes that no log, message or dump of an object may show. They can be read only by calling reveal(), and
 * are zeroised by wipe().
 */
export class Secret {
  readonly #bytes: Uint8Array;

  /** Takes the bytes over: the caller keeps no copy. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** The bytes themselves, not a copy: zero after wipe(). */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  wipe(): void {
    this.#bytes.fill(0);
  }

  /** In time that depends on the lengths alone. */
  equals(other: Secret): boolean {
    if (this.#bytes.length !== other.#bytes.length) return false;
    let difference = 0;
    this.#bytes.forEach((byte, i) => {
      difference |= byte ^ other.#bytes[i]!;
    });
    return difference === 0;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  // what console.log and util.inspect call; a well-known symbol of Node, so nothing is imported
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return shown;
  }
}
