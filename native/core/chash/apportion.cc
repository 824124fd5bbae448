#include "apportion.h"

#include <algorithm>

namespace penstock::chash {

std::vector<uint32_t> apportion(uint32_t total, const std::vector<uint32_t>& weights,
                                const std::vector<uint32_t>& held, const std::vector<uint32_t>& tie) {
  const uint32_t n = static_cast<uint32_t>(weights.size());
  std::vector<uint32_t> parts(n, 0);
  std::vector<uint32_t> sharing(n);
  for (uint32_t i = 0; i < n; ++i) sharing[i] = i;
  uint64_t pot = 0;
  uint64_t weight = 1;
  // Whoever stands above the common level leaves, which lowers it for the others: again, until nobody does.
  for (size_t before = n + 1; sharing.size() < before;) {
    before = sharing.size();
    pot = total;
    weight = 0;
    for (uint32_t i : sharing) {
      pot += held[i];
      weight += weights[i];
    }
    std::erase_if(sharing, [&](uint32_t i) { return held[i] * weight > pot * weights[i]; });
  }
  if (sharing.empty()) return parts;
  std::vector<uint64_t> remainder(n);
  uint32_t left = total;
  for (uint32_t i : sharing) {
    parts[i] = static_cast<uint32_t>(pot * weights[i] / weight) - held[i];
    remainder[i] = pot * weights[i] % weight;
    left -= parts[i];
  }
  std::sort(sharing.begin(), sharing.end(), [&](uint32_t a, uint32_t b) {
    if (remainder[a] != remainder[b]) return remainder[a] > remainder[b];
    return tie[a] != tie[b] ? tie[a] > tie[b] : a < b;
  });
  for (uint32_t i = 0; i < left; ++i) ++parts[sharing[i]];
  return parts;
}

}  // namespace penstock::chash
