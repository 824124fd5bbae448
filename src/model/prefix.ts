import { Address, type Family } from './address.js';

/** An address and a prefix length in bits. Whether bits behind the length may be set is the user's matter. */
export class Prefix {
  readonly address: Address;
  readonly length: number;

  /** Throws RangeError unless 0 ≤ length ≤ 32 (IPv4) or 128 (IPv6). */
  constructor(address: Address, length: number) {
    const most = address.bytes.length * 8;
    if (!Number.isInteger(length) || length < 0 || length > most) {
      throw new RangeError(`a prefix length is a whole number from 0 to ${most}, not ${length}`);
    }
    this.address = address;
    this.length = length;
  }

  get family(): Family {
    return this.address.family;
  }

  /** The same prefix with every bit behind its length zero. */
  network(): Prefix {
    const bytes = this.address.bytes.map((byte, i) => {
      const bits = Math.min(8, Math.max(0, this.length - i * 8));
      return byte & (0xff00 >> bits);
    });
    return new Prefix(new Address(bytes), this.length);
  }

  isNetwork(): boolean {
    return this.network().address.equals(this.address);
  }

  /** The prefix of one host: /32 or /128. */
  static host(address: Address): Prefix {
    return new Prefix(address, address.bytes.length * 8);
  }

  contains(address: Address): boolean {
    if (address.family !== this.family) return false;
    const whole = this.length >> 3;
    for (let i = 0; i < whole; i++) {
      if (address.bytes[i] !== this.address.bytes[i]) return false;
    }
    const mask = 0xff00 >> (this.length & 7);
    return (
      (this.length & 7) === 0 || ((address.bytes[whole]! ^ this.address.bytes[whole]!) & mask & 0xff) === 0
    );
  }

  equals(other: Prefix): boolean {
    return this.length === other.length && this.address.equals(other.address);
  }

  toString(): string {
    return `${this.address}/${this.length}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** Whether a prefix is what is meant: this one, longer ones below it, or both. */
export function prefixHolds(
  { prefix, how }: { readonly prefix: Prefix; readonly how: 'exact' | 'longer' | 'orlonger' },
  of: Prefix,
): boolean {
  if (prefix.equals(of)) return how !== 'longer';
  return how !== 'exact' && prefix.length < of.length && prefix.contains(of.address);
}
