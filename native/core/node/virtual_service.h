// How a virtual service's packets reach its real services when it is not by the next hop's MAC alone: what
// GroupTable::Group::service says, and what is derived from all groups for the way back.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "../packet/address.h"
#include "../packet/encapsulate.h"
#include "../packet/frame.h"

namespace penstock {

// Any order that does not change: of what lies in memory.
inline bool before(const Address& a, const Address& b) {
  return a.high != b.high ? a.high < b.high : a.low < b.low;
}

enum class ForwardingMode : uint8_t {
  kDirect,       // direct server return: only the link header changes
  kEncapsulate,  // inside another IP packet; the real service answers the client itself
  kTranslate,    // the destination becomes the real service's; its answers come back this way
};

struct VirtualService {
  struct Member {
    ForwardingMode mode = ForwardingMode::kDirect;
    bool up = true;        // flows that are remembered stay with it; one that drains is up, but has no slot
    uint32_t id = 0;       // the same in every table: what the flow memory keeps
    Address address;       // of the real service, kTranslate
    Encapsulation tunnel;  // kEncapsulate
  };
  // kTranslate: what clients send to, and where the real services listen.
  struct Ports {
    uint8_t protocol;
    uint16_t offered;
    uint16_t real;
  };
  Address address;              // what clients send to; kTranslate
  std::vector<Member> members;  // by the group's numbers
  std::vector<Ports> ports;     // empty: every protocol and port, as it is
  bool remembers = false;       // flows stay with their member, whatever the table says later
  std::vector<std::pair<uint32_t, uint16_t>> by_id;  // filled by index_members()

  void index_members() {
    by_id.clear();
    for (size_t i = 0; i < members.size(); ++i) by_id.emplace_back(members[i].id, static_cast<uint16_t>(i));
    std::sort(by_id.begin(), by_id.end());
  }
  static constexpr uint16_t kNone = 0xffff;
  uint16_t member_of(uint32_t id) const {
    const auto at = std::lower_bound(by_id.begin(), by_id.end(), std::pair<uint32_t, uint16_t>{id, 0});
    return at == by_id.end() || at->first != id ? kNone : at->second;
  }
  const Ports* offered(uint8_t protocol, uint16_t port) const {
    for (const Ports& each : ports) {
      if (each.protocol == protocol && each.offered == port) return &each;
    }
    return nullptr;
  }
};

// What answers of real services are translated back to, by where they come from. Two virtual services that
// share a real service's port cannot be told apart by that: then only the flow memory knows.
class ReturnTable {
 public:
  struct Entry {
    Address real;
    uint16_t routing_instance;  // that the real service's packets come in on
    uint16_t port;              // 0: of the address, for packets without ports and services without `ports`
    uint8_t protocol;           // 0 with port 0
    bool everything;   // all that the real service sends is an answer; false: echo replies, fragments
    bool remembered;   // the flow memory is asked first
    bool ambiguous;    // and alone
    Address address;   // of the virtual service
    uint16_t offered;  // its port, 0: as it is
  };

  // Entries for the same place are merged.
  static ReturnTable build(const std::vector<Entry>& entries);
  bool empty() const { return slots_.empty(); }
  const Entry* find(uint16_t routing_instance, const Address& real, uint8_t protocol, uint16_t port) const;

 private:
  std::vector<int32_t> slots_;  // open addressing, at most half full: index into entries_, -1: free
  std::vector<Entry> entries_;
};

// Derived from groups and interfaces whenever one of them is published.
struct ServiceIndex {
  ReturnTable returns;
  // Tunnels' far ends, sorted, for ICMP errors about what was sent into them: the member's statistic.
  std::vector<std::pair<Address, uint32_t>> ends;
};

}  // namespace penstock
