/** Gateways and VPNs of a configuration, by what a message or an SA knows of them: there may be thousands. */
import type { IkeGatewayConfig, IkeVpnConfig } from '../config/config.js';
import type { IkePath } from './sa.js';

export interface IkeConfig {
  readonly gateways: readonly IkeGatewayConfig[];
  readonly vpns: readonly IkeVpnConfig[];
}

const placeOf = (routingInstance: string, ...addresses: readonly unknown[]) =>
  [routingInstance, ...addresses.map(String)].join(' ');

const listed = <T>(items: readonly T[], key: (item: T) => string): ReadonlyMap<string, readonly T[]> => {
  const lists = new Map<string, T[]>();
  for (const item of items) {
    const list = lists.get(key(item));
    if (list === undefined) lists.set(key(item), [item]);
    else list.push(item);
  }
  return lists;
};

export class Policies {
  readonly gateways: ReadonlyMap<string, IkeGatewayConfig>;
  readonly vpns: ReadonlyMap<string, IkeVpnConfig>;
  readonly #vpnsOf: ReadonlyMap<string, readonly IkeVpnConfig[]>;
  readonly #byEnds: ReadonlyMap<string, readonly IkeGatewayConfig[]>;

  constructor({ gateways, vpns }: IkeConfig) {
    this.gateways = new Map(gateways.map((gateway) => [gateway.name, gateway]));
    this.vpns = new Map(vpns.map((vpn) => [vpn.name, vpn]));
    this.#vpnsOf = listed(vpns, ({ gateway }) => gateway);
    this.#byEnds = listed(gateways, ({ routingInstance, localAddress, address }) =>
      placeOf(routingInstance, localAddress, address ?? '*'),
    );
  }

  vpnsOf(gateway: string): readonly IkeVpnConfig[] {
    return this.#vpnsOf.get(gateway) ?? [];
  }

  /** Names of gateways that a peer at this address may be of: one with its address goes before those for whoever comes. */
  gatewaysFor({ local, remote, routingInstance }: IkePath): string[] {
    const at = (address: unknown) => this.#byEnds.get(placeOf(routingInstance, local, address)) ?? [];
    return [...at(remote), ...at('*')].map(({ name }) => name);
  }
}
