// Echo requests to an own address, answered in the frame that brought them (RFC 1122 §3.2.2.6, RFC 4443
// §4.2).
#pragma once
#include <cstdint>

#include "counters.h"
#include "frame.h"

namespace penstock::icmp_echo {

// Turns a parsed echo request, ICMP or ICMPv6, into its reply: addresses of both layers swapped, fresh TTL.
// IPv4 options and IPv6 extension headers are left out, for which frame.start (and the frame's offsets) may
// move: take the packet's address anew. kNone when the frame is now the reply; otherwise it is as it was:
// `unsupported` (not an echo request, or one to a multicast address), `fragment`, `bad_l4` (checksum).
DropReason answer(Frame& frame, uint8_t* packet);

}  // namespace penstock::icmp_echo
