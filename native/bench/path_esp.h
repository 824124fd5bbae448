// ESP gateway with tunnels, sessions, policies and traffic selectors; and the cipher alone on the same sizes.
#pragma once
#include "path_lab.h"

namespace penstock::bench {

// A gateway between two bench ports, and the other ends of its tunnels.
struct GatewayBench : Lab {
  const uint32_t tunnels;
  Forwarder& gateway;
  BenchPort& outside;
  BenchPort& inside;
  std::vector<std::unique_ptr<OutboundSa>> peers;
  std::vector<uint16_t> sizes = imix();
  Random random;
  const Address own = ip4(203, 0, 113, 1);
  const Address peer = ip4(198, 51, 100, 1);
  uint64_t packets_made = 0;

  static ForwarderOptions options(uint32_t tunnels) {
    ForwarderOptions options;
    options.sa_limit = tunnels;
    options.sessions.limit = 1 << 20;
    return options;
  }
  static Forwarder& make(Lab& lab, uint32_t tunnels) {
    auto node = std::make_unique<Forwarder>("gw", 1, options(tunnels));
    Forwarder& made = *node;
    lab.plane.add_node(std::move(node));
    return made;
  }

  explicit GatewayBench(uint32_t count)
      : Lab(1, kBatch + 512),
        tunnels(count),
        gateway(make(*this, count)),
        outside(add_bench_port(*this, gateway)),
        inside(add_bench_port(*this, gateway)) {
    Build tables;
    tables.flow->sessions = true;
    PolicyTable::Policy policy{};
    policy.from_zone = policy.to_zone = PolicyTable::kAnyZone;
    policy.match.sources = {{ip4(10, 0, 0, 0), 104}, {ip4(192, 0, 2, 0), 120}};
    policy.port_high = 0xffff;
    policy.permit = true;
    policy.id = 1;
    tables.policies->policies.push_back(policy);
    tables.interface(0, 1, {own}, 2000, 1);
    tables.interface(1, 2, {ip4(192, 0, 2, 254)}, 2000, 2);
    const uint32_t out = gateway_neighbour(tables, 0, ip4(203, 0, 113, 2), 1);
    const uint32_t in = gateway_neighbour(tables, 1, ip4(192, 0, 2, 1), 2);
    tables.route(own, 32, {NextHop::Kind::kLocal, 0});
    tables.route(ip4(198, 51, 100, 0), 24, {NextHop::Kind::kNeighbour, out});
    tables.route(ip4(192, 0, 2, 0), 24, {NextHop::Kind::kNeighbour, in});
    for (uint32_t t = 0; t < tunnels; ++t) add_tunnel(tables, t);
    tables.publish(gateway);
    learn(gateway, out, 1);
    learn(gateway, in, 2);
  }

  // Neighbours want interfaces that are published.
  uint32_t gateway_neighbour(Build& tables, uint16_t interface, const Address& address, uint8_t) {
    tables.interfaces->index_ports(gateway.ports());
    Tables parts;
    parts.interfaces = std::make_shared<InterfaceTable>(*tables.interfaces);
    gateway.publish(parts);
    return gateway.neighbour(interface, address);
  }

  Address client(uint32_t t, uint32_t host) const {
    return ip4(10, static_cast<uint8_t>(t >> 8), static_cast<uint8_t>(t), static_cast<uint8_t>(1 + host));
  }

  void add_tunnel(Build& tables, uint32_t t) {
    uint8_t keys[2][36];
    for (auto& key : keys) {
      for (uint8_t& byte : key) byte = static_cast<uint8_t>(random.next());
    }
    TrafficSelector selector;
    selector.local = ip4(0, 0, 0, 0);
    selector.local_length = 96;
    selector.remote = client(t, 255);
    selector.remote_length = 120;
    OutboundSaOptions out;
    out.spi = 0x10000 + t;
    out.key = keys[0];
    out.key_bytes = 36;
    out.source = peer;
    out.destination = own;
    out.node_id = 1;
    out.mtu = 1700;
    out.tunnel = t;
    peers.push_back(std::make_unique<OutboundSa>());
    std::string error = peers.back()->init(out);
    InboundSaOptions in;
    in.spi = out.spi;
    in.key = keys[0];
    in.key_bytes = 36;
    in.replay_window = 512;
    in.tunnel = t;
    in.selectors = {selector};
    const uint32_t in_index = gateway.add_inbound_sa(in, error);
    out.key = keys[1];
    out.source = own;
    out.destination = peer;
    out.selectors = {selector};
    const uint32_t out_index = gateway.add_outbound_sa(out, error);
    if (!error.empty()) std::fprintf(stderr, "path_bench: %s\n", error.c_str()), std::exit(1);
    tables.spis.push_back({own, in.spi, in_index, 1, 0});
    tables.route(client(t, 255), 24, {NextHop::Kind::kTunnel, out_index, 1, 0});
  }

