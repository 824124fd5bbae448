import { describe, expect, it } from 'vitest';
import type { Config } from '../../dist/config/config.js';
import { loadConfig } from '../../dist/config/load.js';
import type { ColdSyncStatus, SrgStatus } from '../../dist/model/high-availability.js';
import { monitorSession } from '../../dist/node/bfd.js';
import { echoAnswer, encodeEcho } from '../../dist/node/echoes.js';
import type { NodeAction, NodeEvent } from '../../dist/node/event.js';
import { nextDeadline } from '../../dist/node/groups.js';
import { emptyNode, type NodeState } from '../../dist/node/state.js';
import { flush, step } from '../../dist/node/step.js';
import { decodeEthernet } from '../../dist/wire/ethernet.js';
import { edited, pair as pairText, surroundings } from '../config/samples.js';
import { address, setupOf } from './fixtures.js';

type Edit = readonly [string, string];
const vip2 = "          2: { ip: '2001:db8:2::1/64', interface: ge-0/0/1 }\n";

/** The other node of the sample. */
const swapped: readonly Edit[] = [
  ['host-name: gw1a, node-id: 1', 'host-name: gw1b, node-id: 2'],
  [
    '{ id: 1, local-ip: 10.3.1.2, local-forwarding-ip: 10.4.1.2 }',
    '{ id: 2, local-ip: 10.3.1.3, local-forwarding-ip: 10.4.1.3 }',
  ],
  ['      2:\n        peer-ip: 10.3.1.3', '      1:\n        peer-ip: 10.3.1.2'],
  ['peer-forwarding-ip: { ip: 10.4.1.3', 'peer-forwarding-ip: { ip: 10.4.1.2'],
  ['peer-id: 2\n', 'peer-id: 1\n'],
  ['activeness-priority: 200', 'activeness-priority: 100'],
  ['        preemption:\n', ''],
  ['address: 10.3.1.2/24', 'address: 10.3.1.3/24'],
  ['address: 10.4.1.2/24', 'address: 10.4.1.3/24'],
];
const nodeA = (...edits: Edit[]): Config => loadConfig(edited(pairText, ...edits), 'a.yaml', surroundings);
const nodeB = (...edits: Edit[]): Config =>
  loadConfig(edited(edited(pairText, ...swapped), ...edits), 'b.yaml', surroundings);

class Side {
  state: NodeState = emptyNode;
  actions: NodeAction[] = [];
  readonly config: Config;
  readonly generation: number;
  tellsPeer: (event: NodeEvent) => void = () => {};

  constructor(config: Config, generation = 1) {
    this.config = config;
    this.generation = generation;
  }

  start(nowMs: number): void {
    this.post(
      {
        kind: 'configured',
        config: this.config,
        setup: { ...setupOf(this.config), generation: this.generation },
      },
      nowMs,
    );
  }

  post(event: NodeEvent, nowMs: number): void {
    const stepped = step(this.state, event, nowMs);
    const flushed = flush(stepped.state);
    this.state = flushed.state;
    for (const action of [...stepped.actions, ...flushed.actions]) {
      this.actions.push(action);
      if (action.kind === 'srg-hello') this.tellsPeer({ kind: 'srg-hello-received', hello: action.hello });
    }
  }

  /** As the native core would find. */
  bfd(name: string, up: boolean, nowMs: number): void {
    const use = this.state.bfd.get(name)!;
    const peer = this.state.bfdPeers.get(use.peer)!;
    const session = {
      ...peer.session,
      state: up ? ('Up' as const) : ('Down' as const),
      ups: peer.session.ups + (up ? 1 : 0),
    };
    this.state = {
      ...this.state,
      bfd: new Map(this.state.bfd).set(name, { ...use, up }),
      bfdPeers: new Map(this.state.bfdPeers).set(use.peer, { ...peer, session }),
    };
    this.post({ kind: 'bfd-changed', changes: [{ session: name, up, diagnostic: '' }] }, nowMs);
  }

  status(group: number): SrgStatus | undefined {
    return this.state.srgs.get(group)?.status;
  }

