#!/usr/bin/env python3
"""The far end of tunnels where the kernel has none: the kernel checks the outer packet (IP and UDP checksums), this strips
it, and a TUN interface gives the inner one back to the kernel.

    decapsulate.py INTERFACE    says "ready", then counts a line a packet kind on end of input
"""
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
IPIP, IPV6 = 4, 41
GUE = 6080


def tun(name):
    device = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack('16sH', name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def sockets():
    for inner in (IPIP, IPV6):
        yield f'{inner} in 4', socket.socket(socket.AF_INET, socket.SOCK_RAW, inner), True
        yield f'{inner} in 6', socket.socket(socket.AF_INET6, socket.SOCK_RAW, inner), False
    for family, name in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        gue = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            gue.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        gue.bind(('', GUE))
        yield f'gue in {name}', gue, False


device = tun(sys.argv[1])
every = {each.fileno(): (name, each, has_header) for name, each, has_header in sockets()}
counts = {name: 0 for name, _, _ in every.values()}
print('ready', flush=True)
while True:
    readable, _, _ = select.select([*every, sys.stdin], [], [])
    for which in readable:
        if which is sys.stdin:
            for name, count in counts.items():
                print(name, count)
            sys.exit(0)
        name, each, has_header = every[which]
        packet = each.recv(65535)
        if has_header:  # of IPv4, a raw socket gives it too
            packet = packet[(packet[0] & 15) * 4:]
        counts[name] += 1
        os.write(device, packet)
