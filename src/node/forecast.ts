/** What a change would do to the groups of a node, before it is made. */
import type { Config, HashConfig } from '../config/config.js';
import { movement } from '../lb/movement.js';
import type { ChashOptions } from '../pipeline/native.js';
import { isEligible, tableOptions } from './groups.js';
import { configureServices } from './services.js';
import type { NodeState } from './state.js';

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
  return [...next.groups].flatMap(([key, { wanted }]): GroupForecast[] => {
    const before = state.groups.get(key);
    if (before === undefined) return [];
    const { members } = wanted;
    const dead = members
      .filter((member) => state.services.has(member.key) && !isEligible(state, member.key))
      .map(({ name }) => name);
    const slots = deal(tableOptions(wanted, dead));
    const moved = movement(
      { members: before.members, slots: before.slots, dead: before.dead },
      { members, slots, dead: new Set(dead) },
    );
    const rehashed = isRehashed(before.hash, wanted.hash);
    return [
      {
        group: key,
        membersBefore: before.members.length,
        membersAfter: members.length,
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

const isRehashed = (a: HashConfig, b: HashConfig) =>
  a.key !== b.key || a.function !== b.function || a.seed !== b.seed;

const byChance = (members: readonly { before: number; after: number }[], total: number) =>
  1 - members.reduce((sum, { before, after }) => sum + (before / total) * (after / total), 0);