  taken<K extends NodeAction['kind']>(kind: K): (NodeAction & { kind: K })[] {
    const found = this.actions.filter((action): action is NodeAction & { kind: K } => action.kind === kind);
    this.actions = this.actions.filter((action) => action.kind !== kind);
    return found;
  }

  routes(): string[] {
    return [...this.state.routes.values()]
      .flatMap((prefixes) => [...prefixes.values()].flat())
      .filter(({ origin }) => origin.startsWith('srg '))
      .map(
        ({ routingInstance, prefix, protocol, origin }) =>
          `${routingInstance} ${prefix} ${protocol} ${origin}`,
      )
      .sort();
  }
}

/** Both nodes, whose hellos take 10 ms. */
class Lab {
  nowMs = 1000;
  readonly a: Side;
  readonly b: Side;
  readonly flying: { atMs: number; to: Side; event: NodeEvent }[] = [];
  icl = false;

  constructor(a = nodeA(), b = nodeB()) {
    this.a = new Side(a);
    this.b = new Side(b);
    for (const [from, to] of [
      [this.a, this.b],
      [this.b, this.a],
    ] as const)
      from.tellsPeer = (event) => this.flying.push({ atMs: this.nowMs + 10, to, event });
    for (const side of [this.a, this.b]) side.start(this.nowMs);
    for (const side of [this.a, this.b]) side.bfd(monitorSession(address('10.1.1.1')), true, this.nowMs);
  }

  join(up: boolean, coldSync: ColdSyncStatus = 'COMPLETE'): void {
    this.icl = up;
    if (!up) this.flying.length = 0;
    for (const side of [this.a, this.b]) {
      side.bfd('icl', up, this.nowMs);
      if (up) side.post({ kind: 'cold-sync-changed', status: coldSync }, this.nowMs);
    }
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 10) {
      for (const due of this.flying.filter(({ atMs }) => atMs <= this.nowMs)) {
        this.flying.splice(this.flying.indexOf(due), 1);
        due.to.post(due.event, this.nowMs);
      }
      for (const side of [this.a, this.b])
        if (nextDeadline(side.state) <= this.nowMs) side.post({ kind: 'time-passed' }, this.nowMs);
    }
  }

  statuses(group: number): (SrgStatus | undefined)[] {
    return [this.a.status(group), this.b.status(group)];
  }
}

function started(a?: Config, b?: Config): Lab {
  const lab = new Lab(a, b);
  lab.join(true);
  lab.run(3000);
  return lab;
}

