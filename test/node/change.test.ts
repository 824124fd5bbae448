import { describe, expect, it } from 'vitest';
import { forecast } from '../../dist/node/forecast.js';
import type { NodeState } from '../../dist/node/state.js';
import { manualTunnel } from '../../dist/node/tunnel.js';
import { native } from '../../dist/pipeline/native.js';
import {
  address,
  config,
  configured,
  gatewayText,
  ofKind,
  published,
  routerText,
  run,
  secret,
  setupOf,
} from './fixtures.js';

const deal = (options: Parameters<ReturnType<typeof native>['chashBuild']>[0]) =>
  native().chashBuild(options).slots;

/** Both gateways answer, and the table is dealt. */
function upRouter(text = routerText): NodeState {
  const { state } = configured(text);
  const up = (interfaceName: string, to: string) => ({
    interface: state.numberings.interfaces.of(interfaceName),
    address: address(to),
    reachable: true,
  });
  return settle(
    run(state, {
      kind: 'neighbours-changed',
      changes: [up('ae1.0', '10.1.1.2'), up('ae2.0', '10.1.2.2')],
    }),
  );
}

/** Tables that were asked for are built. */
function settle({ state, actions }: ReturnType<typeof run>): NodeState {
  const events = ofKind(actions, 'build-group').map(
    ({ group, ticket, options }) =>
      ({ kind: 'group-built', group, ticket, ...native().chashBuild(options) }) as const,
  );
  return run(state, ...events).state;
}

const three = routerText
  .replace('[MNHA_SRX2, MNHA_SRX1]', '[MNHA_SRX2, MNHA_SRX1, MNHA_SRX3]')
  .replace('real-service: {', 'real-service: { MNHA_SRX3: { address: 10.1.2.3 },');

describe('a forecast', () => {
  it('says which part of the flows moves when a real service is added, and what had to', () => {
    const [group] = forecast(upRouter(), config(three), deal);
    expect(group).toMatchObject({
      group: 'ipsec_lb/srx_trust_vs',
      membersBefore: 2,
      membersAfter: 3,
      slotsBefore: 512,
      slotsAfter: 1024,
    });
    expect(group!.unavoidable).toBeCloseTo(1 / 3, 2);
    // a table of another size is another table
    expect(group!.moved).toBeCloseTo(2 / 3, 1);
  });
  it('says nothing moves when nothing changes', () => {
    const [group] = forecast(upRouter(), config(routerText), deal);
    expect(group).toMatchObject({ moved: 0, unavoidable: 0 });
  });
  it('knows that another seed deals every flow anew', () => {
    const [group] = forecast(upRouter(), config(routerText.replace('seed: 7', 'seed: 8')), deal);
    expect(group!.moved).toBeCloseTo(0.5, 2);
    expect(group!.unavoidable).toBe(0);
  });
});

describe('another configuration', () => {
  it('goes on with the table that there is until the new one is built', () => {
    const before = upRouter();
    const next = config(three);
    const { state, actions } = run(before, { kind: 'configured', config: next, setup: setupOf(next) });
    const [was] = [...before.groups.values()];
    expect([...state.groups.values()][0]!.slots).toBe(was!.slots);
    expect(published(actions).groups![0]!.slots).toEqual(was!.slots);
    const [after] = [...settle({ state, actions }).groups.values()];
    expect(after!.slots.length).toBe(1024);
    expect(after!.members).toHaveLength(3);
  });

  it('deals a drained real service out, also by the next configuration, and back in', () => {
    const key = 'ipsec_lb/srx_group/MNHA_SRX1';
    const drained = settle(run(upRouter(), { kind: 'drained', realServices: [key], drained: true }));
    const holders = (state: NodeState) => {
      const [{ members, slots }] = [...state.groups.values()] as [
        NonNullable<ReturnType<NodeState['groups']['get']>>,
      ];
      return [...new Set(slots)].map((member) => members[member]!.name).sort();
    };
    expect(holders(drained)).toEqual(['MNHA_SRX2']);
    const next = config(routerText);
    const again = settle(run(drained, { kind: 'configured', config: next, setup: setupOf(next) }));
    expect(holders(again)).toEqual(['MNHA_SRX2']);
    expect(drained.services.get(key)!.up).toBe(true);
    const back = settle(run(again, { kind: 'drained', realServices: [key], drained: false }));
    expect(holders(back)).toEqual(['MNHA_SRX1', 'MNHA_SRX2']);
  });
});

