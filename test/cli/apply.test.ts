import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'penstock-apply-'));
  children = [];
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

interface Parts {
  hostName?: string;
  members?: string[];
  weights?: Record<string, number>;
  more?: string;
  vpns?: Record<string, { spi: number; key: string; remote: string; options?: string }>;
}

/** A router with a virtual service, whose ports are the ends of one wire, and which ends tunnels as well. */
function text({ hostName = 'r1', members = ['gw1', 'gw2'], weights = {}, more = '', vpns = {} }: Parts = {}) {
  const vpn = Object.entries(vpns).map(
    ([name, { spi, key, remote, options = '' }]) =>
      `      ${name}: { bind-interface: st0.0, ${options} manual: { gateway: 10.1.1.9, local-address: 10.1.1.1, encryption-algorithm: aes-256-gcm, inbound: [{ spi: ${spi}, key: { hex: ${key.repeat(72)} } }], outbound: { spi: ${spi + 1000}, key: { hex: ${key.repeat(71)}0 } } }, traffic-selector: { ts: { local-ip: 0.0.0.0/0, remote-ip: ${remote} } } }`,
  );
  return `
system: { host-name: ${hostName}, node-id: 1, state-directory: state, control-socket: r1.sock }
interfaces:
  ge-0/0/0: { port: { memory: a }, unit: { 0: { family: { inet: { address: [10.1.1.1/24] } } } } }
  ge-0/0/1: { port: { memory: a }, unit: { 0: { family: { inet: { address: [10.1.2.1/24] } } } } }
${more}  st0: { unit: { 0: {} } }
routing-instances: { fi: { instance-type: forwarding } }
services:
  traffic-load-balance:
    instance:
      lb:
        interface: ge-0/0/0.0
        client-vrf: default
        server-vrf: default
        group: { g: { real-services: [${members.join(', ')}] } }
        real-service:
${members.map((name, i) => `          ${name}: { address: 10.1.1.${i + 11}${weights[name] === undefined ? '' : `, weight: ${weights[name]}`} }`).join('\n')}
        virtual-service:
          vs: { mode: direct-server-return, address: 10.0.0.1, routing-instance: fi, group: g, load-balance-method: { hash: { hash-key: source-ip } } }
security:
  zones: { security-zone: { all: { interfaces: [ge-0/0/0, ge-0/0/1, st0.0${more === '' ? '' : ', ge-0/0/2, ge-0/0/3'}] } } }
${vpn.length === 0 ? '' : `  ipsec:\n    vpn:\n${vpn.join('\n')}\n`}`;
}

interface Running {
  child: ChildProcess;
  said: () => string;
  ended: Promise<{ code: number | null; signal: string | null }>;
}

const file = (name: string, content: string) => {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
};

