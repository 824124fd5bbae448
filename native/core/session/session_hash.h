// SipHash-1-3 over keys of a fixed number of 64-bit words, with a secret of the table's own.
//
// Why nobody can choose flows that collide: SipHash is a pseudo-random function of its secret. Who does not
// know the 128 bits cannot predict a bucket, and what bucket a packet fell into never leaves the node, except
// through timing; even one who learns of a collision that way learns nothing about any other key, since the
// function is not linear (which a cheaper multiply-and-add hash is: one difference of two colliding keys
// gives it any number of further collisions). The message length of the original is left out: all keys of
// one table have one length, and each family has its own secret.
#pragma once
#include <bit>
#include <cstdint>

namespace penstock {

class SessionHash {
 public:
  SessionHash(uint64_t k0, uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575),
        v1_(k1 ^ 0x646f72616e646f6d),
        v2_(k0 ^ 0x6c7967656e657261),
        v3_(k1 ^ 0x7465646279746573) {}

  template <unsigned kWords>
  uint64_t operator()(const uint64_t* words) const {
    uint64_t v0 = v0_, v1 = v1_, v2 = v2_, v3 = v3_;
    for (unsigned i = 0; i < kWords; ++i) {
      v3 ^= words[i];
      round(v0, v1, v2, v3);
      v0 ^= words[i];
    }
    v2 ^= 0xff;
    round(v0, v1, v2, v3);
    round(v0, v1, v2, v3);
    round(v0, v1, v2, v3);
    return v0 ^ v1 ^ v2 ^ v3;
  }

 private:
  static void round(uint64_t& v0, uint64_t& v1, uint64_t& v2, uint64_t& v3) {
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

  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace penstock
