#include "parse.h"

#include "address.h"
#include "arp.h"
#include "icmp.h"
#include "ipv6.h"

namespace penstock {

bool ipv6::walk(const uint8_t* ip, Chain& chain) {
  const uint32_t end = total_length(ip);
  uint8_t next = next_header(ip);
  uint32_t at = kHeaderBytes;
  chain = {next, at, 0, 0, false};
  for (uint32_t headers = 0;; ++headers) {
    const bool is_fragment = next == protocol::kFragment;
    if (!is_fragment && next != protocol::kHopByHop && next != protocol::kRouting &&
        next != protocol::kDestinationOptions) {
      chain.protocol = next;
      chain.offset = at;
      return true;
    }
    if (headers == kMaximumExtensionHeaders || end - at < 8) return false;
    if (next == protocol::kHopByHop && headers != 0) return false;
    const uint32_t length = is_fragment ? kFragmentHeaderBytes : (ip[at + 1] + 1u) * 8;
    if (length > end - at) return false;
    if (is_fragment) {
      if (chain.fragment_header != 0) return false;
      const uint16_t word = load16(ip + at + 2);
      chain.fragment_header = at;
      chain.fragment_offset = word & 0xfff8u;
      chain.more_fragments = (word & 1) != 0;
    }
    next = ip[at];
    at += length;
    if (chain.fragment_offset != 0) {
      chain.protocol = next;
      chain.offset = at;
      return true;
    }
  }
}

namespace {

// Whether a fragment could be part of a packet: all but the last carry a multiple of eight bytes, and none
// ends beyond the largest packet (RFC 791 §3.2, RFC 8200 §4.5). An empty one says nothing. `headers`: what
// the length field of the whole packet would count before the fragmented part.
bool fragment_fits(uint32_t headers, uint32_t offset, uint32_t payload, bool more) {
  return payload != 0 && (!more || payload % 8 == 0) && headers + offset + payload <= 0xffff;
}

// RFC 4291 §2.5: unspecified and loopback; and mapped IPv4, which address.h gives to IPv4 alone.
bool ipv6_bad(const Address& address) {
  return address.is_v4() || (address.high == 0 && address.low == __builtin_bswap64(1));
}

// Fills protocol, l4 and ports from the transport header; `available`: bytes of IP payload from it on.
DropReason parse_transport(Frame& frame, const uint8_t* packet, uint32_t l4, uint8_t next,
                           uint32_t available) {
  const uint8_t* at = packet + l4;
  const bool first_fragment = (frame.flags & kFirstFragment) != 0;
  uint16_t source = 0;
  uint16_t destination = 0;
  switch (next) {
    case protocol::kUdp:
      // The length field counts what the other fragments carry too.
      if (first_fragment ? available < udp::kHeaderBytes : !udp::is_whole(at, available))
        return DropReason::bad_l4;
      source = udp::source_port(at);
      destination = udp::destination_port(at);
      break;
    case protocol::kTcp:
      // RFC 1858 §3, RFC 7112: a first fragment without the whole header is an attack on filters.
      if (!tcp::is_whole(at, available)) return DropReason::bad_l4;
      source = tcp::source_port(at);
      destination = tcp::destination_port(at);
      break;
    case protocol::kEsp:
      if (!esp::is_whole(available)) return DropReason::esp_runt;
      break;
    case protocol::kIcmp:
    case protocol::kIcmpv6:
      if ((next == protocol::kIcmp) != (frame.version == 4)) break;
      if (!icmp::is_whole(available)) return DropReason::bad_l4;
      if (next == protocol::kIcmp ? icmp::is_echo(at[0]) : icmpv6::is_echo(at[0])) {
        source = destination = icmp::identifier(at);
      } else if (next == protocol::kIcmp ? icmp::is_error(at[0]) : icmpv6::is_error(at[0])) {
        frame.flags |= kIcmpError;
      }
      break;
    default:
      break;
  }
  frame.l4 = static_cast<uint16_t>(l4);
  frame.source_port = source;
  frame.destination_port = destination;
  return DropReason::kNone;
}

DropReason parse_ipv4(Frame& frame, const uint8_t* packet, uint32_t available) {
  const uint8_t* ip = packet + frame.l3;
  if (available < ipv4::kHeaderBytes) return DropReason::runt;
  if (!ipv4::is_whole(ip, available)) return DropReason::bad_ipv4;
  if (!ipv4::checksum_verifies(ip)) return DropReason::bad_checksum;
  if (parse_detail::ipv4_bad_source(ip[ipv4::kSource]) ||
      parse_detail::ipv4_bad_destination(ip[ipv4::kDestination]))
    return DropReason::bad_address;
  const uint32_t header = ipv4::header_bytes(ip);
  const uint32_t payload = ipv4::total_length(ip) - header;
  const uint16_t word = ipv4::fragment_word(ip);
  const uint32_t offset = ipv4::fragment_offset_bytes(ip);
  const bool more = (word & ipv4::kMoreFragments) != 0;
  frame.version = 4;
  frame.protocol = ipv4::protocol(ip);
  frame.length = static_cast<uint16_t>(frame.l3 + ipv4::total_length(ip));
  if ((word & ipv4::kDontFragment) != 0) frame.flags |= kDontFragment;
  if (offset != 0 || more) {
    if (!fragment_fits(header, offset, payload, more)) return DropReason::bad_ipv4;
    frame.flags |= offset != 0 ? kLaterFragment : kFirstFragment;
    // RFC 3128 §3: a fragment that would overwrite the flags of the first one's TCP header.
    if (offset == 8 && frame.protocol == protocol::kTcp) return DropReason::bad_l4;
    if (offset != 0) return DropReason::kNone;
  }
  return parse_transport(frame, packet, frame.l3 + header, frame.protocol, payload);
}

DropReason parse_ipv6(Frame& frame, const uint8_t* packet, uint32_t available) {
  const uint8_t* ip = packet + frame.l3;
  if (available < ipv6::kHeaderBytes) return DropReason::runt;
  if (!ipv6::is_whole(ip, available)) return DropReason::bad_ipv6;
  const Address source = Address::v6(ipv6::source(ip));
  const Address destination = Address::v6(ipv6::destination(ip));
  // The unspecified source is duplicate address detection's; whoever routes sees that it goes nowhere else.
  if (source.is_multicast() || ipv6_bad(source) || ipv6_bad(destination) || destination.is_unspecified())
    return DropReason::bad_address;
  ipv6::Chain chain;
  if (!ipv6::walk(ip, chain)) return DropReason::bad_ipv6;
  const uint32_t total = ipv6::total_length(ip);
  frame.version = 6;
  frame.protocol = chain.protocol;
  frame.length = static_cast<uint16_t>(frame.l3 + total);
  frame.flags |= kDontFragment;  // no router fragments IPv6 (RFC 8200 §5)
  // An atomic fragment (RFC 6946) has the header and is none.
  if (chain.fragment_offset != 0 || chain.more_fragments) {
    const uint32_t payload = total - chain.fragment_header - ipv6::kFragmentHeaderBytes;
    if (!fragment_fits(chain.fragment_header - ipv6::kHeaderBytes, chain.fragment_offset, payload,
                       chain.more_fragments))
      return DropReason::bad_ipv6;
    frame.flags |= chain.fragment_offset != 0 ? kLaterFragment : kFirstFragment;
    if (chain.fragment_offset != 0) return DropReason::kNone;
  }
  return parse_transport(frame, packet, frame.l3 + chain.offset, chain.protocol, total - chain.offset);
}

}  // namespace

DropReason parse_detail::ip_slow(Frame& frame, const uint8_t* packet) {
  const uint32_t available = static_cast<uint32_t>(frame.length) - frame.l3;
  frame.version = 0;
  frame.protocol = 0;
  frame.l4 = 0;
  frame.flags &= kTagged | kDecrypted;
  frame.source_port = 0;
  frame.destination_port = 0;
  if (available == 0) return DropReason::runt;
  switch (packet[frame.l3] >> 4) {
    case 4:
      return parse_ipv4(frame, packet, available);
    case 6:
      return parse_ipv6(frame, packet, available);
    default:
      return DropReason::bad_next_header;
  }
}

DropReason parse_detail::ethernet_slow(Frame& frame, const uint8_t* packet) {
  frame.l3 = 0;
  frame.l4 = 0;
  frame.version = 0;
  frame.protocol = 0;
  frame.flags = 0;
  frame.source_port = 0;
  frame.destination_port = 0;
  ethernet::Payload payload;
  if (!ethernet::read(packet, frame.length, payload)) return DropReason::runt;
  frame.l3 = payload.offset;
  if (payload.vlan != 0) frame.flags = kTagged;
  const uint32_t available = frame.length - payload.offset;
  switch (payload.type) {
    case ethernet::kTypeArp:
      return arp::is_whole(packet + payload.offset, available) ? DropReason::kNone : DropReason::bad_arp;
    case ethernet::kTypeIpv4:
      if (available != 0 && packet[payload.offset] >> 4 != 4) return DropReason::bad_ipv4;
      return parse_ip(frame, packet);
    case ethernet::kTypeIpv6:
      if (available != 0 && packet[payload.offset] >> 4 != 6) return DropReason::bad_ipv6;
      return parse_ip(frame, packet);
    default:
      return DropReason::bad_ethernet;
  }
}

}  // namespace penstock
