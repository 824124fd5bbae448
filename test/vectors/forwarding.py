#!/usr/bin/env python3
"""Makes forwarding.txt: packets before and after what a balancer does to them, both built by scapy from nothing.

    python3 test/vectors/forwarding.py > test/vectors/forwarding.txt
    python3 test/vectors/forwarding.py --seeds native/fuzz/corpus    seeds for translate_fuzz

One block a packet. `hex`: the frame as received; `after`: the IP packet that leaves. `does` says which function of
native/core/packet makes the one of the other, the rest are its arguments. native/test/translate_test.cc reads the file.
"""
import logging

logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402
    AH, ESP, ICMP, IP, TCP, UDP, Ether, IPOption_NOP, IPv6, ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest,
    ICMPv6PacketTooBig, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, Raw, fragment, fragment6, inet_pton, raw)
import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402

SEEDS = sys.argv[2] if sys.argv[1:2] == ['--seeds'] else None
CLIENT = {4: '192.0.2.10', 6: '2001:db8::a'}
VIRTUAL = {4: '203.0.113.1', 6: '2001:db8:5::1'}
REAL = {4: '10.9.8.7', 6: '2001:db8:9::7'}
BALANCER = {4: '10.0.0.253', 6: '2001:db8:ffff::253'}
ROUTER = {4: '198.51.100.254', 6: '2001:db8:77::fe'}


def address(text):
    family = socket.AF_INET6 if ':' in text else socket.AF_INET
    return inet_pton(family, text).hex()


def payload(length):
    return Raw(bytes((7 * i + 1) & 0xff for i in range(length)))


def show(name, before, after, **fields):
    data = raw(Ether(src='02:00:00:00:00:0a', dst='02:00:00:00:00:0b') / before)
    if SEEDS:
        os.makedirs(f'{SEEDS}/translate', exist_ok=True)
        with open(f'{SEEDS}/translate/{name}', 'wb') as file:
            file.write(data[14:])
        return
    print(f'\npacket {name}')
    for at in range(0, len(data), 32):
        print('hex', data[at:at + 32].hex())
    for key, value in fields.items():
        print(key, value)
    print('after', raw(after).hex())


def ip(version, source, destination, tos=0, **v4):
    if version == 4:
        return IP(src=source, dst=destination, tos=tos, **v4)
    return IPv6(src=source, dst=destination, tc=tos)


# --- encapsulation
FLOW = 0x0123456789abcdef


def outer(version, inner_version, inner, tos, dont_fragment, gue, identification):
    proto = 17 if gue else (4 if inner_version == 4 else 41)
    if version == 4:
        header = IP(src=BALANCER[4], dst=REAL[4], tos=tos, ttl=64, proto=proto, flags='DF' if dont_fragment else 0,
                    id=0 if dont_fragment else identification)
    else:
        header = IPv6(src=BALANCER[6], dst=REAL[6], tc=tos, hlim=64, nh=proto, fl=(FLOW >> 14) & 0xfffff)
    if not gue:
        return header / Raw(inner)
    udp = UDP(sport=0xc000 | (FLOW & 0x3fff), dport=6080, chksum=0) if version == 4 \
        else UDP(sport=0xc000 | (FLOW & 0x3fff), dport=6080)
    return header / udp / Raw(inner)


