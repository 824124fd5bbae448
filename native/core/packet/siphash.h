// The state of SipHash (Aumasson and Bernstein, 2012). A variant is its rounds for each word and at the end:
// SipHash-2-4 is absorb<2>, finish<4>.
#pragma once
#include <bit>
#include <cstdint>

namespace penstock {

struct SipState {
  uint64_t v0, v1, v2, v3;

  SipState(uint64_t k0, uint64_t k1)
      : v0(k0 ^ 0x736f6d6570736575),
        v1(k1 ^ 0x646f72616e646f6d),
        v2(k0 ^ 0x6c7967656e657261),
        v3(k1 ^ 0x7465646279746573) {}

  template <unsigned kRounds>
  void absorb(uint64_t word) {
    v3 ^= word;
    rounds<kRounds>();
    v0 ^= word;
  }
  template <unsigned kRounds>
  uint64_t finish() {
    v2 ^= 0xff;
    rounds<kRounds>();
    return v0 ^ v1 ^ v2 ^ v3;
  }

 private:
  template <unsigned kRounds>
  void rounds() {
    for (unsigned i = 0; i < kRounds; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
};

}  // namespace penstock
