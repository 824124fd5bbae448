// OpenSSL's EVP with one context per key and direction, keyed once; a packet sets its nonce only.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstring>

#include "crypto_contestants.h"

namespace penstock::bench {
namespace {

struct ContextFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, ContextFree>;

class OpenSsl : public Contestant {
 public:
  std::string name() const override { return "openssl"; }
  std::string version() const override { return OpenSSL_version(OPENSSL_VERSION_STRING); }

  void prepare(const std::vector<std::vector<uint8_t>>& keys, std::vector<Packet>& packets) override {
    packets_ = &packets;
    encrypt_.clear();
    decrypt_.clear();
    for (const auto& key : keys) {
      const EVP_CIPHER* cipher = key.size() == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
      encrypt_.emplace_back(EVP_CIPHER_CTX_new());
      EVP_EncryptInit_ex(encrypt_.back().get(), cipher, nullptr, key.data(), nullptr);
      decrypt_.emplace_back(EVP_CIPHER_CTX_new());
      EVP_DecryptInit_ex(decrypt_.back().get(), cipher, nullptr, key.data(), nullptr);
    }
  }
  void seal(unsigned first, unsigned count) override {
    for (unsigned i = first; i < first + count; ++i) {
      Packet& p = (*packets_)[i];
      EVP_CIPHER_CTX* context = encrypt_[p.key].get();
      int length = 0;
      EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, p.nonce);
      EVP_EncryptUpdate(context, nullptr, &length, p.aad, kAadBytes);
      EVP_EncryptUpdate(context, p.data, &length, p.data, static_cast<int>(p.length));
      EVP_EncryptFinal_ex(context, p.data + length, &length);
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, 16, p.tag);
    }
  }
  unsigned open(unsigned first, unsigned count) override {
    unsigned good = 0;
    for (unsigned i = first; i < first + count; ++i) {
      Packet& p = (*packets_)[i];
      EVP_CIPHER_CTX* context = decrypt_[p.key].get();
      int length = 0;
      EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, p.nonce);
      EVP_DecryptUpdate(context, nullptr, &length, p.aad, kAadBytes);
      EVP_DecryptUpdate(context, p.data, &length, p.data, static_cast<int>(p.length));
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16, p.tag);
      good += EVP_DecryptFinal_ex(context, p.data + length, &length) == 1;
    }
    return good;
  }

 private:
  std::vector<Packet>* packets_ = nullptr;
  std::vector<Context> encrypt_;
  std::vector<Context> decrypt_;
};

}  // namespace

std::vector<std::unique_ptr<Contestant>> make_openssl() {
  std::vector<std::unique_ptr<Contestant>> one;
  one.push_back(std::make_unique<OpenSsl>());
  return one;
}

}  // namespace penstock::bench
