// BFD control packets (RFC 5880 §4.1), as they lie in UDP.
//
//   0            1              2            3        4         8           12       16       20
//   | vers, diag | state, flags | multiplier | length | my disc | your disc | min tx | min rx | min echo |
//   auth …
//
// and keyed SHA1 behind that (§4.4): type, length, key id, reserved, sequence number (4), hash (20).
#pragma once
#include <cstdint>

#include "../packet/bytes.h"

namespace penstock::bfd {

constexpr uint16_t kSingleHopPort = 3784;  // RFC 5881 §4
constexpr uint16_t kMultihopPort = 4784;   // RFC 5883 §5
constexpr uint8_t kTtl = 255;              // RFC 5881 §5: what is sent, and what single hop wants to see
constexpr uint8_t kTos = 0xc0;             // CS6, network control

constexpr uint32_t kHeaderBytes = 24;
constexpr uint32_t kAuthBytes = 28;
constexpr uint32_t kMostBytes = kHeaderBytes + kAuthBytes;

constexpr uint32_t kFlags = 1;
constexpr uint32_t kMultiplier = 2;
constexpr uint32_t kLength = 3;
constexpr uint32_t kMyDiscriminator = 4;
constexpr uint32_t kYourDiscriminator = 8;
constexpr uint32_t kSequence = kHeaderBytes + 4;
constexpr uint32_t kHash = kHeaderBytes + 8;

constexpr uint8_t kVersion = 1;
constexpr uint8_t kPoll = 0x20;
constexpr uint8_t kFinal = 0x10;
constexpr uint8_t kAuthenticated = 0x04;
constexpr uint8_t kMultipoint = 0x01;

constexpr uint8_t kKeyedSha1 = 4;
constexpr uint8_t kMeticulousKeyedSha1 = 5;

enum State : uint8_t { kAdminDown, kDown, kInit, kUp };

inline uint32_t length(const uint8_t* packet) {
  return packet[kLength];
}
inline State state(const uint8_t* packet) {
  return static_cast<State>(packet[kFlags] >> 6);
}
inline bool is_authenticated(const uint8_t* packet) {
  return (packet[kFlags] & kAuthenticated) != 0;
}
inline uint32_t my_discriminator(const uint8_t* packet) {
  return load32(packet + kMyDiscriminator);
}
inline uint32_t your_discriminator(const uint8_t* packet) {
  return load32(packet + kYourDiscriminator);
}

// The view: what RFC 5880 §6.8.6 lets come as far as its session. The rest of this file asks for a packet
// that passed. Of authentication it knows only that the section is there: the session says which it must be.
inline bool is_whole(const uint8_t* packet, uint32_t available) {
  if (available < kHeaderBytes || packet[0] >> 5 != kVersion) return false;
  const uint32_t said = length(packet);
  if (said < kHeaderBytes + (is_authenticated(packet) ? 2u : 0u) || said > available) return false;
  if (packet[kMultiplier] == 0 || (packet[kFlags] & kMultipoint) != 0) return false;
  if (my_discriminator(packet) == 0) return false;
  // without a discriminator of ours it can only be from one that has not heard of us
  return your_discriminator(packet) != 0 || state(packet) <= kDown;
}

}  // namespace penstock::bfd
