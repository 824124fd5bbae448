// IPv6 header and extension headers (RFC 8200).
#pragma once
#include <cstdint>

#include "checksum.h"
#include "ipv4.h"

namespace penstock::ipv6 {

constexpr uint32_t kHeaderBytes = 40;
constexpr uint32_t kPayloadLength = 4;
constexpr uint32_t kNextHeader = 6;
constexpr uint32_t kHopLimit = 7;
constexpr uint32_t kSource = 8;
constexpr uint32_t kDestination = 24;
constexpr uint32_t kMinimumMtu = 1280;  // RFC 8200 §5
constexpr uint32_t kFragmentHeaderBytes = 8;
// A chain has no end of its own but the packet's; RFC 8504 §5.3 lets a node refuse more than 8.
constexpr uint32_t kMaximumExtensionHeaders = 8;

inline uint32_t payload_length(const uint8_t* ip) {
  return load16(ip + kPayloadLength);
}
inline uint32_t total_length(const uint8_t* ip) {
  return kHeaderBytes + payload_length(ip);
}

// The view: true when `available` bytes hold the header and the whole packet that it announces. (A jumbogram
// says payload length 0 and is not whole by parse.h's walk: its hop-by-hop header lies behind the packet's
// end.)
inline bool is_whole(const uint8_t* ip, uint32_t available) {
  return available >= kHeaderBytes && ip[0] >> 4 == 6 && total_length(ip) <= available;
}

inline uint8_t traffic_class(const uint8_t* ip) {
  return static_cast<uint8_t>(load16(ip) >> 4);
}
inline uint32_t flow_label(const uint8_t* ip) {
  return load32(ip) & 0xfffff;
}
inline uint8_t next_header(const uint8_t* ip) {
  return ip[kNextHeader];
}
inline uint8_t hop_limit(const uint8_t* ip) {
  return ip[kHopLimit];
}
inline const uint8_t* source(const uint8_t* ip) {
  return ip + kSource;
}
inline const uint8_t* destination(const uint8_t* ip) {
  return ip + kDestination;
}

// To a group (ff00::/8): RFC 4291 §2.7.
inline bool is_multicast(const uint8_t* ip) {
  return ip[kDestination] == 0xff;
}

inline void decrement_hop_limit(uint8_t* ip) {
  --ip[kHopLimit];
}
inline void set_payload_length(uint8_t* ip, uint32_t length) {
  store16(ip + kPayloadLength, static_cast<uint16_t>(length));
}

struct Fields {
  uint8_t traffic_class = 0;
  uint32_t flow_label = 0;
  uint32_t payload_length = 0;
  uint8_t next_header = 0;
  uint8_t hop_limit = 64;
};
inline void write(uint8_t* ip, const Fields& fields, const uint8_t* source, const uint8_t* destination) {
  store32(ip, 6u << 28 | static_cast<uint32_t>(fields.traffic_class) << 20 | (fields.flow_label & 0xfffff));
  store16(ip + kPayloadLength, static_cast<uint16_t>(fields.payload_length));
  ip[kNextHeader] = fields.next_header;
  ip[kHopLimit] = fields.hop_limit;
  std::memmove(ip + kSource, source, 16);
  std::memmove(ip + kDestination, destination, 16);
}

inline uint64_t pseudo_header(const uint8_t* ip, uint8_t next, uint32_t length) {
  return checksum::pseudo_v6(source(ip), destination(ip), next, length);
}

// What the walk over the extension headers finds.
struct Chain {
  uint8_t protocol;  // the first header that is not an extension header, or what a later fragment says
  uint32_t offset;   // of that header, from the IPv6 header; at most the packet's end
  uint32_t fragment_header;  // offset of the fragment header, 0: none
  uint32_t fragment_offset;  // bytes
  bool more_fragments;
};

// Walks hop-by-hop, routing, destination options and fragment headers of a packet that is_whole(). False when
// one lies about its length, hop-by-hop is not first (RFC 8200 §4.1), a fragment header comes twice, or there
// are too many. Behind the header of a later fragment nothing is a header.
bool walk(const uint8_t* ip, Chain& chain);

}  // namespace penstock::ipv6
