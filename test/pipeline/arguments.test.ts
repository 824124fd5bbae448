/** Every argument of the native core is held to its type and bounds; the error names it, and nothing has changed. */
import { describe, expect, it } from 'vitest';
import type { NativePlane } from '../../dist/pipeline/native.js';
import { native } from '../../dist/pipeline/native.js';
import {
  buildPath,
  dataplane,
  flows,
  forwarderOptions,
  hostOptions,
  interfaceEntry,
  ip,
  ip6,
  mac,
} from './support.js';

type Call = (plane: NativePlane, ids: { client: number; router: number; server: number }) => unknown;

// biome-ignore lint/suspicious/noExplicitAny: values that the types would not let through are what is tested
type Anything = any;

/** What an error says, and of what. */
const cases: [string, Call][] = [];
const refuses = (says: string, call: Call) => cases.push([says, call]);

const planeOptions = { workers: 1, framesPerWorker: 1024, controlFrames: 64, handOverRing: 64 };
const create = (changed: Anything) => () => native().createPlane({ ...planeOptions, ...changed });
refuses('createPlane: an object expected, not nothing', () => native().createPlane(undefined as Anything));
refuses('createPlane: an object expected, not a number', () => native().createPlane(3 as Anything));
refuses('createPlane.workers: a number expected, not a string', create({ workers: '2' }));
refuses('createPlane.workers: 1…64 expected, not 0', create({ workers: 0 }));
refuses('createPlane.workers: 1…64 expected, not 1.5', create({ workers: 1.5 }));
refuses('createPlane.workers: 1…64 expected, not NaN', create({ workers: Number.NaN }));
refuses('createPlane.workers: 1…64 expected, not Infinity', create({ workers: Infinity }));
refuses('createPlane.framesPerWorker: 128…1048576 expected, not 2', create({ framesPerWorker: 2 }));
refuses('createPlane.controlFrames: 64…1048576 expected, not -1', create({ controlFrames: -1 }));
refuses('createPlane.handOverRing: a power of two expected, not 100', create({ handOverRing: 100 }));

const forwarder =
  (changed: Anything): Call =>
  (plane) =>
    plane.addForwarder({ ...forwarderOptions, ...changed });
refuses('addForwarder.name: a string expected, not nothing', forwarder({ name: undefined }));
refuses('addForwarder.name: 1…255 bytes without NUL expected', forwarder({ name: '' }));
refuses('addForwarder.name: 1…255 bytes without NUL expected', forwarder({ name: 'a\0b' }));
refuses('addForwarder.sessionLimit: 1…10000000 expected, not 0', forwarder({ sessionLimit: 0 }));
refuses('addForwarder.neighbourLimit: a number expected, not null', forwarder({ neighbourLimit: null }));
refuses('addForwarder.saLimit: 1…1048576 expected, not 4294967297', forwarder({ saLimit: 2 ** 32 + 1 }));
refuses('addForwarder.statistics: a number expected, not a bigint', forwarder({ statistics: 3n }));
refuses('addForwarder.auditedKeys: a number expected, not a boolean', forwarder({ auditedKeys: true }));

const host =
  (changed: Anything): Call =>
  (plane) =>
    plane.addHost({ ...hostOptions(false, flows(2)), ...changed });
