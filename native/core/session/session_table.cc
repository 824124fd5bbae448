#include "session_table.h"

namespace penstock {
namespace {

constexpr uint8_t kProtocolIcmp = 1;
constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolUdp = 17;
constexpr uint8_t kProtocolIcmp6 = 58;

constexpr uint32_t kTicksPerSecond = 1'000'000'000 / SessionTable::kTick;
constexpr uint32_t kMostSeconds = 0x7fffffff / kTicksPerSecond;
constexpr uint32_t kMostSlots = 1u << 30;

uint32_t at_most(uint32_t value, uint32_t most) {
  return value < most ? value : most;
}

uint8_t pack_ha(HaState session, HaState in, HaState out) {
  return static_cast<uint8_t>(static_cast<unsigned>(session) | static_cast<unsigned>(in) << 2 |
                              static_cast<unsigned>(out) << 4);
}
HaState unpack_ha(uint8_t packed, unsigned field) {
  return static_cast<HaState>(packed >> (2 * field) & 3);
}
uint8_t with_wing(uint8_t packed, Wing wing, HaState ha) {
  const unsigned at = 2 * (1 + index_of(wing));
  return static_cast<uint8_t>((packed & ~(3u << at)) | static_cast<unsigned>(ha) << at);
}
uint8_t with_session(uint8_t packed, HaState ha) {
  return static_cast<uint8_t>((packed & ~3u) | static_cast<unsigned>(ha));
}

uint32_t own_timeout(const SessionCold& cold) {
  return session_carry::timeout(observe(cold.carry[0]), observe(cold.carry[1]));
}

// The whole tick of which `low` are the low 32 bits: at or before now, or up to an hour after it.
uint64_t last_tick(uint32_t low, uint64_t now) {
  const uint32_t ago = static_cast<uint32_t>(now) - low;
  constexpr uint32_t kAhead = 3600 * kTicksPerSecond;
  if (ago > 0 - kAhead) return now + (0 - ago);
  return now < ago ? 0 : now - ago;
}

}  // namespace

SessionTable::SessionTable(const Options& options)
    : most_(at_most(options.limit, kMostSlots)),
      limit_(most_),
      timeouts_(options.timeouts),
      v4_(most_, SessionHash(options.secret[0], options.secret[1]), at_most(options.initial_ipv4, most_)),
      v6_(most_, SessionHash(options.secret[2], options.secret[3]), at_most(options.initial_ipv6, most_)),
      wheel_(Links{this}, options.now / kTick) {}

// Each pass over the burst asks memory for what the next one reads.
template <unsigned kWords>
void SessionTable::lookup_family(const SessionFamily<kWords>& family, uint32_t family_bit,
                                 const SessionKey* keys, const uint8_t* order, unsigned count,
                                 SessionRef* refs) const {
  const SessionIndex<kWords>& index = family.index;
  uint32_t buckets[kSessionBurst];
  uint8_t tags[kSessionBurst];
  uint32_t masks[kSessionBurst];
  for (unsigned i = 0; i < count; ++i) {
    const uint64_t hash = index.hash(keys[order[i]].words);
    buckets[i] = index.bucket_of(hash);
    tags[i] = index.tag_of(hash);
    __builtin_prefetch(&index.bucket(buckets[i]));
  }
  for (unsigned i = 0; i < count; ++i) {
    const SessionBucket& bucket = index.bucket(buckets[i]);
    masks[i] = bucket.matches(tags[i]);
    if (masks[i] == 0) continue;
    const uint32_t entry = bucket.entries[std::countr_zero(masks[i])];
    const SessionHot<kWords>& hot = family.slab.hot(entry & ~SessionIndex<kWords>::kWingBit);
    __builtin_prefetch(&hot);
    if constexpr (sizeof(hot) > 64) __builtin_prefetch(reinterpret_cast<const uint8_t*>(&hot) + 64);
  }
  for (unsigned i = 0; i < count; ++i) {
    SessionRef& ref = refs[order[i]];
    const uint32_t entry =
        index.find_from(&index.bucket(buckets[i]), tags[i], keys[order[i]].words, masks[i]);
    if (entry == SessionIndex<kWords>::kNotFound) {
      ref = SessionRef{};
      continue;
    }
    const uint32_t slot = entry & ~SessionIndex<kWords>::kWingBit;
    ref =
        SessionRef{slot | family_bit, family.slab.hot(slot).state.generation, static_cast<Wing>(entry >> 31)};
  }
}

void SessionTable::lookup(const SessionKey* keys, SessionRef* refs, unsigned count) const {
  uint8_t order[kSessionBurst];
  unsigned v4 = 0;
  unsigned v6 = kSessionBurst;
  for (unsigned i = 0; i < count; ++i) {
    if (keys[i].version == 4) {
      order[v4++] = static_cast<uint8_t>(i);
    } else {
      order[--v6] = static_cast<uint8_t>(i);
    }
  }
  if (v4 != 0) lookup_family(v4_, 0, keys, order, v4, refs);
  if (v6 != kSessionBurst) lookup_family(v6_, kFamilyBit, keys, order + v6, kSessionBurst - v6, refs);
}

template <unsigned kWords>
SessionRef SessionTable::find_in(const SessionFamily<kWords>& family, uint32_t family_bit,
                                 const SessionKey& key) const {
  const uint32_t entry = family.index.find(family.index.hash(key.words), key.words);
  if (entry == SessionIndex<kWords>::kNotFound) return SessionRef{};
  const uint32_t slot = entry & ~SessionIndex<kWords>::kWingBit;
  return SessionRef{slot | family_bit, family.slab.hot(slot).state.generation,
                    static_cast<Wing>(entry >> 31)};
}

SessionRef SessionTable::find(const SessionKey& key) const {
  return key.version == 4 ? find_in(v4_, 0, key) : find_in(v6_, kFamilyBit, key);
}

uint32_t SessionTable::protocol_timeout(const NewSession& session) const {
  switch (session.in.protocol()) {
    case kProtocolTcp:
      return timeouts_.tcp;
    case kProtocolUdp:
      return timeouts_.udp;
    case kProtocolIcmp:
    case kProtocolIcmp6:
      return timeouts_.icmp;
    default:
      return timeouts_.other;
  }
}

// All of a record but its generation and its place in index and wheel.
template <unsigned kWords>
void SessionTable::write_record(SessionFamily<kWords>& family, uint32_t slot, const NewSession& session,
                                uint64_t now) {
  const uint32_t tick = static_cast<uint32_t>(now / kTick);
  SessionHot<kWords>& hot = family.slab.hot(slot);
  SessionCold& record = family.slab.cold(slot);
  for (unsigned i = 0; i < kWords; ++i) publish(hot.keys[0][i], session.in.words[i]);
  for (unsigned i = 0; i < kWords; ++i) publish(hot.keys[1][i], session.out.words[i]);
  publish(hot.state.last_used, tick);
  publish(hot.state.tcp, static_cast<uint8_t>(session.tcp));
  const uint8_t ha = pack_ha(session.ha, session.wing_ha[0], session.wing_ha[1]);
  publish(hot.state.ha, static_cast<uint8_t>(session.inspected ? ha | kInspectedBit : ha));
  publish(hot.state.route_version, uint16_t{0});
  const uint32_t timeout = at_most(session.timeout == 0 ? protocol_timeout(session) : session.timeout,
                                   session_carry::kMostTimeout);
  for (unsigned wing = 0; wing < 2; ++wing) {
    publish(record.carry[wing], session_carry::fresh(wing, timeout));
    publish(hot.state.bytes_low[wing], 0u);
    publish(hot.state.packets_low[wing], uint16_t{0});
    publish(hot.state.egress[wing],
            session.tunnel[wing] == kNoTunnel ? kNoEgress : session.tunnel[wing] | kTunnelBit);
  }
  publish(record.policy, session.policy);
  publish(record.created, session.created == 0 ? tick : static_cast<uint32_t>(session.created / kTick));
}

// While memory fetches the two buckets, the index grows and the record is written; a record that is not
// wanted after all goes back unopened.
template <unsigned kWords>
InsertResult SessionTable::insert_into(SessionFamily<kWords>& family, uint32_t family_bit,
                                       const NewSession& session, uint64_t now) {
  auto& index = family.index;
  auto& slab = family.slab;
  const uint64_t in_hash = index.hash(session.in.words);
  const uint64_t out_hash = index.hash(session.out.words);
  index.prefetch(in_hash);
  index.prefetch(out_hash);
  index.grow();
  const uint32_t slot = size() < limit_ && index.has_room() ? slab.allocate() : SessionSlab<kWords>::kNoSlot;
  const bool full = slot == SessionSlab<kWords>::kNoSlot;
  if (!full) write_record(family, slot, session, now);

  const auto refuse = [&](InsertStatus status, uint32_t entry) -> InsertResult {
    if (!full) slab.give_back(slot);
    if (entry == SessionIndex<kWords>::kNotFound) return {status, {}};
    const uint32_t there = entry & ~SessionIndex<kWords>::kWingBit;
    return {status, {there | family_bit, slab.hot(there).state.generation, static_cast<Wing>(entry >> 31)}};
  };
  const uint32_t same = index.find(in_hash, session.in.words);
  if (same != SessionIndex<kWords>::kNotFound) return refuse(InsertStatus::kExists, same);
  const uint32_t clash = index.find(out_hash, session.out.words);
  if (clash != SessionIndex<kWords>::kNotFound || session.in == session.out) {
    return refuse(InsertStatus::kConflict, clash);
  }
  if (full) return refuse(InsertStatus::kLimit, SessionIndex<kWords>::kNotFound);

  index.add(in_hash, slot);
  index.add(out_hash, slot | SessionIndex<kWords>::kWingBit);
  const uint32_t id = slot | family_bit;
  wheel_.add(id, now / kTick +
                     timeout_ticks(session.tcp, slab.hot(slot).state.ha, own_timeout(slab.cold(slot))) + 1);
  auto& size = family_bit == 0 ? size4_ : size6_;
  size.store(size.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return {InsertStatus::kInserted, {id, slab.open(slot), Wing::kIn}};
}

InsertResult SessionTable::insert(const NewSession& session, uint64_t now) {
  if (session.in.version != session.out.version) return {InsertStatus::kConflict, {}};
  const InsertResult result = session.in.version == 4 ? insert_into(v4_, 0, session, now)
                                                      : insert_into(v6_, kFamilyBit, session, now);
  if (watcher_ != nullptr && result.status == InsertStatus::kInserted) watcher_->created(result.ref, now);
  return result;
}

bool SessionTable::adopt(const SessionInfo& from, uint64_t now) {
  NewSession session;
  session.in = from.wings[0].key;
  session.out = from.wings[1].key;
  session.policy = from.policy;
  session.timeout = from.own_timeout;
  session.tcp = static_cast<TcpState>(from.tcp);
  session.ha = from.ha;
  session.inspected = from.inspected;
  for (unsigned wing = 0; wing < 2; ++wing) {
    session.wing_ha[wing] = from.wings[wing].ha;
    session.tunnel[wing] = from.wings[wing].tunnel;
  }
  session.created = from.created;
  const InsertResult made = insert(session, now);
  if (made.status != InsertStatus::kInserted) return false;
  SessionState& state = state_of(made.ref.id);
  SessionCold& record = cold(made.ref.id);
  for (unsigned wing = 0; wing < 2; ++wing) {
    const SessionInfo::WingInfo& was = from.wings[wing];
    publish(state.bytes_low[wing], static_cast<uint32_t>(was.bytes));
    publish(state.packets_low[wing], static_cast<uint16_t>(was.packets));
    const uint64_t word = session_carry::add_bytes(record.carry[wing], was.bytes >> 31);
    __atomic_store_n(&record.carry[wing], session_carry::add_packets(word, was.packets >> 15),
                     __ATOMIC_RELEASE);
  }
  publish(state.last_used, static_cast<uint32_t>(from.last_used / kTick));
  const uint64_t tick = now / kTick;
  wheel_.remove(made.ref.id);
  wheel_.add(made.ref.id, std::max(deadline(made.ref.id, tick), tick + 1));
  return true;
}

template <unsigned kWords>
void SessionTable::remove_from(SessionFamily<kWords>& family, uint32_t slot) {
  const SessionHot<kWords>& hot = family.slab.hot(slot);
  const uint64_t in_hash = family.index.hash(hot.keys[0]);
  const uint64_t out_hash = family.index.hash(hot.keys[1]);
  family.index.prefetch(in_hash);
  family.index.prefetch(out_hash);
  family.index.remove(in_hash, slot);
  family.index.remove(out_hash, slot | SessionIndex<kWords>::kWingBit);
  family.slab.close(slot);
}

bool SessionTable::remove(const SessionRef& ref) {
  if (state(ref) == nullptr) return false;
  if (watcher_ != nullptr) watcher_->ending(ref);
  wheel_.remove(ref.id);
  const uint32_t slot = ref.id & kSlotMask;
  if ((ref.id & kFamilyBit) != 0) {
    remove_from(v6_, slot);
    size6_.store(size6_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  } else {
    remove_from(v4_, slot);
    size4_.store(size4_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  }
  return true;
}

uint32_t SessionTable::timeout_ticks(TcpState tcp, uint8_t ha, uint32_t own_seconds) const {
  const bool waits = unpack_ha(ha, 0) == HaState::kWarm && !tcp_ended(tcp);
  const uint32_t seconds = waits ? kWarmTimeouts * at_most(own_seconds, kMostSeconds / kWarmTimeouts)
                                 : tcp_timeout(tcp, own_seconds, timeouts_);
  return at_most(seconds, kMostSeconds) * kTicksPerSecond;
}

// One tick is added because last_used is rounded down: never too early. A session may have been used a little
// later than the caller's now; idle times over eight years are taken for shorter ones.
uint64_t SessionTable::deadline(uint32_t id, uint64_t now_tick) {
  const SessionState& session = state_of(id);
  const uint32_t timeout =
      timeout_ticks(static_cast<TcpState>(session.tcp), session.ha, own_timeout(cold(id)));
  return last_tick(session.last_used, now_tick) + timeout + 1;
}

// A shorter time-out must not wait for the timer that was armed with the longer one.
void SessionTable::change_tcp(uint32_t id, SessionState& session, TcpState tcp, uint64_t now) {
  const uint32_t own = own_timeout(cold(id));
  const bool shorter = timeout_ticks(tcp, session.ha, own) <
                       timeout_ticks(static_cast<TcpState>(session.tcp), session.ha, own);
  publish(session.tcp, static_cast<uint8_t>(tcp));
  publish(session.last_used, static_cast<uint32_t>(now / kTick));
  if (shorter) {
    wheel_.remove(id);
    wheel_.add(id, deadline(id, now / kTick));
  }
  if (watcher_ != nullptr) watcher_->tcp_changed({id, session.generation, Wing::kIn}, now);
}

// Likewise: an Active session lives shorter than a Warm one.
void SessionTable::change_ha(uint32_t id, SessionState& session, uint8_t ha, uint64_t now) {
  const uint32_t own = own_timeout(cold(id));
  const auto tcp = static_cast<TcpState>(session.tcp);
  const bool shorter = timeout_ticks(tcp, ha, own) < timeout_ticks(tcp, session.ha, own);
  publish(session.ha, ha);
  if (!shorter) return;
  // it has not been idle here for as long as it was Warm
  publish(session.last_used, static_cast<uint32_t>(now / kTick));
  wheel_.remove(id);
  wheel_.add(id, deadline(id, now / kTick));
}

void SessionTable::set_tcp_state(const SessionRef& ref, TcpState tcp, uint64_t now) {
  SessionState* const session = state(ref);
  if (session != nullptr) change_tcp(ref.id, *session, tcp, now);
}

uint64_t SessionTable::next_deadline() const {
  const uint64_t tick = wheel_.next();
  return tick == TimerWheel<Links>::kNever ? kNever : tick * kTick;
}

// Released, so that who sees the carry sees the low part that it belongs to.
void SessionTable::carry_bytes(uint32_t id, unsigned wing, uint64_t carries) {
  uint64_t& word = cold(id).carry[wing];
  __atomic_store_n(&word, session_carry::add_bytes(word, carries), __ATOMIC_RELEASE);
}
void SessionTable::carry_packets(uint32_t id, unsigned wing) {
  uint64_t& word = cold(id).carry[wing];
  __atomic_store_n(&word, session_carry::add_packets(word, 1), __ATOMIC_RELEASE);
}

void SessionTable::prefetch_for_expiry(uint32_t id) {
  const auto* hot = reinterpret_cast<const uint8_t*>(&state_of(id));
  __builtin_prefetch(hot);
  if ((id & kFamilyBit) != 0) __builtin_prefetch(&v6_.slab.hot(id & kSlotMask));
}

void SessionTable::prefetch_for_removal(uint32_t id) {
  const uint32_t slot = id & kSlotMask;
  for (unsigned wing = 0; wing < 2; ++wing) {
    if ((id & kFamilyBit) != 0) {
      v6_.index.prefetch(v6_.index.hash(v6_.slab.hot(slot).keys[wing]));
    } else {
      v4_.index.prefetch(v4_.index.hash(v4_.slab.hot(slot).keys[wing]));
    }
  }
}

TcpState SessionTable::tcp_state(const SessionRef& ref) const {
  const SessionState* const session = state(ref);
  return session == nullptr ? TcpState::kNone : static_cast<TcpState>(session->tcp);
}

HaState SessionTable::ha(const SessionRef& ref) const {
  const SessionState* const session = state(ref);
  return session == nullptr ? HaState::kBackup : unpack_ha(session->ha, 0);
}

HaState SessionTable::wing_ha(const SessionRef& ref, Wing wing) const {
  const SessionState* const session = state(ref);
  return session == nullptr ? HaState::kBackup : unpack_ha(session->ha, 1 + index_of(wing));
}

void SessionTable::set_ha(const SessionRef& ref, HaState session, HaState in, HaState out, uint64_t now) {
  SessionState* const found = state(ref);
  if (found == nullptr) return;
  const uint8_t inspection = found->ha & kInspectedBit;
  change_ha(ref.id, *found, static_cast<uint8_t>(pack_ha(session, in, out) | inspection), now);
}

void SessionTable::set_inspected(const SessionRef& ref, bool inspected) {
  SessionState* const found = state(ref);
  if (found == nullptr) return;
  const unsigned rest = found->ha & ~kInspectedBit;
  publish(found->ha, static_cast<uint8_t>(inspected ? rest | kInspectedBit : rest));
}

void SessionTable::take_wing(const SessionRef& ref, bool owns, uint64_t now) {
  SessionState* const found = state(ref);
  if (found == nullptr) return;
  uint8_t ha = with_wing(found->ha, ref.wing, HaState::kActive);
  if (owns) ha = with_session(ha, HaState::kActive);
  change_ha(ref.id, *found, ha, now);
}

bool SessionTable::peer_took(const SessionRef& ref, bool peer_keeps, uint64_t now) {
  SessionState* const found = state(ref);
  if (found == nullptr) return false;
  if (peer_keeps) return true;
  uint8_t ha = with_wing(found->ha, ref.wing, HaState::kWarm);
  if (unpack_ha(ha, 1 + index_of(other(ref.wing))) == HaState::kWarm) ha = with_session(ha, HaState::kWarm);
  change_ha(ref.id, *found, ha, now);
  return true;
}

uint32_t SessionTable::policy(const SessionRef& ref) const {
  return state(ref) == nullptr ? 0 : const_cast<SessionTable*>(this)->cold(ref.id).policy;
}

void SessionTable::set_policy(const SessionRef& ref, uint32_t policy) {
  if (state(ref) != nullptr) publish(cold(ref.id).policy, policy);
}

uint32_t SessionTable::tunnel(const SessionRef& ref, Wing wing) const {
  const SessionState* const session = state(ref);
  if (session == nullptr) return kNoTunnel;
  const uint32_t egress = session->egress[index_of(wing)];
  return egress == kNoEgress || (egress & kTunnelBit) == 0 ? kNoTunnel : egress & ~kTunnelBit;
}

void SessionTable::set_tunnel(const SessionRef& ref, Wing wing, uint32_t tunnel) {
  SessionState* const session = state(ref);
  if (session != nullptr)
    publish(session->egress[index_of(wing)], tunnel == kNoTunnel ? kNoEgress : tunnel | kTunnelBit);
}

uint32_t SessionTable::next_hop(const SessionRef& ref, Wing wing, uint16_t version) const {
  const SessionState* const session = state(ref);
  if (session == nullptr || session->route_version != version) return kNoNextHop;
  const uint32_t egress = session->egress[index_of(wing)];
  return (egress & kTunnelBit) != 0 ? kNoNextHop : egress;
}

void SessionTable::set_next_hop(const SessionRef& ref, Wing wing, uint32_t next_hop, uint16_t version) {
  SessionState* const session = state(ref);
  if (session == nullptr) return;
  if (session->route_version != version) {
    for (uint32_t& egress : session->egress) {
      if ((egress & kTunnelBit) == 0) publish(egress, kNoEgress);
    }
    publish(session->route_version, version);
  }
  uint32_t& egress = session->egress[index_of(wing)];
  if (egress != kNoEgress && (egress & kTunnelBit) != 0) return;
  publish(egress, next_hop == kNoNextHop ? kNoEgress : next_hop & ~kTunnelBit);
}

bool SessionTable::key(const SessionRef& ref, Wing wing, SessionKey* key) const {
  if (state(ref) == nullptr) return false;
  const uint32_t slot = ref.id & kSlotMask;
  *key = SessionKey{};
  if ((ref.id & kFamilyBit) != 0) {
    key->version = 6;
    std::memcpy(key->words, v6_.slab.hot(slot).keys[index_of(wing)], sizeof(uint64_t) * 5);
  } else {
    key->version = 4;
    std::memcpy(key->words, v4_.slab.hot(slot).keys[index_of(wing)], sizeof(uint64_t) * 2);
  }
  return true;
}

template <unsigned kWords>
bool SessionTable::peek(const SessionFamily<kWords>& family, uint32_t id, SessionInfo* info,
                        uint64_t now) const {
  const uint32_t slot = id & kSlotMask;
  const SessionHot<kWords>& hot = family.slab.hot(slot);
  const SessionCold& record = family.slab.cold(slot);
  const uint32_t generation = observe(hot.state.generation);
  if ((generation & 1) == 0) return false;
  info->ref = SessionRef{id, generation, Wing::kIn};
  const uint8_t packed = observe(hot.state.ha);
  for (unsigned wing = 0; wing < 2; ++wing) {
    SessionInfo::WingInfo& to = info->wings[wing];
    to.key = SessionKey{};
    to.key.version = kWords == 2 ? 4 : 6;
    for (unsigned i = 0; i < kWords; ++i) to.key.words[i] = observe(hot.keys[wing][i]);
    // Over again if a carry came in between: the low parts may have gone round since.
    for (uint64_t word = observe(record.carry[wing]), before = ~word; word != before;) {
      before = word;
      to.packets = session_carry::packets(word, observe(hot.state.packets_low[wing]));
      to.bytes = session_carry::bytes(word, observe(hot.state.bytes_low[wing]));
      word = observe(record.carry[wing]);
    }
    to.ha = unpack_ha(packed, 1 + wing);
    const uint32_t egress = observe(hot.state.egress[wing]);
    const bool tunnel = egress != kNoEgress && (egress & kTunnelBit) != 0;
    to.tunnel = tunnel ? egress & ~kTunnelBit : kNoTunnel;
    to.next_hop = tunnel ? kNoNextHop : egress;
  }
  info->policy = observe(record.policy);
  info->ha = unpack_ha(packed, 0);
  info->inspected = (packed & kInspectedBit) != 0;
  info->tcp = observe(hot.state.tcp);
  const uint64_t tick = now / kTick;
  info->created = last_tick(observe(record.created), tick) * kTick;
  const uint64_t used = last_tick(observe(hot.state.last_used), tick);
  info->last_used = used * kTick;
  const uint32_t timeout = timeout_ticks(static_cast<TcpState>(info->tcp), packed, own_timeout(record));
  info->timeout = timeout / kTicksPerSecond;
  info->own_timeout = own_timeout(record);
  info->timeout_left =
      used + timeout <= tick ? 0 : static_cast<uint32_t>((used + timeout - tick) / kTicksPerSecond);
  return observe(hot.state.generation) == generation;
}

template <unsigned kWords>
bool SessionTable::read_family(const SessionFamily<kWords>& family, uint32_t family_bit, uint32_t* slot,
                               uint32_t* scans, SessionInfo* infos, unsigned most, unsigned* count,
                               uint64_t now) const {
  const uint32_t top = family.slab.top();
  for (; *slot < top; ++*slot, --*scans) {
    if (*count == most || *scans == 0) return false;
    if (peek(family, *slot | family_bit, &infos[*count], now)) ++*count;
  }
  return true;
}

unsigned SessionTable::read(uint32_t* cursor, SessionInfo* infos, unsigned most, uint64_t now,
                            uint32_t scans) const {
  unsigned count = 0;
  if (*cursor == kNoSession) return 0;
  uint32_t slot = *cursor & kSlotMask;
  if ((*cursor & kFamilyBit) == 0) {
    if (!read_family(v4_, 0, &slot, &scans, infos, most, &count, now)) {
      *cursor = slot;
      return count;
    }
    slot = 0;
  }
  const bool last = read_family(v6_, kFamilyBit, &slot, &scans, infos, most, &count, now);
  *cursor = last ? kNoSession : slot | kFamilyBit;
  return count;
}

bool SessionTable::get_from_anywhere(const SessionRef& ref, SessionInfo* info, uint64_t now) const {
  const uint32_t slot = ref.id & kSlotMask;
  if ((ref.id & kFamilyBit) != 0) {
    if (slot >= v6_.slab.top() || !peek(v6_, ref.id, info, now)) return false;
  } else {
    if (slot >= v4_.slab.top() || !peek(v4_, ref.id, info, now)) return false;
  }
  return info->ref.generation == ref.generation;
}

uint64_t SessionTable::populate(uint64_t max_bytes) {
  uint64_t bytes = v4_.slab.populate_ahead(max_bytes);
  bytes += v4_.index.populate_ahead(max_bytes - bytes);
  bytes += v6_.slab.populate_ahead(max_bytes - bytes);
  return bytes + v6_.index.populate_ahead(max_bytes - bytes);
}

SessionTable::Statistics SessionTable::statistics() const {
  return {size4_.load(std::memory_order_relaxed), size6_.load(std::memory_order_relaxed),
          v4_.slab.used_bytes() + v4_.index.used_bytes(), v6_.slab.used_bytes() + v6_.index.used_bytes()};
}

}  // namespace penstock
