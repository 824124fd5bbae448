// IPv4 header (RFC 791 §3.1).
#pragma once
#include <cstdint>

#include "bytes.h"
#include "checksum.h"

namespace penstock {

// IANA protocol numbers, also IPv6 next headers.
namespace protocol {
constexpr uint8_t kHopByHop = 0;
constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIpv4 = 4;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kIpv6 = 41;
constexpr uint8_t kRouting = 43;
constexpr uint8_t kFragment = 44;
constexpr uint8_t kEsp = 50;
constexpr uint8_t kAh = 51;
constexpr uint8_t kIcmpv6 = 58;
constexpr uint8_t kNoNext = 59;
constexpr uint8_t kDestinationOptions = 60;
}  // namespace protocol

namespace ipv4 {

constexpr uint32_t kHeaderBytes = 20;
constexpr uint32_t kMaximumHeaderBytes = 60;
constexpr uint32_t kTos = 1;
constexpr uint32_t kTotalLength = 2;
constexpr uint32_t kIdentification = 4;
constexpr uint32_t kFragmentWord = 6;
constexpr uint32_t kTtl = 8;
constexpr uint32_t kProtocol = 9;
constexpr uint32_t kChecksum = 10;
constexpr uint32_t kSource = 12;
constexpr uint32_t kDestination = 16;

constexpr uint16_t kDontFragment = 0x4000;
constexpr uint16_t kMoreFragments = 0x2000;
constexpr uint16_t kFragmentOffsetMask = 0x1fff;  // in units of 8 bytes
constexpr uint32_t kMinimumMtu = 68;              // RFC 791 §3.2

inline uint32_t header_bytes(const uint8_t* ip) {
  return (ip[0] & 0x0fu) * 4;
}
inline uint32_t total_length(const uint8_t* ip) {
  return load16(ip + kTotalLength);
}

// The view: true when `available` bytes hold a whole header and the whole packet that it announces. The rest
// of this file asks for a packet that passed.
inline bool is_whole(const uint8_t* ip, uint32_t available) {
  if (available < kHeaderBytes || ip[0] >> 4 != 4) return false;
  const uint32_t header = header_bytes(ip);
  const uint32_t total = total_length(ip);
  return header >= kHeaderBytes && header <= total && total <= available;
}

inline uint8_t tos(const uint8_t* ip) {
  return ip[kTos];
}
inline uint16_t identification(const uint8_t* ip) {
  return load16(ip + kIdentification);
}
inline uint16_t fragment_word(const uint8_t* ip) {
  return load16(ip + kFragmentWord);
}
inline uint32_t fragment_offset_bytes(const uint8_t* ip) {
  return (fragment_word(ip) & kFragmentOffsetMask) * 8u;
}
inline uint8_t ttl(const uint8_t* ip) {
  return ip[kTtl];
}
inline uint8_t protocol(const uint8_t* ip) {
  return ip[kProtocol];
}
inline const uint8_t* source(const uint8_t* ip) {
  return ip + kSource;
}
inline const uint8_t* destination(const uint8_t* ip) {
  return ip + kDestination;
}

// To a group (224/4): RFC 1112 §4.
inline bool is_multicast(const uint8_t* ip) {
  return (ip[kDestination] & 0xf0) == 0xe0;
}

inline bool checksum_verifies(const uint8_t* ip) {
  return checksum::verifies(0, ip, header_bytes(ip));
}
inline void set_checksum(uint8_t* ip) {
  checksum::store_raw(ip + kChecksum, 0);
  checksum::store_raw(ip + kChecksum, checksum::finish(checksum::add_bytes(0, ip, header_bytes(ip))));
}

// The setters keep the header checksum right (RFC 1624).
inline void decrement_ttl(uint8_t* ip) {
  // As one word: reading two bytes back after writing one would wait for the store.
  const uint16_t before = load_raw<uint16_t>(ip + kTtl);
  const uint16_t after = static_cast<uint16_t>((before & 0xff00) | ((before - 1) & 0xff));
  checksum::store_raw(ip + kTtl, after);
  checksum::update16(ip + kChecksum, before, after);
}
inline void set_word(uint8_t* ip, uint32_t offset, uint16_t value) {
  const uint16_t before = load_raw<uint16_t>(ip + offset);
  store16(ip + offset, value);
  checksum::update16(ip + kChecksum, before, __builtin_bswap16(value));
}
inline void set_total_length(uint8_t* ip, uint32_t length) {
  set_word(ip, kTotalLength, static_cast<uint16_t>(length));
}

// Writes a header without options, checksum included. `fragment`: flags and offset in units of 8 bytes.
struct Fields {
  uint8_t tos = 0;
  uint32_t total_length = kHeaderBytes;
  uint16_t identification = 0;
  uint16_t fragment = 0;
  uint8_t ttl = 64;
  uint8_t protocol = 0;
};
inline void write(uint8_t* ip, const Fields& fields, const uint8_t* source, const uint8_t* destination) {
  ip[0] = 0x45;
  ip[kTos] = fields.tos;
  store16(ip + kTotalLength, static_cast<uint16_t>(fields.total_length));
  store16(ip + kIdentification, fields.identification);
  store16(ip + kFragmentWord, fields.fragment);
  ip[kTtl] = fields.ttl;
  ip[kProtocol] = fields.protocol;
  std::memmove(ip + kSource, source, 4);
  std::memmove(ip + kDestination, destination, 4);
  checksum::store_raw(ip + kChecksum, 0);
  uint64_t sum = checksum::add(load_raw<uint64_t>(ip), load_raw<uint64_t>(ip + 8));
  sum = checksum::add(sum, load_raw<uint32_t>(ip + 16));
  checksum::store_raw(ip + kChecksum, checksum::finish(sum));
}

inline uint64_t pseudo_header(const uint8_t* ip, uint8_t next, uint32_t length) {
  return checksum::pseudo_v4(source(ip), destination(ip), next, length);
}

}  // namespace ipv4
}  // namespace penstock
