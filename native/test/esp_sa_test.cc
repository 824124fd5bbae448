// SAs: options, lifetimes, what the control plane is told, traffic selectors, and what stays of a key.
#include <atomic>
#include <new>
#include <thread>

#include "esp_lab.h"
#include "packet/icmp.h"

using namespace lab;

namespace {

TrafficSelector selector(const std::string& local, unsigned local_length, const std::string& remote,
                         unsigned remote_length) {
  TrafficSelector result;
  result.local = address(local);
  result.remote = address(remote);
  const unsigned more = result.local.is_v4() ? 96 : 0;
  result.local_length = static_cast<uint8_t>(local_length + more);
  result.remote_length = static_cast<uint8_t>(remote_length + more);
  return result;
}

// One seal of a 48-byte packet at that time; what became of it.
std::string seal(OutboundSa& sa, uint64_t now = 1, uint32_t payload = 20) {
  const Bytes inner = inner4(payload);
  Room room(inner);
  return name(seal_one(sa, room, static_cast<uint32_t>(inner.size()), now).drop);
}

template <typename Change>
std::string outbound_error(Change change) {
  const Bytes key = key_and_salt();
  OutboundSaOptions options = outbound(key);
  change(options);
  OutboundSa sa;
  const std::string error = sa.init(options);
  if (!error.empty()) CHECK_EQ(seal(sa), std::string("no_sa"));
  return error;
}
template <typename Change>
std::string inbound_error(Change change) {
  const Bytes key = key_and_salt();
  InboundSaOptions options = inbound(key);
  change(options);
  InboundSa sa;
  return sa.init(options);
}
bool names(const std::string& error, const char* option) {
  return error.find(option) != std::string::npos;
}

void wrong_options_are_refused() {
  CHECK_EQ(outbound_error([](OutboundSaOptions&) {}), std::string());
  CHECK_EQ(inbound_error([](InboundSaOptions&) {}), std::string());
  CHECK(names(outbound_error([](auto& o) { o.spi = 0; }), "spi"));
  CHECK(names(outbound_error([](auto& o) { o.spi = 255; }), "spi"));
  CHECK(names(outbound_error([](auto& o) { o.key = nullptr; }), "key"));
  for (const uint32_t bytes : {0u, 16u, 19u, 24u, 28u, 32u, 35u}) {
    CHECK(names(outbound_error([&](auto& o) { o.key_bytes = bytes; }), "key"));
    CHECK(names(inbound_error([&](auto& o) { o.key_bytes = bytes; }), "key"));
  }
  CHECK(names(outbound_error([](auto& o) { o.source = address("2001:db8::1"); }), "families"));
  CHECK(names(outbound_error([](auto& o) { o.node_id = 0; }), "node-id"));
  CHECK(names(outbound_error([](auto& o) { o.node_id = 16; }), "node-id"));
  CHECK(names(outbound_error([](auto& o) { o.epoch = 4096; }), "epoch"));
  CHECK(names(outbound_error([](auto& o) { o.first_counter = 1ull << 48; }), "counter"));
  CHECK(names(outbound_error([](auto& o) { o.next_sequence = 0; }), "sequence"));
  CHECK(names(outbound_error([](auto& o) { o.next_sequence = (1ull << 32) + 1; }), "sequence"));
  CHECK(names(outbound_error([](auto& o) { o.dscp = 64; }), "dscp"));
  CHECK(names(outbound_error([](auto& o) { o.dscp = -2; }), "dscp"));
  CHECK(names(outbound_error([](auto& o) { o.rekey_at_percent = 0; }), "rekey"));
  CHECK(names(outbound_error([](auto& o) { o.rekey_at_percent = 101; }), "rekey"));
  CHECK(names(outbound_error([](auto& o) { o.ttl = 0; }), "ttl"));
  for (const uint32_t window : {1u, 32u, 63u, 65u, 500u, 4095u, 16384u}) {
    CHECK(names(inbound_error([&](auto& o) { o.replay_window = window; }), "window"));
  }
  for (const uint32_t window : {0u, 64u, 512u, 8192u}) {
    CHECK_EQ(inbound_error([&](auto& o) { o.replay_window = window; }), std::string());
  }
  CHECK(names(inbound_error([](auto& o) { o.highest_sequence = 1ull << 32; }), "sequence"));
  CHECK(names(inbound_error([](auto& o) { o.lifetime.soft_packets = 2, o.lifetime.hard_packets = 1; }),
              "lifetime"));
  const auto with = [](TrafficSelector wrong) {
    return inbound_error([&](auto& o) { o.selectors = {wrong}; });
  };
  CHECK(names(with(selector("10.0.0.0", 8, "2001:db8::", 32)), "selectors"));
  CHECK(names(with(selector("10.0.0.0", 33, "10.0.0.0", 8)), "selectors"));
  TrafficSelector ports = selector("10.0.0.0", 8, "10.0.0.0", 8);
  ports.local_port_high = 80;
  CHECK(names(with(ports), "ports"));  // of which protocol?
  ports.protocol = protocol::kUdp;
  CHECK_EQ(with(ports), std::string());
  ports.local_port_low = 81;
  CHECK(names(with(ports), "ports"));
}

void an_sa_never_initialised_does_nothing() {
  OutboundSa out;
  CHECK_EQ(seal(out), std::string("no_sa"));
  InboundSa in;
  const Bytes key = key_and_salt();
  Bytes packet = craft(key, 0x1001, 1, false, text_of(inner4(20), 4));
  CHECK_EQ(std::string(name(open_one(in, packet).drop)), std::string("no_sa"));
}

void lifetime_in_packets() {
  const Bytes key = key_and_salt();
  OutboundSaOptions options = outbound(key);
  options.lifetime.soft_packets = 3;
  options.lifetime.hard_packets = 5;
  OutboundSa sa;
  CHECK_EQ(sa.init(options), std::string());
  for (int packet = 1; packet <= 8; ++packet) {
    CHECK_EQ(seal(sa), std::string(packet <= 5 ? "pass" : "lifetime"));
    CHECK_EQ(sa.rekey_wanted(), packet >= 3);
    CHECK_EQ(sa.expired(), packet >= 6);
  }
  CHECK_EQ(sa.use.packets, uint64_t{5});
  CHECK_EQ(sa.drops.lifetime, uint64_t{3});
  CHECK_EQ(sa.next_sequence, uint64_t{6});
}

void lifetime_in_kilobytes() {
  const Bytes key = key_and_salt();
  OutboundSaOptions options = outbound(key);
  options.lifetime.soft_kilobytes = 1;
  options.lifetime.hard_kilobytes = 2;
  OutboundSa sa;
  CHECK_EQ(sa.init(options), std::string());
  // 1,000 bytes of IPv4 a packet
  CHECK_EQ(seal(sa, 1, 972), std::string("pass"));
  CHECK(!sa.rekey_wanted());
  CHECK_EQ(seal(sa, 1, 972), std::string("pass"));
  CHECK_EQ(sa.events, uint32_t{kSoftKilobytes});
  CHECK_EQ(seal(sa, 1, 972), std::string("lifetime"));
  CHECK_EQ(seal(sa, 1, 20), std::string("pass"));  // to the last byte: 2,048
  CHECK_EQ(seal(sa, 1, 0), std::string("lifetime"));
  CHECK_EQ(sa.use.bytes, uint64_t{2048});
}

void lifetime_in_seconds() {
  constexpr uint64_t kSecond = 1'000'000'000;
  for (const uint64_t created : {uint64_t{0}, 50 * kSecond}) {
    const Bytes key = key_and_salt();
    OutboundSaOptions options = outbound(key);
    options.lifetime.soft_seconds = 10;
    options.lifetime.hard_seconds = 20;
    options.created_ns = created;
    OutboundSa sa;
    CHECK_EQ(sa.init(options), std::string());
    const uint64_t start = created == 0 ? 55 * kSecond : created;
    CHECK_EQ(seal(sa, 55 * kSecond), std::string("pass"));
    CHECK_EQ(seal(sa, start + 10 * kSecond - 1), std::string("pass"));
    CHECK(!sa.rekey_wanted());
    CHECK_EQ(seal(sa, start + 10 * kSecond), std::string("pass"));
    CHECK_EQ(sa.events, uint32_t{kSoftSeconds});
    CHECK_EQ(seal(sa, start + 20 * kSecond - 1), std::string("pass"));
    CHECK_EQ(seal(sa, start + 20 * kSecond), std::string("lifetime"));
    CHECK(sa.expired());
  }
}

void inbound_lifetimes() {
  const Bytes key = key_and_salt();
  InboundSaOptions options = inbound(key);
  options.lifetime.soft_packets = 2;
  options.lifetime.hard_packets = 4;
  InboundSa sa;
  CHECK_EQ(sa.init(options), std::string());
  // All in one burst: what was counted during it counts.
  std::vector<Bytes> packets;
  OpenItem items[6] = {};
  for (uint64_t i = 0; i < 6; ++i)
    packets.push_back(craft(key, 0x1001, i + 1, false, text_of(inner4(20), 4)));
  for (size_t i = 0; i < 6; ++i) {
    items[i].sa = &sa;
    items[i].esp = packets[i].data();
    items[i].length = static_cast<uint32_t>(packets[i].size());
  }
  esp_open(items, 6, 1);
  for (size_t i = 0; i < 6; ++i) {
    CHECK_EQ(std::string(name(items[i].drop)), std::string(i < 4 ? "pass" : "lifetime"));
  }
  CHECK(sa.rekey_wanted());
  CHECK(sa.expired());
  CHECK_EQ(sa.drops.lifetime, uint64_t{2});
  // Spent: dropped before any cryptography, so that the text stays as it came.
  Bytes late = craft(key, 0x1001, 50, false, text_of(inner4(20), 4));
  const Bytes before = late;
  CHECK_EQ(std::string(name(open_one(sa, late).drop)), std::string("lifetime"));
  CHECK(late == before);
}

void a_rekey_is_asked_for_early() {
  const Bytes key = key_and_salt();
  OutboundSaOptions options = outbound(key);
  options.next_sequence = 0xffffffffull / 10 * 9 - 1;
  OutboundSa sa;
  CHECK_EQ(sa.init(options), std::string());
  while (!sa.rekey_wanted()) CHECK_EQ(seal(sa), std::string("pass"));
  CHECK_EQ(sa.events, uint32_t{kSequenceLow});
  const auto percent = static_cast<double>(sa.next_sequence) / static_cast<double>(0xffffffff) * 100;
  CHECK(percent > 89.999999 && percent < 90.000001);

  options.next_sequence = 1;
  options.rekey_at_percent = 50;
  options.first_counter = (esp::kLastIvCounter / 2) - 2;
  OutboundSa other;
  CHECK_EQ(other.init(options), std::string());
  CHECK_EQ(seal(other), std::string("pass"));
  CHECK(!other.rekey_wanted());
  for (int i = 0; i < 5; ++i) CHECK_EQ(seal(other), std::string("pass"));
  CHECK_EQ(other.events, uint32_t{kIvLow});
  CHECK(!other.expired());
}

// Whether a packet passes an SA with these selectors, out and in.
bool passes(const std::vector<TrafficSelector>& selectors, const Bytes& inner, bool out) {
  const Bytes key = key_and_salt();
  const auto next = static_cast<uint8_t>(inner[0] >> 4 == 4 ? protocol::kIpv4 : protocol::kIpv6);
  if (out) {
    OutboundSaOptions options = outbound(key);
    options.selectors = selectors;
    OutboundSa sa;
    CHECK_EQ(sa.init(options), std::string());
    Room room(inner);
    const SealItem item = seal_one(sa, room, static_cast<uint32_t>(inner.size()));
    CHECK(item.drop == DropReason::kNone || item.drop == DropReason::selector);
    CHECK_EQ(sa.drops.selector, uint64_t{item.drop != DropReason::kNone});
    CHECK_EQ(sa.use.packets, uint64_t{item.drop == DropReason::kNone});
    return item.drop == DropReason::kNone;
  }
  InboundSaOptions options = inbound(key);
  options.selectors = selectors;
  InboundSa sa;
  CHECK_EQ(sa.init(options), std::string());
  Bytes packet = craft(key, 0x1001, 1, false, text_of(inner, next));
  const OpenItem item = open_one(sa, packet);
  CHECK(item.drop == DropReason::kNone || item.drop == DropReason::selector);
  CHECK_EQ(sa.drops.selector, uint64_t{item.drop != DropReason::kNone});
  // Authenticated, so the window moved either way.
  CHECK_EQ(sa.highest_sequence(), uint64_t{1});
  return item.drop == DropReason::kNone;
}

// A pair: numbers from the gate on wait, and a takeover goes on in another epoch, never in one that was used.
void a_gate_and_a_takeover() {
  const uint8_t key[20] = {1, 2, 3};
  OutboundSaOptions options;
  options.spi = 0x1001;
  options.key = key;
  options.key_bytes = sizeof key;
  options.extended_sequence_number = true;
  options.source = Address::v4(key);
  options.destination = Address::v4(key + 4);
  options.node_id = 2;
  options.epoch = 5;
  options.gate = 0;
  OutboundSa sa;
  CHECK_EQ(sa.init(options), std::string());
  uint64_t sequence = 0, iv = 0;
  CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::not_sealing);
  // nothing was sealed in epoch 5 yet, so it may be this one
  CHECK(!sa.take_over(4, 1000));
  CHECK(!sa.take_over(esp::kLargestEpoch + 1, 1000));
  CHECK(sa.take_over(5, 1000));
  sa.arm(1004, 1002);
  for (uint64_t i = 0; i < 4; ++i) {
    CHECK_EQ(sa.asks, i < 3 ? 0u : 1u);
    CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::kNone);
    CHECK_EQ(sequence, 1000 + i);
    CHECK_EQ(iv, uint64_t{2} << 60 | uint64_t{5} << 48 | i);
  }
  for (int i = 0; i < 3; ++i) CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::sync_wait);
  CHECK_EQ(sa.drops.gate, uint64_t{4});
  CHECK(!sa.rekey_wanted());
  // an armed gate is moved by any thread, and seen at once
  sa.move_gate(1005, ~0ull);
  CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::kNone);
  CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::sync_wait);
  sa.move_gate(~0ull, ~0ull);
  for (int i = 0; i < 1000; ++i) CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::kNone);
  // armed again, it is looked at from the next packet on
  sa.arm(sequence + 1, ~0ull);
  CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::sync_wait);
  // epoch 5 was sealed in; and numbers do not go back
  CHECK(!sa.take_over(5, 9000));
  CHECK(!sa.take_over(6, 10));
  CHECK(sa.take_over(6, 9000));
  sa.arm(~0ull, ~0ull);
  CHECK(sa.reserve(100, 1, sequence, iv) == DropReason::kNone);
  CHECK_EQ(sequence, uint64_t{9000});
  CHECK_EQ(iv, uint64_t{2} << 60 | uint64_t{6} << 48);

  ReplayWindow window;
  window.init(128, 500, true);
  window.advance(510);
  CHECK(window.check(505));
  window.seen_up_to(300);  // less than what was seen here: nothing
  CHECK(window.check(505));
  window.seen_up_to(600);
  CHECK_EQ(window.top(), uint64_t{600});
  for (uint64_t number = 450; number <= 600; ++number) CHECK(!window.check(number));
  CHECK(window.check(601));
}

