import { afterEach, describe, expect, it } from 'vitest';
import type { Config } from '../../dist/config/config.js';
import { macOf, Network } from '../../dist/emulator/network.js';
import { type BfdPeer, bfdSessions, routeSession } from '../../dist/node/bfd.js';
import type { NodeAction, NodeEvent, Report } from '../../dist/node/event.js';
import { emptyNode, type NodeState } from '../../dist/node/state.js';
import { Dataplane } from '../../dist/pipeline/dataplane.js';
import { native } from '../../dist/pipeline/native.js';
import { bfdPort, encodeBfd } from '../../dist/wire/bfd.js';
import { config, ofKind, run, setupOf } from './fixtures.js';

interface End {
  readonly interval?: number;
  readonly multiplier?: number;
  readonly auth?: string;
  readonly key?: string;
}

const nodeText = (name: string, own: string, other: string, end: End = {}) => `
system: { host-name: ${name} }
interfaces: { ge-0/0/0: { port: { memory: wire }, unit: { 0: { family: { inet: { address: ${own}/30 } } } } } }
routing-options:
  static:
    route:
      10.9.0.0/16:
        next-hop: ${other}
        bfd-liveness-detection:
          minimum-interval: ${end.interval ?? 50}
          multiplier: ${end.multiplier ?? 3}
${end.auth === undefined ? '' : `          authentication: { algorithm: ${end.auth}, key-chain: ring }\n`}
security: { authentication-key-chains: { key-chain: { ring: { key: { 7: { secret: { ascii: ${end.key ?? 'a key of ours'} } } } } } } }
`;

const one = (end: End = {}): Config => config(nodeText('one', '10.0.0.1', '10.0.0.2', end));
const two = (end: End = {}): Config => config(nodeText('two', '10.0.0.2', '10.0.0.1', end));

/** Two nodes on a wire, in virtual time. */
class Pair {
  readonly dataplane = new Dataplane({
    workers: 1,
    framesPerWorker: 512,
    controlFrames: 64,
    handOverRing: 256,
    timers: { every: () => () => {}, after: () => () => {} },
  });
  readonly reports: string[] = [];
  readonly network: Network;
  nowMs = 1000;

  constructor(a: Config, b: Config) {
    this.network = new Network({
      dataplane: this.dataplane,
      clock: { nowMs: () => this.nowMs, every: () => () => {}, after: () => () => {} },
      linkDelayMs: 1,
      wireCapacity: 64,
      onReport: (node, report: Report) => {
        if (report.kind === 'bfd')
          this.reports.push(`${node} ${report.address} ${report.up ? 'up' : report.diagnostic}`);
      },
    });
    for (const each of [a, b])
      this.network.addForwarder(each, {
        sessionLimit: 64,
        flowLimit: 0,
        neighbourLimit: 64,
        saLimit: 8,
        statistics: 8,
      });
    this.network.start();
  }

  /** Packets are heard, and news told, until nothing is left to do at this moment; then time goes on to the next deadline. */
  run(ms: number): void {
    const { native: plane } = this.dataplane;
    const end = this.nowMs + ms;
    for (;;) {
      do {
        while (plane.step(BigInt(Math.round(this.nowMs * 1e6))));
        this.network.lookAtNeighbours();
      } while (this.network.tellOfLiveness());
      const next = Number(plane.nextDeadline()) / 1e6;
      if (next > end) break;
      // not the same moment again, since numbers lose nanoseconds
      this.nowMs = Math.max(next, this.nowMs + 0.001);
    }
    this.nowMs = end;
  }

  state(name: string): NodeState {
    return this.network.state(name);
  }

  peer(name: string): BfdPeer {
    return [...this.state(name).bfdPeers.values()][0]!;
  }

  get states(): string[] {
    return ['one', 'two'].map((name) => this.peer(name).session.state);
  }

  hasRoute(name: string): boolean {
    return this.state(name).routes.get('default')?.has('10.9.0.0/16') === true;
  }
}

const pairs: Pair[] = [];
function pair(a = one(), b = two()): Pair {
  const made = new Pair(a, b);
  pairs.push(made);
  return made;
}
afterEach(() => {
  for (const { dataplane } of pairs.splice(0)) dataplane.close();
});

