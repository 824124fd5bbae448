/** What goes into the main job, and what it tells. */
import type { Accounts } from './accounts.js';
import type { Clock } from './clock.js';

export interface MainJobOptions {
  readonly seconds: number;
  readonly tunnels: number;
  readonly flows: number;
  /** 2 or more: one is shut off */
  readonly gateways: number;
  readonly workers: number;
  /** bytes of every inner IP packet; null: SECGW-IMIX */
  readonly size: number | null;
  /** decides order of sizes, contents and the router's hash; never keys */
  readonly seed: number;
  readonly clock?: Clock;
  readonly onEvent?: (event: MainJobEvent) => void;
  /** ends the sending early */
  readonly signal?: AbortSignal;
}

export type MainJobEvent =
  | { readonly kind: 'started'; readonly kernel: string }
  | { readonly kind: 'sample'; readonly sample: Sample }
  | {
      readonly kind: 'stopped';
      readonly atSeconds: number;
      readonly gateway: string;
      readonly slots: number;
      readonly rehomed: number;
      readonly others: number;
    }
  | {
      readonly kind: 'rekeyed';
      readonly atSeconds: number;
      readonly tunnels: number;
      readonly tookMs: number;
      readonly why: 'moved' | 'returned';
    }
  | {
      readonly kind: 'returned';
      readonly atSeconds: number;
      readonly gateway: string;
      readonly slots: number;
      readonly rehomed: number;
      readonly others: number;
      readonly identical: boolean;
    };

/** Of one interval. */
export interface Sample {
  readonly atSeconds: number;
  readonly gbps: number;
  readonly mpps: number;
  readonly p50Us: number | null;
  readonly p99Us: number | null;
  /** part of what the router sent, null: nothing */
  readonly shares: Readonly<Record<string, number | null>>;
  /** since the start */
  readonly lost: number;
  readonly mismatched: number;
}

export interface MainJobResult {
  readonly seconds: number;
  readonly tunnels: number;
  readonly flows: number;
  readonly gateways: number;
  readonly workers: number;
  readonly kernel: string;
  readonly sent: number;
  readonly delivered: number;
  readonly mismatched: number;
  readonly lost: number;
  readonly dropsByReason: Accounts['dropsByReason'];
  readonly gbps: number;
  readonly mpps: number;
  readonly latencyUs: { readonly p50: number | null; readonly p99: number | null };
  readonly shares: Readonly<Record<string, number>>;
  /** of the router's slots; and what they moved */
  readonly movedByFailure: {
    readonly slots: number;
    readonly unavoidable: number;
    readonly excess: number;
    readonly tunnels: number;
    readonly flows: number;
  };
  readonly recoveredTableIdentical: boolean;
  readonly tunnelsRekeyed: number;
  readonly nonces: { readonly seen: number; readonly repeated: number; readonly unproven: number };
  readonly memoryMegabytes: number;
  readonly accounted: boolean;
  readonly interrupted: boolean;
  /** what must not be; empty when all is well */
  readonly violations: readonly string[];
}

/** What the failure moved, as it goes along. */
export interface Moved {
  slots: number;
  unavoidable: number;
  excess: number;
  tunnels: number;
  flows: number;
  identical: boolean;
}
