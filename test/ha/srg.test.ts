import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  commandSrg,
  initialSrg,
  type PeerSrg,
  type SrgInput,
  type SrgPolicy,
  type SrgState,
  srgDeadline,
  stepSrg,
  wantsProbe,
} from '../../dist/ha/srg.js';
import type { SrgStatus } from '../../dist/model/high-availability.js';

const policy: SrgPolicy = {
  id: 1,
  nodeId: 1,
  priority: 200,
  preempt: false,
  activeWhen: 'answered',
  hasProbe: true,
  listens: false,
  holdMs: 1000,
};
const input: SrgInput = {
  ready: true,
  iclUp: true,
  peer: null,
  failures: [],
  probe: 'unknown',
  coldSync: 'COMPLETE',
  routingReady: true,
  told: null,
  nextSequence: 10,
};
const peer = (status: SrgStatus, more: Partial<PeerSrg> = {}): PeerSrg => ({
  id: 1,
  nodeId: 2,
  generation: 5,
  coldSync: 'COMPLETE',
  heard: 100,
  status,
  priority: 100,
  preempt: false,
  healthy: status !== 'INELIGIBLE',
  failures: [],
  request: null,
  ...more,
});
const state = (status: SrgStatus, more: Partial<SrgState> = {}): SrgState => ({
  ...initialSrg,
  status,
  saidSequence: 9,
  ...more,
});

