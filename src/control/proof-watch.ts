/** Which tunnels got a packet that authenticates, of those that have not proven themselves yet. */
import type { AddedSa } from '../node/event.js';
import type { TunnelState } from '../node/state.js';
import type { SaStatus } from '../pipeline/native.js';

export class ProofWatch {
  /** By tunnel: its SAs when it was looked at, and the packets from which on one is proof; null: it was proven then. */
  readonly #seen = new Map<
    string,
    { readonly inbound: readonly AddedSa[]; readonly packets: bigint | null }
  >();

  /** statusOf: of inbound SAs by index. */
  look(tunnels: Iterable<TunnelState>, statusOf: (indices: number[]) => readonly SaStatus[]): string[] {
    const unproven: TunnelState[] = [];
    for (const tunnel of tunnels) {
      if (!tunnel.proven) unproven.push(tunnel);
      else this.#seen.set(tunnel.tunnel.name, { inbound: tunnel.inbound, packets: null });
    }
    if (unproven.length === 0) return [];
    const indices = unproven.flatMap(({ inbound }) => inbound.map(({ index }) => index));
    const packets = new Map(statusOf(indices).map((status) => [status.index, status.packets]));
    return unproven.flatMap(({ tunnel: { name }, inbound }) => {
      const now = inbound.reduce((sum, { index }) => sum + (packets.get(index) ?? 0n), 0n);
      const before = this.#seen.get(name);
      // whatever new SAs have got is proof; of those that another gateway took over, only what comes from now on
      const from = before?.inbound === inbound ? (before.packets ?? now) : 0n;
      this.#seen.set(name, { inbound, packets: from });
      return now > from ? [name] : [];
    });
  }
}
