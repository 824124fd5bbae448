// Which ports a datagram's first fragment had, for the others, which have none: a small cache of one worker,
// whose oldest entries give way. Fragments of one datagram reach one worker (Forwarder::Shard::flow_owner),
// so it needs no lock. A later fragment that comes before its first is not known here.
#pragma once
#include <cstdint>
#include <vector>

#include "../packet/address.h"
#include "route_table.h"

namespace penstock {

class FragmentMemory {
 public:
  // RFC 791 §3.2: the identification is a datagram's among those of the same source, destination and
  // protocol; of IPv6 (RFC 8200 §4.5) without the protocol, which is 0 then.
  struct Key {
    Address source;
    Address destination;
    uint32_t identification;
    uint8_t protocol;
    bool operator==(const Key&) const = default;
  };
  struct Ports {
    uint16_t source;
    uint16_t destination;
    uint8_t protocol;  // IPv6: of the datagram, which a later fragment does not always say
  };
  static constexpr uint32_t kSets = 256;
  static constexpr uint32_t kWays = 4;
  // A datagram's fragments come together or not at all; longer, and a sender's next use of the identification
  // would meet the old one's ports.
  static constexpr uint64_t kLifetimeNs = 2'000'000'000;

  FragmentMemory() : entries_(kSets * kWays) {}

  void put(const Key& key, const Ports& ports, uint64_t now) {
    Entry* set = set_of(key);
    Entry* oldest = set;
    for (uint32_t i = 0; i < kWays; ++i) {
      if (set[i].key == key) {
        oldest = &set[i];
        break;
      }
      if (set[i].until < oldest->until) oldest = &set[i];
    }
    *oldest = {key, ports, now + kLifetimeNs};
  }
  // nullptr: not known.
  const Ports* get(const Key& key, uint64_t now) {
    Entry* set = set_of(key);
    for (uint32_t i = 0; i < kWays; ++i) {
      if (set[i].key == key && set[i].until > now) return &set[i].ports;
    }
    return nullptr;
  }
  // take(key, ports) for each that is remembered.
  template <typename Take>
  void each(uint64_t now, Take take) const {
    for (const Entry& entry : entries_) {
      if (entry.until > now) take(entry.key, entry.ports);
    }
  }

 private:
  struct Entry {
    Key key{};
    Ports ports{};
    uint64_t until = 0;
  };
  Entry* set_of(const Key& key) {
    const uint64_t hash = mix(key.source.low ^ key.identification, key.destination.low + key.source.high) ^
                          mix(key.destination.high, key.protocol);
    return &entries_[(hash & (kSets - 1)) * kWays];
  }
  std::vector<Entry> entries_;
};

}  // namespace penstock