/** row, from, what is known, policy, now: to. The rows are those of docs/pair.md. */
type Row = readonly [string, SrgState, Partial<SrgInput>, Partial<SrgPolicy>, number, SrgStatus];
const held = state('HOLD', { untilMs: 1000 });
const rows: readonly Row[] = [
  ['0 not ready', state('ACTIVE'), { ready: false }, {}, 0, 'INIT'],
  ['1 ready, nobody heard', state('INIT'), {}, {}, 0, 'HOLD'],
  ['2 the peer is ACTIVE', held, { peer: peer('ACTIVE') }, {}, 0, 'BACKUP'],
  ['2 whatever it has heard', held, { peer: peer('ACTIVE', { heard: 0 }) }, {}, 0, 'BACKUP'],
  ['3 higher', held, { peer: peer('HOLD') }, {}, 0, 'ACTIVE'],
  ['3 higher, peer in INIT', held, { peer: peer('INIT') }, {}, 0, 'ACTIVE'],
  ['3 not before the peer has heard it', held, { peer: peer('HOLD', { heard: 8 }) }, {}, 0, 'HOLD'],
  ['4 lower', held, { peer: peer('HOLD', { priority: 201 }) }, {}, 0, 'BACKUP'],
  ['4 lower, peer in INIT: waits', held, { peer: peer('INIT', { priority: 201 }) }, {}, 999, 'HOLD'],
  ['4 … and not for ever', held, { peer: peer('INIT', { priority: 201 }) }, {}, 1000, 'ACTIVE'],
  ['5 equal, lower node-id', held, { peer: peer('HOLD', { priority: 200 }) }, {}, 0, 'ACTIVE'],
  ['5 equal, higher node-id', held, { peer: peer('HOLD', { priority: 200 }) }, { nodeId: 3 }, 0, 'BACKUP'],
  ['6 ICL down, timer runs', held, { iclUp: false, probe: 'answered' }, {}, 999, 'HOLD'],
  ['6 no verdict yet', held, { iclUp: false }, {}, 1000, 'HOLD'],
  ['6 routing, answered', held, { iclUp: false, probe: 'answered' }, {}, 1000, 'ACTIVE'],
  ['6 routing, unanswered', held, { iclUp: false, probe: 'unanswered' }, {}, 1000, 'BACKUP'],
  [
    '6 switching, answered',
    held,
    { iclUp: false, probe: 'answered' },
    { activeWhen: 'unanswered' },
    1000,
    'BACKUP',
  ],
  [
    '6 switching, unanswered',
    held,
    { iclUp: false, probe: 'unanswered' },
    { activeWhen: 'unanswered' },
    1000,
    'ACTIVE',
  ],
  ['6 no probe', held, { iclUp: false }, { hasProbe: false }, 1000, 'ACTIVE'],
  ['6 ICL up and silent: waits', held, {}, {}, 99_999, 'HOLD'],
  ['7 ACTIVE fails', state('ACTIVE'), { failures: ['BF'] }, {}, 0, 'INELIGIBLE'],
  ['7 BACKUP fails', state('BACKUP'), { failures: ['IF'] }, {}, 0, 'INELIGIBLE'],
  ['7 HOLD fails', held, { failures: ['IP'] }, {}, 0, 'INELIGIBLE'],
  ['8 peer INELIGIBLE', state('BACKUP'), { peer: peer('INELIGIBLE') }, {}, 0, 'ACTIVE'],
  [
    '8 … also without its state',
    state('BACKUP'),
    { peer: peer('INELIGIBLE'), coldSync: 'UNKNOWN' },
    {},
    0,
    'ACTIVE',
  ],
  [
    '9 both INELIGIBLE',
    state('INELIGIBLE'),
    { peer: peer('INELIGIBLE'), failures: ['BF'] },
    {},
    0,
    'INELIGIBLE',
  ],
  ['10 clear, peer ACTIVE', state('INELIGIBLE'), { peer: peer('ACTIVE') }, {}, 0, 'BACKUP'],
  [
    '11 clear, peer not heard to know',
    state('INELIGIBLE'),
    { peer: peer('BACKUP', { heard: 9 }) },
    {},
    0,
    'HOLD',
  ],
  ['13 no preemption', state('BACKUP'), { peer: peer('ACTIVE') }, {}, 99_999, 'BACKUP'],
  ['15 BACKUP, no verdict yet', state('BACKUP'), { iclUp: false }, {}, 0, 'BACKUP'],
  ['15 routing, answered', state('BACKUP'), { iclUp: false, probe: 'answered' }, {}, 0, 'ACTIVE'],
  ['15 routing, unanswered', state('BACKUP'), { iclUp: false, probe: 'unanswered' }, {}, 99_999, 'BACKUP'],
  [
    '15 switching, answered',
    state('BACKUP'),
    { iclUp: false, probe: 'answered' },
    { activeWhen: 'unanswered' },
    0,
    'BACKUP',
  ],
  [
    '15 switching, unanswered',
    state('BACKUP'),
    { iclUp: false, probe: 'unanswered' },
    { activeWhen: 'unanswered' },
    0,
    'ACTIVE',
  ],
  ['15 ACTIVE stays, answered', state('ACTIVE'), { iclUp: false, probe: 'answered' }, {}, 0, 'ACTIVE'],
  ['15 ACTIVE stays, unanswered', state('ACTIVE'), { iclUp: false, probe: 'unanswered' }, {}, 0, 'ACTIVE'],
  ['16 both ACTIVE, higher', state('ACTIVE'), { peer: peer('ACTIVE') }, {}, 0, 'ACTIVE'],
  ['16 both ACTIVE, lower', state('ACTIVE'), { peer: peer('ACTIVE', { priority: 201 }) }, {}, 0, 'BACKUP'],
  [
    '17 nobody ACTIVE for a while',
    state('BACKUP', { untilMs: 1000 }),
    { peer: peer('BACKUP', { heard: 9 }) },
    {},
    1000,
    'HOLD',
  ],
  [
    '18 the peer started anew',
    state('BACKUP', { follows: { generation: 4, synced: true } }),
    { peer: peer('HOLD', { priority: 250 }) },
    {},
    0,
    'ACTIVE',
  ],
  [
    '18 … without its state',
    state('BACKUP', { follows: { generation: 4, synced: false } }),
    { peer: peer('HOLD', { priority: 250 }) },
    {},
    0,
    'BACKUP',
  ],
  ['18 a lower peer holds', state('BACKUP'), { peer: peer('HOLD') }, {}, 0, 'ACTIVE'],
  ['told active', held, { told: 'active' }, { listens: true }, 0, 'ACTIVE'],
  ['told backup', state('ACTIVE'), { told: 'backup' }, { listens: true }, 0, 'BACKUP'],
  ['told nothing', state('ACTIVE'), {}, { listens: true }, 0, 'HOLD'],
  [
    'told active and failed',
    state('ACTIVE'),
    { told: 'active', failures: ['IF'] },
    { listens: true },
    0,
    'INELIGIBLE',
  ],
  [
    'told active, and so is the peer',
    state('ACTIVE'),
    { told: 'active', peer: peer('ACTIVE', { priority: 250 }) },
    { listens: true },
    0,
    'ACTIVE',
  ],
];

