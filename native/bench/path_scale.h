// Router and gateways, one offered load.
#pragma once
#include "path_esp.h"
#include "path_router.h"

namespace penstock::bench {

// Clients' sealed packets through the router to N gateways, each of which has the SAs of its own tunnels.
struct ScaleBench : Lab {
  static constexpr uint32_t kTunnels = 10000;
  Forwarder& router;
  BenchPort& uplink;
  std::vector<Forwarder*> gateways;
  std::vector<BenchPort*> insides;
  std::vector<std::unique_ptr<OutboundSa>> peers;
  std::vector<uint16_t> sizes = imix();
  Random random;
  uint64_t packets_made = 0;
  const Address vip = ip4(203, 0, 113, 1);

  static Address station(uint32_t t) {
    return ip4(198, 18, static_cast<uint8_t>(t >> 8), static_cast<uint8_t>(t));
  }
  static Address client(uint32_t t) {
    return ip4(10, static_cast<uint8_t>(t >> 8), static_cast<uint8_t>(t), 1);
  }

  explicit ScaleBench(uint32_t count)
      : Lab(1, kBatch + 1024), router(RouterBench::make(*this)), uplink(add_bench_port(*this, router)) {
    Build tables;
    tables.interface(0, 1, {ip4(198, 18, 255, 254)});
    for (uint32_t g = 0; g < count; ++g) {
      gateways.push_back(&GatewayBench::make(*this, kTunnels));
      wire(router, *gateways[g], kBatch);
      insides.push_back(&add_bench_port(*this, *gateways[g]));
      tables.interface(static_cast<uint16_t>(g + 1), static_cast<uint8_t>(0x40 + g),
                       {ip4(172, 16, static_cast<uint8_t>(g), 254)});
    }
    tables.interfaces->index_ports(router.ports());
    Tables parts;
    parts.interfaces = tables.interfaces;
    router.publish(parts);
    GroupTable::Group group{HashKey::kSourceIp, nullptr, {}};
    TableInput input;
    input.hasher = FlowHasher(HashFunction::kXxh64, 7);
    input.size = 65536;
    for (uint32_t g = 0; g < count; ++g) {
      const uint32_t neighbour =
          router.neighbour(static_cast<uint16_t>(g + 1), ip4(172, 16, static_cast<uint8_t>(g), 1));
      const uint8_t mac[6] = {2, 0, 0, 0, 0, static_cast<uint8_t>(0x80 + g)};
      router.neighbours().learn(neighbour, mac, ~0ull >> 2);
      group.members.push_back({neighbour, g});
      input.members.push_back({"gw" + std::to_string(g), 1});
    }
    group.table = shared(build_table(input).table());
    const Table& table = *group.table;
    tables.groups->groups.push_back(group);
    tables.route(vip, 32, {NextHop::Kind::kGroup, 0});
    tables.publish(router);
    std::vector<Build> gateway_tables(count);
    std::vector<uint32_t> inward(count);
    for (uint32_t g = 0; g < count; ++g) inward[g] = start_gateway(gateway_tables[g], g);
    for (uint32_t t = 0; t < kTunnels; ++t) {
      const uint64_t hash = chash::xxh64_of4(station(t).v4_bytes(), table.hasher().seed());
      const uint16_t g = table.pick(hash);
      add_tunnel(*gateways[g], gateway_tables[g], t);
    }
    for (uint32_t g = 0; g < count; ++g) {
      gateway_tables[g].publish(*gateways[g]);
      learn(*gateways[g], inward[g], 2);
    }
  }

  uint32_t start_gateway(Build& tables, uint32_t g) {
    Forwarder& gateway = *gateways[g];
    tables.flow->sessions = true;
    tables.policies->default_permit = true;
    tables.interface(0, static_cast<uint8_t>(0x80 + g), {ip4(172, 16, static_cast<uint8_t>(g), 1)}, 2000, 1);
    tables.interface(1, 2, {ip4(192, 0, 2, 254)}, 2000, 2);
    tables.interfaces->index_ports(gateway.ports());
    Tables parts;
    parts.interfaces = std::make_shared<InterfaceTable>(*tables.interfaces);
    gateway.publish(parts);
    const uint32_t neighbour = gateway.neighbour(1, ip4(192, 0, 2, 1));
    tables.route(vip, 32, {NextHop::Kind::kLocal, 0});
    tables.route(ip4(192, 0, 2, 0), 24, {NextHop::Kind::kNeighbour, neighbour});
    return neighbour;
  }

  void add_tunnel(Forwarder& gateway, Build& tables, uint32_t t) {
    uint8_t key[36];
    for (uint8_t& byte : key) byte = static_cast<uint8_t>(random.next());
    OutboundSaOptions out;
    out.spi = 0x10000 + t;
    out.key = key;
    out.key_bytes = 36;
    out.source = station(t);
    out.destination = vip;
    out.node_id = 1;
    out.mtu = 1700;
    peers.push_back(std::make_unique<OutboundSa>());
    std::string error = peers.back()->init(out);
    InboundSaOptions in;
    in.spi = out.spi;
    in.key = key;
    in.key_bytes = 36;
    in.replay_window = 512;
    in.tunnel = t;
    const uint32_t index = gateway.add_inbound_sa(in, error);
    if (!error.empty()) std::fprintf(stderr, "path_bench: %s\n", error.c_str()), std::exit(1);
    tables.spis.push_back({vip, in.spi, index, 1, 0});
  }

  void pass(Stopwatch& watch) {
    FrameCache& cache = plane.cache(0);
    FramePool& pool = plane.pool();
    uplink.in.resize(kBatch);
    cache.allocate(uplink.in.data(), kBatch);
    for (const FrameIndex index : uplink.in) {
      const auto t = static_cast<uint32_t>(random.next() % kTunnels);
      Frame& frame = pool.frame(index);
      frame.start = static_cast<uint16_t>(frame.start + 128);
      uint8_t* ip = pool.data(index);
      const uint32_t length = sizes[packets_made++ % sizes.size()];
      write_udp(ip, length, client(t), ip4(192, 0, 2, 1), 1000);
      SealItem item{peers[t].get(), ip, length, DropReason::kNone, nullptr, 0, false};
      esp_seal(&item, 1, now);
      uint8_t* link = item.outer - ethernet::kHeaderBytes;
      const uint8_t to[6] = {2, 0, 0, 0, 0, 1};
      ethernet::write(link, to, to, ethernet::kTypeIpv4);
      frame.start = static_cast<uint16_t>(link - pool.chunk(index));
      frame.length = static_cast<uint16_t>(item.outer_length + 14);
    }
    now += 100'000;
    plane.collect();  // as the control thread does: huge pages ahead of the session tables
    watch.start();
    // The same number of packets is between router and gateways whatever their number: four bursts, dealt to
    // one gateway or to four, each of which takes whole bursts and what is over.
    for (uint32_t sent = 0; sent < kBatch; sent += 4 * kBurst) {
      for (int turn = 0; turn < 4; ++turn) router.poll(0, now);
      for (size_t g = 0; g < gateways.size(); ++g) {
        for (size_t before = ~size_t{0}; before != insides[g]->out.size();) {
          before = insides[g]->out.size();
          gateways[g]->poll(0, now);
        }
      }
    }
    watch.stop();
    size_t through = 0;
    for (const BenchPort* inside : insides) through += inside->out.size();
    require_all(*this, through);
    uplink.reset(cache);
    for (BenchPort* inside : insides) inside->reset(cache);
  }
};

}  // namespace penstock::bench
