import type { Prefix } from '../../model/prefix.js';
import { parsePrefix } from '../address.js';
import type { FilterConfig, FilterTermConfig } from '../config.js';
import type { Path } from '../problem.js';
import { showValue } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import { families } from './interfaces.js';
import { protocolNumber } from './protocols.js';

type FilterDocument = NonNullable<
  NonNullable<ConfigDocument['firewall']>['family']['inet']
>['filter'][string];
type TermDocument = FilterDocument['term'][number];

export function compileFilters(context: Context): FilterConfig[] {
  const filters: FilterConfig[] = [];
  for (const family of families) {
    for (const [name, filter] of Object.entries(context.document.firewall?.family[family]?.filter ?? {})) {
      const path = ['firewall', 'family', family, 'filter', name, 'term'];
      checkNames(context, path, 'term', filter.term);
      const terms = filter.term.map((term, i) => compileTerm(context, [...path, i], term));
      filters.push({ name, family, terms: matchesAll(terms.at(-1)!) ? terms : [...terms, discardRest] });
    }
  }
  return filters;
}

function matchesAll({ sourceAddress, destinationAddress, protocol }: FilterTermConfig): boolean {
  return sourceAddress.length + destinationAddress.length + protocol.length === 0;
}

/** How every filter of the reference ends. */
const discardRest: FilterTermConfig = {
  name: 'implicit-discard',
  sourceAddress: [],
  destinationAddress: [],
  protocol: [],
  action: { kind: 'discard' },
  count: null,
};

/** Entries of one list have names of their own. */
export function checkNames(
  context: Context,
  path: Path,
  kind: string,
  entries: readonly { name: string }[],
): void {
  const seen = new Set<string>();
  entries.forEach(({ name }, i) => {
    if (seen.has(name)) context.report([...path, i, 'name'], `a second ${kind} ${name}; choose another name`);
    seen.add(name);
  });
}

function compileTerm(context: Context, path: Path, term: TermDocument): FilterTermConfig {
  const { then } = term;
  const actions = (['routing-instance', 'accept', 'discard'] as const).filter(
    (key) => then[key] !== undefined,
  );
  if (actions.length > 1)
    context.report([...path, 'then'], `says ${actions.join(' and ')}; write one of them`, 'key');
  const target = then['routing-instance'];
  if (target !== undefined) context.referInstance([...path, 'then', 'routing-instance'], target);
  return {
    name: term.name,
    sourceAddress: prefixes(term.from?.['source-address']),
    destinationAddress: prefixes(term.from?.['destination-address']),
    protocol: (term.from?.protocol ?? []).map((given, i) => {
      const number = protocolNumber(given);
      if (typeof number === 'number') return number;
      context.report([...path, 'from', 'protocol', i], showValue(number.wrong));
      return 0;
    }),
    action:
      target !== undefined
        ? { kind: 'routing-instance', routingInstance: target }
        : { kind: then.discard !== undefined ? 'discard' : 'accept' },
    count: then.count ?? null,
  };
}

function prefixes(texts: readonly string[] | undefined): Prefix[] {
  return (texts ?? []).map((text) => parsePrefix(text)!);
}
