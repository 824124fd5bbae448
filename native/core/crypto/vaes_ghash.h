// GHASH sums and the tags made of them, whatever the width of a vector. Included by vaes_bursts.h.
#pragma once
#include "crypto/vaes_shared.h"

namespace penstock::gcm::PENSTOCK_VAES {

constexpr uint32_t kVectorBytes = 16 * kLanes;

PENSTOCK_INLINE uint32_t vectors_of(uint32_t length) {
  return (length + 16 + kVectorBytes - 1) / kVectorBytes;
}
// Of a packet, or what a last group has of it.
PENSTOCK_INLINE Tail tail_of_packet(uint32_t length, uint32_t vectors_before_last) {
  return tail_of(length + 16 - kVectorBytes * vectors_before_last);
}

// --- GHASH -------------------------------------------------------------------------------------------------
// Sums of products, one per lane, before their reduction. Karatsuba: the middle one lacks low and high.
struct Sum {
  Vector low, middle, high;
};

// A row of vectors times their powers, one carry-less multiplication at a time so that other work fits
// between: six for two vectors, with the folded halves of both in one vector; three for an odd one at the
// end.
template <typename Row>
struct Multiplier {
  Vector a, b, folded, folded_power;
  typename Row::Power a_power, b_power;
};
constexpr int parts_of(int vectors) {
  return 3 * vectors;
}

template <int kHalves, typename Power>
PENSTOCK_INLINE void multiply_to(Vector& sum, bool starts, Vector a, Power b) {
  const Vector product = multiply<kHalves>(a, b);
  starts ? void(sum = product) : add_to(sum, product);
}

// Row: input(v), a vector in GHASH's order; power(v); folded_power(v), with that of v in the lower half of
// each lane and that of v + 1 in the upper or, if kSpread, its own in both.
template <typename Row>
PENSTOCK_INLINE void multiply_part(int part, Multiplier<Row>& m, Sum& sum, const Row& row) {
  constexpr int kVectors = Row::kVectors;
  // The first pair last: in a group that follows another it waits for that one's reduced sum.
  const int pairs = kVectors / 2;
  const bool odd = part >= 6 * pairs;
  const int v = odd ? kVectors - 1 : (part / 6 + 1) % (pairs > 0 ? pairs : 1) * 2;
  const int at = odd ? part - 6 * pairs : part % 6;
  // 0 … 3: low of a, high of a, low of b, high of b; 4 and 5: the middles.
  const int step = odd ? (at < 2 ? at : 4) : at < 4 ? kPairOrder[at] : at;
  const bool starts = part == at || pairs == 0;
  if (step == 0) {
    m.a = row.input(v);
    m.a_power = row.power(v);
    multiply_to<0x00>(sum.low, starts, m.a, m.a_power);
  } else if (step == 1) {
    multiply_to<0x11>(sum.high, starts, m.a, m.a_power);
  } else if (step == 2) {
    m.b = row.input(v + 1);
    m.b_power = row.power(v + 1);
    multiply_to<0x00>(sum.low, false, m.b, m.b_power);
  } else if (step == 3) {
    multiply_to<0x11>(sum.high, false, m.b, m.b_power);
  } else if (step == 4) {
    m.folded = odd ? fold(m.a) : fold(m.a, m.b);
    m.folded_power = row.folded_power(v);
    multiply_to<0x00>(sum.middle, starts, m.folded, m.folded_power);
  } else if (Row::kSpread) {
    multiply_to<0x01>(sum.middle, false, m.folded, row.folded_power(v + 1));
  } else {
    multiply_to<0x11>(sum.middle, false, m.folded, m.folded_power);
  }
}

// The lengths, if there is no lane for them: a multiplication of their own.
PENSTOCK_INLINE void multiply_lengths(Sum& sum, const GcmOp& op, uint32_t lanes) {
  if (lanes % kLanes != 0) return;
  const GcmKey& key = *op.key;
  const __m128i l =
      _mm_set_epi64x(static_cast<long long>(op.aad_length) * 8, static_cast<long long>(op.length) * 8);
  const __m128i h = load128(key.powers[GcmKey::kPowers - 1]);
  const __m128i folded = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(&key.folded[GcmKey::kPowers - 1]));
  const __m128i both = _mm_xor_si128(l, _mm_shuffle_epi32(l, 0x4e));
  add_to(sum.low, in_first_lane(_mm_clmulepi64_si128(l, h, 0x00)));
  add_to(sum.high, in_first_lane(_mm_clmulepi64_si128(l, h, 0x11)));
  add_to(sum.middle, in_first_lane(_mm_clmulepi64_si128(both, folded, 0x00)));
}

