// What vaes512.cc is made of: vectors of four blocks, GHASH sums, the row of blocks that a packet is, tags.
// Included by vaes512.cc alone.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "crypto/kernel.h"

// Loops over registers: their bounds are constants and they must vanish.
#define PENSTOCK_UNROLL _Pragma("GCC unroll 64")

namespace penstock::gcm {
namespace {

// --- vectors -----------------------------------------------------------------------------------------------
PENSTOCK_INLINE __m128i load128(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
PENSTOCK_INLINE void store128(void* p, __m128i v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), v);
}
PENSTOCK_INLINE __m512i load512(const void* p) {
  return _mm512_loadu_si512(p);
}
PENSTOCK_INLINE __m512i broadcast(const void* p) {
  return _mm512_broadcast_i32x4(load128(p));
}
PENSTOCK_INLINE __m512i add(__m512i a, __m512i b) {
  return _mm512_xor_si512(a, b);
}
PENSTOCK_INLINE __m512i add(__m512i a, __m512i b, __m512i c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
// As add, but the compiler may not make three-operand instructions of two: they run on fewer ports (Zen 5), 4
// % here.
PENSTOCK_INLINE void add_to(__m512i& sum, __m512i v) {
  __asm__("vpxorq %1, %0, %0" : "+v"(sum) : "v"(v));
}
PENSTOCK_INLINE __m512i swap_halves(__m512i v) {
  return _mm512_shuffle_epi32(v, _MM_PERM_BADC);
}
PENSTOCK_INLINE __m512i fold(__m512i v) {
  return add(v, swap_halves(v));
}
PENSTOCK_INLINE __m512i reverse(__m512i v) {
  return _mm512_shuffle_epi8(
      v, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

// --- GHASH -------------------------------------------------------------------------------------------------
// Sums of products, one per lane, before their reduction. Karatsuba: the middle one lacks low and high.
struct Sum {
  __m512i low, middle, high;
};

// portable.cc's multiply has the reasons; every lane by itself.
PENSTOCK_INLINE __m512i reduce(const Sum& sum) {
  const __m512i poly = _mm512_set1_epi64(static_cast<long long>(0xc200000000000000));
  const __m512i middle = add(sum.middle, sum.low, sum.high);
  __m512i low = add(sum.low, _mm512_bslli_epi128(middle, 8));
  const __m512i high = add(sum.high, _mm512_bsrli_epi128(middle, 8));
  low = add(swap_halves(low), _mm512_clmulepi64_epi128(low, poly, 0x00));
  return add(high, swap_halves(low), _mm512_clmulepi64_epi128(low, poly, 0x00));
}

PENSTOCK_INLINE __m512i multiply_and_reduce(__m512i a, __m512i h) {
  return reduce({_mm512_clmulepi64_epi128(a, h, 0x00), _mm512_clmulepi64_epi128(fold(a), fold(h), 0x00),
                 _mm512_clmulepi64_epi128(a, h, 0x11)});
}

// Where the powers start that a row of so many blocks is multiplied by: H^lanes … H^1, and zeros behind.
struct Powers {
  const uint8_t* whole;
  const uint64_t* folded;
};
PENSTOCK_INLINE Powers powers_of(const GcmKey& key, uint32_t lanes) {
  return {key.powers[GcmKey::kPowers - lanes], key.folded + (GcmKey::kPowers - lanes)};
}
// Folded powers of vectors v and v + 1: in the lower and the upper half of each lane.
PENSTOCK_INLINE __m512i folded_powers(const Powers& powers, int v) {
  return _mm512_permutexvar_epi64(_mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0), load512(powers.folded + 4 * v));
}

// A row of vectors times their powers, one carry-less multiplication at a time so that other work fits
// between: six for two vectors, with the folded halves of both in one vector; three for an odd one at the
// end.
struct Multiplier {
  __m512i a, b, a_power, b_power, folded, folded_power;
};
constexpr int parts_of(int vectors) {
  return 3 * vectors;
}

template <int kVectors, typename Row>
PENSTOCK_INLINE void multiply_part(int part, Multiplier& m, Sum& sum, const Row& row) {
  // The first pair last: in a group that follows another it waits for that one's reduced sum.
  const int pairs = kVectors / 2;
  const bool odd = part >= 6 * pairs;
  const int v = odd ? kVectors - 1 : (part / 6 + 1) % (pairs > 0 ? pairs : 1) * 2;
  const int step = odd ? (part - 6 * pairs) * 2 : part % 6;
  const bool start = part == step || pairs == 0;
  if (step == 0) {
    m.a = row.input(v);
    m.a_power = load512(row.powers.whole + 64 * v);
    const __m512i product = _mm512_clmulepi64_epi128(m.a, m.a_power, 0x00);
    start ? void(sum.low = product) : add_to(sum.low, product);
  } else if (step == 1) {
    m.b = row.input(v + 1);
    m.b_power = load512(row.powers.whole + 64 * (v + 1));
    add_to(sum.low, _mm512_clmulepi64_epi128(m.b, m.b_power, 0x00));
  } else if (step == 2) {
    const __m512i product = _mm512_clmulepi64_epi128(m.a, m.a_power, 0x11);
    start ? void(sum.high = product) : add_to(sum.high, product);
  } else if (step == 3) {
    add_to(sum.high, _mm512_clmulepi64_epi128(m.b, m.b_power, 0x11));
  } else if (step == 4) {
    m.folded = odd ? fold(m.a) : add(_mm512_unpacklo_epi64(m.a, m.b), _mm512_unpackhi_epi64(m.a, m.b));
    m.folded_power = folded_powers(row.powers, v);
    const __m512i product = _mm512_clmulepi64_epi128(m.folded, m.folded_power, 0x00);
    start ? void(sum.middle = product) : add_to(sum.middle, product);
  } else {
    add_to(sum.middle, _mm512_clmulepi64_epi128(m.folded, m.folded_power, 0x11));
  }
}

// Adds up the lanes of each of kCount vectors. The sum of vector i is in lane i · (4 / kCount).
template <int kCount>
PENSTOCK_INLINE __m512i add_lanes(const __m512i* v) {
  const __m512i ab = add(_mm512_shuffle_i64x2(v[0], v[1], 0x44), _mm512_shuffle_i64x2(v[0], v[1], 0xee));
  if constexpr (kCount == 2) return add(ab, _mm512_shuffle_i64x2(ab, ab, 0xb1));
  const __m512i cd = add(_mm512_shuffle_i64x2(v[2], v[3], 0x44), _mm512_shuffle_i64x2(v[2], v[3], 0xee));
  return add(_mm512_shuffle_i64x2(ab, cd, 0x88), _mm512_shuffle_i64x2(ab, cd, 0xdd));
}
// Adds up the lanes of one vector, into lane 0 alone.
PENSTOCK_INLINE __m512i add_lanes(__m512i v) {
  v = add(v, _mm512_shuffle_i64x2(v, v, 0x4e));
  return _mm512_maskz_mov_epi64(0x03, add(v, _mm512_shuffle_i64x2(v, v, 0xb1)));
}

// --- the row of blocks -------------------------------------------------------------------------------------
constexpr __mmask64 kAll = ~uint64_t{0};
constexpr __mmask64 kTextOfFirst = ~uint64_t{0xffff};

PENSTOCK_INLINE uint32_t vectors_of(uint32_t length) {
  return (length + 79) / 64;
}
// J0 or AAD, and text: where the block of lengths goes.
PENSTOCK_INLINE uint32_t lanes_of(uint32_t length) {
  return (length + 15) / 16 + 1;
}
// The bytes of text in a vector at or behind the end.
PENSTOCK_INLINE __mmask64 text_mask(uint32_t length, uint32_t vector) {
  return _bzhi_u64(kAll, length + 16 - 64 * vector);
}

// Vector v's four counters, big-endian in each block's last word: 4v + 1 … 4v + 4 (SP 800-38D §7.1).
constexpr unsigned kCounterVectors = 64;
struct Counters {
  uint32_t word[kCounterVectors][16];
  constexpr Counters() : word{} {
    for (uint32_t v = 0; v < kCounterVectors; ++v) {
      for (uint32_t lane = 0; lane < 4; ++lane) word[v][4 * lane + 3] = __builtin_bswap32(4 * v + lane + 1);
    }
  }
};
alignas(64) constexpr Counters kCounters;

// Nonce and first round key. Added to a vector of kCounters, what the first round starts from.
PENSTOCK_INLINE __m512i counter_base(const GcmOp& op) {
  static_assert(offsetof(GcmOp, nonce) + 16 <= sizeof(GcmOp),
                "a nonce is loaded with the four bytes behind it");
  return add(_mm512_maskz_broadcast_i32x4(0x7777, load128(op.nonce)), broadcast(op.key->round_keys[0]));
}

// All of the AAD but its last block, and that block, as one block for lane 0.
__attribute__((noinline)) __m128i long_aad_block(const GcmOp& op) {
  const __m512i h = _mm512_zextsi128_si512(load128(op.key->powers[GcmKey::kPowers - 1]));
  const uint8_t* aad = op.aad;
  uint32_t length = op.aad_length;
  __m512i sum = _mm512_setzero_si512();
  for (; length > 16; length -= 16, aad += 16) {
    sum = multiply_and_reduce(add(sum, reverse(_mm512_zextsi128_si512(load128(aad)))), h);
  }
  const __m128i last = _mm_maskz_loadu_epi8(static_cast<__mmask16>(_bzhi_u32(0xffff, length)), aad);
  return _mm_xor_si128(last, _mm512_castsi512_si128(reverse(sum)));
}
PENSTOCK_INLINE __m128i aad_block(const GcmOp& op) {
  if (__builtin_expect(op.aad_length > 16, 0)) return long_aad_block(op);
  return _mm_maskz_loadu_epi8(static_cast<__mmask16>(_bzhi_u32(0xffff, op.aad_length)), op.aad);
}

// The block of lengths, byte-reversed, in its lane of the last vector, if there is one, over zeros.
PENSTOCK_INLINE __m512i lengths_of(const GcmOp& op) {
  const uint32_t lane = lanes_of(op.length) % 4;
  return _mm512_maskz_broadcast_i64x2(
      static_cast<__mmask8>(lane == 0 ? 0 : 3 << lane * 2),
      _mm_set_epi64x(static_cast<long long>(op.aad_length) * 8, static_cast<long long>(op.length) * 8));
}
// If there is none, a multiplication of its own.
PENSTOCK_INLINE void multiply_lengths(Sum& sum, const GcmOp& op) {
  if (lanes_of(op.length) % 4 != 0) return;
  const GcmKey& key = *op.key;
  const __m128i l =
      _mm_set_epi64x(static_cast<long long>(op.aad_length) * 8, static_cast<long long>(op.length) * 8);
  const __m128i h = load128(key.powers[GcmKey::kPowers - 1]);
  const __m128i folded = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&key.folded[GcmKey::kPowers - 1]));
  const __m128i both = _mm_xor_si128(l, _mm_shuffle_epi32(l, 0x4e));
  add_to(sum.low, _mm512_zextsi128_si512(_mm_clmulepi64_si128(l, h, 0x00)));
  add_to(sum.high, _mm512_zextsi128_si512(_mm_clmulepi64_si128(l, h, 0x11)));
  add_to(sum.middle, _mm512_zextsi128_si512(_mm_clmulepi64_si128(both, folded, 0x00)));
}

// --- tags --------------------------------------------------------------------------------------------------
// Tags of kCount packets out of their sums and encrypted J0s (lane 0), kCount 4 or 2; packet i's in lane i ·
// 4 / kCount.
template <int kCount>
PENSTOCK_INLINE __m512i make_tags(const Sum* sums, const __m128i* masks) {
  __m512i low[kCount];
  __m512i middle[kCount];
  __m512i high[kCount];
  __m512i mask = _mm512_castsi128_si512(masks[0]);
  PENSTOCK_UNROLL for (int k = 0; k < kCount; ++k) {
    low[k] = sums[k].low;
    middle[k] = sums[k].middle;
    high[k] = sums[k].high;
  }
  if constexpr (kCount == 2) mask = _mm512_inserti32x4(mask, masks[1], 2);
  if constexpr (kCount == 4) {
    const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(masks[2]), masks[3], 1);
    mask = _mm512_inserti64x4(_mm512_inserti32x4(mask, masks[1], 1), cd, 1);
  }
  return add(reverse(reduce({add_lanes<kCount>(low), add_lanes<kCount>(middle), add_lanes<kCount>(high)})),
             mask);
}

