import type { Surroundings } from '../../dist/config/load.js';

/** Key and salt of AES-256-GCM in digits: 36 bytes, all the same. */
export const digits = (byte: string, bytes = 36) => byte.repeat(bytes);

export const gateway = `system:
  host-name: gw1
  node-id: 1
  workers: 2
  state-directory: state/gw1
  control-socket: /run/penstock/gw1.sock
interfaces:
  ge-0/0/0:
    port: { af-packet: veth0 }
    unit:
      0:
        family:
          inet: { address: [10.1.1.2/24] }
          inet6: { address: ['2001:db8:1::2/64'] }
  ge-0/0/1:
    port: { memory: inside }
    mac: 02:00:00:00:00:01
    unit: { 0: { family: { inet: { address: 10.2.1.2/24 } } } }
  lo0: { unit: { 0: { family: { inet: { address: [10.0.0.1/32, 10.10.10.1/32] } } } } }
  st0: { unit: { 1: { family: { inet, inet6 } } } }
routing-options:
  static:
    route:
      10.20.0.0/16: { next-hop: 10.1.1.1 }
      0.0.0.0/0: { next-hop: 10.2.1.1 }
      192.0.2.128/25: { discard }
  auto-route-injection:
    export:
      tlb1: { control-socket: /run/penstock/tlb1.sock, routing-instance: UNTRUST_VR, next-hop: 10.2.1.2 }
security:
  ipsec:
    anti-replay-window-size: 512
    vpn:
      enb1:
        bind-interface: st0.1
        manual:
          gateway: 10.20.0.1
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound:
            - { spi: 0x1001, key: { hex: ${digits('a1')} } }
          outbound: { spi: 0x2001, key: { env: OUTBOUND_KEY } }
        traffic-selector:
          ts: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.1/32 }
  address-book: { global: { address: { mobiles: 192.0.2.0/24 } } }
  zones:
    security-zone:
      trust: { interfaces: [ge-0/0/0.0, lo0] }
      untrust: { host-inbound-traffic: { system-services: all, protocols: all }, interfaces: ge-0/0/1.0 }
      vpn: { interfaces: [st0.1] }
  policies:
    from-zone:
      vpn:
        to-zone:
          untrust:
            policy:
              - name: mobiles-out
                match: { source-address: mobiles, destination-address: any, application: [web, ping] }
                then: { permit }
    default-policy: deny-all
  flow: { tcp-session: { no-syn-check }, session-limit: 1000 }
applications:
  application:
    web: { protocol: tcp, destination-port: 80-443 }
    ping: { protocol: icmp }
`;

export const router = `system: { host-name: tlb1 }
interfaces:
  ae10:
    port: { af-packet: clients }
    mtu: 3000
    unit:
      40: { vlan-id: 40, family: { inet: { address: [10.40.1.2/31], filter: { input: IPSEC_LB } } } }
  ae1:
    port: { pcap: { read: in.pcap, write: out.pcapng } }
    unit: { 0: { family: { inet: { address: [10.1.1.1/24] } } } }
  lo0: { unit: { 0: { family: { inet: { address: [10.10.10.253/32] } } } } }
routing-instances:
  TRUST_VR:
    instance-type: virtual-router
    interface: [ae10.40, ae1, lo0.0]
    routing-options:
      static: { route: { 10.10.10.1/32: { next-hop: 10.1.1.2 }, 10.10.10.2/32: { next-hop: 10.1.1.3 } } }
  srx-tproxy-fi: { instance-type: forwarding }
firewall:
  family:
    inet:
      filter:
        IPSEC_LB:
          term:
            - name: IPSEC
              from: { destination-address: 10.0.0.1/32, protocol: [esp, udp] }
              then: { count: ipsec_tlb_traffic, routing-instance: srx-tproxy-fi }
            - name: other_traffic
              then: { count: other_traffic, accept }
services:
  network-monitoring:
    profile:
      icmp-profile: { icmp, probe-interval: 2, failure-retries: 3 }
  traffic-load-balance:
    instance:
      ipsec_lb:
        interface: lo0.0
        client-vrf: TRUST_VR
        server-vrf: TRUST_VR
        group:
          srx_group: { real-services: [SRX1, SRX2], network-monitoring-profile: icmp-profile }
        real-service:
          SRX1: { address: 10.10.10.1 }
          SRX2: { address: 10.10.10.2, weight: 3 }
        virtual-service:
          srx_trust_vs:
            mode: direct-server-return
            address: 10.0.0.1
            routing-instance: srx-tproxy-fi
            group: srx_group
            load-balance-method: { hash: { hash-key: source-ip, seed: 7 } }
`;

