/** Answers `show`: which view, with which parameters. */
import { z } from 'zod';
import { issueText } from '../protocol.js';
import { showTunnelDistribution, showTunnelMap, showTunnelMapSummary } from './anchors.js';
import { showBfdSessions } from './bfd.js';
import { showDataPlaneStatistics, showHighAvailability, showRedundancyGroup } from './high-availability.js';
import { showIkeSas, showIkeStatistics } from './ike.js';
import { showCounters, showNeighbours, showPorts, showWorkers } from './machine.js';
import type { NodeView } from './node-view.js';
import { showForwardingTable, showRoutes } from './routes.js';
import { showDrops, showSas } from './security.js';
import { showGroups, showLoadBalance } from './services.js';
import { showSessions } from './sessions.js';
import type { ViewName, Views } from './views.js';

const name = z.string().max(63).optional();

function view<P extends z.ZodType, R>(params: P, make: (node: NodeView, params: z.infer<P>) => R) {
  return (node: NodeView, given: unknown): R => {
    const result = params.safeParse(given);
    if (!result.success) throw new Error(issueText(result.error));
    return make(node, result.data);
  };
}

const views: { readonly [V in ViewName]: (node: NodeView, params: unknown) => Views[V] } = {
  'bfd-session': view(
    z.strictObject({
      level: z.enum(['detail', 'extensive']).optional(),
      address: z.string().max(63).optional(),
    }),
    showBfdSessions,
  ),
  'high-availability': view(
    z.strictObject({ level: z.enum(['brief', 'detail']).optional() }),
    showHighAvailability,
  ),
  'services-redundancy-group': view(z.strictObject({ group: z.string().max(4) }), showRedundancyGroup),
  'data-plane-statistics': view(z.strictObject({}), showDataPlaneStatistics),
  route: view(
    z.strictObject({ table: name, destination: z.string().max(63).optional(), protocol: name }),
    showRoutes,
  ),
  session: view(
    z.strictObject({
      worker: z.int().min(0).optional(),
      cursor: z
        .string()
        .regex(/^\d{1,20}$/)
        .optional(),
    }),
    showSessions,
  ),
  'ike-security-associations': view(
    z.strictObject({
      gateway: name,
      peer: z.string().max(300).optional(),
      level: z.enum(['detail']).optional(),
    }),
    showIkeSas,
  ),
  'ike-statistics': view(z.strictObject({}), showIkeStatistics),
  'security-associations': view(z.strictObject({ vpn: name }), showSas),
  'traffic-load-balance': view(
    z.strictObject({ instance: name, group: name, realService: name }),
    showLoadBalance,
  ),
  'forwarding-table': view(
    z.strictObject({ table: name, destination: z.string().max(63).optional() }),
    showForwardingTable,
  ),
  'load-balance-groups': view(z.strictObject({ group: z.string().max(255).optional() }), showGroups),
  'tunnel-map': view(z.strictObject({}), showTunnelMap),
  'tunnel-map-summary': view(z.strictObject({}), showTunnelMapSummary),
  'tunnel-distribution': view(z.strictObject({}), showTunnelDistribution),
  counters: view(z.strictObject({ all: z.boolean().optional() }), showCounters),
  'packet-drop': view(z.strictObject({ most: z.int().min(1).max(10_000).optional() }), showDrops),
  workers: view(z.strictObject({}), showWorkers),
  neighbours: view(z.strictObject({}), showNeighbours),
  ports: view(z.strictObject({}), showPorts),
};

/** Throws Error for what there is not. */
export function show(node: NodeView, what: string, params: Readonly<Record<string, unknown>>): object {
  if (!Object.hasOwn(views, what)) throw new Error(`nothing to show called ${what}`);
  return views[what as ViewName](node, params);
}
