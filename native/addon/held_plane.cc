#include "held_plane.h"

#include "node/node.h"

namespace penstock::addon {
namespace {
std::atomic<uint32_t> alive_count{0};
}

HeldPlane::HeldPlane(const PlaneOptions& options) : Plane(options), owners_(most_workers()) {
  alive_count.fetch_add(1);
}

HeldPlane::~HeldPlane() {
  alive_count.fetch_sub(1);
}

uint32_t HeldPlane::alive() {
  return alive_count.load();
}

bool HeldPlane::claim(uint32_t worker) {
  uint8_t owner = owners_[worker].load();
  while (owner != kDriven) {
    if (owners_[worker].compare_exchange_weak(owner, kDriven)) return true;
  }
  return false;
}

void HeldPlane::release(uint32_t worker, bool lost) {
  owners_[worker].store(lost ? kLost : kFree);
}

bool HeldPlane::any_driven() const {
  for (const auto& owner : owners_) {
    if (owner.load() == kDriven) return true;
  }
  return false;
}

void HeldPlane::flush(uint32_t worker) {
  const auto count = static_cast<uint16_t>(nodes());
  for (uint16_t n = 0; n < count; ++n) {
    Node& each = node(n);
    const auto ports = static_cast<uint16_t>(each.ports());
    for (uint16_t p = 0; p < ports; ++p) each.port(p, worker).flush();
  }
}

std::shared_ptr<HeldPlane> find_held_plane(uint32_t id) {
  return std::static_pointer_cast<HeldPlane>(find_plane(id));
}

}  // namespace penstock::addon