refuses('addHost.server: true or false expected, not a number', host({ server: 1 }));
refuses('addHost.mac: 6 bytes expected, not 5', host({ mac: new Uint8Array(5) }));
refuses('addHost.mac: a Uint8Array expected, not an array', host({ mac: [1, 2, 3, 4, 5, 6] }));
refuses(
  'addHost.gatewayMac: a Uint8Array expected, not a typed array',
  host({ gatewayMac: new Uint16Array(6) }),
);
refuses('addHost.flows: an array expected, not an object', host({ flows: {} }));
refuses(
  'addHost.flows[1].source: 4 or 16 bytes expected, not 3',
  host({ flows: [flows(1)[0], { source: new Uint8Array(3) }] }),
);
refuses(
  'addHost.flows[0].sourcePort: 0…65535 expected, not 65536',
  host({ flows: [{ ...flows(1)[0], sourcePort: 65536 }] }),
);
refuses(
  "addHost.flows[0].destination: an address of the source's family expected",
  host({ flows: [{ ...flows(1)[0], destination: ip6(1, 1) }] }),
);
refuses(
  'addHost.flows[0].source: an IPv4 address is given as 4 bytes',
  host({
    flows: [{ ...flows(1)[0], source: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1) }],
  }),
);
refuses('addHost.sizes: at least one length expected', host({ sizes: [] }));
refuses('addHost.sizes[1]: 64…3200 expected, not 44', host({ sizes: [64, 44] }));
refuses('addHost.credit: 1…1048576 expected, not 0', host({ credit: 0 }));
refuses('addHost.seed: 0…9007199254740991 expected, not -1', host({ seed: -1 }));

refuses('addWire.nodeA: 0…2 expected, not 3', (plane) => plane.addWire(3, 0, 64));
refuses('addWire.nodeB: a number expected, not nothing', (plane) => (plane.addWire as Anything)(0));
refuses('addWire.capacity: a power of two expected, not 65', (plane) => plane.addWire(0, 1, 65));
refuses('portStatus.port: 0…1 expected, not 2', (plane, { router }) => plane.portStatus(router, 2));
refuses('addCapture: read, write or both expected', (plane, { router }) => plane.addCapture(router, {}));
refuses('addCapture.link.source: a Uint8Array expected, not nothing', (plane, { router }) =>
  plane.addCapture(router, { read: 'x', link: { destination: mac(1) } as Anything }),
);
refuses('addPacketSocket.interfaceName: 1…15 bytes without NUL expected', (plane, { router }) =>
  plane.addPacketSocket(router, 'an-interface-name-of-24'),
);
refuses('setNodeRunning.running: true or false expected, not nothing', (plane) =>
  (plane.setNodeRunning as Anything)(0),
);
refuses('setSending.node: a host expected, not a forwarder', (plane, { router }) =>
  plane.setSending(router, true),
);

const publish =
  (parts: Anything): Call =>
  (plane, { router }) =>
    plane.publish(router, parts);
refuses('publish.node: a forwarder expected, not a host', (plane, { client }) => plane.publish(client, {}));
refuses('publish: an object expected, not nothing', publish(undefined));
refuses('publish.routes: an array expected, not a typed array', publish({ routes: new Uint8Array(3) }));
const route = (changed: Anything) =>
  publish({
    routes: [
      { routingInstance: 0, prefix: ip('10.0.0.0'), length: 8, nextHop: { kind: 'local' } },
      { routingInstance: 0, prefix: ip('10.0.0.0'), length: 8, nextHop: { kind: 'discard' }, ...changed },
    ],
  });
refuses('publish.routes[1].length: 0…32 expected, not 33', route({ length: 33 }));
refuses('publish.routes[1].length: 0…128 expected, not 129', route({ prefix: ip6(1, 0), length: 129 }));
refuses('publish.routes[1].routingInstance: 0…4095 expected, not 4096', route({ routingInstance: 4096 }));
refuses(
  "publish.routes[1].nextHop.kind: one of 'local', 'discard', 'connected', 'neighbour', 'tunnel', 'by-source', 'group' expected, not 'up'",
  route({ nextHop: { kind: 'up' } }),
);
refuses(
  'publish.routes[1].nextHop.interface: 0…1 expected, not 2',
  route({ nextHop: { kind: 'connected', interface: 2 } }),
);
refuses(
  'publish.routes[1].nextHop.address: 4 or 16 bytes expected, not 0',
  route({ nextHop: { kind: 'neighbour', interface: 0, address: new Uint8Array(0) } }),
);
refuses(
  'publish.routes[1].nextHop.sa: no such outbound SA',
  route({ nextHop: { kind: 'tunnel', sa: 0, zone: 0, routingInstance: 0 } }),
);
refuses(
  'publish.routes[1].nextHop.group: there are no groups',
  route({ nextHop: { kind: 'group', group: 0 } }),
);

