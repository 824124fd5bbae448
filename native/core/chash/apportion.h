// Sharing slots out by weight: largest remainder, never below what a member already holds.
#pragma once
#include <cstdint>
#include <vector>

namespace penstock::chash {

// Shares `total` slots among members. Member i already holds `held[i]` and keeps it; the parts raise
// everybody to one level per weight as far as they go, so a member that holds more than that gets none. What
// rounding leaves goes to the largest remainders; among equal ones to the larger `tie`, then to the lower
// index. Σ parts = total. All arrays have one entry per member; weights are 1…65,535, slots at most 2^20, so
// every product stays below 2^53 and TypeScript computes the very same numbers.
std::vector<uint32_t> apportion(uint32_t total, const std::vector<uint32_t>& weights,
                                const std::vector<uint32_t>& held, const std::vector<uint32_t>& tie);

}  // namespace penstock::chash
