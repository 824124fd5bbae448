import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ControlClient } from '../../dist/control/client.js';
import type { ViewName, Views } from '../../dist/control/show/views.js';
import { native } from '../../dist/pipeline/native.js';
import { readCapture } from '../../dist/wire/pcap.js';
import { requireThat } from '../support/requires.js';
import { arpReply, directory, frame, sealed, start, udpPacket, until, writeCapture } from './support.js';

const us = { left: '02:00:00:00:00:01', right: '02:00:00:00:00:02' };
const neighbour = { left: '02:00:00:00:00:11', right: '02:00:00:00:00:12' };
const hex = (byte: string) => byte.repeat(36);

/** A gateway between two captures: ESP comes on the left, plain packets leave on the right, and the other way. */
const gateway = (path: string, more = '', system = '') => `
system: { host-name: gw1, node-id: 1, state-directory: ${path}/state, control-socket: ${path}/gw1.sock ${system} }
interfaces:
  ge-0/0/0: { port: { pcap: { read: ${path}/left.pcapng, write: ${path}/left-out.pcapng } }, mac: '${us.left}', unit: { 0: { family: { inet: { address: [10.1.1.2/24] } } } } }
  ge-0/0/1: { port: { pcap: { read: ${path}/right.pcapng, write: ${path}/right-out.pcapng } }, mac: '${us.right}', unit: { 0: { family: { inet: { address: [10.2.1.2/24] } } } } }
  lo0: { unit: { 0: { family: { inet: { address: [10.0.0.1/32] } } } } }
  st0: { unit: { 0: {} } }
routing-options:
  static: { route: { 10.20.0.0/16: { next-hop: 10.1.1.1 }, 203.0.113.0/24: { next-hop: 10.2.1.1 } } }
  ${more}
security:
  zones: { security-zone: { trust: { interfaces: [st0.0, ge-0/0/0.0] }, untrust: { interfaces: [ge-0/0/1.0] } } }
  policies:
    from-zone: { trust: { to-zone: { untrust: { policy: [{ name: t2u-permit, match: { source-address: [any], destination-address: [any], application: [any] }, then: { permit: } }] } } } }
  ipsec:
    vpn:
      enb1:
        bind-interface: st0.0
        manual:
          gateway: 10.20.0.1
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x1001, key: { hex: ${hex('a1')} } }]
          outbound: { spi: 0x2001, key: { hex: ${hex('b2')} } }
        traffic-selector: { ts1: { local-ip: 203.0.113.0/24, remote-ip: 192.0.2.0/24 } }
`;

/** What the base station sends, and what answers ARP on either side. */
function prepare(path: string, packets = 5): void {
  const plain = Array.from({ length: packets }, (_, i) =>
    udpPacket('192.0.2.7', '203.0.113.9', Uint8Array.of(i, 1, 2, 3)),
  );
  const esp = sealed(plain, 0x1001, 0xa1, '10.20.0.1', '10.0.0.1');
  writeCapture(`${path}/left.pcapng`, [
    arpReply(neighbour.left, '10.1.1.1', us.left, '10.1.1.2'),
    ...esp.map((packet) => frame(neighbour.left, us.left, packet)),
    frame(neighbour.left, us.left, udpPacket('10.20.0.9', '10.99.0.1', Uint8Array.of(1))),
  ]);
  const answer = udpPacket('203.0.113.9', '192.0.2.7', Uint8Array.of(9));
  writeCapture(`${path}/right.pcapng`, [
    arpReply(neighbour.right, '10.2.1.1', us.right, '10.2.1.2'),
    frame(neighbour.right, us.right, answer),
  ]);
}

async function show<V extends ViewName>(socket: string, what: V, params: object = {}): Promise<Views[V]> {
  const client = await ControlClient.open(socket);
  try {
    return (await client.request('show', { what, ...params })) as Views[V];
  } finally {
    client.close();
  }
}