const link = (changed: Anything) =>
  publish({ interfaces: [interfaceEntry(0, 2, []), { ...interfaceEntry(1, 3, []), ...changed }] });
refuses(
  'publish.interfaces: at least the 2 entries published before expected, not 0',
  publish({ interfaces: [] }),
);
refuses('publish.interfaces[1].port: 0…1 expected, not 2', link({ port: 2 }));
refuses('publish.interfaces[1].vlan: 0…4095 expected, not 4096', link({ vlan: 4096 }));
refuses('publish.interfaces[1].mtu: 68…9600 expected, not 9601', link({ mtu: 9601 }));
refuses('publish.interfaces[1].zone: 0…4095 expected, not 65535', link({ zone: 65535 }));
refuses('publish.interfaces[1].filterV4: -1…-1 expected, not 0', link({ filterV4: 0 }));
refuses('publish.interfaces[1].addresses[0]: 4 or 16 bytes expected, not 6', link({ addresses: [mac(1)] }));

const term = {
  sources: [],
  destinations: [],
  protocols: [],
  action: 'accept',
  routingInstance: 0,
  statistic: -1,
};
const filter = (changed: Anything) => publish({ filters: [[term], [term, { ...term, ...changed }]] });
refuses(
  "publish.filters[1][1].action: one of 'accept', 'discard', 'routing-instance', 'return' expected, not 'reject'",
  filter({ action: 'reject' }),
);
refuses(
  'publish.filters[1][1].sources[0].length: 0…32 expected, not 64',
  filter({ sources: [{ address: ip('10.0.0.0'), length: 64 }] }),
);
refuses('publish.filters[1][1].protocols[1]: 0…255 expected, not 256', filter({ protocols: [17, 256] }));
refuses('publish.filters[1][1].statistic: -1…15 expected, not 16', filter({ statistic: 16 }));
refuses(
  'publish.filters[1][1].routingInstance: a number expected, not nothing',
  filter({ action: 'routing-instance', routingInstance: undefined }),
);

const member = { interface: 0, address: ip('10.1.0.1'), statistic: -1 };
const group = (changed: Anything) =>
  publish({
    groups: [{ key: 'source-ip', seed: 1n, slots: new Uint16Array(4), members: [member], ...changed }],
  });
refuses('publish.groups[0].seed: a bigint expected, not a number', group({ seed: 1 }));
refuses('publish.groups[0].seed: 0…18446744073709551615 expected, not -1', group({ seed: -1n }));
refuses(
  'publish.groups[0].seed: 0…18446744073709551615 expected, not 18446744073709551616',
  group({ seed: 1n << 64n }),
);
refuses(
  'publish.groups[0].slots: a Uint16Array expected, not a typed array',
  group({ slots: new Uint8Array(4) }),
);
refuses('publish.groups[0].slots: 1…1048576 slots expected, not 0', group({ slots: new Uint16Array(0) }));
refuses(
  'publish.groups[0].slots: slot 2 names member 1 of 1',
  group({ slots: Uint16Array.of(0, 0xffff, 1, 0) }),
);
refuses(
  "publish.groups[0].hash: one of 'xxh64', 'siphash-1-3', 'toeplitz' expected, not 'crc'",
  group({ hash: 'crc' }),
);
refuses(
  'publish.groups[0].members[0].interface: 0…1 expected, not 5',
  group({ members: [{ ...member, interface: 5 }] }),
);

const forwarding = { id: 1, up: true, mode: 'ipip', address: ip('10.9.0.1'), source: ip('10.1.0.2') };
const served = (service: Anything, changed: Anything = {}) =>
  group({
    service: { address: ip('10.0.0.1'), flowMemory: false, ports: [], ...service },
    members: [{ ...member, forwarding: { ...forwarding, ...changed } }],
  });