template <int kCount>
PENSTOCK_INLINE void write_tags(__m512i tags, const GcmOp* const* op) {
  store128(op[0]->tag, _mm512_castsi512_si128(tags));
  if constexpr (kCount == 2) store128(op[1]->tag, _mm512_extracti32x4_epi32(tags, 2));
  if constexpr (kCount == 4) {
    store128(op[1]->tag, _mm512_extracti32x4_epi32(tags, 1));
    store128(op[2]->tag, _mm512_extracti32x4_epi32(tags, 2));
    store128(op[3]->tag, _mm512_extracti32x4_epi32(tags, 3));
  }
}

// Bit i set for each op whose tag is as given; i is its place in the burst.
template <int kCount>
PENSTOCK_INLINE uint64_t check_tags(__m512i tags, const GcmOp* const* op, const GcmOp* ops) {
  __m512i given = _mm512_castsi128_si512(load128(op[0]->tag));
  if constexpr (kCount == 2) given = _mm512_inserti32x4(given, load128(op[1]->tag), 2);
  if constexpr (kCount == 4) {
    const __m256i cd =
        _mm256_inserti128_si256(_mm256_castsi128_si256(load128(op[2]->tag)), load128(op[3]->tag), 1);
    given = _mm512_inserti64x4(_mm512_inserti32x4(given, load128(op[1]->tag), 1), cd, 1);
  }
  const unsigned half = _mm512_cmpeq_epi64_mask(tags, given);
  const unsigned whole = half & half >> 1;
  uint64_t good = 0;
  PENSTOCK_UNROLL for (int k = 0; k < kCount; ++k) {
    good |= static_cast<uint64_t>(whole >> (k * (8 / kCount)) & 1) << (op[k] - ops);
  }
  return good;
}

