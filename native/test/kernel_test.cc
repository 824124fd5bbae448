// Routes to and from the kernel, in a network namespace of the test's own.
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "check.h"
#include "kernel/rtnetlink.h"
#include "veth_lab.h"

using namespace penstock;

namespace {

Rtnetlink netlink;

Address address(const char* text) {
  uint8_t bytes[16];
  if (inet_pton(AF_INET, text, bytes) == 1) return Address::v4(bytes);
  CHECK(inet_pton(AF_INET6, text, bytes) == 1);
  return Address::v6(bytes);
}

constexpr uint32_t kTable = 4321;
constexpr uint8_t kProtocol = 200;

KernelRoute route(const char* prefix, uint8_t length, uint32_t interface) {
  KernelRoute made;
  made.prefix = address(prefix);
  made.length = length;
  made.table = kTable;
  made.protocol = kProtocol;
  made.interface = interface;
  return made;
}

size_t ours(const std::vector<KernelChange>& changes) {
  size_t count = 0;
  for (const KernelChange& change : changes) {
    count += change.kind == KernelChange::Kind::kRoute && change.route.table == kTable && !change.removed &&
             change.route.protocol == kProtocol;
  }
  return count;
}

size_t listed() {
  std::vector<KernelChange> found;
  SocketError error;
  CHECK(netlink.list(KernelChange::Kind::kRoute, found, error));
  return ours(found);
}

void routes_go_with_their_interface() {
  SocketError error;
  RouteInterface interface;
  CHECK(interface.open("pstest0", error));
  CHECK(interface.index() != 0);
  // more than a batch, both families
  std::vector<KernelRoute> routes;
  for (uint32_t i = 0; i < 300; ++i) {
    const std::string text = "10." + std::to_string(i / 100) + "." + std::to_string(i % 100) + ".0";
    routes.push_back(route(text.c_str(), 24, interface.index()));
  }
  routes.push_back(route("2001:db8::1", 128, interface.index()));
  for (int result : netlink.change_routes(routes, true)) CHECK(result == 0);
  for (int result : netlink.change_routes(routes, true)) CHECK(result == 0);  // once more: replaced
  CHECK(listed() == routes.size());
  std::vector<KernelChange> changes;
  CHECK(netlink.take_changes(changes));
  CHECK(ours(changes) >= routes.size());
  const std::vector<KernelRoute> some = {routes[0], route("10.99.0.0", 16, interface.index())};
  for (int result : netlink.change_routes(some, false)) CHECK(result == 0);  // one was never there
  CHECK(listed() == routes.size() - 1);
  const std::vector<KernelRoute> nowhere = {route("10.5.0.0", 16, 9999)};
  CHECK(netlink.change_routes(nowhere, true)[0] != 0);
  interface.close();
  CHECK(listed() == 0);  // gone with their interface
}

// A process that is killed has taken nothing back: its interface is what does.
void a_killed_process_leaves_none() {
  int ready[2];
  CHECK(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    Rtnetlink own;
    RouteInterface interface;
    SocketError error;
    const bool good = own.open(false, error) && interface.open("pstest1", error) &&
                      own.change_routes({route("10.7.0.1", 32, interface.index())}, true)[0] == 0;
    if (write(ready[1], good ? "y" : "n", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char good = 'n';
  CHECK(read(ready[0], &good, 1) == 1 && good == 'y');
  CHECK(listed() == 1);
  kill(child, SIGKILL);
  CHECK(waitpid(child, nullptr, 0) == child);
  CHECK(listed() == 0);
}

void interfaces_that_would_stay_are_refused() {
  SocketError error;
  RouteInterface first, second;
  CHECK(first.open("pstest2", error));
  CHECK(!second.open("pstest2", error));
  CHECK(error.number == EBUSY);
  shell("ip tuntap add mode tun pstest3");
  CHECK(!second.open("pstest3", error));
  CHECK(error.number == EEXIST);  // it would outlive us
  shell("ip link add pstest4 type veth peer name pstest5");
  CHECK(!second.open("pstest4", error));
  CHECK(error.number == EINVAL);
}

void changes_of_others_are_told() {
  shell("ip address add 192.0.2.1/24 dev pstest4 && ip link set pstest4 up && ip link set pstest5 up");
  shell("ip route add 198.51.100.0/24 via 192.0.2.9");
  shell("ip neigh replace 192.0.2.9 lladdr 02:00:00:00:00:09 dev pstest4 nud permanent");
  std::vector<KernelChange> changes;
  CHECK(netlink.take_changes(changes));
  bool has_route = false, has_address = false, has_neighbour = false;
  for (const KernelChange& change : changes) {
    const bool is_route = change.kind == KernelChange::Kind::kRoute;
    has_route |= is_route && change.route.has_gateway && change.route.gateway == address("192.0.2.9") &&
                 change.route.prefix == address("198.51.100.0") && change.route.length == 24 &&
                 change.route.table == RT_TABLE_MAIN && change.route.type == RTN_UNICAST;
    has_address |= change.kind == KernelChange::Kind::kAddress && change.address == address("192.0.2.1") &&
                   change.length == 24;
    has_neighbour |= change.kind == KernelChange::Kind::kNeighbour && change.has_mac && change.mac[5] == 9 &&
                     change.address == address("192.0.2.9");
  }
  CHECK(has_route && has_address && has_neighbour);
  // the kernel asks for whom nobody has heard of
  netlink.ask_for_neighbour(if_nametoindex("pstest4"), address("192.0.2.77"));
  std::vector<KernelChange> neighbours;
  SocketError error;
  CHECK(netlink.list(KernelChange::Kind::kNeighbour, neighbours, error));
  bool asked = false;
  for (const KernelChange& change : neighbours) asked |= change.address == address("192.0.2.77");
  CHECK(asked);
}

}  // namespace

int main() {
  if (geteuid() != 0 || !own_namespace()) {
    std::printf("skip: kernel routes want root, to make network namespaces\n");
    return kSkipped;
  }
  shell("ip link set lo up");
  SocketError error;
  CHECK(netlink.open(true, error));
  RUN(routes_go_with_their_interface);
  RUN(a_killed_process_leaves_none);
  RUN(interfaces_that_would_stay_are_refused);
  RUN(changes_of_others_are_told);
  FINISH();
}
