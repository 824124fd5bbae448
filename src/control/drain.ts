/** Takes real services out of the choice for new flows, and puts them back. */
import type { NodeEvent } from '../node/event.js';
import { isEligible } from '../node/groups.js';
import type { NodeState } from '../node/state.js';

export interface DrainView {
  readonly realServices: readonly {
    readonly instance: string;
    readonly name: string;
    readonly drained: boolean;
    /** whether it was so before */
    readonly unchanged: boolean;
  }[];
}

/**
 * name: of a real service in every instance that has it, or `instance/name`; in all groups that it is in. Throws Error
 * that names the ones there are, or the group that would have none left (unless forced).
 */
export function drainEvent(
  state: NodeState,
  name: string,
  drained: boolean,
  force: boolean,
): { event: NodeEvent; view: DrainView } {
  const all = [...state.entries].flatMap(([key, entry]) =>
    entry.kind === 'real-service'
      ? [{ key, instance: entry.instance, name: entry.name, path: `${entry.instance}/${entry.name}` }]
      : [],
  );
  const found = all.filter((entry) => entry.path === name || entry.name === name);
  if (found.length === 0) {
    const paths = [...new Set(all.map(({ path }) => path))];
    const there = paths.length === 0 ? 'this node balances nothing' : `there is ${paths.join(', ')}`;
    throw new Error(`no real service ${name}; ${there}`);
  }
  const keys = found.map(({ key }) => key);
  if (drained && !force) requireAnother(state, new Set(keys));
  // one that is in several groups is told once
  const told = [...new Map(found.map((entry) => [entry.path, entry])).values()];
  return {
    event: { kind: 'drained', realServices: keys, drained },
    view: {
      realServices: told.map((entry) => ({
        instance: entry.instance,
        name: entry.name,
        drained,
        unchanged: state.drained.has(entry.key) === drained,
      })),
    },
  };
}

function requireAnother(state: NodeState, going: ReadonlySet<string>): void {
  for (const [group, { wanted }] of state.groups) {
    const eligible = wanted.members.map(({ key }) => key).filter((key) => isEligible(state, key));
    if (eligible.length === 0 || eligible.some((key) => !going.has(key))) continue;
    throw new Error(
      `virtual service ${group} would have no real service left for new flows; bring another up first, or drain with --force`,
    );
  }
}
