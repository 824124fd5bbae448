/**
 * A plan: which flows move when a group goes from one state to the next.
 *
 *   1. stages   a group's states, in their order: of two configurations, or of events
 *   2. cells    what flows are counted by, so that all tables of all stages can be compared
 *   3. tables   one for each stage, and the tables of what others run
 *   4. columns  slots (all possible flows alike), flows, bytes: moved, unavoidable, excess, shares, imbalance
 */
import type { ChashOptions, ChashTable, FlowCounts } from '../../pipeline/native.js';
import { noMember } from '../chash.js';
import { type ModelName, models, sample } from '../models/index.js';
import { type Movement, movement, type Overlaps, type SlotTable } from '../movement.js';
import { Cells } from './cells.js';
import {
  applyEvent,
  eventText,
  type GroupState,
  ineligible,
  initialState,
  type PlanEvent,
} from './events.js';
import { type PlannedGroup, tableSizeOf } from './groups.js';

export interface Stage {
  /** what led to it; '' for the first */
  readonly label: string;
  readonly group: PlannedGroup;
  readonly state: GroupState;
}

/** A model without a table is asked for one hash in each of so many parts of all hashes. */
const modelSamples = 65_536;
/** Slots of models that have a table, a prime as Maglev wants it: all of them are compared. */
const modelTableSize = 65_537;
const modelSize = (model: ModelName) => (model.startsWith('maglev') ? modelTableSize : modelSamples);

/** The stages of a configuration, of the one after it (null: there is none), and of events. Throws PlanError. */
export function stagesOf(
  before: PlannedGroup,
  after: PlannedGroup | null,
  events: readonly PlanEvent[],
): Stage[] {
  const stages: Stage[] = [{ label: '', group: before, state: initialState(before.members) }];
  if (after !== null)
    stages.push({ label: 'new configuration', group: after, state: initialState(after.members) });
  for (const event of events) {
    const { group, state } = stages.at(-1)!;
    stages.push({ label: eventText(event), group, state: applyEvent(state, event, group.name) });
  }
  return stages;
}

const sizeOf = ({ group, state }: Stage) => tableSizeOf(group, state.members.length);

/** Flows of stages that hash alike can be followed from one to the next; others are dealt anew. */
export const hashesAlike = (a: PlannedGroup, b: PlannedGroup) =>
  a.hashKey === b.hashKey && a.hash === b.hash && a.seed === b.seed;

export function cellsOf(stages: readonly Stage[], compared: readonly ModelName[]): Cells {
  return new Cells([...stages.map(sizeOf), ...compared.map(modelSize)]);
}

/** Builds a table; members are numbered as they were given. */
export type Deal = (options: ChashOptions) => Promise<ChashTable>;

export interface DealtTable extends SlotTable {
  readonly members: readonly { readonly name: string; readonly weight: number }[];
  readonly dead: ReadonlySet<string>;
  readonly digest: bigint;
}

/** One table for each stage. In sticky mode each starts from the one before. */
export async function dealTables(stages: readonly Stage[], deal: Deal): Promise<DealtTable[]> {
  const tables: DealtTable[] = [];
  let previous: ChashOptions['previous'];
  for (const stage of stages) {
    const { group, state } = stage;
    const members = state.members.map(({ name, weight }) => ({ name, weight }));
    const dead = ineligible(state);
    const size = sizeOf(stage);
    const goesOn = group.sticky && previous?.home.length === size;
    const { slots, home, digest } = await deal({
      members,
      dead: [...dead],
      hash: group.hash,
      seed: group.seed,
      size,
      slack: Math.round(group.slack * 10_000),
      ...(goesOn && previous !== undefined ? { previous } : {}),
    });
    previous = { members: members.map(({ name }) => name), home };
    tables.push({ members, dead, slots, digest });
  }
  return tables;
}

export interface Counted extends Movement {
  /** the largest share over the share that its weight is worth, of members that take flows; null: there is none */
  readonly imbalance: { readonly before: number | null; readonly after: number | null };
}

export interface Column {
  readonly kind: 'slots' | 'flows' | 'bytes';
  /** what `kind: slots` counts in: hash values, where the tables' sizes do not divide each other */
  readonly unit: 'slots' | 'hash values' | 'flows' | 'bytes';
  /** from the first stage to the last */
  readonly overall: Counted;
  /** by stage, but the first */
  readonly steps: readonly Counted[];
  /** what moved in at least one step */
  readonly movedOnce: number;
}

export interface ModelPlan {
  readonly model: ModelName;
  readonly columns: readonly Column[];
}

export interface GroupPlan {
  readonly group: PlannedGroup;
  readonly stages: readonly Stage[];
  readonly tables: readonly DealtTable[];
  /** slots first; flows and bytes where they were counted */
  readonly columns: readonly Column[];
  readonly models: readonly ModelPlan[];
  /** flows hash otherwise at the end than at the beginning: all are dealt anew, and cannot be followed */
  readonly rehashed: boolean;
}

