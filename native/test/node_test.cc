#include "check.h"
#include "lab.h"
#include "packet/ethernet.h"
#include "packet/udp.h"

using namespace penstock;

namespace {

std::vector<Flow> flows(uint32_t count, bool v6_too = true) {
  std::vector<Flow> all;
  for (uint32_t i = 0; i < count; ++i) {
    const bool v6 = v6_too && i % 2 == 1;
    const auto low = static_cast<uint8_t>(1 + i % 200);
    all.push_back({v6 ? ip6(1, static_cast<uint16_t>(1 + i)) : ip4(10, 1, 0, low),
                   v6 ? ip6(2, 1) : ip4(10, 2, 0, 1), static_cast<uint16_t>(1000 + i), 53});
  }
  return all;
}

// client host ── router ── server host
struct RouterLab : Lab {
  Forwarder& router = forwarder("router");
  Host& client;
  Host& server;
  Build tables;

  explicit RouterLab(uint32_t workers = 1)
      : Lab(workers),
        client(host("client", false, 1, 0x10, flows(40))),
        server(host("server", true, 2, 0x11, flows(40))) {
    wire(client, router);
    wire(router, server);
    tables.interface(0, 0x10, {ip4(10, 1, 0, 254), ip6(1, 0xfffe)});
    tables.interface(1, 0x11, {ip4(10, 2, 0, 254), ip6(2, 0xfffe)});
    tables.route(ip4(10, 1, 0, 0), 24, {NextHop::Kind::kConnected, 0});
    tables.route(ip4(10, 2, 0, 0), 24, {NextHop::Kind::kConnected, 1});
    tables.route(ip6(1, 0), 48, {NextHop::Kind::kConnected, 0});
    tables.route(ip6(2, 0), 48, {NextHop::Kind::kConnected, 1});
    tables.publish(router);
  }
  void exchange(uint32_t turns) {
    client.set_sending(true);
    run(turns);
    client.set_sending(false);
    settle();
  }
  uint64_t sent() const { return client.total(Counter::sent) + server.total(Counter::sent); }
  uint64_t delivered() const { return client.total(Counter::delivered) + server.total(Counter::delivered); }
  uint64_t mismatched() const {
    return client.total(Counter::mismatched) + server.total(Counter::mismatched);
  }
};

void router_delivers_both_families() {
  RouterLab lab;
  lab.exchange(200);
  CHECK(lab.sent() > 1000);
  CHECK_EQ(lab.mismatched(), 0u);
  CHECK_EQ(lab.sent(), lab.delivered() + lab.drops());
  CHECK_EQ(lab.plane.frames_in_use(), 0u);
  // The first packets wait for ARP and neighbour discovery, some in vain; after that none is lost.
  const uint64_t lost = lab.drops();
  CHECK_EQ(lab.router.total(Counter::neighbour_pending), lost);
  lab.exchange(100);
  CHECK_EQ(lab.drops(), lost);
}

void same_steps_same_counters() {
  RouterLab one;
  RouterLab two;
  one.exchange(50);
  two.exchange(50);
  for (unsigned c = 0; c < kCounterCount; ++c) {
    CHECK_EQ(one.router.total(static_cast<Counter>(c)), two.router.total(static_cast<Counter>(c)));
  }
}

void filter_sends_to_an_instance_and_group() {
  RouterLab lab;
  Host& second = lab.host("second", true, 3, 0x12, flows(40));
  lab.wire(lab.router, second);
  lab.tables.interface(2, 0x12, {ip4(10, 2, 0, 253), ip6(2, 0xfffd)});
  const uint32_t members[2] = {lab.router.neighbour(1, ip4(10, 2, 0, 11)),
                               lab.router.neighbour(2, ip4(10, 2, 0, 12))};
  std::vector<uint16_t> slots(64);
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<uint16_t>(i % 2);
  const auto table = [&] {
    auto made = Table::make(slots.data(), 64, 2, FlowHasher(HashFunction::kXxh64, 7), 0);
    const auto deleter = made.get_deleter();
    return std::shared_ptr<const Table>(made.release(),
                                        [deleter](const Table* t) { deleter(const_cast<Table*>(t)); });
  };
  lab.tables.groups->groups.push_back({HashKey::kSourceIp, table(), {{members[0], 0}, {members[1], 1}}});
  lab.tables.route(ip4(10, 2, 0, 1), 32, {NextHop::Kind::kGroup, 0}, 1);
  FilterTable::Term to_group{{}, {{ip4(10, 2, 0, 1), 128}}, {17}, FilterTable::Action::kRoutingInstance, 1,
                             2};
  lab.tables.filters->filters.push_back({{to_group}});
  lab.tables.interfaces->interfaces[0].filter_v4 = 0;
  lab.tables.publish(lab.router);
  lab.exchange(100);
  const uint64_t first_share = lab.router.statistic(0).packets;
  const uint64_t second_share = lab.router.statistic(1).packets;
  CHECK(first_share > 100);
  CHECK(second_share > 100);
  CHECK_EQ(lab.router.statistic(2).packets, first_share + second_share);
  CHECK(second.total(Counter::delivered) > 100);
  CHECK_EQ(lab.mismatched() + second.total(Counter::mismatched), 0u);

  // No member is up: dropped by name. Then a filter that discards.
  slots.assign(64, kNoMember);
  lab.tables.groups = std::make_shared<GroupTable>(*lab.tables.groups);
  lab.tables.groups->groups[0].table = table();
  lab.tables.publish(lab.router);
  lab.exchange(20);
  CHECK(lab.router.total(Counter::no_real_service) > 10);
  lab.tables.filters = std::make_shared<FilterTable>(*lab.tables.filters);
  lab.tables.filters->filters[0].terms[0].action = FilterTable::Action::kDiscard;
  lab.tables.publish(lab.router);
  lab.exchange(20);
  CHECK(lab.router.total(Counter::filter_discard) > 10);
}

void shut_node_drops_what_it_holds() {
  RouterLab lab;
  lab.exchange(100);
  const uint64_t before = lab.drops();
  lab.client.set_sending(true);
  lab.run(3);
  lab.router.set_running(false);
  lab.run(3);
  lab.client.set_sending(false);
  lab.settle();
  CHECK_EQ(lab.sent(), lab.delivered() + lab.drops());
  CHECK_EQ(lab.drops() - before, lab.router.total(Counter::port_closed));
  CHECK(lab.router.total(Counter::port_closed) > 0);
  lab.router.set_running(true);
  lab.exchange(50);
  CHECK_EQ(lab.sent(), lab.delivered() + lab.drops());
}

void silent_neighbour_fails_and_comes_back() {
  RouterLab lab;
  const uint32_t neighbour = lab.router.neighbour(1, ip4(10, 2, 0, 1));
  lab.run(500);
  CHECK(lab.router.neighbours().state(neighbour) == NeighbourState::kReachable);
  lab.server.set_running(false);
  lab.run(4000);
  CHECK(lab.router.neighbours().state(neighbour) == NeighbourState::kFailed);
  lab.exchange(20);
  CHECK(lab.router.total(Counter::no_neighbour) > 0);
  lab.server.set_running(true);
  lab.run(1000);
  CHECK(lab.router.neighbours().state(neighbour) == NeighbourState::kReachable);
}

void tables_that_name_nothing_are_refused() {
  RouterLab lab;
  lab.tables.route(ip4(10, 9, 0, 0), 16, {NextHop::Kind::kGroup, 3});
  bool refused = false;
  try {
    lab.tables.publish(lab.router);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused);
  lab.exchange(20);  // the tables before are still there
  CHECK(lab.delivered() > 0);
}

void routes_match_longest_first() {
  const RouteTable table({{ip4(10, 0, 0, 0), 0, 96 + 8, 1},
                          {ip4(10, 1, 0, 0), 0, 96 + 16, 2},
                          {ip4(10, 1, 2, 3), 0, 128, 3},
                          {ip4(0, 0, 0, 0), 0, 96, 4},
                          {ip4(10, 1, 0, 0), 1, 96 + 16, 5},
                          {ip6(0, 0), 0, 32, 6},
                          {ip6(7, 0), 0, 48, 7}});
  CHECK_EQ(table.find(0, ip4(10, 1, 2, 3)), 3u);
  CHECK_EQ(table.find(0, ip4(10, 1, 2, 4)), 2u);
  CHECK_EQ(table.find(0, ip4(10, 2, 2, 4)), 1u);
  CHECK_EQ(table.find(0, ip4(11, 2, 2, 4)), 4u);
  CHECK_EQ(table.find(1, ip4(10, 1, 2, 3)), 5u);
  CHECK_EQ(table.find(1, ip4(10, 2, 2, 3)), RouteTable::kNone);
  CHECK_EQ(table.find(0, ip6(7, 1)), 7u);
  CHECK_EQ(table.find(0, ip6(8, 1)), 6u);
}

// client host ── cgw ══ router ══ gw ── server host: a tunnel per client, half of them with IPv6 outside
struct TunnelLab : Lab {
  static constexpr uint32_t kTunnels = 8;
  Forwarder& cgw;
  Forwarder& router;
  Forwarder& gw;
  Host& client;
  Host& server;
  Build client_tables;
  Build router_tables;
  Build gateway_tables;