describe('a pair', () => {
  it('elects the higher priority, and says so', () => {
    const lab = started();
    expect([lab.statuses(0), lab.statuses(1), lab.statuses(2)]).toEqual([
      ['ACTIVE', 'ACTIVE'],
      ['ACTIVE', 'BACKUP'],
      // of equal priority
      ['ACTIVE', 'BACKUP'],
    ]);
    const told = lab.a.taken('report').map(({ report }) => report);
    expect(told).toContainEqual({
      kind: 'srg',
      id: 1,
      from: 'HOLD',
      to: 'ACTIVE',
      reason: "priority 200 against the peer's 100",
    });
    expect(lab.a.taken('srg-changed').map(({ id, from, to }) => `${id} ${from} ${to}`)).toEqual([
      '0 INIT ACTIVE',
      '2 INIT HOLD',
      '1 INIT HOLD',
      '1 HOLD ACTIVE',
      '2 HOLD ACTIVE',
    ]);
  });

  it('says hello every second, and at once when something is new', () => {
    const lab = started();
    lab.a.taken('srg-hello');
    lab.run(3000);
    const hellos = lab.a.taken('srg-hello').map(({ hello }) => hello);
    expect(hellos).toHaveLength(3);
    expect(hellos[2]!.sequence - hellos[0]!.sequence).toBe(2);
    expect(hellos[0]).toMatchObject({
      nodeId: 1,
      generation: 1,
      coldSync: 'COMPLETE',
      heard: { generation: 1 },
    });
    expect(
      hellos[0]!.groups.map(({ id, status, priority, healthy }) => [id, status, priority, healthy]),
    ).toEqual([
      [1, 'ACTIVE', 200, true],
      [2, 'ACTIVE', 100, true],
    ]);
  });

  it('has the routes of its status, and the virtual addresses where it is ACTIVE', () => {
    const lab = started();
    expect(lab.a.routes()).toEqual([
      'MNHA-VR 192.168.255.0/32 signal srg 1 active',
      'default 10.2.1.1/32 local srg 2 virtual-ip 1',
      'default 2001:db8:2::1/128 local srg 2 virtual-ip 2',
    ]);
    expect(lab.b.routes()).toEqual(['MNHA-VR 192.168.255.1/32 signal srg 1 backup']);
    // and the same configuration again takes nothing away
    lab.a.start(lab.nowMs);
    expect(lab.a.routes()).toHaveLength(3);
    const virtual = (side: Side) => side.taken('publish').at(-1)?.parts.interfaces?.at(1)?.virtualAddresses;
    expect(virtual(lab.a)).toEqual([address('10.2.1.1').bytes, address('2001:db8:2::1').bytes]);
    lab.b.start(lab.nowMs);
    expect(virtual(lab.b)).toEqual([]);
  });

  it('announces virtual addresses when it takes them, and once more', () => {
    const lab = started();
    const frames = lab.a.taken('inject').flatMap((action) => action.frames);
    expect(frames.map(({ port, frame }) => [port, decodeEthernet(frame).ok && frame.length])).toEqual([
      [1, 42],
      [1, 86],
      [1, 42],
      [1, 86],
    ]);
    expect([...frames[0]!.frame.subarray(0, 14)]).toEqual([
      255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6,
    ]);
    expect(lab.b.taken('inject')).toEqual([]);
  });

  it('paces two thousand of them', () => {
    const many = Array.from(
      { length: 2000 },
      (_, i) => `          ${i + 1}: { ip: 10.2.${8 + (i >> 7)}.${(i & 127) + 1}/16, interface: ge-0/0/1 }`,
    ).join('\n');
    const edits: Edit[] = [
      ['          1: { ip: 10.2.1.1/24, interface: ge-0/0/1 }\n', `${many}\n`],
      [vip2, ''],
      ['address: 10.2.1.2/24', 'address: 10.2.1.2/16'],
    ];
    const lab = started(nodeA(...edits), nodeB(...edits));
    expect(lab.statuses(2)).toEqual(['ACTIVE', 'BACKUP']);
    const bursts = lab.a.taken('inject').map(({ frames }) => frames.length);
    expect(bursts.reduce((sum, each) => sum + each, 0)).toBe(4000);
    expect(Math.max(...bursts)).toBe(200);
    expect(lab.a.routes().filter((route) => route.includes('virtual-ip'))).toHaveLength(2000);
  });

  it('moves when a monitored BFD session fails, and comes back only by preemption', () => {
    const lab = started();
    const name = monitorSession(address('10.1.1.1'));
    lab.a.bfd(name, false, lab.nowMs);
    expect(lab.a.status(1)).toBe('INELIGIBLE');
    expect(lab.a.routes().some((route) => route.includes('192.168.255'))).toBe(false);
    lab.run(30);
    expect(lab.statuses(1)).toEqual(['INELIGIBLE', 'ACTIVE']);
    expect(lab.b.routes()).toContain('MNHA-VR 192.168.255.0/32 signal srg 1 active');
    // the other group is none of its business
    expect(lab.statuses(2)).toEqual(['ACTIVE', 'BACKUP']);
    lab.a.bfd(name, true, lab.nowMs);
    lab.run(30);
    // asked, given, taken: never both
    lab.run(100);
    expect(lab.statuses(1)).toEqual(['ACTIVE', 'BACKUP']);
  });

  it('does not preempt without the state, and not before the routes are there', () => {
    const lab = new Lab();
    lab.join(true, 'IN PROGRESS');
    lab.run(3000);
    const name = monitorSession(address('10.1.1.1'));
    lab.a.bfd(name, false, lab.nowMs);
    lab.run(50);
    lab.a.bfd(name, true, lab.nowMs);
    lab.run(5000);
    expect(lab.statuses(1)).toEqual(['BACKUP', 'ACTIVE']);
    lab.a.post({ kind: 'ports-changed', changes: [{ port: 'ge-0/0/3', open: false }] }, lab.nowMs);
    lab.a.post({ kind: 'cold-sync-changed', status: 'COMPLETE' }, lab.nowMs);
    lab.run(3000);
    expect(lab.statuses(1)).toEqual(['BACKUP', 'ACTIVE']);
    lab.a.post({ kind: 'ports-changed', changes: [{ port: 'ge-0/0/3', open: true }] }, lab.nowMs);
    lab.run(900);
    expect(lab.statuses(1)).toEqual(['BACKUP', 'ACTIVE']);
    lab.run(300);
    expect(lab.statuses(1)).toEqual(['ACTIVE', 'BACKUP']);
  });

  it('moves a group whose interface is gone', () => {
    const lab = started();
    lab.a.taken('inject');
    lab.a.post({ kind: 'ports-changed', changes: [{ port: 'ge-0/0/1', open: false }] }, lab.nowMs);
    lab.run(30);
    expect([lab.statuses(1), lab.statuses(2)]).toEqual([
      ['ACTIVE', 'BACKUP'],
      ['INELIGIBLE', 'ACTIVE'],
    ]);
    expect(lab.a.state.srgs.get(2)?.verdict).toMatchObject({ failed: true, failures: ['IF'], weight: 100 });
    expect(lab.b.taken('inject')).not.toEqual([]);
  });
});

