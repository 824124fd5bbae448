// The session table by itself, one worker:
//
//   session_bench [--rounds N] [--sessions N] [--only TEXT]
//
//   session.lookup.1m, .10m     look-ups a second, bursts of 64, flow and wing at random, keys with routing
//   session.lookup.v6.1m        instance and zone; making the keys is not timed
//   session.insert              sessions set up a second, from an empty table to --sessions, growing
//   session.expire              sessions ended a second by their time-out, and taken out of the index
//   session.bytes.v4, .v6       records and index, by the session
//   session.pause.max           the longest single insert or expire(64) from empty to --sessions and back
//
// While a table grows, another thread calls populate() every millisecond, as a control thread does. A pause
// is what the code makes every time: the same steps are run --rounds times, and the shortest of a step's
// times counts, so that being preempted, or the host's finding memory for a virtual machine, is not taken for
// it. The longest of all times is reported beside it. One JSON object a line.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "measure.h"
#include "session/session_table.h"

namespace penstock::bench {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr unsigned kExpireBudget = 64;

uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// Flow number i: addresses and ports at random, 64 routing instances of 8 zones each, TCP and UDP.
SessionKey flow4(uint32_t i) {
  const uint64_t a = mix(i + 1);
  const uint64_t addresses[2] = {uint64_t{i} << 32 | (a & 0xffffffff), a};
  return SessionKey::ipv4(&addresses[0], &addresses[1], static_cast<uint16_t>(a >> 32),
                          static_cast<uint16_t>(a >> 48), (a & 1) != 0 ? 6 : 17, a >> 8 & 63, a >> 14 & 7);
}

SessionKey flow6(uint32_t i) {
  const uint64_t a = mix(i + 1);
  const uint64_t source[2] = {0x0000'0000'b80d'0120, a};
  const uint64_t destination[2] = {0x0100'0000'b80d'0120, i};
  return SessionKey::ipv6(source, destination, static_cast<uint16_t>(a >> 32), static_cast<uint16_t>(a >> 48),
                          (a & 1) != 0 ? 6 : 17, a >> 8 & 63, a >> 14 & 7);
}

NewSession session_of(const SessionKey& in) {
  NewSession session;
  session.in = in;
  session.out = in.reversed(in.routing_instance() ^ 1, in.zone() + 8);
  session.policy = 7;
  return session;
}

// The thread that puts huge pages ahead of the worker.
class Populator {
 public:
  explicit Populator(SessionTable& table)
      : thread_([this, &table] {
          while (!stop_.load(std::memory_order_relaxed)) {
            table.populate(uint64_t{64} << 20);
            const timespec pause = {0, 1'000'000};
            nanosleep(&pause, nullptr);
          }
        }) {}
  ~Populator() {
    stop_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

SessionTable::Options options_for(uint32_t sessions) {
  SessionTable::Options options;
  options.limit = sessions;
  for (uint64_t& word : options.secret) word = mix(reinterpret_cast<uintptr_t>(&word) + nanoseconds());
  return options;
}

// In a virtual machine the host finds each page when it is first touched, which is not the table's time:
// touch as many as will be used, and give them back to the kernel.
void touch_memory(uint64_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  for (uint64_t offset = 0; offset < bytes; offset += 4096)
    static_cast<volatile uint8_t*>(memory)[offset] = 1;
  munmap(memory, bytes);
}

void report(const char* id, const char* unit, const std::vector<double>& ours, const std::string& more = "") {
  std::printf("{\"id\":\"%s\",\"unit\":\"%s\",\"ours\":[", id, unit);
  for (size_t i = 0; i < ours.size(); ++i) std::printf("%s%.4g", i > 0 ? "," : "", ours[i]);
  std::printf("],\"peers\":{}%s}\n", more.c_str());
  std::fflush(stdout);
}

// The rate of the middle slice of a run: a millisecond or so each, so that most are not interrupted.
class Slices {
 public:
  void add(uint32_t count, uint64_t spent) {
    count_ += count;
    spent_ += spent;
    if (count_ < 4096) return;
    rates_.push_back(count_ * 1e3 / static_cast<double>(spent_));
    count_ = 0;
    spent_ = 0;
  }
  double rate() const { return median(rates_); }  // M/s

 private:
  uint32_t count_ = 0;
  uint64_t spent_ = 0;
  std::vector<double> rates_;
};

struct Settings {
  unsigned rounds = 5;
  uint32_t sessions = 10'000'000;
  std::string only;

  bool wants(const char* id) const { return std::string(id).find(only) != std::string::npos; }
};

template <typename Flow>
std::unique_ptr<SessionTable> filled(uint32_t sessions, Flow flow, uint32_t initial_ipv4 = 0,
                                     uint32_t initial_ipv6 = 0) {
  SessionTable::Options options = options_for(sessions);
  options.initial_ipv4 = initial_ipv4;
  options.initial_ipv6 = initial_ipv6;
  auto table = std::make_unique<SessionTable>(options);
  const Populator populator(*table);
  for (uint32_t i = 0; i < sessions; ++i) {
    if (table->insert(session_of(flow(i)), kSecond).status != InsertStatus::kInserted) {
      std::fprintf(stderr, "session %u was not inserted\n", i);
      std::exit(1);
    }
  }
  return table;
}

template <typename Flow>
void lookups(const char* id, const Settings& settings, uint32_t sessions, Flow flow) {
  if (!settings.wants(id)) return;
  // Huge pages from the start: where other processes hold the machine, populate() would not keep up with so
  // many sessions at once, and the figure would be that of small pages.
  const bool v6 = flow(0).version == 6;
  const auto table = filled(sessions, flow, v6 ? 0 : sessions, v6 ? sessions : 0);
  std::vector<double> rates;
  uint64_t random = 1;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    std::vector<double> slices;
    for (unsigned slice = 0; slice < 128; ++slice) {
      constexpr unsigned kBursts = 512;
      uint64_t spent = 0;
      for (unsigned burst = 0; burst < kBursts; ++burst) {
        SessionKey keys[kSessionBurst];
        for (SessionKey& key : keys) {
          const uint64_t r = mix(random++);
          key = flow(static_cast<uint32_t>((r >> 32) * sessions >> 32));
          if ((r & 1) != 0) key = session_of(key).out;
        }
        SessionRef refs[kSessionBurst];
        const uint64_t start = nanoseconds();
        table->lookup(keys, refs, kSessionBurst);
        spent += nanoseconds() - start;
        for (const SessionRef& ref : refs) {
          if (!ref.found()) std::exit(1);
        }
      }
      slices.push_back(kBursts * kSessionBurst * 1e3 / static_cast<double>(spent));
    }
    rates.push_back(median(slices));
  }
  report(id, "M/s", rates);
}

void changes(const Settings& settings) {
  if (!settings.wants("session.insert") && !settings.wants("session.expire")) return;
  std::vector<double> inserts, expiries;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    SessionTable table(options_for(settings.sessions));
    Slices setting_up;
    {
      const Populator populator(table);
      for (uint32_t i = 0; i < settings.sessions; i += kSessionBurst) {
        NewSession burst[kSessionBurst];
        for (unsigned j = 0; j < kSessionBurst; ++j) burst[j] = session_of(flow4(i + j));
        const uint64_t start = nanoseconds();
        for (const NewSession& session : burst) table.insert(session, kSecond + uint64_t{i} * 200);
        setting_up.add(kSessionBurst, nanoseconds() - start);
      }
    }
    inserts.push_back(setting_up.rate());
    Slices ending;
    for (unsigned looked = kExpireBudget; looked == kExpireBudget;) {
      const uint64_t start = nanoseconds();
      looked = table.expire(7200 * kSecond, kExpireBudget, [](SessionRef, SessionEnd) {});
      ending.add(looked, nanoseconds() - start);
    }
    expiries.push_back(ending.rate());
    if (table.size() != 0) std::exit(1);
  }
  const std::string more = ",\"sessions\":" + std::to_string(settings.sessions);
  if (settings.wants("session.insert")) report("session.insert", "M/s", inserts, more);
  if (settings.wants("session.expire")) report("session.expire", "M/s", expiries, more);
}

template <typename Flow>
void sizes(const char* id, const Settings& settings, Flow flow, uint64_t SessionTable::Statistics::*bytes) {
  if (!settings.wants(id)) return;
  std::vector<double> per_session;
  std::string at;
  // From one doubling of the index to the next.
  for (uint32_t sessions : {1'000'000, 1'200'000, 1'400'000, 1'700'000, 2'000'000}) {
    const auto table = filled(sessions, flow);
    per_session.push_back(static_cast<double>(table->statistics().*bytes) / sessions);
    at.append(at.empty() ? "" : ",").append(std::to_string(sessions));
  }
  report(id, "bytes", per_session, ",\"sessions\":[" + at + "]");
}

void pauses(const Settings& settings) {
  if (!settings.wants("session.pause.max")) return;
  const uint32_t expiries = settings.sessions / kExpireBudget * 2;
  std::vector<uint32_t> shortest(settings.sessions + expiries, 0xffffffff);
  uint64_t longest = 0;
  uint64_t over = 0;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    SessionTable::Options options = options_for(settings.sessions);
    for (unsigned i = 0; i < 4; ++i) options.secret[i] = i;  // the same buckets split at the same steps
    SessionTable table(options);
    uint32_t step = 0;
    const auto note = [&](uint64_t start) {
      const uint64_t took = std::min<uint64_t>(nanoseconds() - start, 0xffffffff);
      longest = std::max(longest, took);
      over += took >= 50'000;
      if (step < shortest.size()) shortest[step] = std::min(shortest[step], static_cast<uint32_t>(took));
      ++step;
    };
    {
      const Populator populator(table);
      for (uint32_t i = 0; i < settings.sessions; ++i) {
        const NewSession session = session_of(flow4(i));
        const uint64_t start = nanoseconds();
        table.insert(session, kSecond + uint64_t{i} * 200);
        note(start);
      }
    }
    step = settings.sessions;
    for (;;) {
      const uint64_t start = nanoseconds();
      const unsigned looked = table.expire(7200 * kSecond, kExpireBudget, [](SessionRef, SessionEnd) {});
      note(start);
      if (looked < kExpireBudget) break;
    }
  }
  std::erase(shortest, 0xffffffff);
  const auto inserts_end = shortest.begin() + settings.sessions;
  const double insert = *std::max_element(shortest.begin(), inserts_end) / 1e3;
  const double expire = *std::max_element(inserts_end, shortest.end()) / 1e3;
  char more[200];
  std::snprintf(more, sizeof more,
                ",\"insert\":%.3f,\"expire\":%.3f,\"anyRun\":%.1f,\"anyRunOver50\":%llu,\"steps\":%zu",
                insert, expire, static_cast<double>(longest) / 1e3, static_cast<unsigned long long>(over),
                shortest.size());
  report("session.pause.max", "us", {std::max(insert, expire)}, more);
}

int run(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--rounds") {
      settings.rounds = static_cast<unsigned>(std::max(1, std::atoi(argv[i + 1])));
    } else if (option == "--sessions") {
      settings.sessions = static_cast<uint32_t>(std::max(64, std::atoi(argv[i + 1]))) / 64 * 64;
    } else if (option == "--only") {
      settings.only = argv[i + 1];
    } else {
      std::fprintf(stderr, "unknown option %s\n", argv[i]);
      return 2;
    }
  }
  lookups("session.lookup.1m", settings, 1'000'000, flow4);
  lookups("session.lookup.v6.1m", settings, 1'000'000, flow6);
  lookups("session.lookup.10m", settings, 10'000'000, flow4);
  touch_memory(uint64_t{settings.sessions} * 160);
  changes(settings);
  sizes("session.bytes.v4", settings, flow4, &SessionTable::Statistics::ipv4_bytes);
  sizes("session.bytes.v6", settings, flow6, &SessionTable::Statistics::ipv6_bytes);
  pauses(settings);
  return 0;
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::run(argc, argv);
}