  static ForwarderOptions audited() {
    ForwarderOptions options;
    options.audited_keys = 2 * kTunnels;
    return options;
  }
  explicit TunnelLab(uint32_t workers = 1, bool anchors_differ = false)
      : Lab(workers),
        cgw(forwarder("cgw")),
        router(forwarder("router", audited())),
        gw(forwarder("gw")),
        client(host("client", false, 1, 0x10, flows(kTunnels * 4))),
        server(host("server", true, 2, 0x13, flows(kTunnels * 4))) {
    wire(client, cgw);
    wire(cgw, router);
    wire(router, gw);
    wire(gw, server);
    client_tables.flow->sessions = gateway_tables.flow->sessions = true;
    client_tables.policies->default_permit = gateway_tables.policies->default_permit = true;
    client_tables.interface(0, 0x10, {ip4(10, 1, 0, 254), ip6(1, 0xfffe)});
    client_tables.interface(1, 0x20, {ip4(10, 3, 0, 1), ip6(3, 1)}, 2000, 1);
    router_tables.interface(0, 0x21, {ip4(10, 3, 0, 254), ip6(3, 0xfffe)});
    router_tables.interface(1, 0x22, {ip4(10, 4, 0, 254), ip6(4, 0xfffe)});
    gateway_tables.interface(0, 0x23, {ip4(10, 4, 0, 1), ip6(4, 1)}, 2000, 1);
    gateway_tables.interface(1, 0x13, {ip4(10, 2, 0, 254), ip6(2, 0xfffe)});
    client_tables.route(ip4(10, 1, 0, 0), 24, {NextHop::Kind::kConnected, 0});
    client_tables.route(ip6(1, 0), 48, {NextHop::Kind::kConnected, 0});
    gateway_tables.route(ip4(10, 2, 0, 0), 24, {NextHop::Kind::kConnected, 1});
    gateway_tables.route(ip6(2, 0), 48, {NextHop::Kind::kConnected, 1});
    // Each client has a tunnel of its own to the one server: they are told apart by source.
    client_tables.route(ip4(10, 2, 0, 0), 24, {NextHop::Kind::kBySource, 9});
    client_tables.route(ip6(2, 0), 48, {NextHop::Kind::kBySource, 9});
    const uint32_t up4 = cgw.neighbour(1, ip4(10, 3, 0, 254));
    const uint32_t up6 = cgw.neighbour(1, ip6(3, 0xfffe));
    client_tables.route(ip4(10, 4, 0, 0), 24, {NextHop::Kind::kNeighbour, up4});
    client_tables.route(ip6(4, 0), 48, {NextHop::Kind::kNeighbour, up6});
    client_tables.route(ip4(10, 3, 0, 1), 32, {NextHop::Kind::kLocal, 0});
    client_tables.route(ip6(3, 1), 128, {NextHop::Kind::kLocal, 0});
    gateway_tables.route(ip4(10, 3, 0, 0), 24,
                         {NextHop::Kind::kNeighbour, gw.neighbour(0, ip4(10, 4, 0, 254))});
    gateway_tables.route(ip6(3, 0), 48, {NextHop::Kind::kNeighbour, gw.neighbour(0, ip6(4, 0xfffe))});
    gateway_tables.route(ip4(10, 4, 0, 1), 32, {NextHop::Kind::kLocal, 0});
    gateway_tables.route(ip6(4, 1), 128, {NextHop::Kind::kLocal, 0});
    router_tables.route(ip4(10, 3, 0, 0), 24, {NextHop::Kind::kConnected, 0});
    router_tables.route(ip6(3, 0), 48, {NextHop::Kind::kConnected, 0});
    router_tables.route(ip4(10, 4, 0, 0), 24, {NextHop::Kind::kConnected, 1});
    router_tables.route(ip6(4, 0), 48, {NextHop::Kind::kConnected, 1});
    auto audits = std::vector<SpiTable::Entry>();
    for (uint32_t t = 0; t < kTunnels; ++t) {
      const bool outside6 = t % 4 >= 2;  // with families inside alternating: all four combinations
      const Address own = outside6 ? ip6(3, 1) : ip4(10, 3, 0, 1);
      const Address peer = outside6 ? ip6(4, 1) : ip4(10, 4, 0, 1);
      const uint32_t anchor = t % workers;
      const uint32_t other_anchor = (anchor + (anchors_differ ? 1 : 0)) % workers;
      tunnel(cgw, client_tables, t, own, peer, 0x1000 + t, 0x2000 + t, other_anchor, 1, true);
      tunnel(gw, gateway_tables, t, peer, own, 0x2000 + t, 0x1000 + t, anchor, 2, false);
      audits.push_back({own, 0x1000 + t, 2 * t, 0, 0});
      audits.push_back({peer, 0x2000 + t, 2 * t + 1, 0, 0});
    }
    client_tables.publish(cgw);
    gateway_tables.publish(gw);
    router_tables.publish(router);
    Tables parts;
    parts.audits = std::make_shared<SpiTable>(SpiTable::build(audits));
    router.publish(parts);
  }

