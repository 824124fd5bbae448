#include <bit>

#include "crypto/aes_gcm.h"
#include "crypto_contestants.h"

namespace penstock::bench {
namespace {

class Penstock : public Contestant {
 public:
  std::string name() const override { return "penstock"; }
  std::string version() const override { return gcm_kernel(); }

  void prepare(const std::vector<std::vector<uint8_t>>& keys, std::vector<Packet>& packets) override {
    keys_ = std::make_unique<GcmKey[]>(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      gcm_init_key(keys_[i], keys[i].data(), static_cast<unsigned>(keys[i].size()));
    }
    ops_.clear();
    for (Packet& p : packets) {
      GcmOp op{&keys_[p.key], p.data, p.data, p.length, kAadBytes, p.aad, {}, p.tag};
      std::copy(p.nonce, p.nonce + 12, op.nonce);
      ops_.push_back(op);
    }
  }
  void seal(unsigned first, unsigned count) override { gcm_seal(&ops_[first], count); }
  unsigned open(unsigned first, unsigned count) override {
    return static_cast<unsigned>(std::popcount(gcm_open(&ops_[first], count)));
  }

 private:
  std::unique_ptr<GcmKey[]> keys_;
  std::vector<GcmOp> ops_;
};

}  // namespace

std::unique_ptr<Contestant> make_penstock() {
  return std::make_unique<Penstock>();
}

}  // namespace penstock::bench