def encapsulations():
    for gue in (False, True):
        for outside in (4, 6):
            for inside, size, df in ((4, 100, True), (4, 101, False), (6, 100, None), (6, 1240, None), (6, 1241, None)):
                tos = 0xb9 if size % 2 else 0x02  # DSCP and ECN, both copied
                v4 = {} if df is None else {'flags': 'DF' if df else 0, 'id': 77, 'ttl': 61}
                inner = raw(ip(inside, CLIENT[inside], VIRTUAL[inside], tos, **v4) / TCP(sport=4711, dport=443) /
                            payload(size - 20))
                dont_fragment = df if inside == 4 else len(inner) > 1280
                show(f'{"gue" if gue else "ipip"}-{inside}-in-{outside}-{size}', inner_packet(inner),
                     outer(outside, inside, inner, tos, dont_fragment, gue, 0x4321), does='encapsulate',
                     kind='gue' if gue else 'ipip', source=address(BALANCER[outside]),
                     destination=address(REAL[outside]), flow=FLOW, identification=0x4321,
                     dont_fragment=int(outside == 6 or dont_fragment))
    piece = fragment(IP(src=CLIENT[4], dst=VIRTUAL[4], id=5) / UDP(sport=1, dport=2) / payload(2000), 1000)[1]
    show('ipip-later-fragment', piece, outer(4, 4, raw(piece), 0, False, False, 0x4321), does='encapsulate', kind='ipip',
         source=address(BALANCER[4]), destination=address(REAL[4]), flow=FLOW, identification=0x4321, dont_fragment=0)


def inner_packet(data):
    return (IP if data[0] >> 4 == 4 else IPv6)(data)


# --- translation
def translation(name, make, end, version, to, port=0):
    """make(address, port) builds the packet with that end."""
    old = (VIRTUAL if end == 'destination' else REAL)[version]
    show(name, make(old, None), make(to, port), does='translate', end=end, address=address(to), port=port)


def translations():
    for version in (4, 6):
        client, real, virtual = CLIENT[version], REAL[version], VIRTUAL[version]

        def forward(transport):
            return lambda to, port: ip(version, client, to, 0x03) / transport(port)

        def back(transport):
            return lambda source, port: ip(version, source, client, 0x28) / transport(port)

        for length in (0, 1, 64, 65):
            translation(f'tcp{version}-in-{length}', forward(lambda port: TCP(
                sport=4711, dport=port or 443, seq=7, flags='PA') / payload(length)), 'destination', version, real, 8443)
        translation(f'tcp{version}-back', back(lambda port: TCP(sport=port or 8443, dport=4711, flags='SA', options=[
            ('MSS', 1460)])), 'source', version, virtual, 443)
        translation(f'tcp{version}-address', forward(lambda port: TCP(sport=4711, dport=443) / payload(9)),
                    'destination', version, real)
        translation(f'udp{version}-in', forward(lambda port: UDP(sport=4711, dport=port or 53) / payload(33)),
                    'destination', version, real, 5353)
        translation(f'udp{version}-back', back(lambda port: UDP(sport=port or 5353, dport=4711) / payload(34)),
                    'source', version, virtual, 53)
        echo = (lambda port: ICMP(type=8, id=9, seq=1) / payload(40)) if version == 4 else \
            (lambda port: ICMPv6EchoRequest(id=9, seq=1, data=raw(payload(40))))
        translation(f'echo{version}-in', forward(echo), 'destination', version, real, 0)
        reply = (lambda port: ICMP(type=0, id=9, seq=1) / payload(41)) if version == 4 else \
            (lambda port: ICMPv6EchoReply(id=9, seq=1, data=raw(payload(41))))
        translation(f'echo{version}-back', back(reply), 'source', version, virtual, 0)
        translation(f'esp{version}-in', forward(lambda port: ESP(spi=0x1234, seq=1, data=raw(payload(48)))),
                    'destination', version, real)
        zeroes(version)
    translation('udp4-none', lambda to, port: IP(src=CLIENT[4], dst=to) / UDP(sport=1, dport=port or 53, chksum=0) /
                payload(20), 'destination', 4, REAL[4], 5353)
    translation('tcp4-options', lambda to, port: IP(src=CLIENT[4], dst=to, options=[IPOption_NOP()] * 4) /
                TCP(sport=1, dport=port or 80) / payload(20), 'destination', 4, REAL[4], 8080)
    translation('tcp6-extension', lambda to, port: IPv6(src=CLIENT[6], dst=to) /
                IPv6ExtHdrDestOpt(options=[PadN(optdata=b'\0\0\0\0')]) / TCP(sport=1, dport=port or 80) /
                payload(20), 'destination', 6, REAL[6], 8080)
    for piece in (0, 1):
        translation(f'fragment4-{piece}', lambda to, port: fragment(
            IP(src=CLIENT[4], dst=to, id=77) / UDP(sport=1, dport=port or 53) / payload(1800), 1000)[piece],
            'destination', 4, REAL[4], 5353)
        translation(f'fragment6-{piece}', lambda to, port: fragment6(
            IPv6(src=CLIENT[6], dst=to) / IPv6ExtHdrFragment(id=77) / UDP(sport=1, dport=port or 53) /
            payload(1800), 1280)[piece], 'destination', 6, REAL[6], 5353)


