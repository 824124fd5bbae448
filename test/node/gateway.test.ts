import { describe, expect, it } from 'vitest';
import { Prefix } from '../../dist/model/prefix.js';
import { NodeDriver } from '../../dist/node/drive.js';
import type { AddedSa, NodeAction, NodeEvent } from '../../dist/node/event.js';
import type { NodeState } from '../../dist/node/state.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import {
  address,
  bytes,
  config,
  configured,
  gatewayText,
  ofKind,
  published,
  run,
  secret,
  setupOf,
} from './fixtures.js';

const gateway = config(gatewayText);
const begin = configured(gatewayText).state;
const manual = (epoch: number | null): NodeEvent => ({
  kind: 'tunnels-keyed',
  tunnels: manualTunnels(gateway, epoch),
});

/** The native core's answer: it puts SAs at 10, 11, … */
function answer(action: NodeAction & { kind: 'add-sas' }, first = 10): NodeEvent {
  let index = first;
  const of = ({ tunnel, spi }: { tunnel: { name: string }; spi: number }): AddedSa => ({
    tunnel: tunnel.name,
    spi,
    index: index++,
  });
  return {
    kind: 'sas-added',
    ticket: action.ticket,
    inbound: action.inbound.map(of),
    outbound: action.outbound.map(of),
  };
}

function keyed(state: NodeState, event: NodeEvent, first = 10) {
  const asked = run(state, event);
  const added = run(asked.state, answer(ofKind(asked.actions, 'add-sas')[0]!, first));
  return { state: added.state, actions: [...asked.actions, ...added.actions] };
}

const tunnelRoutes = (actions: readonly NodeAction[]) =>
  published(actions).routes!.filter(({ nextHop }) => nextHop.kind === 'tunnel');

describe('manual keys', () => {
  const { state, actions } = keyed(begin, manual(5));
  const [add] = ofKind(actions, 'add-sas');

  it('become an SA a direction, with this node and its epoch in the IV', () => {
    expect(add).toMatchObject({ nodeId: 1 });
    // two gateways over two workers, both directions of a tunnel on one
    expect(add!.inbound.map(({ anchor }) => anchor)).toEqual([0, 1]);
    expect(add!.outbound.map(({ anchor }) => anchor)).toEqual([0, 1]);
    expect(add!.outbound.map(({ spi, epoch, mtu }) => [spi, epoch, mtu])).toEqual([
      [0x2001, 5, 2000],
      [0x2002, 5, 2000],
    ]);
    expect(add!.inbound.map(({ spi }) => spi)).toEqual([0x1001, 0x1002]);
  });

  it('publish nothing before the native core has them', () => {
    const asked = run(begin, manual(5));
    expect(ofKind(asked.actions, 'publish')).toEqual([]);
  });

  it('lead the ARI routes and static routes through st0 into the tunnel, with zone and instance of its interface', () => {
    expect(tunnelRoutes(actions).map(({ prefix, length, nextHop }) => [prefix, length, nextHop])).toEqual([
      [bytes('172.16.0.0'), 12, { kind: 'tunnel', sa: 12, zone: 1, routingInstance: 0 }],
      [bytes('192.0.2.1'), 32, { kind: 'tunnel', sa: 12, zone: 1, routingInstance: 0 }],
      [bytes('192.0.2.2'), 32, { kind: 'tunnel', sa: 13, zone: 1, routingInstance: 0 }],
    ]);
    expect(published(actions).spis).toEqual([
      { address: bytes('10.0.0.1'), spi: 0x1001, sa: 10, zone: 1, routingInstance: 0 },
      { address: bytes('10.0.0.1'), spi: 0x1002, sa: 11, zone: 1, routingInstance: 0 },
    ]);
  });

  it('take the place of those before, which go after the tables that named them', () => {
    const again = keyed(state, manual(6), 20);
    const kinds = again.actions.map(({ kind }) => kind);
    expect(kinds.indexOf('publish')).toBeLessThan(kinds.indexOf('retire-sas'));
    expect(ofKind(again.actions, 'retire-sas')).toEqual([
      { kind: 'retire-sas', inbound: [10, 11], outbound: [12, 13] },
    ]);
    expect(tunnelRoutes(again.actions).map(({ nextHop }) => (nextHop as { sa: number }).sa)).toEqual([
      22, 22, 23,
    ]);
  });

  it('seal nothing while the generation is unknown', () => {
    const refused = keyed(begin, manual(null));
    const [asked] = ofKind(refused.actions, 'add-sas');
    expect(asked!.outbound).toEqual([]);
    expect(asked!.inbound).toHaveLength(2);
    expect(ofKind(refused.actions, 'report').map(({ report }) => report)).toMatchObject([
      { kind: 'refused', tunnel: 'enb1', reason: expect.stringContaining('rekey') },
      { kind: 'refused', tunnel: 'enb2' },
    ]);
    expect(tunnelRoutes(refused.actions)).toEqual([]);
    const proven = run(
      refused.state,
      { kind: 'export-opened', router: 'tlb1' },
      { kind: 'tunnels-proven', tunnels: ['enb1'] },
    );
    expect(ofKind(proven.actions, 'announce')).toEqual([]);
  });

  it('go with their tunnel', () => {
    const removed = run(state, { kind: 'tunnels-removed', tunnels: ['enb1', 'unknown'] });
    expect(ofKind(removed.actions, 'retire-sas')).toEqual([
      { kind: 'retire-sas', inbound: [10], outbound: [12] },
    ]);
    expect(tunnelRoutes(removed.actions).map(({ prefix }) => prefix)).toEqual([bytes('192.0.2.2')]);
    expect(run(removed.state, { kind: 'tunnels-removed', tunnels: ['enb1'] }).actions).toEqual([]);
  });
});

