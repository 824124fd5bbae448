#include "translate.h"

#include <algorithm>
#include <cstring>

#include "icmp.h"
#include "ipv4.h"
#include "ipv6.h"
#include "tcp.h"
#include "udp.h"

namespace penstock {
namespace {

constexpr uint8_t kDccp = 33;
constexpr uint8_t kUdpLite = 136;

// What changes of a packet: up to 16 bytes of address and two of a port.
struct Change {
  uint64_t removed = 0;  // sum of the words that go
  uint64_t added = 0;    // and of those that come

  void word(uint8_t* at, uint16_t value) {
    uint8_t bytes[2];
    store16(bytes, value);
    replace(at, bytes, 2);
  }
  void replace(uint8_t* at, const uint8_t* with, uint32_t even_length) {
    removed = checksum::add_bytes(removed, at, even_length);
    std::memcpy(at, with, even_length);
    added = checksum::add_bytes(added, at, even_length);
  }
  // RFC 1624 equation 3.
  void mend(uint8_t* at) const {
    uint64_t sum = static_cast<uint16_t>(~load_raw<uint16_t>(at));
    sum += static_cast<uint16_t>(~checksum::fold(removed));
    sum += checksum::fold(added);
    checksum::store_raw(at, checksum::finish(sum));
  }
  void mend_udp(uint8_t* at, bool v4) const {
    if (v4 && load_raw<uint16_t>(at) == 0) return;  // none was made
    mend(at);
    if (load_raw<uint16_t>(at) == 0) checksum::store_raw(at, 0xffff);  // RFC 768
  }
};

uint32_t address_at(bool v4, End end) {
  if (v4) return end == End::kSource ? ipv4::kSource : ipv4::kDestination;
  return end == End::kSource ? ipv6::kSource : ipv6::kDestination;
}

// Where a transport header has the checksum that covers addresses and ports; 0: it has none.
uint32_t checksum_at(uint8_t next, bool v4) {
  switch (next) {
    case protocol::kTcp:
      return tcp::kChecksum;
    case protocol::kUdp:
      return udp::kChecksum;
    case protocol::kIcmpv6:
      return v4 ? 0 : icmp::kChecksum;
    default:
      return 0;
  }
}

// `l4`: of which `available` bytes are there; null: none.
void rewrite(uint8_t* ip, uint8_t* l4, uint32_t available, uint8_t next, bool v4, End end,
             const Address& address, uint16_t port) {
  Change change;
  if (v4) {
    change.replace(ip + address_at(true, end), address.v4_bytes(), 4);
    change.mend(ip + ipv4::kChecksum);
  } else {
    change.replace(ip + address_at(false, end), address.bytes(), 16);
  }
  if (l4 == nullptr) return;
  if (port != 0 && (next == protocol::kTcp || next == protocol::kUdp)) {
    change.word(l4 + (end == End::kSource ? 0 : 2), port);
  }
  const uint32_t at = checksum_at(next, v4);
  if (at == 0 || available < at + 2) return;
  if (next == protocol::kUdp) {
    change.mend_udp(l4 + at, v4);
  } else {
    change.mend(l4 + at);
  }
}

}  // namespace

bool is_translatable(uint8_t next) {
  return next != protocol::kAh && next != kDccp && next != kUdpLite;
}

void translate(Frame& frame, uint8_t* packet, End end, const Address& address, uint16_t port) {
  uint8_t* l4 = frame.l4 == 0 || (frame.flags & kLaterFragment) != 0 ? nullptr : packet + frame.l4;
  rewrite(packet + frame.l3, l4, static_cast<uint32_t>(frame.length) - frame.l4, frame.protocol,
          frame.version == 4, end, address, port);
  if (l4 == nullptr || port == 0 || (frame.protocol != protocol::kTcp && frame.protocol != protocol::kUdp)) {
    return;
  }
  (end == End::kSource ? frame.source_port : frame.destination_port) = port;
}

void translate_quoted(const Frame& frame, uint8_t* packet, const Quoted& quoted, End end,
                      const Address& address, uint16_t port) {
  const bool v4 = frame.version == 4;
  uint8_t* ip = packet + quoted.ip;
  uint8_t* l4 = quoted.l4 == 0 ? nullptr : ip + quoted.l4;
  // The error's checksum covers all that changes: addresses, ports and checksums, within these bytes, which
  // begin at an even offset of the message.
  const uint32_t changed =
      std::min(quoted.available, (quoted.l4 == 0 ? ipv6::kHeaderBytes : quoted.l4) + tcp::kHeaderBytes) & ~1u;
  Change change;
  change.removed = checksum::add_bytes(0, ip, changed);
  rewrite(ip, l4, quoted.available - quoted.l4, quoted.protocol, v4, end, address, port);
  change.added = checksum::add_bytes(0, ip, changed);
  change.mend(packet + frame.l4 + icmp::kChecksum);
}

}  // namespace penstock