describe('stepSrg', () => {
  it.each(rows)('row %s', (_, from, known, rules, nowMs, to) => {
    const { state: after, changes } = stepSrg(from, { ...policy, ...rules }, { ...input, ...known }, nowMs);
    expect(after.status).toBe(to);
    expect(changes.at(-1)?.to ?? from.status).toBe(to);
    // and it rests there
    expect(stepSrg(after, { ...policy, ...rules }, { ...input, ...known }, nowMs).changes).toEqual([]);
  });

  it('12 preempts by asking, and only when it may', () => {
    const preempting = { ...policy, preempt: true };
    const known = { ...input, peer: peer('ACTIVE') };
    const ask = (more: Partial<SrgInput>, rules = preempting, from = state('BACKUP')) =>
      stepSrg(from, rules, { ...known, ...more }, 0).state;
    expect(ask({}).request).toEqual({ number: 1, status: 'ACTIVE', sequence: 10 });
    expect(ask({}).status).toBe('BACKUP');
    expect(ask({ coldSync: 'IN PROGRESS' }).request).toBeNull();
    expect(ask({ routingReady: false }).request).toBeNull();
    expect(ask({ peer: peer('ACTIVE', { priority: 200 }) }).request).toBeNull();
    expect(ask({}, preempting, state('BACKUP', { yielded: true })).request).toBeNull();
    expect(ask({ failures: ['BF'] }).status).toBe('INELIGIBLE');
    // the answer counts once the peer has heard what was asked
    const asked = ask({});
    const answer = (heard: number) =>
      stepSrg(asked, preempting, { ...input, peer: peer('BACKUP', { heard }) }, 5).state;
    expect(answer(9).status).toBe('BACKUP');
    expect(answer(10).status).toBe('ACTIVE');
  });

  it('12 the other side gives it up, once', () => {
    const request = { number: 3, status: 'ACTIVE' } as const;
    const other: SrgPolicy = { ...policy, nodeId: 2, priority: 100 };
    const from = { nodeId: 1, priority: 200, request };
    const given = stepSrg(state('ACTIVE'), other, { ...input, peer: peer('BACKUP', from) }, 0);
    expect(given.changes).toEqual([{ from: 'ACTIVE', to: 'BACKUP', reason: 'the peer asked for it' }]);
    expect(given.state).toMatchObject({ yielded: false, handled: { generation: 5, number: 3 } });
    const again = { ...given.state, status: 'ACTIVE' } as const;
    expect(stepSrg(again, other, { ...input, peer: peer('BACKUP', from) }, 0).changes).toEqual([]);
    // numbers start again with the peer
    expect(
      stepSrg(again, other, { ...input, peer: peer('BACKUP', { ...from, generation: 6 }) }, 0).changes,
    ).toHaveLength(1);
    expect(
      stepSrg(state('ACTIVE'), other, { ...input, peer: peer('BACKUP', { ...from, healthy: false }) }, 0)
        .changes,
    ).toEqual([]);
  });

  it('has a deadline while it waits', () => {
    const holding = stepSrg(initialSrg, policy, { ...input, iclUp: false }, 50).state;
    expect(srgDeadline(holding, { iclUp: false })).toBe(1050);
    expect(srgDeadline(holding, { iclUp: true })).toBe(Infinity);
    const waiting = stepSrg(
      state('BACKUP'),
      policy,
      { ...input, peer: peer('BACKUP', { priority: 250 }) },
      50,
    ).state;
    expect(srgDeadline(waiting, input)).toBe(1050);
    const follows = stepSrg(waiting, policy, { ...input, peer: peer('ACTIVE') }, 60).state;
    expect(srgDeadline(follows, input)).toBe(Infinity);
  });

  it('wants its probe while the ICL is down', () => {
    expect(wantsProbe(state('BACKUP'), policy, { iclUp: false })).toBe(true);
    expect(wantsProbe(state('BACKUP'), policy, { iclUp: true })).toBe(false);
    expect(wantsProbe(state('INELIGIBLE'), policy, { iclUp: false })).toBe(false);
    expect(wantsProbe(state('ACTIVE'), { ...policy, hasProbe: false }, { iclUp: false })).toBe(false);
  });
});

