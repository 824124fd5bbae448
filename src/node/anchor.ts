/**
 * Which unit each IKE gateway is anchored on, and with it all its IPsec sessions: as services processing units (SPUs) do it
 * (reference: IPsec VPN overview, "Distribution of IKE and IPsec Sessions Across SPUs"). Here a unit is a worker. Pure.
 *
 * A gateway stays where it is as long as the unit is there: a unit that is added anchors what comes later, and moves nothing.
 */

/** A gateway with the tunnels to it; the unit's load counts it once, however many those are. */
export interface AnchoredGateway {
  readonly unit: number;
  readonly kind: GatewayKind;
}

/** site-to-site: both ends are known from the start (manual keys, too). dynamic: whoever comes. */
export type GatewayKind = 'site-to-site' | 'dynamic';

export interface Anchors {
  /** by the gateway's name */
  readonly gateways: ReadonlyMap<string, AnchoredGateway>;
  /** the unit whose turn it is among dynamic gateways */
  readonly turn: number;
}

export const noAnchors: Anchors = { gateways: new Map(), turn: 0 };

/**
 * With these gateways anchored, too: site-to-site ones on the unit with the least load, the lowest of equals; dynamic ones
 * in turn. flowThreads: of each unit, at least 1. A gateway whose unit is no longer there is anchored anew.
 */
export function anchorGateways(
  anchors: Anchors,
  wanted: Iterable<readonly [name: string, kind: GatewayKind]>,
  flowThreads: readonly number[],
): Anchors {
  if (flowThreads.length === 0) throw new RangeError('there is no unit to anchor on');
  const units = flowThreads.length;
  let gateways: Map<string, AnchoredGateway> | null = null;
  let { turn } = anchors;
  let counts: number[] | null = null;
  for (const [name, kind] of wanted) {
    const before = (gateways ?? anchors.gateways).get(name);
    if (before !== undefined && before.unit < units) continue;
    gateways ??= new Map(anchors.gateways);
    counts ??= siteToSiteGateways(anchors, units);
    let unit: number;
    if (kind === 'dynamic') {
      unit = turn % units;
      turn = (unit + 1) % units;
    } else {
      unit = leastLoaded(counts, flowThreads);
      counts[unit]!++;
    }
    gateways.set(name, { unit, kind });
  }
  return gateways === null ? anchors : { gateways, turn };
}

/** With these on the units named, whatever their load. */
export function pinGateways(anchors: Anchors, pinned: ReadonlyMap<string, number>): Anchors {
  if (pinned.size === 0) return anchors;
  const gateways = new Map(anchors.gateways);
  for (const [name, unit] of pinned) gateways.set(name, { unit, kind: 'site-to-site' });
  return { ...anchors, gateways };
}

/** Without gateways that have no tunnel any more. */
export function releaseGateways(anchors: Anchors, names: Iterable<string>): Anchors {
  const gateways = new Map(anchors.gateways);
  for (const name of names) gateways.delete(name);
  return gateways.size === anchors.gateways.size ? anchors : { ...anchors, gateways };
}

/** Tunnel load factor = tunnels anchored on the unit / flow threads that it uses (reference, same place). */
export const loadFactor = (tunnels: number, flowThreads: number): number => tunnels / flowThreads;

/** Load counts the site-to-site gateways alone: dynamic ones go in turn, whatever they find. */
function siteToSiteGateways({ gateways }: Anchors, units: number): number[] {
  const counts = new Array<number>(units).fill(0);
  for (const { unit, kind } of gateways.values()) {
    if (kind === 'site-to-site' && unit < units) counts[unit]!++;
  }
  return counts;
}

function leastLoaded(counts: readonly number[], flowThreads: readonly number[]): number {
  let best = 0;
  for (let unit = 1; unit < counts.length; unit++) {
    // a / b < c / d without rounding
    if (counts[unit]! * flowThreads[best]! < counts[best]! * flowThreads[unit]!) best = unit;
  }
  return best;
}
