#include "route_table.h"

#include <algorithm>
#include <array>
#include <bitset>

namespace penstock {

Address prefix_mask(unsigned length) {
  uint8_t bytes[16] = {};
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned bits = length > i * 8 ? std::min(length - i * 8, 8u) : 0;
    bytes[i] = static_cast<uint8_t>(0xff00u >> bits);
  }
  return Address::v6(bytes);
}

RouteTable::RouteTable(const std::vector<Entry>& entries) {
  size_t size = 16;
  while (size < entries.size() * 2) size *= 2;
  slots_.assign(size, Slot{});
  mask_ = size - 1;
  std::vector<std::array<std::bitset<129>, 2>> used;
  for (const Entry& entry : entries) {
    const Address mask = prefix_mask(entry.length);
    const Address prefix = {entry.prefix.high & mask.high, entry.prefix.low & mask.low};
    size_t at = home(entry.instance, entry.length, prefix);
    while (slots_[at].used && !slots_[at].is(entry.instance, entry.length, prefix)) at = (at + 1) & mask_;
    slots_[at] = {prefix, entry.value, entry.instance, entry.length, 1};
    if (used.size() <= entry.instance) used.resize(entry.instance + 1u);
    used[entry.instance][entry.length >= 96 && prefix.is_v4()].set(entry.length);
  }
  instances_.resize(used.size());
  for (size_t instance = 0; instance < used.size(); ++instance) {
    for (int family = 0; family < 2; ++family) {
      for (unsigned length = 129; length-- > 0;) {
        if (!used[instance][family][length]) continue;
        instances_[instance].of_family[family].push_back({prefix_mask(length), static_cast<uint8_t>(length)});
      }
    }
  }
}

uint32_t RouteTable::find(uint16_t instance, const Address& ip) const {
  if (instance >= instances_.size()) return kNone;
  for (const Length& length : instances_[instance].of_family[ip.is_v4()]) {
    const Address prefix = {ip.high & length.mask.high, ip.low & length.mask.low};
    for (size_t at = home(instance, length.length, prefix); slots_[at].used; at = (at + 1) & mask_) {
      if (slots_[at].is(instance, length.length, prefix)) return slots_[at].value;
    }
  }
  return kNone;
}

void RouteTable::prefetch(uint16_t instance, const Address& ip) const {
  if (instance >= instances_.size() || slots_.size() <= kSmall) return;
  const auto& lengths = instances_[instance].of_family[ip.is_v4()];
  if (lengths.empty()) return;
  const Address prefix = {ip.high & lengths[0].mask.high, ip.low & lengths[0].mask.low};
  __builtin_prefetch(&slots_[home(instance, lengths[0].length, prefix)]);
}

}  // namespace penstock