def zeroes(version):
    """Where the checksum of the one or the other comes out as zero, which UDP writes as all ones."""
    found = 0
    for word in range(0x10000):
        def make(to, port):
            return ip(version, CLIENT[version], to) / UDP(sport=7, dport=port or 53) / Raw(word.to_bytes(2, 'big'))
        if word == 0:
            last = {}
            for which, (to, port) in {'before': (VIRTUAL[version], None), 'after': (REAL[version], 5353)}.items():
                # what the word must be: the checksum with the word 0, complemented by being added
                chksum = int.from_bytes(raw(make(to, port))[-4:-2], 'big')
                last[which] = chksum
        for which, value in last.items():
            if word == value:
                translation(f'udp{version}-zero-{which}', make, 'destination', version, REAL[version], 5353)
                found += 1
        if found == 2:
            return


# --- ICMP errors
def error(version, outer_source, outer_destination, quoted, kind, quote_bytes):
    body = quoted[:quote_bytes]
    if version == 4:
        types = {'too-big': ICMP(type=3, code=4, nexthopmtu=1400), 'port': ICMP(type=3, code=3), 'ttl': ICMP(type=11)}
        return IP(src=outer_source, dst=outer_destination, id=1) / types[kind] / Raw(body)
    types = {'too-big': ICMPv6PacketTooBig(mtu=1400), 'port': ICMPv6DestUnreach(code=4)}
    return IPv6(src=outer_source, dst=outer_destination) / types[kind] / Raw(body)


def errors():
    for version in (4, 6):
        header = 20 if version == 4 else 40
        client, virtual, real, router = CLIENT[version], VIRTUAL[version], REAL[version], ROUTER[version]
        transports = {
            'tcp': lambda port: TCP(sport=port, dport=4711, seq=99) / payload(1400),
            'udp': lambda port: UDP(sport=port, dport=4711) / payload(1300),
        }
        if version == 4:
            transports['udp-none'] = lambda port: UDP(sport=port, dport=4711, chksum=0) / payload(1300)
        for name, transport in transports.items():
            for quote in (header + 8, header + 9, header + 20, 500):
                for kind in ('too-big', 'port'):
                    # from a router towards the client, about what the real service sent
                    show(f'error{version}-{name}-{quote}-{kind}',
                         error(version, router, virtual, raw(ip(version, virtual, client, 0x02) / transport(443)),
                               kind, quote),
                         error(version, router, real, raw(ip(version, real, client, 0x02) / transport(8443)), kind,
                               quote),
                         does='translate-error', end='destination', address=address(real), port=8443)
        # from the real service itself, about what the client sent
        show(f'error{version}-back',
             error(version, real, client, raw(ip(version, client, real) / UDP(sport=4711, dport=5353) / payload(64)),
                   'port', 500),
             error(version, virtual, client, raw(ip(version, client, virtual) / UDP(sport=4711, dport=53) /
                                                 payload(64)), 'port', 500),
             does='translate-error', end='source', address=address(virtual), port=53)


if not SEEDS:
    print('# Made by test/vectors/forwarding.py: change that, not this.')
encapsulations()
translations()
errors()
if SEEDS:
    show('ah', IP(src=CLIENT[4], dst=VIRTUAL[4]) / AH(spi=1) / payload(20), None)
