import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TableStore, tableFile } from '../../dist/control/table-store.js';
import type { NodeEvent } from '../../dist/node/event.js';
import { nextDeadline } from '../../dist/node/groups.js';
import { wantedChecks } from '../../dist/node/health.js';
import { emptyNode, type Group, type NodeState } from '../../dist/node/state.js';
import { step } from '../../dist/node/step.js';
import { native } from '../../dist/pipeline/native.js';
import { address, config, ofKind, published, routerText, run, setupOf } from './fixtures.js';

/** Everything that is asked of the native core is answered by it. */
function settle(state: NodeState, ...events: NodeEvent[]) {
  const first = run(state, ...events);
  const answers = ofKind(first.actions, 'build-group').map(
    ({ group, ticket, options }): NodeEvent => ({
      kind: 'group-built',
      group,
      ticket,
      ...native().chashBuild(options),
    }),
  );
  const second = run(first.state, ...answers);
  return { state: second.state, actions: [...first.actions, ...second.actions] };
}

const ecmpText = (hops: readonly number[], more = '') => `
system: { host-name: mx1 }
interfaces:
  ae1: { port: { memory: gws }, unit: { 0: { family: { inet: { address: 10.1.1.1/24 } } } } }
routing-options:
  forwarding-table: { export: [pfe_lb_hash] }
  static: { route: { 10.0.0.1/32: { next-hop: [${hops.map((n) => `10.1.1.${n}`).join(', ')}]${more} } } }
policy-options:
  prefix-list: { IPsecGW_v4: 10.0.0.1/32 }
  policy-statement:
    pfe_lb_hash:
      term:
        - { name: source_hash, from: { prefix-list-filter: { IPsecGW_v4: exact } }, then: { load-balance: source-ip-only, accept } }
        - { name: ALL-ELSE, then: { load-balance: per-packet, accept } }
`;

const configuredEvent = (text: string): NodeEvent => {
  const of = config(text);
  return { kind: 'configured', config: of, setup: setupOf(of) };
};
const hop = (state: NodeState, n: number, reachable = true): NodeEvent => ({
  kind: 'neighbours-changed',
  changes: [
    { interface: state.numberings.interfaces.of('ae1.0'), address: address(`10.1.1.${n}`), reachable },
  ],
});
const key = 'default 10.0.0.1/32';
const groupOf = (state: NodeState): Group => state.groups.get(key)!;
/** whom each slot names */
const holders = (state: NodeState) => [...groupOf(state).slots].map((m) => groupOf(state).members[m]?.name);

function up(hops: readonly number[], from: NodeState = emptyNode, more = ''): NodeState {
  let { state } = settle(from, configuredEvent(ecmpText(hops, more)));
  for (const n of hops) ({ state } = settle(state, hop(state, n)));
  return state;
}

