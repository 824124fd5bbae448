// BFD sessions in virtual time: what is sent when, what is heard, what is told. The state machine is
// src/ha/bfd.ts's.
#include "liveness/liveness.h"

#include <cstring>
#include <string>
#include <vector>

#include "check.h"

using namespace penstock;

namespace {

constexpr uint64_t kMs = 1'000'000;

Address v4(uint8_t last) {
  const uint8_t bytes[4] = {192, 0, 2, last};
  return Address::v4(bytes);
}

LivenessOptions options_of(uint32_t discriminator, uint8_t remote) {
  LivenessOptions options;
  options.local = v4(1);
  options.remote = v4(remote);
  options.discriminator = discriminator;
  options.seed = discriminator;
  return options;
}

struct Packet {
  uint8_t bytes[bfd::kMostBytes] = {};
  uint32_t length = bfd::kHeaderBytes;

  explicit Packet(uint32_t mine, uint32_t yours, bfd::State state = bfd::kDown, uint8_t flags = 0) {
    bytes[0] = bfd::kVersion << 5;
    bytes[bfd::kFlags] = static_cast<uint8_t>(state << 6 | flags);
    bytes[bfd::kMultiplier] = 3;
    bytes[bfd::kLength] = bfd::kHeaderBytes;
    store32(bytes + bfd::kMyDiscriminator, mine);
    store32(bytes + bfd::kYourDiscriminator, yours);
    store32(bytes + 12, 50'000);
    store32(bytes + 16, 50'000);
  }
  Packet& with_auth(uint8_t type, uint8_t key_id, uint32_t sequence, const std::string& key) {
    bytes[bfd::kFlags] |= bfd::kAuthenticated;
    bytes[bfd::kLength] = bfd::kMostBytes;
    length = bfd::kMostBytes;
    uint8_t* section = bytes + bfd::kHeaderBytes;
    section[0] = type;
    section[1] = bfd::kAuthBytes;
    section[2] = key_id;
    store32(bytes + bfd::kSequence, sequence);
    std::memset(bytes + bfd::kHash, 0, kSha1Bytes);
    std::memcpy(bytes + bfd::kHash, key.data(), key.size());
    uint8_t digest[kSha1Bytes];
    sha1(bytes, length, digest);
    std::memcpy(bytes + bfd::kHash, digest, kSha1Bytes);
    return *this;
  }
};

struct Sent {
  uint64_t at;
  std::vector<uint8_t> bytes;
};

struct Lab {
  Liveness liveness;
  std::vector<Sent> sent;
  uint64_t now = kMs;
  bool room = true;

  void poll() {
    liveness.poll(now, [&](const LivenessOptions&, const uint8_t* packet, uint32_t length) {
      if (!room) return false;
      sent.push_back({now, std::vector<uint8_t>(packet, packet + length)});
      return true;
    });
  }
  void run_until(uint64_t end) {
    for (;;) {
      const uint64_t next = liveness.next_deadline();
      if (next > end) break;
      if (next > now) now = next;
      poll();
    }
    now = end;
    poll();
  }
  DropReason hear(const Packet& packet, uint8_t from, uint8_t ttl = 255, bool multihop = false,
                  uint16_t instance = 0) {
    return liveness.hear({packet.bytes, packet.length, v4(from), v4(1), instance, multihop, ttl}, now);
  }
};

void sha1_is_that_of_the_standard() {
  const auto hex = [](const std::string& message) {
    uint8_t digest[kSha1Bytes];
    sha1(reinterpret_cast<const uint8_t*>(message.data()), static_cast<uint32_t>(message.size()), digest);
    std::string out;
    char text[3];
    for (const uint8_t byte : digest) {
      std::snprintf(text, sizeof text, "%02x", byte);
      out += text;
    }
    return out;
  };
  // FIPS 180-4's examples, one block and two
  CHECK_EQ(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
           "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK_EQ(hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

void packets_leave_at_their_interval_less_jitter() {
  Lab lab;
  CHECK(lab.liveness.open(7, options_of(77, 2)).empty());
  const Packet packet(77, 0);
  CHECK(lab.liveness.transmit(7, packet.bytes, packet.length, 50 * kMs));
  CHECK_EQ(lab.liveness.next_deadline(), 0u);  // commands wait
  lab.run_until(10'000 * kMs);
  CHECK(lab.sent.size() > 200 && lab.sent.size() < 270);
  uint64_t least = ~0ull, most = 0;
  for (size_t i = 1; i < lab.sent.size(); ++i) {
    const uint64_t gap = lab.sent[i].at - lab.sent[i - 1].at;
    least = std::min(least, gap);
    most = std::max(most, gap);
  }
  CHECK(least >= 37'500'000 && least < 39 * kMs);
  CHECK(most <= 50 * kMs && most > 48 * kMs);
  CHECK_EQ(lab.liveness.status()[0].longest_gap, most);
  CHECK_EQ(lab.liveness.status()[0].sent, lab.sent.size());
  // the same seed, the same times
  Lab again;
  CHECK(again.liveness.open(7, options_of(77, 2)).empty());
  CHECK(again.liveness.transmit(7, packet.bytes, packet.length, 50 * kMs));
  again.run_until(10'000 * kMs);
  CHECK_EQ(again.sent.size(), lab.sent.size());
  CHECK_EQ(again.sent.back().at, lab.sent.back().at);
}

void with_a_multiplier_of_one_a_tenth_is_taken_off_at_least() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  Packet packet(1, 0);
  packet.bytes[bfd::kMultiplier] = 1;
  CHECK(lab.liveness.transmit(1, packet.bytes, packet.length, 50 * kMs));
  lab.run_until(5'000 * kMs);
  for (size_t i = 1; i < lab.sent.size(); ++i) {
    const uint64_t gap = lab.sent[i].at - lab.sent[i - 1].at;
    CHECK(gap >= 37'500'000 && gap <= 45 * kMs);
  }
}

void a_new_template_is_sent_at_once_and_another_never_again() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  const Packet down(1, 0), up(1, 9, bfd::kUp), final(1, 9, bfd::kUp, bfd::kFinal);
  CHECK(lab.liveness.transmit(1, down.bytes, down.length, 1000 * kMs));
  lab.run_until(10 * kMs);
  CHECK(lab.liveness.transmit(1, up.bytes, up.length, 1000 * kMs));
  CHECK(lab.liveness.send(1, final.bytes, final.length));
  lab.run_until(11 * kMs);
  CHECK_EQ(lab.sent.size(), 3u);
  CHECK_EQ(lab.sent[1].bytes[bfd::kFlags], final.bytes[bfd::kFlags]);
  CHECK_EQ(lab.sent[2].bytes[bfd::kFlags], up.bytes[bfd::kFlags]);
  CHECK(lab.liveness.transmit(1, up.bytes, up.length, 0));
  lab.run_until(5'000 * kMs);
  CHECK_EQ(lab.sent.size(), 3u);
  CHECK_EQ(lab.liveness.next_deadline(), ~0ull);
  CHECK(!lab.liveness.transmit(2, up.bytes, up.length, 0));
}

void a_session_that_is_closed_says_its_last_word() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  const Packet down(1, 0), admin(1, 0, bfd::kAdminDown);
  CHECK(lab.liveness.transmit(1, down.bytes, down.length, 1000 * kMs));
  lab.run_until(10 * kMs);
  CHECK(lab.liveness.transmit(1, admin.bytes, admin.length, 1000 * kMs));
  CHECK(lab.liveness.close(1));
  lab.run_until(5'000 * kMs);
  CHECK_EQ(lab.sent.size(), 2u);
  CHECK_EQ(lab.sent[1].bytes[bfd::kFlags], admin.bytes[bfd::kFlags]);
  CHECK(!lab.liveness.collect());
}

void what_finds_no_room_is_tried_again() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  const Packet down(1, 0);
  CHECK(lab.liveness.transmit(1, down.bytes, down.length, 1000 * kMs));
  lab.room = false;
  lab.run_until(5 * kMs);
  lab.room = true;
  lab.run_until(8 * kMs);
  CHECK_EQ(lab.sent.size(), 1u);
}

void packets_are_told_when_they_say_something_new() {
  Lab lab;
  CHECK(lab.liveness.open(5, options_of(55, 2)).empty());
  const Packet mine(55, 0);
  CHECK(lab.liveness.transmit(5, mine.bytes, mine.length, 1000 * kMs));
  lab.poll();
  const Packet down(9, 0), init(9, 55, bfd::kInit), polls(9, 55, bfd::kInit, bfd::kPoll);
  CHECK(lab.hear(down, 2) == DropReason::kNone);
  CHECK(lab.hear(down, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 1u);
  CHECK(lab.hear(init, 2) == DropReason::kNone);
  CHECK(lab.hear(init, 2) == DropReason::kNone);
  const auto events = lab.liveness.take(64);
  CHECK_EQ(events.size(), 1u);
  CHECK_EQ(events[0].session, 5u);
  CHECK(std::memcmp(events[0].packet, init.bytes, bfd::kHeaderBytes) == 0);
  // P and F are told each time
  CHECK(lab.hear(polls, 2) == DropReason::kNone);
  CHECK(lab.hear(polls, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 2u);
  CHECK(lab.hear(init, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 1u);
  // and all is new to a new template
  CHECK(lab.liveness.transmit(5, mine.bytes, mine.length, 1000 * kMs));
  lab.poll();
  CHECK(lab.hear(init, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 1u);
}

void one_session_does_not_take_the_others_room() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  lab.poll();
  const Packet polls(9, 1, bfd::kUp, bfd::kPoll);
  uint32_t told = 0;
  while (lab.hear(polls, 2) == DropReason::kNone && told < 1000) ++told;
  CHECK_EQ(told, 8u);
  CHECK(lab.hear(polls, 2) == DropReason::punt_full);
  CHECK_EQ(lab.liveness.take(64).size(), 8u);
  CHECK(lab.hear(polls, 2) == DropReason::kNone);
}

void silence_is_told_once_and_after_it_everything_is_new() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  lab.poll();
  const Packet up(9, 1, bfd::kUp);
  CHECK(lab.hear(up, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 1u);
  CHECK(lab.liveness.expect(1, 150 * kMs));
  lab.run_until(100 * kMs);
  CHECK(lab.hear(up, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 0u);
  CHECK(lab.liveness.next_deadline() <= 250 * kMs);
  lab.run_until(249 * kMs);
  CHECK_EQ(lab.liveness.take(64).size(), 0u);
  CHECK(!lab.liveness.silence_due(lab.now));
  lab.run_until(1000 * kMs);
  const auto events = lab.liveness.take(64);
  CHECK_EQ(events.size(), 1u);
  CHECK_EQ(events[0].length, 0u);
  CHECK_EQ(events[0].time, 250 * kMs);
  CHECK(lab.hear(up, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 1u);
}

void a_worker_that_was_late_gives_others_as_much_longer() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  const Packet mine(1, 9, bfd::kUp), up(9, 1, bfd::kUp);
  CHECK(lab.liveness.transmit(1, mine.bytes, mine.length, 50 * kMs));
  CHECK(lab.liveness.expect(1, 150 * kMs));
  lab.poll();
  CHECK(lab.hear(up, 2) == DropReason::kNone);
  CHECK_EQ(lab.liveness.take(64).size(), 1u);
  const uint64_t due = lab.liveness.next_deadline();
  lab.now = due + 200 * kMs;  // it should have sent long ago
  lab.poll();
  CHECK_EQ(lab.liveness.take(64).size(), 0u);
  lab.run_until(due + 200 * kMs + 151 * kMs);
  CHECK_EQ(lab.liveness.take(64).size(), 1u);
}

void packets_are_matched_by_discriminator_and_addresses() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(11, 2)).empty());
  CHECK(lab.liveness.open(2, options_of(22, 3)).empty());
  LivenessOptions far = options_of(33, 2);
  far.multihop = true;
  far.minimum_ttl = 250;
  CHECK(lab.liveness.open(3, far).empty());
  CHECK(!lab.liveness.open(3, options_of(44, 9)).empty());
  CHECK(!lab.liveness.open(4, options_of(11, 9)).empty());
  CHECK(!lab.liveness.open(4, options_of(44, 2)).empty());
  lab.poll();
  const auto told = [&] {
    const auto events = lab.liveness.take(64);
    return events.size() == 1 ? events[0].session : 0;
  };
  CHECK(lab.hear(Packet(9, 0), 3) == DropReason::kNone);
  CHECK_EQ(told(), 2u);
  CHECK(lab.hear(Packet(9, 11), 2) == DropReason::kNone);
  CHECK_EQ(told(), 1u);
  CHECK(lab.hear(Packet(9, 33), 2, 250, true) == DropReason::kNone);
  CHECK_EQ(told(), 3u);
  CHECK(lab.hear(Packet(9, 33), 2, 249, true) == DropReason::bfd_ttl);
  CHECK(lab.hear(Packet(9, 11), 3) == DropReason::bfd_session);                // another's discriminator
  CHECK(lab.hear(Packet(9, 12), 2) == DropReason::bfd_session);                // nobody's
  CHECK(lab.hear(Packet(9, 0), 4) == DropReason::bfd_session);                 // nobody's address
  CHECK(lab.hear(Packet(9, 0), 2, 255, false, 1) == DropReason::bfd_session);  // another instance
  CHECK(lab.hear(Packet(9, 11), 2, 254) == DropReason::bfd_ttl);
  CHECK_EQ(lab.liveness.take(64).size(), 0u);
  CHECK(lab.liveness.close(1));
  CHECK(!lab.liveness.close(1));
  CHECK(lab.hear(Packet(9, 22), 3) == DropReason::kNone);
  lab.poll();
  CHECK(lab.hear(Packet(9, 11), 2) == DropReason::bfd_session);
  CHECK(!lab.liveness.collect());
}

void malformed_packets_are_refused() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  lab.poll();
  const auto refused = [&](auto spoil) {
    Packet packet(9, 1, bfd::kUp);
    spoil(packet);
    return lab.hear(packet, 2) == DropReason::bad_bfd;
  };
  CHECK(refused([](Packet& p) { p.length = 23; }));
  CHECK(refused([](Packet& p) { p.length = 0; }));
  CHECK(refused([](Packet& p) { p.bytes[0] = 0x40; }));
  CHECK(refused([](Packet& p) { p.bytes[bfd::kLength] = 23; }));
  CHECK(refused([](Packet& p) { p.bytes[bfd::kLength] = 25; }));
  CHECK(refused([](Packet& p) { p.bytes[bfd::kMultiplier] = 0; }));
  CHECK(refused([](Packet& p) { p.bytes[bfd::kFlags] |= bfd::kMultipoint; }));
  CHECK(refused([](Packet& p) { p.bytes[bfd::kFlags] |= bfd::kAuthenticated; }));
  CHECK(refused([](Packet& p) { store32(p.bytes + 4, 0); }));
  CHECK(refused([](Packet& p) { store32(p.bytes + 8, 0); }));
  CHECK_EQ(lab.liveness.take(64).size(), 0u);
}

void authentication_wants_key_type_and_a_number_that_goes_on() {
  for (const uint8_t type : {bfd::kKeyedSha1, bfd::kMeticulousKeyedSha1}) {
    Lab lab;
    LivenessOptions options = options_of(1, 2);
    options.auth_type = type;
    options.key_id = 7;
    options.first_sequence = 0xfffffffe;
    std::memcpy(options.key, "a key of ours", 13);
    CHECK(lab.liveness.open(1, options).empty());
    Packet mine = Packet(1, 9, bfd::kUp).with_auth(type, 7, 0, "");
    CHECK(lab.liveness.transmit(1, mine.bytes, mine.length, 50 * kMs));
    CHECK(lab.liveness.expect(1, 150 * kMs));
    lab.poll();
    const auto heard = [&](uint32_t sequence, const char* key = "a key of ours", uint8_t id = 7,
                           uint8_t as = 0) {
      const Packet packet = Packet(9, 1, bfd::kUp).with_auth(as == 0 ? type : as, id, sequence, key);
      return lab.hear(packet, 2);
    };
    const bool meticulous = type == bfd::kMeticulousKeyedSha1;
    CHECK(heard(100) == DropReason::kNone);
    CHECK(heard(100) == (meticulous ? DropReason::bfd_auth : DropReason::kNone));
    CHECK(heard(99) == DropReason::bfd_auth);
    CHECK(heard(101) == DropReason::kNone);
    CHECK(heard(111) == DropReason::bfd_auth);  // 3 × the multiplier, and one more
    CHECK(heard(110) == DropReason::kNone);
    CHECK(heard(111, "another key") == DropReason::bfd_auth);
    CHECK(heard(111, "a key of ours", 8) == DropReason::bfd_auth);
    CHECK(heard(111, "a key of ours", 7, meticulous ? bfd::kKeyedSha1 : bfd::kMeticulousKeyedSha1) ==
          DropReason::bfd_auth);
    CHECK(lab.hear(Packet(9, 1, bfd::kUp), 2) == DropReason::bfd_auth);
    const Packet packet = Packet(9, 1, bfd::kUp).with_auth(type, 7, 111, "a key of ours");
    for (uint32_t bit = 0; bit < 8 * bfd::kMostBytes; ++bit) {
      Packet forged = packet;
      forged.bytes[bit / 8] = static_cast<uint8_t>(forged.bytes[bit / 8] ^ 1u << bit % 8);
      CHECK(lab.hear(forged, 2) != DropReason::kNone);
    }
    CHECK(heard(111) == DropReason::kNone);
    // RFC 5880 §6.8.1: forgotten after twice the detection time
    lab.run_until(lab.now + 299 * kMs);
    CHECK(heard(5) == DropReason::bfd_auth);
    lab.run_until(lab.now + kMs);
    CHECK(heard(5) == DropReason::kNone);
    // what we send another such session believes
    CHECK(lab.sent.size() > 5);
    uint32_t before = load32(lab.sent[0].bytes.data() + bfd::kSequence);
    CHECK_EQ(before, 0xffffffff);
    for (size_t i = 1; i < lab.sent.size(); ++i) {
      const uint32_t sequence = load32(lab.sent[i].bytes.data() + bfd::kSequence);
      CHECK_EQ(sequence, meticulous ? before + 1 : before);
      before = sequence;
    }
    Lab other;
    LivenessOptions theirs = options;
    theirs.discriminator = 9;
    CHECK(other.liveness.open(1, theirs).empty());
    other.poll();
    for (const Sent& each : lab.sent) {
      CHECK(other.liveness.hear(
                {each.bytes.data(), static_cast<uint32_t>(each.bytes.size()), v4(2), v4(1), 0, false, 255},
                each.at) == DropReason::kNone);
    }
  }
}

void a_session_without_authentication_refuses_it() {
  Lab lab;
  CHECK(lab.liveness.open(1, options_of(1, 2)).empty());
  lab.poll();
  CHECK(lab.hear(Packet(9, 1, bfd::kUp).with_auth(bfd::kKeyedSha1, 1, 1, "key"), 2) == DropReason::bfd_auth);
}

}  // namespace

int main() {
  RUN(sha1_is_that_of_the_standard);
  RUN(packets_leave_at_their_interval_less_jitter);
  RUN(with_a_multiplier_of_one_a_tenth_is_taken_off_at_least);
  RUN(a_new_template_is_sent_at_once_and_another_never_again);
  RUN(a_session_that_is_closed_says_its_last_word);
  RUN(what_finds_no_room_is_tried_again);
  RUN(packets_are_told_when_they_say_something_new);
  RUN(one_session_does_not_take_the_others_room);
  RUN(silence_is_told_once_and_after_it_everything_is_new);
  RUN(a_worker_that_was_late_gives_others_as_much_longer);
  RUN(packets_are_matched_by_discriminator_and_addresses);
  RUN(malformed_packets_are_refused);
  RUN(authentication_wants_key_type_and_a_number_that_goes_on);
  RUN(a_session_without_authentication_refuses_it);
  FINISH();
}
