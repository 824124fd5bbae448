// IPv4 fragmentation (RFC 791 §3.2) of a packet that is larger than the path and may be cut.
#pragma once
#include <cstdint>

#include "frame.h"

namespace penstock {

// The most fragments that one packet is cut into: a 4 KiB chunk at an MTU of 68 makes 85.
constexpr uint32_t kMaximumFragments = 96;

// Cuts the parsed IPv4 packet in `whole`, a fragment itself perhaps, into fragments whose IP length is at
// most `mtu` (at least 68). Each has the link header and the frame description of the whole; the first has
// all IP options, the others those with the copied flag. out[0] is `whole`, cut to the first fragment; the
// others are fresh from the cache. Returns how many are in `out`, which has room for kMaximumFragments; 1
// when the packet fits as it is. 0, and `whole` untouched, when it must not be cut (not IPv4, DF), cannot be
// (mtu), or no frames are left.
uint32_t fragment_ipv4(FrameCache& cache, FrameIndex whole, uint32_t mtu, FrameIndex* out);

}  // namespace penstock
