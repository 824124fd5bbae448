// Hash functions of a flow's key, each written from its published definition:
//   xxh64        xxHash specification 0.8, seeded: the default
//   siphash-1-3  Aumasson and Bernstein, one compression and three finalisation rounds, keyed: for groups
//                whose clients may choose their addresses
//   toeplitz     as network cards do (Microsoft RSS), over addresses and ports but never the protocol
// A function's name and version are part of every table's digest, so a change of one never goes unseen.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>

namespace penstock {

enum class HashFunction : uint8_t { kXxh64, kSipHash13, kToeplitz };

// "xxh64@1", "siphash-1-3@1", "toeplitz@1": name and version.
const char* hash_function_name(HashFunction function);

namespace chash {

inline constexpr uint64_t kPrime1 = 0x9e3779b185ebca87ull;
inline constexpr uint64_t kPrime2 = 0xc2b2ae3d27d4eb4full;
inline constexpr uint64_t kPrime3 = 0x165667b19e3779f9ull;
inline constexpr uint64_t kPrime4 = 0x85ebca77c2b2ae63ull;
inline constexpr uint64_t kPrime5 = 0x27d4eb2f165667c5ull;

inline uint64_t rotate(uint64_t x, int by) {
  return (x << by) | (x >> (64 - by));
}

// Little-endian whatever the processor: two routers of different make must agree.
inline uint64_t load64(const uint8_t* bytes) {
  uint64_t x;
  std::memcpy(&x, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap64(x);
#endif
  return x;
}
inline uint32_t load32(const uint8_t* bytes) {
  uint32_t x;
  std::memcpy(&x, bytes, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap32(x);
#endif
  return x;
}

inline uint64_t xxh64_avalanche(uint64_t h) {
  h = (h ^ (h >> 33)) * kPrime2;
  h = (h ^ (h >> 29)) * kPrime3;
  return h ^ (h >> 32);
}
inline uint64_t xxh64_round(uint64_t lane, uint64_t input) {
  return rotate(lane + input * kPrime2, 31) * kPrime1;
}
inline uint64_t xxh64_add8(uint64_t h, uint64_t input) {
  return rotate(h ^ xxh64_round(0, input), 27) * kPrime1 + kPrime4;
}
inline uint64_t xxh64_add4(uint64_t h, uint32_t input) {
  return rotate(h ^ (input * kPrime1), 23) * kPrime2 + kPrime3;
}

// An IPv4 address: the four bytes as they stand in the packet.
inline uint64_t xxh64_of4(const uint8_t* bytes, uint64_t seed) {
  return xxh64_avalanche(xxh64_add4(seed + kPrime5 + 4, load32(bytes)));
}
// An IPv6 address.
inline uint64_t xxh64_of16(const uint8_t* bytes, uint64_t seed) {
  return xxh64_avalanche(xxh64_add8(xxh64_add8(seed + kPrime5 + 16, load64(bytes)), load64(bytes + 8)));
}
uint64_t xxh64(const uint8_t* bytes, size_t length, uint64_t seed);

uint64_t siphash13(const uint8_t* bytes, size_t length, uint64_t key0, uint64_t key1);

// A Toeplitz key of 40 bytes covers 36 bytes of input: two IPv6 addresses and two ports.
inline constexpr size_t kToeplitzKeyBytes = 40;
inline constexpr size_t kToeplitzInputBytes = 36;
// The key of the published verification suite, which most network cards start with.
extern const uint8_t kMicrosoftKey[kToeplitzKeyBytes];

// What each nibble of input contributes, at each place.
struct ToeplitzTable {
  explicit ToeplitzTable(const uint8_t key[kToeplitzKeyBytes]);
  uint32_t contribution[kToeplitzInputBytes * 2][16];
};
// Input past 36 bytes is not hashed.
uint32_t toeplitz(const ToeplitzTable& table, const uint8_t* bytes, size_t length);

}  // namespace chash

// A hash function with its seed or key. A value: cheap to copy, the same on every worker.
class FlowHasher {
 public:
  FlowHasher() = default;
  // xxh64 takes the seed; siphash-1-3 derives its 128-bit key from it; toeplitz takes the published key.
  FlowHasher(HashFunction function, uint64_t seed);
  static FlowHasher siphash(uint64_t seed, const uint8_t key[16]);
  static FlowHasher toeplitz(uint64_t seed, const uint8_t key[chash::kToeplitzKeyBytes]);

  HashFunction function() const { return function_; }
  uint64_t seed() const { return seed_; }
  // What distinguishes this hash from another of the same function, without giving the key away.
  uint64_t fingerprint() const { return fingerprint_; }

  // `bytes` is a key as flow_key.h makes it. Toeplitz leaves the last byte of an odd-length key out: the
  // protocol of a 5-tuple, which network cards do not hash.
  uint64_t operator()(const uint8_t* bytes, size_t length) const {
    if (function_ == HashFunction::kXxh64) return chash::xxh64(bytes, length, seed_);
    return keyed(bytes, length);
  }
  // Bursts of addresses, as they stand in packets: n ≤ 64. The same values as operator() on 4 and 16 bytes.
  void addresses4(const uint32_t* addresses, uint64_t* hashes, unsigned n) const;
  void addresses16(const uint8_t (*addresses)[16], uint64_t* hashes, unsigned n) const;

 private:
  uint64_t keyed(const uint8_t* bytes, size_t length) const;

  HashFunction function_ = HashFunction::kXxh64;
  uint64_t seed_ = 0;
  uint64_t key_[2] = {0, 0};
  uint64_t fingerprint_ = 0;
  std::shared_ptr<const chash::ToeplitzTable> toeplitz_;
};

inline void FlowHasher::addresses4(const uint32_t* addresses, uint64_t* hashes, unsigned n) const {
  const auto* bytes = reinterpret_cast<const uint8_t*>(addresses);
  if (function_ == HashFunction::kXxh64) {
    for (unsigned i = 0; i < n; ++i) hashes[i] = chash::xxh64_of4(bytes + 4 * i, seed_);
  } else {
    for (unsigned i = 0; i < n; ++i) hashes[i] = keyed(bytes + 4 * i, 4);
  }
}

inline void FlowHasher::addresses16(const uint8_t (*addresses)[16], uint64_t* hashes, unsigned n) const {
  if (function_ == HashFunction::kXxh64) {
    for (unsigned i = 0; i < n; ++i) hashes[i] = chash::xxh64_of16(addresses[i], seed_);
  } else {
    for (unsigned i = 0; i < n; ++i) hashes[i] = keyed(addresses[i], 16);
  }
}

}  // namespace penstock
