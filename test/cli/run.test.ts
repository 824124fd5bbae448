import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-run-'));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

const router = (more = '') => `
system: { host-name: r1, control-socket: r1.sock }
interfaces:
  ge-0/0/0: { port: { memory: a }, unit: { 0: { family: { inet: { address: [10.1.1.1/24] } } } } }
  ge-0/0/1: { port: { memory: a }, unit: { 0: { family: { inet: { address: [10.1.2.1/24] } } } } }
${more}`;

interface Running {
  child: ChildProcess;
  said: () => string;
  ended: Promise<{ code: number | null; signal: string | null }>;
}

/** Runs it and waits until it says that it runs, or ends. */
async function run(text: string, args: string[] = []): Promise<Running> {
  const file = join(directory, 'node.yaml');
  writeFileSync(file, text);
  const child = spawn(process.execPath, [main, 'run', file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let said = '';
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const runs = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream!.on('data', (chunk) => {
        said += chunk;
        if (said.includes('runs: 2 ports')) resolve();
      });
    }
  });
  await Promise.race([runs, ended]);
  return { child, said: () => said, ended };
}

function show(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [main, 'show', ...words, '--socket', join(directory, 'r1.sock')],
    {
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
  return { status, stdout, stderr };
}

describe('penstock run and show', () => {
  it('tell each other over the control socket, until SIGTERM', async () => {
    const node = await run(router());
    expect(node.said()).toBe(`penstock: r1 runs: 2 ports, control socket ${directory}/r1.sock\n`);
    expect(show('route').stdout).toMatch(
      /^inet\.0: 4 destinations, 4 routes \(4 active, 0 holddown, 0 hidden\)$/m,
    );
    const json = JSON.parse(show('route', '--json').stdout);
    expect(json.schemaVersion).toBe(1);
    expect(json.routes).toHaveLength(4);
    expect(JSON.parse(show('counters', '--all', '--json').stdout).counters.length).toBeGreaterThan(40);
    expect(show('tlb', 'instance', 'x')).toMatchObject({
      status: 1,
      stderr: 'penstock: no instance x; this node balances nothing\n',
    });
    expect(show('rout', 'tabel', 'x').status).toBe(2);
    node.child.kill('SIGTERM');
    expect(await node.ended).toEqual({ code: 0, signal: null });
    expect(existsSync(join(directory, 'r1.sock'))).toBe(false);
    expect(show('route')).toMatchObject({ status: 1, stderr: expect.stringContaining('no node listens at') });
  });

  it('ends with 130 when it is interrupted', async () => {
    const node = await run(router());
    node.child.kill('SIGINT');
    expect(await node.ended).toEqual({ code: 130, signal: null });
    expect(existsSync(join(directory, 'r1.sock'))).toBe(false);
  });

  it('refuses a second one on the same socket, and takes over what a killed one left', async () => {
    const first = await run(router());
    const second = await run(router());
    expect((await second.ended).code).toBe(1);
    expect(second.said()).toBe(
      `penstock: another penstock run has the control socket ${directory}/r1.sock; stop it, or write another system.control-socket\n`,
    );
    first.child.kill('SIGKILL');
    await first.ended;
    expect(existsSync(join(directory, 'r1.sock'))).toBe(true);
    const third = await run(router());
    expect(third.said()).toContain('r1 runs');
    third.child.kill('SIGTERM');
    expect((await third.ended).code).toBe(0);
  });

  it('says what happens as JSON where it is asked to', async () => {
    const node = await run(router(), ['--json']);
    node.child.kill('SIGTERM');
    await node.ended;
    const lines = node
      .said()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0]).toMatchObject({ schemaVersion: 1, message: expect.stringContaining('r1 runs') });
    expect(Math.abs(Date.parse(lines[0].time) - Date.now())).toBeLessThan(60_000);
  });

  it('prints every problem of a configuration and ends with 4', async () => {
    const node = await run(router('routing-option: {}\nflows: {}\n'));
    expect((await node.ended).code).toBe(4);
    expect(node.said().trim().split('\n')).toHaveLength(2);
    expect(node.said()).toContain(
      'node.yaml:6:1: routing-option: unknown key; did you mean routing-options?',
    );
    const missing = spawnSync(process.execPath, [main, 'run', join(directory, 'no.yaml')], {
      encoding: 'utf8',
    });
    expect(missing.status).toBe(4);
    expect(missing.stderr).toContain('there is no such file');
  });

  it('seals nothing without a state directory: it says so and does not start', async () => {
    const key = (byte: string) => `{ hex: ${byte.repeat(36)} }`;
    const node = await run(
      router(`
  lo0: { unit: { 0: { family: { inet: { address: [10.0.0.1/32] } } } } }
  st0: { unit: { 0: {} } }
routing-options: { static: { route: { 10.20.0.0/16: { next-hop: 10.1.1.9 } } } }
security:
  zones: { security-zone: { all: { interfaces: [st0.0, ge-0/0/0.0, ge-0/0/1.0] } } }
  ipsec:
    vpn:
      enb1:
        bind-interface: st0.0
        manual: { gateway: 10.20.0.1, local-address: 10.0.0.1, encryption-algorithm: aes-256-gcm, inbound: [{ spi: 4097, key: ${key('a1')} }], outbound: { spi: 8193, key: ${key('b2')} } }
        traffic-selector: { ts1: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.0/24 } }
`),
    );
    expect((await node.ended).code).toBe(4);
    expect(node.said()).toMatch(/system\.state-directory: missing; without it nothing is sealed/);
    expect(node.said()).not.toMatch(/a1a1a1|b2b2b2/);
  });
});
