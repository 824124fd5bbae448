/** A route and where it leads. Values only. */
import type { Address } from '../model/address.js';
import type { Prefix } from '../model/prefix.js';

export type RouteProtocol = 'direct' | 'local' | 'tlb' | 'static' | 'ari-ts' | 'kernel' | 'signal';

/**
 * Lower wins. Those of Junos: direct and local 0, static 5, ARI (protocol ari-ts) 5, kernel 40; TLB's and signal routes (of
 * services redundancy groups) as static ones.
 */
export const preferenceOf: Readonly<Record<RouteProtocol, number>> = {
  direct: 0,
  local: 0,
  tlb: 1,
  static: 5,
  'ari-ts': 5,
  kernel: 40,
  signal: 5,
};

export type RouteNextHop =
  | { readonly kind: 'local'; readonly interface: string }
  /** the destination itself is on this link */
  | { readonly kind: 'direct'; readonly interface: string }
  /** a neighbour, or an address that other routes of the instance lead to */
  | {
      readonly kind: 'address';
      readonly address: Address;
      /** where the address is looked up; the route's own when left out */
      readonly routingInstance?: string;
    }
  | { readonly kind: 'tunnel'; readonly tunnel: string; readonly interface: string }
  /** a virtual service: its group's members share what comes */
  | { readonly kind: 'group'; readonly group: string }
  /** neighbours, or addresses that lead to some, which share what comes: a group whose members they are */
  | {
      readonly kind: 'ecmp';
      readonly group: string;
      readonly addresses: readonly Address[];
      readonly routingInstance?: string;
    }
  /** what the source address leads to in that routing instance */
  | { readonly kind: 'by-source'; readonly routingInstance: string }
  | { readonly kind: 'discard' };

export interface Route {
  readonly routingInstance: string;
  readonly prefix: Prefix;
  readonly protocol: RouteProtocol;
  /** who says so: an interface, a VPN, a virtual service, an exporter's name, or 'configuration' */
  readonly origin: string;
  readonly nextHop: RouteNextHop;
  /** its own; otherwise the protocol's */
  readonly preference?: number;
  /** the instance that it was taken over from */
  readonly importedFrom?: string;
  /** of the clock that was handed in, when it came */
  readonly sinceMs: number;
}

/** A neighbour on a link: what an address next hop comes down to. */
export interface Adjacency {
  readonly interface: string;
  readonly address: Address;
}

/** Lower wins. */
export const preferenceOfRoute = ({ preference, protocol }: Route): number =>
  preference ?? preferenceOf[protocol];
