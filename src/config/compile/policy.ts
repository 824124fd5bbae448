import { type Prefix, prefixHolds } from '../../model/prefix.js';
import type { HashConfig, LoadBalance } from '../config.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import { checkNames } from './filters.js';
import { prefixMatches } from './policy-options.js';

type PolicyDocument = NonNullable<NonNullable<ConfigDocument['policy-options']>['policy-statement']>[string];
type From = NonNullable<PolicyDocument['from']>;
type Then = NonNullable<PolicyDocument['then']>;
interface Term {
  readonly from: From | undefined;
  readonly then: Then;
}

/** How several next hops of a prefix share its traffic: forwarding-table export. The last word before accept counts. */
export function loadBalancing(context: Context): (prefix: Prefix) => LoadBalance {
  const { document } = context;
  const policies = document['policy-options']?.['policy-statement'] ?? {};
  const exported = document['routing-options']?.['forwarding-table']?.export ?? [];
  for (const [name, policy] of Object.entries(policies)) checkPolicy(context, name, policy);
  const chain = exported.flatMap((name, i): Term[] => {
    const at = ['routing-options', 'forwarding-table', 'export', i];
    context.refer(at, 'policy statement', name, ['policy-options', 'policy-statement']);
    const terms = Object.hasOwn(policies, name) ? termsOf(policies[name]!) : [];
    if (
      terms.some(
        (term) =>
          term.from?.instance !== undefined ||
          term.from?.metric !== undefined ||
          term.from?.condition !== undefined,
      )
    )
      context.report(at, `${name} asks for more than prefixes, which load balancing does not go by`);
    return terms;
  });
  return (prefix) => {
    let found: LoadBalance = 'per-packet';
    for (const { from, then } of chain) {
      if (!matches(context, from, prefix)) continue;
      const said = then['load-balance'];
      // every group is consistent here, so the word takes nothing from one that names the key
      if (said !== undefined && (said !== 'consistent-hash' || found === 'per-packet')) found = said;
      if (then.accept !== undefined || then.reject !== undefined) break;
    }
    return found;
  };
}

/** Terms first; what stands outside of them is the last. */
function termsOf({ term = [], from, then }: PolicyDocument): Term[] {
  return [...term.map((each) => ({ from: each.from, then: each.then })), ...(then ? [{ from, then }] : [])];
}

function checkPolicy(context: Context, name: string, policy: PolicyDocument): void {
  const path: Path = ['policy-options', 'policy-statement', name];
  const terms = policy.term ?? [];
  checkNames(context, [...path, 'term'], 'term', terms);
  if (terms.length === 0 && policy.then === undefined)
    context.report(path, 'decides nothing; write then, or terms', 'key');
  if (policy.from !== undefined && policy.then === undefined)
    context.report([...path, 'from'], 'leads to nothing; write then', 'key');
  const places = [
    ...terms.map((term, i) => ({ at: [...path, 'term', i], ...term })),
    { at: path, from: policy.from, then: policy.then },
  ];
  for (const { at, from, then } of places) {
    if (then?.accept !== undefined && then.reject !== undefined)
      context.report([...at, 'then'], 'has accept and reject; write one of them', 'key');
    from?.['prefix-list']?.forEach((list, i) => {
      context.refer([...at, 'from', 'prefix-list', i], 'prefix list', list, [
        'policy-options',
        'prefix-list',
      ]);
    });
    for (const list of Object.keys(from?.['prefix-list-filter'] ?? {})) {
      const place = [...at, 'from', 'prefix-list-filter', list];
      context.refer(place, 'prefix list', list, ['policy-options', 'prefix-list']);
    }
  }
}

function matches(context: Context, from: From | undefined, prefix: Prefix): boolean {
  const filters = from === undefined ? [] : prefixMatches(context, from);
  return filters.length === 0 || filters.some((filter) => prefixHolds(filter, prefix));
}

/** Of ECMP groups: forwarding-options enhanced-hash-key. */
export function ecmpHash(context: Context, loadBalance: LoadBalance): { hash: HashConfig; sticky: boolean } {
  const options = context.document['forwarding-options']?.['enhanced-hash-key'] ?? {};
  const symmetric = options.symmetric !== undefined;
  const keys = {
    'source-ip-only': 'source-ip',
    'destination-ip-only': 'destination-ip',
    'per-packet': symmetric ? 'symmetric-5-tuple' : '5-tuple',
    'consistent-hash': symmetric ? 'symmetric-5-tuple' : '5-tuple',
  } as const;
  return {
    hash: {
      key: keys[loadBalance],
      function: options['hash-function'] ?? 'xxh64',
      seed: options['hash-seed'] ?? 0,
      size: 0,
      slack: 0,
    },
    sticky: options['no-sticky'] === undefined,
  };
}
