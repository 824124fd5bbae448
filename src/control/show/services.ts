import type { Config } from '../../config/config.js';
import { type Group, memberStatistic, realServiceKey } from '../../node/state.js';
import type { NodeView } from './node-view.js';
import type { RealServiceView, Views, VirtualServiceView } from './views.js';

/** Each virtual service with its real services. params.instance: of one instance only; throws when there is none. */
export function showLoadBalance(
  view: NodeView,
  params: { instance?: string | undefined },
): Views['traffic-load-balance'] {
  const instances = view.state.config?.trafficLoadBalance ?? [];
  const { instance: wanted } = params;
  // the reference asks by the forwarding instance of the virtual service, too
  const isWanted = ({ instance, service }: Group) =>
    wanted === undefined || instance === wanted || service.routingInstance === wanted;
  const groups = [...view.state.groups].filter(([, group]) => isWanted(group));
  if (wanted !== undefined && groups.length === 0) {
    const names = instances.map(({ name }) => name).join(', ');
    throw new Error(
      `no instance ${wanted}${names === '' ? '; this node balances nothing' : `; there is ${names}`}`,
    );
  }
  return { virtualServices: groups.map(([key, group]) => virtualServiceView(view, instances, key, group)) };
}

function virtualServiceView(
  view: NodeView,
  instances: Config['trafficLoadBalance'],
  key: string,
  { instance, service, group, slots, sinceMs }: Group,
): VirtualServiceView {
  const slotsOf = new Map<number, number>();
  for (const member of slots) slotsOf.set(member, (slotsOf.get(member) ?? 0) + 1);
  const realServices = group.realServices.map((real, member) =>
    realServiceView(view, key, instance, real, slotsOf.get(member) ?? 0),
  );
  const total = (of: (service: RealServiceView) => bigint) =>
    realServices.reduce((sum, real) => sum + of(real), 0n);
  const active = realServices.filter(({ status }) => status === 'UP').length;
  return {
    instance,
    interface: instances.find(({ name }) => name === instance)!.interface,
    interfaceState: active > 0 ? 'UP' : 'DOWN',
    activeRealServices: active,
    totalRealServices: realServices.length,
    virtualService: service.name,
    address: String(service.address),
    mode: 'Direct Server Return mode',
    routingInstance: service.routingInstance,
    group: group.name,
    slots: slots.length,
    upSeconds: seconds(view.nowMs - sinceMs),
    packetsSent: total(({ packetsSent }) => packetsSent),
    bytesSent: total(({ bytesSent }) => bytesSent),
    realServices,
  };
}

function realServiceView(
  { state, dataplane, node, nowMs }: NodeView,
  groupKey: string,
  instance: string,
  { name, address }: Group['group']['realServices'][number],
  slots: number,
): RealServiceView {
  const service = state.services.get(realServiceKey(instance, name));
  const statistic = state.numberings.statistics.of(memberStatistic(groupKey, name));
  const [sent] = dataplane.native.statistics(node, [statistic]);
  return {
    name,
    address: String(address),
    drained: state.drained.has(realServiceKey(instance, name)),
    status: service?.up === true ? 'UP' : 'DOWN',
    packetsSent: sent?.packets ?? 0n,
    bytesSent: sent?.bytes ?? 0n,
    sinceSeconds: seconds(nowMs - (service?.sinceMs ?? nowMs)),
    neighbour: service?.neighbour ?? 'unknown',
    session: service?.session ?? 'none',
    slots,
  };
}

const seconds = (ms: number) => Math.max(0, Math.floor(ms / 1000));
