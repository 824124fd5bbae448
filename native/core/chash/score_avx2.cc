// score.h on 256-bit registers: as score_avx512.cc, with what AVX2 has.
#include <immintrin.h>

#include "score.h"

namespace penstock::chash {

namespace {

__m256i load(const uint32_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
__m256i all32(uint32_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}
__m256i all16(uint32_t value) {
  return _mm256_set1_epi16(static_cast<short>(value));
}
__m128i count_of(uint32_t value) {
  return _mm_cvtsi32_si128(static_cast<int>(value));
}

// score.cc rank_logarithm, of a rank with its half step added. There is no count of leading zeros here, but a
// word of at most 24 significant bits turns into a float exactly, on every processor, and the float's
// exponent and fraction are what is wanted.
inline __m256i logarithm(__m256i y) {
  const __m256i f = _mm256_castps_si256(_mm256_cvtepi32_ps(_mm256_srli_epi32(y, 1)));  // bit 0 of y is 0
  const __m256i whole = _mm256_sub_epi32(all32(127 + 30), _mm256_srli_epi32(f, 23));
  const __m256i below = _mm256_and_si256(_mm256_sub_epi32(_mm256_setzero_si256(), f), all32(0x7fffff));
  const __m256i t = _mm256_srli_epi32(below, 7);
  __m256i p = _mm256_add_epi32(_mm256_mulhi_epu16(all32(kLog3), t), all32(kLog2));
  p = _mm256_add_epi32(_mm256_mulhi_epu16(p, t), all32(kLog1));
  p = _mm256_add_epi32(_mm256_mulhi_epu16(p, t), all32(kLog0));
  p = _mm256_srli_epi32(_mm256_mullo_epi32(p, t), 5);
  return _mm256_add_epi32(_mm256_slli_epi32(whole, 27), p);
}

inline __m256i cost_of(__m256i y, const ScoreClass& c) {
  const __m256i factor = all32(c.factor);
  const __m256i e = _mm256_min_epu32(logarithm(y), all32(c.limit));
  const __m256i even = _mm256_srl_epi64(_mm256_mul_epu32(e, factor), count_of(c.shift));
  const __m256i odd =
      _mm256_sll_epi64(_mm256_mul_epu32(_mm256_srli_epi64(e, 32), factor), count_of(32 - c.shift));
  return _mm256_blend_epi32(even, odd, 0xaa);
}

// The cheapest so far, of the slots in one half of the lanes. `who` keeps both halves; one of them is meant.
struct Cheapest {
  __m256i cost, who;
  void take(__m256i now, __m256i by) {
    const __m256i lower = _mm256_min_epu32(cost, now);
    who = _mm256_blendv_epi8(by, who, _mm256_cmpeq_epi32(lower, cost));
    cost = lower;
  }
  // `choice` below 2^16 in each lane.
  void store(uint32_t* to_cost, uint16_t* to_choice, __m256i choice) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to_cost), cost);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(choice, choice), 0xd8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to_choice), _mm256_castsi256_si128(packed));
  }
};

