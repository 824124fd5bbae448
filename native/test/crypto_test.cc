// Kernels held to one another: what one seals all seal, in bursts of mixed keys and lengths, in place and
// not, with buffers that end, or begin, at a page that may not be touched. Published vectors are
// test/crypto's.
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "check.h"
#include "crypto/aes_gcm.h"

using namespace penstock;

namespace {

struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(next() % bound); }
  void fill(uint8_t* bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(next());
  }
};

std::vector<std::string> kernels() {
  const char* names[kGcmMaxKernels];
  const unsigned count = gcm_kernels(names);
  return {names, names + count};
}

// A burst of packets with memory of its own for each: plaintext, AAD, and room for what comes out.
struct Burst {
  struct Packet {
    std::vector<uint8_t> text;
    std::vector<uint8_t> aad;
    std::vector<uint8_t> out;  // ciphertext and tag
  };
  std::vector<std::unique_ptr<GcmKey>> keys;
  std::vector<Packet> packets;
  std::vector<GcmOp> ops;

  Burst(Random& random, unsigned count) : packets(count), ops(count) {
    for (unsigned i = 0; i < count; ++i) {
      uint8_t key[32];
      random.fill(key, sizeof key);
      keys.push_back(std::make_unique<GcmKey>());
      CHECK(gcm_init_key(*keys[i], key, random.below(2) == 0 ? 16 : 32));
      Packet& packet = packets[i];
      // Short ones, block edges and long ones alike; now and then many of one length class.
      const uint32_t kind = random.below(4);
      const uint32_t length = kind == 0   ? random.below(96)
                              : kind == 1 ? 16 * random.below(40) + random.below(3)
                              : kind == 2 ? random.below(2100)
                                          : 711;
      packet.text.resize(length);
      packet.aad.resize(random.below(8) == 0 ? random.below(70) : random.below(2) == 0 ? 8 : 12);
      packet.out.resize(length + kGcmTagBytes);
      random.fill(packet.text.data(), packet.text.size());
      random.fill(packet.aad.data(), packet.aad.size());
      GcmOp& op = ops[i];
      op = {keys[i].get(),
            packet.text.data(),
            packet.out.data(),
            length,
            static_cast<uint32_t>(packet.aad.size()),
            packet.aad.data(),
            {},
            packet.out.data() + length};
      random.fill(op.nonce, sizeof op.nonce);
    }
  }
};

void kernels_agree_on_mixed_bursts() {
  Random random{1};
  for (unsigned round = 0; round < 300; ++round) {
    Burst burst(random, 1 + random.below(kGcmMaxBurst));
    CHECK(gcm_select_kernel("portable") == nullptr);
    gcm_seal(burst.ops.data(), static_cast<unsigned>(burst.ops.size()));
    std::vector<std::vector<uint8_t>> expected;
    for (auto& packet : burst.packets) expected.push_back(packet.out);
    for (const std::string& kernel : kernels()) {
      CHECK(gcm_select_kernel(kernel.c_str()) == nullptr);
      for (auto& packet : burst.packets) std::fill(packet.out.begin(), packet.out.end(), 0xee);
      gcm_seal(burst.ops.data(), static_cast<unsigned>(burst.ops.size()));
      for (size_t i = 0; i < expected.size(); ++i) CHECK(burst.packets[i].out == expected[i]);
    }
  }
}

// In place, some forged: those and no others are refused, and nothing of them is left.
void open_releases_what_verifies_and_nothing_else() {
  Random random{2};
  for (const std::string& kernel : kernels()) {
    CHECK(gcm_select_kernel(kernel.c_str()) == nullptr);
    for (unsigned round = 0; round < 100; ++round) {
      Burst burst(random, 1 + random.below(kGcmMaxBurst));
      const auto count = static_cast<unsigned>(burst.ops.size());
      gcm_seal(burst.ops.data(), count);
      uint64_t expected = 0;
      for (unsigned i = 0; i < count; ++i) {
        auto& packet = burst.packets[i];
        burst.ops[i].in = burst.ops[i].out;
        if (random.below(3) != 0) {
          expected |= 1ull << i;
        } else if (random.below(3) == 0 && !packet.aad.empty()) {
          packet.aad[random.below(static_cast<uint32_t>(packet.aad.size()))] ^= 1u << random.below(8);
        } else {
          packet.out[random.below(static_cast<uint32_t>(packet.out.size()))] ^= 1u << random.below(8);
        }
      }
      CHECK_EQ(gcm_open(burst.ops.data(), count), expected);
      for (unsigned i = 0; i < count; ++i) {
        auto& packet = burst.packets[i];
        packet.out.resize(packet.text.size());
        const bool good = expected >> i & 1;
        CHECK(packet.out == (good ? packet.text : std::vector<uint8_t>(packet.text.size(), 0)));
      }
    }
  }
}

// Text and tag end right before a page that faults, or begin right behind one.
void nothing_outside_the_buffers_is_touched() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* memory =
      static_cast<uint8_t*>(mmap(nullptr, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(memory != MAP_FAILED);
  CHECK(mprotect(memory + page, 2 * page, PROT_READ | PROT_WRITE) == 0);
  uint8_t key[32] = {9};
  GcmKey keys[2];
  CHECK(gcm_init_key(keys[0], key, 16));
  CHECK(gcm_init_key(keys[1], key, 32));
  uint8_t aad[12] = {};
  for (const std::string& kernel : kernels()) {
    CHECK(gcm_select_kernel(kernel.c_str()) == nullptr);
    for (uint32_t length = 0; length < 2048; ++length) {
      for (const bool at_end : {true, false}) {
        uint8_t* text = at_end ? memory + 3 * page - length - kGcmTagBytes : memory + page;
        GcmOp op = {&keys[length & 1], text, text, length, length & 2 ? 8u : 12u, aad, {}, text + length};
        std::memset(text, static_cast<int>(length), length);
        gcm_seal(&op, 1);
        CHECK_EQ(gcm_open(&op, 1), 1u);
        for (uint32_t i = 0; i < length; ++i) {
          if (text[i] != static_cast<uint8_t>(length)) {
            CHECK(text[i] == static_cast<uint8_t>(length));
            break;
          }
        }
      }
    }
  }
  munmap(memory, 4 * page);
}

void bad_keys_and_kernels_are_refused() {
  uint8_t key[32] = {};
  GcmKey made;
  CHECK(!gcm_init_key(made, key, 24));
  const std::string before = gcm_kernel();
  const char* error = gcm_select_kernel("sse9");
  CHECK(error != nullptr && std::string(error).find("sse9") != std::string::npos);
  CHECK_EQ(std::string(gcm_kernel()), before);
}

}  // namespace

int main() {
  RUN(kernels_agree_on_mixed_bursts);
  RUN(open_releases_what_verifies_and_nothing_else);
  RUN(nothing_outside_the_buffers_is_touched);
  RUN(bad_keys_and_kernels_are_refused);
  FINISH();
}
