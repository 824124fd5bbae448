/** Which groups of one or two configurations a plan is about. */
import { suggestion } from '../../config/problem.js';
import { listOf, PlanError, type PlanEvent } from './events.js';
import type { PlannedGroup } from './groups.js';
import { type Stage, stagesOf } from './plan.js';

export interface Cases {
  /** by group */
  readonly cases: readonly (readonly Stage[])[];
  /** groups that the new configuration has not */
  readonly left: readonly string[];
}

interface Pair {
  readonly group: PlannedGroup;
  /** null: there is no new configuration */
  readonly next: PlannedGroup | null;
}

/**
 * The groups that were chosen by name, or the only one, or those that differ between the configurations, or the only one
 * that the events can happen to. Throws PlanError.
 */
export function casesOf(
  before: readonly PlannedGroup[],
  after: readonly PlannedGroup[] | null,
  events: readonly PlanEvent[],
  chosen: readonly string[],
): Cases {
  for (const [which, groups] of [
    ['the', before],
    ['the new', after],
  ] as const) {
    if (groups?.length === 0)
      throw new PlanError(`${which} configuration has no group that flows are shared out to`);
  }
  const groups = chosen.length === 0 ? before : chosen.map((name) => findGroup(before, name));
  const found = groups.map((group) => ({
    group,
    next: after === null ? null : nextOf(group, before, after),
  }));
  const left = found.flatMap(({ group, next }) => (next === undefined ? [group.name] : []));
  const pairs = found.filter((pair): pair is Pair => pair.next !== undefined);
  if (pairs.length === 0) {
    throw new PlanError(
      `no group is in both configurations; the new one has ${listOf((after ?? []).map(({ name }) => name))}`,
    );
  }
  const stages = (of: readonly Pair[]) => of.map(({ group, next }) => stagesOf(group, next, events));
  if (chosen.length > 0 || pairs.length === 1) return { cases: stages(pairs), left };
  if (events.length === 0 && after !== null) {
    const changed = pairs.filter(({ group, next }) => next !== null && !isSame(group, next));
    return { cases: stages(changed.length > 0 ? changed : pairs), left };
  }
  const possible = pairs.filter((pair) => canHappen(pair, events));
  if (possible.length === 1) return { cases: stages(possible), left };
  const names = pairs.map(({ group }) => group.name);
  throw new PlanError(`which group is meant? write --group with one of ${listOf(names, 20)}`);
}

/** Of the same name; where there is one group in each, it may have another. */
function nextOf(
  group: PlannedGroup,
  before: readonly PlannedGroup[],
  after: readonly PlannedGroup[],
): PlannedGroup | undefined {
  const isOnly = before.length === 1 && after.length === 1;
  return after.find(({ name }) => name === group.name) ?? (isOnly ? after[0] : undefined);
}

function canHappen({ group, next }: Pair, events: readonly PlanEvent[]): boolean {
  try {
    stagesOf(group, next, events);
    return true;
  } catch (error) {
    if (error instanceof PlanError) return false;
    throw error;
  }
}

function isSame(a: PlannedGroup, b: PlannedGroup): boolean {
  const text = ({ members, seed, ...group }: PlannedGroup) =>
    JSON.stringify([group, String(seed), members.map(({ name, weight }) => `${name} ${weight}`).sort()]);
  return text(a) === text(b);
}

/** By the group's name or that of one of its virtual services. */
export function findGroup(groups: readonly PlannedGroup[], name: string): PlannedGroup {
  const found =
    groups.find((group) => group.name === name) ??
    groups.find(({ virtualServices }) => virtualServices.some((service) => service.name === name));
  if (found !== undefined) return found;
  const names = groups.map((group) => group.name);
  const hint = suggestion(name, names) || `; there is ${listOf(names)}`;
  throw new PlanError(`--group ${name}: no such group${hint}`);
}
