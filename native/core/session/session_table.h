// The session table of one worker: IPv4 and IPv6 records, the index over both wings' keys, and the timers.
//
//   1. The gateway stage calls lookup() with the keys of a burst.
//   2. For each miss, in order: find() (an earlier packet of the burst may have set the session up), then the
//      policy decides, then insert(); kLimit drops the packet as session_limit.
//   3. For each packet: tcp() where it is TCP, then account(), which also is the touch.
//   4. Once per loop: expire() with a budget; next_deadline() says when it has work again.
//
// One thread writes and looks up; only read(), get_from_anywhere(), statistics() and populate() may run in
// others. Time is an argument, in nanoseconds of any clock that does not go back; the order of everything
// that can be seen (slots, expiry, pages) depends on the calls alone, not on the secret or on addresses.
// Nothing allocates after construction but the kernel, which puts pages under the regions.
//
// read() takes a page of sessions while the worker runs on. What it gives: every session that lived from the
// first page to the last exactly once; one that came or went in between, at most once per life. Keys, policy
// and creation time are those of one session; its counters, states and last use are each a value that the
// field had during the call, but not all of the same moment.
#pragma once
#include <atomic>
#include <cstdint>

#include "session.h"
#include "session_index.h"
#include "session_slab.h"
#include "tcp_state.h"
#include "timer_wheel.h"

namespace penstock {

struct NewSession {
  SessionKey in;   // of the packet that sets the session up, as it arrived
  SessionKey out;  // of its answers, as they will arrive: in, translated, then reversed
  uint32_t policy = 0;
  uint32_t timeout = 0;            // seconds; 0: by protocol
  TcpState tcp = TcpState::kNone;  // TCP: kSynSent, or what the peer synchronised
  HaState ha = HaState::kActive;   // of the session
  HaState wing_ha[2] = {HaState::kActive, HaState::kActive};
  bool inspected = false;  // an inspection wants both directions on one node
  uint32_t tunnel[2] = {kNoTunnel,
                        kNoTunnel};  // that the wing's packets come in by (and the other's leave by)
  uint64_t created = 0;              // ns; 0: now
};

enum class InsertStatus : uint8_t {
  kInserted,
  kExists,    // the In key already leads to the session that ref names
  kConflict,  // the Out key leads to the session that ref names, or the two keys are equal, or of two
              // families
  kLimit,     // the table is full: drop as session_limit
};

struct InsertResult {
  InsertStatus status;
  SessionRef ref;
};

enum class SessionEnd : uint8_t {
  kTimeout,  // sessions_expired
  kClosed,   // the protocol had ended it: sessions_closed
};

template <unsigned kWords>
struct SessionFamily {
  SessionFamily(uint32_t limit, SessionHash hash, uint32_t initial)
      : slab(limit), index(slab, hash, limit, initial) {
    if (initial != 0) slab.populate_first(initial);
  }
  SessionSlab<kWords> slab;
  SessionIndex<kWords> index;
};

class SessionTable {
 public:
  static constexpr uint64_t kTick =
      62'500'000;  // ns: timers' grain. A session lives at most this much longer.
  static constexpr uint64_t kNever = ~uint64_t{0};
  static constexpr uint32_t kMostScans = 65'536;

  struct Options {
    uint32_t limit =
        1u << 20;  // sessions of both families together, at most 2^30; address space is reserved for it
    uint32_t initial_ipv4 = 0;  // sessions that memory is made ready for at once
    uint32_t initial_ipv6 = 0;
    SessionTimeouts timeouts = {};
    uint64_t secret[4] = {};  // random, not shared with anyone
    uint64_t now = 0;
  };

  // Throws std::bad_alloc.
  explicit SessionTable(const Options& options);

  // refs[i]: the session that keys[i] leads to and the wing, or not found(). count ≤ kSessionBurst.
  void lookup(const SessionKey* keys, SessionRef* refs, unsigned count) const;
  SessionRef find(const SessionKey& key) const;

