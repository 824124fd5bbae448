/** The tables of `penstock show`, in the reference documents' words. Pure. Numbers may have come as texts over JSON. */
import type { SaView, ViewName, Views, WingView } from '../control/show/views.js';
import { tableText } from './output.js';
import { ikeSaText, ikeStatisticsText } from './show-ike-text.js';
import { dataPlaneText, highAvailabilityText, redundancyGroupText } from './show-pair-text.js';

type Lines = string[];

const texts: { readonly [V in ViewName]: (view: Views[V]) => Lines } = {
  'bfd-session': bfdText,
  'high-availability': highAvailabilityText,
  'services-redundancy-group': redundancyGroupText,
  'data-plane-statistics': dataPlaneText,
  route: routeText,
  session: sessionText,
  'security-associations': saText,
  'ike-security-associations': ikeSaText,
  'ike-statistics': ikeStatisticsText,
  'tunnel-map': tunnelMapText,
  'tunnel-map-summary': tunnelMapSummaryText,
  'tunnel-distribution': tunnelDistributionText,
  'traffic-load-balance': loadBalanceText,
  'load-balance-groups': groupText,
  'forwarding-table': forwardingText,
  counters: counterText,
  'packet-drop': dropText,
  workers: workerText,
  neighbours: neighbourText,
  ports: portText,
};

export function showText<V extends ViewName>(name: V, view: Views[V]): Lines {
  return (texts[name] as (view: Views[V]) => Lines)(view);
}