async function run(content: string): Promise<Running> {
  const child = spawn(process.execPath, [main, 'run', file('node.yaml', content)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream!.on('data', (chunk) => (said += chunk));
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const running = { child, said: () => said, ended };
  await Promise.race([until(() => said.includes(' runs: ')), ended]);
  return running;
}

async function until(holds: () => boolean, mostMs = 20_000): Promise<void> {
  const end = Date.now() + mostMs;
  while (Date.now() < end && !holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function penstock(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [main, ...args, '--socket', join(directory, 'r1.sock')],
    { encoding: 'utf8', timeout: 20_000 },
  );
  return { status, stdout, stderr };
}

const json = (...args: string[]) => JSON.parse(penstock(...args, '--json').stdout);

const enb1 = { spi: 0x1001, key: 'a', remote: '192.0.2.1/32' };
const enb2 = { spi: 0x1002, key: 'b', remote: '192.0.2.2/32' };

describe('penstock apply', () => {
  it('says what would change, changes it, and finds nothing to change after that', async () => {
    await run(text());
    const next = file('next.yaml', text({ members: ['gw1', 'gw2', 'gw3'], vpns: { enb1 } }));
    // nobody answers on a wire that ends where it begins, so the new one, taken to come up, gets all
    const dry = penstock('apply', next, '--dry-run');
    expect(dry.stderr).toBe('');
    expect(dry.stdout).toMatch(
      /^~ group lb g\n\+ VPN enb1\nvirtual service lb\/vs: 2 → 3 members, 512 → 1024 slots; 100\.0 % of the flows move, 100\.0 % have to\ndry run: nothing was changed\n$/,
    );
    expect(json('show', 'tlb').virtualServices[0].realServices).toHaveLength(2);
    expect(penstock('apply', next)).toMatchObject({ status: 0, stderr: '' });
    expect(json('show', 'tlb').virtualServices[0].realServices).toHaveLength(3);
    expect(json('show', 'sa').securityAssociations.map(({ vpn }: { vpn: string }) => vpn)).toEqual([
      'enb1',
      'enb1',
    ]);
    expect(json('apply', next)).toMatchObject({ schemaVersion: 1, outcome: 'unchanged', changes: [] });
  });

  it('leaves tunnels alone that stay as they are, and numbers of those that change', async () => {
    await run(text({ vpns: { enb1, enb2 } }));
    const before = json('show', 'sa').securityAssociations;
    const changed = { ...enb1, remote: '192.0.2.64/26', options: 'outer-dscp: 7, ' };
    expect(penstock('apply', file('next.yaml', text({ vpns: { enb2, enb1: changed } }))).status).toBe(0);
    const after = json('show', 'sa').securityAssociations;
    const identity = (list: { vpn: string; spi: string; id: number }[]) =>
      list.map(({ vpn, spi, id }) => `${vpn} ${spi} ${id}`).sort();
    expect(identity(after)).toEqual(identity(before));
    const { routes } = json('show', 'route');
    const ari = routes.filter(({ protocol }: { protocol: string }) => protocol === 'ari-ts');
    expect(ari.map(({ prefix }: { prefix: string }) => prefix).sort()).toEqual([
      '192.0.2.2/32',
      '192.0.2.64/26',
    ]);
  });

  it('never seals with a key that comes back in the epoch that it was in', async () => {
    await run(text({ vpns: { enb1 } }));
    const [one, other] = [
      file('one.yaml', text({ vpns: { enb1 } })),
      file('other.yaml', text({ vpns: { enb1: enb2 } })),
    ];
    const generation = () => json('show', 'sa').generation;
    expect(generation()).toBe(1);
    expect(penstock('apply', other).status).toBe(0);
    expect(generation()).toBe(1);
    expect(penstock('apply', one).status).toBe(0);
    expect(generation()).toBe(2);
    expect(penstock('apply', other).status).toBe(0);
    // it was last used in generation 1
    expect(generation()).toBe(2);
    expect(penstock('apply', one).status).toBe(0);
    expect(generation()).toBe(3);
  });

  it('refuses by name what cannot be changed, and then does nothing', async () => {
    await run(text());
    const next = text({ hostName: 'r2', members: ['gw1'] }).replace('node-id: 1', 'node-id: 2');
    const { status, stdout } = penstock('apply', file('next.yaml', next));
    expect(status).toBe(1);
    expect(stdout).toContain('system.host-name: cannot change while the node runs');
    expect(stdout).toContain(
      'system.node-id: cannot change while the node runs: it is part of every IV that was made of its keys; ' +
        'stop the node and start it with the new file\n',
    );
    expect(stdout).toMatch(/nothing was changed\n$/);
    expect(json('show', 'tlb').virtualServices[0].realServices).toHaveLength(2);
  });

  it('ends with 4 for a bad configuration, with every problem, and with 1 for a port that cannot be opened', async () => {
    await run(text());
    const bad = penstock('apply', file('bad.yaml', 'system: { host-nam: x }'));
    expect(bad).toMatchObject({ status: 4, stdout: '' });
    expect(bad.stderr).toContain('did you mean host-name?');
    const more =
      '  ge-0/0/2: { port: { memory: b }, unit: { 0: {} } }\n  ge-0/0/3: { port: { af-packet: none-such }, unit: { 0: {} } }\n';
    const port = penstock('apply', file('port.yaml', text({ members: ['gw1'], more })));
    expect(port.status).toBe(1);
    expect(port.stderr).toMatch(/ge-0\/0\/3: /);
    expect(json('show', 'tlb').virtualServices[0].realServices).toHaveLength(2);
    expect(json('show', 'ports').ports).toHaveLength(2);
  });

  it('adds ports and removes them', async () => {
    await run(text());
    const more =
      '  ge-0/0/2: { port: { memory: b }, unit: { 0: { family: { inet: { address: [10.1.3.1/24] } } } } }\n' +
      '  ge-0/0/3: { port: { memory: b }, unit: { 0: { family: { inet: { address: [10.1.4.1/24] } } } } }\n';
    const [four, two] = [file('four.yaml', text({ more })), file('two.yaml', text())];
    const names = () => json('show', 'ports').ports.map(({ name }: { name: string }) => name);
    const all = ['ge-0/0/0', 'ge-0/0/1', 'ge-0/0/2', 'ge-0/0/3'];
    for (let turn = 0; turn < 3; turn++) {
      expect(penstock('apply', four)).toMatchObject({ status: 0 });
      expect(names()).toEqual(all);
      expect(json('show', 'ports').ports.every(({ open }: { open: boolean }) => open)).toBe(true);
      expect(penstock('apply', two)).toMatchObject({ status: 0 });
      expect(names()).toEqual(all.slice(0, 2));
    }
  });

  it('rolls back what is not confirmed, keys and all', async () => {
    const node = await run(text({ vpns: { enb1 } }));
    const next = file('next.yaml', text({ members: ['gw1'], vpns: { enb2 } }));
    expect(penstock('apply', next, '--confirm', '2s').stdout).toContain(
      'rolled back in 2 s unless confirmed',
    );
    expect(penstock('apply', file('third.yaml', text())).stderr).toContain('a change waits to be confirmed');
    const vpns = () => [
      ...new Set(json('show', 'sa').securityAssociations.map(({ vpn }: { vpn: string }) => vpn)),
    ];
    expect(vpns()).toEqual(['enb2']);
    await until(() => node.said().includes('not confirmed in time: rolled back'));
    expect(vpns()).toEqual(['enb1']);
    expect(json('show', 'sa').generation).toBe(2);
    expect(json('show', 'tlb').virtualServices[0].realServices).toHaveLength(2);
    // the key that came back is the one that the file has
    expect(json('apply', file('first.yaml', text({ vpns: { enb1 } }))).outcome).toBe('unchanged');
  });

  it('keeps what is confirmed', async () => {
    const node = await run(text());
    expect(penstock('apply', '--confirmed').stderr).toContain('no change waits to be confirmed');
    expect(penstock('apply', file('next.yaml', text({ members: ['gw1'] })), '--confirm', '1m').status).toBe(
      0,
    );
    expect(penstock('apply', '--confirmed')).toMatchObject({ status: 0, stdout: 'confirmed\n' });
    await until(() => node.said().includes('the change is confirmed'));
    expect(penstock('apply', 'x.yaml', '--confirm', 'soon').status).toBe(2);
  });

  it('checks and applies its file again on SIGHUP', async () => {
    const node = await run(text());
    file('node.yaml', 'system: { host-nam: x }');
    node.child.kill('SIGHUP');
    await until(() => node.said().includes('nothing was changed'));
    expect(node.said()).toContain('did you mean host-name?');
    file('node.yaml', text({ weights: { gw1: 3 } }));
    node.child.kill('SIGHUP');
    await until(() => node.said().includes('applied'));
    expect(node.said()).toContain('node.yaml: applied, group lb g changed\n');
    node.child.kill('SIGTERM');
    expect(await node.ended).toEqual({ code: 0, signal: null });
  });
});

describe('penstock drain', () => {
  it('takes a real service out, and puts it back', async () => {
    await run(text());
    expect(penstock('drain', 'gw9').stderr).toBe('penstock: no real service gw9; there is lb/gw1, lb/gw2\n');
    expect(penstock('drain', 'gw1').stdout).toBe('lb: gw1 drained: it gets no new flows\n');
    expect(penstock('drain', 'lb/gw1').stdout).toBe('lb: gw1 drained: it gets no new flows (as before)\n');
    const gw1 = () =>
      json('show', 'tlb').virtualServices[0].realServices.find(
        ({ name }: { name: string }) => name === 'gw1',
      );
    expect(gw1()).toMatchObject({ drained: true, slots: 0 });
    expect(json('undrain', 'gw1').realServices).toEqual([
      { instance: 'lb', name: 'gw1', drained: false, unchanged: false },
    ]);
    expect(gw1()).toMatchObject({ drained: false });
  });
});

describe('a node that was killed', () => {
  it('starts again at once: its socket stands in nobody’s way', async () => {
    const first = await run(text({ vpns: { enb1 } }));
    first.child.kill('SIGKILL');
    expect((await first.ended).signal).toBe('SIGKILL');
    expect(existsSync(join(directory, 'r1.sock'))).toBe(true);
    expect(penstock('show', 'route').stderr).toContain('no node listens at');
    await run(text({ vpns: { enb1 } }));
    expect(json('show', 'sa').generation).toBe(2);
    expect(statSync(join(directory, 'r1.sock')).mode & 0o777).toBe(0o600);
  });
});
