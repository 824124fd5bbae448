/** What a configuration's forwarding modes become in the native tables; slow start and maintenance. */
import { describe, expect, it } from 'vitest';
import type { Config } from '../../dist/config/config.js';
import type { NodeEvent } from '../../dist/node/event.js';
import { nextDeadline } from '../../dist/node/groups.js';
import { emptyNode, type NodeState } from '../../dist/node/state.js';
import { flush, step } from '../../dist/node/step.js';
import type { GroupEntry, TableParts } from '../../dist/pipeline/native.js';
import { address, bytes, config, ofKind, routerText, setupOf } from './fixtures.js';

const group = 'group: { srx_group: { real-services: [MNHA_SRX2, MNHA_SRX1], routing-instance: TRUST_VR';
const edited = (...edits: [string, string][]) =>
  edits.reduce((text, [from, to]) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  }, routerText);
const mode = (words: string): [string, string] => ['mode: direct-server-return', words];

/** A node and its clock; tables are built at once, by whoever is up in turn. */
class Running {
  state: NodeState = emptyNode;
  parts: TableParts = {};

  constructor(text: string) {
    const of: Config = config(text);
    this.at(0, { kind: 'configured', config: of, setup: setupOf(of) });
  }

  at(nowMs: number, ...events: NodeEvent[]): this {
    const queue = [...events];
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      const { state, actions } = step(this.state, event, nowMs);
      this.state = state;
      for (const { group: name, ticket, options } of ofKind(actions, 'build-group')) {
        const living = options.members.flatMap((member, n) =>
          options.dead.includes(member.name) ? [] : [n],
        );
        const slots = Uint16Array.from(
          { length: options.size },
          (_, slot) => living[slot % living.length] ?? 0xffff,
        );
        queue.push({ kind: 'group-built', group: name, ticket, slots, home: slots, digest: BigInt(ticket) });
      }
    }
    const flushed = flush(this.state);
    this.state = flushed.state;
    for (const { parts } of ofKind(flushed.actions, 'publish')) this.parts = { ...this.parts, ...parts };
    return this;
  }

  answers(nowMs: number, ...which: (1 | 2)[]): this {
    const changes = which.map((n) => ({ interface: n, address: address(`10.1.${n}.2`), reachable: true }));
    return this.at(nowMs, { kind: 'neighbours-changed', changes });
  }

  get group(): GroupEntry {
    return this.parts.groups![0]!;
  }

  /** The part of the slots that a member has. */
  share(member: number): number {
    return this.group.slots.filter((each) => each === member).length / this.group.slots.length;
  }
}

