#!/bin/bash
# The namespaces and links of the example, as root:
#
#   lab.sh up PREFIX DIRECTORY [PORT [MTU]]
#                         namespaces PREFIX-client, -enb, -tlb1, -gw1, -gw2, -server and the links between them;
#                         configurations and fresh keys in DIRECTORY. PORT: af-packet, or af-xdp, or tun (the hosts are then
#                         in the namespaces of enb and tlb1); MTU: of the hosts' links, 1500. The outer links have 500 more
#   lab.sh down PREFIX    takes the namespaces away, and with them the links
#
#   client ── enb ── tlb1 ══ gw1, gw2 ══ tlb1 ── server
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nodes='client enb tlb1 gw1 gw2 server'

# link NODE INTERFACE NODE INTERFACE MTU
link() {
  ip -n "$prefix-$1" link add "$2" mtu "$5" type veth peer name "$4" netns "$prefix-$3" mtu "$5"
  ip -n "$prefix-$1" link set "$2" up
  ip -n "$prefix-$3" link set "$4" up
}

# host NODE INET INET-GATEWAY INET6 INET6-GATEWAY
host() {
  ip -n "$prefix-$1" address add "$2" dev eth0
  ip -n "$prefix-$1" route add default via "$3"
  ip -n "$prefix-$1" address add "$4" dev eth0 nodad
  ip -n "$prefix-$1" route add default via "$5"
}

up() {
  for node in $nodes; do
    ip netns add "$prefix-$node"
    ip -n "$prefix-$node" link set lo up
    # penstock speaks for these itself: the kernel is to be silent there
    case $node in client | server) ;; *) ip netns exec "$prefix-$node" sysctl -qw net.ipv6.conf.default.disable_ipv6=1 ;; esac
  done
  local outer=$((mtu + 500))
  link enb outside0 tlb1 access0 $outer
  for gateway in gw1 gw2; do
    link tlb1 $gateway-trust $gateway trust0 $outer
    link tlb1 $gateway-untrust $gateway untrust0 "$mtu"
  done
  if [ "$port" != tun ]; then
    link client eth0 enb inside0 "$mtu"
    link tlb1 internet0 server eth0 "$mtu"
    host client 192.168.10.2/24 192.168.10.1 fd00:10::2/64 fd00:10::1
    host server 203.0.113.2/24 203.0.113.1 2001:db8:ffff::2/64 2001:db8:ffff::1
  fi
  if [ "$port" = af-xdp ]; then
    # AF_XDP cannot tell a checksum that was left to the card from a wrong one
    for node in client server; do
      ip netns exec "$prefix-$node" ethtool -K eth0 tx off tso off gso off > /dev/null
    done
  fi

  mkdir -p "$directory"
  chmod 700 "$directory"
  cp "$here"/*.yaml "$directory"
  # the configurations are of packet sockets, 1500 and 2000
  local inner='inside0\|untrust0\|gw1-untrust\|gw2-untrust\|internet0'
  sed -i -e "s/mtu: 2000/mtu: $outer/" -e "s/^\( *\)port: { af-packet: \($inner\) }/&\n\1mtu: $mtu/" "$directory"/*.yaml
  case $port in
    tun) sed -i -e 's/af-packet: \(inside0\|internet0\)/tun: \1/' "$directory"/*.yaml ;;
    *) sed -i -e "s/af-packet:/$port:/" "$directory"/*.yaml ;;
  esac
  mkdir -p "$directory/keys"
  (
    umask 077
    for key in up gw1 gw2; do
      for family in inet inet6; do
        # 32 bytes of AES key, 4 of salt
        od -An -tx1 -N36 /dev/urandom | tr -d ' \n' > "$directory/keys/$key-$family"
      done
    done
  )
}

down() {
  for node in $nodes; do
    ip netns delete "$prefix-$node" 2> /dev/null || true
  done
}

case "${1:-}" in
  up) prefix=$2 directory=$3 port=${4:-af-packet} mtu=${5:-1500} && up ;;
  down) prefix=$2 && down ;;
  *) echo "lab.sh up PREFIX DIRECTORY [PORT [MTU]], or lab.sh down PREFIX" >&2 && exit 2 ;;
esac
