// AES-256-GCM with VAES and VPCLMULQDQ on 256-bit registers.
#include "crypto/vaes256_vectors.h"
// Behind the vectors that it is made of.
#include "crypto/vaes_bursts.h"

namespace penstock::gcm {

void vaes256_seal_256(const GcmOp* ops, uint64_t chosen) {
  run<14, false>(ops, chosen);
}
uint64_t vaes256_open_256(const GcmOp* ops, uint64_t chosen) {
  return run<14, true>(ops, chosen);
}

}  // namespace penstock::gcm
