/** Whose each tunnel is: one IKE SA has it, and with it the remote prefixes that routes lead into it for. */
import type { IkeVpnConfig } from '../config/config.js';
import type { ChildSelector } from './sa.js';

interface Owned {
  /** id of the IKE SA */
  readonly sa: number;
  readonly claim: string;
  readonly local: string;
}

/** What a CHILD SA would have for its own. */
export interface Claim {
  /** the interface and the remote prefixes, as the routing instance will have them */
  readonly remote: string;
  readonly local: string;
}

export function claimOf({ bindInterface }: IkeVpnConfig, selectors: readonly ChildSelector[]): Claim {
  const sorted = (side: 'local' | 'remote') =>
    [...new Set(selectors.map((each) => String(each[side])))].sort();
  return { remote: [bindInterface, ...sorted('remote')].join(' '), local: sorted('local').join(' ') };
}

export class TunnelOwners {
  readonly #tunnels = new Map<string, Owned>();
  readonly #claims = new Map<string, string>();

  /** The IKE SA that has this tunnel. */
  of(tunnel: string): number | undefined {
    return this.#tunnels.get(tunnel)?.sa;
  }

  /** The tunnel that has these prefixes. */
  holder({ remote }: Claim): { readonly tunnel: string; readonly sa: number; readonly local: string } | null {
    const tunnel = this.#claims.get(remote);
    if (tunnel === undefined) return null;
    const { sa, local } = this.#tunnels.get(tunnel)!;
    return { tunnel, sa, local };
  }

  /** In place of whoever has it. */
  take(tunnel: string, sa: number, { remote, local }: Claim): void {
    this.#tunnels.set(tunnel, { sa, claim: remote, local });
    this.#claims.set(remote, tunnel);
  }

  release(tunnel: string): void {
    const { claim } = this.#tunnels.get(tunnel)!;
    this.#tunnels.delete(tunnel);
    if (this.#claims.get(claim) === tunnel) this.#claims.delete(claim);
  }

  /** Those of them that are `from`'s. */
  move(tunnels: readonly string[], from: number, to: number): void {
    for (const tunnel of tunnels) {
      const owned = this.#tunnels.get(tunnel);
      if (owned?.sa === from) this.#tunnels.set(tunnel, { ...owned, sa: to });
    }
  }
}
