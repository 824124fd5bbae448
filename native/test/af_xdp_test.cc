// AF_XDP ports over veth pairs. Wants root, and a build with the XDP program.
//
//   port a (AF_XDP) ── veth ── port b (AF_PACKET, or AF_XDP)
#include "port/af_xdp.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

#include "check.h"
#include "packet/arp.h"
#include "packet/ipv4.h"
#include "packet/udp.h"
#include "port/af_packet.h"
#include "veth_lab.h"

using namespace penstock;

namespace {

constexpr XdpMode kModes[] = {XdpMode::kZeroCopy, XdpMode::kDriver, XdpMode::kGeneric};

Address v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  const uint8_t bytes[4] = {a, b, c, d};
  return Address::v4(bytes);
}

AfXdpPorts open_xdp(FramePool& pool, const std::string& name, XdpMode best, uint32_t workers = 1) {
  AfXdpOptions options;
  options.interface = name;
  options.workers = workers;
  options.best = best;
  AfXdpPorts opened = AfXdpPort::open(options, pool);
  if (opened.ports.empty()) {
    std::fprintf(stderr, "%s\n", opened.error.text.c_str());
    std::exit(1);
  }
  PortOwners owners;
  opened.ports[0]->mac(owners.mac);
  owners.addresses = {v4(10, 1, 0, 1)};
  opened.ports[0]->set_owners(owners);
  return opened;
}

std::unique_ptr<AfPacketPort> open_packet(const std::string& name) {
  AfPacketOptions options;
  options.interface = name;
  auto opened = AfPacketPort::open(options);
  CHECK_EQ(opened.ports.size(), 1u);
  return std::move(opened.ports[0]);
}

// A UDP packet to `to`, with a payload that says its number.
void write_packet(uint8_t* data, const uint8_t* to, uint32_t length, uint32_t number, uint8_t protocol = 17) {
  const uint8_t from[6] = {2, 0, 0, 0, 0, 9};
  const uint32_t l3 = ethernet::write(data, to, from, ethernet::kTypeIpv4);
  for (uint32_t i = l3; i < length; ++i) data[i] = static_cast<uint8_t>(i + number);
  ipv4::Fields fields;
  fields.total_length = length - l3;
  fields.protocol = protocol;
  ipv4::write(data + l3, fields, v4(10, 2, 0, static_cast<uint8_t>(number)).v4_bytes(),
              v4(10, 3, 0, 1).v4_bytes());
  udp::write(data + l3 + 20, static_cast<uint16_t>(1000 + number), 9, length - l3 - 20);
}

FrameIndex make_packet(Cache& held, Port& to, uint32_t length, uint32_t number, uint8_t protocol = 17) {
  const FrameIndex index = held.cache.allocate_for(length);
  uint8_t mac[6];
  static_cast<AfXdpPort&>(to).mac(mac);
  write_packet(held.pool.data(index), mac, length, number, protocol);
  held.pool.frame(index).length = static_cast<uint16_t>(length);
  return index;
}

uint32_t reserved(Port& port) {
  return port.ready_frames();
}

// Whether an XDP program is on an interface of this namespace.
bool has_program(const std::string& name) {
  return std::system(("ip -j link show " + name + " | grep -q '\"xdp\":'").c_str()) == 0;
}

