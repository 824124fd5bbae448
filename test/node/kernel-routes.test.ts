import { describe, expect, it } from 'vitest';
import type { AddedSa, KernelExport, NodeAction, NodeEvent } from '../../dist/node/event.js';
import type { NodeState } from '../../dist/node/state.js';
import { flush, step } from '../../dist/node/step.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import { config, configured, gatewayText, ofKind, routerText, run, setupOf } from './fixtures.js';

const exporting = (kinds: string, text: string) =>
  text.includes('routing-options:\n')
    ? text.replace('routing-options:\n', `routing-options:\n  kernel: { export: [${kinds}] }\n`)
    : `${text}routing-options: { kernel: { export: [${kinds}] } }\n`;
const routeText = ({ prefix, metric }: KernelExport) => `${prefix}${metric === 0 ? '' : ` metric ${metric}`}`;
const changes = (actions: readonly NodeAction[]) =>
  ofKind(actions, 'kernel-routes').map(({ add, remove }) => ({
    add: add.map(routeText),
    remove: remove.map(routeText),
  }));

/** The tunnels of the text keyed and their SAs taken by the native core. */
function keyed(text: string, names?: string[]) {
  const { state } = configured(text);
  const tunnels = manualTunnels(config(text), 1).filter(({ tunnel }) => names?.includes(tunnel.name) ?? true);
  const asked = run(state, { kind: 'tunnels-keyed', tunnels });
  const [add] = ofKind(asked.actions, 'add-sas');
  const added = (
    list: typeof add extends undefined ? never : NonNullable<typeof add>['inbound'],
  ): AddedSa[] => list.map(({ tunnel, spi }, index) => ({ tunnel: tunnel.name, spi, index }));
  const answer: NodeEvent = {
    kind: 'sas-added',
    ticket: add!.ticket,
    inbound: added(add!.inbound),
    outbound: add!.outbound.map(({ tunnel, spi }, index) => ({ tunnel: tunnel.name, spi, index })),
  };
  return run(asked.state, answer);
}

describe('routes for the kernel', () => {
  it('are none unless they are asked for', () => {
    const { state, actions } = keyed(gatewayText);
    expect(changes(actions)).toEqual([]);
    expect(changes(run(state, { kind: 'tunnels-proven', tunnels: ['enb1'] }).actions)).toEqual([]);
  });

  it('are those of tunnels that a packet has proven, until they go', () => {
    const { state, actions } = keyed(exporting('ari-ts', gatewayText));
    expect(changes(actions)).toEqual([]);
    const proven = run(state, { kind: 'tunnels-proven', tunnels: ['enb1'] });
    expect(changes(proven.actions)).toEqual([{ add: ['192.0.2.1/32'], remove: [] }]);
    const more = run(proven.state, { kind: 'tunnels-proven', tunnels: ['enb1', 'enb2'] });
    expect(changes(more.actions)).toEqual([{ add: ['192.0.2.2/32'], remove: [] }]);
    const fewer = run(more.state, { kind: 'tunnels-removed', tunnels: ['enb1'] });
    expect(changes(fewer.actions)).toEqual([{ add: [], remove: ['192.0.2.1/32'] }]);
  });

  it('come after the tables that they rest on', () => {
    const { actions } = keyed(exporting('tunnel-endpoint', gatewayText));
    const kinds = actions.map(({ kind }) => kind);
    expect(kinds.indexOf('kernel-routes')).toBeGreaterThan(kinds.lastIndexOf('publish'));
  });

  it('go when another gateway took the tunnel over', () => {
    const { state } = keyed(exporting('ari-ts', gatewayText));
    const proven = run(
      state,
      { kind: 'export-opened', router: 'tlb1' },
      { kind: 'tunnels-proven', tunnels: ['enb1'] },
    );
    const prefix = config(gatewayText).vpns[0]!.trafficSelectors[0]!.remoteIp;
    const routes = [{ routingInstance: 'UNTRUST_VR', prefix }];
    const lost = run(proven.state, { kind: 'routes-superseded', router: 'tlb1', routes });
    expect(changes(lost.actions)).toEqual([{ add: [], remove: ['192.0.2.1/32'] }]);
  });

  it('have the address that VPNs end at, once, for as long as one does', () => {
    const { state, actions } = keyed(exporting('tunnel-endpoint', gatewayText));
    expect(changes(actions)).toEqual([{ add: ['10.0.0.1/32'], remove: [] }]);
    const fewer = run(state, { kind: 'tunnels-removed', tunnels: ['enb1'] });
    expect(changes(fewer.actions)).toEqual([]);
    const none = run(fewer.state, { kind: 'tunnels-removed', tunnels: ['enb2'] });
    expect(changes(none.actions)).toEqual([{ add: [], remove: ['10.0.0.1/32'] }]);
  });

  it('go when they are no longer asked for', () => {
    const { state } = keyed(exporting('tunnel-endpoint, ari-ts', gatewayText));
    const next = config(exporting('ari-ts', gatewayText));
    const { actions } = run(state, { kind: 'configured', config: next, setup: setupOf(next) });
    expect(changes(actions)).toEqual([{ add: [], remove: ['10.0.0.1/32'] }]);
  });

  it('have a virtual service while its route is there', () => {
    const { state, actions } = configured(exporting('virtual-service', routerText));
    expect(changes(actions)).toEqual([]);
    const reached = withNeighbours(state, true);
    expect(changes(reached.actions)).toEqual([{ add: ['10.0.0.1/32'], remove: [] }]);
    // held for the time that the node has for it, then gone
    const down = withNeighbours(reached.state, false);
    const later = step(down.state, { kind: 'time-passed' }, 3_600_000);
    const after = flush(later.state);
    expect([...changes(down.actions), ...changes([...later.actions, ...after.actions])]).toEqual([
      { add: [], remove: ['10.0.0.1/32'] },
    ]);
  });
});

/** Both real services' neighbours answer or do not, and the groups that are asked for are built. */
function withNeighbours(state: NodeState, reachable: boolean) {
  const address = (text: string) =>
    config(routerText).routingInstances.flatMap(({ staticRoutes }) =>
      staticRoutes.flatMap(({ nextHop }) =>
        nextHop.kind === 'address' && String(nextHop.address) === text ? [nextHop.address] : [],
      ),
    )[0]!;
  const number = (name: string) => state.numberings.interfaces.of(name);
  const judged = run(state, {
    kind: 'neighbours-changed',
    changes: [
      { interface: number('ae1.0'), address: address('10.1.1.2'), reachable },
      { interface: number('ae2.0'), address: address('10.1.2.2'), reachable },
    ],
  });
  const built = ofKind(judged.actions, 'build-group').map(
    ({ group, ticket, options }): NodeEvent => ({
      kind: 'group-built',
      group,
      ticket,
      slots: new Uint16Array(options.size || 512).fill(reachable ? 0 : 0xffff),
      home: new Uint16Array(options.size || 512),
      digest: 1n,
    }),
  );
  const after = run(judged.state, ...built);
  return { state: after.state, actions: [...judged.actions, ...after.actions] };
}
