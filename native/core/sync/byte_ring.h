// Bytes between one producer thread and one consumer thread, whole records at a time: never blocks, and what
// does not fit is refused whole.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace penstock {

class ByteRing {
 public:
  // capacity: a power of two. The memory is touched as it is used.
  explicit ByteRing(size_t capacity) : mask_(capacity - 1), bytes_(new uint8_t[capacity]) {}

  // Producer.
  size_t room() const {
    return mask_ + 1 - (written_.load(std::memory_order_relaxed) - read_.load(std::memory_order_acquire));
  }
  bool write(const uint8_t* from, size_t length) {
    if (room() < length) return false;
    const size_t at = written_.load(std::memory_order_relaxed);
    copy_in(at, from, length);
    written_.store(at + length, std::memory_order_release);
    return true;
  }

  // Consumer: up to `most` bytes from `skip` bytes on, without taking them.
  size_t peek(uint8_t* to, size_t most, size_t skip = 0) const {
    const size_t at = read_.load(std::memory_order_relaxed) + skip;
    const size_t end = written_.load(std::memory_order_acquire);
    const size_t length = std::min(most, end - at);
    const size_t first = std::min(length, mask_ + 1 - (at & mask_));
    std::memcpy(to, &bytes_[at & mask_], first);
    std::memcpy(to + first, &bytes_[0], length - first);
    return length;
  }
  void take(size_t length) {
    read_.store(read_.load(std::memory_order_relaxed) + length, std::memory_order_release);
  }
  bool empty() const {
    return read_.load(std::memory_order_acquire) == written_.load(std::memory_order_acquire);
  }

 private:
  void copy_in(size_t at, const uint8_t* from, size_t length) {
    const size_t first = std::min(length, mask_ + 1 - (at & mask_));
    std::memcpy(&bytes_[at & mask_], from, first);
    std::memcpy(&bytes_[0], from + first, length - first);
  }

  const size_t mask_;
  const std::unique_ptr<uint8_t[]> bytes_;
  alignas(64) std::atomic<size_t> written_{0};
  alignas(64) std::atomic<size_t> read_{0};
};

}  // namespace penstock
