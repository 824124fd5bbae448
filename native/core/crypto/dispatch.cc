// Chooses the kernel: the best that the processor and the operating system run, or the one that
// PENSTOCK_CRYPTO or gcm_select_kernel names. Compiled for the plain processor; only the kernels' own files
// use more.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "crypto/kernel.h"

namespace penstock {
namespace {

using gcm::Kernel;

// Best first. 512-bit VAES comes before 256-bit wherever it runs at all: processors that split 512-bit
// operations in two (Zen 4) lose nothing by it, those that do not (Zen 5, Ice Lake) take half the time.
constexpr const Kernel* kKernels[] = {
#ifdef PENSTOCK_X86
    &gcm::kVaes512,
    &gcm::kVaes256,
    &gcm::kAesni,
#endif
    &gcm::kPortable,
};

const Kernel* best() {
  for (const Kernel* kernel : kKernels) {
    if (kernel->supported()) return kernel;
  }
  return &gcm::kPortable;
}

// Writes into text why there is no such kernel; or returns it.
const Kernel* find(const char* name, char* text, size_t size) {
  bool known = false;
  for (const Kernel* kernel : kKernels) {
    if (std::strcmp(kernel->name, name) != 0) continue;
    if (kernel->supported()) return kernel;
    known = true;
  }
  int used = std::snprintf(text, size,
                           known ? "crypto kernel %.40s: this processor does not run it; it runs"
                                 : "crypto kernel %.40s: no such kernel; this processor runs",
                           name);
  for (const Kernel* kernel : kKernels) {
    if (!kernel->supported() || used < 0 || static_cast<size_t>(used) >= size) continue;
    used += std::snprintf(text + used, size - static_cast<size_t>(used), " %s", kernel->name);
  }
  return nullptr;
}

struct Choice {
  std::atomic<const Kernel*> kernel;
  char startup_error[200];

  Choice() : kernel(best()), startup_error{} {
    const char* wanted = std::getenv("PENSTOCK_CRYPTO");
    if (wanted == nullptr || *wanted == '\0') return;
    constexpr char kPrefix[] = "PENSTOCK_CRYPTO: ";
    char why[160];
    if (const Kernel* found = find(wanted, why, sizeof why)) {
      kernel = found;
    } else {
      std::snprintf(startup_error, sizeof startup_error, "%s%s", kPrefix, why);
    }
  }
};

Choice& choice() {
  static Choice made;
  return made;
}

const Kernel& active() {
  return *choice().kernel.load(std::memory_order_relaxed);
}

}  // namespace

void wipe(void* memory, size_t bytes) {
  std::memset(memory, 0, bytes);
  // The compiler must take it that somebody reads what was stored.
  __asm__ __volatile__("" : : "r"(memory) : "memory");
}

bool gcm_init_key(GcmKey& key, const uint8_t* bytes, unsigned key_bytes) {
  wipe(&key, sizeof key);
  if (key_bytes != 16 && key_bytes != 32) return false;
  active().init_key(key, bytes, key_bytes);
  return true;
}

void gcm_seal(const GcmOp* ops, unsigned count) {
  const Kernel& kernel = active();
  for (; count > kGcmMaxBurst; count -= kGcmMaxBurst, ops += kGcmMaxBurst) kernel.seal(ops, kGcmMaxBurst);
  if (count > 0) kernel.seal(ops, count);
}

uint64_t gcm_open(const GcmOp* ops, unsigned count) {
  if (count == 0) return 0;
  if (count > kGcmMaxBurst) count = kGcmMaxBurst;
  const uint64_t good = active().open(ops, count);
  const uint64_t all = ~uint64_t{0} >> (64 - count);
  if (good == all) return good;
  for (unsigned i = 0; i < count; ++i) {
    if ((good >> i & 1) == 0) wipe(ops[i].out, ops[i].length);
  }
  return good;
}

unsigned gcm_kernels(const char* names[kGcmMaxKernels]) {
  unsigned count = 0;
  for (const Kernel* kernel : kKernels) {
    if (kernel->supported()) names[count++] = kernel->name;
  }
  return count;
}

const char* gcm_kernel() {
  return active().name;
}

const char* gcm_select_kernel(const char* name) {
  thread_local char why[160];
  const Kernel* found = find(name, why, sizeof why);
  if (found == nullptr) return why;
  choice().kernel.store(found, std::memory_order_relaxed);
  return nullptr;
}

const char* gcm_startup_error() {
  const Choice& made = choice();
  return made.startup_error[0] == '\0' ? nullptr : made.startup_error;
}

}  // namespace penstock
