#!/bin/bash
# The main job on real packets, as root: ping and iperf3 from a client host through a client gateway, the router and
# one of two gateways to a server host and back; in the middle that gateway is stopped, later it is started again.
#
#   sudo examples/netns/main-job.sh
#
# Wants ip, ping and iperf3. PREFIX (of the namespaces) and SECONDS_EACH may be set. Everything is taken away at the end.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prefix=${PREFIX:-penstock-$$}
each=${SECONDS_EACH:-6}
directory=$(mktemp -d)
penstock() { node "$here/../../dist/cli/main.js" "$@"; }
declare -A pid

finish() {
  trap - EXIT INT TERM
  for node in "${!pid[@]}"; do kill -TERM "${pid[$node]}" 2> /dev/null || true; done
  wait
  "$here/lab.sh" down "$prefix"
  rm -rf "$directory"
}
trap finish EXIT
trap 'exit 130' INT TERM

run() {
  ip netns exec "$prefix-$1" node "$here/../../dist/cli/main.js" run "$directory/$1.yaml" &
  pid[$1]=$!
}
stop() {
  kill -TERM "${pid[$1]}"
  wait "${pid[$1]}" || true
  unset "pid[$1]"
}
client() { ip netns exec "$prefix-client" "$@"; }
# sent NODE: packets that the router has sent to it, of both virtual services
sent() {
  penstock show services traffic-load-balance statistics --socket "$directory/tlb1.sock" --json \
    | node -e "const {virtualServices}=JSON.parse(require('fs').readFileSync(0));
      console.log(virtualServices.flatMap(v=>v.realServices).filter(r=>r.name==='$1').reduce((n,r)=>n+r.packetsSent,0))"
}
up() {
  for ((i = 0; i < 100; i++)); do
    if client ping -c 1 -W 1 203.0.113.2 > /dev/null && client ping -6 -c 1 -W 1 2001:db8:ffff::2 > /dev/null; then
      return
    fi
  done
  echo "no answer from the server" >&2
  return 1
}

"$here/lab.sh" up "$prefix" "$directory"
for node in tlb1 gw1 gw2 enb; do run "$node"; done
up
ip netns exec "$prefix-server" iperf3 -s -D --pidfile "$directory/iperf3.pid" > /dev/null
pid[iperf3]=$(for ((i = 0; i < 50; i++)); do [ -s "$directory/iperf3.pid" ] && break; sleep 0.1; done; tr -d '\0' < "$directory/iperf3.pid")

echo "— ping, IPv4 and IPv6"
client ping -q -c 10 -i 0.1 203.0.113.2
client ping -6 -q -c 10 -i 0.1 2001:db8:ffff::2

echo "— iperf3 there and back"
client iperf3 -c 203.0.113.2 -t 2
client iperf3 -c 2001:db8:ffff::2 -t 2 -R

first=gw1
[ "$(sent gw2)" -gt "$(sent gw1)" ] && first=gw2
echo "— iperf3 for $((2 * each)) s; $first is stopped after $((each / 2)) s and started again after $each s"
client iperf3 -c 203.0.113.2 -t $((2 * each)) &
first_transfer=$!
client ping -q -i 0.1 -w $((2 * each)) 203.0.113.2 &
pings=$!
client ping -6 -q -i 0.1 -w $((2 * each)) 2001:db8:ffff::2 &
pings6=$!
sleep $((each / 2))
stop "$first"
sleep $((each - each / 2))
run "$first"
wait $first_transfer $pings $pings6

penstock show services traffic-load-balance statistics --socket "$directory/tlb1.sock"
penstock show security ipsec security-associations --socket "$directory/enb.sock"
penstock show security flow session --socket "$directory/gw2.sock"
echo "— done"
