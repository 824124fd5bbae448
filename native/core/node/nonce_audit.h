// A witness on the wire: sees every sealed packet and says whether an IV came twice under one key. It knows
// nothing of how the SAs make their IVs; the control plane tells it which key an address and SPI stand for.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "../packet/bytes.h"
#include "../packet/esp.h"
#include "../packet/frame.h"
#include "arrival_window.h"
#include "tables.h"

namespace penstock {

struct NonceAudit {
  uint64_t seen = 0;
  uint64_t repeated = 0;  // an IV seen twice under one key
  uint64_t unproven = 0;  // of no known key, too far behind to say, or one key seen by two workers
};

// Shared by the workers of a node: who saw a key first is its witness.
struct NonceWitnesses {
  explicit NonceWitnesses(uint32_t keys) : worker(new std::atomic<uint32_t>[keys]()), limit(keys) {}
  const std::unique_ptr<std::atomic<uint32_t>[]> worker;  // worker + 1; 0: nobody yet
  const uint32_t limit;
};

class NonceAuditor {
 public:
  NonceAuditor(NonceWitnesses& witnesses, uint32_t worker)
      : witnesses_(witnesses), worker_(worker), windows_(witnesses.limit) {}

  // One packet of a burst, at most kBurst of them before conclude(). esp: `length` bytes from the ESP header
  // on; keys: SpiTable whose `sa` is a key number.
  void see(const SpiTable& keys, const Address& destination, const uint8_t* esp, uint32_t length) {
    ++audit_.seen;
    if (length < esp::kHeaderBytes + kIvBytes) {
      ++audit_.unproven;
      return;
    }
    const uint32_t spi = esp::spi(esp);
    keys.prefetch(destination, spi);
    burst_[count_++] = {destination, spi, 0, load64(esp + esp::kHeaderBytes)};
  }

  // The packets of the burst, after their keys were fetched.
  void conclude(const SpiTable& keys) {
    for (uint32_t i = 0; i < count_; ++i) {
      const SpiTable::Entry* entry = keys.find(burst_[i].destination, burst_[i].spi);
      burst_[i].key = entry == nullptr ? witnesses_.limit : entry->sa;
      if (burst_[i].key < witnesses_.limit) __builtin_prefetch(&windows_[burst_[i].key], 1);
    }
    for (uint32_t i = 0; i < count_; ++i) judge(burst_[i].key, burst_[i].iv);
    count_ = 0;
  }

  const NonceAudit& audit() const { return audit_; }

 private:
  static constexpr uint32_t kIvBytes = 8;  // RFC 4106 §3.1
  struct Seen {
    Address destination;
    uint32_t spi;
    uint32_t key;
    uint64_t iv;
  };

  void judge(uint32_t key, uint64_t iv) {
    if (key >= witnesses_.limit || !is_witness(key)) {
      ++audit_.unproven;
      return;
    }
    switch (windows_[key].see(iv)) {
      case ArrivalWindow::kNew:
        return;
      case ArrivalWindow::kRepeated:
        ++audit_.repeated;
        return;
      case ArrivalWindow::kTooOld:
        ++audit_.unproven;
        return;
    }
  }
  bool is_witness(uint32_t key) {
    uint32_t witness = witnesses_.worker[key].load(std::memory_order_relaxed);
    return witness == worker_ + 1 ||
           (witness == 0 && witnesses_.worker[key].compare_exchange_strong(witness, worker_ + 1));
  }

  NonceWitnesses& witnesses_;
  const uint32_t worker_;
  NonceAudit audit_;
  std::vector<ArrivalWindow> windows_;  // by key number
  Seen burst_[kBurst];
  uint32_t count_ = 0;
};

}  // namespace penstock
