// A bounded ring of 32-bit values between one producer thread and one consumer thread. Never blocks: push
// takes what fits and says how many, pop gives what is there.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

namespace penstock {

class Ring {
 public:
  // capacity: a power of two
  explicit Ring(uint32_t capacity) : mask_(capacity - 1), slots_(new uint32_t[capacity]) {}

  uint32_t push(const uint32_t* values, uint32_t count) {
    const uint32_t tail = producer_.index.load(std::memory_order_relaxed);
    uint32_t room = mask_ + 1 - (tail - producer_.other);
    if (room < count) {
      producer_.other = consumer_.index.load(std::memory_order_acquire);
      room = mask_ + 1 - (tail - producer_.other);
      if (room < count) count = room;
    }
    for (uint32_t i = 0; i < count; ++i) slots_[(tail + i) & mask_] = values[i];
    producer_.index.store(tail + count, std::memory_order_release);
    return count;
  }

  uint32_t pop(uint32_t* values, uint32_t count) {
    const uint32_t head = consumer_.index.load(std::memory_order_relaxed);
    uint32_t there = consumer_.other - head;
    if (there < count) {
      consumer_.other = producer_.index.load(std::memory_order_acquire);
      there = consumer_.other - head;
      if (there < count) count = there;
    }
    for (uint32_t i = 0; i < count; ++i) values[i] = slots_[(head + i) & mask_];
    consumer_.index.store(head + count, std::memory_order_release);
    return count;
  }

  // Exact for the consumer; for others a moment old.
  uint32_t size() const {
    return producer_.index.load(std::memory_order_acquire) - consumer_.index.load(std::memory_order_acquire);
  }

 private:
  struct alignas(64) Side {
    std::atomic<uint32_t> index{0};
    uint32_t other = 0;  // the other side's index when last read: saves touching its cache line
  };
  const uint32_t mask_;
  const std::unique_ptr<uint32_t[]> slots_;
  Side producer_;
  Side consumer_;
};

}  // namespace penstock
