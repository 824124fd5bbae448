// The session table's edges, one by one. session_model_test.cc drives it at random against an oracle.
#include <algorithm>
#include <vector>

#include "check.h"
#include "session/session_table.h"

using namespace penstock;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kTick = SessionTable::kTick;
constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

SessionTable::Options options_of(uint32_t limit) {
  SessionTable::Options options;
  options.limit = limit;
  options.secret[0] = 0x0123456789abcdef;
  options.secret[3] = 0xfedcba9876543210;
  return options;
}

SessionKey key4(uint32_t host, uint16_t port, uint8_t protocol = kUdp, uint16_t instance = 0,
                uint16_t zone = 1) {
  const uint8_t source[4] = {10, static_cast<uint8_t>(host >> 16), static_cast<uint8_t>(host >> 8),
                             static_cast<uint8_t>(host)};
  const uint8_t destination[4] = {192, 0, 2, 1};
  return SessionKey::ipv4(source, destination, port, 443, protocol, instance, zone);
}

SessionKey key6(uint32_t host, uint16_t port, uint8_t protocol = kUdp, uint16_t instance = 0,
                uint16_t zone = 1) {
  uint8_t source[16] = {0x20, 0x01, 0x0d, 0xb8};
  uint8_t destination[16] = {0x20, 0x01, 0x0d, 0xb8, 0xff};
  for (unsigned i = 0; i < 4; ++i) source[12 + i] = static_cast<uint8_t>(host >> (24 - 8 * i));
  destination[15] = 1;
  return SessionKey::ipv6(source, destination, port, 443, protocol, instance, zone);
}

NewSession session_of(const SessionKey& in, uint16_t instance = 7, uint16_t zone = 8) {
  NewSession session;
  session.in = in;
  session.out = in.reversed(instance, zone);
  return session;
}

SessionRef insert(SessionTable& table, const SessionKey& in, uint64_t now = kSecond) {
  const InsertResult result = table.insert(session_of(in), now);
  CHECK(result.status == InsertStatus::kInserted);
  return result.ref;
}

unsigned expire_all(SessionTable& table, uint64_t now, unsigned* closed = nullptr) {
  unsigned ended = 0;
  const auto count = [&](const SessionRef&, SessionEnd end) {
    ++ended;
    if (closed != nullptr && end == SessionEnd::kClosed) ++*closed;
  };
  while (table.expire(now, 64, count) == 64) {
  }
  return ended;
}

