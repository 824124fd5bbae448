// A plane and what the addon has to know of it: which worker is driven by whom. Every plane of the core's
// registry is one of these, since only the addon registers any.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "node/plane.h"

namespace penstock::addon {

class HeldPlane : public Plane {
 public:
  explicit HeldPlane(const PlaneOptions& options);
  ~HeldPlane();

  // A worker is driven by one thread at a time: false when another has it.
  bool claim(uint32_t worker);
  // `lost`: its thread ended without a word, so what it was about to do is not known.
  void release(uint32_t worker, bool lost);
  bool lost(uint32_t worker) const { return owners_[worker].load() == kLost; }
  bool driven(uint32_t worker) const { return owners_[worker].load() == kDriven; }
  bool any_driven() const;
  // What a worker's ports have buffered is written; by who drives it, or when nobody does.
  void flush(uint32_t worker);

  // Planes whose memory is not yet freed, in this process.
  static uint32_t alive();

 private:
  enum Owner : uint8_t { kFree, kDriven, kLost };
  std::vector<std::atomic<uint8_t>> owners_;
};

std::shared_ptr<HeldPlane> find_held_plane(uint32_t id);

}  // namespace penstock::addon
