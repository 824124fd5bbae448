// AES-CBC and HMAC through libcrypto: known answers of the RFCs, what does not verify, what is refused, that
// nothing is allocated for a packet, and that the functions are declared as OpenSSL's headers do.
#include "crypto/cbc_hmac.h"

#include <dlfcn.h>

#include <atomic>
#include <type_traits>
#include <vector>

#include "check.h"
#include "crypto/libcrypto.h"
#if __has_include(<openssl/evp.h>)
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#define PENSTOCK_HAVE_OPENSSL_HEADERS 1
#endif

namespace {
std::atomic<uint64_t> allocations{0};
}  // namespace

// Whoever allocates, libcrypto too, comes by here. Sanitizers have their own.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PENSTOCK_COUNTS_ALLOCATIONS 1
extern "C" {
void* __libc_malloc(size_t size);
__attribute__((visibility("default"))) void* malloc(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
}
#endif

using namespace penstock;
using Bytes = std::vector<uint8_t>;

namespace {

constexpr uint32_t kHead = 8;

Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}
Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}
Bytes repeated(uint8_t byte, size_t count) {
  return Bytes(count, byte);
}
Bytes text(const char* words) {
  return Bytes(words, words + std::strlen(words));
}

constexpr Integrity kAll[] = {Integrity::kHmacSha1_96, Integrity::kHmacSha256_128, Integrity::kHmacSha384_192,
                              Integrity::kHmacSha512_256};

