import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../dist/config/load.js';
import { decisionTable, type IcdState } from '../../dist/ha/icd.js';
import { icdKeys } from '../../dist/ha/icd-key.js';
import { dataPlaneStatistics } from '../../dist/node/icd.js';
import type { NodeState } from '../../dist/node/state.js';
import { flush } from '../../dist/node/step.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import { pair, surroundings } from '../config/samples.js';
import { bytes, configured, ofKind, published, run } from './fixtures.js';

type Known = {
  bfd?: ReadonlyMap<string, { up: boolean }>;
  srgs?: ReadonlyMap<number, { status: string; peer: { status: string } | null }>;
};

/** The state once liveness and groups have said this, and what is published then. */
function told(state: NodeState, known: Known) {
  const flushed = flush({ ...state, ...known } as NodeState);
  return { ...flushed, parts: ofKind(flushed.actions, 'publish')[0]?.parts ?? {} };
}

const liveness = (icl: boolean, icd: boolean) =>
  new Map([
    ['icl', { up: icl }],
    ['icd', { up: icd }],
  ]);

describe('the pair in the tables', () => {
  const begun = configured(pair);

  it('is a part from the first configuration on', () => {
    const { icd } = published(begun.actions);
    expect(icd).toMatchObject({
      verdicts: decisionTable('alone'),
      link: {
        localIp: bytes('10.4.1.2'),
        peerIp: bytes('10.4.1.3'),
        localId: 1,
        peerId: 2,
        mtu: 1500,
        routingInstance: begun.state.numberings.routingInstances.of('default'),
      },
    });
  });

  it('has the keys that the other node derives, and no key of an SA', () => {
    const ours = loadConfig(pair, 'pair.yaml', surroundings).highAvailability!;
    const encryption = ours.peer.linkEncryption!;
    const { inbound, outbound } = encryption.manual;
    const theirs = {
      ...ours,
      localId: ours.peer.id,
      peer: {
        ...ours.peer,
        id: ours.localId,
        linkEncryption: {
          ...encryption,
          manual: { ...encryption.manual, inbound: [outbound], outbound: inbound[0]! },
        },
      },
    };
    const own = published(begun.actions).icd!.link!;
    expect([own.peerKeys, own.key]).toEqual([[icdKeys(theirs).own], icdKeys(theirs).peers[0]]);
    expect(own.key).toHaveLength(16);
    expect(own.key).not.toEqual(own.peerKeys[0]);
    expect(outbound.key.reveal().join()).not.toContain(own.key.join());
  });

  it('goes by the liveness of ICD and ICL', () => {
    const states: [boolean, boolean, IcdState][] = [
      [false, true, 'up'],
      [true, true, 'up'],
      [true, false, 'down'],
      [false, false, 'alone'],
    ];
    let { state } = begun;
    for (const [icl, icd, expected] of states) {
      const before = state.pair.icd;
      const now = told(state, { bfd: liveness(icl, icd) });
      expect(now.state.pair.icd).toBe(expected);
      if (before !== expected) expect(now.parts.icd?.verdicts).toEqual(decisionTable(expected));
      expect(Object.keys(now.parts)).toEqual(before === expected ? [] : ['icd']);
      state = now.state;
    }
  });

  it('says of tunnels and networks of a group where they are served', () => {
    const config = loadConfig(pair, 'pair.yaml', surroundings);
    const asked = run(begun.state, { kind: 'tunnels-keyed', tunnels: manualTunnels(config, 0) });
    const [add] = ofKind(asked.actions, 'add-sas');
    const at = (index: number) => (sa: { tunnel: { name: string }; spi: number }) => ({
      tunnel: sa.tunnel.name,
      spi: sa.spi,
      index,
    });
    const { state } = run(asked.state, {
      kind: 'sas-added',
      ticket: add!.ticket,
      inbound: add!.inbound.map(at(10)),
      outbound: add!.outbound.map(at(20)),
    });
    const groups = (status: string, peer: string | null) => ({
      srgs: new Map([1, 2].map((id) => [id, { status, peer: peer === null ? null : { status: peer } }])),
    });
    const routesOf = (parts: ReturnType<typeof told>['parts']) => ({
      tunnel: parts.routes!.find(({ nextHop }) => nextHop.kind === 'tunnel')!.nextHop,
      inside: parts.routes!.find(({ nextHop, length }) => nextHop.kind === 'connected' && length === 24)!,
      network: parts.routes!.find(
        ({ nextHop, prefix }) => nextHop.kind === 'connected' && String(prefix) === String(bytes('10.2.1.0')),
      )!.nextHop,
    });
    const standby = told(state, groups('BACKUP', 'ACTIVE'));
    expect(routesOf(standby.parts).tunnel).toMatchObject({
      situation: { egressGone: false, served: 'peer', backupServes: false },
    });
    expect(routesOf(standby.parts).network).toMatchObject({
      situation: { egressGone: false, served: 'peer', backupServes: true },
    });
    expect(standby.parts.spis).toMatchObject([{ spi: 0x1001, standby: true }, { spi: 0x901 }]);

    const active = told(standby.state, groups('ACTIVE', 'BACKUP'));
    expect(routesOf(active.parts).tunnel).toMatchObject({ situation: { served: 'here' } });
    expect(active.parts.spis![0]!.standby).toBeUndefined();
    // both ineligible: the last forwarding is kept
    const neither = told(active.state, groups('INELIGIBLE', 'INELIGIBLE'));
    expect(neither.parts).toEqual({});
    expect(neither.state.pair.served.get(1)).toBe('here');
  });

  it('says of a port that is shut that there is no way out', () => {
    const closed = run(begun.state, { kind: 'ports-changed', changes: [{ port: 'ge-0/0/0', open: false }] });
    const { routes } = published(closed.actions);
    const via = routes!.find(({ prefix }) => String(prefix) === String(bytes('10.20.0.0')))!;
    expect(via.nextHop).toMatchObject({ kind: 'neighbour', situation: { egressGone: true } });
    const back = run(closed.state, { kind: 'ports-changed', changes: [{ port: 'ge-0/0/0', open: true }] });
    const again = published(back.actions).routes!.find(
      ({ prefix }) => String(prefix) === String(bytes('10.20.0.0')),
    )!;
    expect(again.nextHop).not.toHaveProperty('situation');
  });

  it('is no part of a node that has no peer', () => {
    const alone = configured('system: { host-name: gw1 }\n');
    expect(published(alone.actions)).not.toHaveProperty('icd');
  });
});

it('counts what crosses', () => {
  const totals = { icdSent: 3, icdReceived: 1, icdSentBytes: 300, icdReceivedBytes: 40 };
  expect(dataPlaneStatistics((counter) => totals[counter])).toEqual([
    { name: 'ICD Data', packetsSent: 3, packetsReceived: 1, bytesSent: 300, bytesReceived: 40 },
  ]);
});