void frames_cross_unchanged() {
  for (const XdpMode mode : kModes) {
    make_pair("xa", "xb");
    Cache held;
    {
      auto opened = open_xdp(held.pool, "xa", mode);
      AfXdpPort& a = *opened.ports[0];
      auto b = open_packet("xb");
      Counters counters;
      a.count_into(&counters);
      CHECK(has_program("xa"));
      std::printf("     %s\n", a.mode().c_str());
      // veth has no mode without a copy
      CHECK(a.mode().find(mode == XdpMode::kGeneric ? "kernel's path" : "in the driver, copying") !=
            std::string::npos);
      CHECK_EQ(a.mtu(), 1500u);
      receive_all(held, a, 0);
      FrameIndex none[1];
      a.receive(held.cache, clock_now(), none, 1);  // the first turn brings chunks
      uint32_t number = 0;
      for (uint32_t round = 0; round < 5; ++round) {
        for (uint32_t length = 60; length <= 1514; length += kBurst) {
          FrameIndex frames[kBurst];
          std::vector<Bytes> sent;
          for (uint32_t i = 0; i < kBurst; ++i) {
            frames[i] = make_packet(held, a, std::min(length + i, 1514u), number++ % 200);
            sent.push_back(held.bytes(frames[i]));
          }
          CHECK_EQ(b->transmit(held.cache, frames, kBurst), kBurst);
          CHECK(receive_all(held, a, kBurst) == sent);
          for (uint32_t i = 0; i < kBurst; ++i) {
            frames[i] = held.make(std::min(length + i, 1514u), number++);
            sent[i] = held.bytes(frames[i]);
          }
          CHECK_EQ(a.transmit(held.cache, frames, kBurst), kBurst);
          CHECK(receive_all(held, *b, kBurst) == sent);
        }
      }
      FrameIndex frame = held.make(1515, 1);
      CHECK_EQ(a.transmit(held.cache, &frame, 1), 1u);
      CHECK_EQ(counters.get(Counter::tx_refused), 1u);
      CHECK_EQ(counters.get(Counter::rx_missed), 0u);
      for (uint64_t i = 0; i < 5; ++i) a.receive(held.cache, clock_now() + i * 200000000ull, none, 1);
      CHECK_EQ(a.openings(), 1u);
      a.receive(held.cache, clock_now(), none, 1);
      CHECK_EQ(held.cache.available() + reserved(a), held.cache.total());
    }
    CHECK(!has_program("xa"));
    shell("ip link del xa");
  }
}

void what_is_not_ours_is_the_kernels() {
  make_pair("oa", "ob");
  Cache held;
  auto opened = open_xdp(held.pool, "oa", XdpMode::kZeroCopy);
  AfXdpPort& a = *opened.ports[0];
  auto b = open_packet("ob");
  auto kernel = open_packet("oa");  // sees what passes
  uint8_t mac[6];
  a.mac(mac);
  FrameIndex none[1];
  a.receive(held.cache, clock_now(), none, 1);
  const auto send = [&](uint32_t length, auto write) {
    FrameIndex index = held.make(length, 1);
    uint8_t* data = held.pool.data(index);
    std::memcpy(data, mac, 6);
    write(data);
    CHECK_EQ(b->transmit(held.cache, &index, 1), 1u);
    // Whichever it comes to: 1 ours, 2 the kernel's.
    const uint64_t end = clock_now() + 1000000000ull;
    while (clock_now() < end) {
      FrameIndex frame;
      if (a.receive(held.cache, clock_now(), &frame, 1) == 1) {
        held.cache.free(frame);
        return 1;
      }
      if (kernel->receive(held.cache, clock_now(), &frame, 1) == 1) {
        held.cache.free(frame);
        return 2;
      }
    }
    return 0;
  };
  const auto packet = [&](uint8_t* data) { write_packet(data, mac, 100, 1); };
  CHECK_EQ(send(100, packet), 1);
  CHECK_EQ(send(100, [](uint8_t*) {}), 2);                                     // neither IP nor ARP
  CHECK_EQ(send(100, [&](uint8_t* data) { packet(data), data[5] ^= 1; }), 2);  // another station's
  CHECK_EQ(send(100, [&](uint8_t* data) { packet(data), data[0] |= 1; }), 2);  // a group's
  const auto arp_for = [&](const Address& target) {
    return [target](uint8_t* data) {
      arp::write_request(data, 0, data + 6, v4(10, 1, 0, 9), target, mac::kBroadcast);
    };
  };
  CHECK_EQ(send(60, arp_for(v4(10, 1, 0, 1))), 1);
  CHECK_EQ(send(60, arp_for(v4(10, 1, 0, 77))), 1);  // the kernel has no address here: all is ours
  // It gets one: what is to it, and questions to everybody, are its.
  shell("ip addr add 10.3.0.1/24 dev oa");
  const uint64_t noticed = clock_now() + 1500000000ull;
  while (clock_now() < noticed)
    held.cache.free(none, a.receive(held.cache, clock_now(), none, 1)), usleep(10000);
  FrameIndex other;
  while (kernel->receive(held.cache, clock_now(), &other, 1) == 1) held.cache.free(other);
  CHECK_EQ(send(100, packet), 2);
  CHECK_EQ(send(60, arp_for(v4(10, 1, 0, 1))), 1);
  CHECK_EQ(send(60, arp_for(v4(10, 1, 0, 77))), 2);
  shell("ip link del oa");
}

