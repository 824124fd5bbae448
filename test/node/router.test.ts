import { describe, expect, it } from 'vitest';
import { Address } from '../../dist/model/address.js';
import { Prefix } from '../../dist/model/prefix.js';
import type { NodeEvent } from '../../dist/node/event.js';
import { movedSlots } from '../../dist/node/groups.js';
import type { NodeState } from '../../dist/node/state.js';
import type { RouteEntry } from '../../dist/pipeline/native.js';
import { address, bytes, configured, ofKind, published, routerText, run } from './fixtures.js';

const routeText = ({ routingInstance, prefix, length, nextHop }: RouteEntry) =>
  `${routingInstance} ${new Prefix(new Address(prefix), length)} ${nextHop.kind}${'interface' in nextHop ? ` ${nextHop.interface}` : ''}`;
const neighbour = (number: number, text: string, reachable = true) => ({
  interface: number,
  address: address(text),
  reachable,
});
const srx1 = neighbour(1, '10.1.1.2');
const srx2 = neighbour(2, '10.1.2.2');
const changes = (...list: ReturnType<typeof neighbour>[]): NodeEvent => ({
  kind: 'neighbours-changed',
  changes: list,
});

/** A table as the builder would make it: the living in turn. */
function slotsFor(size: number, members: number, dead: number[]): Uint16Array {
  const living = [...Array(members).keys()].filter((member) => !dead.includes(member));
  return Uint16Array.from({ length: size }, (_, slot) => {
    const home = slot % members;
    return living.length === 0 ? 0xffff : living.includes(home) ? home : living[slot % living.length]!;
  });
}

/** Answers every build-group as the native core would. */
function settle(state: NodeState, ...events: NodeEvent[]) {
  const first = run(state, ...events);
  const answers = ofKind(first.actions, 'build-group').map(({ group, ticket, options }): NodeEvent => {
    const dead = options.dead.map((name) => options.members.findIndex((member) => member.name === name));
    return {
      kind: 'group-built',
      group,
      ticket,
      slots: slotsFor(options.size, options.members.length, dead),
      home: slotsFor(options.size, options.members.length, []),
      digest: BigInt(ticket),
    };
  });
  const second = run(first.state, ...answers);
  return { state: second.state, actions: [...first.actions, ...second.actions] };
}

describe('a router is configured', () => {
  const { state, actions } = configured(routerText);
  const parts = published(actions);

  it('publishes its links with their filter, instance and MAC', () => {
    expect(parts.interfaces).toHaveLength(5);
    expect(parts.interfaces![0]).toMatchObject({
      port: 0,
      vlan: 0,
      routingInstance: 1,
      filterV4: 0,
      filterV6: -1,
    });
    expect(parts.interfaces![3]).toMatchObject({ port: 3, routingInstance: 2, filterV4: -1 });
    expect(parts.interfaces![0]!.addresses).toEqual([bytes('10.40.1.2')]);
    expect(parts.interfaces![2]!.mac).toEqual(Uint8Array.of(2, 0, 0, 0, 0, 2));
  });

  it('publishes the filter that sends IPsec to the forwarding instance, with its counters', () => {
    expect(parts.filters).toEqual([
      [
        {
          sources: [],
          destinations: [{ address: bytes('10.0.0.1'), length: 32 }],
          protocols: [],
          action: 'routing-instance',
          routingInstance: 3,
          statistic: 0,
        },
        { sources: [], destinations: [], protocols: [], action: 'accept', routingInstance: 0, statistic: 1 },
      ],
    ]);
  });

  it('publishes routes by instance; next hops are neighbours on links', () => {
    expect(parts.routes!.map(routeText).sort()).toEqual(
      [
        '1 10.40.1.2/32 local',
        '1 10.40.1.2/31 connected 0',
        '1 10.1.1.1/32 local',
        '1 10.1.1.0/29 connected 1',
        '1 10.1.2.1/32 local',
        '1 10.1.2.0/29 connected 2',
        '1 10.10.10.253/32 local',
        '1 10.10.10.1/32 neighbour 1',
        '1 10.10.10.2/32 neighbour 2',
        '1 10.20.0.0/16 neighbour 0',
        '2 10.2.1.1/32 local',
        '2 10.2.1.0/29 connected 3',
        '2 2001:db8:2:1::1/128 local',
        '2 2001:db8:2:1::/64 connected 3',
        '2 10.2.2.1/32 local',
        '2 10.2.2.0/29 connected 4',
      ].sort(),
    );
  });

  it('has a group whose members are the neighbours that the real services are reached by, all down at first', () => {
    const [group] = parts.groups!;
    expect(group).toMatchObject({ key: 'source-ip', seed: 7n });
    expect(group!.members).toEqual([
      { interface: 1, address: bytes('10.1.1.2'), statistic: 2 + 1 },
      { interface: 2, address: bytes('10.1.2.2'), statistic: 2 },
    ]);
    expect(new Set(group!.slots)).toEqual(new Set([0xffff]));
    expect(group!.slots).toHaveLength(512);
    const [ask] = ofKind(actions, 'build-group');
    expect(ask!.options).toMatchObject({
      members: [
        { name: 'MNHA_SRX1', weight: 1 },
        { name: 'MNHA_SRX2', weight: 1 },
      ],
      dead: ['MNHA_SRX1', 'MNHA_SRX2'],
      seed: 7n,
    });
    expect(state.dirty.size).toBe(0);
  });

  it('keeps no sessions', () => expect(parts.flow!.sessions).toBe(false));
});

