#include "packet_socket.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

constexpr uint32_t kBlockBytes = 64 * 1024;
constexpr int kSocketBufferBytes = 16 * 1024 * 1024;

SocketError system_error(const std::string& what) {
  const int number = errno;
  if (number == EPERM || number == EACCES) {
    return {EPERM,
            "raw sockets need the capability CAP_NET_RAW: run as root, or grant it with "
            "'sudo setcap cap_net_raw+ep \"$(readlink -f \"$(command -v node)\")\"'"};
  }
  return {number, what + ": " + std::strerror(number)};
}

}  // namespace

PacketSocket& PacketSocket::operator=(PacketSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  descriptor_ = std::exchange(other.descriptor_, -1);
  ring_ = std::exchange(other.ring_, nullptr);
  ring_bytes_ = std::exchange(other.ring_bytes_, 0);
  slots_ = std::exchange(other.slots_, 0);
  slot_bytes_ = std::exchange(other.slot_bytes_, 0);
  receives_ = other.receives_;
  return *this;
}

void PacketSocket::close() {
  if (ring_ != nullptr) munmap(ring_, ring_bytes_);
  if (descriptor_ >= 0) ::close(descriptor_);
  ring_ = nullptr;
  descriptor_ = -1;
  slots_ = 0;
}

bool PacketSocket::set(int level, int option, int value, const char* name, SocketError& error) {
  if (setsockopt(descriptor_, level, option, &value, sizeof value) == 0) return true;
  error = system_error(name);
  return false;
}

bool PacketSocket::create(SocketError& error) {
  close();
  // Protocol 0: nothing is received before bind().
  descriptor_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor_ < 0) {
    error = system_error("socket");
    return false;
  }
  return set(SOL_PACKET, PACKET_VERSION, TPACKET_V2, "PACKET_VERSION", error);
}

bool PacketSocket::map_ring(int option, uint32_t slots, uint32_t slot_bytes, SocketError& error) {
  tpacket_req request{};
  request.tp_block_size = kBlockBytes;
  request.tp_frame_size = slot_bytes;
  request.tp_frame_nr = slots;
  request.tp_block_nr = slots / (kBlockBytes / slot_bytes);
  if (setsockopt(descriptor_, SOL_PACKET, option, &request, sizeof request) != 0) {
    error = system_error(option == PACKET_RX_RING ? "PACKET_RX_RING" : "PACKET_TX_RING");
    return false;
  }
  ring_bytes_ = static_cast<uint64_t>(slots) * slot_bytes;
  void* ring = mmap(nullptr, ring_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (ring == MAP_FAILED) {
    error = system_error("mapping the ring");
    return false;
  }
  ring_ = static_cast<uint8_t*>(ring);
  slots_ = slots;
  receives_ = option == PACKET_RX_RING;
  slot_bytes_ = slot_bytes;
  return true;
}

bool PacketSocket::open_receive(uint32_t slots, uint32_t slot_bytes, SocketError& error) {
  if (!create(error)) return false;
  // Packets larger than a slot wait whole in the socket's buffer (PACKET_COPY_THRESH); the larger it is the
  // better, but nothing fails for want of it.
  const int bytes = kSocketBufferBytes;
  if (setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  const int on = 1;
  setsockopt(descriptor_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on,
             sizeof on);  // the type is looked at as well
  return set(SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR", error) &&
         set(SOL_PACKET, PACKET_COPY_THRESH, 1, "PACKET_COPY_THRESH", error) &&
         map_ring(PACKET_RX_RING, slots, slot_bytes, error);
}

bool PacketSocket::open_transmit(uint32_t slots, uint32_t slot_bytes, SocketError& error) {
  if (!create(error)) return false;
  const int bytes = kSocketBufferBytes;
  if (setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
  const int on = 1;
  setsockopt(descriptor_, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
  // A packet that the kernel finds malformed is skipped; otherwise the ring would stop at it.
  return set(SOL_PACKET, PACKET_LOSS, 1, "PACKET_LOSS", error) &&
         map_ring(PACKET_TX_RING, slots, slot_bytes, error);
}

bool PacketSocket::bind(int index, bool promiscuous, SocketError& error) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = receives_ ? htons(ETH_P_ALL) : 0;
  address.sll_ifindex = index;
  if (::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    error = system_error("bind");
    return false;
  }
  if (!receives_) return true;
  packet_mreq membership{};
  membership.mr_ifindex = index;
  membership.mr_type = promiscuous ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI;
  if (setsockopt(descriptor_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) == 0)
    return true;
  error = system_error("PACKET_ADD_MEMBERSHIP");
  return false;
}

bool PacketSocket::join_fanout(uint16_t& group, SocketError& error) {
  const uint32_t type = PACKET_FANOUT_CBPF | (group == 0 ? PACKET_FANOUT_FLAG_UNIQUEID : 0);
  if (!set(SOL_PACKET, PACKET_FANOUT, static_cast<int>(group | type << 16), "PACKET_FANOUT", error))
    return false;
  if (group != 0) return true;
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(descriptor_, SOL_PACKET, PACKET_FANOUT, &value, &length) != 0) {
    error = system_error("PACKET_FANOUT");
    return false;
  }
  group = static_cast<uint16_t>(value);
  return true;
}

InterfaceState read_interface(const std::string& name) {
  InterfaceState state;
  ifreq request{};
  if (name.empty() || name.size() >= sizeof request.ifr_name) return state;
  std::memcpy(request.ifr_name, name.data(), name.size());
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);  // any will do to ask
  if (descriptor < 0) return state;
  if (ioctl(descriptor, SIOCGIFINDEX, &request) == 0) {
    const int index = request.ifr_ifindex;
    bool known = ioctl(descriptor, SIOCGIFFLAGS, &request) == 0;
    state.is_up = (request.ifr_flags & IFF_UP) != 0;
    known = known && ioctl(descriptor, SIOCGIFMTU, &request) == 0;
    state.mtu = static_cast<uint32_t>(request.ifr_mtu);
    known = known && ioctl(descriptor, SIOCGIFHWADDR, &request) == 0;
    const auto type = request.ifr_hwaddr.sa_family;
    state.is_ethernet = type == ARPHRD_ETHER || type == ARPHRD_LOOPBACK;
    std::memcpy(state.mac, request.ifr_hwaddr.sa_data, 6);
    if (known) state.index = index;  // otherwise it went while being asked
  }
  ::close(descriptor);
  return state;
}

}  // namespace penstock
