// The two VAES kernels: which processors run them, and a burst parted by key length.
#include "crypto/vaes.h"

#include "crypto/cpu.h"

namespace penstock::gcm {
namespace {

// Bit i: op i's key is of 256 bits.
uint64_t long_keys(const GcmOp* ops, unsigned count) {
  uint64_t chosen = 0;
  for (unsigned i = 0; i < count; ++i) chosen |= static_cast<uint64_t>(ops[i].key->rounds == 14) << i;
  return chosen;
}

using Seal = void (*)(const GcmOp* ops, uint64_t chosen);
using Open = uint64_t (*)(const GcmOp* ops, uint64_t chosen);

template <Seal kShort, Seal kLong>
void seal(const GcmOp* ops, unsigned count) {
  const uint64_t chosen = long_keys(ops, count);
  const uint64_t others = ~chosen & ~uint64_t{0} >> (64 - count);
  if (others != 0) kShort(ops, others);
  if (chosen != 0) kLong(ops, chosen);
}

template <Open kShort, Open kLong>
uint64_t open(const GcmOp* ops, unsigned count) {
  const uint64_t chosen = long_keys(ops, count);
  const uint64_t others = ~chosen & ~uint64_t{0} >> (64 - count);
  return (others != 0 ? kShort(ops, others) : 0) | (chosen != 0 ? kLong(ops, chosen) : 0);
}

bool runs_256() {
  const Cpu cpu = Cpu::read();
  return cpu.avx2 && cpu.vaes && cpu.vpclmulqdq && cpu.bmi1 && cpu.bmi2 && cpu.popcnt && kAesni.supported();
}
bool runs_512() {
  return runs_256() && Cpu::read().avx512;
}

}  // namespace

const Kernel kVaes512 = {"vaes512", runs_512, aesni_init_key, seal<vaes512_seal_128, vaes512_seal_256>,
                         open<vaes512_open_128, vaes512_open_256>};
const Kernel kVaes256 = {"vaes256", runs_256, aesni_init_key, seal<vaes256_seal_128, vaes256_seal_256>,
                         open<vaes256_open_128, vaes256_open_256>};

}  // namespace penstock::gcm
