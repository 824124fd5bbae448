// What a node of a pair knows of the other: where the inter-chassis datapath leads, what names mean on both,
// and the decisions of src/ha/icd.ts, one byte for each situation that a packet can be in.
//
// A plain packet (session and wing Active, a way out that is there and served here) does not come to the
// table: the bits that would say otherwise are all 0, which one test sees.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "../packet/icd.h"

namespace penstock {

// Bits of a situation's number; the same in src/ha/icd.ts.
namespace situation {
constexpr uint32_t kSession = 1u << 0;
constexpr uint32_t kNotOwned = 1u << 1;
constexpr uint32_t kWingWarm = 1u << 2;
constexpr uint32_t kSettingUp = 1u << 3;  // without a session: the packet may begin one
constexpr uint32_t kInspected = 1u << 4;
constexpr uint32_t kCrossed = 1u << 5;
constexpr uint32_t kEgressGone = 1u << 6;
constexpr unsigned kServedAt = 7;  // two bits: Served
constexpr uint32_t kBackupServes = 1u << 9;
constexpr uint32_t kCount = 1u << 10;
}  // namespace situation

enum class Served : uint8_t { kEither, kHere, kPeer, kNobody };

// What a next hop says of a situation. kAsks: bits of which one asks for the table; either or here do not.
constexpr uint16_t kNextHopAsks = situation::kEgressGone | 2u << situation::kServedAt;
constexpr uint16_t next_hop_situation(bool egress_gone, Served served, bool backup_serves) {
  return static_cast<uint16_t>((egress_gone ? situation::kEgressGone : 0) |
                               static_cast<uint32_t>(served) << situation::kServedAt |
                               (backup_serves ? situation::kBackupServes : 0));
}

enum class WingAction : uint8_t {
  kHere,
  kAcross,
  kNotSyn,
  kRerouteFailed,
  kIcdDown,
  kSrgBackup,
  kCrossedAlready,
  kCount,
};

struct IcdTable {
  struct Verdict {
    WingAction action;
    bool flips;  // the packet's wing is Active from now on
    bool owns;   // so is the session
  };
  // One of the node's own names and its tag.
  struct Name {
    uint32_t tag;
    uint16_t number;
  };
  static constexpr uint16_t kUnknown = 0xffff;

  bool configured = false;  // there is an ICD: its packets are taken, whether it is up or not
  icd::Link link;
  uint16_t routing_instance = 0;  // that it is reached in
  uint16_t mtu = 1500;            // of its path, bytes of IP packet
  std::array<uint8_t, situation::kCount> verdicts{};

  Verdict verdict(uint32_t number) const {
    const uint8_t byte = verdicts[number & (situation::kCount - 1)];
    return {static_cast<WingAction>(byte & 7), (byte & 8) != 0, (byte & 16) != 0};
  }

  void set_names(std::vector<Name> zones, std::vector<Name> instances) {
    zones_ = Names(std::move(zones));
    instances_ = Names(std::move(instances));
  }
  // kUnknown, or 0: no such name.
  uint16_t zone_of(uint32_t tag) const { return zones_.number(tag); }
  uint16_t instance_of(uint32_t tag) const { return instances_.number(tag); }
  uint32_t zone_tag(uint16_t number) const { return zones_.tag(number); }
  uint32_t instance_tag(uint16_t number) const { return instances_.tag(number); }

 private:
  class Names {
   public:
    Names() = default;
    explicit Names(std::vector<Name> names) : by_tag_(std::move(names)) {
      std::sort(by_tag_.begin(), by_tag_.end(), [](const Name& a, const Name& b) { return a.tag < b.tag; });
      for (const Name& name : by_tag_) {
        if (name.number >= by_number_.size()) by_number_.resize(name.number + size_t{1}, 0);
        by_number_[name.number] = name.tag;
      }
    }
    uint16_t number(uint32_t tag) const {
      const auto at = std::lower_bound(by_tag_.begin(), by_tag_.end(), tag,
                                       [](const Name& name, uint32_t wanted) { return name.tag < wanted; });
      return at == by_tag_.end() || at->tag != tag ? kUnknown : at->number;
    }
    uint32_t tag(uint16_t number) const { return number < by_number_.size() ? by_number_[number] : 0; }

   private:
    std::vector<Name> by_tag_;
    std::vector<uint32_t> by_number_;
  };
  Names zones_;
  Names instances_;
};

}  // namespace penstock
