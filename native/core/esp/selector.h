// Traffic selectors (RFC 4301 §4.4.1.1, RFC 7296 §3.13.1): which inner packets a tunnel carries.
#pragma once
#include <cstdint>
#include <string>

#include "../packet/address.h"
#include "../packet/bytes.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"

namespace penstock {

// As configured. Lengths count the 128 bits of an Address: those of IPv4 prefixes are 96 longer.
struct TrafficSelector {
  Address local;
  Address remote;
  uint8_t local_length = 0;
  uint8_t remote_length = 0;
  uint8_t protocol = 0;  // 0: any
  // Both ends included. For ICMP: type and code as one number (type high), which both ranges must hold.
  uint16_t local_port_low = 0, local_port_high = 0xffff;
  uint16_t remote_port_low = 0, remote_port_high = 0xffff;

  // Empty, or what is wrong with it.
  std::string error() const;
};

// As the packet path asks: one of these is most of a cache line.
class CompiledSelector {
 public:
  CompiledSelector() = default;
  explicit CompiledSelector(const TrafficSelector& selector);

  // `ip`: a whole inner packet of `version` 4 or 6. `inbound`: it came out of the tunnel, so that its source
  // is the remote side.
  bool holds(const uint8_t* ip, unsigned version, bool inbound) const {
    if (version != version_) return false;
    const uint64_t* source = inbound ? remote_ : local_;
    const uint64_t* destination = inbound ? local_ : remote_;
    const unsigned source_length = inbound ? remote_length_ : local_length_;
    const unsigned destination_length = inbound ? local_length_ : remote_length_;
    if (version == 4) {
      if (((load32(ip + ipv4::kSource) ^ source[0]) & mask(source_length) >> 32) != 0) return false;
      if (((load32(ip + ipv4::kDestination) ^ destination[0]) & mask(destination_length) >> 32) != 0) {
        return false;
      }
    } else {
      if (!in_prefix(ip + ipv6::kSource, source, source_length)) return false;
      if (!in_prefix(ip + ipv6::kDestination, destination, destination_length)) return false;
    }
    return any_transport_ || transport_holds(ip, version, inbound);
  }

 private:
  // The first `length` ≤ 64 bits of a word.
  static uint64_t mask(unsigned length) { return length == 0 ? 0 : ~0ull << (64 - length); }
  static bool in_prefix(const uint8_t* address, const uint64_t prefix[2], unsigned length) {
    const unsigned high = length < 64 ? length : 64;
    return (((load64(address) ^ prefix[0]) & mask(high)) |
            ((load64(address + 8) ^ prefix[1]) & mask(length - high))) == 0;
  }
  bool transport_holds(const uint8_t* ip, unsigned version, bool inbound) const;

  uint64_t local_[2] = {};  // as numbers; an IPv4 prefix in the first
  uint64_t remote_[2] = {};
  uint8_t local_length_ = 0;
  uint8_t remote_length_ = 0;
  uint8_t version_ = 0;
  uint8_t protocol_ = 0;
  bool any_transport_ = true;
  uint16_t local_low_ = 0, local_high_ = 0;
  uint16_t remote_low_ = 0, remote_high_ = 0;
};
static_assert(sizeof(CompiledSelector) <= 48);

}  // namespace penstock
