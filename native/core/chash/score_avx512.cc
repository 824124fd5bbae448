// score.h on 512-bit registers. Slots stand in lanes and candidates pass by, so nothing is summed across
// lanes. Up to 65,536 slots ranks have 16 bits: a 32-bit lane carries two slots, one in each half. More: one
// slot.
#include <immintrin.h>

#include "score.h"

namespace penstock::chash {

namespace {

__m512i all32(uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}
__m512i all16(uint32_t value) {
  return _mm512_set1_epi16(static_cast<short>(value));
}
__m128i count_of(uint32_t value) {
  return _mm_cvtsi32_si128(static_cast<int>(value));
}

// score.cc rank_logarithm, of a rank with its half step added.
inline __m512i logarithm(__m512i y) {
  const __m512i whole = _mm512_lzcnt_epi32(y);
  const __m512i below = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_sllv_epi32(y, whole));
  const __m512i t = _mm512_and_si512(_mm512_srli_epi32(below, 15), all32(0xffff));
  // Both factors are below 2^16 and the upper halves of the words zero, so one 16-bit multiplication does.
  __m512i p = _mm512_add_epi32(_mm512_mulhi_epu16(all32(kLog3), t), all32(kLog2));
  p = _mm512_add_epi32(_mm512_mulhi_epu16(p, t), all32(kLog1));
  p = _mm512_add_epi32(_mm512_mulhi_epu16(p, t), all32(kLog0));
  p = _mm512_srli_epi32(_mm512_mullo_epi32(p, t), 5);
  return _mm512_add_epi32(_mm512_slli_epi32(whole, 27), p);
}

inline __m512i cost_of(__m512i y, const ScoreClass& c) {
  const __m512i factor = all32(c.factor);
  const __m512i e = _mm512_min_epu32(logarithm(y), all32(c.limit));
  const __m512i even = _mm512_srl_epi64(_mm512_mul_epu32(e, factor), count_of(c.shift));
  const __m512i odd =
      _mm512_sll_epi64(_mm512_mul_epu32(_mm512_srli_epi64(e, 32), factor), count_of(32 - c.shift));
  return _mm512_mask_mov_epi32(even, 0xaaaa, odd);
}

// The cheapest so far, of the slots in one half of the lanes. `who` keeps both halves; one of them is meant.
struct Cheapest {
  __m512i cost, who;
  void take(__m512i now, __m512i by) {
    who = _mm512_mask_mov_epi32(who, _mm512_cmplt_epu32_mask(now, cost), by);
    cost = _mm512_min_epu32(cost, now);
  }
  void store(uint32_t* to_cost, uint16_t* to_choice, __m512i choice) const {
    _mm512_storeu_si512(to_cost, cost);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to_choice), _mm512_cvtepi32_epi16(choice));
  }
};

template <bool kWeighted>
void best16(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
            uint32_t* cost, uint16_t* choice) {
  constexpr int kUnroll = kWeighted ? 2 : 4;
  const __m512i upper = all16(0xffffu << (16 - shape.bits));
  const __m512i offset = all32(1u << (31 - shape.bits));
  const __m512i high = all32(0xffff0000u), one = all16(1);
  const __m128i half = count_of(shape.bits / 2), lift = count_of(16 - shape.bits);
  for (uint32_t at = 0; at < n; at += 32 * kUnroll) {
    __m512i slot[kUnroll];
    Cheapest low_best[kUnroll], high_best[kUnroll];
    for (int u = 0; u < kUnroll; ++u) {
      const uint32_t* from = slots + at + 32 * u;
      const __m512i second = _mm512_slli_epi32(_mm512_loadu_si512(from + 16), 16);
      slot[u] = _mm512_sll_epi16(_mm512_or_si512(_mm512_loadu_si512(from), second), lift);
      low_best[u] = high_best[u] = {all32(~0u), _mm512_setzero_si512()};
    }
    uint32_t k = 0;
    for (uint32_t c = 0; c < candidates.class_count; ++c) {
      const ScoreClass& of = candidates.classes[c];
      __m512i current = all16(k);
      __m512i rank[kUnroll], who[kUnroll];
      for (int u = 0; u < kUnroll; ++u) {
        rank[u] = _mm512_setzero_si512();
        who[u] = current;
      }
      for (; k < of.end; ++k) {
        const ScoreKey& key = candidates.keys[k];
        const __m512i mask = _mm512_and_si512(all16(key.mask >> 16), upper);
        const __m512i m0 = all16(key.multiplier[0]), m1 = all16(key.multiplier[1]),
                      m2 = all16(key.multiplier[2]);
        for (int u = 0; u < kUnroll; ++u) {
          __m512i x = _mm512_mullo_epi16(_mm512_xor_si512(slot[u], mask), m0);
          x = _mm512_ternarylogic_epi64(x, _mm512_srl_epi16(x, half), upper, 0x28);  // (a ^ b) & c
          x = _mm512_mullo_epi16(x, m1);
          x = _mm512_ternarylogic_epi64(x, _mm512_srl_epi16(x, half), upper, 0x28);
          x = _mm512_mullo_epi16(x, m2);
          who[u] = _mm512_mask_mov_epi16(who[u], _mm512_cmpgt_epu16_mask(x, rank[u]), current);
          rank[u] = _mm512_max_epu16(rank[u], x);
        }
        current = _mm512_add_epi16(current, one);
      }
      for (int u = 0; u < kUnroll; ++u) {
        const __m512i low_rank = _mm512_slli_epi32(rank[u], 16);
        const __m512i high_rank = _mm512_and_si512(rank[u], high);
        if constexpr (kWeighted) {
          low_best[u].take(cost_of(_mm512_or_si512(low_rank, offset), of), who[u]);
          high_best[u].take(cost_of(_mm512_or_si512(high_rank, offset), of), who[u]);
        } else {
          low_best[u] = {_mm512_xor_si512(low_rank, all32(~0u)), who[u]};
          high_best[u] = {_mm512_xor_si512(high_rank, all32(~0u)), who[u]};
        }
      }
    }
    for (int u = 0; u < kUnroll; ++u) {
      const uint32_t to = at + 32 * u;
      low_best[u].store(cost + to, choice + to, low_best[u].who);
      high_best[u].store(cost + to + 16, choice + to + 16, _mm512_srli_epi32(high_best[u].who, 16));
    }
  }
}

