#include "neighbour.h"

#include <algorithm>

namespace penstock {
namespace {

constexpr uint64_t word(uint64_t mac, NeighbourState state) {
  return mac << 16 | static_cast<uint64_t>(state);
}

bool answers(uint64_t word) {
  const NeighbourState state = static_cast<NeighbourState>(word & 0xff);
  return state == NeighbourState::kReachable || state == NeighbourState::kProbing;
}

}  // namespace

NeighbourTable::NeighbourTable(uint32_t limit) : limit_(limit), entries_(new Entry[limit]) {
  size_t size = 16;
  while (size < limit * 4ull) size *= 2;
  slots_.reset(new std::atomic<uint32_t>[size]());
  mask_ = size - 1;
}

uint32_t NeighbourTable::find(uint16_t interface, const Address& address) const {
  size_t at = home(interface, address);
  for (size_t probes = 0; probes <= mask_; ++probes, at = (at + 1) & mask_) {
    const uint32_t slot = slots_[at].load(std::memory_order_acquire);
    if (slot == 0) return kNone;
    if (slot == kTombstone) continue;
    const Entry& entry = entries_[slot - 1];
    if (entry.interface == interface && entry.address == address) return slot - 1;
  }
  return kNone;
}

uint32_t NeighbourTable::take_free() {
  uint64_t head = free_.load(std::memory_order_acquire);
  while (head & 0xffffffff) {
    const uint32_t index = static_cast<uint32_t>(head) - 1;
    const uint64_t next =
        ((head >> 32) + 1) << 32 | entries_[index].next_free.load(std::memory_order_relaxed);
    if (free_.compare_exchange_weak(head, next, std::memory_order_acq_rel)) return index;
  }
  uint32_t fresh = used_.load(std::memory_order_relaxed);
  while (fresh < limit_) {
    if (used_.compare_exchange_weak(fresh, fresh + 1, std::memory_order_acq_rel)) return fresh;
  }
  return kNone;
}

void NeighbourTable::give_free(uint32_t index) {
  uint64_t head = free_.load(std::memory_order_relaxed);
  do {
    entries_[index].next_free.store(static_cast<uint32_t>(head), std::memory_order_relaxed);
  } while (
      !free_.compare_exchange_weak(head, ((head >> 32) + 1) << 32 | (index + 1), std::memory_order_acq_rel));
}

uint32_t NeighbourTable::find_or_insert(uint16_t interface, const Address& address) {
  const uint32_t known = find(interface, address);
  if (known != kNone) return known;
  const uint32_t index = take_free();
  if (index == kNone) return kNone;
  Entry& entry = entries_[index];
  entry.interface = interface;
  entry.address = address;
  entry.pinned.store(false, std::memory_order_relaxed);
  entry.asked = entry.failed = entry.questions = 0;
  entry.confirmed.store(0, std::memory_order_relaxed);
  size_t at = home(interface, address);
  for (size_t probes = 0; probes <= mask_; ++probes, at = (at + 1) & mask_) {
    uint32_t slot = slots_[at].load(std::memory_order_acquire);
    if (slot != 0 && slot != kTombstone) {
      const Entry& other = entries_[slot - 1];
      if (other.interface == interface && other.address == address) {  // another worker was first
        give_free(index);
        return slot - 1;
      }
      continue;
    }
    entry.slot = static_cast<uint32_t>(at);
    if (slots_[at].compare_exchange_strong(slot, index + 1, std::memory_order_acq_rel)) {
      entry.word.store(word(0, NeighbourState::kIncomplete), std::memory_order_release);
      return index;
    }
    --probes;  // somebody took this slot: look at it again
    at = (at + mask_) & mask_;
  }
  give_free(index);
  return kNone;
}

void NeighbourTable::learn(uint32_t index, const uint8_t* mac, uint64_t now) {
  uint64_t bits = 0;
  for (int i = 5; i >= 0; --i) bits = bits << 8 | mac[i];
  Entry& entry = entries_[index];
  uint64_t old = entry.word.load(std::memory_order_acquire);
  do {  // one removed meanwhile stays removed
    if (static_cast<NeighbourState>(old & 0xff) == NeighbourState::kFree) return;
    entry.confirmed.store(now, std::memory_order_relaxed);
  } while (!entry.word.compare_exchange_weak(old, word(bits, NeighbourState::kReachable)));
  if (!answers(old)) changed();
}

void NeighbourTable::fail(uint32_t index) {
  entries_[index].word.store(word(0, NeighbourState::kFailed), std::memory_order_release);
  changed();
}

void NeighbourTable::ask_again(uint16_t interface) {
  for (uint32_t i = 0; i < size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.interface != interface) continue;
    uint64_t old = entry.word.load(std::memory_order_acquire);
    if (static_cast<NeighbourState>(old & 0xff) == NeighbourState::kFree) continue;
    const bool answered = answers(old);
    if (entry.word.compare_exchange_strong(old, word(0, NeighbourState::kIncomplete)) && answered) changed();
    entry.asked = entry.questions = 0;
  }
}

// 1 when the neighbour has to be asked now.
int NeighbourTable::age(uint32_t index, uint64_t now) {
  Entry& entry = entries_[index];
  uint64_t old = entry.word.load(std::memory_order_acquire);
  const NeighbourState state = static_cast<NeighbourState>(old & 0xff);
  const bool pinned = entry.pinned.load(std::memory_order_relaxed);
  if (state == NeighbourState::kFree) {
    if (entry.failed != 0 && now - entry.failed >= kQuarantineNs) {
      entry.failed = 0;
      give_free(index);
    }
    return 0;
  }
  if (state == NeighbourState::kReachable) {
    const uint64_t confirmed = entry.confirmed.load(std::memory_order_relaxed);
    if (now < confirmed + (pinned ? kReachableNs : kDynamicReachableNs)) return 0;
    // A late answer may have come between: then the word has changed and stays.
    entry.word.compare_exchange_strong(old, word(old >> 16, NeighbourState::kProbing));
    entry.questions = 0;
    entry.asked = 0;
  }
  if (entry.asked != 0 && now - entry.asked < kProbeIntervalNs) return 0;
  if (state == NeighbourState::kFailed && !pinned) {
    if (now - entry.failed >= kForgetNs) {
      uint32_t own = index + 1;
      slots_[entry.slot].compare_exchange_strong(own, kTombstone);
      entry.failed = now;
      entry.word.store(word(0, NeighbourState::kFree), std::memory_order_release);
      changed();
    }
    return 0;
  }
  if (state != NeighbourState::kFailed && entry.questions >= kProbes) {
    old = entry.word.load(std::memory_order_acquire);
    const NeighbourState now_state = static_cast<NeighbourState>(old & 0xff);
    if (now_state != NeighbourState::kReachable &&
        entry.word.compare_exchange_strong(old, word(0, NeighbourState::kFailed))) {
      entry.failed = now;
      changed();
    }
    entry.questions = 0;
  }
  entry.asked = now;
  ++entry.questions;
  return 1;
}

}  // namespace penstock