describe('announcement', () => {
  const { state } = keyed(begin, manual(5));
  const opened: NodeEvent = { kind: 'export-opened', router: 'tlb1' };
  const proven: NodeEvent = { kind: 'tunnels-proven', tunnels: ['enb1'] };
  const prefix = Prefix.host(address('192.0.2.1'));
  const announcement = { routingInstance: 'UNTRUST_VR', prefix, nextHop: address('10.2.1.2') };
  const announced = (...events: NodeEvent[]) => ofKind(run(state, ...events).actions, 'announce');

  it('waits for the session and for a packet that authenticates, in any order, and comes once', () => {
    expect(announced(opened)).toEqual([]);
    expect(announced(proven)).toEqual([]);
    const expected = [{ kind: 'announce', router: 'tlb1', routes: [announcement] }];
    expect(announced(opened, proven, proven)).toEqual(expected);
    expect(announced(proven, opened)).toEqual(expected);
  });

  it('comes again on a new session, of all that are proven', () => {
    expect(announced(proven, opened, opened)).toHaveLength(2);
  });

  it('is taken back when another gateway has the tunnel, until it proves itself here again', () => {
    const before = run(state, opened, proven);
    const lost = run(before.state, {
      kind: 'routes-superseded',
      router: 'tlb1',
      routes: [{ routingInstance: 'UNTRUST_VR', prefix }],
    });
    expect(ofKind(lost.actions, 'withdraw')).toMatchObject([
      { router: 'tlb1', routes: [{ routingInstance: 'UNTRUST_VR', prefix }] },
    ]);
    expect(lost.state.tunnels.get('enb1')).toMatchObject({ proven: false });
    expect(ofKind(run(lost.state, proven).actions, 'announce')).toHaveLength(1);
  });

  it('is taken back with the tunnel', () => {
    const before = run(state, opened, proven);
    const removed = run(before.state, { kind: 'tunnels-removed', tunnels: ['enb1', 'enb2'] });
    expect(
      ofKind(removed.actions, 'withdraw').flatMap(({ routes }) => routes.map((one) => String(one.prefix))),
    ).toEqual(['192.0.2.1/32']);
  });

  it('leaves out a family that the router has no next hop for', () => {
    const [first] = manualTunnels(gateway, 1);
    const remote = Prefix.host(address('2001:db8::7'));
    const six = {
      ...first!,
      tunnel: { ...first!.tunnel, name: 'six', selectors: [{ local: remote, remote }] },
    };
    const added = keyed(begin, { kind: 'tunnels-keyed', tunnels: [six] });
    const { actions } = run(added.state, opened, { kind: 'tunnels-proven', tunnels: ['six'] });
    expect(ofKind(actions, 'announce')).toEqual([]);
  });

  it('does not wait for a packet where keys were agreed on by an exchange', () => {
    const [first] = manualTunnels(gateway, 1);
    const agreed = {
      tunnel: { ...first!.tunnel, announced: 'when-keyed' as const },
      inbound: [{ spi: 0x3001, key: secret(1) }],
      outbound: { spi: 0x3002, key: secret(2) },
      epoch: 0,
      nextSequence: 1n,
    };
    const ready = run(begin, opened);
    const { actions } = keyed(ready.state, { kind: 'tunnels-keyed', tunnels: [agreed] });
    expect(actions.map(({ kind }) => kind)).toEqual(['add-sas', 'publish', 'announce']);
  });
});

