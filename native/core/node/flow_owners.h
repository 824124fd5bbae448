// Which worker has the flows that no tunnel owns: by buckets, each of which is one worker's. Read by all
// workers at any time; moving.cc has how a bucket, with all that its worker knows of its flows, becomes
// another's.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "../packet/address.h"
#include "route_table.h"

namespace penstock {

class FlowOwners {
 public:
  static constexpr uint32_t kBuckets = 1024;  // steer.h has as many
  static constexpr uint32_t kNobody = 0xffffffff;

  explicit FlowOwners(uint32_t workers) {
    for (uint32_t b = 0; b < kBuckets; ++b) {
      owner_[b].store(static_cast<uint8_t>(b * workers / kBuckets), std::memory_order_relaxed);
      wanted_[b].store(owner_[b].load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
  }

  // The same for both directions; of an ICMP echo the identifier counts as both ports.
  static uint32_t bucket(const Address& from, const Address& to, uint8_t protocol, uint32_t both_ports) {
    return static_cast<uint32_t>(mix(from.low + to.low + both_ports, (from.high + to.high) ^ protocol) >> 54);
  }
  // Of all that one client has with virtual services.
  static uint32_t bucket(const Address& client) {
    return static_cast<uint32_t>(mix(client.low, client.high) >> 54);
  }

  // Any thread.
  uint32_t owner(uint32_t bucket) const { return owner_[bucket].load(std::memory_order_acquire); }
  uint32_t wanted(uint32_t bucket) const { return wanted_[bucket].load(std::memory_order_relaxed); }
  // How often buckets were given to others: owners look for those that they are to let go of.
  uint32_t round() const { return round_.load(std::memory_order_acquire); }
  bool moving() const {
    for (uint32_t b = 0; b < kBuckets; ++b) {
      if (owner(b) != wanted(b)) return true;
    }
    return false;
  }

  // Control thread, while nothing moves: equal shares, of which as few as may be move: from those with most
  // to those with least. False: something moves still.
  bool spread(uint32_t workers) {
    if (moving()) return false;
    std::array<uint32_t, 256> count{};
    for (uint32_t b = 0; b < kBuckets; ++b) ++count[wanted(b)];
    for (;;) {
      const auto least = std::min_element(count.begin(), count.begin() + workers);
      const auto most = std::max_element(count.begin(), count.begin() + workers);
      if (*most <= *least + 1) break;
      uint32_t b = kBuckets - 1;
      while (wanted(b) != most - count.begin()) --b;
      wanted_[b].store(static_cast<uint8_t>(least - count.begin()), std::memory_order_relaxed);
      --*most;
      ++*least;
    }
    round_.fetch_add(1, std::memory_order_release);
    return true;
  }

  // The worker that is to have it, once it knows all of its flows.
  void take(uint32_t bucket, uint32_t worker) {
    owner_[bucket].store(static_cast<uint8_t>(worker), std::memory_order_release);
  }

 private:
  std::array<std::atomic<uint8_t>, kBuckets> owner_;
  std::array<std::atomic<uint8_t>, kBuckets> wanted_;
  std::atomic<uint32_t> round_{0};
};

}  // namespace penstock
