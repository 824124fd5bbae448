// How slots rank members, and the search for the best member of many slots at once.
//
// Rank of member m at slot s, all in unsigned 32-bit arithmetic. Slots are numbers of `bits` bits and stand
// in the upper bits of a word, the rest of it zero:
//   x = s << (32 - bits)  ^  m.mask
//   x = x · m.multiplier[0];  x = (x ^ x >> bits/2) & upper bits;  the same with [1];  x = x ·
//   m.multiplier[2]
// For one member this is a permutation of the slots, not a random function: each member has each rank once,
// so the best ranks spread more evenly than chance would, and less has to be evened out by quotas (a fifth
// less moves than with independent ranks when a member joins 16). Of equal members the highest rank wins.
//
// Weights: u = (rank + ½) / 2^bits, and the smallest cost -log2(u) / weight wins, the exponential race of
// weighted rendezvous. The logarithm is an integer polynomial (rank_logarithm); floating point is not used.
// Among members of one weight the best rank has the lowest cost, so the logarithm is taken once for each
// weight.
//
// Equal ranks go to the candidate that stands first; equal costs to the class that stands first.
#pragma once
#include <cstdint>

namespace penstock::chash {

// What a member's name and the seed make of it.
struct ScoreKey {
  uint32_t mask;
  uint32_t multiplier[3];
};

// Candidates of one weight stand together: those from the end of the class before to `end`.
struct ScoreClass {
  uint32_t end;
  uint32_t factor;  // total weight / weight, 16 significant bits
  uint32_t shift;
  uint32_t limit;  // the largest logarithm whose cost fits 32 bits
};
// `total` is the sum of all members' weights, at most 2^26; weight ≥ 1. Sets all but `end`.
ScoreClass make_score_class(uint64_t total, uint32_t weight);

struct ScoreShape {
  uint32_t bits;  // 8…20: slots are below 2^bits
  bool weighted;  // false: one class, and the cost is the complement of the rank
};

// Ascending class order, and within a class the order that decides ties.
struct Candidates {
  const ScoreKey* keys;
  const ScoreClass* classes;
  uint32_t class_count;
};

// Buffers of slots, costs and choices are read and written up to the next multiple of this.
inline constexpr uint32_t kScorePadding = 128;

// For each of n slots, which candidate is best (its place in `keys`) and at what cost.
using BestFunction = void (*)(const ScoreShape& shape, const uint32_t* slots, uint32_t n,
                              const Candidates& candidates, uint32_t* cost, uint16_t* choice);

void best_scalar(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
                 uint32_t* cost, uint16_t* choice);
void best_avx2(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
               uint32_t* cost, uint16_t* choice);
void best_avx512(const ScoreShape& shape, const uint32_t* slots, uint32_t n, const Candidates& candidates,
                 uint32_t* cost, uint16_t* choice);

enum class ScoreIsa : uint8_t { kScalar, kAvx2, kAvx512 };
// Whether this processor (and this build) can run it.
bool score_isa_available(ScoreIsa isa);
ScoreIsa best_score_isa();
const char* score_isa_name(ScoreIsa isa);
BestFunction best_function(ScoreIsa isa);

// -log2((2v + 1) / 2^(bits + 1)) of the rank v << (32 - bits), with 27 fraction bits.
uint32_t rank_logarithm(uint32_t rank, uint32_t bits);

// Polynomial for -log2(1 - t/2) / t on 0 < t ≤ 1, scaled to 2^16; relative error below 3.2e-4.
inline constexpr uint32_t kLog0 = 47259, kLog1 = 12263, kLog2 = 1942, kLog3 = 4051;

}  // namespace penstock::chash
