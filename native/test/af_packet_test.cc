// AF_PACKET ports over veth pairs. Wants root: it makes network namespaces of its own, which have no name and
// end with the process, however that ends.
//
//   plain frames:   port a ── veth ── port b                  both in this process's namespace
//   through hosts:  kernel host ── veth ── port a ⇄ port b ── veth ── kernel host
#include "port/af_packet.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <map>

#include "check.h"
#include "packet/parse.h"
#include "veth_lab.h"

using namespace penstock;

namespace {

std::unique_ptr<AfPacketPort> open_one(const std::string& name) {
  AfPacketOptions options;
  options.interface = name;
  auto opened = AfPacketPort::open(options);
  if (opened.ports.size() != 1) {
    std::fprintf(stderr, "%s\n", opened.error.text.c_str());
    std::exit(1);
  }
  return std::move(opened.ports[0]);
}

void errors_say_the_mend() {
  AfPacketOptions options;
  options.interface = "nothere0";
  auto opened = AfPacketPort::open(options);
  CHECK(opened.ports.empty());
  CHECK_EQ(opened.error.number, ENODEV);
  CHECK_EQ(opened.error.text, std::string("there is no interface nothere0"));
  options.interface = std::string(100, 'x');
  CHECK_EQ(AfPacketPort::open(options).error.number, ENODEV);

  shell("ip link add downa type veth peer name downb");
  options.interface = "downa";
  opened = AfPacketPort::open(options);
  CHECK_EQ(opened.error.number, ENETDOWN);
  CHECK_EQ(opened.error.text, std::string("interface downa is down: ip link set downa up"));
  shell("ip link set downa up");

  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
    opened = AfPacketPort::open(options);
    const bool good = opened.error.number == EPERM &&
                      opened.error.text.find("CAP_NET_RAW") != std::string::npos &&
                      opened.error.text.find("setcap") != std::string::npos;
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK_EQ(status, 0);
  shell("ip link del downa");
}

void frames_cross_unchanged() {
  make_pair("pa", "pb");
  Cache held;
  Counters counters;
  auto a = open_one("pa"), b = open_one("pb");
  a->count_into(&counters);
  CHECK_EQ(a->mtu(), 1500u);
  uint8_t mac[6];
  a->mac(mac);
  CHECK(mac::is_station(mac));
  // Every length, in bursts; more than the rings have slots, so they wrap.
  uint32_t number = 0;
  for (uint32_t round = 0; round < 5; ++round) {
    for (uint32_t length = 60; length <= 1514; length += kBurst) {
      FrameIndex frames[kBurst];
      std::vector<Bytes> sent;
      for (uint32_t i = 0; i < kBurst; ++i) {
        frames[i] = held.make(std::min(length + i, 1514u), number++);
        sent.push_back(held.bytes(frames[i]));
      }
      CHECK_EQ(a->transmit(held.cache, frames, kBurst), kBurst);
      CHECK(receive_all(held, *b, kBurst) == sent);
    }
  }
  CHECK_EQ(held.cache.available(), held.cache.total());
  // What was sent is not received; the other direction works; longer than the MTU is refused and counted.
  FrameIndex frame = held.make(1515, 1);
  CHECK_EQ(a->transmit(held.cache, &frame, 1), 1u);
  CHECK_EQ(counters.get(Counter::tx_refused), 1u);
  CHECK_EQ(b->transmit(held.cache, &(frame = held.make(100, 2)), 1), 1u);
  CHECK_EQ(receive_all(held, *a, 2).size(), 1u);
  CHECK(a->open() && a->fault().empty() && a->descriptor() >= 0);
  // Looked at again and again, and still the same opening: neighbours are not asked anew.
  FrameIndex none;
  for (uint64_t i = 0; i < 5; ++i) a->receive(held.cache, clock_now() + i * 200000000ull, &none, 1);
  CHECK_EQ(a->openings(), 1u);
  shell("ip link del pa");
}

// The kernel takes the tag out of what arrives; it is put back.
void tags_are_put_back() {
  make_pair("va", "vb");
  Cache held;
  auto a = open_one("va"), b = open_one("vb");
  FrameIndex frames[3] = {held.make(100, 1, 100), held.make(1518, 2, 4094 | 5 << 13), held.make(100, 3)};
  std::vector<Bytes> sent;
  for (FrameIndex frame : frames) sent.push_back(held.bytes(frame));
  CHECK_EQ(a->transmit(held.cache, frames, 3), 3u);
  CHECK(receive_all(held, *b, 3) == sent);
  shell("ip link del va");
}

void workers_share_by_flow() {
  make_pair("fa", "fb");
  Cache held;
  auto a = open_one("fa");
  AfPacketOptions options;
  options.interface = "fb";
  options.workers = 2;
  auto workers = AfPacketPort::open(options);
  CHECK_EQ(workers.ports.size(), 2u);
  const auto packets = golden::read(std::string(PENSTOCK_VECTORS) + "/packets.txt");
  std::map<uint32_t, uint32_t> worker_of;
  uint32_t of_worker[2] = {};
  constexpr uint32_t kFlows = kBurst - 1;  // odd: taking turns would not look like a share by flow
  for (uint32_t round = 0; round < 8; ++round) {
    FrameIndex frames[kBurst];
    for (uint32_t flow = 0; flow < kFlows; ++flow) {
      frames[flow] = held.make(62, 0);
      uint8_t* data = held.pool.data(frames[flow]);
      std::copy(packets[0].bytes.begin(), packets[0].bytes.end(), data);
      // Odd rounds: the other direction.
      const uint8_t host[4] = {10, 1, 0, static_cast<uint8_t>(flow + 1)}, peer[4] = {10, 2, 0, 1};
      std::memcpy(data + 26, round % 2 == 0 ? host : peer, 4);
      std::memcpy(data + 30, round % 2 == 0 ? peer : host, 4);
      store16(data + 34, static_cast<uint16_t>(round % 2 == 0 ? 1000 + flow : 53));
      store16(data + 36, static_cast<uint16_t>(round % 2 == 0 ? 53 : 1000 + flow));
      ipv4::set_checksum(data + 14);
    }
    CHECK_EQ(a->transmit(held.cache, frames, kFlows), kFlows);
    uint32_t got = 0;
    const uint64_t end = clock_now() + 2000000000ull;
    while (got < kFlows && clock_now() < end) {
      for (uint32_t worker = 0; worker < 2; ++worker) {
        const uint32_t count = workers.ports[worker]->receive(held.cache, clock_now(), frames, kBurst);
        for (uint32_t i = 0; i < count; ++i) {
          const uint8_t* data = held.pool.data(frames[i]);
          const uint32_t flow = data[round % 2 == 0 ? 29 : 33];
          const auto [at, fresh] = worker_of.insert({flow, worker});
          CHECK_EQ(at->second, worker);
        }
        held.cache.free(frames, count);
        of_worker[worker] += count;
        got += count;
      }
    }
    CHECK_EQ(got, kFlows);
  }
  CHECK(of_worker[0] > 64 && of_worker[1] > 64);
  shell("ip link del fa");
}

void a_worker_joins_under_load() {
  make_pair("ja", "jb");
  auto sender = open_one("ja");
  AfPacketOptions options;
  options.interface = "jb";
  options.most_workers = 2;
  FramePool pool({4096, 4096});
  auto opened = AfPacketPort::open(options);
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};
  joins_under_load(pool, *opened.ports[0], *sender, mac, [](Port& port) { port.begin(); });
  opened.ports.clear();
  std::string error;
  CHECK(open_one("ja")->further(1, error) == nullptr);
  CHECK(error.find("opened for one worker") != std::string::npos);
  shell("ip link del ja");
}

