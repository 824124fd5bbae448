// A plane: workers, nodes, the frame pool and what joins them. One process may hold several; each is driven
// either by real workers (poll_worker, one thread each) or by virtual time (step, one thread for all).
//
//   control thread                         worker w
//   add_node, add ports, publish  ──▶      poll_worker(w): nodes in id order, until the time is up
//   take_punts  ◀── ring ──                  1. take what other workers handed over
//   inject      ── ring ──▶                  2. take what the control thread injects
//   counters, sessions … ◀── memory          3. each node: receive, stages, transmit; timers
//
// A worker publishes the table version that it works with at each turn, and kOffline before it sleeps or
// returns; collect() frees what no worker can still see.
#pragma once
#include <poll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../packet/counters.h"
#include "../packet/frame.h"
#include "../port/link.h"

namespace penstock {

class Node;

struct PlaneOptions {
  uint32_t workers = 1;
  uint32_t frames_per_worker = 4096;
  uint32_t control_frames = 1024;
  uint32_t hand_over_ring = 1024;  // frames, a power of two
  uint32_t jumbos_per_worker = 0;  // jumbo frames, for packets that a chunk does not hold
  uint32_t most_workers = 0;       // that grow() may come to; 0: as many as there are
};

struct Punt {
  uint16_t node;
  uint16_t port;
  uint16_t worker;
  uint64_t received;  // ns
  std::vector<uint8_t> packet;
};

enum class WorkerState : uint8_t { kIdle, kRunning, kSleeping, kFailed };

class Plane {
 public:
  explicit Plane(const PlaneOptions& options);
  ~Plane();
  Plane(const Plane&) = delete;
  Plane& operator=(const Plane&) = delete;

  const PlaneOptions& options() const { return options_; }
  // That there are now. Any thread; it only grows.
  uint32_t workers() const { return workers_.load(std::memory_order_acquire); }
  uint32_t most_workers() const { return options_.most_workers; }
  FramePool& pool() { return pool_; }

  // Control thread. Nodes and ports are added before workers run.
  uint16_t add_node(std::unique_ptr<Node> node);
  Node& node(uint16_t id) { return *nodes_[id]; }
  size_t nodes() const { return nodes_.size(); }

  // Control thread, while workers run: so many workers from now on. Each node gets its part for them, and
  // each port one more for each; then their threads may poll. Nothing comes to them before a port of theirs
  // opens, or somebody hands over. Returns what kept it from being done, or nothing; then nothing has
  // changed.
  std::string grow(uint32_t workers);
  // Control thread, once they poll: flows that no tunnel owns are shared among all workers anew.
  void spread_flows();
  // Whether flows are still on their way from one worker to another.
  bool flows_moving() const;

  // Control thread: packets that workers punted, at most `most`.
  std::vector<Punt> take_punts(uint32_t most);
  // Control thread: sends a packet (with link header) out of a node's port, from worker 0. False: no frame or
  // no room just now.
  bool inject(uint16_t node, uint16_t port, const uint8_t* packet, uint32_t length);
  // Control thread: an IP packet of a forwarder's own, without link header, that the node routes in this
  // routing instance like any other, from worker 0. False: no frame or no room just now. Packets wait for the
  // next turn; wake() ends the worker's sleep.
  bool originate(uint16_t node, uint16_t routing_instance, const uint8_t* packet, uint32_t length);
  bool wake();
  // Control thread: frees what was retired and no worker can see any more.
  void collect();
  // Control thread: says that something new was published; what it replaced is retired under this version.
  uint64_t next_version() { return ++version_; }
  uint64_t version() const { return version_; }
  // The oldest version a worker may be working with; 0 while one that is offline has frames waiting.
  uint64_t oldest_seen() const;

