/** IKE SAs as the reference documents print them. Pure. */
import type { IkeSaView, Views } from '../control/show/views.js';
import { tableText } from './output.js';

const stateText = (state: IkeSaView['state']) =>
  state === 'up' ? 'UP' : state === 'half-open' ? 'DOWN' : state.toUpperCase();

export function ikeSaText({ level, securityAssociations }: Views['ike-security-associations']): string[] {
  if (securityAssociations.length === 0) return [];
  if (level === 'detail') return securityAssociations.flatMap(detailText);
  const rows = securityAssociations.map((sa) => [
    String(sa.index),
    stateText(sa.state),
    sa.initiatorSpi,
    sa.responderSpi,
    'IKEv2',
    sa.remoteAddress,
  ]);
  const heads = ['Index', 'State', 'Initiator cookie', 'Responder cookie', 'Mode', 'Remote Address'];
  return [
    tableText(
      heads.map((head) => ({ head })),
      rows,
    ),
  ];
}

function detailText(sa: IkeSaView): string[] {
  const { algorithms, natTraversal } = sa;
  const method = { 'pre-shared-keys': 'Pre-shared-keys', certificates: 'Certificates' };
  const nat = [
    ...(natTraversal.localBehindNat ? ['Local'] : []),
    ...(natTraversal.remoteBehindNat ? ['Remote'] : []),
  ];
  return [
    `IKE peer ${sa.remoteAddress}, Index ${sa.index}, Gateway Name: ${sa.gateway ?? '-'}`,
    `  Role: ${sa.role === 'initiator' ? 'Initiator' : 'Responder'}, State: ${stateText(sa.state)}`,
    `  Initiator cookie: ${sa.initiatorSpi}, Responder cookie: ${sa.responderSpi}`,
    `  Exchange type: IKEv2, Authentication method: ${sa.authenticationMethod === null ? '-' : method[sa.authenticationMethod]}`,
    `  Local: ${sa.localAddress}:${sa.localPort}, Remote: ${sa.remoteAddress}:${sa.remotePort}`,
    `  Routing instance: ${sa.routingInstance}`,
    `  Lifetime: ${sa.lifetimeSeconds === null ? 'Expired' : `Expires in ${sa.lifetimeSeconds} seconds`}`,
    `  IKE Fragmentation: ${sa.fragmentation ? 'Enabled' : 'Disabled'}, NAT: ${nat.length === 0 ? 'None' : nat.join(' and ')}, Idle: ${sa.idleSeconds} seconds`,
    `  Peer ike-id: ${sa.remoteIdentity ?? '-'}`,
    '  Algorithms:',
    `   Authentication        : ${algorithms?.authentication ?? '-'}`,
    `   Encryption            : ${algorithms?.encryption ?? '-'}`,
    `   Pseudo random function: ${algorithms?.pseudoRandomFunction ?? '-'}`,
    `   Diffie-Hellman group  : ${algorithms?.dhGroup ?? '-'}`,
    `  IPSec security associations: ${sa.childSas.length}`,
    ...sa.childSas.flatMap((child) => [
      `    ${child.tunnel}: inbound ${child.inboundSpi}, outbound ${child.outboundSpi}, ${child.state}, expires in ${child.lifetimeSeconds} seconds`,
      `      Local: ${child.localSelectors.join(', ')}, Remote: ${child.remoteSelectors.join(', ')}`,
    ]),
    '',
  ];
}

export function ikeStatisticsText({
  up,
  halfOpen,
  established,
  refusals,
}: Views['ike-statistics']): string[] {
  const rows = refusals
    .filter(({ count }) => count > 0)
    .map(({ name, count, meaning }) => [name, String(count), meaning]);
  return [
    `IKE SAs up: ${up}     Half-open: ${halfOpen}     Established since the start: ${established}`,
    ...(rows.length === 0
      ? ['Nothing was refused']
      : [tableText([{ head: 'Refused' }, { head: 'Count', align: 'right' }, { head: 'Meaning' }], rows)]),
  ];
}