describe('without the ICL', () => {
  /** Echoes go out every second; those of the node that the network leads to come back. */
  function probed(lab: Lab, answers: (side: Side) => boolean, ms: number): void {
    for (let i = 0; i < ms / 100; i++) {
      for (const side of [lab.a, lab.b]) {
        for (const { requests } of side.taken('send-echoes'))
          for (const { identifier, sequence, destination: source } of requests)
            if (answers(side)) side.post({ kind: 'echo-answered', identifier, sequence, source }, lab.nowMs);
      }
      lab.run(100);
    }
  }

  it('routing: the BACKUP takes over when the network leads to it', () => {
    const lab = started();
    expect(lab.b.taken('send-echoes')).toEqual([]);
    lab.join(false);
    probed(lab, (side) => side === lab.b, 1500);
    expect(lab.b.status(1)).toBe('ACTIVE');
    expect(lab.b.state.srgs.get(1)?.reason).toBe('ICL down, probe answered');
    // the peer stands alone, too, until they meet
    expect(lab.a.status(1)).toBe('ACTIVE');
    lab.join(true);
    lab.run(30);
    expect(lab.statuses(1)).toEqual(['ACTIVE', 'BACKUP']);
  });

  it('routing: it stays BACKUP when it does not; hybrid without a probe takes its addresses', () => {
    const lab = started();
    lab.join(false);
    probed(lab, (side) => side === lab.a, 10_000);
    expect(lab.statuses(1)).toEqual(['ACTIVE', 'BACKUP']);
    expect(lab.b.state.srgs.get(1)?.probe).toBe('unanswered');
    expect(lab.statuses(2)).toEqual(['ACTIVE', 'ACTIVE']);
  });

  it('hybrid: three unanswered echoes and the addresses are taken', () => {
    const probe: Edit = [
      'deployment-type: hybrid',
      'deployment-type: hybrid\n        activeness-probe: { dest-ip: 10.2.1.9, src-ip: 10.2.1.1, minimum-interval: 100 }',
    ];
    const lab = started(nodeA(probe), nodeB(probe));
    lab.join(false);
    probed(lab, () => true, 1000);
    expect(lab.statuses(2)).toEqual(['ACTIVE', 'BACKUP']);
    probed(lab, () => false, 200);
    expect(lab.statuses(2)).toEqual(['ACTIVE', 'BACKUP']);
    probed(lab, () => false, 300);
    expect(lab.statuses(2)).toEqual(['ACTIVE', 'ACTIVE']);
  });

  it('sends them from the floating address, and knows its answers', () => {
    const lab = started();
    lab.join(false);
    const [request] = lab.b.taken('send-echoes').flatMap(({ requests }) => requests);
    expect([String(request!.source), String(request!.destination), request!.sequence]).toEqual([
      '10.0.0.1',
      '10.1.1.1',
      1,
    ]);
    const packet = encodeEcho(request!);
    // as a router answers: addresses and type swapped, the sum mended
    const reply = new Uint8Array(14 + packet.length);
    reply.set([8, 0], 12);
    reply.set(packet, 14);
    reply.set(packet.subarray(12, 16), 14 + 16);
    reply.set(packet.subarray(16, 20), 14 + 12);
    reply[14 + 20] = 0;
    const sum = ((reply[14 + 22]! << 8) | reply[14 + 23]!) + 0x0800;
    const folded = (sum & 0xffff) + (sum >> 16);
    reply.set([folded >> 8, folded & 0xff], 14 + 22);
    const { identifier } = request!;
    expect(echoAnswer(reply)).toEqual({
      kind: 'echo-answered',
      identifier,
      sequence: 1,
      source: address('10.1.1.1'),
    });
    reply[14 + 30]! ^= 1;
    expect(echoAnswer(reply)).toBeNull();
    expect(echoAnswer(new Uint8Array(20))).toBeNull();
  });

  it('a node that starts alone waits, and asks', () => {
    const lab = new Lab();
    lab.run(1000);
    expect(lab.statuses(1)).toEqual(['HOLD', 'HOLD']);
    probed(lab, (side) => side === lab.b, 5000);
    expect(lab.statuses(1)).toEqual(['BACKUP', 'ACTIVE']);
  });
});

