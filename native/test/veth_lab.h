// What tests of ports to kernel interfaces share: namespaces of their own, which have no name and end with
// the process, however that ends; threads that are hosts in them; frames to send.
#pragma once
#include <net/if.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "golden.h"
#include "packet/bytes.h"
#include "packet/ethernet.h"
#include "packet/frame.h"
#include "port/port.h"

namespace penstock {

using golden::Bytes;

constexpr int kSkipped = 77;

inline void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) {
    std::fprintf(stderr, "failed: %s\n", command.c_str());
    std::exit(1);
  }
}

inline bool own_namespace() {
  return unshare(CLONE_NEWNET) == 0;
}

// Ports' interfaces: no packets of the kernel's own (multicast listener reports) among the test's.
inline void silence_ipv6() {
  for (const char* which : {"all", "default"}) {
    std::ofstream(std::string("/proc/sys/net/ipv6/conf/") + which + "/disable_ipv6") << "1";
  }
}

// A thread with a network namespace of its own, in which it does what it is told.
class KernelHost {
 public:
  KernelHost() : thread_([this] { loop(); }) {
    run([this] {
      if (!own_namespace()) std::exit(1);
      id_ = static_cast<int>(syscall(SYS_gettid));
      shell("ip link set lo up");
    });
  }
  ~KernelHost() {
    run([this] { stop_ = true; });
    thread_.join();
  }
  int id() const { return id_; }
  void start(std::function<void()> work) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return work_ == nullptr; });
    work_ = std::move(work);
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return work_ == nullptr; });
  }
  void run(std::function<void()> work) {
    start(std::move(work));
    wait();
  }
  bool busy() {
    std::unique_lock lock(mutex_);
    return work_ != nullptr;
  }

 private:
  void loop() {
    while (!stop_) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return work_ != nullptr; });
      lock.unlock();
      work_();
      lock.lock();
      work_ = nullptr;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;
  bool stop_ = false;
  int id_ = 0;
  std::thread thread_;
};

inline uint64_t clock_now() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

inline void make_pair(const std::string& a, const std::string& b) {
  shell("ip link add " + a + " type veth peer name " + b);
  for (const std::string& name : {a, b}) shell("ip link set " + name + " addrgenmode none up");
}

struct Cache {
  explicit Cache(uint32_t jumbos = 0) : pool({8192}, {jumbos}), cache(pool, 0) {}
  FrameIndex make(uint32_t length, uint32_t number, uint16_t vlan = 0) {
    FrameIndex index = kNoFrame;
    if (cache.allocate(&index, 1) == 0) return kNoFrame;
    uint8_t* data = pool.data(index);
    const uint8_t to[6] = {2, 0, 0, 0, 0, 2}, from[6] = {2, 0, 0, 0, 0, 1};
    const uint32_t l3 = ethernet::write(data, to, from, 0x88b5, vlan);  // the local experimental type
    for (uint32_t i = l3; i < length; ++i) data[i] = static_cast<uint8_t>(i + number);
    store32(data + l3, number);
    pool.frame(index).length = static_cast<uint16_t>(length);
    return index;
  }
  Bytes bytes(FrameIndex index) { return {pool.data(index), pool.data(index) + pool.frame(index).length}; }
  FramePool pool;
  FrameCache cache;
};

// Receives until `count` frames came or two seconds went by.
inline std::vector<Bytes> receive_all(Cache& held, Port& port, size_t count) {
  std::vector<Bytes> got;
  const uint64_t end = clock_now() + 2000000000ull;
  FrameIndex frames[kBurst];
  while (got.size() < count && clock_now() < end) {
    const uint32_t received = port.receive(held.cache, clock_now(), frames, kBurst);
    for (uint32_t i = 0; i < received; ++i) got.push_back(held.bytes(frames[i]));
    held.cache.free(frames, received);
  }
  return got;
}

