import { noMember } from '../../lb/chash.js';
import { type Group, memberStatistic } from '../../node/state.js';
import { adjacencies } from '../../routing/table.js';
import type { CheckView } from '../probe/monitor.js';
import type { NodeView } from './node-view.js';
import type { LoadBalanceGroupView, ProbeView, RealServiceView, Views, VirtualServiceView } from './views.js';

export interface LoadBalanceParams {
  readonly instance?: string | undefined;
  readonly group?: string | undefined;
  readonly realService?: string | undefined;
}

/**
 * Each virtual service with its real services. params: of one instance (its own name, or the routing instance of the
 * virtual service), one group, or one real service only; throws when there is none.
 */
export function showLoadBalance(view: NodeView, params: LoadBalanceParams): Views['traffic-load-balance'] {
  const found = [...view.state.groups].flatMap(([key, group]) =>
    group.service === null ? [] : [{ key, group }],
  );
  const chosen = found
    .filter(({ group: { instance, service } }) =>
      [instance, service!.config.routingInstance].includes(params.instance ?? instance),
    )
    .filter(({ group: { service } }) => service!.group.name === (params.group ?? service!.group.name))
    .map(({ key, group }) => virtualServiceView(view, key, group))
    .map((service) => ({
      ...service,
      realServices: service.realServices.filter(({ name }) => name === (params.realService ?? name)),
    }))
    .filter(({ realServices }) => realServices.length > 0);
  if (chosen.length === 0) complain(found, params);
  return { virtualServices: chosen };
}

function complain(found: readonly { readonly group: Group }[], params: LoadBalanceParams): void {
  const wanted = [
    ['instance', params.instance, found.map(({ group }) => group.instance)],
    ['group', params.group, found.map(({ group }) => group.service!.group.name)],
    ['real service', params.realService, found.flatMap(({ group }) => group.members.map(({ name }) => name))],
  ] as const;
  for (const [kind, name, known] of wanted) {
    if (name === undefined || (known.includes(name) && kind !== 'real service')) continue;
    const names = [...new Set(known)];
    const shown = `${names.slice(0, 20).join(', ')}${names.length > 20 ? ', …' : ''}`;
    throw new Error(
      `no ${kind} ${name}${shown === '' ? '; this node balances nothing' : `; there is ${shown}`}`,
    );
  }
}

function virtualServiceView(view: NodeView, key: string, of: Group): VirtualServiceView {
  const { instance, members, slots, sinceMs, installed, digest } = of;
  const { config: service, group } = of.service!;
  const config = view.state.config!.trafficLoadBalance.find(({ name }) => name === instance)!;
  const counts = slotCounts(slots);
  const realServices = members.map((member, i) => realServiceView(view, key, of, member, counts.get(i) ?? 0));
  const total = (what: (real: RealServiceView) => bigint) =>
    realServices.reduce((sum, real) => sum + what(real), 0n);
  const active = realServices.filter(({ status }) => status === 'UP').length;
  return {
    instance,
    interface: config.interface,
    interfaceState: active > 0 ? 'UP' : 'DOWN',
    interfaceType: 'Multi services',
    routeHoldTimerSeconds: config.routeHoldSeconds,
    routeInstalled: installed !== null,
    activeRealServices: active,
    totalRealServices: realServices.length,
    virtualService: service.name,
    address: String(service.address),
    mode: 'Direct Server Return mode',
    routingInstance: service.routingInstance,
    group: group.name,
    healthCheckInterfaceSubunit: group.healthCheckInterfaceSubunit,
    nextHopIndex: [...view.state.groups.keys()].indexOf(key) + 1,
    whenAllDown: group.whenAllDown,
    slots: slots.length,
    digest: digestText(digest),
    upSeconds: seconds(view.nowMs - sinceMs),
    packetsSent: total(({ packetsSent }) => packetsSent),
    bytesSent: total(({ bytesSent }) => bytesSent),
    realServices,
  };
}

