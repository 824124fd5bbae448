#include "liveness.h"

#include <bit>
#include <cstring>
#include <utility>

namespace penstock {
namespace {

// SplitMix64's output function.
uint64_t mixed(uint64_t word) {
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ull;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebull;
  return word ^ (word >> 31);
}

uint64_t hash_discriminator(uint32_t discriminator) {
  return mixed(discriminator);
}

// One writer: a plain store is enough.
void add(std::atomic<uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

Liveness::Liveness() = default;

Liveness::~Liveness() {
  delete index_;
}

uint64_t Liveness::hash_addresses(const Address& local, const Address& remote, uint16_t instance,
                                  bool multihop) {
  return mixed(mixed(local.low ^ std::rotl(local.high, 13)) ^ remote.low ^ std::rotl(remote.high, 29) ^
               (static_cast<uint64_t>(instance) << 1 | (multihop ? 1 : 0)));
}

// ---- the control thread

std::string Liveness::open(uint32_t id, const LivenessOptions& options) {
  if (sessions_.contains(id)) return "a session of this number is there already";
  if (sessions_.size() >= kMostSessions) return "more than " + std::to_string(kMostSessions) + " sessions";
  if (options.discriminator == 0) return "discriminator: 0 means none (RFC 5880 §6.8.1)";
  if (options.local.is_v4() != options.remote.is_v4()) return "local and remote: one address family expected";
  for (const auto& [other, session] : sessions_) {
    const LivenessOptions& theirs = session->options;
    if (theirs.discriminator == options.discriminator) return "discriminator: another session's";
    if (theirs.local == options.local && theirs.remote == options.remote &&
        theirs.routing_instance == options.routing_instance && theirs.multihop == options.multihop) {
      return "a session between these addresses is there already";
    }
  }
  if (events_ == nullptr) events_.reset(new LivenessEvent[kEventSlots]);
  auto session = std::make_unique<Session>();
  session->id = id;
  session->options = options;
  session->sequence = options.first_sequence;
  session->random = mixed(options.seed + 0x9e3779b97f4a7c15ull);
  sessions_[id] = std::move(session);
  reindex(nullptr);
  return {};
}

bool Liveness::close(uint32_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  std::unique_ptr<Session> session = std::move(found->second);
  sessions_.erase(found);
  reindex(std::move(session));
  return true;
}

Liveness::Session* Liveness::known(uint32_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

bool Liveness::transmit(uint32_t id, const uint8_t* packet, uint32_t length, uint64_t interval) {
  Session* session = known(id);
  if (session == nullptr || length > bfd::kMostBytes) return false;
  auto made = std::make_unique<Command>();
  made->kind = Command::Kind::kTransmit;
  made->session = session;
  std::memcpy(made->packet.bytes, packet, length);
  made->packet.length = length;
  made->time = interval;
  command(std::move(made));
  return true;
}

bool Liveness::send(uint32_t id, const uint8_t* packet, uint32_t length) {
  Session* session = known(id);
  if (session == nullptr || length > bfd::kMostBytes) return false;
  auto made = std::make_unique<Command>();
  made->kind = Command::Kind::kSend;
  made->session = session;
  std::memcpy(made->packet.bytes, packet, length);
  made->packet.length = length;
  command(std::move(made));
  return true;
}

bool Liveness::expect(uint32_t id, uint64_t detection) {
  Session* session = known(id);
  if (session == nullptr) return false;
  auto made = std::make_unique<Command>();
  made->kind = Command::Kind::kExpect;
  made->session = session;
  made->time = detection;
  command(std::move(made));
  return true;
}

void Liveness::reindex(std::unique_ptr<Session> retired) {
  auto made = std::make_unique<Command>();
  made->kind = Command::Kind::kIndex;
  made->retired = std::move(retired);
  made->index = std::make_unique<Index>();
  Index& index = *made->index;
  const size_t slots = std::bit_ceil(2 * sessions_.size() + 1);
  index.by_discriminator.resize(slots);
  index.by_addresses.resize(slots);
  const auto enter = [&](std::vector<uint16_t>& table, uint64_t hash) {
    size_t slot = hash & (slots - 1);
    while (table[slot] != 0) slot = (slot + 1) & (slots - 1);
    table[slot] = static_cast<uint16_t>(index.sessions.size());
  };
  // in an order of their own, not of the map: what is sent first must not depend on it
  for (const auto& [id, session] : sessions_) index.sessions.push_back(session.get());
  std::sort(index.sessions.begin(), index.sessions.end(),
            [](const Session* a, const Session* b) { return a->id < b->id; });
  std::vector<Session*> all;
  all.swap(index.sessions);
  for (Session* session : all) {
    index.sessions.push_back(session);
    const LivenessOptions& of = session->options;
    enter(index.by_discriminator, hash_discriminator(of.discriminator));
    enter(index.by_addresses, hash_addresses(of.local, of.remote, of.routing_instance, of.multihop));
  }
  command(std::move(made));
}

// The list is last first; the worker turns it round.
void Liveness::command(std::unique_ptr<Command> made) {
  collect();
  Command* raw = made.get();
  pending_.push_back(std::move(made));
  raw->next = commands_.load(std::memory_order_relaxed);
  while (!commands_.compare_exchange_weak(raw->next, raw, std::memory_order_release,
                                          std::memory_order_relaxed)) {
  }
}

bool Liveness::collect() {
  std::erase_if(pending_, [](const auto& each) { return each->done.load(std::memory_order_acquire); });
  return !pending_.empty();
}

std::vector<LivenessEvent> Liveness::take(uint32_t most) {
  std::vector<LivenessEvent> taken;
  uint32_t at = read_.load(std::memory_order_relaxed);
  const uint32_t end = written_.load(std::memory_order_acquire);
  for (; at != end && taken.size() < most; ++at) {
    const LivenessEvent& event = events_[at & (kEventSlots - 1)];
    Session* session = known(event.session);
    if (session == nullptr) continue;  // closed meanwhile
    if (event.length > 0) session->unread.fetch_sub(1, std::memory_order_relaxed);
    taken.push_back(event);
  }
  read_.store(at, std::memory_order_release);
  return taken;
}

std::vector<LivenessStatus> Liveness::status() const {
  std::vector<LivenessStatus> all;
  for (const auto& [id, session] : sessions_) {
    const auto read = [](const std::atomic<uint64_t>& value) {
      return value.load(std::memory_order_relaxed);
    };
    all.push_back({id, read(session->sent), read(session->heard), read(session->refused),
                   read(session->last_sent), read(session->last_heard), read(session->longest_gap)});
  }
  return all;
}

// ---- worker 0

// In the order in which they were given.
Liveness::Command* Liveness::take_commands() {
  Command* list = commands_.exchange(nullptr, std::memory_order_acquire);
  Command* first = nullptr;
  while (list != nullptr) first = std::exchange(list, std::exchange(list->next, first));
  return first;
}

void Liveness::carry_out(Command& command, uint64_t now) {
  Session* session = command.session;
  switch (command.kind) {
    case Command::Kind::kIndex: {
      Index* before = std::exchange(index_, command.index.release());
      command.index.reset(before);
      break;
    }
    case Command::Kind::kTransmit:
      // RFC 5880 §6.7.4: keyed SHA1 counts on when the contents change
      if (session->options.auth_type == bfd::kKeyedSha1) ++session->sequence;
      session->packet = command.packet;
      if (command.time != session->interval) {
        session->sent_at = 0;
        session->longest_gap.store(0, std::memory_order_relaxed);
      }
      session->interval = command.time;
      session->send_at = command.time == 0 ? kNever : now;
      // what the other end says now is to be looked at in the new state, though it be what it said before
      session->knows = false;
      break;
    case Command::Kind::kSend:
      if (session->once_count < kMostOnce) session->once[session->once_count++] = command.packet;
      break;
    case Command::Kind::kExpect: {
      const uint64_t heard = session->last_heard.load(std::memory_order_relaxed);
      session->detection = command.time;
      if (command.time == 0) {
        session->expire_at = kNever;
      } else {
        const uint64_t from = heard == 0 ? now : heard;
        session->expire_at = from + command.time;
        session->forget_sequence_after = from + 2 * command.time;
      }
      break;
    }
  }
}

bool Liveness::is_of(const Session& session, const LivenessPacket& packet) {
  const LivenessOptions& of = session.options;
  return of.remote == packet.source && of.local == packet.destination && of.multihop == packet.multihop &&
         of.routing_instance == packet.routing_instance;
}

Liveness::Session* Liveness::find(const LivenessPacket& packet) const {
  if (index_ == nullptr) return nullptr;
  const uint32_t discriminator = bfd::your_discriminator(packet.bytes);
  const auto& table = discriminator == 0 ? index_->by_addresses : index_->by_discriminator;
  const uint64_t hash = discriminator == 0 ? hash_addresses(packet.destination, packet.source,
                                                            packet.routing_instance, packet.multihop)
                                           : hash_discriminator(discriminator);
  const size_t mask = table.size() - 1;
  for (size_t slot = hash & mask; table[slot] != 0; slot = (slot + 1) & mask) {
    Session* session = index_->sessions[table[slot] - 1u];
    // the addresses are held to in either case: a discriminator can be guessed
    if ((discriminator == 0 || session->options.discriminator == discriminator) && is_of(*session, packet))
      return session;
  }
  return nullptr;
}

// RFC 5880 §6.7.4.
bool Liveness::authentic(Session& session, const LivenessPacket& packet, uint64_t now) {
  const LivenessOptions& of = session.options;
  if (of.auth_type == 0) return !bfd::is_authenticated(packet.bytes);
  if (!bfd::is_authenticated(packet.bytes) || bfd::length(packet.bytes) != bfd::kMostBytes) return false;
  const uint8_t* section = packet.bytes + bfd::kHeaderBytes;
  if (section[0] != of.auth_type || section[1] != bfd::kAuthBytes || section[2] != of.key_id) return false;
  const uint32_t sequence = load32(packet.bytes + bfd::kSequence);
  if (session.knows_sequence && now < session.forget_sequence_after) {
    // §6.7.4's bfd.DetectMult is the one that we send, which the template has
    const uint32_t most = 3u * (session.packet.length == 0 ? 255u : session.packet.bytes[bfd::kMultiplier]);
    const uint32_t ahead = sequence - session.heard_sequence;
    if (ahead > most || (ahead == 0 && of.auth_type == bfd::kMeticulousKeyedSha1)) return false;
  }
  uint8_t keyed[bfd::kMostBytes], digest[kSha1Bytes];
  std::memcpy(keyed, packet.bytes, bfd::kHash);
  std::memcpy(keyed + bfd::kHash, of.key, kSha1Bytes);
  sha1(keyed, sizeof keyed, digest);
  zeroise(keyed, sizeof keyed);
  if (!equal_in_constant_time(digest, packet.bytes + bfd::kHash, kSha1Bytes)) return false;
  session.knows_sequence = true;
  session.heard_sequence = sequence;
  return true;
}

DropReason Liveness::hear(const LivenessPacket& packet, uint64_t now) {
  if (!bfd::is_whole(packet.bytes, packet.length)) return DropReason::bad_bfd;
  Session* session = find(packet);
  if (session == nullptr) return DropReason::bfd_session;
  if (packet.ttl < session->options.minimum_ttl) {
    add(session->refused);
    return DropReason::bfd_ttl;
  }
  if (!authentic(*session, packet, now)) {
    add(session->refused);
    return DropReason::bfd_auth;
  }
  add(session->heard);
  session->last_heard.store(now, std::memory_order_relaxed);
  if (session->detection != 0) {
    session->expire_at = now + session->detection;
    session->forget_sequence_after = now + 2 * session->detection;
    next_silence_ = std::min(next_silence_, session->expire_at);
    due_ = std::min(due_, next_silence_);
  }
  const bool asks = (packet.bytes[bfd::kFlags] & (bfd::kPoll | bfd::kFinal)) != 0;
  if (!asks && session->knows && std::memcmp(packet.bytes, session->known, bfd::kHeaderBytes) == 0)
    return DropReason::kNone;
  if (session->unread.load(std::memory_order_relaxed) >= kMostUnread ||
      !tell(*session, now, packet.bytes, bfd::length(packet.bytes))) {
    return DropReason::punt_full;  // and it stays news
  }
  session->unread.fetch_add(1, std::memory_order_relaxed);
  session->knows = !asks;
  std::memcpy(session->known, packet.bytes, bfd::kHeaderBytes);
  return DropReason::kNone;
}

bool Liveness::tell(Session& session, uint64_t now, const uint8_t* packet, uint32_t length) {
  const uint32_t at = written_.load(std::memory_order_relaxed);
  if (at - read_.load(std::memory_order_acquire) >= kEventSlots) return false;
  LivenessEvent& event = events_[at & (kEventSlots - 1)];
  event.session = session.id;
  event.time = now;
  event.length = std::min(length, bfd::kMostBytes);
  std::memcpy(event.packet, packet, event.length);
  written_.store(at + 1, std::memory_order_release);
  return true;
}

void Liveness::expire(Session& session, uint64_t now) {
  if (!tell(session, now, session.known, 0)) return;  // told at a later turn
  session.expire_at = kNever;
  session.knows = false;
}

// Time in which the worker was kept from running is no silence of others: they may share its processor, or
// its thread.
void Liveness::forgive(uint64_t late) {
  if (index_ == nullptr) return;
  for (Session* session : index_->sessions) {
    if (session->expire_at != kNever) session->expire_at += late;
  }
}

// The packet as it is sent now; its length.
uint32_t Liveness::seal(Session& session, const Template& from, uint8_t* packet) {
  std::memcpy(packet, from.bytes, bfd::kMostBytes);
  if (session.options.auth_type == 0 || from.length != bfd::kMostBytes) return from.length;
  if (session.options.auth_type == bfd::kMeticulousKeyedSha1) ++session.sequence;
  store32(packet + bfd::kSequence, session.sequence);
  uint8_t digest[kSha1Bytes];
  std::memcpy(packet + bfd::kHash, session.options.key, kSha1Bytes);
  sha1(packet, bfd::kMostBytes, digest);
  std::memcpy(packet + bfd::kHash, digest, kSha1Bytes);
  return from.length;
}

void Liveness::sent(Session& session, uint64_t now, bool regularly) {
  add(session.sent);
  session.last_sent.store(now, std::memory_order_relaxed);
  if (!regularly) return;
  const uint64_t gap = session.sent_at == 0 ? 0 : now - session.sent_at;
  if (gap > session.longest_gap.load(std::memory_order_relaxed))
    session.longest_gap.store(gap, std::memory_order_relaxed);
  session.sent_at = now;
}

// RFC 5880 §6.8.7: each gap is shortened by up to a quarter, with a multiplier of 1 by at least a tenth.
uint64_t Liveness::jittered(Session& session) {
  session.random += 0x9e3779b97f4a7c15ull;
  const uint64_t draw = mixed(session.random) >> 44;  // 20 bits
  const uint64_t least = session.packet.bytes[bfd::kMultiplier] == 1 ? session.interval / 10 : 0;
  const uint64_t range = session.interval / 4 - least;
  return session.interval - least - (range * draw >> 20);
}

}  // namespace penstock
