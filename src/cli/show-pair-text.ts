/** The tables of `penstock show chassis high-availability …`, in the reference documents' words. Pure. */
import type { MonitorView, RedundancyGroupView, SynchronizationView, Views } from '../control/show/views.js';

const yes = (value: boolean) => (value ? 'YES' : 'NO');
const installed = (value: boolean) => (value ? 'INSTALLED' : 'NOT INSTALLED');
const upDown = (value: boolean) => (value ? 'UP' : 'DOWN');

export function highAvailabilityText(view: Views['high-availability']): string[] {
  const { level, nodeStatus, localId, localIp, localForwardingIp, peer, groups } = view;
  const { forwarding } = peer;
  return [
    'Node failure codes:',
    '    CS  Cold Sync monitoring',
    '',
    `Node Status: ${nodeStatus}`,
    `Local-id: ${localId}`,
    `Local-IP: ${localIp}`,
    ...(localForwardingIp === null ? [] : [`Local Forwarding IP: ${localForwardingIp}`]),
    'HA Peer Information:',
    '',
    `    Peer Id: ${peer.id}      IP address: ${peer.ip}    Interface: ${peer.interface}`,
    `    Routing Instance: ${peer.routingInstance}`,
    `    Encrypted: ${yes(peer.encrypted)}  Conn State: ${peer.connState}`,
    `    Configured BFD Detection Time: ${peer.detectionMultiplier} * ${peer.detectionIntervalMs}ms`,
    `    Cold Sync Status: ${peer.coldSyncStatus}`,
    ...(peer.interfaceScheme === 'different'
      ? ['    Interface Scheme: DIFFERENT (asymmetric flows are dropped)']
      : []),
    ...(forwarding === null
      ? []
      : [
          '    Internal Interface: ICD',
          `    Peer Forwarding IP: ${forwarding.ip}    Interface: ${forwarding.interface}`,
          `    Routing Instance: ${forwarding.routingInstance}  Conn State: ${forwarding.connState}`,
        ]),
    '',
    ...failureCodes,
    '',
    ...groups.flatMap((group) => [...groupText(group, level === 'detail'), '']),
    ...(level === 'detail' && view.synchronization !== null ? syncText(view.synchronization) : []),
  ];
}

/** What crosses the ICL. */
function syncText(sync: SynchronizationView): string[] {
  const { datagrams, objects, sessions, exposure } = sync;
  const dropped = Object.entries(datagrams.dropped).map(([why, count]) => `${count} ${why}`);
  return [
    'ICL Synchronization:',
    `    Connected: ${yes(sync.connected)}  Cold Sync of the peer: ${sync.peerColdSyncStatus}${sync.roundTripMs === null ? '' : `  Round trip: ${sync.roundTripMs} ms`}`,
    ...(sync.differing.length === 0
      ? []
      : [`    Configuration differs: ${sync.differing.join(', ')} (not synchronized)`]),
    `    Datagrams: ${datagrams.sent} sent (${datagrams.sentAgain} again), ${datagrams.received} received${dropped.length === 0 ? '' : `, dropped: ${dropped.join(', ')}`}`,
    `    Objects: ${objects.sent} sent, ${objects.taken} taken, ${objects.coalesced} coalesced, ${sync.queued} queued (full ${objects.queueFull} times), ${sync.underWay} datagrams under way`,
    `    Sessions: ${sessions.said} messages of ${sessions.said === 0 ? 0 : Math.round(sessions.saidBytes / sessions.said)} bytes, ${sessions.copied} copies made, ${sessions.updated} updated, ${sessions.closed} closed, ${sessions.refused} refused`,
    `    Session digests: ${sessions.digests} compared, ${sessions.mismatches} differ now; rings full ${sessions.overflows} times`,
    `    Exposure: ${exposure.outbound} packets sent, ${exposure.inbound} received above what the peer has acknowledged`,
    ...sync.refused.map(({ tunnel, reason }) => `    Not sealed with: ${tunnel} (${reason})`),
    '',
  ];
}

const failureCodes = [
  'SRG failure event codes:',
  '    BF  BFD monitoring',
  '    IP  IP monitoring',
  '    IF  Interface monitoring',
  '    CP  Control Plane monitoring',
];

export function redundancyGroupText({ group }: Views['services-redundancy-group']): string[] {
  return [...failureCodes, '', ...groupText(group, true)];
}

