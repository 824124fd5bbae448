/** A tunnel as the node sees it, whoever agrees on its keys: the configuration, an exchange, later IKE. */
import type { Config, HighAvailabilityConfig, LinkEncryptionConfig, VpnConfig } from '../config/config.js';
import type { Address } from '../model/address.js';
import { Prefix } from '../model/prefix.js';
import type { EspAlgorithm, UdpEncapsulation } from '../model/sa.js';
import type { Secret } from '../model/secret.js';
import type { GatewayKind } from './anchor.js';

export interface TunnelSelector {
  readonly local: Prefix;
  readonly remote: Prefix;
  /** 0 (or left out): any */
  readonly protocol?: number;
  /** both included; all when left out */
  readonly localPorts?: readonly [number, number];
  readonly remotePorts?: readonly [number, number];
}

export interface Tunnel {
  readonly name: string;
  /** the same for both directions and every rekey */
  readonly id: number;
  /** the peer's outer address, and ours */
  readonly gateway: Address;
  readonly localAddress: Address;
  /** how the gateway at the other end is anchored (anchor.ts); a number: on this unit, whatever its load */
  readonly anchoring: GatewayKind | number;
  /** where outer packets are routed */
  readonly routingInstance: string;
  /** st0 unit: its zone and routing instance are those of the decrypted packets */
  readonly bindInterface: string;
  /** local: our side; remote: the peer's, which gets the ARI route */
  readonly selectors: readonly TunnelSelector[];
  /** RFC 3948; none when left out */
  readonly udp?: UdpEncapsulation | null;
  /** of inner packets, in kilobytes, after which its keys are used up; none when left out */
  readonly lifetimeKilobytes?: number | null;
  readonly antiReplayWindowSize: number | null;
  readonly extendedSequenceNumber: boolean;
  readonly dfBit: 'clear' | 'set' | 'copy';
  readonly copyOuterDscp: boolean;
  readonly outerDscp: number | null;
  /**
   * null: an ARI route leads to it, by the remote prefix. Else it is one of many to the same place, and the routing
   * instance in which the source address decides.
   */
  readonly bySource: string | null;
  /** where the routes into it are, when not in the instance of the interface that it is bound to */
  readonly routedIn?: string;
  /** when routers hear of it: once it has keys, or (manual keys, which many gateways have) once a packet proved it here */
  readonly announced: 'when-keyed' | 'when-proven';
}

export interface SaKey {
  readonly spi: number;
  /** 'aes-gcm' when left out */
  readonly algorithm?: EspAlgorithm;
  /** AES key, with AES-GCM the 4-byte salt behind it */
  readonly key: Secret;
  /** AES-CBC's HMAC has a key of its own */
  readonly authenticationKey?: Secret | null;
  /** inbound, of a key that was used before: everything up to it counts as seen */
  readonly highestSequence?: bigint;
}

/** Keys for a tunnel; those that it had before go, unless they are kept. */
export interface TunnelKeys {
  readonly tunnel: Tunnel;
  readonly inbound: readonly SaKey[];
  /** SPIs of its inbound SAs that go on, windows and all; none when left out */
  readonly kept?: readonly number[];
  /** null: the SA that it has goes on, numbers and all */
  readonly outbound: SaKey | null;
  /**
   * 0…4095: this node's generation since the key was first used here, part of every IV (specs: node-id | epoch |
   * counter). null: unknown, or no longer 12 bits, so nothing is sealed.
   */
  readonly epoch: number | null;
  /** the other node of a pair seals with it: nothing is sealed here until this node takes over */
  readonly isDormant?: boolean;
  /** outbound; 1 unless the keys were used before and the peer's window is where it was */
  readonly nextSequence: bigint;
}

/** The tunnels of a configuration with manual keys. epoch: see TunnelKeys; nextSequence: of an outbound SA. */
export function manualTunnels(
  { vpns, highAvailability }: Pick<Config, 'vpns'> & Partial<Pick<Config, 'highAvailability'>>,
  epoch: number | null,
  nextSequence: (vpn: Omit<VpnConfig, 'bindInterface'>) => bigint = () => 1n,
): TunnelKeys[] {
  const keys = vpns.map((vpn, id) => ({
    tunnel: manualTunnel(vpn, id),
    inbound: vpn.manual.inbound,
    outbound: vpn.manual.outbound,
    epoch,
    nextSequence: nextSequence(vpn),
    ...(isOfGroup(highAvailability ?? null, vpn.manual) ? { isDormant: true } : {}),
  }));
  const link = highAvailability?.peer.linkEncryption ?? null;
  if (link === null) return keys;
  return [
    ...keys,
    {
      tunnel: linkTunnel(highAvailability!, link),
      inbound: link.manual.inbound,
      outbound: link.manual.outbound,
      epoch,
      nextSequence: nextSequence(link),
    },
  ];
}

/** The services redundancy group (from 1 on) that a tunnel goes with; null: none. */
export function groupOf(
  pair: HighAvailabilityConfig | null,
  { localAddress, routingInstance }: Pick<Tunnel, 'localAddress' | 'routingInstance'>,
): number | null {
  const group = pair?.groups.find(
    ({ id, managesIpsec, prefixes }) =>
      id > 0 &&
      managesIpsec &&
      prefixes.some((each) => each.routingInstance === routingInstance && each.prefix.contains(localAddress)),
  );
  return group?.id ?? null;
}

const isOfGroup = (...args: Parameters<typeof groupOf>) => groupOf(...args) !== null;

/** What encrypts the interchassis link has a number of its own, which no VPN comes to. */
export const linkTunnelId = 0x3fff_ffff;
/**
 * Where packets into the interchassis link's tunnel are routed: inner and outer packets have the same addresses, so in
 * the link's own routing instance one would go round for ever. No configuration can have the name.
 */
export const linkInstance = '(interchassis link)';

function linkTunnel(pair: HighAvailabilityConfig, vpn: LinkEncryptionConfig): Tunnel {
  const { peer, localIp } = pair;
  return {
    ...manualTunnel({ ...vpn, bindInterface: peer.interface }, linkTunnelId),
    selectors: [{ local: Prefix.host(localIp), remote: Prefix.host(peer.ip) }],
    routedIn: linkInstance,
    announced: 'when-proven',
  };
}

/**
 * The IKE gateway that a tunnel runs over, which all IPsec sessions of one are anchored with: tunnels of the same local and
 * remote gateway addresses are on the same unit (reference: IPsec VPN overview).
 */
export const gatewayOf = ({ routingInstance, localAddress, gateway }: Tunnel): string =>
  `${routingInstance} ${localAddress} ${gateway}`;

/** id: see Tunnel. */
export function manualTunnel(vpn: VpnConfig, id: number): Tunnel {
  const { gateway, localAddress, routingInstance } = vpn.manual;
  return {
    name: vpn.name,
    id,
    gateway,
    localAddress,
    anchoring: 'site-to-site',
    routingInstance,
    bindInterface: vpn.bindInterface,
    selectors: vpn.trafficSelectors.map(({ localIp, remoteIp }) => ({ local: localIp, remote: remoteIp })),
    antiReplayWindowSize: vpn.antiReplayWindowSize,
    extendedSequenceNumber: vpn.extendedSequenceNumber,
    dfBit: vpn.dfBit,
    copyOuterDscp: vpn.copyOuterDscp,
    outerDscp: vpn.outerDscp,
    bySource: null,
    announced: 'when-proven',
  };
}
