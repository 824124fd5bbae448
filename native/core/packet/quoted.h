// The packet that an ICMP error quotes: the beginning of one that its receiver sent, or had sent through it.
// What is quoted may end anywhere behind its IP header (RFC 792: eight bytes behind it, RFC 4443 §2.4(c): as
// much as fits), so its lengths are not believed, only what is there is read.
#pragma once
#include <cstdint>

#include "frame.h"

namespace penstock {

struct Quoted {
  uint32_t ip;         // offset of the quoted IP header, from the frame's first byte
  uint32_t available;  // bytes quoted, from `ip`
  uint32_t l4;         // offset of its transport header from `ip`; 0: a later fragment, which has none
  uint8_t protocol;
  bool is_fragment;      // a first or later one
  bool has_ports;        // TCP or UDP, and they are there
  uint16_t source_port;  // host order; of an ICMP echo its identifier twice; else 0
  uint16_t destination_port;
};

// Reads what the ICMP error in a parsed frame (kIcmpError is set) quotes. False when it quotes no packet of
// the frame's own IP version, or too little of it: less than eight bytes behind the IP headers.
bool read_quoted(const Frame& frame, const uint8_t* packet, Quoted& quoted);

}  // namespace penstock
