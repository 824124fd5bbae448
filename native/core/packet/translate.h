// Network address translation of one end of a packet (RFC 3022): address, perhaps port, and every checksum
// that covers them, each mended by RFC 1624 rather than made anew, so that a packet that was damaged before
// stays damaged after.
#pragma once
#include <cstdint>

#include "address.h"
#include "frame.h"
#include "quoted.h"

namespace penstock {

enum class End : uint8_t { kSource, kDestination };

// Whether a packet of this protocol is right after translation. Not AH, which authenticates the addresses
// (RFC 4302 §3.3.3.1.1.1), nor DCCP and UDP-Lite, whose checksums cover them and are not mended here.
bool is_translatable(uint8_t protocol);

// Rewrites one end of the parsed packet: `address` of the packet's family, `port` in host order or 0: as it
// is. IPv4's header checksum, TCP's, UDP's (0 stays 0 over IPv4: no checksum) and ICMPv6's are mended; later
// fragments have none of these, and the first one's covers the whole datagram (RFC 3022 §4.1 needs no more).
// A port is only written where there are ports: TCP and UDP. Sets the frame's port.
void translate(Frame& frame, uint8_t* packet, End end, const Address& address, uint16_t port);

// Rewrites one end of the packet that an ICMP error quotes, and with it the checksums in what is quoted, as
// far as they are there, and the error's own (RFC 5508 §4.2: whoever receives the error looks for the packet
// as it sent it). The error's own addresses are translate()'s to change.
void translate_quoted(const Frame& frame, uint8_t* packet, const Quoted& quoted, End end,
                      const Address& address, uint16_t port);

}  // namespace penstock
