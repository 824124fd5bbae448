// A node: ports, state and one shard per worker. Forwarder (router and gateway) and Host (traffic endpoint)
// are the two kinds.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../packet/counters.h"
#include "../packet/frame.h"
#include "../port/port.h"
#include "tap.h"

namespace penstock {

class Plane;

// What was dropped last, for `show security packet-drop records`.
struct DropRecord {
  uint64_t time;  // ns, the loop's clock
  DropReason reason;
  uint16_t port;
  uint8_t version;  // 4, 6, or 0: no addresses
  uint8_t protocol;
  uint16_t source_port;
  uint16_t destination_port;
  uint16_t interface;       // of a forwarder's
  uint16_t identification;  // of an IPv4 header, else 0
  uint8_t source[16];
  uint8_t destination[16];
};

class Node {
 public:
  // most_workers: of its plane.
  Node(std::string name, uint32_t most_workers);
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& name() const { return name_; }
  uint16_t id() const { return id_; }
  Plane& plane() { return *plane_; }

  // Control thread, also while workers run: one Port per worker. Returns the port's index, which may be that
  // of one that was removed; kNoPort when there are too many.
  uint16_t add_port(std::vector<std::unique_ptr<Port>> per_worker);
  // Control thread, after the publication that no longer names it: each worker drops what the port holds for
  // it at its next turn; the port is closed once all have (collect).
  void remove_port(uint16_t index);
  // Control thread: what the workers from `before` up to `workers` will have of each port. Returns what is
  // wrong, or nothing. Nobody knows of them before adopt_ports().
  using FurtherPorts = std::vector<std::vector<std::unique_ptr<Port>>>;
  std::string further_ports(uint32_t before, uint32_t workers, FurtherPorts& made);
  void adopt_ports(uint32_t before, FurtherPorts made);
  void begin_ports(uint32_t workers);
  // Why there can be no further workers now; empty: there can.
  virtual std::string cannot_grow() const { return {}; }
  // Control thread, before the worker polls: its part of the node.
  virtual void add_worker(uint32_t worker) = 0;
  // See Plane::spread_flows.
  virtual void spread_flows(uint32_t /*workers*/) {}
  virtual bool flows_moving() const { return false; }
  static constexpr uint16_t kMostPorts = 4096;
  static constexpr uint16_t kNoPort = 0xffff;
  size_t ports() const { return port_count_.load(std::memory_order_acquire); }
  // One that was removed is there, but never open.
  Port& port(uint16_t index, uint32_t worker) {
    return *ports_[index].used[worker].load(std::memory_order_acquire);
  }

  // Worker's thread: one turn. Returns true when a frame moved.
  virtual bool poll(uint32_t worker, uint64_t now) = 0;
  // Worker's thread: frames that another worker handed over (Frame::stage says where they go on).
  virtual void resume(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) = 0;
  // Control packets: with their link header, out of a port. Worker's thread.
  void send_raw(uint32_t worker, uint16_t port, FrameIndex frame);
  // The earliest time at which poll() has something to do without input; ~0: never.
  virtual uint64_t next_deadline(uint32_t worker) const = 0;
  // The first so many ports are received from, in virtual time.
  virtual size_t heard_ports() const { return ports(); }
  // Changes whenever the control thread has something to look at. Any thread.
  virtual uint32_t attention() const { return 0; }
  // Control thread, every so often: frees what was retired and no worker can hold, `oldest` being the oldest
  // version that one may work with, and prepares memory that workers will grow into. True while something
  // waits.
  virtual bool collect(uint64_t oldest) = 0;

  // A node that is shut drops all that it holds and receives as port_closed, and does nothing else. One that
  // drains receives nothing from its ports and finishes what it has. One that is frozen does nothing: what
  // comes waits in its ports. Control thread; takes effect at each worker's next turn.
  enum class Running : uint8_t { kRuns, kDrains, kShut, kFrozen };
  void set_running(bool running) { set_running(running ? Running::kRuns : Running::kShut); }
  void set_running(Running running) { running_.store(running, std::memory_order_release); }
  Running how_running() const { return running_.load(std::memory_order_acquire); }
  bool running() const { return how_running() != Running::kShut; }

  Counters& counters(uint32_t worker) { return counters_[worker]; }
  uint64_t total(Counter counter) const;
  // Newest first, at most `most`; a record being written meanwhile may be missing.
  std::vector<DropRecord> drop_records(uint32_t most) const;

  // Control thread: what passes is copied to this tap from each worker's next turn on; null: to none. The one
  // before goes once no worker can be using it (collect). Not owned by the caller afterwards.
  void set_tap(std::unique_ptr<Tap> tap);
  Tap* tap() const { return tap_.load(std::memory_order_acquire); }

  // Worker's thread: frees and counts.
  [[gnu::noinline]] void drop(uint32_t worker, uint64_t now, FrameIndex frame, DropReason reason);

 protected:
  friend class Plane;
  // Control thread, before workers run: the node has its plane.
  void attached();
  // Frames that a shut node, or a shut port, holds. Control packets among them are counted as unsent.
  void drop_closed(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count);
  // The same for frames that a port has just given, which are counted as received.
  void drop_received(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count);
  // A shut node's turn: what arrived is dropped as port_closed.
  bool drain_ports(uint32_t worker, uint64_t now);
  // A worker's part in the removal of ports; asked once a turn.
  void close_ports(uint32_t worker, uint64_t now) {
    if (closing_.load(std::memory_order_acquire) != 0) [[unlikely]]
      close_removed(worker, now);
  }
  // Control thread: as Node::collect, of taps.
  bool collect_taps(uint64_t oldest);
  // Control thread: closes ports that every worker has let go of. True while one waits for that.
  bool collect_ports();
  Plane* plane_ = nullptr;

 private:
  struct Records {
    static constexpr uint32_t kSize = 256;
    std::atomic<uint64_t> written{0};
    DropRecord ring[kSize];
  };
  void record_drop(uint32_t worker, uint64_t now, FrameIndex frame, DropReason reason);
  [[gnu::cold]] void close_removed(uint32_t worker, uint64_t now);

  struct PortSlot {
    std::vector<std::unique_ptr<Port>> owned;    // control thread's; empty: free for another
    std::unique_ptr<std::atomic<Port*>[]> used;  // by each worker
    std::atomic<bool> closing{false};
  };

  const std::string name_;
  uint16_t id_ = 0;
  std::atomic<Running> running_{Running::kRuns};
  std::unique_ptr<PortSlot[]> ports_;
  std::atomic<uint16_t> port_count_{0};
  std::atomic<Tap*> tap_{nullptr};
  struct OldTap {
    std::unique_ptr<Tap> tap;
    uint64_t version;
  };
  std::unique_ptr<Tap> own_tap_;
  std::vector<OldTap> old_taps_;
  std::atomic<uint32_t> closing_{0};  // ports that are being removed
  std::vector<Counters> counters_;
  std::vector<std::unique_ptr<Records>> records_;
};

}  // namespace penstock
