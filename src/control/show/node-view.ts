/** What the views are made of: a running node, as show looks at it. */
import type { IkeEngine } from '../../ike/engine.js';
import type { NodeState } from '../../node/state.js';
import type { PairSyncView } from '../../node/sync.js';
import type { Dataplane } from '../../pipeline/dataplane.js';
import type { CheckView } from '../probe/monitor.js';

export interface NodeView {
  readonly state: NodeState;
  readonly dataplane: Dataplane;
  /** in the plane */
  readonly node: number;
  /** of the node's clock */
  readonly nowMs: number;
  readonly startedMs: number;
  /** ms since 1970 that the core's clock stands at 0 */
  readonly coreEpochMs: number;
  /** names by native index, '' where a port was removed */
  readonly portNames: readonly string[];
  readonly generation: number | null;
  /** busy part of each worker's turns, lately */
  readonly busyPercent: readonly number[];
  /** what crosses the interchassis link; null: the node is of no pair */
  readonly pair: PairSyncView | null;
  /** null: the node does not speak IKE */
  readonly ike: IkeEngine | null;
  /** health checks of a member, by its key in the state's services */
  readonly checksOf: (service: string) => readonly CheckView[];
}

const protocolNames: Readonly<Record<number, string>> = {
  1: 'icmp',
  6: 'tcp',
  17: 'udp',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'icmp6',
  132: 'sctp',
};

export const protocolName = (protocol: number): string => protocolNames[protocol] ?? String(protocol);
