#!/usr/bin/env python3
"""Makes packets.txt: packets built by scapy, an implementation of its own, and what parsing them must give.

    python3 test/vectors/packets.py > test/vectors/packets.txt
    python3 test/vectors/packets.py --seeds native/fuzz/corpus    seeds for parse_fuzz and pcap_fuzz

One block a packet. `drop` is the drop reason, or none; the other lines are what the views read. Addresses and MACs
are hex, numbers decimal. native/test/packet_test.cc and test/wire/ both read the file.
"""
import logging

logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402
    ARP, ESP, GRE, ICMP, IP, TCP, UDP, Dot1Q, Ether, IPOption_NOP, IPOption_RR, IPv6, ICMPv6EchoRequest,
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw, in6_getnsma, inet_pton, raw, PadN, wrpcap, wrpcapng)
import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402

A, B = '02:00:00:00:00:0a', '02:00:00:00:00:0b'
A4, B4 = '192.0.2.10', '198.51.100.11'
A6, B6 = '2001:db8::a', '2001:db8:1::b'
LINK_A, LINK_B = 'fe80::a', 'fe80::b'


def hex4(address):
    return inet_pton(socket.AF_INET, address).hex()


def hex6(address):
    return inet_pton(socket.AF_INET6, address).hex()


def mac(address):
    return address.replace(':', '')


def payload(length):
    return Raw(bytes((7 * i + 1) & 0xff for i in range(length)))


SEEDS = sys.argv[2] if sys.argv[1:2] == ['--seeds'] else None


def seed(fuzzer, name, data):
    os.makedirs(f'{SEEDS}/{fuzzer}', exist_ok=True)
    with open(f'{SEEDS}/{fuzzer}/{name}', 'wb') as file:
        file.write(data)


def show(name, packet, drop='none', **fields):
    data = packet if isinstance(packet, bytes) else raw(packet)
    if SEEDS:
        # the first byte: 0 a frame, 1 a decrypted packet, 2 with its checksum made right
        if drop == 'none':
            seed('parse', name, b'\2' + data)
            if name in ('ipv4-tcp', 'ipv6-extensions'):
                seed('parse', f'{name}-decrypted', b'\3' + data[14:])
        return
    print(f'packet {name}')
    for at in range(0, len(data), 32):
        print(f'hex {data[at:at + 32].hex()}')
    print(f'drop {drop}')
    for key, value in fields.items():
        print(f'{key} {value}')
    print()


def ip4(l4, protocol, source=A4, destination=B4, l3=14, **more):
    return dict(l3=l3, l4=l4, version=4, protocol=protocol, source=hex4(source), destination=hex4(destination), **more)


def ip6(l4, protocol, source=A6, destination=B6, l3=14, **more):
    return dict(l3=l3, l4=l4, version=6, protocol=protocol, source=hex6(source), destination=hex6(destination), **more)


def patched(packet, *patches):
    """The bytes of a packet with some replaced: (offset, bytes)."""
    data = bytearray(raw(packet))
    for at, new in patches:
        data[at:at + len(new)] = new
    return bytes(data)


def resummed(data, l3=14):
    """The IPv4 header checksum made right again, so that another lie is what is found."""
    data = bytearray(data)
    header = (data[l3] & 15) * 4
    data[l3 + 10:l3 + 12] = b'\0\0'
    words = sum(int.from_bytes(data[l3 + i:l3 + i + 2], 'big') for i in range(0, header, 2))
    while words >> 16:
        words = (words & 0xffff) + (words >> 16)
    data[l3 + 10:l3 + 12] = (~words & 0xffff).to_bytes(2, 'big')
    return bytes(data)


