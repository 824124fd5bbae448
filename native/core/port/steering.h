// The XDP program of an interface (steer.bpf.c), and what it is told: which packets are the node's, and
// whose. Any thread; what the program reads changes one entry at a time.
#pragma once
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>

#include "port.h"
#include "steer.h"
#include "xdp_socket.h"

namespace penstock {

class Steering {
 public:
  Steering() = default;
  ~Steering();
  Steering(const Steering&) = delete;
  Steering& operator=(const Steering&) = delete;

  // Loads the program. False with `error` filled.
  bool load(SocketError& error);

  // Attaches it. The result is a link: the program is on the interface until the link is closed, or the
  // process ends, however it does. `native`: in the driver; else where the kernel makes packets of frames.
  int attach(int interface, bool native, SocketError& error) const;
  // The socket that a worker's packets from a queue go to.
  bool set_socket(uint32_t queue, uint32_t workers, uint32_t worker, int descriptor,
                  SocketError& error) const;

  void set_owners(const PortOwners& owners, uint32_t workers);
  // The addresses that the kernel has on the interface: packets to them stay its.
  void read_kernel_addresses(const std::string& interface);

 private:
  void write_config();
  void set_address(const steer_address& address, uint32_t owner) const;

  std::mutex lock_;
  steer_files files_ = {-1, -1, -1, -1, -1};
  steer_config config_ = {};
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> addresses_;  // what the program has
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> ours_;
  std::map<std::pair<uint64_t, uint64_t>, uint32_t> kernels_;
  std::unordered_map<uint32_t, uint32_t> spis_;
  void update_addresses();
};

}  // namespace penstock
