/**
 * The reference's pair in virtual time: two gateways between a client and a server, with an ICL that synchronises, an ICD with
 * its own BFD, and links that fail. The world feeds and sees single packets:
 *
 *     client ── router ══ gw1, gw2 ══ router ── server        north: ge-0/0/2, south: ge-0/0/4
 */
import { NodeDriver } from '../../dist/node/drive.js';
import type { NodeAction, NodeEvent } from '../../dist/node/event.js';
import { nextDeadline } from '../../dist/node/groups.js';
import { performNative } from '../../dist/node/native-actions.js';
import { PairSync } from '../../dist/node/sync.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import { counterIndex } from '../../dist/pipeline/counters.js';
import { type NativePlane, native } from '../../dist/pipeline/native.js';
import { encodeIcmp, icmpType } from '../../dist/wire/icmp.js';
import { encodeIp, ipProtocol, pseudoHeaderOf } from '../../dist/wire/ip.js';
import { encodeTcp, tcpFlag } from '../../dist/wire/tcp.js';
import { configOf } from './pair-lab.js';

export type Id = 1 | 2;
export type Side = 'north' | 'south';
const sides: readonly Side[] = ['north', 'south'];
const portOf = { north: 'ge-0/0/2', south: 'ge-0/0/4' } as const;

export const client = '192.168.100.33';
export const server = '10.177.177.77';
/** on the north network itself, whose gateway floats */
export const neighbour = '192.168.98.50';

const text = (id: Id, icd: boolean, floats: boolean) => `
system: { host-name: gw${id}, node-id: ${id}, state-directory: state }
chassis:
  high-availability:
    local-id: { id: ${id}, local-ip: 100.64.0.${id}${icd ? `, local-forwarding-ip: 100.64.10.${id}` : ''} }
    peer-id:
      ${3 - id}:
        peer-ip: 100.64.0.${3 - id}
        interface: ge-0/0/5
        vpn-profile: ICL
        liveness-detection: { minimum-interval: 50, multiplier: 3 }
        ${icd ? `peer-forwarding-ip: { ip: 100.64.10.${3 - id}, interface: ge-0/0/6.0, liveness-detection: { minimum-interval: 50, multiplier: 3 } }` : ''}
    ${
      floats
        ? `services-redundancy-group: { 1: { peer-id: ${3 - id}, deployment-type: hybrid, listen-ha-group: g, virtual-ip: { 1: { ip: 192.168.98.254/24, interface: ge-0/0/2 } } } }
    ha-group: { g: { static: ${id === 2 ? 'active' : 'backup'} } }`
        : ''
    }
interfaces:
  ge-0/0/2: { port: { memory: north${id} }, unit: { 0: { family: { inet: { address: 192.168.98.${id}/24 } } } } }
  ge-0/0/4: { port: { memory: south${id} }, unit: { 0: { family: { inet: { address: 192.168.251.${id}/24 } } } } }
  ge-0/0/5: { port: { memory: icl }, unit: { 0: { family: { inet: { address: 100.64.0.${id}/27 } } } } }
  ge-0/0/6: { port: { memory: icd }, mtu: 1600, unit: { 0: { family: { inet: { address: 100.64.10.${id}/27 } } } } }
routing-options: { static: { route: { 192.168.100.0/24: { next-hop: 192.168.98.9 }, 10.177.0.0/16: { next-hop: 192.168.251.9 } } } }
security:
  flow: { sync-icmp-session: }
  ipsec:
    vpn:
      ICL:
        ha-link-encryption:
        manual:
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x90${id}, key: { hex: ${`d${id}`.repeat(36)} } }]
          outbound: { spi: 0x90${3 - id}, key: { hex: ${`d${3 - id}`.repeat(36)} } }
  zones: { security-zone: { outside: { interfaces: ge-0/0/2 }, inside: { interfaces: ge-0/0/4 }, ha: { interfaces: [ge-0/0/5, ge-0/0/6] } } }
  policies: { default-policy: permit-all }
`;

const ip = (dotted: string) => Uint8Array.from(dotted.split('.'), Number);
const mac = (node: number, port: number) => Uint8Array.of(2, 0, 0, 0, node, port);

interface Gateway {
  readonly index: number;
  readonly driver: NodeDriver;
  readonly pair: PairSync;
}