refuses(
  'publish.groups[0].service.flowMemory: the node was made without a flow memory (flowLimit 0)',
  served({ flowMemory: true }),
);
refuses(
  'publish.groups[0].service.ports[0].real: 1…65535 expected, not 0',
  served({ ports: [{ protocol: 'tcp', offered: 443, real: 0 }] }),
);
refuses(
  "publish.groups[0].service.ports[0].protocol: one of 'tcp', 'udp' expected, not 'esp'",
  served({ ports: [{ protocol: 'esp', offered: 443, real: 443 }] }),
);
refuses(
  "publish.groups[0].members[0].forwarding.mode: one of 'direct', 'ipip', 'gue', 'translated' expected, not 'gre'",
  served({}, { mode: 'gre' }),
);
refuses(
  'publish.groups[0].members[0].forwarding.source: an address of the family of the real service expected',
  served({}, { source: ip6(1, 1) }),
);
refuses(
  "publish.groups[0].members[0].forwarding: translated to another family than the virtual service's",
  served({}, { mode: 'translated', address: ip6(1, 1) }),
);
refuses(
  'publish.groups[0].members[0].forwarding.id: a number expected, not nothing',
  served({}, { id: undefined }),
);

refuses(
  'publish.spis[0].spi: 1…4294967295 expected, not 0',
  publish({ spis: [{ address: ip('10.0.0.1'), spi: 0, sa: 0, zone: 0, routingInstance: 0 }] }),
);
refuses(
  'publish.spis[0].sa: no such inbound SA',
  publish({ spis: [{ address: ip('10.0.0.1'), spi: 300, sa: 0, zone: 0, routingInstance: 0 }] }),
);
refuses(
  'publish.audits[0].key: there are no audited keys',
  publish({ audits: [{ address: ip('10.0.0.1'), spi: 300, key: 0 }] }),
);
const policy = (changed: Anything) =>
  publish({
    policies: {
      defaultPermit: false,
      policies: [
        {
          fromZone: 1,
          toZone: 0xffff,
          sources: [],
          destinations: [],
          protocol: 6,
          portLow: 80,
          portHigh: 443,
          permit: true,
          id: 1,
          ...changed,
        },
      ],
    },
  });
refuses(
  'publish.policies.policies[0].toZone: 0…4095, or 65535 for any, expected, not 4096',
  policy({ toZone: 4096 }),
);
refuses('publish.policies.policies[0].portHigh: 80…65535 expected, not 79', policy({ portHigh: 79 }));
refuses(
  'publish.policies.policies[0].permit: true or false expected, not nothing',
  policy({ permit: undefined }),
);
refuses(
  'publish.policies.defaultPermit: true or false expected, not nothing',
  publish({ policies: { policies: [] } }),
);
refuses(
  'publish.flow.sessions: true or false expected, not a string',
  publish({ flow: { sessions: 'yes' } }),
);

const lifetime = {
  softSeconds: 0,
  hardSeconds: 0,
  softPackets: 0n,
  hardPackets: 0n,
  softKilobytes: 0n,
  hardKilobytes: 0n,
};
const sa = {
  spi: 300,
  key: new Uint8Array(20),
  extendedSequenceNumber: false,
  selectors: [],
  anchor: 0,
  tunnel: 1,
  lifetime,
  replayWindow: 64,
};
const inbound =
  (changed: Anything): Call =>
  (plane, { router }) =>
    plane.addInboundSas(router, [{ ...sa, ...changed }]);
