// OpenSSL 3 at run time. Its envelope API (EVP) does AES with whatever the processor has; for the hashes its
// older functions are called, whose state is a plain value: HMAC by EVP allocates for every packet.
#include "crypto/cbc_hmac.h"

#include <dlfcn.h>

#include <cstring>

#include "crypto/aes_gcm.h"
#include "crypto/libcrypto.h"

namespace penstock {
namespace {

constexpr const char* kLibrary = "libcrypto.so.3";
constexpr uint32_t kMostHash = 64;
constexpr uint32_t kMostHashBlock = 128;

struct Libcrypto {
  libcrypto::Functions functions = {};
  bool found = false;

  Libcrypto() {
    // What this program itself carries, as Node.js does, comes first: then there is one OpenSSL in a process.
    found = load(dlopen(nullptr, RTLD_NOW));
    if (found) return;
    void* library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    found = load(library);
    // Workers may seal until the very end of the process: nothing is to be cleaned up under them.
    constexpr uint64_t kNoAtExit = 0x00080000;
    if (found) found = functions.OPENSSL_init_crypto(kNoAtExit, nullptr) == 1;
  }

 private:
  bool load(void* library) {
    if (library == nullptr) return false;
    bool complete = true;
#define PENSTOCK_LIBCRYPTO(result, name, arguments)                                   \
  functions.name = reinterpret_cast<decltype(functions.name)>(dlsym(library, #name)); \
  complete = complete && functions.name != nullptr;
#include "crypto/libcrypto.def"
#undef PENSTOCK_LIBCRYPTO
    // 0xMNN00PP0; others that look alike (BoringSSL, LibreSSL) say 1 or 2.
    return complete && functions.OpenSSL_version_num() >> 28 == 3;
  }
};

const Libcrypto& loaded() {
  static const Libcrypto made;
  return made;
}
const libcrypto::Functions& lib() {
  return loaded().functions;
}

struct Hash {
  int (*init)(void*);
  int (*update)(void*, const void*, size_t);
  int (*final)(unsigned char*, void*);
  uint32_t block_bytes;
  uint32_t bytes;
};

Hash hash_of(Integrity integrity) {
  const libcrypto::Functions& f = lib();
  switch (integrity) {
    case Integrity::kHmacSha1_96:
      return {f.SHA1_Init, f.SHA1_Update, f.SHA1_Final, 64, 20};
    case Integrity::kHmacSha384_192:
      return {f.SHA384_Init, f.SHA384_Update, f.SHA384_Final, 128, 48};
    case Integrity::kHmacSha512_256:
      return {f.SHA512_Init, f.SHA512_Update, f.SHA512_Final, 128, 64};
    default:
      return {f.SHA256_Init, f.SHA256_Update, f.SHA256_Final, 64, 32};
  }
}

// RFC 2104 §2: the key, filled up with zeros to the hash's block, every byte changed by `pad`. No key here is
// longer than a block.
void absorb_key(const Hash& hash, void* state, const uint8_t* key, uint32_t key_bytes, uint8_t pad) {
  uint8_t block[kMostHashBlock];
  std::memset(block, pad, sizeof block);
  for (uint32_t i = 0; i < key_bytes; ++i) block[i] ^= key[i];
  hash.init(state);
  hash.update(state, block, hash.block_bytes);
  wipe(block, sizeof block);
}

constexpr uint8_t kInnerPad = 0x36;
constexpr uint8_t kOuterPad = 0x5c;

}  // namespace

const char* cbc_hmac_fault() {
  return loaded().found ? nullptr
                        : "AES-CBC with HMAC needs OpenSSL 3, and this program neither carries it nor finds "
                          "libcrypto.so.3: apt-get install libssl-dev";
}

const char* cbc_hmac_version() {
  return loaded().found ? lib().OpenSSL_version(0) : "";
}

CbcHmacKey::~CbcHmacKey() {
  // Frees the expanded key with zeros in its place.
  if (cipher_ != nullptr) lib().EVP_CIPHER_CTX_free(cipher_);
  wipe(inner_, sizeof inner_);
  wipe(outer_, sizeof outer_);
  wipe(work_, sizeof work_);
}

std::string CbcHmacKey::init(bool sealing, const uint8_t* key, uint32_t key_bytes, Integrity integrity,
                             const uint8_t* integrity_key, uint32_t integrity_key_size) {
  if (const char* fault = cbc_hmac_fault()) return fault;
  if (key == nullptr || (key_bytes != 16 && key_bytes != 24 && key_bytes != 32)) {
    return "key: 16, 24 or 32 bytes with AES-CBC, not " + std::to_string(key_bytes);
  }
  if (integrity_key == nullptr || integrity_key_size != integrity_key_bytes(integrity)) {
    return "authentication key: " + std::to_string(integrity_key_bytes(integrity)) + " bytes, not " +
           std::to_string(integrity_key_size);
  }
  const libcrypto::Functions& f = lib();
  sealing_ = sealing;
  integrity_ = integrity;
  if (cipher_ == nullptr) cipher_ = f.EVP_CIPHER_CTX_new();
  const void* aes = key_bytes == 16   ? f.EVP_aes_128_cbc()
                    : key_bytes == 24 ? f.EVP_aes_192_cbc()
                                      : f.EVP_aes_256_cbc();
  const int done = cipher_ == nullptr ? 0
                   : sealing          ? f.EVP_EncryptInit_ex(cipher_, aes, nullptr, key, nullptr)
                                      : f.EVP_DecryptInit_ex(cipher_, aes, nullptr, key, nullptr);
  if (done != 1 || f.EVP_CIPHER_CTX_set_padding(cipher_, 0) != 1) return "libcrypto refuses AES-CBC";
  const Hash hash = hash_of(integrity);
  absorb_key(hash, inner_, integrity_key, integrity_key_size, kInnerPad);
  absorb_key(hash, outer_, integrity_key, integrity_key_size, kOuterPad);
  return "";
}

// A key that init() has made has all functions of libcrypto.
// NOLINTBEGIN(clang-analyzer-core.CallAndMessage)
void CbcHmacKey::authenticate(const uint8_t* data, size_t size, const uint8_t* suffix, uint8_t* icv) {
  const Hash hash = hash_of(integrity_);
  uint8_t digest[kMostHash];
  std::memcpy(work_, inner_, sizeof work_);
  hash.update(work_, data, size);
  if (suffix != nullptr) hash.update(work_, suffix, 4);
  hash.final(digest, work_);
  std::memcpy(work_, outer_, sizeof work_);
  hash.update(work_, digest, hash.bytes);
  hash.final(digest, work_);
  std::memcpy(icv, digest, icv_bytes());
}
// NOLINTEND(clang-analyzer-core.CallAndMessage)

bool CbcHmacKey::crypt(uint8_t* data, uint32_t head_bytes, uint32_t text_bytes) {
  const libcrypto::Functions& f = lib();
  const uint8_t* iv = data + head_bytes;
  uint8_t* text = data + head_bytes + kAesBlockBytes;
  const auto length = static_cast<int>(text_bytes);
  int written = 0;
  const bool done = sealing_ ? f.EVP_EncryptInit_ex(cipher_, nullptr, nullptr, nullptr, iv) == 1 &&
                                   f.EVP_EncryptUpdate(cipher_, text, &written, text, length) == 1
                             : f.EVP_DecryptInit_ex(cipher_, nullptr, nullptr, nullptr, iv) == 1 &&
                                   f.EVP_DecryptUpdate(cipher_, text, &written, text, length) == 1;
  if (done && written == length) return true;
  wipe(text, text_bytes);
  return false;
}

bool CbcHmacKey::seal(uint8_t* data, uint32_t head_bytes, uint32_t text_bytes, const uint8_t* suffix) {
  if (!crypt(data, head_bytes, text_bytes)) return false;
  const uint32_t size = head_bytes + kAesBlockBytes + text_bytes;
  authenticate(data, size, suffix, data + size);
  return true;
}

bool CbcHmacKey::open(uint8_t* data, uint32_t head_bytes, uint32_t text_bytes, const uint8_t* suffix) {
  const uint32_t size = head_bytes + kAesBlockBytes + text_bytes;
  uint8_t icv[kMostHash];
  authenticate(data, size, suffix, icv);
  // Constant time: nothing says how many bytes were right.
  if (lib().CRYPTO_memcmp(icv, data + size, icv_bytes()) != 0) return false;
  return crypt(data, head_bytes, text_bytes);
}

const char* derive_iv_key(const uint8_t* key, uint32_t key_bytes, uint8_t iv_key[16]) {
  if (const char* fault = cbc_hmac_fault()) return fault;
  static constexpr char kLabel[] = "penstock ESP AES-CBC IV";
  const Hash hash = hash_of(Integrity::kHmacSha256_128);
  alignas(16) uint8_t state[256];
  uint8_t digest[kMostHash];
  absorb_key(hash, state, key, key_bytes, kInnerPad);
  hash.update(state, kLabel, sizeof kLabel - 1);
  hash.final(digest, state);
  absorb_key(hash, state, key, key_bytes, kOuterPad);
  hash.update(state, digest, hash.bytes);
  hash.final(digest, state);
  std::memcpy(iv_key, digest, 16);
  wipe(state, sizeof state);
  wipe(digest, sizeof digest);
  return nullptr;
}

}  // namespace penstock
