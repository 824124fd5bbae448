/** What follows from the status of services redundancy groups: routes, addresses, announcements. */
import type { SignalRouteConfig, SrgConfig } from '../config/config.js';
import { tuning } from '../config/limits.js';
import { Prefix } from '../model/prefix.js';
import type { Route } from '../routing/route.js';
import { changeRoutes } from '../routing/table.js';
import type { Bytes } from '../wire/bytes.js';
import { arpOperation, encodeArp, encodeEthernet, etherType } from '../wire/ethernet.js';
import { encodeNeighbour, neighbourFlag } from '../wire/icmp.js';
import { encodeIp, ipProtocol } from '../wire/ip.js';
import type { NodeAction } from './event.js';
import type { Stepped } from './services.js';
import type { Announced, SrgHook } from './srg.js';
import { type NodeState, withDirty } from './state.js';
import { announcementsChanged } from './tunnels.js';

/** Routes of this node's making: they go and come with a status. */
export const isSrgRoute = ({ origin }: Pick<Route, 'origin'>) => origin.startsWith('srg ');

export const isOwned = (state: Pick<NodeState, 'srgs'>, { id }: Pick<SrgConfig, 'id'>) =>
  state.srgs.get(id)?.status === 'ACTIVE';

/** A group became ACTIVE, or is so no longer: addresses, SPIs, and what others were told of its tunnels. */
export const followStatus: SrgHook = (state, { id, from, to }, nowMs) => {
  if (from !== 'ACTIVE' && to !== 'ACTIVE') return { state, actions: [] };
  const dirty = withDirty(state, 'interfaces', 'spis', 'routes');
  const pair = dirty.redundancy!;
  const others = pair.announcing.filter(({ group }) => group !== id);
  const virtualIps = pair.config.groups.find((group) => group.id === id)?.virtualIps ?? [];
  const fresh =
    to === 'ACTIVE'
      ? virtualIps.map(({ index }, i): Announced => {
          const atMs = nowMs + Math.floor(i / tuning.pair.announceBurst) * tuning.pair.announceMs;
          return { group: id, index, rounds: tuning.pair.announceRounds, atMs };
        })
      : [];
  return announcementsChanged({ ...dirty, redundancy: { ...pair, announcing: [...others, ...fresh] } });
};

/** The routes that the groups' statuses bring: signal routes, and virtual addresses as the node's own. */
export function settleRoutes(state: NodeState, nowMs: number): NodeState {
  const wanted = routesOfStatuses(state, nowMs);
  if (wanted.keys === state.srgRoutes) return state;
  const there = state.srgRoutes;
  const isStale = (key: string) => there.has(key) && !wanted.keys.has(key);
  const routes = changeRoutes(state.routes, {
    removeIf: (route) => isSrgRoute(route) && isStale(keyOf(route)),
    add: wanted.routes.filter((route) => !there.has(keyOf(route))),
  });
  return withDirty({ ...state, routes, srgRoutes: wanted.keys }, 'routes');
}

interface StatusRoutes {
  readonly of: string;
  readonly routes: readonly Route[];
  readonly keys: ReadonlySet<string>;
}

const noRoutes: StatusRoutes = { of: '', routes: [], keys: new Set() };
/** They are asked for after every event, and there may be thousands of addresses: made anew only when a status changed. */
const made = new WeakMap<object, StatusRoutes>();

function routesOfStatuses(state: NodeState, nowMs: number): StatusRoutes {
  if (state.redundancy === null)
    return state.srgRoutes.size === 0 ? { ...noRoutes, keys: state.srgRoutes } : noRoutes;
  const { config } = state.redundancy;
  const of = [...state.srgs.values()]
    .map(({ id, status, verdict }) => `${id} ${status} ${verdict.failed}`)
    .join();
  const known = made.get(config);
  // another node of the process may go by the same configuration: then it is made twice
  if (known?.of === of) return known;
  const routes = wantedRoutes(state, nowMs);
  const fresh = { of, routes, keys: new Set(routes.map(keyOf)) };
  made.set(config, fresh);
  return fresh;
}

const keyOf = ({ routingInstance, prefix, origin }: Route) => `${routingInstance} ${prefix} ${origin}`;