refuses('addInboundSas[0].key: 20 or 36 bytes expected, not 16', inbound({ key: new Uint8Array(16) }));
refuses(
  'addInboundSas[0].replayWindow: 0, or a power of two from 64 to 8192, expected, not 65',
  inbound({ replayWindow: 65 }),
);
refuses('addInboundSas[0].replayWindow: 0…8192 expected, not 16384', inbound({ replayWindow: 16384 }));
refuses('addInboundSas[0].anchor: 0…0 expected, not 1', inbound({ anchor: 1 }));
refuses(
  'addInboundSas[0].lifetime.hardPackets: a bigint expected, not a number',
  inbound({ lifetime: { ...lifetime, hardPackets: 3 } }),
);
const selector = {
  local: { address: ip('10.0.0.0'), length: 8 },
  remote: { address: ip('10.0.0.0'), length: 8 },
  protocol: 0,
  localPorts: [0, 65535],
  remotePorts: [0, 65535],
};
refuses(
  'addInboundSas[0].selectors[0].localPorts: two ports expected',
  inbound({ selectors: [{ ...selector, localPorts: [1] }] }),
);
refuses(
  'addInboundSas[0].selectors[0].remotePorts[1]: 9…65535 expected, not 8',
  inbound({ selectors: [{ ...selector, remotePorts: [9, 8] }] }),
);
refuses(
  'addInboundSas[0].selectors[0].remote.length: 0…32 expected, not 40',
  inbound({ selectors: [{ ...selector, remote: { address: ip('10.0.0.0'), length: 40 } }] }),
);
const outbound =
  (changed: Anything): Call =>
  (plane, { router }) =>
    plane.addOutboundSas(router, [
      {
        ...sa,
        source: ip('10.0.0.1'),
        destination: ip('10.0.0.2'),
        nodeId: 1,
        epoch: 0,
        nextSequence: 1n,
        dfBit: 'copy',
        dscp: -1,
        mtu: 1500,
        udp: null,
        ...changed,
      },
    ]);
refuses('addOutboundSas[0].nodeId: 1…15 expected, not 0', outbound({ nodeId: 0 }));
refuses('addOutboundSas[0].epoch: 0…4095 expected, not 4096', outbound({ epoch: 4096 }));
refuses(
  'addOutboundSas[0].nextSequence: 1…18446744073709551615 expected, not 0',
  outbound({ nextSequence: 0n }),
);
refuses(
  "addOutboundSas[0].dfBit: one of 'copy', 'set', 'clear' expected, not 'keep'",
  outbound({ dfBit: 'keep' }),
);
refuses(
  "addOutboundSas[0].destination: an address of the source's family expected",
  outbound({ destination: ip6(1, 1) }),
);
refuses('addOutboundSas[0].udp: an object expected, not nothing', outbound({ udp: undefined }));
refuses('addOutboundSas[0].dscp: -1…63 expected, not 64', outbound({ dscp: 64 }));
refuses("retireSas.direction: one of 'inbound', 'outbound' expected, not 'both'", (plane, { router }) =>
  plane.retireSas(router, 'both' as Anything, []),
);
refuses('saStatus.indices[0]: no such SA', (plane, { router }) => plane.saStatus(router, 'inbound', [7]));

refuses('counters.node: 0…2 expected, not -1', (plane) => plane.counters(-1));
refuses('statistics.indices[1]: 0…15 expected, not 16', (plane, { router }) =>
  plane.statistics(router, [0, 16]),
);
refuses('dropRecords.most: 0…16384 expected, not 20000', (plane) => plane.dropRecords(0, 20000));
refuses('sessions.worker: 0…0 expected, not 1', (plane, { router }) => plane.sessions(router, 1, 0n, 10));
refuses('sessions.cursor: a bigint expected, not null', (plane, { router }) =>
  plane.sessions(router, 0, null as Anything, 10),
);
refuses('sessions.node: a forwarder expected, not a host', (plane, { server }) =>
  plane.sessions(server, 0, 0n, 10),
);
refuses('latency.node: a host expected, not a forwarder', (plane, { router }) => plane.latency(router));
refuses('takePunts.most: 0…65536 expected, not -1', (plane) => plane.takePunts(-1));
refuses('inject.packet: 14…3328 bytes expected, not 13', (plane, { router }) =>
  plane.inject(router, 0, new Uint8Array(13)),
);
refuses('inject.packet: 14…3328 bytes expected, not 4096', (plane, { router }) =>
  plane.inject(router, 0, new Uint8Array(4096)),
);
refuses('inject.port: 0…1 expected, not 9', (plane, { router }) =>
  plane.inject(router, 9, new Uint8Array(60)),
);
refuses('step.nowNs: a bigint expected, not a number', (plane) => plane.step(5 as Anything));
refuses('attachPlane.id: no such plane, or it was closed', () => native().attachPlane(999_999, -1));
refuses('attachPlane.cpu: -1…1023 expected, not 1024', (plane) => native().attachPlane(plane.id, 1024));
refuses('poll.worker: 0…0 expected, not 1', (plane) => native().attachPlane(plane.id, -1).poll(1, 100));
refuses('poll.budgetMicroseconds: 1…100000 expected, not 0', (plane) =>
  native().attachPlane(plane.id, -1).poll(0, 0),
);

