#include "xdp_socket.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "../packet/frame.h"

namespace penstock {
namespace {

#ifndef AF_XDP
constexpr int AF_XDP = 44;
#endif
#ifndef SOL_XDP
constexpr int SOL_XDP = 283;
#endif
// Younger than the headers of Debian 12.
constexpr uint16_t kUseSeveralChunks = 1 << 4;  // XDP_USE_SG, Linux 6.6
constexpr int kTransmitBudget = 9;              // XDP_MAX_TX_SKB_BUDGET, Linux 6.17
constexpr int kSendBufferBytes = 16 * 1024 * 1024;

SocketError xdp_error(const char* what) {
  const int number = errno;
  if (number == EPERM || number == EACCES) {
    return {EPERM, "AF_XDP needs " + missing_capabilities(true)};
  }
  if (number == ENOBUFS && std::strcmp(what, "XDP_UMEM_REG") == 0) {
    return {EPERM,
            "AF_XDP needs more locked memory than the limit allows: 'ulimit -l unlimited', or the capability "
            "CAP_IPC_LOCK"};
  }
  return {number, std::string(what) + ": " + std::strerror(number)};
}

}  // namespace

std::string missing_capabilities(bool for_xdp) {
  struct Wanted {
    unsigned bit;
    const char* name;
    bool xdp_only;
  };
  // CAP_PERFMON and CAP_BPF are younger than some headers.
  constexpr Wanted kWanted[] = {{CAP_NET_RAW, "CAP_NET_RAW", false},
                                {CAP_NET_ADMIN, "CAP_NET_ADMIN", true},
                                {39, "CAP_BPF", true},
                                {38, "CAP_PERFMON", true}};
  uint64_t effective = 0;
  if (FILE* status = std::fopen("/proc/self/status", "re")) {
    char line[256];
    while (std::fgets(line, sizeof line, status) != nullptr) {
      unsigned long long value;
      if (std::sscanf(line, "CapEff: %llx", &value) == 1) effective = value;
    }
    std::fclose(status);
  }
  std::string names;
  uint32_t count = 0;
  for (const Wanted& wanted : kWanted) {
    if ((wanted.xdp_only && !for_xdp) || (effective >> wanted.bit & 1) != 0) continue;
    names += (count++ == 0 ? "" : ", ") + std::string(wanted.name);
  }
  if (count == 0) return "what this process is not allowed (a container's or another security policy)";
  const char* const grant =
      for_xdp ? "cap_net_raw,cap_net_admin,cap_bpf,cap_perfmon,cap_ipc_lock+ep" : "cap_net_raw+ep";
  return (count == 1 ? "the capability " : "the capabilities ") + names +
         ": run as root, or grant with 'sudo setcap " + grant + " \"$(readlink -f \"$(command -v node)\")\"'";
}

bool XdpSocket::set(int option, const void* value, uint32_t bytes, const char* name, SocketError& error) {
  if (setsockopt(descriptor_, SOL_XDP, option, value, bytes) == 0) return true;
  error = xdp_error(name);
  return false;
}

bool XdpSocket::create(const XdpSizes& sizes, SocketError& error) {
  close();
  descriptor_ = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) {
    error = xdp_error("socket(AF_XDP)");
    return false;
  }
  // What is under way counts a chunk each.
  const int bytes = kSendBufferBytes;
  if (setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
  return set(XDP_RX_RING, &sizes.receive, sizeof sizes.receive, "XDP_RX_RING", error) &&
         set(XDP_TX_RING, &sizes.transmit, sizeof sizes.transmit, "XDP_TX_RING", error);
}

template <typename Entry>
bool XdpSocket::map_ring(XdpRing<Entry>& ring, uint32_t count, const xdp_ring_offset& at, uint64_t page,
                         SocketError& error) {
  const uint64_t bytes = at.desc + uint64_t{count} * sizeof(Entry);
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor_,
                       static_cast<off_t>(page));
  if (mapping == MAP_FAILED) {
    error = xdp_error("mapping a ring");
    return false;
  }
  auto* start = static_cast<uint8_t*>(mapping);
  ring.producer_ = reinterpret_cast<uint32_t*>(start + at.producer);
  ring.consumer_ = reinterpret_cast<uint32_t*>(start + at.consumer);
  ring.flags_ = reinterpret_cast<uint32_t*>(start + at.flags);
  ring.entries_ = reinterpret_cast<Entry*>(start + at.desc);
  ring.mask_ = count - 1;
  ring.mine_ = ring.theirs_ = 0;
  ring.mapping_ = mapping;
  ring.mapping_bytes_ = bytes;
  return true;
}

