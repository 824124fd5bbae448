#include "tables.h"

namespace penstock {
namespace {

size_t spi_home(const Address& address, uint32_t spi, size_t mask) {
  return mix(address.low ^ spi, address.high + spi) & mask;
}

}  // namespace

void InterfaceTable::index_ports(size_t ports) {
  first_of_port.assign(ports, kNone);
  next_on_port.assign(interfaces.size(), kNone);
  for (size_t i = interfaces.size(); i > 0; --i) {
    if (interfaces[i - 1].vlan == kAbsent) continue;
    uint16_t& first = first_of_port[interfaces[i - 1].port];
    next_on_port[i - 1] = first;
    first = static_cast<uint16_t>(i - 1);
  }
}

SpiTable SpiTable::build(const std::vector<Entry>& entries) {
  SpiTable table;
  size_t size = 16;
  while (size < entries.size() * 2) size *= 2;
  table.entries.assign(size, Entry{{}, 0, kNoIndex, 0, 0});
  for (const Entry& entry : entries) {
    size_t at = spi_home(entry.address, entry.spi, size - 1);
    while (table.entries[at].spi != 0) at = (at + 1) & (size - 1);
    table.entries[at] = entry;
  }
  return table;
}

const SpiTable::Entry* SpiTable::find(const Address& address, uint32_t spi) const {
  if (entries.empty() || spi == 0) return nullptr;
  const size_t mask = entries.size() - 1;
  for (size_t at = spi_home(address, spi, mask); entries[at].spi != 0; at = (at + 1) & mask) {
    if (entries[at].spi == spi && entries[at].address == address) return &entries[at];
  }
  return nullptr;
}

void SpiTable::prefetch(const Address& address, uint32_t spi) const {
  if (!entries.empty()) __builtin_prefetch(&entries[spi_home(address, spi, entries.size() - 1)]);
}

const PolicyTable::Policy* PolicyTable::find(uint16_t from_zone, uint16_t to_zone, const Address& source,
                                             const Address& destination, uint8_t protocol,
                                             uint16_t port) const {
  for (const Policy& policy : policies) {
    if ((policy.from_zone == kAnyZone || policy.from_zone == from_zone) &&
        (policy.to_zone == kAnyZone || policy.to_zone == to_zone) && policy.port_low <= port &&
        port <= policy.port_high && policy.match.holds(source, destination, protocol)) {
      return &policy;
    }
  }
  return nullptr;
}

}  // namespace penstock
