#include "selector.h"

#include "../packet/icmp.h"

namespace penstock {
namespace {

constexpr uint8_t kDccp = 33;
constexpr uint8_t kSctp = 132;
constexpr uint8_t kUdpLite = 136;

bool is_icmp(uint8_t next) {
  return next == protocol::kIcmp || next == protocol::kIcmpv6;
}
// Protocols whose header starts with both ports.
bool has_ports(uint8_t next) {
  return next == protocol::kTcp || next == protocol::kUdp || next == kSctp || next == kDccp ||
         next == kUdpLite;
}

}  // namespace

std::string TrafficSelector::error() const {
  if (local.is_v4() != remote.is_v4()) return "one side is IPv4 and the other IPv6";
  const unsigned least = local.is_v4() ? 96 : 0;
  if (local_length < least || local_length > 128 || remote_length < least || remote_length > 128) {
    return "a prefix length is out of range";
  }
  if (local_port_low > local_port_high || remote_port_low > remote_port_high) {
    return "a range of ports ends before it starts";
  }
  const bool any_port =
      local_port_low == 0 && remote_port_low == 0 && (local_port_high & remote_port_high) == 0xffff;
  if (!any_port && !has_ports(protocol) && !is_icmp(protocol)) {
    return "ports are given for a protocol that has none";
  }
  return "";
}

CompiledSelector::CompiledSelector(const TrafficSelector& selector)
    : version_(selector.local.is_v4() ? 4 : 6),
      protocol_(selector.protocol),
      local_low_(selector.local_port_low),
      local_high_(selector.local_port_high),
      remote_low_(selector.remote_port_low),
      remote_high_(selector.remote_port_high) {
  any_transport_ = protocol_ == 0;
  if (version_ == 4) {
    local_[0] = load32(selector.local.v4_bytes());
    remote_[0] = load32(selector.remote.v4_bytes());
    local_length_ = static_cast<uint8_t>(selector.local_length - 96);
    remote_length_ = static_cast<uint8_t>(selector.remote_length - 96);
    return;
  }
  for (int i = 0; i < 2; ++i) {
    local_[i] = load64(selector.local.bytes() + 8 * i);
    remote_[i] = load64(selector.remote.bytes() + 8 * i);
  }
  local_length_ = selector.local_length;
  remote_length_ = selector.remote_length;
}

bool CompiledSelector::transport_holds(const uint8_t* ip, unsigned version, bool inbound) const {
  uint8_t next;
  uint32_t offset;
  uint32_t total;
  bool later_fragment;
  if (version == 4) {
    next = ipv4::protocol(ip);
    offset = ipv4::header_bytes(ip);
    total = ipv4::total_length(ip);
    later_fragment = ipv4::fragment_offset_bytes(ip) != 0;
  } else {
    ipv6::Chain chain;
    if (!ipv6::walk(ip, chain)) return false;
    next = chain.protocol;
    offset = chain.offset;
    total = ipv6::total_length(ip);
    later_fragment = chain.fragment_offset != 0;
  }
  if (next != protocol_) return false;
  const bool any_port = local_low_ == 0 && remote_low_ == 0 && (local_high_ & remote_high_) == 0xffff;
  if (any_port) return true;
  // Ports that cannot be seen are in no range (RFC 4301 §7.1).
  if (later_fragment || total - offset < 4) return false;
  const uint8_t* header = ip + offset;
  if (is_icmp(next)) {
    const uint16_t message = load16(header);
    return message >= local_low_ && message <= local_high_ && message >= remote_low_ &&
           message <= remote_high_;
  }
  const uint16_t source = load16(header);
  const uint16_t destination = load16(header + 2);
  const uint16_t local = inbound ? destination : source;
  const uint16_t remote = inbound ? source : destination;
  return local >= local_low_ && local <= local_high_ && remote >= remote_low_ && remote <= remote_high_;
}

}  // namespace penstock