// What another table had: keys, state and counters to the last bit, and the time that it was idle for.
void a_session_changes_its_table() {
  for (const bool v6 : {false, true}) {
    SessionTable from(options_of(100));
    SessionTable to(options_of(100));
    NewSession session = session_of(v6 ? key6(7, 99, kTcp) : key4(7, 99, kTcp));
    session.policy = 5;
    session.tcp = TcpState::kEstablished;
    session.tunnel[1] = 3;
    session.timeout = 1000;
    SessionRef ref = from.insert(session, 10 * kSecond).ref;
    for (uint32_t i = 0; i < 70'000; ++i) from.account(ref, 0xffff0, 20 * kSecond);
    ref.wing = Wing::kOut;
    for (uint32_t i = 0; i < 3; ++i) from.account(ref, 1, 20 * kSecond);
    SessionInfo before;
    CHECK(from.get_from_anywhere(ref, &before, 60 * kSecond));
    CHECK(to.adopt(before, 60 * kSecond));
    CHECK(!to.adopt(before, 60 * kSecond));
    SessionInfo after;
    const SessionRef found = to.find(session.out);
    CHECK(found.found() && found.wing == Wing::kOut);
    CHECK(to.get_from_anywhere(found, &after, 60 * kSecond));
    for (unsigned wing = 0; wing < 2; ++wing) {
      CHECK(after.wings[wing].key == before.wings[wing].key);
      CHECK_EQ(after.wings[wing].packets, before.wings[wing].packets);
      CHECK_EQ(after.wings[wing].bytes, before.wings[wing].bytes);
      CHECK_EQ(after.wings[wing].tunnel, before.wings[wing].tunnel);
    }
    CHECK_EQ(after.wings[0].packets, 70'000u);
    CHECK_EQ(after.wings[0].bytes, uint64_t{0xffff0} * 70'000);
    CHECK_EQ(after.policy, 5u);
    CHECK_EQ(after.tcp, before.tcp);
    CHECK_EQ(after.created, before.created);
    CHECK_EQ(after.last_used, before.last_used);
    CHECK_EQ(after.timeout_left, before.timeout_left);
    // It ends when it would have ended there, and its counters go on.
    to.account(found, 1, 60 * kSecond);
    CHECK(to.get_from_anywhere(found, &after, 60 * kSecond));
    CHECK_EQ(after.wings[1].packets, 4u);
    CHECK_EQ(expire_all(to, 1059 * kSecond), 0u);
    CHECK_EQ(expire_all(to, 1061 * kSecond), 1u);
    SessionTable late(options_of(100));
    CHECK(late.adopt(before, 5000 * kSecond));
    CHECK_EQ(expire_all(late, 5001 * kSecond), 1u);
  }
}

void a_key_keeps_its_fields() {
  const uint8_t from[4] = {1, 2, 3, 4}, to[4] = {5, 6, 7, 8};
  const SessionKey v4 = SessionKey::ipv4(from, to, 0x1234, 0xfedc, 0xa5, 4095, 4094);
  CHECK_EQ(v4.source_port(), 0x1234);
  CHECK_EQ(v4.destination_port(), 0xfedc);
  CHECK_EQ(v4.protocol(), 0xa5);
  CHECK_EQ(v4.routing_instance(), 4095);
  CHECK_EQ(v4.zone(), 4094);
  CHECK(std::memcmp(v4.source(), from, 4) == 0 && std::memcmp(v4.destination(), to, 4) == 0);
  const SessionKey back = v4.reversed(1, 2);
  CHECK_EQ(back.source_port(), 0xfedc);
  CHECK_EQ(back.routing_instance(), 1);
  CHECK_EQ(back.zone(), 2);
  CHECK(std::memcmp(back.source(), to, 4) == 0 && std::memcmp(back.destination(), from, 4) == 0);
  CHECK(back.reversed(4095, 4094) == v4);
  const SessionKey v6 = key6(0x01020304, 9, kTcp, 5, 6);
  CHECK(v6.reversed(1, 1).reversed(5, 6) == v6);
  CHECK(std::memcmp(v6.reversed(1, 1).source(), v6.destination(), 16) == 0);
}

template <typename Make>
void both_wings(Make make) {
  SessionTable table(options_of(100));
  const SessionKey in = make(1, 1000, kUdp, 0, 1);
  const SessionRef ref = insert(table, in);
  const SessionKey keys[3] = {in.reversed(7, 8), in, in.reversed(7, 9)};
  SessionRef found[3];
  table.lookup(keys, found, 3);
  CHECK_EQ(found[0].id, ref.id);
  CHECK_EQ(found[1].id, ref.id);
  CHECK(found[0].wing == Wing::kOut && found[1].wing == Wing::kIn);
  CHECK(!found[2].found());
  CHECK(table.find(in).generation == ref.generation);
  SessionKey own;
  CHECK(table.key(ref, Wing::kOut, &own) && own == keys[0]);
  CHECK(table.remove(ref));
  CHECK(!table.remove(ref));
  table.lookup(keys, found, 3);
  CHECK(!found[0].found() && !found[1].found());
  CHECK_EQ(table.size(), 0u);
}
void both_wings_are_found_ipv4() {
  both_wings(key4);
}
void both_wings_are_found_ipv6() {
  both_wings(key6);
}

void a_burst_may_mix_families_hits_and_misses() {
  SessionTable table(options_of(1000));
  std::vector<SessionRef> refs;
  for (uint32_t i = 0; i < 32; ++i) refs.push_back(insert(table, i % 3 == 0 ? key6(i, 5) : key4(i, 5)));
  SessionKey keys[kSessionBurst];
  SessionRef found[kSessionBurst];
  for (uint32_t i = 0; i < kSessionBurst; ++i) {
    const uint32_t host = i * 7 % kSessionBurst;  // half of them were never set up
    keys[i] = host % 3 == 0 ? key6(host, 5) : key4(host, 5);
    if (i % 2 == 1) keys[i] = keys[i].reversed(7, 8);
  }
  for (unsigned count : {0u, 1u, 2u, 63u, 64u}) {
    table.lookup(keys, found, count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t host = i * 7 % kSessionBurst;
      CHECK_EQ(found[i].found(), host < 32);
      if (host >= 32) continue;
      CHECK_EQ(found[i].id, refs[host].id);
      CHECK(found[i].wing == (i % 2 == 1 ? Wing::kOut : Wing::kIn));
    }
  }
}

void translated_answers_find_their_session() {
  SessionTable table(options_of(100));
  const uint8_t client[4] = {10, 0, 0, 1}, server[4] = {198, 51, 100, 1}, pool[4] = {203, 0, 113, 5};
  NewSession session;
  session.in = SessionKey::ipv4(client, server, 1000, 443, kTcp, 1, 2);
  session.out = SessionKey::ipv4(server, pool, 443, 40000, kTcp, 3, 4);
  const SessionRef ref = table.insert(session, kSecond).ref;
  const SessionRef answer = table.find(session.out);
  CHECK_EQ(answer.id, ref.id);
  CHECK(answer.wing == Wing::kOut);
  CHECK(!table.find(session.in.reversed(3, 4)).found());
  const SessionTranslation leaving = translation(session.in, session.out);
  CHECK(leaving.changed);
  CHECK(std::memcmp(leaving.source, pool, 4) == 0 && std::memcmp(leaving.destination, server, 4) == 0);
  CHECK_EQ(leaving.source_port, 40000);
  CHECK_EQ(leaving.destination_port, 443);
  const SessionTranslation answered = translation(session.out, session.in);
  CHECK(answered.changed && std::memcmp(answered.destination, client, 4) == 0);
  CHECK_EQ(answered.destination_port, 1000);
  CHECK(!translation(key6(1, 1), key6(1, 1).reversed(5, 5)).changed);

  // Two clients behind one translated address and port: the second is refused whole.
  NewSession clash = session;
  clash.in = key4(9, 9);
  const InsertResult result = table.insert(clash, kSecond);
  CHECK(result.status == InsertStatus::kConflict);
  CHECK_EQ(result.ref.id, ref.id);
  CHECK(!table.find(clash.in).found());
  CHECK_EQ(table.size(), 1u);
}

void instance_and_zone_are_part_of_the_key() {
  SessionTable table(options_of(100));
  const SessionRef a = table.insert(session_of(key4(1, 1, kTcp, 1, 1), 7, 8), kSecond).ref;
  const SessionRef b = table.insert(session_of(key4(1, 1, kTcp, 2, 1), 7, 9), kSecond).ref;
  const SessionRef c = table.insert(session_of(key4(1, 1, kTcp, 1, 2), 8, 8), kSecond).ref;
  CHECK_EQ(table.size(), 3u);
  CHECK_EQ(table.find(key4(1, 1, kTcp, 1, 1)).id, a.id);
  CHECK_EQ(table.find(key4(1, 1, kTcp, 2, 1)).id, b.id);
  CHECK_EQ(table.find(key4(1, 1, kTcp, 1, 2)).id, c.id);
  CHECK_EQ(table.find(key4(1, 1, kTcp).reversed(7, 9)).id, b.id);
  CHECK(!table.find(key4(1, 1, kTcp, 2, 2)).found());
  CHECK(!table.find(key4(1, 1, kUdp, 1, 1)).found());
}

void what_is_there_already_is_named() {
  SessionTable table(options_of(100));
  const SessionKey in = key4(1, 1);
  const SessionRef ref = insert(table, in);
  InsertResult again = table.insert(session_of(in, 9, 9), kSecond);
  CHECK(again.status == InsertStatus::kExists && again.ref.id == ref.id && again.ref.wing == Wing::kIn);
  CHECK(!table.find(in.reversed(9, 9)).found());
  again = table.insert(session_of(in.reversed(7, 8), 9, 9), kSecond);
  CHECK(again.status == InsertStatus::kExists && again.ref.id == ref.id && again.ref.wing == Wing::kOut);
  NewSession same = session_of(key4(2, 2));
  same.out = same.in;
  CHECK(table.insert(same, kSecond).status == InsertStatus::kConflict);
  CHECK(!table.find(same.in).found());
  NewSession mixed = session_of(key4(3, 3));
  mixed.out = key6(3, 3);
  CHECK(table.insert(mixed, kSecond).status == InsertStatus::kConflict);
  CHECK_EQ(table.size(), 1u);
  // Refused slots are used by the next session.
  CHECK_EQ(insert(table, key4(4, 4)).id, ref.id + 1);
}

void the_limit_counts_both_families() {
  SessionTable table(options_of(10));
  std::vector<SessionRef> refs;
  for (uint32_t i = 0; i < 10; ++i) refs.push_back(insert(table, i % 2 == 0 ? key4(i, 1) : key6(i, 1)));
  CHECK(table.insert(session_of(key4(99, 1)), kSecond).status == InsertStatus::kLimit);
  CHECK(table.insert(session_of(key6(99, 1)), kSecond).status == InsertStatus::kLimit);
  CHECK(table.insert(session_of(key4(0, 1)), kSecond).status == InsertStatus::kExists);
  CHECK(!table.find(key4(99, 1)).found());
  CHECK(table.remove(refs[1]));
  insert(table, key4(99, 1));
  CHECK(table.insert(session_of(key4(98, 1)), kSecond).status == InsertStatus::kLimit);
  table.set_limit(5);
  CHECK(table.remove(refs[2]));
  CHECK(table.insert(session_of(key4(98, 1)), kSecond).status == InsertStatus::kLimit);
  table.set_limit(1000);
  CHECK_EQ(table.limit(), 10u);
  insert(table, key4(98, 1));
  CHECK_EQ(table.size(), 10u);
}

void a_stale_handle_never_resolves() {
  SessionTable table(options_of(4));
  std::vector<SessionRef> gone;
  for (uint32_t i = 0; i < 1000; ++i) {
    const SessionRef ref = insert(table, key4(i, 1));
    if (!gone.empty()) CHECK_EQ(ref.id, gone[0].id);  // the slot is used again
    for (const SessionRef& old : gone) {
      if (table.live(old)) CHECK(false);
    }
    CHECK(table.live(ref));
    gone.push_back(ref);
    table.remove(ref);
  }
  const SessionRef freed = insert(table, key4(8, 8));
  const SessionRef ref = insert(table, key4(1, 2));
  table.remove(freed);
  SessionInfo info;
  SessionKey key;
  for (const SessionRef& old :
       {gone.back(), gone.front(), SessionRef{}, SessionRef{ref.id, 0, Wing::kIn},
        SessionRef{3, 0, Wing::kIn}, SessionRef{freed.id, freed.generation + 1, Wing::kIn},
        SessionRef{ref.id | 0x80000000, 1, Wing::kIn}}) {
    CHECK(!table.account(old, 1, kSecond) && !table.touch(old, kSecond) && !table.remove(old));
    CHECK(!table.key(old, Wing::kIn, &key) && !table.get_from_anywhere(old, &info, kSecond));
    CHECK(table.tcp(old, kTcpAck, kSecond) == TcpVerdict::kOutOfState);
    CHECK(table.tcp(old, kTcpSyn, kSecond) == TcpVerdict::kReopen);
    table.set_policy(old, 5);
    table.set_tunnel(old, Wing::kIn, 5);
    table.set_ha(old, HaState::kWarm, HaState::kWarm, HaState::kWarm, 0);
    table.set_tcp_state(old, TcpState::kReset, kSecond);
    table.set_next_hop(old, Wing::kIn, 5, 0);
  }
  CHECK(table.get_from_anywhere(ref, &info, kSecond));
  CHECK_EQ(info.policy, 0u);
  CHECK(info.ha == HaState::kActive && info.wings[0].tunnel == kNoTunnel &&
        info.wings[0].next_hop == kNoNextHop);
  CHECK_EQ(info.wings[0].packets + info.wings[1].packets, 0u);
}

void counters_carry() {
  SessionTable table(options_of(4));
  SessionRef in = insert(table, key4(1, 1));
  SessionRef out = table.find(key4(1, 1).reversed(7, 8));
  for (unsigned i = 0; i < 70'000; ++i) table.account(in, 0xffffffff, kSecond);
  for (unsigned i = 0; i < 65'536; ++i) table.account(out, 65'536, kSecond);
  SessionInfo info;
  CHECK(table.get_from_anywhere(in, &info, kSecond));
  CHECK_EQ(info.wings[0].packets, 70'000u);
  CHECK_EQ(info.wings[0].bytes, 70'000ull * 0xffffffff);
  CHECK_EQ(info.wings[1].packets, 65'536u);
  CHECK_EQ(info.wings[1].bytes, 1ull << 32);
  for (unsigned i = 0; i < (1u << 24); ++i) table.account(out, 1, kSecond);
  CHECK(table.get_from_anywhere(in, &info, kSecond));
  CHECK_EQ(info.wings[1].packets, 65'536u + (1u << 24));
  // The next session of the slot begins at nought.
  table.remove(in);
  in = insert(table, key4(1, 1));
  CHECK(table.get_from_anywhere(in, &info, kSecond));
  CHECK_EQ(info.wings[0].bytes + info.wings[1].bytes + info.wings[0].packets + info.wings[1].packets, 0u);
}

// A reader that comes between the low part and its carry, which two threads hardly ever show.
void a_carry_on_its_way_is_seen() {
  for (uint64_t high : {0ull, 1ull, 2ull, 0x1234567ull, (1ull << 25) - 1, (1ull << 26) - 2}) {
    const uint64_t word = session_carry::add_bytes(session_carry::fresh(1, 0xfffff), high);
    const uint64_t carried = session_carry::add_bytes(word, 1);
    const uint32_t half = high % 2 == 0 ? 0 : 0x80000000;
    CHECK_EQ(session_carry::bytes(word, half | 0x7fffffff), (high << 31) + 0x7fffffff);
    CHECK_EQ(session_carry::bytes(word, (half ^ 0x80000000) | 5), (high << 31) + 0x80000005);
    CHECK_EQ(session_carry::bytes(carried, (half ^ 0x80000000) | 5), (high << 31) + 0x80000005);
    CHECK_EQ(session_carry::packets(carried, 7), 7u);
  }
  for (uint64_t high : {0ull, 1ull, 2ull, 0x1234567ull, (1ull << 28) - 2}) {
    const uint64_t word = session_carry::add_packets(session_carry::fresh(0, 0xfffff), high);
    const uint64_t carried = session_carry::add_packets(word, 1);
    const uint16_t half = high % 2 == 0 ? 0 : 0x8000;
    CHECK_EQ(session_carry::packets(word, half | 0x7fff), (high << 15) + 0x7fff);
    CHECK_EQ(session_carry::packets(word, static_cast<uint16_t>((half ^ 0x8000) | 5)), (high << 15) + 0x8005);
    CHECK_EQ(session_carry::packets(carried, static_cast<uint16_t>((half ^ 0x8000) | 5)),
             (high << 15) + 0x8005);
    CHECK_EQ(session_carry::bytes(carried, 7), 7u);
  }
  // At the end of their range the counters begin again, and leave each other and the time-out alone.
  uint64_t word = session_carry::fresh(0, 0x2a5);
  word = session_carry::add_packets(session_carry::add_bytes(word, session_carry::kBytesMask),
                                    session_carry::kPacketsMask);
  word = session_carry::add_packets(session_carry::add_bytes(word, 1), 1);
  CHECK_EQ(word, session_carry::fresh(0, 0x2a5));
  for (uint32_t timeout : {0u, 1u, 1023u, 1024u, 129'600u, 1'048'575u}) {
    CHECK_EQ(session_carry::timeout(session_carry::fresh(0, timeout), session_carry::fresh(1, timeout)),
             timeout);
  }
}

// A session of this protocol and state lives its time-out and at most a tick more.
void lives(uint8_t protocol, TcpState tcp, uint32_t seconds, uint32_t timeout = 0, bool v6 = false) {
  SessionTable table(options_of(4));
  for (uint64_t start : {kSecond, 5 * kSecond + kTick - 1, 1'700'000'000 * kSecond + 12345}) {
    NewSession session = session_of(v6 ? key6(1, 1, protocol) : key4(1, 1, protocol));
    session.tcp = tcp;
    session.timeout = timeout;
    CHECK(table.insert(session, start).status == InsertStatus::kInserted);
    CHECK(table.next_deadline() <= start + seconds * kSecond + 2 * kTick);
    CHECK_EQ(expire_all(table, start + seconds * kSecond - 1), 0u);
    CHECK_EQ(table.size(), 1u);
    unsigned closed = 0;
    CHECK_EQ(expire_all(table, start + seconds * kSecond + 2 * kTick, &closed), 1u);
    CHECK_EQ(closed, tcp_ended(tcp) ? 1u : 0u);
    CHECK_EQ(table.size(), 0u);
    CHECK_EQ(table.next_deadline(), SessionTable::kNever);
  }
}

void timeouts_by_protocol_and_state() {
  lives(kUdp, TcpState::kNone, 60);
  lives(kUdp, TcpState::kNone, 60, 0, true);
  lives(1, TcpState::kNone, 60);
  lives(58, TcpState::kNone, 60, 0, true);
  lives(132, TcpState::kNone, 60);
  lives(kTcp, TcpState::kEstablished, 1800);
  lives(kTcp, TcpState::kFinIn, 1800);
  lives(kTcp, TcpState::kFinOut, 1800);
  lives(kTcp, TcpState::kSynSent, 20);
  lives(kTcp, TcpState::kSynBoth, 20);
  lives(kTcp, TcpState::kSynReceived, 20);
  lives(kTcp, TcpState::kSynCrossed, 20);
  lives(kTcp, TcpState::kClosing, 150);
  lives(kTcp, TcpState::kTimeWait, 2);
  lives(kTcp, TcpState::kReset, 10);
  lives(kUdp, TcpState::kNone, 129'600, 129'600);  // the most that can be configured
  lives(kTcp, TcpState::kEstablished, 14'400, 14'400);
  lives(kUdp, TcpState::kNone, 1'048'575, 4'000'000'000);  // the most that there is room for
  lives(kUdp, TcpState::kNone, 1, 1);
  lives(kTcp, TcpState::kSynSent, 20, 14'400);
}

void a_used_session_is_armed_again() {
  SessionTable table(options_of(4));
  const SessionRef ref = insert(table, key4(1, 1), 0);
  uint64_t now = 0;
  for (unsigned i = 0; i < 100; ++i) {
    now += 50 * kSecond;
    CHECK(i % 2 == 0 ? table.touch(ref, now) : table.account(ref, 100, now));
    CHECK_EQ(expire_all(table, now + 9 * kSecond), 0u);
  }
  SessionInfo info;
  CHECK(table.get_from_anywhere(ref, &info, now + 10 * kSecond));
  CHECK_EQ(info.created, 0u);
  CHECK_EQ(info.last_used, now);
  CHECK_EQ(info.timeout, 60u);
  CHECK_EQ(info.timeout_left, 50u);
  CHECK_EQ(info.wings[0].packets, 50u);
  CHECK_EQ(expire_all(table, now + 60 * kSecond + kTick), 1u);
}

// The clock of the packets may be ahead of the one that expiry is called with.
void a_session_used_later_than_now_lives() {
  SessionTable table(options_of(4));
  const SessionRef ref = insert(table, key4(1, 1), 0);
  CHECK(table.touch(ref, 100 * kSecond));
  CHECK_EQ(expire_all(table, 70 * kSecond), 0u);
  CHECK_EQ(expire_all(table, 160 * kSecond), 0u);
  CHECK_EQ(expire_all(table, 160 * kSecond + kTick), 1u);
}

void a_state_with_a_shorter_timeout_does_not_wait() {
  SessionTable table(options_of(4));
  NewSession session = session_of(key4(1, 1, kTcp));
  session.tcp = TcpState::kSynSent;
  const SessionRef in = table.insert(session, 0).ref;
  const SessionRef out = table.find(session.out);
  CHECK(table.tcp(out, kTcpSyn | kTcpAck, kSecond) == TcpVerdict::kPass);
  CHECK(table.tcp(in, kTcpAck, kSecond) == TcpVerdict::kPass);
  CHECK(table.tcp_state(in) == TcpState::kEstablished);
  CHECK_EQ(expire_all(table, 1000 * kSecond), 0u);  // and is now armed far ahead
  CHECK(table.tcp(in, kTcpFin | kTcpAck, 1000 * kSecond) == TcpVerdict::kPass);
  CHECK(table.tcp(out, kTcpFin | kTcpAck, 1001 * kSecond) == TcpVerdict::kPass);
  CHECK_EQ(expire_all(table, 1150 * kSecond), 0u);
  CHECK(table.tcp(in, kTcpAck, 1150 * kSecond) == TcpVerdict::kPass);
  CHECK(table.tcp_state(in) == TcpState::kTimeWait);
  CHECK(table.next_deadline() <= 1153 * kSecond);
  CHECK(table.tcp(in, kTcpSyn, 1151 * kSecond) == TcpVerdict::kReopen);
  unsigned closed = 0;
  CHECK_EQ(expire_all(table, 1153 * kSecond, &closed), 1u);
  CHECK_EQ(closed, 1u);
}

void expiry_keeps_to_its_budget_and_lets_the_caller_change_the_table() {
  SessionTable table(options_of(2000));
  std::vector<SessionRef> refs;
  for (uint32_t i = 0; i < 1000; ++i) refs.push_back(insert(table, i % 2 == 0 ? key4(i, 1) : key6(i, 1), 0));
  unsigned ended = 0;
  CHECK_EQ(table.expire(100 * kSecond, 10, [&](const SessionRef&, SessionEnd) { ++ended; }), 10u);
  CHECK_EQ(ended, 10u);
  CHECK_EQ(table.size(), 990u);
  CHECK(table.next_deadline() <= 100 * kSecond);
  // Whoever ends takes another with it and makes a new one.
  uint32_t fresh = 5000;
  unsigned called = 0;
  while (table.next_deadline() <= 100 * kSecond) {
    table.expire(100 * kSecond, 7, [&](const SessionRef& ref, SessionEnd) {
      ++called;
      SessionInfo info;
      CHECK(table.get_from_anywhere(ref, &info, 100 * kSecond));
      for (const SessionRef& other : refs) {
        if (other.id != ref.id && table.remove(other)) break;
      }
      if (called % 2 == 0) insert(table, key4(fresh++, 2), 100 * kSecond);
    });
  }
  CHECK_EQ(called, 495u);
  CHECK_EQ(table.size(), 247u);
  for (const SessionRef& ref : refs) CHECK(!table.live(ref));
  for (uint32_t i = 5000; i < fresh; ++i) CHECK(table.find(key4(i, 2)).found());
  CHECK_EQ(expire_all(table, 300 * kSecond), 247u);
}

void states_tunnels_and_next_hops_are_kept() {
  SessionTable table(options_of(4));
  NewSession session = session_of(key6(1, 1));
  session.policy = 33;
  session.ha = HaState::kWarm;
  session.wing_ha[0] = HaState::kWarm;
  session.tunnel[1] = 77;
  session.created = 3 * kSecond;
  const SessionRef ref = table.insert(session, 50 * kSecond).ref;
  SessionInfo info;
  CHECK(table.get_from_anywhere(ref, &info, 60 * kSecond));
  CHECK_EQ(info.policy, 33u);
  CHECK(info.ha == HaState::kWarm && info.wings[0].ha == HaState::kWarm &&
        info.wings[1].ha == HaState::kActive);
  CHECK_EQ(info.created, 3 * kSecond);
  CHECK_EQ(info.timeout_left, 8 * 60u - 10);  // Warm
  CHECK_EQ(info.wings[0].tunnel, kNoTunnel);
  CHECK_EQ(info.wings[1].tunnel, 77u);
  CHECK(info.wings[0].key == session.in && info.wings[1].key == session.out);
  table.set_ha(ref, HaState::kActive, HaState::kActive, HaState::kWarm, 0);
  CHECK(table.ha(ref) == HaState::kActive && table.wing_ha(ref, Wing::kIn) == HaState::kActive &&
        table.wing_ha(ref, Wing::kOut) == HaState::kWarm);
  table.set_policy(ref, 34);
  CHECK_EQ(table.policy(ref), 34u);

  table.set_next_hop(ref, Wing::kIn, 5, 9);
  CHECK_EQ(table.next_hop(ref, Wing::kIn, 9), 5u);
  CHECK_EQ(table.next_hop(ref, Wing::kIn, 10), kNoNextHop);
  CHECK_EQ(table.tunnel(ref, Wing::kIn), kNoTunnel);
  table.set_next_hop(ref, Wing::kOut, 6, 9);  // has a tunnel
  CHECK_EQ(table.next_hop(ref, Wing::kOut, 9), kNoNextHop);
  CHECK_EQ(table.tunnel(ref, Wing::kOut), 77u);
  table.set_tunnel(ref, Wing::kOut, kNoTunnel);
  CHECK_EQ(table.tunnel(ref, Wing::kOut), kNoTunnel);
  table.set_next_hop(ref, Wing::kOut, 6, 10);
  CHECK_EQ(table.next_hop(ref, Wing::kOut, 10), 6u);
  CHECK_EQ(table.next_hop(ref, Wing::kIn, 10), kNoNextHop);  // was of version 9
}

void pages_cover_every_session_once() {
  SessionTable table(options_of(400'000));
  for (uint32_t i = 0; i < 1000; ++i) insert(table, i % 2 == 0 ? key4(i, 1) : key6(i, 1));
  for (uint32_t i = 0; i < 1000; i += 3) table.remove(table.find(i % 2 == 0 ? key4(i, 1) : key6(i, 1)));
  for (unsigned most : {1u, 7u, 1000u}) {
    std::vector<uint32_t> ids;
    std::vector<SessionInfo> infos(most);
    for (uint32_t cursor = 0; cursor != kNoSession;) {
      const unsigned count = table.read(&cursor, infos.data(), most, kSecond);
      CHECK(count <= most);
      for (unsigned i = 0; i < count; ++i) ids.push_back(infos[i].ref.id);
    }
    CHECK_EQ(ids.size(), table.size());
    std::sort(ids.begin(), ids.end());
    CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
  }
  uint32_t end = kNoSession;
  SessionInfo info;
  CHECK_EQ(table.read(&end, &info, 1, kSecond), 0u);

  // Many empty slots: an empty page, but the cursor gets on.
  SessionTable sparse(options_of(200'000));
  std::vector<SessionRef> refs;
  for (uint32_t i = 0; i < 200'000; ++i) refs.push_back(insert(sparse, key4(i, 1)));
  for (uint32_t i = 0; i < 199'999; ++i) sparse.remove(refs[i]);
  unsigned pages = 0, found = 0;
  for (uint32_t cursor = 0; cursor != kNoSession && pages < 100; ++pages)
    found += sparse.read(&cursor, &info, 1, kSecond);
  CHECK_EQ(found, 1u);
  CHECK(pages >= 4 && pages < 10);
}

}  // namespace

int main() {
  RUN(a_key_keeps_its_fields);
  RUN(a_session_changes_its_table);
  RUN(both_wings_are_found_ipv4);
  RUN(both_wings_are_found_ipv6);
  RUN(a_burst_may_mix_families_hits_and_misses);
  RUN(translated_answers_find_their_session);
  RUN(instance_and_zone_are_part_of_the_key);
  RUN(what_is_there_already_is_named);
  RUN(the_limit_counts_both_families);
  RUN(a_stale_handle_never_resolves);
  RUN(counters_carry);
  RUN(a_carry_on_its_way_is_seen);
  RUN(timeouts_by_protocol_and_state);
  RUN(a_used_session_is_armed_again);
  RUN(a_session_used_later_than_now_lives);
  RUN(a_state_with_a_shorter_timeout_does_not_wait);
  RUN(expiry_keeps_to_its_budget_and_lets_the_caller_change_the_table);
  RUN(states_tunnels_and_next_hops_are_kept);
  RUN(pages_cover_every_session_once);
  FINISH();
}