describe('two nodes that watch each other', () => {
  it('come up, and only then have the routes that their sessions guard', () => {
    const it = pair();
    expect(it.hasRoute('one')).toBe(false);
    it.run(4000);
    expect(it.states).toEqual(['Up', 'Up']);
    expect([it.hasRoute('one'), it.hasRoute('two')]).toEqual([true, true]);
    expect(it.state('one').bfd.get(routeSession('default', '10.9.0.0/16', '10.0.0.2'))).toMatchObject({
      client: 'Static',
      up: true,
    });
    expect(it.reports).toEqual(expect.arrayContaining(['one 10.0.0.2 up', 'two 10.0.0.1 up']));
    const plane = it.dataplane.native;
    const before = Number(plane.livenessStatus(0)[0]!.sent);
    it.run(10_000);
    // 50 ms less an eighth in the middle
    const sent = Number(plane.livenessStatus(0)[0]!.sent) - before;
    expect(sent).toBeGreaterThan(215);
    expect(sent).toBeLessThan(245);
    expect(Number(plane.livenessStatus(0)[0]!.longestGapNs)).toBeLessThanOrEqual(50e6);
  });

  it('notice within the detection time that the other is gone, withdraw the route, and recover', () => {
    const it = pair();
    it.run(4000);
    it.dataplane.native.setNodeRunning(1, false);
    it.run(95);
    expect(it.peer('one').session.state).toBe('Up');
    it.run(60);
    expect(it.peer('one').session).toMatchObject({ state: 'Down', diagnostic: 'detection time expired' });
    expect(it.hasRoute('one')).toBe(false);
    expect(it.reports.at(-1)).toBe('one 10.0.0.2 detection time expired');
    it.dataplane.native.setNodeRunning(1, true);
    it.run(5000);
    expect(it.states).toEqual(['Up', 'Up']);
    expect(it.hasRoute('one')).toBe(true);
  });

  it('is the same, packet for packet, each time', () => {
    const trace = () => {
      const it = pair();
      it.run(6000);
      const { native: plane } = it.dataplane;
      return [0, 1].map((node) => plane.livenessStatus(node)[0]);
    };
    expect(trace()).toEqual(trace());
  });

  it.each(['meticulous-keyed-sha-1', 'keyed-sha-1'])('authenticate by %s', (auth) => {
    const it = pair(one({ auth }), two({ auth }));
    it.run(4000);
    expect(it.states).toEqual(['Up', 'Up']);
    expect(it.dataplane.native.livenessStatus(0)[0]!.refused).toBe(0n);
  });

  it('believe no other key, and none where there must be one', () => {
    const auth = 'keyed-sha-1';
    for (const other of [two({ auth, key: 'another' }), two()]) {
      const it = pair(one({ auth }), other);
      it.run(4000);
      expect(it.states).toEqual(['Down', 'Down']);
      expect(it.dataplane.native.livenessStatus(0)[0]!.refused).toBeGreaterThan(2n);
      expect(it.dataplane.counters(0).bfdAuth).toBeGreaterThan(2);
    }
  });

  it('change their intervals by a poll, without a flap', () => {
    const it = pair();
    it.run(4000);
    it.network.configure('one', one({ interval: 300, multiplier: 5 }));
    it.run(3000);
    expect(it.states).toEqual(['Up', 'Up']);
    expect([it.peer('one').session.downs, it.peer('two').session.downs]).toEqual([0, 0]);
    expect(it.peer('two').session.remote).toMatchObject({ desiredMinTxUs: 300_000, detectMultiplier: 5 });
    const { native: plane } = it.dataplane;
    const before = plane.livenessStatus(1)[0]!.sent;
    it.run(6000);
    expect(Number(plane.livenessStatus(1)[0]!.sent - before)).toBeLessThan(6000 / 220);
    it.network.configure('one', one({ interval: 20 }));
    it.run(3000);
    expect([it.peer('one').session.downs, it.peer('two').session.downs]).toEqual([0, 0]);
  });

  it('hear at once of a session that is taken away, and of a node that ends', () => {
    const it = pair();
    it.run(4000);
    it.network.post('one', { kind: 'ending' });
    it.run(5);
    expect(it.peer('two').session).toMatchObject({ state: 'Down', diagnostic: 'neighbour signalled down' });
    const other = pair();
    other.run(4000);
    other.network.configure(
      'one',
      config(nodeText('one', '10.0.0.1', '10.0.0.2').replace(/ {8}bfd-[\s\S]*?multiplier: 3/, '')),
    );
    expect(other.state('one').bfdPeers.size).toBe(0);
    other.run(5);
    expect(other.peer('two').session.state).toBe('Down');
    expect([other.hasRoute('one'), other.hasRoute('two')]).toEqual([true, false]);
  });

  it('accounts for every packet', () => {
    const it = pair();
    it.run(4000);
    for (const node of [0, 1]) {
      const { made, txPackets, rxPackets, answered, bfdSent, bfdHeard } = it.dataplane.counters(node);
      expect(made).toBe(txPackets);
      expect(rxPackets).toBe(answered);
      expect(bfdSent).toBeGreaterThan(20);
      expect(bfdHeard).toBeGreaterThan(20);
    }
  });
});

