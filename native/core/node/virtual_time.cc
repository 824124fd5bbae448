// Virtual time: all workers of a plane on one thread, and a clock that jumps.
//
//   1. poll_due: what was handed over and injected, then every node that has something to do, in id order
//   2. once none has: punts or an attention()? then it is the control thread's turn, at the same time
//   3. next_due: where the clock jumps
//
// A node without anything due is not polled: between two packets a thousand nodes cost a look at their ports.
#include <algorithm>
#include <stdexcept>

#include "node.h"
#include "plane.h"

namespace penstock {
namespace {

constexpr uint64_t kNotDue = ~0ull;
constexpr uint32_t kMostTurns = 1'000'000;  // at one time: more is a node that is never done
constexpr int64_t kMillion = 1'000'000;

}  // namespace

uint64_t Plane::Clock::local(uint64_t now) const {
  const int64_t gained_ns =
      gained == 0 ? 0 : static_cast<int64_t>(static_cast<__int128>(now - from) * gained / kMillion);
  return static_cast<uint64_t>(static_cast<int64_t>(now) + offset + gained_ns);
}

// At which the local clock shows this, or a little before.
uint64_t Plane::Clock::global(uint64_t local_time) const {
  if (local_time == kNotDue) return kNotDue;
  const int64_t passed = static_cast<int64_t>(local_time) - offset;
  if (gained == 0) return passed < 0 ? 0 : static_cast<uint64_t>(passed);
  const int64_t since = passed - static_cast<int64_t>(from);
  const int64_t at =
      static_cast<int64_t>(from) +
      static_cast<int64_t>(static_cast<__int128>(since) * kMillion / (kMillion + int64_t{gained}));
  return at < 0 ? 0 : static_cast<uint64_t>(at);
}

void Plane::set_clock(uint16_t node, uint64_t now, int64_t offset, int32_t gained) {
  Clock& clock = clocks_[node];
  clock.from = now;
  clock.offset = offset;
  clock.gained = gained;
}

// When a node has something to do; not after `now`: at once.
uint64_t Plane::due(uint16_t id, uint32_t w, uint64_t now) const {
  Node& node = *nodes_[id];
  if (node.how_running() == Node::Running::kFrozen) return kNotDue;
  const uint64_t own = node.next_deadline(w);
  if (own <= clocks_[id].local(now)) return now;
  uint64_t earliest = std::max(clocks_[id].global(own), now + 1);
  const size_t ports = node.heard_ports();
  for (uint16_t p = 0; p < ports; ++p) earliest = std::min(earliest, node.port(p, w).next_arrival());
  return earliest;
}

bool Plane::poll_due(uint32_t w, uint64_t now) {
  Worker& worker = *worker_[w];
  worker.now = now;
  worker.cache->reclaim();
  worker.seen.store(version_.load());
  bool any = take_handed_over(w, now);
  if (w == 0) any |= take_injects(now);
  for (uint16_t id = 0; id < nodes_.size(); ++id) {
    if (due(id, w, now) > now) continue;
    nodes_[id]->poll(w, clocks_[id].local(now));
    any = true;
  }
  return any;
}

uint64_t Plane::next_due(uint64_t now) const {
  uint64_t earliest = kNotDue;
  for (uint16_t id = 0; id < nodes_.size(); ++id) {
    for (uint32_t w = 0; w < workers(); ++w) earliest = std::min(earliest, due(id, w, now));
  }
  return earliest;
}

uint64_t Plane::advance(uint64_t now, uint64_t until) {
  for (;;) {
    bool any = true;
    for (uint32_t turns = 0; any; ++turns) {
      if (turns == kMostTurns) throw std::logic_error("advance: a node is never done");
      any = false;
      for (uint32_t w = 0; w < workers(); ++w) any |= poll_due(w, now);
    }
    if (has_punts() || wants_attention() || now >= until) break;
    now = std::min(until, next_due(now));
  }
  for (auto& worker : worker_) {
    worker->free_frames.store(worker->cache->all_available(), std::memory_order_relaxed);
    worker->seen.store(kOffline);
  }
  return now;
}

bool Plane::has_punts() const {
  return std::any_of(worker_.begin(), worker_.end(),
                     [](const auto& worker) { return worker->punts->size() > 0; });
}

bool Plane::wants_attention() const {
  for (size_t id = 0; id < nodes_.size(); ++id) {
    if (nodes_[id]->attention() != clocks_[id].seen) return true;
  }
  return false;
}

std::vector<uint16_t> Plane::take_attention() {
  std::vector<uint16_t> ids;
  for (size_t id = 0; id < nodes_.size(); ++id) {
    const uint32_t now = nodes_[id]->attention();
    if (now == clocks_[id].seen) continue;
    clocks_[id].seen = now;
    ids.push_back(static_cast<uint16_t>(id));
  }
  return ids;
}

}  // namespace penstock
