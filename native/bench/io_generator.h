// Sends packets into an interface at a given rate, counts what arrives at another, and times a few of them on
// their way. The same for every contestant; it runs on a CPU of its own, where the kernel also does what
// follows from each packet until somebody else takes it.
#pragma once
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "measure.h"
#include "traffic.h"

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
  // Both interfaces are in this thread's namespace. `packet`: of the largest size, which the program cuts and
  // fills in.
  Generator(const traffic_files& files, const std::string& out, const std::string& in, Packet packet,
            bool mix)
      : files_(files), in_(in), out_(if_nametoindex(out.c_str())), packet_(std::move(packet)), mix_(mix) {
    receiver_ = open_receiver(in);
  }
  ~Generator() { close(receiver_); }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  // rate: packets a second; 0: as fast as it goes.
  Trial run(double rate, double seconds) {
    Trial trial;
    drain(nullptr);
    const uint64_t before = arrived();
    traffic_state state{};
    state.start = nanoseconds() + 1'000'000;  // the call takes a moment to begin
    state.end = state.start + static_cast<uint64_t>(seconds * 1e9);
    state.interval_ps = rate == 0 ? 0 : static_cast<uint64_t>(1e12 / rate);
    state.interface = out_;
    state.mix = mix_;
    write_state(state);
    // What is more than there is time for is made and let go.
    const double most = rate == 0 ? kMostRate * (seconds + 0.001) : rate * seconds + 256;
    test_run(static_cast<uint32_t>(most));
    read_state(state);
    trial.sent = state.sent;
    const double took = static_cast<double>(nanoseconds() - uint64_t{state.start}) * 1e-9;
    trial.seconds = rate == 0 ? std::min(took, seconds) : seconds;
    usleep(30'000);
    drain(&trial);
    trial.arrived = arrived() - before;
    return trial;
  }

 private:
  static constexpr double kMostRate = 8e6;

  static int open_receiver(const std::string& interface) {
    const int made = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // IPv4, and UDP's destination port
    sock_filter code[] = {BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 36),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TRAFFIC_TIMED_PORT, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, 0xffff), BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog filter{4, code};
    const int on = 1, bytes = 16 << 20;
    setsockopt(made, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
    setsockopt(made, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(made, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_IP);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (made < 0 || bind(made, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      std::perror("io_bench: raw socket");
      std::exit(1);
    }
    return made;
  }

  static long bpf(bpf_cmd command, bpf_attr& attributes) {
    return syscall(SYS_bpf, command, &attributes, sizeof attributes);
  }

  void test_run(uint32_t packets) {
    bpf_attr attributes{};
    attributes.test.prog_fd = static_cast<uint32_t>(files_.program);
    attributes.test.data_in = reinterpret_cast<uint64_t>(packet_.data());
    attributes.test.data_size_in = static_cast<uint32_t>(packet_.size());
    attributes.test.repeat = packets;
    attributes.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    attributes.test.batch_size = 32;
    if (bpf(BPF_PROG_TEST_RUN, attributes) != 0) {
      std::perror("io_bench: BPF_PROG_TEST_RUN with live frames (Linux 5.18)");
      std::exit(1);
    }
  }
  void write_state(const traffic_state& state) const {
    const uint32_t zero = 0;
    bpf_attr attributes{};
    attributes.map_fd = static_cast<uint32_t>(files_.state);
    attributes.key = reinterpret_cast<uint64_t>(&zero);
    attributes.value = reinterpret_cast<uint64_t>(&state);
    bpf(BPF_MAP_UPDATE_ELEM, attributes);
  }
  void read_state(traffic_state& state) const {
    const uint32_t zero = 0;
    bpf_attr attributes{};
    attributes.map_fd = static_cast<uint32_t>(files_.state);
    attributes.key = reinterpret_cast<uint64_t>(&zero);
    attributes.value = reinterpret_cast<uint64_t>(&state);
    bpf(BPF_MAP_LOOKUP_ELEM, attributes);
  }

  // Timed packets that have arrived: by the kernel's time stamp, which is of the wall clock.
  void drain(Trial* trial) const {
    timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    const double ahead = static_cast<double>(wall.tv_sec) * 1e9 + static_cast<double>(wall.tv_nsec) -
                         static_cast<double>(nanoseconds());
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
      if (trial == nullptr || got < 50 || stamp == nullptr || stamp->cmsg_type != SO_TIMESTAMPNS) continue;
      timespec came;
      std::memcpy(&came, CMSG_DATA(stamp), sizeof came);
      uint64_t left;
      std::memcpy(&left, packet + 42, 8);
      const double at = static_cast<double>(came.tv_sec) * 1e9 + static_cast<double>(came.tv_nsec);
      trial->microseconds.push_back((at - ahead - static_cast<double>(left)) * 1e-3);
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

  const traffic_files files_;
  const std::string in_;
  const uint32_t out_;
  Packet packet_;
  const bool mix_;
  int receiver_ = -1;
};

}  // namespace penstock::bench
