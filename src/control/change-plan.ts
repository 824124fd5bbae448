/** What a new configuration means for a node that runs: what is to be done, and what cannot be. Pure. */
import type { Config, ManualSaConfig, PortConfig, PortKind, VpnConfig } from '../config/config.js';
import { type Change, diff } from '../config/diff.js';
import { type Refusal, refusals } from '../config/live.js';
import type { TunnelState } from '../node/state.js';

export interface TunnelChange {
  /** of the new configuration, keys and all */
  readonly vpn: VpnConfig;
  /** SPIs of inbound SAs that go on */
  readonly kept: readonly number[];
  readonly keepsOutbound: boolean;
}

export interface ChangePlan {
  readonly changes: readonly Change[];
  /** not empty: nothing is done */
  readonly refused: readonly Refusal[];
  readonly portsAdded: readonly PortConfig[];
  readonly portsRemoved: readonly string[];
  readonly tunnelsChanged: readonly TunnelChange[];
  readonly tunnelsRemoved: readonly string[];
}

/**
 * before and after have fingerprints in the place of keys; next is `after` with its keys. tunnels: those that there
 * are. mostWorkers: that there is room for.
 */
export function planChange(
  before: Config,
  after: Config,
  next: Config,
  tunnels: ReadonlyMap<string, TunnelState>,
  mostWorkers: number,
): ChangePlan {
  const changes = diff(before, after);
  // sessions go to the other node of a pair worker by worker
  const most = before.highAvailability === null ? mostWorkers : before.system.workers;
  const refused = [...refusals(changes, most), ...portRefusals(before, changes)];
  const portsAdded: PortConfig[] = [];
  const portsRemoved: string[] = [];
  const tunnelsChanged: TunnelChange[] = [];
  const tunnelsRemoved: string[] = [];
  const withKeys = new Map(next.vpns.map((vpn) => [vpn.name, vpn]));
  for (const change of changes) {
    if (change.section === 'port') {
      if (change.before === null) portsAdded.push(change.after!);
      if (change.after === null) portsRemoved.push(change.name);
    }
    if (change.section === 'vpn') {
      const vpn = withKeys.get(change.name);
      if (vpn === undefined) tunnelsRemoved.push(change.name);
      else tunnelsChanged.push({ vpn, ...kept(change.before, change.after!, tunnels.get(change.name)) });
    }
  }
  return { changes, refused, portsAdded, portsRemoved, tunnelsChanged, tunnelsRemoved };
}

function kept(before: VpnConfig | null, after: VpnConfig, tunnel: TunnelState | undefined) {
  if (before === null || tunnel === undefined) return { kept: [], keepsOutbound: false };
  const keys = new Map(before.manual.inbound.map((sa) => [sa.spi, sa]));
  const has = new Set(tunnel.inbound.map(({ spi }) => spi));
  const { outbound: was } = before.manual;
  const { outbound: is } = after.manual;
  return {
    kept: after.manual.inbound
      .filter((sa) => has.has(sa.spi) && sameKeys(keys.get(sa.spi), sa))
      .map(({ spi }) => spi),
    keepsOutbound: tunnel.outbound !== null && was.spi === is.spi && sameKeys(was, is),
  };
}

const sameKeys = (a: ManualSaConfig | undefined, b: ManualSaConfig): boolean =>
  a !== undefined &&
  a.algorithm === b.algorithm &&
  a.key.equals(b.key) &&
  (a.authenticationKey === null || b.authenticationKey === null
    ? a.authenticationKey === b.authenticationKey
    : a.authenticationKey.equals(b.authenticationKey));

/**
 * A port is opened anew only by way of being removed: two sockets on one interface would both receive every packet
 * for a moment.
 */
function portRefusals(before: Config, changes: readonly Change[]): Refusal[] {
  const taken = new Map(before.ports.flatMap(({ name, port }) => places(port).map((place) => [place, name])));
  return changes.flatMap((change): Refusal[] => {
    if (change.section !== 'port' || change.after === null) return [];
    const { before: was, after: is } = change;
    const path = `interfaces.${change.name}`;
    if (was !== null) {
      if (samePort(was, is)) return [];
      const what = was.mac?.join() !== is.mac?.join() ? 'mac' : was.mtu === is.mtu ? 'port' : 'mtu';
      const message = 'cannot change while it is open; apply a file without the interface first';
      return [{ path: `${path}.${what}`, message }];
    }
    const other = places(is.port)
      .map((place) => taken.get(place))
      .find((name) => name !== undefined);
    if (other === undefined) return [];
    const message = `is the port of ${other}, which goes; apply a file without either first`;
    return [{ path: `${path}.port`, message }];
  });
}

/** What a port has for itself. */
function places(port: PortKind): string[] {
  switch (port.kind) {
    case 'memory':
      return [`memory ${port.wire}`];
    case 'pcap':
      return port.write === null ? [] : [`pcap ${port.write}`];
    default:
      return [`interface ${port.interface}`];
  }
}

const samePort = (a: PortConfig, b: PortConfig) => identity(a) === identity(b);

/** What a port was opened with: the MTU of an interface of ours, too. */
const identity = ({ port, mac, mtu }: PortConfig) =>
  JSON.stringify([
    port,
    mac === null ? null : [...mac],
    port.kind === 'tun' || port.kind === 'tap' ? mtu : null,
  ]);
