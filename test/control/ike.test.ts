/** Two runtimes, joined by function calls: what is around the engine, with its other thread. */
import { afterAll, describe, expect, it } from 'vitest';
import { makeConfig } from '../../dist/config/load.js';
import type { ConfigDocument } from '../../dist/config/schema.js';
import { IkeRuntime } from '../../dist/control/ike.js';
import type { NodeEvent } from '../../dist/node/event.js';
import { emptyNode } from '../../dist/node/state.js';

const hub = '192.0.2.2';
const peers = 100;
const addressOf = (i: number) => `10.1.0.${i + 1}`;
const shared = {
  proposal: {
    x: {
      'authentication-method': 'pre-shared-keys',
      'dh-group': 'group31',
      'encryption-algorithm': 'aes-256-gcm',
    },
  },
  policy: { p: { proposals: ['x'], 'pre-shared-key': { 'ascii-text': 'a key of this test' } } },
};
const ipsec = {
  proposal: { e: { 'encryption-algorithm': 'aes-256-gcm' } },
  policy: { q: { proposals: ['e'] } },
};
const each = <T>(make: (i: number) => T) =>
  Object.fromEntries(Array.from({ length: peers }, (_, i) => [`p${i}`, make(i)]));
const document = (address: string[], gateway: object, vpn: object) =>
  ({
    system: { 'host-name': 'x', 'node-id': 1 },
    interfaces: {
      lo0: { unit: { 0: { family: { inet: { address } } } } },
      st0: { unit: { 1: { family: { inet: null } } } },
    },
    'routing-options': { static: { route: { '192.0.2.0/24': { discard: null } } } },
    security: {
      ike: { ...shared, gateway },
      ipsec: { ...ipsec, vpn },
      zones: { 'security-zone': { z: { interfaces: ['st0.1'] } } },
    },
  }) as unknown as ConfigDocument;
const surroundings = { readFile: () => '', variable: () => undefined };
const right = makeConfig(
  document(
    [`${hub}/32`],
    {
      g: {
        'ike-policy': 'p',
        dynamic: { hostname: '.example.net', 'ike-user-type': 'group-ike-id' },
        'local-address': hub,
        'local-identity': { hostname: 'hub.example.net' },
      },
    },
    {
      v: {
        'bind-interface': 'st0.1',
        ike: { gateway: 'g', 'ipsec-policy': 'q' },
        'traffic-selector': { ts: { 'local-ip': '0.0.0.0/0', 'remote-ip': '172.16.0.0/16' } },
      },
    },
  ),
  'right',
  surroundings,
);
const left = makeConfig(
  document(
    Array.from({ length: peers }, (_, i) => `${addressOf(i)}/32`),
    each((i) => ({
      'ike-policy': 'p',
      address: hub,
      'local-address': addressOf(i),
      'local-identity': { hostname: `p${i}.example.net` },
      'remote-identity': { hostname: 'hub.example.net' },
    })),
    each((i) => ({
      'bind-interface': 'st0.1',
      ike: { gateway: `p${i}`, 'ipsec-policy': 'q' },
      'establish-tunnels': 'immediately',
      'traffic-selector': { ts: { 'local-ip': `172.16.0.${i}/32`, 'remote-ip': `198.18.0.${i}/32` } },
    })),
  ),
  'left',
  surroundings,
);

describe('the runtime of IKE', () => {
  const runtimes: IkeRuntime[] = [];
  const make = (to: () => IkeRuntime, onPost: (event: NodeEvent) => void = () => {}) => {
    const runtime = new IkeRuntime({
      nodeId: 1,
      nowMs: () => performance.now(),
      log: () => {},
      state: () => emptyNode,
      post: (...events) => events.forEach(onPost),
      originate: (_instance, packets) => {
        for (const packet of packets) {
          const frame = new Uint8Array(14 + packet.length);
          frame[12] = 8;
          frame.set(packet, 14);
          setImmediate(() => to().receive(frame, () => 'default'));
        }
        return packets.length;
      },
      saStatus: () => [],
      onEvent: () => {},
    });
    runtimes.push(runtime);
    return runtime;
  };
  afterAll(async () => {
    for (const runtime of runtimes) await runtime.close();
  });

  // more computations at once than one task of the other thread has: their private values must live until it is their turn
  it('sets up a hundred tunnels at once, with keys that no event shows', async () => {
    const events: NodeEvent[] = [];
    const keyed = (event: NodeEvent) => void (event.kind === 'tunnels-keyed' && events.push(event));
    const hubRuntime: IkeRuntime = make(() => spokes, keyed);
    const spokes: IkeRuntime = make(() => hubRuntime);
    hubRuntime.configure(right);
    spokes.configure(left);
    const up = () => [...hubRuntime.engine.sas.values()].filter(({ state }) => state === 'up').length;
    const end = performance.now() + 20_000;
    while (up() < peers && performance.now() < end) {
      hubRuntime.tick();
      spokes.tick();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(up()).toBe(peers);
    hubRuntime.flush(true);
    const tunnels = events.flatMap((event) => (event.kind === 'tunnels-keyed' ? event.tunnels : []));
    expect(tunnels).toHaveLength(peers);
    expect(new Set(tunnels.map(({ tunnel }) => tunnel.id)).size).toBe(peers);
    expect(JSON.stringify(tunnels[0]!.inbound)).toContain('<secret>');
    // wiped once they were posted
    expect(tunnels.every(({ inbound }) => inbound[0]!.key.reveal().every((byte) => byte === 0))).toBe(true);
    expect(hubRuntime.clear(({ peerIdentity }) => peerIdentity !== null)).toBe(peers);
  }, 30_000);
});
