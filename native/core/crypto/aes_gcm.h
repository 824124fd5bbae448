// AES-GCM (NIST SP 800-38D) with a 96-bit nonce and a 16-byte tag, for 128- and 256-bit keys, in bursts.
//
//   GcmKey key;                        one cache-aligned block per SA
//   gcm_init_key(key, bytes, 16);      or 32
//   gcm_seal(ops, count);              encrypts, writes each op's tag
//   uint64_t good = gcm_open(ops, n);  decrypts, bit i set when op i's tag verified
//
// A burst is where the speed is: short packets of one burst run side by side, whatever their keys. Every
// function may be called from any thread at any time, except gcm_select_kernel, which wants no seal or open
// under way if the caller cares which kernel does it (the results are the same, and keys work with every
// kernel).
#pragma once
#include <cstddef>
#include <cstdint>

namespace penstock {

inline constexpr unsigned kGcmTagBytes = 16;
inline constexpr unsigned kGcmNonceBytes = 12;
inline constexpr unsigned kGcmMaxBurst = 64;
inline constexpr uint32_t kGcmMaxLength = 65535;  // what an IP packet can carry; kernels count on it

// Overwrites memory with zeros in a way that no compiler drops as a dead store.
void wipe(void* memory, size_t bytes);

// Everything that a key's packets need, the same bytes whichever kernel made it. Not for reading outside this
// room.
struct alignas(64) GcmKey {
  static constexpr unsigned kPowers = 37;  // 36 blocks at a time, and that of lengths

  uint32_t rounds;     // 10 or 14; 0 in a key never initialised or wiped
  uint32_t key_bytes;  // 16 or 32
  uint8_t padding[8];
  uint8_t round_keys[15][16];  // with the above, three cache lines hold all of a 128-bit key's
  // H^37 … H^1, each byte-reversed and divided by x (see multiply in portable.cc), then zeros: a vector load
  // that starts at any power may run past H^1, and what it multiplies there vanishes. H^36, H^32 … are
  // aligned.
  uint8_t before_powers[48];
  uint8_t powers[kPowers + 3][16];
  // The sum of the two halves of each of H^37 … H^1, Karatsuba's third factor, then zeros for the same
  // reason. H^32 is aligned.
  uint8_t before_folded[40];
  uint64_t folded[kPowers + 7];

  GcmKey() = default;
  GcmKey(const GcmKey&) = delete;
  GcmKey& operator=(const GcmKey&) = delete;
  ~GcmKey() { wipe(this, sizeof *this); }
};

// Asks the cache for what a packet of this length will need of the key: for those who know a burst's packets
// some time before they seal or open it. A key that was not used lately lies far away.
inline void gcm_prefetch(const GcmKey& key, uint32_t length) {
  constexpr uint32_t kLine = 64;
  const auto lines = [](const uint8_t* from, const uint8_t* end) {
    for (; from < end; from += kLine) __builtin_prefetch(from, 0, 2);
  };
  const auto* start = reinterpret_cast<const uint8_t*>(&key);
  lines(start, key.before_powers);
  // Blocks of text and additional data, and the lengths' block; long packets take every power.
  const uint32_t blocks = length / 16 + 3 < GcmKey::kPowers ? length / 16 + 3 : GcmKey::kPowers;
  lines(key.powers[GcmKey::kPowers - blocks], key.before_folded);
  lines(reinterpret_cast<const uint8_t*>(&key.folded[GcmKey::kPowers - blocks]),
        reinterpret_cast<const uint8_t*>(&key + 1));
}

// Expands a key of 16 or 32 bytes; false, with the key left wiped, for any other length.
bool gcm_init_key(GcmKey& key, const uint8_t* bytes, unsigned key_bytes);

// One packet. `out` is `in` (the usual case) or does not overlap it; `tag` may lie right behind either, in no
// case inside. `aad` is 8 or 12 bytes for ESP (fast), any length works, and may be null when its length is 0.
struct GcmOp {
  const GcmKey* key;
  const uint8_t* in;
  uint8_t* out;
  uint32_t length;  // bytes of plaintext or ciphertext, 0 … kGcmMaxLength
  uint32_t aad_length;
  const uint8_t* aad;
  uint8_t nonce[kGcmNonceBytes];
  uint8_t* tag;  // 16 bytes: written by seal, read by open
};

// Encrypts every op and writes its tag. Any count.
void gcm_seal(const GcmOp* ops, unsigned count);

// Decrypts every op (count ≤ kGcmMaxBurst) and returns a mask, bit i for op i, of those whose tag verified.
// The `out` of any other op is zeros: nothing of it is released. Ops past kGcmMaxBurst are not touched.
uint64_t gcm_open(const GcmOp* ops, unsigned count);

// Kernels: "vaes512", "vaes256", "aesni", "portable"; those this processor runs, best first.
inline constexpr unsigned kGcmMaxKernels = 4;
unsigned gcm_kernels(const char* names[kGcmMaxKernels]);

// The name of the kernel in use: the best, or what the environment's PENSTOCK_CRYPTO or the last call of
// gcm_select_kernel said.
const char* gcm_kernel();

// Uses the named kernel from now on. Null when done, or why not (and nothing changes); the text lives until
// the calling thread's next call.
const char* gcm_select_kernel(const char* name);

// Null, or what is wrong with PENSTOCK_CRYPTO: an unknown name, or a kernel that this processor cannot run.
// The best kernel is in use then; a program that minds refuses to start.
const char* gcm_startup_error();

}  // namespace penstock