describe('an ECMP group', () => {
  it('is what the policy says of the prefix, and its route leads to it', () => {
    const { state, actions } = run(emptyNode, configuredEvent(ecmpText([2, 3, 4])));
    expect(groupOf(state).hash).toMatchObject({ key: 'source-ip', function: 'xxh64' });
    const { routes, groups } = published(actions);
    expect(routes!.find(({ length, nextHop }) => length === 32 && nextHop.kind === 'group')).toBeDefined();
    expect(groups![0]!.members).toHaveLength(3);
  });

  it('leaves a next hop out that ceases to answer, moves nothing else, and is the same when it is back', () => {
    const before = up([2, 3, 4, 5]);
    const down = settle(before, hop(before, 3, false));
    holders(before).forEach((name, slot) => {
      const now = holders(down.state)[slot];
      expect(now).not.toBe('10.1.1.3');
      if (name !== '10.1.1.3') expect(now).toBe(name);
    });
    expect(ofKind(down.actions, 'report').map(({ report }) => report.kind)).toEqual(['next-hop', 'group']);
    const back = settle(down.state, hop(down.state, 3)).state;
    expect(groupOf(back).slots).toEqual(groupOf(before).slots);
    expect(groupOf(back).digest).toBe(groupOf(before).digest);
  });

  it('gives one that joins an equal part from each, and nothing else moves', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 2, max: 250 }), { minLength: 2, maxLength: 9 }),
        (hops) => {
          const fresh = 251;
          const before = up(hops);
          const after = up([...hops, fresh], before);
          const size = groupOf(after).slots.length;
          const times = size / groupOf(before).slots.length;
          const lost = new Map<string, number>();
          const was = holders(before);
          holders(after).forEach((name, slot) => {
            const old = was[Math.floor(slot / times)]!;
            if (name === old) return;
            expect(name).toBe(`10.1.1.${fresh}`);
            lost.set(old, (lost.get(old) ?? 0) + 1);
          });
          const share = size / (hops.length + 1) / hops.length;
          expect(lost.size).toBe(hops.length);
          // a slot of the smaller table counts for as many of the larger one
          for (const count of lost.values()) expect(Math.abs(count - share)).toBeLessThanOrEqual(1 + times);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('goes on from the table that was kept, so that two routers agree', () => {
    const first = up([2, 3, 4, 5], up([2, 3, 4]));
    const alone = up([2, 3, 4, 5]);
    expect(groupOf(alone).digest).not.toBe(groupOf(first).digest);
    const { state } = step(emptyNode, { kind: 'tables-kept', tables: first.kept }, 0);
    expect(groupOf(up([2, 3, 4, 5], state)).digest).toBe(groupOf(first).digest);
  });

  it('is given over to a route of lower preference once all its next hops are down', () => {
    const text = ecmpText([2, 3], ', qualified-next-hop: { 10.1.1.9: { preference: 10 } }');
    let { state } = settle(emptyNode, configuredEvent(text));
    ({ state } = settle(state, hop(state, 2), hop(state, 9)));
    const kinds = (of: NodeState) =>
      published(run({ ...of, dirty: new Set(['routes']) }).actions)
        .routes!.filter(({ length }) => length === 32)
        .map(({ nextHop }) => nextHop.kind);
    expect(kinds(state)).toContain('group');
    const down = settle(state, hop(state, 2, false));
    expect(kinds(down.state)).toContain('neighbour');
    expect(kinds(down.state)).not.toContain('group');
    expect(ofKind(down.actions, 'publish').some(({ parts }) => parts.routes !== undefined)).toBe(true);
  });
});

describe('kept tables', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'penstock-tables-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('come back from the file as they were; what is not one is said, and left', () => {
    const store = new TableStore(directory);
    const table = { members: ['a', 'b'], home: Uint16Array.of(0, 1, 1, 0) };
    store.keep('g', table);
    store.save();
    const again = new TableStore(directory);
    expect([again.fault, again.tables.get('g')]).toEqual([null, table]);
    again.keep('bad', { members: ['a'], home: Uint16Array.of(7) });
    again.save();
    const third = new TableStore(directory);
    expect(third.fault).toMatch(/bad names members that it does not list/);
    expect([...third.tables.keys()]).toEqual(['g']);
    writeFileSync(join(directory, tableFile), '{');
    expect(new TableStore(directory).fault).toMatch(/cannot be read, so tables begin anew$/);
  });
});

const profiles = `services:
  network-monitoring:
    profile:
      ping: { icmp, probe-interval: 0.5 }
      web: { http: { port: 8080 }, source-address: 10.10.10.253 }
      wire: { link }
`;
const monitored = (more = '') =>
  routerText
    .replace('services:\n', profiles)
    .replace('interface: lo0.0\n', 'interface: lo0.0\n        route-hold-timer: 5\n')
    .replace(
      'routing-instance: TRUST_VR } }',
      `routing-instance: TRUST_VR, network-monitoring-profile: [ping, web, wire]${more} } }`,
    );