void an_interface_that_vanishes() {
  make_pair("ga", "gb");
  Cache held;
  AfPacketOptions options;
  options.interface = "ga";
  options.workers = 2;
  auto workers = AfPacketPort::open(options);
  Port& first = *workers.ports[0];
  Port& second = *workers.ports[1];
  const auto both = [&](const std::string& fault) {
    for (Port* port : {&first, &second}) {
      CHECK(polled_until(held, *port, [&] { return port->fault() == fault; }));
      CHECK_EQ(port->open(), fault.empty());
    }
  };
  FrameIndex frame = held.make(100, 1);
  shell("ip link set ga down");
  both("interface ga is down");
  CHECK_EQ(first.transmit(held.cache, &frame, 1), 0u);
  shell("ip link set ga up");
  both("");
  CHECK_EQ(first.transmit(held.cache, &frame, 1), 1u);
  shell("ip link del ga");
  frame = held.make(100, 2);
  if (first.transmit(held.cache, &frame, 1) == 1) frame = held.make(100, 2);  // not noticed yet
  both("interface ga was removed");
  CHECK_EQ(first.transmit(held.cache, &frame, 1), 0u);
  CHECK_EQ(first.descriptor(), -1);

  make_pair("ga", "gb");
  shell("ip link set ga mtu 1400");
  both("");
  CHECK_EQ(workers.ports[1]->mtu(), 1400u);
  auto peer = open_one("gb");
  CHECK_EQ(first.transmit(held.cache, &frame, 1), 1u);
  CHECK_EQ(receive_all(held, *peer, 1).size(), 1u);
  held.cache.free(held.make(100, 3));
  CHECK_EQ(held.cache.available(), held.cache.total());
  shell("ip link del ga");
}

