import type { Address } from '../../model/address.js';
import { sharedNameTag } from '../../model/name-tag.js';
import { Secret } from '../../model/secret.js';
import { notAHost, parseAddress } from '../address.js';
import type {
  HaGroupConfig,
  HaPeerConfig,
  HaSyncConfig,
  HighAvailabilityConfig,
  IcdConfig,
  InterfaceConfig,
  LinkEncryptionConfig,
  LivenessConfig,
  RoutingInstanceConfig,
  SrgConfig,
  VpnConfig,
} from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import type { Reach } from './interfaces.js';
import { compileGroups } from './redundancy-groups.js';
import { readSecret } from './vpns.js';

type Document = NonNullable<NonNullable<ConfigDocument['chassis']>['high-availability']>;
type PeerDocument = Document['peer-id'][string];
type LivenessDocument = NonNullable<PeerDocument['liveness-detection']>;

/** What of the rest a pair is checked against. */
export interface Around {
  readonly interfaces: readonly InterfaceConfig[];
  readonly routingInstances: readonly RoutingInstanceConfig[];
  readonly vpns: readonly VpnConfig[];
  readonly linkEncryption: LinkEncryptionConfig | null;
  readonly reach: Reach;
}

export const pairPath: Path = ['chassis', 'high-availability'];

export function compileHighAvailability(context: Context, around: Around): HighAvailabilityConfig | null {
  const pair = context.document.chassis?.['high-availability'];
  if (pair === undefined) return null;
  const local = pair['local-id'];
  checkLocalId(context, local.id);
  const peers = Object.entries(pair['peer-id']);
  const [first] = peers;
  if (first === undefined) {
    context.report([...pairPath, 'peer-id'], 'empty; write the other node', 'key');
    return null;
  }
  for (const [id] of peers.slice(1)) {
    context.report([...pairPath, 'peer-id', id], `a second peer; a pair has two nodes`, 'key');
  }
  const [id, document] = first;
  const peer = compilePeer(context, Number(id), document, pair, around);
  const haGroups = Object.entries(pair['ha-group'] ?? {}).map(
    ([name, group]): HaGroupConfig => ({ name, static: group?.static ?? null }),
  );
  checkNames(context);
  const groups = compileGroups(context, pair, peer, around);
  checkVpnsSafe(context, groups, peer, id);
  return {
    localId: local.id,
    localIp: parseAddress(local['local-ip'])!,
    peer,
    groups,
    haGroups,
    sync: compileSync(context, pair),
  };
}

/** Zones and routing instances go by tags of their names between the nodes. */
function checkNames(context: Context): void {
  for (const path of [['security', 'zones', 'security-zone'], ['routing-instances']]) {
    const shared = sharedNameTag([...context.names(...path), 'default']);
    if (shared !== null)
      context.report(
        [...path, shared[1]],
        `cannot be told from ${shared[0]} between the nodes of a pair; rename it`,
        'key',
      );
  }
}

function checkLocalId(context: Context, id: number): void {
  const path = [...pairPath, 'local-id', 'id'];
  const node = context.document.system['node-id'];
  const { least, most } = limits.nodeId;
  if (node !== undefined && node !== id)
    context.report(path, `${id}, but system.node-id is ${node}; write the same, or leave that out`);
  if (Object.hasOwn(context.document.chassis!['high-availability']!['peer-id'], String(id)))
    context.report(
      path,
      `${id} is the peer's, too: their IVs would be the same; number the nodes apart, ${least} to ${most}`,
    );
}

