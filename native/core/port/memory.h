// A wire of memory between two ends, with one ring for each direction and worker: whatever runs on sockets
// runs on it with no privilege. Never blocks: what does not fit stays the sender's, who drops it as
// wire_full.
//
//   end 0, worker w ── ring ──▶ end 1, worker w
//   end 0, worker w ◀── ring ── end 1, worker w
//
// Each end of a worker is used by one thread at a time; the two ends may be on different threads.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "port.h"

namespace penstock {

// A wire that is shut takes nothing and gives nothing. What it holds comes out of Port::drain, on the thread
// that would have received it, who counts it as port_closed. Reopened, it goes on; frames that nobody drained
// meanwhile are still there and arrive.
class MemoryWire {
 public:
  // capacity: frames for each direction and worker, a power of two
  MemoryWire(uint32_t capacity, uint32_t workers);

  // A port that is one end (side 0 or 1) for one worker. Ports keep the wire alive.
  static std::unique_ptr<Port> end(std::shared_ptr<MemoryWire> wire, uint32_t side, uint32_t worker);

  // Any thread; seen by the workers at their next call.
  void set_open(bool open) { open_.store(open, std::memory_order_release); }
  bool open() const { return open_.load(std::memory_order_acquire); }
  // That it has rings for.
  uint32_t workers() const { return workers_; }

  // Frames under way to `side`, all workers added. Exact when the workers are idle.
  uint32_t held(uint32_t side) const;

 private:
  friend class MemoryPort;
  // What `side` receives on a worker.
  Ring& towards(uint32_t side, uint32_t worker) const { return *rings_[worker * 2 + side]; }

  const uint32_t workers_;
  std::vector<std::unique_ptr<Ring>> rings_;
  std::atomic<bool> open_{true};
};

}  // namespace penstock
