// What a node answers by itself: ARP, neighbour discovery, echo, ICMP errors; and IPv4 fragmentation.
#include <algorithm>
#include <random>

#include "check.h"
#include "golden.h"
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

constexpr uint8_t kOwnMac[6] = {2, 0, 0, 0, 0, 0x77};
constexpr uint8_t kMacA[6] = {2, 0, 0, 0, 0, 0x0a};

const golden::Packet& vector_of(const std::string& name) {
  static const auto packets = golden::read(std::string(PENSTOCK_VECTORS) + "/packets.txt");
  for (const auto& packet : packets) {
    if (packet.name == name) return packet;
  }
  std::fprintf(stderr, "no packet %s\n", name.c_str());
  std::exit(1);
}

// A frame in a pool, as a node has it.
struct Held {
  Held() : pool({256}), cache(pool, 0) { cache.allocate(&index, 1); }
  explicit Held(const golden::Bytes& bytes) : Held() { set(bytes); }
  void set(const golden::Bytes& bytes) {
    std::copy(bytes.begin(), bytes.end(), data());
    frame().length = static_cast<uint16_t>(bytes.size());
    reason = parse_ethernet(frame(), data());
  }
  Frame& frame() { return pool.frame(index); }
  uint8_t* data() { return pool.data(index); }
  uint8_t* ip() { return data() + frame().l3; }
  uint8_t* l4() { return data() + frame().l4; }
  uint32_t l4_length() { return static_cast<uint32_t>(frame().length - frame().l4); }
  golden::Bytes bytes() { return {data(), data() + frame().length}; }

  FramePool pool;
  FrameCache cache;
  FrameIndex index = 0;
  DropReason reason = DropReason::kNone;
};

bool icmp_verifies(Held& held) {
  const uint64_t pseudo =
      held.frame().version == 4 ? 0 : ipv6::pseudo_header(held.ip(), protocol::kIcmpv6, held.l4_length());
  return icmp::checksum_verifies(held.l4(), held.l4_length(), pseudo);
}

void arp_is_answered() {
  for (const char* name : {"arp-request", "arp-request-vlan"}) {
    Held held(vector_of(name).bytes);
    arp::answer(held.data(), held.frame().l3, kOwnMac);
    Held reply(held.bytes());
    CHECK(reply.reason == DropReason::kNone);
    CHECK(mac::equal(reply.data(), kMacA) && mac::equal(reply.data() + 6, kOwnMac));
    CHECK_EQ(arp::operation(reply.ip()), arp::kReply);
    CHECK(mac::equal(arp::sender_mac(reply.ip()), kOwnMac) && mac::equal(arp::target_mac(reply.ip()), kMacA));
    const uint8_t asked[4] = {192, 0, 2, 1}, asker[4] = {192, 0, 2, 10};
    CHECK(arp::sender_ip(reply.ip()) == Address::v4(asked));
    CHECK(arp::target_ip(reply.ip()) == Address::v4(asker));
    CHECK_EQ(reply.frame().l3, held.frame().l3);
  }
}

void arp_requests() {
  const uint8_t own[4] = {192, 0, 2, 10}, target[4] = {192, 0, 2, 1};
  uint8_t packet[64];
  const uint32_t length = arp::write_request(packet, 0, kMacA, Address::v4(own), Address::v4(target));
  CHECK(golden::Bytes(packet, packet + length) == vector_of("arp-request").bytes);
  const uint32_t tagged = arp::write_request(packet, 7, kMacA, Address::v4(own), Address::v4(target));
  CHECK(golden::Bytes(packet, packet + tagged) == vector_of("arp-request-vlan").bytes);

  Held gratuitous(golden::Bytes(packet, packet + arp::write_gratuitous(packet, 0, kMacA, Address::v4(own))));
  CHECK(gratuitous.reason == DropReason::kNone);
  CHECK(arp::sender_ip(gratuitous.ip()) == arp::target_ip(gratuitous.ip()));
  CHECK(!arp::is_probe(gratuitous.ip()));
  const uint8_t nobody[4] = {};
  const uint32_t probe_length =
      arp::write_request(packet, 0, kMacA, Address::v4(nobody), Address::v4(target));
  Held probe(golden::Bytes(packet, packet + probe_length));
  CHECK(probe.reason == DropReason::kNone);
  CHECK(arp::is_probe(probe.ip()));
}