// Two kernel hosts that talk through two ports, which pass on what the one receives to the other.
struct Bridge {
  Bridge() {
    for (int side = 0; side < 2; ++side) {
      const std::string out = side == 0 ? "ha" : "hb", in = side == 0 ? "ka" : "kb";
      shell("ip link add " + out + " type veth peer name " + in);
      shell("ip link set " + in + " netns " + std::to_string(hosts[side].id()));
      shell("ip link set " + out + " addrgenmode none up");
      hosts[side].run([&] {
        const std::string last = std::to_string(side + 1);
        shell("ip link set " + in + " up");
        shell("ip addr add 10.9.0." + last + "/24 dev " + in);
        shell("ip addr add fd09::" + last + "/64 dev " + in + " nodad");
        has_vlan =
            std::system(("ip link add link " + in + " name vlan9 type vlan id 9 2>/dev/null").c_str()) == 0;
        if (!has_vlan) return;
        shell("ip link set vlan9 up");
        shell("ip addr add 10.8.0." + last + "/24 dev vlan9");
      });
      ports[side] = open_one(out);
      ports[side]->count_into(&counters[side]);
    }
  }
  ~Bridge() {
    shell("ip link del ha");
    shell("ip link del hb");
  }
  // Forwards both ways until the second host is done; checks each packet on the way.
  void forward() {
    const uint64_t end = clock_now() + 60000000000ull;
    FrameIndex frames[kBurst];
    while (hosts[1].busy() && clock_now() < end) {
      for (int side = 0; side < 2; ++side) {
        const uint32_t count = ports[side]->receive(held.cache, clock_now(), frames, kBurst);
        for (uint32_t i = 0; i < count; ++i) {
          Frame& frame = held.pool.frame(frames[i]);
          if (parse_ethernet(frame, held.pool.data(frames[i])) != DropReason::kNone) ++bad;
          longest = std::max<uint32_t>(longest, frame.length);
          tagged += (frame.flags & kTagged) != 0;
        }
        packets += count;
        const uint32_t sent = ports[side ^ 1]->transmit(held.cache, frames, count);
        held.cache.free(frames + sent, count - sent);
      }
    }
    CHECK(!hosts[1].busy());
  }
  KernelHost hosts[2];
  Cache held;
  Counters counters[2];
  std::unique_ptr<AfPacketPort> ports[2];
  uint32_t bad = 0, longest = 0, tagged = 0;
  uint64_t packets = 0;
  bool has_vlan = false;  // the kernel has VLAN interfaces
};

uint8_t stream_byte(uint64_t at) {
  return static_cast<uint8_t>(at * 31 + (at >> 11));
}

