/** What an operator, or VRRP, says of services redundancy groups. */

import type { SrgStatus } from '../model/high-availability.js';
import type { NodeEvent } from '../node/event.js';
import { commandGroup } from '../node/srg.js';
import type { NodeState } from '../node/state.js';

export interface GroupCommandView {
  readonly group: number;
  readonly command: 'failover' | 'failback';
  /** of this node, now */
  readonly status: SrgStatus;
  /** the other node has to answer before something changes */
  readonly asked: boolean;
}

export interface HaGroupView {
  readonly name: string;
  readonly told: 'active' | 'backup';
}

/** The event that does it. Throws Error that says why nothing would come of it. */
export function groupCommand(
  state: NodeState,
  {
    group,
    command,
    peer,
    force = false,
  }: {
    group: number;
    command: 'failover' | 'failback';
    peer?: number | undefined;
    force?: boolean | undefined;
  },
  nowMs: number,
): NodeEvent {
  const there = state.config?.highAvailability?.peer.id;
  if (peer !== undefined && there !== undefined && peer !== there)
    throw new Error(`node ${peer} is no peer of this one; it is ${there}`);
  const { refused } = commandGroup(state, group, command, force, nowMs);
  if (refused !== null) throw new Error(`services-redundancy-group ${group}: ${refused}`);
  return { kind: 'srg-command', group, command, force };
}

export function groupCommandView(
  state: NodeState,
  { group, command }: { group: number; command: 'failover' | 'failback' },
): GroupCommandView {
  const known = state.srgs.get(group)!;
  return { group, command, status: known.status, asked: known.machine.request !== null };
}

/** Throws Error naming the ha-groups that can be told. */
export function haGroupEvent(state: NodeState, { name, told }: HaGroupView): NodeEvent {
  const groups = state.config?.highAvailability?.haGroups ?? [];
  const group = groups.find((each) => each.name === name);
  if (group === undefined) {
    const names = groups.map((each) => each.name).join(', ');
    throw new Error(`no ha-group ${name}; ${names === '' ? 'this node has none' : `there is ${names}`}`);
  }
  if (group.static !== null) throw new Error(`ha-group ${name} is static: ${group.static}`);
  return { kind: 'ha-group-told', group: name, told };
}