void make(CbcHmacKey& key, bool sealing, uint32_t aes_bytes, Integrity integrity) {
  Bytes aes(aes_bytes);
  Bytes mac(integrity_key_bytes(integrity));
  for (size_t i = 0; i < aes.size(); ++i) aes[i] = static_cast<uint8_t>(3 + 7 * i);
  for (size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<uint8_t>(9 + 5 * i);
  CHECK_EQ(key.init(sealing, aes.data(), aes_bytes, integrity, mac.data(), static_cast<uint32_t>(mac.size())),
           std::string());
}

// RFC 3602 §4, cases 1 to 4; and NIST SP 800-38A F.2.3 and F.2.5 for the longer keys.
void aes_cbc_vectors() {
  struct {
    const char *key, *iv, *plaintext, *ciphertext;
  } const vectors[] = {
      {"06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
       "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a"},
      {"c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
       "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
       "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
      {"6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81",
       "5468697320697320612034382d62797465206d657373616765202865786163746c79203320414553"
       "20626c6f636b7329",
       "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5"
       "021c19216bad525c8579695d83ba2684"},
      {"56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
       "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
       "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
       "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
       "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"},
      {"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", "000102030405060708090a0b0c0d0e0f",
       "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
       "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"},
      {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "000102030405060708090a0b0c0d0e0f",
       "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
       "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"},
  };
  for (const auto& vector : vectors) {
    const Bytes key = from_hex(vector.key);
    const Bytes plaintext = from_hex(vector.plaintext);
    const Bytes mac = repeated(0x0b, 32);
    Bytes data = joined({repeated(1, kHead), from_hex(vector.iv), plaintext, repeated(0, 16)});
    CbcHmacKey sealing;
    CbcHmacKey opening;
    const auto aes_bytes = static_cast<uint32_t>(key.size());
    const auto bytes = static_cast<uint32_t>(plaintext.size());
    CHECK_EQ(sealing.init(true, key.data(), aes_bytes, Integrity::kHmacSha256_128, mac.data(), 32),
             std::string());
    CHECK_EQ(opening.init(false, key.data(), aes_bytes, Integrity::kHmacSha256_128, mac.data(), 32),
             std::string());
    CHECK(sealing.seal(data.data(), kHead, bytes, nullptr));
    CHECK(Bytes(data.begin() + kHead + 16, data.end() - 16) == from_hex(vector.ciphertext));
    CHECK(opening.open(data.data(), kHead, bytes, nullptr));
    CHECK(Bytes(data.begin() + kHead + 16, data.end() - 16) == plaintext);
  }
}

// RFC 4868 §2.7.2 (AUTH test vectors), and RFC 2202 §3, cases 1 and 3, whose keys have 20 bytes.
void hmac_vectors() {
  struct {
    Integrity integrity;
    Bytes key, data;
    const char* icv;
  } const vectors[] = {
      {Integrity::kHmacSha256_128, repeated(0x0b, 32), text("Hi There"), "198a607eb44bfbc69903a0f1cf2bbdc5"},
      {Integrity::kHmacSha256_128, text("JefeJefeJefeJefeJefeJefeJefeJefe"),
       text("what do ya want for nothing?"), "167f928588c5cc2eef8e3093caa0e87c"},
      {Integrity::kHmacSha256_128, repeated(0xaa, 32), repeated(0xdd, 50),
       "cdcb1220d1ecccea91e53aba3092f962"},
      {Integrity::kHmacSha384_192, repeated(0x0b, 48), text("Hi There"),
       "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"},
      {Integrity::kHmacSha384_192, text("JefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefe"),
       text("what do ya want for nothing?"), "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"},
      {Integrity::kHmacSha384_192, repeated(0xaa, 48), repeated(0xdd, 50),
       "809f439be00274321d4a538652164b53554a508184a0c316"},
      {Integrity::kHmacSha512_256, repeated(0x0b, 64), text("Hi There"),
       "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"},
      {Integrity::kHmacSha512_256, text("JefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefeJefe"),
       text("what do ya want for nothing?"),
       "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454"},
      {Integrity::kHmacSha512_256, repeated(0xaa, 64), repeated(0xdd, 50),
       "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8"},
      {Integrity::kHmacSha1_96, repeated(0x0b, 20), text("Hi There"), "b617318655057264e28bc0b6"},
      {Integrity::kHmacSha1_96, repeated(0xaa, 20), repeated(0xdd, 50), "125d7342b9ac11cd91a39af4"},
  };
  const Bytes aes = repeated(1, 16);
  for (const auto& vector : vectors) {
    CbcHmacKey key;
    CHECK_EQ(key.init(true, aes.data(), 16, vector.integrity, vector.key.data(),
                      static_cast<uint32_t>(vector.key.size())),
             std::string());
    for (int again = 0; again < 2; ++again) {
      Bytes icv(key.icv_bytes());
      key.authenticate(vector.data.data(), vector.data.size(), nullptr, icv.data());
      CHECK(icv == from_hex(vector.icv));
      // the last four bytes by themselves: as the high half of a sequence number comes
      const size_t before = vector.data.size() - 4;
      key.authenticate(vector.data.data(), before, vector.data.data() + before, icv.data());
      CHECK(icv == from_hex(vector.icv));
    }
  }
}

// One bit anywhere, the part that is not sent included: not authentic, and not a byte is touched.
void every_bit_counts() {
  for (const Integrity integrity : kAll) {
    CbcHmacKey sealing;
    CbcHmacKey opening;
    make(sealing, true, 32, integrity);
    make(opening, false, 32, integrity);
    Bytes data = repeated(0x5a, kHead + 16 + 48 + sealing.icv_bytes());
    const Bytes plain = data;
    uint8_t high[4] = {0, 0, 0, 7};
    CHECK(sealing.seal(data.data(), kHead, 48, high));
    for (size_t bit = 0; bit < 8 * (data.size() + 4); ++bit) {
      Bytes changed = data;
      uint8_t suffix[4] = {0, 0, 0, 7};
      uint8_t& byte = bit / 8 < data.size() ? changed[bit / 8] : suffix[bit / 8 - data.size()];
      byte = static_cast<uint8_t>(byte ^ 1u << bit % 8);
      const Bytes before = changed;
      CHECK(!opening.open(changed.data(), kHead, 48, suffix));
      CHECK(changed == before);
    }
    Bytes without = data;
    CHECK(!opening.open(without.data(), kHead, 48, nullptr));
    CHECK(opening.open(data.data(), kHead, 48, high));
    CHECK(std::equal(plain.begin(), plain.end() - sealing.icv_bytes(), data.begin()));
  }
}

void what_is_refused() {
  const Bytes bytes = repeated(1, 64);
  CbcHmacKey key;
  const auto error = [&](uint32_t aes, Integrity integrity, uint32_t mac) {
    return key.init(true, bytes.data(), aes, integrity, bytes.data(), mac);
  };
  for (const uint32_t aes : {0u, 15u, 20u, 36u})
    CHECK(error(aes, Integrity::kHmacSha256_128, 32).find("key: 16, 24 or 32 bytes") == 0);
  for (const uint32_t mac : {0u, 20u, 31u, 64u})
    CHECK(error(16, Integrity::kHmacSha256_128, mac).find("authentication key: 32 bytes") == 0);
  CHECK(error(16, Integrity::kHmacSha1_96, 32).find("authentication key: 20 bytes") == 0);
  CHECK_EQ(error(24, Integrity::kHmacSha512_256, 64), std::string());
}

void packets_allocate_nothing() {
#ifdef PENSTOCK_COUNTS_ALLOCATIONS
  for (const Integrity integrity : kAll) {
    for (const uint32_t aes : {16u, 24u, 32u}) {
      CbcHmacKey sealing;
      CbcHmacKey opening;
      const uint64_t at_first = allocations;
      make(sealing, true, aes, integrity);
      make(opening, false, aes, integrity);
      CHECK(allocations > at_first);  // that this test can see them
      Bytes data = repeated(3, kHead + 16 + 1424 + 32);
      const uint64_t before = allocations;
      bool good = true;
      for (int i = 0; i < 100; ++i) {
        good = good && sealing.seal(data.data(), kHead, 1424, nullptr);
        good = good && opening.open(data.data(), kHead, 1424, nullptr);
      }
      const uint64_t after = allocations;
      CHECK(good);
      CHECK_EQ(after, before);
    }
  }
#endif
}

void keys_of_ivs() {
  const Bytes key = repeated(9, 32);
  uint8_t one[16];
  uint8_t same[16];
  uint8_t other[16];
  CHECK(derive_iv_key(key.data(), 32, one) == nullptr);
  CHECK(derive_iv_key(key.data(), 32, same) == nullptr);
  CHECK(derive_iv_key(key.data(), 24, other) == nullptr);
  CHECK(std::memcmp(one, same, 16) == 0);
  CHECK(std::memcmp(one, other, 16) != 0);
  CHECK(std::memcmp(one, key.data(), 16) != 0);
}

#ifdef PENSTOCK_HAVE_OPENSSL_HEADERS
// Pointers, numbers of the same size, and how many there are: what a call goes by.
template <typename A, typename B>
constexpr bool alike() {
  if constexpr (std::is_pointer_v<A> || std::is_pointer_v<B>) {
    return std::is_pointer_v<A> && std::is_pointer_v<B>;
  } else if constexpr (std::is_void_v<A> || std::is_void_v<B>) {
    return std::is_void_v<A> && std::is_void_v<B>;
  } else {
    return sizeof(A) == sizeof(B) && std::is_signed_v<A> == std::is_signed_v<B>;
  }
}
template <typename A, typename... As, typename B, typename... Bs>
constexpr bool called_alike(A (*)(As...), B (*)(Bs...)) {
  if constexpr (sizeof...(As) == sizeof...(Bs)) {
    return alike<A, B>() && (alike<As, Bs>() && ...);
  } else {
    return false;
  }
}

void functions_are_as_openssl_declares_them() {
#define PENSTOCK_LIBCRYPTO(result, name, arguments)                              \
  CHECK(called_alike(static_cast<decltype(libcrypto::Functions::name)>(nullptr), \
                     static_cast<decltype(&::name)>(nullptr)));
#include "crypto/libcrypto.def"
#undef PENSTOCK_LIBCRYPTO
  CHECK(sizeof(SHA_CTX) <= 256 && sizeof(SHA256_CTX) <= 256 && sizeof(SHA512_CTX) <= 256);
}
#endif

}  // namespace

int main() {
  if (const char* fault = cbc_hmac_fault()) {
    std::printf("left out: %s\n", fault);
    return 0;
  }
  std::printf("%s\n", cbc_hmac_version());
  RUN(aes_cbc_vectors);
  RUN(hmac_vectors);
  RUN(every_bit_counts);
  RUN(what_is_refused);
  RUN(packets_allocate_nothing);
  RUN(keys_of_ivs);
#ifdef PENSTOCK_HAVE_OPENSSL_HEADERS
  RUN(functions_are_as_openssl_declares_them);
#endif
  FINISH();
}
