/** The groups of a configuration as plans and explanations see them: the only place here that knows its shape. */
import type { Config, HashConfig } from '../../config/config.js';
import { limits } from '../../config/limits.js';
import type { Address } from '../../model/address.js';
import { defaultTableSize } from '../chash.js';
import type { HashFunction, HashKey } from '../keys.js';

export interface GroupMember {
  readonly name: string;
  readonly weight: number;
}

export interface PlannedGroup {
  /** the group's, with its virtual service's where the services of one group balance differently */
  readonly name: string;
  /** virtual services whose flows it shares out: their names, and where those flows are sent to */
  readonly virtualServices: readonly { readonly name: string; readonly address: Address }[];
  readonly members: readonly GroupMember[];
  readonly hashKey: HashKey;
  readonly hash: HashFunction;
  readonly seed: bigint;
  /** slots; null: by the number of members */
  readonly size: number | null;
  /** a fraction */
  readonly slack: number;
  readonly sticky: boolean;
}

export const tableSizeOf = (group: PlannedGroup, members: number) => group.size ?? defaultTableSize(members);

/** In the file's order. Virtual services of one group that balance alike are one. */
export function plannedGroups(config: Config): PlannedGroup[] {
  const found = new Map<string, PlannedGroup & { plain: string }>();
  for (const instance of config.trafficLoadBalance) {
    for (const service of instance.virtualServices) {
      const { realServices } = instance.groups.find(({ name }) => name === service.group)!;
      const group = {
        plain: service.group,
        name: service.group,
        virtualServices: [{ name: service.name, address: service.address }],
        members: realServices.map(({ name, weight }) => ({ name, weight })),
        ...hashingOf(service.hash),
        sticky: false,
      };
      const { hashKey, hash, seed, size, slack, sticky } = group;
      const key = [instance.name, service.group, hashKey, hash, seed, size, slack, sticky].join(' ');
      const before = found.get(key);
      found.set(
        key,
        before === undefined
          ? group
          : { ...before, virtualServices: [...before.virtualServices, ...group.virtualServices] },
      );
    }
  }
  const all = [...found.values()];
  const services = all.map(({ plain, ...group }) => {
    const isAlone = all.filter((other) => other.plain === plain).length === 1;
    return isAlone ? group : { ...group, name: `${plain}/${group.virtualServices[0]!.name}` };
  });
  return [...services, ...ecmpGroups(config)];
}

/** Next hops that share a route's traffic, under the name that show has for them. */
function ecmpGroups(config: Config): PlannedGroup[] {
  return config.routingInstances.flatMap(({ name: instance, staticRoutes }) =>
    staticRoutes.flatMap(({ prefix, preference, nextHop }): PlannedGroup[] => {
      if (nextHop.kind !== 'ecmp') return [];
      const backup = preference === limits.preference.fallback ? '' : ` preference ${preference}`;
      return [
        {
          name: `${instance} ${prefix}${backup}`,
          virtualServices: [{ name: String(prefix), address: prefix.address }],
          members: nextHop.members.map(({ name, weight }) => ({ name, weight })),
          ...hashingOf(nextHop.hash),
          sticky: nextHop.sticky,
        },
      ];
    }),
  );
}

function hashingOf({ key, function: hash, seed, size, slack }: HashConfig) {
  return {
    hashKey: key,
    hash,
    seed: BigInt(seed),
    size: size === 0 ? null : size,
    slack: slack / 10_000,
  } as const;
}
