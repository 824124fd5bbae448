// The whole ESP path: packets of another implementation, RFC 4106's vectors, every combination there and
// back, and what must not come through.
#include <random>

#include "esp_lab.h"
#include "json.h"
#include "packet/checksum.h"

using namespace lab;

namespace {

// Packets that scapy and cryptography made: sealing gives the same bytes, opening the inner packet.
void golden_packets() {
  const json::Value file = json::read_file(PENSTOCK_VECTORS "/esp-golden.json");
  const std::vector<json::Value>& cases = file["cases"].items;
  CHECK_EQ(cases.size(), size_t{128});
  for (const json::Value& golden : cases) {
    const Bytes key = from_hex(golden["key"].text + golden["salt"].text);
    const Bytes inner = from_hex(golden["inner"].text);
    const Bytes outer = from_hex(golden["outerPacket"].text);
    const bool outer6 = golden["outer"].number == 6;
    const json::Value& ends = file[outer6 ? "outer6" : "outer4"];
    const std::string& df_bit = golden["dfBit"].text;
    const uint64_t sequence = std::stoull(golden["sequence"].text);

    OutboundSaOptions out = outbound(key, outer6);
    out.spi = golden["spi"].as<uint32_t>();
    out.source = address(ends.items[0].text);
    out.destination = address(ends.items[1].text);
    out.extended_sequence_number = golden["esn"].number != 0;
    out.udp = golden["udp"].number != 0;
    out.node_id = golden["nodeId"].as<uint8_t>();
    out.epoch = golden["epoch"].as<uint16_t>();
    out.first_counter = golden["counter"].as<uint64_t>();
    out.next_sequence = sequence;
    out.df_bit = df_bit == "copy" ? DfBit::kCopy : df_bit == "set" ? DfBit::kSet : DfBit::kClear;
    out.dscp = golden["dscp"].as<int>();
    OutboundSa sealing;
    CHECK_EQ(sealing.init(out), std::string());
    CHECK_EQ(sealing.outer_version(), uint8_t{static_cast<uint8_t>(outer6 ? 6 : 4)});
    CHECK_EQ(sealing.sealed_length(static_cast<uint32_t>(inner.size())), uint32_t(outer.size()));
    Room room(inner);
    const SealItem sealed = seal_one(sealing, room, static_cast<uint32_t>(inner.size()));
    if (sealed.drop != DropReason::kNone || outer_of(sealed) != outer) {
      check::fail(__FILE__, __LINE__, "sealed differently: " + golden["name"].text);
    }
    const bool df = outer6 || (outer[6] & 0x40) != 0;
    CHECK_EQ(sealed.dont_fragment, df);

    InboundSaOptions in = inbound(key);
    in.extended_sequence_number = out.extended_sequence_number;
    in.highest_sequence = sequence - 1;
    InboundSa opening;
    CHECK_EQ(opening.init(in), std::string());
    const size_t headers = (outer6 ? 40 : 20) + (out.udp ? 8 : 0);
    Bytes packet(outer.begin() + static_cast<long>(headers), outer.end());
    const OpenItem opened = open_one(opening, packet, outer6 ? ipv6::traffic_class(outer.data()) : outer[1]);
    if (opened.drop != DropReason::kNone || inner_of(opened) != inner) {
      check::fail(__FILE__, __LINE__, "opened differently: " + golden["name"].text);
    }
    CHECK_EQ(opened.next_header, uint8_t(inner[0] >> 4 == 4 ? 4 : 41));
  }
}

// Their next header is 1, so that all authenticate and none is a tunnel's; sealed as a tunnel's, all but the
// last byte of the text and the tag are the vectors'.
void rfc4106_vectors() {
  const json::Value file = json::read_file(PENSTOCK_VECTORS "/esp-rfc4106.json");
  CHECK_EQ(file["cases"].items.size(), size_t{14});
  int opened = 0;
  int sealed = 0;
  for (const json::Value& vector : file["cases"].items) {
    const Bytes key = from_hex(vector["key"].text + vector["salt"].text);
    const Bytes text = from_hex(vector["plaintext"].text);
    const Bytes ciphertext = from_hex(vector["ciphertext"].text);
    const Bytes tag = from_hex(vector["tag"].text);
    const bool extended = vector["esn"].number != 0;
    const uint64_t sequence = std::stoull(vector["seq"].text, nullptr, 16);
    InboundSaOptions in = inbound(key);
    in.extended_sequence_number = extended;
    in.highest_sequence = sequence - 1;
    InboundSa opening;
    if (key.size() == 28) {
      CHECK(opening.init(in).find("key") != std::string::npos);
      continue;
    }
    CHECK_EQ(opening.init(in), std::string());
    Bytes packet = from_hex(vector["spi"].text);
    packet.resize(8);
    store32(packet.data() + 4, static_cast<uint32_t>(sequence));
    for (const Bytes& part : {from_hex(vector["iv"].text), ciphertext, tag}) {
      packet.insert(packet.end(), part.begin(), part.end());
    }
    Bytes altered = packet;
    altered[20] ^= 0x10;
    CHECK(open_one(opening, altered).drop == DropReason::auth_failed);
    CHECK_EQ(opening.highest_sequence(), sequence - 1);
    CHECK(open_one(opening, packet).drop == DropReason::bad_next_header);
    CHECK_EQ(opening.highest_sequence(), sequence);
    CHECK(Bytes(packet.begin() + 16, packet.end() - 16) == text);
    ++opened;

    const uint64_t iv = load64(from_hex(vector["iv"].text).data());
    const uint32_t spi = load32(from_hex(vector["spi"].text).data());
    const uint32_t inner_length = load16(text.data() + 2);
    // Some count the padding as part of the packet.
    if (text[0] != 0x45 || ((inner_length + 5) & ~3u) != text.size() || iv >> 60 == 0 || spi < 256) continue;
    OutboundSaOptions out = outbound(key);
    out.spi = spi;
    out.extended_sequence_number = extended;
    out.next_sequence = sequence;
    out.node_id = static_cast<uint8_t>(iv >> 60);
    out.epoch = iv >> 48 & 0xfff;
    out.first_counter = iv & esp::kLastIvCounter;
    OutboundSa sealing;
    CHECK_EQ(sealing.init(out), std::string());
    Room room(Bytes(text.begin(), text.begin() + inner_length));
    const SealItem item = seal_one(sealing, room, inner_length);
    CHECK(item.drop == DropReason::kNone);
    Bytes expected = ciphertext;
    expected.back() ^= 1 ^ protocol::kIpv4;
    CHECK(Bytes(item.packet, item.outer + item.outer_length - kGcmTagBytes) == expected);
    ++sealed;
  }
  CHECK_EQ(opened, 13);
  CHECK_EQ(sealed, 5);
}

// Bursts of up to 64 packets of many SAs, every length to 1,400, there and back.
void there_and_back() {
  std::mt19937 random(3);
  for (unsigned combination = 0; combination < 32; ++combination) {
    const bool outer6 = combination & 1, extended = combination & 2, udp = combination & 4;
    const unsigned bits = combination & 8 ? 16 : 32;
    const uint32_t window = combination & 16 ? 64 : 1024;
    constexpr unsigned kSas = 5;
    OutboundSa out[kSas];
    InboundSa in[kSas];
    for (unsigned i = 0; i < kSas; ++i) {
      const Bytes key = key_and_salt(bits, static_cast<uint8_t>(i + combination));
      OutboundSaOptions o = outbound(key, outer6);
      o.extended_sequence_number = extended;
      o.udp = udp;
      o.mtu = 1600;
      o.next_sequence = extended ? 0xfffffff0 : 1;
      CHECK_EQ(out[i].init(o), std::string());
      InboundSaOptions p = inbound(key, window);
      p.extended_sequence_number = extended;
      p.highest_sequence = o.next_sequence - 1;
      CHECK_EQ(in[i].init(p), std::string());
    }
    for (uint32_t length = 0; length <= 1400;) {
      const unsigned count = 1 + random() % 64;
      std::vector<Bytes> inner;
      std::vector<std::unique_ptr<Room>> rooms;
      std::vector<SealItem> seals(count);
      for (unsigned i = 0; i < count; ++i) {
        inner.push_back(random() % 2 ? inner4(length % 1401) : inner6(length % 1401));
        ++length;
        rooms.push_back(std::make_unique<Room>(inner.back()));
        seals[i].sa = &out[random() % kSas];
        seals[i].packet = rooms.back()->packet();
        seals[i].length = static_cast<uint32_t>(inner.back().size());
      }
      esp_seal(seals.data(), count, 1);
      std::vector<OpenItem> opens(count);
      for (unsigned i = 0; i < count; ++i) {
        CHECK(seals[i].drop == DropReason::kNone);
        const uint8_t* outer = seals[i].outer;
        const uint32_t ip = outer6 ? 40 : 20;
        if (outer6) {
          CHECK(ipv6::is_whole(outer, seals[i].outer_length));
          CHECK_EQ(ipv6::total_length(outer), seals[i].outer_length);
        } else {
          CHECK(ipv4::checksum_verifies(outer));
          CHECK_EQ(ipv4::total_length(outer), seals[i].outer_length);
        }
        if (udp) {
          CHECK(udp::is_whole(outer + ip, seals[i].outer_length - ip));
          CHECK(esp::in_udp(outer + ip) == esp::InUdp::kEsp);
          if (outer6) {
            const uint32_t bytes = seals[i].outer_length - ip;
            CHECK(checksum::verifies(ipv6::pseudo_header(outer, protocol::kUdp, bytes), outer + ip, bytes));
          }
        }
        const uint32_t headers = ip + (udp ? 8 : 0);
        opens[i].sa = &in[seals[i].sa - out];
        opens[i].esp = seals[i].outer + headers;
        opens[i].length = seals[i].outer_length - headers;
      }
      esp_open(opens.data(), count, 1);
      for (unsigned i = 0; i < count; ++i) {
        CHECK(opens[i].drop == DropReason::kNone);
        CHECK(opens[i].inner == rooms[i]->packet());
        CHECK(inner_of(opens[i]) == inner[i]);
      }
    }
    for (unsigned i = 0; i < kSas; ++i) {
      CHECK_EQ(in[i].use.packets, out[i].use.packets);
      CHECK_EQ(in[i].use.bytes, out[i].use.bytes);
      CHECK_EQ(in[i].highest_sequence(), out[i].next_sequence - 1);
    }
  }
}

// RFC 6040 §4.2, figure 4; ECT(1) is 1, ECT(0) is 2, CE is 3.
void congestion_marks() {
  constexpr int kDrop = -1;
  constexpr int kTable[4][4] = {
      {0, 0, 0, kDrop},  // inner Not-ECT; outer Not-ECT, ECT(1), ECT(0), CE
      {1, 1, 1, 3},
      {2, 1, 2, 3},
      {3, 3, 3, 3},
  };
  const Bytes key = key_and_salt();
  for (const bool v6 : {false, true}) {
    for (unsigned inner_ecn = 0; inner_ecn < 4; ++inner_ecn) {
      for (unsigned outer_ecn = 0; outer_ecn < 4; ++outer_ecn) {
        for (const bool copy_dscp : {false, true}) {
          const auto tos = static_cast<uint8_t>(0x28 << 2 | inner_ecn);
          const auto outer_tos = static_cast<uint8_t>(0x2e << 2 | outer_ecn);
          const Bytes inner = v6 ? inner6(20, tos) : inner4(20, tos);
          InboundSa sa;
          InboundSaOptions options = inbound(key);
          options.copy_outer_dscp = copy_dscp;
          CHECK_EQ(sa.init(options), std::string());
          Bytes packet = craft(key, 0x1001, 1, false, text_of(inner, v6 ? 41 : 4));
          const OpenItem item = open_one(sa, packet, outer_tos);
          if (kTable[inner_ecn][outer_ecn] == kDrop) {
            CHECK(item.drop == DropReason::ecn);
            continue;
          }
          CHECK(item.drop == DropReason::kNone);
          const auto expected = static_cast<uint8_t>((copy_dscp ? outer_tos & 0xfc : tos & 0xfc) |
                                                     kTable[inner_ecn][outer_ecn]);
          Bytes wanted = v6 ? inner6(20, expected) : inner4(20, expected);
          CHECK(inner_of(item) == wanted);
          if (!v6) CHECK(ipv4::checksum_verifies(item.inner));
        }
      }
    }
  }
}

// Copied when sealing (RFC 6040 §4.1), under a DSCP that is copied or fixed.
void sealing_copies_ecn() {
  const Bytes key = key_and_salt();
  for (const bool outer6 : {false, true}) {
    for (const int dscp : {-1, 0, 46}) {
      for (unsigned tos = 0; tos < 256; ++tos) {
        OutboundSa sa;
        OutboundSaOptions options = outbound(key, outer6);
        options.dscp = dscp;
        CHECK_EQ(sa.init(options), std::string());
        const Bytes inner = inner4(8, static_cast<uint8_t>(tos));
        Room room(inner);
        const SealItem item = seal_one(sa, room, static_cast<uint32_t>(inner.size()));
        const unsigned expected = dscp < 0 ? tos : static_cast<unsigned>(dscp) << 2 | (tos & 3);
        CHECK_EQ(unsigned{outer6 ? ipv6::traffic_class(item.outer) : ipv4::tos(item.outer)}, expected);
      }
    }
  }
}

void df_bit() {
  const Bytes key = key_and_salt();
  for (const DfBit mode : {DfBit::kCopy, DfBit::kSet, DfBit::kClear}) {
    for (unsigned kind = 0; kind < 3; ++kind) {
      OutboundSa sa;
      OutboundSaOptions options = outbound(key);
      options.df_bit = mode;
      CHECK_EQ(sa.init(options), std::string());
      const Bytes inner = kind == 2 ? inner6(8) : inner4(8, 0, kind == 1);
      Room room(inner);
      const SealItem item = seal_one(sa, room, static_cast<uint32_t>(inner.size()));
      const bool expected = mode == DfBit::kCopy ? kind != 0 : mode == DfBit::kSet;
      CHECK_EQ(item.dont_fragment, expected);
      CHECK_EQ(ipv4::fragment_word(item.outer), uint16_t(expected ? ipv4::kDontFragment : 0));
    }
  }
}

// What fits is what is said to fit, and what does not takes no number.
void too_big() {
  for (unsigned combination = 0; combination < 4; ++combination) {
    const Bytes key = key_and_salt();
    OutboundSaOptions options = outbound(key, combination & 1);
    options.udp = combination & 2;
    options.mtu = 1000;
    OutboundSa sa;
    CHECK_EQ(sa.init(options), std::string());
    for (uint16_t mtu = 0; mtu < 1100; ++mtu) {
      const uint32_t largest = sa.max_inner_length(mtu);
      if (largest != 0) CHECK(sa.sealed_length(largest) <= mtu);
      CHECK(sa.sealed_length(largest + 1) > mtu);
    }
    const uint32_t largest = sa.max_inner_length();
    const uint64_t iv = sa.next_counter;
    Room big(inner4(largest + 1 - 28));
    const Bytes before = big.bytes;
    CHECK(seal_one(sa, big, largest + 1).drop == DropReason::too_big);
    CHECK(big.bytes == before);
    CHECK_EQ(sa.next_counter, iv);
    CHECK_EQ(sa.next_sequence, uint64_t{1});
    CHECK_EQ(sa.drops.too_big, uint64_t{1});
    Room fitting(inner4(largest - 28));
    CHECK(seal_one(sa, fitting, largest).drop == DropReason::kNone);
    sa.set_mtu(1004);
    CHECK(seal_one(sa, big, largest + 1).drop == DropReason::kNone);
  }
}

std::string opened(const Bytes& text, InboundSa* with = nullptr) {
  const Bytes key = key_and_salt();
  InboundSa own;
  InboundSa& sa = with != nullptr ? *with : own;
  if (with == nullptr) CHECK_EQ(own.init(inbound(key)), std::string());
  Bytes packet = craft(key, 0x1001, 1, false, text);
  const OpenItem item = open_one(sa, packet);
  // It was authentic, so the window has moved whatever the text is.
  CHECK_EQ(sa.highest_sequence(), uint64_t{1});
  return name(item.drop);
}

void lies_under_the_tag() {
  const Bytes inner = inner4(22);  // 50 bytes: padding of 0
  CHECK_EQ(opened(text_of(inner, 4)), std::string("pass"));
  CHECK_EQ(opened(text_of(inner, 59)), std::string("dummy"));
  CHECK_EQ(opened(text_of(inner, 17)), std::string("bad_next_header"));
  CHECK_EQ(opened(text_of(inner, 0)), std::string("bad_next_header"));
  CHECK_EQ(opened(text_of(inner, 41)), std::string("bad_length"));  // is not IPv6 then
  CHECK_EQ(opened(text_of(inner6(20), 4)), std::string("bad_length"));
  CHECK_EQ(opened({0, 0, 0, 59}), std::string("dummy"));  // two bytes of nothing
}

void padding() {
  for (uint32_t payload = 0; payload < 4; ++payload) {
    const Bytes inner = inner4(payload);
    const Bytes good = text_of(inner, 4);
    CHECK_EQ(opened(good), std::string("pass"));
    const size_t pad = good[good.size() - 2];
    CHECK_EQ(pad, size_t{(2 - payload) & 3});
    for (size_t i = 0; i < pad; ++i) {
      Bytes bad = good;
      bad[inner.size() + i] ^= 1;
      CHECK_EQ(opened(bad), std::string("bad_padding"));
    }
  }
  // More than is needed is allowed (RFC 4303 §2.4), up to 255.
  for (const unsigned pad : {4u, 6u, 254u}) {
    Bytes text = inner4(pad == 254 ? 20 : 22 - pad % 4 + 0);
    while ((text.size() + pad + 2) % 4 != 0) text.push_back(0);
    const size_t inner = text.size();
    for (unsigned i = 1; i <= pad; ++i) text.push_back(static_cast<uint8_t>(i));
    text.push_back(static_cast<uint8_t>(pad));
    text.push_back(4);
    CHECK_EQ(opened(text), std::string("pass"));
    text[inner + pad / 2] ^= 0x80;
    CHECK_EQ(opened(text), std::string("bad_padding"));
  }
  // A pad length that reaches before the text.
  Bytes text = text_of(inner4(22), 4);
  for (const uint8_t pad : {uint8_t(text.size() - 1), uint8_t(text.size()), uint8_t{255}}) {
    Bytes lying = text;
    lying[lying.size() - 2] = pad;
    CHECK_EQ(opened(lying), std::string("bad_padding"));
  }
  // One that leaves no packet.
  Bytes all(62);
  for (uint8_t i = 0; i < 62; ++i) all[i] = static_cast<uint8_t>(i + 1);
  all.push_back(62);
  all.push_back(4);
  CHECK_EQ(opened(all), std::string("bad_length"));
}

void inner_lengths() {
  // Traffic flow confidentiality: more than the packet, of whatever bytes (RFC 4303 §2.7).
  for (const uint32_t extra : {1u, 2u, 100u, 1200u}) {
    const Bytes key = key_and_salt();
    for (const bool v6 : {false, true}) {
      const Bytes inner = v6 ? inner6(33) : inner4(33);
      InboundSa sa;
      CHECK_EQ(sa.init(inbound(key)), std::string());
      Bytes packet = craft(key, 0x1001, 1, false, text_of(inner, v6 ? 41 : 4, extra));
      const OpenItem item = open_one(sa, packet);
      CHECK(item.drop == DropReason::kNone);
      CHECK(inner_of(item) == inner);
      CHECK_EQ(sa.use.bytes, uint64_t{inner.size()});
    }
  }
  // The header says more than there is, less than itself, or is not there.
  Bytes inner = inner4(22);
  store16(inner.data() + 2, static_cast<uint16_t>(inner.size() + 1));
  CHECK_EQ(opened(text_of(inner, 4)), std::string("bad_length"));
  store16(inner.data() + 2, 19);
  CHECK_EQ(opened(text_of(inner, 4)), std::string("bad_length"));
  inner = inner4(22);
  inner[0] = 0x4f;  // 60 bytes of header
  CHECK_EQ(opened(text_of(inner, 4)), std::string("bad_length"));
  inner[0] = 0x44;
  CHECK_EQ(opened(text_of(inner, 4)), std::string("bad_length"));
  CHECK_EQ(opened(text_of(Bytes(inner.begin(), inner.begin() + 19), 4)), std::string("bad_length"));
  CHECK_EQ(opened(text_of({}, 4)), std::string("bad_length"));
  Bytes six = inner6(20);
  ipv6::set_payload_length(six.data(), 29);
  CHECK_EQ(opened(text_of(six, 41)), std::string("bad_length"));
  CHECK_EQ(opened(text_of(Bytes(six.begin(), six.begin() + 39), 41)), std::string("bad_length"));
}

// Every bit of a packet, one at a time: none passes, none moves the window, nothing of the text is left.
void every_bit_is_authenticated() {
  const Bytes key = key_and_salt(32);
  for (const bool extended : {false, true}) {
    InboundSa sa;
    InboundSaOptions options = inbound(key);
    options.extended_sequence_number = extended;
    options.highest_sequence = 1;
    CHECK_EQ(sa.init(options), std::string());
    const Bytes inner = inner4(22);
    const Bytes good = craft(key, 0x1001, 5, extended, text_of(inner, 4));
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      const OpenItem item = open_one(sa, bad);
      // A lower number is a replay (here) before it is a forgery.
      CHECK(item.drop == DropReason::auth_failed || item.drop == DropReason::replay);
      CHECK_EQ(sa.highest_sequence(), uint64_t{1});
      if (item.drop != DropReason::auth_failed) continue;
      for (size_t i = 16; i < bad.size() - 16; ++i) CHECK_EQ(bad[i], uint8_t{0});
    }
    Bytes packet = good;
    CHECK(open_one(sa, packet).drop == DropReason::kNone);
  }
}

