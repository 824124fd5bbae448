import { describe, expect, it } from 'vitest';
import { checkConfig } from '../../dist/config/load.js';
import { problemText } from '../../dist/config/problem.js';
import { digits, edited, gateway, router, surroundings } from './samples.js';

const A = digits('a1');
const B = digits('b2');
const members = (count: number) => Array.from({ length: count }, (_, i) => `S${i}`).join(', ');

/** What the case is, what is changed in the sample, and every line that check prints, behind the file's name. */
type Case = readonly [string, readonly (readonly [string, string])[], readonly string[]];

const ofGateways: readonly Case[] = [
  [
    'a misspelt key',
    [['  workers: 2', '  worker: 2']],
    ['4:3: system.worker: unknown key; did you mean workers?'],
  ],
  [
    'a misspelt section',
    [['routing-options:\n', 'routing-optoins:\n']],
    ['21:1: routing-optoins: unknown key; did you mean routing-options?'],
  ],
  [
    'a key that nothing resembles',
    [['  workers: 2', '  colour: blue']],
    [
      '4:3: system.colour: unknown key; known here: host-name, node-id, workers, maximum-workers, state-directory, control-socket',
    ],
  ],
  [
    'a window that is no power of two',
    [['anti-replay-window-size: 512', 'anti-replay-window-size: 500']],
    [
      '32:30: security.ipsec.anti-replay-window-size: 500 is not a power of two from 64 to 8192; 512 is the next',
    ],
  ],
  [
    'a window too large',
    [['anti-replay-window-size: 512', 'anti-replay-window-size: 16384']],
    [
      '32:30: security.ipsec.anti-replay-window-size: 16384 is not a power of two from 64 to 8192; 8192 is the largest',
    ],
  ],
  [
    'a window too small',
    [['anti-replay-window-size: 512', 'anti-replay-window-size: 32']],
    [
      '32:30: security.ipsec.anti-replay-window-size: 32 is not a power of two from 64 to 8192; 64 is the smallest',
    ],
  ],
  [
    'a window and none on one VPN',
    [
      [
        'bind-interface: st0.1',
        'bind-interface: st0.1\n        anti-replay-window-size: 64\n        no-anti-replay:',
      ],
    ],
    [
      '37:9: security.ipsec.vpn.enb1.no-anti-replay: there is an anti-replay-window-size too; write one of them',
    ],
  ],
  [
    'no anti-replay for all',
    [['    anti-replay-window-size: 512', '    no-anti-replay:']],
    ['32:5: security.ipsec.no-anti-replay: for one VPN only; write it below security.ipsec.vpn.<name>'],
  ],
  [
    'an algorithm that comes later',
    [['aes-256-gcm', '3des-cbc']],
    [
      '39:33: security.ipsec.vpn.enb1.manual.encryption-algorithm: 3des-cbc is not supported yet; write aes-256-gcm, aes-128-gcm, aes-256-cbc, aes-192-cbc or aes-128-cbc',
    ],
  ],
  [
    'an algorithm misspelt',
    [['aes-256-gcm', 'aes256-gcm']],
    [
      '39:33: security.ipsec.vpn.enb1.manual.encryption-algorithm: aes256-gcm is not known; did you mean aes-256-gcm?',
    ],
  ],
  [
    'a key of the wrong length',
    [[`${A}`, `${digits('a1', 32)}`]],
    [
      '41:42: security.ipsec.vpn.enb1.manual.inbound.0.key.hex: 64 digits; aes-256-gcm wants 72 hexadecimal digits: 32 bytes of key, then 4 of salt',
    ],
  ],
  [
    'a key that is not hexadecimal',
    [[`${A}`, `${digits('xy')}`]],
    [
      '41:42: security.ipsec.vpn.enb1.manual.inbound.0.key.hex: not hexadecimal digits; aes-256-gcm wants 72 hexadecimal digits: 32 bytes of key, then 4 of salt',
    ],
  ],
  [
    'a key length for another algorithm',
    [['aes-256-gcm', 'aes-128-gcm']],
    [
      '41:42: security.ipsec.vpn.enb1.manual.inbound.0.key.hex: 72 digits; aes-128-gcm wants 40 hexadecimal digits: 16 bytes of key, then 4 of salt',
      '42:48: security.ipsec.vpn.enb1.manual.outbound.key.env: 72 digits; aes-128-gcm wants 40 hexadecimal digits: 16 bytes of key, then 4 of salt',
    ],
  ],
  [
    'a key variable not set',
    [['OUTBOUND_KEY', 'OTHER_KEY']],
    ['42:48: security.ipsec.vpn.enb1.manual.outbound.key.env: environment variable OTHER_KEY is not set'],
  ],
  [
    'a key file not there',
    [['{ env: OUTBOUND_KEY }', '{ file: keys/missing }']],
    [
      '42:49: security.ipsec.vpn.enb1.manual.outbound.key.file: cannot read keys/missing: there is no such file',
    ],
  ],
  [
    'a key where its name should be',
    [['{ env: OUTBOUND_KEY }', `{ env: ${B} }`]],
    ['42:48: security.ipsec.vpn.enb1.manual.outbound.key.env: looks like a key; write { hex: … }, or a name'],
  ],
  [
    'a key where its path should be',
    [['{ env: OUTBOUND_KEY }', `{ file: ${B} }`]],
    [
      '42:49: security.ipsec.vpn.enb1.manual.outbound.key.file: looks like a key; write { hex: … }, or a path',
    ],
  ],
  [
    'a key without hex',
    [['{ env: OUTBOUND_KEY }', `${B}`]],
    [
      '42:41: security.ipsec.vpn.enb1.manual.outbound.key: not a mapping; write { hex: … }, { file: … } or { env: … }',
    ],
  ],
  [
    'a key as a key',
    [['{ env: OUTBOUND_KEY }', `{ ${B} }`]],
    [
      '42:41: security.ipsec.vpn.enb1.manual.outbound.key: unknown key; write { hex: … }, { file: … } or { env: … }',
    ],
  ],
  [
    'two sources of a key',
    [['{ env: OUTBOUND_KEY }', '{ env: OUTBOUND_KEY, file: keys/outbound }']],
    [
      '42:36: security.ipsec.vpn.enb1.manual.outbound.key: says file and env; write one of { hex: … }, { file: … }, { env: … }',
    ],
  ],
  [
    'no source of a key',
    [['{ env: OUTBOUND_KEY }', '{}']],
    [
      '42:36: security.ipsec.vpn.enb1.manual.outbound.key: says nothing; write one of { hex: … }, { file: … }, { env: … }',
    ],
  ],
  [
    'one key on two SAs',
    [['{ env: OUTBOUND_KEY }', `{ hex: 0x${A.toUpperCase()} }`]],
    [
      '42:41: security.ipsec.vpn.enb1.manual.outbound.key: the key is that of security.ipsec.vpn.enb1.manual.inbound.0.key too; each needs its own',
    ],
  ],
  [
    'one SPI on two inbound SAs',
    [
      [
        '          outbound: { spi',
        '            - { spi: 4097, key: { file: keys/outbound } }\n          outbound: { spi',
      ],
    ],
    [
      '42:22: security.ipsec.vpn.enb1.manual.inbound.1.spi: SPI 0x00001001 is that of security.ipsec.vpn.enb1.manual.inbound.0.spi too; each needs its own',
    ],
  ],
  [
    'a reserved SPI',
    [['0x1001', '255']],
    ['41:22: security.ipsec.vpn.enb1.manual.inbound.0.spi: 255 is not a whole number from 256 to 4294967295'],
  ],
  [
    'an SPI of more than 32 bits',
    [['0x1001', '0x100000000']],
    [
      '41:22: security.ipsec.vpn.enb1.manual.inbound.0.spi: 4294967296 is not a whole number from 256 to 4294967295',
    ],
  ],
  [
    'no node-id',
    [['  node-id: 1\n', '']],
    [
      '1:1: system.node-id: missing; VPNs with manual keys want one from 1 to 15, another on each node that has the same keys',
    ],
  ],
  [
    'node-id 0',
    [['node-id: 1\n', 'node-id: 0\n']],
    ['3:12: system.node-id: 0 is not a whole number from 1 to 15'],
  ],
  [
    'node-id 16',
    [['node-id: 1\n', 'node-id: 16\n']],
    ['3:12: system.node-id: 16 is not a whole number from 1 to 15'],
  ],
  [
    'no state directory',
    [['  state-directory: state/gw1\n', '']],
    [
      '1:1: system.state-directory: missing; without it nothing is sealed with manual keys, since no IV may come twice after a restart',
    ],
  ],
  [
    'no host name',
    [['  host-name: gw1\n', '']],
    ['1:1: system.host-name: missing; write the name of a host'],
  ],
  [
    'a VPN bound to a link',
    [['bind-interface: st0.1', 'bind-interface: ge-0/0/1']],
    ['35:25: security.ipsec.vpn.enb1.bind-interface: ge-0/0/1.0 is no tunnel; write an st0 unit, e.g. st0.1'],
  ],
  [
    'a VPN bound to nothing',
    [['bind-interface: st0.1', 'bind-interface: st0.2']],
    ['35:25: security.ipsec.vpn.enb1.bind-interface: no interface st0.2; did you mean st0.1?'],
  ],
  [
    'a local address of another node',
    [['local-address: 10.0.0.1', 'local-address: 10.0.0.2']],
    [
      '38:26: security.ipsec.vpn.enb1.manual.local-address: 10.0.0.2 is no address of this node; add it to an interface, e.g. lo0',
    ],
  ],
  [
    'a peer of another family',
    [['gateway: 10.20.0.1', 'gateway: 2001:db8::1']],
    ['37:20: security.ipsec.vpn.enb1.manual.gateway: 2001:db8::1 is inet6, local-address 10.0.0.1 is not'],
  ],
  [
    'a peer that is this node',
    [['gateway: 10.20.0.1', 'gateway: 10.10.10.1']],
    [
      "37:20: security.ipsec.vpn.enb1.manual.gateway: 10.10.10.1 is an address of this node; write the peer's address",
    ],
  ],
  [
    'a peer without a route',
    [
      ['      0.0.0.0/0: { next-hop: 10.2.1.1 }\n', ''],
      ['gateway: 10.20.0.1', 'gateway: 10.30.0.1'],
    ],
    ['36:20: security.ipsec.vpn.enb1.manual.gateway: no route to 10.30.0.1 in routing instance default'],
  ],
  [
    'a multicast peer',
    [['gateway: 10.20.0.1', 'gateway: 224.0.0.5']],
    [
      "37:20: security.ipsec.vpn.enb1.manual.gateway: 224.0.0.5 is a multicast address; write the peer's address",
    ],
  ],
  [
    'selectors of two families',
    [['remote-ip: 192.0.2.1/32', 'remote-ip: 2001:db8::/64']],
    [
      '44:49: security.ipsec.vpn.enb1.traffic-selector.ts.remote-ip: 2001:db8::/64 is inet6, local-ip 0.0.0.0/0 is not',
    ],
  ],
  [
    'two ARI routes to one prefix',
    [['          ts: {', '          ts0: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.1/32 }\n          ts: {']],
    [
      '45:49: security.ipsec.vpn.enb1.traffic-selector.ts.remote-ip: the ARI route 192.0.2.1/32 is that of security.ipsec.vpn.enb1.traffic-selector.ts0.remote-ip too; each needs its own',
    ],
  ],
  [
    'no traffic selector',
    [['        traffic-selector:\n          ts: { local-ip: 0.0.0.0/0, remote-ip: 192.0.2.1/32 }\n', '']],
    [
      '34:7: security.ipsec.vpn.enb1.traffic-selector: missing; write the name of each traffic selector and its values below it',
    ],
  ],
  [
    'an interface without a zone',
    [['      vpn: { interfaces: [st0.1] }', '      vpn: { interfaces: [] }']],
    [
      '20:18: interfaces.st0.unit.1: in no security zone; add st0.1 to security.zones.security-zone.<name>.interfaces',
    ],
  ],
  [
    'an interface in two zones',
    [['interfaces: [st0.1]', 'interfaces: [st0.1, lo0.0]']],
    ['50:34: security.zones.security-zone.vpn.interfaces.1: lo0.0 is in security zone trust already'],
  ],
  [
    'an unknown interface in a zone',
    [['[ge-0/0/0.0, lo0]', '[ge-0/0/0.0, ge-0/0/3.0, lo0]']],
    [
      '48:41: security.zones.security-zone.trust.interfaces.1: no interface ge-0/0/3.0; did you mean ge-0/0/0.0?',
    ],
  ],
  [
    'a policy of an unknown zone',
    [['          untrust:\n', '          untrusted:\n']],
    [
      '56:13: security.policies.from-zone.vpn.to-zone.untrusted: no security zone untrusted; did you mean untrust?',
    ],
  ],
  [
    'an unknown address',
    [['source-address: mobiles', 'source-address: mobile']],
    [
      '58:42: security.policies.from-zone.vpn.to-zone.untrust.policy.0.match.source-address.0: no address mobile; did you mean mobiles?',
    ],
  ],
  [
    'any and more',
    [['destination-address: any', 'destination-address: [any, mobiles]']],
    [
      '58:73: security.policies.from-zone.vpn.to-zone.untrust.policy.0.match.destination-address.0: any stands alone; remove the others',
    ],
  ],
  [
    'an unknown application',
    [['[web, ping]', '[web, pong]']],
    [
      '58:96: security.policies.from-zone.vpn.to-zone.untrust.policy.0.match.application.1: no application pong; did you mean ping?',
    ],
  ],
  [
    'a policy that says nothing',
    [['then: { permit }', 'then: {}']],
    [
      '59:17: security.policies.from-zone.vpn.to-zone.untrust.policy.0.then: says nothing; write { permit } or { deny }',
    ],
  ],
  [
    'a policy that says both',
    [['then: { permit }', 'then: { permit, deny }']],
    [
      '59:17: security.policies.from-zone.vpn.to-zone.untrust.policy.0.then: says both; write { permit } or { deny }',
    ],
  ],
  [
    'a flag with a value',
    [['then: { permit }', 'then: { permit: false }']],
    [
      '59:33: security.policies.from-zone.vpn.to-zone.untrust.policy.0.then.permit: takes no value, not false; leave the statement out to say no',
    ],
  ],
  [
    'reject comes later',
    [['then: { permit }', 'then: { reject }']],
    [
      '59:25: security.policies.from-zone.vpn.to-zone.untrust.policy.0.then.reject: not supported yet; write deny',
    ],
  ],
  [
    'ports of a protocol without',
    [['{ protocol: icmp }', '{ protocol: icmp, destination-port: 7 }']],
    ['65:29: applications.application.ping.destination-port: icmp has no ports; remove it'],
  ],
  [
    'ports in the wrong order',
    [['80-443', '443-80']],
    [
      '64:45: applications.application.web.destination-port: 443-80 is not a range of ports from 0 to 65535, the lower first',
    ],
  ],
  [
    'an unknown protocol',
    [['{ protocol: icmp }', '{ protocol: icpm }']],
    ['65:23: applications.application.ping.protocol: no protocol icpm; did you mean icmp?'],
  ],
  [
    'two interfaces with one address',
    [['address: 10.2.1.2/24', 'address: [10.2.1.2/24, 10.0.0.1/24]']],
    [
      '19:51: interfaces.lo0.unit.0.family.inet.address.0: 10.0.0.1 is an address of ge-0/0/1.0 already, in routing instance default',
    ],
  ],
  [
    'the address of the network',
    [['address: 10.2.1.2/24', 'address: 10.2.1.0/24']],
    [
      '18:45: interfaces.ge-0/0/1.unit.0.family.inet.address.0: 10.2.1.0/24 is the network itself; write an address of this node',
    ],
  ],
  [
    'the broadcast address',
    [['address: 10.2.1.2/24', 'address: 10.2.1.255/24']],
    [
      '18:45: interfaces.ge-0/0/1.unit.0.family.inet.address.0: 10.2.1.255/24 is the broadcast address of its network; write an address of this node',
    ],
  ],
  [
    'no prefix length',
    [['address: 10.2.1.2/24', 'address: 10.2.1.2']],
    [
      '18:45: interfaces.ge-0/0/1.unit.0.family.inet.address.0: 10.2.1.2 is not an IPv4 address with a prefix length, e.g. 10.1.1.1/24',
    ],
  ],
  [
    'an IPv6 address under inet',
    [['address: 10.2.1.2/24', 'address: 2001:db8::2/64']],
    [
      '18:45: interfaces.ge-0/0/1.unit.0.family.inet.address.0: 2001:db8::2/64 is not an IPv4 address with a prefix length, e.g. 10.1.1.1/24',
    ],
  ],
  [
    'a wide address on lo0',
    [['10.10.10.1/32', '10.10.10.1/24']],
    [
      '19:64: interfaces.lo0.unit.0.family.inet.address.1: 10.10.10.1/24 on lo0 is one address; write 10.10.10.1/32',
    ],
  ],
  [
    'a port for lo0',
    [['  lo0: { unit', '  lo0: { port: { memory: x }, unit']],
    ['19:10: interfaces.lo0.port: lo0 has none; remove it'],
  ],
  [
    'no port',
    [['    port: { memory: inside }\n', '']],
    [
      '15:3: interfaces.ge-0/0/1.port: missing; write one of { af-xdp: eth0 }, { af-packet: eth0 }, { tun: tun0 }, { tap: tap0 }, { memory: wire }, { pcap: { read: in.pcap } }',
    ],
  ],
  [
    'two kinds of port',
    [['{ memory: inside }', '{ memory: inside, af-packet: eth1 }']],
    [
      '16:11: interfaces.ge-0/0/1.port: has af-packet and memory; write one of { af-xdp: eth0 }, { af-packet: eth0 }, { tun: tun0 }, { tap: tap0 }, { memory: wire }, { pcap: { read: in.pcap } }',
    ],
  ],
  [
    'one kernel interface twice',
    [['{ memory: inside }', '{ af-xdp: veth0 }']],
    ['16:11: interfaces.ge-0/0/1.port: kernel interface veth0 is used by ge-0/0/0 already'],
  ],
  [
    'a multicast MAC',
    [['02:00:00:00:00:01', '01:00:00:00:00:01']],
    [
      '17:10: interfaces.ge-0/0/1.mac: 01:00:00:00:00:01 is not a unicast MAC address, e.g. 02:00:00:00:00:01',
    ],
  ],
  [
    'two untagged units',
    [
      [
        '    unit: { 0: { family: { inet: { address: 10.2.1.2/24 } } } }',
        '    unit: { 0: { family: { inet: { address: 10.2.1.2/24 } } }, 1: {} }',
      ],
    ],
    [
      '18:64: interfaces.ge-0/0/1.unit.1: untagged like unit 0; give each its own vlan-id',
      '18:64: interfaces.ge-0/0/1.unit.1: in no security zone; add ge-0/0/1.1 to security.zones.security-zone.<name>.interfaces',
    ],
  ],
  [
    'an MTU too small for IPv6',
    [['    port: { af-packet: veth0 }', '    port: { af-packet: veth0 }\n    mtu: 1000']],
    ['10:10: interfaces.ge-0/0/0.mtu: 1000 is too small for IPv6, which wants 1280'],
  ],
  [
    'no unit',
    [['    unit: { 0: { family: { inet: { address: 10.2.1.2/24 } } } }', '    unit: {}']],
    ['18:11: interfaces.ge-0/0/1.unit: empty; write at least unit 0'],
  ],
  [
    'units beside the interface',
    [['  ge-0/0/1:\n', '  ge-0/0/1.0:\n']],
    ['15:3: interfaces[ge-0/0/1.0]: not an interface name, e.g. ge-0/0/0; units go below it'],
  ],
  [
    'bits behind the prefix',
    [['10.20.0.0/16:', '10.20.1.0/16:']],
    [
      '24:7: routing-options.static.route[10.20.1.0/16]: 10.20.1.0/16 has bits set behind /16; write 10.20.0.0/16',
    ],
  ],
  [
    'one prefix in two spellings',
    [
      [
        '      10.20.0.0/16: { next-hop: 10.1.1.1 }',
        '      2001:db8:9::/48: { discard }\n      2001:0DB8:9::/48: { discard }\n      10.20.0.0/16: { next-hop: 10.1.1.1 }',
      ],
    ],
    ['25:7: routing-options.static.route.2001:0DB8:9::/48: the same prefix as 2001:db8:9::/48; remove one'],
  ],
  [
    'a next hop on no link',
    [['next-hop: 10.1.1.1', 'next-hop: 10.9.9.9']],
    [
      '24:33: routing-options.static.route[10.20.0.0/16].next-hop.0: 10.9.9.9 is on no interface of routing instance default',
    ],
  ],
  [
    'a next hop that is this node',
    [['next-hop: 10.1.1.1', 'next-hop: 10.1.1.2']],
    [
      '24:33: routing-options.static.route[10.20.0.0/16].next-hop.0: 10.1.1.2 is an address of this node; write the address of a neighbour',
    ],
  ],
  [
    'a next hop of another family',
    [['next-hop: 10.1.1.1', 'next-hop: 2001:db8:1::1']],
    [
      '24:33: routing-options.static.route[10.20.0.0/16].next-hop.0: 2001:db8:1::1 is inet6, the route is inet',
    ],
  ],
  [
    'a next hop that is none',
    [['next-hop: 10.1.1.1', 'next-hop: ge-0/0/0.0']],
    [
      '24:33: routing-options.static.route[10.20.0.0/16].next-hop.0: ge-0/0/0.0 is not a next hop; write an address or an st0 unit, e.g. 10.1.1.2 or st0.1',
    ],
  ],
  [
    'a route to nowhere',
    [['{ discard }', '{}']],
    ['26:7: routing-options.static.route[192.0.2.128/25]: leads nowhere; write next-hop or discard'],
  ],
  [
    'a route to both',
    [['{ discard }', '{ discard, next-hop: 10.1.1.1 }']],
    ['26:7: routing-options.static.route[192.0.2.128/25]: says both; write next-hop or discard'],
  ],
  [
    'a socket path too long',
    [['/run/penstock/gw1.sock', `/run/${'x'.repeat(120)}`]],
    ['6:19: system.control-socket: a socket path longer than 107 bytes'],
  ],
  [
    'too many workers',
    [['workers: 2', 'workers: 65']],
    ['4:12: system.workers: 65 is not a whole number from 1 to 64'],
  ],
  [
    'fewer workers at most than there are',
    [['workers: 2', 'workers: 2\n  maximum-workers: 1']],
    ['5:20: system.maximum-workers: less than system.workers, 2'],
  ],
  [
    'half a worker',
    [['workers: 2', 'workers: 0.5']],
    ['4:12: system.workers: 0.5 is not a whole number from 1 to 64'],
  ],
  [
    'a key twice',
    [['  workers: 2', '  workers: 2\n  workers: 3']],
    ['5:3: system.workers: written twice; remove one'],
  ],
  [
    'an alias',
    [
      ['  host-name: gw1', '  host-name: &name gw1'],
      ['env: OUTBOUND_KEY', 'env: *name'],
    ],
    [
      '42:48: security.ipsec.vpn.enb1.manual.outbound.key.env: alias *name is not supported; write the value out',
    ],
  ],
  [
    'a tag',
    [['host-name: gw1', 'host-name: !!binary gw1']],
    ['2:23: system.host-name: tag tag:yaml.org,2002:binary is not supported; leave it out'],
  ],
  [
    'two documents',
    [['routing-options:\n', '---\nrouting-options:\n']],
    ['21:1: a second document; one file is one system'],
  ],
  [
    'a bracket left open',
    [['[ge-0/0/0.0, lo0]', '[ge-0/0/0.0, lo0']],
    [
      '48:45: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
      '49:7: not YAML: Flow map in block collection must be sufficiently indented and end with a }',
    ],
  ],
  [
    'a tab',
    [['  workers: 2', '	workers: 2']],
    ['4:1: a tab; indent with blanks', '5:20: not YAML: Nested mappings are not allowed in compact mappings'],
  ],
  [
    'several at once, of every kind',
    [
      ['  workers: 2', '  worker: 2'],
      ['anti-replay-window-size: 512', 'anti-replay-window-size: 500'],
      ['source-address: mobiles', 'source-address: mobile'],
      ['next-hop: 10.1.1.1', 'next-hop: 10.9.9.9'],
      ['0x1001', '1'],
    ],
    [
      '4:3: system.worker: unknown key; did you mean workers?',
      '24:33: routing-options.static.route[10.20.0.0/16].next-hop.0: 10.9.9.9 is on no interface of routing instance default',
      '32:30: security.ipsec.anti-replay-window-size: 500 is not a power of two from 64 to 8192; 512 is the next',
      '41:22: security.ipsec.vpn.enb1.manual.inbound.0.spi: 1 is not a whole number from 256 to 4294967295',
      '58:42: security.policies.from-zone.vpn.to-zone.untrust.policy.0.match.source-address.0: no address mobile; did you mean mobiles?',
    ],
  ],
];