// One more worker than at first, on an interface with fewer queues than workers and with as many.
void a_worker_joins_under_load() {
  for (const uint32_t queues : {1u, 2u}) {
    const std::string count = std::to_string(queues);
    shell("ip link add ja numrxqueues " + count + " numtxqueues " + count +
          " type veth peer name jb numrxqueues " + count + " numtxqueues " + count);
    for (const char* name : {"ja", "jb"}) shell(std::string("ip link set ") + name + " addrgenmode none up");
    FramePool pool({8192, 8192});
    {
      AfXdpOptions options;
      options.interface = "ja";
      options.most_workers = 2;
      AfXdpPorts opened = AfXdpPort::open(options, pool);
      CHECK_EQ(opened.ports.size(), 1u);
      AfXdpPort& first = *opened.ports[0];
      PortOwners owners;
      first.mac(owners.mac);
      owners.buckets.resize(1024);
      first.set_owners(owners);
      auto sender = open_packet("jb");
      joins_under_load(pool, first, *sender, owners.mac, [&](Port&) {
        for (uint32_t b = 0; b < 1024; ++b) owners.buckets[b] = static_cast<uint8_t>(b % 2);
        first.set_owners(owners);
      });
    }
    shell("ip link del ja");
  }
}

// Each tunnel's packets at its worker, flows by a hash that both directions share, IKE at the first worker;
// with one queue for all workers, and with a queue each.
void packets_come_to_their_owner() {
  for (const uint32_t queues : {1u, 2u, 4u}) {
    const std::string count = std::to_string(queues);
    shell("ip link add sa numrxqueues " + count + " numtxqueues " + count +
          " type veth peer name sb numrxqueues " + count + " numtxqueues " + count);
    for (const char* name : {"sa", "sb"}) shell(std::string("ip link set ") + name + " addrgenmode none up");
    FramePool pool({4096, 4096});
    FrameCache caches[2] = {{pool, 0}, {pool, 1}};
    {
      AfXdpPorts opened = open_xdp(pool, "sa", XdpMode::kZeroCopy, 2);
      std::printf("     %s\n", opened.ports[0]->mode().c_str());
      PortOwners owners;
      opened.ports[0]->mac(owners.mac);
      for (uint32_t spi = 0; spi < 64; ++spi) owners.spis.push_back({0x1000 + spi, spi % 2});
      for (uint32_t bucket = 0; bucket < 1024; ++bucket)
        owners.buckets.push_back(static_cast<uint8_t>(bucket % 2));
      opened.ports[0]->set_owners(owners);
      Cache sender;
      auto b = open_packet("sb");
      FrameIndex frames[kBurst];
      const auto turn = [&](auto seen) {
        uint32_t got = 0;
        for (uint32_t worker = 0; worker < 2; ++worker) {
          const uint32_t n = opened.ports[worker]->receive(caches[worker], clock_now(), frames, kBurst);
          for (uint32_t i = 0; i < n; ++i) seen(worker, pool.data(frames[i]));
          caches[worker].free(frames, n);
          caches[worker].reclaim();
          got += n;
        }
        return got;
      };
      turn([](uint32_t, const uint8_t*) {});
      uint32_t steered = 0, of_flow[2] = {}, ike[2] = {};
      for (uint32_t spi = 0; spi < 64; ++spi) {
        for (uint32_t kind = 0; kind < 4; ++kind) {
          FrameIndex index = make_packet(sender, *opened.ports[0], 120, spi, kind == 0 ? 50 : 17);
          uint8_t* l4 = sender.pool.data(index) + 34;
          if (kind == 0) store32(l4, 0x1000 + spi);
          if (kind == 1) store16(l4 + 2, 4500), store32(l4 + 8, 0x1000 + spi);
          if (kind == 2) store16(l4 + 2, 500);
          CHECK_EQ(b->transmit(sender.cache, &index, 1), 1u);
          const uint64_t end = clock_now() + 1000000000ull;
          while (clock_now() < end && turn([&](uint32_t worker, const uint8_t* packet) {
                                        if (kind < 2) steered += worker == spi % 2;
                                        if (kind == 2) ++ike[worker];
                                        if (kind == 3) ++of_flow[worker];
                                        CHECK_EQ(packet[23], kind == 0 ? 50 : 17);
                                      }) == 0) {
          }
        }
      }
      if (queues < 2) {
        CHECK_EQ(steered, 128u);  // one queue: the program alone chooses
        CHECK_EQ(ike[0], 64u);
        CHECK(of_flow[0] > 8 && of_flow[1] > 8);
      }
      CHECK_EQ(ike[0] + ike[1], 64u);
      CHECK_EQ(of_flow[0] + of_flow[1], 64u);
      // Each worker sends, and what it sent comes back to it.
      for (uint32_t round = 0; round < 200; ++round) {
        for (uint32_t worker = 0; worker < 2; ++worker) {
          const uint32_t n = caches[worker].allocate(frames, 16);
          for (uint32_t i = 0; i < n; ++i) {
            std::memset(pool.data(frames[i]), 2, 60);
            pool.frame(frames[i]).length = 60;
          }
          CHECK_EQ(opened.ports[worker]->transmit(caches[worker], frames, n), 16u);
        }
        CHECK_EQ(receive_all(sender, *b, 32).size(), 32u);
        turn([](uint32_t, const uint8_t*) {});
      }
      for (uint32_t i = 0; i < 3; ++i) turn([](uint32_t, const uint8_t*) {});
      CHECK_EQ(caches[0].available() + caches[1].available() + reserved(*opened.ports[0]), 8192u);
    }
    shell("ip link del sa");
  }
}

