// Workers added while packets pass: none is lost, none comes twice, every flow's session goes on, in one
// place.
#include <thread>

#include "check.h"
#include "lab.h"
#include "node/flow_owners.h"

using namespace penstock;

namespace {

std::vector<Flow> flows(uint32_t count) {
  std::vector<Flow> all;
  for (uint32_t i = 0; i < count; ++i) {
    const auto port = static_cast<uint16_t>(1000 + i / 100);
    const auto host = static_cast<uint8_t>(1 + i % 100);
    if (i % 2 == 1) {
      all.push_back({ip6(1, host), ip6(2, 1), port, 53});
    } else {
      all.push_back({ip4(10, 1, 0, host), ip4(10, 2, 0, 1), port, 53});
    }
  }
  return all;
}

// client ── gateway with sessions ── server; the gateway alone has flows to share.
struct GrowLab : Lab {
  static constexpr uint32_t kFlows = 2000;
  Forwarder& gateway = forwarder("gateway");
  Host& client;
  Host& server;
  Build tables;

  GrowLab(uint32_t workers, uint32_t most)
      : Lab(workers, 2048, most),
        client(host("client", false, 1, 0x10, flows(kFlows))),
        server(host("server", true, 2, 0x11, flows(kFlows))) {
    wire(client, gateway);
    wire(gateway, server);
    tables.interface(0, 0x10, {ip4(10, 1, 0, 254), ip6(1, 0xfffe)});
    tables.interface(1, 0x11, {ip4(10, 2, 0, 254), ip6(2, 0xfffe)});
    tables.route(ip4(10, 1, 0, 0), 24, {NextHop::Kind::kConnected, 0});
    tables.route(ip4(10, 2, 0, 0), 24, {NextHop::Kind::kConnected, 1});
    tables.route(ip6(1, 0), 48, {NextHop::Kind::kConnected, 0});
    tables.route(ip6(2, 0), 48, {NextHop::Kind::kConnected, 1});
    tables.flow->sessions = true;
    tables.policies->default_permit = true;
    tables.publish(gateway);
  }
  uint64_t sent() const { return client.total(Counter::sent) + server.total(Counter::sent); }
  uint64_t delivered() const { return client.total(Counter::delivered) + server.total(Counter::delivered); }
  uint64_t mismatched() const {
    return client.total(Counter::mismatched) + server.total(Counter::mismatched);
  }
  uint32_t sessions() {
    uint32_t sum = 0;
    for (uint32_t w = 0; w < plane.workers(); ++w) sum += gateway.sessions(w).size();
    return sum;
  }
  // What every worker has of the sessions, and what all packets of theirs add up to.
  uint64_t packets(std::vector<uint32_t>& shares) {
    uint64_t sum = 0;
    for (uint32_t w = 0; w < plane.workers(); ++w) {
      shares.push_back(gateway.sessions(w).size());
      uint32_t cursor = 0;
      while (cursor != kNoSession) {
        SessionInfo page[64];
        const unsigned count = gateway.sessions(w).read(&cursor, page, 64, now);
        for (unsigned i = 0; i < count; ++i) sum += page[i].wings[0].packets + page[i].wings[1].packets;
      }
    }
    return sum;
  }
};

void check_even(const std::vector<uint32_t>& shares, uint32_t all) {
  for (const uint32_t share : shares) {
    CHECK(share * shares.size() > all * 3 / 4);
    CHECK(share * shares.size() < all * 5 / 4);
  }
}

void buckets_are_shared_evenly() {
  FlowOwners owners(1);
  uint32_t before = 1;
  for (const uint32_t workers : {2u, 3u, 4u, 7u, 64u}) {
    CHECK(owners.spread(workers));
    std::vector<uint32_t> count(workers);
    uint32_t moved = 0;
    for (uint32_t b = 0; b < FlowOwners::kBuckets; ++b) {
      const uint32_t wanted = owners.wanted(b);
      ++count[wanted];
      if (owners.owner(b) == wanted) continue;
      ++moved;
      CHECK(wanted >= before);  // nothing goes to one that was there
    }
    for (const uint32_t each : count) {
      CHECK(each >= FlowOwners::kBuckets / workers && each <= FlowOwners::kBuckets / workers + 1);
    }
    CHECK_EQ(
        moved, FlowOwners::kBuckets - [&] {
          uint32_t stay = 0;
          for (uint32_t w = 0; w < before; ++w) stay += count[w];
          return stay;
        }());
    CHECK(!owners.spread(workers));  // while anything moves
    for (uint32_t b = 0; b < FlowOwners::kBuckets; ++b) owners.take(b, owners.wanted(b));
    before = workers;
  }
}

void sessions_go_on(uint32_t workers, std::vector<uint32_t> steps) {
  GrowLab lab(workers, steps.back());
  lab.client.set_sending(true);
  lab.run(2500);
  const uint64_t drops = lab.drops();  // before the neighbours were known
  CHECK_EQ(lab.sessions(), GrowLab::kFlows);
  const uint64_t set_up = lab.gateway.total(Counter::sessions_created);
  for (const uint32_t more : steps) {
    CHECK_EQ(lab.plane.grow(more), std::string());
    lab.run(3);
    CHECK(!lab.plane.flows_moving());
    lab.plane.spread_flows();
    CHECK(lab.plane.flows_moving());
    for (uint32_t i = 0; i < 500 && lab.plane.flows_moving(); ++i) {
      lab.run(1);
      lab.plane.collect();
      CHECK(lab.sessions() <= GrowLab::kFlows);
    }
    CHECK(!lab.plane.flows_moving());
    lab.run(200);
  }
  lab.client.set_sending(false);
  lab.settle();
  CHECK_EQ(lab.mismatched(), 0u);
  CHECK_EQ(lab.drops(), drops);
  CHECK_EQ(lab.sent(), lab.delivered() + drops);
  CHECK_EQ(lab.gateway.total(Counter::sessions_created), set_up);
  CHECK_EQ(lab.gateway.total(Counter::sessions_closed), 0u);
  CHECK_EQ(lab.gateway.total(Counter::handed_over), lab.gateway.total(Counter::taken_over));
  CHECK(lab.gateway.total(Counter::flows_moved) > 0);
  std::vector<uint32_t> shares;
  // Each packet of a flow was counted in its session, wherever that was.
  CHECK_EQ(lab.packets(shares), lab.sent());
  check_even(shares, GrowLab::kFlows);
  CHECK_EQ(lab.plane.frames_in_use(), 0u);
  lab.now += 70'000'000'000;
  for (uint32_t i = 0; i < 100; ++i) lab.run(1);
  CHECK_EQ(lab.sessions(), 0u);
  CHECK_EQ(lab.gateway.total(Counter::sessions_expired), set_up);
}

void one_becomes_three() {
  sessions_go_on(1, {3});
}
void two_become_three_and_four() {
  sessions_go_on(2, {3, 4});
}

void what_cannot_be_is_refused() {
  GrowLab lab(1, 2);
  CHECK(lab.plane.grow(3).find("2 workers at most") != std::string::npos);
  CHECK_EQ(lab.plane.grow(2), std::string());
  CHECK(!lab.plane.grow(1).empty());
  CHECK_EQ(lab.plane.workers(), 2u);
}

// With threads, each at its own pace: what virtual time cannot show.
void threads_join_under_load() {
  GrowLab lab(1, 3);
  std::vector<std::thread> threads;
  const auto start = [&](uint32_t w) {
    threads.emplace_back([&lab, w] {
      while (lab.plane.poll_worker(w, 1'000'000)) {
      }
    });
  };
  const auto until = [&](auto condition) {
    for (uint32_t i = 0; i < 20'000 && !condition(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      lab.plane.collect();
    }
    CHECK(condition());
  };
  start(0);
  lab.client.set_sending(true);
  // Every neighbour is known, in both families, and nothing is dropped for want of one any more.
  until([&] { return lab.sessions() == GrowLab::kFlows && lab.client.total(Counter::delivered) > 20'000; });
  const uint64_t drops = lab.drops();
  const uint64_t set_up = lab.gateway.total(Counter::sessions_created);
  for (const uint32_t workers : {2u, 3u}) {
    const uint64_t before = lab.delivered();
    CHECK_EQ(lab.plane.grow(workers), std::string());
    start(workers - 1);
    until([&] { return lab.plane.turns(workers - 1) > 0; });
    lab.plane.spread_flows();
    until([&] { return !lab.plane.flows_moving() && lab.delivered() > before + 10'000; });
  }
  lab.client.set_sending(false);
  until([&] { return lab.plane.frames_in_use() == 0; });
  lab.plane.stop();
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(lab.mismatched(), 0u);
  CHECK_EQ(lab.drops(), drops);
  CHECK_EQ(lab.sent(), lab.delivered() + drops);
  CHECK_EQ(lab.gateway.total(Counter::sessions_created), set_up);
  CHECK_EQ(lab.sessions(), GrowLab::kFlows);
  std::vector<uint32_t> shares;
  lab.packets(shares);
  check_even(shares, GrowLab::kFlows);
}

}  // namespace

int main() {
  RUN(buckets_are_shared_evenly);
  RUN(one_becomes_three);
  RUN(two_become_three_and_four);
  RUN(what_cannot_be_is_refused);
  RUN(threads_join_under_load);
  FINISH();
}
