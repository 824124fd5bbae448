// Arbitrary bytes into esp_open, and packets that were sealed well and then changed: no crash, nothing
// accepted that was changed, no window moved by what did not authenticate.
//
// The first byte chooses the SA (AES-GCM, AES-CBC with each HMAC) and what is done, the rest is the packet:
//   raw       as an ESP packet
//   text      as decrypted text: sealed as it is, so that everything behind the tag is reached
//   mutated   as a list of changes (offset, mask) to a packet sealed by the other end
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "esp/esp_open.h"
#include "esp/esp_seal.h"

using namespace penstock;

namespace {

constexpr uint32_t kMostBytes = 2048;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

struct Pair {
  OutboundSa out;
  InboundSa in;
  bool extended;
};

// 0 … 7: AES-GCM, 8 … 15: AES-CBC.
Pair& pair(unsigned kind) {
  static std::unique_ptr<Pair> pairs[16];
  if (pairs[kind]) return *pairs[kind];
  pairs[kind] = std::make_unique<Pair>();
  Pair& made = *pairs[kind];
  uint8_t key[36];
  uint8_t authentication[kMostIntegrityKey];
  for (unsigned i = 0; i < sizeof key; ++i) key[i] = static_cast<uint8_t>(kind * 37 + i);
  for (unsigned i = 0; i < sizeof authentication; ++i)
    authentication[i] = static_cast<uint8_t>(kind * 41 + i);
  made.extended = (kind & 2) != 0;
  OutboundSaOptions out;
  out.spi = 0x1000 + kind;
  out.key = key;
  out.key_bytes = kind & 1 ? 36 : 20;
  if (kind & 8) {
    out.algorithm = static_cast<EspAlgorithm>(1 + (kind & 3));
    out.key_bytes = kind & 1 ? 32 : 24;
    out.authentication_key = authentication;
    out.authentication_key_bytes = integrity_key_bytes(static_cast<Integrity>(kind & 3));
  }
  out.extended_sequence_number = made.extended;
  out.node_id = 1;
  out.mtu = 9000;
  const uint8_t four[4] = {192, 0, 2, 1};
  const uint8_t six[16] = {0x20, 1, 0xd, 0xb8};
  out.source = out.destination = kind & 1 ? Address::v6(six) : Address::v4(four);
  out.udp = (kind & 2) != 0;
  require(made.out.init(out).empty(), "options are refused");
  InboundSaOptions in;
  static_cast<SaOptions&>(in) = out;
  in.replay_window = kind & 4 ? 0 : kind & 1 ? 1024 : 64;
  in.copy_outer_dscp = (kind & 4) != 0;
  if (kind & 4) {
    TrafficSelector selector;
    selector.local = selector.remote = Address::v4(four);
    selector.local_length = 96;
    selector.remote_length = 100;
    selector.protocol = protocol::kUdp;
    selector.remote_port_high = 1024;
    TrafficSelector other;
    other.protocol = protocol::kTcp;
    other.local_port_low = 7;
    in.selectors = {selector, other};
  }
  require(made.in.init(in).empty(), "options are refused");
  return made;
}

OpenItem open(Pair& sas, std::vector<uint8_t>& packet, uint8_t tos) {
  OpenItem item = {};
  item.sa = &sas.in;
  item.esp = packet.data();
  item.length = static_cast<uint32_t>(packet.size());
  item.outer_tos = tos;
  esp_open(&item, 1, 1);
  if (item.drop == DropReason::kNone) {
    require(item.inner >= packet.data() && item.inner + item.inner_length <= packet.data() + packet.size(),
            "the inner packet is not inside the outer one");
    require(item.inner_length >= (item.next_header == protocol::kIpv4 ? 20 : 40),
            "an inner packet too short");
  }
  return item;
}

std::vector<uint8_t> sealed_cbc(Pair& sas, const uint8_t* text, uint32_t length, uint64_t sequence,
                                uint64_t iv) {
  std::vector<uint8_t> packet(esp::kCbcPayload + length + sas.out.icv_bytes);
  store32(packet.data(), sas.out.spi);
  store32(packet.data() + 4, static_cast<uint32_t>(sequence));
  store64(packet.data() + 8, iv);
  store64(packet.data() + 16, ~iv);
  if (length != 0) std::memcpy(packet.data() + esp::kCbcPayload, text, length);
  uint8_t high[4];
  store32(high, static_cast<uint32_t>(sequence >> 32));
  require(sas.out.cbc->seal(packet.data(), esp::kHeaderBytes, length, sas.extended ? high : nullptr),
          "libcrypto failed");
  return packet;
}

// Text sealed as the other end would, whatever it says.
std::vector<uint8_t> sealed(Pair& sas, const uint8_t* text, uint32_t length) {
  uint64_t sequence;
  uint64_t iv;
  require(sas.out.reserve(length, 1, sequence, iv) == DropReason::kNone, "no number left");
  if (sas.out.is_cbc) return sealed_cbc(sas, text, length, sequence, iv);
  std::vector<uint8_t> packet(esp::kPayload + length + kGcmTagBytes);
  store32(packet.data(), sas.out.spi);
  store32(packet.data() + 4, static_cast<uint32_t>(sequence));
  store64(packet.data() + 8, iv);
  uint8_t aad[12];
  store32(aad, sas.out.spi);
  if (sas.extended) {
    store64(aad + 4, sequence);
  } else {
    store32(aad + 4, static_cast<uint32_t>(sequence));
  }
  GcmOp op = {};
  op.key = &sas.out.key;
  op.in = text;
  op.out = packet.data() + esp::kPayload;
  op.length = length;
  op.aad = aad;
  op.aad_length = sas.extended ? 12 : 8;
  std::memcpy(op.nonce, &sas.out.salt, 4);
  std::memcpy(op.nonce + 4, packet.data() + 8, 8);
  op.tag = packet.data() + esp::kPayload + length;
  gcm_seal(&op, 1);
  return packet;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > kMostBytes) return 0;
  static const bool has_cbc = cbc_hmac_fault() == nullptr;
  Pair& sas = pair((data[0] & 7) | (has_cbc ? data[0] >> 2 & 8 : 0));
  const unsigned action = data[0] >> 3 & 3;
  const uint8_t tos = data[1];
  data += 2;
  const auto length = static_cast<uint32_t>(size - 2);
  const uint64_t top = sas.in.highest_sequence();
  if (action == 0) {
    std::vector<uint8_t> packet(data, data + length);
    require(open(sas, packet, tos).drop != DropReason::kNone, "a forged packet passed");
    require(sas.in.highest_sequence() == top, "a forged packet moved the window");
    return 0;
  }
  if (action == 1) {
    const uint32_t whole = length & ~sas.out.pad_mask();
    if (sas.out.is_cbc && whole == 0) return 0;
    std::vector<uint8_t> packet = sealed(sas, data, whole);
    const DropReason drop = open(sas, packet, tos).drop;
    require(drop != DropReason::auth_failed && drop != DropReason::replay,
            "a true packet did not authenticate");
    return 0;
  }
  uint8_t text[64] = {0x45, 0, 0, 62};
  text[60] = text[61] = 1;
  text[62] = 0;
  text[63] = protocol::kIpv4;
  std::vector<uint8_t> packet = sealed(sas, text, sizeof text);
  const std::vector<uint8_t> good = packet;
  for (uint32_t i = 0; i + 1 < length; i += 2) packet[data[i] % packet.size()] ^= data[i + 1];
  if (action == 3 && length != 0) packet.resize(packet.size() - data[0] % packet.size());
  if (packet == good) return 0;
  const DropReason drop = open(sas, packet, tos).drop;
  require(drop == DropReason::auth_failed || drop == DropReason::replay || drop == DropReason::esp_runt ||
              drop == DropReason::bad_length,
          "a changed packet passed");
  require(sas.in.highest_sequence() == top, "a changed packet moved the window");
  return 0;
}
