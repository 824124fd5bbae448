import { describe, expect, it } from 'vitest';
import { understandGroup, understandState } from '../../dist/cli/failover.js';
import { showText } from '../../dist/cli/show-text.js';
import { loadConfig } from '../../dist/config/load.js';
import { groupCommand, haGroupEvent } from '../../dist/control/redundancy.js';
import type { NodeView } from '../../dist/control/show/node-view.js';
import { show } from '../../dist/control/show/show.js';
import type { SrgHello, SrgHellos } from '../../dist/model/high-availability.js';
import { monitorSession } from '../../dist/node/bfd.js';
import type { NodeEvent } from '../../dist/node/event.js';
import { interfaceScheme } from '../../dist/node/interface-scheme.js';
import { emptyNode, type NodeState } from '../../dist/node/state.js';
import { step } from '../../dist/node/step.js';
import { edited, pair, surroundings } from '../config/samples.js';
import { address, setupOf } from '../node/fixtures.js';

const config = loadConfig(
  edited(pair, ['    seqnum-sync:', '    ha-group: { vrrp, fixed: { static: active } }\n    seqnum-sync:']),
  'a.yaml',
  surroundings,
);

/** Node 1, ACTIVE for both groups; nobody answers it but by the hello. */
function active(): NodeState {
  let state = emptyNode;
  const post = (event: NodeEvent, nowMs: number) => {
    state = step(state, event, nowMs).state;
  };
  const up = (name: string) => {
    const use = state.bfd.get(name)!;
    state = { ...state, bfd: new Map(state.bfd).set(name, { ...use, up: true }) };
    post({ kind: 'bfd-changed', changes: [] }, 1000);
  };
  post({ kind: 'configured', config, setup: setupOf(config) }, 1000);
  for (const name of ['icl', monitorSession(address('10.1.1.1'))]) up(name);
  post({ kind: 'cold-sync-changed', status: 'COMPLETE' }, 1000);
  const group = (id: number, status: SrgHello['status']): SrgHello => ({
    id,
    status,
    priority: 50,
    preempt: false,
    healthy: true,
    failures: [],
    request: null,
  });
  for (const [sequence, status] of [
    [1, 'HOLD'],
    [2, 'BACKUP'],
  ] as const) {
    const hello: SrgHellos = {
      nodeId: 2,
      generation: 7,
      sequence,
      heard: { generation: 1, sequence: 99 },
      coldSync: 'COMPLETE',
      interfaceScheme: interfaceScheme(config),
      groups: [group(1, status), group(2, status)],
    };
    post({ kind: 'srg-hello-received', hello }, 1000);
  }
  return state;
}

const view = (state: NodeState) => ({ state, nowMs: 6000, startedMs: 0, pair: null }) as NodeView;