  // Flow i is of client i: odd ones IPv6. Tunnel t carries those with i ≡ t modulo kTunnels.
  void tunnel(Forwarder& node, Build& tables, uint32_t t, const Address& own, const Address& peer,
              uint32_t spi_in, uint32_t spi_out, uint32_t anchor, uint8_t node_id, bool is_client) {
    uint8_t keys[2][36];
    for (uint32_t i = 0; i < 36; ++i) {
      keys[0][i] = static_cast<uint8_t>(spi_in * 7 + i);
      keys[1][i] = static_cast<uint8_t>(spi_out * 7 + i);
    }
    std::string error;
    InboundSaOptions in;
    in.spi = spi_in;
    in.key = keys[0];
    in.key_bytes = 36;
    in.anchor = anchor;
    in.tunnel = t;
    in.replay_window = 512;
    const uint32_t in_index = node.add_inbound_sa(in, error);
    CHECK_EQ(error, std::string());
    OutboundSaOptions out;
    out.spi = spi_out;
    out.key = keys[1];
    out.key_bytes = 36;
    out.anchor = anchor;
    out.tunnel = t;
    out.source = own;
    out.destination = peer;
    out.node_id = node_id;
    out.mtu = 1700;
    const uint32_t out_index = node.add_outbound_sa(out, error);
    CHECK_EQ(error, std::string());
    tables.spis.push_back({own, spi_in, in_index, 1, 0});
    for (uint32_t i = t; i < kTunnels * 4; i += kTunnels) {
      const Flow flow = flows(kTunnels * 4)[i];
      const Address& inner = flow.source;
      tables.route(inner, inner.is_v4() ? 32 : 128, {NextHop::Kind::kTunnel, out_index, 1, 0},
                   is_client ? 9 : 0);
    }
  }
};

struct TunnelCounts {
  uint64_t sent, delivered, mismatched, drops;
};
TunnelCounts counts(const TunnelLab& lab) {
  return {lab.client.total(Counter::sent) + lab.server.total(Counter::sent),
          lab.client.total(Counter::delivered) + lab.server.total(Counter::delivered),
          lab.client.total(Counter::mismatched) + lab.server.total(Counter::mismatched), lab.drops()};
}
TunnelCounts exchange(TunnelLab& lab, uint32_t turns) {
  lab.client.set_sending(true);
  lab.run(turns);
  lab.client.set_sending(false);
  lab.settle();
  return counts(lab);
}

void tunnels_carry_all_four_combinations(uint32_t workers, bool anchors_differ) {
  TunnelLab lab(workers, anchors_differ);
  lab.run(500);
  exchange(lab, 100);  // neighbours are learned, sessions set up
  const uint64_t opened = lab.gw.total(Counter::esp_opened);
  const uint64_t sealed = lab.gw.total(Counter::esp_sealed);
  const uint64_t seen = lab.router.nonce_audit().seen;
  const TunnelCounts before = counts(lab);
  CHECK_EQ(before.sent, before.delivered + before.drops);
  const uint64_t requests = lab.server.total(Counter::delivered);
  const uint64_t answers = lab.client.total(Counter::delivered);
  const TunnelCounts after = exchange(lab, 300);
  if (after.drops != before.drops) lab.print_drops();
  CHECK(after.delivered > before.delivered + 1000);
  CHECK_EQ(after.mismatched, 0u);
  CHECK_EQ(after.drops, before.drops);
  CHECK_EQ(after.sent, after.delivered + after.drops);
  CHECK_EQ(lab.plane.frames_in_use(), 0u);
  CHECK_EQ(lab.gw.total(Counter::esp_opened) - opened, lab.server.total(Counter::delivered) - requests);
  CHECK_EQ(lab.gw.total(Counter::esp_sealed) - sealed, lab.client.total(Counter::delivered) - answers);
  CHECK_EQ(lab.gw.total(Counter::sessions_created), TunnelLab::kTunnels * 4u);
  CHECK_EQ(lab.cgw.total(Counter::sessions_created), TunnelLab::kTunnels * 4u);
  CHECK_EQ(lab.router.nonce_audit().seen - seen, after.delivered - before.delivered);
  CHECK_EQ(lab.router.nonce_audit().repeated, 0u);
  CHECK_EQ(lab.router.nonce_audit().unproven, 0u);
  if (anchors_differ) CHECK(lab.gw.total(Counter::handed_over) > 100);
  CHECK_EQ(lab.gw.total(Counter::handed_over), lab.gw.total(Counter::taken_over));
}
void tunnels_on_one_worker() {
  tunnels_carry_all_four_combinations(1, false);
}
void tunnels_on_two_workers_handed_over() {
  tunnels_carry_all_four_combinations(2, true);
}
void tunnels_on_three_workers_handed_over() {
  tunnels_carry_all_four_combinations(3, true);
}

// Fragments pass a gateway that keeps sessions: all of a datagram belong to one session without ports.
void fragments_pass_with_sessions() {
  Lab lab;
  Forwarder& gateway = lab.forwarder("gw");
  auto left = std::make_shared<MemoryWire>(64, 1);
  auto right = std::make_shared<MemoryWire>(64, 1);
  for (const auto& wire : {left, right}) {
    std::vector<std::unique_ptr<Port>> ports;
    ports.push_back(MemoryWire::end(wire, 0, 0));
    gateway.add_port(std::move(ports));
  }
  const auto client = MemoryWire::end(left, 1, 0);
  const auto server = MemoryWire::end(right, 1, 0);
  Build tables;
  tables.flow->sessions = true;
  PolicyTable::Policy udp{};
  udp.from_zone = udp.to_zone = PolicyTable::kAnyZone;
  udp.match.protocols = {17};
  udp.port_high = 0xffff;
  udp.permit = true;
  tables.policies->policies.push_back(udp);
  tables.interface(0, 1, {ip4(10, 1, 0, 254)});
  tables.interface(1, 2, {ip4(10, 2, 0, 254)});
  tables.interfaces->index_ports(2);
  Tables parts;
  parts.interfaces = std::make_shared<InterfaceTable>(*tables.interfaces);
  gateway.publish(parts);
  const uint32_t next = gateway.neighbour(1, ip4(10, 2, 0, 1));
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
  tables.route(ip4(10, 2, 0, 0), 24, {NextHop::Kind::kNeighbour, next});
  tables.publish(gateway);
  gateway.neighbours().learn(next, mac, ~0ull >> 2);
  FrameCache& cache = lab.plane.cache(0);
  for (const uint16_t fragment : {uint16_t{ipv4::kMoreFragments}, uint16_t{185}}) {
    FrameIndex index;
    CHECK_EQ(cache.allocate(&index, 1), 1u);
    uint8_t* packet = lab.plane.pool().data(index);
    const uint8_t to[6] = {2, 0, 0, 0, 0, 1};
    ethernet::write(packet, to, mac, ethernet::kTypeIpv4);
    std::memset(packet + 14, 0, 1500);
    ipv4::write(packet + 14, {.total_length = 1500, .fragment = fragment, .protocol = protocol::kUdp},
                ip4(10, 1, 0, 1).v4_bytes(), ip4(10, 2, 0, 1).v4_bytes());
    udp::write(packet + 34, 1000, 53, 1480);
    lab.plane.pool().frame(index).length = 1514;
    CHECK_EQ(client->transmit(cache, &index, 1), 1u);
  }
  lab.run(3);
  FrameIndex out[4];
  uint32_t arrived = 0;
  while (const uint32_t count = server->receive(cache, lab.now, out, 4)) {
    for (uint32_t i = 0; i < count; ++i) arrived += lab.plane.pool().frame(out[i]).length == 1514;
    cache.free(out, count);
  }
  if (arrived != 2) lab.print_drops();
  CHECK_EQ(arrived, 2u);
  CHECK_EQ(gateway.total(Counter::sessions_created), 1u);
}

void retired_sas_go_when_nobody_sees_them() {
  TunnelLab lab;
  lab.run(500);
  exchange(lab, 20);
  lab.gateway_tables.spis.clear();
  lab.gateway_tables.publish(lab.gw);
  for (uint32_t i = 0; i < TunnelLab::kTunnels; ++i) lab.gw.retire_inbound_sa(i);
  CHECK(lab.gw.inbound_sa(0) == nullptr);
  CHECK(lab.gw.collect(lab.plane.oldest_seen()));  // not yet: a worker might see them
  for (int i = 0; i < 4; ++i) {
    lab.run(1);
    lab.plane.collect();
  }
  CHECK(!lab.gw.collect(lab.plane.oldest_seen()));
  const TunnelCounts after = exchange(lab, 20);
  CHECK(lab.gw.total(Counter::no_sa) > 0);
  CHECK_EQ(after.sent, after.delivered + after.drops);
}

// Against a search through all entries: prefixes of all lengths, both families, three instances.
void routes_match_as_a_search_would() {
  uint64_t state = 7;
  const auto random = [&state] {
    state = mix(state, 0x9e3779b97f4a7c15ull) + 1;
    return state;
  };
  const auto address = [&](bool v4) {
    // Few bits differ, so that prefixes nest and addresses meet them.
    const uint64_t bits = random() & random() & random();
    return v4 ? ip4(10, static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8),
                    static_cast<uint8_t>(bits >> 16))
              : ip6(static_cast<uint16_t>(bits), static_cast<uint16_t>(bits >> 16));
  };
  std::vector<RouteTable::Entry> entries;
  for (uint32_t i = 0; i < 3000; ++i) {
    const bool v4 = random() % 2 == 0;
    const auto length = static_cast<uint8_t>(v4 ? 96 + random() % 33 : random() % 129);
    entries.push_back({address(v4), static_cast<uint16_t>(random() % 3), length, i});
  }
  const RouteTable table(entries);
  uint32_t found = 0;
  for (uint32_t i = 0; i < 20000; ++i) {
    const bool v4 = random() % 2 == 0;
    const Address ip = address(v4);
    const auto instance = static_cast<uint16_t>(random() % 4);
    uint32_t best = RouteTable::kNone;
    int best_length = -1;
    for (const auto& entry : entries) {
      const Address mask = prefix_mask(entry.length);
      const bool entry_v4 = entry.prefix.is_v4() && entry.length >= 96;
      if (entry.instance != instance || entry_v4 != v4 || entry.length < best_length ||
          ((ip.high ^ entry.prefix.high) & mask.high) != 0 || ((ip.low ^ entry.prefix.low) & mask.low) != 0) {
        continue;
      }
      best = entry.value;
      best_length = entry.length;
    }
    found += best != RouteTable::kNone;
    CHECK_EQ(table.find(instance, ip), best);
  }
  CHECK(found > 5000);
}

}  // namespace

int main() {
  RUN(routes_match_longest_first);
  RUN(routes_match_as_a_search_would);
  RUN(router_delivers_both_families);
  RUN(same_steps_same_counters);
  RUN(filter_sends_to_an_instance_and_group);
  RUN(shut_node_drops_what_it_holds);
  RUN(silent_neighbour_fails_and_comes_back);
  RUN(tables_that_name_nothing_are_refused);
  RUN(tunnels_on_one_worker);
  RUN(tunnels_on_two_workers_handed_over);
  RUN(tunnels_on_three_workers_handed_over);
  RUN(fragments_pass_with_sessions);
  RUN(retired_sas_go_when_nobody_sees_them);
  FINISH();
}