  // Both wings or none.
  InsertResult insert(const NewSession& session, uint64_t now);
  // As insert(), of a session that another table has let go of: with its counters, its state and the time
  // that it was not used for. false: no room, or it is there already.
  bool adopt(const SessionInfo& session, uint64_t now);
  // false: stale.
  bool remove(const SessionRef& ref);

  bool live(const SessionRef& ref) const { return state(ref) != nullptr; }
  // Counts a packet of the ref's wing and marks the session used. false: stale.
  bool account(const SessionRef& ref, uint32_t bytes, uint64_t now);
  // Marks the session used without counting. false: stale.
  bool touch(const SessionRef& ref, uint64_t now);
  // Takes a TCP packet of the ref's wing through the state machine. flags: byte 13 of the TCP header.
  // A stale ref gives kReopen for a first packet and kOutOfState otherwise.
  TcpVerdict tcp(const SessionRef& ref, uint8_t flags, uint64_t now);

  TcpState tcp_state(const SessionRef& ref) const;
  void set_tcp_state(const SessionRef& ref, TcpState tcp, uint64_t now);
  HaState ha(const SessionRef& ref) const;  // of the session
  HaState wing_ha(const SessionRef& ref, Wing wing) const;
  void set_ha(const SessionRef& ref, HaState session, HaState in, HaState out, uint64_t now);
  // false: stale. asks: 0 when session and wings are Active here and nothing inspects it, so that nobody need
  // ask whose packet it is.
  bool live(const SessionRef& ref, uint32_t& asks) const {
    const SessionState* const session = state(ref);
    if (session == nullptr) return false;
    asks = session->ha;
    return true;
  }
  bool inspected(const SessionRef& ref) const {
    const SessionState* const session = state(ref);
    return session != nullptr && (session->ha & kInspectedBit) != 0;
  }
  void set_inspected(const SessionRef& ref, bool inspected);
  // The packet's wing passes packets here from now on, and with `owns` the session is Active here.
  void take_wing(const SessionRef& ref, bool owns, uint64_t now);
  // The other node passes packets of the ref's wing from now on: Warm here, unless they go on through this
  // node (peer_keeps). A session without an Active wing is Warm. false: stale.
  bool peer_took(const SessionRef& ref, bool peer_keeps, uint64_t now);
  uint32_t policy(const SessionRef& ref) const;
  void set_policy(const SessionRef& ref, uint32_t policy);
  // By which tunnel the wing's packets come in, and the other wing's leave; kNoTunnel: none, or stale.
  uint32_t tunnel(const SessionRef& ref, Wing wing) const;
  void set_tunnel(const SessionRef& ref, Wing wing, uint32_t tunnel);
  // The next hop towards where the wing's packets come from, cached from the snapshot of that version (its
  // low 16 bits); kNoNextHop: none, of another version, or the wing has a tunnel. Setting one of another
  // version forgets both wings' old ones. Does nothing to a wing with a tunnel.
  uint32_t next_hop(const SessionRef& ref, Wing wing, uint16_t version) const;
  void set_next_hop(const SessionRef& ref, Wing wing, uint32_t next_hop, uint16_t version);
  // The wing's key; false: stale.
  bool key(const SessionRef& ref, Wing wing, SessionKey* key) const;

  // Ends up to `budget` sessions' waiting: those without a packet for their time-out are handed to
  // ended(SessionRef, SessionEnd), still readable, and removed; those touched are armed again. ended() may
  // use the table. Returns how many timers were looked at; fewer than the budget: none is due.
  template <typename Ended>
  unsigned expire(uint64_t now, unsigned budget, Ended&& ended);
  // ns; when expire() next has something to look at; kNever when there are no sessions.
  uint64_t next_deadline() const;

  // Up to `most` sessions from *cursor on (0 to begin with), into infos. *cursor moves on, and is kNoSession
  // after the last page. Looks at no more than `scans` slots, so a page may be empty. Any thread; `now` as
  // the worker's.
  unsigned read(uint32_t* cursor, SessionInfo* infos, unsigned most, uint64_t now,
                uint32_t scans = kMostScans) const;
  // false: stale. Any thread.
  bool get_from_anywhere(const SessionRef& ref, SessionInfo* info, uint64_t now) const;

