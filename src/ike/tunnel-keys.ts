/** CHILD SAs come, are switched to, and go: what of it the data plane is told. */
import { tuning } from '../config/limits.js';
import { type Draft, never } from './draft.js';
import { type ChildSa, type EspKey, wipeEspKey } from './sa.js';

/** SAs of a tunnel, besides those that it has. */
function tell(draft: Draft, child: ChildSa, inbound: readonly EspKey[], outbound: EspKey | null): void {
  const { sa } = draft;
  const fresh = new Set(inbound.map(({ spi }) => spi));
  draft.actions.push({
    kind: 'tunnel-keyed',
    sa: sa.id,
    child,
    gateway: sa.gateways[0]!,
    path: sa.path,
    isEncapsulated: draft.isEncapsulated,
    kept: sa.children
      .filter(({ tunnel, inboundSpi }) => tunnel === child.tunnel && !fresh.has(inboundSpi))
      .map(({ inboundSpi }) => inboundSpi),
    inbound,
    outbound,
  });
}

/** A new CHILD SA. outbound null: what is sent goes by the one before until switchOutbound(). */
export function install(draft: Draft, child: ChildSa, inbound: EspKey, outbound: EspKey | null): void {
  draft.sa.children = [...draft.sa.children, child];
  tell(draft, child, [inbound], outbound);
}

/** What waited to be sent by. */
export function switchOutbound(draft: Draft, child: ChildSa): void {
  const { waitingOutbound } = child;
  if (waitingOutbound === null) return;
  draft.changeChild(child.inboundSpi, { waitingOutbound: null, switchAtMs: never });
  tell(draft, { ...child, waitingOutbound: null, switchAtMs: never }, [], waitingOutbound);
}

/** The peer is somewhere else now. */
export function tellPath(draft: Draft): void {
  const tunnels = new Map(draft.sa.children.filter(isInUse).map((child) => [child.tunnel, child]));
  for (const child of tunnels.values()) tell(draft, child, [], null);
}

const isInUse = ({ state }: ChildSa) => state === 'up' || state === 'replaced' || state === 'deleting';

/**
 * A CHILD SA is deleted, by whomever. Where another goes on in its place, what is still under way to it is taken for a
 * moment; else the tunnel ends.
 */
export function retire(draft: Draft, child: ChildSa, reason: string): void {
  const { sa, env } = draft;
  if (child.state === 'draining') return;
  if (child.waitingOutbound !== null) wipeEspKey(child.waitingOutbound);
  const others = sa.children.filter(
    (each) => each.tunnel === child.tunnel && each.inboundSpi !== child.inboundSpi && isInUse(each),
  );
  if (others.length === 0) {
    sa.children = sa.children.filter(({ tunnel }) => tunnel !== child.tunnel);
    draft.actions.push({ kind: 'tunnel-removed', sa: sa.id, tunnel: child.tunnel });
    draft.childEvent('child-sa-down', child, reason);
    return;
  }
  draft.changeChild(child.inboundSpi, {
    state: 'draining',
    waitingOutbound: null,
    switchAtMs: never,
    rekeyAtMs: never,
    expireAtMs: env.nowMs + tuning.ike.drainMs,
  });
  const waiting = others.find(({ waitingOutbound }) => waitingOutbound !== null);
  if (waiting !== undefined) switchOutbound(draft, waiting);
}

/** What was under way has come. */
export function drop(draft: Draft, child: ChildSa): void {
  const { sa } = draft;
  sa.children = sa.children.filter(({ inboundSpi }) => inboundSpi !== child.inboundSpi);
  const left = sa.children.filter(({ tunnel }) => tunnel === child.tunnel);
  const heir = left.find(isInUse);
  if (heir !== undefined) tell(draft, heir, [], null);
  else if (left.length === 0) draft.actions.push({ kind: 'tunnel-removed', sa: sa.id, tunnel: child.tunnel });
}

/** All of it ends with the IKE SA. */
export function removeAll(draft: Draft, reason: string): void {
  const { sa } = draft;
  const ended = new Set<string>();
  for (const child of sa.children) {
    if (child.waitingOutbound !== null) wipeEspKey(child.waitingOutbound);
    if (!ended.has(child.tunnel)) {
      ended.add(child.tunnel);
      draft.actions.push({ kind: 'tunnel-removed', sa: sa.id, tunnel: child.tunnel });
      if (isInUse(child)) draft.childEvent('child-sa-down', child, reason);
    }
  }
  sa.children = [];
}
