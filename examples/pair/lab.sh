#!/bin/bash
# The namespaces and links of the example, as root:
#
#   lab.sh up PREFIX DIRECTORY    namespaces PREFIX-lan, -wan, -a, -b and the links between them; configurations and fresh keys
#                                 in DIRECTORY
#   lab.sh down PREFIX            takes the namespaces away, and with them the links
#
#   lan 192.168.97.99 ══ a, b ══ wan 198.51.100.99        each ══ is a bridge; a and b have the ICL between them
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# segment HOST ADDRESS NETWORK-BEHIND GATEWAY: a host on a bridge that both nodes have a port on
segment() {
  ip netns add "$prefix-$1"
  ip -n "$prefix-$1" link set lo up
  ip -n "$prefix-$1" link add br0 type bridge
  for node in a b; do
    ip -n "$prefix-$1" link add "to-$node" type veth peer name "${1}0" netns "$prefix-$node"
    ip -n "$prefix-$1" link set "to-$node" master br0 up
    ip -n "$prefix-$node" link set "${1}0" up
  done
  ip -n "$prefix-$1" address add "$2" dev br0
  ip -n "$prefix-$1" link set br0 up
  ip -n "$prefix-$1" route add "$3" via "$4"
}

up() {
  for node in a b; do
    ip netns add "$prefix-$node"
    # penstock speaks for these itself: the kernel is to be silent there
    ip netns exec "$prefix-$node" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
    ip -n "$prefix-$node" link set lo up
  done
  segment lan 192.168.97.99/24 198.51.100.0/24 192.168.97.1
  segment wan 198.51.100.99/24 192.168.97.0/24 198.51.100.1
  ip -n "$prefix-a" link add icl0 type veth peer name icl0 netns "$prefix-b"
  for node in a b; do ip -n "$prefix-$node" link set icl0 up; done

  mkdir -p "$directory"
  chmod 700 "$directory"
  cp "$here"/a.yaml "$here"/b.yaml "$directory"
  for key in a-to-b b-to-a; do
    (umask 077 && od -An -tx1 -N36 /dev/urandom | tr -d ' \n' > "$directory/$key.key")
  done
  for node in a b; do mkdir -p "$directory/state/$node"; done
}

down() {
  for node in lan wan a b; do ip netns delete "$prefix-$node" 2> /dev/null || true; done
}

prefix=${2:?lab.sh up PREFIX DIRECTORY, or lab.sh down PREFIX}
case ${1:-} in
  up)
    directory=${3:?lab.sh up PREFIX DIRECTORY}
    trap 'down' ERR
    up
    ;;
  down) down ;;
  *) echo 'lab.sh up PREFIX DIRECTORY, or lab.sh down PREFIX' >&2; exit 2 ;;
esac
