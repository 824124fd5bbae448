// TCP header (RFC 9293 §3.1).
#pragma once
#include <cstdint>

#include "bytes.h"
#include "checksum.h"

namespace penstock::tcp {

constexpr uint32_t kHeaderBytes = 20;
constexpr uint32_t kDestinationPort = 2;
constexpr uint32_t kSequence = 4;
constexpr uint32_t kAcknowledgment = 8;
constexpr uint32_t kDataOffset = 12;
constexpr uint32_t kFlags = 13;
constexpr uint32_t kWindow = 14;
constexpr uint32_t kChecksum = 16;
constexpr uint32_t kUrgent = 18;

enum Flag : uint8_t { kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32, kEce = 64, kCwr = 128 };

inline uint32_t header_bytes(const uint8_t* tcp) {
  return (tcp[kDataOffset] >> 4) * 4u;
}

// The view: the header with its options is there.
inline bool is_whole(const uint8_t* tcp, uint32_t available) {
  if (available < kHeaderBytes) return false;
  const uint32_t header = header_bytes(tcp);
  return header >= kHeaderBytes && header <= available;
}

inline uint16_t source_port(const uint8_t* tcp) {
  return load16(tcp);
}
inline uint16_t destination_port(const uint8_t* tcp) {
  return load16(tcp + kDestinationPort);
}
inline uint32_t sequence(const uint8_t* tcp) {
  return load32(tcp + kSequence);
}
inline uint32_t acknowledgment(const uint8_t* tcp) {
  return load32(tcp + kAcknowledgment);
}
inline uint8_t flags(const uint8_t* tcp) {
  return tcp[kFlags];
}
inline uint16_t window(const uint8_t* tcp) {
  return load16(tcp + kWindow);
}

// `length`: of header and payload, bytes.
inline void set_checksum(uint8_t* tcp, uint32_t length, uint64_t pseudo_header) {
  checksum::store_raw(tcp + kChecksum, 0);
  checksum::store_raw(tcp + kChecksum, checksum::finish(checksum::add_bytes(pseudo_header, tcp, length)));
}

}  // namespace penstock::tcp
