// An IP address of either family as one 16-byte value: IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). parse.h
// lets no IPv6 packet through whose own addresses are of that form, so the two families never meet in a
// table.
#pragma once
#include <cstdint>
#include <cstring>

namespace penstock {

struct Address {
  uint64_t high = 0;  // the first eight bytes as they lie in memory
  uint64_t low = 0;

  static Address v4(const uint8_t* bytes) {
    uint32_t word;
    std::memcpy(&word, bytes, 4);
    return {0, 0x00000000ffff0000ull | static_cast<uint64_t>(word) << 32};
  }
  static Address v6(const uint8_t* bytes) {
    Address address;
    std::memcpy(&address, bytes, 16);
    return address;
  }

  bool is_v4() const { return high == 0 && (low & 0xffffffff) == 0xffff0000; }
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this); }
  const uint8_t* v4_bytes() const { return bytes() + 12; }
  uint8_t v4_first() const { return static_cast<uint8_t>(low >> 32); }
  bool is_unspecified() const { return is_v4() ? low >> 32 == 0 : (high | low) == 0; }
  bool is_multicast() const { return is_v4() ? (v4_first() & 0xf0) == 0xe0 : (high & 0xff) == 0xff; }

  bool operator==(const Address&) const = default;
  // Of the halves as they are kept, for sorted lists: no order of the addresses' texts.
  bool operator<(const Address& other) const {
    return high != other.high ? high < other.high : low < other.low;
  }
};
static_assert(sizeof(Address) == 16);

// The solicited-node multicast address of an IPv6 address: ff02::1:ffXX:XXXX (RFC 4291 §2.7.1).
inline Address solicited_node(const Address& address) {
  uint8_t bytes[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  std::memcpy(bytes + 13, address.bytes() + 13, 3);
  return Address::v6(bytes);
}
inline Address all_nodes() {
  const uint8_t bytes[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return Address::v6(bytes);
}

}  // namespace penstock