describe('forwarding modes', () => {
  it('by MAC alone: groups and filters say nothing more', () => {
    const { group: entry, parts } = new Running(routerText).answers(1, 1, 2);
    expect(entry.service).toBeUndefined();
    expect(entry.members.every(({ forwarding }) => forwarding === undefined)).toBe(true);
    expect(parts.filters).toHaveLength(1);
  });

  it('tunnels go from the address of the instance’s interface', () => {
    const { group: entry, parts } = new Running(edited(mode('mode: ipip'))).answers(1, 1, 2);
    expect(entry.service).toEqual({ address: bytes('10.0.0.1'), flowMemory: false, ports: [] });
    const source = bytes('10.10.10.253');
    expect(entry.members.map(({ forwarding }) => forwarding)).toEqual([
      { id: entry.members[0]!.statistic, up: true, mode: 'ipip', address: bytes('10.10.10.1'), source },
      { id: entry.members[1]!.statistic, up: true, mode: 'ipip', address: bytes('10.10.10.2'), source },
    ]);
    expect(parts.filters).toHaveLength(1);
  });

  it('a real service may have another mode than the others', () => {
    const text = edited([
      'MNHA_SRX1: { address: 10.10.10.1 }',
      'MNHA_SRX1: { address: 10.10.10.1, mode: gue }',
    ]);
    const { group: entry } = new Running(text).answers(1, 1, 2);
    expect(entry.members.map(({ forwarding }) => forwarding!.mode)).toEqual(['gue', 'direct']);
  });

  it('translated: interfaces on the real services’ side look for answers, after their filter', () => {
    const service = 'service: { ike: { protocol: udp, virtual-port: 500, server-listening-port: 1500 } }';
    const text = edited(mode(`mode: translated\n            ${service}`));
    const { group: entry, parts } = new Running(text).answers(1, 1, 2);
    expect(entry.service!.ports).toEqual([{ protocol: 'udp', offered: 500, real: 1500 }]);
    expect(entry.members[1]!.forwarding).toMatchObject({ mode: 'translated', address: bytes('10.10.10.2') });
    const actions = parts.filters!.map((terms) => terms.map(({ action }) => action));
    expect(actions).toEqual([['routing-instance', 'accept'], ['routing-instance', 'return'], ['return']]);
    // ae0 with its filter's copy, ae1 and ae2 with one of their own; UNTRUST_VR has nothing to do with it
    expect(parts.interfaces!.map(({ filterV4 }) => filterV4)).toEqual([1, 2, 2, -1, -1]);
    expect(parts.interfaces!.every(({ filterV6 }) => filterV6 === -1)).toBe(true);
    // the copy counts with the same counters
    expect(parts.filters![1]!.map(({ statistic }) => statistic)).toEqual(
      parts.filters![0]!.map(({ statistic }) => statistic),
    );
  });

  it('remembered flows stay with a real service that drains, not with one that is down', () => {
    const node = new Running(edited(mode('mode: direct-server-return\n            flow-memory:'))).answers(
      1,
      1,
      2,
    );
    const drains = [...node.state.services.keys()].find((key) => key.endsWith('SRX1'))!;
    node.at(2, { kind: 'drained', realServices: [drains], drained: true });
    expect([node.share(0), node.share(1)]).toEqual([0, 1]);
    expect(node.group.members.map(({ forwarding }) => forwarding!.up)).toEqual([true, true]);
    const change = { interface: 1, address: address('10.1.1.2'), reachable: false };
    node.at(3, { kind: 'neighbours-changed', changes: [change] }).at(4, {
      kind: 'drained',
      realServices: [drains],
      drained: false,
    });
    expect(node.group.members.map(({ forwarding }) => forwarding!.up)).toEqual([false, true]);
  });
});

describe('maintenance', () => {
  const down: [string, string] = [
    'MNHA_SRX1: { address: 10.10.10.1 }',
    'MNHA_SRX1: { address: 10.10.10.1, admin-down: }',
  ];

  it('gets nothing, whatever its neighbour says', () => {
    const node = new Running(edited(down)).answers(1, 1, 2);
    expect([node.share(0), node.share(1)]).toEqual([0, 1]);
  });

  it('not even when all are down and the group fails open', () => {
    const open = edited(down, [group, `${group}, when-all-down: fail-open`]);
    const node = new Running(open);
    expect([node.share(0), node.share(1)]).toEqual([0, 1]);
  });
});

describe('slow start', () => {
  const slow = edited([group, `${group}, slow-start: 10`]);

  it('a real service that comes up later takes up its share by steps, and the deadlines say when', () => {
    const node = new Running(slow).answers(1000, 1);
    expect(node.share(0)).toBe(1);
    expect(nextDeadline(node.state)).toBe(Number.POSITIVE_INFINITY);
    node.answers(60_000, 2);
    const shares = [node.share(1)];
    let before = node.group.slots;
    for (let steps = 0; nextDeadline(node.state) < Number.POSITIVE_INFINITY && steps < 100; steps++) {
      node.at(nextDeadline(node.state), { kind: 'time-passed' });
      shares.push(node.share(1));
      // nothing moves but to the one that starts
      node.group.slots.forEach((member, slot) => {
        if (member !== before[slot]) expect(member).toBe(1);
      });
      before = node.group.slots;
    }
    expect(shares).toHaveLength(20);
    expect(shares[0]).toBeGreaterThan(0.01);
    expect(shares[0]).toBeLessThan(0.05);
    expect(shares.every((share, i) => i === 0 || share > shares[i - 1]!)).toBe(true);
    expect(shares.at(-1)).toBe(0.5);
    const { sinceMs } = [...node.state.services.values()].find((service) => service.sinceMs === 60_000)!;
    expect(sinceMs).toBe(60_000);
  });

  it('real services of a group that has just come up do not', () => {
    const node = new Running(slow).answers(1000, 1).answers(1500, 2);
    expect([node.share(0), node.share(1)]).toEqual([0.5, 0.5]);
  });
});
