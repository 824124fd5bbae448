/** Traffic selectors narrowed (RFC 7296 §2.9): ranges of addresses against configured prefixes, ranges as prefixes. */
import type { TrafficSelectorConfig } from '../config/config.js';
import { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import type { TrafficSelectorRange } from '../wire/ike.js';
import type { ChildSelector } from './sa.js';

/** Our own bounds: prefixes of one CHILD SA's side, and pairs of them. */
export const mostPrefixes = 16;
export const mostPairs = 64;
const allPorts = [0, 0xffff] as const;

export function rangeOf(prefix: Prefix): TrafficSelectorRange {
  const first = prefix.network().address.bytes;
  return { protocol: 0, firstPort: 0, lastPort: 0xffff, first, last: lastOf(first, prefix.length) };
}

function lastOf(first: Uint8Array, length: number): Uint8Array {
  return first.map((byte, i) => byte | (0xff >> Math.min(8, Math.max(0, length - i * 8))));
}

/** What of the ranges is in the prefix. */
export function narrow(ranges: readonly TrafficSelectorRange[], prefix: Prefix): TrafficSelectorRange[] {
  const whole = rangeOf(prefix);
  return ranges.flatMap((range) => {
    if (range.first.length !== whole.first.length) return [];
    // OPAQUE and empty ranges of ports: nothing that we could hold a packet to
    if (range.firstPort > range.lastPort) return [];
    const first = Buffer.compare(range.first, whole.first) > 0 ? range.first : whole.first;
    const last = Buffer.compare(range.last, whole.last) < 0 ? range.last : whole.last;
    return Buffer.compare(first, last) > 0 ? [] : [{ ...range, first, last }];
  });
}

const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);

/** The fewest prefixes that make up a range; null when there are more than mostPrefixes. */
export function prefixesOf({ first, last }: TrafficSelectorRange): Prefix[] | null {
  const bits = first.length * 8;
  let from = toNumber(first);
  const to = toNumber(last);
  const prefixes: Prefix[] = [];
  while (from <= to) {
    if (prefixes.length === mostPrefixes) return null;
    let size = 0;
    while (size < bits && (from & (1n << BigInt(size))) === 0n && from + (1n << BigInt(size + 1)) - 1n <= to)
      size++;
    const hex = from.toString(16).padStart(first.length * 2, '0');
    prefixes.push(new Prefix(new Address(Uint8Array.from(Buffer.from(hex, 'hex'))), bits - size));
    from += 1n << BigInt(size);
  }
  return prefixes;
}

/** Every pair of both sides that a packet can be of; null when they are too many to hold. */
export function selectorsOf(
  local: readonly TrafficSelectorRange[],
  remote: readonly TrafficSelectorRange[],
): ChildSelector[] | null {
  const pairs: ChildSelector[] = [];
  for (const ours of local) {
    for (const theirs of remote) {
      if (ours.first.length !== theirs.first.length) continue;
      if (ours.protocol !== theirs.protocol && ours.protocol !== 0 && theirs.protocol !== 0) continue;
      const protocol = ours.protocol === 0 ? theirs.protocol : ours.protocol;
      const locals = prefixesOf(ours);
      const remotes = prefixesOf(theirs);
      if (locals === null || remotes === null) return null;
      for (const localPrefix of locals) {
        for (const remotePrefix of remotes) {
          if (pairs.length === mostPairs) return null;
          pairs.push({
            local: localPrefix,
            remote: remotePrefix,
            protocol,
            localPorts: protocol === 0 ? allPorts : [ours.firstPort, ours.lastPort],
            remotePorts: protocol === 0 ? allPorts : [theirs.firstPort, theirs.lastPort],
          });
        }
      }
    }
  }
  return pairs;
}

export interface Narrowed {
  readonly local: readonly TrafficSelectorRange[];
  readonly remote: readonly TrafficSelectorRange[];
  readonly selectors: readonly ChildSelector[];
}

/** What both sides may be by one traffic selector of the configuration; null: nothing. */
export function narrowBoth(
  { localIp, remoteIp }: TrafficSelectorConfig,
  local: readonly TrafficSelectorRange[],
  remote: readonly TrafficSelectorRange[],
): Narrowed | null {
  const ours = narrow(local, localIp);
  const theirs = narrow(remote, remoteIp);
  const selectors = ours.length === 0 || theirs.length === 0 ? [] : selectorsOf(ours, theirs);
  return selectors === null || selectors.length === 0 ? null : { local: ours, remote: theirs, selectors };
}

export const isSameRanges = (
  a: readonly TrafficSelectorRange[],
  b: readonly TrafficSelectorRange[],
): boolean =>
  a.length === b.length &&
  a.every((range, i) => {
    const other = b[i]!;
    return (
      range.protocol === other.protocol &&
      range.firstPort === other.firstPort &&
      range.lastPort === other.lastPort &&
      Buffer.compare(range.first, other.first) === 0 &&
      Buffer.compare(range.last, other.last) === 0
    );
  });

/** As people write them: 10.1.0.0/24, or 10.1.0.1-10.1.0.9; with protocol and ports where there are any. */
export function rangeText(range: TrafficSelectorRange): string {
  const prefixes = prefixesOf(range);
  const addresses =
    prefixes?.length === 1 ? String(prefixes[0]) : `${new Address(range.first)}-${new Address(range.last)}`;
  const ports =
    range.firstPort === 0 && range.lastPort === 0xffff ? '' : `/${range.firstPort}-${range.lastPort}`;
  return range.protocol === 0 && ports === '' ? addresses : `${addresses}[${range.protocol}${ports}]`;
}
