// Memory that grows without ever moving: address space for the most there may be is reserved at once, pages
// come when they are first touched. Nothing is rehashed, copied or remapped when a table grows.
//
// A fresh huge page costs about 90 µs, for the kernel clears 2 MiB, and the worker may not pause that long.
// So the worker by itself only ever takes 4 KiB pages (about 1 µs each), and populate(), called by another
// thread, puts huge pages in place ahead of it. Who does not call it loses speed, not correctness.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace penstock {

class Region {
 public:
  static constexpr size_t kHugePage = size_t{2} << 20;

  // bytes: the most that will ever be used; zero-filled. Throws std::bad_alloc.
  explicit Region(size_t bytes);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // Puts pages under the first `bytes` at once, in the calling thread; before the region is used.
  void populate_first(size_t bytes);

  // Puts huge pages under what lies ahead of `used` bytes: an eighth of them, at least two pages; nothing
  // while the region is small. Never touches the page the owner is about to enter, so the owner never waits
  // for it. One thread at a time, any thread; at most max_bytes. Returns the bytes populated.
  size_t populate_ahead(size_t used, size_t max_bytes);

 private:
  bool populate_pages(size_t first, size_t last);

  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  std::atomic<size_t> populated_{0};  // huge pages from the start that are in place, or were passed by
};

}  // namespace penstock