  // Puts huge pages ahead of what is used, at most max_bytes; returns how many bytes. To be called every few
  // milliseconds by a thread that may pause, one at a time.
  uint64_t populate(uint64_t max_bytes);

  struct Statistics {
    uint32_t ipv4;
    uint32_t ipv6;
    uint64_t ipv4_bytes;  // records and index that the family has used so far
    uint64_t ipv6_bytes;
  };
  Statistics statistics() const;  // any thread
  uint32_t size() const {
    return size4_.load(std::memory_order_relaxed) + size6_.load(std::memory_order_relaxed);
  }
  uint32_t limit() const { return limit_; }
  // The most there may be, whose slots (bits 0…29 of an id, each family) are below it.
  uint32_t most() const { return most_; }
  // Null: nobody. The owner's thread.
  void set_watcher(SessionWatcher* watcher) { watcher_ = watcher; }
  // Not above the limit given at construction. Sessions above a lowered limit stay.
  void set_limit(uint32_t limit) { limit_ = limit < most_ ? limit : most_; }

 private:
  static constexpr uint32_t kFamilyBit = 0x80000000;
  static constexpr uint32_t kSlotMask = 0x3fffffff;
  static constexpr uint32_t kTunnelBit = 0x80000000;
  static constexpr uint32_t kNoEgress = 0xffffffff;
  static constexpr unsigned kExpireBatch = 16;
  static constexpr uint8_t kInspectedBit = 1u << 6;

  struct Links {
    SessionTable* table;
    TimerLink& operator()(uint32_t id) const { return table->cold(id).timer; }
  };

  SessionState& state_of(uint32_t id) {
    const uint32_t slot = id & kSlotMask;
    return (id & kFamilyBit) != 0 ? v6_.slab.hot(slot).state : v4_.slab.hot(slot).state;
  }
  SessionCold& cold(uint32_t id) {
    const uint32_t slot = id & kSlotMask;
    return (id & kFamilyBit) != 0 ? v6_.slab.cold(slot) : v4_.slab.cold(slot);
  }
  // nullptr: stale
  SessionState* state(const SessionRef& ref) {
    const uint32_t slot = ref.id & kSlotMask;
    const uint32_t top = (ref.id & kFamilyBit) != 0 ? v6_.slab.top() : v4_.slab.top();
    if (slot >= top) return nullptr;
    SessionState& found = state_of(ref.id);
    return found.generation == ref.generation && (ref.generation & 1) != 0 ? &found : nullptr;
  }
  const SessionState* state(const SessionRef& ref) const {
    return const_cast<SessionTable*>(this)->state(ref);
  }

  template <unsigned kWords>
  void lookup_family(const SessionFamily<kWords>& family, uint32_t family_bit, const SessionKey* keys,
                     const uint8_t* order, unsigned count, SessionRef* refs) const;
  template <unsigned kWords>
  SessionRef find_in(const SessionFamily<kWords>& family, uint32_t family_bit, const SessionKey& key) const;
  template <unsigned kWords>
  void write_record(SessionFamily<kWords>& family, uint32_t slot, const NewSession& session, uint64_t now);
  template <unsigned kWords>
  InsertResult insert_into(SessionFamily<kWords>& family, uint32_t family_bit, const NewSession& session,
                           uint64_t now);
  template <unsigned kWords>
  void remove_from(SessionFamily<kWords>& family, uint32_t slot);
  template <unsigned kWords>
  bool peek(const SessionFamily<kWords>& family, uint32_t id, SessionInfo* info, uint64_t now) const;
  template <unsigned kWords>
  bool read_family(const SessionFamily<kWords>& family, uint32_t family_bit, uint32_t* slot, uint32_t* scans,
                   SessionInfo* infos, unsigned most, unsigned* count, uint64_t now) const;

