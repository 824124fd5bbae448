// What the VAES kernels share whatever their vectors' width: constants, where powers start, the table of
// counters. Included by their files alone.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "crypto/kernel.h"

// Loops over registers: their bounds are constants and they must vanish.
#define PENSTOCK_UNROLL _Pragma("GCC unroll 64")
#define PENSTOCK_BODY __attribute__((always_inline))

namespace penstock::gcm {

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};

// Calls body with n, kFrom … kTo, as a constant.
template <int kFrom, int kTo, typename Body>
PENSTOCK_INLINE void with_constant(uint32_t n, Body body) {
  if constexpr (kFrom == kTo) {
    body(Constant<kTo>{});
  } else if (n == kFrom) {
    body(Constant<kFrom>{});
  } else {
    with_constant<kFrom + 1, kTo>(n, body);
  }
}

// Calls body with kFrom … kTo - 1 as constants. For the long loops, which not every compiler unrolls when
// told to.
template <int kFrom, int kTo, typename Body>
PENSTOCK_INLINE void for_each(Body body) {
  if constexpr (kFrom < kTo) {
    body(Constant<kFrom>{});
    for_each<kFrom + 1, kTo>(body);
  }
}

PENSTOCK_INLINE __m128i load128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
PENSTOCK_INLINE void store128(void* p, __m128i v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), v);
}

// J0 or AAD, and text: where the block of lengths goes.
PENSTOCK_INLINE uint32_t lanes_of(uint32_t length) {
  return (length + 15) / 16 + 1;
}

// Where the powers start that a row of so many blocks is multiplied by: H^lanes … H^1, and zeros behind.
struct Powers {
  const uint8_t* whole;
  const uint64_t* folded;
};
PENSTOCK_INLINE Powers powers_of(const GcmKey& key, uint32_t lanes) {
  return {key.powers[GcmKey::kPowers - lanes], key.folded + (GcmKey::kPowers - lanes)};
}

// Counter blocks 1 … 256 but for the nonce: big-endian in each block's last word (SP 800-38D §7.1).
constexpr unsigned kCounterBlocks = 256;
struct Counters {
  uint32_t word[kCounterBlocks][4];
  constexpr Counters() : word{} {
    for (uint32_t i = 0; i < kCounterBlocks; ++i) word[i][3] = __builtin_bswap32(i + 1);
  }
};
alignas(64) constexpr Counters kCounters;

static_assert(offsetof(GcmOp, nonce) + 16 <= sizeof(GcmOp),
              "a nonce is loaded with the four bytes behind it");
static_assert(offsetof(GcmOp, aad_length) == offsetof(GcmOp, length) + 4, "both are one load");

}  // namespace penstock::gcm
