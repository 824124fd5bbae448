// The session table and its parts at random against plain models: std::unordered_map and std::multimap. Every
// run is the same; a failure names the seed and the step.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "check.h"
#include "session/session_table.h"

using namespace penstock;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kTick = SessionTable::kTick;
constexpr uint8_t kTcp = 6;

#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kSeeds = 4;  // one thread: there is nothing to find here, slowly
#else
constexpr uint64_t kSeeds = 24;
#endif

struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }
};

// ---- timer wheel

void the_wheel_against_a_sorted_list() {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Random random{seed};
    std::vector<TimerLink> links(512);
    const auto at = [&](uint32_t node) -> TimerLink& { return links[node]; };
    uint64_t now = seed % 4 == 0 ? random.next() >> 27 : random.below(5000);
    TimerWheel<decltype(at)> wheel(at, now);
    std::map<uint32_t, uint64_t> armed;
    uint64_t fresh = now;
    for (unsigned step = 0; step < 20'000; ++step) {
      const uint32_t node = random.below(512);
      if (armed.count(node) != 0) {
        if (random.below(3) == 0) {
          wheel.remove(node);
          armed.erase(node);
        }
      } else {
        const uint64_t ahead = random.next() >> (28 + random.below(36));
        const uint64_t deadline = random.below(20) == 0 ? now - std::min(now, ahead) : now + ahead;
        wheel.add(node, deadline);
        armed[node] = std::max(deadline, fresh);  // what has passed is due at the first tick not yet done
      }
      if (random.below(4) != 0) continue;
      uint64_t earliest = ~uint64_t{0};
      for (const auto& [name, deadline] : armed) earliest = std::min(earliest, deadline);
      const uint64_t next = wheel.next();
      CHECK(armed.empty() ? next == wheel.kNever : next <= std::max(earliest, now) && next >= now);
      // Forward a little, to the next event, just short of it, or far.
      switch (random.below(5)) {
        case 0:
          now += random.below(3);
          break;
        case 1:
          now = armed.empty() ? now : std::max(now, earliest);
          break;
        case 2:
          now = armed.empty() || earliest == 0 ? now : std::max(now, earliest - 1);
          break;
        case 3:
          now += random.below(100'000);
          break;
        default:
          now += random.next() >> (30 + random.below(30));
          break;
      }
      uint32_t taken[16];
      for (;;) {
        const unsigned most = 1 + random.below(16);
        const unsigned count = wheel.take(now, taken, most);
        for (unsigned i = 0; i < count; ++i) {
          CHECK_EQ(armed.count(taken[i]), 1u);
          if (armed[taken[i]] > now) {
            wheel.add(taken[i], armed[taken[i]]);
          } else {
            armed.erase(taken[i]);
          }
        }
        if (count < most) break;
      }
      fresh = now + 1;
      for (const auto& [name, deadline] : armed) CHECK(deadline > now);
      if (check::failures != 0) {
        std::fprintf(stderr, "seed %llu, step %u\n", static_cast<unsigned long long>(seed), step);
        return;
      }
    }
  }
}

// ---- index

void tags_match_as_written_down() {
  Random random{7};
  for (unsigned round = 0; round < 10'000; ++round) {
    SessionBucket bucket{};
    for (uint8_t& tag : bucket.tags) tag = static_cast<uint8_t>(random.below(4));
    bucket.overflow = static_cast<uint32_t>(random.next());
    for (unsigned tag = 0; tag < 5; ++tag) {
      CHECK_EQ(bucket.matches(static_cast<uint8_t>(tag)), bucket.matches_portable(static_cast<uint8_t>(tag)));
    }
  }
}

