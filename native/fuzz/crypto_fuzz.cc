// Kernel against kernel: a burst made of arbitrary bytes is sealed alike by all, and opens again; what was
// changed does not.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "crypto/aes_gcm.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A header of four bytes a packet (length, AAD length and key), then text for all of them.
  if (size < 36) return 0;
  GcmKey keys[4];
  for (unsigned k = 0; k < 4; ++k) gcm_init_key(keys[k], data + k / 2, k % 2 == 0 ? 16 : 32);
  const unsigned count = 1 + data[33] % kGcmMaxBurst;
  const uint8_t* at = data + 34;
  const size_t left = size - 34;
  struct Packet {
    std::vector<uint8_t> text, aad, first;
  };
  std::vector<Packet> packets(count);
  std::vector<GcmOp> ops(count);
  const char* names[kGcmMaxKernels];
  const unsigned kernels = gcm_kernels(names);
  for (unsigned i = 0; i < count; ++i) {
    const auto byte = [&](size_t n) -> uint8_t { return at[(i * 4 + n) % left]; };
    packets[i].text.resize((byte(0) | byte(1) << 8) % 2100);
    // ESP's, mostly.
    packets[i].aad.resize(byte(2) < 64 ? byte(2) % 40 : byte(2) & 1 ? 8 : 12);
    for (size_t n = 0; n < packets[i].text.size(); ++n) packets[i].text[n] = at[(n * 7 + i) % left];
    for (size_t n = 0; n < packets[i].aad.size(); ++n) packets[i].aad[n] = at[(n + i) % left];
  }
  std::vector<std::vector<uint8_t>> out(count);
  std::vector<std::vector<uint8_t>> changed(count);  // AAD
  for (unsigned k = 0; k < kernels; ++k) {
    gcm_select_kernel(names[k]);
    for (unsigned i = 0; i < count; ++i) {
      const size_t length = packets[i].text.size();
      out[i] = packets[i].text;
      out[i].resize(length + kGcmTagBytes);
      const bool in_place = at[i % left] & 1;
      ops[i] = {&keys[at[(i + 3) % left] & 3],
                in_place ? out[i].data() : packets[i].text.data(),
                out[i].data(),
                static_cast<uint32_t>(length),
                static_cast<uint32_t>(packets[i].aad.size()),
                packets[i].aad.data(),
                {static_cast<uint8_t>(i), data[0]},
                out[i].data() + length};
    }
    gcm_seal(ops.data(), count);
    uint64_t expected = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (k == 0) packets[i].first = out[i];
      if (out[i] != packets[i].first) abort();
      ops[i].in = ops[i].out;
      const bool forged = at[(i + 5) % left] & 2;
      if (forged) {
        const bool aad = (at[(i + 5) % left] & 4) && !packets[i].aad.empty();
        std::vector<uint8_t>& victim = aad ? changed[i] = packets[i].aad : out[i];
        victim[at[(i + 6) % left] * 8 % victim.size()] ^= 1;
        if (aad) ops[i].aad = victim.data();
      }
      if (!forged) expected |= 1ull << i;
    }
    if (gcm_open(ops.data(), count) != expected) abort();
    for (unsigned i = 0; i < count; ++i) {
      std::vector<uint8_t> text(packets[i].text.size());  // zeros: nothing of a forged one is released
      if (expected >> i & 1) text = packets[i].text;
      if (!std::equal(text.begin(), text.end(), out[i].begin())) abort();
    }
  }
  return 0;
}