// What GHASH takes for a packet's first vector: the AAD in lane 0.
PENSTOCK_INLINE Vector first_input(const GcmOp& op, Vector ciphertext) {
  return reverse(with_first_lane(ciphertext, aad_block(op)));
}

// --- tags --------------------------------------------------------------------------------------------------
// Writes or, opening, checks the tags of kCount packets out of their sums and encrypted J0s. Opening: bit i
// set for each op whose tag is as given; i is its place in the burst.
template <int kCount, bool kOpen>
PENSTOCK_INLINE uint64_t finish_tags(const GcmOp* const* op, const Sum* sums, const __m128i* masks,
                                     const GcmOp* ops) {
  Vector low[kCount];
  Vector middle[kCount];
  Vector high[kCount];
  PENSTOCK_UNROLL for (int k = 0; k < kCount; ++k) {
    low[k] = sums[k].low;
    middle[k] = sums[k].middle;
    high[k] = sums[k].high;
  }
  const Vector hash = reduce(add_lanes<kCount>(low), add_lanes<kCount>(middle), add_lanes<kCount>(high));
  const Vector tags = add(reverse(hash), gather_lanes<kCount>(masks));
  __m128i tag[kCount];
  uint64_t good = 0;
  if constexpr (kOpen) {
    PENSTOCK_UNROLL for (int k = 0; k < kCount; ++k) tag[k] = load128(op[k]->tag);
    const unsigned equal = equal_lanes<kCount>(tags, gather_lanes<kCount>(tag));
    PENSTOCK_UNROLL for (int k = 0; k < kCount; ++k) {
      good |= static_cast<uint64_t>(equal >> k & 1) << (op[k] - ops);
    }
  } else {
    spread_lanes<kCount>(tags, tag);
    PENSTOCK_UNROLL for (int k = 0; k < kCount; ++k) store128(op[k]->tag, tag[k]);
  }
  return good;
}

// Gathers packets that end one by one, until there are as many as lanes, whose tags are made at once.
template <bool kOpen>
struct Finisher {
  const GcmOp* ops;
  uint64_t good = 0;
  unsigned count = 0;
  const GcmOp* op[kLanes];
  Sum sum[kLanes];
  __m128i mask[kLanes];

  PENSTOCK_INLINE_MEMBER explicit Finisher(const GcmOp* burst) : ops(burst) {}
  PENSTOCK_INLINE_MEMBER void put(const GcmOp* which, const Sum& total, __m128i j0) {
    op[count] = which;
    sum[count] = total;
    mask[count] = j0;
    if (++count == kLanes) finish();
  }
  // A last few are filled up with the first of them: written, or found good, more than once.
  PENSTOCK_INLINE_MEMBER void flush() {
    if (count == 0) return;
    for (; count < kLanes; ++count) {
      op[count] = op[0];
      sum[count] = sum[0];
      mask[count] = mask[0];
    }
    finish();
  }

 private:
  PENSTOCK_INLINE_MEMBER void finish() {
    good |= finish_tags<kLanes, kOpen>(op, sum, mask, ops);
    count = 0;
  }
};

}  // namespace penstock::gcm::PENSTOCK_VAES
