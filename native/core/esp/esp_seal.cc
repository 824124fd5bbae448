// Sealing a burst (RFC 4303 §3.3; AES-GCM by RFC 4106, AES-CBC by RFC 3602). Run by the anchor worker of the
// SAs.
//
//   1. Each packet, in order: traffic selector, size, sequence number and IV; then its outer headers, ESP
//      header, IV and trailer are written around it.
//      With AES-CBC it is sealed there and then.
//   2. What is left is encrypted at once.
//   3. UDP over IPv6: the checksum, which covers the ciphertext.
#include "esp_seal.h"

#include <cstring>

namespace penstock {
namespace {

constexpr unsigned kMostItems = kGcmMaxBurst;
constexpr unsigned kExtendedAadBytes = 12;

// Padding 1, 2, 3 and its length, so that the next header ends a word of four bytes (RFC 4303 §2.4).
constexpr uint32_t kPadding[4] = {0x00, 0x0101, 0x020201, 0x03030201};

// What the outer header takes from the inner one.
struct Inner {
  uint8_t next_header;
  uint8_t tos;
  bool dont_fragment;
};

Inner read_inner(const uint8_t* ip) {
  if (ip[0] >> 4 == 4) {
    return {protocol::kIpv4, ipv4::tos(ip), (ipv4::fragment_word(ip) & ipv4::kDontFragment) != 0};
  }
  // No router fragments IPv6, so the outer packet is not to be fragmented either.
  return {protocol::kIpv6, ipv6::traffic_class(ip), true};
}

// The headers before the ESP header at `esp`, with SPI and sequence number. RFC 4301 §5.1.2.1, RFC 6040 §4.1
// (normal mode: ECN is copied).
void write_headers(SealItem& item, uint8_t* esp, const Inner& inner, uint64_t sequence) {
  const OutboundSa& sa = *item.sa;
  std::memcpy(esp + esp::kHeaderBytes - OutboundSa::kTemplateBytes, sa.headers, OutboundSa::kTemplateBytes);
  store32(esp + esp::kSequence, static_cast<uint32_t>(sequence));
  const auto tos = static_cast<uint8_t>(sa.dscp_is_fixed ? sa.tos | (inner.tos & 3) : inner.tos);
  uint8_t* ip = item.outer;
  const uint32_t length = item.outer_length;
  if (sa.is_v6) {
    store32(ip, 6u << 28 | static_cast<uint32_t>(tos) << 20);
    ipv6::set_payload_length(ip, length - ipv6::kHeaderBytes);
    item.dont_fragment = true;
    if (sa.is_udp)
      store16(ip + ipv6::kHeaderBytes + udp::kLength, static_cast<uint16_t>(length - ipv6::kHeaderBytes));
    return;
  }
  item.dont_fragment = sa.df_bit == DfBit::kCopy ? inner.dont_fragment : sa.df_bit == DfBit::kSet;
  // Unique as long as RFC 6864 §4.3 can ask for, and needless with DF.
  const auto identification = static_cast<uint16_t>(sequence);
  const uint16_t fragment = item.dont_fragment ? ipv4::kDontFragment : 0;
  ip[ipv4::kTos] = tos;
  store16(ip + ipv4::kTotalLength, static_cast<uint16_t>(length));
  store16(ip + ipv4::kIdentification, identification);
  store16(ip + ipv4::kFragmentWord, fragment);
  const uint64_t sum = uint64_t{sa.header_sum} + (static_cast<uint32_t>(tos) << 8) +
                       __builtin_bswap16(static_cast<uint16_t>(length)) + __builtin_bswap16(identification) +
                       __builtin_bswap16(fragment);
  checksum::store_raw(ip + ipv4::kChecksum, checksum::finish(sum));
  // The checksum of UDP over IPv4 stays 0 (RFC 3948 §2.1).
  if (sa.is_udp)
    store16(ip + ipv4::kHeaderBytes + udp::kLength, static_cast<uint16_t>(length - ipv4::kHeaderBytes));
}

// RFC 3948 knows only IPv4; over IPv6 a UDP checksum of zero needs both ends' consent (RFC 6935 §5).
void set_udp_checksum(const SealItem& item) {
  const uint32_t length = item.outer_length - ipv6::kHeaderBytes;
  udp::set_checksum(item.outer + ipv6::kHeaderBytes, ipv6::pseudo_header(item.outer, protocol::kUdp, length));
}

// An IV that nobody can foretell (RFC 3602 §3), from a number that never comes twice (NIST SP 800-38A
// appendix C): the block that AES in counter mode makes of it, under a key that nothing else is encrypted
// with.
void make_iv(const OutboundSa& sa, uint64_t number, uint8_t* iv) {
  uint8_t tag[kGcmTagBytes];
  GcmOp op = {};
  std::memset(iv, 0, kAesBlockBytes);
  op.key = &sa.key;
  op.in = iv;
  op.out = iv;
  op.length = kAesBlockBytes;
  store64(op.nonce + esp::kSaltBytes, number);
  op.tag = tag;
  gcm_seal(&op, 1);
}

// All of a packet whose numbers are taken.
void seal_cbc(SealItem& item, uint64_t sequence, uint64_t number) {
  OutboundSa& sa = *item.sa;
  uint8_t* packet = item.packet;
  const Inner inner = read_inner(packet);
  uint8_t* esp = packet - esp::kCbcPayload;
  item.outer = packet - sa.header_bytes;
  write_headers(item, esp, inner, sequence);
  make_iv(sa, number, esp + esp::kHeaderBytes);
  const uint32_t text = item.outer_length - sa.header_bytes - sa.icv_bytes;
  const uint32_t pad = text - item.length - esp::kTrailerBytes;
  uint8_t* end = packet + item.length;
  for (uint32_t i = 0; i < pad; ++i) end[i] = static_cast<uint8_t>(i + 1);
  end[pad] = static_cast<uint8_t>(pad);
  end[pad + 1] = inner.next_header;
  uint8_t high[4];
  store32(high, static_cast<uint32_t>(sequence >> 32));
  if (!sa.cbc->seal(esp, esp::kHeaderBytes, text, sa.is_extended ? high : nullptr)) [[unlikely]] {
    item.drop = DropReason::cipher_failed;
    return;
  }
  if (sa.is_v6 && sa.is_udp) set_udp_checksum(item);
}

// Everything but the encryption. False: dropped, and nothing was written; or sealed already.
bool prepare(SealItem& item, GcmOp& op, uint8_t* aad, uint64_t now_ns) {
  OutboundSa& sa = *item.sa;
  uint8_t* packet = item.packet;
  if (!sa.selects(packet, packet[0] >> 4)) [[unlikely]] {
    item.drop = DropReason::selector;
    sa.drops.selector += 1;
    return false;
  }
  item.outer_length = sa.sealed_length(item.length);
  if (item.outer_length > sa.mtu) [[unlikely]] {
    if (sa.spi == 0) {
      item.drop = DropReason::no_sa;
    } else {
      item.drop = DropReason::too_big;
      sa.drops.too_big += 1;
    }
    return false;
  }
  uint64_t sequence;
  uint64_t iv;
  item.drop = sa.reserve(item.length, now_ns, sequence, iv);
  if (item.drop != DropReason::kNone) [[unlikely]]
    return false;
  if (sa.is_cbc) [[unlikely]] {
    seal_cbc(item, sequence, iv);
    return false;
  }

  const Inner inner = read_inner(packet);
  uint8_t* esp = packet - esp::kPayload;
  item.outer = packet - sa.header_bytes;
  write_headers(item, esp, inner, sequence);
  store64(esp + esp::kHeaderBytes, iv);

  const uint32_t ciphertext = item.outer_length - sa.header_bytes - kGcmTagBytes;
  const uint32_t pad = ciphertext - item.length - esp::kTrailerBytes;
  const uint64_t trailer = kPadding[pad] | static_cast<uint64_t>(inner.next_header) << (8 * (pad + 1));
  std::memcpy(packet + item.length, &trailer, 8);  // runs into the tag, which is written later

  op.key = &sa.key;
  gcm_prefetch(sa.key, ciphertext);
  op.in = packet;
  op.out = packet;
  op.length = ciphertext;
  op.tag = packet + ciphertext;
  std::memcpy(op.nonce, &sa.salt, esp::kSaltBytes);
  std::memcpy(op.nonce + esp::kSaltBytes, esp + esp::kHeaderBytes, esp::kIvBytes);
  if (!sa.is_extended) {
    op.aad = esp;
    op.aad_length = esp::kHeaderBytes;
  } else {
    // RFC 4106 §5: the high half goes into the AAD and not on the wire.
    std::memcpy(aad, esp, 4);
    store32(aad + 4, static_cast<uint32_t>(sequence >> 32));
    std::memcpy(aad + 8, esp + esp::kSequence, 4);
    op.aad = aad;
    op.aad_length = kExtendedAadBytes;
  }
  return true;
}

}  // namespace

void esp_seal(SealItem* items, unsigned count, uint64_t now_ns) {
  GcmOp ops[kMostItems];
  uint8_t aads[kMostItems][kExtendedAadBytes];
  count = count < kMostItems ? count : kMostItems;
  unsigned good = 0;
  bool checksums = false;
  for (unsigned i = 0; i < count; ++i) {
    if (!prepare(items[i], ops[good], aads[good], now_ns)) continue;
    ++good;
    checksums |= items[i].sa->is_v6 && items[i].sa->is_udp;
  }
  if (good == 0) return;
  gcm_seal(ops, good);
  if (!checksums) return;
  for (unsigned i = 0; i < count; ++i) {
    const OutboundSa& sa = *items[i].sa;
    if (items[i].drop == DropReason::kNone && sa.is_v6 && sa.is_udp && !sa.is_cbc) set_udp_checksum(items[i]);
  }
}

}  // namespace penstock
