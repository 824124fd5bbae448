/** Whether every packet that a node had is accounted for: in = out + dropped + punted + held. Pure. */
import { type CounterName, counters as definitions } from '../pipeline/counters.js';

export interface NodeAccounts {
  readonly received: number;
  /** by the node itself, or given to it by the control plane: ARP, answers, errors, fragments */
  readonly made: number;
  readonly sent: number;
  readonly dropped: number;
  /** names of the reasons that there were */
  readonly drops: readonly { readonly name: CounterName; readonly count: number }[];
  /** for the node, or for the control plane */
  readonly taken: number;
  /** what a port did not take of the node's own */
  readonly unsent: number;
  /** received and made, less all the others; 0 once nothing is held */
  readonly difference: number;
}

export function nodeAccounts(count: (name: CounterName) => number): NodeAccounts {
  const drops = definitions
    .filter(({ isDrop, camelName }) => isDrop && count(camelName) > 0)
    .map(({ camelName: name }) => ({ name, count: count(name) }))
    .sort((a, b) => b.count - a.count);
  const received = count('rxPackets');
  const made =
    count('made') + count('injected') + count('errorsSent') + count('tooBigSent') + count('fragmentsMade');
  const sent = count('txPackets');
  const dropped = drops.reduce((sum, drop) => sum + drop.count, 0);
  const taken = count('answered') + count('punted');
  const unsent = count('unsent');
  return {
    received,
    made,
    sent,
    dropped,
    drops,
    taken,
    unsent,
    difference: received + made - sent - dropped - taken - unsent,
  };
}

/** e.g. `received 120, made 4; sent 118, dropped 2 (noRoute 2), for the node 4` */
export function accountsText({
  received,
  made,
  sent,
  drops,
  dropped,
  taken,
  unsent,
  difference,
}: NodeAccounts): string {
  const reasons = drops.map(({ name, count }) => `${name} ${count}`).join(', ');
  return [
    `received ${received}, made ${made}; sent ${sent}`,
    dropped > 0 ? `dropped ${dropped} (${reasons})` : 'dropped 0',
    `for the node ${taken}`,
    ...(unsent > 0 ? [`unsent ${unsent}`] : []),
    ...(difference !== 0 ? [`not accounted for ${difference}`] : []),
  ].join(', ');
}
