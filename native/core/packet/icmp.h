// ICMP (RFC 792) and ICMPv6 (RFC 4443): type, code, checksum, four bytes of the type's own, body.
#pragma once
#include <cstdint>

#include "bytes.h"
#include "checksum.h"

namespace penstock {

namespace icmp {

constexpr uint32_t kHeaderBytes = 8;  // no message of either version that is in use is shorter
constexpr uint32_t kCode = 1;
constexpr uint32_t kChecksum = 2;
constexpr uint32_t kIdentifier = 4;
constexpr uint32_t kSequence = 6;
constexpr uint32_t kNextHopMtu = 6;  // RFC 1191 §4

constexpr uint8_t kEchoReply = 0;
constexpr uint8_t kUnreachable = 3;
constexpr uint8_t kSourceQuench = 4;
constexpr uint8_t kRedirect = 5;
constexpr uint8_t kEchoRequest = 8;
constexpr uint8_t kTimeExceeded = 11;
constexpr uint8_t kParameterProblem = 12;

constexpr uint8_t kNetUnreachable = 0;
constexpr uint8_t kHostUnreachable = 1;
constexpr uint8_t kProtocolUnreachable = 2;
constexpr uint8_t kPortUnreachable = 3;
constexpr uint8_t kFragmentationNeeded = 4;
constexpr uint8_t kAdministrativelyProhibited = 13;

// The view, of both versions.
inline bool is_whole(uint32_t available) {
  return available >= kHeaderBytes;
}

inline uint8_t type(const uint8_t* message) {
  return message[0];
}
inline uint8_t code(const uint8_t* message) {
  return message[kCode];
}
inline uint16_t identifier(const uint8_t* message) {
  return load16(message + kIdentifier);
}
inline uint16_t sequence(const uint8_t* message) {
  return load16(message + kSequence);
}
inline uint16_t next_hop_mtu(const uint8_t* message) {
  return load16(message + kNextHopMtu);
}

// Messages that report an error about a packet, of which no error may be reported (RFC 1122 §3.2.2).
inline bool is_error(uint8_t type) {
  return type == kUnreachable || type == kSourceQuench || type == kRedirect || type == kTimeExceeded ||
         type == kParameterProblem;
}
inline bool is_echo(uint8_t type) {
  return type == kEchoRequest || type == kEchoReply;
}

// `pseudo_header`: 0 for ICMP, ipv6::pseudo_header() for ICMPv6 (RFC 4443 §2.3). `length`: of the message.
inline bool checksum_verifies(const uint8_t* message, uint32_t length, uint64_t pseudo_header = 0) {
  return checksum::verifies(pseudo_header, message, length);
}
inline void set_checksum(uint8_t* message, uint32_t length, uint64_t pseudo_header = 0) {
  checksum::store_raw(message + kChecksum, 0);
  checksum::store_raw(message + kChecksum,
                      checksum::finish(checksum::add_bytes(pseudo_header, message, length)));
}

}  // namespace icmp

namespace icmpv6 {

constexpr uint32_t kMtu = 4;  // 32 bits (RFC 4443 §3.2)

constexpr uint8_t kUnreachable = 1;
constexpr uint8_t kPacketTooBig = 2;
constexpr uint8_t kTimeExceeded = 3;
constexpr uint8_t kParameterProblem = 4;
constexpr uint8_t kEchoRequest = 128;
constexpr uint8_t kEchoReply = 129;
constexpr uint8_t kRouterSolicitation = 133;
constexpr uint8_t kRouterAdvertisement = 134;
constexpr uint8_t kNeighbourSolicitation = 135;
constexpr uint8_t kNeighbourAdvertisement = 136;
constexpr uint8_t kRedirect = 137;

constexpr uint8_t kNoRoute = 0;
constexpr uint8_t kAdministrativelyProhibited = 1;
constexpr uint8_t kAddressUnreachable = 3;
constexpr uint8_t kPortUnreachable = 4;

inline uint32_t mtu(const uint8_t* message) {
  return load32(message + kMtu);
}
// Types below 128 report errors (RFC 4443 §2.1); of a redirect none is reported either (§2.4(e)).
inline bool is_error(uint8_t type) {
  return type < 128 || type == kRedirect;
}
inline bool is_echo(uint8_t type) {
  return type == kEchoRequest || type == kEchoReply;
}

}  // namespace icmpv6
}  // namespace penstock
