// A packet inside another: IP in IP of all four combinations of families (RFC 2003, RFC 2473, RFC 4213), and
// GUE of variant 1 (draft-ietf-intarea-gue §4: the inner packet stands directly behind the UDP header, its
// version nibble being the variant). Variant 1, because only IP packets are carried: four bytes less, and
// what other balancers send and Linux's receive side takes.
#pragma once
#include <cstdint>

#include "address.h"
#include "frame.h"

namespace penstock {

struct Encapsulation {
  enum class Kind : uint8_t { kIpIp, kGue };
  Kind kind = Kind::kIpIp;
  Address source;  // outer; both of one family
  Address destination;
};

constexpr uint16_t kGuePort = 6080;  // IANA
constexpr uint8_t kTunnelTtl = 64;   // RFC 2003 §3.1: what reaches the tunnel's end, whatever the inner says

// Bytes that stand before the inner packet.
uint32_t encapsulation_bytes(const Encapsulation& with);

// Puts the outer headers before the parsed IP packet in `frame` (`packet`: its first byte), whose headroom
// holds them. start moves back so that l3 is where it was and the outer header stands there; the link header
// is gone. Sets length, l4, version, protocol, flags (kDontFragment as the outer header says) and ports.
//   - DSCP and ECN are the inner packet's (RFC 2983 §3 uniform model, RFC 6040 §4.1 normal mode).
//   - DF is the inner packet's (RFC 2003 §3.1); of an inner IPv6 packet it is set unless the packet is one
//     that every link must carry, 1,280 bytes (RFC 4213 §3.2.2).
//   - `flow`: a hash of the inner flow, which makes GUE's source port (49152…65535) and the flow label of an
//     outer IPv6 header (RFC 6438). `identification`: of an outer IPv4 header that may be fragmented.
//   - GUE's UDP checksum is none over IPv4 (RFC 768, RFC 8085 §3.4 for tunnels) and there over IPv6, since a
//     receiver may refuse zero (RFC 6936).
// The inner packet is untouched: its hop was taken by whoever forwards.
void encapsulate(Frame& frame, uint8_t* packet, const Encapsulation& with, uint64_t flow,
                 uint16_t identification);

}  // namespace penstock
