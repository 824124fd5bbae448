import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { explainCommand } from '../../dist/cli/explain.js';
import { buildTable } from '../../dist/lb/chash.js';
import { FlowHasher, slotOf, toHex } from '../../dist/lb/keys.js';
import { directory, gateways, router } from './plan-samples.js';

const here = directory();
afterAll(() => here.remove());
const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
here.file('lb.yaml', router(gateways(4)));
const flow = '10.20.0.17,10.0.0.1,udp,500,500';

const hasher = new FlowHasher('xxh64', 7);
const hash = hasher.hash(Uint8Array.of(10, 20, 0, 17));
const slot = slotOf(hash, 1024);
function holder(dead: string[] = []): string {
  const { members, slots } = buildTable({ members: gateways(4), dead, hasher, size: 1024 });
  return members[slots[slot]!]!.name;
}
const home = holder();
const second = holder([home]);
const address = (name: string) => `10.1.0.${9 + Number(name.slice(2))}`;

describe('penstock explain', () => {
  it('follows a flow through filter, virtual service and table, as the program prints it', () => {
    const { status, stdout, stderr } = here.penstock('explain', 'lb.yaml', '--flow', flow);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')).toEqual([
      'comes in by ae10.0 (by the route to 10.20.0.17)',
      'filter LB term IPSEC → routing instance srx-fi, counted in ipsec',
      'route 10.0.0.1/32 in srx-fi → virtual service vs1 → group secgw, key source-ip = 0a140011',
      `xxh64(seed 7) = ${toHex(hash)} → slot ${slot} of 1,024 → home ${home} (up) → next hop ${address(home)}, ae1.0`,
      '',
    ]);
  });

  it('says whom a slot goes to when its home is dead, and when all are', async () => {
    const { stdout } = await here.run(explainCommand, 'lb.yaml', '--flow', flow, '--dead', home);
    expect(stdout).toContain(
      `→ home ${home} (down), re-homed to ${second} (up) → next hop ${address(second)}, ae1.0`,
    );
    const all = gateways(4).flatMap(({ name }) => ['--dead', name]);
    const { stdout: none } = await here.run(explainCommand, 'lb.yaml', '--flow', flow, ...all);
    expect(none).toContain(`home ${home} (down); nobody is up, so it is dropped`);
  });

  it.each([
    ['10.20.0.17,10.0.0.1,esp,0x1001', 'key source-ip = 0a140011'],
    ['10.20.0.17,10.0.0.1,icmp,8,0', 'key source-ip = 0a140011'],
    ['10.20.0.17,10.0.0.1,50', 'key source-ip = 0a140011'],
    ['10.20.66.1,10.0.0.1,udp,1,2', 'filter LB term BAD → discard\ndiscarded by the filter LB'],
    ['10.20.0.17,10.0.0.1,gre', 'filter LB term NO_GRE → discard\ndiscarded by the filter LB'],
    ['10.20.0.17,10.0.0.9,udp,1,2', 'no route to it in srx-fi: dropped'],
    ['10.20.0.17,10.66.0.1,udp,1,2', 'route 10.66.0.0/16 (static) in TRUST_VR → discard'],
    [
      '10.20.0.17,10.1.0.1,udp,1,2',
      'route 10.1.0.1/32 (local) in TRUST_VR → an address of this node (ae1.0): not balanced',
    ],
    [
      '10.20.0.17,10.1.2.3,udp,1,2',
      'route 10.1.0.0/16 (direct) in TRUST_VR → ae1.0: not balanced → next hop 10.1.2.3, ae1.0',
    ],
    ['9.9.9.9,10.0.0.1,udp,1,2', 'comes in by ae10.0 (the only one with a filter)'],
  ])('%s', async (given, text) => {
    const { status, stdout } = await here.run(explainCommand, 'lb.yaml', '--flow', given);
    expect(status).toBe(0);
    expect(stdout).toContain(text);
  });

  it('takes the interface that is given', async () => {
    const { stdout } = await here.run(explainCommand, 'lb.yaml', '--flow', flow, '--interface', 'ae1');
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      'comes in by ae1.0 (as given)',
      'no route to it in TRUST_VR: dropped',
    ]);
  });

  it.each([
    [
      ['lb.yaml', '--flow', '10.20.0.17,10.0.0.1'],
      2,
      'write source,destination,protocol,source port,destination port',
    ],
    [['lb.yaml', '--flow', '10.20.0.17,10.0.0.1,tcp'], 2, 'tcp has two ports'],
    [['lb.yaml', '--flow', '10.20.0.17,10.0.0.1,tcp,1,65536'], 2, '65536 is no port'],
    [['lb.yaml', '--flow', '10.20.0.17,10.0.0.1,udpp'], 2, 'no protocol udpp; did you mean udp?'],
    [['lb.yaml', '--flow', '10.20.0.17,10.0.0.1,esp,1,2'], 2, 'esp has an SPI and no ports'],
    [['lb.yaml', '--flow', '10.20.0.170.1,10.0.0.1,esp'], 2, '10.20.0.170.1 is not an IP address'],
    [['lb.yaml', '--flow', '2001:db8::1,10.0.0.1,esp'], 2, 'two families'],
    [['lb.yaml', '--flow', '2001:db8::1,2001:db8::2,esp'], 2, 'no interface has an inet6 address'],
    [['lb.yaml', '--flow', flow, '--interface', 'ae100'], 2, 'no interface ae100; did you mean ae10.0?'],
    [['lb.yaml', '--flow', flow, '--dead', 'gv2'], 2, 'no member gv2 in group secgw; did you mean gw2?'],
    [['--flow', flow], 2, 'explain wants a configuration, or --socket PATH'],
    [['gone.yaml', '--flow', flow], 4, 'gone.yaml: cannot be read'],
    [['--socket', '/nowhere/at/all.sock', '--flow', flow], 1, 'no node listens at /nowhere/at/all.sock'],
  ] as const)('refuses %j', async (args, status, message) => {
    const result = await here.run(explainCommand, ...args);
    expect([result.status, result.stdout]).toEqual([status, '']);
    expect(result.stderr).toContain(message);
  });
});

