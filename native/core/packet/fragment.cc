#include "fragment.h"

#include <algorithm>
#include <cstring>

#include "ipv4.h"

namespace penstock {
namespace {

constexpr uint8_t kEndOfOptions = 0;
constexpr uint8_t kNoOperation = 1;
constexpr uint8_t kCopied = 0x80;

// Writes those of `length` bytes of options that go into every fragment, padded to words; returns their
// length. What follows an option that lies about its length is no option.
uint32_t copied_options(const uint8_t* options, uint32_t length, uint8_t* out) {
  uint32_t written = 0;
  for (uint32_t at = 0; at < length && options[at] != kEndOfOptions;) {
    if (options[at] == kNoOperation) {
      ++at;
      continue;
    }
    if (length - at < 2) break;
    const uint32_t bytes = options[at + 1];
    if (bytes < 2 || bytes > length - at) break;
    if ((options[at] & kCopied) != 0) {
      std::memcpy(out + written, options + at, bytes);
      written += bytes;
    }
    at += bytes;
  }
  while (written % 4 != 0) out[written++] = kEndOfOptions;
  return written;
}

struct Piece {
  uint32_t offset;  // bytes, in the payload of the packet that is cut
  uint32_t length;
  bool last;
};

// Sets what differs between fragments in a copied header.
void finish_header(uint8_t* ip, uint32_t header, uint16_t word, const Piece& piece) {
  ip[0] = static_cast<uint8_t>(0x40 | header / 4);
  store16(ip + ipv4::kTotalLength, static_cast<uint16_t>(header + piece.length));
  uint32_t fragment =
      (word & ~ipv4::kFragmentOffsetMask) | ((word & ipv4::kFragmentOffsetMask) + piece.offset / 8);
  if (!piece.last) fragment |= ipv4::kMoreFragments;  // the last keeps what the packet said
  store16(ip + ipv4::kFragmentWord, static_cast<uint16_t>(fragment));
  ipv4::set_checksum(ip);
}

}  // namespace

uint32_t fragment_ipv4(FrameCache& cache, FrameIndex whole, uint32_t mtu, FrameIndex* out) {
  FramePool& pool = cache.pool();
  Frame& frame = pool.frame(whole);
  uint8_t* packet = pool.data(whole);
  uint8_t* ip = packet + frame.l3;
  if (frame.version != 4 || mtu < ipv4::kMinimumMtu) return 0;
  const uint32_t header = ipv4::header_bytes(ip);
  const uint32_t payload = ipv4::total_length(ip) - header;
  const uint16_t word = ipv4::fragment_word(ip);
  out[0] = whole;
  if (header + payload <= mtu) return 1;
  if ((word & ipv4::kDontFragment) != 0) return 0;

  uint8_t options[ipv4::kMaximumHeaderBytes];
  const uint32_t options_length =
      copied_options(ip + ipv4::kHeaderBytes, header - ipv4::kHeaderBytes, options);
  const uint32_t later_header = ipv4::kHeaderBytes + options_length;
  const uint32_t first_room = (mtu - header) & ~7u;
  const uint32_t later_room = (mtu - later_header) & ~7u;
  const uint32_t later = (payload - first_room + later_room - 1) / later_room;
  if (later >= kMaximumFragments) return 0;
  // A fragment starts where the whole does.
  const bool jumbo = frame.start + frame.l3 + mtu + kTailroom > kChunkBytes;
  uint32_t got = 0;
  while (got < later) {
    FrameIndex part = kNoFrame;
    if (jumbo) {
      part = cache.allocate_jumbo();
    } else {
      cache.allocate(&part, 1);
    }
    if (part == kNoFrame) {
      cache.free(out + 1, got);
      return 0;
    }
    out[++got] = part;
  }

  for (uint32_t i = 1; i <= later; ++i) {
    Piece piece{first_room + (i - 1) * later_room, later_room, i == later};
    if (piece.last) piece.length = payload - piece.offset;
    Frame& part = pool.frame(out[i]);
    part = frame;
    uint8_t* to = pool.data(out[i]);
    std::memcpy(to, packet, frame.l3 + ipv4::kHeaderBytes);
    std::memcpy(to + frame.l3 + ipv4::kHeaderBytes, options, options_length);
    std::memcpy(to + frame.l3 + later_header, ip + header + piece.offset, piece.length);
    finish_header(to + frame.l3, later_header, word, piece);
    part.length = static_cast<uint16_t>(frame.l3 + later_header + piece.length);
    part.flags = static_cast<uint8_t>((frame.flags & ~kFirstFragment) | kLaterFragment);
    part.l4 = 0;
    part.source_port = 0;
    part.destination_port = 0;
  }
  finish_header(ip, header, word, {0, first_room, false});
  frame.length = static_cast<uint16_t>(frame.l3 + header + first_room);
  if ((frame.flags & kLaterFragment) == 0) frame.flags |= kFirstFragment;
  return later + 1;
}

}  // namespace penstock
