// Words of a packet, in network order, at any alignment.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

namespace penstock {

static_assert(std::endian::native == std::endian::little, "x86-64 and arm64: words are swapped on loading");

inline uint16_t load16(const uint8_t* at) {
  uint16_t word;
  std::memcpy(&word, at, 2);
  return __builtin_bswap16(word);
}
inline uint32_t load32(const uint8_t* at) {
  uint32_t word;
  std::memcpy(&word, at, 4);
  return __builtin_bswap32(word);
}
inline uint64_t load64(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, 8);
  return __builtin_bswap64(word);
}
inline void store16(uint8_t* at, uint16_t word) {
  word = __builtin_bswap16(word);
  std::memcpy(at, &word, 2);
}
inline void store32(uint8_t* at, uint32_t word) {
  word = __builtin_bswap32(word);
  std::memcpy(at, &word, 4);
}
inline void store64(uint8_t* at, uint64_t word) {
  word = __builtin_bswap64(word);
  std::memcpy(at, &word, 8);
}

// As they lie in memory: for sums, comparisons and hashes that do not care about the order.
template <typename Word>
inline Word load_raw(const uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof(Word));
  return word;
}

}  // namespace penstock
