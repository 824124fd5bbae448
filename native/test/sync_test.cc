// Records of sessions, and two workers' tables kept equal by them.
#include <cstdio>
#include <random>
#include <set>
#include <vector>

#include "check.h"
#include "sync/session_sync.h"

namespace penstock {
namespace {

using sync::Mark;
using sync::Record;
using sync::RecordKind;

constexpr uint64_t kSecond = 1'000'000'000;

// The same names with other numbers.
SyncTable names(uint32_t shift) {
  SyncTable table;
  std::vector<TagMap::Name> instances, zones, tunnels, policies;
  for (uint32_t i = 0; i < 8; ++i) {
    instances.push_back({1000 + i, (i + shift) % 8});
    zones.push_back({0x80000 + i, 1 + (i + shift) % 8});
    tunnels.push_back({0xabcd0000 + i, (i + shift) % 8, i});
    policies.push_back({0x7000 + i, 1 + (i + shift) % 8});
  }
  table.instances = TagMap(instances);
  table.zones = TagMap(zones);
  table.tunnels = TagMap(tunnels);
  table.policies = TagMap(policies);
  return table;
}

SessionKey key(uint32_t i, bool v6) {
  const uint64_t source[2] = {0x20010db8ull, i * 0x9e3779b97f4a7c15ull};
  const uint64_t destination[2] = {i * 0xff51afd7ed558ccdull, 0x20010db8ull};
  const auto port = static_cast<uint16_t>(1024 + i);
  const uint8_t protocol = i % 3 == 0 ? 17 : 6;
  return v6 ? SessionKey::ipv6(source, destination, port, 443, protocol, i % 8, 1 + i % 8)
            : SessionKey::ipv4(&source[1], destination, port, 443, protocol, i % 8, 1 + i % 8);
}

NewSession session(uint32_t i, bool v6) {
  NewSession made;
  made.in = key(i, v6);
  made.out = made.in.reversed((i + 1) % 8, i % 9);
  if (i % 5 == 0) {
    made.out = v6 ? SessionKey::ipv6(made.in.destination(), made.in.source(), 443,
                                     static_cast<uint16_t>(7 + i), made.in.protocol(), (i + 1) % 8, i % 9)
                  : SessionKey::ipv4(made.in.destination(), made.in.destination(), 443,
                                     static_cast<uint16_t>(7 + i), made.in.protocol(), (i + 1) % 8, i % 9);
  }
  made.policy = i % 9;
  made.tcp = i % 3 == 0 ? TcpState::kNone : TcpState::kSynSent;
  if (i % 4 == 1) made.tunnel[0] = i % 8;
  if (i % 4 >= 2) made.tunnel[1] = (i + 3) % 8;
  return made;
}

SessionTable::Options options(uint32_t limit = 100'000) {
  SessionTable::Options out;
  out.limit = limit;
  out.now = kSecond;
  return out;
}

void records() {
  const SyncTable a = names(0);
  const SyncTable b = names(3);
  SessionTable table(options());
  for (uint32_t i = 0; i < 200; ++i) {
    const NewSession made = session(i, i % 2 == 1);
    const InsertResult inserted = table.insert(made, 10 * kSecond);
    CHECK(inserted.status == InsertStatus::kInserted);
    SessionInfo info;
    CHECK(table.get_from_anywhere(inserted.ref, &info, 10 * kSecond));
    uint8_t bytes[sync::kMostRecordBytes + 8];
    const size_t length = sync::write_put(info, i % 8, 77, a, bytes);
    CHECK(length > 0 && length <= sync::kMostRecordBytes);
    CHECK(sync::record_length(bytes, sizeof bytes) == length);
    for (size_t cut = 0; cut < length; ++cut) CHECK(sync::record_length(bytes, cut) == 0);
    Record record;
    CHECK(sync::read_record(bytes, length, a, record) == sync::ReadStatus::kRead);
    CHECK(record.in == made.in && record.out == made.out);
    CHECK(record.policy == made.policy && record.tcp == made.tcp && record.moved == i % 8);
    CHECK(record.tunnel[0] == made.tunnel[0] && record.tunnel[1] == made.tunnel[1]);
    CHECK(record.timeout == (made.in.protocol() == 6 ? 1800 : 60) && record.age == 77);
    // the same names have other numbers at the other node
    CHECK(sync::read_record(bytes, length, b, record) == sync::ReadStatus::kRead);
    CHECK(record.in.routing_instance() == (made.in.routing_instance() + 3) % 8);
    CHECK(record.in.zone() == 1 + (made.in.zone() - 1 + 3) % 8);
    CHECK(sync::read_record(bytes, length, SyncTable{}, record) == sync::ReadStatus::kUnknownName);
    const size_t end = sync::write_end(RecordKind::kClose, made.in, a, bytes);
    CHECK(end == (made.in.version == 4 ? 19 : 43));
    CHECK(sync::read_record(bytes, end, a, record) == sync::ReadStatus::kRead);
    CHECK(record.kind == RecordKind::kClose && record.in == made.in);
  }
}

struct End {
  explicit End(uint32_t shift, uint32_t limit = 100'000)
      : names_of(names(shift)), table(options(limit)), sync(table) {}

  void turn(uint64_t now) {
    sync.begin_turn(&names_of);
    sync.poll(now);
  }

  SyncTable names_of;
  SessionTable table;
  SessionSync sync;
  uint64_t digest = 0;
  uint64_t digests = 0;
};

// What `from` has said goes to `to`.
void carry(End& from, End& to) {
  uint8_t bytes[4096];
  const size_t there = from.sync.out().peek(bytes, sizeof bytes);
  size_t at = 0;
  while (const size_t length = sync::record_length(bytes + at, there - at)) {
    Record record;
    if (!to.sync.has_room(1)) break;
    CHECK(sync::read_record(bytes + at, length, to.names_of, record) == sync::ReadStatus::kRead);
    if (record.kind == RecordKind::kMark && record.mark == Mark::kDigest) {
      to.digest = record.value;
      ++to.digests;
    }
    to.sync.put_in(record);
    at += length;
  }
  from.sync.out().take(at);
}

void settle(End& a, End& b, uint64_t now) {
  for (int quiet = 0; quiet < 3;) {
    a.turn(now);
    b.turn(now);
    carry(a, b);
    carry(b, a);
    const bool busy = a.sync.busy() || b.sync.busy() || !a.sync.out().empty() || !b.sync.out().empty();
    quiet = busy ? 0 : quiet + 1;
  }
}

// Both hold the same sessions, in each node's own numbers, and the digests say so.
void expect_equal(End& a, End& b, uint64_t now) {
  CHECK(a.table.size() == b.table.size());
  uint32_t cursor = 0;
  while (cursor != kNoSession) {
    SessionInfo infos[64];
    const unsigned count = a.table.read(&cursor, infos, 64, now);
    for (unsigned i = 0; i < count; ++i) {
      uint8_t bytes[sync::kMostRecordBytes];
      const size_t length = sync::write_put(infos[i], 0, 0, a.names_of, bytes);
      Record record;
      CHECK(sync::read_record(bytes, length, b.names_of, record) == sync::ReadStatus::kRead);
      const SessionRef there = b.table.find(record.in);
      CHECK(there.found());
      CHECK(b.table.tcp_state(there) == record.tcp);
      CHECK(b.table.policy(there) == record.policy);
      SessionKey out;
      CHECK(b.table.key(there, Wing::kOut, &out) && out == record.out);
    }
  }
  const uint64_t before = b.sync.checks();
  a.sync.ask_digest();
  settle(a, b, now);
  CHECK(b.sync.checks() == before + 1);
  CHECK(b.sync.checked_sum() == b.digest);
}

void cold_and_live() {
  std::mt19937 random(7);
  End a(0), b(3);
  uint64_t now = 2 * kSecond;
  std::vector<uint32_t> live;
  uint32_t next = 0;
  const auto add = [&] {
    CHECK(a.table.insert(session(next, next % 2 == 1), now).status == InsertStatus::kInserted);
    live.push_back(next++);
  };
  for (int i = 0; i < 5000; ++i) add();
  a.sync.start(false);
  b.sync.start(false);
  // while the cold sync runs, sessions come, change and go
  for (int i = 0; i < 20'000; ++i) {
    a.turn(now);
    b.turn(now);
    carry(a, b);
    carry(b, a);
    now += 100'000;
    const unsigned what = random() % 4;
    const unsigned which = random() % live.size();
    const SessionRef ref = a.table.find(key(live[which], live[which] % 2 == 1));
    if (what == 0 && next < 20'000) add();
    if (what == 1 && a.table.tcp_state(ref) == TcpState::kSynSent) {
      a.table.set_tcp_state(ref, TcpState::kEstablished, now);
    }
    if (what == 2 && live.size() > 100) {
      a.table.remove(ref);
      live[which] = live.back();
      live.pop_back();
    }
  }
  settle(a, b, now);
  CHECK(a.table.size() == live.size());
  expect_equal(a, b, now);
  uint32_t cursor = 0;
  SessionInfo infos[64];
  b.table.read(&cursor, infos, 64, now);
  CHECK(infos[0].ha == HaState::kWarm && infos[0].wings[0].ha == HaState::kWarm);

  // b takes a wing, a's goes Warm; b's end closes it at a
  const SessionRef mine = b.table.find(infos[5].wings[0].key);
  b.table.set_ha(mine, HaState::kActive, HaState::kActive, HaState::kActive, now);
  b.sync.begin_turn(&b.names_of);
  b.sync.moved(mine, Wing::kIn, false, now);
  b.sync.moved(mine, Wing::kOut, false, now);
  const uint32_t before = a.table.size();
  settle(a, b, now);
  b.table.remove(mine);
  settle(a, b, now);
  CHECK(a.table.size() == before - 1);
  expect_equal(a, b, now);
  expect_equal(b, a, now);

  // a restarts empty: all that b has comes back, Warm copies too
  End reborn(5);
  reborn.sync.start(false);
  b.sync.start(true);
  settle(reborn, b, now);
  expect_equal(b, reborn, now);
}

// A copy that the peer does not know any more goes with the next connection.
void stale_copies_go() {
  End a(0), b(3);
  const uint64_t now = 2 * kSecond;
  for (uint32_t i = 0; i < 1000; ++i) a.table.insert(session(i, false), now);
  a.sync.start(false);
  b.sync.start(false);
  settle(a, b, now);
  CHECK(b.table.size() == 1000);
  a.sync.stop();
  a.turn(now);
  for (uint32_t i = 0; i < 400; ++i) CHECK(a.table.remove(a.table.find(key(i, false))));
  settle(a, b, now);
  CHECK(b.table.size() == 1000);
  a.sync.start(false);
  b.sync.start(false);
  settle(a, b, now);
  CHECK(b.table.size() == 600);
  CHECK(b.sync.counts().swept == 400);
  expect_equal(a, b, now);
}

// A ring that nobody empties holds nobody up, and everything is said again once it is.
void overflow() {
  End a(0), b(3);
  const uint64_t now = 2 * kSecond;
  a.sync.start(false);
  b.sync.start(false);
  settle(a, b, now);
  a.sync.begin_turn(&a.names_of);
  // 4 MiB of records of 36 bytes and more
  uint32_t next = 0;
  while (!a.sync.overflowed() && next < 99'000) {
    for (int i = 0; i < 64; ++i, ++next) {
      a.table.insert(session(next, false), now);
      const SessionRef ref = a.table.find(key(next, false));
      if (a.table.tcp_state(ref) == TcpState::kSynSent)
        a.table.set_tcp_state(ref, TcpState::kEstablished, now);
    }
  }
  CHECK(a.sync.overflowed());
  CHECK(a.sync.counts().overflows == 1);
  a.table.remove(a.table.find(key(1, false)));
  a.sync.start(false);
  settle(a, b, now);
  CHECK(!a.sync.overflowed());
  expect_equal(a, b, now);
}

void hostile() {
  std::mt19937 random(11);
  const SyncTable known = names(0);
  for (int i = 0; i < 200'000; ++i) {
    uint8_t bytes[sync::kMostRecordBytes];
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    if (i % 2 == 0) {
      bytes[0] &= 0xf3;
      const uint32_t tags = (1000 + random() % 8) << 12 | 0x800;
      for (const size_t at : {size_t{6}, size_t{19}}) {
        bytes[at] = static_cast<uint8_t>(tags >> 24);
        bytes[at + 1] = static_cast<uint8_t>(tags >> 16);
        bytes[at + 2] = static_cast<uint8_t>(tags >> 8);
        bytes[at + 3] = 0;
        bytes[at + 4] = random() % 8;
      }
    }
    const size_t size = random() % sizeof bytes;
    const size_t length = sync::record_length(bytes, size);
    CHECK(length <= size);
    Record record;
    if (length > 0) sync::read_record(bytes, length, known, record);
  }
}

}  // namespace
}  // namespace penstock

int main() {
  using namespace penstock;
  RUN(records);
  RUN(cold_and_live);
  RUN(stale_copies_go);
  RUN(overflow);
  RUN(hostile);
  FINISH();
}
