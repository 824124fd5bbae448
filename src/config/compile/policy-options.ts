/** Policy statements and conditions, for those that decide about routes: instance-import and the kernel's export-policy. */
import type { Family } from '../../model/address.js';
import { parseAddress, parsePrefix } from '../address.js';
import type {
  PolicyFromConfig,
  PolicyOptionsConfig,
  PolicyTermConfig,
  PolicyThenConfig,
  PrefixMatchConfig,
  RouteConditionConfig,
} from '../config.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';

type Document = NonNullable<ConfigDocument['policy-options']>;
type Statement = NonNullable<Document['policy-statement']>[string];
export type FromDocument = NonNullable<Statement['from']>;
type ThenDocument = NonNullable<Statement['then']>;

const path: Path = ['policy-options'];

export function compilePolicyOptions(context: Context): PolicyOptionsConfig {
  const options = context.document['policy-options'];
  return {
    statements: Object.entries(options?.['policy-statement'] ?? {}).map(([name, statement]) => ({
      name,
      terms: termsOf(context, name, statement),
    })),
    conditions: Object.entries(options?.condition ?? {}).flatMap(([name, condition]) => {
      const found = conditionOf(context, name, condition);
      return found === undefined ? [] : [found];
    }),
  };
}

/** Terms first; what stands outside of them is the last. */
function termsOf(context: Context, name: string, { term = [], from, then }: Statement): PolicyTermConfig[] {
  const at = [...path, 'policy-statement', name];
  const terms = term.map((each, i) => ({
    name: each.name,
    from: fromOf(context, [...at, 'term', i, 'from'], each.from),
    then: thenOf(context, [...at, 'term', i, 'then'], each.then),
  }));
  if (then === undefined) return terms;
  const last = {
    name: '',
    from: fromOf(context, [...at, 'from'], from),
    then: thenOf(context, [...at, 'then'], then),
  };
  return [...terms, last];
}

function fromOf(context: Context, at: Path, from: FromDocument = {}): PolicyFromConfig {
  const { instance, protocol = [], metric, condition = [] } = from;
  if (instance !== undefined) context.referInstance([...at, 'instance'], instance);
  condition.forEach((name, i) => {
    context.refer([...at, 'condition', i], 'condition', name, [...path, 'condition']);
  });
  return {
    instance: instance ?? null,
    protocols: protocol,
    metric: metric ?? null,
    prefixes: prefixMatches(context, from),
    conditions: condition,
  };
}

/** What a from says of prefixes; a prefix list that is not there is reported where the statements are checked. */
export function prefixMatches(context: Context, from: FromDocument): PrefixMatchConfig[] {
  const lists = context.document['policy-options']?.['prefix-list'] ?? {};
  const named = [
    ...(from['prefix-list'] ?? []).map((list) => [list, 'exact'] as const),
    ...Object.entries(from['prefix-list-filter'] ?? {}),
  ];
  const inLists = named.flatMap(([list, how]) =>
    (lists[list] ?? []).map((text) => ({ prefix: parsePrefix(text)!, how })),
  );
  const own = Object.entries(from['route-filter'] ?? {}).map(([text, how]) => ({
    prefix: parsePrefix(text)!,
    how,
  }));
  return [...inLists, ...own];
}

function thenOf(context: Context, at: Path, then: ThenDocument): PolicyThenConfig {
  const { metric, preference, accept, reject, next } = then;
  const said = [
    accept !== undefined && 'accept',
    reject !== undefined && 'reject',
    next !== undefined && 'next',
  ];
  const words = said.filter((word) => word !== false);
  // accept and reject together are reported with the statement
  if (words.length > 1 && next !== undefined)
    context.report(at, `has ${words.join(' and ')}; write one of them`, 'key');
  const hop = then['next-hop'];
  return {
    metric: metric ?? null,
    asPathPrepend: then['as-path-prepend']?.toString().split(' ').length ?? 0,
    preference: preference ?? null,
    nextHop: hop === undefined ? null : hop === 'discard' ? 'discard' : parseAddress(hop)!,
    action:
      accept !== undefined
        ? 'accept'
        : reject !== undefined
          ? 'reject'
          : next === 'policy'
            ? 'next-policy'
            : null,
  };
}

function conditionOf(
  context: Context,
  name: string,
  condition: NonNullable<Document['condition']>[string],
): RouteConditionConfig | undefined {
  const at = [...path, 'condition', name, 'if-route-exists', 'address-family'];
  const families = Object.entries(condition['if-route-exists']['address-family']) as [
    Family,
    { prefix: string; table: string } | undefined,
  ][];
  const said = families.filter(([, route]) => route !== undefined);
  const [only] = said;
  if (only === undefined || said.length > 1) {
    context.report(
      at,
      `${only === undefined ? 'says nothing' : 'says inet and inet6'}; write one of them`,
      'key',
    );
    return undefined;
  }
  const [family, route] = only;
  const table = /^(?:(.+)\.)?(inet6?)\.0$/.exec(route!.table);
  if (table === null || table[2] !== family) {
    context.report(
      [...at, family, 'table'],
      `${route!.table} is no ${family} table, e.g. ${family}.0 or VR.${family}.0`,
    );
    return undefined;
  }
  const routingInstance = table[1] ?? 'default';
  if (!context.referInstance([...at, family, 'table'], routingInstance)) return undefined;
  return { name, prefix: parsePrefix(route!.prefix)!, routingInstance };
}

/** A chain of statements by name, each of which is there. */
export function policyChain(
  context: Context,
  at: Path,
  names: readonly string[] | undefined,
): readonly string[] {
  names?.forEach((name, i) => {
    context.refer([...at, i], 'policy statement', name, [...path, 'policy-statement']);
  });
  return names ?? [];
}
