// What vaes_bursts.h is made of on 256-bit registers, of which there are sixteen and no masks: vectors of two
// blocks, the ends of a text, tags.
#pragma once
#include "crypto/vaes_shared.h"

// Not anonymous: three files share what they call by reference. Not one namespace for both widths: what a
// linker merges must be compiled for one instruction set.
#define PENSTOCK_VAES vaes256

namespace penstock::gcm::PENSTOCK_VAES {

using Vector = __m256i;
constexpr int kLanes = 2;

// Packets of up to so many vectors run as batches, so many packets side by side that registers are full: of
// sixteen, three are a GHASH sum and at least four what it is multiplied from.
constexpr int kBatchVectors = 8;
constexpr int packets_of(int vectors) {
  return vectors <= 2 ? 4 : vectors <= 4 ? 2 : 1;
}
// Longer ones: groups, then a last one of kMinLast to kGroup + kMinLast - 1. (Fewer at once would wait for
// AES.)
constexpr int kGroup = 6;
constexpr int kMinLast = 3;
// Shorter ones, which no IP packet makes, and AAD of more than a block, are left to another kernel: the end
// of a text is loaded and stored by the 16 bytes that end there.
constexpr uint32_t kMinText = 16;

// --- vectors -----------------------------------------------------------------------------------------------
PENSTOCK_INLINE Vector load(const void* p) {
  return _mm256_loadu_si256(static_cast<const Vector*>(p));
}
PENSTOCK_INLINE void store(void* p, Vector v) {
  _mm256_storeu_si256(static_cast<Vector*>(p), v);
}
PENSTOCK_INLINE Vector zero() {
  return _mm256_setzero_si256();
}
PENSTOCK_INLINE Vector broadcast(const void* p) {
  return _mm256_broadcastsi128_si256(load128(p));
}
PENSTOCK_INLINE Vector broadcast_half(uint64_t v) {
  return _mm256_set1_epi64x(static_cast<long long>(v));
}
PENSTOCK_INLINE Vector in_first_lane(__m128i v) {
  return _mm256_zextsi128_si256(v);
}
PENSTOCK_INLINE __m128i first_lane(Vector v) {
  return _mm256_castsi256_si128(v);
}
PENSTOCK_INLINE Vector with_first_lane(Vector v, __m128i lane) {
  return _mm256_inserti128_si256(v, lane, 0);
}
PENSTOCK_INLINE Vector add(Vector a, Vector b) {
  return _mm256_xor_si256(a, b);
}
PENSTOCK_INLINE Vector add(Vector a, Vector b, Vector c) {
  return add(add(a, b), c);
}
// The instructions whose order matters, as volatile statements, which the compiler leaves in the order they
// are written in: multiplications must come evenly spread.
PENSTOCK_INLINE void add_to(Vector& sum, Vector v) {
  __asm__ volatile("vpxor %1, %0, %0" : "+x"(sum) : "x"(v));
}
PENSTOCK_INLINE void aes_round(Vector& state, Vector round_key) {
  __asm__ volatile("vaesenc %1, %0, %0" : "+x"(state) : "x"(round_key));
}
PENSTOCK_INLINE Vector aes_last(Vector state, Vector round_key) {
  return _mm256_aesenclast_epi128(state, round_key);
}
template <int kHalves>
PENSTOCK_INLINE Vector multiply(Vector a, Vector b) {
  Vector product;
  __asm__ volatile("vpclmulqdq %3, %2, %1, %0" : "=x"(product) : "x"(a), "x"(b), "i"(kHalves));
  return product;
}
PENSTOCK_INLINE Vector swap_halves(Vector v) {
  return _mm256_shuffle_epi32(v, 0x4e);
}
PENSTOCK_INLINE Vector fold(Vector v) {
  return add(v, swap_halves(v));
}
// The folds of a in the lower and of b in the upper half of each lane.
PENSTOCK_INLINE Vector fold(Vector a, Vector b) {
  return add(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}
PENSTOCK_INLINE Vector reverse(Vector v) {
  return _mm256_shuffle_epi8(
      v, _mm256_broadcastsi128_si256(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

// --- GHASH -------------------------------------------------------------------------------------------------
// portable.cc's multiply has the reasons; every lane by itself. The middle lacks low and high (Karatsuba).
PENSTOCK_INLINE Vector reduce(Vector low, Vector middle, Vector high) {
  const Vector poly = broadcast_half(0xc200000000000000);
  middle = add(middle, low, high);
  low = add(low, _mm256_bslli_epi128(middle, 8));
  high = add(high, _mm256_bsrli_epi128(middle, 8));
  low = add(swap_halves(low), _mm256_clmulepi64_epi128(low, poly, 0x00));
  return add(high, add(swap_halves(low), _mm256_clmulepi64_epi128(low, poly, 0x00)));
}

// A power stays in memory, twice an operand, and takes no register.
struct StoredPower {
  const uint8_t* at;
};
PENSTOCK_INLINE StoredPower stored_power(const void* p) {
  return {static_cast<const uint8_t*>(p)};
}
template <int kHalves>
PENSTOCK_INLINE Vector multiply(Vector a, StoredPower b) {
  Vector product;
  __asm__ volatile("vpclmulqdq %3, %2, %1, %0"
                   : "=x"(product)
                   : "x"(a), "m"(*reinterpret_cast<const __m256i_u*>(b.at)), "i"(kHalves));
  return product;
}
// Folded powers of vectors v and v + 1: in the lower and the upper half of each lane.
PENSTOCK_INLINE Vector folded_powers(const Powers& powers, int v) {
  return _mm256_permute4x64_epi64(load(powers.folded + 2 * v), 0xd8);
}
// The order of a pair's multiplications: which of the two vectors, which half; then two for the middle.
constexpr int kPairOrder[4] = {0, 1, 2, 3};  // a low, a high, b low, b high: one power at a time

// The sums of two vectors' lanes, that of vector i in lane i.
template <int kCount>
PENSTOCK_INLINE Vector add_lanes(const Vector* v) {
  return add(_mm256_permute2x128_si256(v[0], v[1], 0x20), _mm256_permute2x128_si256(v[0], v[1], 0x31));
}
template <int kCount>
PENSTOCK_INLINE Vector gather_lanes(const __m128i* lane) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(lane[0]), lane[1], 1);
}
template <int kCount>
PENSTOCK_INLINE void spread_lanes(Vector v, __m128i* lane) {
  lane[0] = first_lane(v);
  lane[1] = _mm256_extracti128_si256(v, 1);
}
// Bit i: whether packet i's lanes are equal.
template <int kCount>
PENSTOCK_INLINE unsigned equal_lanes(Vector a, Vector b) {
  const auto half = static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(a, b))));
  const unsigned whole = half & half >> 1;
  return (whole & 1) | (whole >> 1 & 2);
}