describe('policies and zones', () => {
  it('are one native policy an application, under one number', () => {
    const { policies, defaultPermit } = published(configured(gatewayText).actions).policies!;
    expect(defaultPermit).toBe(false);
    expect(
      policies.map(({ fromZone, toZone, protocol, portLow, portHigh, id, permit }) => [
        fromZone,
        toZone,
        protocol,
        portLow,
        portHigh,
        id,
        permit,
      ]),
    ).toEqual([
      [1, 2, 6, 443, 443, 1, true],
      [1, 2, 17, 53, 54, 1, true],
      [1, 2, 0, 0, 65_535, 2, true],
    ]);
  });
  it('keep sessions', () => {
    expect(published(configured(gatewayText).actions).flow).toEqual({
      sessions: true,
      synCheck: true,
      synCheckInTunnel: true,
    });
  });
});

describe('NodeDriver', () => {
  it('works first come first served, and publishes once the queue is empty', () => {
    const seen: string[] = [];
    const driver = new NodeDriver(
      (action) => {
        seen.push(action.kind);
        return action.kind === 'add-sas' ? [answer(action)] : [];
      },
      () => 0,
    );
    driver.post({ kind: 'configured', config: gateway, setup: setupOf(gateway) }, manual(1));
    expect(seen).toEqual(['add-sas', 'publish']);
    driver.post({ kind: 'export-opened', router: 'tlb1' }, { kind: 'tunnels-proven', tunnels: ['enb1'] });
    expect(seen).toEqual(['add-sas', 'publish', 'announce']);
    expect(driver.state.tunnels.get('enb1')!.announcedTo).toEqual(new Set(['tlb1']));
  });

  it('goes on after a performer that throws', () => {
    let fail = true;
    const driver = new NodeDriver(
      (action) => {
        if (fail && action.kind === 'publish') throw new Error('no');
        return [];
      },
      () => 0,
    );
    expect(() => driver.post({ kind: 'configured', config: gateway, setup: setupOf(gateway) })).toThrow('no');
    fail = false;
    expect(() => driver.post({ kind: 'export-opened', router: 'tlb1' })).not.toThrow();
  });

  it('does nothing that was to come after what could not be done', () => {
    let fail = false;
    const seen: string[] = [];
    const driver = new NodeDriver(
      (action) => {
        if (fail && action.kind === 'add-sas') throw new Error('no');
        seen.push(action.kind);
        return action.kind === 'add-sas' ? [answer(action)] : [];
      },
      () => 0,
    );
    driver.post({ kind: 'configured', config: gateway, setup: setupOf(gateway) }, manual(1));
    fail = true;
    const gone = { kind: 'tunnels-removed', tunnels: ['enb1'] } as const;
    expect(() => driver.post(manual(2), gone)).toThrow('no');
    driver.post({ kind: 'export-opened', router: 'tlb1' });
    expect(driver.state.tunnels.has('enb1')).toBe(true);
    expect(seen).not.toContain('retire-sas');
  });

  it('never shows a key in what it holds', () => {
    const { state } = keyed(begin, manual(5));
    expect(JSON.stringify([...state.tunnels])).not.toMatch(/aaaa|bbbb/);
  });
});