Address link_local(uint8_t last) {
  const uint8_t bytes[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last};
  return Address::v6(bytes);
}

void nd_builders_make_the_golden_packets() {
  constexpr uint8_t kMacB[6] = {2, 0, 0, 0, 0, 0x0b};
  uint8_t packet[nd::kLargestBytes];
  uint32_t length = nd::write_solicitation(packet, 0, kMacA, link_local(0x0a), link_local(0x0b));
  CHECK(golden::Bytes(packet, packet + length) == vector_of("nd-solicitation").bytes);
  length = nd::write_solicitation(packet, 0, kMacA, Address(), link_local(0x0b));
  CHECK(golden::Bytes(packet, packet + length) == vector_of("nd-duplicate-address").bytes);
  length = nd::write_unsolicited(packet, 0, kMacB, link_local(0x0b), false);
  CHECK(golden::Bytes(packet, packet + length) == vector_of("nd-unsolicited").bytes);
  // To see whether a neighbour is still there: to it alone.
  Held probe(golden::Bytes(
      packet, packet + nd::write_solicitation(packet, 9, kMacA, link_local(0x0a), link_local(0x0b), kMacB)));
  nd::Message message;
  CHECK(nd::read(probe.frame(), probe.data(), message));
  CHECK(message.destination == link_local(0x0b) && mac::equal(probe.data(), kMacB));
  CHECK_EQ(probe.frame().flags & kTagged, kTagged);
}

void nd_is_answered() {
  constexpr uint8_t kMacB[6] = {2, 0, 0, 0, 0, 0x0b};
  Held held(vector_of("nd-solicitation").bytes);
  nd::Message message;
  CHECK(nd::read(held.frame(), held.data(), message));
  nd::answer(held.frame(), held.data(), message, kMacB, true);
  CHECK(held.bytes() == vector_of("nd-advertisement").bytes);

  // An asker without an address is answered to all nodes; the answer is longer than the question.
  held.set(vector_of("nd-duplicate-address").bytes);
  CHECK(nd::read(held.frame(), held.data(), message));
  nd::answer(held.frame(), held.data(), message, kMacB, false);
  CHECK(held.bytes() == vector_of("nd-unsolicited").bytes);

  // No link-layer option: back to where the frame came from.
  const auto& asked = vector_of("nd-solicitation").bytes;
  golden::Bytes bare(asked.begin(), asked.end() - 8);
  bare[19] = 24;
  const uint64_t pseudo = ipv6::pseudo_header(bare.data() + 14, protocol::kIcmpv6, 24);
  icmp::set_checksum(bare.data() + 54, 24, pseudo);
  held.set(bare);
  CHECK(nd::read(held.frame(), held.data(), message));
  CHECK(!message.has_link_layer);
  nd::answer(held.frame(), held.data(), message, kMacB, true);
  CHECK(held.bytes() == vector_of("nd-advertisement").bytes);
}

