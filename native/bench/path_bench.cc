// Whole paths, memory to memory, on the core's own loop and one worker:
//
//   path_bench [--rounds N] [--passes N] [--only TEXT]
//
//   esp.inbound.imix, esp.outbound.imix   a gateway with 1,000 tunnels, AES-256-GCM, sessions, policies,
//   selectors;
//                                         peer "kernel": the cipher alone on the same sizes, in the same
//                                         round
//   esp.inbound.imix.tunnels-10000, …     growth with tunnels
//   router.v4.64, router.v6.64            filter-based forwarding, consistent hash over 256 members, 1 M
//   flows scale.N                               1, 2, 4 gateways behind the router at one offered load
//
// Packets are made, and sealed where they must be, before the clock starts: 2,048 frames at a time, more than
// the L2 cache holds, as a card would have put them into memory. What is timed is the nodes' turns until all
// have left. A round is the median of its passes. One JSON object a line.
#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../test/lab.h"
#include "chash/build.h"
#include "esp/esp_seal.h"
#include "packet/parse.h"

namespace penstock::bench {
namespace {

constexpr uint32_t kBatch = 2048;
constexpr uint16_t kImix[] = {64, 127, 255, 511, 1024, 1518};
constexpr unsigned kImixWeights[] = {8, 36, 11, 4, 2, 39};

struct Arguments {
  unsigned rounds = 7;
  unsigned passes = 25;
  std::string only;
} arguments;

double ticks_per_second() {
  timespec a;
  timespec b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  const uint64_t start = __rdtsc();
  double elapsed = 0;
  while (elapsed < 0.05) {
    clock_gettime(CLOCK_MONOTONIC, &b);
    elapsed = static_cast<double>(b.tv_sec - a.tv_sec) + static_cast<double>(b.tv_nsec - a.tv_nsec) * 1e-9;
  }
  return static_cast<double>(__rdtsc() - start) / elapsed;
}

struct Random {
  uint64_t state = 1;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
  }
};

// A hundred sizes in a fixed shuffled order.
std::vector<uint16_t> imix() {
  std::vector<uint16_t> sizes;
  for (unsigned i = 0; i < 6; ++i) sizes.insert(sizes.end(), kImixWeights[i], kImix[i]);
  Random random;
  for (size_t i = sizes.size() - 1; i > 0; --i) std::swap(sizes[i], sizes[random.next() % (i + 1)]);
  return sizes;
}

// Gives what was laid in, takes what leaves.
class BenchPort : public Port {
 public:
  uint32_t receive(FrameCache&, uint64_t now, FrameIndex* frames, uint32_t count) override {
    const uint32_t give = std::min<uint32_t>(count, static_cast<uint32_t>(in.size() - given));
    for (uint32_t i = 0; i < give; ++i) {
      frames[i] = in[given + i];
      pool->frame(frames[i]).received = now;
    }
    given += give;
    return give;
  }
  uint32_t transmit(FrameCache&, const FrameIndex* frames, uint32_t count) override {
    out.insert(out.end(), frames, frames + count);
    return count;
  }
  bool empty() const { return given == in.size(); }
  void reset(FrameCache& cache) {
    cache.free(out.data(), static_cast<uint32_t>(out.size()));
    in.clear();
    out.clear();
    given = 0;
  }

