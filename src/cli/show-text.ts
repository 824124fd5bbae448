/** The tables of `penstock show`, in the reference documents' words. Pure. Numbers may have come as texts over JSON. */
import type { ViewName, Views, WingView } from '../control/show/views.js';
import { tableText } from './output.js';

type Lines = string[];

const texts: { readonly [V in ViewName]: (view: Views[V]) => Lines } = {
  route: routeText,
  session: sessionText,
  'security-associations': saText,
  'traffic-load-balance': loadBalanceText,
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
    for (const { prefix, active, protocol, preference, ageSeconds, nextHop, via, hidden, origin } of list) {
      const protocolName = names[protocol] ?? protocol.charAt(0).toUpperCase() + protocol.slice(1);
      const from = protocol === 'ari-ts' && nextHop !== `Tunnel ${origin}` ? `, from ${origin}` : '';
      const head = `${active ? '*' : ' '}[${protocolName}/${preference}] ${age(ageSeconds)}${from}`;
      lines.push(`${(prefix === last ? '' : prefix).padEnd(width)} ${head}`);
      lines.push(`${' '.repeat(width + 2)}${active ? '>' : ' '} ${hopText(nextHop, via, hidden)}`);
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

function sessionText({ sessions, totalSessions }: Views['session']): Lines {
  const wing = (
    name: string,
    { source, sourcePort, destination, destinationPort, protocol, ...rest }: WingView,
  ) =>
    `  ${name}: ${source}/${sourcePort} --> ${destination}/${destinationPort};${protocol}, Conn Tag: 0x0, If: ${rest.interface}, ` +
    `Pkts: ${rest.packets}, Bytes: ${rest.bytes}, HA Wing State: ${rest.haWingState},`;
  return [
    ...sessions.flatMap(({ sessionId, policyName, haState, timeoutSeconds, sessionState, ...wings }) => [
      `Session ID: ${sessionId}, Policy name: ${policyName}, HA State: ${haState}, Timeout: ${timeoutSeconds}, Session State: ${sessionState}`,
      wing('In', wings.in),
      wing('Out', wings.out),
    ]),
    `Total sessions: ${totalSessions}`,
  ];
}

function saText({ activeTunnels, securityAssociations, generation }: Views['security-associations']): Lines {
  const rows = securityAssociations.map((sa) => [
    `${sa.direction === 'inbound' ? '<' : '>'}${sa.id}`,
    `ESP:${sa.algorithm}/None`,
    sa.spi,
    sa.state === 'installed' ? (sa.rekeyWanted ? 'rekey' : 'unlim') : sa.state,
    '-',
    'root',
    '500',
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

function loadBalanceText({ virtualServices }: Views['traffic-load-balance']): Lines {
  return virtualServices.flatMap((service) => {
    const facts: readonly (readonly [string, string | number | bigint])[] = [
      ['Traffic load balance instance name', service.instance],
      ['Multi services interface name', service.interface],
      ['Interface state', service.interfaceState],
      ['Active real service count', service.activeRealServices],
      ['Total real service count', service.totalRealServices],
      ['Traffic load balance virtual svc name', service.virtualService],
      ['IP address', service.address],
      ['Virtual service mode', service.mode],
      ['Routing instance name', service.routingInstance],
      ['Traffic load balance group name', service.group],
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
      // answers do not come back this way: direct server return
      '',
      '',
      `${real.slots} of ${service.slots}`,
    ]);
    const heads = [
      'Real service',
      'Address',
      'Sts',
      'Packet Sent',
      'Byte Sent',
      'Packet Recv',
      'Byte Recv',
      'Slots',
    ];
    const columns = heads.map((head, i) => ({ head, align: i < 3 ? 'left' : 'right' }) as const);
    return [
      ...facts.map(([name, value]) => `${name.padEnd(38)}: ${value}`),
      '',
      tableText(columns, rows),
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
  return records.map(({ time, source, sourcePort, destination, destinationPort, protocol, port, words }) => {
    const flow =
      source === null ? '-' : `${source}/${sourcePort}-->${destination}/${destinationPort};${protocol}`;
    return `${time.slice(11, 23)}:LSYS-ID-00 ${flow},${port},Dropped by FLOW:${words}`;
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
