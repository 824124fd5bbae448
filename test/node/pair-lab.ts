/** Two gateways of a pair and the world around them, on memory wires and in virtual time. */
import { checkConfig } from '../../dist/config/load.js';
import { NodeDriver } from '../../dist/node/drive.js';
import type { NodeAction, NodeEvent } from '../../dist/node/event.js';
import { nextDeadline } from '../../dist/node/groups.js';
import { performNative } from '../../dist/node/native-actions.js';
import { PairSync } from '../../dist/node/sync.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import { counterIndex } from '../../dist/pipeline/counters.js';
import { type NativePlane, native, type TableParts } from '../../dist/pipeline/native.js';
import { encodeIp } from '../../dist/wire/ip.js';
import { encodeUdp } from '../../dist/wire/udp.js';

const key = (digit: string) => digit.repeat(72);
const linkKey = { 1: 'd1', 2: 'd2' } as const;

export interface LabOptions {
  readonly encrypted?: boolean;
  readonly shift?: number;
  readonly workers?: number;
  /** of node 2, in place of those of both */
  readonly policies?: string;
  readonly esn?: boolean;
}

/** Both gateways have the same VPN to the world, which ends at 10.0.0.1, a floating address of SRG1. */
export function gatewayText(
  id: 1 | 2,
  { encrypted = true, shift = 4096, esn = true }: LabOptions = {},
): string {
  const peer = 3 - id;
  const link = `
      ICL:
        ha-link-encryption:
        manual:
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x${id === 1 ? 901 : 902}, key: { hex: ${linkKey[id].repeat(36)} } }]
          outbound: { spi: 0x${id === 1 ? 902 : 901}, key: { hex: ${linkKey[peer as 1 | 2].repeat(36)} } }`;
  return `
system: { host-name: gw${id}, node-id: ${id}, state-directory: state }
chassis:
  high-availability:
    local-id: { id: ${id}, local-ip: 10.3.1.${id} }
    peer-id:
      ${peer}: { peer-ip: 10.3.1.${peer}, interface: ge-0/0/2${encrypted ? ', vpn-profile: ICL' : ''}, liveness-detection: { minimum-interval: 400, multiplier: 5 } }
    services-redundancy-group:
      1:
        peer-id: ${peer}
        listen-ha-group: g
        prefix-list: { ike_lo0 }
        managed-services: ipsec
    ha-group: { g: }
    seqnum-sync: { oseq-shift: ${shift}, sync-period-packets: 2, sync-period-time: 10 }
interfaces:
  ge-0/0/0: { port: { memory: outside${id} }, unit: { 0: { family: { inet: { address: 10.1.${id}.1/24 } } } } }
  ge-0/0/1: { port: { memory: inside${id} }, unit: { 0: { family: { inet: { address: 10.2.${id}.1/24 } } } } }
  ge-0/0/2: { port: { memory: icl }, unit: { 0: { family: { inet: { address: 10.3.1.${id}/24 } } } } }
  lo0: { unit: { 0: { family: { inet: { address: 10.0.0.1/32 } } } } }
  st0: { unit: { 1: { family: { inet } } } }
routing-options: { static: { route: { 10.20.0.0/16: { next-hop: 10.1.${id}.9 }, 10.9.0.0/16: { next-hop: 10.2.${id}.9 } } } }
policy-options: { prefix-list: { ike_lo0: 10.0.0.1/32 } }
security:
  ipsec:
    vpn:
      enb:
        bind-interface: st0.1
        ${esn ? 'extended-sequence-number:' : ''}
        manual:
          gateway: 10.20.0.1
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x1001, key: { hex: ${key('a')} } }]
          outbound: { spi: 0x2001, key: { hex: ${key('b')} } }
        traffic-selector: { ts: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.0/24 } }${encrypted ? link : ''}
  zones:
    security-zone:
      outside: { interfaces: [ge-0/0/0, lo0] }
      inside: { interfaces: ge-0/0/1 }
      vpn: { interfaces: st0.1 }
      ha: { interfaces: ge-0/0/2 }
  policies:
    default-policy: permit-all
`;
}

export function configOf(text: string) {
  const { config, problems } = checkConfig(text, 'lab.yaml', {
    environment: {},
    readFile: () => '',
  } as never);
  if (config === null) throw new Error(problems.map(({ path, message }) => `${path}: ${message}`).join('\n'));
  return config;
}

