import ipaddr from 'ipaddr.js';
import type { Config } from '../../dist/config/config.js';
import { loadConfig } from '../../dist/config/load.js';
import { Address } from '../../dist/model/address.js';
import { Secret } from '../../dist/model/secret.js';
import type { NodeAction, NodeEvent, Setup } from '../../dist/node/event.js';
import { emptyNode, type NodeState } from '../../dist/node/state.js';
import { flush, step } from '../../dist/node/step.js';

export const address = (text: string) => new Address(Uint8Array.from(ipaddr.parse(text).toByteArray()));
export const bytes = (text: string) => address(text).bytes;
const surroundings = {
  readFile: () => {
    throw new Error('no files here');
  },
  variable: () => undefined,
};

export const config = (text: string): Config => loadConfig(text, 'test.yaml', surroundings);

export const routerText = `
system: { host-name: tlb1 }
interfaces:
  ae0: { port: { memory: clients }, unit: { 0: { family: { inet: { address: [10.40.1.2/31], filter: { input: IPSEC_LB } } } } } }
  ae1: { port: { memory: gw1 }, unit: { 0: { family: { inet: { address: [10.1.1.1/29] } } } } }
  ae2: { port: { memory: gw2 }, unit: { 0: { family: { inet: { address: [10.1.2.1/29] } } } } }
  ae3: { port: { memory: gw1-right }, unit: { 0: { family: { inet: { address: [10.2.1.1/29] }, inet6: { address: ['2001:db8:2:1::1/64'] } } } } }
  ae4: { port: { memory: gw2-right }, unit: { 0: { family: { inet: { address: [10.2.2.1/29] } } } } }
  lo0: { unit: { 0: { family: { inet: { address: [10.10.10.253/32] } } } } }
routing-instances:
  TRUST_VR:
    instance-type: virtual-router
    interface: [ae0, ae1, ae2, lo0]
    routing-options: { static: { route: { 10.10.10.1/32: { next-hop: 10.1.1.2 }, 10.10.10.2/32: { next-hop: 10.1.2.2 }, 10.20.0.0/16: { next-hop: 10.40.1.3 } } } }
  UNTRUST_VR: { instance-type: virtual-router, interface: [ae3, ae4] }
  srx-tproxy-fi: { instance-type: forwarding }
firewall:
  family:
    inet:
      filter:
        IPSEC_LB:
          term:
            - { name: IPSEC, from: { destination-address: [10.0.0.1/32] }, then: { count: ipsec_tlb_traffic, routing-instance: srx-tproxy-fi } }
            - { name: other, then: { count: other_traffic, accept: } }
services:
  traffic-load-balance:
    instance:
      ipsec_lb:
        interface: lo0.0
        client-vrf: TRUST_VR
        server-vrf: TRUST_VR
        group: { srx_group: { real-services: [MNHA_SRX2, MNHA_SRX1], routing-instance: TRUST_VR } }
        real-service: { MNHA_SRX1: { address: 10.10.10.1 }, MNHA_SRX2: { address: 10.10.10.2 } }
        virtual-service:
          srx_trust_vs:
            mode: direct-server-return
            address: 10.0.0.1
            routing-instance: srx-tproxy-fi
            group: srx_group
            load-balance-method: { hash: { hash-key: source-ip, seed: 7 } }
`;

const key = (digit: string) => digit.repeat(72);

export const gatewayText = `
system: { host-name: gw1, node-id: 1, state-directory: /var/lib/penstock/gw1, workers: 2 }
interfaces:
  ge-0/0/0: { mtu: 2000, port: { memory: left }, unit: { 0: { family: { inet: { address: [10.1.1.2/29] } } } } }
  ge-0/0/1: { port: { memory: right }, unit: { 0: { family: { inet: { address: [10.2.1.2/29] } } } } }
  lo0: { unit: { 0: { family: { inet: { address: [10.0.0.1/32, 10.10.10.1/32] } } } } }
  st0: { unit: { 1: {}, 2: {} } }
routing-options:
  static: { route: { 0.0.0.0/0: { next-hop: 10.2.1.1 }, 10.20.0.0/16: { next-hop: 10.1.1.1 }, 172.16.0.0/12: { next-hop: st0.1 } } }
  auto-route-injection:
    export: { tlb1: { control-socket: /run/tlb1.sock, routing-instance: UNTRUST_VR, next-hop: [10.2.1.2] } }
security:
  zones:
    security-zone:
      trust: { interfaces: [st0.1, st0.2, ge-0/0/0] }
      untrust: { interfaces: [ge-0/0/1] }
  policies:
    from-zone:
      trust:
        to-zone:
          untrust:
            policy:
              - { name: permit-web, match: { source-address: [any], destination-address: [any], application: [web, dns] }, then: { permit: } }
              - { name: default-permit, match: { source-address: [any], destination-address: [any], application: [any] }, then: { permit: } }
    default-policy: deny-all
  ipsec:
    anti-replay-window-size: 512
    vpn:
      enb1:
        bind-interface: st0.1
        manual:
          gateway: 10.20.0.1
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x1001, key: { hex: ${key('a')} } }]
          outbound: { spi: 0x2001, key: { hex: ${key('b')} } }
        traffic-selector: { ts1: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.1/32 } }
      enb2:
        bind-interface: st0.2
        manual:
          gateway: 10.20.0.2
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x1002, key: { hex: ${key('c')} } }]
          outbound: { spi: 0x2002, key: { hex: ${key('d')} } }
        traffic-selector: { ts1: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.2/32 } }
applications: { application: { web: { protocol: tcp, destination-port: 443 }, dns: { protocol: udp, destination-port: 53-54 } } }
`;

export function setupOf(of: Config, without: string[] = []): Setup {
  const ports = of.ports.map(
    ({ name }, index) => [name, { index, mac: Uint8Array.of(2, 0, 0, 0, 0, index) }] as const,
  );
  return { ports: new Map(ports.filter(([name]) => !without.includes(name))), workers: of.system.workers };
}

/** Steps through events; gathers the actions; a flush at the end. */
export function run(state: NodeState, ...events: NodeEvent[]): { state: NodeState; actions: NodeAction[] } {
  const actions: NodeAction[] = [];
  let now = 0;
  for (const event of events) {
    const stepped = step(state, event, ++now);
    state = stepped.state;
    actions.push(...stepped.actions);
  }
  const flushed = flush(state);
  return { state: flushed.state, actions: [...actions, ...flushed.actions] };
}

export const ofKind = <K extends NodeAction['kind']>(actions: readonly NodeAction[], kind: K) =>
  actions.filter((action): action is NodeAction & { kind: K } => action.kind === kind);

/** What was published last, and nothing if nothing was. */
export const published = (actions: readonly NodeAction[]) => ofKind(actions, 'publish').at(-1)?.parts ?? {};

export function configured(text: string, without: string[] = []) {
  const of = config(text);
  return run(emptyNode, { kind: 'configured', config: of, setup: setupOf(of, without) });
}

export const secret = (byte: number) => new Secret(new Uint8Array(36).fill(byte));
