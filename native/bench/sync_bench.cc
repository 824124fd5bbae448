// Sessions of a pair, one worker each: what the session path pays for being copied, and what a copy costs.
//
//   sync_bench [--rounds N] [--sessions N] [--only TEXT]
//
//   sync.cold.1m         s until --sessions (1 M) sessions of one table are Warm in another: a thread for
//   each worker, and
//                        this one between their rings, as the control thread is; without the interchassis
//                        link
//   sync.live.50k        percent of one core at 50,000 new sessions a second: noting each (and its
//   hand-shake, three
//                        messages), carrying its records, making the copy
//   sync.path.50k        percent of the worker's time that noting takes of these, i.e. by which packets are
//   slower sync.bytes.v4, .v6   bytes of a session's first message: plain, then with one tunnel, then
//   translated with one
//
// One JSON object a line.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "measure.h"
#include "sync/session_sync.h"

namespace penstock::bench {
namespace {

using sync::Record;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr double kNewPerSecond = 50'000;

uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

SyncTable names() {
  SyncTable table;
  table.instances = TagMap({{1000, 0}, {1001, 1}});
  table.zones = TagMap({{0x80000, 1}, {0x80001, 2}});
  table.tunnels = TagMap({{77, 0, 0}});
  table.policies = TagMap({{5, 1}});
  return table;
}

NewSession flow(uint32_t i, bool v6 = false, bool tunnel = false, bool translated = false) {
  const uint64_t a = mix(i + 1);
  const uint64_t source[2] = {0xb80d0120, uint64_t{i} << 32 | (a & 0xffffffff)};
  const uint64_t destination[2] = {0xb80d0120, a};
  const auto port = static_cast<uint16_t>(a >> 40);
  NewSession session;
  session.in = v6 ? SessionKey::ipv6(source, destination, port, 443, 6, 0, 1)
                  : SessionKey::ipv4(reinterpret_cast<const uint8_t*>(&source[1]) + 4, destination + 1, port,
                                     443, 6, 0, 1);
  session.out = session.in.reversed(1, 2);
  if (translated) {
    session.out = SessionKey::ipv4(session.in.destination(), session.in.destination(), 443, port, 6, 1, 2);
    if (v6) session.out = SessionKey::ipv6(destination, destination, 443, port, 6, 1, 2);
  }
  session.policy = 1;
  session.tcp = TcpState::kSynSent;
  if (tunnel) session.tunnel[1] = 0;
  return session;
}

SessionTable::Options options_for(uint32_t sessions) {
  SessionTable::Options options;
  options.limit = options.initial_ipv4 = sessions + 4096;
  for (uint64_t& word : options.secret) word = mix(reinterpret_cast<uintptr_t>(&word) + nanoseconds());
  return options;
}

struct End {
  explicit End(uint32_t sessions) : table(options_for(sessions)), sync(table) {}
  void turn(uint64_t now) {
    sync.begin_turn(&names_of);
    sync.poll(now);
  }
  SyncTable names_of = names();
  SessionTable table;
  SessionSync sync;
};

// As Forwarder::sync_pull and sync_apply have it. Returns the bytes that were carried.
size_t carry(End& from, End& to) {
  uint8_t bytes[1300];
  const size_t there = from.sync.out().peek(bytes, sizeof bytes);
  if (there == 0 || !to.sync.has_room(80)) return 0;
  size_t at = 0;
  while (const size_t length = sync::record_length(bytes + at, there - at)) {
    Record record;
    if (sync::read_record(bytes + at, length, to.names_of, record) == sync::ReadStatus::kRead)
      to.sync.put_in(record);
    at += length;
  }
  from.sync.out().take(at);
  return at;
}

void report(const char* id, const char* unit, const std::vector<double>& ours, const std::string& more = "") {
  std::printf("{\"id\":\"%s\",\"unit\":\"%s\",\"ours\":[", id, unit);
  for (size_t i = 0; i < ours.size(); ++i) std::printf("%s%.4g", i > 0 ? "," : "", ours[i]);
  std::printf("],\"peers\":{}%s}\n", more.c_str());
  std::fflush(stdout);
}

struct Settings {
  unsigned rounds = 5;
  uint32_t sessions = 1'000'000;
  std::string only;
  bool wants(const char* id) const { return std::string(id).find(only) != std::string::npos; }
};

void cold(const Settings& settings) {
  if (!settings.wants("sync.cold.1m")) return;
  std::vector<double> seconds;
  double bytes = 0;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    End a(settings.sessions), b(settings.sessions);
    for (uint32_t i = 0; i < settings.sessions; ++i) a.table.insert(flow(i), kSecond);
    std::atomic<bool> stop{false};
    const uint64_t start = nanoseconds();
    a.sync.start(true);
    b.sync.start(true);
    const auto work = [&](End& end) {
      while (!stop.load(std::memory_order_relaxed)) end.turn(2 * kSecond);
    };
    std::thread first(work, std::ref(a));
    std::thread second(work, std::ref(b));
    size_t carried = 0;
    while (b.table.size() < settings.sessions) {
      const size_t moved = carry(a, b) + carry(b, a);
      carried += moved;
      if (moved == 0) std::this_thread::yield();
    }
    seconds.push_back(static_cast<double>(nanoseconds() - start) / 1e9);
    bytes = static_cast<double>(carried) / settings.sessions;
    stop.store(true, std::memory_order_relaxed);
    first.join();
    second.join();
  }
  char more[120];
  std::snprintf(more, sizeof more, ",\"sessions\":%u,\"bytesPerSession\":%.1f", settings.sessions, bytes);
  report("sync.cold.1m", "s", seconds, more);
}

// Three messages a session: set up, SYN-ACK, ACK.
uint64_t set_up(End& end, uint32_t first, uint32_t count, uint64_t now) {
  std::vector<NewSession> flows(count);
  for (uint32_t i = 0; i < count; ++i) flows[i] = flow(first + i);
  const uint64_t start = nanoseconds();
  for (const NewSession& session : flows) {
    const SessionRef ref = end.table.insert(session, now).ref;
    end.table.set_tcp_state(ref, TcpState::kSynReceived, now);
    end.table.set_tcp_state(ref, TcpState::kEstablished, now);
  }
  return nanoseconds() - start;
}

void live(const Settings& settings) {
  if (!settings.wants("sync.live.50k") && !settings.wants("sync.path.50k")) return;
  constexpr uint32_t kSessions = 200'000;
  constexpr uint32_t kAtOnce = 500;
  std::vector<double> all, path;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    End plain(kSessions), a(kSessions), b(kSessions);
    a.sync.start(true);
    b.sync.start(true);
    for (int i = 0; i < 100; ++i) {
      a.turn(kSecond);
      b.turn(kSecond);
      carry(a, b);
      carry(b, a);
    }
    std::vector<double> noting, carrying;
    for (uint32_t first = 0; first < kSessions; first += kAtOnce) {
      const uint64_t without = set_up(plain, first, kAtOnce, 2 * kSecond);
      const uint64_t with = set_up(a, first, kAtOnce, 2 * kSecond);
      noting.push_back((static_cast<double>(with) - static_cast<double>(without)) / kAtOnce);
      const uint64_t start = nanoseconds();
      for (unsigned quiet = 0; quiet < 2;) {
        const size_t moved = carry(a, b);
        b.turn(2 * kSecond);
        quiet = moved == 0 && b.sync.in().empty() ? quiet + 1 : 0;
      }
      carrying.push_back(static_cast<double>(nanoseconds() - start) / kAtOnce);
    }
    if (b.table.size() != kSessions) std::exit(1);
    path.push_back(median(noting) * kNewPerSecond / 1e7);
    all.push_back((median(noting) + median(carrying)) * kNewPerSecond / 1e7);
  }
  if (settings.wants("sync.live.50k")) report("sync.live.50k", "%", all);
  if (settings.wants("sync.path.50k")) report("sync.path.50k", "%", path);
}

