/** Whether every packet is accounted for, and what is wrong with a run that must have lost none unseen. Pure. */
import { type CounterName, counters as definitions } from '../pipeline/counters.js';

export type Counts = Readonly<Record<CounterName, number>>;

export interface Accounts {
  readonly sent: number;
  readonly delivered: number;
  readonly deliveredBytes: number;
  readonly mismatched: number;
  /** frames dropped on any node, by the reason's name; reasons without any are left out */
  readonly dropsByReason: Readonly<Partial<Record<CounterName, number>>>;
  readonly dropped: number;
}

const dropNames = definitions.filter(({ isDrop }) => isDrop).map(({ camelName }) => camelName);

/** hosts: what made and compared the packets; nodes: everything that may have dropped one, hosts included. */
export function accountsOf(hosts: readonly Counts[], nodes: readonly Counts[]): Accounts {
  const total = (of: readonly Counts[], name: CounterName) =>
    of.reduce((sum, counts) => sum + counts[name], 0);
  const drops = dropNames
    .map((name) => [name, total(nodes, name)] as const)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a);
  return {
    sent: total(hosts, 'sent'),
    delivered: total(hosts, 'delivered'),
    deliveredBytes: total(hosts, 'deliveredBytes'),
    mismatched: total(hosts, 'mismatched'),
    dropsByReason: Object.fromEntries(drops),
    dropped: drops.reduce((sum, [, count]) => sum + count, 0),
  };
}

/** sent = delivered + mismatched + dropped by name. */
export function isAccounted({ sent, delivered, mismatched, dropped }: Accounts): boolean {
  return sent === delivered + mismatched + dropped;
}
