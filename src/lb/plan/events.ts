/** What may happen to a group: the events of a plan, and the states that they lead through. */
import { limits } from '../../config/limits.js';
import { suggestion } from '../../config/problem.js';
import type { GroupMember } from './groups.js';

export const eventKinds = ['fail', 'recover', 'drain', 'add', 'remove', 'weight'] as const;
export type EventKind = (typeof eventKinds)[number];

export interface PlanEvent {
  readonly kind: EventKind;
  readonly member: string;
  /** of add and weight */
  readonly weight: number;
}

/** A group at one moment. */
export interface GroupState {
  readonly members: readonly GroupMember[];
  readonly failed: ReadonlySet<string>;
  /** takes no new flows; a table without a flow memory gives it none at all */
  readonly draining: ReadonlySet<string>;
}

export const initialState = (members: readonly GroupMember[]): GroupState => ({
  members,
  failed: new Set(),
  draining: new Set(),
});

/** Names that the table gives no slot. */
export const ineligible = ({ failed, draining }: GroupState): Set<string> =>
  new Set([...failed, ...draining]);

/** Something that was asked for makes no sense; the message says what to write. */
export class PlanError extends Error {}

const namePattern = /^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,62}$/;

/** `gw2`, and for weight and add `gw1=2`. Throws PlanError. */
export function parseEvent(kind: EventKind, text: string): PlanEvent {
  const [member = '', weight, ...more] = text.split('=');
  const takesWeight = kind === 'weight' || kind === 'add';
  const wanted = kind === 'weight' ? 'NAME=WEIGHT' : kind === 'add' ? 'NAME or NAME=WEIGHT' : 'NAME';
  const wrong =
    more.length > 0 ||
    (weight === undefined ? kind === 'weight' : !takesWeight) ||
    !namePattern.test(member.trim());
  if (wrong) throw new PlanError(`--${kind} ${text}: write --${kind} ${wanted}`);
  return {
    kind,
    member: member.trim(),
    weight: weight === undefined ? limits.tlb.weight.fallback : weightOf(kind, text, weight.trim()),
  };
}

function weightOf(kind: EventKind, text: string, weight: string): number {
  const { least, most } = limits.tlb.weight;
  const number = /^\d{1,9}$/.test(weight) ? Number(weight) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new PlanError(
    `--${kind} ${text}: weight ${weight || 'nothing'} is not a whole number from ${least} to ${most}`,
  );
}

export function eventText({ kind, member, weight }: PlanEvent): string {
  if (kind === 'weight') return `weight ${member}=${weight}`;
  return kind === 'add' && weight !== 1 ? `add ${member}=${weight}` : `${kind} ${member}`;
}

/** The state after the event. Throws PlanError for what cannot happen to it. `group` is its name, for that. */
export function applyEvent(state: GroupState, event: PlanEvent, group: string): GroupState {
  const { kind, member, weight } = event;
  const refuse = (why: string) => new PlanError(`--${kind} ${member}: ${why}`);
  const names = state.members.map(({ name }) => name);
  const isMember = names.includes(member);
  if (kind === 'add') {
    if (isMember) throw refuse(`it is in group ${group} already`);
    const most = limits.tlb.membersPerGroup;
    if (names.length >= most) {
      throw refuse(`group ${group} would have ${names.length + 1} members; it has at most ${most}`);
    }
    return { ...state, members: [...state.members, { name: member, weight }] };
  }
  if (!isMember) {
    const hint = suggestion(member, names) || `; it has ${listOf(names)}`;
    throw refuse(`no member ${member} in group ${group}${hint}`);
  }
  const isDown = state.failed.has(member) || state.draining.has(member);
  const without = (set: ReadonlySet<string>) => new Set([...set].filter((name) => name !== member));
  switch (kind) {
    case 'fail':
      if (state.failed.has(member)) throw refuse('it has failed already');
      return { ...state, failed: new Set([...state.failed, member]), draining: without(state.draining) };
    case 'drain':
      if (isDown) throw refuse(state.failed.has(member) ? 'it has failed already' : 'it is drained already');
      return { ...state, draining: new Set([...state.draining, member]) };
    case 'recover':
      if (!isDown) throw refuse('it has not failed, and is not drained');
      return { ...state, failed: without(state.failed), draining: without(state.draining) };
    case 'remove':
      return {
        members: state.members.filter(({ name }) => name !== member),
        failed: without(state.failed),
        draining: without(state.draining),
      };
    case 'weight':
      return {
        ...state,
        members: state.members.map((each) => (each.name === member ? { name: member, weight } : each)),
      };
  }
}

export function listOf(names: readonly string[], most = 8): string {
  if (names.length === 0) return 'none';
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