function compilePeer(
  context: Context,
  id: number,
  document: PeerDocument,
  pair: Document,
  around: Around,
): HaPeerConfig {
  const path = [...pairPath, 'peer-id', String(id)];
  const { 'local-ip': localIp, 'local-forwarding-ip': localForwarding } = pair['local-id'];
  if (id === 0) context.report(path, 'a node has a number from 1 to 15', 'key');
  const link = compileLink(context, around, {
    path,
    localPath: [...pairPath, 'local-id', 'local-ip'],
    peerPath: [...path, 'peer-ip'],
    local: parseAddress(localIp)!,
    peer: parseAddress(document['peer-ip'])!,
    interface: document.interface,
    routingInstance: document['routing-instance'],
  });
  const profile = document['vpn-profile'];
  if (profile !== undefined) {
    const at = [...path, 'vpn-profile'];
    const known = context.refer(at, 'VPN', profile, ['security', 'ipsec', 'vpn']);
    if (known && around.linkEncryption === null && context.sound('security', 'ipsec'))
      context.report(at, `VPN ${profile} is not for the ICL; write ha-link-encryption in it`);
  }
  return {
    id,
    ip: parseAddress(document['peer-ip'])!,
    interface: link.interface,
    routingInstance: link.routingInstance,
    liveness: compileLiveness(context, [...path, 'liveness-detection'], document['liveness-detection']),
    linkEncryption: profile === undefined ? null : around.linkEncryption,
    forwarding: compileIcd(context, path, document, localForwarding, around),
  };
}

/** The ICD has both its ends, or neither. */
function compileIcd(
  context: Context,
  peerPath: Path,
  peer: PeerDocument,
  localIp: string | undefined,
  around: Around,
): IcdConfig | null {
  const document = peer['peer-forwarding-ip'];
  const path = [...peerPath, 'peer-forwarding-ip'];
  const localPath = [...pairPath, 'local-id', 'local-forwarding-ip'];
  if (document === undefined || localIp === undefined) {
    if (document !== undefined)
      context.report(localPath, 'missing; write our end of the ICD, or leave peer-forwarding-ip out', 'key');
    if (localIp !== undefined)
      context.report(
        path,
        'missing; write the other end of the ICD, or leave local-forwarding-ip out',
        'key',
      );
    return null;
  }
  const link = compileLink(context, around, {
    path,
    localPath,
    peerPath: [...path, 'ip'],
    local: parseAddress(localIp)!,
    peer: parseAddress(document.ip)!,
    interface: document.interface,
    routingInstance: document['routing-instance'],
  });
  if (peer['vpn-profile'] === undefined)
    context.warn(
      path,
      'packets of the ICD are not authenticated: the key is derived from that of the ICL; name a VPN with ha-link-encryption in vpn-profile',
      'key',
    );
  return {
    localIp: parseAddress(localIp)!,
    peerIp: parseAddress(document.ip)!,
    ...link,
    liveness: compileLiveness(context, [...path, 'liveness-detection'], document['liveness-detection']),
  };
}

interface LinkDocument {
  readonly path: Path;
  readonly localPath: Path;
  readonly peerPath: Path;
  readonly local: Address;
  readonly peer: Address;
  readonly interface: string;
  readonly routingInstance: string | undefined;
}

/** Both ends of the ICL or the ICD: one address on the interface, the other reached from its routing instance. */
function compileLink(
  context: Context,
  { interfaces, reach }: Around,
  link: LinkDocument,
): { interface: string; routingInstance: string } {
  const { path, local, peer, localPath, peerPath } = link;
  const name = context.referInterface([...path, 'interface'], link.interface);
  if (link.routingInstance !== undefined)
    context.referInstance([...path, 'routing-instance'], link.routingInstance);
  const entry = interfaces.find((each) => each.name === name);
  const routingInstance = link.routingInstance ?? entry?.routingInstance ?? 'default';
  const found = { interface: name ?? link.interface, routingInstance };
  const reason = notAHost(peer);
  if (reason !== undefined) {
    context.report(peerPath, `${peer} is ${reason}; write the peer's address`);
    return found;
  }
  if (peer.family !== local.family) {
    context.report(peerPath, `${peer} is ${peer.family}, our end ${local} is not`);
    return found;
  }
  if (entry === undefined || !context.sound('interfaces') || !context.sound('routing-instances'))
    return found;
  if (!entry.addresses.some(({ address }) => address.equals(local)))
    context.report(localPath, `${local} is no address of ${entry.name}, the interface of this link`);
  else if (reach.instanceOfOwn(String(peer)) !== undefined)
    context.report(peerPath, `${peer} is an address of this node; write the peer's address`);
  else if (entry.routingInstance !== routingInstance)
    context.report(
      [...path, 'routing-instance'],
      `${routingInstance}, but ${entry.name} is in routing instance ${entry.routingInstance}`,
    );
  else if (context.sound('routing-options') && !reach.reaches(routingInstance, String(peer)))
    context.report(peerPath, `no route to ${peer} in routing instance ${routingInstance}`);
  return found;
}

