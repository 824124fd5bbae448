// Counters and drop reasons, from counters.def: one array of 64-bit words per node and worker, written by
// that worker alone and read by anyone (relaxed atomics: a reader sees whole values, at most a burst old).
#pragma once
#include <cstdint>

namespace penstock {

enum class Counter : uint16_t {
#define COUNTER(name, unit, meaning) name,
#define DROP(name, words, meaning) name,
#include "../../counters.def"
  kCount
};

// A drop reason is the counter of its name; kNone says "not dropped".
enum class DropReason : uint16_t {
#define COUNTER(name, unit, meaning)
#define DROP(name, words, meaning) name = static_cast<uint16_t>(Counter::name),
#include "../../counters.def"
  kNone = 0xffff
};

constexpr unsigned kCounterCount = static_cast<unsigned>(Counter::kCount);

class alignas(64) Counters {
 public:
  void add(Counter counter, uint64_t amount = 1) { add(static_cast<unsigned>(counter), amount); }
  void add(DropReason reason, uint64_t amount = 1) { add(static_cast<unsigned>(reason), amount); }
  uint64_t get(Counter counter) const { return get(static_cast<unsigned>(counter)); }
  uint64_t get(DropReason reason) const { return get(static_cast<unsigned>(reason)); }

 private:
  // One writer: a load and a store, no locked addition.
  void add(unsigned at, uint64_t amount) {
    __atomic_store_n(&values_[at], get(at) + amount, __ATOMIC_RELAXED);
  }
  uint64_t get(unsigned at) const { return __atomic_load_n(&values_[at], __ATOMIC_RELAXED); }

  uint64_t values_[(kCounterCount + 7) / 8 * 8] = {};
};

}  // namespace penstock
