// What the benches share: clocks, a fixed random sequence, medians, and the JSON lines that `penstock bench`
// reads.
#pragma once
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>
#ifdef PENSTOCK_X86
#include <x86intrin.h>
#endif

namespace penstock::bench {

inline uint64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// TSC cycles; nanoseconds where there is no TSC.
inline uint64_t ticks() {
#ifdef PENSTOCK_X86
  return __rdtsc();
#else
  return nanoseconds();
#endif
}

inline double ticks_per_second() {
  const uint64_t since = nanoseconds();
  const uint64_t start = ticks();
  while (nanoseconds() - since < 50'000'000) {
  }
  const uint64_t end = ticks();
  return static_cast<double>(end - start) * 1e9 / static_cast<double>(nanoseconds() - since);
}

// Cycles that this thread's core made, which frequency changes do not stretch; none where perf_event_open(2)
// is refused or the machine is virtual without a counter.
class CoreCycles {
 public:
  CoreCycles() {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_HW_CPU_CYCLES;
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
    descriptor_ = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
  }
  ~CoreCycles() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  CoreCycles(const CoreCycles&) = delete;
  CoreCycles& operator=(const CoreCycles&) = delete;

  bool readable() const { return descriptor_ >= 0; }
  // Since any moment; 0 when not readable.
  uint64_t now() const {
    uint64_t value = 0;
    return readable() && read(descriptor_, &value, sizeof value) == sizeof value ? value : 0;
  }

 private:
  int descriptor_;
};

// Times stretches of a pass; the counts of several add up.
class Stopwatch {
 public:
  void reset() { ticks_ = core_ = 0; }
  void start() {
    core_start_ = cycles_.now();
    start_ = bench::ticks();
  }
  void stop() {
    ticks_ += bench::ticks() - start_;
    core_ += cycles_.now() - core_start_;
  }
  double ticks() const { return static_cast<double>(ticks_); }
  double core_cycles() const { return static_cast<double>(core_); }
  bool has_core_cycles() const { return cycles_.readable(); }

 private:
  CoreCycles cycles_;
  uint64_t ticks_ = 0, core_ = 0, start_ = 0, core_start_ = 0;
};

// A fixed sequence (splitmix64): every run and every contestant sees the same.
struct Random {
  uint64_t state = 1;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

// Of at least one value.
inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// What is not a number is none: null.
inline void print_list(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\":[", name);
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) std::printf(",");
    if (std::isnan(values[i])) {
      std::printf("null");
    } else {
      std::printf("%.6g", values[i]);
    }
  }
  std::printf("]");
}

// One line of output: a value a round, ours and each peer's, and what else was counted (empty lists are left
// out).
struct Line {
  std::string id;
  const char* unit;
  std::vector<double> ours;
  std::vector<std::pair<std::string, std::vector<double>>> peers;
  std::vector<std::pair<const char*, std::vector<double>>> more;

  void print() const {
    std::printf("{\"id\":\"%s\",\"unit\":\"%s\",", id.c_str(), unit);
    print_list("ours", ours);
    std::printf(",\"peers\":{");
    for (size_t i = 0; i < peers.size(); ++i) {
      if (i > 0) std::printf(",");
      print_list(peers[i].first.c_str(), peers[i].second);
    }
    std::printf("}");
    for (const auto& [name, values] : more) {
      if (values.empty()) continue;
      std::printf(",");
      print_list(name, values);
    }
    std::printf("}\n");
    std::fflush(stdout);
  }
};

// A round of a whole path: medians over its passes.
class Round {
 public:
  // One pass of `packets` packets.
  void add(const Stopwatch& watch, uint32_t packets) {
    ticks_.push_back(watch.ticks() / packets);
    if (watch.has_core_cycles()) core_.push_back(watch.core_cycles() / packets);
  }
  double ticks_per_packet() const { return median(ticks_); }
  // Adds this round to a line's cyclesPerPacket and coreCyclesPerPacket.
  void count_into(Line& line) const {
    if (line.more.empty()) line.more = {{"cyclesPerPacket", {}}, {"coreCyclesPerPacket", {}}};
    line.more[0].second.push_back(ticks_per_packet());
    if (!core_.empty()) line.more[1].second.push_back(median(core_));
  }

 private:
  std::vector<double> ticks_, core_;
};

}  // namespace penstock::bench