void jumbo_frames_cross() {
  for (const XdpMode mode : {XdpMode::kZeroCopy, XdpMode::kGeneric}) {
    make_pair("ja", "jb");
    for (const char* name : {"ja", "jb"}) shell(std::string("ip link set ") + name + " mtu 9000");
    Cache held(256);
    {
      auto opened = open_xdp(held.pool, "ja", mode);
      auto far = open_xdp(held.pool, "jb", mode);
      AfXdpPort& a = *opened.ports[0];
      AfXdpPort& b = *far.ports[0];
      std::printf("     %s\n", a.mode().c_str());
      FrameIndex none[1];
      a.receive(held.cache, clock_now(), none, 1);
      b.receive(held.cache, clock_now(), none, 1);
      for (const uint32_t length :
           {60u, 1514u, 3700u, 3776u, 3777u, 3840u, 3841u, 4096u, 7680u, 7681u, 9013u, 9014u}) {
        FrameIndex frames[8];
        std::vector<Bytes> sent;
        for (uint32_t i = 0; i < 8; ++i) {
          frames[i] = make_packet(held, a, length, i);
          sent.push_back(held.bytes(frames[i]));
        }
        CHECK_EQ(b.transmit(held.cache, frames, 8), 8u);
        CHECK(receive_all(held, a, 8) == sent);
      }
      b.receive(held.cache, clock_now(), none, 1);
      CHECK_EQ(held.cache.all_available() + reserved(a) + reserved(b), held.cache.all_total());
    }
    shell("ip link del ja");
  }
}