/** As the emulator and the daemon have it: a node, its driver, its part of the pair. */
export class Gateway {
  readonly index: number;
  driver!: NodeDriver;
  pair!: PairSync;
  generation = 0;
  running = true;
  losesGenerations = false;
  readonly log: string[] = [];
  readonly events: NodeEvent[] = [];
  readonly ports: ReadonlyMap<string, { index: number; mac: Uint8Array }>;

  constructor(
    readonly lab: Lab,
    readonly id: 1 | 2,
    index: number,
    ports: ReadonlyMap<string, { index: number; mac: Uint8Array }>,
    readonly options: LabOptions,
    /** generations outlive a gateway */
    readonly disk: { generation: number },
  ) {
    this.index = index;
    this.ports = ports;
  }

  start(session: number): void {
    const { plane } = this.lab;
    this.generation = ++this.disk.generation;
    const config = configOf(
      gatewayText(this.id, this.options).replace(
        'default-policy: permit-all',
        (this.id === 2 && this.options.policies) || 'default-policy: permit-all',
      ),
    );
    this.driver = new NodeDriver(
      (action) => this.#perform(action),
      () => this.lab.nowMs,
    );
    const setup = { ports: this.ports, workers: plane.workerStatus().length };
    this.pair = new PairSync(
      {
        plane,
        node: this.index,
        session,
        nowMs: () => this.lab.nowMs,
        state: () => this.driver.state,
        post: (...events) => {
          this.events.push(...events);
          this.driver.post(...events);
        },
        originate: (instance, packets) =>
          this.lab.muteAfterTunnel && this.id === 2 ? 0 : plane.originate(this.index, instance, packets),
        generation: () => this.generation,
        claimGeneration: () => {
          if (this.losesGenerations) return null;
          this.generation = ++this.disk.generation;
          return this.generation;
        },
        log: (line) => this.log.push(line),
      },
      config,
    );
    this.driver.post({ kind: 'configured', config, setup });
    this.become('BACKUP');
    this.driver.post({
      kind: 'tunnels-keyed',
      tunnels: manualTunnels(config, this.generation, () => BigInt(this.generation) << 20n),
    });
  }

  #perform(action: NodeAction): NodeEvent[] {
    // the lab says itself when a node is gone
    if (action.kind === 'liveness' || action.kind === 'bfd-changed') return [];
    if (action.kind === 'srg-changed') this.pair.srgChanged(action.id, action.from, action.to);
    return performNative(this.lab.plane, this.index, action) ?? [];
  }

  become(status: 'ACTIVE' | 'BACKUP'): void {
    this.driver.post({
      kind: 'ha-group-told',
      group: 'g',
      told: status === 'ACTIVE' ? 'active' : 'backup',
    });
  }

  counter(name: keyof typeof counterIndex): number {
    return this.lab.plane.counterTotals(this.index)[counterIndex[name]]!;
  }

  sa(direction: 'inbound' | 'outbound') {
    const tunnel = this.driver.state.tunnels.get('enb')!;
    const index = direction === 'outbound' ? tunnel.outbound!.index : tunnel.inbound[0]!.index;
    return this.lab.plane.saStatus(this.index, direction, [index])[0]!;
  }
}

const mac = (node: number, port: number) => Uint8Array.of(2, 0, 0, 0, node, port);
const ip = (text: string) => Uint8Array.from(text.split('.'), Number);

export class Lab {
  readonly plane: NativePlane;
  readonly gateways: Gateway[] = [];
  readonly world: number;
  nowMs = 1_000;
  cut = false;
  readonly #options: LabOptions;

