// One worker's part in keeping its sessions on two nodes.
//
//   out   The table tells of sessions that are set up, change their TCP state or end; each is written as a
//   record into a
//         ring that the control thread empties into the interchassis link. On start() the worker goes through
//         all sessions besides, a few each turn. The ring is bounded: one that is full ends this, and the
//         control thread starts it again (everything, from the beginning) once there is room. So a slow link
//         never holds a packet up.
//   in    Records that came from the peer wait in another ring, each in that of the worker that owns the
//   session, and
//         become Warm copies, a few each turn.
//
// Marks in the stream say where all sessions begin (begin) and have been said (swept); between, changes are
// said as they come. Two bits a session say whether it counts into the sums of what was put and not closed,
// of either direction: the digest mark carries one, which the peer holds against the other.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "../session/session_table.h"
#include "byte_ring.h"
#include "record.h"

namespace penstock {

class SessionSync : public SessionWatcher {
 public:
  explicit SessionSync(SessionTable& table) : table_(table) {}
  ~SessionSync() override = default;

  static constexpr size_t kOutBytes = size_t{4} << 20;
  static constexpr size_t kInBytes = size_t{2} << 20;

  // Control thread. `all`: Warm copies too, for a peer that has lost its own.
  void start(bool all);
  void stop() { running_.store(false, std::memory_order_release); }
  void ask_digest() { digest_asked_.fetch_add(1, std::memory_order_release); }
  // Says Active sessions again, a few each turn, so that copies of those that live long do not time out.
  void ask_refresh() { refresh_asked_.fetch_add(1, std::memory_order_release); }
  bool started() const { return out_ != nullptr; }
  ByteRing& out() { return *out_; }
  ByteRing& in() { return *in_; }
  // Room for so many entries?
  bool has_room(size_t entries) const { return in_->room() >= entries * sizeof(sync::Record); }
  void put_in(const sync::Record& record) {
    in_->write(reinterpret_cast<const uint8_t*>(&record), sizeof record);
  }

  struct Counts {
    uint64_t said = 0;  // records written
    uint64_t said_bytes = 0;
    uint64_t unnamed = 0;    // of sessions whose names have no tag here
    uint64_t overflows = 0;  // times that the ring was full
    uint64_t copied = 0;     // Warm copies made
    uint64_t updated = 0;
    uint64_t closed = 0;   // copies that the peer closed
    uint64_t refused = 0;  // the table is full, or has another session there
    uint64_t swept = 0;    // copies that the peer did not say any more
  };
  // Any thread.
  Counts counts() const;
  bool overflowed() const { return overflowed_.load(std::memory_order_acquire); }
  // How many digest marks were compared, and the sum at the last one.
  uint64_t checks() const { return checks_.load(std::memory_order_acquire); }
  uint64_t checked_sum() const { return checked_sum_.load(std::memory_order_relaxed); }

  // The worker's thread, once a turn: true when there was something to do.
  void begin_turn(const SyncTable* names) { names_ = names; }
  bool poll(uint64_t now);
  // Whether poll() has something to do by itself.
  bool busy() const;
  // A wing of the session passes packets here from now on that passed them at the peer.
  // False: nobody is told just now.
  bool moved(const SessionRef& ref, Wing wing, bool peer_keeps, uint64_t now);

  void created(const SessionRef& ref, uint64_t now) override;
  void tcp_changed(const SessionRef& ref, uint64_t now) override;
  void ending(const SessionRef& ref) override;

 private:
  enum class Sweep : uint8_t { kNone, kAll, kActive, kRefresh };
  static constexpr unsigned kSweepPerTurn = 32;
  static constexpr unsigned kRefreshPerTurn = 4;
  static constexpr unsigned kApplyPerTurn = 64;
  static constexpr unsigned kScansPerTurn = 1024;
  static constexpr size_t kClearPerTurn = 8192;  // words of a bit map

  // Two bits of each slot of each family.
  class Bits {
   public:
    void reserve(uint32_t most) {
      for (auto& words : words_) words.assign((size_t{most} + 63) / 64, 0);
    }
    bool get(uint32_t id) const { return (word(id) >> (id & 63) & 1) != 0; }
    // Returns what it was.
    bool set(uint32_t id, bool value) {
      uint64_t& at = const_cast<uint64_t&>(word(id));
      const uint64_t bit = uint64_t{1} << (id & 63);
      const bool before = (at & bit) != 0;
      at = value ? at | bit : at & ~bit;
      return before;
    }
    // From *cursor on; false: all is clear.
    bool clear_some(size_t* cursor);

   private:
    const uint64_t& word(uint32_t id) const { return words_[id >> 31][(id & 0x3fffffff) / 64]; }
    std::array<std::vector<uint64_t>, 2> words_;
  };

  template <typename Value>
  static void bump(std::atomic<Value>& counter, Value by = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  bool crosses(const SessionKey& key) const;
  bool write(const uint8_t* record, size_t length);
  void say(const SessionRef& ref, const SessionInfo& info, uint8_t moved, uint64_t now);
  void say_now(const SessionRef& ref, uint8_t moved, uint64_t now);
  void overflow();
  bool begin(uint64_t now);
  bool sweep(uint64_t now);
  bool apply_some(uint64_t now);
  void apply(const sync::Record& record, uint64_t now);
  void apply_put(const sync::Record& record, uint64_t now);
  void apply_end(const sync::Record& record);
  bool remove_unsaid(uint64_t now);

  SessionTable& table_;
  const SyncTable* names_ = nullptr;
  std::unique_ptr<ByteRing> out_;
  std::unique_ptr<ByteRing> in_;

  // the control thread's to write
  std::atomic<bool> running_{false};
  std::atomic<bool> all_{false};
  std::atomic<uint32_t> starts_{0};
  std::atomic<uint32_t> digest_asked_{0};
  std::atomic<uint32_t> refresh_asked_{0};

  // the worker's
  uint32_t started_ = 0;
  uint32_t digests_ = 0;
  uint32_t refreshes_ = 0;
  bool saying_ = false;    // changes are written
  bool applying_ = false;  // what changes comes from the peer
  bool clearing_sent_ = false;
  bool clearing_received_ = false;
  bool removing_ = false;  // copies that the peer did not say
  Sweep sweep_ = Sweep::kNone;
  uint32_t cursor_ = 0;
  uint32_t remove_cursor_ = 0;
  size_t clear_cursor_ = 0;
  size_t clear_received_cursor_ = 0;
  Bits sent_;
  Bits received_;
  uint64_t sent_sum_ = 0;
  uint64_t received_sum_ = 0;

  // the worker's to write, anybody's to read
  std::atomic<bool> overflowed_{false};
  std::atomic<bool> working_{false};
  std::atomic<uint64_t> checks_{0};
  std::atomic<uint64_t> checked_sum_{0};
  std::atomic<uint64_t> said_{0}, said_bytes_{0}, unnamed_{0}, overflows_{0}, copied_{0}, updated_{0},
      closed_{0}, refused_{0}, swept_{0};
};

}  // namespace penstock
