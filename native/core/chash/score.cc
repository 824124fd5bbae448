#include "score.h"

namespace penstock::chash {

namespace {

uint32_t rank_of(const ScoreKey& key, uint32_t slot, uint32_t bits) {
  const uint32_t upper = ~uint32_t{0} << (32 - bits);
  const uint32_t half = bits / 2;
  uint32_t x = (slot << (32 - bits)) ^ (key.mask & upper);
  x *= key.multiplier[0];
  x = (x ^ x >> half) & upper;
  x *= key.multiplier[1];
  x = (x ^ x >> half) & upper;
  return x * key.multiplier[2];
}

}  // namespace

uint32_t rank_logarithm(uint32_t rank, uint32_t bits) {
  const uint32_t y = rank | (uint32_t{1} << (31 - bits));
  const uint32_t whole = static_cast<uint32_t>(__builtin_clz(y));
  // t: how far the mantissa is below 2, in 2^-16. For the lowest rank it wraps to 0: still the worst there
  // is.
  const uint32_t t = ((0u - (y << whole)) >> 15) & 0xffff;
  uint32_t p = kLog2 + (kLog3 * t >> 16);
  p = kLog1 + (p * t >> 16);
  p = kLog0 + (p * t >> 16);
  return (whole << 27) + (p * t >> 5);
}

ScoreClass make_score_class(uint64_t total, uint32_t weight) {
  // factor = total / weight · 2^f with 16 significant bits. A cost is then logarithm · total / weight in
  // 2^-16: the winner's is near 2^16 whatever the weights, and what would not fit 32 bits never wins.
  int f = 15;
  uint64_t factor = (total << 15) / weight;
  for (; factor >= 65536; factor >>= 1) --f;
  ScoreClass made{};
  made.factor = static_cast<uint32_t>(factor);
  made.shift = static_cast<uint32_t>(f + 11);
  const uint64_t limit = ((uint64_t{1} << (32 + made.shift)) - 1) / factor;
  made.limit = limit > 0xffffffffull ? 0xffffffffu : static_cast<uint32_t>(limit);
  return made;
}

void best_scalar(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
                 uint32_t* cost, uint16_t* choice) {
  for (uint32_t i = 0; i < n; ++i) {
    cost[i] = 0xffffffffu;
    choice[i] = 0;
    for (uint32_t k = 0, at = 0; k < candidates.class_count; ++k) {
      const ScoreClass& c = candidates.classes[k];
      uint32_t who = at;
      uint32_t rank = 0;
      for (; at < c.end; ++at) {
        const uint32_t r = rank_of(candidates.keys[at], slots[i], shape.bits);
        who = r > rank ? at : who;
        rank = r > rank ? r : rank;
      }
      uint32_t now = ~rank;
      if (shape.weighted) {
        uint64_t e = rank_logarithm(rank, shape.bits);
        if (e > c.limit) e = c.limit;
        now = static_cast<uint32_t>(e * c.factor >> c.shift);
      }
      if (now < cost[i]) {
        cost[i] = now;
        choice[i] = static_cast<uint16_t>(who);
      }
    }
  }
}

bool score_isa_available(ScoreIsa isa) {
  switch (isa) {
    case ScoreIsa::kScalar:
      return true;
#ifdef PENSTOCK_X86
    case ScoreIsa::kAvx2:
      return __builtin_cpu_supports("avx2");
    case ScoreIsa::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
#endif
    default:
      return false;
  }
}

ScoreIsa best_score_isa() {
  if (score_isa_available(ScoreIsa::kAvx512)) return ScoreIsa::kAvx512;
  if (score_isa_available(ScoreIsa::kAvx2)) return ScoreIsa::kAvx2;
  return ScoreIsa::kScalar;
}

const char* score_isa_name(ScoreIsa isa) {
  return isa == ScoreIsa::kAvx512 ? "avx512" : isa == ScoreIsa::kAvx2 ? "avx2" : "scalar";
}

BestFunction best_function(ScoreIsa isa) {
#ifdef PENSTOCK_X86
  if (isa == ScoreIsa::kAvx512) return best_avx512;
  if (isa == ScoreIsa::kAvx2) return best_avx2;
#endif
  (void)isa;
  return best_scalar;
}

}  // namespace penstock::chash
