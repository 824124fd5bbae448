// ESP (RFC 4303 §2) as it lies on the wire: where things are. What they mean is core/esp's.
//
//   0     4          8           16
//   | SPI | sequence | IV (8: AES-GCM, RFC 4106) | ciphertext: payload, padding, pad length, next header |
//   ICV |
//
// In UDP (RFC 3948) it follows the UDP header of port 4500, where four zero bytes in its place say that an
// IKE message follows (the non-ESP marker), and a single 0xff is a NAT keepalive.
#pragma once
#include <cstdint>

#include "bytes.h"
#include "udp.h"

namespace penstock::esp {

constexpr uint32_t kSpi = 0;
constexpr uint32_t kSequence = 4;
constexpr uint32_t kHeaderBytes = 8;
constexpr uint32_t kTrailerBytes = 2;       // pad length, next header
constexpr uint32_t kMinimumSpi = 256;       // RFC 4303 §2.1: 1…255 are reserved, 0 never on the wire
constexpr uint16_t kUdpPort = 4500;         // RFC 3948 §2
constexpr uint32_t kNonEspMarkerBytes = 4;  // RFC 3948 §2.2
constexpr uint8_t kKeepaliveByte = 0xff;    // RFC 3948 §2.3

// The view: SPI and sequence number are there.
inline bool is_whole(uint32_t available) {
  return available >= kHeaderBytes;
}

inline uint32_t spi(const uint8_t* esp) {
  return load32(esp + kSpi);
}
inline uint32_t sequence(const uint8_t* esp) {
  return load32(esp + kSequence);
}

enum class InUdp : uint8_t { kEsp, kIke, kKeepalive, kShort };

// What a UDP datagram of port 4500 carries; ESP or the IKE message (behind its marker) starts at
// udp + udp::kHeaderBytes (+ kNonEspMarkerBytes). The datagram passed udp::is_whole().
inline InUdp in_udp(const uint8_t* udp) {
  const uint32_t payload = udp::length(udp) - udp::kHeaderBytes;
  const uint8_t* at = udp + udp::kHeaderBytes;
  if (payload == 1 && at[0] == kKeepaliveByte) return InUdp::kKeepalive;
  if (payload < kNonEspMarkerBytes) return InUdp::kShort;
  if (load_raw<uint32_t>(at) == 0) return InUdp::kIke;
  return payload < kHeaderBytes ? InUdp::kShort : InUdp::kEsp;
}

}  // namespace penstock::esp