export class AsymmetricLab {
  readonly plane: NativePlane;
  readonly gateways: Gateway[] = [];
  readonly world: number;
  nowMs = 1_000;
  /** of the world, and the links' numbers, by `side id` */
  readonly #ports = new Map<string, number>();
  readonly #links = new Map<string, number>();

  constructor({ icd = true, floats = false }: { icd?: boolean; floats?: boolean } = {}) {
    this.plane = native().createPlane({
      workers: 1,
      framesPerWorker: 4096,
      controlFrames: 1024,
      handOverRing: 256,
    });
    const options = {
      sessionLimit: 1024,
      neighbourLimit: 64,
      saLimit: 16,
      statistics: 64,
      auditedKeys: 0,
    };
    const nodes = ['gw1', 'gw2'].map((name) => this.plane.addForwarder({ name, ...options }));
    this.world = this.plane.addForwarder({ name: 'world', ...options });
    const link = (name: string, a: number, b: number) => {
      const made = this.plane.addLink(a, b, { capacity: 256, seed: 1 + this.#links.size });
      this.#links.set(name, made.link);
      return made.ports;
    };
    const icl = link('icl', nodes[0]!, nodes[1]!);
    const datapath = link('icd', nodes[0]!, nodes[1]!);
    nodes.forEach((node, i) => {
      const id = (i + 1) as Id;
      const ports = new Map([
        ['ge-0/0/5', { index: icl[i]!, mac: mac(id, 5) }],
        ['ge-0/0/6', { index: datapath[i]!, mac: mac(id, 6) }],
      ]);
      for (const side of sides) {
        const [inner, outer] = link(`${side} ${id}`, node, this.world);
        ports.set(portOf[side], { index: inner, mac: mac(id, sides.indexOf(side)) });
        this.#ports.set(`${side} ${id}`, outer);
      }
      this.#start(id, node, ports, icd, floats);
    });
    this.plane.publish(this.world, {
      interfaces: [...this.#ports.values()].map((port, i) => ({
        port,
        vlan: 0,
        mtu: 1500,
        routingInstance: 0,
        zone: 0,
        filterV4: -1,
        filterV6: -1,
        mac: mac(9, i),
        addresses: [],
      })),
    });
    this.plane.setCapture(this.world, {
      filter: [{ op: 'version', a: 4 }, { op: 'in' }, { op: 'and' }],
      ringBytes: 1 << 18,
    });
  }

