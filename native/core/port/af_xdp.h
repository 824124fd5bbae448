// An interface of the kernel as a port, through AF_XDP: packets lie in the frame pool from the start, and a
// small program on the interface (steer.bpf.c) says which are the node's and whose. af_xdp.cc opens with the
// path of a packet.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "port.h"
#include "steering.h"
#include "xdp_socket.h"

namespace penstock {

// What is tried, from the best on: driver without a copy, driver with a copy, the kernel's packets.
enum class XdpMode : uint8_t { kZeroCopy, kDriver, kGeneric };

struct AfXdpOptions {
  std::string interface;
  uint32_t workers = 1;
  uint32_t most_workers = 0;          // that further() may come to; 0: as many as there are
  bool promiscuous = false;           // for addresses that are not the interface's own
  XdpMode best = XdpMode::kZeroCopy;  // none better is tried
  XdpSizes sizes;
};

class AfXdpPort;
class XdpInterface;
struct XdpAttachment;

struct AfXdpPorts {
  std::vector<std::unique_ptr<AfXdpPort>> ports;
  SocketError error;
};

class AfXdpPort final : public KernelPort {
 public:
  // One port for each worker, or an error: as AfPacketPort, and no AF_XDP in this build (ENOSYS). The pool
  // must outlive the ports; its memory is registered with the kernel.
  static AfXdpPorts open(const AfXdpOptions& options, FramePool& pool);
  ~AfXdpPort() override;

  uint32_t receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) override;
  uint32_t transmit(FrameCache& cache, const FrameIndex* frames, uint32_t count) override;
  int descriptor() const override { return sleeper_; }
  bool open() const override;
  uint32_t openings() const override;
  std::string fault() const override;
  uint32_t ready_frames() const override;
  bool wants_owners() const override { return true; }
  void set_owners(const PortOwners& owners) override;
  void let_go(FrameCache& cache) override;
  std::unique_ptr<Port> further(uint32_t worker, std::string& error) override;

  // Any thread: of the interface when last looked at.
  uint32_t mtu() const override;
  void mac(uint8_t* to) const override;
  // How the kernel hands packets over, for people, e.g. "AF_XDP in the driver, copying; 1 queue for 2
  // workers".
  std::string mode() const override;

 private:
  AfXdpPort(std::shared_ptr<XdpInterface> interface, uint32_t worker, uint32_t epoch = 0);
  void change(FrameCache& cache);
  void leave(FrameCache& cache);
  uint32_t take(FrameCache& cache, uint64_t now, XdpSocket& socket, FrameIndex* frames, uint32_t count);
  uint32_t take_large(FrameCache& cache, uint64_t now, XdpSocket& socket, FrameIndex* frame);
  void tend(FrameCache& cache);
  void reap(FrameCache& cache, XdpSocket& first);
  void kick(FrameCache& cache);

  const std::shared_ptr<XdpInterface> interface_;
  const uint32_t worker_;
  XdpAttachment* attachment_ = nullptr;
  uint32_t epoch_ = 0;
  bool unused_ = false;              // made by further(), and nobody has polled it
  int sleeper_ = -1;                 // epoll: of all sockets of this worker
  std::vector<XdpSocket*> sockets_;  // that this worker receives from
  std::vector<XdpSocket*> tended_;  // first sockets of the queues whose chunks this worker brings and fetches
  XdpSocket* out_ = nullptr;
  uint32_t turn_ = 0;
  bool unsent_ = false;
};

}  // namespace penstock
