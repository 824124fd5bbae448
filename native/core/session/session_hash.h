// SipHash-1-3 over keys of a fixed number of 64-bit words, with a secret of the table's own.
//
// Why nobody can choose flows that collide: SipHash is a pseudo-random function of its secret. Who does not
// know the 128 bits cannot predict a bucket, and what bucket a packet fell into never leaves the node, except
// through timing; even one who learns of a collision that way learns nothing about any other key, since the
// function is not linear (which a cheaper multiply-and-add hash is: one difference of two colliding keys
// gives it any number of further collisions). The message length of the original is left out: all keys of
// one table have one length, and each family has its own secret.
#pragma once
#include <cstdint>

#include "../packet/siphash.h"

namespace penstock {

class SessionHash {
 public:
  SessionHash(uint64_t k0, uint64_t k1) : start_(k0, k1) {}

  template <unsigned kWords>
  uint64_t operator()(const uint64_t* words) const {
    SipState state = start_;
    for (unsigned i = 0; i < kWords; ++i) state.absorb<1>(words[i]);
    return state.finish<3>();
  }

 private:
  SipState start_;
};

}  // namespace penstock
