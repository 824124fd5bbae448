import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beginCheck, type CheckState, stepCheck, wakeAt } from '../../dist/lb/health/check.js';
import { TimerWheel } from '../../dist/lb/health/wheel.js';

const settings = { intervalMs: 1000, timeoutMs: 400, jitter: 0, failureRetries: 3, recoveryRetries: 2 };

/** One probe from its due time on: answered, refused, or never heard of again. */
function probe(state: CheckState, fate: 'answered' | 'failed' | 'lost', of = settings) {
  const sent = stepCheck(of, state, { kind: 'woken', random: 0.5 }, state.nextAtMs);
  const number = sent.state.probe!.number;
  const at = sent.state.probe!.sentMs + 10;
  if (fate === 'lost')
    return stepCheck(of, sent.state, { kind: 'woken', random: 0.5 }, sent.state.probe!.deadlineMs);
  return fate === 'answered'
    ? stepCheck(of, sent.state, { kind: 'answered', probe: number }, at)
    : stepCheck(of, sent.state, { kind: 'failed', probe: number, message: 'refused' }, at);
}

describe('a health check', () => {
  it('is up after its recovery-retries, down after its failure-retries, up again after the others', () => {
    let state = beginCheck(settings, 0.25, 100);
    expect(wakeAt(state)).toBe(350);
    const verdicts: (boolean | null)[] = [];
    for (const fate of ['answered', 'answered', 'lost', 'failed', 'lost', 'answered', 'answered'] as const) {
      ({ state } = probe(state, fate));
      verdicts.push(state.up);
    }
    expect(verdicts).toEqual([null, true, true, true, false, false, true]);
    expect(state).toMatchObject({ sent: 7, succeeded: 4, failed: 3, timedOut: 2, wentUp: 2, wentDown: 1 });
  });

  it('says why it went down, and gives up on what never returns', () => {
    let state = beginCheck(settings, 0, 0);
    for (let i = 0; i < 2; i++) ({ state } = probe(state, 'lost'));
    const { state: down, actions } = probe(state, 'lost');
    expect(actions).toEqual([
      { kind: 'cancel', probe: 3 },
      { kind: 'down', message: 'no answer within 400 ms' },
    ]);
    expect(down.message).toBe('no answer within 400 ms');
  });

  it('passes over an answer that comes too late, and does not make up for a long sleep', () => {
    const { state } = probe(beginCheck(settings, 0, 0), 'lost');
    expect(stepCheck(settings, state, { kind: 'answered', probe: 1 }, 900).state).toBe(state);
    const woken = stepCheck(settings, state, { kind: 'woken', random: 0.5 }, 60_000);
    expect(woken.actions).toEqual([{ kind: 'send', probe: 2 }]);
    expect(woken.state.nextAtMs).toBe(61_000);
  });

  it('holds its promises whatever happens, in whatever order', () => {
    const fates = fc.array(fc.constantFrom('answered', 'failed', 'lost'), { maxLength: 60 });
    const retries = fc.integer({ min: 1, max: 5 });
    fc.assert(
      fc.property(
        fates,
        retries,
        retries,
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        (list, failureRetries, recoveryRetries, jitter) => {
          const of = { ...settings, failureRetries, recoveryRetries, jitter };
          let state = beginCheck(of, 0, 0);
          let model: { up: boolean | null; good: number; bad: number } = { up: null, good: 0, bad: 0 };
          for (const fate of list) {
            const before = state;
            const { state: after, actions } = probe(state, fate, of);
            const good = fate === 'answered' ? model.good + 1 : 0;
            const bad = fate === 'answered' ? 0 : model.bad + 1;
            const up = good >= recoveryRetries ? true : bad >= failureRetries ? false : model.up;
            const turned = actions.filter(({ kind }) => kind === 'up' || kind === 'down');
            expect(after.up).toBe(up);
            expect(turned.length).toBe(up === model.up ? 0 : 1);
            expect(after.sent).toBe(after.succeeded + after.failed);
            // the next comes an interval later, give or take the jitter
            const step = after.nextAtMs - before.nextAtMs;
            expect(Math.abs(step - of.intervalMs)).toBeLessThanOrEqual(of.intervalMs * jitter + 1e-6);
            model = { up, good, bad };
            state = after;
          }
        },
      ),
    );
  });
});

describe('the timer wheel', () => {
  it('gives every entry once, never early, at most a tick late', () => {
    const times = fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { maxLength: 100 });
    const steps = fc.array(fc.double({ min: 0.1, max: 3000, noNaN: true }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(times, steps, (at, by) => {
        const wheel = new TimerWheel(10, 0);
        at.forEach((atMs, id) => {
          wheel.schedule(id, atMs);
        });
        const given = new Map<number, number>();
        let now = 0;
        for (const step of [...by, 6000]) {
          const before = now;
          now += step;
          for (const id of wheel.advance(now)) {
            expect(given.has(id)).toBe(false);
            given.set(id, now);
            expect(at[id]!).toBeLessThanOrEqual(now);
            // the tick before would have been the last one too early
            expect(Math.max(at[id]!, 0)).toBeGreaterThan(before - 10.001);
          }
        }
        expect(given.size).toBe(at.length);
      }),
    );
  });
});