// Good, forged, repeated and short packets of several SAs in one burst: each gets its own verdict.
void a_mixed_burst() {
  const Bytes key_a = key_and_salt(16, 1);
  const Bytes key_b = key_and_salt(32, 9);
  InboundSa a;
  InboundSa b;
  CHECK_EQ(a.init(inbound(key_a)), std::string());
  CHECK_EQ(b.init(inbound(key_b)), std::string());
  struct Entry {
    InboundSa* sa;
    Bytes packet;
    const char* expected;
  };
  std::vector<Entry> entries;
  const auto add = [&](bool is_a, uint64_t sequence, const Bytes& text, const char* expected) -> Bytes& {
    entries.push_back({is_a ? &a : &b, craft(is_a ? key_a : key_b, 0x1001, sequence, false, text), expected});
    return entries.back().packet;
  };
  add(true, 1, text_of(inner4(100), 4), "pass");
  add(false, 1, text_of(inner6(1000), 41), "pass");
  add(true, 1, text_of(inner4(100), 4), "replay");
  add(true, 2, text_of(inner4(0), 4), "auth_failed")[30] ^= 4;
  add(false, 2, text_of(inner4(10), 59), "dummy");
  add(true, 2, text_of(inner4(0), 4), "pass");
  add(false, 3, text_of(inner4(10), 4), "esp_runt").resize(20);
  add(false, 3, text_of(inner4(10), 4), "pass");
  entries.push_back({&b, craft(key_a, 0x1001, 9, false, text_of(inner4(10), 4)), "auth_failed"});
  add(false, 2, text_of(inner4(10), 4), "replay");
  std::vector<OpenItem> items;
  for (Entry& entry : entries) {
    OpenItem item = {};
    item.sa = entry.sa;
    item.esp = entry.packet.data();
    item.length = static_cast<uint32_t>(entry.packet.size());
    items.push_back(item);
  }
  esp_open(items.data(), static_cast<unsigned>(items.size()), 1);
  for (size_t i = 0; i < items.size(); ++i)
    CHECK_EQ(std::string(name(items[i].drop)), std::string(entries[i].expected));
  CHECK_EQ(a.highest_sequence(), uint64_t{2});
  CHECK_EQ(b.highest_sequence(), uint64_t{3});
  CHECK_EQ(a.drops.auth_failed, uint64_t{1});
  CHECK_EQ(b.drops.auth_failed, uint64_t{1});
  CHECK_EQ(b.drops.malformed, uint64_t{2});
  esp_open(nullptr, 0, 1);
  esp_seal(nullptr, 0, 1);
}

}  // namespace

int main() {
  RUN(golden_packets);
  RUN(rfc4106_vectors);
  RUN(there_and_back);
  RUN(congestion_marks);
  RUN(sealing_copies_ecn);
  RUN(df_bit);
  RUN(too_big);
  RUN(lies_under_the_tag);
  RUN(padding);
  RUN(inner_lengths);
  RUN(every_bit_is_authenticated);
  RUN(a_mixed_burst);
  FINISH();
}