void an_interface_that_vanishes() {
  make_pair("ga", "gb");
  FramePool pool({4096, 4096});
  FrameCache caches[2] = {{pool, 0}, {pool, 1}};
  AfXdpPorts opened = open_xdp(pool, "ga", XdpMode::kZeroCopy, 2);
  Counters counters;
  for (auto& port : opened.ports) port->count_into(&counters);
  FrameIndex frames[kBurst];
  uint64_t got = 0;
  const auto turn = [&] {
    for (uint32_t worker = 0; worker < 2; ++worker) {
      const uint32_t n = opened.ports[worker]->receive(caches[worker], clock_now(), frames, kBurst);
      got += n;
      caches[worker].free(frames, n);
      caches[worker].reclaim();
    }
  };
  const auto until = [&](const std::string& fault) {
    const uint64_t start = clock_now();
    do turn();
    while (opened.ports[0]->fault() != fault && clock_now() < start + 3000000000ull);
    CHECK_EQ(opened.ports[1]->fault(), fault);
    CHECK_EQ(opened.ports[1]->open(), fault.empty());
    return (clock_now() - start) / 1000000;
  };
  turn();
  Cache sender;
  for (uint32_t round = 0; round < 3; ++round) {
    auto b = open_packet("gb");
    // Under load: packets wait in the rings when it goes.
    for (uint32_t burst = 0; burst < 60; ++burst) {
      for (uint32_t i = 0; i < kBurst; ++i) frames[i] = make_packet(sender, *opened.ports[0], 100, i);
      const uint32_t sent = b->transmit(sender.cache, frames, kBurst);
      sender.cache.free(frames + sent, kBurst - sent);
      if (burst < 10) turn();
    }
    if (round == 0) {
      shell("ip link set ga down");
      until("interface ga is down");
      shell("ip link set ga up");
      until("");
    }
    shell("ip link del ga");
    until("interface ga was removed");
    const uint32_t mine = caches[0].allocate(frames, 1);
    pool.frame(frames[0]).length = 60;
    CHECK_EQ(opened.ports[0]->transmit(caches[0], frames, mine), 0u);
    caches[0].free(frames, mine);
    turn();
    CHECK_EQ(caches[0].available() + caches[1].available() + reserved(*opened.ports[0]), 8192u);
    make_pair("ga", "gb");
    const uint64_t took = until("");
    CHECK(took < 1000);
    auto peer = open_packet("gb");
    turn();
    got = 0;
    FrameIndex index = make_packet(sender, *opened.ports[0], 100, 1);
    uint8_t mac[6];
    CHECK_EQ(peer->transmit(sender.cache, &index, 1), 1u);
    opened.ports[0]->mac(mac);
    const uint64_t end = clock_now() + 1000000000ull;
    while (got == 0 && clock_now() < end) turn();
    CHECK_EQ(got, 1u);
  }
  CHECK(counters.get(Counter::rx_missed) > 0);  // what the rings did not hold has a name
  shell("ip link del ga");
}

void a_killed_process_leaves_nothing() {
  make_pair("ka", "kb");
  for (uint32_t round = 0; round < 2; ++round) {
    int ready[2];
    CHECK_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      FramePool pool({1024});
      auto opened = open_xdp(pool, "ka", XdpMode::kZeroCopy);
      if (write(ready[1], "x", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char byte;
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK(has_program("ka"));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (uint32_t i = 0; i < 100 && has_program("ka"); ++i) usleep(10000);
    CHECK(!has_program("ka"));
    close(ready[0]);
    close(ready[1]);
  }
  shell("ip link del ka");
}

void errors_say_the_mend() {
  FramePool pool({256});
  AfXdpOptions options;
  options.interface = "nothere0";
  auto opened = AfXdpPort::open(options, pool);
  CHECK(opened.ports.empty());
  CHECK_EQ(opened.error.text, std::string("there is no interface nothere0"));
  make_pair("ea", "eb");
  options.interface = "ea";
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(2);
    opened = AfXdpPort::open(options, pool);
    std::printf("     %s\n", opened.error.text.c_str());
    const bool good = opened.error.number == EPERM &&
                      opened.error.text.find("CAP_BPF") != std::string::npos &&
                      opened.error.text.find("setcap") != std::string::npos;
    std::fflush(stdout);
    _exit(good ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK_EQ(status, 0);
  shell("ip link del ea");
}

}  // namespace

int main() {
  if (geteuid() != 0 || !own_namespace() || std::system("ip link set lo up") != 0) {
    std::printf("skip: AF_XDP ports want root and the ip command, to make network namespaces\n");
    return kSkipped;
  }
  Steering probe;
  SocketError error;
  if (!probe.load(error)) {
    std::printf("skip: %s\n", error.text.c_str());
    return kSkipped;
  }
  silence_ipv6();
  RUN(errors_say_the_mend);
  RUN(frames_cross_unchanged);
  RUN(what_is_not_ours_is_the_kernels);
  RUN(packets_come_to_their_owner);
  RUN(a_worker_joins_under_load);
  RUN(jumbo_frames_cross);
  RUN(an_interface_that_vanishes);
  RUN(a_killed_process_leaves_nothing);
  FINISH();
}