export function compileLiveness(
  context: Context,
  path: Path,
  document: LivenessDocument | undefined,
): LivenessConfig {
  const { intervalMs, multiplier } = limits.highAvailability.liveness;
  const interval = document?.['minimum-interval'] ?? intervalMs.fallback;
  const said = document?.authentication;
  const key =
    said === undefined
      ? undefined
      : readSecret(context, [...path, 'authentication', 'key'], said.key, {
          least: 1,
          most: 20,
          wanted: 'SHA1 authentication wants 2 to 40 hexadecimal digits',
        });
  return {
    minimumIntervalMs: interval,
    minimumReceiveIntervalMs: document?.['minimum-receive-interval'] ?? interval,
    multiplier: document?.multiplier ?? multiplier.fallback,
    authentication:
      said === undefined
        ? null
        : {
            algorithm: said.algorithm ?? 'keyed-sha-1',
            keyId: said['key-id'],
            key: key ?? new Secret(new Uint8Array(1)),
          },
  };
}

/** Keys of SAs cross the ICL, so what terminates IPsec has it encrypted. */
function checkVpnsSafe(
  context: Context,
  groups: readonly SrgConfig[],
  peer: HaPeerConfig,
  peerId: string,
): void {
  const path = [...pairPath, 'peer-id', peerId, 'vpn-profile'];
  if (
    peer.linkEncryption !== null ||
    context.document.chassis!['high-availability']!['peer-id'][peerId]?.['vpn-profile'] !== undefined
  )
    return;
  const group = groups.find(({ managesIpsec }) => managesIpsec);
  if (group !== undefined)
    context.report(
      path,
      `missing; keys of services-redundancy-group ${group.id} cross the ICL: name a VPN with ha-link-encryption`,
      'key',
    );
}

function compileSync(context: Context, pair: Document): HaSyncConfig {
  const { oseqShift, periodPackets, periodSeconds, packetRate, roundTripSeconds } =
    limits.highAvailability.sync;
  const said = pair['seqnum-sync'];
  const replicate = pair['replicate-services'];
  const sync: HaSyncConfig = {
    oseqShift: said?.['oseq-shift'] ?? oseqShift.fallback,
    periodPackets: said?.['sync-period-packets'] ?? periodPackets.fallback,
    periodMs: 1000 * (said?.['sync-period-time'] ?? periodSeconds.fallback),
    packetRate: said?.['packet-rate'] ?? packetRate.fallback,
    replicateSessions: replicate?.['disable-replication-capability'] === undefined,
  };
  const path = [...pairPath, 'seqnum-sync'];
  if (sync.periodPackets === 0 && sync.periodMs === 0) {
    context.report(
      [...path, 'sync-period-packets'],
      'off, and so is sync-period-time: the peer would never know; write one of them',
    );
    return sync;
  }
  // the next update leaves after as many packets, or when the period has passed
  const periods = [
    ...(sync.periodPackets === 0 ? [] : [sync.periodPackets / sync.packetRate]),
    ...(sync.periodMs === 0 ? [] : [sync.periodMs / 1000]),
  ];
  const wanted = Math.ceil(4 * sync.packetRate * (roundTripSeconds + Math.min(...periods)));
  if (sync.oseqShift < wanted)
    context.warn(
      pair['seqnum-sync'] === undefined ? pairPath : path,
      `oseq-shift ${sync.oseqShift} is too small for ${sync.packetRate} packets/s: ${wanted} is four times what is sent between two updates that the peer has`,
      'key',
    );
  return sync;
}
