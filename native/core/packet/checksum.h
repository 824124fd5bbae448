// The Internet checksum (RFC 1071): sums are taken over words as they lie in memory, since the sum of swapped
// words is the swapped sum, and stored as they come out. A "sum" here is a 64-bit accumulator; fold() makes
// the 16-bit sum of it, of which the checksum is the complement.
#pragma once
#include <cstdint>

#include "bytes.h"

namespace penstock::checksum {

inline uint64_t add(uint64_t sum, uint64_t word) {
  uint64_t result;
  const bool carry = __builtin_add_overflow(sum, word, &result);
  return result + carry;
}

inline uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  uint32_t half = static_cast<uint32_t>((sum & 0xffff) + (sum >> 16));
  half = (half & 0xffff) + (half >> 16);
  return static_cast<uint16_t>(half);
}

// Adds `length` bytes to a sum. Only the last piece of a packet may have an odd length.
inline uint64_t add_bytes(uint64_t sum, const uint8_t* bytes, uint32_t length) {
  for (; length >= 8; bytes += 8, length -= 8) sum = add(sum, load_raw<uint64_t>(bytes));
  if (length & 4) {
    sum = add(sum, load_raw<uint32_t>(bytes));
    bytes += 4;
  }
  if (length & 2) {
    sum = add(sum, load_raw<uint16_t>(bytes));
    bytes += 2;
  }
  if (length & 1) sum = add(sum, *bytes);  // the missing byte counts as zero (RFC 1071 §4.1)
  return sum;
}

// The checksum to store (with store_raw below) for a sum.
inline uint16_t finish(uint64_t sum) {
  return static_cast<uint16_t>(~fold(sum));
}
inline void store_raw(uint8_t* at, uint16_t checksum) {
  std::memcpy(at, &checksum, 2);
}

// True when the bytes, which include their checksum, sum to all ones; `sum` may start with a pseudo header.
inline bool verifies(uint64_t sum, const uint8_t* bytes, uint32_t length) {
  return fold(add_bytes(sum, bytes, length)) == 0xffff;
}

// Of a 20-byte IPv4 header, the common case.
inline bool ipv4_header_verifies(const uint8_t* header) {
  uint64_t sum = add(load_raw<uint64_t>(header), load_raw<uint64_t>(header + 8));
  sum = add(sum, load_raw<uint32_t>(header + 16));
  return fold(sum) == 0xffff;
}

// Pseudo headers (RFC 793 §3.1, RFC 8200 §8.1). `length`: of the transport header and payload, in bytes.
inline uint64_t pseudo_v4(const uint8_t* source, const uint8_t* destination, uint8_t protocol,
                          uint32_t length) {
  return static_cast<uint64_t>(load_raw<uint32_t>(source)) + load_raw<uint32_t>(destination) +
         (static_cast<uint32_t>(protocol) << 8) + __builtin_bswap16(static_cast<uint16_t>(length));
}
inline uint64_t pseudo_v6(const uint8_t* source, const uint8_t* destination, uint8_t protocol,
                          uint32_t length) {
  uint64_t sum = add(load_raw<uint64_t>(source), load_raw<uint64_t>(source + 8));
  sum = add(sum, load_raw<uint64_t>(destination));
  sum = add(sum, load_raw<uint64_t>(destination + 8));
  return add(sum, static_cast<uint64_t>(__builtin_bswap32(length)) + (static_cast<uint32_t>(protocol) << 8));
}

// RFC 1624, equation 3: the checksum at `at` after a 16-bit word (or every word of an address) that it covers
// changed. `before` and `after` are words as they lie in memory (load_raw). Unlike equation 2 it never turns
// a valid 0x0000 into 0xffff.
inline void update16(uint8_t* at, uint16_t before, uint16_t after) {
  const uint64_t sum = static_cast<uint64_t>(static_cast<uint16_t>(~load_raw<uint16_t>(at))) +
                       static_cast<uint16_t>(~before) + after;
  store_raw(at, finish(sum));
}
inline void update32(uint8_t* at, uint32_t before, uint32_t after) {
  const uint64_t sum = static_cast<uint64_t>(static_cast<uint16_t>(~load_raw<uint16_t>(at))) +
                       static_cast<uint32_t>(~before) + after;
  store_raw(at, finish(sum));
}
inline void update_bytes(uint8_t* at, const uint8_t* before, const uint8_t* after, uint32_t even_length) {
  uint64_t sum = static_cast<uint16_t>(~load_raw<uint16_t>(at));
  for (uint32_t i = 0; i < even_length; i += 2) {
    sum += static_cast<uint16_t>(~load_raw<uint16_t>(before + i));
    sum += load_raw<uint16_t>(after + i);
  }
  store_raw(at, finish(sum));
}

}  // namespace penstock::checksum
