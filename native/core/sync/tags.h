// What numbers of this node are called between the nodes of a pair: tags are hashes of names
// (src/model/name-tag.ts), and each node translates them into its own numbers. 0 stands for nothing in both.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace penstock {

class TagMap {
 public:
  struct Name {
    uint32_t tag;
    uint32_t number;
    uint32_t worker = 0;  // of a tunnel: its anchor
  };
  static constexpr uint32_t kUnknown = 0xffffffff;

  TagMap() = default;
  explicit TagMap(std::vector<Name> names) : by_tag_(std::move(names)), by_number_(by_tag_) {
    std::sort(by_tag_.begin(), by_tag_.end(), [](const Name& a, const Name& b) { return a.tag < b.tag; });
    std::sort(by_number_.begin(), by_number_.end(),
              [](const Name& a, const Name& b) { return a.number < b.number; });
  }

  // nullptr: no such name. Of two names with one tag neither is found: what is said of them cannot be told
  // apart.
  const Name* find(uint32_t tag) const {
    const auto at = std::lower_bound(by_tag_.begin(), by_tag_.end(), tag,
                                     [](const Name& name, uint32_t wanted) { return name.tag < wanted; });
    if (at == by_tag_.end() || at->tag != tag) return nullptr;
    return at + 1 != by_tag_.end() && (at + 1)->tag == tag ? nullptr : &*at;
  }
  uint32_t tag(uint32_t number) const {
    const auto at = std::lower_bound(by_number_.begin(), by_number_.end(), number,
                                     [](const Name& name, uint32_t wanted) { return name.number < wanted; });
    return at == by_number_.end() || at->number != number ? 0 : at->tag;
  }

 private:
  std::vector<Name> by_tag_;
  std::vector<Name> by_number_;
};

// Part of a forwarder's tables.
struct SyncTable {
  TagMap instances;  // tags of instances and zones have 20 bits
  TagMap zones;
  TagMap tunnels;
  TagMap policies;
  bool icmp = false;  // sync-icmp-session
};

}  // namespace penstock