void sizes(const char* id, const Settings& settings, bool v6) {
  if (!settings.wants(id)) return;
  End a(16);
  std::vector<double> bytes;
  for (const auto& [tunnel, translated] : {std::pair{false, false}, {true, false}, {true, true}}) {
    const InsertResult made =
        a.table.insert(flow(static_cast<uint32_t>(bytes.size()), v6, tunnel, translated), kSecond);
    SessionInfo info;
    uint8_t record[sync::kMostRecordBytes];
    if (!a.table.get_from_anywhere(made.ref, &info, kSecond)) std::exit(1);
    bytes.push_back(static_cast<double>(sync::write_put(info, 0, 0, a.names_of, record)));
  }
  report(id, "bytes", bytes);
}

int run(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--rounds") {
      settings.rounds = static_cast<unsigned>(std::max(1, std::atoi(argv[i + 1])));
    } else if (option == "--sessions") {
      settings.sessions = static_cast<uint32_t>(std::max(64, std::atoi(argv[i + 1])));
    } else if (option == "--only") {
      settings.only = argv[i + 1];
    } else {
      std::fprintf(stderr, "unknown option %s\n", argv[i]);
      return 2;
    }
  }
  cold(settings);
  live(settings);
  sizes("sync.bytes.v4", settings, false);
  sizes("sync.bytes.v6", settings, true);
  return 0;
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::run(argc, argv);
}
