/** The end of an IKE SA: its tunnels go, its keys are wiped. */
import { wipeIkeKeys } from './crypto.js';
import { type Draft, never } from './draft.js';
import { removeAll } from './tunnel-keys.js';

/** Nothing is left of it. */
export function finish(draft: Draft, reason: string): void {
  const { sa } = draft;
  if (draft.gone) return;
  const wasUp = sa.state === 'up' || sa.state === 'deleting';
  removeAll(draft, reason);
  if (wasUp) draft.event('ike-sa-down', { reason });
  wipeIkeKeys(sa.keys);
  sa.asking?.secret?.wipe();
  sa.keys = null;
  draft.gone = true;
}

/** It goes on for a moment to answer repetitions of the last request, and carries nothing any more. */
export function linger(draft: Draft, reason: string, forMs: number): void {
  const { sa, env } = draft;
  const wasUp = sa.state === 'up' || sa.state === 'deleting';
  removeAll(draft, reason);
  if (wasUp) draft.event('ike-sa-down', { reason });
  sa.asking?.secret?.wipe();
  Object.assign(sa, {
    state: 'over',
    asking: null,
    serving: null,
    queue: [],
    rekeyAtMs: never,
    probeAtMs: never,
    keepaliveAtMs: never,
    expireAtMs: env.nowMs + forMs,
  });
}