template <bool kWeighted>
void best16(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
            uint32_t* cost, uint16_t* choice) {
  constexpr int kUnroll = kWeighted ? 2 : 4;
  const __m256i upper = all16(0xffffu << (16 - shape.bits));
  const __m256i offset = all32(1u << (31 - shape.bits));
  const __m256i high = all32(0xffff0000u), low = all32(0xffff);
  const __m128i half = count_of(shape.bits / 2), lift = count_of(16 - shape.bits);
  for (uint32_t at = 0; at < n; at += 16 * kUnroll) {
    __m256i slot[kUnroll];
    Cheapest low_best[kUnroll], high_best[kUnroll];
    for (int u = 0; u < kUnroll; ++u) {
      const uint32_t* from = slots + at + 16 * u;
      slot[u] = _mm256_sll_epi16(_mm256_or_si256(load(from), _mm256_slli_epi32(load(from + 8), 16)), lift);
      low_best[u] = high_best[u] = {all32(~0u), _mm256_setzero_si256()};
    }
    uint32_t k = 0;
    for (uint32_t c = 0; c < candidates.class_count; ++c) {
      const ScoreClass& of = candidates.classes[c];
      __m256i rank[kUnroll], who[kUnroll];
      for (int u = 0; u < kUnroll; ++u) {
        rank[u] = _mm256_setzero_si256();
        who[u] = all16(k);
      }
      for (; k < of.end; ++k) {
        const ScoreKey& key = candidates.keys[k];
        const __m256i mask = _mm256_and_si256(all16(key.mask >> 16), upper), current = all16(k);
        const __m256i m0 = all16(key.multiplier[0]), m1 = all16(key.multiplier[1]),
                      m2 = all16(key.multiplier[2]);
        for (int u = 0; u < kUnroll; ++u) {
          __m256i x = _mm256_mullo_epi16(_mm256_xor_si256(slot[u], mask), m0);
          x = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srl_epi16(x, half)), upper);
          x = _mm256_mullo_epi16(x, m1);
          x = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srl_epi16(x, half)), upper);
          x = _mm256_mullo_epi16(x, m2);
          const __m256i higher = _mm256_max_epu16(rank[u], x);
          who[u] = _mm256_blendv_epi8(current, who[u], _mm256_cmpeq_epi16(higher, rank[u]));
          rank[u] = higher;
        }
      }
      for (int u = 0; u < kUnroll; ++u) {
        const __m256i low_rank = _mm256_slli_epi32(rank[u], 16);
        const __m256i high_rank = _mm256_and_si256(rank[u], high);
        if constexpr (kWeighted) {
          low_best[u].take(cost_of(_mm256_or_si256(low_rank, offset), of), who[u]);
          high_best[u].take(cost_of(_mm256_or_si256(high_rank, offset), of), who[u]);
        } else {
          low_best[u] = {_mm256_xor_si256(low_rank, all32(~0u)), who[u]};
          high_best[u] = {_mm256_xor_si256(high_rank, all32(~0u)), who[u]};
        }
      }
    }
    for (int u = 0; u < kUnroll; ++u) {
      const uint32_t to = at + 16 * u;
      low_best[u].store(cost + to, choice + to, _mm256_and_si256(low_best[u].who, low));
      high_best[u].store(cost + to + 8, choice + to + 8, _mm256_srli_epi32(high_best[u].who, 16));
    }
  }
}

template <bool kWeighted>
void best32(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
            uint32_t* cost, uint16_t* choice) {
  constexpr int kUnroll = 4;
  const __m256i upper = all32(~0u << (32 - shape.bits));
  const __m256i offset = all32(1u << (31 - shape.bits));
  const __m128i half = count_of(shape.bits / 2), lift = count_of(32 - shape.bits);
  for (uint32_t at = 0; at < n; at += 8 * kUnroll) {
    __m256i slot[kUnroll];
    Cheapest best[kUnroll];
    for (int u = 0; u < kUnroll; ++u) {
      slot[u] = _mm256_sll_epi32(load(slots + at + 8 * u), lift);
      best[u] = {all32(~0u), _mm256_setzero_si256()};
    }
    uint32_t k = 0;
    for (uint32_t c = 0; c < candidates.class_count; ++c) {
      const ScoreClass& of = candidates.classes[c];
      __m256i rank[kUnroll], who[kUnroll];
      for (int u = 0; u < kUnroll; ++u) {
        rank[u] = _mm256_setzero_si256();
        who[u] = all32(k);
      }
      for (; k < of.end; ++k) {
        const ScoreKey& key = candidates.keys[k];
        const __m256i mask = _mm256_and_si256(all32(key.mask), upper), current = all32(k);
        const __m256i m0 = all32(key.multiplier[0]), m1 = all32(key.multiplier[1]),
                      m2 = all32(key.multiplier[2]);
        for (int u = 0; u < kUnroll; ++u) {
          __m256i x = _mm256_mullo_epi32(_mm256_xor_si256(slot[u], mask), m0);
          x = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srl_epi32(x, half)), upper);
          x = _mm256_mullo_epi32(x, m1);
          x = _mm256_and_si256(_mm256_xor_si256(x, _mm256_srl_epi32(x, half)), upper);
          x = _mm256_mullo_epi32(x, m2);
          const __m256i higher = _mm256_max_epu32(rank[u], x);
          who[u] = _mm256_blendv_epi8(current, who[u], _mm256_cmpeq_epi32(higher, rank[u]));
          rank[u] = higher;
        }
      }
      for (int u = 0; u < kUnroll; ++u) {
        const __m256i now =
            kWeighted ? cost_of(_mm256_or_si256(rank[u], offset), of) : _mm256_xor_si256(rank[u], all32(~0u));
        best[u].take(now, who[u]);
      }
    }
    for (int u = 0; u < kUnroll; ++u) {
      best[u].store(cost + at + 8 * u, choice + at + 8 * u, best[u].who);
    }
  }
}

}  // namespace

void best_avx2(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
               uint32_t* cost, uint16_t* choice) {
  if (shape.bits > 16) {
    (shape.weighted ? best32<true> : best32<false>)(shape, slots, n, candidates, cost, choice);
  } else {
    (shape.weighted ? best16<true> : best16<false>)(shape, slots, n, candidates, cost, choice);
  }
}

}  // namespace penstock::chash