// Polls a port for as long as it takes to notice something.
template <typename Condition>
bool polled_until(Cache& held, Port& port, Condition condition) {
  const uint64_t end = clock_now() + 5000000000ull;
  FrameIndex frames[kBurst];
  while (!condition() && clock_now() < end) {
    held.cache.free(frames, port.receive(held.cache, clock_now(), frames, kBurst));
    usleep(1000);
  }
  return condition();
}

// A second worker's port joins while numbered UDP packets of many flows come: each is received once, and the
// second worker gets some. `joined`: what the port's user tells it afterwards. Sends with one thread, polls
// with another; the caller's is the control thread. No more are on the way than fit into veth's own queue
// (256): a machine that keeps the polling thread from running must not look like a port that loses packets.
inline void joins_under_load(FramePool& pool, Port& first, Port& sender, const uint8_t* mac,
                             const std::function<void(Port&)>& joined) {
  constexpr uint32_t kPackets = 40'000;
  constexpr uint32_t kOnTheWay = 192;
  std::atomic<Port*> second{nullptr};
  std::atomic<uint32_t> received{0};
  std::atomic<bool> over{false}, polled{false};
  std::vector<uint8_t> seen(kPackets, 0);
  uint32_t of[2] = {};
  std::thread polls([&] {
    FrameCache caches[2] = {{pool, 0}, {pool, 1}};
    FrameIndex frames[kBurst];
    uint64_t last = clock_now();
    while (!over.load() || clock_now() - last < 200'000'000) {
      for (uint32_t w = 0; w < 2; ++w) {
        Port* const port = w == 0 ? &first : second.load();
        if (port == nullptr) continue;
        caches[w].reclaim();
        const uint32_t count = port->receive(caches[w], clock_now(), frames, kBurst);
        for (uint32_t i = 0; i < count; ++i) {
          const uint8_t* data = pool.data(frames[i]);
          const uint32_t number = load32(data + 42);
          if (data[12] == 8 && data[13] == 0 && number < kPackets) ++seen[number], ++of[w];
        }
        caches[w].free(frames, count);
        received.fetch_add(count);
        if (count > 0) last = clock_now();
      }
      polled.store(true);
    }
    first.let_go(caches[0]);
    if (second.load() != nullptr) second.load()->let_go(caches[1]);
  });
  std::atomic<uint32_t> sent{0};
  std::thread sends([&] {
    Cache held;
    while (!polled.load()) usleep(200);  // before that, the kernel has no chunks to receive into
    uint32_t patience = 10'000;          // in all: what is lost never comes
    for (uint32_t number = 0; number < kPackets;) {
      while (number >= received.load() + kOnTheWay && patience > 0) usleep(200), --patience;
      FrameIndex frames[16];
      for (FrameIndex& frame : frames) {
        frame = held.make(80, number);
        uint8_t* data = held.pool.data(frame);
        std::memcpy(data, mac, 6);
        store16(data + 12, 0x0800);
        const uint8_t ip[20] = {0x45, 0, 0, 66, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1};
        std::memcpy(data + 14, ip, sizeof ip);
        store16(data + 34, 1000 + number % 61);
        store16(data + 36, 53);
        store16(data + 38, 46);
        store16(data + 40, 0);
        store32(data + 42, number++);
      }
      for (uint32_t at = 0; at < 16;) {
        at += sender.transmit(held.cache, frames + at, 16 - at);
        if (at < 16) usleep(200);
      }
      sent.store(number);
      usleep(200);
    }
  });
  const auto until = [&](uint32_t number) {
    while (sent.load() < number) usleep(500);
  };
  until(kPackets / 8);
  std::string error;
  const auto port = first.further(1, error);
  CHECK_EQ(error, std::string());
  until(kPackets / 4);
  second.store(port.get());
  usleep(20'000);
  if (port != nullptr) joined(*port);
  sends.join();
  over.store(true);
  polls.join();
  uint32_t lost = 0, twice = 0;
  for (const uint8_t times : seen) lost += times == 0, twice += times > 1;
  CHECK_EQ(lost, 0u);
  CHECK_EQ(twice, 0u);
  CHECK(of[1] > kPackets / 10);
}

}  // namespace penstock
