/**
 * A change of configuration loses no packet: members, weights and tunnels that carry traffic are changed under load, on
 * memory ports with worker threads, and every packet arrives once. PENSTOCK_RECONFIGURATIONS=1000 for the full number.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { Config } from '../../dist/config/config.js';
import { accountsOf } from '../../dist/emulator/accounts.js';
import { realClock, sleep } from '../../dist/emulator/clock.js';
import { macOf, Network } from '../../dist/emulator/network.js';
import { Seeded } from '../../dist/emulator/random.js';
import {
  baseStation,
  baseStationsConfig,
  flowsOf,
  gatewayConfig,
  gatewayName,
  imixSizes,
  routerConfig,
  tunnelOf,
  wires,
} from '../../dist/emulator/scale-out.js';
import { Secret } from '../../dist/model/secret.js';
import type { NodeEvent } from '../../dist/node/event.js';
import type { SaKey, TunnelKeys } from '../../dist/node/tunnel.js';
import { Dataplane } from '../../dist/pipeline/dataplane.js';

const times = Number(process.env.PENSTOCK_RECONFIGURATIONS ?? 90);
const seed = Number(process.env.PENSTOCK_SEED ?? 1);
const workers = 2;
const gateways = [1, 2, 3];
const tunnels = 24;
/** the last one is at the router and takes packets, but is no member at first */
const numbers = [...gateways, 4];

let dataplane: Dataplane | undefined;
afterEach(async () => {
  await dataplane?.stop();
  dataplane?.close();
});

/** The router with these weights; a gateway without one is no member. */
function weighted(config: Config, weights: ReadonlyMap<string, number>): Config {
  return {
    ...config,
    trafficLoadBalance: config.trafficLoadBalance.map((instance) => ({
      ...instance,
      groups: instance.groups.map((group) => ({
        ...group,
        realServices: group.realServices.flatMap((service) => {
          const weight = weights.get(service.name);
          return weight === undefined ? [] : [{ ...service, weight }];
        }),
      })),
    })),
  };
}

class Lab {
  readonly random = new Seeded(BigInt(seed));
  readonly plane: Dataplane;
  readonly network: Network;
  readonly stations = Array.from({ length: tunnels }, (_, number) => baseStation(number, workers));
  readonly hosts: number[];
  readonly nodes: number[];
  readonly router: number;
  readonly #routerConfig = routerConfig(numbers.length, seed);
  readonly #weights = new Map(gateways.map((number) => [gatewayName(number), 1]));
  readonly #audits: { address: Uint8Array; spi: number; key: number }[] = [];
  readonly #up: SaKey[];
  /** by tunnel, then gateway */
  readonly #down: SaKey[][];
  #spi = 0x1000;

  constructor(plane: Dataplane) {
    this.plane = plane;
    this.network = new Network({
      dataplane: plane,
      clock: realClock,
      linkDelayMs: 1,
      wireCapacity: 1024,
      onReport: () => {},
    });
    const sas = { saLimit: 16 * tunnels * numbers.length };
    const enb = this.network.addForwarder(baseStationsConfig(this.stations), sas);
    const tlb = this.network.addForwarder(weighted(this.#routerConfig, this.#weights), {
      auditedKeys: tunnels * (numbers.length + 1) + times,
    });
    const gws = numbers.map((number) => this.network.addForwarder(acceptingBack(gatewayConfig(number)), sas));
    const list = flowsOf(tunnels, tunnels * 8, workers);
    const host = (name: string, server: boolean, gatewayMac: Uint8Array) => ({
      name,
      server,
      mac: macOf(name, 'eth0'),
      gatewayMac,
      flows: list.map(({ tunnel: _, ...flow }) => flow),
      sizes: imixSizes(seed),
      credit: 64,
      seed,
    });
    const client = this.network.addHost(host('client', false, macOf('enb', 'ge-0/0/0')), wires.client);
    const server = this.network.addHost(host('server', true, macOf('tlb1', 'xe0')), wires.internet);
    this.hosts = [client, server];
    this.nodes = [client, server, enb.index, tlb.index, ...gws.map(({ index }) => index)];
    this.router = tlb.index;
    this.network.start();
    this.#up = this.stations.map(({ virtual }) => this.key(virtual.bytes));
    this.#down = this.stations.map(({ outer }) => numbers.map(() => this.key(outer.bytes)));
  }

