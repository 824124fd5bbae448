// AES-CBC with an HMAC over it (RFC 3602, 2404, 4868): encrypted, then authenticated. For peers that know no
// AES-GCM, so without kernels of our own: OpenSSL's libcrypto does it. Nothing is linked or included for
// that. Node.js carries OpenSSL and offers it to addons; where a program does not, libcrypto.so.3 is loaded.
//
//   CbcHmacKey key;                               one per SA and direction
//   key.init(…)                                   allocates; the rest does not
//   key.seal(data, head, length, …)               encrypts in place, writes the ICV
//   key.open(data, head, length, …)               verifies, and only then decrypts
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace penstock {

enum class Integrity : uint8_t { kHmacSha1_96, kHmacSha256_128, kHmacSha384_192, kHmacSha512_256 };

inline constexpr uint32_t kAesBlockBytes = 16;     // and that of an IV (RFC 3602 §2.4)
inline constexpr uint32_t kMostIntegrityKey = 64;  // bytes
inline constexpr uint32_t kMostCbcKey = 32;        // bytes

// Of the key, which has the length of the hash (RFC 2404 §3, RFC 4868 §2.1.1), and of the ICV, in bytes.
constexpr uint32_t integrity_key_bytes(Integrity integrity) {
  constexpr uint8_t kBytes[] = {20, 32, 48, 64};
  return kBytes[static_cast<unsigned>(integrity)];
}
constexpr uint32_t integrity_icv_bytes(Integrity integrity) {
  constexpr uint8_t kBytes[] = {12, 16, 24, 32};
  return kBytes[static_cast<unsigned>(integrity)];
}

// Null where libcrypto was found, or what to do about it.
const char* cbc_hmac_fault();
// What was found, e.g. "OpenSSL 3.0.18 …"; empty when nothing was.
const char* cbc_hmac_version();

// One thread at a time.
class CbcHmacKey {
 public:
  CbcHmacKey() = default;
  CbcHmacKey(const CbcHmacKey&) = delete;
  CbcHmacKey& operator=(const CbcHmacKey&) = delete;
  ~CbcHmacKey();

  // An AES key of 16, 24 or 32 bytes, and the integrity's. Empty, or what is wrong.
  std::string init(bool sealing, const uint8_t* key, uint32_t key_bytes, Integrity integrity,
                   const uint8_t* integrity_key, uint32_t integrity_key_bytes);

  // `data`: head_bytes that are authenticated alone, the IV (16), text_bytes of text (a multiple of 16), and
  // room for the ICV. The ICV covers all that and behind it, where `suffix` is not null, four bytes that are
  // not sent (RFC 4303 §2.2.1). False: libcrypto failed, and the text was wiped.
  bool seal(uint8_t* data, uint32_t head_bytes, uint32_t text_bytes, const uint8_t* suffix);
  // False: not authentic, and nothing was touched; or libcrypto failed, and the text was wiped.
  bool open(uint8_t* data, uint32_t head_bytes, uint32_t text_bytes, const uint8_t* suffix);

  uint32_t icv_bytes() const { return integrity_icv_bytes(integrity_); }

  // The first icv_bytes() of the HMAC over size bytes of data and the suffix.
  void authenticate(const uint8_t* data, size_t size, const uint8_t* suffix, uint8_t* icv);

 private:
  static constexpr size_t kHashBytes = 256;  // more than any of libcrypto's SHA contexts

  bool crypt(uint8_t* data, uint32_t head_bytes, uint32_t text_bytes);

  void* cipher_ = nullptr;  // EVP_CIPHER_CTX
  Integrity integrity_ = Integrity::kHmacSha256_128;
  bool sealing_ = false;
  // The hash after the first block of the inner and of the outer key pad (RFC 2104 §4), and one at work.
  alignas(16) uint8_t inner_[kHashBytes] = {};
  alignas(16) uint8_t outer_[kHashBytes] = {};
  alignas(16) uint8_t work_[kHashBytes] = {};
};

// A key of 16 bytes for what an SA's IVs are made of, another than that of its text, so that they cannot be
// foretold: HMAC-SHA-256 of a label under the AES key. Null, or why there is none.
const char* derive_iv_key(const uint8_t* key, uint32_t key_bytes, uint8_t iv_key[16]);

}  // namespace penstock