void prefixes_of_selectors() {
  for (unsigned length = 0; length <= 32; ++length) {
    // The last bit inside and the first outside the prefix.
    const uint32_t base = 0x0a010203;
    const auto at = [](uint32_t word) {
      return std::to_string(word >> 24) + "." + std::to_string(word >> 16 & 255) + "." +
             std::to_string(word >> 8 & 255) + "." + std::to_string(word & 255);
    };
    const std::vector<TrafficSelector> both = {selector(at(base), length, at(base), length)};
    CHECK(passes(both, inner4(9, 0, false, at(base), at(base)), true));
    if (length > 0) {
      const uint32_t wrong = base ^ 1u << (32 - length);
      CHECK(!passes(both, inner4(9, 0, false, at(wrong), at(base)), true));
      CHECK(!passes(both, inner4(9, 0, false, at(base), at(wrong)), true));
    }
    if (length < 32) CHECK(passes(both, inner4(9, 0, false, at(base ^ 1u << (31 - length)), at(base)), true));
  }
  for (unsigned length = 0; length <= 128; ++length) {
    Bytes base = inner6(9, 0, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6");
    const std::vector<TrafficSelector> both = {
        selector("2001:db8:1:2:3:4:5:6", length, "2001:db8:1:2:3:4:5:6", length)};
    const auto flipped = [&](uint32_t offset, unsigned bit) {
      Bytes packet = base;
      packet[offset + bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
      return packet;
    };
    CHECK(passes(both, base, false));
    if (length > 0) {
      CHECK(!passes(both, flipped(ipv6::kSource, length - 1), false));
      CHECK(!passes(both, flipped(ipv6::kDestination, length - 1), false));
    }
    if (length < 128) CHECK(passes(both, flipped(ipv6::kSource, length), false));
  }
}

void sides_of_selectors() {
  const std::vector<TrafficSelector> tunnel = {selector("10.1.0.0", 16, "10.2.0.0", 16)};
  const Bytes leaving = inner4(30, 0, false, "10.1.0.1", "10.2.0.1");
  const Bytes coming = inner4(30, 0, false, "10.2.0.1", "10.1.0.1");
  CHECK(passes(tunnel, leaving, true));
  CHECK(!passes(tunnel, coming, true));
  CHECK(passes(tunnel, coming, false));
  CHECK(!passes(tunnel, leaving, false));
  // Of the other family, even where the prefix is of length 0.
  CHECK(!passes({selector("0.0.0.0", 0, "0.0.0.0", 0)}, inner6(30), true));
  CHECK(!passes({selector("::", 0, "::", 0)}, leaving, true));
  CHECK(passes({selector("::", 0, "::", 0)}, inner6(30), true));
  // Several: the first, one in the middle, the last, none.
  const std::vector<TrafficSelector> many = {selector("10.3.0.0", 16, "0.0.0.0", 0),
                                             selector("::", 0, "::", 0),
                                             selector("10.1.0.0", 16, "10.2.0.0", 16)};
  CHECK(passes(many, leaving, true));
  CHECK(passes(many, inner6(5), true));
  CHECK(passes(many, inner4(5, 0, false, "10.3.1.1", "9.9.9.9"), true));
  CHECK(!passes(many, inner4(5, 0, false, "10.4.1.1", "10.2.0.1"), true));
  CHECK(passes(many, coming, false));
  CHECK(!passes(many, leaving, false));
}

void transports_of_selectors() {
  TrafficSelector dns = selector("10.1.0.0", 16, "10.2.0.0", 16);
  dns.protocol = protocol::kUdp;
  dns.local_port_low = 40000;
  dns.local_port_high = 40001;
  dns.remote_port_low = dns.remote_port_high = 53;
  const auto with_ports = [](uint16_t source, uint16_t destination) {
    Bytes packet = inner4(30);
    store16(packet.data() + 20, source);
    store16(packet.data() + 22, destination);
    return packet;
  };
  CHECK(passes({dns}, with_ports(40000, 53), true));
  CHECK(passes({dns}, with_ports(40001, 53), true));
  CHECK(!passes({dns}, with_ports(40002, 53), true));
  CHECK(!passes({dns}, with_ports(39999, 53), true));
  CHECK(!passes({dns}, with_ports(40000, 54), true));
  CHECK(!passes({dns}, with_ports(53, 40000), true));
  Bytes tcp = with_ports(40000, 53);
  tcp[ipv4::kProtocol] = protocol::kTcp;
  CHECK(!passes({dns}, tcp, true));
  Bytes reply = inner4(30, 0, false, "10.2.0.1", "10.1.0.1");
  store16(reply.data() + 20, 53);
  store16(reply.data() + 22, 40001);
  CHECK(passes({dns}, reply, false));
  store16(reply.data() + 22, 40002);
  CHECK(!passes({dns}, reply, false));

  // A later fragment shows no ports; of a selector without ports the protocol is enough.
  Bytes fragment = with_ports(40000, 53);
  store16(fragment.data() + ipv4::kFragmentWord, 100);
  CHECK(!passes({dns}, fragment, true));
  TrafficSelector udp_alone = selector("10.1.0.0", 16, "10.2.0.0", 16);
  udp_alone.protocol = protocol::kUdp;
  CHECK(passes({udp_alone}, fragment, true));
  CHECK(!passes({udp_alone}, tcp, true));
  // Too short to have ports.
  Bytes stub = inner4(0);
  stub.resize(22);
  ipv4::set_total_length(stub.data(), 22);
  CHECK(!passes({dns}, stub, true));

  // ICMP: type and code are one number.
  TrafficSelector echo = selector("10.1.0.0", 16, "10.2.0.0", 16);
  echo.protocol = protocol::kIcmp;
  echo.local_port_low = echo.remote_port_low = 8 << 8;
  echo.local_port_high = echo.remote_port_high = 8 << 8;
  Bytes ping = inner4(30);
  ping[ipv4::kProtocol] = protocol::kIcmp;
  ping[20] = 8;
  ping[21] = 0;
  CHECK(passes({echo}, ping, true));
  ping[21] = 1;
  CHECK(!passes({echo}, ping, true));
  ping[20] = 0;
  CHECK(!passes({echo}, ping, true));

  // IPv6: behind extension headers.
  TrafficSelector web = selector("2001:db8:a::", 48, "2001:db8:b::", 48);
  web.protocol = protocol::kUdp;
  web.remote_port_low = web.remote_port_high = 53;
  Bytes plain = inner6(30);
  CHECK(passes({web}, plain, true));
  Bytes extended = plain;
  const uint8_t options[8] = {protocol::kUdp, 0, 1, 4, 0, 0, 0, 0};
  extended.insert(extended.begin() + 40, options, options + 8);
  extended[ipv6::kNextHeader] = protocol::kDestinationOptions;
  ipv6::set_payload_length(extended.data(), static_cast<uint32_t>(extended.size() - 40));
  CHECK(passes({web}, extended, true));
  store16(extended.data() + 48 + 2, 54);
  CHECK(!passes({web}, extended, true));
  extended[41] = 200;  // the extension header lies about its length
  CHECK(!passes({web}, extended, true));
}

bool contains(const void* memory, size_t bytes, const Bytes& wanted) {
  const auto* from = static_cast<const uint8_t*>(memory);
  for (size_t i = 0; i + wanted.size() <= bytes; ++i) {
    if (std::memcmp(from + i, wanted.data(), wanted.size()) == 0) return true;
  }
  return false;
}

void keys_are_zeroised() {
  const Bytes key = key_and_salt(32);
  const Bytes aes(key.begin(), key.begin() + 16);
  const Bytes salt(key.end() - 4, key.end());
  // In memory of our own, so that it can be looked at afterwards.
  alignas(64) static uint8_t memory[sizeof(OutboundSa) + sizeof(InboundSa)];
  auto* out = new (memory) OutboundSa();
  CHECK_EQ(out->init(outbound(key)), std::string());
  CHECK(contains(memory, sizeof(OutboundSa), aes));
  CHECK(contains(memory, sizeof(OutboundSa), salt));
  out->~OutboundSa();
  CHECK(!contains(memory, sizeof(OutboundSa), aes));
  CHECK(!contains(memory, sizeof(OutboundSa), salt));
  auto* in = new (memory) InboundSa();
  CHECK_EQ(in->init(inbound(key)), std::string());
  CHECK(contains(memory, sizeof(InboundSa), aes));
  in->~InboundSa();
  CHECK(!contains(memory, sizeof(InboundSa), aes));
  CHECK(!contains(memory, sizeof(InboundSa), salt));
}

void three_lines_and_the_key() {
  // What a packet touches besides its share of the key: see sa.h.
  OutboundSa out;
  CHECK_EQ(static_cast<size_t>(reinterpret_cast<uint8_t*>(&out.key) - reinterpret_cast<uint8_t*>(&out)),
           size_t{192});
  InboundSa in;
  CHECK_EQ(static_cast<size_t>(reinterpret_cast<uint8_t*>(&in.key) - reinterpret_cast<uint8_t*>(&in)),
           size_t{192});
}

// The control plane looks at an SA while its worker uses it; a thread sanitizer has the last word.
void read_while_in_use() {
  const Bytes key = key_and_salt();
  OutboundSa out;
  OutboundSaOptions options = outbound(key);
  options.lifetime.soft_packets = 100;
  CHECK_EQ(out.init(options), std::string());
  InboundSa in;
  CHECK_EQ(in.init(inbound(key)), std::string());
  std::atomic<bool> done = false;
  std::thread control([&] {
    uint64_t last = 0;
    while (!done) {
      out.set_mtu(out.rekey_wanted() ? 1400 : 1500);
      const uint64_t packets = out.use.packets;
      CHECK(packets >= last);
      last = packets;
      CHECK(in.highest_sequence() <= out.next_sequence);
      CHECK(!in.expired() && in.drops.replay == 0 && out.use.bytes < 1'000'000);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const Bytes inner = inner4(100);
    Room room(inner);
    SealItem sealed = seal_one(out, room, static_cast<uint32_t>(inner.size()));
    Bytes esp(sealed.packet - 16, sealed.outer + sealed.outer_length);
    const bool passed = open_one(in, esp).drop == DropReason::kNone;
    if (!passed) std::abort();
  }
  done = true;
  control.join();
  CHECK(out.rekey_wanted());
}

}  // namespace

int main() {
  RUN(wrong_options_are_refused);
  RUN(an_sa_never_initialised_does_nothing);
  RUN(lifetime_in_packets);
  RUN(lifetime_in_kilobytes);
  RUN(lifetime_in_seconds);
  RUN(inbound_lifetimes);
  RUN(a_rekey_is_asked_for_early);
  RUN(a_gate_and_a_takeover);
  RUN(prefixes_of_selectors);
  RUN(sides_of_selectors);
  RUN(transports_of_selectors);
  RUN(keys_are_zeroised);
  RUN(three_lines_and_the_key);
  RUN(read_while_in_use);
  FINISH();
}
