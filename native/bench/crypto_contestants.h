// The AES-GCM implementations that crypto_bench compares, behind one interface. Each is handed the same
// bursts; what it prepares ahead of time (expanded keys, contexts, operation structs) is not timed.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace penstock::bench {

struct Packet {
  uint8_t* data;  // sealed and opened in place
  uint32_t length;
  uint32_t key;  // index into the keys given to prepare
  uint8_t nonce[12];
  uint8_t aad[12];
  uint8_t tag[16];
};

inline constexpr uint32_t kAadBytes = 8;  // ESP without extended sequence numbers

class Contestant {
 public:
  virtual ~Contestant() = default;
  virtual std::string name() const = 0;     // what its figures are listed under; several may share one
  virtual std::string version() const = 0;  // release and code path, for the environment line
  virtual void prepare(const std::vector<std::vector<uint8_t>>& keys, std::vector<Packet>& packets) = 0;
  // Packets [first, first + count) of those prepared. open returns how many verified.
  virtual void seal(unsigned first, unsigned count) = 0;
  virtual unsigned open(unsigned first, unsigned count) = 0;
};

std::unique_ptr<Contestant> make_penstock();
// Empty where the library was not found at build time. libipsec-mb comes twice, with its direct calls and its
// job interface: the better of the two counts. arch is "auto" or "avx2".
std::vector<std::unique_ptr<Contestant>> make_ipsec_mb(const std::string& arch);
std::vector<std::unique_ptr<Contestant>> make_openssl();

}  // namespace penstock::bench
