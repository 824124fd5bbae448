import ipaddr from 'ipaddr.js';
import { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';

/** Four decimal numbers, or IPv6 without a zone; undefined for anything else. */
export function parseAddress(text: string): Address | undefined {
  const inet = parseInet(text);
  if (inet !== undefined) return new Address(inet);
  if (!text.includes(':') || text.includes('%') || text.length > 45 || !ipaddr.IPv6.isValid(text))
    return undefined;
  return new Address(Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray()));
}

/** ipaddr.js also reads 0x7f.1 and 010.0.0.1 (octal), which no configuration means; and lists have millions of them. */
function parseInet(text: string): Uint8Array | undefined {
  if (text.length > 15) return undefined;
  const bytes = new Uint8Array(4);
  let part = 0;
  let value = -1;
  for (let at = 0; at <= text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit >= 0 && digit <= 9) {
      // a leading zero, or too much for a byte
      if (value === 0) return undefined;
      value = Math.max(0, value) * 10 + digit;
      if (value > 255) return undefined;
      continue;
    }
    const isEnd = at === text.length;
    if (value < 0 || (isEnd ? part !== 3 : digit !== dot || part === 3)) return undefined;
    bytes[part++] = value;
    value = -1;
  }
  return bytes;
}
const dot = '.'.charCodeAt(0) - 48;

/** `address/length`; undefined for anything else. Bits behind the length may be set. */
export function parsePrefix(text: string): Prefix | undefined {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  if (match === null) return undefined;
  const address = parseAddress(match[1]!);
  const length = Number(match[2]);
  if (address === undefined || length > address.bytes.length * 8) return undefined;
  return new Prefix(address, length);
}

/** Why no host can have this address, or undefined. */
export function notAHost(address: Address): string | undefined {
  const parsed = ipaddr.fromByteArray([...address.bytes]);
  const range = parsed.range();
  if (range === 'multicast' || range === 'unspecified' || range === 'loopback' || range === 'broadcast') {
    return `${range === 'unspecified' ? 'the unspecified' : `a ${range}`} address`;
  }
  if (range === 'ipv4Mapped') return 'an IPv4-mapped address';
  return address.family === 'inet' && address.bytes[0] === 0 ? 'an address of 0.0.0.0/8' : undefined;
}
