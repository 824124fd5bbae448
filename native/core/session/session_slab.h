// The records of one address family: hot and cold side by side in two regions, slots handed out from a list
// of freed ones, then from the top. One writer; peek() may run in another thread (see session_table.h).
#pragma once
#include <atomic>
#include <cstdint>

#include "region.h"
#include "session.h"

namespace penstock {

// A word that its one writer stores and other threads load: whole, and never torn.
template <typename T>
inline void publish(T& word, T value) {
  __atomic_store_n(&word, value, __ATOMIC_RELAXED);
}
// Acquire, so that a generation read afterwards is not older than what was read before.
template <typename T>
inline T observe(const T& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

template <unsigned kWords>
class SessionSlab {
 public:
  using Hot = SessionHot<kWords>;
  static constexpr uint32_t kNoSlot = 0xffffffff;
  static constexpr size_t kRecordBytes = sizeof(Hot) + sizeof(SessionCold);

  explicit SessionSlab(uint32_t capacity)
      : capacity_(capacity),
        hot_region_(sizeof(Hot) * size_t{capacity}),
        cold_region_(sizeof(SessionCold) * size_t{capacity}) {
    hot_ = reinterpret_cast<Hot*>(hot_region_.data());
    cold_ = reinterpret_cast<SessionCold*>(cold_region_.data());
  }

  Hot& hot(uint32_t slot) { return hot_[slot]; }
  const Hot& hot(uint32_t slot) const { return hot_[slot]; }
  SessionCold& cold(uint32_t slot) { return cold_[slot]; }
  const SessionCold& cold(uint32_t slot) const { return cold_[slot]; }

  // kNoSlot when all are taken. The slot's generation stays even until open().
  uint32_t allocate() {
    if (free_ != kNoSlot) {
      const uint32_t slot = free_;
      free_ = cold_[slot].timer.next;
      return slot;
    }
    const uint32_t slot = top_.load(std::memory_order_relaxed);
    if (slot == capacity_) return kNoSlot;
    top_.store(slot + 1, std::memory_order_release);
    return slot;
  }
  // A slot that was allocated but never opened.
  void give_back(uint32_t slot) {
    cold_[slot].timer.next = free_;
    free_ = slot;
  }
  // The record is complete: from now on it resolves.
  uint32_t open(uint32_t slot) {
    uint32_t& generation = hot_[slot].state.generation;
    const uint32_t next = generation + 1;
    __atomic_store_n(&generation, next, __ATOMIC_RELEASE);
    return next;
  }
  // From now on no handle resolves, and the slot may be used again. The exchange keeps later stores of the
  // next session after it, so a reader that sees one of them sees the generation change too.
  void close(uint32_t slot) {
    uint32_t& generation = hot_[slot].state.generation;
    __atomic_exchange_n(&generation, generation + 1, __ATOMIC_ACQ_REL);
    give_back(slot);
  }

  bool live(uint32_t slot, uint32_t generation) const {
    return slot < top_.load(std::memory_order_relaxed) && hot_[slot].state.generation == generation;
  }

  uint32_t top() const { return top_.load(std::memory_order_acquire); }
  uint32_t capacity() const { return capacity_; }
  size_t used_bytes() const { return size_t{top()} * kRecordBytes; }

  void populate_first(uint32_t sessions) {
    hot_region_.populate_first(sizeof(Hot) * size_t{sessions});
    cold_region_.populate_first(sizeof(SessionCold) * size_t{sessions});
  }
  size_t populate_ahead(size_t max_bytes) {
    const size_t records = top();
    const size_t bytes = hot_region_.populate_ahead(records * sizeof(Hot), max_bytes);
    return bytes + cold_region_.populate_ahead(records * sizeof(SessionCold), max_bytes - bytes);
  }

 private:
  const uint32_t capacity_;
  Region hot_region_;
  Region cold_region_;
  Hot* hot_;
  SessionCold* cold_;
  uint32_t free_ = kNoSlot;
  std::atomic<uint32_t> top_{0};
};

}  // namespace penstock