def good_ipv4():
    e = Ether(dst=B, src=A)
    ip = IP(src=A4, dst=B4, ttl=61, id=0x1234, tos=0xb8)
    udp = UDP(sport=5001, dport=53)
    ports = dict(source_port=5001, destination_port=53)
    show('ipv4-udp', e / ip / udp / payload(20), **ip4(34, 17, **ports), length=62, ttl=61, tos=0xb8,
         identification=0x1234, flags='', vlan=0, destination_mac=mac(B), source_mac=mac(A), udp_length=28,
         l4_checksum_verifies=1)
    show('ipv4-udp-odd', e / ip / udp / payload(21), **ip4(34, 17, **ports), length=63, flags='', l4_checksum_verifies=1)
    show('ipv4-udp-vlan', e / Dot1Q(vlan=100, prio=5) / ip / udp / payload(20),
         **ip4(38, 17, l3=18, **ports), length=66, flags='tagged', vlan=100)
    show('ipv4-udp-priority-tag', e / Dot1Q(vlan=0, prio=7) / ip / udp / payload(20),
         **ip4(38, 17, l3=18, **ports), length=66, flags='', vlan=0)
    show('ipv4-udp-padded', raw(e / ip / udp / payload(2)) + bytes(16), **ip4(34, 17, **ports), length=44, flags='',
         padding=16)
    options = [IPOption_RR(routers=['0.0.0.0', '0.0.0.0']), IPOption_NOP()]
    show('ipv4-udp-options', e / IP(src=A4, dst=B4, flags='DF', options=options) / udp / payload(4),
         **ip4(46, 17, **ports), length=58, flags='dont-fragment', l4_checksum_verifies=1)
    show('ipv4-udp-short-udp', e / ip / UDP(sport=5001, dport=53, len=10, chksum=0) / payload(6),
         **ip4(34, 17, **ports), length=48, flags='', udp_length=10)
    tcp = TCP(sport=40000, dport=443, seq=0x01020304, ack=0x05060708, flags='SA', window=4096,
              options=[('MSS', 1460), ('NOP', None), ('WScale', 7)])
    show('ipv4-tcp', e / IP(src=A4, dst=B4, flags='DF') / tcp,
         **ip4(34, 6, source_port=40000, destination_port=443), length=62, flags='dont-fragment',
         tcp_sequence=0x01020304, tcp_acknowledgment=0x05060708, tcp_flags=0x12, tcp_window=4096, tcp_header=28,
         l4_checksum_verifies=1)
    show('ipv4-esp', e / ip / ESP(spi=0x11223344, seq=7) / payload(40), **ip4(34, 50, source_port=0, destination_port=0),
         length=82, flags='', esp_spi=0x11223344, esp_sequence=7)
    nat = UDP(sport=4500, dport=4500, chksum=0)
    ports = dict(source_port=4500, destination_port=4500)
    show('ipv4-esp-in-udp', e / ip / nat / Raw(raw(ESP(spi=0x11223344, seq=7) / payload(40))),
         **ip4(34, 17, **ports), length=90, flags='', in_udp='esp')
    show('ipv4-ike-in-udp', e / ip / nat / Raw(bytes(4)) / payload(28), **ip4(34, 17, **ports), length=74, flags='',
         in_udp='ike')
    show('ipv4-keepalive', e / ip / nat / Raw(b'\xff'), **ip4(34, 17, **ports), length=43, flags='', in_udp='keepalive')
    show('ipv4-short-in-udp', e / ip / nat / Raw(b'\x01\x02\x03\x04\x05'), **ip4(34, 17, **ports), length=47, flags='',
         in_udp='short')
    show('ipv4-gre', e / ip / GRE() / payload(8), **ip4(34, 47, source_port=0, destination_port=0), length=46, flags='')
    show('ipv4-icmp-echo', e / ip / ICMP(type=8, id=0x4321, seq=9) / payload(11),
         **ip4(34, 1, source_port=0x4321, destination_port=0x4321), length=53, flags='', icmp_type=8, icmp_code=0,
         icmp_identifier=0x4321, icmp_sequence=9, l4_checksum_verifies=1)
    quoted = raw(IP(src=B4, dst=A4, flags='DF', len=1500) / UDP(sport=53, dport=5001, len=1480, chksum=0))
    show('ipv4-icmp-too-big', e / ip / ICMP(type=3, code=4, nexthopmtu=1400) / Raw(quoted),
         **ip4(34, 1, source_port=0, destination_port=0), length=70, flags='', icmp_type=3, icmp_code=4, icmp_mtu=1400,
         l4_checksum_verifies=1)
    show('ipv4-first-fragment', e / IP(src=A4, dst=B4, flags='MF', id=77) / UDP(sport=5001, dport=53, len=1000, chksum=0)
         / payload(16), **ip4(34, 17, source_port=5001, destination_port=53), length=58, flags='first-fragment')
    show('ipv4-later-fragment', e / IP(src=A4, dst=B4, id=77, frag=3, proto=17) / payload(13),
         **ip4(0, 17, source_port=0, destination_port=0), length=47, flags='later-fragment', fragment_offset=24)