// Keys that fall into one bucket until the index has 65,536 of them: chains that grow, split and go away.
void chains_hold_what_one_bucket_cannot() {
  SessionSlab<2> slab(1000);
  const SessionHash hash(1, 2);
  SessionIndex<2> index(slab, hash, 1'000'000, 0);
  std::vector<uint64_t> colliding;
  for (uint64_t i = 0; colliding.size() < 100; ++i) {
    const uint64_t words[2] = {i, 5};
    if ((hash.operator()<2>(words) & 0xffff) == 0x1234) colliding.push_back(i);
  }
  const auto words_of = [&](uint32_t i) {
    uint64_t* words = slab.hot(i).keys[0];
    words[0] = colliding[i];
    words[1] = 5;
    return words;
  };
  for (uint32_t i = 0; i < 100; ++i) {
    CHECK_EQ(slab.allocate(), i);
    index.add(index.hash(words_of(i)), i);
  }
  CHECK_EQ(index.overflow_buckets(), 9u);  // 10 + 9 × 10 = 100
  const auto all_found = [&](uint32_t from, uint32_t to) {
    for (uint32_t i = 0; i < 100; ++i) {
      const uint64_t words[2] = {colliding[i], 5};
      const uint32_t expected = i >= from && i < to ? i : SessionIndex<2>::kNotFound;
      CHECK_EQ(index.find(index.hash(words), words), expected);
    }
  };
  all_found(0, 100);
  // 64 buckets for 100 entries need no split; grow() by force with entries elsewhere.
  Random random{3};
  std::vector<uint64_t> others;
  for (uint32_t slot = slab.allocate(); slot < 1000; slot = slab.allocate()) {
    uint64_t* words = slab.hot(slot).keys[0];
    words[0] = random.next();
    words[1] = 6;
    index.add(index.hash(words), slot);
    index.grow();
    others.push_back(words[0]);
    if (slot == 999) break;
  }
  CHECK(index.count() > 64);
  all_found(0, 100);
  for (uint32_t i = 0; i < 100; ++i) {
    // From both ends and the middle of the chains.
    const uint32_t slot = i * 37 % 100;
    index.remove(index.hash(slab.hot(slot).keys[0]), slot);
    slab.hot(slot).keys[0][1] = 99;
  }
  all_found(0, 0);
  for (uint32_t i = 0; i < others.size(); ++i) {
    const uint64_t words[2] = {others[i], 6};
    CHECK_EQ(index.find(index.hash(words), words), 100 + i);
  }
  for (uint32_t slot = 100; slot < 1000; ++slot) index.remove(index.hash(slab.hot(slot).keys[0]), slot);
  CHECK_EQ(index.overflow_buckets(), 0u);
}

// ---- memory

void pages_are_put_ahead_of_use_and_never_under_it() {
  constexpr size_t kPage = Region::kHugePage;
  Region region(32 * kPage);
  CHECK_EQ(reinterpret_cast<uintptr_t>(region.data()) % kPage, 0u);
  const auto resident = [&](size_t page) {
    unsigned char first = 0;
    return mincore(region.data() + page * kPage, 4096, &first) == 0 && (first & 1) != 0;
  };
  CHECK_EQ(region.populate_ahead(0, 32 * kPage), 0u);
  CHECK_EQ(region.populate_ahead(kPage / 4, 32 * kPage), 0u);  // small tables stay small
  for (size_t page = 0; page < 32; ++page) CHECK(!resident(page));
  region.data()[kPage + kPage / 2] = 1;
  if (region.populate_ahead(kPage + kPage / 2, kPage) == 0) return;  // a kernel that cannot
  // In the second half of page 1, the owner may be about to enter page 2.
  for (size_t page = 0; page < 32; ++page) CHECK_EQ(resident(page), page == 3);
  CHECK_EQ(region.populate_ahead(kPage + kPage / 2, 32 * kPage), 0u);
  CHECK(region.populate_ahead(10 * kPage, 32 * kPage) > 0);
  for (size_t page = 4; page < 11; ++page) CHECK(!resident(page));
  CHECK(resident(11) && resident(12) && !resident(16));
  CHECK(region.populate_ahead(31 * kPage + 1, 32 * kPage) == 0);
  Region first(3 * kPage);
  first.populate_first(kPage + 1);
  for (size_t i = 0; i < 3 * kPage; i += 4096) CHECK_EQ(first.data()[i], 0);
  first.populate_first(100 * kPage);
}

