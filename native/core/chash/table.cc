#include "table.h"

#include <new>

namespace penstock {

namespace {
constexpr size_t kLine = 64;
constexpr size_t kHeaderBytes = (sizeof(Table) + kLine - 1) / kLine * kLine;
}  // namespace

Table::Pointer Table::make(const uint16_t* slots, uint32_t size, uint32_t members, const FlowHasher& hasher,
                           uint64_t digest) {
  void* memory = ::operator new (kHeaderBytes + size * sizeof(uint16_t), std::align_val_t{kLine});
  auto* copy = reinterpret_cast<uint16_t*>(static_cast<uint8_t*>(memory) + kHeaderBytes);
  std::memcpy(copy, slots, size * sizeof(uint16_t));
  return Pointer(new (memory) Table(size, members, hasher, digest, copy));
}

void Table::Delete::operator()(Table* table) const {
  table->~Table();
  ::operator delete (table, std::align_val_t{kLine});
}

}  // namespace penstock
