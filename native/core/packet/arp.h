// ARP for IPv4 over Ethernet (RFC 826).
#pragma once
#include <cstdint>
#include <cstring>

#include "address.h"
#include "bytes.h"
#include "ethernet.h"

namespace penstock::arp {

constexpr uint32_t kBytes = 28;
constexpr uint32_t kOperation = 6;
constexpr uint32_t kSenderMac = 8;
constexpr uint32_t kSenderIp = 14;
constexpr uint32_t kTargetMac = 18;
constexpr uint32_t kTargetIp = 24;
constexpr uint16_t kRequest = 1;
constexpr uint16_t kReply = 2;
constexpr uint64_t kFixedWords = 0x000108000604;  // hardware type, protocol type and their address lengths

// The view: a whole request or reply of Ethernet and IPv4, from a station (no group address: RFC 1812
// §3.3.2).
inline bool is_whole(const uint8_t* arp, uint32_t available) {
  if (available < kBytes || load64(arp) >> 16 != kFixedWords) return false;
  const uint16_t operation = load16(arp + kOperation);
  return (operation == kRequest || operation == kReply) && mac::is_station(arp + kSenderMac);
}

inline uint16_t operation(const uint8_t* arp) {
  return load16(arp + kOperation);
}
inline const uint8_t* sender_mac(const uint8_t* arp) {
  return arp + kSenderMac;
}
inline Address sender_ip(const uint8_t* arp) {
  return Address::v4(arp + kSenderIp);
}
inline const uint8_t* target_mac(const uint8_t* arp) {
  return arp + kTargetMac;
}
inline Address target_ip(const uint8_t* arp) {
  return Address::v4(arp + kTargetIp);
}
// A probe (RFC 5227 §2.1.1) has no sender address: it is answered, and nothing is learned from it.
inline bool is_probe(const uint8_t* arp) {
  return load_raw<uint32_t>(arp + kSenderIp) == 0;
}

// Turns a request (link header in front of `l3`) into its reply, from `own_mac`, which has the target
// address.
inline void answer(uint8_t* packet, uint32_t l3, const uint8_t* own_mac) {
  uint8_t* arp = packet + l3;
  mac::copy(packet, arp + kSenderMac);
  mac::copy(packet + ethernet::kSource, own_mac);
  uint8_t asked[4];
  std::memcpy(asked, arp + kTargetIp, 4);
  std::memcpy(arp + kTargetMac, arp + kSenderMac, 10);
  mac::copy(arp + kSenderMac, own_mac);
  std::memcpy(arp + kSenderIp, asked, 4);
  store16(arp + kOperation, kReply);
}

// Builders: write the whole packet with its link header (vlan 0: untagged) and return its length.
inline uint32_t write(uint8_t* packet, uint16_t vlan, const uint8_t* to_mac, uint16_t op,
                      const uint8_t* own_mac, const Address& sender, const uint8_t* target_mac,
                      const Address& target) {
  const uint32_t l3 = ethernet::write(packet, to_mac, own_mac, ethernet::kTypeArp, vlan);
  uint8_t* arp = packet + l3;
  store64(arp, kFixedWords << 16 | op);
  mac::copy(arp + kSenderMac, own_mac);
  std::memcpy(arp + kSenderIp, sender.v4_bytes(), 4);
  mac::copy(arp + kTargetMac, target_mac);
  std::memcpy(arp + kTargetIp, target.v4_bytes(), 4);
  return l3 + kBytes;
}
// Who has `target`? `to_mac`: broadcast, or the last known address to see whether it is still there.
inline uint32_t write_request(uint8_t* packet, uint16_t vlan, const uint8_t* own_mac, const Address& own,
                              const Address& target, const uint8_t* to_mac = mac::kBroadcast) {
  const uint8_t unknown[6] = {};
  return write(packet, vlan, to_mac, kRequest, own_mac, own, unknown, target);
}
// Announcement of an own address (RFC 5227 §3: a request for it, from it).
inline uint32_t write_gratuitous(uint8_t* packet, uint16_t vlan, const uint8_t* own_mac, const Address& own) {
  return write_request(packet, vlan, own_mac, own, own);
}

}  // namespace penstock::arp
