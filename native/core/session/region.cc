#include "region.h"

#include <sys/mman.h>

#include <new>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace penstock {

Region::Region(size_t bytes) {
  size_ = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  mapping_bytes_ = size_ + kHugePage;
  mapping_ = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  const size_t past = reinterpret_cast<uintptr_t>(mapping_) % kHugePage;
  data_ = static_cast<uint8_t*>(mapping_) + (past == 0 ? 0 : kHugePage - past);
  // Where the system gives huge pages to all, the worker must not meet one unprepared either.
  madvise(mapping_, mapping_bytes_, MADV_NOHUGEPAGE);
}

Region::~Region() {
  munmap(mapping_, mapping_bytes_);
}

bool Region::populate_pages(size_t first, size_t last) {
  uint8_t* from = data_ + first * kHugePage;
  const size_t bytes = (last - first) * kHugePage;
  madvise(from, bytes, MADV_HUGEPAGE);
  return madvise(from, bytes, MADV_POPULATE_WRITE) == 0;
}

void Region::populate_first(size_t bytes) {
  size_t pages = (bytes + kHugePage - 1) / kHugePage;
  if (pages * kHugePage > size_) pages = size_ / kHugePage;
  if (pages == 0) return;
  if (!populate_pages(0, pages)) {
    for (size_t offset = 0; offset < pages * kHugePage; offset += 4096) {
      *static_cast<volatile uint8_t*>(data_ + offset) = 0;
    }
  }
  populated_.store(pages, std::memory_order_relaxed);
}

size_t Region::populate_ahead(size_t used, size_t max_bytes) {
  if (used < kHugePage / 2) return 0;
  // Past the middle of its page the owner may enter the next one before that is in place.
  const size_t entering = used / kHugePage + (used % kHugePage >= kHugePage / 2 ? 2 : 1);
  size_t first = populated_.load(std::memory_order_relaxed);
  if (first < entering) first = entering;
  size_t last = (used + used / 8) / kHugePage + 3;
  if (last > size_ / kHugePage) last = size_ / kHugePage;
  if (last > first + max_bytes / kHugePage) last = first + max_bytes / kHugePage;
  if (last <= first) return 0;
  populated_.store(last, std::memory_order_relaxed);
  return populate_pages(first, last) ? (last - first) * kHugePage : 0;
}

}  // namespace penstock
