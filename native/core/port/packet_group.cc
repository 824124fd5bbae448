#include "packet_group.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include <iterator>

namespace penstock {
namespace {

constexpr uint32_t kNetwork = static_cast<uint32_t>(SKF_NET_OFF);
constexpr uint32_t kProtocol = static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL);
constexpr uint32_t kScatter = 0x9e3779b1;  // 2^32 by the golden ratio, and odd

// Which member a packet is for: the sum of its addresses and, of whole TCP and UDP packets, of its ports, or
// of ESP the SPI. The same for both directions. `among`: of the first so many; 0: of all, since the kernel
// takes what is returned modulo their number.
//
//   IPv4: addresses at 12 and 16, the protocol at 9, the fragment word at 6. IPv6: both addresses' last words
//   at 20 and 36, the protocol at 6; ports only when they follow at once.
bool choose(const PacketSocket& member, uint32_t among) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kProtocol),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IPV6, 11, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),                       // ARP and the like: the first
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNetwork + 12),  // IPv4
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNetwork + 16),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
      BPF_STMT(BPF_ST, 0),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kNetwork + 6),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 23, 0),
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, kNetwork),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNetwork + 9),
      BPF_JUMP(BPF_JMP | BPF_JA, 7, 0, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNetwork + 20),  // IPv6
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNetwork + 36),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
      BPF_STMT(BPF_ST, 0),
      BPF_STMT(BPF_LDX | BPF_IMM, 40),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kNetwork + 6),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 50, 9, 0),  // protocol in A, where the transport header is in X
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 17, 0, 10),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, kNetwork),
      BPF_STMT(BPF_ST, 1),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, kNetwork + 2),
      BPF_STMT(BPF_LDX | BPF_MEM, 1),
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_IND, kNetwork),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
      BPF_STMT(BPF_LDX | BPF_IMM, 0),
      BPF_STMT(BPF_LD | BPF_MEM, 0),  // ports or SPI in X
      BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
      BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, kScatter),
      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, among == 0 ? 0x10000 : among),
      BPF_STMT(BPF_RET | BPF_A, 0),
  };
  const sock_fprog whole = {static_cast<unsigned short>(std::size(program)), program};
  return setsockopt(member.descriptor(), SOL_PACKET, PACKET_FANOUT_DATA, &whole, sizeof whole) == 0;
}

}  // namespace

bool PacketGroup::join(PacketSocket& socket, int interface, bool promiscuous, bool waits,
                       SocketError& error) {
  const std::lock_guard<std::mutex> guard(lock_);
  const auto others = static_cast<uint32_t>(members_.size());
  if (others == 0) number_ = 0;
  waits = waits && others > 0;
  if (waits) choose(*members_[0], others);
  if (!socket.bind(interface, promiscuous, error) || !socket.join_fanout(number_, error)) return false;
  members_.push_back(&socket);
  // Taking the place of another program, one waits until the kernel has done with all packets that were under
  // way before: the socket hears nothing more of before it joined.
  choose(socket, waits ? others : 0);
  return true;
}

void PacketGroup::open_to_all(const PacketSocket& member) {
  const std::lock_guard<std::mutex> guard(lock_);
  if (member.descriptor() >= 0) choose(member, 0);
}

void PacketGroup::leave(PacketSocket& member) {
  const std::lock_guard<std::mutex> guard(lock_);
  std::erase(members_, &member);
  member.close();
}

}  // namespace penstock
