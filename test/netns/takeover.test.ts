/** The death of the active gateway of a pair, on real packets: bench/takeover.ts with assertions. */
import { describe, expect, it } from 'vitest';
import { takeover } from '../../dist/bench/takeover.js';
import { missing } from './support.js';

describe.skipIf(missing !== undefined)(`a pair whose active node is killed${missing?.note ?? ''}`, () => {
  it('goes on over the other one, and back: TCP connections live, no SA is made anew', async () => {
    const { runs, tcp, spisChanged } = await takeover({
      runs: 2,
      tunnels: 50,
      rate: 2000,
      tcp: 5,
      // nothing of a busy machine looks like a death
      intervalMs: 150,
      onRun: () => {},
    });
    expect(runs.map(({ killed }) => killed)).toEqual(['gwa', 'gwb']);
    // half a second before the kill and one after: most of it had answers
    for (const { sent, answered } of runs) expect(answered / sent).toBeGreaterThan(0.4);
    expect(tcp).toMatchObject({ connections: 5, broken: 0 });
    expect(spisChanged).toBe(0);
  }, 120_000);
});