function wantedRoutes({ redundancy, srgs, config }: NodeState, sinceMs: number): Route[] {
  return (redundancy?.config.groups ?? []).flatMap((group) => {
    const node = srgs.get(group.id);
    const of = (route: SignalRouteConfig | null, name: string): Route[] =>
      route === null
        ? []
        : [
            {
              routingInstance: route.routingInstance,
              prefix: Prefix.host(route.address),
              protocol: 'signal',
              origin: `srg ${group.id} ${name}`,
              nextHop: { kind: 'discard' },
              sinceMs,
            },
          ];
    if (node === undefined) return [];
    if (group.id === 0)
      return node.verdict.failed ? of(group.installOnFailureRoute, 'install-on-failure') : [];
    if (node.status === 'BACKUP') return of(group.backupSignalRoute, 'backup');
    if (node.status !== 'ACTIVE') return [];
    const own = group.virtualIps.map(({ address, interface: name, index }): Route => {
      const routingInstance = config!.interfaces.find((each) => each.name === name)!.routingInstance;
      return {
        routingInstance,
        prefix: Prefix.host(address.address),
        protocol: 'local',
        origin: `srg ${group.id} virtual-ip ${index}`,
        nextHop: { kind: 'local', interface: name },
        sinceMs,
      };
    });
    return [...of(group.activeSignalRoute, 'active'), ...own];
  });
}

/** Virtual addresses that this node answers for on a logical interface. */
export function virtualAddressesOn(state: NodeState, interfaceName: string): Bytes[] {
  return (state.redundancy?.config.groups ?? []).flatMap((group) =>
    isOwned(state, group)
      ? group.virtualIps
          .filter(({ interface: name }) => name === interfaceName)
          .map(({ address }) => address.address.bytes)
      : [],
  );
}

/** Gratuitous ARP and unsolicited neighbour advertisements that are due, so many at a time. */
export function announceAddresses(state: NodeState, nowMs: number): Stepped {
  const { redundancy: pair } = state;
  if (pair === null || pair.announcing.every(({ atMs }) => atMs > nowMs)) return { state, actions: [] };
  const { announceBurst, announceAgainMs, announceMs } = tuning.pair;
  const announcing: Announced[] = [];
  const frames: { port: number; frame: Bytes }[] = [];
  for (const each of pair.announcing) {
    if (each.atMs > nowMs) announcing.push(each);
    // a clock that jumped does not send all at once
    else if (frames.length >= announceBurst) announcing.push({ ...each, atMs: nowMs + announceMs });
    else {
      frames.push(...framesOf(state, each));
      if (each.rounds > 1)
        announcing.push({ ...each, rounds: each.rounds - 1, atMs: nowMs + announceAgainMs });
    }
  }
  const actions: NodeAction[] = frames.length === 0 ? [] : [{ kind: 'inject', frames }];
  return { state: { ...state, redundancy: { ...pair, announcing } }, actions };
}

const broadcast = new Uint8Array(6).fill(0xff);
const allNodes = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const allNodesMac = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);

function framesOf(
  { redundancy, config, setup }: NodeState,
  { group, index }: Announced,
): { port: number; frame: Bytes }[] {
  const virtual = redundancy!.config.groups
    .find(({ id }) => id === group)
    ?.virtualIps.find((each) => each.index === index);
  const onto = config!.interfaces.find(({ name }) => name === virtual?.interface);
  const port = setup.ports.get(onto?.port ?? '');
  if (virtual === undefined || onto === undefined || port === undefined) return [];
  const { mac } = port;
  const address = virtual.address.address.bytes;
  const vlan = onto.vlanId ?? 0;
  if (address.length === 4) {
    // RFC 5227 §3: a request for it, from it
    const arp = encodeArp({
      operation: arpOperation.request,
      senderMac: mac,
      senderIp: address,
      targetMac: new Uint8Array(6),
      targetIp: address,
    });
    const header = { destination: broadcast, source: mac, type: etherType.arp, vlan };
    return [{ port: port.index, frame: encodeEthernet(header, arp) }];
  }
  // RFC 4861 §7.2.6
  const packet = { version: 6, source: address, destination: allNodes } as const;
  const flags = neighbourFlag.router | neighbourFlag.override;
  const message = encodeNeighbour(packet, { isSolicitation: false, flags, target: address, linkLayer: mac });
  const ip = encodeIp({ ...packet, protocol: ipProtocol.icmpv6, ttl: 255 }, message);
  const header = { destination: allNodesMac, source: mac, type: etherType.ipv6, vlan };
  return [{ port: port.index, frame: encodeEthernet(header, ip) }];
}
