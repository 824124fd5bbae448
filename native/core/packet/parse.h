// From bytes to meaning: the first stage of every node. Each length is checked before it is believed.
//
//   1. parse_ethernet: link header, at most one tag; ARP is checked whole and ends here (version 0).
//   2. parse_ip: IPv4 or IPv6 header, checksum, addresses that may be on a wire, fragments, extension
//   headers.
//   3. transport: UDP, TCP, ICMP, ESP headers whole; ports, or the ICMP echo identifier twice.
//
// The plain case (IPv4 without options, no fragment, one of these transports) is inline; the rest is in
// parse.cc.
#pragma once
#include <cstdint>

#include "checksum.h"
#include "counters.h"
#include "esp.h"
#include "ethernet.h"
#include "frame.h"
#include "ipv4.h"
#include "tcp.h"
#include "udp.h"

namespace penstock {

namespace parse_detail {
DropReason ethernet_slow(Frame& frame, const uint8_t* packet);
DropReason ip_slow(Frame& frame, const uint8_t* packet);

// A source that no host may use (RFC 1812 §5.3.7): 0/8, 127/8, multicast, 240/4 and broadcast.
inline bool ipv4_bad_source(uint8_t first) {
  return static_cast<uint8_t>(first - 1) >= 223 || first == 127;
}
inline bool ipv4_bad_destination(uint8_t first) {
  return first == 0 || first == 127;
}
}  // namespace parse_detail

// Parses the IP packet at `packet` + frame.l3 (`packet`: the frame's first byte; frame.length and l3 ≤ length
// are given). Fills l4, version, protocol, flags, both ports, and trims frame.length to what the IP header
// says: the rest is link padding (or RFC 4303 §2.7 padding of a decrypted packet). kTagged and kDecrypted in
// flags stay.
//   l4 is 0 and the ports are 0 in a later fragment, whose transport header is elsewhere. ESP has no ports.
// Returns kNone or why the frame is to be dropped: runt, bad_ipv4, bad_ipv6, bad_checksum, bad_address,
// bad_l4, esp_runt, bad_next_header (neither version).
inline DropReason parse_ip(Frame& frame, const uint8_t* packet) {
  const uint8_t* ip = packet + frame.l3;
  const uint32_t available = static_cast<uint32_t>(frame.length) - frame.l3;
  // Anything that is not plain goes the slow way, which says what was wrong.
  if (available < ipv4::kHeaderBytes || ip[0] != 0x45) [[unlikely]]
    return parse_detail::ip_slow(frame, packet);
  const uint32_t total = ipv4::total_length(ip);
  const uint16_t fragment = ipv4::fragment_word(ip);
  const uint32_t payload = total - ipv4::kHeaderBytes;  // wraps when total lies: then larger than available
  if (payload > available - ipv4::kHeaderBytes ||
      (fragment & (ipv4::kMoreFragments | ipv4::kFragmentOffsetMask)) != 0 ||
      !checksum::ipv4_header_verifies(ip) || parse_detail::ipv4_bad_source(ip[ipv4::kSource]) ||
      parse_detail::ipv4_bad_destination(ip[ipv4::kDestination])) [[unlikely]]
    return parse_detail::ip_slow(frame, packet);

  const uint8_t* l4 = ip + ipv4::kHeaderBytes;
  const uint8_t next = ip[ipv4::kProtocol];
  uint32_t ports = 0;
  if (next == protocol::kEsp) {
    if (!esp::is_whole(payload)) [[unlikely]]
      return DropReason::esp_runt;
  } else if (next == protocol::kUdp) {
    if (!udp::is_whole(l4, payload)) [[unlikely]]
      return DropReason::bad_l4;
    ports = load32(l4);
  } else if (next == protocol::kTcp) {
    if (!tcp::is_whole(l4, payload)) [[unlikely]]
      return DropReason::bad_l4;
    ports = load32(l4);
  } else {
    return parse_detail::ip_slow(frame, packet);
  }
  frame.length = static_cast<uint16_t>(frame.l3 + total);
  frame.l4 = static_cast<uint16_t>(frame.l3 + ipv4::kHeaderBytes);
  frame.version = 4;
  frame.protocol = next;
  frame.flags = static_cast<uint8_t>((frame.flags & (kTagged | kDecrypted)) |
                                     ((fragment & ipv4::kDontFragment) != 0 ? kDontFragment : 0));
  frame.source_port = static_cast<uint16_t>(ports >> 16);
  frame.destination_port = static_cast<uint16_t>(ports);
  return DropReason::kNone;
}

// Parses a received frame from its link header on, filling l3 and what parse_ip fills. ARP: version 0, l4 0.
// Flags start anew: kTagged when there is a tag with a VLAN (a priority tag, VLAN 0, is no VLAN; IEEE
// 802.1Q). Whether the VLAN and the destination address are this interface's is the caller's to see. Returns
// kNone or, beyond what parse_ip returns, runt, bad_ethernet, bad_arp.
inline DropReason parse_ethernet(Frame& frame, const uint8_t* packet) {
  // Type 0x0800, version 4 and five words of header, as they lie in memory.
  constexpr uint32_t kPlainIpv4 = 0x450008;
  if (frame.length > ethernet::kHeaderBytes + 2 &&
      (load_raw<uint32_t>(packet + ethernet::kType) & 0xffffff) == kPlainIpv4) [[likely]] {
    frame.flags = 0;
    frame.l3 = ethernet::kHeaderBytes;
    return parse_ip(frame, packet);
  }
  return parse_detail::ethernet_slow(frame, packet);
}

}  // namespace penstock