describe('a gateway', () => {
  it('opens, routes, and shows what it knows', async () => {
    const path = directory();
    prepare(path);
    const { daemon, log } = await start(gateway(path), path);
    const socket = daemon.socket;
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(log.at(-1)).toBe(`gw1 runs: 2 ports, control socket ${socket}`);

    const counted = async (name: string) =>
      (await show(socket, 'counters')).counters.find((counter) => counter.name === name)?.value ?? 0;
    await until(async () => (await counted('espOpened')) === 5);
    expect(await counted('espOpened')).toBe(5);
    expect(await counted('noRoute')).toBe(1);

    const sas = await show(socket, 'security-associations');
    expect(sas).toMatchObject({ activeTunnels: 1, generation: 1 });
    expect(sas.securityAssociations).toMatchObject([
      {
        direction: 'inbound',
        spi: '00001001',
        packets: 5,
        sequence: 5,
        gateway: '10.20.0.1',
        algorithm: 'aes-gcm-256',
      },
      { direction: 'outbound', spi: '00002001', state: 'installed' },
    ]);
    const { sessions, totalSessions } = await show(socket, 'session');
    expect(totalSessions).toBeGreaterThan(0);
    expect(sessions.find(({ in: wing }) => wing.source === '192.0.2.7')).toMatchObject({
      policyName: 't2u-permit/1',
      haState: 'Active',
      sessionState: 'Valid',
      in: {
        source: '192.0.2.7',
        sourcePort: 1000,
        destination: '203.0.113.9',
        protocol: 'udp',
        interface: 'st0.0',
        packets: 5,
      },
      out: { source: '203.0.113.9', destination: '192.0.2.7', interface: 'ge-0/0/1.0' },
    });
    const { routes } = await show(socket, 'route');
    expect(routes.find(({ prefix }) => prefix === '192.0.2.0/24')).toMatchObject({
      protocol: 'ari-ts',
      active: true,
      via: 'st0.0',
    });
    expect((await show(socket, 'route', { table: 'nowhere' })).routes).toEqual([]);
    const [drop] = (await show(socket, 'packet-drop')).records;
    expect(drop).toMatchObject({
      source: '10.20.0.9',
      destination: '10.99.0.1',
      protocol: 'udp',
      port: 'ge-0/0/0',
      interface: 'ge-0/0/0.0',
      words: 'No route',
    });
    expect(Math.abs(Date.parse(drop!.time) - Date.now())).toBeLessThan(60_000);
    expect((await show(socket, 'neighbours')).neighbours).toContainEqual({
      address: '10.1.1.1',
      mac: neighbour.left,
      interface: 'ge-0/0/0.0',
      state: expect.any(String),
    });
    expect((await show(socket, 'workers')).workers).toHaveLength(1);
    expect((await show(socket, 'ports')).ports.map(({ name, open }) => [name, open])).toEqual([
      ['ge-0/0/0', true],
      ['ge-0/0/1', true],
    ]);
    expect((await show(socket, 'traffic-load-balance')).virtualServices).toEqual([]);
    await expect(show(socket, 'traffic-load-balance', { instance: 'x' })).rejects.toThrow('no instance x');
    await expect(show(socket, 'passwords' as ViewName)).rejects.toThrow('nothing to show called passwords');
    await expect(show(socket, 'packet-drop', { most: -1 })).rejects.toThrow('most');
  });

  it('shows and says no key, in any view', async () => {
    const path = directory();
    prepare(path);
    const { daemon, log } = await start(gateway(path), path);
    const views: ViewName[] = [
      'route',
      'session',
      'security-associations',
      'traffic-load-balance',
      'counters',
      'packet-drop',
      'workers',
      'neighbours',
      'ports',
    ];
    const all = [...log];
    for (const view of views) all.push(JSON.stringify(await show(daemon.socket, view)));
    expect(all.join('\n')).not.toMatch(/a1a1a1|b2b2b2/i);
  });

  it('ends: the socket is gone, the memory is free, the capture is whole', async () => {
    await until(() => native().planesAlive() === 0); // those of other tests
    const path = directory();
    prepare(path);
    const { daemon } = await start(gateway(path), path);
    await until(async () => {
      const { sessions } = await show(daemon.socket, 'session');
      return sessions.some(({ in: wing }) => Number(wing.packets) === 5);
    });
    await daemon.stop();
    await daemon.stop();
    expect(existsSync(daemon.socket)).toBe(false);
    await until(() => native().planesAlive() === 0);
    expect(native().planesAlive()).toBe(0);
    const { packets, error } = readCapture(readFileSync(`${path}/right-out.pcapng`));
    expect(error).toBeNull();
    const udp = packets.filter(({ data }) => data[12] === 0x08 && data[13] === 0x00 && data[23] === 17);
    expect(udp).toHaveLength(5);
    expect(Math.abs(Number(udp[0]!.timeNs / 1_000_000n) - Date.now())).toBeLessThan(60_000);
  });

  it('refuses a second one on the same socket, which goes on', async () => {
    const path = directory();
    prepare(path);
    const { daemon } = await start(gateway(path), path);
    await expect(start(gateway(path), path)).rejects.toMatchObject({
      name: 'StartError',
      message: expect.stringContaining('another penstock run has the control socket'),
    });
    expect((await show(daemon.socket, 'security-associations')).generation).toBe(1);
  });

  it('counts its generations over restarts, and goes on with its sequence numbers', async () => {
    const path = directory();
    for (const generation of [1, 2, 3]) {
      prepare(path);
      const { daemon } = await start(gateway(path), path);
      const sas = await show(daemon.socket, 'security-associations');
      expect(sas.generation).toBe(generation);
      expect(Number(sas.securityAssociations[1]!.sequence)).toBeGreaterThanOrEqual(
        1 + (generation - 1) * 2 ** 20,
      );
      await daemon.stop();
      for (const name of ['left-out.pcapng', 'right-out.pcapng']) unlinkSync(`${path}/${name}`);
    }
  });
});

