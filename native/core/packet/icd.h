// A packet on its way across the inter-chassis datapath: an IP packet in UDP between the forwarding addresses
// of a pair, with what the other node cannot know of it. Over IPv4 that is 40 bytes, as at the reference:
//
//   IPv4 (20) or IPv6 (40), hop limit 255
//   UDP (8): source port by flow, destination port kPort; checksum none over IPv4 (RFC 768), there over IPv6
//   0      version (3 bits) | piece (1) | node-id of the sender (4)
//   1…5    zone (20 bits) and routing instance (20) that it came in by, as tags of their names: numbers are
//          each node's own
//   6…11   tag: the low 48 bits, in network order, of SipHash-2-4 over bytes 0…5, the inner length (16 bits,
//          network order) and the inner packet
//   12…    the inner packet, whole, its hop not yet taken
//
// The tag says that the other node of the pair sent it, so that nobody else can pass packets by what the
// sender has checked; who can read the link can send one again, as on any link. src/wire/icd.ts has the same.
#pragma once
#include <array>
#include <cstdint>

#include "address.h"
#include "counters.h"
#include "frame.h"

namespace penstock::icd {

constexpr uint16_t kPort = 6312;
constexpr uint32_t kHeaderBytes = 12;
constexpr uint8_t kVersion = 1;
constexpr uint8_t kHopLimit = 255;

struct Header {
  // Cut from a packet that was too large, whose session the sender has looked up: it has none of its own.
  bool is_piece = false;
  uint8_t node_id = 0;  // 1…15
  uint32_t zone = 0;    // 20 bits each
  uint32_t routing_instance = 0;
};

struct Key {
  uint64_t words[2] = {};
};

// The two ends and what they share. Addresses of one family.
struct Link {
  Address local;
  Address peer;
  uint8_t local_id = 0;
  uint8_t peer_id = 0;
  Key key;  // of what is sent
  // of what is received: more than one while the peer may still use an older
  static constexpr uint32_t kMostPeerKeys = 4;
  std::array<Key, kMostPeerKeys> peer_keys;
  uint32_t peer_key_count = 0;
};

// Bytes that stand before the inner packet.
uint32_t overhead(const Link& link);

// SipHash-2-4, 48 bits, of a header's first six bytes and the inner packet.
uint64_t tag(const Key& key, const uint8_t* header, const uint8_t* inner, uint32_t length);

// Puts outer headers before the parsed IP packet in `frame` (`packet`: its first byte), whose headroom holds
// them. start moves back so that l3 is where it was; the link header is gone. Sets length, l4, version,
// protocol, flags and ports. flow: a hash of the inner flow.
void seal(Frame& frame, uint8_t* packet, const Link& link, const Header& header, uint64_t flow);

// Takes them off a parsed UDP packet to kPort: start and length are the inner packet's, l3 is 0, the rest is
// as it was; the inner packet is not looked at. Returns kNone, or icd_stranger (not between these addresses),
// icd_header (cut short, of another version or node) or icd_forged (the tag is wrong), and has then changed
// nothing.
DropReason open(Frame& frame, const uint8_t* packet, const Link& link, Header& header);

}  // namespace penstock::icd
