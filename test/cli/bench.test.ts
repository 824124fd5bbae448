import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const scratch = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function bench(...args: string[]) {
  return spawnSync(process.execPath, [program, 'bench', ...args], { encoding: 'utf8', timeout: 60_000 });
}

describe('penstock bench', () => {
  // the one question that needs no binary of its own
  const page = join(scratch, 'page.html');
  const run = bench('addon', '--rounds', '3', '--json', '--html', page, '--threshold', 'addon>0');

  it('prints environment and results as one JSON object, and nothing else on standard output', () => {
    expect(run.status, run.stderr).toBe(0);
    const report = JSON.parse(run.stdout);
    expect(report.environment).toMatchObject({ node: process.version, isLoaded: expect.any(Boolean) });
    expect(report.results.length).toBeGreaterThan(0);
    for (const result of report.results) {
      expect(result).toMatchObject({
        id: expect.stringMatching(/^addon\./),
        unit: expect.any(String),
        rounds: expect.any(Number),
      });
      expect(result.spread.low).toBeLessThanOrEqual(result.ours);
      expect(result.spread.high).toBeGreaterThanOrEqual(result.ours);
      expect(result.ours).toBeGreaterThan(0);
    }
    expect(report.thresholds.every((verdict: { holds: boolean }) => verdict.holds)).toBe(true);
  });

  it('writes the page, and compares with an earlier report', () => {
    expect(readFileSync(page, 'utf8')).toContain('<svg');
    const file = join(scratch, 'before.json');
    writeFileSync(file, run.stdout);
    const compared = bench('compare', file, file, '--json');
    expect(compared.status, compared.stderr).toBe(0);
    const { changes } = JSON.parse(compared.stdout);
    expect(changes.length).toBe(JSON.parse(run.stdout).results.length);
    expect(changes.every(({ times }: { times: number }) => times === 1)).toBe(true);
  });

  it('ends with 99 when a threshold does not hold, and says which', () => {
    const failed = bench('addon', '--rounds', '3', '--json', '--threshold', 'addon<0');
    expect(failed.status).toBe(99);
    expect(failed.stderr).toContain('addon<0 does not hold: addon.');
  });

  it.each([
    [['nonsense'], 'Allowed choices are'],
    [['addon', '--rounds', '2'], 'from 3 to 1000'],
    [['addon', '--threshold', 'fast'], 'write ID>NUMBER'],
    [['addon', 'twice'], 'one argument too many'],
    [['compare', 'only-one.json'], 'wants two reports'],
    [['compare', join(scratch, 'no.json'), join(scratch, 'no.json')], 'not a report of penstock bench'],
  ])('%j is a usage error', (args, words) => {
    const { status, stderr } = bench(...args);
    expect(status).toBe(2);
    expect(stderr).toContain(words);
  });
});
