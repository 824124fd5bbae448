// Counts flows by where their hashes fall, so that any number of tables can be compared afterwards without
// the flows (control threads only: it allocates).
//
//   1. a flow     generated (flow_source.h), or a record of a capture or list that somebody else has read
//   2. its key    flow_key.h, and the key's hash
//   3. its cell   FlowCells: the slots of one hash in tables of several sizes, as one number
//   4. counts     flows and bytes of each cell
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "flow_hash.h"
#include "flow_key.h"
#include "table.h"

namespace penstock {

// The sizes that tables have by default, and those of the models that they are compared with, come to 11.
inline constexpr unsigned kMostCellSizes = 16;

// The cell of a hash is the sum of its slots in tables of these sizes. Each of them only grows with the hash,
// so no two combinations of slots have one sum: whoever knows the sizes gets the slots back.
class FlowCells {
 public:
  // 1 to kMostCellSizes sizes, each from 1 to kMaxTableSize (build.h).
  explicit FlowCells(const std::vector<uint32_t>& sizes) {
    for (uint32_t size : sizes) {
      sizes_[n_++] = size;
      count_ += size - 1;
    }
  }

  uint32_t count() const { return count_; }
  uint32_t of(uint64_t hash) const {
    uint32_t cell = Table::slot_of(hash, sizes_[0]);
    for (unsigned i = 1; i < n_; ++i) cell += Table::slot_of(hash, sizes_[i]);
    return cell;
  }

 private:
  uint32_t sizes_[kMostCellSizes] = {};
  unsigned n_ = 0;
  uint32_t count_ = 1;
};

// By cell.
struct FlowCounts {
  explicit FlowCounts(const FlowCells& cells) : flows(cells.count()), bytes(cells.count()) {}
  std::vector<uint64_t> flows;
  std::vector<uint64_t> bytes;
};

// A packet, or a flow with its bytes, as FlowTally takes it. Numbers are little-endian:
//   0 source, 16 destination (the first 4 or 16 bytes of each count), 32 bytes an address has, 33 protocol,
//   34 1: it has ports, 35 reserved (0), 36 source port, 38 destination port, 40 bytes (64 bits)
inline constexpr size_t kFlowRecordBytes = 48;

// What shares one key, and so cannot be divided between members.
struct HeaviestKey {
  uint8_t source[16];
  uint8_t destination[16];
  uint8_t address_bytes = 0;  // 0: there is none
  uint64_t bytes = 0;
};

// Flows that are given as records: each is counted once, however many records it has. Flows are told apart by
// a 64-bit hash of all their fields: of ten million, two are taken for one with a chance of one in 370,000.
class FlowTally {
 public:
  FlowTally(HashKey key, const FlowHasher& hasher, const FlowCells& cells, size_t most_flows);

  // False, and nothing more is counted, once there are more flows than may be told apart.
  bool add(const uint8_t* records, size_t n);

  uint64_t flows() const { return known_; }
  const FlowCounts& counts() const { return counts_; }
  // The key with the most bytes. What it has is at most 1/2048 of all bytes too low.
  HeaviestKey heaviest() const;

 private:
  struct Heavy {
    uint64_t hash;
    HeaviestKey key;
  };

  bool is_new(uint64_t fingerprint);
  void grow();
  void weigh(uint64_t hash, const FlowFields& fields, uint64_t bytes);
  void thin_out();

  HashKey key_;
  FlowHasher hasher_;
  FlowCells cells_;
  FlowCounts counts_;
  std::vector<uint64_t> seen_;  // open addressing; 0: free
  size_t known_ = 0;
  size_t most_;
  bool full_ = false;
  std::vector<Heavy> heavy_;       // by hash, open addressing; address_bytes 0: free
  std::vector<uint64_t> weights_;  // scratch of thin_out
  size_t heavy_known_ = 0;
};

}  // namespace penstock
