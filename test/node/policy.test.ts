import { describe, expect, it } from 'vitest';
import { diff } from '../../dist/config/diff.js';
import { checkConfig } from '../../dist/config/load.js';
import type { NodeAction } from '../../dist/node/event.js';
import type { NodeState } from '../../dist/node/state.js';
import { evaluatePolicies, kernelMetric } from '../../dist/routing/policy.js';
import { activeRoutes } from '../../dist/routing/table.js';
import { config, configured, ofKind, run, setupOf } from './fixtures.js';

const policies = (text: string) =>
  config(`{ system: { host-name: r }, policy-options: ${text} }`).policyOptions;
const prefix = (text: string) =>
  config(`
system: { host-name: r }
policy-options: { policy-statement: { p: { from: { route-filter: { ${text}: exact } }, then: { accept } } } }`)
    .policyOptions.statements[0]!.terms[0]!.from.prefixes[0]!.prefix;

describe('a policy', () => {
  const evaluate = (
    text: string,
    of: { prefix?: string; protocol?: 'static' | 'ari-ts'; metric?: number; instance?: string } = {},
    held: string[] = [],
  ) => {
    const options = policies(text);
    return evaluatePolicies(
      options,
      options.statements.map(({ name }) => name),
      {
        prefix: prefix(of.prefix ?? '10.1.0.0/16'),
        protocol: of.protocol ?? 'static',
        metric: of.metric ?? 0,
        routingInstance: of.instance ?? 'default',
      },
      (name) => held.includes(name),
    );
  };
  const only = (
    from: string,
  ) => `{ policy-statement: { p: { term: [{ name: t, from: ${from}, then: { accept } }] } },
    prefix-list: { L: [10.1.0.0/16, 10.2.0.0/16] },
    condition: { C: { if-route-exists: { address-family: { inet: { prefix: 169.254.200.1/32, table: inet.0 } } } } } }`;

  it.each([
    ['{}', {}, 'accept'],
    ['{ protocol: [static, direct] }', {}, 'accept'],
    ['{ protocol: direct }', {}, 'none'],
    ['{ instance: default }', {}, 'accept'],
    ['{ instance: default }', { instance: 'VR' }, 'none'],
    ['{ metric: 10 }', { metric: 10 }, 'accept'],
    ['{ metric: 10 }', {}, 'none'],
    ['{ prefix-list: L }', {}, 'accept'],
    ['{ prefix-list: L }', { prefix: '10.1.1.0/24' }, 'none'],
    ['{ prefix-list-filter: { L: longer } }', { prefix: '10.1.1.0/24' }, 'accept'],
    ['{ prefix-list-filter: { L: longer } }', {}, 'none'],
    ['{ route-filter: { 10.0.0.0/8: orlonger } }', {}, 'accept'],
    ['{ route-filter: { 10.0.0.0/8: exact, 10.1.0.0/16: exact } }', {}, 'accept'],
    ['{ route-filter: { 11.0.0.0/8: orlonger } }', {}, 'none'],
    ['{ protocol: static, metric: 5 }', {}, 'none'],
    ['{ condition: C }', {}, 'none'],
  ] as const)('from %s of %o: %s', (from, of, action) =>
    expect(evaluate(only(from), of).action).toBe(action),
  );

  it('asks conditions by name', () =>
    expect(evaluate(only('{ condition: C }'), {}, ['C']).action).toBe('accept'));

  it('goes through its terms and statements until one decides, and keeps what they set', () => {
    const text = `{ policy-statement: {
      a: { term: [{ name: 1, then: { metric: 10 } }, { name: 2, then: { as-path-prepend: 65000 65000, next: policy } }, { name: 3, then: { reject } }] },
      b: { term: [{ name: 1, from: { metric: 10 }, then: { reject } }, { name: 2, then: { metric: 20, preference: 7, accept } }, { name: 3, then: { reject } }] } } }`;
    // metric in from is the route's own
    expect(evaluate(text)).toMatchObject({ action: 'accept', metric: 20, asPathPrepend: 2, preference: 7 });
    expect(evaluate(text, { metric: 10 })).toMatchObject({ action: 'reject' });
  });

  it('says with one number what a routing daemon is to make of it', () => {
    expect(kernelMetric({ metric: 100, asPathPrepend: 2 })).toBe(20_000_100);
    expect(kernelMetric({ metric: 0, asPathPrepend: 0 })).toBe(0);
  });
});