describe('real services', () => {
  const begin = configured(routerText).state;

  it('come up with their neighbour, and the group is dealt', () => {
    const up = settle(begin, changes(srx1, srx2));
    expect(ofKind(up.actions, 'report').map(({ report }) => report)).toMatchObject([
      { kind: 'real-service', name: 'MNHA_SRX2', up: true, sign: 'neighbour' },
      { kind: 'real-service', name: 'MNHA_SRX1', up: true, sign: 'neighbour' },
      { kind: 'service-route', group: 'ipsec_lb/srx_trust_vs', installed: true },
      { kind: 'group', slots: 512, rehomed: 512, others: 0, up: 2, members: 2 },
    ]);
    expect(new Set(published(up.actions).groups![0]!.slots)).toEqual(new Set([0, 1]));
  });

  it('are not touched by other neighbours', () => {
    const { actions } = run(begin, changes(neighbour(0, '10.1.1.2'), neighbour(1, '10.1.1.3')));
    expect(actions).toEqual([]);
  });

  it('go with their neighbour, and only their slots move', () => {
    const up = settle(begin, changes(srx1, srx2));
    const down = settle(up.state, changes({ ...srx2, reachable: false }));
    const [ask] = ofKind(down.actions, 'build-group');
    expect(ask!.options.dead).toEqual(['MNHA_SRX2']);
    expect(ofKind(down.actions, 'report').at(-1)!.report).toMatchObject({ rehomed: 256, others: 0, up: 1 });
    const back = settle(down.state, changes(srx2));
    expect(published(back.actions).groups![0]!.slots).toEqual(published(up.actions).groups![0]!.slots);
  });

  it('go at once when their gateway ends its control session, and come back with it', () => {
    const open: NodeEvent = { kind: 'exporter-opened', exporter: 'gw2', addresses: [address('10.10.10.2')] };
    let { state } = settle(begin, changes(srx1, srx2), open);
    expect(state.services.get('ipsec_lb/srx_group/MNHA_SRX2')).toMatchObject({
      up: true,
      session: 'up',
      exporter: 'gw2',
    });
    const closed = settle(state, { kind: 'exporter-closed', exporter: 'gw2' });
    expect(closed.state.services.get('ipsec_lb/srx_group/MNHA_SRX2')).toMatchObject({
      up: false,
      session: 'lost',
      neighbour: 'up',
    });
    expect(closed.state.services.get('ipsec_lb/srx_group/MNHA_SRX1')).toMatchObject({ up: true });
    expect(ofKind(closed.actions, 'report')[0]!.report).toMatchObject({
      name: 'MNHA_SRX2',
      up: false,
      sign: 'control session',
    });
    ({ state } = settle(closed.state, open));
    expect(state.services.get('ipsec_lb/srx_group/MNHA_SRX2')).toMatchObject({ up: true });
  });

  it('live by the neighbour alone once it was seen to fail after the session was lost', () => {
    const open: NodeEvent = { kind: 'exporter-opened', exporter: 'gw2', addresses: [address('10.10.10.2')] };
    const lost = settle(begin, changes(srx1, srx2), open, { kind: 'exporter-closed', exporter: 'gw2' });
    const failed = settle(lost.state, changes({ ...srx2, reachable: false }));
    expect(failed.state.services.get('ipsec_lb/srx_group/MNHA_SRX2')).toMatchObject({
      up: false,
      session: 'none',
    });
    const back = settle(failed.state, changes(srx2));
    expect(back.state.services.get('ipsec_lb/srx_group/MNHA_SRX2')).toMatchObject({ up: true });
  });

  it('pass over a table that a newer one has overtaken', () => {
    const first = run(begin, changes(srx1, srx2));
    const [late] = ofKind(first.actions, 'build-group');
    const second = run(first.state, changes({ ...srx2, reachable: false }));
    const answer: NodeEvent = {
      kind: 'group-built',
      group: late!.group,
      ticket: late!.ticket,
      slots: slotsFor(512, 2, []),
      home: slotsFor(512, 2, []),
      digest: 1n,
    };
    expect(run(second.state, answer).actions).toEqual([]);
  });

  it('without a route stay down and are no member', () => {
    const { state, actions } = configured(routerText, ['ae2']);
    expect(published(actions).groups![0]!.members).toHaveLength(1);
    const up = settle(state, changes(srx1));
    expect(new Set(published(up.actions).groups![0]!.slots)).toEqual(new Set([0]));
  });

  it('without a route leave the numbers of the others right', () => {
    const { state } = configured(routerText, ['ae1']);
    // the interface of MNHA_SRX2 is the second that is there
    const up = settle(state, changes(neighbour(1, '10.1.2.2')));
    const [group] = published(up.actions).groups!;
    expect(group!.members).toEqual([{ interface: 1, address: bytes('10.1.2.2'), statistic: 2 }]);
    expect(new Set(group!.slots)).toEqual(new Set([0]));
  });
});