const ofRouters: readonly Case[] = [
  [
    'a key of a later version',
    [['ipsec_lb:\n', 'ipsec_lb:\n        protocols:\n']],
    [
      '37:9: services.traffic-load-balance.instance.ipsec_lb.protocols: not supported yet; write static routes',
    ],
  ],
  [
    'an unknown group',
    [['group: srx_group\n', 'group: srx-group\n']],
    [
      '50:20: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.group: no group srx-group; did you mean srx_group?',
    ],
  ],
  [
    'a virtual service without a group',
    [['            group: srx_group\n', '']],
    [
      '46:11: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.group: missing; write the name of a group',
    ],
  ],
  [
    'an unknown real service',
    [['[SRX1, SRX2]', '[SRX1, SRX3]']],
    [
      '41:46: services.traffic-load-balance.instance.ipsec_lb.group.srx_group.real-services.1: no real service SRX3; did you mean SRX1?',
    ],
  ],
  [
    'a real service twice',
    [['[SRX1, SRX2]', '[SRX1, SRX1]']],
    [
      '41:46: services.traffic-load-balance.instance.ipsec_lb.group.srx_group.real-services.1: SRX1 is in the group already; remove one',
    ],
  ],
  [
    'an empty group',
    [['[SRX1, SRX2]', '[]']],
    [
      '41:39: services.traffic-load-balance.instance.ipsec_lb.group.srx_group.real-services: empty; write at least one real service',
    ],
  ],
  [
    '300 members',
    [['[SRX1, SRX2]', `[${members(300)}]`]],
    [
      '41:39: services.traffic-load-balance.instance.ipsec_lb.group.srx_group.real-services: 300 real services; a group has at most 256',
    ],
  ],
  [
    'a negative weight',
    [['weight: 3', 'weight: -1']],
    [
      '44:48: services.traffic-load-balance.instance.ipsec_lb.real-service.SRX2.weight: -1 is not a whole number from 1 to 1000',
    ],
  ],
  [
    'an unknown routing instance',
    [['client-vrf: TRUST_VR', 'client-vrf: TRUST-VR']],
    [
      '38:21: services.traffic-load-balance.instance.ipsec_lb.client-vrf: no routing instance TRUST-VR; did you mean TRUST_VR?',
    ],
  ],
  [
    'a virtual service in a virtual router',
    [['routing-instance: srx-tproxy-fi\n            group', 'routing-instance: TRUST_VR\n            group']],
    [
      '49:31: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.routing-instance: TRUST_VR is a virtual-router; write an instance of type forwarding',
    ],
  ],
  [
    'a virtual address of its own',
    [['            address: 10.0.0.1\n', '            address: 10.1.1.1\n']],
    [
      '48:22: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.address: 10.1.1.1 is an address of this node; only the real services may have it',
    ],
  ],
  [
    'an unknown mode',
    [['mode: direct-server-return', 'mode: gre']],
    [
      '47:19: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.mode: gre is not known; did you mean gue?',
    ],
  ],
  [
    'real services on no link, reached by their own MAC',
    [['mode: direct-server-return', 'mode: layer2-direct-server-return']],
    [
      '47:19: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.mode: SRX1 (10.10.10.1) is on no link of routing instance TRUST_VR; write direct-server-return',
      '47:19: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.mode: SRX2 (10.10.10.2) is on no link of routing instance TRUST_VR; write direct-server-return',
    ],
  ],
  [
    'ports of a mode without translation',
    [
      [
        'mode: direct-server-return',
        'mode: ipip\n            service: { web: { protocol: tcp, virtual-port: 80 } }',
      ],
    ],
    [
      '48:13: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.service: ports are of mode translated only, and SRX1 is not; remove it',
    ],
  ],
  [
    'one port twice',
    [
      [
        'mode: direct-server-return',
        'mode: translated\n            service: { a: { protocol: tcp, virtual-port: 80 }, b: { protocol: tcp, virtual-port: 80, server-listening-port: 81 } }',
      ],
    ],
    [
      "48:98: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.service.b.virtual-port: tcp 80 is service a's already",
    ],
  ],
  [
    'translated to another family',
    [
      ['mode: direct-server-return', 'mode: translated'],
      ['            address: 10.0.0.1\n', "            address: '2001:db8::1'\n"],
    ],
    [
      '47:19: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.mode: SRX1 (10.10.10.1) is of another family than 2001:db8::1; translated keeps the family',
      '47:19: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.mode: SRX2 (10.10.10.2) is of another family than 2001:db8::1; translated keeps the family',
    ],
  ],
  [
    'two services that translate to the same real services',
    [
      ['mode: direct-server-return', 'mode: translated'],
      [
        '            load-balance-method: { hash: { hash-key: source-ip, seed: 7 } }\n',
        '            load-balance-method: { hash: { hash-key: source-ip, seed: 7 } }\n          second: { mode: translated, address: 10.0.0.2, routing-instance: srx-tproxy-fi, group: srx_group, load-balance-method: { hash: { hash-key: source-ip } } }\n',
      ],
    ],
    [
      '52:98: services.traffic-load-balance.instance.ipsec_lb.virtual-service.second.group: all ports of SRX1 answer for virtual service srx_trust_vs too; write flow-memory in both',
    ],
  ],
  [
    'a hash key that comes later',
    [['hash-key: source-ip', 'hash-key: protocol']],
    [
      '51:54: services.traffic-load-balance.instance.ipsec_lb.virtual-service.srx_trust_vs.load-balance-method.hash.hash-key: protocol is not supported yet; write source-ip, destination-ip, symmetric, 5-tuple or symmetric-5-tuple',
    ],
  ],
  [
    'an unknown profile',
    [['network-monitoring-profile: icmp-profile', 'network-monitoring-profile: icmp']],
    [
      '41:81: services.traffic-load-balance.instance.ipsec_lb.group.srx_group.network-monitoring-profile.0: no profile icmp; known here: icmp-profile',
    ],
  ],
  [
    'a profile without a probe',
    [['{ icmp, probe', '{ probe']],
    [
      '33:7: services.network-monitoring.profile.icmp-profile: says nothing to probe with; write one of icmp, tcp, http, https, ssl-hello, udp, custom, neighbour, link',
    ],
  ],
  [
    'a profile with two probes',
    [['{ icmp, probe', '{ icmp, tcp: { port: 80 }, probe']],
    [
      '33:7: services.network-monitoring.profile.icmp-profile: has icmp and tcp; write one of icmp, tcp, http, https, ssl-hello, udp, custom, neighbour, link',
    ],
  ],
  [
    'a TCP check without a port',
    [['{ icmp, probe', '{ tcp: {}, probe']],
    [
      '33:23: services.network-monitoring.profile.icmp-profile.tcp.port: missing; write a whole number from 1 to 65535',
    ],
  ],
  [
    'a check that may take longer than its interval',
    [['{ icmp, probe-interval: 2', '{ icmp, timeout: 3, probe-interval: 2']],
    [
      '33:38: services.network-monitoring.profile.icmp-profile.timeout: 3 s is longer than the probe-interval of 2 s; write at most that',
    ],
  ],
  [
    'an interval of nothing',
    [['probe-interval: 2', 'probe-interval: 0']],
    [
      '33:45: services.network-monitoring.profile.icmp-profile.probe-interval: 0 is not a number from 0.05 to 180 seconds',
    ],
  ],
  [
    'a custom check that does nothing',
    [['{ icmp, probe', '{ custom: {}, probe']],
    [
      '33:23: services.network-monitoring.profile.icmp-profile.custom: says nothing; write command or function',
    ],
  ],
  [
    'a body that an answer to HEAD cannot have',
    [['{ icmp, probe', '{ http: { method: HEAD, body-match: ok, status-code: [200, 399-300] }, probe']],
    [
      '33:57: services.network-monitoring.profile.icmp-profile.http.body-match: an answer to HEAD has no body; write method: GET',
      '33:80: services.network-monitoring.profile.icmp-profile.http.status-code.1: 399-300 ends below its start; write 300-399',
    ],
  ],
  [
    'a source that is not ours',
    [['{ icmp, probe', '{ icmp, source-address: 10.10.10.77, probe']],
    [
      '33:45: services.network-monitoring.profile.icmp-profile.source-address.0: 10.10.10.77 is no address of this node',
    ],
  ],
  [
    'a profile named twice',
    [
      [
        'network-monitoring-profile: icmp-profile',
        'network-monitoring-profile: [icmp-profile, icmp-profile]',
      ],
    ],
    [
      '41:96: services.traffic-load-balance.instance.ipsec_lb.group.srx_group.network-monitoring-profile.1: icmp-profile is named already; remove one',
    ],
  ],
  [
    'next hops that are two members',
    [['10.10.10.1/32: { next-hop: 10.1.1.2 }', '10.10.10.1/32: { next-hop: [10.1.1.2, 10.1.1.2, st0.1] }']],
    [
      '17:64: routing-instances.TRUST_VR.routing-options.static.route[10.10.10.1/32].next-hop.1: 10.1.1.2 is a next hop of this route already; remove one',
      '17:74: routing-instances.TRUST_VR.routing-options.static.route[10.10.10.1/32].next-hop.2: no interface st0.1; known here: ae10.40, ae1.0, lo0.0',
    ],
  ],
  [
    'a weight of a next hop',
    [
      [
        '10.10.10.1/32: { next-hop: 10.1.1.2 }',
        '10.10.10.1/32: { qualified-next-hop: { 10.1.1.2: { weight: -1 }, 10.1.1.300: {} } }',
      ],
    ],
    [
      '17:85: routing-instances.TRUST_VR.routing-options.static.route[10.10.10.1/32].qualified-next-hop[10.1.1.2].weight: -1 is not a whole number from 1 to 1000',
      '17:91: routing-instances.TRUST_VR.routing-options.static.route[10.10.10.1/32].qualified-next-hop[10.1.1.300]: 10.1.1.300 is not an IP address, e.g. 10.0.0.1 or 2001:db8::1',
    ],
  ],
  [
    'a policy that is not there',
    [['routing-instances:', 'routing-options: { forwarding-table: { export: pfe_lb } }\nrouting-instances:']],
    [
      '12:48: routing-options.forwarding-table.export.0: no policy statement pfe_lb; there is no policy statement: add it under policy-options.policy-statement',
    ],
  ],
  [
    'a policy with a list that is not there, and two last words',
    [
      [
        'routing-instances:',
        'policy-options: { policy-statement: { lb: { from: { prefix-list: gws }, then: { load-balance: random, accept, reject } } } }\nrouting-instances:',
      ],
    ],
    [
      '12:66: policy-options.policy-statement.lb.from.prefix-list.0: no prefix list gws; there is no prefix list: add it under policy-options.prefix-list',
      '12:95: policy-options.policy-statement.lb.then.load-balance: random is not supported yet; write consistent-hash, per-packet, source-ip-only or destination-ip-only',
    ],
  ],
  [
    'a real service without a route',
    [['10.10.10.2, weight', '10.10.11.2, weight']],
    [
      '41:46: services.traffic-load-balance.instance.ipsec_lb.group.srx_group.real-services.1: no route to SRX2 (10.10.11.2) in routing instance TRUST_VR',
    ],
  ],
  [
    'no address to probe from',
    [
      ['        interface: lo0.0', '        interface: lo0.1'],
      ['  lo0: { unit: { 0:', '  lo0: { unit: { 1: {}, 0:'],
    ],
    [
      '37:20: services.traffic-load-balance.instance.ipsec_lb.interface: lo0.1 has no inet address to probe inet real services from',
    ],
  ],
  [
    'a filter that is not there',
    [['input: IPSEC_LB', 'input: IPSEC-LB']],
    [
      '7:86: interfaces.ae10.unit.40.family.inet.filter.input: no inet filter IPSEC-LB; did you mean IPSEC_LB?',
    ],
  ],
  [
    'a term with two actions',
    [['other_traffic, accept }', 'other_traffic, accept, discard }']],
    ['29:15: firewall.family.inet.filter.IPSEC_LB.term.1.then: says accept and discard; write one of them'],
  ],
  [
    'two terms with one name',
    [['name: other_traffic', 'name: IPSEC']],
    ['28:21: firewall.family.inet.filter.IPSEC_LB.term.1.name: a second term IPSEC; choose another name'],
  ],
  [
    'an IPv6 prefix in an IPv4 filter',
    [['destination-address: 10.0.0.1/32', 'destination-address: 2001:db8::1/128']],
    [
      '26:44: firewall.family.inet.filter.IPSEC_LB.term.0.from.destination-address.0: 2001:db8::1/128 is not an IPv4 prefix, e.g. 10.0.0.0/24',
    ],
  ],
  [
    'an interface in two instances',
    [
      [
        '  srx-tproxy-fi: {',
        '  OTHER: { instance-type: virtual-router, interface: ae1.0 }\n  srx-tproxy-fi: {',
      ],
    ],
    ['18:54: routing-instances.OTHER.interface.0: ae1.0 is in routing instance TRUST_VR already'],
  ],
  [
    'a forwarding instance with interfaces',
    [
      ['instance-type: forwarding }', 'instance-type: forwarding, interface: ae1.0 }'],
      ['[ae10.40, ae1, lo0.0]', '[ae10.40, lo0.0]'],
      [
        'static: { route: { 10.10.10.1/32: { next-hop: 10.1.1.2 }, 10.10.10.2/32: { next-hop: 10.1.1.3 } } }',
        'static: { route: { 10.10.10.0/30: { next-hop: 10.40.1.3 } } }',
      ],
    ],
    [
      '18:47: routing-instances.srx-tproxy-fi.interface: an instance of type forwarding has no interfaces; remove them',
    ],
  ],
  [
    'an instance type that comes later',
    [['instance-type: forwarding', 'instance-type: vrf']],
    [
      '18:35: routing-instances.srx-tproxy-fi.instance-type: vrf is not supported yet; write virtual-router or forwarding',
    ],
  ],
  [
    'an instance named default',
    [['  srx-tproxy-fi: {', '  default: { instance-type: virtual-router }\n  srx-tproxy-fi: {']],
    ['18:3: routing-instances.default: default is the name of the instance outside; choose another'],
  ],
  [
    'a list where a mapping belongs',
    [['{ instance-type: forwarding }', '[forwarding]']],
    ['18:18: routing-instances.srx-tproxy-fi: a list is not a mapping; write keys and values below it'],
  ],
  [
    'a name that is none',
    [['      icmp-profile: {', '      icmp profile: {']],
    [
      '33:7: services.network-monitoring.profile.icmp profile: icmp profile is not a name; write letters, digits and _ . : / -, at most 63 of them',
    ],
  ],
];

function problemsOf(sample: string, edits: Case[1], file: string): string[] {
  const { config, problems } = checkConfig(edited(sample, ...edits), file, surroundings);
  expect(config).toBeNull();
  return problems.map(problemText);
}

describe('the samples', () => {
  it.each([
    ['gateway', gateway],
    ['router', router],
  ])('%s has no problem', (_, text) => {
    expect(checkConfig(text, 'sample.yaml', surroundings).problems).toEqual([]);
  });
});

describe('a gateway', () => {
  it.each(ofGateways)('%s', (_, edits, lines) => {
    const expected = lines.map((line) => `gw.yaml:${line}`);
    expect(problemsOf(gateway, edits, 'gw.yaml')).toEqual(expected);
  });
});

describe('a router', () => {
  it.each(ofRouters)('%s', (_, edits, lines) => {
    const expected = lines.map((line) => `tlb.yaml:${line}`);
    expect(problemsOf(router, edits, 'tlb.yaml')).toEqual(expected);
  });
});
