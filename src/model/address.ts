export type Family = 'inet' | 'inet6';

/** An IPv4 or IPv6 address: 4 or 16 bytes in network order. Its text is canonical (RFC 5952). */
export class Address {
  readonly bytes: Uint8Array;
  #text: string | undefined;

  /** Throws RangeError unless there are 4 or 16 bytes; keeps a copy. */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
    }
    this.bytes = new Uint8Array(bytes);
  }

  get family(): Family {
    return this.bytes.length === 4 ? 'inet' : 'inet6';
  }

  equals(other: Address): boolean {
    return this.toString() === other.toString();
  }

  toString(): string {
    this.#text ??= this.bytes.length === 4 ? this.bytes.join('.') : textOfInet6(this.bytes);
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }
}

function textOfInet6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! << 8) | bytes[i + 1]!);
  // RFC 5952 §4.2: the longest run of at least two zero groups is shortened, the first of equals
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
    if (end > i) i = end;
  }
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return start < 0 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`;
}
