// UDP (RFC 768).
#pragma once
#include <cstdint>

#include "bytes.h"
#include "checksum.h"

namespace penstock::udp {

constexpr uint32_t kHeaderBytes = 8;
constexpr uint32_t kDestinationPort = 2;
constexpr uint32_t kLength = 4;
constexpr uint32_t kChecksum = 6;

// The view: header there, and the length it says is at least its own and no more than what is there. Less is
// allowed: the rest of the IP payload is not UDP's (RFC 9868).
inline bool is_whole(const uint8_t* udp, uint32_t available) {
  if (available < kHeaderBytes) return false;
  const uint32_t length = load16(udp + kLength);
  return length >= kHeaderBytes && length <= available;
}

inline uint16_t source_port(const uint8_t* udp) {
  return load16(udp);
}
inline uint16_t destination_port(const uint8_t* udp) {
  return load16(udp + kDestinationPort);
}
inline uint32_t length(const uint8_t* udp) {
  return load16(udp + kLength);
}

inline void write(uint8_t* udp, uint16_t source, uint16_t destination, uint32_t length_bytes) {
  store16(udp, source);
  store16(udp + kDestinationPort, destination);
  store16(udp + kLength, static_cast<uint16_t>(length_bytes));
  store16(udp + kChecksum, 0);
}

// Over header and payload with the pseudo header's sum. A sum of zero is sent as all ones: zero says "none".
inline void set_checksum(uint8_t* udp, uint64_t pseudo_header) {
  checksum::store_raw(udp + kChecksum, 0);
  const uint16_t sum = checksum::finish(checksum::add_bytes(pseudo_header, udp, length(udp)));
  checksum::store_raw(udp + kChecksum, sum == 0 ? 0xffff : sum);
}

}  // namespace penstock::udp