  constructor(options: LabOptions = {}) {
    this.#options = options;
    this.plane = native().createPlane({
      workers: options.workers ?? 1,
      framesPerWorker: 8192,
      controlFrames: 2048,
      handOverRing: 1024,
    });
    const forwarder = (name: string) =>
      this.plane.addForwarder({
        name,
        sessionLimit: 100_000,
        neighbourLimit: 64,
        saLimit: 64,
        statistics: 64,
        auditedKeys: 0,
      });
    const nodes = [forwarder('gw1'), forwarder('gw2')];
    this.world = forwarder('world');
    const icl = this.plane.addWire(nodes[0]!, nodes[1]!, 4096);
    const sides = nodes.map((node) => ({
      outside: this.plane.addWire(node, this.world, 1024),
      inside: this.plane.addWire(node, this.world, 1024),
    }));
    nodes.forEach((node, i) => {
      const ports = new Map([
        ['ge-0/0/0', { index: sides[i]!.outside[0], mac: mac(i + 1, 0) }],
        ['ge-0/0/1', { index: sides[i]!.inside[0], mac: mac(i + 1, 1) }],
        ['ge-0/0/2', { index: icl[i]!, mac: mac(i + 1, 2) }],
      ]);
      const gateway = new Gateway(this, (i + 1) as 1 | 2, node, ports, options, { generation: 0 });
      this.gateways.push(gateway);
      gateway.start(100 + i);
      this.plane.learnNeighbours(node, [
        { interface: 0, address: ip(`10.1.${i + 1}.9`), mac: mac(9, 2 * i) },
        { interface: 1, address: ip(`10.2.${i + 1}.9`), mac: mac(9, 2 * i + 1) },
        { interface: 2, address: ip(`10.3.1.${2 - i}`), mac: mac(2 - i, 2) },
      ]);
    });
    this.plane.setCapture(this.world, {
      filter: [{ op: 'protocol', a: 50 }, { op: 'in' }, { op: 'and' }],
      ringBytes: 1 << 22,
    });
    this.#buildWorld(sides.flatMap(({ outside, inside }) => [outside[1], inside[1]]));
  }

  /** Opens what the gateways seal, with an anti-replay window and a witness of every nonce; inside hosts answer nothing. */
  #buildWorld(ports: readonly number[]): void {
    const bytes = (digit: string) =>
      Uint8Array.from({ length: 36 }, () => Number.parseInt(digit.repeat(2), 16));
    const lifetime = {
      softSeconds: 0,
      hardSeconds: 0,
      softPackets: 0n,
      hardPackets: 0n,
      softKilobytes: 0n,
      hardKilobytes: 0n,
    };
    const common = {
      extendedSequenceNumber: this.#options.esn ?? true,
      selectors: [],
      anchor: 0,
      tunnel: 0,
      lifetime,
    };
    const [inbound] = this.plane.addInboundSas(this.world, [
      { ...common, spi: 0x2001, key: bytes('b'), replayWindow: 1024 },
    ]);
    const [outbound] = this.plane.addOutboundSas(this.world, [
      {
        ...common,
        spi: 0x1001,
        key: bytes('a'),
        source: ip('10.20.0.1'),
        destination: ip('10.0.0.1'),
        nodeId: 3,
        epoch: 0,
        nextSequence: 1n,
        dfBit: 'clear',
        dscp: -1,
        mtu: 1500,
        udp: null,
      },
    ]);
    const local = (text: string, length = 32) => ({
      routingInstance: 0,
      prefix: ip(text),
      length,
      nextHop: { kind: 'local' as const },
    });
    const parts: TableParts = {
      interfaces: ports.map((port, i) => ({
        port,
        vlan: 0,
        mtu: 1500,
        routingInstance: 0,
        zone: 0,
        filterV4: -1,
        filterV6: -1,
        mac: mac(9, i),
        addresses: [ip(`10.${1 + (i % 2)}.${1 + (i >> 1)}.9`), ...(i % 2 === 0 ? [ip('10.20.0.1')] : [])],
      })),
      routes: [
        local('10.20.0.1'),
        // what was opened ends here
        local('192.0.2.0', 24),
        { routingInstance: 0, prefix: ip('10.0.0.1'), length: 32, nextHop: this.#towards(1) },
        local('10.9.0.0', 16),
        {
          routingInstance: 1,
          prefix: ip('10.9.0.0'),
          length: 16,
          nextHop: { kind: 'tunnel', sa: outbound!, zone: 0, routingInstance: 0 },
        },
      ],
      spis: [{ address: ip('10.20.0.1'), spi: 0x2001, sa: inbound!, zone: 0, routingInstance: 0 }],
      flow: { sessions: false, synCheck: false, synCheckInTunnel: false },
    };
    this.#worldParts = parts;
    this.worldIn = inbound!;
    this.plane.publish(this.world, parts);
    this.plane.learnNeighbours(
      this.world,
      [0, 1, 2, 3].map((i) => ({
        interface: i,
        address: ip(`10.${1 + (i % 2)}.${1 + (i >> 1)}.1`),
        mac: mac(1 + (i >> 1), i % 2),
      })),
    );
  }