function groupText(group: RedundancyGroupView, detail: boolean): string[] {
  const { id, peer } = group;
  if (id === 0)
    return [
      'Services Redundancy Group: 0',
      '        Current State: ONLINE',
      '        Peer Information:',
      `          Peer Id: ${peer.id}`,
      ...(detail ? detailText(group) : []),
    ];
  return [
    `Services Redundancy Group: ${id}`,
    `        Deployment Type: ${group.deploymentType.toUpperCase()}`,
    `        Status: ${group.status}`,
    `        Activeness Priority: ${group.haGroup === null ? group.activenessPriority : `N/A (ha-group ${group.haGroup})`}`,
    `        Preemption: ${group.preemption ? 'ENABLED' : 'DISABLED'}`,
    `        Process Packet In Backup State: ${yes(group.processPacketOnBackup)}`,
    `        Control Plane State: ${group.controlPlaneState}`,
    `        System Integrity Check: ${group.systemIntegrityCheck}`,
    `        Failure Events: ${group.failureEvents.length === 0 ? 'NONE' : `[ ${group.failureEvents.join(' ')} ]`}`,
    '        Peer Information:',
    `          Peer Id: ${peer.id}`,
    `          Status : ${peer.status ?? 'N/A'}`,
    `          Health Status: ${peer.health ?? 'N/A'}`,
    `          Failover Readiness: ${peer.failoverReadiness}`,
    ...(detail ? detailText(group) : []),
  ];
}

function detailText(group: RedundancyGroupView): string[] {
  const { signalRoutes, virtualIps, probe, prefixes, id } = group;
  const lines: string[] = [];
  if (id > 0) lines.push(`        Last Change: ${group.sinceSeconds} s ago (${group.reason})`);
  if (signalRoutes.length > 0) lines.push('        Signal Route Info:');
  for (const { kind, ip, routingInstance, installed: is } of signalRoutes)
    lines.push(
      `          ${kind === 'install-on-failure' ? 'Install On Failure' : kind === 'active' ? 'Active Signal' : 'Backup Signal'} Route:`,
      `          IP: ${ip}`,
      `          Routing Instance: ${routingInstance}`,
      `          Status: ${installed(is)}`,
    );
  if (virtualIps.length > 0) lines.push('        Virtual IP Info:');
  for (const { index, ip, interface: name, installed: is } of virtualIps)
    lines.push(
      `          Index: ${index}`,
      `          IP: ${ip}`,
      '          VMAC: N/A',
      `          Interface: ${name}`,
      `          Status: ${installed(is)}`,
    );
  if (probe !== null)
    lines.push(
      '        Split-brain Prevention Probe Info:',
      `          DST-IP: ${probe.destination}`,
      `          SRC-IP: ${probe.source}`,
      `          Routing Instance: ${probe.routingInstance}`,
      `          Type: ${probe.type}`,
      `          Status: ${probe.running ? 'RUNNING' : 'NOT RUNNING'}`,
      `          Result: ${probe.result ?? 'N/A'}`,
    );
  lines.push(...monitorText(group));
  if (prefixes.length > 0)
    lines.push(
      '        IP SRGID Table:',
      '          SRGID   IP Prefix             Routing Table',
      ...prefixes.map(
        ({ prefix, routingInstance }) =>
          `          ${String(id).padEnd(7)} ${prefix.padEnd(21)} ${routingInstance}`,
      ),
    );
  return lines;
}

function monitorText({ monitors, monitorWeight, monitorThreshold }: RedundancyGroupView): string[] {
  if (monitors.length === 0) return [];
  const of = (kind: MonitorView['kind']) => monitors.filter((monitor) => monitor.kind === kind);
  const lines = [`        Monitoring: failed weight ${monitorWeight} of threshold ${monitorThreshold}`];
  for (const kind of ['BFD', 'Interface', 'IP'] as const) {
    const list = of(kind);
    if (list.length === 0) continue;
    lines.push(`        ${kind} Monitoring:`, `          Status: ${upDown(list.every(({ up }) => up))}`);
    for (const { target, source, interface: name, weight, up, object } of list) {
      const ends =
        kind === 'Interface'
          ? `IF Name: ${target}`
          : `${source === null ? '' : `SRC-IP: ${source}  `}DST-IP: ${target}${name === null ? '' : `  IFL: ${name}`}`;
      lines.push(
        `          ${ends}  State: ${upDown(up)}  Weight: ${weight}${object === '' ? '' : `  Object: ${object}`}`,
      );
    }
  }
  return lines;
}

export function dataPlaneText({ rows }: Views['data-plane-statistics']): string[] {
  return [
    `${'Packet stats'.padEnd(38)}${'Pkts sent'.padEnd(13)}Pkts received`,
    ...rows.map(
      ({ name, packetsSent, packetsReceived }) =>
        `    ${name.padEnd(34)}${String(packetsSent).padEnd(13)}${packetsReceived}`,
    ),
  ];
}