  #start(
    id: Id,
    index: number,
    ports: ReadonlyMap<string, { index: number; mac: Uint8Array }>,
    icd: boolean,
    floats: boolean,
  ): void {
    const config = configOf(text(id, icd, floats));
    let pair: PairSync | null = null;
    const perform = (action: NodeAction): NodeEvent[] => {
      if (action.kind === 'srg-hello') pair?.srgHello(action.hello);
      if (action.kind === 'srg-changed') pair?.srgChanged(action.id, action.from, action.to);
      return performNative(this.plane, index, action) ?? [];
    };
    const driver = new NodeDriver(perform, () => this.nowMs);
    let generation = 1;
    pair = new PairSync(
      {
        plane: this.plane,
        node: index,
        session: 100 + id,
        nowMs: () => this.nowMs,
        state: () => driver.state,
        post: (...events) => driver.post(...events),
        originate: (instance, packets) => this.plane.originate(index, instance, packets),
        generation: () => generation,
        claimGeneration: () => ++generation,
        log: () => {},
      },
      config,
    );
    this.gateways.push({ index, driver, pair });
    driver.post({ kind: 'configured', config, setup: { ports, workers: 1, seed: id } });
    // the ICL's own
    driver.post({ kind: 'tunnels-keyed', tunnels: manualTunnels(config, generation, () => 1n << 20n) });
    const learn = (name: string, address: string, at: Uint8Array) => ({
      interface: driver.state.numberings.interfaces.of(name),
      address: ip(address),
      mac: at,
    });
    this.plane.learnNeighbours(index, [
      learn('ge-0/0/2.0', '192.168.98.9', mac(9, 0)),
      learn('ge-0/0/2.0', neighbour, mac(9, 0)),
      learn('ge-0/0/4.0', '192.168.251.9', mac(9, 1)),
      learn('ge-0/0/5.0', `100.64.0.${3 - id}`, mac(3 - id, 5)),
      learn('ge-0/0/6.0', `100.64.10.${3 - id}`, mac(3 - id, 6)),
    ]);
  }

  of(id: Id): Gateway {
    return this.gateways[id - 1]!;
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs++) {
      for (let turn = 0; turn < 4; turn++) {
        this.plane.step(BigInt(this.nowMs) * 1_000_000n);
        for (const { node, packet } of this.plane.takePunts(256))
          this.gateways[node]?.pair.receivePacket(packet);
      }
      for (const { index, driver, pair } of this.gateways) {
        const told = this.plane.takeLiveness(index, 256);
        if (told.length > 0) driver.post({ kind: 'liveness-told', told });
        if (nextDeadline(driver.state) <= this.nowMs) driver.post({ kind: 'time-passed' });
        pair.tick();
      }
      if (this.nowMs % 20 === 0) this.plane.collect();
    }
  }

  /** The network brings a packet to this gateway; 30 ms for all that follows of it. */
  send(side: Side, id: Id, packet: Uint8Array): void {
    const frame = new Uint8Array(14 + packet.length);
    frame.set(mac(id, sides.indexOf(side)), 0);
    frame.set(mac(9, 9), 6);
    frame.set([8, 0], 12);
    frame.set(packet, 14);
    this.plane.inject(this.world, this.#ports.get(`${side} ${id}`)!, frame);
    this.run(30);
  }

  /** Where packets have left the pair since it was last asked, in order, e.g. `north 2`. */
  left(): string[] {
    const names = new Map([...this.#ports].map(([name, port]) => [port, name]));
    return this.plane.takeCaptured(this.world, 1024).map(({ port }) => names.get(port)!);
  }

  /** A link is cut, and nobody is told; or mended. */
  cut(link: 'icl' | 'icd', cut: boolean): void {
    for (const from of [0, 1] as const) this.plane.setLink(this.#links.get(link)!, { from, cut });
  }

  /** A port sees that its link has failed, or is back. */
  fail(side: Side, id: Id, failed: boolean): void {
    this.plane.setLink(this.#links.get(`${side} ${id}`)!, { open: !failed });
    this.of(id).driver.post({ kind: 'ports-changed', changes: [{ port: portOf[side], open: !failed }] });
    this.run(5);
  }

  counter(id: Id, name: keyof typeof counterIndex): number {
    return this.plane.counterTotals(this.of(id).index)[counterIndex[name]]!;
  }

  /** Of the first session: `session in/out`, as the reference prints them. */
  states(id: Id): string {
    const [session] = this.plane.sessions(this.of(id).index, 0, 0n, 16).sessions;
    return session === undefined ? 'none' : `${session.haState} ${session.in.haState}/${session.out.haState}`;
  }

  close(): void {
    this.plane.stop();
    this.plane.close();
  }
}

/** A segment of the SSH connection. */
export function segment(
  from: 'client' | 'server',
  flags: readonly (keyof typeof tcpFlag)[],
  payload = 0,
): Uint8Array {
  const fromClient = from === 'client';
  const header = {
    source: ip(fromClient ? client : server),
    destination: ip(fromClient ? server : client),
    protocol: ipProtocol.tcp,
  };
  const tcp = {
    sourcePort: fromClient ? 13_623 : 22,
    destinationPort: fromClient ? 22 : 13_623,
    sequence: 1,
    acknowledgment: 1,
    flags: flags.reduce((all, flag) => all | tcpFlag[flag], 0),
    window: 65_535,
    options: new Uint8Array(),
    payload: new Uint8Array(payload),
  };
  return encodeIp(header, encodeTcp(tcp, pseudoHeaderOf(header, ipProtocol.tcp, 20 + payload)));
}

/** A ping of 500 bytes between the neighbour on the north network and the server. */
export function echo(kind: 'request' | 'reply'): Uint8Array {
  const [from, to] = kind === 'request' ? [neighbour, server] : [server, neighbour];
  const header = { source: ip(from), destination: ip(to), protocol: ipProtocol.icmp };
  const packet = { ...header, version: 4 as const };
  const type = kind === 'request' ? icmpType.echoRequest : icmpType.echoReply;
  return encodeIp(header, encodeIcmp(packet, type, 0, Uint8Array.of(0, 29, 0, 1), new Uint8Array(500)));
}