def good_arp():
    broadcast = Ether(dst='ff:ff:ff:ff:ff:ff', src=A)
    fields = dict(sender_mac=mac(A), sender_ip=hex4(A4), target_ip=hex4('192.0.2.1'))
    request = ARP(op=1, hwsrc=A, psrc=A4, hwdst='00:00:00:00:00:00', pdst='192.0.2.1')
    show('arp-request', broadcast / request, l3=14, l4=0, version=0, length=42, flags='', vlan=0, arp_operation=1, **fields)
    show('arp-request-vlan', broadcast / Dot1Q(vlan=7) / request, l3=18, l4=0, version=0, length=46, flags='tagged', vlan=7,
         arp_operation=1, **fields)
    show('arp-reply', Ether(dst=B, src=A) / ARP(op=2, hwsrc=A, psrc=A4, hwdst=B, pdst='192.0.2.1'), l3=14, l4=0, version=0,
         length=42, flags='', arp_operation=2, target_mac=mac(B), **fields)


def good_ipv6():
    e = Ether(dst=B, src=A)
    ip = IPv6(src=A6, dst=B6, hlim=61, tc=0xb8, fl=0x12345)
    udp = UDP(sport=5001, dport=53)
    df = 'dont-fragment'
    ports = dict(source_port=5001, destination_port=53)
    show('ipv6-udp', e / ip / udp / payload(20), **ip6(54, 17, **ports), length=82, ttl=61, tos=0xb8, flow_label=0x12345,
         flags=df, udp_length=28, l4_checksum_verifies=1)
    show('ipv6-udp-vlan', e / Dot1Q(vlan=4094) / ip / udp / payload(3), **ip6(58, 17, l3=18, **ports), length=69,
         flags=df + ',tagged', vlan=4094)
    show('ipv6-tcp', e / ip / TCP(sport=40000, dport=443, flags='F', seq=1, ack=2),
         **ip6(54, 6, source_port=40000, destination_port=443), length=74, flags=df, tcp_sequence=1, tcp_acknowledgment=2,
         tcp_flags=1, tcp_window=8192, tcp_header=20, l4_checksum_verifies=1)
    show('ipv6-esp', e / ip / ESP(spi=0xffffffff, seq=0x80000000) / payload(40),
         **ip6(54, 50, source_port=0, destination_port=0), length=102, flags=df, esp_spi=0xffffffff, esp_sequence=0x80000000)
    show('ipv6-icmp-echo', e / ip / ICMPv6EchoRequest(id=0x4321, seq=9, data=b'hello'),
         **ip6(54, 58, source_port=0x4321, destination_port=0x4321), length=67, flags=df, icmp_type=128, icmp_code=0,
         icmp_identifier=0x4321, icmp_sequence=9, l4_checksum_verifies=1)
    show('ipv6-too-big', e / ip / ICMPv6PacketTooBig(mtu=1400) / Raw(raw(IPv6(src=B6, dst=A6, nh=59))),
         **ip6(54, 58, source_port=0, destination_port=0), length=102, flags=df, icmp_type=2, icmp_code=0, icmp6_mtu=1400,
         l4_checksum_verifies=1)
    show('ipv6-no-next', e / IPv6(src=A6, dst=B6, nh=59), **ip6(54, 59, source_port=0, destination_port=0), length=54, flags=df)
    chain = IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]) \
        / IPv6ExtHdrRouting(type=4, segleft=0, addresses=[B6])
    show('ipv6-extensions', e / ip / chain / udp / payload(5), **ip6(102, 17, **ports), length=115, flags=df)
    fragment = IPv6ExtHdrFragment(id=0xabcdef01)
    show('ipv6-atomic-fragment', e / ip / fragment / udp / payload(5), **ip6(62, 17, **ports), length=75, flags=df)
    show('ipv6-first-fragment', e / ip / IPv6ExtHdrFragment(id=1, m=1) / UDP(sport=5001, dport=53, len=1000, chksum=1)
         / payload(16), **ip6(62, 17, **ports), length=86, flags=df + ',first-fragment')
    show('ipv6-later-fragment', e / ip / IPv6ExtHdrFragment(id=1, offset=3, nh=17) / payload(13),
         **ip6(0, 17, source_port=0, destination_port=0), length=75, flags=df + ',later-fragment', fragment_offset=24)


