#!/usr/bin/python3
"""ESP by scapy, for esp.test.ts: `make DIR` writes captures and what is in them, `open DIR` opens what penstock sealed.

Each case has a name, DIR/<name>.json says how its SA is, DIR/<name>.pcap (make) or DIR/<name>.pcapng (open) holds the ESP
packets and DIR/<name>.inner the inner packets, one line of hexadecimal digits each.
"""
import copy
import glob
import json
import logging
import os
import sys

logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import ESP, ICMP, IP, TCP, UDP, Ether, IPv6, Raw, SecurityAssociation, rdpcap, wrpcap  # noqa: E402


class WithHighHalf:
    """An HMAC that ends with the high half of the sequence number (RFC 4303 2.2.1), which scapy forgets in ESP."""

    def __init__(self, mac, high):
        self.mac, self.high = mac, high

    def update(self, data):
        self.mac.update(data)

    def finalize(self):
        self.mac.update(self.high.to_bytes(4, 'big'))
        return self.mac.finalize()


def association(case):
    high = case['sequence'] >> 32
    tunnel = IP(src=case['source'], dst=case['destination']) if ':' not in case['source'] else IPv6(
        src=case['source'], dst=case['destination'])
    crypt = {'crypt_algo': 'AES-GCM'}
    if 'authentication' in case:
        names = {'hmac-sha1-96': 'HMAC-SHA1-96', 'hmac-sha-256-128': 'SHA2-256-128', 'hmac-sha-384': 'SHA2-384-192',
                 'hmac-sha-512': 'SHA2-512-256'}
        crypt = {'crypt_algo': 'AES-CBC', 'auth_algo': names[case['authentication']],
                 'auth_key': bytes.fromhex(case['authenticationKey'])}
    made = SecurityAssociation(
        ESP, spi=case['spi'], seq_num=case['sequence'] & 0xFFFFFFFF, **crypt,
        crypt_key=bytes.fromhex(case['key']), tunnel_header=tunnel, esn_en=case['esn'], esn=high)
    if 'authentication' in case and case['esn']:
        plain = made.auth_algo
        made.auth_algo = copy.copy(plain)
        made.auth_algo.new_mac = lambda key: WithHighHalf(plain.new_mac(key), high)
    return made


def make(directory):
    for path in glob.glob(f'{directory}/*.json'):
        with open(path) as file:
            case = json.load(file)
        association_ = association(case)
        inner, outer = [], []
        for i in range(8):
            packet = IP(src='10.1.0.1', dst='10.2.0.1', ttl=63, id=i) / (UDP(sport=1111, dport=2222) if i % 2 else TCP(
                sport=1, dport=2)) / Raw(bytes(range(i * 13)))
            packet = IP(bytes(packet))
            inner.append(bytes(packet))
            outer.append(Ether(src='02:00:00:00:00:01', dst='02:00:00:00:00:02') / association_.encrypt(
                packet, seq_num=(case['sequence'] + i) & 0xFFFFFFFF, iv=bytes([i + 1] * (16 if 'authentication' in case else 8))))
        wrpcap(f'{path[:-5]}.pcap', outer)
        with open(f'{path[:-5]}.inner', 'w') as file:
            file.writelines(packet.hex() + '\n' for packet in inner)


def opened(directory):
    for path in glob.glob(f'{directory}/*.json'):
        with open(path) as file:
            case = json.load(file)
        with open(f'{path[:-5]}.inner', 'w') as file:
            for packet in rdpcap(f'{path[:-5]}.pcapng'):
                packet = packet[IP] if IP in packet else packet[IPv6]
                # decrypt() changes its argument
                own = type(packet)(bytes(packet))
                file.write(bytes(association(case).decrypt(own)).hex() + '\n')


{'make': make, 'open': opened}[sys.argv[1]](os.path.abspath(sys.argv[2]))