describe('an operator', () => {
  it('moves a group, which stays moved until told otherwise', () => {
    const lab = started();
    const command = (side: Side, what: 'failover' | 'failback') =>
      side.post({ kind: 'srg-command', group: 1, command: what, force: false }, lab.nowMs);
    command(lab.a, 'failover');
    lab.run(30);
    expect(lab.statuses(1)).toEqual(['BACKUP', 'ACTIVE']);
    lab.run(10_000);
    expect(lab.statuses(1)).toEqual(['BACKUP', 'ACTIVE']);
    command(lab.a, 'failback');
    lab.run(50);
    expect(lab.statuses(1)).toEqual(['ACTIVE', 'BACKUP']);
  });

  it('hears why not', () => {
    const lab = new Lab();
    lab.join(true, 'IN PROGRESS');
    lab.run(3000);
    lab.a.taken('report');
    const say = (group: number) =>
      lab.a.post({ kind: 'srg-command', group, command: 'failover', force: false }, lab.nowMs);
    for (const group of [1, 0, 9]) say(group);
    expect(lab.a.taken('report').map(({ report }) => report)).toEqual([
      {
        kind: 'pair',
        message:
          'failover of group 1: node 2 is not in sync (IN PROGRESS): sessions would be lost (force does it nevertheless)',
      },
      { kind: 'pair', message: 'failover of group 0: services-redundancy-group 0 is active on both nodes' },
      { kind: 'pair', message: 'failover of group 9: there is no services-redundancy-group 9' },
    ]);
    expect(lab.a.status(1)).toBe('ACTIVE');
  });
});

