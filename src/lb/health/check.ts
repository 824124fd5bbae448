/**
 * One health check as a pure step: when it probes, what lost and answered probes make of it. Whoever drives it sends
 * what `send` says, reports what became of it, and wakes it at wakeAt().
 *
 *   begin ─▶ waiting ─ woken at nextAtMs ─▶ send ─┬─ answered ──▶ successes in a row, up at recoveryRetries
 *                                                 ├─ failed ────▶ failures in a row, down at failureRetries
 *                                                 └─ woken at the deadline: timed out, the same
 */
export interface CheckSettings {
  readonly intervalMs: number;
  /** at most the interval */
  readonly timeoutMs: number;
  /** a part of the interval, below 1, up to which each probe is sent earlier or later */
  readonly jitter: number;
  /** probes lost in a row before it is down, from 1 */
  readonly failureRetries: number;
  /** probes answered in a row before it is up, from 1 */
  readonly recoveryRetries: number;
}

export interface CheckState {
  /** null: it has not made up its mind yet */
  readonly up: boolean | null;
  /** in a row, up to now; one of them is 0 */
  readonly failures: number;
  readonly successes: number;
  /** on its way */
  readonly probe: { readonly number: number; readonly sentMs: number; readonly deadlineMs: number } | null;
  /** when the next probe is sent */
  readonly nextAtMs: number;
  /** when it went up or down */
  readonly sinceMs: number;
  readonly sent: number;
  readonly succeeded: number;
  readonly failed: number;
  /** of those that failed */
  readonly timedOut: number;
  readonly wentUp: number;
  readonly wentDown: number;
  /** of the last answer */
  readonly roundTripMs: number | null;
  /** why the last probe failed; '' when it did not */
  readonly message: string;
}

/** random: uniform in [0, 1). probe: the number that send gave it; an answer to another one is late. */
export type CheckEvent =
  | { readonly kind: 'woken'; readonly random: number }
  | { readonly kind: 'answered'; readonly probe: number }
  | { readonly kind: 'failed'; readonly probe: number; readonly message: string };

export type CheckAction =
  | { readonly kind: 'send'; readonly probe: number }
  /** nobody waits for its answer any more */
  | { readonly kind: 'cancel'; readonly probe: number }
  | { readonly kind: 'up' }
  | { readonly kind: 'down'; readonly message: string };

export interface CheckStep {
  readonly state: CheckState;
  readonly actions: readonly CheckAction[];
}

const nothing: readonly CheckAction[] = [];

/** The first probe comes within one interval, at random, so that many checks do not come at once. */
export function beginCheck({ intervalMs }: CheckSettings, random: number, nowMs: number): CheckState {
  return {
    up: null,
    failures: 0,
    successes: 0,
    probe: null,
    nextAtMs: nowMs + random * intervalMs,
    sinceMs: nowMs,
    sent: 0,
    succeeded: 0,
    failed: 0,
    timedOut: 0,
    wentUp: 0,
    wentDown: 0,
    roundTripMs: null,
    message: '',
  };
}

export const wakeAt = ({ probe, nextAtMs }: CheckState): number =>
  probe === null ? nextAtMs : Math.min(probe.deadlineMs, nextAtMs);

export function stepCheck(
  settings: CheckSettings,
  state: CheckState,
  event: CheckEvent,
  nowMs: number,
): CheckStep {
  if (event.kind === 'woken') return woken(settings, state, event.random, nowMs);
  if (state.probe?.number !== event.probe) return { state, actions: nothing };
  return event.kind === 'answered'
    ? answered(settings, state, nowMs)
    : lost(settings, { ...state, probe: null }, event.message, nowMs);
}

function woken(settings: CheckSettings, state: CheckState, random: number, nowMs: number): CheckStep {
  let { state: now, actions } = timeOut(settings, state, nowMs);
  if (nowMs < now.nextAtMs) return { state: now, actions };
  const number = now.sent + 1;
  const step = settings.intervalMs * (1 + settings.jitter * (2 * random - 1));
  // who was asleep for longer than an interval does not make up for it
  const nextAtMs = nowMs - now.nextAtMs > settings.intervalMs ? nowMs + step : now.nextAtMs + step;
  const probe = { number, sentMs: nowMs, deadlineMs: nowMs + settings.timeoutMs };
  now = { ...now, sent: number, probe, nextAtMs };
  actions = [...actions, { kind: 'send', probe: number }];
  return { state: now, actions };
}

/** A probe whose time is over, or that is still under way when the next is due. */
function timeOut(settings: CheckSettings, state: CheckState, nowMs: number): CheckStep {
  const { probe } = state;
  if (probe === null || nowMs < Math.min(probe.deadlineMs, state.nextAtMs))
    return { state, actions: nothing };
  const message = `no answer within ${Math.round(settings.timeoutMs)} ms`;
  const after = lost(settings, { ...state, probe: null, timedOut: state.timedOut + 1 }, message, nowMs);
  return { state: after.state, actions: [{ kind: 'cancel', probe: probe.number }, ...after.actions] };
}

function answered({ recoveryRetries }: CheckSettings, state: CheckState, nowMs: number): CheckStep {
  const { probe, up, successes, succeeded, wentUp } = state;
  const next: CheckState = {
    ...state,
    probe: null,
    successes: successes + 1,
    failures: 0,
    succeeded: succeeded + 1,
    roundTripMs: nowMs - probe!.sentMs,
    message: '',
  };
  if (up === true || next.successes < recoveryRetries) return { state: next, actions: nothing };
  return {
    state: { ...next, up: true, sinceMs: nowMs, wentUp: wentUp + 1 },
    actions: [{ kind: 'up' }],
  };
}

function lost(
  { failureRetries }: CheckSettings,
  state: CheckState,
  message: string,
  nowMs: number,
): CheckStep {
  const { up, failures, failed, wentDown } = state;
  const next: CheckState = {
    ...state,
    failures: failures + 1,
    successes: 0,
    failed: failed + 1,
    message,
  };
  if (up === false || next.failures < failureRetries) return { state: next, actions: nothing };
  return {
    state: { ...next, up: false, sinceMs: nowMs, wentDown: wentDown + 1 },
    actions: [{ kind: 'down', message }],
  };
}