describe('show chassis high-availability', () => {
  it('information', () => {
    const shown = show(view(active()), 'high-availability', {}) as never;
    expect(showText('high-availability', shown)).toEqual(
      `Node failure codes:
    CS  Cold Sync monitoring

Node Status: ONLINE
Local-id: 1
Local-IP: 10.3.1.2
Local Forwarding IP: 10.4.1.2
HA Peer Information:

    Peer Id: 2      IP address: 10.3.1.3    Interface: ge-0/0/2.0
    Routing Instance: default
    Encrypted: YES  Conn State: UP
    Configured BFD Detection Time: 5 * 400ms
    Cold Sync Status: COMPLETE
    Internal Interface: ICD
    Peer Forwarding IP: 10.4.1.3    Interface: ge-0/0/3.0
    Routing Instance: default  Conn State: DOWN

SRG failure event codes:
    BF  BFD monitoring
    IP  IP monitoring
    IF  Interface monitoring
    CP  Control Plane monitoring

Services Redundancy Group: 0
        Current State: ONLINE
        Peer Information:
          Peer Id: 2

Services Redundancy Group: 1
        Deployment Type: ROUTING
        Status: ACTIVE
        Activeness Priority: 200
        Preemption: ENABLED
        Process Packet In Backup State: NO
        Control Plane State: READY
        System Integrity Check: N/A
        Failure Events: NONE
        Peer Information:
          Peer Id: 2
          Status : BACKUP
          Health Status: HEALTHY
          Failover Readiness: READY

Services Redundancy Group: 2
        Deployment Type: HYBRID
        Status: ACTIVE
        Activeness Priority: 100
        Preemption: DISABLED
        Process Packet In Backup State: NO
        Control Plane State: READY
        System Integrity Check: N/A
        Failure Events: NONE
        Peer Information:
          Peer Id: 2
          Status : BACKUP
          Health Status: HEALTHY
          Failover Readiness: READY
`.split('\n'),
    );
  });

  it('services-redundancy-group, with all there is', () => {
    const group = (id: string) =>
      showText(
        'services-redundancy-group',
        show(view(active()), 'services-redundancy-group', { group: id }) as never,
      );
    expect(group('1').slice(20)).toEqual([
      "        Last Change: 5 s ago (priority 200 against the peer's 50)",
      '        Signal Route Info:',
      '          Active Signal Route:',
      '          IP: 192.168.255.0',
      '          Routing Instance: MNHA-VR',
      '          Status: INSTALLED',
      '          Backup Signal Route:',
      '          IP: 192.168.255.1',
      '          Routing Instance: MNHA-VR',
      '          Status: NOT INSTALLED',
      '        Split-brain Prevention Probe Info:',
      '          DST-IP: 10.1.1.1',
      '          SRC-IP: 10.0.0.1',
      '          Routing Instance: default',
      '          Type: ICMP Probe',
      '          Status: NOT RUNNING',
      '          Result: N/A',
      '        Monitoring: failed weight 0 of threshold 100',
      '        BFD Monitoring:',
      '          Status: UP',
      '          SRC-IP: 10.1.1.2  DST-IP: 10.1.1.1  IFL: ge-0/0/0.0  State: UP  Weight: 100',
      '        IP SRGID Table:',
      '          SRGID   IP Prefix             Routing Table',
      '          1       10.0.0.1/32           default',
    ]);
    expect(group('2')).toContain('          IP: 2001:db8:2::1/64');
    expect(group('2')).toContain('          IF Name: ge-0/0/1  State: UP  Weight: 100  Object: servers');
    expect(() => group('7')).toThrow('no services-redundancy-group 7; there is 0, 1, 2');
  });

  it('data-plane statistics', () => {
    const rows = [{ name: 'ICD Data', packetsSent: 3, packetsReceived: 12, bytesSent: 0, bytesReceived: 0 }];
    expect(showText('data-plane-statistics', { rows })).toEqual([
      'Packet stats                          Pkts sent    Pkts received',
      '    ICD Data                          3            12',
    ]);
  });

  it('is nothing on a node of no pair', () => {
    expect(() => show(view(emptyNode), 'high-availability', {})).toThrow('this node is of no pair');
  });
});

describe('failover and failback', () => {
  it.each([
    [['1'], { group: 1 }],
    [['services-redundancy-group', '1'], { group: 1 }],
    [['peer-id', '2', 'services-redundancy-group', '1'], { group: 1, peer: 2 }],
    [['ser', '3', 'pe', '2'], { group: 3, peer: 2 }],
  ])('%j', (words, expected) => expect(understandGroup('failover', words)).toEqual(expected));

  it.each([
    [['one'], 'failover takes [peer-id N] services-redundancy-group G, not one'],
    [['peer-id', '2'], 'failover takes [peer-id N] services-redundancy-group G'],
    [['group', '1'], 'failover takes [peer-id N] services-redundancy-group G, not group'],
  ])('%j is refused', (words, message) => expect(() => understandGroup('failover', words)).toThrow(message));

  it('says why not', () => {
    const state = active();
    const ask = (group: number, peer?: number) => () =>
      groupCommand(state, { group, command: 'failover', ...(peer === undefined ? {} : { peer }) }, 2000);
    expect(ask(1, 2)()).toEqual({ kind: 'srg-command', group: 1, command: 'failover', force: false });
    expect(ask(1, 3)).toThrow('node 3 is no peer of this one; it is 2');
    expect(ask(0)).toThrow(
      'services-redundancy-group 0: services-redundancy-group 0 is active on both nodes',
    );
  });
});

describe('ha-group', () => {
  it.each([
    [['active'], 'active'],
    [['BACKUP'], 'backup'],
    [['INSTANCE', 'V1', 'MASTER', '150'], 'active'],
    [['INSTANCE', 'V1', 'FAULT', '150'], 'backup'],
    [['GROUP', 'both', 'STOP'], 'backup'],
  ])('%j', (words, told) => expect(understandState(words)).toBe(told));

  it.each([[['up']], [['active', 'now']], [['INSTANCE', 'V1', 'MASTER_RX']], [['constructor']]])(
    '%j is refused',
    (words) => expect(() => understandState(words)).toThrow('says neither active nor backup'),
  );

  it('is told by name, if it is not static', () => {
    const state = active();
    expect(haGroupEvent(state, { name: 'vrrp', told: 'active' })).toEqual({
      kind: 'ha-group-told',
      group: 'vrrp',
      told: 'active',
    });
    expect(() => haGroupEvent(state, { name: 'vrpp', told: 'active' })).toThrow(
      'no ha-group vrpp; there is vrrp, fixed',
    );
    expect(() => haGroupEvent(state, { name: 'fixed', told: 'backup' })).toThrow(
      'ha-group fixed is static: active',
    );
  });
});