// --- a packet's ends ---------------------------------------------------------------------------------------
// Nonce and first round key. Added to a vector of kCounters, what the first round starts from.
PENSTOCK_INLINE Vector counter_base(const GcmOp& op) {
  const Vector nonce = _mm256_and_si256(broadcast(op.nonce), _mm256_set_epi32(0, -1, -1, -1, 0, -1, -1, -1));
  return add(nonce, broadcast(op.key->round_keys[0]));
}
// Counter blocks first and first + 1 without a nonce.
PENSTOCK_INLINE Vector counters_from(uint32_t first) {
  return _mm256_set_epi32(static_cast<int>(__builtin_bswap32(first + 1)), 0, 0, 0,
                          static_cast<int>(__builtin_bswap32(first)), 0, 0, 0);
}

static __attribute__((noinline)) __m128i aad_of_any_length(const GcmOp& op) {
  alignas(16) uint8_t block[16] = {};
  std::memcpy(block, op.aad, op.aad_length);
  return load128(block);
}
// The AAD, at most one block of it (class_of sees to that). ESP's is of 8 bytes or 12.
PENSTOCK_INLINE __m128i aad_block(const GcmOp& op) {
  if (__builtin_expect((op.aad_length & ~4u) != 8, 0)) return aad_of_any_length(op);
  int64_t first;
  uint32_t last;
  std::memcpy(&first, op.aad, 8);
  std::memcpy(&last, op.aad + op.aad_length - 4, 4);
  return _mm_set_epi64x(op.aad_length == 12 ? last : 0, first);
}

