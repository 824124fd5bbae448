// A consistent-hash table as packets use it: slot → member, immutable once built, in one allocation.
// A burst: hash the keys (flow_hash.h), then pick() the members.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "flow_hash.h"

namespace penstock {

inline constexpr uint16_t kNoMember = 0xffff;

class Table {
 public:
  struct Delete {
    void operator()(Table* table) const;
  };
  using Pointer = std::unique_ptr<Table, Delete>;

  // Copies `size` ≥ 1 slots. `digest` is the builder's.
  static Pointer make(const uint16_t* slots, uint32_t size, uint32_t members, const FlowHasher& hasher,
                      uint64_t digest);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  uint32_t size() const { return size_; }
  uint32_t members() const { return members_; }
  const FlowHasher& hasher() const { return hasher_; }
  uint64_t digest() const { return digest_; }
  const uint16_t* slots() const { return slots_; }

  // The upper half of the hash, scaled to the size: any size will do, and no division.
  static uint32_t slot_of(uint64_t hash, uint32_t size) {
    return static_cast<uint32_t>(((hash >> 32) * size) >> 32);
  }
  uint32_t slot(uint64_t hash) const { return slot_of(hash, size_); }
  // Index into the members sorted by name; kNoMember when none is up.
  uint16_t pick(uint64_t hash) const { return slots_[slot(hash)]; }

 private:
  Table(uint32_t size, uint32_t members, const FlowHasher& hasher, uint64_t digest, uint16_t* slots)
      : size_(size), members_(members), slots_(slots), hasher_(hasher), digest_(digest) {}
  ~Table() = default;

  uint32_t size_;
  uint32_t members_;
  const uint16_t* slots_;  // right behind this header
  FlowHasher hasher_;
  uint64_t digest_;
};

inline void pick(const Table& table, const uint64_t* hashes, uint16_t* members, size_t n) {
  const uint16_t* slots = table.slots();
  const uint32_t size = table.size();
  for (size_t i = 0; i < n; ++i) members[i] = slots[Table::slot_of(hashes[i], size)];
}

}  // namespace penstock
