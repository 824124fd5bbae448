// A port: where frames come from and go to. One object per interface and worker, used by that worker alone.
// Memory wires, captures, AF_PACKET: one interface, one file each.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../packet/address.h"
#include "../packet/counters.h"
#include "../packet/frame.h"

namespace penstock {

// Whose packets are whose, by the tables of the node that a port is of.
struct PortOwners {
  uint8_t mac[6] = {};             // of the node, on this port
  std::vector<Address> addresses;  // on this port's interfaces
  struct Spi {
    uint32_t spi;
    uint32_t worker;
  };
  std::vector<Spi> spis;         // inbound SAs
  std::vector<uint8_t> buckets;  // the worker of each of FlowOwners::kBuckets
};

class Port {
 public:
  virtual ~Port() = default;

  // Fills up to count (at most kBurst) frames from the caller's cache with received packets: start and length
  // are set, `received` is `now` (nanoseconds). Returns how many; the frames are the caller's.
  virtual uint32_t receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) = 0;

  // Takes the first n of count frames and returns n; the port owns those (it frees them through the cache,
  // now or later). The rest stay the caller's, who drops them as wire_full (or port_closed when !open()).
  virtual uint32_t transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count) = 0;

  // Gives back frames that a port which is not open still holds for its receiver, who counts them as
  // port_closed. Returns how many; none is left when it returns 0.
  virtual uint32_t drain(FrameIndex* /*frames*/, uint32_t /*count*/) { return 0; }

  // Writes out what the port has buffered: before its user pauses for long, on that user's thread.
  virtual void flush() {}

  // Control thread, while its user has it: what a further worker of a plane that grows has of the same
  // interface or wire. It is used by that worker once that polls, and opens then. Null with `error` filled.
  virtual std::unique_ptr<Port> further(uint32_t /*worker*/, std::string& error) {
    error = "a port of this kind cannot have further workers";
    return nullptr;
  }

  // Control thread: the worker that it was made for by further() polls, so packets may come.
  virtual void begin() {}

  // Frames that lie ready to be received into: taken from a cache, and holding nothing. Any thread.
  virtual uint32_t ready_frames() const { return 0; }

  // Of a worker's ports to one interface the first is told, by the control thread, whenever owners change.
  virtual bool wants_owners() const { return false; }
  virtual void set_owners(const PortOwners& /*owners*/) {}

  // Its user lets go of it for good, on that user's thread: what the port still has of the caches goes back.
  virtual void let_go(FrameCache& /*cache*/) {}

  // Where the port counts what its caller cannot see (rx_missed, tx_refused, and with rx_packets and rx_bytes
  // what it drops as oversized): the caller's row of counters, written on the caller's thread. Null: not
  // counted.
  void count_into(Counters* counters) { counters_ = counters; }

  // What poll(2) may sleep on, or -1: this port has to be asked.
  virtual int descriptor() const { return -1; }

  // False once the port can no longer be used (the interface vanished, the other end was shut).
  virtual bool open() const { return true; }

  // When a frame that is on its way can be received: virtual time goes there. ~0: none is. Its receiver's
  // thread.
  virtual uint64_t next_arrival() const { return ~0ull; }

  // How often it was opened: more than before, and who is at the other end may have changed. Any thread.
  virtual uint32_t openings() const { return 1; }

  // Why not open, for people; empty while open.
  virtual std::string fault() const { return {}; }

 protected:
  void count(Counter counter, uint64_t amount = 1) {
    if (counters_ != nullptr && amount != 0) counters_->add(counter, amount);
  }
  void count_oversized(uint32_t bytes) {
    count(Counter::rx_packets);
    count(Counter::rx_bytes, bytes);
    count(Counter::oversized);
  }

 private:
  Counters* counters_ = nullptr;
};

// One that is an interface of the kernel. Any thread.
class KernelPort : public Port {
 public:
  // What the node is reached at.
  virtual void mac(uint8_t* to) const = 0;
  // Of the interface when last looked at, bytes of IP packet.
  virtual uint32_t mtu() const = 0;
  // How packets pass between the kernel and the port, for people.
  virtual std::string mode() const = 0;
};

}  // namespace penstock
