/** Whether two routers send every flow to the same member: their groups' digests, side by side. Pure. */
import type { LoadBalanceGroupView, Views } from '../control/show/views.js';
import { tableText } from './output.js';

export interface ComparedGroup {
  readonly name: string;
  readonly agree: boolean;
  /** '' where they agree */
  readonly why: string;
  readonly digests: readonly [string | null, string | null];
}

export interface Comparison {
  readonly routers: readonly [string, string];
  readonly agree: boolean;
  readonly groups: readonly ComparedGroup[];
}

export function compareGroups(
  here: Views['load-balance-groups'],
  there: Views['load-balance-groups'],
): Comparison {
  const of = (view: Views['load-balance-groups'], name: string) =>
    view.groups.find((group) => group.name === name);
  const names = [...new Set([...here.groups, ...there.groups].map(({ name }) => name))].sort();
  const groups = names.map((name): ComparedGroup => {
    const [a, b] = [of(here, name), of(there, name)];
    const why =
      a === undefined || b === undefined ? `only on ${(a ? here : there).hostName}` : difference(a, b);
    return { name, agree: why === '', why, digests: [a?.digest ?? null, b?.digest ?? null] };
  });
  return {
    routers: [here.hostName, there.hostName],
    agree: groups.every(({ agree }) => agree),
    groups,
  };
}

/** The first reason that there is, from the outside in; '' when there is none. */
function difference(a: LoadBalanceGroupView, b: LoadBalanceGroupView): string {
  const facts: readonly (readonly [string, (group: LoadBalanceGroupView) => string | number])[] = [
    ['hash key', (group) => group.hashKey],
    ['hash function', (group) => group.hashFunction],
    ['hash seed', (group) => group.hashSeed],
    ['slots', (group) => group.slots],
    ['members', (group) => group.members.map(({ name }) => name).join(' ')],
    ['weights', (group) => group.members.map(({ weight }) => weight).join(' ')],
    ['members up', (group) => namesUp(group) || 'none'],
  ];
  for (const [what, of] of facts) {
    if (of(a) !== of(b)) return `${what}: ${of(a)} here, ${of(b)} there`;
  }
  if (a.digest === b.digest) return '';
  return a.mode === 'sticky'
    ? 'other tables of old: copy ecmp-tables.json of one into the state directory of the other, and start that'
    : 'other tables';
}

const namesUp = ({ members }: LoadBalanceGroupView) =>
  members
    .filter(({ status }) => status === 'UP')
    .map(({ name }) => name)
    .join(' ');

export function comparedText({ routers, groups, agree }: Comparison): string[] {
  const rows = groups.map(({ name, digests, why }) => [
    name,
    digests[0] ?? '-',
    digests[1] ?? '-',
    why === '' ? 'alike' : why,
  ]);
  const columns = [{ head: 'Group' }, { head: routers[0] }, { head: routers[1] }, { head: 'Digests' }];
  const differ = groups.filter((group) => !group.agree).length;
  return [
    ...(rows.length === 0 ? [] : [tableText(columns, rows)]),
    agree ? `${groups.length} groups, all alike` : `${differ} of ${groups.length} groups differ`,
  ];
}
