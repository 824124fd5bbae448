/** Echo requests at an interval, and whether they are answered, as a pure step: IP monitors and activeness probes. */

export interface EchoPolicy {
  readonly intervalMs: number;
  /** lost in a row until it counts as unanswered */
  readonly multiplier: number;
}

export interface EchoState {
  /** of the last request, 0: none yet */
  readonly sequence: number;
  /** of the last request that was answered */
  readonly answered: number;
  readonly nextMs: number;
  /** in a row */
  readonly lost: number;
  readonly verdict: 'unknown' | 'answered' | 'unanswered';
}

export function startEcho(nowMs: number): EchoState {
  return { sequence: 0, answered: 0, nextMs: nowMs, lost: 0, verdict: 'unknown' };
}

/** The time has passed: a request that is out without an answer is lost, and the next goes. send: its number, or null. */
export function tickEcho(
  state: EchoState,
  { intervalMs, multiplier }: EchoPolicy,
  nowMs: number,
): { readonly state: EchoState; readonly send: number | null } {
  if (nowMs < state.nextMs) return { state, send: null };
  const isLost = state.sequence > 0 && state.answered !== state.sequence;
  const lost = isLost ? state.lost + 1 : 0;
  const verdict = lost >= multiplier ? 'unanswered' : state.verdict;
  // the field of the message has 16 bits, and 0 means none
  const sequence = (state.sequence % 0xffff) + 1;
  // a clock that jumped does not send what it missed
  const nextMs = Math.max(state.nextMs + intervalMs, nowMs);
  return { state: { ...state, sequence, lost, verdict, nextMs }, send: sequence };
}

/** An answer to the request that is out; to an older one it comes too late. */
export function answerEcho(state: EchoState, sequence: number): EchoState {
  if (sequence === 0 || sequence !== state.sequence || state.answered === sequence) return state;
  return { ...state, answered: sequence, lost: 0, verdict: 'answered' };
}
