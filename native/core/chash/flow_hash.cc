#include "flow_hash.h"

#include "../packet/siphash.h"

namespace penstock {
namespace chash {

uint64_t xxh64(const uint8_t* bytes, size_t length, uint64_t seed) {
  const uint8_t* p = bytes;
  const uint8_t* const end = bytes + length;
  uint64_t h = seed + kPrime5;
  if (length >= 32) {
    uint64_t lane[4] = {seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
    for (; end - p >= 32; p += 32) {
      for (int i = 0; i < 4; ++i) lane[i] = xxh64_round(lane[i], load64(p + 8 * i));
    }
    h = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
    for (uint64_t value : lane) h = (h ^ xxh64_round(0, value)) * kPrime1 + kPrime4;
  }
  h += length;
  for (; end - p >= 8; p += 8) h = xxh64_add8(h, load64(p));
  if (end - p >= 4) {
    h = xxh64_add4(h, load32(p));
    p += 4;
  }
  for (; p < end; ++p) h = rotate(h ^ (*p * kPrime5), 11) * kPrime1;
  return xxh64_avalanche(h);
}

uint64_t siphash13(const uint8_t* bytes, size_t length, uint64_t key0, uint64_t key1) {
  SipState s(key0, key1);
  size_t i = 0;
  for (; i + 8 <= length; i += 8) s.absorb<1>(load64(bytes + i));
  uint64_t last = static_cast<uint64_t>(length) << 56;
  for (size_t j = 0; i + j < length; ++j) last |= static_cast<uint64_t>(bytes[i + j]) << (8 * j);
  s.absorb<1>(last);
  return s.finish<3>();
}

const uint8_t kMicrosoftKey[kToeplitzKeyBytes] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                                  0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                                  0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                                  0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

ToeplitzTable::ToeplitzTable(const uint8_t key[kToeplitzKeyBytes]) {
  for (size_t nibble = 0; nibble < kToeplitzInputBytes * 2; ++nibble) {
    // Five key bytes hold the 32-bit windows of every bit of this nibble.
    uint64_t window = 0;
    for (size_t i = 0; i < 5; ++i) window = window << 8 | key[nibble / 2 + i];
    for (uint32_t value = 0; value < 16; ++value) {
      uint32_t sum = 0;
      for (unsigned bit = 0; bit < 4; ++bit) {
        if (value & (8u >> bit)) sum ^= static_cast<uint32_t>(window >> (8 - 4 * (nibble & 1) - bit));
      }
      contribution[nibble][value] = sum;
    }
  }
}

uint32_t toeplitz(const ToeplitzTable& table, const uint8_t* bytes, size_t length) {
  uint32_t hash = 0;
  if (length > kToeplitzInputBytes) length = kToeplitzInputBytes;
  for (size_t i = 0; i < length; ++i) {
    hash ^= table.contribution[2 * i][bytes[i] >> 4] ^ table.contribution[2 * i + 1][bytes[i] & 15];
  }
  return hash;
}

}  // namespace chash

const char* hash_function_name(HashFunction function) {
  switch (function) {
    case HashFunction::kXxh64:
      return "xxh64@1";
    case HashFunction::kSipHash13:
      return "siphash-1-3@1";
    case HashFunction::kToeplitz:
      return "toeplitz@1";
  }
  return "";
}

namespace {
std::shared_ptr<const chash::ToeplitzTable> make_toeplitz(const uint8_t* key) {
  return std::make_shared<const chash::ToeplitzTable>(key);
}
}  // namespace

FlowHasher::FlowHasher(HashFunction function, uint64_t seed)
    : function_(function), seed_(seed), fingerprint_(seed) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(seed >> (8 * i));
  if (function == HashFunction::kSipHash13) {
    key_[0] = chash::xxh64(bytes, 8, 0);
    key_[1] = chash::xxh64(bytes, 8, 1);
  } else if (function == HashFunction::kToeplitz) {
    toeplitz_ = make_toeplitz(chash::kMicrosoftKey);
    fingerprint_ = chash::xxh64(chash::kMicrosoftKey, chash::kToeplitzKeyBytes, seed);
  }
}

FlowHasher FlowHasher::siphash(uint64_t seed, const uint8_t key[16]) {
  FlowHasher hasher(HashFunction::kSipHash13, seed);
  hasher.key_[0] = chash::load64(key);
  hasher.key_[1] = chash::load64(key + 8);
  hasher.fingerprint_ = chash::siphash13(key, 16, hasher.key_[0], hasher.key_[1]);
  return hasher;
}

FlowHasher FlowHasher::toeplitz(uint64_t seed, const uint8_t key[chash::kToeplitzKeyBytes]) {
  FlowHasher hasher(HashFunction::kToeplitz, seed);
  hasher.toeplitz_ = make_toeplitz(key);
  hasher.fingerprint_ = chash::xxh64(key, chash::kToeplitzKeyBytes, seed);
  return hasher;
}

uint64_t FlowHasher::keyed(const uint8_t* bytes, size_t length) const {
  if (function_ == HashFunction::kSipHash13) return chash::siphash13(bytes, length, key_[0], key_[1]);
  if (function_ == HashFunction::kToeplitz) {
    // A key of odd length is a 5-tuple, whose last byte is the protocol: cards hash addresses and ports only.
    // A slot comes from the upper half of a hash, so that is where the 32 bits go.
    return static_cast<uint64_t>(chash::toeplitz(*toeplitz_, bytes, length & ~size_t{1})) << 32;
  }
  return chash::xxh64(bytes, length, seed_);
}

}  // namespace penstock