describe('a tunnel that changes', () => {
  const keyed = () => {
    const { state } = configured(gatewayText);
    const of = config(gatewayText);
    const tunnel = manualTunnel(of.vpns[0]!, 0);
    const first = run(state, {
      kind: 'tunnels-keyed',
      tunnels: [
        {
          tunnel,
          inbound: [{ spi: 0x1001, key: secret(1) }],
          outbound: { spi: 0x2001, key: secret(2) },
          epoch: 1,
          nextSequence: 1n,
        },
      ],
    });
    const { ticket } = ofKind(first.actions, 'add-sas')[0]!;
    const { state: up } = run(first.state, {
      kind: 'sas-added',
      ticket,
      inbound: [{ tunnel: 'enb1', spi: 0x1001, index: 5 }],
      outbound: [{ tunnel: 'enb1', spi: 0x2001, index: 6 }],
    });
    const router = run(
      up,
      { kind: 'export-opened', router: 'tlb1' },
      { kind: 'tunnels-proven', tunnels: ['enb1'] },
    );
    return { tunnel, ...router };
  };

  it('keeps the SAs whose keys stay: they are changed where they are, before the tables', () => {
    const { tunnel, state } = keyed();
    const wider = { ...tunnel, selectors: [{ ...tunnel.selectors[0]!, remote: tunnel.selectors[0]!.local }] };
    const asked = run(state, {
      kind: 'tunnels-keyed',
      tunnels: [
        {
          tunnel: wider,
          kept: [0x1001],
          inbound: [{ spi: 0x1009, key: secret(9) }],
          outbound: null,
          epoch: 1,
          nextSequence: 1n,
        },
      ],
    });
    const [changed] = ofKind(asked.actions, 'change-sas');
    expect(changed!.inbound).toEqual([{ tunnel: wider, spi: 0x1001, index: 5 }]);
    expect(changed!.outbound).toMatchObject([{ spi: 0x2001, index: 6, mtu: 2000 }]);
    const [added] = ofKind(asked.actions, 'add-sas');
    expect(added).toMatchObject({ outbound: [], inbound: [{ spi: 0x1009 }] });
    const { state: after, actions } = run(asked.state, {
      kind: 'sas-added',
      ticket: added!.ticket,
      inbound: [{ tunnel: 'enb1', spi: 0x1009, index: 7 }],
      outbound: [],
    });
    expect(ofKind(actions, 'retire-sas')).toEqual([]);
    expect(published(actions).spis!.map(({ spi, sa }) => [spi, sa])).toEqual([
      [0x1001, 5],
      [0x1009, 7],
    ]);
    // what routers were told of the former prefix is taken back, the new one announced
    expect(
      ofKind(actions, 'withdraw').flatMap(({ routes }) => routes.map(({ prefix }) => String(prefix))),
    ).toEqual(['192.0.2.1/32']);
    expect(
      ofKind(actions, 'announce').flatMap(({ routes }) => routes.map(({ prefix }) => String(prefix))),
    ).toEqual(['0.0.0.0/0']);
    expect(after.tunnels.get('enb1')!.proven).toBe(true);
    const tunnelRoutes = published(actions).routes!.filter(({ nextHop }) => nextHop.kind === 'tunnel');
    expect(tunnelRoutes.map(({ length }) => length)).toContain(0);
  });

  it('gets the MTU of the path that there is now', () => {
    const { state } = keyed();
    const smaller = config(gatewayText.replace('mtu: 2000', 'mtu: 1400'));
    const { actions } = run(state, { kind: 'configured', config: smaller, setup: setupOf(smaller) });
    expect(ofKind(actions, 'change-sas')).toMatchObject([
      { inbound: [], outbound: [{ index: 6, mtu: 1400 }] },
    ]);
  });

  it('is announced anew where the export says something else', () => {
    const { state } = keyed();
    const other = config(gatewayText.replace('routing-instance: UNTRUST_VR', 'routing-instance: OTHER_VR'));
    const { actions } = run(state, { kind: 'configured', config: other, setup: setupOf(other) });
    expect(ofKind(actions, 'withdraw')[0]!.routes[0]!.routingInstance).toBe('UNTRUST_VR');
    expect(ofKind(actions, 'announce')[0]!.routes[0]!.routingInstance).toBe('OTHER_VR');
  });
});
