// Flows that nobody has seen: made from a number, so that any part of a billion can be made anywhere (control
// threads). The same on every processor, but for the bytes of Zipf's exponents other than 1, which may differ
// by one where a library rounds pow() differently.
#pragma once
#include <cstdint>

#include "flow_count.h"

namespace penstock {

struct FlowSource {
  enum class Kind : uint8_t {
    kUniform,  // sources from everywhere, no two the same; no bytes
    kZipf,     // the same sources; flow r, counted from 1, has 1500 · (flows / r)^exponent bytes
    kSubnet,   // sources of one prefix in their order, over and over with other ports; no bytes
  };
  Kind kind = Kind::kUniform;
  uint64_t flows = 0;  // at most 2^32
  double exponent = 1;
  uint8_t address_bytes = 4;
  uint8_t prefix[16] = {};
  uint8_t prefix_length = 0;
  uint8_t destination[16] = {};
  uint64_t seed = 0;
};

struct GeneratedFlow {
  uint8_t source[16];
  uint16_t source_port;
  uint16_t destination_port;
  uint64_t bytes;
};
inline constexpr uint8_t kGeneratedProtocol = 6;

GeneratedFlow generate_flow(const FlowSource& source, uint64_t number);

// Counts flows first … end − 1.
void count_generated(const FlowSource& source, uint64_t first, uint64_t end, HashKey key,
                     const FlowHasher& hasher, const FlowCells& cells, FlowCounts* counts);

}  // namespace penstock