/** One node of a pair: VPN enb1 ends at the floating address 10.0.0.1. */
export const pair = `system: { host-name: gw1a, node-id: 1, state-directory: state }
chassis:
  high-availability:
    local-id: { id: 1, local-ip: 10.3.1.2, local-forwarding-ip: 10.4.1.2 }
    peer-id:
      2:
        peer-ip: 10.3.1.3
        interface: ge-0/0/2
        vpn-profile: ICL
        liveness-detection: { minimum-interval: 400, multiplier: 5 }
        peer-forwarding-ip: { ip: 10.4.1.3, interface: ge-0/0/3.0 }
    services-redundancy-group:
      1:
        peer-id: 2
        activeness-probe: { dest-ip: 10.1.1.1, src-ip: 10.0.0.1 }
        monitor: { bfd-liveliness: { 10.1.1.1: { src-ip: 10.1.1.2, interface: ge-0/0/0 } } }
        active-signal-route: { ip: 192.168.255.0, routing-instance: MNHA-VR }
        backup-signal-route: { ip: 192.168.255.1, routing-instance: MNHA-VR }
        prefix-list: { ike_lo0 }
        managed-services: ipsec
        preemption:
        activeness-priority: 200
      2:
        deployment-type: hybrid
        monitor: { srg-threshold: 100, monitor-object: { servers: { object-threshold: 100, interface: { threshold: 100, interface-name: { ge-0/0/1: { weight: 100 } } } } } }
        virtual-ip:
          1: { ip: 10.2.1.1/24, interface: ge-0/0/1 }
          2: { ip: '2001:db8:2::1/64', interface: ge-0/0/1 }
    seqnum-sync: { oseq-shift: 65536, sync-period-packets: 64, sync-period-time: 1 }
interfaces:
  ge-0/0/0:
    port: { memory: outside }
    unit: { 0: { family: { inet: { address: 10.1.1.2/24 } } } }
  ge-0/0/1:
    port: { memory: inside }
    unit: { 0: { family: { inet: { address: 10.2.1.2/24 }, inet6: { address: '2001:db8:2::2/64' } } } }
  ge-0/0/2: { port: { memory: icl }, unit: { 0: { family: { inet: { address: 10.3.1.2/24 } } } } }
  ge-0/0/3: { port: { memory: icd }, unit: { 0: { family: { inet: { address: 10.4.1.2/24 } } } } }
  lo0: { unit: { 0: { family: { inet: { address: 10.0.0.1/32 } } } } }
  st0: { unit: { 1: { family: { inet } } } }
routing-instances:
  MNHA-VR: { instance-type: virtual-router }
routing-options: { static: { route: { 10.20.0.0/16: { next-hop: 10.1.1.1 } } } }
policy-options: { prefix-list: { ike_lo0: 10.0.0.1/32 } }
security:
  ipsec:
    vpn:
      ICL:
        ha-link-encryption:
        manual:
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x901, key: { hex: ${digits('d1')} } }]
          outbound: { spi: 0x902, key: { hex: ${digits('d2')} } }
      enb1:
        bind-interface: st0.1
        manual:
          gateway: 10.20.0.1
          local-address: 10.0.0.1
          encryption-algorithm: aes-256-gcm
          inbound: [{ spi: 0x1001, key: { hex: ${digits('a1')} } }]
          outbound: { spi: 0x2001, key: { hex: ${digits('a2')} } }
        traffic-selector: { ts: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.1/32 } }
  zones:
    security-zone:
      trust: { interfaces: [ge-0/0/0, lo0] }
      untrust: { interfaces: ge-0/0/1 }
      vpn: { interfaces: st0.1 }
      ha: { interfaces: [ge-0/0/2, ge-0/0/3] }
`;

export const surroundings: Surroundings = {
  variable: (name) => (name === 'OUTBOUND_KEY' ? `0x${digits('b2')}\n` : undefined),
  readFile: (path) => {
    if (path === 'keys/outbound') return `${digits('c3')}\n`;
    throw Object.assign(new Error(path), { code: 'ENOENT' });
  },
};

/** The sample with each [from, to] put in place; throws when `from` is not there exactly once. */
export function edited(text: string, ...edits: readonly (readonly [string, string])[]): string {
  return edits.reduce((now, [from, to]) => {
    if (now.split(from).length !== 2) throw new Error(`not there once: ${from}`);
    return now.replace(from, () => to);
  }, text);
}
