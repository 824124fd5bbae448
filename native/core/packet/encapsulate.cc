#include "encapsulate.h"

#include "ipv4.h"
#include "ipv6.h"
#include "udp.h"

namespace penstock {
namespace {

bool outer_dont_fragment(const Frame& frame, uint32_t inner_bytes) {
  if (frame.version == 4) return (frame.flags & kDontFragment) != 0;
  return inner_bytes > ipv6::kMinimumMtu;
}

}  // namespace

uint32_t encapsulation_bytes(const Encapsulation& with) {
  const uint32_t ip = with.destination.is_v4() ? ipv4::kHeaderBytes : ipv6::kHeaderBytes;
  return ip + (with.kind == Encapsulation::Kind::kGue ? udp::kHeaderBytes : 0);
}

void encapsulate(Frame& frame, uint8_t* packet, const Encapsulation& with, uint64_t flow,
                 uint16_t identification) {
  const bool v4 = with.destination.is_v4();
  const bool gue = with.kind == Encapsulation::Kind::kGue;
  const uint32_t inner_bytes = static_cast<uint32_t>(frame.length) - frame.l3;
  const uint32_t added = encapsulation_bytes(with);
  const uint8_t* inner = packet + frame.l3;
  const uint8_t tos = frame.version == 4 ? ipv4::tos(inner) : ipv6::traffic_class(inner);
  const uint8_t inner_protocol = frame.version == 4 ? protocol::kIpv4 : protocol::kIpv6;
  const uint8_t next = gue ? protocol::kUdp : inner_protocol;
  const bool dont_fragment = !v4 || outer_dont_fragment(frame, inner_bytes);
  uint8_t* outer = packet + frame.l3 - added;
  uint8_t* udp = outer + (v4 ? ipv4::kHeaderBytes : ipv6::kHeaderBytes);
  const auto source_port = static_cast<uint16_t>(0xc000 | (flow & 0x3fff));
  if (v4) {
    ipv4::Fields fields;
    fields.tos = tos;
    fields.total_length = added + inner_bytes;
    fields.identification = dont_fragment ? 0 : identification;  // RFC 6864 §4.1: an atomic one needs none
    fields.fragment = dont_fragment ? ipv4::kDontFragment : 0;
    fields.ttl = kTunnelTtl;
    fields.protocol = next;
    ipv4::write(outer, fields, with.source.v4_bytes(), with.destination.v4_bytes());
  } else {
    ipv6::Fields fields;
    fields.traffic_class = tos;
    fields.flow_label = static_cast<uint32_t>(flow >> 14) & 0xfffff;
    fields.payload_length = added - ipv6::kHeaderBytes + inner_bytes;
    fields.next_header = next;
    fields.hop_limit = kTunnelTtl;
    ipv6::write(outer, fields, with.source.bytes(), with.destination.bytes());
  }
  if (gue) {
    udp::write(udp, source_port, kGuePort, udp::kHeaderBytes + inner_bytes);
    if (!v4) udp::set_checksum(udp, ipv6::pseudo_header(outer, protocol::kUdp, udp::length(udp)));
  }
  frame.start = static_cast<uint16_t>(frame.start - added);
  frame.length = static_cast<uint16_t>(frame.length + added);
  frame.l4 = static_cast<uint16_t>(frame.l3 + (v4 ? ipv4::kHeaderBytes : ipv6::kHeaderBytes));
  frame.version = v4 ? 4 : 6;
  frame.protocol = next;
  frame.flags = dont_fragment ? kDontFragment : 0;
  frame.source_port = gue ? source_port : 0;
  frame.destination_port = gue ? kGuePort : 0;
}

}  // namespace penstock
