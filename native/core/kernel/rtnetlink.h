// The kernel's routes, addresses and neighbours, by rtnetlink (rtnetlink(7)), which Node has no sockets for.
// Control thread. Changes are asked for and answered one by one; what others change is told as it happens.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "packet/address.h"
#include "port/packet_socket.h"

namespace penstock {

struct KernelRoute {
  Address prefix;
  uint8_t length = 0;  // of an IPv4 prefix: up to 32
  uint8_t protocol = 0;
  uint8_t type = 0;  // RTN_UNICAST, …
  uint32_t table = 0;
  uint32_t interface = 0;  // of the first next hop
  uint32_t metric = 0;
  bool has_gateway = false;
  Address gateway;
};

// One thing of the kernel's that is there, or no longer is.
struct KernelChange {
  enum class Kind : uint8_t { kRoute, kAddress, kNeighbour };
  Kind kind;
  bool removed = false;
  KernelRoute route;
  // of addresses and neighbours
  uint32_t interface = 0;
  Address address;
  uint8_t length = 0;  // of an address: of its network
  uint16_t state = 0;  // of a neighbour: NUD_…
  bool has_mac = false;
  uint8_t mac[6] = {};
};

class Rtnetlink {
 public:
  Rtnetlink() = default;
  ~Rtnetlink() { close(); }
  Rtnetlink(const Rtnetlink&) = delete;
  Rtnetlink& operator=(const Rtnetlink&) = delete;

  // listen: for changes that others make, from now on.
  bool open(bool listen, SocketError& error);
  void close();

  // Adds routes (replaces what has the same prefix, table and metric) or deletes them. An error number for
  // each, 0 when it was done; deleting one that is not there is done.
  std::vector<int> change_routes(const std::vector<KernelRoute>& routes, bool add);
  // All there is of one kind, appended.
  bool list(KernelChange::Kind kind, std::vector<KernelChange>& out, SocketError& error);
  // What changed since it was last asked, appended. False: some was lost, list anew.
  bool take_changes(std::vector<KernelChange>& out);
  // Has the kernel ask for a neighbour, as if it had a packet for it.
  void ask_for_neighbour(uint32_t interface, const Address& address);

 private:
  int requests_ = -1;
  int changes_ = -1;
  uint32_t sequence_ = 0;
};

// A TUN interface that nobody reads: routes that lead into it go when the process does, however it ends.
class RouteInterface {
 public:
  RouteInterface() = default;
  ~RouteInterface() { close(); }
  RouteInterface(const RouteInterface&) = delete;
  RouteInterface& operator=(const RouteInterface&) = delete;

  bool open(const std::string& name, SocketError& error);
  void close();
  uint32_t index() const { return index_; }

 private:
  int descriptor_ = -1;
  uint32_t index_ = 0;
};

}  // namespace penstock
