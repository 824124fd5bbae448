// Ethernet II, with at most one IEEE 802.1Q tag.
//
//   0            6            12      14
//   | destination | source    | type | payload …
//   | destination | source    | 0x8100 | tag | type | payload …       (tagged)
#pragma once
#include <cstdint>
#include <cstring>

#include "bytes.h"

namespace penstock::ethernet {

constexpr uint32_t kHeaderBytes = 14;
constexpr uint32_t kTagBytes = 4;
constexpr uint32_t kTaggedHeaderBytes = kHeaderBytes + kTagBytes;
constexpr uint32_t kMinimumPayload = 46;
constexpr uint32_t kSource = 6;
constexpr uint32_t kType = 12;
constexpr uint32_t kTag = 14;

constexpr uint16_t kTypeIpv4 = 0x0800;
constexpr uint16_t kTypeArp = 0x0806;
constexpr uint16_t kTypeVlan = 0x8100;
constexpr uint16_t kTypeIpv6 = 0x86dd;
constexpr uint16_t kVlanMask = 0x0fff;

// The view: what lies behind the link header.
struct Payload {
  uint16_t type;    // of the payload
  uint16_t offset;  // 14 or 18
  uint16_t vlan;    // 0: untagged, or a priority tag
};

// False when the frame is shorter than its link header.
inline bool read(const uint8_t* frame, uint32_t length, Payload& payload) {
  if (length < kHeaderBytes) return false;
  payload = {load16(frame + kType), kHeaderBytes, 0};
  if (payload.type != kTypeVlan) return true;
  if (length < kTaggedHeaderBytes) return false;
  payload.vlan = load16(frame + kTag) & kVlanMask;
  payload.type = load16(frame + kTag + 2);
  payload.offset = kTaggedHeaderBytes;
  return true;
}

// Writes a link header; vlan 0: untagged. Returns its length.
inline uint32_t write(uint8_t* frame, const uint8_t* destination, const uint8_t* source, uint16_t type,
                      uint16_t vlan = 0) {
  std::memmove(frame, destination, 6);
  std::memmove(frame + kSource, source, 6);
  if (vlan == 0) {
    store16(frame + kType, type);
    return kHeaderBytes;
  }
  store16(frame + kType, kTypeVlan);
  store16(frame + kTag, vlan);
  store16(frame + kTag + 2, type);
  return kTaggedHeaderBytes;
}

}  // namespace penstock::ethernet

namespace penstock::mac {

constexpr uint32_t kBytes = 6;
constexpr uint8_t kBroadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline void copy(uint8_t* to, const uint8_t* from) {
  std::memcpy(to, from, 6);
}
inline bool equal(const uint8_t* a, const uint8_t* b) {
  return ((load_raw<uint32_t>(a) ^ load_raw<uint32_t>(b)) |
          (load_raw<uint16_t>(a + 4) ^ load_raw<uint16_t>(b + 4))) == 0;
}
// Group addresses: broadcast and multicast.
inline bool is_group(const uint8_t* address) {
  return (address[0] & 1) != 0;
}
inline bool is_zero(const uint8_t* address) {
  return (load_raw<uint32_t>(address) | load_raw<uint16_t>(address + 4)) == 0;
}
// A station's own address: neither a group's nor nobody's.
inline bool is_station(const uint8_t* address) {
  return !is_group(address) && !is_zero(address);
}
inline void swap(uint8_t* frame) {
  uint8_t source[6];
  copy(source, frame + ethernet::kSource);
  copy(frame + ethernet::kSource, frame);
  copy(frame, source);
}
// Where an IPv6 multicast packet goes (RFC 2464 §7).
inline void from_ipv6_multicast(uint8_t* to, const uint8_t* group) {
  to[0] = to[1] = 0x33;
  std::memcpy(to + 2, group + 12, 4);
}

}  // namespace penstock::mac
