// Opening a burst (RFC 4303 §3.4; AES-GCM by RFC 4106, AES-CBC by RFC 3602). Run by the anchor worker of the
// SAs.
//
//   1. SAs are fetched into the cache.
//   2. Each packet: length, lifetime, the whole sequence number, anti-replay window.
//   3. The burst is decrypted and authenticated at once; with AES-CBC each packet by itself, authenticated
//      first.
//   4. Each packet that verified, in order: the window again (a copy may have come in the same burst), and
//      only now it moves; then padding, next header, inner length, ECN, traffic selector.
#include "esp_open.h"

#include <cstring>

namespace penstock {
namespace {

constexpr unsigned kMostItems = kGcmMaxBurst;
constexpr unsigned kExtendedAadBytes = 12;
constexpr uint32_t kAround = esp::kPayload + kGcmTagBytes;
constexpr uint32_t kMostBytes = 65535;  // what an IP packet can carry
constexpr uint8_t kEcnMask = 3;

// RFC 6040 §4.2, figure 4: [inner][outer] → the ECN field that the inner packet leaves with. A packet of a
// transport that knows no ECN cannot be marked, so one that met congestion (CE) is dropped.
constexpr uint8_t kDropped = 4;
constexpr uint8_t kEcn[4][4] = {
    // outer: Not-ECT, ECT(1), ECT(0), CE
    {0, 0, 0, kDropped},  // inner Not-ECT
    {1, 1, 1, 3},         // ECT(1)
    {2, 1, 2, 3},         // ECT(0)
    {3, 3, 3, 3},         // CE
};

// What lies between check and opening, per packet.
struct Pending {
  uint64_t sequence;
  uint8_t item;
};

DropReason check_cbc_length(const OpenItem& item) {
  const uint32_t around = esp::kCbcPayload + item.sa->icv_bytes;
  if (item.length < around + esp::kTrailerBytes) return DropReason::esp_runt;
  // RFC 3602 §2.4: whole blocks, and the trailer is in the last one.
  if ((item.length - around) % kAesBlockBytes != 0) return DropReason::bad_length;
  return item.length > kMostBytes ? DropReason::bad_length : DropReason::kNone;
}

DropReason check_length(const OpenItem& item) {
  if (item.sa->is_cbc) [[unlikely]]
    return check_cbc_length(item);
  if (item.length < kAround + esp::kTrailerBytes) return DropReason::esp_runt;
  // RFC 4303 §2.4: the tag begins on a word of four bytes.
  if (item.length % 4 != 0) return DropReason::bad_length;
  return item.length - kAround > kGcmMaxLength ? DropReason::bad_length : DropReason::kNone;
}

DropReason check(OpenItem& item, uint64_t now_ns, uint64_t& sequence) {
  InboundSa& sa = *item.sa;
  const DropReason length = check_length(item);
  if (length != DropReason::kNone) return length;
  const DropReason reason = sa.admit(0, now_ns);
  if (reason != DropReason::kNone) return reason;
  if (!sa.window.infer(esp::sequence(item.esp), sequence)) return DropReason::replay;
  return sa.window.check(sequence) ? DropReason::kNone : DropReason::replay;
}

void make_op(const OpenItem& item, uint64_t sequence, GcmOp& op, uint8_t* aad) {
  const InboundSa& sa = *item.sa;
  uint8_t* esp = item.esp;
  op.key = &sa.key;
  op.in = esp + esp::kPayload;
  op.out = esp + esp::kPayload;
  op.length = item.length - kAround;
  op.tag = esp + item.length - kGcmTagBytes;
  std::memcpy(op.nonce, &sa.salt, esp::kSaltBytes);
  std::memcpy(op.nonce + esp::kSaltBytes, esp + esp::kHeaderBytes, esp::kIvBytes);
  if (!sa.is_extended) {
    op.aad = esp;
    op.aad_length = esp::kHeaderBytes;
    return;
  }
  std::memcpy(aad, esp, 4);
  store32(aad + 4, static_cast<uint32_t>(sequence >> 32));
  std::memcpy(aad + 8, esp + esp::kSequence, 4);
  op.aad = aad;
  op.aad_length = kExtendedAadBytes;
}

// RFC 4303 §2.4: 1, 2, 3 … in front of their number at `end`.
bool padding_is_right(const uint8_t* end, uint32_t count) {
  const uint8_t* at = end - count;
  uint8_t wrong = 0;
  for (uint32_t i = 0; i < count; ++i) wrong |= at[i] ^ static_cast<uint8_t>(i + 1);
  return wrong == 0;
}

// Carries congestion, and the DSCP where that is wanted, over to the inner header.
DropReason decapsulate_tos(const OpenItem& item, unsigned version) {
  uint8_t* ip = item.inner;
  const uint8_t tos = version == 4 ? ipv4::tos(ip) : ipv6::traffic_class(ip);
  const uint8_t ecn = kEcn[tos & kEcnMask][item.outer_tos & kEcnMask];
  if (ecn == kDropped) [[unlikely]]
    return DropReason::ecn;
  const uint8_t dscp = (item.sa->copy_outer_dscp ? item.outer_tos : tos) & ~kEcnMask;
  const uint8_t wanted = dscp | ecn;
  if (wanted == tos) return DropReason::kNone;
  if (version == 4) {
    ipv4::set_word(ip, 0, static_cast<uint16_t>(ip[0] << 8 | wanted));
  } else {
    store16(ip, static_cast<uint16_t>((load16(ip) & 0xf00f) | wanted << 4));
  }
  return DropReason::kNone;
}

// Steps of an authenticated packet, whose number is the highest or fits into the window.
DropReason finish(OpenItem& item, uint8_t* text, uint32_t text_length, uint64_t now_ns) {
  const uint32_t pad = text[text_length - 2];
  if (pad + esp::kTrailerBytes > text_length || !padding_is_right(text + text_length - 2, pad)) {
    return DropReason::bad_padding;
  }
  item.inner = text;
  item.next_header = text[text_length - 1];
  // What is left may hold more behind the inner packet: traffic flow confidentiality (RFC 4303 §2.7).
  const uint32_t available = text_length - esp::kTrailerBytes - pad;
  unsigned version;
  switch (item.next_header) {
    case protocol::kIpv4:
      version = 4;
      if (!ipv4::is_whole(text, available)) return DropReason::bad_length;
      item.inner_length = ipv4::total_length(text);
      break;
    case protocol::kIpv6:
      version = 6;
      if (!ipv6::is_whole(text, available)) return DropReason::bad_length;
      item.inner_length = ipv6::total_length(text);
      break;
    case protocol::kNoNext:
      return DropReason::dummy;
    default:
      return DropReason::bad_next_header;
  }
  const DropReason reason = decapsulate_tos(item, version);
  if (reason != DropReason::kNone) return reason;
  if (!item.sa->selects(text, version)) return DropReason::selector;
  return item.sa->admit(item.inner_length, now_ns);
}

void count_drop(InboundSa& sa, DropReason reason) {
  switch (reason) {
    case DropReason::replay:
      sa.drops.replay += 1;
      break;
    case DropReason::auth_failed:
      sa.drops.auth_failed += 1;
      break;
    case DropReason::selector:
      sa.drops.selector += 1;
      break;
    case DropReason::lifetime:  // counted where it was found
    case DropReason::no_sa:
      break;
    default:
      sa.drops.malformed += 1;
  }
}

// `failure`: why it is not authentic, or kNone.
void open_one(OpenItem& item, uint64_t sequence, DropReason failure, uint8_t* text, uint32_t text_length,
              uint64_t now_ns) {
  InboundSa& sa = *item.sa;
  if (failure != DropReason::kNone) {
    item.drop = failure;
  } else if (!sa.window.check(sequence)) {
    item.drop = DropReason::replay;
  } else {
    sa.window.advance(sequence);
    item.drop = finish(item, text, text_length, now_ns);
  }
  if (item.drop == DropReason::kNone) [[likely]] {
    sa.use.add(item.inner_length);
  } else {
    count_drop(sa, item.drop);
  }
}

void open_cbc(OpenItem& item, uint64_t sequence, uint64_t now_ns) {
  InboundSa& sa = *item.sa;
  const uint32_t length = item.length - esp::kCbcPayload - sa.icv_bytes;
  uint8_t high[4];
  store32(high, static_cast<uint32_t>(sequence >> 32));
  const bool verified = sa.cbc->open(item.esp, esp::kHeaderBytes, length, sa.is_extended ? high : nullptr);
  open_one(item, sequence, verified ? DropReason::kNone : DropReason::auth_failed,
           item.esp + esp::kCbcPayload, length, now_ns);
}

}  // namespace

void esp_open(OpenItem* items, unsigned count, uint64_t now_ns) {
  GcmOp ops[kMostItems];
  uint8_t aads[kMostItems][kExtendedAadBytes];
  Pending pending[kMostItems];
  count = count < kMostItems ? count : kMostItems;
  for (unsigned i = 0; i < count; ++i) {
    const auto* line = reinterpret_cast<const uint8_t*>(items[i].sa);
    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + 64, 1);
    __builtin_prefetch(line + 128);
  }
  unsigned good = 0;
  unsigned cbc = 0;  // AES-CBC: from the end of `pending`
  for (unsigned i = 0; i < count; ++i) {
    OpenItem& item = items[i];
    uint64_t sequence = 0;
    item.drop = check(item, now_ns, sequence);
    if (item.drop != DropReason::kNone) [[unlikely]] {
      count_drop(*item.sa, item.drop);
      continue;
    }
    item.sa->window.prefetch(sequence);
    if (item.sa->is_cbc) [[unlikely]] {
      pending[kMostItems - ++cbc] = {sequence, static_cast<uint8_t>(i)};
      continue;
    }
    make_op(item, sequence, ops[good], aads[good]);
    gcm_prefetch(*ops[good].key, ops[good].length);
    pending[good++] = {sequence, static_cast<uint8_t>(i)};
  }
  if (cbc != 0) [[unlikely]] {
    for (unsigned i = 1; i <= cbc; ++i) {
      const Pending& next = pending[kMostItems - i];
      open_cbc(items[next.item], next.sequence, now_ns);
    }
  }
  if (good == 0) return;
  const uint64_t verified = gcm_open(ops, good);
  for (unsigned i = 0; i < good; ++i) {
    OpenItem& item = items[pending[i].item];
    const DropReason failure = (verified >> i & 1) != 0 ? DropReason::kNone : DropReason::auth_failed;
    open_one(item, pending[i].sequence, failure, item.esp + esp::kPayload, item.length - kAround, now_ns);
  }
}

}  // namespace penstock