  // Worker thread: polls until budget_ns have passed or stop() was called. Returns false once stopped.
  // Sleeps in poll(2) when nothing came for a while and every port of this worker has a descriptor, or none
  // has work; at most for the budget.
  bool poll_worker(uint32_t worker, uint64_t budget_ns);
  void stop();
  bool stopped() const { return stopping_.load(std::memory_order_acquire); }
  // Virtual time: every worker's turn once, on the calling thread, at `now`. Returns whether anything moved.
  bool step(uint64_t now);
  // The earliest time at which a node has something to do by itself.
  uint64_t next_deadline() const;
  // Virtual time from `now` on: whatever is due, nodes in id order, then on to what is due next; until
  // `until`, or until there is something for the control thread (a punt, an attention()). Returns the time
  // reached. Throws std::logic_error when a node has something to do for ever.
  uint64_t advance(uint64_t now, uint64_t until);
  // Virtual time: the node's clock shows this much more than the plane's, and gains so many parts in a
  // million from `now` on. Ports go by the plane's time.
  void set_clock(uint16_t node, uint64_t now, int64_t offset, int32_t gained);
  // What time it is for a worker's ports, and what all their arrivals come to; they live as long as the
  // plane.
  const uint64_t* clock(uint32_t worker) const { return &worker_[worker]->now; }
  uint64_t* arrivals(uint32_t worker) { return &worker_[worker]->arrivals; }
  NonceLog* nonces(uint32_t worker) { return &worker_[worker]->nonces; }
  bool has_punts() const;
  bool wants_attention() const;
  // Nodes whose attention() has changed since they were last given.
  std::vector<uint16_t> take_attention();

  // Turns taken by a worker since start (its heartbeat), and what it is doing.
  uint64_t turns(uint32_t worker) const;
  WorkerState state(uint32_t worker) const;
  uint64_t busy_turns(uint32_t worker) const;

  // For nodes, on a worker's thread.
  FrameCache& cache(uint32_t worker) { return *worker_[worker]->cache; }
  // Hands a frame over; false when the ring is full (the caller drops it as hand_over_full).
  bool hand_over(uint32_t from, uint32_t to, FrameIndex frame);
  bool punt(uint32_t worker, FrameIndex frame);
  // Frames held anywhere (wires, rings, pending): total less free ones and those that ports keep ready to
  // receive into. Exact when workers are idle.
  uint64_t frames_in_use() const;

 private:
  struct alignas(64) Worker {
    std::unique_ptr<FrameCache> cache;
    std::unique_ptr<Ring> punts;
    std::vector<std::unique_ptr<Ring>> from;  // hand-over ring from each worker
    alignas(64) std::atomic<uint64_t> seen;
    uint64_t now = 0;       // of this turn
    uint64_t arrivals = 0;  // digest
    NonceLog nonces;        // of links that are watched
    std::atomic<uint64_t> turns{0};
    std::atomic<uint64_t> busy{0};
    std::atomic<uint32_t> free_frames{0};
    std::atomic<WorkerState> state{WorkerState::kIdle};
    int wake = -1;                // eventfd
    std::vector<pollfd> sockets;  // what sleep() waits on, kept to spare allocations
  };
  static constexpr uint64_t kOffline = ~0ull;

  // A node's time, in virtual time.
  struct Clock {
    uint64_t from = 0;
    int64_t offset = 0;
    int32_t gained = 0;
    uint32_t seen = 0;  // its attention() that was told
    uint64_t local(uint64_t now) const;
    uint64_t global(uint64_t local) const;
  };

  bool turn(uint32_t worker, uint64_t now);
  bool poll_due(uint32_t worker, uint64_t now);
  bool take_handed_over(uint32_t worker, uint64_t now);
  uint64_t next_due(uint64_t now) const;
  uint64_t due(uint16_t node, uint32_t worker, uint64_t now) const;
  FrameIndex control_frame(uint16_t node, const uint8_t* packet, uint32_t length);
  bool take_injects(uint64_t now);
  void sleep(uint32_t worker, uint64_t budget_ns);

  const PlaneOptions options_;  // most_workers is filled in
  std::atomic<uint32_t> workers_;
  FramePool pool_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Clock> clocks_;  // by node
  std::vector<std::unique_ptr<Worker>> worker_;
  std::unique_ptr<FrameCache> control_cache_;
  std::unique_ptr<Ring> injects_;
  std::atomic<uint64_t> version_{0};
  std::atomic<bool> stopping_{false};
};

// The process's planes: native memory belongs to the process, not to a thread's environment. A worker thread
// attaches by id; the memory goes when the last holder lets go.
uint32_t register_plane(std::shared_ptr<Plane> plane);
std::shared_ptr<Plane> find_plane(uint32_t id);
void forget_plane(uint32_t id);

}  // namespace penstock
