// What ICMP errors have said about the paths of tunnels to real services (RFC 1191, RFC 8201): one word a
// path, which any worker writes and reads. A value is forgotten after ten minutes (RFC 1191 §6.3, RFC 8201
// §5.2), so that a path that grows is tried again.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

namespace penstock {

class PathMtus {
 public:
  static constexpr uint64_t kLifetimeMs = 600'000;

  explicit PathMtus(uint32_t paths) : paths_(paths), words_(new std::atomic<uint64_t>[paths]()) {}

  // The path's MTU, at most `link`.
  uint32_t get(uint32_t path, uint32_t link, uint64_t now) const {
    if (path >= paths_) return link;
    const uint64_t word = words_[path].load(std::memory_order_relaxed);
    if (word == 0 || (word & kTimeMask) <= now / 1'000'000) return link;
    return std::min(link, static_cast<uint32_t>(word >> 48));
  }
  void learn(uint32_t path, uint16_t mtu, uint64_t now) {
    if (path >= paths_) return;
    words_[path].store(static_cast<uint64_t>(mtu) << 48 | ((now / 1'000'000 + kLifetimeMs) & kTimeMask),
                       std::memory_order_relaxed);
  }

 private:
  static constexpr uint64_t kTimeMask = (uint64_t{1} << 48) - 1;
  const uint32_t paths_;
  std::unique_ptr<std::atomic<uint64_t>[]> words_;
};

}  // namespace penstock
