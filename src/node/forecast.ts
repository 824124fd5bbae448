/** What a change would do to the groups of a node, before it is made. */
import type { Config } from '../config/config.js';
import { movement } from '../lb/movement.js';
import type { ChashOptions } from '../pipeline/native.js';
import { configureServices, isEligible } from './services.js';
import { type NodeState, realServiceKey } from './state.js';

export interface GroupForecast {
  /** groupKey() */
  readonly group: string;
  readonly membersBefore: number;
  readonly membersAfter: number;
  /** of its table; one of another size deals most flows anew */
  readonly slotsBefore: number;
  readonly slotsAfter: number;
  /** parts of all flows, 0 to 1: that go to another member, and that had to */
  readonly moved: number;
  readonly unavoidable: number;
  /** parts that each member has, by name */
  readonly members: readonly { readonly name: string; readonly before: number; readonly after: number }[];
}

/**
 * Every group that the configuration has and the node has, too. Real services that are new are taken to come up; those
 * that are down or drained stay so. deal: the chash table of the options.
 */
export function forecast(
  state: NodeState,
  config: Config,
  deal: (options: ChashOptions) => Uint16Array,
): GroupForecast[] {
  const { state: next } = configureServices({ ...state, config }, config, 0);
  return [...next.groups].flatMap(([key, { instance, wanted }]): GroupForecast[] => {
    const before = state.groups.get(key);
    if (before === undefined) return [];
    const { realServices } = wanted.group;
    const dead = realServices
      .map(({ name }) => name)
      .filter((name) => {
        const service = realServiceKey(instance, name);
        return state.services.has(service) && !isEligible(state, service);
      });
    const slots = deal({
      members: realServices.map(({ name, weight }) => ({ name, weight })),
      dead,
      seed: BigInt(wanted.service.hashSeed),
      size: wanted.size,
      slack: 0,
    });
    const moved = movement(
      { members: before.group.realServices, slots: before.slots, dead: before.dead },
      { members: realServices, slots, dead: new Set(dead) },
    );
    const rehashed = isRehashed(before.service, wanted.service);
    return [
      {
        group: key,
        membersBefore: before.group.realServices.length,
        membersAfter: realServices.length,
        slotsBefore: before.slots.length,
        slotsAfter: slots.length,
        // another hash deals every flow anew: what stays with its member does so by chance
        moved: rehashed ? byChance(moved.members, moved.total) : moved.moved / moved.total,
        unavoidable: rehashed ? 0 : moved.unavoidable / moved.total,
        members: moved.members.flatMap(({ name, before: was, after: is }) =>
          name === null ? [] : [{ name, before: was / moved.total, after: is / moved.total }],
        ),
      },
    ];
  });
}

type Hash = { readonly hashKey: string; readonly hashSeed: number };
const isRehashed = (a: Hash, b: Hash) => a.hashKey !== b.hashKey || a.hashSeed !== b.hashSeed;

const byChance = (members: readonly { before: number; after: number }[], total: number) =>
  1 - members.reduce((sum, { before, after }) => sum + (before / total) * (after / total), 0);
