// A link of memory between two ends: a wire that takes its time and loses, doubles, holds back or spoils
// packets as it was told, by a seeded sequence of its own, so that the same seed is the same link.
//
//   transmit: cut? lost? spoilt? ── rate ── delay, jitter ──▶ queue in order of arrival ──▶ receive, once due
//                         doubled ──────────────────────────▶
//
// Each direction and worker has a queue of its own, used by that worker's thread alone; settings may be
// changed by any thread. Bounded: what does not fit stays the sender's, who drops it as wire_full. What a
// link loses it frees and counts as link_lost, in the sender's counters (control packets: as unsent).
#pragma once
#include <atomic>
#include <memory>
#include <unordered_set>
#include <vector>

#include "port.h"

namespace penstock {

// Of one direction. Parts are in a million.
struct LinkQuality {
  uint64_t bits_per_second = 0;  // 0: no limit
  uint64_t delay = 0;            // ns
  uint64_t jitter = 0;           // ns at most, more than the delay; order is kept
  uint64_t held_back = 0;        // ns that a packet which others overtake comes later
  uint32_t loss = 0;
  uint32_t duplicate = 0;
  uint32_t reorder = 0;
  uint32_t corrupt = 0;  // one bit of the packet is turned
  uint32_t replay = 0;   // an earlier ESP packet comes once more, behind this one
};

// Every IV that was sent under an SA (its SPI and destination), as a witness sees it who knows nothing of how
// IVs are made. One thread.
struct NonceLog {
  std::unordered_set<uint64_t> nonces;
  uint64_t seen = 0;
  uint64_t repeated = 0;
};

class Link {
 public:
  // What links of a plane share, by worker; it outlives their ports.
  struct Surroundings {
    std::vector<const uint64_t*> clocks;  // what time it is when a port is used
    std::vector<uint64_t*> digests;       // changed by everything that arrives
    std::vector<NonceLog*> nonces;
  };

  // capacity: frames for each direction and worker.
  Link(uint32_t capacity, Surroundings surroundings, uint64_t seed, uint32_t number);

  // A port that is one end (side 0 or 1) for one worker, made anew when another node takes the end over.
  static std::unique_ptr<Port> end(std::shared_ptr<Link> link, uint32_t side, uint32_t worker);

  // Any thread. from: the side that sends.
  void set_quality(uint32_t from, const LinkQuality& quality);
  // Nothing of this side's arrives any more, and nobody is told.
  void set_cut(uint32_t from, bool cut) { ways_[from].cut.store(cut, std::memory_order_release); }
  // This side's ESP packets are sealed by its node: their IVs are written down.
  void set_witness(uint32_t from, bool witness) {
    ways_[from].witness.store(witness, std::memory_order_release);
  }
  // Both ends see that it is down.
  void set_open(bool open) { open_.store(open, std::memory_order_release); }
  bool open() const { return open_.load(std::memory_order_acquire); }

  // Frames under way from this side, all workers added. Exact when the workers are idle.
  uint32_t held(uint32_t from) const;

 private:
  friend class LinkPort;
  struct Entry {
    uint64_t due;
    FrameIndex frame;
  };
  struct Queue {
    std::vector<Entry> entries;  // a ring, in order of due
    uint32_t head = 0;
    uint32_t count = 0;
    uint64_t free_from = 0;  // the sender's side of the link has sent all before
    uint64_t last_due = 0;   // of what keeps its order
    uint64_t random = 0;
    std::vector<std::vector<uint8_t>> recorded;  // ESP packets that may be replayed
    uint32_t next_record = 0;

    Entry& at(uint32_t n) { return entries[(head + n) % entries.size()]; }
    bool full() const { return count == entries.size(); }
    void insert(Entry entry);
  };
  struct Way {
    std::atomic<uint64_t> bits_per_second{0}, delay{0}, jitter{0}, held_back{0};
    std::atomic<uint32_t> loss{0}, duplicate{0}, reorder{0}, corrupt{0}, replay{0};
    std::atomic<bool> cut{false}, witness{false};
    std::vector<Queue> queues;  // by worker
  };

  const Surroundings around_;
  const uint32_t number_;
  Way ways_[2];
  std::atomic<bool> open_{true};
};

}  // namespace penstock
