// What vaes_bursts.h is made of on 512-bit registers: vectors of four blocks, the ends of a text, tags.
#pragma once
#include "crypto/vaes_shared.h"

// Not anonymous: three files share what they call by reference. Not one namespace for both widths: what a
// linker merges must be compiled for one instruction set.
#define PENSTOCK_VAES vaes512

namespace penstock::gcm::PENSTOCK_VAES {

using Vector = __m512i;
constexpr int kLanes = 4;

// Packets of up to so many vectors run as batches, so many packets side by side that registers are full.
constexpr int kBatchVectors = 9;
constexpr int packets_of(int vectors) {
  return vectors <= 3 ? 4 : vectors <= 5 ? 2 : 1;
}
// Longer ones: groups, then a last one of kMinLast to kGroup + kMinLast - 1. (Not of one: there might be
// fewer blocks behind the last reduction than it has lanes.)
constexpr int kGroup = 8;
constexpr int kMinLast = 2;
constexpr uint32_t kMinText = 0;  // shorter ones, and AAD of more than a block, are left to another kernel

// --- vectors -----------------------------------------------------------------------------------------------
PENSTOCK_INLINE Vector load(const void* p) {
  return _mm512_loadu_si512(p);
}
PENSTOCK_INLINE void store(void* p, Vector v) {
  _mm512_storeu_si512(p, v);
}
PENSTOCK_INLINE Vector zero() {
  return _mm512_setzero_si512();
}
PENSTOCK_INLINE Vector broadcast(const void* p) {
  return _mm512_broadcast_i32x4(load128(p));
}
PENSTOCK_INLINE Vector broadcast_half(uint64_t v) {
  return _mm512_set1_epi64(static_cast<long long>(v));
}
PENSTOCK_INLINE Vector in_first_lane(__m128i v) {
  return _mm512_zextsi128_si512(v);
}
PENSTOCK_INLINE __m128i first_lane(Vector v) {
  return _mm512_castsi512_si128(v);
}
PENSTOCK_INLINE Vector with_first_lane(Vector v, __m128i lane) {
  return _mm512_inserti32x4(v, lane, 0);
}
PENSTOCK_INLINE Vector add(Vector a, Vector b) {
  return _mm512_xor_si512(a, b);
}
PENSTOCK_INLINE Vector add(Vector a, Vector b, Vector c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
// The instructions whose order matters, as volatile statements, which the compiler leaves in the order they
// are written in. Its own, by kind, costs a tenth: multiplications must come evenly spread.
PENSTOCK_INLINE void add_to(Vector& sum, Vector v) {
  __asm__ volatile("vpxorq %1, %0, %0" : "+v"(sum) : "v"(v));
}
PENSTOCK_INLINE void aes_round(Vector& state, Vector round_key) {
  __asm__ volatile("vaesenc %1, %0, %0" : "+v"(state) : "v"(round_key));
}
PENSTOCK_INLINE Vector aes_last(Vector state, Vector round_key) {
  return _mm512_aesenclast_epi128(state, round_key);
}
template <int kHalves>
PENSTOCK_INLINE Vector multiply(Vector a, Vector b) {
  Vector product;
  __asm__ volatile("vpclmulqdq %3, %2, %1, %0" : "=v"(product) : "v"(a), "v"(b), "i"(kHalves));
  return product;
}
PENSTOCK_INLINE Vector swap_halves(Vector v) {
  return _mm512_shuffle_epi32(v, _MM_PERM_BADC);
}
PENSTOCK_INLINE Vector fold(Vector v) {
  return add(v, swap_halves(v));
}
// The folds of a in the lower and of b in the upper half of each lane.
PENSTOCK_INLINE Vector fold(Vector a, Vector b) {
  return add(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
PENSTOCK_INLINE Vector reverse(Vector v) {
  return _mm512_shuffle_epi8(
      v, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

// --- GHASH -------------------------------------------------------------------------------------------------
// portable.cc's multiply has the reasons; every lane by itself. The middle lacks low and high (Karatsuba).
PENSTOCK_INLINE Vector reduce(Vector low, Vector middle, Vector high) {
  const Vector poly = broadcast_half(0xc200000000000000);
  middle = add(middle, low, high);
  low = add(low, _mm512_bslli_epi128(middle, 8));
  high = add(high, _mm512_bsrli_epi128(middle, 8));
  low = add(swap_halves(low), _mm512_clmulepi64_epi128(low, poly, 0x00));
  return add(high, swap_halves(low), _mm512_clmulepi64_epi128(low, poly, 0x00));
}

// A power is loaded once for its two multiplications, whatever the compiler thinks of doing it again.
using StoredPower = Vector;
PENSTOCK_INLINE StoredPower stored_power(const void* p) {
  Vector v = load(p);
  __asm__("" : "+v"(v));
  return v;
}
// Folded powers of vectors v and v + 1: in the lower and the upper half of each lane.
PENSTOCK_INLINE Vector folded_powers(const Powers& powers, int v) {
  return _mm512_permutexvar_epi64(_mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0), load(powers.folded + 4 * v));
}
// The order of a pair's multiplications: which of the two vectors, which half; then two for the middle.
constexpr int kPairOrder[4] = {0, 2, 1, 3};  // a low, b low, a high, b high

// Adds up the lanes of each of kCount vectors. The sum of vector i is in lane i · (4 / kCount).
template <int kCount>
PENSTOCK_INLINE Vector add_lanes(const Vector* v) {
  const Vector ab = add(_mm512_shuffle_i64x2(v[0], v[1], 0x44), _mm512_shuffle_i64x2(v[0], v[1], 0xee));
  if constexpr (kCount == 2) return add(ab, _mm512_shuffle_i64x2(ab, ab, 0xb1));
  const Vector cd = add(_mm512_shuffle_i64x2(v[2], v[3], 0x44), _mm512_shuffle_i64x2(v[2], v[3], 0xee));
  return add(_mm512_shuffle_i64x2(ab, cd, 0x88), _mm512_shuffle_i64x2(ab, cd, 0xdd));
}

// kCount lanes, that of packet i where add_lanes leaves its sum.
template <int kCount>
PENSTOCK_INLINE Vector gather_lanes(const __m128i* lane) {
  const Vector a = _mm512_castsi128_si512(lane[0]);
  if constexpr (kCount == 2) return _mm512_inserti32x4(a, lane[1], 2);
  const __m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(lane[2]), lane[3], 1);
  return _mm512_inserti64x4(_mm512_inserti32x4(a, lane[1], 1), cd, 1);
}
template <int kCount>
PENSTOCK_INLINE void spread_lanes(Vector v, __m128i* lane) {
  lane[0] = first_lane(v);
  lane[1] = _mm512_extracti32x4_epi32(v, kCount == 2 ? 2 : 1);
  if constexpr (kCount == 4) {
    lane[2] = _mm512_extracti32x4_epi32(v, 2);
    lane[3] = _mm512_extracti32x4_epi32(v, 3);
  }
}
// Bit i: whether packet i's lanes are equal.
template <int kCount>
PENSTOCK_INLINE unsigned equal_lanes(Vector a, Vector b) {
  const unsigned half = _mm512_cmpeq_epi64_mask(a, b);
  const unsigned whole = half & half >> 1;
  unsigned equal = 0;
  PENSTOCK_UNROLL for (int k = 0; k < kCount; ++k) equal |= (whole >> (k * (8 / kCount)) & 1) << k;
  return equal;
}

// --- a packet's ends ---------------------------------------------------------------------------------------
// Nonce and first round key. Added to a vector of kCounters, what the first round starts from.
PENSTOCK_INLINE Vector counter_base(const GcmOp& op) {
  return add(_mm512_maskz_broadcast_i32x4(0x7777, load128(op.nonce)), broadcast(op.key->round_keys[0]));
}
// Counter blocks first … first + 3 without a nonce.
PENSTOCK_INLINE Vector counters_from(uint32_t first) {
  const Vector swap =
      _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  const Vector lanes = _mm512_set_epi32(3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
  return _mm512_shuffle_epi8(_mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(first))), swap);
}

// The AAD, at most one block of it (class_of sees to that).
PENSTOCK_INLINE __m128i aad_block(const GcmOp& op) {
  return _mm_maskz_loadu_epi8(static_cast<__mmask16>(_bzhi_u32(0xffff, op.aad_length)), op.aad);
}

// The block of lengths in bits, byte-reversed, in its lane of the last vector over zeros; nothing but zeros
// if it would be lane 0 of one more. `lanes` is those before it.
PENSTOCK_INLINE Vector lengths_of(const GcmOp& op, uint32_t lanes) {
  const __mmask16 words = static_cast<__mmask16>(0x5u << lanes % 4 * 4 & 0xfff0);
  long long both_lengths;
  std::memcpy(&both_lengths, &op.length, 8);
  return _mm512_maskz_shuffle_epi32(words, _mm512_slli_epi32(_mm512_set1_epi64(both_lengths), 3),
                                    _MM_PERM_DBCA);
}

// Which bytes of a last vector are a block of the packet's, J0 or text.
struct Tail {
  __mmask64 bytes;
};
PENSTOCK_INLINE Tail tail_of(uint32_t bytes) {
  return {_bzhi_u64(~uint64_t{0}, bytes)};
}
// A packet's first vector has J0 or AAD in lane 0, where there is no text. `in` and `out` are where a whole
// vector would start, so 16 bytes before the text in that one; what is not text loads as zeros and is not
// stored.
PENSTOCK_INLINE __mmask64 text_in(bool is_first, bool is_last, const Tail& tail) {
  const __mmask64 mask = is_last ? tail.bytes : ~uint64_t{0};
  return is_first ? mask & ~uint64_t{0xffff} : mask;
}
PENSTOCK_INLINE Vector load_text(const uint8_t* in, bool is_first, bool is_last, const Tail& tail) {
  return is_first || is_last ? _mm512_maskz_loadu_epi8(text_in(is_first, is_last, tail), in) : load(in);
}
// `before`: the text of the vector before.
PENSTOCK_INLINE void store_text(uint8_t* out, Vector x, Vector /*before*/, bool is_first, bool is_last,
                                const Tail& tail) {
  if (is_first || is_last) {
    _mm512_mask_storeu_epi8(out, text_in(is_first, is_last, tail), x);
  } else {
    store(out, x);
  }
}
PENSTOCK_INLINE Vector clear_behind(Vector x, const Tail& tail) {
  return _mm512_maskz_mov_epi8(tail.bytes, x);
}

// --- bursts ------------------------------------------------------------------------------------------------
// Those of `left` whose byte is as given.
PENSTOCK_INLINE uint64_t members_of(const uint8_t classes[kGcmMaxBurst], uint64_t left, uint8_t chosen) {
  return left & _mm512_cmpeq_epi8_mask(load(classes), _mm512_set1_epi8(static_cast<char>(chosen)));
}
// Their numbers in order; the last one fills what is behind them.
PENSTOCK_INLINE void list(uint64_t members, uint8_t index[kGcmMaxBurst + 64]) {
  alignas(64) static constexpr struct Numbers {
    uint8_t value[64];
    constexpr Numbers() : value{} {
      for (unsigned i = 0; i < 64; ++i) value[i] = static_cast<uint8_t>(i);
    }
  } kNumbers;
  const Vector filling = _mm512_set1_epi8(static_cast<char>(63 - __builtin_clzll(members)));
  store(index, _mm512_mask_compress_epi8(filling, members, load(kNumbers.value)));
  store(index + 64, filling);
}

}  // namespace penstock::gcm::PENSTOCK_VAES