/** 03:14:10, or 4d 04:52:53 */
export function age(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const time = `${two((seconds % 86_400) / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return seconds < 86_400 ? time : `${Math.floor(seconds / 86_400)}d ${time}`;
}

function routeText({ routes }: Views['route']): Lines {
  const tables = new Map<string, Views['route']['routes'][number][]>();
  for (const route of routes) {
    const instance = route.routingInstance === 'default' ? '' : `${route.routingInstance}.`;
    const name = `${instance}${route.family}.0`;
    tables.set(name, [...(tables.get(name) ?? []), route]);
  }
  const names: Readonly<Record<string, string>> = { 'ari-ts': 'ARI-TS', tlb: 'TLB' };
  return [...tables].flatMap(([name, list]) => {
    const width = Math.max(18, ...list.map(({ prefix }) => prefix.length));
    const destinations = new Set(list.map(({ prefix }) => prefix)).size;
    const count = (of: 'active' | 'hidden') => list.filter((route) => route[of]).length;
    const lines = [
      `${name}: ${destinations} destinations, ${list.length} routes (${count('active')} active, 0 holddown, ${count('hidden')} hidden)`,
      '+ = Active Route, - = Last Active, * = Both',
    ];
    let last = '';
    for (const route of list) {
      const {
        prefix,
        active,
        protocol,
        preference,
        ageSeconds,
        nextHop,
        nextHops,
        via,
        hidden,
        origin,
        kernelMetric,
        importedFrom,
      } = route;
      const protocolName = names[protocol] ?? protocol.charAt(0).toUpperCase() + protocol.slice(1);
      const from = protocol === 'ari-ts' && nextHop !== `Tunnel ${origin}` ? `, from ${origin}` : '';
      const metric = kernelMetric ? `, metric ${kernelMetric}` : '';
      const taken = importedFrom ? `, imported from ${importedFrom}` : '';
      const head = `${active ? '*' : ' '}[${protocolName}/${preference}] ${age(ageSeconds)}${metric}${from}${taken}`;
      lines.push(`${(prefix === last ? '' : prefix).padEnd(width)} ${head}`);
      const hops =
        nextHops.length === 0
          ? [{ mark: active, text: hopText(nextHop, via, hidden) }]
          : nextHops.map(({ address, via: out, status }) => ({
              mark: active && status === 'UP',
              text: `${hopText(address, out, out === null)}${status === 'UP' || out === null ? '' : ', down'}`,
            }));
      for (const { mark, text } of hops) lines.push(`${' '.repeat(width + 2)}${mark ? '>' : ' '} ${text}`);
      last = prefix;
    }
    return [...lines, ''];
  });
}

function hopText(nextHop: string, via: string | null, hidden: boolean): string {
  if (hidden) return `to ${nextHop}, not reachable`;
  if (nextHop === '') return `via ${via}`;
  const to = /^[0-9a-f]*[.:]/i.test(nextHop) ? `to ${nextHop}` : nextHop;
  return via === null ? to : `${to} via ${via}`;
}

function sessionText({ tunnelSessions, sessions, totalSessions }: Views['session']): Lines {
  const wing = (
    name: string,
    { source, sourcePort, destination, destinationPort, protocol, ...rest }: WingView,
  ) =>
    `  ${name}: ${source}/${sourcePort} --> ${destination}/${destinationPort};${protocol}, Conn Tag: 0x0, If: ${rest.interface}, ` +
    `Pkts: ${rest.packets}, Bytes: ${rest.bytes}, HA Wing State: ${rest.haWingState},`;
  return [
    ...tunnelSessions.flatMap(({ sessionId, haState, in: wingIn }) => [
      `Session ID: ${sessionId}, Policy name: N/A, HA State: ${haState}, Timeout: N/A, Session State: Valid`,
      wing('In', wingIn),
    ]),
    ...sessions.flatMap(({ sessionId, policyName, haState, timeoutSeconds, sessionState, ...wings }) => [
      `Session ID: ${sessionId}, Policy name: ${policyName}, HA State: ${haState}, Timeout: ${timeoutSeconds}, Session State: ${sessionState}`,
      wing('In', wings.in),
      wing('Out', wings.out),
    ]),
    `Total sessions: ${totalSessions}`,
  ];
}

const lifeText = ({ rekeyWanted, lifetimeSeconds }: SaView) =>
  rekeyWanted ? 'rekey' : lifetimeSeconds === null ? 'unlim' : `${lifetimeSeconds}/unlim`;

function saText({ activeTunnels, securityAssociations, generation }: Views['security-associations']): Lines {
  const rows = securityAssociations.map((sa) => [
    `${sa.direction === 'inbound' ? '<' : '>'}${sa.id}`,
    `ESP:${sa.algorithm}/${sa.authentication ?? 'None'}`,
    sa.spi,
    sa.state === 'installed' ? lifeText(sa) : sa.state,
    '-',
    'root',
    String(sa.port),
    sa.gateway,
    sa.vpn,
    String(sa.packets),
    String(sa.bytes),
    String(Object.values(sa.drops).reduce((sum, count) => sum + BigInt(count), 0n)),
  ]);
  const columns = [
    'ID',
    'Algorithm',
    'SPI',
    'Life',
    'Mon',
    'lsys',
    'Port',
    'Gateway',
    'VPN',
    'Pkts',
    'Bytes',
    'Drops',
  ];
  const right = new Set(['Pkts', 'Bytes', 'Drops']);
  return [
    `Total active tunnels: ${activeTunnels}     Total IPsec sas: ${securityAssociations.length}${generation === null ? '' : `     Generation: ${generation}`}`,
    ...(rows.length === 0
      ? []
      : [
          tableText(
            columns.map((head) => ({ head, align: right.has(head) ? 'right' : 'left' }) as const),
            rows,
          ),
        ]),
  ];
}

type Facts = readonly (readonly [string, string | number | bigint])[];

const factLines = (facts: Facts): Lines => facts.map(([name, value]) => `${name.padEnd(40)}: ${value}`);

function tunnelMapText({ units }: Views['tunnel-map']): Lines {
  const rows = units.map(({ unit, worker, flowThreads, ikeGateways, ipsecTunnels, loadFactor }) =>
    [unit, worker, flowThreads, ikeGateways, ipsecTunnels, loadFactor.toFixed(2)].map(String),
  );
  const heads = ['SPU', 'Worker', 'Flow RT threads', 'IKE Gateways', 'IPsec Tunnels', 'Load factor'];
  return [
    tableText(
      heads.map((head, i) => ({ head, align: i === 0 ? 'left' : 'right' }) as const),
      rows,
    ),
  ];
}

function tunnelMapSummaryText({ ikeGateways }: Views['tunnel-map-summary']): Lines {
  const rows = ikeGateways.map(({ ikeGateway, localAddress, routingInstance, kind, unit, ipsecTunnels }) => [
    ikeGateway,
    localAddress,
    routingInstance,
    kind,
    unit,
    String(ipsecTunnels.length),
  ]);
  const columns = [
    { head: 'IKE Gateway' },
    { head: 'Local address' },
    { head: 'Routing instance' },
    { head: 'Type' },
    { head: 'SPU' },
    { head: 'IPsec Tunnels', align: 'right' },
  ] as const;
  return [
    ...(rows.length === 0 ? [] : [tableText(columns, rows)]),
    `Total IKE gateways: ${ikeGateways.length}`,
  ];
}

/** The columns of the reference's table: each unit, gateway and tunnel once. */
function tunnelDistributionText({ units }: Views['tunnel-distribution']): Lines {
  const rows = units.flatMap(({ unit, loadFactor, gateways }) => {
    const own = gateways.flatMap(({ ikeGateway, ipsecTunnels }) =>
      ipsecTunnels.map((tunnel, i) => [i === 0 ? ikeGateway : '', tunnel]),
    );
    const list = own.length === 0 ? [['-', '-']] : own;
    return list.map((row, i) => [i === 0 ? unit : '', ...row, i === 0 ? loadFactor.toFixed(2) : '']);
  });
  const columns = [
    { head: 'SPU' },
    { head: 'IKE Gateway' },
    { head: 'IPsec Tunnel' },
    { head: 'Load factor', align: 'right' },
  ] as const;
  return [tableText(columns, rows)];
}

function loadBalanceText({ virtualServices }: Views['traffic-load-balance']): Lines {
  return virtualServices.flatMap((service) => {
    const facts: Facts = [
      ['Traffic load balance instance name', service.instance],
      ['Multi services interface name', service.interface],
      ['Interface state', service.interfaceState],
      ['Interface type', service.interfaceType],
      ['Route hold timer', service.routeHoldTimerSeconds],
      ['Active real service count', service.activeRealServices],
      ['Total real service count', service.totalRealServices],
      ['Traffic load balance virtual svc name', service.virtualService],
      ['IP address', service.address],
      ['Virtual service mode', service.mode],
      ['Routing instance name', service.routingInstance],
      ['Traffic load balance group name', service.group],
      ['Health check interface subunit', service.healthCheckInterfaceSubunit],
      ['Demux Nexthop index', 'N/A'],
      ['Nexthop index', service.nextHopIndex],
      ['Up time', age(service.upSeconds)],
      ['Total packet sent count', service.packetsSent],
      ['Total byte sent count', service.bytesSent],
    ];
    const rows = service.realServices.map((real) => [
      real.name,
      real.address,
      real.drained ? `${real.status}, drained` : real.status,
      String(real.packetsSent),
      String(real.bytesSent),
      // direct server return: answers do not come back this way
      real.packetsReceived === null ? '' : String(real.packetsReceived),
      real.bytesReceived === null ? '' : String(real.bytesReceived),
    ]);
    const heads = ['Real service', 'Address', 'Sts', 'Packet Sent', 'Byte Sent', 'Packet Recv', 'Byte Recv'];
    const columns = heads.map((head, i) => ({ head, align: i < 3 ? 'left' : 'right' }) as const);
    // one that was asked for by its name: all that is known of it
    const [only] = service.realServices;
    const details =
      service.realServices.length === 1 && service.totalRealServices !== 1 && only !== undefined
        ? realServiceLines(service.group, only)
        : service.realServices.flatMap(troubleLines);
    return [...factLines(facts), '', tableText(columns, rows), ...details, ''];
  });
}

type RealService = Views['traffic-load-balance']['virtualServices'][number]['realServices'][number];

/** What ails a real service that is down. */
function troubleLines({ name, status, neighbour, session, probes }: RealService): Lines {
  if (status === 'UP') return [];
  const failing = probes
    .filter(({ state }) => state !== 'UP')
    .map(({ profile, message, state }) => `${profile} ${message === '' ? state.toLowerCase() : message}`);
  const signs = [
    ...failing,
    ...(session === 'lost' ? ['control session lost'] : []),
    ...(neighbour === 'down' ? ['no ARP'] : []),
  ];
  return signs.length === 0 ? [] : [`${name}: ${signs.join('; ')}`];
}

function realServiceLines(group: string, real: RealService): Lines {
  const { probes } = real;
  const count = (state: string) => probes.filter((probe) => probe.state === state).length;
  const facts: Facts = [
    ['Traffic load balance real service name', real.name],
    ['Routing instance name', real.routingInstance],
    ['IP address', real.address],
    ['Traffic load balance group name', group],
    ['Oper state', real.status],
    ['Oper state time', age(real.sinceSeconds)],
    ['Weight', real.weight],
    ['ARP state', real.neighbour.toUpperCase()],
    ['Network monitoring probe up count', count('UP')],
    ['Network monitoring probe down count', count('DOWN')],
  ];
  return ['', ...factLines(facts), ...probes.flatMap((probe) => ['', ...factLines(probeFacts(probe))])];
}

function probeFacts(probe: RealService['probes'][number]): Facts {
  return [
    ['Network monitoring profile name', probe.profile],
    ['Probe type', probe.type.toUpperCase()],
    ...(probe.port === null ? [] : [['Port number', probe.port] as const]),
    ['Probe interval', probe.intervalSeconds],
    ['Probe timeout', probe.timeoutSeconds],
    ['Probe failure retry count', probe.failureRetries],
    ['Probe recovery retry count', probe.recoveryRetries],
    ['Probe state', probe.state],
    ['Probe sent', probe.sent],
    ['Probe success', probe.succeeded],
    ['Probe fail', probe.failed],
    ['Probe timed out', probe.timedOut],
    ['Probe consecutive success', probe.consecutiveSuccesses],
    ['Probe consecutive fail', probe.consecutiveFailures],
    ...(probe.roundTripMilliseconds === null
      ? []
      : [['Probe round trip', `${probe.roundTripMilliseconds} ms`] as const]),
    ...(probe.message === '' ? [] : [['Probe last failure', probe.message] as const]),
  ];
}

function groupText({ groups }: Views['load-balance-groups']): Lines {
  if (groups.length === 0) return ['No groups'];
  const columns = ['Member', 'Address', 'Via', 'Sts', 'Weight', 'Slots', 'Packet Sent', 'Byte Sent'].map(
    (head, i) => ({ head, align: i < 4 ? 'left' : 'right' }) as const,
  );
  return groups.flatMap((group) => {
    const how = group.loadBalance === null ? '' : `load-balance ${group.loadBalance}, `;
    const rows = group.members.map((member) => [
      member.name,
      member.address,
      member.via ?? '-',
      member.status,
      member.weight,
      member.slots,
      String(member.packetsSent),
      String(member.bytesSent),
    ]);
    return [
      `Group ${group.name}`,
      `  ${how}hash-key ${group.hashKey}, ${group.hashFunction} seed ${group.hashSeed}, ${group.slots} slots, ${group.mode}, digest ${group.digest}`,
      tableText(columns, rows),
      '',
    ];
  });
}

function forwardingText({ tables }: Views['forwarding-table']): Lines {
  const family = { inet: 'Internet:', inet6: 'Internet6:' };
  return tables.flatMap((table) => {
    const width = Math.max(16, ...table.entries.map(({ destination }) => destination.length));
    const hopWidth = Math.max(
      13,
      ...table.entries.flatMap(({ nextHops }) => nextHops.map(({ address }) => address.length)),
    );
    const line = (left: string, address: string, rest: readonly string[]) =>
      `${left.padEnd(width + 12)} ${address.padEnd(hopWidth)} ${rest.join(' ')}`.trimEnd();
    const rows = table.entries.flatMap(({ destination, type, nextHops }) => {
      const left = `${destination.padEnd(width)} ${type.padEnd(4)} ${'0'.padStart(5)}`;
      if (nextHops.length === 0) return [line(left, '', ['dscd'])];
      return nextHops.map((hop, i) =>
        line(i === 0 ? left : '', hop.address, [
          hop.type,
          String(hop.index).padStart(5),
          String(hop.references).padStart(5),
          hop.interface,
        ]),
      );
    });
    const digests = table.entries.flatMap(({ destination, group, digest }) =>
      group === null ? [] : [`${destination}: group ${group}, digest ${digest}`],
    );
    return [
      `Routing table: ${table.name}`,
      family[table.family],
      line(`${'Destination'.padEnd(width)} Type RtRef`, 'Next hop', ['Type Index NhRef Netif']),
      ...rows,
      ...digests,
      '',
    ];
  });
}

function counterText({ counters, filters }: Views['counters']): Lines {
  const lines = counters.map(({ name, value, unit, isDrop, words, meaning }) => [
    name,
    value.toLocaleString('en-US'),
    unit,
    isDrop ? `dropped: ${words}` : meaning,
  ]);
  const columns = [
    { head: 'Counter' },
    { head: 'Value', align: 'right' },
    { head: 'Unit' },
    { head: 'Meaning' },
  ] as const;
  const filterRows = filters.map(({ family, filter, counter, packets, bytes }) => [
    family,
    filter,
    counter,
    String(packets),
    String(bytes),
  ]);
  const filterColumns = [
    { head: 'Family' },
    { head: 'Filter' },
    { head: 'Counter' },
    { head: 'Packets', align: 'right' },
    { head: 'Bytes', align: 'right' },
  ] as const;
  return [
    ...(lines.length === 0 ? ['nothing counted yet'] : [tableText(columns, lines)]),
    ...(filterRows.length === 0 ? [] : ['', tableText(filterColumns, filterRows)]),
  ];
}

function dropText({ records }: Views['packet-drop']): Lines {
  if (records.length === 0) return ['No packet was dropped'];
  return records.map(({ time, source, destination, identification, port, words, ...rest }) => {
    const id = identification === null ? '' : `,ipid-${identification}`;
    const flow =
      source === null
        ? '-'
        : `${source}/${rest.sourcePort}-->${destination}/${rest.destinationPort};${rest.protocol}${id}`;
    return `${time.slice(11, 23)}:LSYS-ID-00 ${flow},${rest.interface ?? port},Dropped by FLOW:${words}`;
  });
}

function workerText({ workers, kernel, framesInUse, upSeconds }: Views['workers']): Lines {
  const rows = workers.map(({ worker, state, turns, busyPercent }) => [
    worker,
    state,
    turns,
    `${busyPercent} %`,
  ]);
  const columns = [
    { head: 'Worker' },
    { head: 'State' },
    { head: 'Turns', align: 'right' },
    { head: 'Busy', align: 'right' },
  ] as const;
  return [
    `AES-GCM kernel: ${kernel}     Frames in use: ${framesInUse}     Up time: ${age(upSeconds)}`,
    tableText(columns, rows),
  ];
}

function neighbourText({ neighbours }: Views['neighbours']): Lines {
  const rows = neighbours.map(({ mac, address, interface: name, state }) => [
    mac ?? '-',
    address,
    name,
    state,
  ]);
  const columns = [
    { head: 'MAC Address' },
    { head: 'Address' },
    { head: 'Interface' },
    { head: 'State' },
  ] as const;
  return [...(rows.length === 0 ? [] : [tableText(columns, rows)]), `Total entries: ${neighbours.length}`];
}

function portText({ ports }: Views['ports']): Lines {
  const rows = ports.map(({ name, open, fault }) => [name, open ? 'up' : 'down', fault]);
  return [tableText([{ head: 'Port' }, { head: 'State' }, { head: 'Fault' }], rows)];
}

function bfdText(view: Views['bfd-session']): Lines {
  const { level, sessions, clients, cumulativeTransmitRate, cumulativeReceiveRate } = view;
  const time = (seconds: number | null) => (seconds === null ? '-' : seconds.toFixed(3));
  const lines = [
    `${' '.repeat(50)}Detect   Transmit`,
    'Address                  State     Interface      Time     Interval  Multiplier',
  ];
  for (const session of sessions) {
    const {
      address,
      state,
      interface: name,
      detectionSeconds,
      transmitIntervalSeconds,
      multiplier,
    } = session;
    const row = `${address.padEnd(24)} ${state.padEnd(9)} ${(name ?? '').padEnd(14)} ${time(detectionSeconds).padEnd(8)} ${time(transmitIntervalSeconds).padEnd(9)} ${multiplier}`;
    lines.push(row);
    if (level === 'brief') continue;
    lines.push(...bfdDetail(session));
    if (level === 'extensive') lines.push(...bfdExtensive(session));
  }
  const rate = (value: number) => value.toFixed(1);
  return [
    ...lines,
    '',
    `${sessions.length} sessions, ${clients} clients`,
    `Cumulative transmit rate ${rate(cumulativeTransmitRate)} pps, cumulative receive rate ${rate(cumulativeReceiveRate)} pps`,
  ];
}

type BfdView = Views['bfd-session']['sessions'][number];

function bfdDetail(session: BfdView): Lines {
  const { clients, state, sinceSeconds, localDiagnostic, remoteDiagnostic, remoteState } = session;
  const transmit = session.transmitIntervalSeconds?.toFixed(3) ?? '-';
  const receive = session.receiveIntervalSeconds?.toFixed(3) ?? '-';
  const { authentication: auth, routingInstance } = session;
  return [
    ...clients.map((client) => ` Client ${client}, TX interval ${transmit}, RX interval ${receive}`),
    ` Session ${state === 'Up' ? 'up' : 'down'} time ${age(sinceSeconds)}`,
    ` Local diagnostic ${localDiagnostic}, remote diagnostic ${remoteDiagnostic}`,
    ` Remote state ${remoteState}, version 1`,
    ...(routingInstance === 'default' ? [] : [` Routing table ${routingInstance}.inet.0`]),
    ...(auth === null ? [] : [` Authentication ${auth.algorithm}, key-id ${auth.keyId}`]),
    ` Session type: ${session.multihop ? 'Multi hop BFD' : 'Single hop BFD'}`,
  ];
}

function bfdExtensive(session: BfdView): Lines {
  const time = (seconds: number) => seconds.toFixed(3);
  const { localDiscriminator, remoteDiscriminator, ups, downs, heardAt } = session;
  return [
    ` Min async interval ${time(session.localMinimumTransmitSeconds)}, min slow interval 1.000`,
    ` Adaptive async TX interval ${session.transmitIntervalSeconds?.toFixed(3) ?? '-'}, RX interval ${session.receiveIntervalSeconds?.toFixed(3) ?? '-'}`,
    ` Local min TX interval ${time(session.localMinimumTransmitSeconds)}, minimum RX interval ${time(session.localMinimumReceiveSeconds)}, multiplier ${session.multiplier}`,
    ` Remote min TX interval ${time(session.remoteMinimumTransmitSeconds)}, min RX interval ${time(session.remoteMinimumReceiveSeconds)}, multiplier ${session.remoteMultiplier}`,
    ` Local address ${session.localAddress}`,
    ` Local discriminator ${localDiscriminator}, remote discriminator ${remoteDiscriminator}`,
    ' Echo mode disabled/inactive',
    ` Poll sequence ${session.isPolling ? 'under way' : 'none'}, came up ${ups} times, went down ${downs} times`,
    ` Packets sent ${session.packetsSent}, heard ${session.packetsHeard}, refused ${session.packetsRefused}; longest gap between ours ${time(session.longestGapSeconds)}; last heard ${heardAt ?? 'never'}`,
  ];
}
