// Longest-prefix match over both families and all routing instances: one hash table per node, probed once per
// prefix length in use, longest first. Tables of a gateway hold few lengths (/32, /24, /0), so a look-up is
// one to three probes; IPv4 is stored as IPv4-mapped IPv6, its lengths 96 longer.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

namespace penstock {

// An address of either family in one form: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
struct Ip {
  uint64_t high;  // the first eight bytes as loaded
  uint64_t low;

  static Ip v4(const uint8_t* bytes) {
    uint32_t word;
    std::memcpy(&word, bytes, 4);
    return {0, 0x00000000ffff0000ull | static_cast<uint64_t>(word) << 32};
  }
  static Ip v6(const uint8_t* bytes) {
    Ip ip;
    std::memcpy(&ip, bytes, 16);
    return ip;
  }
  bool is_v4() const { return high == 0 && (low & 0xffffffff) == 0xffff0000; }
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this); }
  const uint8_t* v4_bytes() const { return bytes() + 12; }
  bool operator==(const Ip&) const = default;
};
static_assert(sizeof(Ip) == 16);

// The mask of a prefix length, in the byte order of Ip.
Ip prefix_mask(unsigned length);
inline bool matches(const Ip& ip, const Ip& prefix, unsigned length) {
  const Ip mask = prefix_mask(length);
  return ((ip.high ^ prefix.high) & mask.high) == 0 && ((ip.low ^ prefix.low) & mask.low) == 0;
}

inline uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xd6e8feb86659fd93ull);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

class RouteTable {
 public:
  struct Entry {
    Ip prefix;
    uint16_t instance;
    uint8_t length;  // of 128
    uint32_t value;
  };
  static constexpr uint32_t kNone = 0xffffffff;

  RouteTable() = default;
  // Of two entries for one prefix and instance the later wins.
  explicit RouteTable(const std::vector<Entry>& entries);

  // The value of the longest prefix of this instance that holds the address, or kNone.
  uint32_t find(uint16_t instance, const Ip& ip) const;
  void prefetch(uint16_t instance, const Ip& ip) const;

 private:
  struct Slot {
    Ip prefix;
    uint32_t value;
    uint16_t instance;
    uint8_t length;
    uint8_t used;
  };
  struct Length {
    Ip mask;
    uint8_t length;
  };
  size_t home(uint16_t instance, unsigned length, const Ip& prefix) const {
    return mix(prefix.high ^ length, prefix.low ^ instance) & mask_;
  }

  size_t mask_ = 0;
  std::vector<Slot> slots_;
  std::vector<Length> lengths_[2];  // [0] IPv6, [1] IPv4; longest first
};

}  // namespace penstock