describe('penstock explain --socket', () => {
  it('asks a running node, whose members nobody has seen yet', async () => {
    const socket = join(here.path, 'tlb1.sock');
    here.file('node.yaml', router(gateways(4), { socket }));
    const node = spawn(process.execPath, [program, 'run', 'node.yaml'], {
      cwd: here.path,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      let said = '';
      await new Promise<void>((resolve, reject) => {
        node.stderr.on('data', (chunk: Buffer) => {
          said += String(chunk);
          if (said.includes('control socket')) resolve();
        });
        node.once('exit', () => reject(new Error(said)));
      });
      const result = await here.run(explainCommand, '--socket', socket, '--flow', flow, '--json');
      expect([result.status, result.stderr]).toEqual([0, '']);
      expect(JSON.parse(result.stdout)).toMatchObject({
        schemaVersion: 1,
        hostName: 'tlb1',
        flow: { source: '10.20.0.17', protocol: 'udp', destinationPort: 500 },
        interface: 'ae10.0',
        outcome: 'nobody-up',
        group: { group: 'secgw', slot, member: null, home, why: 'nobody-up', hashValue: toHex(hash) },
      });
      const wrong = await here.run(explainCommand, '--socket', socket, '--flow', flow, '--interface', 'x9');
      expect([wrong.status, wrong.stderr]).toEqual([
        1,
        'penstock: no interface x9; there is ae10.0, ae1.0\n',
      ]);
    } finally {
      node.removeAllListeners('exit');
      if (node.exitCode === null) {
        const ended = once(node, 'exit');
        node.kill('SIGTERM');
        await ended;
      }
    }
  });
});