describe('an operator', () => {
  const known = { ...input, peer: peer('BACKUP') };
  const command = (
    from: SrgState,
    what: 'failover' | 'failback',
    more: Partial<SrgInput> = {},
    force = false,
    rules = policy,
  ) => commandSrg(from, rules, { ...known, ...more }, what, { force }, 0);

  it('14 hands over', () => {
    const { state: after, changes, refused } = command(state('ACTIVE'), 'failover');
    expect([refused, changes.map(({ to }) => to)]).toEqual([null, ['BACKUP']]);
    expect(after).toMatchObject({ yielded: true, request: { number: 1, status: 'BACKUP', sequence: 10 } });
    const taken = stepSrg(
      state('BACKUP'),
      { ...policy, nodeId: 2, priority: 100 },
      { ...input, peer: peer('BACKUP', { nodeId: 1, priority: 200, request: after.request }) },
      0,
    );
    expect(taken.state.status).toBe('ACTIVE');
    // and does not take it back by itself
    const heard = stepSrg(after, { ...policy, preempt: true }, { ...input, peer: peer('ACTIVE') }, 0).state;
    expect([heard.status, heard.request]).toEqual(['BACKUP', null]);
  });

  it.each([
    ['its peer is not heard', state('ACTIVE'), { peer: null }, 'the peer is not heard over the ICL'],
    [
      'its peer is ineligible',
      state('ACTIVE'),
      { peer: peer('INELIGIBLE') },
      'node 2 is INELIGIBLE and cannot take it',
    ],
    [
      'its peer lacks state',
      state('ACTIVE'),
      { peer: peer('BACKUP', { coldSync: 'IN PROGRESS' }) },
      'node 2 is not in sync (IN PROGRESS): sessions would be lost (force does it nevertheless)',
    ],
    [
      'it is BACKUP',
      state('BACKUP'),
      { peer: peer('ACTIVE') },
      'node 2 is to be ACTIVE, and this one is BACKUP already',
    ],
    ['it is held', held, {}, 'it is HOLD here'],
  ])('cannot when %s', (_, from, more, refused) => {
    const answer = command(from, 'failover', more);
    expect([answer.refused, answer.changes, answer.state]).toEqual([refused, [], from]);
  });

  it('may force what loses sessions', () => {
    const lacking = { peer: peer('BACKUP', { coldSync: 'IN PROGRESS' as const }) };
    expect(command(state('ACTIVE'), 'failover', lacking, true).refused).toBeNull();
  });

  it('fails back to the higher priority, from either side', () => {
    const here = command(state('BACKUP', { yielded: true }), 'failback', { peer: peer('ACTIVE') });
    expect([here.refused, here.state.request?.status, here.state.yielded]).toEqual([null, 'ACTIVE', false]);
    const there = command(state('ACTIVE'), 'failback', { peer: peer('BACKUP', { priority: 250 }) });
    expect([there.refused, there.state.status]).toEqual([null, 'BACKUP']);
    expect(command(state('ACTIVE'), 'failback').changes).toEqual([]);
  });

  it('cannot where an ha-group decides', () => {
    expect(command(state('ACTIVE'), 'failover', {}, false, { ...policy, listens: true }).refused).toBe(
      'its ha-group decides; tell that',
    );
  });
});

/** Two nodes with one group each, joined by a channel that delays, loses, repeats and reorders. */
class Pair {
  nowMs = 0;
  readonly sides: Side[];
  readonly flying: { to: number; atMs: number; hello: Hello }[] = [];
  cut = false;
  /** steps in which both were ACTIVE although each had heard the other since they met */
  together = 0;

  constructor(rules: readonly [Partial<SrgPolicy>, Partial<SrgPolicy>]) {
    this.sides = rules.map((rule, i) => new Side({ ...policy, nodeId: i + 1, holdMs: 3000, ...rule }));
  }

  /** Time passes in hello intervals; what flies arrives. */
  tick(ms: number, loses: (n: number) => boolean, delay: (n: number) => number): void {
    const end = this.nowMs + ms;
    for (let n = 0; this.nowMs < end; this.nowMs += 50) {
      for (const [i, side] of this.sides.entries()) {
        if (!side.alive) continue;
        side.step(this.nowMs);
        if (side.changed || this.nowMs % 1000 === 0) {
          side.changed = false;
          const hello = side.hello();
          n++;
          if (!this.cut && !loses(n)) {
            this.flying.push({ to: 1 - i, atMs: this.nowMs + delay(n), hello });
            if (n % 5 === 0) this.flying.push({ to: 1 - i, atMs: this.nowMs + delay(n + 1), hello });
          }
        }
      }
      for (const due of this.flying.filter(({ atMs }) => atMs <= this.nowMs)) {
        this.flying.splice(this.flying.indexOf(due), 1);
        if (!this.cut) this.sides[due.to]!.receive(due.hello, this.nowMs);
      }
      this.look();
    }
  }

