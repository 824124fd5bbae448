/** Addresses by number. Pure. */

import { parseAddress } from '../config/address.js';
import { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';

/** The address `offset` behind the one in the text. */
export function addressAt(base: string, offset = 0): Address {
  const parsed = parseAddress(base);
  if (parsed === undefined) throw new RangeError(`not an address: ${base}`);
  const bytes = Uint8Array.from(parsed.bytes);
  for (let i = bytes.length - 1, carry = offset; carry > 0 && i >= 0; i--) {
    carry += bytes[i]!;
    bytes[i] = carry & 0xff;
    carry = Math.floor(carry / 256);
  }
  return new Address(bytes);
}

/** `length` bits from there. */
export function prefixAt(base: string, offset: number, length: number): Prefix {
  return new Prefix(addressAt(base, offset), length);
}