def good_nd():
    df = 'dont-fragment'
    group = socket.inet_ntop(socket.AF_INET6, in6_getnsma(inet_pton(socket.AF_INET6, LINK_B)))
    to_group = Ether(dst='33:33:ff:00:00:0b', src=A)
    plain = dict(source_port=0, destination_port=0)
    show('nd-solicitation', to_group / IPv6(src=LINK_A, dst=group, hlim=255)
         / ICMPv6ND_NS(tgt=LINK_B) / ICMPv6NDOptSrcLLAddr(lladdr=A), **ip6(54, 58, LINK_A, group, **plain), length=86,
         flags=df, nd_target=hex6(LINK_B), nd_link_layer=mac(A), nd_flags=0, l4_checksum_verifies=1)
    show('nd-duplicate-address', to_group / IPv6(src='::', dst=group, hlim=255) / ICMPv6ND_NS(tgt=LINK_B),
         **ip6(54, 58, '::', group, **plain), length=78, flags=df, nd_target=hex6(LINK_B), nd_flags=0)
    show('nd-advertisement', Ether(dst=A, src=B) / IPv6(src=LINK_B, dst=LINK_A, hlim=255)
         / ICMPv6ND_NA(tgt=LINK_B, R=1, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=B),
         **ip6(54, 58, LINK_B, LINK_A, **plain), length=86, flags=df, nd_target=hex6(LINK_B), nd_link_layer=mac(B),
         nd_flags=0xe0, l4_checksum_verifies=1)
    show('nd-unsolicited', Ether(dst='33:33:00:00:00:01', src=B) / IPv6(src=LINK_B, dst='ff02::1', hlim=255)
         / ICMPv6ND_NA(tgt=LINK_B, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=B),
         **ip6(54, 58, LINK_B, 'ff02::1', **plain), length=86, flags=df, nd_target=hex6(LINK_B), nd_link_layer=mac(B),
         nd_flags=0x20)