const addon = native();
const [key, nonce, none] = [new Uint8Array(16), new Uint8Array(12), new Uint8Array(0)];
refuses('gcmSeal.key: 16 or 32 bytes expected, not 24', () =>
  addon.gcmSeal(new Uint8Array(24), nonce, none, none),
);
refuses('gcmSeal.nonce: 12 bytes expected, not 16', () => addon.gcmSeal(key, key, none, none));
refuses('gcmSeal.plaintext: at most 65535 bytes expected', () =>
  addon.gcmSeal(key, nonce, none, new Uint8Array(65536)),
);
refuses('gcmOpen.ciphertextAndTag: 16…65551 bytes expected, not 15', () =>
  addon.gcmOpen(key, nonce, none, new Uint8Array(15)),
);
const table = (changed: Anything) => () =>
  addon.chashBuild({
    members: [{ name: 'a', weight: 1 }],
    dead: [],
    seed: 0n,
    size: 16,
    slack: 0,
    ...changed,
  });
refuses(
  'chashBuild.members[0].weight: 1…65535 expected, not 0',
  table({ members: [{ name: 'a', weight: 0 }] }),
);
refuses('chashBuild.slack: 0…10000 expected, not 10001', table({ slack: 10001 }));
refuses(
  'chashBuild.previous.home: a Uint16Array expected, not an array',
  table({ previous: { members: [], home: [] } }),
);

describe('refused', () => {
  it.each(cases)('%s', (says, call) => {
    const { native: plane } = dataplane();
    const ids = buildPath(plane, 2);
    const alive = native().planesAlive();
    let thrown: Error | undefined;
    try {
      call(plane, ids);
    } catch (error) {
      thrown = error as Error;
    }
    expect(thrown?.message).toContain(says);
    // A wrong type is a TypeError, a wrong value a RangeError.
    expect(thrown?.name).toBe(
      /not (nothing|null|an? (?!host|forwarder))/.test(says) ? 'TypeError' : 'RangeError',
    );
    // Nothing came of it: no plane, no node.
    expect(native().planesAlive()).toBe(alive);
    expect(plane.addForwarder(forwarderOptions)).toBe(3);
    expect(plane.framesInUse()).toBe(0);
  });

  it('what the system refuses has its code', () => {
    const { native: plane } = dataplane();
    const { router } = buildPath(plane, 2);
    const code = (call: () => unknown) => {
      try {
        call();
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
      return undefined;
    };
    expect(['ENODEV', 'EPERM']).toContain(code(() => plane.addPacketSocket(router, 'no-such-link')));
    expect(code(() => plane.addCapture(router, { read: '/nowhere/at/all.pcap' }))).toBe('ECAPTURE');
    expect(code(() => native().attachPlane(plane.id, 1023))).toBe('EINVAL');
  });

  it('every method of a closed plane', () => {
    const plane = native().createPlane(planeOptions);
    const id = plane.id;
    plane.close();
    plane.close();
    expect(() => plane.stop()).toThrow('the plane is closed');
    expect(() => plane.workerStatus()).toThrow('the plane is closed');
    expect(() => plane.addForwarder(forwarderOptions)).toThrow('the plane is closed');
    expect(() => plane.counters(0)).toThrow('the plane is closed');
    expect(() => native().attachPlane(id, -1)).toThrow('no such plane');
  });

  it('objects that nobody made properly', () => {
    const { native: plane } = dataplane();
    const Plane = plane.constructor as new () => NativePlane;
    expect(() => new Plane().stop()).toThrow('the plane is closed');
    expect(() => plane.stop.call({} as NativePlane)).toThrow();
  });
});
