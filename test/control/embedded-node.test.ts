import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../dist/config/problem.js';
import { type EmbeddedNode, startNode } from '../../dist/control/embedded-node.js';

let directory: string;
let node: EmbeddedNode | null = null;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-embedded-'));
});
afterEach(async () => {
  await node?.stop();
  node = null;
  rmSync(directory, { recursive: true, force: true });
});

const configuration = (mtu: number) => `
system: { host-name: inside, control-socket: ${directory}/inside.sock }
interfaces:
  ge-0/0/0:
    port: { memory: wire }
    mtu: ${mtu}
    unit: { 0: { family: { inet: { address: 192.0.2.1/24 } } } }
  ge-0/0/1:
    port: { memory: wire }
    unit: { 0: { family: { inet: { address: 198.51.100.1/24 } } } }
`;

describe('a node inside a program', () => {
  it('answers, takes another configuration, and stops', async () => {
    const lines: string[] = [];
    node = await startNode(configuration(1500), { log: (line) => lines.push(line) });
    expect(node.socket).toBe(`${directory}/inside.sock`);
    expect(node.config.system.hostName).toBe('inside');
    expect(node.show('neighbours')).toMatchObject({ neighbours: [] });
    expect(node.apply(configuration(1400), { dryRun: true })).toMatchObject({ outcome: 'dry-run' });
    expect(node.apply(configuration(1400))).toMatchObject({ outcome: 'applied' });
    expect(node.apply(configuration(1400))).toMatchObject({ outcome: 'unchanged' });
    expect(node.apply('system: { host-name: }')).toMatchObject({ outcome: 'bad-configuration' });
    await node.stop();
    await node.stop();
    expect(existsSync(node.socket)).toBe(false);
    expect(lines.join('\n')).toContain('applied');
  });

  it('waits to be confirmed for a time that a timer can tell, and takes nothing once it is being stopped', async () => {
    node = await startNode(configuration(1500));
    for (const confirmSeconds of [-1, 0, 1e9, Number.NaN])
      expect(() => node!.apply(configuration(1400), { confirmSeconds })).toThrow(
        /^confirmSeconds: .* is not from 1/,
      );
    const stopped = node.stop();
    expect(() => node!.apply(configuration(1400))).toThrow('the node is being stopped');
    await stopped;
    expect(() => node!.apply(configuration(1400))).toThrow('the node is being stopped');
  });

  it('refuses what cannot be, with every problem', async () => {
    await expect(startNode('system: { host-nam: x }', { file: 'my.yaml' })).rejects.toThrow(ConfigError);
    await expect(startNode('system: { host-nam: x }', { file: 'my.yaml' })).rejects.toThrow(/my\.yaml:1:/);
  });

  it('lets the program end once it is stopped', () => {
    const program = `
      import { startNode } from 'penstock';
      const node = await startNode(${JSON.stringify(configuration(1500))});
      await node.stop();`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: new URL('../..', import.meta.url).pathname,
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });
});
