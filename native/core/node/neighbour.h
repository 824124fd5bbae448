// Neighbours of a node: addresses on its links and the MACs they answer with (ARP, RFC 826; neighbour
// discovery, RFC 4861). Shared by all workers without a lock: an entry's MAC and state are one atomic word,
// look-up and insertion work on atomic slots, and only worker 0 probes, ages and removes.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "route_table.h"

namespace penstock {

enum class NeighbourState : uint8_t {
  kFree,
  kIncomplete,  // asked for, not answered yet
  kReachable,
  kProbing,  // answered before, being asked again; its MAC is used meanwhile
  kFailed,   // did not answer; a pinned one goes on being asked
};

class NeighbourTable {
 public:
  explicit NeighbourTable(uint32_t limit);

  static constexpr uint32_t kNone = 0xffffffff;

  // Any thread. The neighbour's index, or kNone.
  uint32_t find(uint16_t interface, const Address& address) const;
  // Any thread. As find, made when it is new; kNone when the table is full.
  uint32_t find_or_insert(uint16_t interface, const Address& address);
  // Control thread: never aged out, and probed whether or not packets want it.
  void pin(uint32_t index) { entries_[index].pinned.store(true); }

  // The MAC to send to in the low 48 bits (first byte lowest), or false while there is none.
  bool mac(uint32_t index, uint64_t& mac) const {
    const uint64_t word = entries_[index].word.load(std::memory_order_acquire);
    mac = word >> 16;
    const NeighbourState state = static_cast<NeighbourState>(word & 0xff);
    return state == NeighbourState::kReachable || state == NeighbourState::kProbing;
  }
  NeighbourState state(uint32_t index) const {
    return static_cast<NeighbourState>(entries_[index].word.load(std::memory_order_acquire) & 0xff);
  }
  const Address& address(uint32_t index) const { return entries_[index].address; }
  uint16_t interface(uint32_t index) const { return entries_[index].interface; }
  // Grows whenever one answers that did not, ceases to, or goes. Any thread.
  uint32_t changes() const { return changes_.load(std::memory_order_acquire); }
  // Entries ever used: indices below this may be asked about.
  uint32_t size() const { return std::min(used_.load(std::memory_order_acquire), limit_); }

  // Any thread: it answered, or spoke to us, from this MAC.
  void learn(uint32_t index, const uint8_t* mac, uint64_t now);
  // Worker 0: the link is gone or the other end was heard to leave.
  void fail(uint32_t index);
  // Worker 0: somebody else may be at the other end of this link. All on it are asked anew, by everybody's
  // address.
  void ask_again(uint16_t interface);

  // Worker 0, every so often: ages entries; calls probe(index, mac or nullptr) for each to be asked now. With
  // a MAC it is asked directly, without one by broadcast or multicast.
  template <typename Probe>
  void tick(uint64_t now, Probe probe) {
    const uint32_t count = size();
    for (uint32_t i = 0; i < count; ++i) {
      const int due = age(i, now);
      uint64_t known;
      if (due == 1) probe(i, mac(i, known) ? &known : nullptr);
    }
  }

  // An entry is asked every kProbeIntervalNs, and has failed after kProbes unanswered questions; it is asked
  // again once it has not been heard from for kReachableNs (pinned) or kDynamicReachableNs.
  static constexpr uint64_t kProbeIntervalNs = 500'000'000;
  static constexpr uint32_t kProbes = 3;
  static constexpr uint64_t kReachableNs = 1'000'000'000;
  static constexpr uint64_t kDynamicReachableNs = 30'000'000'000;
  static constexpr uint64_t kForgetNs = 10'000'000'000;     // a failed one that is not pinned
  static constexpr uint64_t kQuarantineNs = 2'000'000'000;  // before its index means another address
  static constexpr uint64_t kTickNs = 100'000'000;

 private:
  struct Entry {
    std::atomic<uint64_t> word{0};  // MAC << 16 | state
    std::atomic<uint64_t> confirmed{0};
    Address address{};
    uint16_t interface = 0;
    std::atomic<bool> pinned{false};
    // worker 0's
    uint64_t asked = 0;
    uint64_t failed = 0;
    uint32_t questions = 0;
    uint32_t slot = 0;
    std::atomic<uint32_t> next_free{0};
  };
  static constexpr uint32_t kTombstone = 0xfffffffe;

  size_t home(uint16_t interface, const Address& address) const {
    return mix(address.high ^ interface, address.low) & mask_;
  }
  int age(uint32_t index, uint64_t now);
  void changed() { changes_.fetch_add(1, std::memory_order_release); }
  uint32_t take_free();
  void give_free(uint32_t index);

  const uint32_t limit_;
  size_t mask_;
  std::unique_ptr<Entry[]> entries_;
  std::unique_ptr<std::atomic<uint32_t>[]> slots_;  // index + 1; 0: never used
  std::atomic<uint32_t> used_{0};
  std::atomic<uint32_t> changes_{0};
  std::atomic<uint64_t> free_{0};  // tag << 32 | index + 1
};

}  // namespace penstock
