// Wings that began to pass packets on this node, from a worker to the control thread, which tells the peer. A
// ring of one writer and one reader; an event that finds no room is lost and counted: the wing is Active on
// both nodes then, until its packets go another way again.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "../session/session.h"

namespace penstock {

struct WingEvent {
  SessionKey in;    // the session's In wing, by which both nodes know it
  Wing wing;        // that became Active here
  bool peer_keeps;  // its packets go on through the peer (Z-mode), whose wing stays Active
};

class WingEvents {
 public:
  // Worker. False: no room.
  bool put(const WingEvent& event) {
    const uint32_t at = written_.load(std::memory_order_relaxed);
    if (at - read_.load(std::memory_order_acquire) == kSize) return false;
    ring_[at % kSize] = event;
    written_.store(at + 1, std::memory_order_release);
    return true;
  }
  // Control thread. False: none.
  bool take(WingEvent& event) {
    const uint32_t at = read_.load(std::memory_order_relaxed);
    if (at == written_.load(std::memory_order_acquire)) return false;
    event = ring_[at % kSize];
    read_.store(at + 1, std::memory_order_release);
    return true;
  }

 private:
  static constexpr uint32_t kSize = 1024;
  std::array<WingEvent, kSize> ring_;
  alignas(64) std::atomic<uint32_t> written_{0};
  alignas(64) std::atomic<uint32_t> read_{0};
};

}  // namespace penstock
