// Longest-prefix match over both families and all routing instances: one hash table per node, probed once per
// prefix length in use, longest first. Tables of a gateway hold few lengths (/32, /24, /0), so a look-up is
// one to three probes; IPv4 is stored as IPv4-mapped IPv6, its lengths 96 longer.
#pragma once
#include <cstdint>
#include <vector>

#include "../packet/address.h"

namespace penstock {

// The mask of a prefix length, in the byte order of Address.
Address prefix_mask(unsigned length);
inline uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xd6e8feb86659fd93ull);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

class RouteTable {
 public:
  struct Entry {
    Address prefix;
    uint16_t instance;
    uint8_t length;  // of 128
    uint32_t value;
  };
  static constexpr uint32_t kNone = 0xffffffff;

  RouteTable() = default;
  // Of two entries for one prefix and instance the later wins.
  explicit RouteTable(const std::vector<Entry>& entries);

  // The value of the longest prefix of this instance that holds the address, or kNone.
  uint32_t find(uint16_t instance, const Address& ip) const;
  void prefetch(uint16_t instance, const Address& ip) const;

 private:
  struct Slot {
    Address prefix;
    uint32_t value;
    uint16_t instance;
    uint8_t length;
    uint8_t used;
  };
  struct Length {
    Address mask;
    uint8_t length;
  };
  size_t home(uint16_t instance, unsigned length, const Address& prefix) const {
    return mix(prefix.high ^ length, prefix.low ^ instance) & mask_;
  }

  size_t mask_ = 0;
  std::vector<Slot> slots_;
  std::vector<Length> lengths_[2];  // [0] IPv6, [1] IPv4; longest first
};

}  // namespace penstock
