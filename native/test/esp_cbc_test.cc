// ESP with AES-CBC and HMAC, the whole path: packets of another implementation, every length there and back,
// sizes, and what must not come through.
#include <algorithm>
#include <random>
#include <set>

#include "esp_lab.h"
#include "json.h"
#include "packet/checksum.h"

using namespace lab;

namespace {

constexpr EspAlgorithm kAll[] = {EspAlgorithm::kCbcHmacSha1_96, EspAlgorithm::kCbcHmacSha256_128,
                                 EspAlgorithm::kCbcHmacSha384_192, EspAlgorithm::kCbcHmacSha512_256};
constexpr uint32_t kMacBytes[] = {20, 32, 48, 64};
constexpr uint32_t kIcvBytes[] = {12, 16, 24, 32};

struct Keys {
  Keys(EspAlgorithm which, uint32_t aes_bytes = 32, uint8_t first = 1)
      : algorithm(which), index(static_cast<unsigned>(which) - 1), aes(aes_bytes), mac(kMacBytes[index]) {
    for (size_t i = 0; i < aes.size(); ++i) aes[i] = static_cast<uint8_t>(first + 11 * i);
    for (size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<uint8_t>(first + 17 * i);
  }
  template <typename Options>
  Options into(Options options) const {
    options.algorithm = algorithm;
    options.authentication_key = mac.data();
    options.authentication_key_bytes = static_cast<uint32_t>(mac.size());
    return options;
  }
  OutboundSaOptions out(bool outer6 = false) const { return into(outbound(aes, outer6)); }
  InboundSaOptions in(uint32_t window = 64) const { return into(inbound(aes, window)); }
  uint32_t icv() const { return kIcvBytes[index]; }

  EspAlgorithm algorithm;
  unsigned index;
  Bytes aes, mac;
};

// An ESP packet with this text (padding and trailer included), made without core/esp.
Bytes craft_cbc(const Keys& keys, uint64_t sequence, bool extended, const Bytes& text) {
  CbcHmacKey key;
  CHECK_EQ(
      key.init(true, keys.aes.data(), static_cast<uint32_t>(keys.aes.size()),
               static_cast<Integrity>(keys.index), keys.mac.data(), static_cast<uint32_t>(keys.mac.size())),
      std::string());
  Bytes packet(24 + text.size() + keys.icv());
  store32(packet.data(), 0x1001);
  store32(packet.data() + 4, static_cast<uint32_t>(sequence));
  for (size_t i = 8; i < 24; ++i) packet[i] = static_cast<uint8_t>(i * 29 + sequence);
  std::copy(text.begin(), text.end(), packet.begin() + 24);
  uint8_t high[4];
  store32(high, static_cast<uint32_t>(sequence >> 32));
  CHECK(key.seal(packet.data(), 8, static_cast<uint32_t>(text.size()), extended ? high : nullptr));
  return packet;
}

Bytes cbc_text_of(Bytes inner, uint8_t next_header, uint32_t more_blocks = 0) {
  auto pad = static_cast<uint8_t>(-(inner.size() + 2) & 15);
  pad = static_cast<uint8_t>(pad + 16 * more_blocks);  // RFC 4303 §2.4 allows up to 255
  for (unsigned i = 1; i <= pad; ++i) inner.push_back(static_cast<uint8_t>(i));
  inner.push_back(pad);
  inner.push_back(next_header);
  return inner;
}

void golden_packets() {
  const json::Value file = json::read_file(PENSTOCK_VECTORS "/esp-cbc-golden.json");
  const std::vector<json::Value>& cases = file["cases"].items;
  CHECK_EQ(cases.size(), size_t{192});
  static const std::string names[] = {"hmac-sha1-96", "hmac-sha-256-128", "hmac-sha-384", "hmac-sha-512"};
  for (const json::Value& golden : cases) {
    const Bytes inner = from_hex(golden["inner"].text);
    const Bytes outer = from_hex(golden["outerPacket"].text);
    const bool outer6 = golden["outer"].number == 6;
    const json::Value& ends = file[outer6 ? "outer6" : "outer4"];
    const std::string& df_bit = golden["dfBit"].text;
    const uint64_t sequence = std::stoull(golden["sequence"].text);
    const auto which = std::find(names, names + 4, golden["authentication"].text) - names;
    Keys keys(kAll[which]);
    keys.aes = from_hex(golden["key"].text);
    keys.mac = from_hex(golden["authenticationKey"].text);

    OutboundSaOptions out = keys.out(outer6);
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
    CHECK_EQ(sealing.sealed_length(static_cast<uint32_t>(inner.size())), uint32_t(outer.size()));
    Room room(inner);
    const SealItem sealed = seal_one(sealing, room, static_cast<uint32_t>(inner.size()));
    if (sealed.drop != DropReason::kNone || outer_of(sealed) != outer)
      check::fail(__FILE__, __LINE__, "sealed differently: " + golden["name"].text);

    InboundSaOptions in = keys.in();
    in.extended_sequence_number = out.extended_sequence_number;
    in.highest_sequence = sequence - 1;
    InboundSa opening;
    CHECK_EQ(opening.init(in), std::string());
    const size_t headers = (outer6 ? 40 : 20) + (out.udp ? 8 : 0);
    Bytes packet(outer.begin() + static_cast<long>(headers), outer.end());
    const OpenItem opened = open_one(opening, packet, outer6 ? ipv6::traffic_class(outer.data()) : outer[1]);
    if (opened.drop != DropReason::kNone || inner_of(opened) != inner)
      check::fail(__FILE__, __LINE__, "opened differently: " + golden["name"].text);
  }
}

// Every length to 2,048, in bursts that mix all algorithms, AES-GCM too.
void there_and_back() {
  std::mt19937 random(5);
  constexpr unsigned kSas = 9;
  for (unsigned combination = 0; combination < 8; ++combination) {
    const bool outer6 = combination & 1, extended = combination & 2, udp = combination & 4;
    OutboundSa out[kSas];
    InboundSa in[kSas];
    for (unsigned i = 0; i < kSas; ++i) {
      const Keys keys(kAll[i % 4], 16 + 8 * (i % 3), static_cast<uint8_t>(i + combination));
      const Bytes gcm = key_and_salt(16, static_cast<uint8_t>(combination));
      OutboundSaOptions o = i == 8 ? outbound(gcm, outer6) : keys.out(outer6);
      InboundSaOptions p = i == 8 ? inbound(gcm) : keys.in();
      o.extended_sequence_number = p.extended_sequence_number = extended;
      o.udp = udp;
      o.mtu = 2300;
      o.next_sequence = extended ? 0xfffffff0 : 1;
      p.highest_sequence = o.next_sequence - 1;
      CHECK_EQ(out[i].init(o), std::string());
      CHECK_EQ(in[i].init(p), std::string());
    }
    for (uint32_t length = 28; length <= 2048;) {
      const unsigned count = 1 + random() % 64;
      std::vector<Bytes> inner;
      std::vector<std::unique_ptr<Room>> rooms;
      std::vector<SealItem> seals(count);
      for (unsigned i = 0; i < count; ++i) {
        const uint32_t bytes = std::min(length++, 2048u);
        inner.push_back(bytes >= 48 && random() % 2 ? inner6(bytes - 48) : inner4(bytes - 28));
        rooms.push_back(std::make_unique<Room>(inner.back()));
        seals[i].sa = &out[random() % kSas];
        seals[i].packet = rooms.back()->packet();
        seals[i].length = bytes;
      }
      esp_seal(seals.data(), count, 1);
      std::vector<OpenItem> opens(count);
      for (unsigned i = 0; i < count; ++i) {
        CHECK(seals[i].drop == DropReason::kNone);
        CHECK_EQ(seals[i].outer_length, seals[i].sa->sealed_length(seals[i].length));
        const uint8_t* outer = seals[i].outer;
        const uint32_t ip = outer6 ? 40 : 20;
        if (!outer6) CHECK(ipv4::checksum_verifies(outer));
        if (udp && outer6) {
          const uint32_t bytes = seals[i].outer_length - ip;
          CHECK(checksum::verifies(ipv6::pseudo_header(outer, protocol::kUdp, bytes), outer + ip, bytes));
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
      CHECK_EQ(in[i].highest_sequence(), out[i].next_sequence - 1);
    }
  }
}

// What fits is what is said to fit, and what does not takes no number.
void too_big() {
  for (unsigned combination = 0; combination < 16; ++combination) {
    const Keys keys(kAll[combination >> 2]);
    OutboundSaOptions options = keys.out(combination & 1);
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
    Room big(inner4(largest + 1 - 28));
    const Bytes before = big.bytes;
    CHECK(seal_one(sa, big, largest + 1).drop == DropReason::too_big);
    CHECK(big.bytes == before);
    CHECK_EQ(sa.next_counter, uint64_t{0});
    Room fitting(inner4(largest - 28));
    CHECK(seal_one(sa, fitting, largest).drop == DropReason::kNone);
  }
}

// One byte changed, in every place and for every value of a bit; cut and longer ones: none passes, none moves
// the window, and the true one passes after all.
void forgeries() {
  for (const EspAlgorithm algorithm : kAll) {
    for (const bool extended : {false, true}) {
      const Keys keys(algorithm);
      const uint64_t sequence = extended ? (3ull << 32) + 9 : 9;
      InboundSaOptions options = keys.in();
      options.extended_sequence_number = extended;
      options.highest_sequence = sequence - 1;
      InboundSa sa;
      CHECK_EQ(sa.init(options), std::string());
      const Bytes good = craft_cbc(keys, sequence, extended, cbc_text_of(inner4(40), 4));
      for (size_t at = 4; at < good.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
          Bytes packet = good;
          packet[at] = static_cast<uint8_t>(packet[at] ^ 1u << bit);
          const DropReason drop = open_one(sa, packet).drop;
          CHECK(drop == DropReason::auth_failed || (at < 8 && drop == DropReason::replay));
        }
      }
      for (size_t length = 8; length < good.size() + 20; ++length) {
        if (length == good.size()) continue;
        Bytes packet = good;
        packet.resize(length);
        const DropReason drop = open_one(sa, packet).drop;
        const size_t around = 24 + keys.icv();
        CHECK(drop == (length < around + 2           ? DropReason::esp_runt
                       : (length - around) % 16 != 0 ? DropReason::bad_length
                                                     : DropReason::auth_failed));
      }
      CHECK_EQ(sa.highest_sequence(), sequence - 1);
      Bytes packet = good;
      CHECK(open_one(sa, packet).drop == DropReason::kNone);
      CHECK_EQ(sa.highest_sequence(), sequence);
      // The same number of another subspace: with ESN its high half is part of what is authenticated.
      if (extended) {
        Bytes other = craft_cbc(keys, sequence + (1ull << 32) + 1, extended, cbc_text_of(inner4(40), 4));
        CHECK(open_one(sa, other).drop == DropReason::auth_failed);
      }
    }
  }
}

void copies_in_one_burst() {
  const Keys keys(EspAlgorithm::kCbcHmacSha256_128);
  InboundSa sa;
  CHECK_EQ(sa.init(keys.in()), std::string());
  std::vector<Bytes> copies(8, craft_cbc(keys, 1, false, cbc_text_of(inner4(30), 4)));
  std::vector<OpenItem> items(copies.size());
  for (size_t i = 0; i < items.size(); ++i) {
    items[i].sa = &sa;
    items[i].esp = copies[i].data();
    items[i].length = static_cast<uint32_t>(copies[i].size());
  }
  esp_open(items.data(), static_cast<unsigned>(items.size()), 1);
  CHECK(items[0].drop == DropReason::kNone);
  for (size_t i = 1; i < items.size(); ++i) CHECK(items[i].drop == DropReason::replay);
}

std::string opened(const Bytes& text) {
  const Keys keys(EspAlgorithm::kCbcHmacSha256_128);
  InboundSa sa;
  CHECK_EQ(sa.init(keys.in()), std::string());
  Bytes packet = craft_cbc(keys, 1, false, text);
  const OpenItem item = open_one(sa, packet);
  CHECK_EQ(sa.highest_sequence(), uint64_t{1});
  return name(item.drop);
}

void lies_under_the_icv() {
  const Bytes inner = inner4(22);
  CHECK_EQ(opened(cbc_text_of(inner, 4)), std::string("pass"));
  CHECK_EQ(opened(cbc_text_of(inner, 4, 14)), std::string("pass"));
  CHECK_EQ(opened(cbc_text_of(inner, 59)), std::string("dummy"));
  CHECK_EQ(opened(cbc_text_of(inner, 17)), std::string("bad_next_header"));
  CHECK_EQ(opened(cbc_text_of(inner, 41)), std::string("bad_length"));
  for (size_t i = 0; i < 12; ++i) {
    Bytes text = cbc_text_of(inner, 4);
    text[inner.size() + i] ^= 0x40;
    CHECK_EQ(opened(text), std::string("bad_padding"));
  }
  Bytes text = cbc_text_of(inner, 4);
  text[text.size() - 2] = 255;
  CHECK_EQ(opened(text), std::string("bad_padding"));
  text[text.size() - 2] = static_cast<uint8_t>(text.size() - 1);
  CHECK_EQ(opened(text), std::string("bad_padding"));
}

// No IV comes twice, and none tells the next: half of the bits differ between neighbours.
void ivs() {
  const Keys keys(EspAlgorithm::kCbcHmacSha256_128, 16);
  std::set<Bytes> seen;
  uint64_t differing = 0;
  constexpr unsigned kPackets = 2000;
  for (const uint8_t node : {uint8_t{1}, uint8_t{2}}) {
    OutboundSaOptions options = keys.out();
    options.node_id = node;
    OutboundSa sa;
    CHECK_EQ(sa.init(options), std::string());
    Bytes before(16);
    for (unsigned i = 0; i < kPackets; ++i) {
      const Bytes inner = inner4(4);
      Room room(inner);
      const SealItem item = seal_one(sa, room, static_cast<uint32_t>(inner.size()));
      const Bytes iv(item.outer + 28, item.outer + 44);
      CHECK(seen.insert(iv).second);
      for (size_t k = 0; k < 16; ++k)
        differing += static_cast<unsigned>(__builtin_popcount(static_cast<unsigned>(iv[k] ^ before[k])));
      before = iv;
    }
  }
  // 256,000 coins twice over: 64 of 128 to within 0.5
  const double mean = static_cast<double>(differing) / (2.0 * kPackets);
  CHECK(mean > 63.5 && mean < 64.5);
}

void a_change_keeps_the_algorithm() {
  const Keys keys(EspAlgorithm::kCbcHmacSha512_256);
  OutboundSa sa;
  CHECK_EQ(sa.init(keys.out()), std::string());
  const Bytes no_key(20);
  OutboundSaOptions change = outbound(no_key, true);
  change.udp = true;
  OutboundSa other;
  CHECK_EQ(other.init(change), std::string());
  sa.adopt(other);
  const Bytes inner = inner4(50);
  Room room(inner);
  const SealItem item = seal_one(sa, room, static_cast<uint32_t>(inner.size()));
  CHECK(item.drop == DropReason::kNone);
  CHECK_EQ(item.outer_length, 40u + 8 + 8 + 16 + 80 + 32);
  InboundSa in;
  CHECK_EQ(in.init(keys.in()), std::string());
  Bytes packet(item.outer + 48, item.outer + item.outer_length);
  const OpenItem back = open_one(in, packet);
  CHECK(back.drop == DropReason::kNone);
  CHECK(inner_of(back) == inner);
}

void wrong_keys_are_refused() {
  const Keys keys(EspAlgorithm::kCbcHmacSha256_128);
  OutboundSa sa;
  OutboundSaOptions options = keys.out();
  options.key_bytes = 20;
  CHECK(sa.init(options).find("key: 16, 24 or 32 bytes") == 0);
  options = keys.out();
  options.authentication_key_bytes = 20;
  CHECK(sa.init(options).find("authentication key: 32 bytes") == 0);
  options = keys.out();
  options.algorithm = EspAlgorithm::kGcm;
  const Bytes gcm = key_and_salt();
  options.key = gcm.data();
  options.key_bytes = 20;
  CHECK(sa.init(options).find("authentication key: AES-GCM has none") == 0);
}

// Nothing of the keys is left where an SA was.
void keys_are_wiped() {
  alignas(OutboundSa) static uint8_t memory[sizeof(OutboundSa)];
  const Keys keys(EspAlgorithm::kCbcHmacSha256_128);
  auto* sa = new (memory) OutboundSa;
  CHECK_EQ(sa->init(keys.out()), std::string());
  const auto holds = [&](const Bytes& what) {
    return std::search(memory, memory + sizeof memory, what.begin(), what.end()) != memory + sizeof memory;
  };
  CHECK(holds(keys.aes));
  CHECK(holds(keys.mac));
  sa->~OutboundSa();
  CHECK(!holds(Bytes(keys.aes.begin(), keys.aes.begin() + 8)));
  CHECK(!holds(Bytes(keys.mac.begin(), keys.mac.begin() + 8)));
}

}  // namespace

int main() {
  if (const char* fault = cbc_hmac_fault()) {
    std::printf("left out: %s\n", fault);
    return 0;
  }
  RUN(golden_packets);
  RUN(there_and_back);
  RUN(too_big);
  RUN(forgeries);
  RUN(copies_in_one_burst);
  RUN(lies_under_the_icv);
  RUN(ivs);
  RUN(a_change_keeps_the_algorithm);
  RUN(wrong_keys_are_refused);
  RUN(keys_are_wiped);
  FINISH();
}
