// Parsing, and everything a node answers by itself, fed with anything. The first byte chooses: a received
// frame or a decrypted packet. What parses must hold its invariants; what is answered must parse again.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "packet/arp.h"
#include "packet/fragment.h"
#include "packet/icmp.h"
#include "packet/icmp_echo.h"
#include "packet/icmp_error.h"
#include "packet/ipv6.h"
#include "packet/nd.h"
#include "packet/parse.h"

using namespace penstock;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_parsed(const Frame& frame, const uint8_t* packet, size_t length) {
  require(frame.length <= length && frame.l3 <= frame.length && frame.l4 <= frame.length);
  const uint32_t available = frame.length - frame.l3;
  if (frame.version == 4) {
    require(ipv4::is_whole(packet + frame.l3, available) &&
            ipv4::total_length(packet + frame.l3) == available);
  } else if (frame.version == 6) {
    require(ipv6::is_whole(packet + frame.l3, available) &&
            ipv6::total_length(packet + frame.l3) == available);
  } else {
    require(frame.version == 0 && arp::is_whole(packet + frame.l3, available));
  }
  if (frame.l4 == 0) return;
  const uint32_t rest = frame.length - frame.l4;
  if (frame.protocol == protocol::kTcp) require(tcp::is_whole(packet + frame.l4, rest));
  if (frame.protocol == protocol::kUdp && (frame.flags & kFirstFragment) == 0) {
    require(udp::is_whole(packet + frame.l4, rest));
    esp::in_udp(packet + frame.l4);
  }
}

struct Node {
  FramePool pool{{256}};
  FrameCache cache{pool, 0};
};

// A fresh frame with these bytes, parsed.
FrameIndex load(Node& node, const uint8_t* bytes, size_t length, const Frame& parsed) {
  FrameIndex index;
  require(node.cache.allocate(&index, 1) == 1);
  Frame& frame = node.pool.frame(index);
  const uint16_t start = frame.start;
  frame = parsed;
  frame.start = start;
  std::memcpy(node.pool.data(index), bytes, length);
  return index;
}

void reparses(const Frame& frame, const uint8_t* packet) {
  Frame again = frame;
  const bool has_link = (frame.flags & kDecrypted) == 0;
  require((has_link ? parse_ethernet(again, packet) : parse_ip(again, packet)) == DropReason::kNone);
  require(again.length == frame.length && again.l4 == frame.l4);
}

void answers(Node& node, const uint8_t* bytes, size_t length, const Frame& parsed) {
  constexpr uint8_t kOwn[6] = {2, 0, 0, 0, 0, 1};
  const bool has_link = (parsed.flags & kDecrypted) == 0;
  const FrameIndex index = load(node, bytes, length, parsed);
  Frame& frame = node.pool.frame(index);
  if (has_link && frame.version == 0) {
    arp::answer(node.pool.data(index), frame.l3, kOwn);
    reparses(frame, node.pool.data(index));
  }
  nd::Message message;
  if (has_link && nd::read(frame, node.pool.data(index), message) &&
      message.type == icmpv6::kNeighbourSolicitation) {
    nd::answer(frame, node.pool.data(index), message, kOwn, true);
    nd::Message back;
    frame.source_port = frame.destination_port = 0;
    require(message.source.is_v4() || nd::read(frame, node.pool.data(index), back));
  } else if (icmp_echo::answer(frame, node.pool.data(index)) == DropReason::kNone) {
    reparses(frame, node.pool.data(index));
  }
  node.cache.free(index);
}

void errors_and_fragments(Node& node, const uint8_t* bytes, size_t length, const Frame& parsed) {
  const FrameIndex index = load(node, bytes, length, parsed);
  FrameIndex error;
  require(node.cache.allocate(&error, 1) == 1);
  const uint8_t own4[4] = {192, 0, 2, 1}, own6[16] = {0x20, 1, 0xd, 0xb8, 1};
  for (const auto kind : {icmp_error::Kind::kTooBig, icmp_error::Kind::kTtlExceeded}) {
    if (icmp_error::write(node.pool.frame(error), node.pool.data(error), node.pool.frame(index),
                          node.pool.data(index), kind,
                          parsed.version == 4 ? Address::v4(own4) : Address::v6(own6), 1400) &&
        (parsed.flags & kDecrypted) == 0) {
      reparses(node.pool.frame(error), node.pool.data(error));
    }
  }
  node.cache.free(error);
  FrameIndex parts[kMaximumFragments];
  const uint32_t mtu = 68 + (length != 0 ? bytes[length - 1] : 0);
  const uint32_t count = fragment_ipv4(node.cache, index, mtu, parts);
  uint32_t payload = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint8_t* ip = node.pool.data(parts[i]) + node.pool.frame(parts[i]).l3;
    if (count > 1) require(ipv4::total_length(ip) <= mtu);
    require(ipv4::checksum_verifies(ip));
    payload += ipv4::total_length(ip) - ipv4::header_bytes(ip);
  }
  if (count > 0) {
    const uint8_t* ip = bytes + parsed.l3;
    require(payload == ipv4::total_length(ip) - ipv4::header_bytes(ip));
    node.cache.free(parts + 1, count - 1);
  }
  node.cache.free(index);
  require(node.cache.available() == node.cache.total());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static Node node;
  if (size < 1 || size > 3000) return 0;
  const bool decrypted = (input[0] & 1) != 0;
  const bool fix_checksum = (input[0] & 2) != 0;
  const size_t length = size - 1;
  std::unique_ptr<uint8_t[]> bytes(new uint8_t[length]);
  std::memcpy(bytes.get(), input + 1, length);
  const size_t l3 = decrypted ? 0 : 14;
  // So that the checksum does not stand in the way of what lies behind it.
  if (fix_checksum && length >= l3 + 20 && length >= l3 + ipv4::header_bytes(bytes.get() + l3)) {
    ipv4::set_checksum(bytes.get() + l3);
  }
  Frame frame{};
  frame.length = static_cast<uint16_t>(length);
  if (decrypted) frame.flags = kDecrypted;
  const DropReason reason = decrypted ? parse_ip(frame, bytes.get()) : parse_ethernet(frame, bytes.get());
  if (reason != DropReason::kNone) return 0;
  check_parsed(frame, bytes.get(), length);
  answers(node, bytes.get(), length, frame);
  if (frame.version != 0) errors_and_fragments(node, bytes.get(), length, frame);
  return 0;
}