const nodeText = (more = '', statics = '') => `
system: { host-name: r }
interfaces:
  ge-0/0/0: { port: { memory: a }, unit: { 0: { family: { inet: { address: 10.1.1.1/24 } } } } }
  ge-0/0/1: { port: { memory: b }, unit: { 0: { family: { inet: { address: 10.2.1.1/24 } } } } }
routing-instances:
  VR: { instance-type: virtual-router, interface: [ge-0/0/1], routing-options: { static: { route: { 10.8.0.0/16: { next-hop: 10.2.1.2 } } } } }
routing-options:
  static: { route: { 10.9.0.0/16: { next-hop: 10.1.1.2 }, 10.9.1.0/24: { next-hop: 10.1.1.3 }${statics} } }
${more}
`;
const signal = ', 169.254.200.1/32: { discard }';
const kernelText = (statics = '') =>
  nodeText(
    `  kernel: { export: static, export-policy: [BY_SIGNAL, REST] }
policy-options:
  prefix-list: { SIGNALS: 169.254.200.0/24, OURS: 10.9.0.0/16 }
  condition: { ACTIVE: { if-route-exists: { address-family: { inet: { prefix: 169.254.200.1/32, table: inet.0 } } } } }
  policy-statement:
    BY_SIGNAL:
      term:
        - { name: signals, from: { prefix-list-filter: { SIGNALS: orlonger } }, then: { reject } }
        - { name: active, from: { prefix-list: OURS, condition: ACTIVE }, then: { metric: 10, accept } }
        - { name: backup, from: { prefix-list: OURS }, then: { metric: 20, as-path-prepend: 65001 65001, accept } }
    REST: { term: [{ name: others, from: { instance: VR }, then: { reject } }] }`,
    statics,
  );
const kernelChanges = (actions: readonly NodeAction[]) =>
  ofKind(actions, 'kernel-routes').map(({ add, remove }) => [
    add.map(({ prefix: of, metric }) => `${of} ${metric}`),
    remove.map(({ prefix: of, metric }) => `${of} ${metric}`),
  ]);
const reconfigured = (state: NodeState, text: string) => {
  const next = config(text);
  return run(state, { kind: 'configured', config: next, setup: setupOf(next) });
};

describe('routes for the kernel by policy', () => {
  it('are those that are not rejected, with metrics that follow a signal route', () => {
    const first = configured(kernelText());
    expect(kernelChanges(first.actions)).toEqual([[['10.9.0.0/16 20000020', '10.9.1.0/24 0'], []]]);
    const active = reconfigured(first.state, kernelText(signal));
    expect(kernelChanges(active.actions)).toEqual([[['10.9.0.0/16 10'], ['10.9.0.0/16 20000020']]]);
    const back = reconfigured(active.state, kernelText());
    expect(kernelChanges(back.actions)).toEqual([[['10.9.0.0/16 20000020'], ['10.9.0.0/16 10']]]);
  });
});

const importText = (policy: string, statics = '') =>
  nodeText(
    `  instance-import: FROM_VR
policy-options:
  condition: { ACTIVE: { if-route-exists: { address-family: { inet: { prefix: 169.254.200.1/32, table: inet.0 } } } } }
  policy-statement: { FROM_VR: ${policy} }`,
    statics,
  );

