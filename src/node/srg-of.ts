/** Which tunnels this node is the one to have. Pure. */
import { groupOfTunnel } from './icd.js';
import type { NodeState } from './state.js';
import type { Tunnel } from './tunnel.js';

/** Whether the tunnel goes with no services redundancy group, or with one that is ACTIVE here: its routes are announced and exported. */
export function isTunnelActive(
  { config, srgs }: Pick<NodeState, 'config' | 'srgs'>,
  tunnel: Pick<Tunnel, 'routingInstance' | 'localAddress'>,
): boolean {
  const group = config === null ? null : groupOfTunnel(config, tunnel);
  return group === null || srgs.get(group.id)?.status === 'ACTIVE';
}