  uint32_t protocol_timeout(const NewSession& session) const;
  // Ticks without a packet after which the session ends, in its present state.
  uint32_t timeout_ticks(TcpState tcp, uint8_t ha, uint32_t own_seconds) const;
  uint64_t deadline(uint32_t id, uint64_t now_tick);
  void change_tcp(uint32_t id, SessionState& state, TcpState tcp, uint64_t now);
  void change_ha(uint32_t id, SessionState& state, uint8_t ha, uint64_t now);
  void carry_bytes(uint32_t id, unsigned wing, uint64_t carries);
  void carry_packets(uint32_t id, unsigned wing);
  void prefetch_for_expiry(uint32_t id);
  void prefetch_for_removal(uint32_t id);

  const uint32_t most_;
  uint32_t limit_;
  const SessionTimeouts timeouts_;
  SessionFamily<2> v4_;
  SessionFamily<5> v6_;
  TimerWheel<Links> wheel_;
  std::atomic<uint32_t> size4_{0};
  std::atomic<uint32_t> size6_{0};
  SessionWatcher* watcher_ = nullptr;
};

inline bool SessionTable::touch(const SessionRef& ref, uint64_t now) {
  SessionState* const session = state(ref);
  if (session == nullptr) return false;
  publish(session->last_used, static_cast<uint32_t>(now / kTick));
  return true;
}

inline bool SessionTable::account(const SessionRef& ref, uint32_t bytes, uint64_t now) {
  SessionState* const session = state(ref);
  if (session == nullptr) return false;
  const unsigned wing = index_of(ref.wing);
  publish(session->last_used, static_cast<uint32_t>(now / kTick));
  const uint32_t bytes_before = session->bytes_low[wing];
  const uint64_t bytes_after = uint64_t{bytes_before} + bytes;
  publish(session->bytes_low[wing], static_cast<uint32_t>(bytes_after));
  if (bytes_after >> 31 != bytes_before >> 31) {
    carry_bytes(ref.id, wing, (bytes_after >> 31) - (bytes_before >> 31));
  }
  const uint16_t packets = static_cast<uint16_t>(session->packets_low[wing] + 1);
  publish(session->packets_low[wing], packets);
  if ((packets & 0x7fff) == 0) carry_packets(ref.id, wing);
  return true;
}

inline TcpVerdict SessionTable::tcp(const SessionRef& ref, uint8_t flags, uint64_t now) {
  SessionState* const session = state(ref);
  if (session == nullptr) return tcp_first_packet(flags) ? TcpVerdict::kReopen : TcpVerdict::kOutOfState;
  const TcpState before = static_cast<TcpState>(session->tcp);
  const TcpStep step = tcp_step(before, ref.wing, flags);
  if (step.state != before) change_tcp(ref.id, *session, step.state, now);
  return step.verdict;
}

template <typename Ended>
unsigned SessionTable::expire(uint64_t now, unsigned budget, Ended&& ended) {
  const uint64_t tick = now / kTick;
  unsigned looked = 0;
  while (looked < budget) {
    uint32_t ids[kExpireBatch];
    uint32_t generations[kExpireBatch];
    const unsigned left = budget - looked;
    const unsigned most = left < kExpireBatch ? left : kExpireBatch;
    const unsigned taken = wheel_.take(tick, ids, most);
    looked += taken;
    for (unsigned i = 0; i < taken; ++i) prefetch_for_expiry(ids[i]);
    unsigned over = 0;
    for (unsigned i = 0; i < taken; ++i) {
      const uint32_t id = ids[i];
      const uint64_t due = deadline(id, tick);
      if (due > tick) {
        wheel_.add(id, due);
        continue;
      }
      prefetch_for_removal(id);
      ids[over] = id;
      generations[over++] = state_of(id).generation;
    }
    // ended() may have removed sessions of this batch, or set up others in their slots.
    for (unsigned i = 0; i < over; ++i) {
      const SessionRef ref{ids[i], generations[i], Wing::kIn};
      const SessionState* const session = state(ref);
      if (session == nullptr) continue;
      ended(ref, tcp_ended(static_cast<TcpState>(session->tcp)) ? SessionEnd::kClosed : SessionEnd::kTimeout);
      remove(ref);
    }
    if (taken < most) break;
  }
  return looked;
}

}  // namespace penstock
