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
  uint8_t source[16];
  uint8_t destination[16];
};

class Node {
 public:
  Node(std::string name, uint32_t workers);
  virtual ~Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& name() const { return name_; }
  uint16_t id() const { return id_; }
  Plane& plane() { return *plane_; }

  // Control thread, before workers run: one Port per worker. Returns the port's index.
  uint16_t add_port(std::vector<std::unique_ptr<Port>> per_worker);
  size_t ports() const { return ports_.size(); }
  Port& port(uint16_t index, uint32_t worker) { return *ports_[index][worker]; }

  // Worker's thread: one turn. Returns true when a frame moved.
  virtual bool poll(uint32_t worker, uint64_t now) = 0;
  // Worker's thread: frames that another worker handed over (Frame::stage says where they go on).
  virtual void resume(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count) = 0;
  // Control packets: with their link header, out of a port. Worker's thread.
  void send_raw(uint32_t worker, uint16_t port, FrameIndex frame);
  // The earliest time at which poll() has something to do without input; ~0: never.
  virtual uint64_t next_deadline(uint32_t worker) const = 0;
  // Control thread, every so often: frees what was retired and no worker can hold, `oldest` being the oldest
  // version that one may work with, and prepares memory that workers will grow into. True while something
  // waits.
  virtual bool collect(uint64_t oldest) = 0;

  // A node that is shut drops all that it holds and receives as port_closed, and does nothing else.
  // Control thread; takes effect at each worker's next turn.
  void set_running(bool running) { running_.store(running, std::memory_order_release); }
  bool running() const { return running_.load(std::memory_order_acquire); }

  Counters& counters(uint32_t worker) { return counters_[worker]; }
  uint64_t total(Counter counter) const;
  // Newest first, at most `most`; a record being written meanwhile may be missing.
  std::vector<DropRecord> drop_records(uint32_t most) const;

  // Worker's thread: frees and counts.
  [[gnu::noinline]] void drop(uint32_t worker, uint64_t now, FrameIndex frame, DropReason reason);

 protected:
  friend class Plane;
  // Control thread, before workers run: the node has its plane; a port was added.
  virtual void attached() {}
  virtual void port_added() {}
  // Frames that a shut node, or a shut port, holds. Control packets among them are counted as unsent.
  void drop_closed(uint32_t worker, uint64_t now, const FrameIndex* frames, uint32_t count);
  // A shut node's turn: what arrived is dropped as port_closed.
  bool drain_ports(uint32_t worker, uint64_t now);
  Plane* plane_ = nullptr;

 private:
  struct Records {
    static constexpr uint32_t kSize = 256;
    std::atomic<uint64_t> written{0};
    DropRecord ring[kSize];
  };
  void record_drop(uint32_t worker, uint64_t now, FrameIndex frame, DropReason reason);

  const std::string name_;
  uint16_t id_ = 0;
  std::atomic<bool> running_{true};
  std::vector<std::vector<std::unique_ptr<Port>>> ports_;
  std::vector<Counters> counters_;
  std::vector<std::unique_ptr<Records>> records_;
};

}  // namespace penstock
