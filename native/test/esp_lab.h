// What the ESP tests share: packets with room around them, SAs, and ESP packets made by hand.
#pragma once
#include <arpa/inet.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "esp/esp_open.h"
#include "esp/esp_seal.h"

namespace lab {

using namespace penstock;
using Bytes = std::vector<uint8_t>;

inline Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

inline Address address(const std::string& text) {
  uint8_t bytes[16];
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) return Address::v4(bytes);
  inet_pton(AF_INET6, text.c_str(), bytes);
  return Address::v6(bytes);
}

// Exactly the room that seal is promised, so that a sanitizer sees one byte more.
struct Room {
  explicit Room(const Bytes& content) : bytes(kEspHeadroom + content.size() + kEspTailroom) {
    std::memcpy(packet(), content.data(), content.size());
  }
  uint8_t* packet() { return bytes.data() + kEspHeadroom; }
  std::vector<uint8_t> bytes;
};

inline Bytes inner4(uint32_t payload, uint8_t tos = 0, bool dont_fragment = false,
                    const std::string& from = "10.1.0.1", const std::string& to = "10.2.0.1") {
  Bytes packet(ipv4::kHeaderBytes + udp::kHeaderBytes + payload);
  const ipv4::Fields fields = {.tos = tos,
                               .total_length = static_cast<uint32_t>(packet.size()),
                               .identification = 7,
                               .fragment = dont_fragment ? ipv4::kDontFragment : uint16_t{0},
                               .ttl = 63,
                               .protocol = protocol::kUdp};
  ipv4::write(packet.data(), fields, address(from).v4_bytes(), address(to).v4_bytes());
  udp::write(packet.data() + ipv4::kHeaderBytes, 40000, 53, udp::kHeaderBytes + payload);
  for (uint32_t i = 0; i < payload; ++i) packet[28 + i] = static_cast<uint8_t>(i * 7 + payload);
  return packet;
}

inline Bytes inner6(uint32_t payload, uint8_t traffic_class = 0, const std::string& from = "2001:db8:a::1",
                    const std::string& to = "2001:db8:b::1") {
  Bytes packet(ipv6::kHeaderBytes + udp::kHeaderBytes + payload);
  const ipv6::Fields fields = {.traffic_class = traffic_class,
                               .flow_label = 0x12345,
                               .payload_length = udp::kHeaderBytes + payload,
                               .next_header = protocol::kUdp,
                               .hop_limit = 63};
  ipv6::write(packet.data(), fields, address(from).bytes(), address(to).bytes());
  udp::write(packet.data() + ipv6::kHeaderBytes, 40000, 53, udp::kHeaderBytes + payload);
  for (uint32_t i = 0; i < payload; ++i) packet[48 + i] = static_cast<uint8_t>(i * 7 + payload);
  return packet;
}

// 16 or 32 bytes of key and the salt behind them.
inline Bytes key_and_salt(unsigned aes_bytes = 16, uint8_t first = 1) {
  Bytes key(aes_bytes + 4);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(first + 11 * i);
  return key;
}

inline OutboundSaOptions outbound(const Bytes& key, bool outer6 = false) {
  OutboundSaOptions options;
  options.spi = 0x1001;
  options.key = key.data();
  options.key_bytes = static_cast<uint32_t>(key.size());
  options.source = address(outer6 ? "2001:db8:1::1" : "192.0.2.1");
  options.destination = address(outer6 ? "2001:db8:2::2" : "198.51.100.2");
  options.node_id = 1;
  return options;
}

inline InboundSaOptions inbound(const Bytes& key, uint32_t window = 64) {
  InboundSaOptions options;
  options.spi = 0x1001;
  options.key = key.data();
  options.key_bytes = static_cast<uint32_t>(key.size());
  options.replay_window = window;
  return options;
}

// An ESP packet with this text (padding and trailer included), made without core/esp.
inline Bytes craft(const Bytes& key, uint32_t spi, uint64_t sequence, bool extended, const Bytes& text,
                   uint64_t iv = 0x1000000000000001) {
  GcmKey gcm;
  const auto aes_bytes = static_cast<unsigned>(key.size() - 4);
  gcm_init_key(gcm, key.data(), aes_bytes);
  Bytes packet(16 + text.size() + kGcmTagBytes);
  store32(packet.data(), spi);
  store32(packet.data() + 4, static_cast<uint32_t>(sequence));
  store64(packet.data() + 8, iv);
  uint8_t aad[12];
  store32(aad, spi);
  if (extended) {
    store64(aad + 4, sequence);
  } else {
    store32(aad + 4, static_cast<uint32_t>(sequence));
  }
  GcmOp op = {};
  op.key = &gcm;
  op.in = text.data();
  op.out = packet.data() + 16;
  op.length = static_cast<uint32_t>(text.size());
  op.aad = aad;
  op.aad_length = extended ? 12 : 8;
  std::memcpy(op.nonce, key.data() + aes_bytes, 4);
  std::memcpy(op.nonce + 4, packet.data() + 8, 8);
  op.tag = packet.data() + 16 + text.size();
  gcm_seal(&op, 1);
  return packet;
}

// Text of a packet: the right padding, or `extra` bytes of traffic flow confidentiality before it.
inline Bytes text_of(Bytes inner, uint8_t next_header, uint32_t extra = 0) {
  inner.resize(inner.size() + extra, 0xee);
  const auto pad = static_cast<uint8_t>(-(inner.size() + 2) & 3);
  for (uint8_t i = 1; i <= pad; ++i) inner.push_back(i);
  inner.push_back(pad);
  inner.push_back(next_header);
  return inner;
}

inline const char* name(DropReason reason) {
  switch (reason) {
    case DropReason::kNone:
      return "pass";
#define COUNTER(id, unit, meaning)
#define DROP(id, words, meaning) \
  case DropReason::id:           \
    return #id;
#include "../counters.def"
  }
  return "?";
}

// Opens one packet in place and says what became of it.
inline OpenItem open_one(InboundSa& sa, Bytes& packet, uint8_t outer_tos = 0, uint64_t now = 1) {
  OpenItem item = {};
  item.sa = &sa;
  item.esp = packet.data();
  item.length = static_cast<uint32_t>(packet.size());
  item.outer_tos = outer_tos;
  esp_open(&item, 1, now);
  return item;
}
inline SealItem seal_one(OutboundSa& sa, Room& room, uint32_t length, uint64_t now = 1) {
  SealItem item = {};
  item.sa = &sa;
  item.packet = room.packet();
  item.length = length;
  esp_seal(&item, 1, now);
  return item;
}
inline Bytes outer_of(const SealItem& item) {
  return Bytes(item.outer, item.outer + item.outer_length);
}
inline Bytes inner_of(const OpenItem& item) {
  return Bytes(item.inner, item.inner + item.inner_length);
}

}  // namespace lab
