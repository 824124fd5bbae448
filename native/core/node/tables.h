// The tables of a node: immutable values that the control plane builds and workers read through one pointer
// each, swapped between bursts. They hold only maps; state (SAs, sessions, neighbours, statistics) lives in
// slabs of the node and is addressed from here by index.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "../chash/flow_key.h"
#include "../chash/table.h"
#include "../packet/frame.h"
#include "../sync/tags.h"
#include "icd_table.h"
#include "route_table.h"
#include "virtual_service.h"

namespace penstock {

struct InterfaceTable {
  struct Interface {
    uint16_t port;              // index of the node's port
    uint16_t vlan;              // 0: untagged
    uint16_t mtu;               // bytes of IP packet
    uint16_t routing_instance;  // packets received here are routed in it
    uint16_t zone;
    int16_t filter_v4;  // index into FilterTable, -1: none
    int16_t filter_v6;
    uint8_t mac[6];
    std::vector<Address>
        addresses;  // own addresses on this link: answered for in ARP and neighbour discovery
    // Of services redundancy groups that are active here, sorted: answered for, too, and never asked from.
    std::vector<Address> virtual_addresses;
  };
  std::vector<Interface> interfaces;
  // Filled by index_ports(): the first interface on each port, and behind each interface the next on its
  // port.
  std::vector<uint16_t> first_of_port;
  std::vector<uint16_t> next_on_port;

  // An interface that is gone keeps its number with this tag, which no frame may carry (IEEE 802.1Q reserves
  // it): nothing is received on it, and with an MTU of 0 nothing is sent.
  static constexpr uint16_t kAbsent = 4095;

  void index_ports(size_t ports);
  // The interface of a frame that came in on a port with this tag; kNone: no interface has it.
  static constexpr uint16_t kNone = 0xffff;
  uint16_t find(uint16_t port, uint16_t vlan) const {
    uint16_t index = first_of_port[port];
    while (index != kNone && interfaces[index].vlan != vlan) index = next_on_port[index];
    return index;
  }
};

// Filter-based forwarding: the first term that matches decides.
struct FilterTable {
  enum class Action : uint8_t {
    kAccept,
    kDiscard,
    kRoutingInstance,
    kReturn,  // accepted; the answer of a translated service's real service is translated back
  };
  struct Prefix {
    Address address;
    Address mask;

    // length: of 128; IPv4 prefixes are stored mapped, 96 longer
    Prefix(const Address& prefix, unsigned length) : address(prefix), mask(prefix_mask(length)) {
      address.high &= mask.high;
      address.low &= mask.low;
    }
    bool holds(const Address& other) const {
      return (((other.high & mask.high) ^ address.high) | ((other.low & mask.low) ^ address.low)) == 0;
    }
  };
  struct Term {
    std::vector<Prefix> sources;       // empty: any
    std::vector<Prefix> destinations;  // empty: any
    std::vector<uint8_t> protocols;    // empty: any
    Action action;
    uint16_t routing_instance;
    uint32_t statistic;  // index of a packets-and-bytes pair, or kNoIndex

    bool holds(const Address& source, const Address& destination, uint8_t protocol) const {
      return lists(destinations, destination) && lists(sources, source) &&
             (protocols.empty() || lists(protocol));
    }