describe('a gateway that may not seal', () => {
  const outbound = async (socket: string) =>
    (await show(socket, 'security-associations')).securityAssociations[1]!;

  it('seals nothing when its generations were lost, and says rekey', async () => {
    const path = directory();
    prepare(path);
    const first = await start(gateway(path), path);
    await first.daemon.stop();
    rmSync(`${path}/state/generation.1`);
    const { daemon, log } = await start(gateway(path), path);
    expect(log.join('\n')).toMatch(
      /nothing is sealed: the generations in .* were lost; give every VPN new keys .*/,
    );
    expect(await outbound(daemon.socket)).toMatchObject({ state: 'refused', spi: '00000000' });
  });

  it('seals nothing behind generation 4095', async () => {
    const path = directory();
    prepare(path);
    const first = await start(gateway(path), path);
    await first.daemon.stop();
    writeFileSync(`${path}/state/generation.4095`, '');
    const { daemon, log } = await start(gateway(path), path);
    expect(log.join('\n')).toMatch(/nothing is sealed: generation 4096 is over 4095; .*\(rekey\)/);
    expect(await outbound(daemon.socket)).toMatchObject({ state: 'refused' });
  });

  it('does not start where its state directory cannot be written, and leaves no socket', async () => {
    const path = directory();
    prepare(path);
    writeFileSync(`${path}/state`, 'a file');
    await expect(start(gateway(path), path)).rejects.toMatchObject({
      name: 'StartError',
      message: expect.stringMatching(/state-directory .* cannot be written, so nothing may be sealed/),
    });
    expect(existsSync(`${path}/gw1.sock`)).toBe(false);
  });
});

