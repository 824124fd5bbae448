// AES-256-GCM on 256-bit registers.
#include "crypto/vaes256_vectors.h"
// Behind the vectors that it is made of.
#include "crypto/vaes_bursts.h"

namespace penstock::gcm::vaes256 {

template void run_class<14, false>(const GcmOp*, const uint8_t*, unsigned, unsigned, Finisher<false>&);
template void run_class<14, true>(const GcmOp*, const uint8_t*, unsigned, unsigned, Finisher<true>&);

}  // namespace penstock::gcm::vaes256