// Gathers packets that end one by one, until there are four whose tags are made at once.
template <bool kOpen>
struct Finisher {
  const GcmOp* ops;
  uint64_t good = 0;
  unsigned count = 0;
  const GcmOp* op[4];
  Sum sum[4];
  __m128i mask[4];

  PENSTOCK_INLINE_MEMBER explicit Finisher(const GcmOp* burst) : ops(burst) {}
  PENSTOCK_INLINE_MEMBER void put(const GcmOp* which, const Sum& total, __m128i j0) {
    op[count] = which;
    sum[count] = total;
    mask[count] = j0;
    if (++count == 4) finish();
  }
  // A last few are filled up to four with the first of them: written, or found good, more than once.
  PENSTOCK_INLINE_MEMBER void flush() {
    if (count == 0) return;
    for (; count < 4; ++count) {
      op[count] = op[0];
      sum[count] = sum[0];
      mask[count] = mask[0];
    }
    finish();
  }

 private:
  PENSTOCK_INLINE_MEMBER void finish() {
    const __m512i tags = make_tags<4>(sum, mask);
    if constexpr (kOpen) {
      good |= check_tags<4>(tags, op, ops);
    } else {
      write_tags<4>(tags, op);
    }
    count = 0;
  }
};

}  // namespace
}  // namespace penstock::gcm
