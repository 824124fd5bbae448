#include "check.h"
#include "lab.h"

using namespace penstock;

namespace {

std::vector<Flow> flows(uint32_t count, bool v6_too = true) {
  std::vector<Flow> all;
  for (uint32_t i = 0; i < count; ++i) {
    const bool v6 = v6_too && i % 2 == 1;
    const auto low = static_cast<uint8_t>(1 + i % 200);
    all.push_back({v6 ? ip6(1, static_cast<uint16_t>(1 + i)) : ip4(10, 1, 0, low), v6 ? ip6(2, 1) : ip4(10, 2, 0, 1),
                   static_cast<uint16_t>(1000 + i), 53});
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
  uint64_t mismatched() const { return client.total(Counter::mismatched) + server.total(Counter::mismatched); }
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
  const uint32_t members[2] = {lab.router.neighbour(1, ip4(10, 2, 0, 11)), lab.router.neighbour(2, ip4(10, 2, 0, 12))};
  std::vector<uint16_t> slots(64);
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<uint16_t>(i % 2);
  const auto table = [&] {
    auto made = Table::make(slots.data(), 64, 2, FlowHasher(HashFunction::kXxh64, 7), 0);
    const auto deleter = made.get_deleter();
    return std::shared_ptr<const Table>(made.release(), [deleter](const Table* t) { deleter(const_cast<Table*>(t)); });
  };
  lab.tables.groups->groups.push_back({HashKey::kSourceIp, table(), {{members[0], 0}, {members[1], 1}}});
  lab.tables.route(ip4(10, 2, 0, 1), 32, {NextHop::Kind::kGroup, 0}, 1);
  FilterTable::Term to_group{{}, {{ip4(10, 2, 0, 1), 128}}, {17}, FilterTable::Action::kRoutingInstance, 1, 2};
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

}  // namespace

int main() {
  RUN(routes_match_longest_first);
  RUN(router_delivers_both_families);
  RUN(same_steps_same_counters);
  RUN(filter_sends_to_an_instance_and_group);
  RUN(shut_node_drops_what_it_holds);
  RUN(silent_neighbour_fails_and_comes_back);
  RUN(tables_that_name_nothing_are_refused);
  FINISH();
}
