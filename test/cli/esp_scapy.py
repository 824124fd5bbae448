#!/usr/bin/python3
"""ESP by scapy, for esp.test.ts: `make DIR` writes captures and what is in them, `open DIR` opens what penstock sealed.

Each case has a name, DIR/<name>.json says how its SA is, DIR/<name>.pcap (make) or DIR/<name>.pcapng (open) holds the ESP
packets and DIR/<name>.inner the inner packets, one line of hexadecimal digits each.
"""
import glob
import json
import logging
import os
import sys

logging.getLogger('scapy').setLevel(logging.ERROR)
from scapy.all import ESP, ICMP, IP, TCP, UDP, Ether, IPv6, Raw, SecurityAssociation, rdpcap, wrpcap  # noqa: E402


def association(case):
    high = case['sequence'] >> 32
    tunnel = IP(src=case['source'], dst=case['destination']) if ':' not in case['source'] else IPv6(
        src=case['source'], dst=case['destination'])
    return SecurityAssociation(
        ESP, spi=case['spi'], seq_num=case['sequence'] & 0xFFFFFFFF, crypt_algo='AES-GCM',
        crypt_key=bytes.fromhex(case['key']), tunnel_header=tunnel, esn_en=case['esn'], esn=high)


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
                packet, seq_num=(case['sequence'] + i) & 0xFFFFFFFF, iv=i.to_bytes(8, 'big')))
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
                copy = type(packet)(bytes(packet))
                file.write(bytes(association(case).decrypt(copy)).hex() + '\n')


{'make': make, 'open': opened}[sys.argv[1]](os.path.abspath(sys.argv[2]))