const service = (n: number) => `ipsec_lb/srx_group/MNHA_SRX${n}`;
const health = (n: number, profile: string, isUp: boolean, message = ''): NodeEvent => ({
  kind: 'health-changed',
  changes: [{ service: service(n), profile, up: isUp, message }],
});
const both: NodeEvent[] = [1, 2].flatMap((n) => [health(n, 'ping', true), health(n, 'web', true)]);
const hasRoute = (state: NodeState) =>
  [...(state.routes.get('srx-tproxy-fi')?.values() ?? [])].flat().some(({ protocol }) => protocol === 'tlb');

describe('real services with health checks', () => {
  const begin = settle(emptyNode, configuredEvent(monitored())).state;

  it('are asked for each active profile, from the address that is meant', () => {
    const wanted = wantedChecks(config(monitored()));
    expect(wanted.map(({ service: of, profile }) => `${of} ${profile}`).sort()).toEqual(
      [1, 2].flatMap((n) => [`${service(n)} ping`, `${service(n)} web`]),
    );
    expect(wanted[0]).toMatchObject({
      probe: { kind: 'icmp' },
      settings: { intervalMs: 500, timeoutMs: 500 },
    });
    expect(wanted.map(({ path }) => String(path.source))).toEqual(Array(4).fill('10.10.10.253'));
  });

  it('are up once all their profiles are, whatever ARP says, and down with the first that is not', () => {
    const one = settle(begin, health(1, 'ping', true));
    expect(one.state.services.get(service(1))!.up).toBe(false);
    const two = settle(one.state, health(1, 'web', true));
    expect(two.state.services.get(service(1))!.up).toBe(true);
    const down = settle(two.state, health(1, 'web', false, 'HTTP status 500'));
    expect(ofKind(down.actions, 'report')[0]!.report).toMatchObject({
      name: 'MNHA_SRX1',
      up: false,
      sign: 'web: HTTP status 500',
    });
    const strange = settle(two.state, health(1, 'nobody', false));
    expect(strange.state.services.get(service(1))!.up).toBe(true);
  });

  it('go with their port where the link counts', () => {
    const { state } = settle(begin, ...both);
    const cut = settle(state, { kind: 'ports-changed', changes: [{ port: 'ae1', open: false }] });
    expect([1, 2].map((n) => cut.state.services.get(service(n))!.up)).toEqual([false, true]);
    const back = settle(cut.state, { kind: 'ports-changed', changes: [{ port: 'ae1', open: true }] });
    expect(back.state.services.get(service(1))!.up).toBe(true);
  });

  it('have a route while one is up, and for the route-hold-timer after', () => {
    expect(hasRoute(begin)).toBe(false);
    const { state } = settle(begin, ...both);
    expect(hasRoute(state)).toBe(true);
    const down = settle(state, health(1, 'ping', false), health(2, 'ping', false)).state;
    expect(hasRoute(down)).toBe(true);
    const due = nextDeadline(down);
    expect(due).toBeLessThan(Number.POSITIVE_INFINITY);
    expect(hasRoute(step(down, { kind: 'time-passed' }, due - 1).state)).toBe(true);
    const gone = step(down, { kind: 'time-passed' }, due);
    expect(hasRoute(gone.state)).toBe(false);
    expect(gone.state.dirty.has('routes')).toBe(true);
    const back = step(gone.state, health(2, 'ping', true), due + 1).state;
    expect(hasRoute(back)).toBe(true);
    expect(nextDeadline(back)).toBe(Number.POSITIVE_INFINITY);
  });

  it('that are all down count as up where the group fails open', () => {
    const open = settle(emptyNode, configuredEvent(monitored(', when-all-down: fail-open'))).state;
    const { state } = settle(open, ...both);
    const down = settle(state, health(1, 'web', false), health(2, 'web', false)).state;
    const [group] = [...down.groups.values()];
    expect(new Set(group!.slots)).toEqual(new Set([0, 1]));
    expect(hasRoute(down)).toBe(true);
    expect(nextDeadline(down)).toBe(Number.POSITIVE_INFINITY);
    const closed = settle(
      settle(begin, ...both).state,
      health(1, 'web', false),
      health(2, 'web', false),
    ).state;
    expect(new Set([...closed.groups.values()][0]!.slots)).toEqual(new Set([0xffff]));
  });
});
