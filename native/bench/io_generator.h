// Sends packets through a raw socket at a given rate, counts what arrives at another interface, and times a
// few of them on their way. The same for every contestant; it runs on a CPU of its own, where the kernel also
// does what follows from each packet until somebody else takes it.
#pragma once
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "measure.h"
#include "packet/bytes.h"

namespace penstock::bench {

using Packet = std::vector<uint8_t>;

struct Trial {
  double seconds = 0;
  uint64_t sent = 0;
  uint64_t arrived = 0;
  std::vector<double> microseconds;  // of packets that were timed
  double loss() const {
    return sent == 0 || arrived >= sent ? 0 : 1 - static_cast<double>(arrived) / static_cast<double>(sent);
  }
  double rate() const { return static_cast<double>(arrived) / seconds; }
  double offered() const { return static_cast<double>(sent) / seconds; }
};

class Generator {
 public:
  static constexpr uint16_t kTimedPort = 7777;

  // Both interfaces are in this thread's namespace. Packets: UDP over IPv4, no options, no tag.
  Generator(const std::string& out, const std::string& in, std::vector<Packet> packets)
      : in_(in), packets_(std::move(packets)) {
    sender_ = open_socket(out, 0);
    const int on = 1;
    setsockopt(sender_, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    const int bytes = 64 << 20;
    setsockopt(sender_, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    receiver_ = open_socket(in, ETH_P_IP);
    // IPv4, and UDP's destination port
    sock_filter code[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kTimedPort, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog filter{4, code};
    setsockopt(receiver_, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    setsockopt(receiver_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    for (Packet& packet : packets_) {
      iovec part{packet.data(), packet.size()};
      parts_.push_back(part);
    }
    for (iovec& part : parts_) {
      mmsghdr message{};
      message.msg_hdr.msg_iov = &part;
      message.msg_hdr.msg_iovlen = 1;
      messages_.push_back(message);
    }
  }
  ~Generator() {
    close(sender_);
    close(receiver_);
  }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  double mean_bytes() const {
    uint64_t sum = 0;
    for (const Packet& packet : packets_) sum += packet.size() - 14;
    return static_cast<double>(sum) / static_cast<double>(packets_.size());
  }

  // rate: packets a second; 0: as fast as it goes.
  Trial run(double rate, double seconds) {
    Trial trial;
    const uint64_t before = arrived();
    const uint64_t start = nanoseconds();
    const auto end = start + static_cast<uint64_t>(seconds * 1e9);
    uint64_t now = start;
    while (now < end) {
      const uint64_t due = rate == 0 ? trial.sent + kBurstPackets
                                     : static_cast<uint64_t>(static_cast<double>(now - start) * 1e-9 * rate);
      if (due > trial.sent) {
        trial.sent += send_some(static_cast<uint32_t>(std::min<uint64_t>(due - trial.sent, kBurstPackets)));
      }
      take_timed(trial);
      now = nanoseconds();
    }
    trial.seconds = static_cast<double>(now - start) * 1e-9;
    usleep(30'000);
    take_timed(trial);
    trial.arrived = arrived() - before;
    return trial;
  }

 private:
  static constexpr uint32_t kBurstPackets = 32;
  static constexpr uint32_t kTimedEvery = 61;  // bursts

  static int open_socket(const std::string& interface, uint16_t protocol) {
    const int made = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (made < 0 || bind(made, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      std::perror("io_bench: raw socket");
      std::exit(1);
    }
    return made;
  }

  uint32_t send_some(uint32_t count) {
    if (next_ + count > messages_.size()) next_ = 0;
    uint8_t* timed = nullptr;
    if (++bursts_ % kTimedEvery == 0) {
      timed = packets_[next_].data();
      store16(timed + 36, kTimedPort);
      timespec now;
      clock_gettime(CLOCK_REALTIME, &now);
      const uint64_t stamp =
          static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
      std::memcpy(timed + 42, &stamp, 8);
    }
    const int sent = sendmmsg(sender_, &messages_[next_], count, MSG_DONTWAIT);
    if (timed != nullptr) store16(timed + 36, 53);
    if (sent <= 0) return 0;
    next_ += static_cast<uint32_t>(sent);
    return static_cast<uint32_t>(sent);
  }

  void take_timed(Trial& trial) {
    uint8_t packet[64];
    alignas(cmsghdr) char control[64];
    for (;;) {
      iovec part{packet, sizeof packet};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t got = recvmsg(receiver_, &message, MSG_DONTWAIT);
      if (got < 0) return;
      const cmsghdr* stamp = CMSG_FIRSTHDR(&message);
      if (got < 50 || stamp == nullptr || stamp->cmsg_type != SO_TIMESTAMPNS) continue;
      timespec arrived;
      std::memcpy(&arrived, CMSG_DATA(stamp), sizeof arrived);
      uint64_t left;
      std::memcpy(&left, packet + 42, 8);
      const auto at = static_cast<double>(arrived.tv_sec) * 1e9 + static_cast<double>(arrived.tv_nsec);
      trial.microseconds.push_back((at - static_cast<double>(left)) * 1e-3);
    }
  }

  // Packets that the interface has received, ever.
  uint64_t arrived() const {
    FILE* file = std::fopen("/proc/thread-self/net/dev", "re");
    char line[512];
    unsigned long long packets = 0;
    while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
      const char* name = line + std::strspn(line, " ");
      if (std::strncmp(name, in_.c_str(), in_.size()) == 0 && name[in_.size()] == ':') {
        std::sscanf(name + in_.size() + 1, " %*u %llu", &packets);
      }
    }
    if (file != nullptr) std::fclose(file);
    return packets;
  }

  const std::string in_;
  std::vector<Packet> packets_;
  std::vector<iovec> parts_;
  std::vector<mmsghdr> messages_;
  int sender_ = -1;
  int receiver_ = -1;
  uint32_t next_ = 0;
  uint64_t bursts_ = 0;
};

}  // namespace penstock::bench
