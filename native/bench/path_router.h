// Router: filter-based forwarding and consistent hash.
#pragma once
#include "path_lab.h"

namespace penstock::bench {

// A router with 256 members behind one virtual service, between two bench ports.
struct RouterBench : Lab {
  Forwarder& router;
  BenchPort& uplink;
  BenchPort& members;
  const bool v6;
  Random random;

  static Forwarder& make(Lab& lab) {
    ForwarderOptions options;
    options.statistics = 512;
    options.sessions.limit = 64;
    auto node = std::make_unique<Forwarder>("router", 1, options);
    Forwarder& made = *node;
    lab.plane.add_node(std::move(node));
    return made;
  }

  explicit RouterBench(bool is_v6)
      : Lab(1, kBatch + 512),
        router(make(*this)),
        uplink(add_bench_port(*this, router)),
        members(add_bench_port(*this, router)),
        v6(is_v6) {
    Build tables;
    tables.interface(0, 1, {ip4(10, 255, 0, 1), ip6(1, 1)});
    tables.interface(1, 2, {ip4(172, 16, 0, 1), ip6(2, 1)});
    tables.interfaces->index_ports(2);
    Tables parts;
    parts.interfaces = tables.interfaces;
    router.publish(parts);
    const Address vip = v6 ? ip6(3, 1) : ip4(203, 0, 113, 1);
    tables.interfaces = std::make_shared<InterfaceTable>(*tables.interfaces);
    (v6 ? tables.interfaces->interfaces[0].filter_v6 : tables.interfaces->interfaces[0].filter_v4) = 0;
    tables.filters->filters.push_back(
        {{{{}, {{vip, 128}}, {}, FilterTable::Action::kRoutingInstance, 1, 500}}});
    GroupTable::Group group{HashKey::kSourceIp, nullptr, {}};
    for (uint16_t m = 0; m < 256; ++m) {
      const Address address =
          v6 ? ip6(2, static_cast<uint16_t>(100 + m)) : ip4(172, 16, 1, static_cast<uint8_t>(m));
      const uint32_t neighbour = router.neighbour(1, address);
      learn(router, neighbour, static_cast<uint8_t>(m));
      group.members.push_back({neighbour, m});
    }
    std::vector<uint16_t> slots(65536);
    for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<uint16_t>(i % 256);
    group.table = shared(Table::make(slots.data(), 65536, 256, FlowHasher(HashFunction::kXxh64, 7), 0));
    tables.groups->groups.push_back(std::move(group));
    tables.route(vip, v6 ? 128 : 32, {NextHop::Kind::kGroup, 0}, 1);
    tables.publish(router);
  }

  void pass(Stopwatch& watch) {
    FrameCache& cache = plane.cache(0);
    FramePool& pool = plane.pool();
    uplink.in.resize(kBatch);
    cache.allocate(uplink.in.data(), kBatch);
    for (const FrameIndex index : uplink.in) {
      const auto flow = static_cast<uint32_t>(random.next() & 0xfffff);  // of a million
      Frame& frame = pool.frame(index);
      uint8_t* link = pool.data(index);
      const uint8_t to[6] = {2, 0, 0, 0, 0, 1};
      ethernet::write(link, to, to, v6 ? ethernet::kTypeIpv6 : ethernet::kTypeIpv4);
      frame.length = 64;
      const auto low = static_cast<uint8_t>(flow);
      if (v6) {
        Address from = ip6(9, static_cast<uint16_t>(flow));
        from.low ^= static_cast<uint64_t>(flow >> 16) << 16;
        write_udp(link + 14, 50, from, ip6(3, 1), 500);
      } else {
        write_udp(link + 14, 50,
                  ip4(11, static_cast<uint8_t>(flow >> 16), static_cast<uint8_t>(flow >> 8), low),
                  ip4(203, 0, 113, 1), 500);
      }
    }
    now += 100'000;
    watch.start();
    while (!uplink.empty()) router.poll(0, now);
    watch.stop();
    require_all(*this, members.out.size());
    uplink.reset(cache);
    members.reset(cache);
  }
};

}  // namespace penstock::bench