  look(): void {
    const [a, b] = this.sides as [Side, Side];
    const metBoth = a.alive && b.alive && a.iclUp && b.iclUp && a.heardBack && b.heardBack;
    if (metBoth && a.state.status === 'ACTIVE' && b.state.status === 'ACTIVE') this.together++;
  }

  /** BFD: both ends know. */
  cutIcl(cut: boolean): void {
    this.cut = cut;
    for (const side of this.sides) side.icl(!cut && this.sides.every(({ alive }) => alive));
  }

  actives(): number {
    return this.sides.filter(({ alive, state: { status } }) => alive && status === 'ACTIVE').length;
  }
}

interface Hello extends PeerSrg {
  readonly sequence: number;
  readonly heardGeneration: number;
}

class Side {
  state: SrgState = initialSrg;
  alive = true;
  iclUp = true;
  peer: Hello | null = null;
  failures: SrgInput['failures'] = [];
  probe: SrgInput['probe'] = 'unknown';
  generation = 1;
  sequence = 1;
  changed = true;
  /** of its hellos, the first since the ICL is up */
  joined = 1;
  /** what it heard knows of one of these */
  heardBack = false;
  readonly rules: SrgPolicy;

  constructor(rules: SrgPolicy) {
    this.rules = rules;
  }

  known(): SrgInput {
    return {
      ...input,
      iclUp: this.iclUp,
      peer: this.peer,
      failures: this.failures,
      probe: this.probe,
      nextSequence: this.sequence,
    };
  }

  step(nowMs: number): void {
    const { state: after } = stepSrg(this.state, this.rules, this.known(), nowMs);
    if (after.status !== this.state.status || after.request !== this.state.request) this.changed = true;
    this.state = after;
  }

  hello(): Hello {
    const { status, request } = this.state;
    const { priority, preempt, nodeId } = this.rules;
    const known = this.peer;
    return {
      ...peer(status, { nodeId, priority, preempt, request, healthy: this.failures.length === 0 }),
      generation: this.generation,
      sequence: this.sequence++,
      heardGeneration: known?.generation ?? 0,
      heard: known?.sequence ?? 0,
    };
  }

  receive(hello: Hello, nowMs: number): void {
    if (!this.alive || !this.iclUp) return;
    const last = this.peer;
    const late =
      last !== null &&
      (hello.generation < last.generation ||
        (hello.generation === last.generation && hello.sequence <= last.sequence));
    if (late) return;
    const knows = hello.heardGeneration === this.generation;
    this.peer = { ...hello, heard: knows ? hello.heard : 0 };
    this.heardBack = knows && hello.heard >= this.joined;
    const isNew = last?.generation !== hello.generation;
    this.step(nowMs);
    if (isNew) this.changed = true;
  }

  icl(up: boolean): void {
    if (up && !this.iclUp) {
      this.changed = true;
      this.joined = this.sequence;
    }
    this.iclUp = up;
    this.peer = up ? this.peer : null;
    this.heardBack = up && this.heardBack;
    if (!up) this.probe = 'unknown';
  }

  restart(): void {
    this.state = initialSrg;
    this.peer = null;
    this.heardBack = false;
    this.generation++;
    this.sequence = 1;
    this.joined = 1;
    this.changed = true;
    this.failures = [];
  }
}

type Op =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'fail' | 'clear' | 'restart' | 'kill' | 'failover' | 'failback'; readonly side: number }
  | { readonly kind: 'cut' | 'join' };

const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 100 }).map((n) => n * 50) }),
  fc.record({
    kind: fc.constantFrom('fail', 'clear', 'restart', 'kill', 'failover', 'failback'),
    side: fc.integer({ min: 0, max: 1 }),
  }) as fc.Arbitrary<Op>,
  fc.record({ kind: fc.constantFrom('cut', 'join') }) as fc.Arbitrary<Op>,
);

