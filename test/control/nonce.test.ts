/** Keys of a configuration over restarts: no (key, IV) twice, wherever the process ends. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { makeConfig } from '../../dist/config/load.js';
import { claimGeneration, type Disk, epochOf } from '../../dist/control/generation.js';
import { Seeded } from '../../dist/emulator/random.js';
import { NodeDriver } from '../../dist/node/drive.js';
import { performNative } from '../../dist/node/native-actions.js';
import { NeighbourWatch } from '../../dist/node/neighbour-watch.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import { native } from '../../dist/pipeline/native.js';
import { readCapture } from '../../dist/wire/pcap.js';
import { address, arpReply, directory, frame, sleep, udpPacket, writeCapture } from './support.js';

class PowerLoss extends Error {}

/** Loses power before an operation; what was not synced is there afterwards or not, as the seed says. */
class Disks implements Disk {
  #durable = new Set<string>();
  #entries = new Set<string>();
  #left = Number.POSITIVE_INFINITY;
  readonly #random: Seeded;

  constructor(random: Seeded) {
    this.#random = random;
  }

  boot(operations: number): void {
    for (const name of [...this.#entries, ...this.#durable]) {
      const same = this.#entries.has(name) === this.#durable.has(name);
      if (same || this.#random.below(2) === 0) continue;
      if (this.#entries.has(name)) this.#durable.add(name);
      else this.#durable.delete(name);
    }
    this.#entries = new Set(this.#durable);
    this.#left = operations;
  }

  #operate(): void {
    if (this.#left-- <= 0) throw new PowerLoss();
  }
  makeDirectory(): void {
    this.#operate();
  }
  list(path: string): string[] {
    this.#operate();
    return [...this.#entries].map((name) => name.slice(path.length + 1));
  }
  createExclusively(path: string): boolean {
    this.#operate();
    if (this.#entries.has(path)) return false;
    this.#entries.add(path);
    return true;
  }
  syncDirectory(): void {
    this.#operate();
    this.#durable = new Set(this.#entries);
  }
  remove(path: string): void {
    this.#operate();
    this.#entries.delete(path);
  }
}

const key = (byte: string) => ({ hex: byte.repeat(36) });

const gatewayConfig = () =>
  makeConfig(
    {
      system: { 'host-name': 'gw1', 'node-id': 5, 'state-directory': '/state' },
      interfaces: {
        'ge-0/0/0': {
          port: { memory: 'plain' },
          unit: { 0: { family: { inet: { address: ['10.2.1.2/24'] } } } },
        },
        'ge-0/0/1': {
          port: { memory: 'sealed' },
          unit: { 0: { family: { inet: { address: ['10.1.1.2/24'] } } } },
        },
        lo0: { unit: { 0: { family: { inet: { address: ['10.0.0.1/32'] } } } } },
        st0: { unit: { 0: {} } },
      },
      'routing-options': { static: { route: { '10.20.0.0/16': { 'next-hop': ['10.1.1.1'] } } } },
      security: {
        zones: { 'security-zone': { all: { interfaces: ['st0.0', 'ge-0/0/0.0', 'ge-0/0/1.0'] } } },
        policies: { 'default-policy': 'permit-all' },
        ipsec: {
          vpn: {
            enb1: {
              'bind-interface': 'st0.0',
              manual: {
                gateway: '10.20.0.1',
                'local-address': '10.0.0.1',
                'encryption-algorithm': 'aes-256-gcm',
                inbound: [{ spi: 0x1001, key: key('a1') }],
                outbound: { spi: 0x2001, key: key('b2') },
              },
              'traffic-selector': { ts1: { 'local-ip': '10.9.0.0/16', 'remote-ip': '192.0.2.0/24' } },
            },
          },
        },
      },
    },
    'gw1',
    {
      readFile: () => {
        throw new Error('no files');
      },
      variable: () => undefined,
    },
  );

const forwarder = (name: string, auditedKeys: number) => ({
  name,
  sessionLimit: 1024,
  neighbourLimit: 64,
  saLimit: 64,
  statistics: 16,
  auditedKeys,
});

describe('a gateway that is ended at any packet and started again', () => {
  it('uses no nonce twice in 1,000 runs', () => {
    const random = new Seeded(20n);
    const disks = new Disks(random);
    const plane = native().createPlane({
      workers: 1,
      framesPerWorker: 512,
      controlFrames: 64,
      handOverRing: 64,
    });
    const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last);
    const flow = {
      source: address('10.9.0.1').bytes,
      destination: address('192.0.2.1').bytes,
      sourcePort: 1,
      destinationPort: 2,
    };
    const host = { server: false, flows: [flow], sizes: [64], credit: 16, seed: 1 };
    const client = plane.addHost({ ...host, name: 'client', mac: mac(1), gatewayMac: mac(2) });
    const gateway = plane.addForwarder(forwarder('gw1', 0));
    const witness = plane.addForwarder(forwarder('witness', 4));
    const sink = plane.addHost({ ...host, name: 'sink', server: true, mac: mac(7), gatewayMac: mac(6) });
    plane.addWire(client, gateway, 256);
    plane.addWire(gateway, witness, 256);
    plane.addWire(witness, sink, 256);
    const link = (port: number, last: number, text: string) => ({
      port,
      vlan: 0,
      mtu: 1500,
      routingInstance: 0,
      zone: 0,
      filterV4: -1,
      filterV6: -1,
      mac: mac(last),
      addresses: [address(text).bytes],
    });
    plane.publish(witness, {
      interfaces: [link(0, 5, '10.1.1.1'), link(1, 6, '10.1.9.1')],
      routes: [
        {
          routingInstance: 0,
          prefix: address('10.1.1.0').bytes,
          length: 24,
          nextHop: { kind: 'connected', interface: 0 },
        },
        {
          routingInstance: 0,
          prefix: address('10.20.0.0').bytes,
          length: 16,
          nextHop: { kind: 'connected', interface: 1 },
        },
      ],
      audits: [{ address: address('10.20.0.1').bytes, spi: 0x2001, key: 0 }],
    });
    let now = 1_000_000n;
    const turn = () => {
      now += 10_000n;
      plane.step(now);
    };
    const config = gatewayConfig();
    const ports = new Map([
      ['ge-0/0/0', { index: 0, mac: mac(2) }],
      ['ge-0/0/1', { index: 1, mac: mac(4) }],
    ]);
    let driver: NodeDriver | null = null;
    let runs = 0;
    let sealed = 0n;
    for (let started = 0; started < 1000; started++) {
      // the process before is gone: its SAs, too, wherever they stood
      driver?.post({ kind: 'tunnels-removed', tunnels: ['enb1'] });
      plane.collect();
      disks.boot(random.below(4) === 0 ? random.below(10) : Number.POSITIVE_INFINITY);
      let epoch: number | null;
      try {
        epoch = epochOf(claimGeneration('/state', disks));
      } catch (error) {
        if (error instanceof PowerLoss) continue;
        throw error;
      }
      expect(epoch).not.toBeNull();
      driver = new NodeDriver(
        (action) => performNative(plane, gateway, action) ?? [],
        () => Number(now / 1_000_000n),
      );
      driver.post({ kind: 'configured', config, setup: { ports, workers: 1 } });
      const watch = new NeighbourWatch();
      // the same keys in every run, as from a file
      driver.post({ kind: 'tunnels-keyed', tunnels: manualTunnels(config, epoch) });
      runs++;
      plane.setSending(client, true);
      for (let turns = random.below(20); turns > 0; turns--) turn();
      driver.post({ kind: 'neighbours-changed', changes: watch.look(plane.neighbours(gateway)) });
      plane.setSending(client, false);
      const sas = [...driver.state.tunnels.values()].flatMap(({ outbound }) =>
        outbound === null ? [] : [outbound.index],
      );
      sealed += plane.saStatus(gateway, 'outbound', sas).reduce((sum, { packets }) => sum + packets, 0n);
    }
    for (let i = 0; i < 100; i++) turn();
    const audit = plane.nonceAudit(witness);
    plane.close();
    expect(runs).toBeGreaterThan(700);
    expect(sealed).toBeGreaterThan(50_000n);
    expect(audit).toMatchObject({ repeated: 0n, unproven: 0n });
    // but for the first few, which waited for the witness to answer ARP
    expect(Number(sealed - audit.seen)).toBeLessThanOrEqual(64);
  }, 60_000);

  it('uses none twice when real processes are killed', async () => {
    const path = directory();
    const us = { left: '02:00:00:00:00:01', right: '02:00:00:00:00:02' };
    const there = { left: '02:00:00:00:00:11', right: '02:00:00:00:00:12' };
    writeFileSync(
      `${path}/gw1.yaml`,
      `
system: { host-name: gw1, node-id: 5, state-directory: state, control-socket: gw1.sock }
interfaces:
  ge-0/0/0: { port: { pcap: { read: plain.pcapng } }, mac: '${us.left}', unit: { 0: { family: { inet: { address: [10.2.1.2/24] } } } } }
  ge-0/0/1: { port: { pcap: { read: arp.pcapng, write: out.pcapng } }, mac: '${us.right}', unit: { 0: { family: { inet: { address: [10.1.1.2/24] } } } } }
  lo0: { unit: { 0: { family: { inet: { address: [10.0.0.1/32] } } } } }
  st0: { unit: { 0: {} } }
routing-options: { static: { route: { 10.20.0.0/16: { next-hop: 10.1.1.1 } } } }
security:
  zones: { security-zone: { all: { interfaces: [st0.0, ge-0/0/0.0, ge-0/0/1.0] } } }
  policies: { default-policy: permit-all }
  ipsec:
    vpn:
      enb1:
        bind-interface: st0.0
        manual:
          gateway: 10.20.0.1
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x1001, key: { hex: ${'a1'.repeat(36)} } }]
          outbound: { spi: 0x2001, key: { hex: ${'b2'.repeat(36)} } }
        traffic-selector: { ts1: { local-ip: 10.9.0.0/16, remote-ip: 192.0.2.0/24 } }
`,
    );
    const packet = udpPacket('10.9.0.1', '192.0.2.1', new Uint8Array(200));
    writeCapture(`${path}/plain.pcapng`, Array<Uint8Array>(100_000).fill(frame(there.left, us.left, packet)));
    writeCapture(`${path}/arp.pcapng`, [arpReply(there.right, '10.1.1.1', us.right, '10.1.1.2')]);
    const random = new Seeded(BigInt(Date.now()));
    const ivs = new Set<string>();
    let sealed = 0;
    let cutShort = 0;
    for (let run = 0; run < 10; run++) {
      await killedRun(path, random.below(120));
      if (!existsSync(`${path}/out.pcapng`)) continue;
      const { packets, error } = readCapture(readFileSync(`${path}/out.pcapng`));
      unlinkSync(`${path}/out.pcapng`);
      if (error !== null) cutShort++;
      for (const { data } of packets) {
        // Ethernet, IPv4, ESP: SPI, sequence, IV
        if (data.length < 50 || data[12] !== 8 || data[13] !== 0 || data[23] !== 50) continue;
        ivs.add(Buffer.from(data.subarray(14 + 20 + 8, 14 + 20 + 16)).toString('hex'));
        sealed++;
      }
    }
    expect(cutShort).toBeLessThanOrEqual(10);
    expect(sealed).toBeGreaterThan(1000);
    expect(ivs.size).toBe(sealed);
  }, 120_000);
});

/** Runs the node and kills it so long after it says that it runs. */
async function killedRun(path: string, afterMs: number): Promise<void> {
  const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, 'run', `${path}/gw1.yaml`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  const gone = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
  const runs = new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk) => {
      said += chunk;
      if (said.includes('gw1 runs')) resolve();
    });
  });
  await Promise.race([runs, gone, sleep(20_000)]);
  expect(said).toContain('gw1 runs');
  await sleep(afterMs);
  child.kill('SIGKILL');
  await gone;
}
