#include "route_table.h"

#include <algorithm>
#include <array>

namespace penstock {

Address prefix_mask(unsigned length) {
  uint8_t bytes[16] = {};
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned bits = length > i * 8 ? std::min(length - i * 8, 8u) : 0;
    bytes[i] = static_cast<uint8_t>(0xff00u >> bits);
  }
  return Address::v6(bytes);
}

namespace {

bool is_v4(unsigned length, const Address& prefix) {
  return length >= 96 && prefix.is_v4();
}

}  // namespace

RouteTable::RouteTable(const std::vector<Entry>& entries) {
  size_t size = 16;
  while (size < entries.size() * 2) size *= 2;
  slots_.assign(size, Slot{});
  mask_ = size - 1;
  std::vector<std::array<std::array<uint32_t, 129>, 2>> counts;
  for (const Entry& entry : entries) {
    const Address mask = prefix_mask(entry.length);
    const Address prefix = {entry.prefix.high & mask.high, entry.prefix.low & mask.low};
    size_t at = hash(entry.instance, entry.length, prefix) & mask_;
    while (slots_[at].used && !slots_[at].is(entry.instance, entry.length, prefix)) at = (at + 1) & mask_;
    slots_[at] = {prefix, entry.value, entry.instance, entry.length, 1};
    if (counts.size() <= entry.instance) counts.resize(entry.instance + 1u);
    ++counts[entry.instance][is_v4(entry.length, prefix)][entry.length];
  }
  instances_.resize(counts.size());
  for (size_t instance = 0; instance < counts.size(); ++instance) {
    for (int family = 0; family < 2; ++family) {
      for (unsigned length = 129; length-- > 0;) {
        if (counts[instance][family][length] > 0) {
          add_length(instances_[instance].of_family[family], length, counts[instance][family][length]);
        }
      }
    }
  }
  for (const Slot& slot : slots_) {
    if (!slot.used) continue;
    for (const Length& length : instances_[slot.instance].of_family[is_v4(slot.length, slot.prefix)]) {
      if (length.length != slot.length) continue;
      const uint64_t hashed = hash(slot.instance, slot.length, slot.prefix);
      const_cast<uint64_t&>(filter_word(length, hashed)) |= filter_bit(hashed);
    }
  }
}

void RouteTable::add_length(std::vector<Length>& lengths, unsigned length, uint32_t entries) {
  uint32_t words = 1;
  while (words * 8 < entries) words *= 2;
  lengths.push_back(
      {prefix_mask(length), static_cast<uint8_t>(length), static_cast<uint32_t>(filters_.size()), words - 1});
  filters_.resize(filters_.size() + words);
}

}  // namespace penstock
