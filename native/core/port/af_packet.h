// An interface of the kernel as a port: a raw socket with a ring for each direction and worker. af_packet.cc
// opens with the path of a packet.
//
// The interface should have no address of its own: the kernel sees what arrives too, and would answer it.
// Receive offloads may stay on: checksums that the sender left to its card are completed, TCP and UDP packets
// of up to 64 KiB are cut. What is larger than a jumbo frame otherwise is dropped as oversized: `ethtool -K
// IF gro off lro off` prevents that.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "gso.h"
#include "packet_socket.h"
#include "port.h"

namespace penstock {

struct AfPacketOptions {
  std::string interface;
  uint32_t workers = 1;
  uint32_t most_workers = 0;      // that further() may come to; 0: as many as there are
  bool promiscuous = false;       // for addresses that are not the interface's own
  uint32_t receive_slots = 2048;  // powers of two
  uint32_t transmit_slots = 1024;
};

class AfPacketPort;
class PacketGroup;

// One port for each worker, or an error: no such interface (ENODEV), down (ENETDOWN), not Ethernet, no
// privilege (EPERM: the text says how to get it), no memory.
struct AfPacketPorts {
  std::vector<std::unique_ptr<AfPacketPort>> ports;
  SocketError error;
};

class AfPacketPort final : public KernelPort {
 public:
  // Workers share what arrives by a hash of the flow, the same in both directions (packet_group.h).
  static AfPacketPorts open(const AfPacketOptions& options);

  uint32_t receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) override;
  uint32_t transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count) override;
  int descriptor() const override { return receive_.descriptor(); }
  bool open() const override { return state_.load(std::memory_order_acquire) == State::kOpen; }
  uint32_t openings() const override { return openings_.load(std::memory_order_relaxed); }
  std::string fault() const override;
  ~AfPacketPort() override { close_sockets(); }
  std::unique_ptr<Port> further(uint32_t worker, std::string& error) override;
  void begin() override;

  // Any thread. Of the interface when last looked at, ten times a second while it is received from.
  uint32_t mtu() const override { return mtu_.load(std::memory_order_relaxed); }
  void mac(uint8_t* to) const override;
  std::string mode() const override { return "AF_PACKET, a ring each way"; }

 private:
  enum class State : uint8_t { kOpen, kDown, kGone, kFailed };
  enum class Taken : uint8_t { kFrame, kNothing, kSegments };

  AfPacketPort(const AfPacketOptions& options, std::shared_ptr<PacketGroup> group);
  bool open_sockets(const InterfaceState& interface, bool waits, SocketError& error);
  void close_sockets();
  void adopt(const InterfaceState& interface);
  void watch(uint64_t now);
  void read_statistics();
  Taken take(FrameCache& cache, FrameIndex index);
  Taken take_large(const uint8_t* packet, uint32_t there, uint32_t whole, bool queued, const uint16_t* tag,
                   bool has_jumbos);
  uint32_t take_segments(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count);
  void skip_queued();
  void discard_received();
  void kick();

  const AfPacketOptions options_;
  PacketSocket receive_;
  PacketSocket transmit_;
  uint32_t receive_at_ = 0;
  uint32_t transmit_at_ = 0;
  bool unsent_ = false;  // slots wait for the kernel to be asked again
  uint64_t next_watch_ = 0;
  uint32_t watches_ = 0;
  int index_ = 0;
  const std::shared_ptr<PacketGroup> group_;  // null: there is one worker, and never another
  bool waits_ = false;                        // control thread's: it is given nothing before begin()
  uint64_t first_mac_ = 0;                    // of the interface as it was first: the node goes on with it
  std::vector<uint8_t> large_;                // a packet that is being cut
  Segmenter segmenter_;

  std::atomic<State> state_{State::kOpen};
  std::atomic<uint32_t> openings_{0};
  std::atomic<int> error_number_{0};
  std::atomic<uint32_t> mtu_{0};
  std::atomic<uint64_t> mac_{0};
};

}  // namespace penstock