  FramePool* pool = nullptr;
  std::vector<FrameIndex> in;
  std::vector<FrameIndex> out;
  size_t given = 0;
};

BenchPort& add_bench_port(Lab& lab, Node& node) {
  auto port = std::make_unique<BenchPort>();
  port->pool = &lab.plane.pool();
  port->in.reserve(kBatch);
  port->out.reserve(kBatch);
  BenchPort& made = *port;
  std::vector<std::unique_ptr<Port>> ports;
  ports.push_back(std::move(port));
  node.add_port(std::move(ports));
  return made;
}

void learn(Forwarder& node, uint32_t neighbour, uint8_t last) {
  const uint8_t mac[6] = {2, 0, 0, 0, 9, last};
  node.neighbours().learn(neighbour, mac, ~0ull >> 2);
}

// An inner UDP packet at `ip`.
void write_udp(uint8_t* ip, uint32_t length, const Address& from, const Address& to, uint16_t source_port) {
  std::memset(ip, 0, 48);
  uint8_t* udp;
  if (from.is_v4()) {
    ipv4::write(ip, {.total_length = length, .protocol = protocol::kUdp}, from.v4_bytes(), to.v4_bytes());
    udp = ip + ipv4::kHeaderBytes;
  } else {
    ipv6::write(ip, {.payload_length = length - ipv6::kHeaderBytes, .next_header = protocol::kUdp},
                from.bytes(), to.bytes());
    udp = ip + ipv6::kHeaderBytes;
  }
  udp::write(udp, source_port, 53, length - static_cast<uint32_t>(udp - ip));
}

struct Series {
  std::vector<double> ours;
  std::vector<double> cycles;
  std::vector<double> kernel;
  std::vector<double> shares;  // scale: of each gateway
};

std::shared_ptr<const Table> shared(Table::Pointer table) {
  const auto deleter = table.get_deleter();
  return {table.release(), [deleter](const Table* made) { deleter(const_cast<Table*>(made)); }};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void print_list(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\":[", name);
  for (size_t i = 0; i < values.size(); ++i) std::printf("%s%.4f", i ? "," : "", values[i]);
  std::printf("]");
}

void print(const std::string& id, const char* unit, const Series& series) {
  std::printf("{\"id\":\"%s\",\"unit\":\"%s\",", id.c_str(), unit);
  print_list("ours", series.ours);
  std::printf(",\"peers\":{");
  if (!series.kernel.empty()) print_list("kernel", series.kernel);
  std::printf("},");
  print_list("cyclesPerPacket", series.cycles);
  if (!series.shares.empty()) {
    std::printf(",");
    print_list("shares", series.shares);
  }
  std::printf("}\n");
  std::fflush(stdout);
}

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

  // One pass: ticks for the batch.
  uint64_t pass(bool inbound, uint64_t& bytes) {
    BenchPort& from = inbound ? outside : inside;
    BenchPort& to = inbound ? inside : outside;
    bytes = lay(inbound);
    now += 100'000;
    const uint64_t start = __rdtsc();
    while (!from.empty()) gateway.poll(0, now);
    const uint64_t ticks = __rdtsc() - start;
    if (to.out.size() != kBatch) {
      std::fprintf(stderr, "path_bench: %zu of %u packets came through\n", to.out.size(), kBatch);
      print_drops();
      std::exit(1);
    }
    from.reset(plane.cache(0));
    to.reset(plane.cache(0));
    return ticks;
  }
};

// The cipher alone, on the same sizes and keys at random: ticks for a batch.
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
  uint64_t pass(bool open) {
    std::vector<GcmOp> ops(kBatch);
    static const uint8_t aad[8] = {};
    for (uint32_t i = 0; i < kBatch; ++i) {
      uint8_t* at = &memory[static_cast<size_t>(i) * 2048];
      const uint32_t length = (sizes[i % sizes.size()] + 2 + 3) & ~3u;
      ops[i] = {keys[random.next() % keys.size()].get(), at, at, length, 8, aad, {}, at + length};
    }
    if (open) gcm_seal(ops.data(), kBatch);
    const uint64_t start = __rdtsc();
    for (uint32_t i = 0; i < kBatch; i += kBurst) {
      if (open) {
        if (gcm_open(&ops[i], kBurst) != ~0ull) std::abort();
      } else {
        gcm_seal(&ops[i], kBurst);
      }
    }
    return __rdtsc() - start;
  }
};

void esp(const std::string& id, bool inbound, uint32_t tunnels, double frequency) {
  GatewayBench bench(tunnels);
  KernelBench kernel(tunnels);
  Series series;
  for (unsigned round = 0; round <= arguments.rounds; ++round) {
    std::vector<double> rates;
    std::vector<double> cycles;
    std::vector<double> kernel_rates;
    for (unsigned i = 0; i < arguments.passes; ++i) {
      uint64_t bytes;
      const auto ticks = static_cast<double>(bench.pass(inbound, bytes));
      rates.push_back(static_cast<double>(bytes) * 8 * frequency / ticks / 1e9);
      cycles.push_back(ticks / kBatch);
      kernel_rates.push_back(static_cast<double>(bytes) * 8 * frequency /
                             static_cast<double>(kernel.pass(inbound)) / 1e9);
    }
    if (round == 0) continue;  // warm-up: sessions are set up
    series.ours.push_back(median(rates));
    series.cycles.push_back(median(cycles));
    series.kernel.push_back(median(kernel_rates));
  }
  print(id, "Gbit/s", series);
}

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

  uint64_t pass() {
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
    const uint64_t start = __rdtsc();
    while (!uplink.empty()) router.poll(0, now);
    const uint64_t ticks = __rdtsc() - start;
    if (members.out.size() != kBatch) {
      std::fprintf(stderr, "path_bench: %zu of %u packets came through\n", members.out.size(), kBatch);
      print_drops();
      std::exit(1);
    }
    uplink.reset(cache);
    members.reset(cache);
    return ticks;
  }
};