// Bytes of ones, zeros and of places around 0 … 15, to be loaded from anywhere among them.
struct Slides {
  uint8_t ones_before_zeros[64];
  uint8_t zeros_before_ones[64];
  uint8_t places[48];  // 0 … 15, then such as a shuffle makes zeros of
  constexpr Slides() : ones_before_zeros{}, zeros_before_ones{}, places{} {
    for (unsigned i = 0; i < 32; ++i) ones_before_zeros[i] = zeros_before_ones[32 + i] = 0xff;
    for (unsigned i = 0; i < 48; ++i) places[i] = static_cast<uint8_t>(i < 16 ? i : 0x80);
  }
};
alignas(64) constexpr Slides kSlides;

// The block of lengths in bits, byte-reversed, in lane 1 of the last vector over zeros; nothing but zeros if
// it would be lane 0 of one more. `lanes` is those before it.
PENSTOCK_INLINE Vector lengths_of(const GcmOp& op, uint32_t lanes) {
  const __m128i both = _mm_cvtepu32_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(&op.length)));
  const Vector lengths = _mm256_broadcastsi128_si256(_mm_slli_epi64(both, 3));
  return _mm256_and_si256(lengths, load(kSlides.zeros_before_ones + lanes % 2 * 16));
}

// How many bytes of a last vector are a block of the packet's, J0 or text: 1 … 32.
struct Tail {
  uint32_t bytes;
};
PENSTOCK_INLINE Tail tail_of(uint32_t bytes) {
  return {bytes};
}
// A packet's first vector has J0 or AAD in lane 0, where there is no text; lane 1 is all text, by kMinText.
// `in` and `out` are where a whole vector would start, so 16 bytes before the text in that one; what is not
// text loads as zeros and is not stored.
PENSTOCK_INLINE Vector load_text(const uint8_t* in, bool is_first, bool is_last, const Tail& tail) {
  if (is_first) return _mm256_inserti128_si256(zero(), load128(in + 16), 1);
  if (!is_last) return load(in);
  // Lane 1, and lane 0 unless it is whole, by the 16 bytes that end where the text does, moved down.
  const ptrdiff_t bytes = tail.bytes;
  const ptrdiff_t lower = bytes < 16 ? bytes - 16 : 0;
  const Vector text =
      _mm256_inserti128_si256(_mm256_castsi128_si256(load128(in + lower)), load128(in + bytes - 16), 1);
  const Vector places = _mm256_inserti128_si256(_mm256_castsi128_si256(load128(kSlides.places - lower)),
                                                load128(kSlides.places + 32 - bytes), 1);
  return _mm256_shuffle_epi8(text, places);
}
// `before`: the text of the vector before.
PENSTOCK_INLINE void store_text(uint8_t* out, Vector x, Vector before, bool is_first, bool is_last,
                                const Tail& tail) {
  if (is_first) return store128(out + 16, _mm256_extracti128_si256(x, 1));
  if (!is_last) return store(out, x);
  alignas(32) uint8_t both[64];
  store(both, before);
  store(both + 32, x);
  const ptrdiff_t bytes = tail.bytes;
  const ptrdiff_t lower = bytes < 16 ? bytes - 16 : 0;
  store128(out + lower, load128(both + 32 + lower));
  store128(out + bytes - 16, load128(both + 16 + bytes));
}
PENSTOCK_INLINE Vector clear_behind(Vector x, const Tail& tail) {
  return _mm256_and_si256(x, load(kSlides.ones_before_zeros + 32 - tail.bytes));
}

// --- bursts ------------------------------------------------------------------------------------------------
// Those of `left` whose byte is as given.
PENSTOCK_INLINE uint64_t members_of(const uint8_t classes[kGcmMaxBurst], uint64_t left, uint8_t chosen) {
  const Vector value = _mm256_set1_epi8(static_cast<char>(chosen));
  const auto low = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(load(classes), value)));
  const auto high = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(load(classes + 32), value)));
  return left & (low | static_cast<uint64_t>(high) << 32);
}
// Their numbers in order; the last one fills what is behind them.
PENSTOCK_INLINE void list(uint64_t members, uint8_t index[kGcmMaxBurst + 64]) {
  unsigned count = 0;
  uint8_t last = 0;
  for (; members != 0; members &= members - 1)
    index[count++] = last = static_cast<uint8_t>(_tzcnt_u64(members));
  for (unsigned i = 0; i < 4; ++i) index[count + i] = last;
}

}  // namespace penstock::gcm::PENSTOCK_VAES