/** counts: of flows, by the cells; null: none were given. */
export function makePlan(
  stages: readonly Stage[],
  tables: readonly DealtTable[],
  cells: Cells,
  counts: FlowCounts | null,
  compared: readonly ModelName[],
): GroupPlan {
  const rehashed = stages.some(({ group }) => !hashesAlike(group, stages[0]!.group));
  const { widths, unit } = cells.widths(stages.map(sizeOf));
  const weighed: Weighed[] = [{ kind: 'slots', unit, counts: widths }];
  if (counts !== null && !rehashed) {
    weighed.push({ kind: 'flows', unit: 'flows', counts: counts.flows });
    if (counts.bytes.some((bytes) => bytes > 0))
      weighed.push({ kind: 'bytes', unit: 'bytes', counts: counts.bytes });
  }
  const columnsOf = (each: readonly SlotTable[]) => {
    const [slots, ...flows] = weighed.map((column) => makeColumn(stages, each, cells, column));
    return [slots!, ...flows.map((column) => withoutChance(column, slots!))];
  };
  return {
    group: stages[0]!.group,
    stages,
    tables,
    columns: columnsOf(tables),
    models: compared.map((model) => ({ model, columns: columnsOf(modelTables(stages, model)) })),
    rehashed,
  };
}

/**
 * Where no slot moves needlessly, no flow does: by its flows alone, a member would seem to gain more than its weight accounts
 * for where it has drawn many of few.
 */
function withoutChance(column: Column, slots: Column): Column {
  const mend = (counted: Counted, by: Counted): Counted =>
    by.excess === 0 ? { ...counted, unavoidable: counted.moved, excess: 0 } : counted;
  return {
    ...column,
    overall: mend(column.overall, slots.overall),
    steps: column.steps.map((step, i) => mend(step, slots.steps[i]!)),
  };
}

interface Weighed {
  readonly kind: Column['kind'];
  readonly unit: Column['unit'];
  /** by cell */
  readonly counts: Float64Array;
}

function modelTables(stages: readonly Stage[], model: ModelName): SlotTable[] {
  return stages.map(({ state }) => {
    const dead = ineligible(state);
    const { members } = state;
    const built = models[model]({ members, dead, size: modelTableSize });
    const size = modelSize(model);
    // with nobody up there is no table
    const slots = built.slots?.length === size ? built.slots : sample(built, size);
    return { members, dead, slots };
  });
}

function makeColumn(
  stages: readonly Stage[],
  tables: readonly SlotTable[],
  cells: Cells,
  { kind, unit, counts }: Weighed,
): Column {
  const between = (a: number, b: number): Counted => {
    const before = tables[a]!;
    const after = tables[b]!;
    const followed = cells.overlaps(before.slots.length, after.slots.length, counts);
    const alike = hashesAlike(stages[a]!.group, stages[b]!.group);
    const moved = movement(before, after, alike ? followed : independent(before, after, followed));
    return {
      ...moved,
      imbalance: {
        before: imbalanceOf(
          before,
          moved.members.map(({ name, before: count }) => ({ name, count })),
        ),
        after: imbalanceOf(
          after,
          moved.members.map(({ name, after: count }) => ({ name, count })),
        ),
      },
    };
  };
  const steps = tables.slice(1).map((_, i) => between(i, i + 1));
  const overall = between(0, tables.length - 1);
  const isFollowed = stages.every(({ group }) => hashesAlike(group, stages[0]!.group));
  return {
    kind,
    unit,
    overall,
    steps,
    movedOnce: isFollowed ? movedOnce(tables, cells, counts) : overall.moved,
  };
}

/** What moves when each hash is another one afterwards: shares meet as chance has it. */
function independent(before: SlotTable, after: SlotTable, followed: Overlaps): Overlaps {
  // of each member, a slot that stands for it, and what it holds
  const held = { before: new Map<number, [number, number]>(), after: new Map<number, [number, number]>() };
  const add = (to: Map<number, [number, number]>, { slots }: SlotTable, slot: number, count: number) => {
    const entry = to.get(slots[slot]!);
    if (entry === undefined) to.set(slots[slot]!, [slot, count]);
    else entry[1] += count;
  };
  let total = 0;
  followed((oldSlot, newSlot, count) => {
    total += count;
    add(held.before, before, oldSlot, count);
    add(held.after, after, newSlot, count);
  });
  return (visit) => {
    for (const [oldSlot, has] of held.before.values()) {
      for (const [newSlot, gets] of held.after.values()) visit(oldSlot, newSlot, (has * gets) / total);
    }
  };
}

function movedOnce(tables: readonly SlotTable[], cells: Cells, counts: Float64Array): number {
  const holders = tables.map(({ members, slots }) => {
    const slotOfCell = cells.slots(slots.length);
    return (cell: number) => members[slots[slotOfCell[cell]!]!]?.name;
  });
  return counts.reduce((sum, count, cell) => {
    if (count === 0) return sum;
    const first = holders[0]!(cell);
    return holders.some((holder) => holder(cell) !== first) ? sum + count : sum;
  }, 0);
}

function imbalanceOf(
  { members, dead }: SlotTable,
  held: readonly { readonly name: string | null; readonly count: number }[],
): number | null {
  const living = members.filter(({ name }) => dead?.has(name) !== true);
  const weight = living.reduce((sum, member) => sum + (member.weight ?? 1), 0);
  const counts = new Map(held.map(({ name, count }) => [name, count]));
  const total = living.reduce((sum, { name }) => sum + (counts.get(name) ?? 0), 0);
  if (total === 0) return null;
  const most = living.reduce(
    (max, member) => Math.max(max, (counts.get(member.name) ?? 0) / (member.weight ?? 1)),
    0,
  );
  return (most * weight) / total;
}

/** Whether anybody is left who takes flows. */
export const isAllDead = ({ slots }: SlotTable): boolean => slots[0] === noMember;
