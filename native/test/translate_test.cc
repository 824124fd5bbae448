// Encapsulation, translation, and what ICMP errors quote: packets built by scapy before and after, byte for
// byte (test/vectors/forwarding.py).
#include "packet/translate.h"

#include <algorithm>
#include <random>

#include "check.h"
#include "golden.h"
#include "packet/encapsulate.h"
#include "packet/icmp.h"
#include "packet/ipv6.h"
#include "packet/parse.h"

using namespace penstock;

namespace {

Address address_of(const golden::Bytes& bytes) {
  return bytes.size() == 4 ? Address::v4(bytes.data()) : Address::v6(bytes.data());
}

// The frame as received, in a pool.
struct Held {
  Held() : pool({16}), cache(pool, 0) { cache.allocate(&index, 1); }
  explicit Held(const golden::Bytes& bytes) : Held() {
    std::copy(bytes.begin(), bytes.end(), data());
    frame().length = static_cast<uint16_t>(bytes.size());
    reason = parse_ethernet(frame(), data());
  }
  Frame& frame() { return pool.frame(index); }
  uint8_t* data() { return pool.data(index); }
  golden::Bytes ip() { return {data() + frame().l3, data() + frame().length}; }

  FramePool pool;
  FrameCache cache;
  FrameIndex index = 0;
  DropReason reason = DropReason::kNone;
};

const std::vector<golden::Packet>& vectors() {
  static const auto packets = golden::read(std::string(PENSTOCK_VECTORS) + "/forwarding.txt");
  return packets;
}

End end_of(const golden::Packet& packet) {
  return packet.fields.at("end") == "source" ? End::kSource : End::kDestination;
}
uint16_t port_of(const golden::Packet& packet) {
  return static_cast<uint16_t>(packet.number("port"));
}

void same(const golden::Packet& packet, Held& held) {
  const golden::Bytes after = packet.hex("after");
  const golden::Bytes made = held.ip();
  if (made != after) {
    size_t at = 0;
    while (at < std::min(made.size(), after.size()) && made[at] == after[at]) ++at;
    std::fprintf(stderr, "%s: %zu and %zu bytes, different from %zu on\n", packet.name.c_str(), made.size(),
                 after.size(), at);
  }
  CHECK(made == after);
}

// The description of a frame is what parsing the packet anew would give.
void described(Held& held) {
  Frame again = held.frame();
  again.flags = kDecrypted;
  Frame parsed = again;
  CHECK(parse_ip(parsed, held.data()) == DropReason::kNone);
  CHECK_EQ(parsed.l4, again.l4);
  CHECK_EQ(parsed.length, again.length);
  CHECK_EQ(parsed.protocol, again.protocol);
  CHECK_EQ(parsed.source_port, again.source_port);
  CHECK_EQ(parsed.destination_port, again.destination_port);
}

void packets_are_encapsulated() {
  uint32_t done = 0;
  for (const auto& packet : vectors()) {
    if (packet.fields.at("does") != "encapsulate") continue;
    Held held(packet.bytes);
    CHECK(held.reason == DropReason::kNone);
    Encapsulation with;
    with.kind = packet.fields.at("kind") == "gue" ? Encapsulation::Kind::kGue : Encapsulation::Kind::kIpIp;
    with.source = address_of(packet.hex("source"));
    with.destination = address_of(packet.hex("destination"));
    const uint32_t before = held.frame().length;
    encapsulate(held.frame(), held.data(), with, packet.number("flow"),
                static_cast<uint16_t>(packet.number("identification")));
    same(packet, held);
    described(held);
    CHECK_EQ(held.frame().length - before, encapsulation_bytes(with));
    CHECK_EQ((held.frame().flags & kDontFragment) != 0, packet.number("dont_fragment") != 0);
    ++done;
  }
  CHECK(done > 20);
}

void packets_are_translated() {
  uint32_t done = 0;
  for (const auto& packet : vectors()) {
    if (packet.fields.at("does") != "translate") continue;
    Held held(packet.bytes);
    CHECK(held.reason == DropReason::kNone);
    translate(held.frame(), held.data(), end_of(packet), address_of(packet.hex("address")), port_of(packet));
    same(packet, held);
    if ((held.frame().flags & (kFirstFragment | kLaterFragment)) == 0) described(held);
    ++done;
  }
  CHECK(done > 30);
}

void errors_are_translated_with_what_they_quote() {
  uint32_t done = 0;
  for (const auto& packet : vectors()) {
    if (packet.fields.at("does") != "translate-error") continue;
    Held held(packet.bytes);
    CHECK(held.reason == DropReason::kNone);
    CHECK((held.frame().flags & kIcmpError) != 0);
    const Address address = address_of(packet.hex("address"));
    Quoted quoted;
    CHECK(read_quoted(held.frame(), held.data(), quoted));
    CHECK(quoted.has_ports);
    // The end that is not the outer one's: what is quoted went the other way.
    const End outer = end_of(packet);
    const End inner = outer == End::kSource ? End::kDestination : End::kSource;
    translate_quoted(held.frame(), held.data(), quoted, inner, address, port_of(packet));
    translate(held.frame(), held.data(), outer, address, 0);
    same(packet, held);
    ++done;
  }
  CHECK(done > 30);
}

// A checksum that was wrong before is wrong after: damage is not covered up.
void damage_stays_damage() {
  std::mt19937 random(20261121);
  uint32_t done = 0;
  for (const auto& packet : vectors()) {
    if (packet.fields.at("does") != "translate") continue;
    Held held(packet.bytes);
    if (held.reason != DropReason::kNone || held.frame().l4 == 0 || held.frame().protocol != protocol::kTcp) {
      continue;
    }
    const uint32_t at = held.frame().l4 + 4 + random() % 4;  // in the sequence number
    held.data()[at] = static_cast<uint8_t>(held.data()[at] ^ 0x10);
    translate(held.frame(), held.data(), end_of(packet), address_of(packet.hex("address")), port_of(packet));
    const uint8_t* ip = held.data() + held.frame().l3;
    const uint32_t length = held.frame().length - held.frame().l4;
    const uint64_t pseudo = held.frame().version == 4 ? ipv4::pseudo_header(ip, protocol::kTcp, length)
                                                      : ipv6::pseudo_header(ip, protocol::kTcp, length);
    CHECK(!checksum::verifies(pseudo, held.data() + held.frame().l4, length));
    ++done;
  }
  CHECK(done > 5);
}

void what_is_quoted_may_end_anywhere() {
  for (const auto& packet : vectors()) {
    if (packet.fields.at("does") != "translate-error") continue;
    Held whole(packet.bytes);
    Quoted quoted;
    CHECK(read_quoted(whole.frame(), whole.data(), quoted));
    const uint32_t least = quoted.ip + quoted.l4 + 8;
    for (uint32_t length = whole.frame().l4 + 8; length < whole.frame().length; ++length) {
      Frame cut = whole.frame();
      cut.length = static_cast<uint16_t>(length);
      CHECK_EQ(read_quoted(cut, whole.data(), quoted), length >= least);
    }
  }
  CHECK(!is_translatable(protocol::kAh));
  CHECK(is_translatable(protocol::kTcp) && is_translatable(protocol::kUdp) &&
        is_translatable(protocol::kEsp));
}

}  // namespace

int main() {
  RUN(packets_are_encapsulated);
  RUN(packets_are_translated);
  RUN(errors_are_translated_with_what_they_quote);
  RUN(damage_stays_damage);
  RUN(what_is_quoted_may_end_anywhere);
  FINISH();
}