// RFC 4861 §7.1.1 and §7.1.2: each check, by a packet that fails it alone.
void nd_checks() {
  struct Lie {
    const char* packet;
    const char* what;
    std::vector<std::pair<size_t, uint8_t>> bytes;
    bool fix_checksum = true;
  };
  const Lie lies[] = {
      {"nd-solicitation", "hop limit", {{21, 254}}},
      {"nd-solicitation", "code", {{55, 1}}},
      {"nd-solicitation", "checksum", {{56, 0x5a}}, false},
      {"nd-solicitation", "target multicast", {{62, 0xff}}},
      {"nd-solicitation", "option length 0", {{79, 0}}},
      {"nd-solicitation", "option length 2", {{79, 2}}},
      {"nd-solicitation", "another option, longer than what is left", {{78, 14}, {79, 2}}},
      {"nd-solicitation", "group link-layer address", {{80, 1}}},
      {"nd-duplicate-address", "destination is not the target's group", {{53, 0x0c}}},
      {"nd-solicitation", "unspecified source with an option", {{22, 0}, {23, 0}, {37, 0}}},
      {"nd-unsolicited", "solicited to a group", {{58, 0x60}}},
      {"nd-advertisement",
       "target mapped IPv4",
       {{62, 0}, {63, 0}, {72, 0xff}, {73, 0xff}, {74, 192}, {75, 0}, {76, 2}, {77, 1}}},
  };
  for (const Lie& lie : lies) {
    golden::Bytes bytes = vector_of(lie.packet).bytes;
    for (const auto& [at, value] : lie.bytes) bytes[at] = value;
    const uint32_t length = static_cast<uint32_t>(bytes.size()) - 54;
    if (lie.fix_checksum) {
      icmp::set_checksum(bytes.data() + 54, length,
                         ipv6::pseudo_header(bytes.data() + 14, protocol::kIcmpv6, length));
    }
    Held held(bytes);
    CHECK(held.reason == DropReason::kNone);
    nd::Message message;
    ++check::checks;
    if (nd::read(held.frame(), held.data(), message)) check::fail(__FILE__, __LINE__, lie.what);
  }
}

// RFC 6980 §5: even in a fragment that is whole.
void nd_in_a_fragment_is_ignored() {
  golden::Bytes bytes = vector_of("nd-solicitation").bytes;
  const golden::Bytes header = {58, 0, 0, 0, 0, 0, 0, 1};
  bytes.insert(bytes.begin() + 54, header.begin(), header.end());
  bytes[19] = static_cast<uint8_t>(bytes[19] + 8);
  bytes[20] = protocol::kFragment;
  Held held(bytes);
  CHECK(held.reason == DropReason::kNone);
  CHECK_EQ(held.frame().protocol, protocol::kIcmpv6);
  nd::Message message;
  CHECK(!nd::read(held.frame(), held.data(), message));
  // A destination options header is no obstacle.
  const golden::Bytes options = {58, 0, 1, 4, 0, 0, 0, 0};
  std::copy(options.begin(), options.end(), bytes.begin() + 54);
  bytes[20] = protocol::kDestinationOptions;
  held.set(bytes);
  CHECK(nd::read(held.frame(), held.data(), message));
}

void echo_is_answered() {
  for (const char* name : {"ipv4-icmp-echo", "ipv6-icmp-echo"}) {
    Held held(vector_of(name).bytes);
    const golden::Bytes before = held.bytes();
    CHECK(icmp_echo::answer(held.frame(), held.data()) == DropReason::kNone);
    Held reply(held.bytes());
    CHECK(reply.reason == DropReason::kNone);
    CHECK(icmp_verifies(reply));
    const bool v4 = reply.frame().version == 4;
    CHECK_EQ(icmp::type(reply.l4()), v4 ? icmp::kEchoReply : icmpv6::kEchoReply);
    CHECK(mac::equal(reply.data(), kMacA));
    const uint32_t size = v4 ? 4 : 16, source = v4 ? ipv4::kSource : ipv6::kSource;
    CHECK(std::equal(before.begin() + 14 + source, before.begin() + 14 + source + size,
                     reply.ip() + source + size));
    CHECK(std::equal(before.begin() + 14 + source + size, before.begin() + 14 + source + 2 * size,
                     reply.ip() + source));
    CHECK(std::equal(before.begin() + reply.frame().l4 + 4, before.end(), reply.l4() + 4));
    CHECK_EQ(v4 ? ipv4::ttl(reply.ip()) : ipv6::hop_limit(reply.ip()), 64);
    CHECK(icmp_echo::answer(reply.frame(), reply.data()) ==
          DropReason::unsupported);  // a reply is not answered
  }
  Held udp(vector_of("ipv4-udp").bytes);
  CHECK(icmp_echo::answer(udp.frame(), udp.data()) == DropReason::unsupported);
}