describe('ports', () => {
  const oneEnd = (path: string) => `
system: { host-name: r1, control-socket: ${path}/r1.sock }
interfaces: { ge-0/0/0: { port: { memory: a }, unit: { 0: {} } } }
`;
  const packetSocket = (path: string, name: string) => `
system: { host-name: r1, control-socket: ${path}/r1.sock }
interfaces: { ge-0/0/0: { port: { af-packet: ${name} }, unit: { 0: { family: { inet: { address: [10.1.1.1/24] } } } } } }
`;

  it('names the port and the mend for what cannot be opened', async () => {
    const path = directory();
    await expect(start(gateway(path), path)).rejects.toMatchObject({
      name: 'StartError',
      message: expect.stringMatching(/^ge-0\/0\/0: .*left\.pcapng/),
    });
    await expect(start(oneEnd(path), path)).rejects.toThrow('ge-0/0/0: wire a has one end only');
    expect(existsSync(`${path}/r1.sock`)).toBe(false);
  });

  const isRoot = process.getuid?.() === 0;
  const root = requireThat(isRoot, 'not root');
  it.skipIf(root.missing)(`names an interface that there is not${root.note}`, async () => {
    const path = directory();
    await expect(start(packetSocket(path, 'nosuch0'), path)).rejects.toThrow(/ge-0\/0\/0: .*nosuch0/);
  });

  it('says how to get the privilege that is missing', () => {
    const path = directory();
    writeFileSync(`${path}/r1.yaml`, packetSocket(path, 'lo'));
    // root without its capabilities is like any user
    const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
    const command = isRoot ? ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all'] : [];
    const [program, ...args] = [...command, process.execPath, main, 'run', `${path}/r1.yaml`];
    const { status, stderr } = spawnSync(program!, args, { encoding: 'utf8', timeout: 20_000 });
    expect(stderr).toMatch(/^penstock: ge-0\/0\/0: .*(CAP_NET_RAW|cap_net_raw|root)/m);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(status).toBe(5);
  });
});

describe('ARI between two nodes', () => {
  const router = (path: string) => `
system: { host-name: tlb1, control-socket: ${path}/tlb1.sock }
interfaces:
  ae1: { port: { memory: loop }, unit: { 0: { family: { inet: { address: [10.2.1.1/24] } } } } }
  ae2: { port: { memory: loop }, unit: { 0: { family: { inet: { address: [10.3.1.1/24] } } } } }
`;
  const exporting = (path: string) => `
  auto-route-injection: { export: { tlb1: { control-socket: ${path}/tlb1.sock, routing-instance: default, next-hop: [10.2.1.2] } } }
`;
  const announced = async (socket: string) =>
    (await show(socket, 'route')).routes
      .filter(({ protocol }) => protocol === 'ari-ts')
      .map(({ prefix, origin }) => `${prefix} ${origin}`);

  it('announces a tunnel once a packet proved it, and takes it back with the session', async () => {
    const path = directory();
    const tlb = await start(router(path), path);
    prepare(path, 0);
    const silent = await start(gateway(path, exporting(path)), path);
    await until(() => tlb.log.includes('gw1 exports routes'));
    await until(async () => (await announced(tlb.daemon.socket)).length > 0, 500);
    expect(await announced(tlb.daemon.socket)).toEqual([]);
    await silent.daemon.stop();
    for (const name of ['left-out.pcapng', 'right-out.pcapng']) unlinkSync(`${path}/${name}`);

    prepare(path);
    const gw = await start(gateway(path, exporting(path)), path);
    await until(async () => (await announced(tlb.daemon.socket)).length > 0);
    expect(await announced(tlb.daemon.socket)).toEqual(['192.0.2.0/24 gw1']);
    await gw.daemon.stop();
    await until(async () => (await announced(tlb.daemon.socket)).length === 0);
    expect(await announced(tlb.daemon.socket)).toEqual([]);
    expect(tlb.log.at(-1)).toBe('gw1 is gone, and its routes');
  });

  it('is refused for an instance that the router has not, and the gateway goes on', async () => {
    const path = directory();
    const tlb = await start(router(path), path);
    prepare(path);
    const wrong = exporting(path).replace('default', 'UNTRUST_VR');
    const gw = await start(gateway(path, wrong), path);
    await until(() => gw.log.some((line) => line.includes('no routing instance UNTRUST_VR')));
    expect(gw.log.at(-1)).toBe('router tlb1: no routing instance UNTRUST_VR here; there is default');
    expect(await announced(tlb.daemon.socket)).toEqual([]);
  });
});
