// Which of a growing series of numbers were seen: the newest and the 63 before it.
#pragma once
#include <cstdint>

namespace penstock {

struct ArrivalWindow {
  enum Result : uint8_t { kNew, kRepeated, kTooOld };

  uint64_t newest = 0;
  uint64_t mask = 0;  // bit n: newest − n was seen; 0: none yet

  Result see(uint64_t number) {
    if (mask == 0 || number > newest) {
      const uint64_t ahead = number - newest;
      mask = mask == 0 || ahead > 63 ? 1 : mask << ahead | 1;
      newest = number;
      return kNew;
    }
    const uint64_t behind = newest - number;
    if (behind > 63) return kTooOld;
    if (mask >> behind & 1) return kRepeated;
    mask |= 1ull << behind;
    return kNew;
  }
};

}  // namespace penstock