describe('ARI routes on a router', () => {
  const begin = configured(routerText).state;
  const ari = (to: string, nextHop: string) => ({
    routingInstance: 'UNTRUST_VR',
    prefix: Prefix.host(address(to)),
    nextHop: address(nextHop),
  });
  const announced = (exporter: string, nextHop: string): NodeEvent => ({
    kind: 'routes-announced',
    exporter,
    routes: [ari('192.0.2.1', nextHop)],
  });
  const leadsTo = (state: NodeState) => {
    const { actions } = run({ ...state, dirty: new Set(['routes']) });
    return published(actions)
      .routes!.filter(({ length, routingInstance }) => length === 32 && routingInstance === 2)
      .filter(({ prefix }) => String(new Address(prefix)) === '192.0.2.1')
      .map(({ nextHop }) => (nextHop as { interface: number }).interface);
  };

  it('follow the latest announcement, and whoever had it is told', () => {
    const first = run(begin, announced('gw1', '10.2.1.2'));
    expect(leadsTo(first.state)).toEqual([3]);
    const second = run(first.state, announced('gw2', '10.2.2.2'));
    expect(leadsTo(second.state)).toEqual([4]);
    expect(ofKind(second.actions, 'tell-superseded')).toMatchObject([{ exporter: 'gw1' }]);
  });

  it('go with their gateway, and the one before counts again', () => {
    const { state } = run(begin, announced('gw1', '10.2.1.2'), announced('gw2', '10.2.2.2'));
    const closed = run(state, { kind: 'exporter-closed', exporter: 'gw2' });
    expect(leadsTo(closed.state)).toEqual([3]);
    expect(leadsTo(run(closed.state, { kind: 'exporter-closed', exporter: 'gw1' }).state)).toEqual([]);
  });

  it('go when withdrawn', () => {
    const { state } = run(begin, announced('gw1', '10.2.1.2'));
    const routes = [ari('192.0.2.1', '10.2.1.2')];
    expect(leadsTo(run(state, { kind: 'routes-withdrawn', exporter: 'gw1', routes }).state)).toEqual([]);
  });

  it('are not used when their next hop is nowhere', () => {
    const { state } = run(begin, announced('gw1', '172.31.0.1'));
    expect(leadsTo(state)).toEqual([]);
  });
});

describe('movedSlots', () => {
  const [group] = [...configured(routerText).state.groups.values()];
  const table = (slots: number[], dead: string[]) => ({
    ...group!,
    slots: Uint16Array.from(slots),
    dead: new Set(dead),
  });
  const both = ['MNHA_SRX1', 'MNHA_SRX2'];
  it.each([
    ['nothing', table([0, 1, 0, 1], []), table([0, 1, 0, 1], []), 0, 0],
    ['what died', table([0, 1, 0, 1], []), table([0, 0, 0, 0], ['MNHA_SRX2']), 2, 0],
    ['what came back', table([0, 0, 0, 0], ['MNHA_SRX2']), table([0, 1, 0, 1], []), 2, 0],
    ['the living among themselves', table([0, 1, 0, 1], []), table([1, 0, 0, 1], []), 0, 2],
    ['all, from nobody', table([0xffff, 0xffff], both), table([0, 1], []), 2, 0],
  ])('%s: %#', (_, before, after, rehomed, others) => {
    expect(movedSlots(before, after)).toEqual({ slots: before.slots.length, rehomed, others });
  });
});
