#include "gso.h"

#include <algorithm>
#include <cstring>

#include "../packet/checksum.h"
#include "../packet/ethernet.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/tcp.h"
#include "../packet/udp.h"

namespace penstock {

bool complete_checksum(uint8_t* packet, uint32_t length, uint32_t start, uint32_t offset) {
  if (start >= length || offset + 2 > length - start) return false;
  const uint16_t sum = checksum::finish(checksum::add_bytes(0, packet + start, length - start));
  // All ones for zero, which UDP reads as "none"; to TCP they are the same.
  checksum::store_raw(packet + start + offset, sum == 0 ? 0xffff : sum);
  return true;
}

bool Segmenter::start(const uint8_t* packet, uint32_t length, uint8_t gso_type, uint16_t gso_size) {
  length_ = at_ = 0;
  const uint8_t type = gso_type & static_cast<uint8_t>(~offload::kEcn);
  is_tcp_ = type == offload::kTcpV4 || type == offload::kTcpV6;
  if ((!is_tcp_ && type != offload::kUdpL4) || gso_size == 0) return false;
  ethernet::Payload link;
  if (!ethernet::read(packet, length, link)) return false;
  const uint8_t* ip = packet + link.offset;
  const uint32_t available = length - link.offset;
  uint8_t next = 0;
  if (link.type == ethernet::kTypeIpv4 && ipv4::is_whole(ip, available)) {
    is_v4_ = true;
    next = ipv4::protocol(ip);
    l4_ = link.offset + ipv4::header_bytes(ip);
    length = link.offset + ipv4::total_length(ip);
  } else if (link.type == ethernet::kTypeIpv6 && ipv6::is_whole(ip, available)) {
    ipv6::Chain chain;
    if (!ipv6::walk(ip, chain) || chain.fragment_header != 0) return false;
    is_v4_ = false;
    next = chain.protocol;
    l4_ = link.offset + chain.offset;
    length = link.offset + ipv6::total_length(ip);
  } else {
    return false;
  }
  const uint8_t* l4 = packet + l4_;
  if (is_tcp_) {
    if (next != protocol::kTcp || !tcp::is_whole(l4, length - l4_)) return false;
    header_ = l4_ + tcp::header_bytes(l4);
  } else {
    if (next != protocol::kUdp || length - l4_ < udp::kHeaderBytes) return false;
    header_ = l4_ + udp::kHeaderBytes;
  }
  if (header_ >= length) return false;
  packet_ = packet;
  l3_ = link.offset;
  length_ = length;
  size_ = gso_size;
  at_ = header_;
  number_ = 0;
  return true;
}

uint32_t Segmenter::next(uint8_t* to) {
  const uint32_t payload = std::min(size_, length_ - at_);
  const bool first = number_ == 0;
  const bool last = at_ + payload == length_;
  std::memcpy(to, packet_, header_);
  std::memcpy(to + header_, packet_ + at_, payload);
  const uint32_t length = header_ + payload;
  uint8_t* ip = to + l3_;
  uint8_t* l4 = to + l4_;
  const uint32_t l4_length = length - l4_;
  uint64_t pseudo;
  if (is_v4_) {
    store16(ip + ipv4::kTotalLength, static_cast<uint16_t>(length - l3_));
    store16(ip + ipv4::kIdentification, static_cast<uint16_t>(ipv4::identification(ip) + number_));
    ipv4::set_checksum(ip);
    pseudo = ipv4::pseudo_header(ip, is_tcp_ ? protocol::kTcp : protocol::kUdp, l4_length);
  } else {
    ipv6::set_payload_length(ip, length - l3_ - ipv6::kHeaderBytes);
    pseudo = ipv6::pseudo_header(ip, is_tcp_ ? protocol::kTcp : protocol::kUdp, l4_length);
  }
  if (is_tcp_) {
    store32(l4 + tcp::kSequence, tcp::sequence(l4) + (at_ - header_));
    // RFC 9293: the end is the last segment's; RFC 3168 §6.1.2: the window was reduced once.
    if (!last) l4[tcp::kFlags] &= static_cast<uint8_t>(~(tcp::kFin | tcp::kPsh));
    if (!first) l4[tcp::kFlags] &= static_cast<uint8_t>(~tcp::kCwr);
    tcp::set_checksum(l4, l4_length, pseudo);
  } else {
    store16(l4 + udp::kLength, static_cast<uint16_t>(l4_length));
    udp::set_checksum(l4, pseudo);
  }
  at_ += payload;
  ++number_;
  return length;
}

}  // namespace penstock
