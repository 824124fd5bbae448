/** What the nodes of a pair tell each other of services redundancy groups. */

/**
 * INIT: no configuration or no data plane yet. HOLD: waits for what the peer says. INELIGIBLE: a monitor has failed.
 * SRG0 is ACTIVE on both nodes.
 */
export type SrgStatus = 'INIT' | 'HOLD' | 'ACTIVE' | 'BACKUP' | 'INELIGIBLE';

/** BFD, IP, interface and control plane monitoring. */
export type FailureCode = 'BF' | 'IP' | 'IF' | 'CP';

export type ColdSyncStatus = 'UNKNOWN' | 'IN PROGRESS' | 'COMPLETE';

/** One group, as the hello of its node has it. */
export interface SrgHello {
  /** 0 … 255 */
  readonly id: number;
  readonly status: SrgStatus;
  /** 1 … 254 */
  readonly priority: number;
  readonly preempt: boolean;
  readonly healthy: boolean;
  /** why it is not */
  readonly failures: readonly FailureCode[];
  /**
   * An operator's failover that has not been answered yet: whoever sends it wants to be this. null: none. The peer takes it up
   * once, by its number.
   */
  readonly request: { readonly number: number; readonly status: 'ACTIVE' | 'BACKUP' } | null;
}

/** The part of a hello that is about groups. */
export interface SrgHellos {
  /** of the node that sends it, 1 … 15 */
  readonly nodeId: number;
  /** grows with every start of the node: a lower one is late */
  readonly generation: number;
  /** whether the sender has all of the receiver's state */
  readonly coldSync: ColdSyncStatus;
  /** of interfaces and zones, equal on both nodes where asymmetric flows work; 8 hexadecimal digits */
  readonly interfaceScheme: string;
  readonly groups: readonly SrgHello[];
}