void router(const std::string& id, bool v6, double frequency) {
  RouterBench bench(v6);
  Series series;
  for (unsigned round = 0; round <= arguments.rounds; ++round) {
    std::vector<double> nanoseconds;
    std::vector<double> cycles;
    for (unsigned i = 0; i < arguments.passes * 4; ++i) {
      const auto ticks = static_cast<double>(bench.pass());
      nanoseconds.push_back(ticks / kBatch / frequency * 1e9);
      cycles.push_back(ticks / kBatch);
    }
    if (round == 0) continue;
    series.ours.push_back(median(nanoseconds));
    series.cycles.push_back(median(cycles));
  }
  print(id, "ns/packet", series);
}

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

  uint64_t pass() {
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
    const uint64_t start = __rdtsc();
    size_t through = 0;
    for (unsigned turns = 0; through < kBatch && turns < 1000; ++turns) {
      router.poll(0, now);
      through = 0;
      for (size_t g = 0; g < gateways.size(); ++g) {
        gateways[g]->poll(0, now);
        through += insides[g]->out.size();
      }
    }
    const uint64_t ticks = __rdtsc() - start;
    if (through != kBatch) {
      std::fprintf(stderr, "path_bench: %zu of %u packets came through\n", through, kBatch);
      print_drops();
      std::exit(1);
    }
    uplink.reset(cache);
    for (BenchPort* inside : insides) inside->reset(cache);
    return ticks;
  }
};

void scale(uint32_t count, double frequency) {
  ScaleBench bench(count);
  Series series;
  for (unsigned round = 0; round <= arguments.rounds; ++round) {
    std::vector<double> rates;
    std::vector<double> cycles;
    for (unsigned i = 0; i < arguments.passes; ++i) {
      const auto ticks = static_cast<double>(bench.pass());
      rates.push_back(kBatch * frequency / ticks / 1e6);
      cycles.push_back(ticks / kBatch);
    }
    if (round == 0) continue;
    series.ours.push_back(median(rates));
    series.cycles.push_back(median(cycles));
  }
  uint64_t all = 0;
  for (const Forwarder* gateway : bench.gateways) all += gateway->total(Counter::esp_opened);
  for (const Forwarder* gateway : bench.gateways) {
    series.shares.push_back(static_cast<double>(gateway->total(Counter::esp_opened)) /
                            static_cast<double>(all));
  }
  print("scale." + std::to_string(count), "Mpps", series);
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  using namespace penstock::bench;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--rounds") arguments.rounds = static_cast<unsigned>(std::atoi(argv[i + 1]));
    if (name == "--passes") arguments.passes = static_cast<unsigned>(std::atoi(argv[i + 1]));
    if (name == "--only") arguments.only = argv[i + 1];
  }
  const double frequency = ticks_per_second();
  std::printf("{\"environment\":{\"tscHz\":%.0f,\"kernel\":\"%s\",\"batch\":%u}}\n", frequency,
              penstock::gcm_kernel(), kBatch);
  const auto wanted = [](const std::string& id) { return id.find(arguments.only) != std::string::npos; };
  if (wanted("esp.inbound.imix")) esp("esp.inbound.imix", true, 1000, frequency);
  if (wanted("esp.outbound.imix")) esp("esp.outbound.imix", false, 1000, frequency);
  for (const uint32_t tunnels : {1u, 100u, 10000u}) {
    const std::string suffix = ".tunnels-" + std::to_string(tunnels);
    if (wanted("esp.inbound.imix" + suffix)) esp("esp.inbound.imix" + suffix, true, tunnels, frequency);
    if (wanted("esp.outbound.imix" + suffix)) esp("esp.outbound.imix" + suffix, false, tunnels, frequency);
  }
  if (wanted("router.v4.64")) router("router.v4.64", false, frequency);
  if (wanted("router.v6.64")) router("router.v6.64", true, frequency);
  for (const uint32_t gateways : {1u, 2u, 4u}) {
    if (wanted("scale." + std::to_string(gateways))) scale(gateways, frequency);
  }
  return 0;
}
