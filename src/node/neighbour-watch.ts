/** What changed among a node's neighbours since it was last looked at. */
import { Address } from '../model/address.js';
import type { Neighbour } from '../pipeline/native.js';
import type { NeighbourChange } from './event.js';
import { neighbourKey } from './state.js';

/** A neighbour that is asked again keeps its MAC meanwhile. */
export const answers = (state: Neighbour['state']): boolean => state === 'reachable' || state === 'probing';

export class NeighbourWatch {
  readonly #known = new Map<string, NeighbourChange>();

  /** Neighbours that are new, answer now or do no longer; one that was never heard of yet is no change. */
  look(neighbours: readonly Neighbour[]): NeighbourChange[] {
    const changes: NeighbourChange[] = [];
    const seen = new Set<string>();
    for (const { interface: number, address: bytes, state } of neighbours) {
      const address = new Address(bytes);
      const key = neighbourKey(number, address);
      const reachable = answers(state);
      const known = this.#known.get(key);
      seen.add(key);
      if (known?.reachable === reachable || (known === undefined && state === 'incomplete')) continue;
      const change = { interface: number, address, reachable };
      this.#known.set(key, change);
      changes.push(change);
    }
    for (const [key, known] of this.#known) {
      if (seen.has(key)) continue;
      this.#known.delete(key);
      if (known.reachable) changes.push({ ...known, reachable: false });
    }
    return changes;
  }
}
