#include "frame.h"

#include <sys/mman.h>

#include <new>

namespace penstock {
namespace {

constexpr uint64_t kHugePage = 2u << 20;

// Zeroed memory from a huge page's start on: frames lie pages apart, and small pages would miss the TLB for
// each.
void* map(uint64_t bytes, void*& mapping) {
  mapping = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* memory = static_cast<uint8_t*>(mapping);
  memory += -reinterpret_cast<uintptr_t>(memory) & (kHugePage - 1);
  madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

uint32_t power_of_two(uint32_t at_least) {
  uint32_t size = kBurst;
  while (size < at_least) size *= 2;
  return size;
}

}  // namespace

FramePool::FramePool(const std::vector<uint32_t>& frames_per_participant,
                     const std::vector<uint32_t>& jumbos_per_participant) {
  std::vector<uint32_t> jumbos = jumbos_per_participant;
  jumbos.resize(frames_per_participant.size());
  first_.push_back(0);
  for (uint32_t count : frames_per_participant) first_.push_back(first_.back() + count);
  first_jumbo_.push_back(frames());
  for (uint32_t count : jumbos) first_jumbo_.push_back(first_jumbo_.back() + count * kJumboChunks);
  // A ring to an owner holds all that the owner has, so giving back never finds it full.
  for (size_t from = 0; from < frames_per_participant.size(); ++from) {
    for (size_t to = 0; to < frames_per_participant.size(); ++to) {
      returns_.push_back(std::make_unique<Ring>(power_of_two(frames_per_participant[to] + jumbos[to])));
    }
  }
  chunks_ = static_cast<uint8_t*>(map(memory_bytes(), chunks_mapping_));
  try {
    frames_ = static_cast<Frame*>(map(static_cast<uint64_t>(chunks()) * sizeof(Frame), frames_mapping_));
  } catch (...) {
    munmap(chunks_mapping_, memory_bytes() + kHugePage);
    throw;
  }
}

FramePool::~FramePool() {
  munmap(frames_mapping_, static_cast<uint64_t>(chunks()) * sizeof(Frame) + kHugePage);
  munmap(chunks_mapping_, memory_bytes() + kHugePage);
}

FrameCache::FrameCache(FramePool& pool, uint32_t participant)
    : pool_(pool),
      participant_(participant),
      total_(pool.first_[participant + 1] - pool.first_[participant]),
      first_(pool.first_[participant]),
      total_jumbo_((pool.first_jumbo_[participant + 1] - pool.first_jumbo_[participant]) / kJumboChunks) {
  stack_.reserve(total_);
  for (uint32_t i = total_; i > 0; --i) stack_.push_back(first_ + i - 1);
  jumbos_.reserve(total_jumbo_);
  for (uint32_t i = total_jumbo_; i > 0; --i) {
    jumbos_.push_back(pool.first_jumbo_[participant] + (i - 1) * kJumboChunks);
  }
}

FrameIndex FrameCache::allocate_jumbo() {
  if (jumbos_.empty()) return kNoFrame;
  const FrameIndex index = jumbos_.back();
  jumbos_.pop_back();
  pool_.frame(index).start = static_cast<uint16_t>(FramePool::receive_offset(index));
  return index;
}

FrameIndex FrameCache::allocate_for(uint32_t bytes) {
  FrameIndex index = kNoFrame;
  const uint32_t most = kChunkBytes - FramePool::receive_offset(15) - kTailroom;
  if (bytes > most) return allocate_jumbo();
  return allocate(&index, 1) == 1 ? index : kNoFrame;
}

uint32_t FrameCache::allocate(FrameIndex* frames, uint32_t count) {
  if (count > stack_.size()) count = static_cast<uint32_t>(stack_.size());
  for (uint32_t i = 0; i < count; ++i) {
    const FrameIndex index = stack_.back();
    stack_.pop_back();
    frames[i] = index;
    pool_.frame(index).start = static_cast<uint16_t>(FramePool::receive_offset(index));
  }
  return count;
}

void FrameCache::free(const FrameIndex* frames, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    const FrameIndex index = frames[i];
    if (index - first_ < total_) {
      stack_.push_back(index);
      continue;
    }
    const uint32_t owner = pool_.owner(index);
    if (owner == participant_) {
      jumbos_.push_back(index);
      continue;
    }
    uint32_t run = 1;
    while (i + run < count && pool_.owner(frames[i + run]) == owner) ++run;
    pool_.returns(participant_, owner).push(frames + i, run);
    i += run - 1;
  }
}

void FrameCache::reclaim() {
  for (uint32_t from = 0; from < pool_.participants(); ++from) {
    if (from == participant_) continue;
    Ring& ring = pool_.returns(from, participant_);
    FrameIndex frames[kBurst];
    while (const uint32_t count = ring.pop(frames, kBurst)) {
      for (uint32_t i = 0; i < count; ++i) {
        (pool_.is_jumbo(frames[i]) ? jumbos_ : stack_).push_back(frames[i]);
      }
    }
  }
}

}  // namespace penstock
