// The bytes of a packet that its hash is made of (hash-key). Layout, in network byte order:
//   source-ip, destination-ip     address                                        4 or 16 bytes
//   symmetric                     lower address, higher address                  8 or 32
//   5-tuple                       source, destination, source port,
//                                 destination port, protocol                     13 or 37
//   symmetric-5-tuple             the same, ends ordered by (address, port)
// The protocol stands last, where Toeplitz leaves it out, as network cards do.
//
// With port keys, packets of an IPsec peer (ESP, AH, IKE, NAT-T) and packets whose ports cannot be had hash
// by both addresses alone: a peer is never split between members. A node gives fragments the ports of their
// first one, so that no datagram is split either (node/service.cc).
#pragma once
#include <cstdint>
#include <cstring>

namespace penstock {

enum class HashKey : uint8_t { kSourceIp, kDestinationIp, kSymmetric, kFiveTuple, kSymmetricFiveTuple };

struct FlowKey {
  uint8_t bytes[37];
  uint8_t length;
};

// What a key is made of. Addresses: `address_bytes` (4 or 16) each, as in the packet. Ports: host order,
// read only when has_ports.
struct FlowFields {
  const uint8_t* source;
  const uint8_t* destination;
  uint8_t address_bytes;
  uint8_t protocol;
  bool has_ports;  // false: a fragment (any), or a protocol without ports
  uint16_t source_port;
  uint16_t destination_port;
};

// RFC 7296 §2 (500), RFC 3948 (4500), RFC 9329 (TCP 4500), RFC 4303, RFC 4302.
inline bool is_ipsec_peer(const FlowFields& f) {
  constexpr uint8_t kTcp = 6, kUdp = 17, kEsp = 50, kAh = 51;
  if (f.protocol == kEsp || f.protocol == kAh) return true;
  if (!f.has_ports) return false;
  const bool nat_t = f.source_port == 4500 || f.destination_port == 4500;
  if (f.protocol == kTcp) return nat_t;
  return f.protocol == kUdp && (nat_t || f.source_port == 500 || f.destination_port == 500);
}

inline FlowKey make_flow_key(HashKey kind, const FlowFields& f) {
  FlowKey key;
  const unsigned n = f.address_bytes;
  if (kind == HashKey::kSourceIp || kind == HashKey::kDestinationIp) {
    std::memcpy(key.bytes, kind == HashKey::kSourceIp ? f.source : f.destination, n);
    key.length = static_cast<uint8_t>(n);
    return key;
  }
  const bool ports = (kind == HashKey::kFiveTuple || kind == HashKey::kSymmetricFiveTuple) && f.has_ports &&
                     !is_ipsec_peer(f);
  bool swap = false;
  if (kind != HashKey::kFiveTuple) {
    const int order = std::memcmp(f.source, f.destination, n);
    swap = order > 0 || (order == 0 && ports && f.source_port > f.destination_port);
  }
  std::memcpy(key.bytes, swap ? f.destination : f.source, n);
  std::memcpy(key.bytes + n, swap ? f.source : f.destination, n);
  key.length = static_cast<uint8_t>(2 * n);
  if (ports) {
    const uint16_t first = swap ? f.destination_port : f.source_port;
    const uint16_t second = swap ? f.source_port : f.destination_port;
    uint8_t* p = key.bytes + 2 * n;
    p[0] = static_cast<uint8_t>(first >> 8);
    p[1] = static_cast<uint8_t>(first);
    p[2] = static_cast<uint8_t>(second >> 8);
    p[3] = static_cast<uint8_t>(second);
    p[4] = f.protocol;
    key.length = static_cast<uint8_t>(2 * n + 5);
  }
  return key;
}

}  // namespace penstock
