// A witness on the wire: sees every sealed packet and says whether an IV came twice under one key. It knows
// nothing of how the SAs make their IVs; the control plane tells it which key an address and SPI stand for.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "../packet/bytes.h"
#include "../packet/esp.h"
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

  // esp: `length` bytes from the ESP header on; keys: SpiTable whose `sa` is a key number.
  void see(const SpiTable& keys, const Address& destination, const uint8_t* esp, uint32_t length) {
    ++audit_.seen;
    const SpiTable::Entry* entry = keys.find(destination, esp::spi(esp));
    if (entry == nullptr || length < esp::kHeaderBytes + kIvBytes || entry->sa >= witnesses_.limit) {
      ++audit_.unproven;
      return;
    }
    uint32_t witness = witnesses_.worker[entry->sa].load(std::memory_order_relaxed);
    if (witness == 0 && witnesses_.worker[entry->sa].compare_exchange_strong(witness, worker_ + 1)) {
      witness = worker_ + 1;
    }
    if (witness != worker_ + 1) {
      ++audit_.unproven;
      return;
    }
    switch (windows_[entry->sa].see(load64(esp + esp::kHeaderBytes))) {
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

  const NonceAudit& audit() const { return audit_; }

 private:
  static constexpr uint32_t kIvBytes = 8;  // RFC 4106 §3.1

  NonceWitnesses& witnesses_;
  const uint32_t worker_;
  NonceAudit audit_;
  std::vector<ArrivalWindow> windows_;  // by key number
};

}  // namespace penstock
