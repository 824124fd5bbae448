// libipsec-mb by its direct calls (keys expanded beforehand) and by its job interface. Its decrypt returns a
// tag, which every caller must compare, so the comparison is timed too.
#include <intel-ipsec-mb.h>

#include <cstring>

#include "crypto_contestants.h"

namespace penstock::bench {
namespace {

struct ManagerFree {
  void operator()(IMB_MGR* mgr) const { free_mb_mgr(mgr); }
};

class IpsecMb : public Contestant {
 public:
  explicit IpsecMb(const std::string& arch) : mgr_(alloc_mb_mgr(0)), name_("ipsec-mb") {
    IMB_ARCH chosen = IMB_ARCH_AVX2;
    if (arch == "avx2") {
      name_ += "-avx2";
      init_mb_mgr_avx2(mgr_.get());
    } else {
      init_mb_mgr_auto(mgr_.get(), &chosen);
    }
    static const char* const kArchs[] = {"none", "noaesni", "sse", "avx", "avx2", "avx512"};
    version_ = std::string(imb_get_version_str()) + " " + kArchs[chosen];
  }
  std::string name() const override { return name_; }
  std::string version() const override { return version_; }

  void prepare(const std::vector<std::vector<uint8_t>>& keys, std::vector<Packet>& packets) override {
    packets_ = &packets;
    key_bytes_ = keys[0].size();
    keys_ = std::make_unique<gcm_key_data[]>(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      if (key_bytes_ == 16) {
        IMB_AES128_GCM_PRE(mgr_.get(), keys[i].data(), &keys_[i]);
      } else {
        IMB_AES256_GCM_PRE(mgr_.get(), keys[i].data(), &keys_[i]);
      }
    }
  }

 protected:
  std::unique_ptr<IMB_MGR, ManagerFree> mgr_;
  std::vector<Packet>* packets_ = nullptr;
  std::unique_ptr<gcm_key_data[]> keys_;
  size_t key_bytes_ = 0;

 private:
  std::string name_;
  std::string version_;
};

class Direct : public IpsecMb {
 public:
  using IpsecMb::IpsecMb;
  void seal(unsigned first, unsigned count) override {
    const auto encrypt = key_bytes_ == 16 ? mgr_->gcm128_enc : mgr_->gcm256_enc;
    gcm_context_data context;
    for (unsigned i = first; i < first + count; ++i) {
      Packet& p = (*packets_)[i];
      encrypt(&keys_[p.key], &context, p.data, p.data, p.length, p.nonce, p.aad, kAadBytes, p.tag, 16);
    }
  }
  unsigned open(unsigned first, unsigned count) override {
    const auto decrypt = key_bytes_ == 16 ? mgr_->gcm128_dec : mgr_->gcm256_dec;
    gcm_context_data context;
    unsigned good = 0;
    for (unsigned i = first; i < first + count; ++i) {
      Packet& p = (*packets_)[i];
      uint8_t tag[16];
      decrypt(&keys_[p.key], &context, p.data, p.data, p.length, p.nonce, p.aad, kAadBytes, tag, 16);
      good += std::memcmp(tag, p.tag, 16) == 0;
    }
    return good;
  }
};

class Jobs : public IpsecMb {
 public:
  using IpsecMb::IpsecMb;
  void seal(unsigned first, unsigned count) override { submit(first, count, true); }
  unsigned open(unsigned first, unsigned count) override {
    submit(first, count, false);
    unsigned good = 0;
    for (unsigned i = 0; i < count; ++i) good += std::memcmp(tags_[i], (*packets_)[first + i].tag, 16) == 0;
    return good;
  }

 private:
  void submit(unsigned first, unsigned count, bool sealing) {
    for (unsigned i = 0; i < count; ++i) {
      Packet& p = (*packets_)[first + i];
      IMB_JOB* job = IMB_GET_NEXT_JOB(mgr_.get());
      job->cipher_mode = IMB_CIPHER_GCM;
      job->hash_alg = IMB_AUTH_AES_GMAC;
      job->cipher_direction = sealing ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
      job->chain_order = sealing ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
      job->enc_keys = &keys_[p.key];
      job->dec_keys = &keys_[p.key];
      job->key_len_in_bytes = key_bytes_;
      job->src = p.data;
      job->dst = p.data;
      job->cipher_start_src_offset_in_bytes = 0;
      job->hash_start_src_offset_in_bytes = 0;
      job->msg_len_to_cipher_in_bytes = p.length;
      job->msg_len_to_hash_in_bytes = p.length;
      job->iv = p.nonce;
      job->iv_len_in_bytes = 12;
      job->u.GCM.aad = p.aad;
      job->u.GCM.aad_len_in_bytes = kAadBytes;
      job->auth_tag_output = sealing ? p.tag : tags_[i];
      job->auth_tag_output_len_in_bytes = 16;
      IMB_SUBMIT_JOB_NOCHECK(mgr_.get());
    }
    while (IMB_FLUSH_JOB(mgr_.get()) != nullptr) {
    }
  }

  uint8_t tags_[64][16];
};

}  // namespace

std::vector<std::unique_ptr<Contestant>> make_ipsec_mb(const std::string& arch) {
  std::vector<std::unique_ptr<Contestant>> both;
  both.push_back(std::make_unique<Direct>(arch));
  both.push_back(std::make_unique<Jobs>(arch));
  return both;
}

}  // namespace penstock::bench
