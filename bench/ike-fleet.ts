/** Initiators of `penstock bench ike`, in a process of their own: as many at a time as the window lets. */
import { makeConfig } from '#penstock/config/load.js';
import type { ConfigDocument } from '#penstock/config/schema.js';
import { IkeRuntime } from '#penstock/control/ike.js';
import { emptyNode } from '#penstock/node/state.js';
import { addressOf, childPolicy, hub, IkeWire, insideOf, proposals } from './ike-wire.js';

/** Begun and not done yet: fewer than a gateway asks for cookies at. */
const window = 192;

export interface FleetOrder {
  readonly tunnels: number;
  readonly port: number;
}

function configOf(tunnels: number) {
  const each = <T>(make: (index: number) => T) =>
    Object.fromEntries(Array.from({ length: tunnels }, (_, i) => [`p${i}`, make(i)]));
  const document = {
    system: { 'host-name': 'fleet', 'node-id': 2 },
    interfaces: {
      lo0: {
        unit: {
          0: {
            family: { inet: { address: Array.from({ length: tunnels }, (_, i) => `${addressOf(i)}/32`) } },
          },
        },
      },
      st0: { unit: { 1: { family: { inet: null } } } },
    },
    'routing-options': { static: { route: { '192.0.2.0/24': { discard: null } } } },
    security: {
      ike: {
        ...proposals,
        gateway: each((i) => ({
          'ike-policy': 'p',
          address: hub,
          'local-address': addressOf(i),
          'local-identity': { hostname: `p${i}.example.net` },
          'remote-identity': { hostname: 'hub.example.net' },
        })),
      },
      ipsec: {
        ...childPolicy,
        vpn: each((i) => ({
          'bind-interface': 'st0.1',
          ike: { gateway: `p${i}`, 'ipsec-policy': 'q' },
          'traffic-selector': {
            ts: {
              'local-ip': insideOf(i),
              'remote-ip': `198.${18 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/32`,
            },
          },
        })),
      },
      zones: { 'security-zone': { z: { interfaces: ['st0.1'] } } },
    },
  } as unknown as ConfigDocument;
  const surroundings = { readFile: () => '', variable: () => undefined };
  return makeConfig(document, 'fleet', surroundings);
}

async function main({ tunnels, port }: FleetOrder): Promise<void> {
  const wire = new IkeWire();
  let up = 0;
  let down = 0;
  let begun = 0;
  const runtime = new IkeRuntime({
    nodeId: 2,
    nowMs: () => performance.now(),
    log: () => {},
    state: () => emptyNode,
    post: () => {},
    originate: (_instance, packets) => wire.send(packets),
    saStatus: () => [],
    onEvent: ({ event }) => {
      if (event === 'child-sa-up') up++;
      if (event === 'ike-sa-down') down++;
    },
  });
  const config = configOf(tunnels);
  const own = await wire.open((frame) => void runtime.receive(frame, () => 'default'));
  wire.connect(port);
  runtime.configure(config);
  process.send!({ kind: 'ready', port: own });
  const turn = (): void => {
    while (begun < tunnels && begun - up < window) runtime.begin(`p${begun++}`);
    runtime.tick();
    if (up >= tunnels && !isDone) {
      isDone = true;
      process.send!({ kind: 'up', up });
    }
    if (down >= tunnels) {
      process.send!({ kind: 'down', down });
      return;
    }
    setTimeout(turn, 1);
  };
  let isDone = false;
  process.on('message', (message: { kind: string }) => {
    if (message.kind === 'begin') turn();
    else if (message.kind === 'clear') runtime.clear(() => true);
    else if (message.kind === 'end') void runtime.close().then(() => process.exit());
  });
}

process.once('message', (order: FleetOrder) => void main(order));
