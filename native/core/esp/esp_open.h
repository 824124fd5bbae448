// Opening: from an ESP packet whose SA is known to the inner packet, in place.
#pragma once
#include <cstdint>

#include "sa.h"

namespace penstock {

struct OpenItem {
  InboundSa* sa;      // of this worker
  uint8_t* esp;       // the ESP header
  uint32_t length;    // bytes from there to the end of the IP (or UDP) payload
  uint8_t outer_tos;  // DSCP and ECN of the outer header

  // Set by esp_open:
  DropReason drop;  // kNone: opened
  uint8_t* inner;   // the inner IPv4 or IPv6 header
  uint32_t inner_length;
  uint8_t next_header;  // 4 (IPv4) or 41 (IPv6)
};

// Opens up to 64 packets, those of one SA in the order given. Of what was dropped nothing is to be used:
// esp_runt, bad_length, replay, auth_failed, bad_padding, dummy, bad_next_header, ecn, selector, lifetime,
// no_sa (an SA never initialised). The inner packet's version and length have been checked against the
// decrypted length; the rest of it is parse_ip's.
void esp_open(OpenItem* items, unsigned count, uint64_t now_ns);

}  // namespace penstock
