#include "icmp_echo.h"

#include <cstring>

#include "address.h"
#include "ethernet.h"
#include "icmp.h"
#include "ipv4.h"
#include "ipv6.h"

namespace penstock::icmp_echo {
namespace {

// Leaves out what lies between the fixed IP header and the message, by moving all in front of it up.
uint8_t* without_options(Frame& frame, uint8_t* packet, uint32_t header) {
  const uint32_t extra = frame.l4 - frame.l3 - header;
  if (extra == 0) return packet;
  std::memmove(packet + extra, packet, frame.l3 + header);
  frame.start = static_cast<uint16_t>(frame.start + extra);
  frame.length = static_cast<uint16_t>(frame.length - extra);
  frame.l4 = static_cast<uint16_t>(frame.l4 - extra);
  return packet + extra;
}

}  // namespace

DropReason answer(Frame& frame, uint8_t* packet) {
  if ((frame.flags & (kFirstFragment | kLaterFragment)) != 0) return DropReason::fragment;
  const bool v4 = frame.version == 4;
  if (frame.l4 == 0 || frame.protocol != (v4 ? protocol::kIcmp : protocol::kIcmpv6))
    return DropReason::unsupported;
  const uint8_t* ip = packet + frame.l3;
  const uint8_t* message = packet + frame.l4;
  const uint32_t length = static_cast<uint32_t>(frame.length) - frame.l4;
  const Address from = v4 ? Address::v4(ipv4::source(ip)) : Address::v6(ipv6::source(ip));
  const Address to = v4 ? Address::v4(ipv4::destination(ip)) : Address::v6(ipv6::destination(ip));
  if (icmp::type(message) != (v4 ? icmp::kEchoRequest : icmpv6::kEchoRequest) || icmp::code(message) != 0 ||
      to.is_multicast() || from.is_unspecified() || (v4 && to.v4_first() >= 224))
    return DropReason::unsupported;
  const uint64_t pseudo = v4 ? 0 : ipv6::pseudo_header(ip, protocol::kIcmpv6, length);
  if (!icmp::checksum_verifies(message, length, pseudo)) return DropReason::bad_l4;

  const uint32_t header = v4 ? ipv4::kHeaderBytes : ipv6::kHeaderBytes;
  packet = without_options(frame, packet, header);
  if (frame.l3 >= ethernet::kHeaderBytes) mac::swap(packet);
  uint8_t* reply = packet + frame.l4;
  // Addresses swapped leave every sum as it was: only the type changes.
  const uint16_t before = load_raw<uint16_t>(reply);
  reply[0] = v4 ? icmp::kEchoReply : icmpv6::kEchoReply;
  checksum::update16(reply + icmp::kChecksum, before, load_raw<uint16_t>(reply));
  uint8_t* l3 = packet + frame.l3;
  if (v4) {
    ipv4::Fields fields;
    fields.tos = ipv4::tos(l3);
    fields.total_length = header + length;
    fields.identification = ipv4::identification(l3);
    fields.fragment = ipv4::fragment_word(l3) & ipv4::kDontFragment;
    fields.protocol = protocol::kIcmp;
    ipv4::write(l3, fields, to.v4_bytes(), from.v4_bytes());
  } else {
    ipv6::Fields fields;
    fields.traffic_class = ipv6::traffic_class(l3);
    fields.payload_length = length;
    fields.next_header = protocol::kIcmpv6;
    ipv6::write(l3, fields, to.bytes(), from.bytes());
  }
  return DropReason::kNone;
}

}  // namespace penstock::icmp_echo
