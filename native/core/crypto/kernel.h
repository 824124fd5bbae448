// What the dispatcher and the kernels share. Included by files compiled for one instruction set: nothing but
// plain declarations and always-inlined helpers here, no template of the standard library (a weak symbol with
// AVX code in it would be linked into every other file).
#pragma once
#include <cstdint>
#include <cstring>

#include "crypto/aes_gcm.h"

namespace penstock::gcm {

struct Kernel {
  const char* name;
  bool (*supported)();
  void (*init_key)(GcmKey& key, const uint8_t* bytes, unsigned key_bytes);
  // count ≤ kGcmMaxBurst
  void (*seal)(const GcmOp* ops, unsigned count);
  uint64_t (*open)(const GcmOp* ops, unsigned count);
};

extern const Kernel kPortable;
#ifdef PENSTOCK_X86
extern const Kernel kAesni;
extern const Kernel kVaes256;
extern const Kernel kVaes512;
void aesni_init_key(GcmKey& key, const uint8_t* bytes, unsigned key_bytes);
#endif

#define PENSTOCK_INLINE static inline __attribute__((always_inline))
#define PENSTOCK_INLINE_MEMBER inline __attribute__((always_inline))

// SP 800-38D §6.5: a GHASH ends with the lengths of AAD and ciphertext in bits, both 64-bit big-endian.
PENSTOCK_INLINE void length_block(uint8_t block[16], uint64_t aad_bytes, uint64_t text_bytes) {
  const uint64_t aad_bits = __builtin_bswap64(aad_bytes * 8);
  const uint64_t text_bits = __builtin_bswap64(text_bytes * 8);
  std::memcpy(block, &aad_bits, 8);
  std::memcpy(block + 8, &text_bits, 8);
}

// Whether two tags are equal, in a time that does not depend on where they differ.
PENSTOCK_INLINE bool tags_equal(const uint8_t* a, const uint8_t* b) {
  uint64_t x[2];
  uint64_t y[2];
  std::memcpy(x, a, 16);
  std::memcpy(y, b, 16);
  return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

}  // namespace penstock::gcm
