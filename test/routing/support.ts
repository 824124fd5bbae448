import ipaddr from 'ipaddr.js';
import { Address } from '../../dist/model/address.js';
import { Prefix } from '../../dist/model/prefix.js';
import type { Route, RouteNextHop, RouteProtocol } from '../../dist/routing/route.js';

export const address = (text: string) => new Address(Uint8Array.from(ipaddr.parse(text).toByteArray()));
export const prefix = (text: string) => {
  const [host, length] = text.split('/');
  return new Prefix(address(host!), Number(length));
};

export function route(
  routingInstance: string,
  to: string,
  protocol: RouteProtocol,
  nextHop: RouteNextHop,
  origin = 'configuration',
): Route {
  return { routingInstance, prefix: prefix(to), protocol, origin, nextHop, sinceMs: 0 };
}

export const via = (text: string): RouteNextHop => ({ kind: 'address', address: address(text) });
export const direct = (name: string): RouteNextHop => ({ kind: 'direct', interface: name });
