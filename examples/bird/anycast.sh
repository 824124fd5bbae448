#!/bin/bash
# Two gateways at one address, as root: BIRD beside each tells a router of it by BGP, the router chooses by ECMP; one gateway is
# killed with -9 in the middle of sixteen pings at 10 ms.
#
#   sudo examples/bird/anycast.sh
#
# Wants ip, ping, bird and birdc (bird2). PREFIX (of the namespaces) may be set. Everything is taken away at the end.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin
prefix=${PREFIX:-penstock-$$}
directory=$(mktemp -d)
declare -A pid

finish() {
  trap - EXIT INT TERM
  for name in "${!pid[@]}"; do kill -TERM "${pid[$name]}" 2> /dev/null || true; done
  wait
  "$here/lab.sh" down "$prefix"
  rm -rf "$directory"
}
trap finish EXIT
trap 'exit 130' INT TERM

node() {
  ip netns exec "$prefix-$1" node "$here/../../dist/cli/main.js" run "$directory/$1.yaml" &
  pid[$1]=$!
}
bird() {
  ip netns exec "$prefix-$1" bird -f -c "$directory/$1.conf" -s "$directory/$1.ctl" -P "$directory/$1.pid" &
  pid[bird-$1]=$!
}
ping_from() { ip netns exec "$prefix-client" ping -q -W 1 -I "192.168.10.$1" "${@:2}" "203.0.113.$1"; }
anycast() { ip -n "$prefix-router" route show 10.0.0.1; }

"$here/lab.sh" up "$prefix" "$directory"
for name in router gw1 gw2; do bird "$name"; done
for name in gw1 gw2 enb; do node "$name"; done

for ((i = 0; i < 200; i++)); do
  [ "$(anycast | grep -c nexthop)" = 2 ] && break
  sleep 0.1
done
echo "— the router has 10.0.0.1 from both"
anycast
# the first packet of a tunnel shows which gateway has it
for ((n = 1; n <= 16; n++)); do ping_from "$n" -c 1 > /dev/null || true; done
sleep 1
echo "— and every client from the gateway that its tunnel ends at"
ip -n "$prefix-router" route show | grep 192.168.10

echo "— gw1 is killed after 2 s of 6"
pings=()
for ((n = 1; n <= 16; n++)); do
  ping_from "$n" -c 600 -i 0.01 > "$directory/ping-$n" &
  pings+=($!)
done
sleep 2
kill -KILL "${pid[gw1]}"
wait "${pings[@]}" || true
grep -h transmitted "$directory"/ping-*
anycast
echo "— done"
