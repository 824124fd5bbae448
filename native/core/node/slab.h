// Fixed slots addressed by index, made and retired by the control thread, used by workers. The memory is
// reserved at once and touched as slots are used, so an index never moves.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <vector>

namespace penstock {

template <typename T>
class Slab {
 public:
  explicit Slab(uint32_t limit) : limit_(limit), live_(limit, false) {
    mapped_ = mmap(nullptr, bytes() + kHugePage, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped_ == MAP_FAILED) throw std::bad_alloc();
    // From a huge page's start on: random SAs would miss the TLB several times each otherwise.
    auto* start = static_cast<uint8_t*>(mapped_);
    start += -reinterpret_cast<uintptr_t>(start) & (kHugePage - 1);
    slots_ = reinterpret_cast<T*>(start);
    madvise(slots_, bytes(), MADV_HUGEPAGE);
    madvise(slots_, bytes(), MADV_DONTDUMP);  // keys
  }
  ~Slab() {
    for (uint32_t i = 0; i < used_; ++i) {
      if (live_[i]) slots_[i].~T();
    }
    for (const Retired& entry : retired_) slots_[entry.index].~T();
    munmap(mapped_, bytes() + kHugePage);
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // A new object, or nullptr when every slot is taken.
  T* make(uint32_t& index) {
    if (!free_.empty()) {
      index = free_.back();
      free_.pop_back();
    } else if (used_ < limit_) {
      index = used_++;
    } else {
      return nullptr;
    }
    live_[index] = true;
    return new (&slots_[index]) T();
  }
  // One just made that nobody knows of.
  void unmake(uint32_t index) {
    slots_[index].~T();
    live_[index] = false;
    free_.push_back(index);
  }
  // Control thread: made, and not retired (which frames under way may still name).
  bool live(uint32_t index) const { return index < used_ && live_[index]; }
  T& operator[](uint32_t index) { return slots_[index]; }
  const T& operator[](uint32_t index) const { return slots_[index]; }

  // After the tables that name it were replaced, as version `version`.
  void retire(uint32_t index, uint64_t version) {
    if (!live(index)) return;
    live_[index] = false;
    retired_.push_back({index, version});
  }
  uint32_t room() const { return limit_ - used_ + static_cast<uint32_t>(free_.size()); }
  bool has_retired() const { return !retired_.empty(); }
  // Two versions on, every worker has finished a turn in which it took all that others had handed over before
  // (see Plane::collect), so no frame names the slot.
  void collect(uint64_t oldest) {
    size_t kept = 0;
    for (const Retired& entry : retired_) {
      if (oldest < entry.version + 2) {
        retired_[kept++] = entry;
        continue;
      }
      slots_[entry.index].~T();
      free_.push_back(entry.index);
    }
    retired_.resize(kept);
  }

 private:
  struct Retired {
    uint32_t index;
    uint64_t version;
  };
  static constexpr size_t kHugePage = size_t{2} << 20;
  // Whole huge pages
  size_t bytes() const { return (limit_ * sizeof(T) + kHugePage - 1) & ~(kHugePage - 1); }

  const uint32_t limit_;
  void* mapped_ = nullptr;
  T* slots_ = nullptr;
  uint32_t used_ = 0;
  std::vector<bool> live_;  // control thread's
  std::vector<uint32_t> free_;
  std::vector<Retired> retired_;
};

}  // namespace penstock
