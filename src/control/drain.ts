/** Takes real services out of the choice for new flows, and puts them back. */
import type { NodeEvent } from '../node/event.js';
import { isEligible } from '../node/services.js';
import { type NodeState, realServiceKey } from '../node/state.js';

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
 * name: of a real service in every instance that has it, or `instance/name`. Throws Error that names the ones there are,
 * or the group that would have none left (unless forced).
 */
export function drainEvent(
  state: NodeState,
  name: string,
  drained: boolean,
  force: boolean,
): { event: NodeEvent; view: DrainView } {
  const all = [...state.services.keys()];
  const found = all.filter((key) => key === name || key.slice(key.indexOf('/') + 1) === name);
  if (found.length === 0) {
    const there = all.length === 0 ? 'this node balances nothing' : `there is ${all.join(', ')}`;
    throw new Error(`no real service ${name}; ${there}`);
  }
  if (drained && !force) requireAnother(state, new Set(found));
  return {
    event: { kind: 'drained', realServices: found, drained },
    view: {
      realServices: found.map((key) => ({
        instance: key.slice(0, key.indexOf('/')),
        name: key.slice(key.indexOf('/') + 1),
        drained,
        unchanged: state.drained.has(key) === drained,
      })),
    },
  };
}

function requireAnother(state: NodeState, going: ReadonlySet<string>): void {
  for (const [group, { instance, wanted }] of state.groups) {
    const keys = wanted.group.realServices.map(({ name }) => realServiceKey(instance, name));
    const eligible = keys.filter((key) => isEligible(state, key));
    if (eligible.length === 0 || eligible.some((key) => !going.has(key))) continue;
    throw new Error(
      `virtual service ${group} would have no real service left for new flows; bring another up first, or drain with --force`,
    );
  }
}
