// Sealing: from an inner packet that a route led into a tunnel to an outer packet, in place.
#pragma once
#include <cstdint>

#include "sa.h"

namespace penstock {

constexpr uint32_t kEspHeadroom = 128;  // bytes that seal may write before a packet
constexpr uint32_t kEspTailroom = 64;   // and behind it

struct SealItem {
  OutboundSa* sa;   // of this worker
  uint8_t* packet;  // the inner packet, whole: its IPv4 or IPv6 header, TTL already decremented
  uint32_t length;  // bytes of it, as its header says

  // Set by esp_seal:
  DropReason drop;  // kNone: sealed
  uint8_t* outer;   // the outer IP header
  uint32_t outer_length;
  bool dont_fragment;  // DF of the outer IPv4 header; IPv6: true
};

// Seals up to 64 packets, whose SAs the caller had fetched (OutboundSa::prefetch), those of one SA in the
// order given. Of an item that is dropped neither the packet nor the SA's numbers are touched: selector,
// too_big (longer than sa->max_inner_length(): whoever calls fragments it or tells its source), lifetime,
// seq_cycled, iv_exhausted, no_sa (an SA never initialised). cipher_failed, too, but its numbers are gone.
void esp_seal(SealItem* items, unsigned count, uint64_t now_ns);

}  // namespace penstock
