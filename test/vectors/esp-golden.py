#!/usr/bin/python3
"""Makes esp-golden.json: ESP packets built with scapy (headers, checksums) and cryptography (AES-GCM), which share no code
with penstock. Sealing `inner` with an SA as described must give `outer`, byte for byte, and opening it `inner` again. And
esp-cbc-golden.json: the same with AES-CBC and HMAC.

    /usr/bin/python3 test/vectors/esp-golden.py > test/vectors/esp-golden.json
    /usr/bin/python3 test/vectors/esp-golden.py cbc > test/vectors/esp-cbc-golden.json
"""
import hmac
import itertools
import json
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from scapy.all import IP, UDP, TCP, IPv6, Raw

V4, V6 = ('192.0.2.1', '198.51.100.2'), ('2001:db8:1::1', '2001:db8:2::2')
INNER4, INNER6 = ('10.1.0.17', '10.2.3.4'), ('2001:db8:a::17', '2001:db8:b::4')


def inner(version, length, tos, df):
    payload = bytes((i * 7 + length) & 0xFF for i in range(length))
    if version == 4:
        packet = IP(src=INNER4[0], dst=INNER4[1], ttl=63, id=length, tos=tos, flags='DF' if df else 0)
        return bytes(packet / UDP(sport=40000, dport=53) / Raw(payload))
    packet = IPv6(src=INNER6[0], dst=INNER6[1], hlim=63, tc=tos, fl=0x12345)
    return bytes(packet / TCP(sport=40000, dport=443, seq=1, ack=2, flags='A') / Raw(payload))


def padded(packet, block):
    pad = -(len(packet) + 2) % block
    return packet + bytes(range(1, pad + 1)) + bytes([pad, 4 if packet[0] >> 4 == 4 else 41])


def gcm(sa, packet, seq, unique):
    key, salt = bytes.fromhex(sa['key']), bytes.fromhex(sa['salt'])
    aad = struct.pack('!IQ' if sa['esn'] else '!II', sa['spi'], seq if sa['esn'] else seq & 0xFFFFFFFF)
    return struct.pack('!II', sa['spi'], seq & 0xFFFFFFFF) + unique + AESGCM(key).encrypt(
        salt + unique, padded(packet, 4), aad)


def encrypted(key, mode, text):
    encryptor = Cipher(algorithms.AES(key), mode).encryptor()
    return encryptor.update(text) + encryptor.finalize()


HMAC = {'hmac-sha1-96': ('sha1', 20, 12), 'hmac-sha-256-128': ('sha256', 32, 16),
        'hmac-sha-384': ('sha384', 48, 24), 'hmac-sha-512': ('sha512', 64, 32)}


def cbc(sa, packet, seq, unique):
    key = bytes.fromhex(sa['key'])
    iv_key = hmac.new(key, b'penstock ESP AES-CBC IV', 'sha256').digest()[:16]
    iv = encrypted(iv_key, modes.ECB(), bytes(4) + unique + struct.pack('!I', 2))
    esp = struct.pack('!II', sa['spi'], seq & 0xFFFFFFFF) + iv + encrypted(key, modes.CBC(iv), padded(packet, 16))
    name, _, icv = HMAC[sa['authentication']]
    high = struct.pack('!I', seq >> 32) if sa['esn'] else b''
    return esp + hmac.new(bytes.fromhex(sa['authenticationKey']), esp + high, name).digest()[:icv]


def seal(sa, packet):
    seq = int(sa['sequence'])
    unique = struct.pack('!Q', sa['nodeId'] << 60 | sa['epoch'] << 48 | sa['counter'])
    esp = (cbc if 'authentication' in sa else gcm)(sa, packet, seq, unique)

    old = IP(packet) if packet[0] >> 4 == 4 else IPv6(packet)
    tos, df = (old.tos, old.flags.DF) if packet[0] >> 4 == 4 else (old.tc, True)
    if sa['dscp'] >= 0:
        tos = sa['dscp'] << 2 | tos & 3
    df = {'copy': df, 'set': True, 'clear': False}[sa['dfBit']]
    if sa['outer'] == 4:
        ip = IP(src=V4[0], dst=V4[1], ttl=64, tos=tos, id=seq & 0xFFFF, flags='DF' if df else 0, proto=17 if sa['udp'] else 50)
        if sa['udp']:
            return bytes(ip / UDP(sport=4500, dport=4500, chksum=0) / Raw(esp))
        return bytes(ip / Raw(esp))
    ip = IPv6(src=V6[0], dst=V6[1], hlim=64, tc=tos, nh=17 if sa['udp'] else 50)
    if sa['udp']:
        return bytes(ip / UDP(sport=4500, dport=4500) / Raw(esp))
    return bytes(ip / Raw(esp))


def cases(names):
    n = 0
    bit_lengths = (128, 256) if names is None else (128, 192, 256)
    for outer, in_version, bits, esn, udp in itertools.product((4, 6), (4, 6), bit_lengths, (0, 1), (0, 1)):
        for length, dscp, df_bit, df in ((n % 4, -1, 'copy', True), (64 + n % 4, -1, 'copy', False),
                                         (130 + n % 7, 46, 'set', False), (37 + n % 5, 0, 'clear', True)):
            n += 1
            sa = {
                'name': f'{n}: IPv{in_version} in IPv{outer}, AES-{bits}{", ESN" if esn else ""}{", UDP" if udp else ""}',
                'outer': outer, 'udp': udp, 'esn': esn, 'spi': 0x1000 + n, 'dscp': dscp, 'dfBit': df_bit,
                'key': bytes((i * 11 + n) & 0xFF for i in range(bits // 8)).hex(), 'salt': struct.pack('!I', 0xDEADBEEF ^ n).hex(),
                'nodeId': 1 + n % 15, 'epoch': n * 31 % 4096, 'counter': n * 0x123456789 % (1 << 48),
                'sequence': str((n % 3 << 32 if esn else 0) + n * 77777),
            }
            if names is not None:
                sa['authentication'] = name = names[n % len(names)]
                sa['authenticationKey'] = bytes((i * 13 + n) & 0xFF for i in range(HMAC[name][1])).hex()
                sa['name'] += f', {name}'
                del sa['salt']
            packet = inner(in_version, length, (n * 4 + n % 3) & 0xFF, df)
            sa |= {'inner': packet.hex(), 'outerPacket': seal(sa, packet).hex()}
            yield sa


rows = ',\n'.join('  ' + json.dumps(case, separators=(',', ':')) for case in cases(list(HMAC) if sys.argv[1:] == ['cbc'] else None))
print('{"made by":"test/vectors/esp-golden.py","outer4":%s,"outer6":%s,"cases":[\n%s\n]}' % (json.dumps(V4), json.dumps(V6), rows))
