/** Traffic selectors (RFC 7296 §3.13): ranges of addresses and ports. */
import type { Bytes } from '../bytes.js';
import { bad, be16, concat, good, type IkeDecoded, Reader } from './decode.js';

export interface TrafficSelectorRange {
  /** 0: any */
  readonly protocol: number;
  /** both included; of OPAQUE the first is above the last */
  readonly firstPort: number;
  readonly lastPort: number;
  /** 4 or 16 bytes, both included */
  readonly first: Bytes;
  readonly last: Bytes;
}

/** Our own bound, of one payload. */
export const mostSelectors = 64;
const ipv4Range = 7;
const ipv6Range = 8;

/** Selectors of a type that is not known are left out (they match nothing that we have). */
export function decodeTrafficSelectors(body: Bytes): IkeDecoded<TrafficSelectorRange[]> {
  const reader = new Reader(body);
  const count = reader.u8();
  reader.bytes(3);
  if (reader.failed || count === 0 || count > mostSelectors) return bad('ike_bad_traffic_selector');
  const selectors: TrafficSelectorRange[] = [];
  for (let i = 0; i < count; i++) {
    const type = reader.u8();
    const protocol = reader.u8();
    const length = reader.u16();
    const range = new Reader(reader.bytes(length - 4));
    if (reader.failed) return bad('ike_bad_traffic_selector');
    if (type !== ipv4Range && type !== ipv6Range) continue;
    const firstPort = range.u16();
    const lastPort = range.u16();
    const bytes = type === ipv4Range ? 4 : 16;
    const first = range.bytes(bytes);
    const last = range.bytes(bytes);
    if (range.failed || range.left > 0) return bad('ike_bad_traffic_selector');
    selectors.push({ protocol, firstPort, lastPort, first, last });
  }
  return reader.left === 0 ? good(selectors) : bad('ike_bad_traffic_selector');
}

export function encodeTrafficSelectors(selectors: readonly TrafficSelectorRange[]): Bytes {
  if (selectors.length === 0 || selectors.length > 255)
    throw new RangeError(`from 1 to 255 traffic selectors, not ${selectors.length}`);
  return concat(
    Uint8Array.of(selectors.length, 0, 0, 0),
    ...selectors.map(({ protocol, firstPort, lastPort, first, last }) =>
      concat(
        Uint8Array.of(first.length === 4 ? ipv4Range : ipv6Range, protocol),
        be16(8 + first.length + last.length),
        be16(firstPort),
        be16(lastPort),
        first,
        last,
      ),
    ),
  );
}
