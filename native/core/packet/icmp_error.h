// ICMP and ICMPv6 errors about a packet that could not be forwarded. How often they may be sent is the
// caller's to limit (RFC 1812 §4.3.2.8, RFC 4443 §2.4(f)).
#pragma once
#include <cstdint>

#include "address.h"
#include "frame.h"

namespace penstock::icmp_error {

enum class Kind : uint8_t {
  kTooBig,       // IPv4: fragmentation needed and DF set (RFC 1191); IPv6: packet too big
  kTtlExceeded,  // in transit
  kNoRoute,
  kAddressUnreachable,  // the last hop's neighbour does not answer
  kProhibited,
  kPortUnreachable,
};

// The most that an error has, from its IP header on: RFC 1812 §4.3.2.3 (576) and RFC 4443 §2.4(c) (1280).
constexpr uint32_t kLargestV4 = 576;
constexpr uint32_t kLargestV6 = 1280;

// Whether an error may be sent about this parsed frame at all: not about an ICMP error or redirect, a later
// fragment, a packet to a multicast or broadcast address of either layer, or from an address that is no
// single host's (RFC 1122 §3.2.2, RFC 4443 §2.4(e), whose exception for packet too big is kept).
bool may_report(const Frame& offender, const uint8_t* packet, Kind kind);

// Writes the error at `to`, the first byte of the fresh frame `out`, whose length, l3, l4, version, protocol,
// flags and ports it sets. `own`: the source address, of the offender's family. `mtu`: of the next hop, for
// kTooBig. The link header is the offender's turned round (zeroes for one that was decrypted), tag and all.
// The offender must be as it was received: TTL not yet decremented, addresses not yet translated.
// False, and nothing written, when may_report() says no or `own` is of the other family.
bool write(Frame& out, uint8_t* to, const Frame& offender, const uint8_t* packet, Kind kind,
           const Address& own, uint32_t mtu = 0);

}  // namespace penstock::icmp_error
