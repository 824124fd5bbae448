/** What must hold in every run, whatever happens to it. Each says as sentences what does not. */
import { counterIndex, counters as definitions } from '../pipeline/counters.js';
import type { World } from './world.js';

/**
 * Every frame is accounted for (law 3): what was made is what arrived, was consumed, was dropped by name, or is still
 * under way. hosts: plane indices of traffic endpoints, whose answers to ARP and neighbour discovery no counter says
 * were made.
 */
export function accountsOf(world: World, hosts: readonly number[]): string[] {
  const all = world.counters();
  const answeredByHosts = hosts.reduce(
    (sum, host) => sum + world.plane.counterTotals(host)[counterIndex.answered]!,
    0,
  );
  const made =
    all.sent +
    all.made +
    all.injected +
    all.linkDuplicated +
    all.errorsSent +
    all.tooBigSent +
    all.fragmentsMade +
    answeredByHosts;
  const dropped = definitions.reduce(
    (sum, { isDrop, camelName }) => sum + (isDrop ? all[camelName] : 0),
    0,
  );
  const ended =
    all.delivered +
    all.mismatched +
    all.duplicates +
    all.unexpected +
    all.answered +
    all.punted +
    all.unsent +
    dropped;
  const held = world.plane.framesInUse();
  if (made === ended + held) return [];
  return [`${made} packets were made, and ${ended} ended somewhere, ${held} are under way: not accounted for`];
}