function apply(pair: Pair, { kind, ...rest }: Op): void {
  const side = pair.sides['side' in rest ? rest.side : 0]!;
  switch (kind) {
    case 'fail':
      side.failures = ['BF'];
      return;
    case 'clear':
      side.failures = [];
      return;
    case 'restart':
      side.alive = true;
      side.restart();
      pair.cutIcl(pair.cut);
      return;
    case 'kill':
      side.alive = false;
      side.state = initialSrg;
      pair.cutIcl(pair.cut);
      return;
    case 'failover':
    case 'failback': {
      if (!side.alive) return;
      const done = commandSrg(side.state, side.rules, side.known(), kind, { force: false }, pair.nowMs);
      if (done.state !== side.state) side.changed = true;
      side.state = done.state;
      return;
    }
    case 'cut':
    case 'join':
      pair.cutIcl(kind === 'cut');
      return;
    case 'wait':
  }
}

/** In routing mode the network leads to one of two: to whoever is ACTIVE, else to the first that lives. */
function probeByNetwork(pair: Pair): void {
  const active = pair.sides.find(({ alive, state: { status } }) => alive && status === 'ACTIVE');
  const best = active ?? pair.sides.find(({ alive }) => alive);
  for (const side of pair.sides)
    side.probe = side.iclUp ? 'unknown' : side === best ? 'answered' : 'unanswered';
}

const runs = Number(process.env.PENSTOCK_SRG_RUNS ?? 300);

describe('two nodes over a lossy channel', () => {
  it('are never both ACTIVE once they have heard each other, and one is in the end', () => {
    fc.assert(
      fc.property(
        fc.array(op, { minLength: 3, maxLength: 25 }),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(100, 200, 250),
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 7, maxLength: 7 }),
        (ops, preemptA, preemptB, priorityB, noise) => {
          const pair = new Pair([{ preempt: preemptA }, { preempt: preemptB, priority: priorityB }]);
          const loses = (n: number) => noise[n % 7]! < 3;
          const delay = (n: number) => 50 * noise[(n * 3) % 7]!;
          for (const each of ops) {
            apply(pair, each);
            probeByNetwork(pair);
            pair.tick(each.kind === 'wait' ? each.ms : 50, loses, delay);
          }
          expect(pair.together).toBe(0);
          // all is well from here on: exactly one, and it stays that one
          for (const [i] of pair.sides.entries()) {
            if (!pair.sides[i]!.alive) apply(pair, { kind: 'restart', side: i });
            apply(pair, { kind: 'clear', side: i });
          }
          apply(pair, { kind: 'join' });
          pair.tick(
            20_000,
            () => false,
            () => 50,
          );
          expect(pair.actives()).toBe(1);
          expect(pair.together).toBe(0);
          const status = pair.sides.map((side) => side.state.status);
          pair.tick(
            10_000,
            () => false,
            () => 50,
          );
          expect(pair.sides.map((side) => side.state.status)).toEqual(status);
          expect(status.toSorted()).toEqual(['ACTIVE', 'BACKUP']);
          // of two that preempt, or that met without an operator's word, the better
          const yielded = pair.sides.some((side) => side.state.yielded);
          const better = pair.sides[0]!.rules.priority >= priorityB ? 0 : 1;
          if (pair.sides[better]!.rules.preempt && priorityB !== 200 && !yielded)
            expect(status[better]).toBe('ACTIVE');
        },
      ),
      { numRuns: runs },
    );
  });

  it('hand over within a hello when the ACTIVE one fails', () => {
    const pair = new Pair([{}, { priority: 100 }]);
    pair.tick(
      5000,
      () => false,
      () => 50,
    );
    expect(pair.sides.map((side) => side.state.status)).toEqual(['ACTIVE', 'BACKUP']);
    pair.sides[0]!.failures = ['BF'];
    pair.tick(
      200,
      () => false,
      () => 50,
    );
    expect(pair.sides.map((side) => side.state.status)).toEqual(['INELIGIBLE', 'ACTIVE']);
  });

  it('settle a split within a hello of contact', () => {
    const pair = new Pair([{}, { priority: 100 }]);
    pair.tick(
      5000,
      () => false,
      () => 50,
    );
    pair.cutIcl(true);
    pair.sides[1]!.probe = 'answered';
    pair.tick(
      2000,
      () => false,
      () => 50,
    );
    expect(pair.actives()).toBe(2);
    pair.cutIcl(false);
    pair.tick(
      200,
      () => false,
      () => 50,
    );
    expect(pair.sides.map((side) => side.state.status)).toEqual(['ACTIVE', 'BACKUP']);
  });
});