// A source route or record route is not sent back: the reply has a plain header.
void echo_with_options_is_answered_without() {
  golden::Bytes bytes = vector_of("ipv4-icmp-echo").bytes;
  const golden::Bytes plain = bytes;
  const golden::Bytes options = {7, 7, 4, 0, 0, 0, 0, 1};
  bytes.insert(bytes.begin() + 34, options.begin(), options.end());
  bytes[14] = 0x47;
  bytes[17] = static_cast<uint8_t>(bytes[17] + 8);
  ipv4::set_checksum(bytes.data() + 14);
  Held with(bytes);
  Held without(plain);
  CHECK(with.reason == DropReason::kNone);
  CHECK(icmp_echo::answer(with.frame(), with.data()) == DropReason::kNone);
  CHECK(icmp_echo::answer(without.frame(), without.data()) == DropReason::kNone);
  CHECK(with.bytes() == without.bytes());
  CHECK_EQ(with.frame().l4, without.frame().l4);
}

void echo_that_is_not_answered() {
  golden::Bytes bytes = vector_of("ipv4-icmp-echo").bytes;
  bytes[40] ^= 1;
  Held broken(bytes);
  CHECK(icmp_echo::answer(broken.frame(), broken.data()) == DropReason::bad_l4);
  CHECK(broken.bytes() == bytes);
  bytes = vector_of("ipv4-icmp-echo").bytes;
  bytes[30] = 224;
  ipv4::set_checksum(bytes.data() + 14);
  Held multicast(bytes);
  CHECK(icmp_echo::answer(multicast.frame(), multicast.data()) == DropReason::unsupported);
  bytes = vector_of("ipv4-icmp-echo").bytes;
  bytes.resize(14 + 20 + 16);
  bytes[17] = 36;
  bytes[20] = 0x20;
  ipv4::set_checksum(bytes.data() + 14);
  Held fragment(bytes);
  CHECK(fragment.reason == DropReason::kNone);
  CHECK(icmp_echo::answer(fragment.frame(), fragment.data()) == DropReason::fragment);
}

