#include "virtual_service.h"

#include "route_table.h"

namespace penstock {
namespace {

size_t home(uint16_t routing_instance, const Address& real, uint8_t protocol, uint16_t port, size_t mask) {
  const uint64_t place =
      static_cast<uint64_t>(routing_instance) << 32 | static_cast<uint64_t>(protocol) << 16 | port;
  return mix(real.low ^ place, real.high + place) & mask;
}

bool same_place(const ReturnTable::Entry& entry, uint16_t routing_instance, const Address& real,
                uint8_t protocol, uint16_t port) {
  return entry.real == real && entry.port == port && entry.protocol == protocol &&
         entry.routing_instance == routing_instance;
}

}  // namespace

ReturnTable ReturnTable::build(const std::vector<Entry>& entries) {
  ReturnTable table;
  if (entries.empty()) return table;
  size_t size = 16;
  while (size < entries.size() * 2) size *= 2;
  table.slots_.assign(size, -1);
  for (const Entry& entry : entries) {
    size_t at = home(entry.routing_instance, entry.real, entry.protocol, entry.port, size - 1);
    while (table.slots_[at] >= 0 &&
           !same_place(table.entries_[static_cast<size_t>(table.slots_[at])], entry.routing_instance,
                       entry.real, entry.protocol, entry.port)) {
      at = (at + 1) & (size - 1);
    }
    if (table.slots_[at] < 0) {
      table.slots_[at] = static_cast<int32_t>(table.entries_.size());
      table.entries_.push_back(entry);
      continue;
    }
    Entry& known = table.entries_[static_cast<size_t>(table.slots_[at])];
    known.ambiguous |= !(known.address == entry.address) || known.offered != entry.offered ||
                       known.everything != entry.everything;
    known.remembered |= entry.remembered;
  }
  return table;
}

const ReturnTable::Entry* ReturnTable::find(uint16_t routing_instance, const Address& real, uint8_t protocol,
                                            uint16_t port) const {
  if (slots_.empty()) return nullptr;
  const size_t mask = slots_.size() - 1;
  for (size_t at = home(routing_instance, real, protocol, port, mask); slots_[at] >= 0;
       at = (at + 1) & mask) {
    const Entry& entry = entries_[static_cast<size_t>(slots_[at])];
    if (same_place(entry, routing_instance, real, protocol, port)) return &entry;
  }
  return nullptr;
}

}  // namespace penstock
