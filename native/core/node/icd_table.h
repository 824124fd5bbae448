// What a node of a pair knows of the other: where the inter-chassis datapath leads, and the decisions of
// src/ha/icd.ts, one byte for each situation that a packet can be in.
//
// A plain packet (session and wing Active, a way out that is there and served here) does not come to the
// table: the bits that would say otherwise are all 0, which one test sees.
#pragma once
#include <array>
#include <cstdint>

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
  bool configured = false;  // there is an ICD: its packets are taken, whether it is up or not
  icd::Link link;
  uint16_t routing_instance = 0;  // that it is reached in
  uint16_t mtu = 1500;            // of its path, bytes of IP packet
  std::array<uint8_t, situation::kCount> verdicts{};

  Verdict verdict(uint32_t number) const {
    const uint8_t byte = verdicts[number & (situation::kCount - 1)];
    return {static_cast<WingAction>(byte & 7), (byte & 8) != 0, (byte & 16) != 0};
  }
};

}  // namespace penstock