Address own_v4() {
  const uint8_t bytes[4] = {192, 0, 2, 1};
  return Address::v4(bytes);
}
Address own_v6() {
  const uint8_t bytes[16] = {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return Address::v6(bytes);
}

void errors_quote_the_packet() {
  using icmp_error::Kind;
  struct Row {
    const char* packet;
    Kind kind;
    uint8_t type, code;
  };
  const Row rows[] = {
      {"ipv4-udp", Kind::kTooBig, 3, 4},
      {"ipv4-udp-vlan", Kind::kTtlExceeded, 11, 0},
      {"ipv4-tcp", Kind::kNoRoute, 3, 0},
      {"ipv4-esp", Kind::kAddressUnreachable, 3, 1},
      {"ipv4-icmp-echo", Kind::kProhibited, 3, 13},
      {"ipv4-first-fragment", Kind::kPortUnreachable, 3, 3},
      {"ipv6-udp", Kind::kTooBig, 2, 0},
      {"ipv6-udp-vlan", Kind::kTtlExceeded, 3, 0},
      {"ipv6-tcp", Kind::kNoRoute, 1, 0},
      {"ipv6-esp", Kind::kAddressUnreachable, 1, 3},
      {"ipv6-icmp-echo", Kind::kProhibited, 1, 1},
      {"ipv6-extensions", Kind::kPortUnreachable, 1, 4},
  };
  for (const Row& row : rows) {
    Held offender(vector_of(row.packet).bytes);
    FrameIndex index;
    offender.cache.allocate(&index, 1);
    Frame& out = offender.pool.frame(index);
    uint8_t* to = offender.pool.data(index);
    const bool v4 = offender.frame().version == 4;
    CHECK(icmp_error::write(out, to, offender.frame(), offender.data(), row.kind, v4 ? own_v4() : own_v6(),
                            1400));
    Held error(golden::Bytes(to, to + out.length));
    CHECK(error.reason == DropReason::kNone);
    CHECK(icmp_verifies(error));
    CHECK_EQ(error.frame().l4, out.l4);
    CHECK_EQ(error.frame().length, out.length);
    CHECK_EQ(error.frame().flags, out.flags);
    CHECK_EQ(icmp::type(error.l4()), row.type);
    CHECK_EQ(icmp::code(error.l4()), row.code);
    if (row.kind == Kind::kTooBig)
      CHECK_EQ(v4 ? icmp::next_hop_mtu(error.l4()) : icmpv6::mtu(error.l4()), 1400u);
    CHECK(mac::equal(error.data(), offender.data() + 6) && mac::equal(error.data() + 6, offender.data()));
    const uint32_t quoted = static_cast<uint32_t>(offender.frame().length - offender.frame().l3);
    CHECK_EQ(error.l4_length(), 8 + quoted);
    CHECK(std::equal(offender.ip(), offender.ip() + quoted, error.l4() + 8));
    offender.cache.free(index);
  }
}

void errors_are_bounded() {
  for (const bool v4 : {true, false}) {
    golden::Bytes bytes = vector_of(v4 ? "ipv4-udp" : "ipv6-udp").bytes;
    const uint32_t header = v4 ? 20 : 40;
    bytes.resize(14 + 1500);
    if (v4) {
      store16(bytes.data() + 16, 1500);
      ipv4::set_checksum(bytes.data() + 14);
    } else {
      store16(bytes.data() + 18, 1460);
    }
    store16(bytes.data() + 14 + header + 4, static_cast<uint16_t>(1500 - header));
    Held offender(bytes);
    CHECK(offender.reason == DropReason::kNone);
    Held error;
    CHECK(icmp_error::write(error.frame(), error.data(), offender.frame(), offender.data(),
                            icmp_error::Kind::kNoRoute, v4 ? own_v4() : own_v6()));
    CHECK_EQ(error.frame().length, 14 + (v4 ? 576 : 1280));
    CHECK(!icmp_error::write(error.frame(), error.data(), offender.frame(), offender.data(),
                             icmp_error::Kind::kNoRoute, v4 ? own_v6() : own_v4()));
  }
}

void errors_that_are_not_sent() {
  using icmp_error::Kind;
  const auto may = [](const golden::Bytes& bytes, Kind kind) {
    Held held(bytes);
    CHECK(held.reason == DropReason::kNone);
    return icmp_error::may_report(held.frame(), held.data(), kind);
  };
  const auto changed = [](const char* name, size_t at, uint8_t value) {
    golden::Bytes bytes = vector_of(name).bytes;
    bytes[at] = value;
    if (bytes[14] >> 4 == 4) ipv4::set_checksum(bytes.data() + 14);
    return bytes;
  };
  CHECK(may(vector_of("ipv4-udp").bytes, Kind::kNoRoute));
  CHECK(!may(vector_of("ipv4-icmp-too-big").bytes, Kind::kNoRoute));
  CHECK(!may(vector_of("ipv4-later-fragment").bytes, Kind::kNoRoute));
  CHECK(!may(vector_of("ipv6-later-fragment").bytes, Kind::kNoRoute));
  CHECK(!may(vector_of("ipv6-too-big").bytes, Kind::kNoRoute));
  CHECK(!may(changed("ipv6-icmp-echo", 54, icmpv6::kRedirect), Kind::kNoRoute));
  CHECK(!may(changed("ipv4-icmp-echo", 34, icmp::kRedirect), Kind::kNoRoute));
  CHECK(!may(changed("ipv4-udp", 30, 224), Kind::kNoRoute));             // to a group
  CHECK(!may(changed("ipv4-udp", 30, 255), Kind::kNoRoute));             // broadcast
  CHECK(!may(changed("ipv4-udp", 0, 3), Kind::kNoRoute));                // in a group's frame
  CHECK(!may(vector_of("nd-duplicate-address").bytes, Kind::kNoRoute));  // from nobody
  CHECK(!may(changed("ipv6-udp", 38, 0xff), Kind::kNoRoute));
  golden::Bytes nobody = vector_of("ipv6-udp").bytes;
  std::fill(nobody.begin() + 22, nobody.begin() + 38, uint8_t{0});
  CHECK(!may(nobody, Kind::kNoRoute));
  CHECK(may(changed("ipv6-udp", 38, 0xff), Kind::kTooBig));  // RFC 4443 §2.4(e.3)
  CHECK(!may(changed("ipv6-udp", 0, 3), Kind::kTtlExceeded));
  CHECK(may(changed("ipv6-udp", 0, 3), Kind::kTooBig));
  Held arp(vector_of("arp-request").bytes);
  CHECK(!icmp_error::may_report(arp.frame(), arp.data(), Kind::kNoRoute));
}

// A packet of `length` with options, of random content.
golden::Bytes big_packet(uint32_t length, const golden::Bytes& options, uint16_t fragment,
                         std::mt19937& random) {
  golden::Bytes bytes(14 + length);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  std::copy_n(vector_of("ipv4-udp").bytes.begin(), 34, bytes.begin());
  std::copy(options.begin(), options.end(), bytes.begin() + 34);
  const uint32_t header = 20 + static_cast<uint32_t>(options.size());
  bytes[14] = static_cast<uint8_t>(0x40 | header / 4);
  bytes[23] = protocol::kEsp;
  store16(bytes.data() + 16, static_cast<uint16_t>(length));
  store16(bytes.data() + 20, fragment);
  ipv4::set_checksum(bytes.data() + 14);
  return bytes;
}

void check_fragments(Held& held, const golden::Bytes& whole, uint32_t mtu, const golden::Bytes& copied) {
  const uint8_t* before = whole.data() + 14;
  const uint32_t header = ipv4::header_bytes(before);
  const uint32_t base = ipv4::fragment_offset_bytes(before);
  const bool more = (ipv4::fragment_word(before) & ipv4::kMoreFragments) != 0;
  const uint32_t free_before = held.cache.available();
  FrameIndex out[kMaximumFragments];
  const uint32_t count = fragment_ipv4(held.cache, held.index, mtu, out);
  CHECK(count > 0);
  CHECK_EQ(out[0], held.index);
  CHECK_EQ(held.cache.available(), free_before - (count - 1));
  golden::Bytes payload;
  for (uint32_t i = 0; i < count; ++i) {
    Frame& frame = held.pool.frame(out[i]);
    const uint8_t* data = held.pool.data(out[i]);
    Frame parsed = frame;
    CHECK(parse_ethernet(parsed, data) == DropReason::kNone);
    CHECK_EQ(parsed.length, frame.length);
    CHECK_EQ(parsed.l4, frame.l4);
    CHECK_EQ(parsed.flags, frame.flags);
    const uint8_t* ip = data + 14;
    const uint32_t own = ipv4::header_bytes(ip);
    CHECK(ipv4::total_length(ip) <= mtu);
    CHECK_EQ(ipv4::fragment_offset_bytes(ip), base + payload.size());
    CHECK_EQ((ipv4::fragment_word(ip) & ipv4::kMoreFragments) != 0, i + 1 < count || more);
    CHECK_EQ(ipv4::identification(ip), ipv4::identification(before));
    CHECK(std::equal(whole.begin(), whole.begin() + 14, data));
    if (i == 0) {
      CHECK_EQ(own, header);
      CHECK(std::equal(before + 20, before + header, ip + 20));
    } else {
      CHECK(golden::Bytes(ip + 20, ip + own) == copied);
    }
    payload.insert(payload.end(), ip + own, ip + ipv4::total_length(ip));
  }
  CHECK(payload == golden::Bytes(whole.begin() + 14 + header, whole.end()));
  held.cache.free(out + 1, count - 1);
}

void fragments_make_the_packet_again() {
  std::mt19937 random(2);
  const golden::Bytes record_route = {7, 7, 4, 0, 0, 0, 0, 0};  // not copied
  const golden::Bytes both = {0x83, 7, 4, 9, 9, 9,
                              9,    1, 7, 3, 4, 0};  // loose source route is, record route not
  const golden::Bytes loose = {0x83, 7, 4, 9, 9, 9, 9, 0};
  const golden::Bytes lying = {0x83, 40, 4, 9};
  Held held;
  for (uint32_t round = 0; round < 3000; ++round) {
    const uint32_t length = 100 + random() % 3000;
    const uint32_t mtu = 128 + random() % 1400;
    const uint16_t fragment = round % 3 == 0 ? 0 : round % 3 == 1 ? 0x2000 | 100 : 100;
    const bool aligned = (fragment & 0x2000) != 0;
    const auto make = [&](const golden::Bytes& options) {
      const uint32_t header = 20 + static_cast<uint32_t>(options.size());
      return big_packet(aligned ? header + ((length - header) & ~7u) : length, options, fragment, random);
    };
    const auto run = [&](const golden::Bytes& options, const golden::Bytes& copied) {
      const golden::Bytes whole = make(options);
      held.set(whole);
      CHECK(held.reason == DropReason::kNone);
      check_fragments(held, whole, mtu, copied);
    };
    run({}, {});
    run(record_route, {});
    run(both, loose);
    run(lying, {});
  }
}

void packets_that_are_not_cut() {
  std::mt19937 random(3);
  FrameIndex out[kMaximumFragments];
  Held held(big_packet(1000, {}, 0x4000, random));
  const golden::Bytes before = held.bytes();
  CHECK_EQ(fragment_ipv4(held.cache, held.index, 999, out), 0u);  // DF
  CHECK_EQ(fragment_ipv4(held.cache, held.index, 1000, out), 1u);
  held.set(big_packet(1000, {}, 0, random));
  const golden::Bytes clear = held.bytes();
  CHECK_EQ(fragment_ipv4(held.cache, held.index, 67, out), 0u);
  CHECK_EQ(fragment_ipv4(held.cache, held.index, 1000, out), 1u);
  std::vector<FrameIndex> all(256);
  const uint32_t taken = held.cache.allocate(all.data(), held.cache.available() - 1);
  CHECK_EQ(fragment_ipv4(held.cache, held.index, 400, out), 0u);  // two frames wanted, one there
  CHECK(held.bytes() == clear);
  CHECK_EQ(held.cache.available(), 1u);
  held.cache.free(all.data(), taken);
  held.set(vector_of("ipv6-udp").bytes);
  CHECK_EQ(fragment_ipv4(held.cache, held.index, 68, out), 0u);
}

}  // namespace

int main() {
  RUN(arp_is_answered);
  RUN(arp_requests);
  RUN(nd_builders_make_the_golden_packets);
  RUN(nd_is_answered);
  RUN(nd_checks);
  RUN(nd_in_a_fragment_is_ignored);
  RUN(echo_is_answered);
  RUN(echo_with_options_is_answered_without);
  RUN(echo_that_is_not_answered);
  RUN(errors_quote_the_packet);
  RUN(errors_are_bounded);
  RUN(errors_that_are_not_sent);
  RUN(fragments_make_the_packet_again);
  RUN(packets_that_are_not_cut);
  FINISH();
}
