#!/bin/bash
# The namespaces and links of the example, as root:
#
#   lab.sh up PREFIX DIRECTORY     namespaces PREFIX-client, -enb, -router, -gw1, -gw2, -server and the links between
#                                  them; configurations and fresh keys in DIRECTORY
#   lab.sh down PREFIX             takes the namespaces away, and with them the links
#
#   client ── enb ── router ══ gw1, gw2 ══ router ── server
#
# Tunnel N of 16 is between the base station 10.20.0.N and 10.0.0.1, and carries what goes between the client 192.168.10.N and
# the server 203.0.113.N.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nodes='client enb router gw1 gw2 server'
tunnels=16

# link NODE INTERFACE NODE INTERFACE MTU
link() {
  ip -n "$prefix-$1" link add "$2" mtu "$5" type veth peer name "$4" netns "$prefix-$3" mtu "$5"
  ip -n "$prefix-$1" link set "$2" up
  ip -n "$prefix-$3" link set "$4" up
}

# address NODE INTERFACE ADDRESS
address() { ip -n "$prefix-$1" address add "$3" dev "$2"; }

# vpn NAME GATEWAY LOCAL-ADDRESS INBOUND OUTBOUND LOCAL-IP REMOTE-IP
vpn() {
  cat << EOT
      $1:
        bind-interface: st0.0
        manual:
          gateway: $2
          local-address: $3
          encryption-algorithm: aes-256-gcm
          inbound: [$4]
          outbound: $5
        traffic-selector: { ts: { local-ip: $6/32, remote-ip: $7/32 } }
EOT
}

# sa SPI KEY
sa() { printf '{ spi: %s, key: { file: keys/%s } }' "$1" "$2"; }

configure() {
  mkdir -p "$directory"
  chmod 700 "$directory"
  cp "$here"/*.yaml "$here"/*.conf "$directory"
  mkdir -p "$directory/keys"
  local stations=() n
  for ((n = 1; n <= tunnels; n++)); do
    stations+=("10.20.0.$n/32")
    for key in up gw1 gw2; do
      # 32 bytes of AES key, 4 of salt
      (umask 077 && od -An -tx1 -N36 /dev/urandom | tr -d ' \n' > "$directory/keys/$key-$n")
    done
    for g in 1 2; do
      vpn "enb$n" "10.20.0.$n" 10.0.0.1 "$(sa $((0x1000 + n)) "up-$n")" "$(sa $((0x2000 + g * 256 + n)) "gw$g-$n")" \
        "203.0.113.$n" "192.168.10.$n" >> "$directory/gw$g.yaml"
    done
    vpn "secgw$n" 10.0.0.1 "10.20.0.$n" "$(sa $((0x2100 + n)) "gw1-$n"), $(sa $((0x2200 + n)) "gw2-$n")" \
      "$(sa $((0x1000 + n)) "up-$n")" "192.168.10.$n" "203.0.113.$n" >> "$directory/enb.yaml"
  done
  sed -i "s|STATIONS|$(IFS=, && echo "${stations[*]}")|" "$directory/enb.yaml"
}

up() {
  for node in $nodes; do
    ip netns add "$prefix-$node"
    ip -n "$prefix-$node" link set lo up
    ip netns exec "$prefix-$node" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
  done
  link client eth0 enb inside0 1500
  link enb outside0 router access0 2000
  address router access0 10.40.1.1/24
  for g in 1 2; do
    link router gw$g-trust gw$g trust0 2000
    link router gw$g-untrust gw$g untrust0 1500
    address router gw$g-trust "10.1.$g.1/24"
    address router gw$g-untrust "10.2.$g.1/24"
    # of the kernel beside the gateway, for BGP
    address gw$g trust0 "10.1.$g.3/24"
  done
  link router internet0 server eth0 1500
  address router internet0 203.0.113.254/24
  ip netns exec "$prefix-router" sysctl -qw net.ipv4.ip_forward=1
  for ((n = 1; n <= tunnels; n++)); do
    address client eth0 "192.168.10.$n/24"
    address server eth0 "203.0.113.$n/24"
  done
  ip -n "$prefix-client" route add default via 192.168.10.254
  ip -n "$prefix-server" route add default via 203.0.113.254
  configure
}

down() {
  for node in $nodes; do
    ip netns delete "$prefix-$node" 2> /dev/null || true
  done
}

case "${1:-}" in
  up) prefix=$2 directory=$3 && up ;;
  down) prefix=$2 && down ;;
  *) echo "lab.sh up PREFIX DIRECTORY, or lab.sh down PREFIX" >&2 && exit 2 ;;
esac
