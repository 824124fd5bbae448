// A TUN or TAP interface as a port: what the kernel routes into it comes in, what is sent comes out there. It
// needs no network card; the port makes the interface, and it goes with the process. tun.cc opens with the
// path of a packet.
#pragma once
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "gso.h"
#include "packet_socket.h"
#include "port.h"

namespace penstock {

struct TunOptions {
  std::string interface;
  bool tap = false;
  uint32_t workers = 1;
  uint32_t most_workers = 0;  // that further() may come to; 0: as many as there are
  uint32_t mtu = 1500;
  uint8_t mac[6] = {};  // of the node on this port; zero: made of the name
};

class TunPort;

// One port for each worker, or an error: no privilege (EPERM), taken by another process (EBUSY), another kind
// (EINVAL).
struct TunPorts {
  std::vector<std::unique_ptr<TunPort>> ports;
  SocketError error;
};

class TunPort final : public KernelPort {
 public:
  // Makes the interface (or takes one that `ip tuntap add` made), sets its MTU and brings it up. Workers
  // share what the kernel sends by its hash of the flow (IFF_MULTI_QUEUE).
  static TunPorts open(const TunOptions& options);
  ~TunPort() override { close(); }

  uint32_t receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) override;
  uint32_t transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count) override;
  int descriptor() const override { return descriptor_; }
  bool open() const override { return state_.load(std::memory_order_acquire) == State::kOpen; }
  uint32_t openings() const override { return openings_.load(std::memory_order_relaxed); }
  std::string fault() const override;
  void let_go(FrameCache& cache) override;
  std::unique_ptr<Port> further(uint32_t worker, std::string& error) override;

  // Any thread.
  uint32_t mtu() const override { return mtu_.load(std::memory_order_relaxed); }
  void mac(uint8_t* to) const override { std::memcpy(to, mac_, 6); }
  std::string mode() const override { return options_.tap ? "TAP" : "TUN"; }

 private:
  enum class State : uint8_t { kOpen, kDown, kGone, kFailed };

  explicit TunPort(const TunOptions& options);
  bool open_queue(SocketError& error);
  bool has_queues() const { return options_.workers > 1 || options_.most_workers > 1; }
  bool bring_up(SocketError& error);
  void close();
  void watch(uint64_t now);
  bool take(FrameCache& cache, FrameIndex& frame);
  bool take_large(FrameCache& cache, const OffloadHeader& offload, uint32_t length, FrameIndex& frame);
  uint32_t take_segments(FrameCache& cache, FrameIndex* frames, uint32_t count);
  bool answer(FrameCache& cache, FrameIndex index);
  bool write_out(const uint8_t* packet, uint32_t length);

  const TunOptions options_;
  uint8_t mac_[6];     // the node's
  uint8_t peer_[6];    // TUN: of everybody else
  uint32_t link_ = 0;  // bytes of link header that the interface does not have: 14 of a TUN
  int descriptor_ = -1;
  int index_ = 0;
  std::atomic<bool> is_single_{false};  // the interface has one queue
  uint64_t next_watch_ = 0;
  uint32_t watches_ = 0;
  std::vector<FrameIndex> answers_;  // to questions for a neighbour, on their way back
  std::vector<uint8_t> large_;       // a packet that is being cut
  Segmenter segmenter_;

  std::atomic<State> state_{State::kOpen};
  std::atomic<uint32_t> openings_{0};
  std::atomic<int> error_number_{0};
  std::atomic<uint32_t> mtu_{0};
};

}  // namespace penstock