  key(address: Uint8Array): SaKey {
    const spi = this.#spi++;
    this.#audits.push({ address, spi, key: this.#audits.length });
    const bytes = Uint8Array.from({ length: 36 }, () => this.random.below(256));
    return { spi, key: new Secret(bytes) };
  }

  /** Every gateway opens what a base station seals with one key; each seals with its own. */
  begin(): void {
    this.publishAudits();
    this.stations.forEach((_, t) => {
      numbers.forEach((_number, g) => {
        this.keyGateway(g, t, { inbound: [this.#up[t]!], outbound: this.#down[t]![g]! });
      });
      this.keyStation(t, { inbound: this.#down[t]!, outbound: this.#up[t]! });
    });
  }

  keyGateway(g: number, t: number, of: Pick<TunnelKeys, 'inbound' | 'kept' | 'outbound'>): void {
    this.post(gatewayName(numbers[g]!), { tunnel: tunnelOf(this.stations[t]!).gateway, ...of });
  }

  keyStation(t: number, of: Pick<TunnelKeys, 'inbound' | 'kept' | 'outbound'>): void {
    this.post('enb', { tunnel: tunnelOf(this.stations[t]!).station, ...of });
  }

  post(node: string, keys: Omit<TunnelKeys, 'epoch' | 'nextSequence'>): void {
    const event: NodeEvent = {
      kind: 'tunnels-keyed',
      tunnels: [{ ...keys, epoch: 0, nextSequence: 1n }],
    };
    this.network.post(node, event);
  }

  publishAudits(): void {
    this.plane.native.publish(this.router, { audits: this.#audits });
  }

  reconfigureRouter(): void {
    this.network.configure('tlb1', weighted(this.#routerConfig, this.#weights));
  }

  changeWeight(): void {
    const members = [...this.#weights.keys()];
    const member = members[this.random.below(members.length)]!;
    this.#weights.set(member, 1 + this.random.below(9));
    this.reconfigureRouter();
  }

  changeMembers(): void {
    const member = gatewayName(numbers[this.random.below(numbers.length)]!);
    if (!this.#weights.has(member)) this.#weights.set(member, 1 + this.random.below(4));
    else if (this.#weights.size > 1) this.#weights.delete(member);
    this.reconfigureRouter();
  }

  /** A tunnel that goes on with its SAs, by other words: a larger window, and back. */
  changeTunnel(turn: number): void {
    const t = this.random.below(tunnels);
    const g = this.random.below(numbers.length);
    const { gateway } = tunnelOf(this.stations[t]!);
    const tunnel = {
      ...gateway,
      antiReplayWindowSize: [256, 1024, 4096][turn % 3]!,
      dfBit: turn % 2 === 0 ? ('copy' as const) : ('clear' as const),
      outerDscp: turn % 5 === 0 ? null : turn % 64,
    };
    const kept = [this.#up[t]!.spi];
    this.post(gatewayName(numbers[g]!), { tunnel, inbound: [], kept, outbound: null });
  }

  /** Another key, up or down: who opens has it first, and the former one until nothing of it is under way. */
  async rekey(): Promise<void> {
    const t = this.random.below(tunnels);
    const station = this.stations[t]!;
    const downs = this.#down[t]!;
    if (this.random.below(2) === 0) {
      const [was, is] = [this.#up[t]!, this.key(station.virtual.bytes)];
      this.#up[t] = is;
      this.publishAudits();
      numbers.forEach((_, g) => {
        this.keyGateway(g, t, { inbound: [is], kept: [was.spi], outbound: null });
      });
      this.keyStation(t, { inbound: [], kept: downs.map(({ spi }) => spi), outbound: is });
      await sleep(realClock, 100);
      numbers.forEach((_, g) => {
        this.keyGateway(g, t, { inbound: [], kept: [is.spi], outbound: null });
      });
    } else {
      const g = this.random.below(numbers.length);
      const [was, is] = [downs[g]!, this.key(station.outer.bytes)];
      const before = downs.map(({ spi }) => spi);
      downs[g] = is;
      this.publishAudits();
      this.keyStation(t, { inbound: [is], kept: before, outbound: null });
      this.keyGateway(g, t, { inbound: [], kept: [this.#up[t]!.spi], outbound: is });
      await sleep(realClock, 100);
      const after = before.filter((spi) => spi !== was.spi);
      this.keyStation(t, { inbound: [], kept: [...after, is.spi], outbound: null });
    }
  }

  accounts() {
    const of = (nodes: readonly number[]) => nodes.map((node) => this.plane.counters(node));
    return accountsOf(of(this.hosts), of(this.nodes));
  }
}

/** A session may begin with an answer: the gateway that a flow moved to may hear of it that way first. */
function acceptingBack(config: Config): Config {
  const [policy] = config.policies;
  const back = { ...policy!, name: 'u2t-permit', fromZone: 'untrust', toZone: 'trust' };
  return { ...config, policies: [...config.policies, back] };
}

describe('a change of configuration', () => {
  it(
    `loses and repeats no packet, ${times} times under load, seed ${seed}`,
    async () => {
      dataplane = new Dataplane({
        workers,
        framesPerWorker: 4096,
        controlFrames: 256,
        handOverRing: 1024,
        timers: realClock,
      });
      const lab = new Lab(dataplane);
      await dataplane.start();
      const looking = realClock.every(10, () => {
        lab.network.lookAtNeighbours();
        lab.plane.native.collect();
      });
      try {
        for (let i = 0; i < 500 && lab.network.unresolved().length > 0; i++) await sleep(realClock, 10);
        expect(lab.network.unresolved()).toEqual([]);
        lab.begin();
        await sleep(realClock, 50);
        const [client] = lab.hosts;
        lab.plane.native.setSending(client!, true);
        await sleep(realClock, 100);
        const moved: number[] = [];
        for (let turn = 0; turn < times; turn++) {
          const before = lab.accounts().delivered;
          const kind = turn % 4;
          if (kind === 0) lab.changeWeight();
          else if (kind === 1) lab.changeMembers();
          else if (kind === 2) lab.changeTunnel(turn);
          else await lab.rekey();
          // the next change finds traffic under way
          for (let i = 0; i < 100 && lab.accounts().delivered === before; i++) await sleep(realClock, 2);
          moved.push(lab.accounts().delivered - before);
        }
        lab.plane.native.setSending(client!, false);
        for (let quiet = 0, i = 0; quiet < 3 && i < 500; i++) {
          await sleep(realClock, 10);
          quiet = lab.plane.native.framesInUse() === 0 ? quiet + 1 : 0;
        }
        const { sent, delivered, dropped, dropsByReason, mismatched } = lab.accounts();
        expect(dropsByReason).toEqual({});
        expect({ delivered, mismatched, dropped }).toEqual({ delivered: sent, mismatched: 0, dropped: 0 });
        for (const host of lab.hosts) expect(lab.plane.counters(host).unexpected).toBe(0);
        // traffic flowed while it was changed
        expect(moved.filter((packets) => packets > 0).length).toBeGreaterThan(times * 0.9);
        const { seen, repeated, unproven } = lab.plane.native.nonceAudit(lab.router);
        expect({ repeated, unproven }).toEqual({ repeated: 0n, unproven: 0n });
        expect(Number(seen)).toBeGreaterThan(sent / 2);
      } finally {
        looking();
      }
    },
    30_000 + times * 400,
  );
});