// Host 0 sends a stream over TCP to host 1, with all offloads on: what arrives is what was sent.
void check_stream(Bridge& bridge, int family, const std::string& address, uint64_t bytes,
                  int segment_size = 0) {
  uint64_t received = 0, wrong = 0;
  std::atomic<bool> listening{false};
  sockaddr_storage to{};
  socklen_t to_length;
  if (family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&to);
    in->sin_family = AF_INET;
    in->sin_port = htons(5000);
    inet_pton(family, address.c_str(), &in->sin_addr);
    to_length = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&to);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(5000);
    inet_pton(family, address.c_str(), &in->sin6_addr);
    to_length = sizeof *in;
  }
  bridge.hosts[1].start([&] {
    const int listener = socket(family, SOCK_STREAM, 0);
    const int on = 1;
    const timeval limit{20, 0};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (bind(listener, reinterpret_cast<sockaddr*>(&to), to_length) != 0) std::perror("bind");
    listen(listener, 1);
    listening = true;
    const int stream = accept(listener, nullptr, nullptr);
    setsockopt(stream, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::vector<uint8_t> buffer(1 << 18);
    ssize_t got;
    while ((got = read(stream, buffer.data(), buffer.size())) > 0) {
      for (ssize_t i = 0; i < got; ++i)
        wrong += buffer[static_cast<size_t>(i)] != stream_byte(received + static_cast<uint64_t>(i));
      received += static_cast<uint64_t>(got);
    }
    close(stream);
    close(listener);
  });
  while (!listening) usleep(1000);
  bridge.hosts[0].start([&] {
    const int stream = socket(family, SOCK_STREAM, 0);
    if (segment_size != 0) setsockopt(stream, IPPROTO_TCP, TCP_MAXSEG, &segment_size, sizeof segment_size);
    if (connect(stream, reinterpret_cast<sockaddr*>(&to), to_length) != 0) std::perror("connect");
    std::vector<uint8_t> buffer(1 << 18);
    for (uint64_t sent = 0; sent < bytes;) {
      for (size_t i = 0; i < buffer.size(); ++i) buffer[i] = stream_byte(sent + i);
      const uint64_t left = std::min<uint64_t>(buffer.size(), bytes - sent);
      for (uint64_t done = 0; done < left;) {
        const ssize_t wrote = send(stream, buffer.data() + done, left - done, MSG_NOSIGNAL);
        if (wrote <= 0) break;
        done += static_cast<uint64_t>(wrote);
      }
      sent += left;
    }
    close(stream);
  });
  const uint64_t start = clock_now();
  bridge.forward();
  const double seconds = static_cast<double>(clock_now() - start) / 1e9;
  bridge.hosts[0].wait();
  CHECK_EQ(received, bytes);
  CHECK_EQ(wrong, 0u);
  std::printf("     %s: %.2f Gbit/s of TCP through two ports\n", address.c_str(),
              static_cast<double>(received) * 8e-9 / seconds);
}

void kernel_hosts_talk_through_ports() {
  Bridge bridge;
  check_stream(bridge, AF_INET, "10.9.0.2", 64 << 20);
  CHECK_EQ(bridge.tagged, 0u);
  // Segments so small that several fit into a slot.
  const uint32_t longest = bridge.longest;
  bridge.longest = 0;
  check_stream(bridge, AF_INET, "10.9.0.2", 4 << 20, 300);
  CHECK(bridge.longest <= 14 + 20 + 20 + 300);
  bridge.longest = longest;
  check_stream(bridge, AF_INET6, "fd09::2", 64 << 20);
  if (bridge.has_vlan) {
    check_stream(bridge, AF_INET, "10.8.0.2", 16 << 20);
    CHECK(bridge.tagged > 1000);
  } else {
    std::printf("     no tagged stream: this kernel has no VLAN interfaces (module 8021q)\n");
  }
  CHECK_EQ(bridge.bad, 0u);
  CHECK_EQ(bridge.longest, bridge.has_vlan ? 1518u : 1514u);  // cut, and to full size
  for (const Counters& counters : bridge.counters) {
    CHECK_EQ(counters.get(Counter::oversized), 0u);
    CHECK_EQ(counters.get(Counter::tx_refused), 0u);
  }
  CHECK_EQ(bridge.held.cache.available(), bridge.held.cache.total());
}

}  // namespace

int main() {
  if (geteuid() != 0 || !own_namespace()) {
    std::printf("skip: AF_PACKET ports want root, to make network namespaces\n");
    return kSkipped;
  }
  if (std::system("ip link set lo up") != 0) {
    std::printf("skip: AF_PACKET ports want the ip command (iproute2)\n");
    return kSkipped;
  }
  silence_ipv6();
  RUN(errors_say_the_mend);
  RUN(frames_cross_unchanged);
  RUN(tags_are_put_back);
  RUN(workers_share_by_flow);
  RUN(a_worker_joins_under_load);
  RUN(an_interface_that_vanishes);
  RUN(kernel_hosts_talk_through_ports);
  FINISH();
}
