// By CPUID and XGETBV: the compilers' own __builtin_cpu_supports knows not all of these names in all
// versions. In a file of its own, compiled for any processor: it runs before it is known what this one runs.
#include "crypto/cpu.h"

#include <cpuid.h>

#include <cstdint>

namespace penstock::gcm {
namespace {

bool bit(uint32_t word, unsigned number) {
  return (word >> number & 1) != 0;
}

uint64_t xgetbv() {
  uint32_t low;
  uint32_t high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

struct Cpu {
  bool aesni = false;   // AES-NI, PCLMULQDQ, SSSE3, SSE4.1
  bool vaes = false;    // and AVX2, BMI1, BMI2, POPCNT, VAES, VPCLMULQDQ; the system keeps 256-bit registers
  bool avx512 = false;  // F, BW, DQ, VL and VBMI2; the system keeps 512-bit registers

  static Cpu read() {
    Cpu cpu;
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return cpu;
    cpu.aesni = bit(c, 25) && bit(c, 1) && bit(c, 9) && bit(c, 19);
    const bool popcnt = bit(c, 23);
    const uint64_t kept = bit(c, 27) ? xgetbv() : 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return cpu;
    cpu.vaes = cpu.aesni && popcnt && (kept & 0x06) == 0x06 && bit(b, 3) && bit(b, 5) && bit(b, 8) &&
               bit(c, 9) && bit(c, 10);
    cpu.avx512 = (kept & 0xe6) == 0xe6 && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31) && bit(c, 6);
    return cpu;
  }
};

}  // namespace

bool runs_aesni() {
  return Cpu::read().aesni;
}
bool runs_vaes256() {
  return Cpu::read().vaes;
}
bool runs_vaes512() {
  const Cpu cpu = Cpu::read();
  return cpu.vaes && cpu.avx512;
}

}  // namespace penstock::gcm