  // Lays a batch at a port, each packet of a random tunnel and one of its ten flows; returns its inner bytes.
  uint64_t lay(bool inbound) {
    FrameCache& cache = plane.cache(0);
    FramePool& pool = plane.pool();
    BenchPort& port = inbound ? outside : inside;
    port.in.resize(kBatch);
    cache.allocate(port.in.data(), kBatch);
    uint64_t bytes = 0;
    SealItem items[kBurst];
    for (uint32_t i = 0; i < kBatch; i += kBurst) {
      for (uint32_t j = 0; j < kBurst; ++j) {
        const uint32_t t = static_cast<uint32_t>(random.next() % tunnels);
        const uint32_t host = static_cast<uint32_t>(random.next() % 10);
        const uint32_t length = sizes[packets_made++ % sizes.size()];
        bytes += length;
        const FrameIndex index = port.in[i + j];
        Frame& frame = pool.frame(index);
        frame.start = static_cast<uint16_t>(frame.start + 128);
        uint8_t* ip = pool.data(index);
        const Address far = ip4(192, 0, 2, 1);
        write_udp(ip, length, inbound ? client(t, host) : far, inbound ? far : client(t, host),
                  static_cast<uint16_t>(1000 + host));
        items[j] = {peers[t].get(), ip, length, DropReason::kNone, nullptr, 0, false};
      }
      if (inbound) esp_seal(items, kBurst, now);
      for (uint32_t j = 0; j < kBurst; ++j) {
        const FrameIndex index = port.in[i + j];
        Frame& frame = pool.frame(index);
        uint8_t* ip = inbound ? items[j].outer : items[j].packet;
        uint8_t* link = ip - ethernet::kHeaderBytes;
        const uint8_t to[6] = {2, 0, 0, 0, 0, static_cast<uint8_t>(inbound ? 1 : 2)};
        const uint8_t from[6] = {2, 0, 0, 0, 9, 1};
        ethernet::write(link, to, from, ethernet::kTypeIpv4);
        frame.start = static_cast<uint16_t>(link - pool.chunk(index));
        frame.length = static_cast<uint16_t>((inbound ? items[j].outer_length : items[j].length) + 14);
      }
    }
    return bytes;
  }

  // One pass; returns the bytes of its inner packets.
  uint64_t pass(bool inbound, Stopwatch& watch) {
    BenchPort& from = inbound ? outside : inside;
    BenchPort& to = inbound ? inside : outside;
    const uint64_t bytes = lay(inbound);
    now += 100'000;
    watch.start();
    while (!from.empty()) gateway.poll(0, now);
    watch.stop();
    require_all(*this, to.out.size());
    from.reset(plane.cache(0));
    to.reset(plane.cache(0));
    return bytes;
  }
};

// The cipher alone, on the same sizes and keys at random.
struct KernelBench {
  std::vector<std::unique_ptr<GcmKey>> keys;
  std::vector<uint8_t> memory = std::vector<uint8_t>(static_cast<size_t>(kBatch) * 2048);
  std::vector<uint16_t> sizes = imix();
  Random random;

  explicit KernelBench(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      uint8_t bytes[32];
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
      keys.push_back(std::make_unique<GcmKey>());
      gcm_init_key(*keys.back(), bytes, 32);
    }
  }
  void pass(bool open, Stopwatch& watch) {
    std::vector<GcmOp> ops(kBatch);
    static const uint8_t aad[8] = {};
    for (uint32_t i = 0; i < kBatch; ++i) {
      uint8_t* at = &memory[static_cast<size_t>(i) * 2048];
      const uint32_t length = (sizes[i % sizes.size()] + 2 + 3) & ~3u;
      ops[i] = {keys[random.next() % keys.size()].get(), at, at, length, 8, aad, {}, at + length};
    }
    if (open) gcm_seal(ops.data(), kBatch);
    watch.start();
    for (uint32_t i = 0; i < kBatch; i += kBurst) {
      if (open) {
        if (gcm_open(&ops[i], kBurst) != ~0ull) std::abort();
      } else {
        gcm_seal(&ops[i], kBurst);
      }
    }
    watch.stop();
  }
};

}  // namespace penstock::bench
