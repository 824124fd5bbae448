#include "icd.h"

#include "ipv4.h"
#include "ipv6.h"
#include "siphash.h"
#include "udp.h"

namespace penstock::icd {
namespace {

constexpr uint32_t kTagAt = 6;
constexpr uint64_t kTagMask = (uint64_t{1} << 48) - 1;
constexpr uint32_t kNameMask = (1u << 20) - 1;

uint32_t ip_bytes(const Link& link) {
  return link.peer.is_v4() ? ipv4::kHeaderBytes : ipv6::kHeaderBytes;
}

uint64_t load48(const uint8_t* at) {
  return static_cast<uint64_t>(load16(at)) << 32 | load32(at + 2);
}

void store48(uint8_t* at, uint64_t word) {
  store16(at, static_cast<uint16_t>(word >> 32));
  store32(at + 2, static_cast<uint32_t>(word));
}

}  // namespace

uint32_t overhead(const Link& link) {
  return ip_bytes(link) + udp::kHeaderBytes + kHeaderBytes;
}

uint64_t tag(const Key& key, const uint8_t* header, const uint8_t* inner, uint32_t length) {
  SipState sip(key.words[0], key.words[1]);
  uint8_t first[8];
  std::memcpy(first, header, kTagAt);
  store16(first + kTagAt, static_cast<uint16_t>(length));
  sip.absorb<2>(load_raw<uint64_t>(first));
  uint32_t at = 0;
  for (; at + 8 <= length; at += 8) sip.absorb<2>(load_raw<uint64_t>(inner + at));
  uint64_t last = static_cast<uint64_t>(length + sizeof first) << 56;
  for (uint32_t i = 0; at + i < length; ++i) last |= static_cast<uint64_t>(inner[at + i]) << (8 * i);
  sip.absorb<2>(last);
  return sip.finish<4>() & kTagMask;
}

void seal(Frame& frame, uint8_t* packet, const Link& link, const Header& header, uint64_t flow) {
  const bool v4 = link.peer.is_v4();
  const uint32_t inner_bytes = static_cast<uint32_t>(frame.length) - frame.l3;
  const uint32_t added = overhead(link);
  const uint8_t* inner = packet + frame.l3;
  const uint8_t tos = frame.version == 4 ? ipv4::tos(inner) : ipv6::traffic_class(inner);
  uint8_t* outer = packet + frame.l3 - added;
  uint8_t* udp = outer + ip_bytes(link);
  uint8_t* own = udp + udp::kHeaderBytes;
  own[0] = static_cast<uint8_t>(kVersion << 5 | (header.is_piece ? 0x10 : 0) | (header.node_id & 15));
  const uint64_t names =
      static_cast<uint64_t>(header.zone & kNameMask) << 20 | (header.routing_instance & kNameMask);
  own[1] = static_cast<uint8_t>(names >> 32);
  store32(own + 2, static_cast<uint32_t>(names));
  store48(own + kTagAt, tag(link.key, own, inner, inner_bytes));
  const auto source_port = static_cast<uint16_t>(0xc000 | (flow & 0x3fff));
  if (v4) {
    ipv4::Fields fields;
    fields.tos = tos;
    fields.total_length = added + inner_bytes;
    fields.fragment = ipv4::kDontFragment;  // nobody would put it together again
    fields.ttl = kHopLimit;
    fields.protocol = protocol::kUdp;
    ipv4::write(outer, fields, link.local.v4_bytes(), link.peer.v4_bytes());
  } else {
    ipv6::Fields fields;
    fields.traffic_class = tos;
    fields.flow_label = static_cast<uint32_t>(flow >> 14) & 0xfffff;
    fields.payload_length = added - ipv6::kHeaderBytes + inner_bytes;
    fields.next_header = protocol::kUdp;
    fields.hop_limit = kHopLimit;
    ipv6::write(outer, fields, link.local.bytes(), link.peer.bytes());
  }
  udp::write(udp, source_port, kPort, udp::kHeaderBytes + kHeaderBytes + inner_bytes);
  if (!v4) udp::set_checksum(udp, ipv6::pseudo_header(outer, protocol::kUdp, udp::length(udp)));
  frame.start = static_cast<uint16_t>(frame.start - added);
  frame.length = static_cast<uint16_t>(frame.length + added);
  frame.l4 = static_cast<uint16_t>(frame.l3 + ip_bytes(link));
  frame.version = v4 ? 4 : 6;
  frame.protocol = protocol::kUdp;
  frame.flags = kDontFragment;
  frame.source_port = source_port;
  frame.destination_port = kPort;
}

DropReason open(Frame& frame, const uint8_t* packet, const Link& link, Header& header) {
  const uint8_t* ip = packet + frame.l3;
  const bool v4 = frame.version == 4;
  const Address from = v4 ? Address::v4(ipv4::source(ip)) : Address::v6(ipv6::source(ip));
  const Address to = v4 ? Address::v4(ipv4::destination(ip)) : Address::v6(ipv6::destination(ip));
  if (!(from == link.peer) || !(to == link.local)) return DropReason::icd_stranger;
  const uint8_t* udp = packet + frame.l4;
  const uint32_t payload = udp::length(udp) - udp::kHeaderBytes;  // parsed: it is in the frame
  if (payload < kHeaderBytes) return DropReason::icd_header;
  const uint8_t* own = udp + udp::kHeaderBytes;
  header.is_piece = (own[0] & 0x10) != 0;
  header.node_id = own[0] & 15;
  if (own[0] >> 5 != kVersion || header.node_id != link.peer_id) return DropReason::icd_header;
  const uint8_t* inner = own + kHeaderBytes;
  const uint32_t length = payload - kHeaderBytes;
  const uint64_t said = load48(own + kTagAt);
  bool authentic = false;
  for (uint32_t i = 0; i < link.peer_key_count && !authentic; ++i) {
    authentic = tag(link.peer_keys[i], own, inner, length) == said;
  }
  if (!authentic) return DropReason::icd_forged;
  const uint64_t names = static_cast<uint64_t>(own[1]) << 32 | load32(own + 2);
  header.zone = static_cast<uint32_t>(names >> 20) & kNameMask;
  header.routing_instance = static_cast<uint32_t>(names) & kNameMask;
  frame.start = static_cast<uint16_t>(frame.start + (inner - packet));
  frame.length = static_cast<uint16_t>(length);
  frame.l3 = 0;
  return DropReason::kNone;
}

}  // namespace penstock::icd