def bad_ipv4():
    e = Ether(dst=B, src=A)
    udp = UDP(sport=5001, dport=53) / payload(20)
    good = e / IP(src=A4, dst=B4) / udp
    show('bad-checksum', patched(good, (24, b'\x12\x34')), 'bad_checksum')
    show('bad-checksum-options', patched(e / IP(src=A4, dst=B4, options=[IPOption_NOP()]) / udp, (24, b'\x12\x34')),
         'bad_checksum')
    show('bad-version', resummed(patched(good, (14, b'\x55'))), 'bad_ipv4')
    show('bad-version-of-type', patched(good, (14, b'\x65')), 'bad_ipv4')
    show('bad-header-length', resummed(patched(good, (14, b'\x44'))), 'bad_ipv4')
    show('bad-header-length-long', patched(good, (14, b'\x4f')), 'bad_ipv4')
    show('bad-total-length', resummed(patched(good, (16, b'\x00\x31'))), 'bad_ipv4')
    show('bad-total-length-short', resummed(patched(good, (16, b'\x00\x13'))), 'bad_ipv4')
    show('bad-source-multicast', e / IP(src='224.0.0.5', dst=B4) / udp, 'bad_address')
    show('bad-source-broadcast', e / IP(src='255.255.255.255', dst=B4) / udp, 'bad_address')
    show('bad-source-zero', e / IP(src='0.0.0.0', dst=B4) / udp, 'bad_address')
    show('bad-source-loopback', e / IP(src='127.0.0.1', dst=B4) / udp, 'bad_address')
    show('bad-destination-loopback', e / IP(src=A4, dst='127.0.0.1') / udp, 'bad_address')
    show('bad-destination-zero', e / IP(src=A4, dst='0.0.0.0') / udp, 'bad_address')
    show('bad-udp-length', e / IP(src=A4, dst=B4) / UDP(len=29) / payload(20), 'bad_l4')
    show('bad-udp-length-short', e / IP(src=A4, dst=B4) / UDP(len=7) / payload(20), 'bad_l4')
    show('bad-udp-cut', e / IP(src=A4, dst=B4, proto=17) / payload(7), 'bad_l4')
    show('bad-tcp-offset', e / IP(src=A4, dst=B4) / TCP(dataofs=6), 'bad_l4')
    show('bad-tcp-offset-short', e / IP(src=A4, dst=B4) / TCP(dataofs=4), 'bad_l4')
    show('bad-icmp-cut', e / IP(src=A4, dst=B4, proto=1) / payload(7), 'bad_l4')
    show('bad-esp-cut', e / IP(src=A4, dst=B4, proto=50) / payload(7), 'esp_runt')
    show('bad-fragment-length', e / IP(src=A4, dst=B4, flags='MF', frag=2, proto=17) / payload(13), 'bad_ipv4')
    show('bad-fragment-empty', e / IP(src=A4, dst=B4, frag=2, proto=17), 'bad_ipv4')
    show('bad-fragment-beyond', e / IP(src=A4, dst=B4, frag=8189, proto=17) / payload(24), 'bad_ipv4')
    show('bad-fragment-tcp-flags', e / IP(src=A4, dst=B4, frag=1, proto=6) / payload(24), 'bad_l4')
    show('bad-fragment-tcp-tiny', e / IP(src=A4, dst=B4, flags='MF', proto=6) / payload(16), 'bad_l4')


