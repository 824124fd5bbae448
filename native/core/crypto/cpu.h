// What this processor and its system run, by CPUID and XGETBV. The compilers' own __builtin_cpu_supports
// knows not all of these names in all versions.
#pragma once
#include <cpuid.h>

#include <cstdint>

namespace penstock::gcm {

struct Cpu {
  bool aes = false, pclmul = false, ssse3 = false, sse41 = false;
  bool avx2 = false, bmi1 = false, bmi2 = false, popcnt = false, vaes = false, vpclmulqdq = false;
  bool avx512 = false;  // F, BW, DQ, VL and VBMI2, and the system keeps their registers

  static Cpu read() {
    Cpu cpu;
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return cpu;
    cpu.aes = bit(c, 25);
    cpu.pclmul = bit(c, 1);
    cpu.ssse3 = bit(c, 9);
    cpu.sse41 = bit(c, 19);
    cpu.popcnt = bit(c, 23);
    const uint64_t kept = bit(c, 27) ? xgetbv() : 0;
    const bool ymm = (kept & 0x06) == 0x06;
    const bool zmm = (kept & 0xe6) == 0xe6;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return cpu;
    cpu.bmi1 = bit(b, 3);
    cpu.bmi2 = bit(b, 8);
    cpu.avx2 = ymm && bit(b, 5);
    cpu.vaes = ymm && bit(c, 9);
    cpu.vpclmulqdq = ymm && bit(c, 10);
    cpu.avx512 = zmm && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31) && bit(c, 6);
    return cpu;
  }

 private:
  static bool bit(uint32_t word, unsigned number) { return (word >> number & 1) != 0; }
  static uint64_t xgetbv() {
    uint32_t low;
    uint32_t high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return static_cast<uint64_t>(high) << 32 | low;
  }
};

}  // namespace penstock::gcm