describe('what is not as it should be', () => {
  it('a hello of another node, and late ones, change nothing', () => {
    const lab = started();
    const [{ hello }] = lab.b.taken('srg-hello').slice(-1) as [NodeAction & { kind: 'srg-hello' }];
    lab.a.taken('report');
    const failed = hello.groups.map((group) => ({ ...group, status: 'ACTIVE' as const, priority: 254 }));
    lab.a.post(
      { kind: 'srg-hello-received', hello: { ...hello, nodeId: 3, sequence: 999, groups: failed } },
      lab.nowMs,
    );
    lab.a.post({ kind: 'srg-hello-received', hello: { ...hello, groups: failed } }, lab.nowMs);
    lab.a.post(
      { kind: 'srg-hello-received', hello: { ...hello, generation: 0, sequence: 999, groups: failed } },
      lab.nowMs,
    );
    expect(lab.statuses(1)).toEqual(['ACTIVE', 'BACKUP']);
    expect(lab.a.taken('report').map(({ report }) => report)).toEqual([
      { kind: 'pair', message: 'a hello of node 3, not of the peer 2' },
    ]);
  });

  it('interface schemes that differ are named once', () => {
    const lab = started(
      nodeA(),
      nodeB(['untrust: { interfaces: ge-0/0/1 }', 'elsewhere: { interfaces: ge-0/0/1 }']),
    );
    lab.run(5000);
    const messages = lab.a
      .taken('report')
      .flatMap(({ report }) => (report.kind === 'pair' ? [report.message] : []));
    expect(messages).toEqual([
      'the interfaces, zones or routing instances of the two nodes differ: asymmetric flows are dropped',
    ]);
  });

  it('group 0 has a route while its monitor has failed', () => {
    const group0: Edit = [
      '    services-redundancy-group:\n',
      '    services-redundancy-group:\n      0: { monitor: { interface: ge-0/0/1 }, install-on-failure-route: { ip: 192.168.255.9 } }\n',
    ];
    const lab = started(nodeA(group0), nodeB(group0));
    const has = () =>
      lab.a.routes().some((route) => route === 'default 192.168.255.9/32 signal srg 0 install-on-failure');
    expect(has()).toBe(false);
    lab.a.post({ kind: 'ports-changed', changes: [{ port: 'ge-0/0/1', open: false }] }, lab.nowMs);
    expect([has(), lab.a.status(0)]).toEqual([true, 'ACTIVE']);
    lab.a.post({ kind: 'ports-changed', changes: [{ port: 'ge-0/0/1', open: true }] }, lab.nowMs);
    expect(has()).toBe(false);
  });

  it('a node that leaves the pair has nothing of it', () => {
    const lab = started();
    const { highAvailability: _, ...rest } = lab.a.config;
    const alone = { ...rest, highAvailability: null };
    lab.a.post({ kind: 'configured', config: alone, setup: setupOf(alone) }, lab.nowMs);
    expect([lab.a.routes(), lab.a.state.srgs.size, lab.a.state.redundancy]).toEqual([[], 0, null]);
  });
});

describe('an ha-group', () => {
  const listen: Edit[] = [
    ['        deployment-type: hybrid', '        deployment-type: hybrid\n        listen-ha-group: vrrp'],
    ['    seqnum-sync:', '    ha-group: { vrrp, fixed: { static: active } }\n    seqnum-sync:'],
  ];

  it('decides instead of the election', () => {
    const lab = started(nodeA(...listen), nodeB(...listen));
    expect(lab.statuses(2)).toEqual(['HOLD', 'HOLD']);
    const tell = (side: Side, told: 'active' | 'backup') =>
      side.post({ kind: 'ha-group-told', group: 'vrrp', told }, lab.nowMs);
    tell(lab.a, 'backup');
    tell(lab.b, 'active');
    expect(lab.statuses(2)).toEqual(['BACKUP', 'ACTIVE']);
    lab.join(false);
    lab.run(20_000);
    expect(lab.statuses(2)).toEqual(['BACKUP', 'ACTIVE']);
    tell(lab.a, 'active');
    expect(lab.statuses(2)).toEqual(['ACTIVE', 'ACTIVE']);
  });

  it('may be static', () => {
    const fixed: Edit[] = [[listen[0]![0], listen[0]![1].replace('vrrp', 'fixed')], listen[1]!];
    expect(started(nodeA(...fixed), nodeB(...listen)).statuses(2)).toEqual(['ACTIVE', 'HOLD']);
  });
});