template <bool kWeighted>
void best32(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
            uint32_t* cost, uint16_t* choice) {
  constexpr int kUnroll = 4;
  const __m512i upper = all32(~0u << (32 - shape.bits));
  const __m512i offset = all32(1u << (31 - shape.bits));
  const __m128i half = count_of(shape.bits / 2), lift = count_of(32 - shape.bits);
  for (uint32_t at = 0; at < n; at += 16 * kUnroll) {
    __m512i slot[kUnroll];
    Cheapest best[kUnroll];
    for (int u = 0; u < kUnroll; ++u) {
      slot[u] = _mm512_sll_epi32(_mm512_loadu_si512(slots + at + 16 * u), lift);
      best[u] = {all32(~0u), _mm512_setzero_si512()};
    }
    uint32_t k = 0;
    for (uint32_t c = 0; c < candidates.class_count; ++c) {
      const ScoreClass& of = candidates.classes[c];
      __m512i rank[kUnroll], who[kUnroll];
      for (int u = 0; u < kUnroll; ++u) {
        rank[u] = _mm512_setzero_si512();
        who[u] = all32(k);
      }
      for (; k < of.end; ++k) {
        const ScoreKey& key = candidates.keys[k];
        const __m512i mask = _mm512_and_si512(all32(key.mask), upper), current = all32(k);
        const __m512i m0 = all32(key.multiplier[0]), m1 = all32(key.multiplier[1]),
                      m2 = all32(key.multiplier[2]);
        for (int u = 0; u < kUnroll; ++u) {
          __m512i x = _mm512_mullo_epi32(_mm512_xor_si512(slot[u], mask), m0);
          x = _mm512_ternarylogic_epi64(x, _mm512_srl_epi32(x, half), upper, 0x28);
          x = _mm512_mullo_epi32(x, m1);
          x = _mm512_ternarylogic_epi64(x, _mm512_srl_epi32(x, half), upper, 0x28);
          x = _mm512_mullo_epi32(x, m2);
          who[u] = _mm512_mask_mov_epi32(who[u], _mm512_cmpgt_epu32_mask(x, rank[u]), current);
          rank[u] = _mm512_max_epu32(rank[u], x);
        }
      }
      for (int u = 0; u < kUnroll; ++u) {
        const __m512i now =
            kWeighted ? cost_of(_mm512_or_si512(rank[u], offset), of) : _mm512_xor_si512(rank[u], all32(~0u));
        best[u].take(now, who[u]);
      }
    }
    for (int u = 0; u < kUnroll; ++u) {
      best[u].store(cost + at + 16 * u, choice + at + 16 * u, best[u].who);
    }
  }
}

}  // namespace

void best_avx512(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
                 uint32_t* cost, uint16_t* choice) {
  if (shape.bits > 16) {
    (shape.weighted ? best32<true> : best32<false>)(shape, slots, n, candidates, cost, choice);
  } else {
    (shape.weighted ? best16<true> : best16<false>)(shape, slots, n, candidates, cost, choice);
  }
}

}  // namespace penstock::chash