describe('the sessions of a configuration', () => {
  const text = (routes: string) => `
system: { host-name: r }
interfaces:
  ge-0/0/0: { port: { memory: a }, unit: { 0: { family: { inet: { address: 10.0.0.1/24 } } } } }
  lo0: { unit: { 0: { family: { inet: { address: 10.255.0.1/32 } } } } }
routing-options: { static: { route: { ${routes} } } }
`;

  it('are one for each next hop, under its own words or the route’s', () => {
    const wants = bfdSessions(
      config(
        text(`
      10.1.0.0/16: { next-hop: [10.0.0.2, 10.0.0.3], bfd-liveness-detection: { minimum-interval: 100 } },
      10.2.0.0/16: { qualified-next-hop: { 10.0.0.4: { bfd-liveness-detection: { minimum-interval: 30, multiplier: 5 } }, 10.0.0.5: {} } },
      10.3.0.0/16: { next-hop: 10.0.0.6, bfd-liveness-detection: { minimum-interval: 30, neighbor: 192.0.2.9, local-address: 10.255.0.1, minimum-receive-ttl: 250 } }`),
      ),
    );
    expect(
      wants.map(({ name, peer }) => [name, String(peer.local), peer.minimumTransmitMs, peer.multiplier]),
    ).toEqual([
      ['route default 10.1.0.0/16 10.0.0.2', '10.0.0.1', 100, 3],
      ['route default 10.1.0.0/16 10.0.0.3', '10.0.0.1', 100, 3],
      ['route default 10.2.0.0/16 10.0.0.4', '10.0.0.1', 30, 5],
      ['route default 10.3.0.0/16 10.0.0.6', '10.255.0.1', 30, 3],
    ]);
    expect(wants.at(-1)!.peer).toMatchObject({ multihop: true, minimumTtl: 250 });
  });

  it('are shared by those between the same ends, with the shorter intervals', () => {
    const of = config(
      text(`
      10.1.0.0/16: { next-hop: 10.0.0.2, bfd-liveness-detection: { minimum-interval: 300 } },
      10.2.0.0/16: { next-hop: 10.0.0.2, bfd-liveness-detection: { minimum-interval: 50, multiplier: 4 } }`),
    );
    const { state, actions } = run(emptyNode, { kind: 'configured', config: of, setup: setupOf(of) });
    expect(state.bfd.size).toBe(2);
    expect(state.bfdPeers.size).toBe(1);
    expect([...state.bfdPeers.values()][0]!.session.settings).toMatchObject({
      desiredMinTxUs: 50_000,
      detectMultiplier: 4,
    });
    expect(openings(actions)).toHaveLength(1);
  });

  it('withdraw single next hops of an ECMP route, and the route with the last', () => {
    const of = config(
      text(
        `10.1.0.0/16: { next-hop: [10.0.0.2, 10.0.0.3], bfd-liveness-detection: { minimum-interval: 100 } }`,
      ),
    );
    let state = settle(emptyNode, { kind: 'configured', config: of, setup: setupOf(of) });
    const reachable = [2, 3].map((n) => ({
      interface: state.numberings.interfaces.of('ge-0/0/0.0'),
      address: of.routingInstances[0]!.staticRoutes[0]!.bfd[n - 2]!.nextHop,
      reachable: true,
    }));
    state = settle(state, { kind: 'neighbours-changed', changes: reachable });
    const hops = () => {
      const route = state.routes.get('default')?.get('10.1.0.0/16')?.[0];
      return route?.nextHop.kind === 'ecmp' ? route.nextHop.addresses.map(String) : [];
    };
    const upMembers = () => [...state.services.values()].filter(({ up }) => up).length;
    expect([hops(), upMembers()]).toEqual([[], 0]);
    state = comeUp(state, '10.0.0.3');
    expect([hops(), upMembers()]).toEqual([['10.0.0.3'], 1]);
    state = comeUp(state, '10.0.0.2');
    expect([hops(), upMembers()]).toEqual([['10.0.0.2', '10.0.0.3'], 2]);
    state = settle(state, {
      kind: 'liveness-told',
      told: [{ session: numberOf(state, '10.0.0.3'), packet: null }],
    });
    expect([hops(), upMembers()]).toEqual([['10.0.0.2'], 1]);
    state = settle(state, {
      kind: 'liveness-told',
      told: [{ session: numberOf(state, '10.0.0.2'), packet: null }],
    });
    expect([hops(), upMembers()]).toEqual([[], 0]);
  });
});

