// The kernel for processors with VAES and VPCLMULQDQ on 512-bit registers.
#include "crypto/cpu.h"
#include "crypto/vaes512_vectors.h"
// Behind the vectors that it is made of.
#include "crypto/vaes_bursts.h"

namespace penstock::gcm {
namespace vaes512 {

extern template void run_class<10, false>(const GcmOp*, const uint8_t*, unsigned, unsigned, Finisher<false>&);
extern template void run_class<10, true>(const GcmOp*, const uint8_t*, unsigned, unsigned, Finisher<true>&);
extern template void run_class<14, false>(const GcmOp*, const uint8_t*, unsigned, unsigned, Finisher<false>&);
extern template void run_class<14, true>(const GcmOp*, const uint8_t*, unsigned, unsigned, Finisher<true>&);

namespace {

void seal(const GcmOp* ops, unsigned count) {
  run<false>(ops, count);
}
uint64_t open(const GcmOp* ops, unsigned count) {
  return run<true>(ops, count);
}
}  // namespace
}  // namespace vaes512

const Kernel kVaes512 = {"vaes512", runs_vaes512, aesni_init_key, vaes512::seal, vaes512::open};

}  // namespace penstock::gcm
