// What vaes512.cc is made of: vectors of four blocks, GHASH sums, the row of blocks that a packet is, tags.
// Included by vaes512.cc alone.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "crypto/kernel.h"

// Loops over registers: their bounds are constants and they must vanish.
#define PENSTOCK_UNROLL _Pragma("GCC unroll 64")

namespace penstock::gcm {
namespace {

template <int kValue>
struct Constant {
  static constexpr int value = kValue;
};
#define PENSTOCK_BODY __attribute__((always_inline))

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
// A load that is done once, whatever the compiler thinks of doing it again where the value is used.
PENSTOCK_INLINE __m512i load_once(const void* p) {
  __m512i v = _mm512_loadu_si512(p);
  __asm__("" : "+v"(v));
  return v;
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
// The instructions whose order matters, as volatile statements, which the compiler leaves in the order they
// are written in. Its own, by kind, costs a tenth: multiplications must come evenly spread.
PENSTOCK_INLINE void add_to(__m512i& sum, __m512i v) {
  __asm__ volatile("vpxorq %1, %0, %0" : "+v"(sum) : "v"(v));
}
PENSTOCK_INLINE void aes_round(__m512i& state, __m512i round_key) {
  __asm__ volatile("vaesenc %1, %0, %0" : "+v"(state) : "v"(round_key));
}
template <int kHalves>
PENSTOCK_INLINE __m512i multiply(__m512i a, __m512i b) {
  __m512i product;
  __asm__ volatile("vpclmulqdq %3, %2, %1, %0" : "=v"(product) : "v"(a), "v"(b), "i"(kHalves));
  return product;
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

// Row: input(v), a vector in GHASH's order; power(v); folded_power(v), with that of v in the lower half of
// each lane and that of v + 1 in the upper or, if kSpread, its own in both.
template <typename Row>
PENSTOCK_INLINE void multiply_part(int part, Multiplier& m, Sum& sum, const Row& row) {
  constexpr int kVectors = Row::kVectors;
  // The first pair last: in a group that follows another it waits for that one's reduced sum.
  const int pairs = kVectors / 2;
  const bool odd = part >= 6 * pairs;
  const int v = odd ? kVectors - 1 : (part / 6 + 1) % (pairs > 0 ? pairs : 1) * 2;
  const int step = odd ? (part - 6 * pairs) * 2 : part % 6;
  const bool start = part == step || pairs == 0;
  if (step == 0) {
    m.a = row.input(v);
    m.a_power = row.power(v);
    const __m512i product = multiply<0x00>(m.a, m.a_power);
    start ? void(sum.low = product) : add_to(sum.low, product);
  } else if (step == 1) {
    m.b = row.input(v + 1);
    m.b_power = row.power(v + 1);
    add_to(sum.low, multiply<0x00>(m.b, m.b_power));
  } else if (step == 2) {
    const __m512i product = multiply<0x11>(m.a, m.a_power);
    start ? void(sum.high = product) : add_to(sum.high, product);
  } else if (step == 3) {
    add_to(sum.high, multiply<0x11>(m.b, m.b_power));
  } else if (step == 4) {
    m.folded = odd ? fold(m.a) : add(_mm512_unpacklo_epi64(m.a, m.b), _mm512_unpackhi_epi64(m.a, m.b));
    m.folded_power = row.folded_power(v);
    const __m512i product = multiply<0x00>(m.folded, m.folded_power);
    start ? void(sum.middle = product) : add_to(sum.middle, product);
  } else if (Row::kSpread) {
    add_to(sum.middle, multiply<0x01>(m.folded, row.folded_power(v + 1)));
  } else {
    add_to(sum.middle, multiply<0x11>(m.folded, m.folded_power));
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

// The AAD, at most one block of it (run sees to that).
PENSTOCK_INLINE __m128i aad_block(const GcmOp& op) {
  return _mm_maskz_loadu_epi8(static_cast<__mmask16>(_bzhi_u32(0xffff, op.aad_length)), op.aad);
}

// The block of lengths in bits, byte-reversed, in its lane of the last vector over zeros; nothing but zeros
// if it would be lane 0 of one more. `lanes` is those before it. (Both lengths are one 64-bit load, apart by
// a masked shuffle.)
PENSTOCK_INLINE __m512i lengths_of(const GcmOp& op, uint32_t lanes) {
  static_assert(offsetof(GcmOp, aad_length) == offsetof(GcmOp, length) + 4);
  const __mmask16 words = static_cast<__mmask16>(0x5u << lanes % 4 * 4 & 0xfff0);
  long long both_lengths;
  std::memcpy(&both_lengths, &op.length, 8);
  const __m512i both = _mm512_set1_epi64(both_lengths);
  return _mm512_maskz_shuffle_epi32(words, _mm512_slli_epi32(both, 3), _MM_PERM_DBCA);
}
// If there is none, a multiplication of its own.
PENSTOCK_INLINE void multiply_lengths(Sum& sum, const GcmOp& op, uint32_t lanes) {
  if (lanes % 4 != 0) return;
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