// ---- the whole table

SessionKey make_key(bool v6, uint32_t host, uint16_t port, uint8_t protocol, uint16_t instance,
                    uint16_t zone) {
  const uint64_t source[2] = {0xb80d'0120, host};
  const uint64_t destination[2] = {0xb80d'0120, 0x01000000};
  return v6 ? SessionKey::ipv6(source, destination, port, 53, protocol, instance, zone)
            : SessionKey::ipv4(&source[1], &destination[1], port, 53, protocol, instance, zone);
}

struct KeyHash {
  size_t operator()(const SessionKey& key) const {
    uint64_t h = key.version;
    for (uint64_t word : key.words) h = (h ^ word) * 0x9e3779b97f4a7c15 ^ h >> 29;
    return h;
  }
};

struct Model {
  SessionRef ref;
  SessionKey keys[2];
  uint32_t policy;
  uint64_t created;
  uint64_t last_used;
  uint32_t timeout;  // own, seconds
  TcpState tcp;
  uint64_t packets[2] = {};
  uint64_t bytes[2] = {};

  uint64_t due_tick() const {
    return last_used / kTick + tcp_timeout(tcp, timeout, {}) * (kSecond / kTick) + 1;
  }
};

struct Drive {
  SessionTable table;
  Random random;
  uint64_t now;
  std::unordered_map<SessionKey, std::pair<uint32_t, Wing>, KeyHash> by_key;  // → id
  std::map<uint32_t, Model> by_id;
  std::vector<SessionRef> stale;
  uint64_t trace = 0;  // of all that can be seen, for comparing runs

  void see(uint64_t value) { trace = (trace ^ value) * 0x100000001b3 + (trace >> 47); }

  // One draw a statement: compilers differ in the order of arguments.
  SessionKey any_key() {
    const bool v6 = random.below(3) == 0;
    const uint8_t protocol = random.below(2) == 0 ? kTcp : 17;
    const uint32_t host = random.below(universe);
    const uint32_t rest = random.below(8);
    return make_key(v6, host, rest & 1, protocol, rest >> 1 & 1, rest >> 2 & 1);
  }
  uint32_t universe = 400;

  void insert() {
    NewSession session;
    session.in = any_key();
    const uint32_t back = random.below(4);
    session.out = session.in.reversed(back & 1, back >> 1 & 1);
    if (random.below(3) == 0) {  // translated: to one of few, so that some clash
      session.out = make_key(session.in.version == 6, 1u << 30 | random.below(universe * 4), 9,
                             session.in.protocol(), 0, 0);
    }
    session.policy = random.below(100);
    if (session.in.protocol() == kTcp)
      session.tcp = random.below(3) == 0 ? TcpState::kEstablished : TcpState::kSynSent;
    if (random.below(4) == 0) session.timeout = 1 + random.below(200'000);
    const InsertResult result = table.insert(session, now);
    see(static_cast<uint64_t>(result.status));
    see(result.ref.id);
    see(result.ref.generation);
    const auto in = by_key.find(session.in);
    const auto out = by_key.find(session.out);
    if (in != by_key.end()) {
      CHECK(result.status == InsertStatus::kExists);
      CHECK_EQ(result.ref.id, in->second.first);
      CHECK(result.ref.wing == in->second.second);
    } else if (out != by_key.end()) {
      CHECK(result.status == InsertStatus::kConflict);
      CHECK_EQ(result.ref.id, out->second.first);
    } else if (by_id.size() >= table.limit()) {
      CHECK(result.status == InsertStatus::kLimit);
    } else {
      CHECK(result.status == InsertStatus::kInserted);
      CHECK_EQ(by_id.count(result.ref.id), 0u);
      Model model{};
      model.ref = result.ref;
      model.keys[0] = session.in;
      model.keys[1] = session.out;
      model.policy = session.policy;
      model.created = model.last_used = now;
      model.timeout = session.timeout != 0 ? session.timeout : session.in.protocol() == kTcp ? 1800 : 60;
      model.tcp = session.tcp;
      by_id[result.ref.id] = model;
      by_key[session.in] = {result.ref.id, Wing::kIn};
      by_key[session.out] = {result.ref.id, Wing::kOut};
    }
  }

  void forget(uint32_t id) {
    const Model& model = by_id.at(id);
    for (const SessionKey& key : model.keys) by_key.erase(key);
    if (stale.size() < 2000) stale.push_back(model.ref);
    by_id.erase(id);
  }

  // A burst of look-ups, and packets of what it finds.
  void packets() {
    SessionKey keys[kSessionBurst];
    SessionRef refs[kSessionBurst];
    const unsigned count = 1 + random.below(kSessionBurst);
    for (unsigned i = 0; i < count; ++i) {
      keys[i] = any_key();
      if (random.below(3) == 0) keys[i] = keys[i].reversed(0, static_cast<uint16_t>(random.below(2)));
      if (!by_id.empty() && random.below(2) == 0) {
        auto near = by_id.lower_bound(random.below(by_id.rbegin()->first + 1));
        if (near != by_id.end()) keys[i] = near->second.keys[random.below(2)];
      }
    }
    table.lookup(keys, refs, count);
    for (unsigned i = 0; i < count; ++i) {
      const auto found = by_key.find(keys[i]);
      // An earlier packet of the burst may have ended it.
      CHECK_EQ(table.live(refs[i]), found != by_key.end());
      if (found == by_key.end() || !refs[i].found()) continue;
      Model& model = by_id.at(found->second.first);
      CHECK_EQ(refs[i].id, model.ref.id);
      CHECK_EQ(refs[i].generation, model.ref.generation);
      CHECK(refs[i].wing == found->second.second);
      const unsigned wing = index_of(refs[i].wing);
      if (model.tcp != TcpState::kNone) {
        const uint8_t flags = static_cast<uint8_t>(random.below(64));
        const TcpStep step = tcp_step(model.tcp, refs[i].wing, flags);
        CHECK(table.tcp(refs[i], flags, now) == step.verdict);
        if (step.state != model.tcp) model.last_used = now;
        model.tcp = step.state;
        CHECK(table.tcp_state(refs[i]) == model.tcp);
        if (step.verdict == TcpVerdict::kReopen) {
          CHECK(table.remove(refs[i]));
          forget(refs[i].id);
          continue;
        }
        if (step.verdict != TcpVerdict::kPass) continue;
      }
      if (random.below(4) == 0) {
        CHECK(table.touch(refs[i], now));
      } else {
        const uint32_t bytes = random.below(2) == 0 ? 1500 : static_cast<uint32_t>(random.next());
        CHECK(table.account(refs[i], bytes, now));
        ++model.packets[wing];
        model.bytes[wing] += bytes;
      }
      model.last_used = now;
    }
  }

  void remove_some(unsigned count) {
    for (unsigned i = 0; i < count && !by_id.empty(); ++i) {
      auto at = by_id.lower_bound(random.below(by_id.rbegin()->first + 1));
      if (at == by_id.end()) continue;
      CHECK(table.remove(at->second.ref));
      forget(at->first);
    }
  }

  void pass_time() {
    static constexpr uint64_t kJumps[] = {1,           kTick / 3,    kTick,          kSecond,
                                          9 * kSecond, 60 * kSecond, 3600 * kSecond, 100'000 * kSecond,
                                          kSecond,     3 * kSecond,  20 * kSecond,   100'000'000 * kSecond};
    now += kJumps[random.below(random.below(8) == 0 ? 12 : 5)];
    std::set<uint32_t> due;
    for (const auto& [id, model] : by_id) {
      if (model.due_tick() <= now / kTick) due.insert(id);
    }
    if (!due.empty()) CHECK(table.next_deadline() <= now);
    const unsigned budget = 1 + random.below(100);
    while (table.expire(now, budget, [&](const SessionRef& ref, SessionEnd end) {
      see(ref.id);
      see(static_cast<uint64_t>(end));
      CHECK_EQ(due.erase(ref.id), 1u);
      CHECK_EQ(by_id.at(ref.id).ref.generation, ref.generation);
      CHECK_EQ(end == SessionEnd::kClosed, tcp_ended(by_id.at(ref.id).tcp));
      forget(ref.id);
    }) == budget) {
    }
    CHECK(due.empty());
    CHECK(table.next_deadline() > now);
    CHECK_EQ(table.next_deadline() == SessionTable::kNever, by_id.empty());
  }

  void compare() {
    CHECK_EQ(table.size(), by_id.size());
    size_t seen = 0;
    SessionInfo infos[37];
    for (uint32_t cursor = 0; cursor != kNoSession;) {
      const unsigned count = table.read(&cursor, infos, 37, now);
      for (unsigned i = 0; i < count; ++i, ++seen) {
        const SessionInfo& info = infos[i];
        const auto at = by_id.find(info.ref.id);
        CHECK(at != by_id.end());
        if (at == by_id.end()) continue;
        const Model& model = at->second;
        CHECK_EQ(info.ref.generation, model.ref.generation);
        CHECK_EQ(info.policy, model.policy);
        CHECK_EQ(info.created, model.created / kTick * kTick);
        CHECK_EQ(info.last_used, model.last_used / kTick * kTick);
        CHECK_EQ(info.timeout, tcp_timeout(model.tcp, model.timeout, {}));
        CHECK(static_cast<TcpState>(info.tcp) == model.tcp);
        for (unsigned wing = 0; wing < 2; ++wing) {
          CHECK(info.wings[wing].key == model.keys[wing]);
          CHECK_EQ(info.wings[wing].packets, model.packets[wing]);
          CHECK_EQ(info.wings[wing].bytes, model.bytes[wing]);
        }
        see(info.ref.id);
        see(info.wings[0].bytes);
      }
    }
    CHECK_EQ(seen, by_id.size());
    for (const SessionRef& ref : stale) CHECK(!table.live(ref));
  }
};

SessionTable::Options options_of(uint32_t limit, uint64_t secret, uint64_t now) {
  SessionTable::Options options;
  options.limit = limit;
  options.now = now;
  for (uint64_t& word : options.secret) word = secret++ * 0x9e3779b97f4a7c15;
  if (secret % 3 == 0) options.initial_ipv4 = 100 + static_cast<uint32_t>(secret % 100);
  return options;
}

// Returns the trace of all that could be seen.
uint64_t drive(uint64_t seed, uint64_t secret, unsigned steps) {
  Random begin{seed};
  const uint64_t now = seed % 2 == 0 ? 0 : begin.next() >> 2;
  Drive drive{SessionTable(options_of(seed % 5 == 0 ? 300 : 100'000, secret, now)), {seed}, now, {}, {}, {}};
  drive.universe = seed % 3 == 0 ? 30 : 4000;
  for (unsigned step = 0; step < steps; ++step) {
    // Growing and shrinking in turns.
    const bool growing = step / 9000 % 2 == 0;
    switch (drive.random.below(10)) {
      case 0:
        drive.packets();
        break;
      case 1:
        drive.remove_some(growing ? 1 : 8);
        break;
      case 2:
        if (drive.random.below(growing ? 200 : 8) == 0) drive.pass_time();
        break;
      default:
        drive.insert();
        break;
    }
    if (step % 3000 == 2999) drive.compare();
    if (check::failures != 0) {
      std::fprintf(stderr, "seed %llu, step %u\n", static_cast<unsigned long long>(seed), step);
      break;
    }
  }
  return drive.trace;
}

void the_table_against_a_map() {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) drive(seed, seed * 11, 36'000);
}

// Not the secret, nor where memory happens to lie, shows in any order.
void the_same_calls_give_the_same_order() {
  for (uint64_t seed : {2, 3, 5}) {
    const uint64_t first = drive(seed, 1, 20'000);
    CHECK_EQ(drive(seed, 987'654'321, 20'000), first);
    CHECK_EQ(drive(seed, 1, 20'000), first);
  }
}

void every_key_is_found_at_every_size() {
  for (uint32_t initial : {0u, 100u, 1000u}) {
    // Past the doublings of 128 and of 32,768 buckets, which must look at records.
    const uint32_t most = initial == 0 ? 180'000 : 20'000;
    SessionTable::Options options = options_of(most, 5, 0);
    options.initial_ipv4 = initial;
    SessionTable table(options);
    std::vector<SessionKey> keys;
    for (uint32_t i = 0; i < most; ++i) {
      NewSession session;
      session.in = make_key(false, i, 1, 17, 0, 0);
      session.out = session.in.reversed(1, 1);
      CHECK(table.insert(session, 0).status == InsertStatus::kInserted);
      keys.push_back(i % 2 == 0 ? session.in : session.out);
      if (i % (most / 20 + 1) != 0 && i + 1 != most) continue;
      SessionRef refs[kSessionBurst];
      for (uint32_t from = 0; from <= i; from += kSessionBurst) {
        const unsigned count = std::min(kSessionBurst, i + 1 - from);
        table.lookup(&keys[from], refs, count);
        for (unsigned j = 0; j < count; ++j) CHECK_EQ(refs[j].id, from + j);
      }
    }
    if (initial == 0) CHECK(table.statistics().ipv4_bytes <= uint64_t{128} * most);
  }
}

// ---- another thread reads, and puts pages in place, while the worker runs on

void pages_are_read_while_the_worker_runs() {
  constexpr uint32_t kHosts = 50'000;
  SessionTable table(options_of(kHosts, 3, 0));
  std::atomic<bool> done{false};
  std::atomic<uint64_t> clock{0};
  uint64_t read = 0, broken = 0;
  std::thread reader([&] {
    SessionInfo infos[64];
    uint64_t laps = 0;
    while (!done.load(std::memory_order_acquire) || laps < 3) {
      ++laps;
      table.populate(uint64_t{16} << 20);
      for (uint32_t cursor = 0; cursor != kNoSession;) {
        const unsigned count = table.read(&cursor, infos, 64, clock.load(std::memory_order_relaxed));
        for (unsigned i = 0; i < count; ++i) {
          // Of one life: the fields of two sessions would not agree.
          const SessionInfo& info = infos[i];
          const uint32_t policy = info.policy;
          const SessionKey expected =
              make_key(policy % 2 == 1, policy, static_cast<uint16_t>(policy), 17, 3, 4);
          broken += !(info.wings[0].key == expected && info.wings[1].key == expected.reversed(5, 6));
          broken += info.wings[0].bytes % 1000 != 0 || info.wings[1].bytes != 0;
          ++read;
        }
        SessionInfo again;
        if (count != 0) table.get_from_anywhere(infos[0].ref, &again, 0);
      }
      table.statistics();
    }
  });
  Random random{1};
  std::vector<SessionRef> refs;
  uint64_t now = 0;
  for (unsigned step = 0; step < 300'000; ++step) {
    const uint32_t policy = random.below(1u << 24);
    NewSession session;
    session.in = make_key(policy % 2 == 1, policy, static_cast<uint16_t>(policy), 17, 3, 4);
    session.out = session.in.reversed(5, 6);
    session.policy = policy;
    const InsertResult result = table.insert(session, now);
    if (result.status == InsertStatus::kInserted) refs.push_back(result.ref);
    if (!refs.empty()) table.account(refs[random.below(static_cast<uint32_t>(refs.size()))], 1000, now);
    if (refs.size() > 1000 && step / 40'000 % 2 == 1) {
      for (unsigned i = 0; i < 2; ++i) {
        std::swap(refs[random.below(static_cast<uint32_t>(refs.size()))], refs.back());
        table.remove(refs.back());
        refs.pop_back();
      }
    }
    now += 100'000;
    clock.store(now, std::memory_order_relaxed);
    if (step % 64 == 0) table.expire(now, 64, [](const SessionRef&, SessionEnd) {});
  }
  done.store(true, std::memory_order_release);
  reader.join();
  CHECK_EQ(broken, 0u);
  CHECK(read > 0);
}

// Two slots, used again at once and all the time: a reader must never see halves of two sessions.
void no_reader_sees_two_sessions_in_one() {
  SessionTable table(options_of(2, 3, 0));
  std::atomic<bool> done{false};
  uint64_t broken = 0;
  std::thread reader([&] {
    while (!done.load(std::memory_order_acquire)) {
      SessionInfo info;
      for (uint32_t cursor = 0; cursor != kNoSession;) {
        if (table.read(&cursor, &info, 1, 0) == 0) continue;
        const uint32_t policy = info.policy;
        broken += info.wings[0].key != make_key(false, policy, static_cast<uint16_t>(policy), 17, 1, 1) ||
                  info.wings[1].key != info.wings[0].key.reversed(2, 2) || info.wings[0].tunnel != policy;
      }
    }
  });
  SessionRef refs[2];
  for (uint32_t policy = 0; policy < 500'000; ++policy) {
    if (policy >= 2) table.remove(refs[policy % 2]);
    NewSession session;
    session.in = make_key(false, policy, static_cast<uint16_t>(policy), 17, 1, 1);
    session.out = session.in.reversed(2, 2);
    session.policy = session.tunnel[0] = policy;
    refs[policy % 2] = table.insert(session, 0).ref;
  }
  done.store(true, std::memory_order_release);
  reader.join();
  CHECK_EQ(broken, 0u);
}

void no_reader_sees_a_counter_go_back() {
  SessionTable table(options_of(2, 3, 0));
  NewSession session;
  session.in = make_key(false, 1, 1, 17, 1, 1);
  session.out = session.in.reversed(2, 2);
  const SessionRef ref = table.insert(session, 0).ref;
  std::atomic<bool> done{false};
  uint64_t back = 0, last_packets = 0, last_bytes = 0;
  constexpr uint64_t kPackets = 3'000'000;
  constexpr uint32_t kBytes = 1u << 29;
  std::thread reader([&] {
    SessionInfo info;
    while (!done.load(std::memory_order_acquire)) {
      if (!table.get_from_anywhere(ref, &info, 0)) continue;
      back += info.wings[0].packets < last_packets || info.wings[0].bytes < last_bytes ||
              info.wings[0].packets > kPackets || info.wings[0].bytes > kPackets * kBytes;
      last_packets = info.wings[0].packets;
      last_bytes = info.wings[0].bytes;
    }
  });
  for (uint64_t i = 0; i < kPackets; ++i) table.account(ref, kBytes, 0);
  done.store(true, std::memory_order_release);
  reader.join();
  CHECK_EQ(back, 0u);
}

}  // namespace

int main() {
  RUN(the_wheel_against_a_sorted_list);
  RUN(tags_match_as_written_down);
  RUN(chains_hold_what_one_bucket_cannot);
  RUN(pages_are_put_ahead_of_use_and_never_under_it);
  RUN(the_table_against_a_map);
  RUN(the_same_calls_give_the_same_order);
  RUN(every_key_is_found_at_every_size);
  RUN(pages_are_read_while_the_worker_runs);
  RUN(no_reader_sees_two_sessions_in_one);
  RUN(no_reader_sees_a_counter_go_back);
  FINISH();
}