def bad_ipv6():
    e = Ether(dst=B, src=A)
    ip = IPv6(src=A6, dst=B6)
    udp = UDP(sport=5001, dport=53, chksum=1) / payload(20)
    hop = IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
    destination = IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    show('bad-ipv6-version', patched(e / ip / udp, (14, b'\x50')), 'bad_ipv6')
    show('bad-ipv6-length', patched(e / ip / udp, (18, b'\x00\x1d')), 'bad_ipv6')
    show('bad-ipv6-jumbo', patched(e / ip / hop / udp, (18, b'\x00\x00')), 'bad_ipv6')
    show('bad-ipv6-source-multicast', e / IPv6(src='ff02::1', dst=B6) / udp, 'bad_address')
    show('bad-ipv6-source-loopback', e / IPv6(src='::1', dst=B6) / udp, 'bad_address')
    show('bad-ipv6-destination-loopback', e / IPv6(src=A6, dst='::1') / udp, 'bad_address')
    show('bad-ipv6-destination-none', e / IPv6(src=A6, dst='::') / udp, 'bad_address')
    show('bad-ipv6-source-mapped', e / IPv6(src='::ffff:192.0.2.1', dst=B6) / udp, 'bad_address')
    show('bad-ipv6-destination-mapped', e / IPv6(src=A6, dst='::ffff:192.0.2.1') / udp, 'bad_address')
    show('bad-ipv6-hop-by-hop-late', e / ip / destination / hop / udp, 'bad_ipv6')
    show('bad-ipv6-extension-length', patched(e / ip / destination / udp, (55, b'\x05')), 'bad_ipv6')
    show('bad-ipv6-extension-cut', e / IPv6(src=A6, dst=B6, nh=60) / payload(7), 'bad_ipv6')
    chain = ip
    for _ in range(9):
        chain = chain / destination
    show('bad-ipv6-extensions', e / chain / udp, 'bad_ipv6')
    show('bad-ipv6-two-fragments', e / ip / IPv6ExtHdrFragment() / IPv6ExtHdrFragment() / udp, 'bad_ipv6')
    show('bad-ipv6-fragment-length', e / ip / IPv6ExtHdrFragment(m=1, offset=2, nh=17) / payload(13), 'bad_ipv6')
    show('bad-ipv6-fragment-beyond', e / ip / IPv6ExtHdrFragment(offset=8189, nh=17) / payload(32), 'bad_ipv6')
    show('bad-ipv6-first-fragment-cut', e / ip / IPv6ExtHdrFragment(m=1, nh=6) / payload(16), 'bad_l4')
    show('bad-ipv6-icmp-cut', e / IPv6(src=A6, dst=B6, nh=58) / payload(7), 'bad_l4')
    show('bad-ipv6-esp-cut', e / IPv6(src=A6, dst=B6, nh=50) / payload(7), 'esp_runt')


def bad_link():
    e = Ether(dst=B, src=A)
    udp = IP(src=A4, dst=B4) / UDP(sport=5001, dport=53) / payload(20)
    show('bad-ethertype', Ether(dst=B, src=A, type=0x88cc) / payload(46), 'bad_ethernet')
    show('bad-llc', Ether(dst=B, src=A, type=38) / payload(38), 'bad_ethernet')
    show('bad-two-tags', e / Dot1Q(vlan=1) / Dot1Q(vlan=2) / udp, 'bad_ethernet')
    show('bad-arp-hardware', e / ARP(hwtype=6, hwsrc=A, psrc=A4, pdst=B4), 'bad_arp')
    show('bad-arp-length', e / ARP(hwlen=8, hwsrc=A, psrc=A4, pdst=B4), 'bad_arp')
    show('bad-arp-operation', e / ARP(op=3, hwsrc=A, psrc=A4, pdst=B4), 'bad_arp')
    show('bad-arp-sender-group', e / ARP(op=2, hwsrc='01:00:5e:00:00:01', psrc=A4, pdst=B4), 'bad_arp')
    show('runt-empty', Ether(dst=B, src=A, type=0x0800), 'runt')


def capture_seeds():
    packets = [Ether(dst=B, src=A) / IP(src=A4, dst=B4) / UDP(sport=1, dport=2) / payload(i) for i in range(3)]
    for name, write, options in (('little.pcap', wrpcap, {}), ('big-ns.pcap', wrpcap, {'endianness': '>', 'nano': True}),
                                 ('ng.pcapng', wrpcapng, {})):
        os.makedirs(f'{SEEDS}/pcap', exist_ok=True)
        for packet in packets:
            packet.time = 1700000000
        write(f'{SEEDS}/pcap/{name}', packets, **options)


if SEEDS:
    capture_seeds()
else:
    print('# Made by test/vectors/packets.py: change that, not this.')
    print()
good_ipv4()
good_arp()
good_ipv6()
good_nd()
bad_ipv4()
bad_ipv6()
bad_link()