describe('instance-import', () => {
  const imported = (state: NodeState) =>
    activeRoutes(state.routes)
      .filter(({ route }) => route.importedFrom !== undefined)
      .map(({ route, adjacency }) => [
        route.routingInstance,
        String(route.prefix),
        adjacency?.interface ?? null,
        route.preference,
      ]);

  it('takes over what is accepted, and leads where it led there', () => {
    const { state } = configured(
      importText('{ from: { instance: VR, protocol: static }, then: { preference: 9, accept } }'),
    );
    expect(imported(state)).toEqual([['default', '10.8.0.0/16', 'ge-0/0/1.0', 9]]);
    const without = reconfigured(state, nodeText());
    expect(imported(without.state)).toEqual([]);
  });

  it('takes nothing that no term accepts, and leads elsewhere where it says so', () => {
    const { state } = configured(
      importText('{ from: { instance: VR, protocol: static }, then: { preference: 9 } }'),
    );
    expect(imported(state)).toEqual([]);
    const elsewhere = configured(
      importText('{ from: { instance: VR, protocol: static }, then: { next-hop: 10.1.1.9, accept } }'),
    );
    expect(imported(elsewhere.state)).toEqual([['default', '10.8.0.0/16', 'ge-0/0/0.0', 5]]);
  });

  it('goes by conditions', () => {
    const policy = '{ from: { instance: VR, protocol: static, condition: ACTIVE }, then: { accept } }';
    const { state } = configured(importText(policy));
    expect(imported(state)).toEqual([]);
    const active = reconfigured(state, importText(policy, signal));
    expect(imported(active.state)).toHaveLength(1);
    expect(imported(reconfigured(active.state, importText(policy)).state)).toEqual([]);
  });
});

describe('what is wrong with a policy', () => {
  const problems = (text: string) =>
    checkConfig(text, 'r.yaml', { readFile: () => '', variable: () => undefined }).problems.map(
      ({ message }) => message,
    );
  const of = (options: string, more = '') =>
    problems(`{ system: { host-name: r }, policy-options: ${options}${more} }`);

  it.each([
    [
      '{ policy-statement: { p: { from: { condition: C }, then: { accept } } } }',
      'no condition C; there is no condition: add it under policy-options.condition',
    ],
    [
      '{ policy-statement: { p: { from: { instance: VR }, then: { accept } } } }',
      'no routing instance VR; there is no routing instance: add it under routing-instances',
    ],
    [
      '{ policy-statement: { p: { then: { as-path-prepend: a } } } }',
      'not 1 to 15 AS numbers, e.g. 65000 65000',
    ],
    [
      '{ policy-statement: { p: { then: { metric: 10000000 } } } }',
      '10000000 is not a whole number from 0 to 9999999',
    ],
    [
      '{ policy-statement: { p: { then: { next: term, accept } } } }',
      'has accept and next; write one of them',
    ],
    [
      '{ policy-statement: { p: { then: { local-preference: 5 } } } }',
      /^not supported yet.*write metric or as-path-prepend/,
    ],
    [
      '{ condition: { C: { if-route-exists: { address-family: { inet: { prefix: 10.0.0.0/8, table: inet6.0 } } } } } }',
      'inet6.0 is no inet table, e.g. inet.0 or VR.inet.0',
    ],
    ['{ condition: { C: { if-route-exists: { address-family: {} } } } }', 'says nothing; write one of them'],
  ])('%s', (options, message) =>
    expect(of(options)).toEqual([typeof message === 'string' ? message : expect.stringMatching(message)]),
  );

  it('a next-hop for the kernel, a policy that is not there, export-policy without export', () => {
    const kernel = (text: string) =>
      of(
        '{ policy-statement: { p: { then: { next-hop: 10.0.0.1, accept } } } }',
        `, routing-options: { kernel: ${text} }`,
      );
    expect(kernel('{ export: static, export-policy: p }')[0]).toMatch(/^p sets a next-hop/);
    expect(kernel('{ export: static, export-policy: q }')[0]).toMatch(/^no policy statement q/);
    expect(kernel('{ export-policy: p, import }')).toContainEqual('decides about nothing; write export, too');
  });

  it('is found by diff', () => {
    const a = config(kernelText());
    const b = config(kernelText().replace('metric: 20,', 'metric: 30,'));
    expect(diff(a, b).map(({ section, name }) => [section, name])).toEqual([
      ['policy-statement', 'BY_SIGNAL'],
    ]);
    const c = config(importText('{ then: { accept } }'));
    expect(diff(config(nodeText()), c).map(({ section }) => section)).toEqual([
      'instance-import',
      'policy-statement',
      'condition',
    ]);
  });
});
