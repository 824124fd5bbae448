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
   * What the sender wants to be, so that the other has to become the opposite: a preemption, or an operator's failover. The
   * peer takes it up once, by its number (1, 2, … within a generation). null: nothing.
   */
  readonly request: { readonly number: number; readonly status: 'ACTIVE' | 'BACKUP' } | null;
}

/** The part of a hello that is about groups. */
export interface SrgHellos {
  /** of the node that sends it, 1 … 15 */
  readonly nodeId: number;
  /** grows with every start of the node: a lower one is late */
  readonly generation: number;
  /** 1, 2, … within a generation: a lower one than the last is late */
  readonly sequence: number;
  /** the last of the receiver's that the sender has heard; zeros: none */
  readonly heard: { readonly generation: number; readonly sequence: number };
  /** whether the sender has all of the receiver's state */
  readonly coldSync: ColdSyncStatus;
  /** of interfaces and zones, equal on both nodes where asymmetric flows work; 8 hexadecimal digits */
  readonly interfaceScheme: string;
  readonly groups: readonly SrgHello[];
}
