// Header views and parsing, against packets of another implementation: test/vectors/packets.txt.
#include <algorithm>
#include <memory>
#include <random>

#include "check.h"
#include "golden.h"
#include "packet/address.h"
#include "packet/arp.h"
#include "packet/icmp.h"
#include "packet/ipv6.h"
#include "packet/nd.h"
#include "packet/parse.h"

using namespace penstock;

namespace {

const std::vector<golden::Packet>& vectors() {
  static const auto packets = golden::read(std::string(PENSTOCK_VECTORS) + "/packets.txt");
  return packets;
}

std::string name_of(DropReason reason) {
  switch (reason) {
#define COUNTER(name, unit, meaning)
#define DROP(name, words, meaning) \
  case DropReason::name:           \
    return #name;
#include "../counters.def"
    default:
      return "none";
  }
}

// The bytes in memory of exactly their size, so that the address sanitizer sees a byte too far.
struct Exact {
  Exact(const uint8_t* bytes, size_t length) : data(new uint8_t[length]) {
    std::copy(bytes, bytes + length, data.get());
    frame.length = static_cast<uint16_t>(length);
  }
  DropReason parse() { return parse_ethernet(frame, data.get()); }
  std::unique_ptr<uint8_t[]> data;
  Frame frame{};
};

std::string flags_of(const Frame& frame) {
  std::string names;
  const auto add = [&](uint8_t flag, const char* name) {
    if ((frame.flags & flag) == 0) return;
    if (!names.empty()) names += ',';
    names += name;
  };
  add(kDontFragment, "dont-fragment");
  add(kTagged, "tagged");
  add(kFirstFragment, "first-fragment");
  add(kLaterFragment, "later-fragment");
  return names;
}

#define CHECK_FIELD(key, actual)                                                                      \
  do {                                                                                                \
    if (packet.has(key) && packet.number(key) != static_cast<uint64_t>(actual)) {                     \
      check::fail(__FILE__, __LINE__,                                                                 \
                  packet.name + ": " + key + " is " + std::to_string(static_cast<uint64_t>(actual)) + \
                      ", expected " + packet.fields.at(key));                                         \
    }                                                                                                 \
    ++check::checks;                                                                                  \
  } while (0)

void check_bytes(const golden::Packet& packet, const std::string& key, const uint8_t* actual) {
  if (!packet.has(key)) return;
  const golden::Bytes expected = packet.hex(key);
  ++check::checks;
  if (!std::equal(expected.begin(), expected.end(), actual)) {
    check::fail(__FILE__, __LINE__, packet.name + ": " + key + " differs");
  }
}

void check_link(const golden::Packet& packet, const uint8_t* data) {
  ethernet::Payload payload;
  CHECK(ethernet::read(data, static_cast<uint32_t>(packet.bytes.size()), payload));
  CHECK_FIELD("vlan", payload.vlan);
  CHECK_FIELD("l3", payload.offset);
  check_bytes(packet, "destination_mac", data);
  check_bytes(packet, "source_mac", data + ethernet::kSource);
}

void check_arp(const golden::Packet& packet, const uint8_t* l3) {
  CHECK_FIELD("arp_operation", arp::operation(l3));
  check_bytes(packet, "sender_mac", arp::sender_mac(l3));
  check_bytes(packet, "sender_ip", arp::sender_ip(l3).v4_bytes());
  check_bytes(packet, "target_mac", arp::target_mac(l3));
  check_bytes(packet, "target_ip", arp::target_ip(l3).v4_bytes());
}

void check_ipv4(const golden::Packet& packet, const uint8_t* ip) {
  CHECK_FIELD("ttl", ipv4::ttl(ip));
  CHECK_FIELD("tos", ipv4::tos(ip));
  CHECK_FIELD("identification", ipv4::identification(ip));
  CHECK_FIELD("fragment_offset", ipv4::fragment_offset_bytes(ip));
  check_bytes(packet, "source", ipv4::source(ip));
  check_bytes(packet, "destination", ipv4::destination(ip));
}

void check_ipv6(const golden::Packet& packet, const uint8_t* ip) {
  CHECK_FIELD("ttl", ipv6::hop_limit(ip));
  CHECK_FIELD("tos", ipv6::traffic_class(ip));
  CHECK_FIELD("flow_label", ipv6::flow_label(ip));
  ipv6::Chain chain;
  CHECK(ipv6::walk(ip, chain));
  CHECK_FIELD("fragment_offset", chain.fragment_offset);
  check_bytes(packet, "source", ipv6::source(ip));
  check_bytes(packet, "destination", ipv6::destination(ip));
}

void check_transport(const golden::Packet& packet, const Frame& frame, const uint8_t* data) {
  if (frame.l4 == 0) return;
  const uint8_t* l4 = data + frame.l4;
  const uint32_t length = static_cast<uint32_t>(frame.length - frame.l4);
  CHECK_FIELD("udp_length", udp::length(l4));
  CHECK_FIELD("tcp_sequence", tcp::sequence(l4));
  CHECK_FIELD("tcp_acknowledgment", tcp::acknowledgment(l4));
  CHECK_FIELD("tcp_flags", tcp::flags(l4));
  CHECK_FIELD("tcp_window", tcp::window(l4));
  CHECK_FIELD("tcp_header", tcp::header_bytes(l4));
  CHECK_FIELD("esp_spi", esp::spi(l4));
  CHECK_FIELD("esp_sequence", esp::sequence(l4));
  CHECK_FIELD("icmp_type", icmp::type(l4));
  CHECK_FIELD("icmp_code", icmp::code(l4));
  CHECK_FIELD("icmp_identifier", icmp::identifier(l4));
  CHECK_FIELD("icmp_sequence", icmp::sequence(l4));
  CHECK_FIELD("icmp_mtu", icmp::next_hop_mtu(l4));
  CHECK_FIELD("icmp6_mtu", icmpv6::mtu(l4));
  if (packet.has("l4_checksum_verifies")) {
    const uint8_t* ip = data + frame.l3;
    const uint64_t pseudo = frame.version == 6 ? ipv6::pseudo_header(ip, frame.protocol, length)
                            : frame.protocol == protocol::kIcmp
                                ? 0
                                : ipv4::pseudo_header(ip, frame.protocol, length);
    CHECK(checksum::verifies(pseudo, l4, length));
  }
  if (packet.has("in_udp")) {
    const char* const kinds[] = {"esp", "ike", "keepalive", "short"};
    CHECK_EQ(packet.fields.at("in_udp"), std::string(kinds[static_cast<int>(esp::in_udp(l4))]));
  }
}

void check_nd(const golden::Packet& packet, const Frame& frame, const uint8_t* data) {
  nd::Message message;
  const bool is_nd = nd::read(frame, data, message);
  CHECK_EQ(is_nd, packet.has("nd_target"));
  if (!is_nd) return;
  check_bytes(packet, "nd_target", message.target.bytes());
  CHECK_EQ(message.has_link_layer, packet.has("nd_link_layer"));
  check_bytes(packet, "nd_link_layer", message.link_layer);
  CHECK_FIELD("nd_flags", message.flags);
}

void golden_packets() {
  for (const golden::Packet& packet : vectors()) {
    Exact exact(packet.bytes.data(), packet.bytes.size());
    const std::string reason = name_of(exact.parse());
    if (reason != packet.drop()) {
      check::fail(__FILE__, __LINE__, packet.name + ": " + reason + ", expected " + packet.drop());
    }
    ++check::checks;
    if (packet.drop() != "none") continue;
    const Frame& frame = exact.frame;
    CHECK_FIELD("l3", frame.l3);
    CHECK_FIELD("l4", frame.l4);
    CHECK_FIELD("length", frame.length);
    CHECK_FIELD("version", frame.version);
    CHECK_FIELD("protocol", frame.protocol);
    CHECK_FIELD("source_port", frame.source_port);
    CHECK_FIELD("destination_port", frame.destination_port);
    CHECK_EQ(packet.name + " " + flags_of(frame), packet.name + " " + packet.fields.at("flags"));
    const uint8_t* data = exact.data.get();
    check_link(packet, data);
    if (frame.version == 0) check_arp(packet, data + frame.l3);
    if (frame.version == 4) check_ipv4(packet, data + frame.l3);
    if (frame.version == 6) check_ipv6(packet, data + frame.l3);
    check_transport(packet, frame, data);
    check_nd(packet, frame, data);
  }
}

// Nothing that is cut off is ever taken for whole, except link padding.
void every_truncated_length() {
  for (const golden::Packet& packet : vectors()) {
    const size_t padding = packet.has("padding") ? packet.number("padding") : 0;
    for (size_t length = 0; length < packet.bytes.size(); ++length) {
      Exact exact(packet.bytes.data(), length);
      const DropReason reason = exact.parse();
      const bool whole = packet.drop() == "none" && length + padding >= packet.bytes.size();
      if ((reason == DropReason::kNone) != whole) {
        check::fail(__FILE__, __LINE__,
                    packet.name + " cut to " + std::to_string(length) + ": " + name_of(reason));
      }
      if (length < ethernet::kHeaderBytes) CHECK(reason == DropReason::runt);
      ++check::checks;
    }
  }
}

// What every later stage relies on.
void check_invariants(const golden::Packet& packet, const Exact& exact, size_t length) {
  const Frame& frame = exact.frame;
  const uint8_t* data = exact.data.get();
  bool good = frame.length <= length && frame.l3 <= frame.length && frame.l4 <= frame.length &&
              (frame.l3 == 14 || frame.l3 == 18);
  const uint32_t rest = frame.l4 == 0 ? 0 : frame.length - frame.l4;
  if (frame.version == 4) {
    good = good && ipv4::is_whole(data + frame.l3, frame.length - frame.l3) &&
           ipv4::total_length(data + frame.l3) + frame.l3 == frame.length;
  } else if (frame.version == 6) {
    good = good && ipv6::is_whole(data + frame.l3, frame.length - frame.l3) &&
           ipv6::total_length(data + frame.l3) + frame.l3 == frame.length;
  } else {
    good = good && frame.version == 0 && frame.l4 == 0 &&
           arp::is_whole(data + frame.l3, frame.length - frame.l3);
  }
  good = good && ((frame.flags & kLaterFragment) != 0 || frame.version == 0) == (frame.l4 == 0);
  if (frame.l4 != 0) {
    if (frame.protocol == protocol::kTcp) good = good && tcp::is_whole(data + frame.l4, rest);
    if (frame.protocol == protocol::kEsp) good = good && esp::is_whole(rest);
    if (frame.protocol == protocol::kUdp) {
      good = good && ((frame.flags & kFirstFragment) != 0 ? rest >= 8 : udp::is_whole(data + frame.l4, rest));
    }
  }
  ++check::checks;
  if (!good) check::fail(__FILE__, __LINE__, packet.name + ": invariants do not hold");
}

// Each byte in turn takes every value: so does every length field, and all bits around it.
void every_lying_byte() {
  for (const golden::Packet& packet : vectors()) {
    Exact exact(packet.bytes.data(), packet.bytes.size());
    const uint32_t l3 = packet.has("l3") ? static_cast<uint32_t>(packet.number("l3")) : 14;
    const bool v4 = packet.has("version") && packet.number("version") == 4;
    for (size_t at = 0; at < packet.bytes.size(); ++at) {
      for (unsigned value = 0; value < 256; ++value) {
        exact.data[at] = static_cast<uint8_t>(value);
        // With the header checksum made right, so that it does not hide the lie.
        const bool in_header = v4 && at >= l3 && at < l3 + 20 && (exact.data[l3] & 15) >= 5 &&
                               l3 + ipv4::header_bytes(exact.data.get() + l3) <= packet.bytes.size();
        if (in_header && at != l3 + 10 && at != l3 + 11) ipv4::set_checksum(exact.data.get() + l3);
        exact.frame = {};
        exact.frame.length = static_cast<uint16_t>(packet.bytes.size());
        if (exact.parse() == DropReason::kNone) {
          check_invariants(packet, exact, packet.bytes.size());
          nd::Message message;
          nd::read(exact.frame, exact.data.get(), message);
        }
        if (in_header)
          std::copy(packet.bytes.begin() + l3, packet.bytes.begin() + l3 + 20, exact.data.get() + l3);
        exact.data[at] = packet.bytes[at];
      }
    }
  }
}

// 16-bit length fields with the values that matter.
void lying_lengths_are_named() {
  for (const golden::Packet& packet : vectors()) {
    if (packet.drop() != "none" || packet.number("version") == 0) continue;
    const uint32_t l3 = static_cast<uint32_t>(packet.number("l3"));
    const bool v4 = packet.number("version") == 4;
    const uint32_t field = l3 + (v4 ? ipv4::kTotalLength : ipv6::kPayloadLength);
    const uint32_t there = static_cast<uint32_t>(packet.bytes.size()) - l3 - (v4 ? 0 : 40);
    for (const uint32_t length : {there + 1, 0xffffu}) {
      Exact exact(packet.bytes.data(), packet.bytes.size());
      store16(exact.data.get() + field, static_cast<uint16_t>(length));
      if (v4) ipv4::set_checksum(exact.data.get() + l3);
      CHECK_EQ(packet.name + name_of(exact.parse()), packet.name + (v4 ? "bad_ipv4" : "bad_ipv6"));
    }
  }
}

void decrypted_packets_are_trimmed() {
  for (const golden::Packet& packet : vectors()) {
    if (packet.drop() != "none" || packet.number("version") == 0) continue;
    const size_t l3 = packet.number("l3");
    golden::Bytes inner(packet.bytes.begin() + static_cast<long>(l3), packet.bytes.end());
    inner.resize(inner.size() + 9);  // RFC 4303 §2.7
    Exact exact(inner.data(), inner.size());
    exact.frame.flags = kDecrypted | kFirstFragment | kTagged;
    CHECK(parse_ip(exact.frame, exact.data.get()) == DropReason::kNone);
    CHECK_EQ(exact.frame.length + l3, packet.number("length"));
    CHECK_EQ(exact.frame.l4 == 0 ? 0 : exact.frame.l4 + l3, packet.number("l4"));
    CHECK((exact.frame.flags & (kDecrypted | kTagged)) == (kDecrypted | kTagged));
    CHECK_EQ((exact.frame.flags & kFirstFragment) != 0,
             packet.fields.at("flags").find("first-fragment") != std::string::npos);
  }
  Exact nothing(nullptr, 0);
  CHECK(parse_ip(nothing.frame, nothing.data.get()) == DropReason::runt);
  const uint8_t five[40] = {0x50};
  Exact unknown(five, sizeof five);
  CHECK(parse_ip(unknown.frame, unknown.data.get()) == DropReason::bad_next_header);
}

// RFC 1071 by the book: one big-endian word at a time.
uint16_t plain_checksum(const uint8_t* bytes, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i < length; ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

void checksums() {
  std::mt19937 random(1);
  uint8_t bytes[256];
  for (int round = 0; round < 20000; ++round) {
    const uint32_t length = random() % 200;
    const uint8_t fill = static_cast<uint8_t>(round % 3 == 0 ? 0xff : round % 3 == 1 ? 0 : 1);
    for (uint8_t& byte : bytes) byte = fill == 1 ? static_cast<uint8_t>(random()) : fill;
    uint8_t stored[2];
    checksum::store_raw(stored, checksum::finish(checksum::add_bytes(0, bytes, length)));
    CHECK_EQ(load16(stored), plain_checksum(bytes, length));

    // A packet with its checksum at 4 stays right under any change of another word.
    const uint32_t even = (length + 20) & ~1u;
    bytes[0] = 0x45;  // all zeroes would be no packet, and the two zeroes of one's complement differ there
    store16(bytes + 4, 0);
    store16(bytes + 4, plain_checksum(bytes, even));
    CHECK(checksum::verifies(0, bytes, even));
    const uint16_t before16 = load_raw<uint16_t>(bytes + 6);
    store16(bytes + 6, static_cast<uint16_t>(random() % 3 == 0 ? 0 : random()));
    checksum::update16(bytes + 4, before16, load_raw<uint16_t>(bytes + 6));
    CHECK(checksum::verifies(0, bytes, even));
    const uint32_t before32 = load_raw<uint32_t>(bytes + 12);
    store32(bytes + 12, round % 2 == 0 ? 0xffffffff : static_cast<uint32_t>(random()));
    checksum::update32(bytes + 4, before32, load_raw<uint32_t>(bytes + 12));
    CHECK(checksum::verifies(0, bytes, even));
    uint8_t before[8];
    std::copy(bytes + 8, bytes + 16, before);
    for (int i = 8; i < 16; ++i) bytes[i] = static_cast<uint8_t>(random());
    checksum::update_bytes(bytes + 4, before, bytes + 8, 8);
    CHECK(checksum::verifies(0, bytes, even));
  }
}

// RFC 1624 §4: where the older equation 2 gives 0xffff for 0x0000.
void checksum_of_rfc1624() {
  uint8_t header[2];
  store16(header, 0xdd2f);
  checksum::update16(header, __builtin_bswap16(0x5555), __builtin_bswap16(0x3285));
  CHECK_EQ(load16(header), 0x0000);
}

void ttl_and_lengths_keep_the_checksum() {
  const golden::Packet& packet = vectors()[0];
  Exact exact(packet.bytes.data(), packet.bytes.size());
  uint8_t* ip = exact.data.get() + 14;
  for (unsigned ttl = 61; ttl > 0; --ttl) {
    CHECK_EQ(ipv4::ttl(ip), ttl);
    ipv4::decrement_ttl(ip);
    CHECK(ipv4::checksum_verifies(ip));
    CHECK(checksum::ipv4_header_verifies(ip));
  }
  for (uint32_t length = 20; length < 65536; length += 97) {
    ipv4::set_total_length(ip, length);
    CHECK(ipv4::checksum_verifies(ip));
    CHECK_EQ(ipv4::total_length(ip), length);
  }
}

void addresses() {
  const uint8_t four[4] = {192, 0, 2, 1};
  const Address v4 = Address::v4(four);
  const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  CHECK(v4.is_v4());
  CHECK(std::memcmp(v4.bytes(), mapped, 16) == 0);
  CHECK(std::memcmp(v4.v4_bytes(), four, 4) == 0);
  CHECK(v4 == Address::v6(mapped));
  CHECK(!Address().is_v4());
  CHECK(Address().is_unspecified());
  const uint8_t six[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56, 0x78};
  const uint8_t group[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x34, 0x56, 0x78};
  CHECK(solicited_node(Address::v6(six)) == Address::v6(group));
  CHECK(Address::v6(group).is_multicast() && !Address::v6(six).is_multicast());
  uint8_t to[6];
  mac::from_ipv6_multicast(to, group);
  const uint8_t expected[6] = {0x33, 0x33, 0xff, 0x34, 0x56, 0x78};
  CHECK(mac::equal(to, expected));
  CHECK(mac::is_group(to) && !mac::is_station(to) && mac::is_station(mapped + 10) == false);
}

}  // namespace

int main() {
  RUN(golden_packets);
  RUN(every_truncated_length);
  RUN(every_lying_byte);
  RUN(lying_lengths_are_named);
  RUN(decrypted_packets_are_trimmed);
  RUN(checksums);
  RUN(checksum_of_rfc1624);
  RUN(ttl_and_lengths_keep_the_checksum);
  RUN(addresses);
  FINISH();
}
