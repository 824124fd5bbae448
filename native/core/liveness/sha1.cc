#include "sha1.h"

#include <bit>
#include <cstring>

#include "../packet/bytes.h"

namespace penstock {
namespace {

constexpr uint32_t kBlock = 64;

void add_block(uint32_t* hash, const uint8_t* block) {
  uint32_t words[80];
  for (uint32_t i = 0; i < 16; ++i) words[i] = load32(block + 4 * i);
  for (uint32_t i = 16; i < 80; ++i) {
    words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  uint32_t a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
  for (uint32_t i = 0; i < 80; ++i) {
    uint32_t mixed, constant;
    if (i < 20) {
      mixed = (b & c) | (~b & d);
      constant = 0x5a827999;
    } else if (i < 40) {
      mixed = b ^ c ^ d;
      constant = 0x6ed9eba1;
    } else if (i < 60) {
      mixed = (b & c) | (b & d) | (c & d);
      constant = 0x8f1bbcdc;
    } else {
      mixed = b ^ c ^ d;
      constant = 0xca62c1d6;
    }
    const uint32_t next = std::rotl(a, 5) + mixed + e + constant + words[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  hash[0] += a;
  hash[1] += b;
  hash[2] += c;
  hash[3] += d;
  hash[4] += e;
  zeroise(words, sizeof words);
}

}  // namespace

void zeroise(void* memory, uint32_t length) {
  std::memset(memory, 0, length);
  asm volatile("" : : "r"(memory) : "memory");
}

void sha1(const uint8_t* message, uint32_t length, uint8_t* digest) {
  uint8_t padded[2 * kBlock] = {};
  if (length > kSha1MostBytes) length = kSha1MostBytes;
  const uint32_t blocks = length < kBlock - 8 ? 1 : 2;
  std::memcpy(padded, message, length);
  padded[length] = 0x80;
  store32(padded + blocks * kBlock - 4, length * 8);
  uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  for (uint32_t i = 0; i < blocks; ++i) add_block(hash, padded + i * kBlock);
  for (uint32_t i = 0; i < 5; ++i) store32(digest + 4 * i, hash[i]);
  zeroise(padded, sizeof padded);
}

bool equal_in_constant_time(const uint8_t* a, const uint8_t* b, uint32_t length) {
  uint8_t difference = 0;
  for (uint32_t i = 0; i < length; ++i) difference = static_cast<uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace penstock
