import type { ChildSa } from '../../ike/sa.js';
import { Address } from '../../model/address.js';
import { authentications } from '../../model/sa.js';
import type { TunnelState } from '../../node/state.js';
import { counters as definitions } from '../../pipeline/counters.js';
import type { SaStatus } from '../../pipeline/native.js';
import { childrenBySpi } from './ike.js';
import { type NodeView, protocolName } from './node-view.js';
import type { SasView, SaView, Views } from './views.js';

/** The SAs of every tunnel: inbound ones, then the outbound one. Nothing of a key but its length. */
export function showSas(view: NodeView, params: { vpn?: string | undefined }): SasView {
  const { state, dataplane, node } = view;
  const tunnels = [...state.tunnels.values()].filter(
    ({ tunnel: { name } }) =>
      params.vpn === undefined || name === params.vpn || name.startsWith(`${params.vpn}/`),
  );
  const children = childrenBySpi(view);
  const statusOf = (direction: 'inbound' | 'outbound', indices: number[]) =>
    new Map(dataplane.native.saStatus(node, direction, indices).map((status) => [status.index, status]));
  const inbound = statusOf(
    'inbound',
    tunnels.flatMap((tunnel) => tunnel.inbound.map(({ index }) => index)),
  );
  const outbound = statusOf(
    'outbound',
    tunnels.flatMap(({ outbound: sa }) => (sa === null ? [] : [sa.index])),
  );
  return {
    activeTunnels: tunnels.filter(({ outbound: sa }) => sa !== null).length,
    securityAssociations: tunnels.flatMap((tunnel) => [
      ...tunnel.inbound.map((sa) =>
        saView(view, tunnel, 'inbound', sa.spi, inbound.get(sa.index), children.get(sa.spi)),
      ),
      saView(
        view,
        tunnel,
        'outbound',
        tunnel.outbound?.spi ?? 0,
        tunnel.outbound === null ? undefined : outbound.get(tunnel.outbound.index),
        children.get(tunnel.outbound?.spi ?? 0),
      ),
    ]),
    generation: view.generation,
  };
}

function saView(
  { state, nowMs }: NodeView,
  { tunnel }: TunnelState,
  direction: 'inbound' | 'outbound',
  spi: number,
  status: SaStatus | undefined,
  child: ChildSa | undefined,
): SaView {
  const vpn = state.config?.vpns.find(({ name }) => name === tunnel.name);
  const { encryptionAlgorithm = 'aes-256-gcm', authenticationAlgorithm = null } = vpn?.manual ?? {};
  const [cipher, bits, mode] = encryptionAlgorithm.split('-');
  const hmac = child === undefined ? authenticationAlgorithm : child.suite.authentication;
  return {
    id: tunnel.id,
    vpn: tunnel.name,
    direction,
    algorithm:
      child === undefined
        ? `${cipher}-${mode}-${bits}`
        : `aes-${hmac === null ? 'gcm' : 'cbc'}-${child.suite.keyBits}`,
    authentication: hmac === null ? null : authentications[hmac].hash,
    spi: spi.toString(16).padStart(8, '0'),
    gateway: String(tunnel.gateway),
    port: tunnel.udp?.destinationPort ?? 500,
    lifetimeSeconds: child === undefined ? null : Math.max(0, Math.round((child.expireAtMs - nowMs) / 1000)),
    localAddress: String(tunnel.localAddress),
    routingInstance: tunnel.routingInstance,
    bindInterface: tunnel.bindInterface,
    state: status === undefined ? 'refused' : status.expired ? 'expired' : 'installed',
    packets: status?.packets ?? 0n,
    bytes: status?.bytes ?? 0n,
    sequence: status?.sequence ?? 0n,
    rekeyWanted: status?.rekeyWanted ?? false,
    worker: status?.anchor ?? 0,
    drops: Object.fromEntries(
      Object.entries(status?.drops ?? {}).filter(([, count]) => (count ?? 0n) > 0n),
    ) as Record<string, bigint>,
  };
}

/** What was dropped last, the newest first. */
export function showDrops(
  { state, dataplane, node, coreEpochMs, portNames }: NodeView,
  params: { most?: number | undefined },
): Views['packet-drop'] {
  const text = (bytes: Uint8Array | null) => (bytes === null ? null : String(new Address(bytes)));
  const records = dataplane.native.dropRecords(node, params.most ?? 100).map((record) => {
    const definition = definitions[record.reason];
    return {
      time: new Date(coreEpochMs + Number(record.timeNs) / 1e6).toISOString(),
      source: text(record.source),
      sourcePort: record.sourcePort,
      destination: text(record.destination),
      destinationPort: record.destinationPort,
      protocol: protocolName(record.protocol),
      identification: record.source?.length === 4 ? record.identification : null,
      port: portNames[record.port] || String(record.port),
      interface: state.numberings.interfaces.nameOf(record.interface) ?? null,
      reason: definition?.camelName ?? String(record.reason),
      words: definition?.words ?? '',
    };
  });
  return { records };
}