const openings = (actions: readonly NodeAction[]) =>
  ofKind(actions, 'liveness').flatMap(({ commands }) => commands.filter(({ kind }) => kind === 'open'));

const numberOf = (state: NodeState, remote: string) =>
  [...state.bfdPeers.values()].find(({ peer }) => String(peer.remote) === remote)!.number;

/** What is asked of the native core is answered. */
function settle(before: NodeState, ...events: NodeEvent[]): NodeState {
  const { state, actions } = run(before, ...events);
  const answers = actions.flatMap((action): NodeEvent[] => {
    if (action.kind === 'bfd-changed') return [action];
    if (action.kind !== 'build-group') return [];
    return [
      {
        kind: 'group-built',
        group: action.group,
        ticket: action.ticket,
        ...native().chashBuild(action.options),
      },
    ];
  });
  return answers.length === 0 ? state : settle(state, ...answers);
}

function comeUp(before: NodeState, remote: string): NodeState {
  const session = numberOf(before, remote);
  const { session: own } = [...before.bfdPeers.values()].find(({ number }) => number === session)!;
  const says = (state: 'Down' | 'Init' | 'Up', yourDiscriminator: number) => ({
    session,
    packet: encodeBfd({
      state,
      diagnostic: 'none',
      poll: false,
      final: false,
      controlPlaneIndependent: false,
      demand: false,
      detectMultiplier: 3,
      myDiscriminator: 99,
      yourDiscriminator,
      desiredMinTxUs: 100_000,
      requiredMinRxUs: 100_000,
      requiredMinEchoRxUs: 0,
      auth: null,
    }),
  });
  return settle(before, {
    kind: 'liveness-told',
    told: [says('Down', 0), says('Up', own.settings.discriminator)],
  });
}

describe('hostile packets', () => {
  /** A packet of UDP from the neighbour's address, as it stands on the wire. */
  function sent(
    it: Pair,
    payload: Uint8Array,
    more: { ttl?: number; from?: number; port?: number } = {},
  ): void {
    const packet = new Uint8Array(14 + 28 + payload.length);
    const view = new DataView(packet.buffer);
    const [mac, theirs] = ['one', 'two'].map((name) => macOf(name, 'ge-0/0/0'));
    packet.set(mac!, 0);
    packet.set(theirs!, 6);
    view.setUint16(12, 0x0800);
    packet.set([0x45, 0xc0, 0, 28 + payload.length, 0, 0, 0x40, 0, more.ttl ?? 255, 17, 0, 0], 14);
    packet.set([10, 0, 0, more.from ?? 2, 10, 0, 0, 1], 26);
    let sum = 0;
    for (let i = 14; i < 34; i += 2) sum += view.getUint16(i);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    view.setUint16(24, ~sum & 0xffff);
    view.setUint16(34, 49_152);
    view.setUint16(36, more.port ?? bfdPort.singleHop);
    view.setUint16(38, 8 + payload.length);
    packet.set(payload, 42);
    // out of two's port: what arrives at one is what two would have sent
    expect(it.dataplane.native.inject(1, 0, packet)).toBe(true);
    it.run(1);
  }

  it('are dropped by name and change nothing', () => {
    const it = pair();
    it.run(4000);
    const { settings, remote } = it.peer('one').session;
    const good = encodeBfd({
      state: 'Down',
      diagnostic: 'none',
      poll: false,
      final: false,
      controlPlaneIndependent: true,
      demand: false,
      detectMultiplier: 3,
      myDiscriminator: remote.discriminator,
      yourDiscriminator: settings.discriminator,
      desiredMinTxUs: 50_000,
      requiredMinRxUs: 50_000,
      requiredMinEchoRxUs: 0,
      auth: null,
    });
    const spoiled = (at: number, byte: number) => good.slice().fill(byte, at, at + 1);
    const counted = (name: 'badBfd' | 'bfdSession' | 'bfdTtl') => it.dataplane.counters(0)[name];
    sent(it, good.subarray(0, 20));
    sent(it, spoiled(0, 0x40));
    sent(it, spoiled(3, 60));
    sent(it, spoiled(2, 0));
    expect(counted('badBfd')).toBe(4);
    sent(it, good, { ttl: 254 });
    expect(counted('bfdTtl')).toBe(1);
    sent(it, good, { from: 3 });
    sent(it, spoiled(8, good[8]! ^ 1));
    sent(it, good, { port: bfdPort.multihop });
    expect(counted('bfdSession')).toBe(3);
    it.run(500);
    expect(it.states).toEqual(['Up', 'Up']);
    expect(it.peer('one').session.downs).toBe(0);
    // the same, and nothing is wrong with it
    sent(it, good);
    expect(it.peer('one').session.downs).toBe(1);
  });
});