   private:
    static bool lists(const std::vector<Prefix>& prefixes, const Address& address) {
      for (const Prefix& prefix : prefixes) {
        if (prefix.holds(address)) return true;
      }
      return prefixes.empty();
    }
    bool lists(uint8_t protocol) const {
      for (const uint8_t listed : protocols) {
        if (listed == protocol) return true;
      }
      return false;
    }
  };
  struct Filter {
    std::vector<Term> terms;
  };
  std::vector<Filter> filters;
};

// A group of members behind one consistent-hash table: a TLB virtual service or an ECMP next hop.
struct GroupTable {
  struct Member {
    uint32_t neighbour;  // index into the node's neighbour table
    uint32_t statistic;
  };
  struct Group {
    HashKey key;
    std::shared_ptr<const Table> table;  // a slot names the member at that place of `members`
    std::vector<Member> members;
    std::shared_ptr<const VirtualService> service = nullptr;  // null: by the next hop's MAC alone
  };
  std::vector<Group> groups;
};

// What a route leads to.
struct NextHop {
  enum class Kind : uint8_t {
    kNone,       // no route
    kDiscard,    // a route that says so; up to here nothing is sent
    kLocal,      // this node
    kConnected,  // the destination itself, on interface `index`
    kNeighbour,  // neighbour `index`
    kTunnel,     // outbound SA `index`
    kGroup,      // group `index`
    kService,    // likewise, of a group with a `service`: made of kGroup by Forwarder::publish
    kBySource,   // what the source address leads to in routing instance `index` (one level)
  };
  Kind kind;
  uint32_t index;
  uint16_t zone = 0;  // kTunnel: of the tunnel's interface, where its answers arrive
  uint16_t routing_instance = 0;
  uint32_t anchor = 0;     // kTunnel: the SA's worker, filled in by Forwarder::publish
  uint16_t situation = 0;  // of a pair's node: next_hop_situation() of icd_table.h
  bool operator==(const NextHop&) const = default;
};

struct Routes {
  RouteTable table;  // value: index into next_hops
  std::vector<NextHop> next_hops;
};

// Inbound SAs by destination address and SPI.
struct SpiTable {
  struct Entry {
    Address address;
    uint32_t spi;  // 0: free slot (RFC 4303 §2.1 reserves it)
    uint32_t sa;
    uint16_t zone;  // of the tunnel's interface: decrypted packets belong there
    uint16_t routing_instance;
    uint32_t anchor = 0;   // the SA's worker: filled in by Forwarder::publish
    bool standby = false;  // its services redundancy group is not active here: nothing is opened
  };
  std::vector<Entry> entries;  // open addressing, a power of two, at most half full

  const Entry* find(const Address& address, uint32_t spi) const;  // nullptr: none
  void prefetch(const Address& address, uint32_t spi) const;
  static SpiTable build(const std::vector<Entry>& entries);
};

// Security policies, first match wins within a pair of zones.
struct PolicyTable {
  static constexpr uint16_t kAnyZone = 0xffff;
  struct Policy {
    uint16_t from_zone;
    uint16_t to_zone;
    FilterTable::Term match;       // sources, destinations, protocols
    uint16_t port_low, port_high;  // destination port; 0…65535: any
    bool permit;
    uint32_t id;
  };
  bool default_permit = false;
  std::vector<Policy> policies;

  // The first that matches, or nullptr.
  const Policy* find(uint16_t from_zone, uint16_t to_zone, const Address& source, const Address& destination,
                     uint8_t protocol, uint16_t port) const;
};

struct FlowOptions {
  bool punt_ike = false;           // the control plane listens to UDP 500 and 4500
  uint16_t punt_low = 0;           // … and to TCP, UDP and echo replies whose destination port (identifier)
  uint16_t punt_high = 0;          // is in this range, both included; 0, 0: to none
  uint16_t icl_port = 0;           // UDP to an own address and this port is punted; 0: none
  uint32_t icl_tunnel = kNoIndex;  // … which came through this tunnel (its id); kNoIndex: in the clear
  bool sessions = false;           // false: the node routes each packet on its own (a router)
  bool syn_check = true;           // security flow tcp-session no-syn-check turns it off
  bool syn_check_in_tunnel = true;  // … no-syn-check-in-tunnel
};

// One snapshot. Parts are shared between snapshots: a change replaces the parts that it touches.
struct Tables {
  std::shared_ptr<const InterfaceTable> interfaces;
  std::shared_ptr<const FilterTable> filters;
  std::shared_ptr<const GroupTable> groups;
  std::shared_ptr<const Routes> routes;
  std::shared_ptr<const SpiTable> spis;
  std::shared_ptr<const PolicyTable> policies;
  std::shared_ptr<const SpiTable> audits;  // `sa` is the key's number; see nonce_audit.h
  std::shared_ptr<const FlowOptions> flow;
  std::shared_ptr<const IcdTable> icd;
  std::shared_ptr<const SyncTable> sync;
  std::shared_ptr<const ServiceIndex> services;  // made by Forwarder::publish
};

}  // namespace penstock
