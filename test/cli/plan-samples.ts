/** Configurations and files for plan and explain, and the program run as a user runs it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { Exit } from '../../dist/cli/exit-codes.js';
import { createOutput, type Output } from '../../dist/cli/output.js';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Directory {
  readonly path: string;
  file(name: string, content: string | Uint8Array): string;
  /** Runs the real program there. */
  penstock(...args: string[]): { status: number | null; stdout: string; stderr: string };
  /** The command itself, in this process: sooner. Files by absolute paths. */
  run(
    command: (output: Output) => Command,
    ...args: string[]
  ): Promise<{ status: number; stdout: string; stderr: string }>;
  remove(): void;
}

export function directory(): Directory {
  const path = mkdtempSync(join(tmpdir(), 'penstock-plan-'));
  return {
    path,
    file(name, content) {
      writeFileSync(join(path, name), content);
      return name;
    },
    penstock(...args) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
        cwd: path,
        encoding: 'utf8',
        timeout: 25_000,
        maxBuffer: 64 * 1024 * 1024,
      });
      return { status, stdout, stderr };
    },
    async run(command, ...args) {
      const said = { stdout: '', stderr: '' };
      const stream = (name: 'stdout' | 'stderr') => ({
        write(text: string) {
          said[name] += text.replaceAll(`${path}/`, '');
        },
      });
      const output = createOutput(stream('stdout'), stream('stderr'), {});
      const paths = args.map((arg) => (/^[\w-]+(\/\w+)*\.\w+$/.test(arg) ? join(path, arg) : arg));
      const made = command(output)
        .exitOverride()
        .configureOutput({ writeErr: () => {} });
      try {
        await made.parseAsync(paths, { from: 'user' });
        return { status: 0, ...said };
      } catch (error) {
        if (error instanceof Exit && error.message !== '') output.message(error.message);
        return { status: error instanceof Exit ? error.code : 2, ...said };
      }
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export interface Member {
  readonly name: string;
  readonly weight?: number;
}

export const gateways = (count: number): Member[] =>
  Array.from({ length: count }, (_, i) => ({ name: `gw${i + 1}` }));

export interface RouterOptions {
  readonly seed?: number;
  readonly group?: string;
  /** a second group of the same members, on 10.0.0.2 */
  readonly second?: string;
  readonly socket?: string;
}

/** A router with one virtual service, 10.0.0.1, in front of these gateways. */
export function router(members: readonly Member[], options: RouterOptions = {}): string {
  const { seed = 7, group = 'secgw', second, socket } = options;
  const address = (i: number) => `10.1.${(i + 10) >> 8}.${(i + 10) & 255}`;
  const names = members.map(({ name }) => name).join(', ');
  const service = (name: string, to: string, of: string) =>
    `          ${name}: { mode: direct-server-return, address: ${to}, routing-instance: srx-fi, group: ${of}, load-balance-method: { hash: { hash-key: source-ip, seed: ${seed} } } }`;
  return `system: { host-name: tlb1${socket === undefined ? '' : `, control-socket: ${socket}`} }
interfaces:
  ae10: { port: { memory: wire }, unit: { 0: { family: { inet: { address: 10.40.1.2/24, filter: { input: LB } } } } } }
  ae1: { port: { memory: wire }, unit: { 0: { family: { inet: { address: 10.1.0.1/16 } } } } }
routing-instances:
  TRUST_VR:
    instance-type: virtual-router
    interface: [ae10, ae1]
    routing-options: { static: { route: { 10.20.0.0/16: { next-hop: 10.40.1.3 }, 10.66.0.0/16: { discard } } } }
  srx-fi: { instance-type: forwarding }
firewall:
  family:
    inet:
      filter:
        LB:
          term:
            - { name: BAD, from: { source-address: 10.20.66.0/24 }, then: { discard } }
            - { name: NO_GRE, from: { protocol: gre }, then: { discard } }
            - { name: IPSEC, from: { destination-address: 10.0.0.0/24 }, then: { count: ipsec, routing-instance: srx-fi } }
            - { name: other, then: { accept } }
services:
  traffic-load-balance:
    instance:
      lb:
        interface: ae10.0
        client-vrf: TRUST_VR
        server-vrf: TRUST_VR
        group:
          ${group}: { real-services: [${names}] }
${second === undefined ? '' : `          ${second}: { real-services: [${names}] }\n`}        real-service:
${members
  .map(
    ({ name, weight }, i) =>
      `          ${name}: { address: ${address(i)}${weight === undefined ? '' : `, weight: ${weight}`} }`,
  )
  .join('\n')}
        virtual-service:
${service('vs1', '10.0.0.1', group)}
${second === undefined ? '' : service('vs2', '10.0.0.2', second)}
`;
}
