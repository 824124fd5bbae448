import { spawn } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { counters } from '../../dist/pipeline/counters.js';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** interruptAt: what it says on standard error when it is to be interrupted. */
function demo(args: string[], interruptAt?: RegExp): Promise<Outcome> {
  const child = spawn(process.execPath, [main, 'demo', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const outcome: Outcome = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (outcome.stdout += chunk));
  child.stderr.on('data', (chunk) => {
    outcome.stderr += chunk;
    if (interruptAt?.test(outcome.stderr)) child.kill('SIGINT');
  });
  return new Promise((resolve) => void child.once('close', (code) => resolve({ ...outcome, code })));
}

/** What is dropped while a gateway is off and its tunnels have no new keys, and nothing else. */
const expectedDrops = new Set([
  // by the gateway that was off
  'portClosed',
  // keys of a gateway that is not the one any more
  'noSa',
  // towards a tunnel whose route was withdrawn
  'noRoute',
  'stale',
  'noNeighbour',
  'neighbourPending',
]);

describe('penstock demo --json', () => {
  let outcome: Outcome;
  // biome-ignore lint/suspicious/noExplicitAny: what a program reads
  let result: any;
  beforeAll(async () => {
    outcome = await demo(['--seconds', '2', '--tunnels', '200', '--json']);
    result = JSON.parse(outcome.stdout);
  }, 60_000);

  it('exits 0 and prints one object', () => {
    expect(outcome.code).toBe(0);
    expect(outcome.stdout.trim().split('\n')).toHaveLength(1);
    expect(result).toMatchObject({
      schemaVersion: 1,
      tunnels: 200,
      flows: 2000,
      gateways: 4,
      violations: [],
    });
  });

  it('accounts for every packet, and every one that arrived is right', () => {
    const drops = Object.values(result.dropsByReason as Record<string, number>).reduce(
      (sum, count) => sum + count,
      0,
    );
    expect(result.delivered).toBeGreaterThan(0);
    expect(result.sent).toBe(result.delivered + drops);
    expect(result.lost).toBe(drops);
    expect(result).toMatchObject({ mismatched: 0, accounted: true });
  });

  it('loses only what the gateway held and what its tunnels sent until they were re-keyed', () => {
    const names = Object.keys(result.dropsByReason);
    expect(names).toContain('portClosed');
    expect(names.filter((name) => !expectedDrops.has(name))).toEqual([]);
    const known = new Set(counters.map(({ camelName }) => camelName as string));
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });

  it('moves a quarter of the slots and no others, and has the first table back', () => {
    const { slots, unavoidable, excess, tunnels, flows } = result.movedByFailure;
    expect(unavoidable).toBe(slots / 4);
    expect(excess).toBe(0);
    expect(flows).toBe(10 * tunnels);
    expect(result.tunnelsRekeyed).toBe(2 * tunnels);
    expect(result.recoveredTableIdentical).toBe(true);
  });

  it('uses no nonce twice', () => {
    expect(result.nonces).toMatchObject({ repeated: 0, unproven: 0 });
    // each packet that was sealed passed the witness, but for those that the gateway held that was shut off
    expect(result.nonces.seen).toBeGreaterThan(result.delivered / 2);
  });

  it('gives rates, latency and shares that can be', () => {
    expect(result.gbps).toBeGreaterThan(0);
    expect(result.mpps).toBeGreaterThan(0);
    expect(result.latencyUs.p99).toBeGreaterThanOrEqual(result.latencyUs.p50);
    const shares = Object.values(result.shares as Record<string, number>);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 2);
    expect(shares).toHaveLength(4);
  });

  it('says on standard error what happens meanwhile', () => {
    expect(outcome.stderr).toMatch(/gw2 stopped: \d+ of [\d,]+ slots re-homed, 0 others moved/);
    expect(outcome.stderr).toMatch(/tunnels re-keyed/);
    expect(outcome.stderr).toMatch(/gw2 is back: .* the table is the first one again/);
  });
});

describe('penstock demo', () => {
  it('prints a table, a summary and what to try next', async () => {
    const { code, stdout, stderr } = await demo([
      '--seconds',
      '2',
      '--tunnels',
      '20',
      '--gateways',
      '2',
      '--workers',
      '1',
      '--size',
      '700',
    ]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(
      /^penstock demo: 20 tunnels · 200 flows · 700 bytes · AES-256-GCM · router tlb1 → gw1 gw2 · 1 worker \(.+\)$/,
    );
    expect(lines[2]!.trim().split(/\s+/)).toEqual([
      'time',
      'inner',
      'packets',
      'p50',
      'p99',
      'gw1',
      'gw2',
      'lost',
      'wrong',
    ]);
    expect(stdout).toMatch(
      /^ +\d\.\d s +[\d.]+ Gb\/s +[\d.]+ M\/s +[\d.]+ [µm]s +[\d.]+ [µm]s +\d+ % +(\d+ %|–) +[\d,]+ +0$/m,
    );
    expect(stdout).toMatch(/^delivered [\d,]+ of [\d,]+ · lost [\d,]+.* · wrong 0$/m);
    expect(stdout).toMatch(/^Next: penstock /m);
    // no terminal, no colour
    expect(stdout).not.toContain('\u001b');
  }, 60_000);

  it('ends when it is interrupted, with what it has', async () => {
    const { code, stdout } = await demo(['--seconds', '60', '--tunnels', '20', '--json'], / 2\.\d s /);
    expect(code).toBe(130);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ interrupted: true, mismatched: 0, accounted: true });
    expect(result.seconds).toBeLessThan(30);
  }, 60_000);

  it.each([
    [['--seconds', '0'], '--seconds 0: write a whole number from 1 to 86400, e.g. --seconds 10'],
    [['--seconds', 'ten'], '--seconds ten: write a whole number from 1 to 86400, e.g. --seconds 10'],
    [['--tunnels', '1e9'], '--tunnels 1e9: write a whole number from 1 to 10000'],
    [['--gateways', '1'], '--gateways 1: 2 or more are needed, since one is shut off'],
    [['--workers', '65'], '--workers 65: write a whole number from 1 to 64'],
    [['--size', '20'], '--size 20: write a whole number from 64 to 1900'],
    [['--size', '-64'], '--size'],
    [['--second', '3'], "unknown option '--second'"],
    [['now'], 'too many arguments'],
  ])('%j is refused with exit 2 and the mend', async (args, message) => {
    const { code, stdout, stderr } = await demo(args);
    expect(stderr).toContain(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});
