// The two-tier table (control threads only: it allocates).
//
// 1. Home: every slot gets a member of the configured set, dead or alive, with exact quotas. Each slot
// proposes
//    to the member that ranks best there (score.h); a member over its quota keeps the slots where it ranks
//    best; the others propose again, to members that have room.
// 2. Re-home: the home slots of each dead member are dealt in the same way to all other members, dead ones
//    included, with the quotas they have if only this one is dead. What falls to another dead member, or
//    lifts a living one above its final quota, is dealt once more to the living that have room. So one
//    failure moves the dead member's slots and no others, and a second one leaves nearly all of what the
//    first moved.
//
// Rounding goes to whoever is chosen by most slots, so that it moves least.
//
// A pure function of its input: order of members and history change nothing, and every processor and the
// TypeScript version (src/lb/chash.ts) compute the same bytes. Golden tables in test/vectors hold them to it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "flow_hash.h"
#include "score.h"
#include "table.h"

namespace penstock {

// Name and version of this function: part of every digest. A change of any table's bytes is a new version.
inline constexpr char kTableScheme[] = "two-tier@1";

inline constexpr uint32_t kMaxTableSize = 1u << 20;
inline constexpr uint32_t kMaxTableMembers = 1024;
inline constexpr uint32_t kMaxWeight = 65535;

struct TableMember {
  std::string name;  // UTF-8, unique
  uint32_t weight = 1;
};

// What sticky mode starts from: the home tier of the table before, and its members in its order (by name).
struct PreviousTable {
  std::vector<std::string> names;
  std::vector<uint16_t> home;
};

struct TableInput {
  std::vector<TableMember> members;  // in any order
  std::vector<std::string> dead;     // names; one that is no member changes nothing
  FlowHasher hasher;                 // its seed is the table's too
  uint32_t size = 0;                 // slots; 0: default_table_size
  // How far a member may stand above its exact share at home, in 1/10,000 (100 is 1 %), 0…10,000. Fewer slots
  // move when the configuration changes.
  uint32_t slack = 0;
  // Sticky mode: members that join take equal parts of everybody's slots, members that leave give theirs up,
  // and nothing else moves. Slack has no meaning then.
  const PreviousTable* previous = nullptr;
};

struct BuiltTable {
  std::string error;                 // empty: built
  std::vector<TableMember> members;  // by name (bytes); slots hold indices into this
  std::vector<uint32_t> order;       // for each of members, its place in the input
  std::vector<uint16_t> home;
  std::vector<uint16_t> slots;  // kNoMember everywhere when no member is up
  FlowHasher hasher;
  uint64_t digest = 0;  // of all that decides where a flow goes: names, hash, size, slots, versions

  Table::Pointer table() const {
    return Table::make(slots.data(), static_cast<uint32_t>(slots.size()),
                       static_cast<uint32_t>(members.size()), hasher, digest);
  }
};

// The next power of two ≥ 256 × members, at least 256 and at most 65,536.
uint32_t default_table_size(size_t members);

BuiltTable build_table(const TableInput& input);
// The same with one instruction set, which must be available: for tests and benches.
BuiltTable build_table(const TableInput& input, chash::ScoreIsa isa);
// Another set of dead members over the same home tier: the same bytes as building anew, sooner.
BuiltTable rehome_table(const BuiltTable& built, const std::vector<std::string>& dead);
BuiltTable rehome_table(const BuiltTable& built, const std::vector<std::string>& dead, chash::ScoreIsa isa);

}  // namespace penstock