function realServiceView(
  { state, dataplane, node, nowMs, checksOf }: NodeView,
  groupKey: string,
  { routingInstance }: Group,
  { name, address, weight, key }: Group['members'][number],
  slots: number,
): RealServiceView {
  const service = state.services.get(key);
  const statistic = state.numberings.statistics.of(memberStatistic(groupKey, name));
  const [sent] = dataplane.native.statistics(node, [statistic]);
  return {
    name,
    address: String(address),
    drained: state.drained.has(key),
    status: service?.up === true ? 'UP' : 'DOWN',
    packetsSent: sent?.packets ?? 0n,
    bytesSent: sent?.bytes ?? 0n,
    packetsReceived: null,
    bytesReceived: null,
    sinceSeconds: seconds(nowMs - (service?.sinceMs ?? nowMs)),
    neighbour: service?.neighbour ?? 'unknown',
    session: service?.session ?? 'none',
    weight,
    routingInstance,
    probes: checksOf(key).map(probeView),
    slots,
  };
}

function probeView({ profile, probe, settings, state }: CheckView): ProbeView {
  return {
    profile,
    type: probe.kind,
    port: 'port' in probe ? probe.port : null,
    intervalSeconds: settings.intervalMs / 1000,
    timeoutSeconds: settings.timeoutMs / 1000,
    failureRetries: settings.failureRetries,
    recoveryRetries: settings.recoveryRetries,
    state: state.up === null ? 'UNKNOWN' : state.up ? 'UP' : 'DOWN',
    sent: state.sent,
    succeeded: state.succeeded,
    failed: state.failed,
    timedOut: state.timedOut,
    consecutiveSuccesses: state.successes,
    consecutiveFailures: state.failures,
    wentUp: state.wentUp,
    wentDown: state.wentDown,
    roundTripMilliseconds: state.roundTripMs === null ? null : Math.round(100 * state.roundTripMs) / 100,
    message: state.message,
  };
}

/** Every group: of virtual services and of ECMP routes. params.group: one only; throws when there is none. */
export function showGroups(
  view: NodeView,
  { group: wanted }: { group?: string | undefined },
): Views['load-balance-groups'] {
  const groups = [...view.state.groups].filter(([key]) => wanted === undefined || key === wanted);
  if (wanted !== undefined && groups.length === 0) {
    const names = [...view.state.groups.keys()].slice(0, 20).join(', ');
    throw new Error(`no group ${wanted}${names === '' ? '; this node has none' : `; there is ${names}`}`);
  }
  return {
    hostName: view.state.config?.system.hostName ?? '',
    groups: groups.map(([key, group]) => groupView(view, key, group)),
  };
}

function groupView({ state, dataplane, node }: NodeView, key: string, group: Group): LoadBalanceGroupView {
  const { kind, route, hash, sticky, slots, digest, members, routingInstance } = group;
  const resolve = adjacencies(state.routes);
  const counts = slotCounts(slots);
  const sent = dataplane.native.statistics(
    node,
    members.map(({ name }) => state.numberings.statistics.of(memberStatistic(key, name))),
  );
  return {
    name: key,
    kind,
    loadBalance: route?.ecmp.loadBalance ?? null,
    hashKey: hash.key,
    hashFunction: hash.function,
    hashSeed: hash.seed,
    mode: sticky === null ? 'consistent-hash' : 'sticky',
    slots: slots.length,
    digest: digestText(digest),
    members: members.map(({ name, address, weight, key: service }, i) => ({
      name,
      address: String(address),
      via: resolve(routingInstance, address)?.interface ?? null,
      status: state.services.get(service)?.up === true ? 'UP' : 'DOWN',
      weight,
      slots: counts.get(i) ?? 0,
      packetsSent: sent[i]!.packets,
      bytesSent: sent[i]!.bytes,
    })),
  };
}

function slotCounts(slots: Uint16Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const member of slots) if (member !== noMember) counts.set(member, (counts.get(member) ?? 0) + 1);
  return counts;
}

export const digestText = (digest: bigint): string => digest.toString(16).padStart(16, '0');

const seconds = (ms: number) => Math.max(0, Math.floor(ms / 1000));
