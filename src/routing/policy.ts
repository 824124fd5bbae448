/**
 * Routing policies: what a chain of statements says of a route, and what goes by them: routes that an instance takes
 * over from others, and with which metric the kernel is told of one. Pure.
 */
import type {
  PolicyOptionsConfig,
  PolicyTermConfig,
  RouteConditionConfig,
  RouteProtocolName,
  RoutingInstanceConfig,
} from '../config/config.js';
import type { Address } from '../model/address.js';
import { type Prefix, prefixHolds } from '../model/prefix.js';
import { preferenceOfRoute, type Route, type RouteNextHop } from './route.js';
import { activeRoutes, adjacencies, type RouteTable, routesFor } from './table.js';

/** What policies ask about. */
export interface PolicySubject {
  readonly prefix: Prefix;
  readonly routingInstance: string;
  readonly protocol: RouteProtocolName;
  readonly metric: number;
}

export interface PolicyVerdict {
  /** none: no term decided */
  readonly action: 'accept' | 'reject' | 'none';
  readonly metric: number;
  /** how often our AS is to stand before itself */
  readonly asPathPrepend: number;
  /** null: as it was */
  readonly preference: number | null;
  readonly nextHop: Address | 'discard' | null;
}

/**
 * What the statements say, in their order, terms in theirs. What a term sets holds on; accept and reject end the chain,
 * next policy the statement. A statement that is not there says nothing.
 */
export function evaluatePolicies(
  { statements }: PolicyOptionsConfig,
  chain: readonly string[],
  subject: PolicySubject,
  holds: (condition: string) => boolean,
): PolicyVerdict {
  let verdict: PolicyVerdict = {
    action: 'none',
    metric: subject.metric,
    asPathPrepend: 0,
    preference: null,
    nextHop: null,
  };
  for (const name of chain) {
    const statement = statements.find((each) => each.name === name);
    for (const term of statement?.terms ?? []) {
      if (!matches(term, subject, holds)) continue;
      const { metric, asPathPrepend, preference, nextHop, action } = term.then;
      verdict = {
        action: action === 'accept' || action === 'reject' ? action : 'none',
        metric: metric ?? verdict.metric,
        asPathPrepend: asPathPrepend || verdict.asPathPrepend,
        preference: preference ?? verdict.preference,
        nextHop: nextHop ?? verdict.nextHop,
      };
      if (verdict.action !== 'none') return verdict;
      if (action === 'next-policy') break;
    }
  }
  return verdict;
}

function matches(
  { from }: PolicyTermConfig,
  { prefix, routingInstance, protocol, metric }: PolicySubject,
  holds: (condition: string) => boolean,
): boolean {
  if (from.instance !== null && from.instance !== routingInstance) return false;
  if (from.protocols.length > 0 && !from.protocols.includes(protocol)) return false;
  if (from.metric !== null && from.metric !== metric) return false;
  if (from.prefixes.length > 0 && !from.prefixes.some((match) => prefixHolds(match, prefix))) return false;
  return from.conditions.every(holds);
}

/** Whether conditions hold, by name: there is a route for just the prefix, and it leads somewhere. */
export function conditionsOf(
  table: RouteTable,
  conditions: readonly RouteConditionConfig[],
): (name: string) => boolean {
  const resolve = adjacencies(table);
  const leads = ({ nextHop, routingInstance }: Route) =>
    nextHop.kind !== 'address' ||
    resolve(nextHop.routingInstance ?? routingInstance, nextHop.address) !== null;
  return (name) => {
    const condition = conditions.find((each) => each.name === name);
    return (
      condition !== undefined && routesFor(table, condition.routingInstance, condition.prefix).some(leads)
    );
  };
}

/** The routes that instances take over from one another, of what is in use in those; none of them is taken over again. */
export function importedRoutes(
  table: RouteTable,
  instances: readonly RoutingInstanceConfig[],
  options: PolicyOptionsConfig,
  nowMs: number,
): Route[] {
  const takers = instances.filter(({ instanceImport }) => instanceImport.length > 0);
  if (takers.length === 0) return [];
  const holds = conditionsOf(table, options.conditions);
  const found: Route[] = [];
  for (const { route } of activeRoutes(table)) {
    if (route.importedFrom !== undefined) continue;
    const { routingInstance, prefix, protocol, origin, nextHop } = route;
    for (const { name, instanceImport } of takers) {
      if (name === routingInstance) continue;
      const subject = { prefix, routingInstance, protocol, metric: 0 };
      const verdict = evaluatePolicies(options, instanceImport, subject, holds);
      if (verdict.action !== 'accept') continue;
      found.push({
        routingInstance: name,
        prefix,
        protocol,
        origin: `from ${routingInstance}: ${origin}`,
        nextHop:
          verdict.nextHop === null ? fromElsewhere(nextHop, routingInstance) : nextHopOf(verdict.nextHop),
        preference: verdict.preference ?? preferenceOfRoute(route),
        importedFrom: routingInstance,
        sinceMs: nowMs,
      });
    }
  }
  return found;
}

const nextHopOf = (to: Address | 'discard'): RouteNextHop =>
  to === 'discard' ? { kind: 'discard' } : { kind: 'address', address: to };

/** Addresses are looked up where the route came from. */
function fromElsewhere(nextHop: RouteNextHop, routingInstance: string): RouteNextHop {
  return nextHop.kind === 'address' || nextHop.kind === 'ecmp' ? { ...nextHop, routingInstance } : nextHop;
}

/** of a kernel route's metric: each AS number prepended counts as much */
const prependStep = 10_000_000;

/**
 * The metric of a kernel route, which a routing daemon beside the node reads: below ten million the MED, above it how often
 * our AS is to be prepended. 20,000,100 is a MED of 100, prepended twice. 0 is none of both.
 */
export const kernelMetric = ({
  metric,
  asPathPrepend,
}: Pick<PolicyVerdict, 'metric' | 'asPathPrepend'>): number => asPathPrepend * prependStep + metric;
