#include "session_sync.h"

namespace penstock {

using sync::Mark;
using sync::Record;
using sync::RecordKind;

namespace {

constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIcmp6 = 58;
constexpr uint64_t kSecond = 1'000'000'000;

}  // namespace

bool SessionSync::Bits::clear_some(size_t* cursor) {
  size_t left = kClearPerTurn;
  size_t at = *cursor;
  size_t first = 0;
  for (auto& words : words_) {
    for (; at >= first && at < first + words.size() && left > 0; ++at, --left) words[at - first] = 0;
    first += words.size();
  }
  *cursor = at;
  return at < first;
}

void SessionSync::start(bool all) {
  if (out_ == nullptr) {
    out_ = std::make_unique<ByteRing>(kOutBytes);
    in_ = std::make_unique<ByteRing>(kInBytes);
    sent_.reserve(table_.most());
    received_.reserve(table_.most());
  }
  all_.store(all, std::memory_order_relaxed);
  running_.store(true, std::memory_order_relaxed);
  starts_.fetch_add(1, std::memory_order_release);
}

SessionSync::Counts SessionSync::counts() const {
  return {said_.load(),    said_bytes_.load(), unnamed_.load(), overflows_.load(), copied_.load(),
          updated_.load(), closed_.load(),     refused_.load(), swept_.load()};
}

bool SessionSync::busy() const {
  if (starts_.load(std::memory_order_acquire) == 0) return false;
  const bool begins = running_.load() && starts_.load() != started_ && out_->room() >= kOutBytes / 2;
  return working_.load(std::memory_order_relaxed) || begins || !in_->empty();
}

bool SessionSync::poll(uint64_t now) {
  const uint32_t starts = starts_.load(std::memory_order_acquire);
  if (starts == 0) [[likely]]
    return false;
  if (!running_.load(std::memory_order_acquire)) {
    // what has been said holds until the next start; copies stay
    table_.set_watcher(nullptr);
    saying_ = false;
    sweep_ = Sweep::kNone;
    clearing_sent_ = false;
    const bool applied = apply_some(now);
    working_.store(removing_ || clearing_received_, std::memory_order_relaxed);
    return applied;
  }
  bool worked = false;
  if (starts != started_) worked |= begin(now);
  if (clearing_sent_ && !sent_.clear_some(&clear_cursor_)) {
    clearing_sent_ = false;
    saying_ = true;
    sweep_ = all_.load(std::memory_order_relaxed) ? Sweep::kAll : Sweep::kActive;
    cursor_ = 0;
  }
  if (saying_ && !clearing_sent_) worked |= sweep(now);
  worked |= apply_some(now);
  if (saying_ && sweep_ == Sweep::kNone) {
    const uint32_t asked = refresh_asked_.load(std::memory_order_acquire);
    if (asked != refreshes_) {
      refreshes_ = asked;
      sweep_ = Sweep::kRefresh;
      cursor_ = 0;
    }
  }
  const uint32_t digests = digest_asked_.load(std::memory_order_acquire);
  if (saying_ && digests != digests_) {
    uint8_t mark[sync::kMarkBytes];
    if (write(mark, sync::write_mark(Mark::kDigest, sent_sum_, mark))) digests_ = digests;
  }
  const bool sweeps = sweep_ != Sweep::kNone && out_->room() >= kOutBytes / 2;
  working_.store(clearing_sent_ || clearing_received_ || removing_ || sweeps, std::memory_order_relaxed);
  return worked || clearing_sent_;
}

// From the beginning, once there is room for saying so.
bool SessionSync::begin(uint64_t) {
  uint8_t mark[sync::kMarkBytes];
  if (out_->room() < kOutBytes / 2) return false;
  if (!out_->write(mark, sync::write_mark(Mark::kBegin, 0, mark))) return false;
  started_ = starts_.load(std::memory_order_acquire);
  digests_ = digest_asked_.load(std::memory_order_acquire);
  refreshes_ = refresh_asked_.load(std::memory_order_acquire);
  table_.set_watcher(this);
  overflowed_.store(false, std::memory_order_release);
  saying_ = false;
  clearing_sent_ = true;
  clear_cursor_ = 0;
  sent_sum_ = 0;
  sweep_ = Sweep::kNone;
  return true;
}

bool SessionSync::sweep(uint64_t now) {
  if (sweep_ == Sweep::kNone || out_->room() < kOutBytes / 2) return false;
  SessionInfo infos[kSweepPerTurn];
  const bool refreshing = sweep_ == Sweep::kRefresh;
  const unsigned count =
      table_.read(&cursor_, infos, refreshing ? kRefreshPerTurn : kSweepPerTurn, now, kScansPerTurn);
  for (unsigned i = 0; i < count; ++i) {
    if (sweep_ != Sweep::kAll && infos[i].ha == HaState::kWarm) continue;
    say(infos[i].ref, infos[i], 0, now);
  }
  if (cursor_ != kNoSession) return !refreshing;
  if (!refreshing) {
    uint8_t mark[sync::kMarkBytes];
    if (!write(mark, sync::write_mark(Mark::kSwept, 0, mark))) return true;
  }
  sweep_ = Sweep::kNone;
  return true;
}

void SessionSync::overflow() {
  bump(overflows_);
  saying_ = false;
  sweep_ = Sweep::kNone;
  overflowed_.store(true, std::memory_order_release);
}

bool SessionSync::write(const uint8_t* record, size_t length) {
  if (out_->write(record, length)) return true;
  overflow();
  return false;
}

bool SessionSync::crosses(const SessionKey& key) const {
  return names_ != nullptr && (names_->icmp || (key.protocol() != kIcmp && key.protocol() != kIcmp6));
}

void SessionSync::say(const SessionRef& ref, const SessionInfo& info, uint8_t moved, uint64_t now) {
  if (!crosses(info.wings[0].key)) return;
  uint8_t record[sync::kMostRecordBytes];
  const uint64_t age = now > info.created ? (now - info.created) / kSecond : 0;
  const size_t length =
      sync::write_put(info, moved, static_cast<uint32_t>(std::min<uint64_t>(age, ~0u)), *names_, record);
  if (length == 0) return bump(unnamed_);
  if (!write(record, length)) return;
  bump(said_);
  bump(said_bytes_, static_cast<uint64_t>(length));
  if (!sent_.set(ref.id, true)) sent_sum_ += sync::identity_hash(record);
}

void SessionSync::say_now(const SessionRef& ref, uint8_t moved, uint64_t now) {
  if (!saying_ || applying_) return;
  SessionInfo info;
  if (table_.get_from_anywhere(ref, &info, now)) say(ref, info, moved, now);
}

void SessionSync::created(const SessionRef& ref, uint64_t now) {
  // a slot that is used again
  if (sent_.get(ref.id)) sent_.set(ref.id, false);
  if (received_.get(ref.id)) received_.set(ref.id, false);
  say_now(ref, 0, now);
}

void SessionSync::tcp_changed(const SessionRef& ref, uint64_t now) {
  say_now(ref, 0, now);
}

bool SessionSync::moved(const SessionRef& ref, Wing wing, bool peer_keeps, uint64_t now) {
  if (!saying_) return false;
  const unsigned bits =
      (wing == Wing::kIn ? sync::kMovedIn : sync::kMovedOut) | (peer_keeps ? sync::kPeerKeeps : 0);
  say_now(ref, static_cast<uint8_t>(bits), now);
  return true;
}

void SessionSync::ending(const SessionRef& ref) {
  const bool was_sent = sent_.set(ref.id, false);
  const bool was_received = received_.set(ref.id, false);
  if (!was_sent && !was_received) return;
  SessionKey in;
  uint8_t record[sync::kMostRecordBytes];
  if (names_ == nullptr || !table_.key(ref, Wing::kIn, &in)) return;
  // A session that timed out here may live on at the peer, which sees the other direction.
  const bool ended =
      tcp_ended(table_.tcp_state(ref)) ||
      (table_.ha(ref) == HaState::kActive && table_.wing_ha(ref, Wing::kIn) == HaState::kActive &&
       table_.wing_ha(ref, Wing::kOut) == HaState::kActive);
  const size_t length =
      sync::write_end(ended ? RecordKind::kClose : RecordKind::kForget, in, *names_, record);
  if (length == 0) return bump(unnamed_);
  const uint64_t hash = sync::identity_hash(record);
  if (was_sent) sent_sum_ -= hash;
  if (was_received) received_sum_ -= hash;
  if (!saying_ || applying_ || (!was_sent && !ended)) return;
  if (!write(record, length)) return;
  bump(said_);
  bump(said_bytes_, static_cast<uint64_t>(length));
}

bool SessionSync::apply_some(uint64_t now) {
  if (clearing_received_) {
    clearing_received_ = received_.clear_some(&clear_received_cursor_);
    if (clearing_received_) return true;
  }
  if (removing_ && remove_unsaid(now)) return true;
  unsigned applied = 0;
  Record record;
  applying_ = true;
  while (applied < kApplyPerTurn && !clearing_received_ && !removing_ &&
         in_->peek(reinterpret_cast<uint8_t*>(&record), sizeof record) == sizeof record) {
    in_->take(sizeof record);
    apply(record, now);
    ++applied;
  }
  applying_ = false;
  return applied > 0;
}

void SessionSync::apply(const Record& record, uint64_t now) {
  switch (record.kind) {
    case RecordKind::kPut:
      return apply_put(record, now);
    case RecordKind::kClose:
    case RecordKind::kForget:
      return apply_end(record);
    case RecordKind::kMark:
      break;
  }
  switch (record.mark) {
    case Mark::kBegin:
      clearing_received_ = true;
      clear_received_cursor_ = 0;
      received_sum_ = 0;
      return;
    case Mark::kSwept:
      removing_ = true;
      remove_cursor_ = 0;
      return;
    default:
      checked_sum_.store(received_sum_, std::memory_order_relaxed);
      bump(checks_);
      return;
  }
}

void SessionSync::apply_put(const Record& record, uint64_t now) {
  SessionRef ref = table_.find(record.in);
  if (ref.found()) {
    if (ref.wing != Wing::kIn) return bump(refused_);
    bump(updated_);
    // either node sees some of the packets: whoever is further knows better
    const TcpState before = table_.tcp_state(ref);
    if (record.tcp > before && !(table_.ha(ref) == HaState::kActive && before == TcpState::kNone)) {
      table_.set_tcp_state(ref, record.tcp, now);
    }
    if (table_.ha(ref) == HaState::kWarm) table_.touch(ref, now);
    for (const Wing wing : {Wing::kIn, Wing::kOut}) {
      if ((record.moved & (wing == Wing::kIn ? sync::kMovedIn : sync::kMovedOut)) == 0) continue;
      ref.wing = wing;
      table_.peer_took(ref, (record.moved & sync::kPeerKeeps) != 0, now);
    }
    ref.wing = Wing::kIn;
  } else {
    NewSession session;
    session.in = record.in;
    session.out = record.out;
    session.policy = record.policy;
    session.timeout = record.timeout;
    session.tcp = record.tcp;
    session.ha = session.wing_ha[0] = session.wing_ha[1] = HaState::kWarm;
    for (unsigned wing = 0; wing < 2; ++wing) session.tunnel[wing] = record.tunnel[wing];
    const uint64_t age = record.age * kSecond;
    session.created = now > age ? now - age : 1;
    const InsertResult inserted = table_.insert(session, now);
    if (inserted.status != InsertStatus::kInserted) return bump(refused_);
    ref = inserted.ref;
    bump(copied_);
  }
  if (!received_.set(ref.id, true)) received_sum_ += record.hash;
}

void SessionSync::apply_end(const Record& record) {
  const SessionRef ref = table_.find(record.in);
  if (!ref.found() || ref.wing != Wing::kIn) return;
  if (record.kind == RecordKind::kClose && table_.ha(ref) != HaState::kActive) {
    bump(closed_);
    table_.remove(ref);
    return;
  }
  if (received_.set(ref.id, false)) received_sum_ -= record.hash;
}

// Copies that neither node has said since the beginning: the peer has them no more. True: there is more to
// look at.
bool SessionSync::remove_unsaid(uint64_t now) {
  SessionInfo infos[kSweepPerTurn];
  const unsigned count = table_.read(&remove_cursor_, infos, kSweepPerTurn, now, kScansPerTurn);
  applying_ = true;
  for (unsigned i = 0; i < count; ++i) {
    const uint32_t id = infos[i].ref.id;
    if (infos[i].ha != HaState::kWarm || received_.get(id) || sent_.get(id)) continue;
    table_.remove(infos[i].ref);
    bump(swept_);
  }
  applying_ = false;
  if (remove_cursor_ != kNoSession) return true;
  removing_ = false;
  return false;
}

}  // namespace penstock