bool XdpSocket::map_rings(const XdpSizes& sizes, bool of_queue, SocketError& error) {
  xdp_mmap_offsets at;
  socklen_t length = sizeof at;
  if (getsockopt(descriptor_, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length) != 0 || length != sizeof at) {
    error = xdp_error("XDP_MMAP_OFFSETS");
    return false;
  }
  return map_ring(receive, sizes.receive, at.rx, XDP_PGOFF_RX_RING, error) &&
         map_ring(transmit, sizes.transmit, at.tx, XDP_PGOFF_TX_RING, error) &&
         (!of_queue ||
          (map_ring(fill, sizes.fill, at.fr, XDP_UMEM_PGOFF_FILL_RING, error) &&
           map_ring(completion, sizes.completion, at.cr, XDP_UMEM_PGOFF_COMPLETION_RING, error)));
}

bool XdpSocket::open_first(void* memory, uint64_t bytes, const XdpSizes& sizes, int interface, uint32_t queue,
                           XdpBind how, bool jumbo, SocketError& error) {
  if (!create(sizes, error)) return false;
  xdp_umem_reg region{};
  region.addr = reinterpret_cast<uint64_t>(memory);
  region.len = bytes;
  region.chunk_size = kXdpChunkBytes;
  region.headroom = 0;  // the kernel adds 256 bytes of its own, which is ours
  // So that packets need not start at the same place of every chunk, where they would all fall into a few
  // sets of the cache.
  region.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG;
  if (!set(XDP_UMEM_REG, &region, sizeof region, "XDP_UMEM_REG", error) ||
      !set(XDP_UMEM_FILL_RING, &sizes.fill, sizeof sizes.fill, "XDP_UMEM_FILL_RING", error) ||
      !set(XDP_UMEM_COMPLETION_RING, &sizes.completion, sizeof sizes.completion, "XDP_UMEM_COMPLETION_RING",
           error) ||
      !map_rings(sizes, true, error)) {
    return false;
  }
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = static_cast<uint32_t>(interface);
  address.sxdp_queue_id = queue;
  address.sxdp_flags = static_cast<uint16_t>((how == XdpBind::kZeroCopy ? XDP_ZEROCOPY : XDP_COPY) |
                                             XDP_USE_NEED_WAKEUP | (jumbo ? kUseSeveralChunks : 0));
  if (bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    error = xdp_error("bind");
    return false;
  }
  // More than 32 packets a system call, where the kernel lets us.
  setsockopt(descriptor_, SOL_XDP, kTransmitBudget, &sizes.transmit, sizeof sizes.transmit);
  return true;
}

bool XdpSocket::open_shared(const XdpSocket& other, const XdpSizes& sizes, int interface, uint32_t queue,
                            SocketError& error) {
  if (!create(sizes, error) || !map_rings(sizes, false, error)) return false;
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_SHARED_UMEM;
  address.sxdp_ifindex = static_cast<uint32_t>(interface);
  address.sxdp_queue_id = queue;
  address.sxdp_shared_umem_fd = static_cast<uint32_t>(other.descriptor_);
  if (bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    error = xdp_error("bind");
    return false;
  }
  setsockopt(descriptor_, SOL_XDP, kTransmitBudget, &sizes.transmit, sizeof sizes.transmit);
  return true;
}

bool XdpSocket::is_zero_copy() const {
  xdp_options options{};
  socklen_t length = sizeof options;
  return getsockopt(descriptor_, SOL_XDP, XDP_OPTIONS, &options, &length) == 0 &&
         (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

uint64_t XdpSocket::dropped() const {
  xdp_statistics statistics{};
  socklen_t length = sizeof statistics;
  if (getsockopt(descriptor_, SOL_XDP, XDP_STATISTICS, &statistics, &length) != 0) return 0;
  return statistics.rx_dropped + statistics.rx_ring_full;
}

void XdpSocket::close() {
  const auto unmap = [](auto& ring) {
    if (ring.mapping_ != nullptr) munmap(ring.mapping_, ring.mapping_bytes_);
    ring = {};
  };
  unmap(fill);
  unmap(completion);
  unmap(receive);
  unmap(transmit);
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace penstock
