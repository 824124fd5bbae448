// Neighbour discovery (RFC 4861): solicitations and advertisements, read, answered and made.
#pragma once
#include <cstdint>

#include "address.h"
#include "frame.h"
#include "icmp.h"

namespace penstock::nd {

constexpr uint32_t kFlags = 4;   // of an advertisement
constexpr uint32_t kTarget = 8;  // from the ICMPv6 header
constexpr uint32_t kBytes = 24;  // before the options
constexpr uint32_t kOptionUnit = 8;
constexpr uint8_t kSourceLinkLayer = 1;
constexpr uint8_t kTargetLinkLayer = 2;
constexpr uint8_t kHopLimit = 255;
constexpr uint8_t kRouterFlag = 0x80;
constexpr uint8_t kSolicitedFlag = 0x40;
constexpr uint8_t kOverrideFlag = 0x20;
// The longest packet that a builder writes: tagged link header, IPv6, message, one link-layer option.
constexpr uint32_t kLargestBytes = 18 + 40 + kBytes + kOptionUnit;

struct Message {
  uint8_t type;   // icmpv6::kNeighbourSolicitation or kNeighbourAdvertisement
  uint8_t flags;  // of an advertisement
  bool has_link_layer;
  uint8_t link_layer[6];  // the sender's in a solicitation, the target's in an advertisement
  Address source;
  Address destination;
  Address target;
};

// Reads a parsed frame that holds a solicitation or an advertisement. False unless it passes every check of
// RFC 4861 §7.1.1 or §7.1.2 (hop limit 255, checksum, code, length, options, target, the unspecified source's
// and multicast's special rules) and is in no fragment (RFC 6980 §5): such a packet is to be ignored.
bool read(const Frame& frame, const uint8_t* packet, Message& message);

// Turns a frame with a solicitation, as read into `message`, into the answer from `own_mac`, which has the
// target address: to the asker, or to all nodes when it has no address yet (§7.2.4). Sets length, l4 and
// protocol.
void answer(Frame& frame, uint8_t* packet, const Message& message, const uint8_t* own_mac, bool is_router);

// Builders: write the whole packet with its link header (vlan 0: untagged), at most kLargestBytes, and return
// its length.

// Who has `target`? To its solicited-node group, or to `to_mac` to see whether it is still there. From the
// unspecified address (a default Address) it asks whether anybody has it (RFC 4862 §5.4.2).
uint32_t write_solicitation(uint8_t* packet, uint16_t vlan, const uint8_t* own_mac, const Address& own,
                            const Address& target, const uint8_t* to_mac = nullptr);
// Announcement of an own address to all nodes (§7.2.6).
uint32_t write_unsolicited(uint8_t* packet, uint16_t vlan, const uint8_t* own_mac, const Address& own,
                           bool is_router);

}  // namespace penstock::nd
