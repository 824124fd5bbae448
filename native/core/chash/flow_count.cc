#include "flow_count.h"

#include <algorithm>

namespace penstock {

namespace {
constexpr size_t kFirstSeen = size_t{1} << 12;
constexpr size_t kHeavySlots = size_t{1} << 13;
// At this many keys the lighter half is let go.
constexpr size_t kHeavyMost = size_t{1} << 12;
constexpr uint64_t kFingerprintSeed = 0x70656e73746f636bull;

uint16_t load16(const uint8_t* bytes) {
  return static_cast<uint16_t>(bytes[0] | bytes[1] << 8);
}

// The router reads ports of TCP and UDP alone; of other protocols they tell flows apart, and are not hashed.
bool hashes_ports(uint8_t protocol) {
  return protocol == 6 || protocol == 17;
}

FlowFields read_fields(const uint8_t* record) {
  return {record,
          record + 16,
          static_cast<uint8_t>(record[32] == 4 ? 4 : 16),
          record[33],
          record[34] != 0 && hashes_ports(record[33]),
          load16(record + 36),
          load16(record + 38)};
}
}  // namespace

FlowTally::FlowTally(HashKey key, const FlowHasher& hasher, const FlowCells& cells, size_t most_flows)
    : key_(key),
      hasher_(hasher),
      cells_(cells),
      counts_(cells),
      seen_(kFirstSeen),
      most_(most_flows),
      heavy_(kHeavySlots) {}

bool FlowTally::add(const uint8_t* records, size_t n) {
  for (size_t i = 0; i < n && !full_; ++i) {
    const uint8_t* record = records + i * kFlowRecordBytes;
    const FlowFields fields = read_fields(record);
    const uint64_t fingerprint = chash::xxh64(record, 40, kFingerprintSeed);
    const FlowKey key = make_flow_key(key_, fields);
    const uint64_t hash = hasher_(key.bytes, key.length);
    const uint32_t cell = cells_.of(hash);
    if (is_new(fingerprint)) {
      if (full_) break;
      ++counts_.flows[cell];
    }
    const uint64_t bytes = chash::load64(record + 40);
    counts_.bytes[cell] += bytes;
    if (bytes > 0) weigh(chash::xxh64(key.bytes, key.length, kFingerprintSeed), fields, bytes);
  }
  return !full_;
}

bool FlowTally::is_new(uint64_t fingerprint) {
  if (fingerprint == 0) fingerprint = 1;
  const size_t mask = seen_.size() - 1;
  size_t at = fingerprint & mask;
  while (seen_[at] != 0) {
    if (seen_[at] == fingerprint) return false;
    at = (at + 1) & mask;
  }
  if (known_ == most_) {
    full_ = true;
    return true;
  }
  seen_[at] = fingerprint;
  if (++known_ * 4 > seen_.size() * 3) grow();
  return true;
}

void FlowTally::grow() {
  std::vector<uint64_t> larger(seen_.size() * 2);
  const size_t mask = larger.size() - 1;
  for (uint64_t fingerprint : seen_) {
    if (fingerprint == 0) continue;
    size_t at = fingerprint & mask;
    while (larger[at] != 0) at = (at + 1) & mask;
    larger[at] = fingerprint;
  }
  seen_.swap(larger);
}

void FlowTally::weigh(uint64_t hash, const FlowFields& fields, uint64_t bytes) {
  size_t at = hash & (kHeavySlots - 1);
  while (heavy_[at].key.address_bytes != 0 && heavy_[at].hash != hash) at = (at + 1) & (kHeavySlots - 1);
  Heavy& entry = heavy_[at];
  if (entry.key.address_bytes == 0) {
    entry.hash = hash;
    std::memcpy(entry.key.source, fields.source, fields.address_bytes);
    std::memcpy(entry.key.destination, fields.destination, fields.address_bytes);
    entry.key.address_bytes = fields.address_bytes;
    entry.key.bytes = bytes;
    if (++heavy_known_ == kHeavyMost) thin_out();
  } else {
    entry.key.bytes += bytes;
  }
}

// Misra and Gries, in batches: the median is taken off every key, and what has no more is let go. Each time
// at least kHeavyMost / 2 keys lose that much, so nobody loses more than 2 / kHeavyMost of all bytes in all.
void FlowTally::thin_out() {
  weights_.clear();
  for (const Heavy& entry : heavy_) {
    if (entry.key.address_bytes != 0) weights_.push_back(entry.key.bytes);
  }
  const auto middle = weights_.begin() + static_cast<std::ptrdiff_t>(weights_.size() / 2);
  std::nth_element(weights_.begin(), middle, weights_.end());
  const uint64_t median = *middle;
  std::vector<Heavy> before(kHeavySlots);
  before.swap(heavy_);
  heavy_known_ = 0;
  for (Heavy& entry : before) {
    if (entry.key.address_bytes == 0 || entry.key.bytes <= median) continue;
    entry.key.bytes -= median;
    size_t at = entry.hash & (kHeavySlots - 1);
    while (heavy_[at].key.address_bytes != 0) at = (at + 1) & (kHeavySlots - 1);
    heavy_[at] = entry;
    ++heavy_known_;
  }
}

HeaviestKey FlowTally::heaviest() const {
  HeaviestKey best;
  for (const Heavy& entry : heavy_) {
    if (entry.key.address_bytes != 0 && entry.key.bytes > best.bytes) best = entry.key;
  }
  return best;
}

}  // namespace penstock
