#include "quoted.h"

#include "icmp.h"
#include "ipv4.h"
#include "ipv6.h"

namespace penstock {
namespace {

constexpr uint32_t kLeastTransport = 8;

bool find_v4(const uint8_t* ip, Quoted& quoted) {
  if (quoted.available < ipv4::kHeaderBytes || ip[0] >> 4 != 4) return false;
  const uint32_t header = ipv4::header_bytes(ip);
  if (header < ipv4::kHeaderBytes || quoted.available < header + kLeastTransport) return false;
  const uint16_t word = ipv4::fragment_word(ip);
  quoted.protocol = ipv4::protocol(ip);
  quoted.is_fragment = (word & (ipv4::kMoreFragments | ipv4::kFragmentOffsetMask)) != 0;
  quoted.l4 = (word & ipv4::kFragmentOffsetMask) != 0 ? 0 : header;
  return true;
}

// Like ipv6::walk(), by what is there instead of what the header says there is.
bool find_v6(const uint8_t* ip, Quoted& quoted) {
  if (quoted.available < ipv6::kHeaderBytes + kLeastTransport || ip[0] >> 4 != 6) return false;
  uint8_t next = ipv6::next_header(ip);
  uint32_t at = ipv6::kHeaderBytes;
  quoted.is_fragment = false;
  for (uint32_t headers = 0;; ++headers) {
    const bool is_fragment = next == protocol::kFragment;
    if (!is_fragment && next != protocol::kHopByHop && next != protocol::kRouting &&
        next != protocol::kDestinationOptions) {
      quoted.protocol = next;
      quoted.l4 = at;
      return true;
    }
    if (headers == ipv6::kMaximumExtensionHeaders) return false;
    const uint32_t length = is_fragment ? ipv6::kFragmentHeaderBytes : (ip[at + 1] + 1u) * 8;
    if (quoted.available - at < length + kLeastTransport) return false;
    next = ip[at];
    if (is_fragment) {
      const uint16_t word = load16(ip + at + 2);
      quoted.is_fragment = (word & 0xfff9) != 0;  // an atomic fragment (RFC 6946) is none
      if ((word & 0xfff8) != 0) {
        quoted.protocol = next;
        quoted.l4 = 0;
        return true;
      }
    }
    at += length;
  }
}

}  // namespace

bool read_quoted(const Frame& frame, const uint8_t* packet, Quoted& quoted) {
  quoted = {};
  if ((frame.flags & kIcmpError) == 0) return false;
  quoted.ip = frame.l4 + icmp::kHeaderBytes;
  quoted.available = frame.length - quoted.ip;
  const uint8_t* ip = packet + quoted.ip;
  const bool v4 = frame.version == 4;
  if (v4 ? !find_v4(ip, quoted) : !find_v6(ip, quoted)) return false;
  if (quoted.l4 == 0) return true;
  const uint8_t* l4 = ip + quoted.l4;
  quoted.has_ports = quoted.protocol == protocol::kTcp || quoted.protocol == protocol::kUdp;
  if (quoted.has_ports) {
    quoted.source_port = load16(l4);
    quoted.destination_port = load16(l4 + 2);
  } else if ((quoted.protocol == protocol::kIcmp && v4 && icmp::is_echo(l4[0])) ||
             (quoted.protocol == protocol::kIcmpv6 && !v4 && icmpv6::is_echo(l4[0]))) {
    quoted.source_port = quoted.destination_port = icmp::identifier(l4);
  }
  return true;
}

}  // namespace penstock
