// A small network in virtual time for tests: nodes joined by memory wires, stepped on one thread.
#pragma once
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "chash/table.h"
#include "node/forwarder.h"
#include "node/host.h"
#include "node/plane.h"
#include "port/memory.h"

namespace penstock {

inline Address ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  const uint8_t bytes[4] = {a, b, c, d};
  return Address::v4(bytes);
}
// 2001:db8:x::y
inline Address ip6(uint16_t x, uint16_t y) {
  uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
  bytes[4] = static_cast<uint8_t>(x >> 8);
  bytes[5] = static_cast<uint8_t>(x);
  bytes[14] = static_cast<uint8_t>(y >> 8);
  bytes[15] = static_cast<uint8_t>(y);
  return Address::v6(bytes);
}

// A forwarder's tables while they are put together.
struct Build {
  std::shared_ptr<InterfaceTable> interfaces = std::make_shared<InterfaceTable>();
  std::shared_ptr<FilterTable> filters = std::make_shared<FilterTable>();
  std::shared_ptr<GroupTable> groups = std::make_shared<GroupTable>();
  std::shared_ptr<PolicyTable> policies = std::make_shared<PolicyTable>();
  std::shared_ptr<FlowOptions> flow = std::make_shared<FlowOptions>();
  std::vector<RouteTable::Entry> routes;
  std::vector<NextHop> next_hops;
  std::vector<SpiTable::Entry> spis;

  void interface(uint16_t port, uint8_t mac, std::vector<Address> addresses, uint16_t mtu = 2000,
                 uint16_t zone = 0, uint16_t vlan = 0) {
    InterfaceTable::Interface entry{};
    entry.port = port;
    entry.vlan = vlan;
    entry.mtu = mtu;
    entry.zone = zone;
    entry.filter_v4 = entry.filter_v6 = -1;
    entry.mac[0] = 2;
    entry.mac[5] = mac;
    entry.addresses = std::move(addresses);
    interfaces->interfaces.push_back(std::move(entry));
  }
  void route(const Address& prefix, unsigned length, NextHop next, uint16_t instance = 0) {
    routes.push_back({prefix, instance, static_cast<uint8_t>(prefix.is_v4() ? length + 96 : length),
                      static_cast<uint32_t>(next_hops.size())});
    next_hops.push_back(next);
  }
  void publish(Forwarder& node) {
    interfaces->index_ports(node.ports());
    auto table = std::make_shared<Routes>();
    table->table = RouteTable(routes);
    table->next_hops = next_hops;
    Tables parts;
    parts.interfaces = interfaces;
    parts.filters = filters;
    parts.groups = groups;
    parts.policies = policies;
    parts.flow = flow;
    parts.routes = table;
    parts.spis = std::make_shared<SpiTable>(SpiTable::build(spis));
    node.publish(parts);
  }
};

struct Lab {
  explicit Lab(uint32_t workers = 1, uint32_t frames = 2048, uint32_t most_workers = 0)
      : plane({workers, frames, 64, 1024, 0, most_workers}) {}

  Forwarder& forwarder(const std::string& name, ForwarderOptions options = {}) {
    options.neighbour_limit = std::min(options.neighbour_limit, 256u);
    options.sa_limit = std::min(options.sa_limit, 64u);
    options.statistics = 64;
    options.sessions.limit = std::min(options.sessions.limit, 4096u);
    auto node = std::make_unique<Forwarder>(name, plane.workers(), plane.most_workers(), options);
    Forwarder& made = *node;
    plane.add_node(std::move(node));
    return made;
  }
  Host& host(const std::string& name, bool server, uint8_t mac, uint8_t gateway_mac, std::vector<Flow> flows,
             std::vector<uint16_t> sizes = {64, 127, 1400}) {
    HostOptions options;
    options.server = server;
    options.mac[0] = options.gateway_mac[0] = 2;
    options.mac[5] = mac;
    options.gateway_mac[5] = gateway_mac;
    options.flows = std::move(flows);
    options.sizes = std::move(sizes);
    auto node = std::make_unique<Host>(name, plane.workers(), plane.most_workers(), options);
    Host& made = *node;
    plane.add_node(std::move(node));
    return made;
  }
  std::shared_ptr<MemoryWire> wire(Node& a, Node& b, uint32_t capacity = 512) {
    auto made = std::make_shared<MemoryWire>(capacity, plane.most_workers());
    for (uint32_t side = 0; side < 2; ++side) {
      std::vector<std::unique_ptr<Port>> ports;
      for (uint32_t w = 0; w < plane.workers(); ++w) ports.push_back(MemoryWire::end(made, side, w));
      (side == 0 ? a : b).add_port(std::move(ports));
    }
    return made;
  }
  // Turns of a millisecond (virtual) each.
  void run(uint32_t turns) {
    for (uint32_t i = 0; i < turns; ++i) {
      now += 1'000'000;
      plane.step(now);
    }
  }
  // Until nothing moves; what waits for neighbours is given its time.
  void settle() {
    for (uint32_t i = 0; i < 5000 && plane.frames_in_use() > 0; ++i) run(1);
  }
  void print_drops() {
    static const char* const names[] = {
#define COUNTER(name, unit, meaning) #name,
#define DROP(name, words, meaning) #name,
#include "../counters.def"
    };
    for (uint16_t n = 0; n < plane.nodes(); ++n) {
      for (unsigned c = 0; c < kCounterCount; ++c) {
        const uint64_t value = plane.node(n).total(static_cast<Counter>(c));
        if (value > 0) std::fprintf(stderr, "%s %s %lu\n", plane.node(n).name().c_str(), names[c], value);
      }
    }
  }
  uint64_t drops() const {
    uint64_t sum = 0;
    for (uint16_t n = 0; n < const_cast<Plane&>(plane).nodes(); ++n) {
      for (unsigned c = static_cast<unsigned>(Counter::runt); c < kCounterCount; ++c) {
        sum += const_cast<Plane&>(plane).node(n).total(static_cast<Counter>(c));
      }
    }
    return sum;
  }

  Plane plane;
  uint64_t now = 1'000'000'000;
};

}  // namespace penstock