  worldIn = 0;
  #worldParts: TableParts = {};
  #towards(id: 1 | 2) {
    return { kind: 'neighbour' as const, interface: 2 * (id - 1), address: ip(`10.1.${id}.1`) };
  }

  /** The network routes the floating address to this gateway from now on. */
  route(id: 1 | 2): void {
    const routes = this.#worldParts.routes!.map((route) =>
      route.length === 32 && route.prefix[1] === 0 ? { ...route, nextHop: this.#towards(id) } : route,
    );
    this.#worldParts = { ...this.#worldParts, routes };
    this.plane.publish(this.world, { routes });
  }

  /** From inside, through a gateway's session table into the tunnel. */
  fromInside(id: 1 | 2, flow: number, count = 1): void {
    const packet = udp(`10.9.0.${1 + (flow % 200)}`, `192.0.2.${1 + (flow % 200)}`, 1024 + flow);
    // the world's inside port sends it as a host would
    const frame = new Uint8Array(14 + packet.length);
    frame.set(mac(id, 1), 0);
    frame.set(mac(9, 2 * id - 1), 6);
    frame.set([8, 0], 12);
    frame.set(packet, 14);
    const port = this.#worldParts.interfaces![2 * id - 1]!.port;
    for (let i = 0; i < count; i++) this.plane.inject(this.world, port, frame);
  }

  /** Through the tunnel, to the gateway that the floating address is routed to. */
  fromWorld(flow: number, count = 1): void {
    const packet = udp(`192.0.2.${1 + (flow % 200)}`, `10.9.0.${1 + (flow % 200)}`, 1024 + flow, 80);
    this.plane.originate(
      this.world,
      1,
      Array.from({ length: count }, () => packet),
    );
  }

  /** Nonces of all that was ever sealed for the world, and how many came twice. */
  readonly nonces = new Set<string>();
  repeated = 0;

  #witness(): void {
    for (const { data } of this.plane.takeCaptured(this.world, 10_000)) {
      // behind Ethernet, IPv4 and ESP headers
      const iv = Buffer.from(data.subarray(14 + 20 + 8, 14 + 20 + 16)).toString('hex');
      if (this.nonces.has(iv)) this.repeated++;
      this.nonces.add(iv);
    }
  }

  worldCounter(name: keyof typeof counterIndex): number {
    return this.plane.counterTotals(this.world)[counterIndex[name]]!;
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 1) {
      for (let turn = 0; turn < 6; turn++) {
        this.plane.step(BigInt(this.nowMs) * 1_000_000n);
        const punts = this.plane.takePunts(4096);
        for (const { node, packet } of punts) {
          const gateway = this.gateways[node];
          if (gateway?.running && !this.cut) gateway.pair.receivePacket(packet);
        }
        if (punts.length === 0 && turn > 2) break;
      }
      for (const gateway of this.gateways) {
        if (!gateway.running) continue;
        if (nextDeadline(gateway.driver.state) <= this.nowMs) gateway.driver.post({ kind: 'time-passed' });
        gateway.pair.tick();
      }
      this.#witness();
      if (this.nowMs % 10 === 0) this.plane.collect();
    }
  }

  /** Nothing that gateway 2 says arrives any more. */
  muteAfterTunnel = false;

  /** A gateway that was killed comes back, with what is on its disk. */
  reboot(id: 1 | 2): void {
    const gateway = this.gateways[id - 1]!;
    this.plane.setNodeRunning(gateway.index, 'runs');
    gateway.driver.post({ kind: 'tunnels-removed', tunnels: [...gateway.driver.state.tunnels.keys()] });
    gateway.running = true;
    gateway.start(Math.floor(this.nowMs));
  }

  /** A gateway stops, as by kill -9. */
  kill(id: 1 | 2): void {
    const gateway = this.gateways[id - 1]!;
    gateway.running = false;
    this.plane.setNodeRunning(gateway.index, 'shut');
  }

  close(): void {
    this.plane.stop();
    this.plane.close();
  }
}

function udp(from: string, to: string, sourcePort: number, destinationPort = 80): Uint8Array {
  const header = { source: ip(from), destination: ip(to), protocol: 17 };
  return encodeIp(header, encodeUdp(sourcePort, destinationPort, new Uint8Array(32), null));
}
