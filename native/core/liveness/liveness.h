// BFD sessions as worker 0 sees them: when to send what, what came, and how long it has been quiet. README.md
// says who does what; times are ns of the injected clock.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../packet/address.h"
#include "../packet/counters.h"
#include "bfd.h"
#include "sha1.h"

namespace penstock {

struct LivenessOptions {
  Address local;
  Address remote;
  uint16_t routing_instance = 0;
  bool multihop = false;
  uint8_t minimum_ttl = bfd::kTtl;
  uint16_t source_port = 49152;  // RFC 5881 §4: from 49152 on
  uint32_t discriminator = 0;    // ours; of one session
  uint64_t seed = 0;             // of the jitter
  uint8_t auth_type = 0;         // bfd::kKeyedSha1, bfd::kMeticulousKeyedSha1; 0: none
  uint8_t key_id = 0;
  uint8_t key[kSha1Bytes] = {};  // zeros behind a shorter one
  uint32_t first_sequence = 0;
};

// A BFD packet as it came.
struct LivenessPacket {
  const uint8_t* bytes;
  uint32_t length;  // of the UDP payload
  Address source;
  Address destination;
  uint16_t routing_instance;
  bool multihop;
  uint8_t ttl;
};

// What the control thread has to know: a packet that says something new, or (length 0) silence.
struct LivenessEvent {
  uint32_t session;
  uint32_t length;
  uint64_t time;
  uint8_t packet[bfd::kMostBytes];
};

// For show; moves meanwhile.
struct LivenessStatus {
  uint32_t session;
  uint64_t sent;
  uint64_t heard;
  uint64_t refused;      // authentication, TTL
  uint64_t last_sent;    // 0: never
  uint64_t last_heard;   // 0: never
  uint64_t longest_gap;  // between two packets sent at an interval, since it was last changed
};

class Liveness {
 public:
  static constexpr uint32_t kMostSessions = 512;

  Liveness();
  ~Liveness();
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;

  // Control thread. `id`: the caller's, of no other session. Returns what is wrong, or nothing. Those about a
  // session return false when there is none.
  std::string open(uint32_t id, const LivenessOptions& options);
  bool close(uint32_t id);
  // Sent at once and then every `interval`, each gap shortened at random by up to a quarter; 0: no more. At
  // most kMostBytes, with room for the hash where the session authenticates.
  bool transmit(uint32_t id, const uint8_t* packet, uint32_t length, uint64_t interval);
  // Sent at once, and once.
  bool send(uint32_t id, const uint8_t* packet, uint32_t length);
  // Silence of `detection` since the last packet heard is told, once; 0: none is.
  bool expect(uint32_t id, uint64_t detection);
  std::vector<LivenessEvent> take(uint32_t most);
  // What was ever told: changes when there is something to take. Any thread.
  uint32_t told() const { return written_.load(std::memory_order_acquire); }
  std::vector<LivenessStatus> status() const;
  // Frees what the worker is done with; true while something waits for it.
  bool collect();

  // Worker 0. kNone: it was a session's, which is done with it.
  DropReason hear(const LivenessPacket& packet, uint64_t now);
  // Whether silence would be told now. What waits to be heard should be heard first.
  bool silence_due(uint64_t now) const { return now >= next_silence_; }
  bool due(uint64_t now) const { return now >= due_ || commands_.load(std::memory_order_relaxed) != nullptr; }
  // Carries out commands, sends what is due by `send(const LivenessOptions&, const uint8_t* packet, uint32_t
  // length)`, which says false when there is no room just now, and tells of silence.
  template <typename Send>
  void poll(uint64_t now, Send&& send) {
    if (!due(now)) return;
    if (now > due_ && now - due_ > kLateNs) forgive(now - due_);
    for (Command* each = take_commands(); each != nullptr;) {
      Command& command = *each;
      each = command.next;
      // a session's last words
      if (command.retired != nullptr) send_due(*command.retired, now, send);
      carry_out(command, now);
      command.done.store(true, std::memory_order_release);
    }
    due_ = next_silence_ = kNever;
    if (index_ == nullptr) return;
    for (Session* session : index_->sessions) {
      send_due(*session, now, send);
      if (session->expire_at <= now) expire(*session, now);
      due_ = std::min(due_, session->once_count > 0 ? now + kRetryNs : session->send_at);
      next_silence_ = std::min(next_silence_, session->expire_at);
    }
    due_ = std::min(due_, next_silence_);
  }
  // When poll() has something to do without a packet; ~0: never.
  uint64_t next_deadline() const { return commands_.load(std::memory_order_acquire) == nullptr ? due_ : 0; }

 private:
  static constexpr uint64_t kNever = ~0ull;
  static constexpr uint64_t kRetryNs = 1'000'000;
  static constexpr uint64_t kLateNs = 5'000'000;
  static constexpr uint32_t kMostOnce = 4;       // waiting, of one session
  static constexpr uint32_t kMostUnread = 8;     // events, of one session: none takes the others' room
  static constexpr uint32_t kEventSlots = 8192;  // more than sessions have unread, with their silences

  struct Template {
    uint8_t bytes[bfd::kMostBytes];
    uint32_t length = 0;
  };

  struct Session {
    uint32_t id;
    LivenessOptions options;
    // worker 0's
    Template packet;
    Template once[kMostOnce];
    uint32_t once_count = 0;
    uint64_t interval = 0;
    uint64_t send_at = kNever;
    uint64_t sent_at = 0;  // the last at this interval; 0: none
    uint64_t detection = 0;
    uint64_t expire_at = kNever;
    uint64_t forget_sequence_after = 0;  // without a packet: RFC 5880 §6.8.1, bfd.AuthSeqKnown
    uint8_t known[bfd::kHeaderBytes];
    bool knows = false;
    bool knows_sequence = false;
    uint32_t heard_sequence = 0;
    uint32_t sequence = 0;
    uint64_t random = 0;
    std::atomic<uint32_t> unread{0};
    std::atomic<uint64_t> sent{0}, heard{0}, refused{0}, last_sent{0}, last_heard{0}, longest_gap{0};

    ~Session() { zeroise(options.key, sizeof options.key); }
  };

  // Which sessions there are; made by the control thread, immutable.
  struct Index {
    std::vector<Session*> sessions;
    std::vector<uint16_t> by_discriminator;  // open addressing: number in `sessions` and 1; 0: free
    std::vector<uint16_t> by_addresses;
  };

  struct Command {
    enum class Kind : uint8_t { kIndex, kTransmit, kSend, kExpect } kind;
    Session* session = nullptr;
    Template packet;
    uint64_t time = 0;
    std::unique_ptr<Index> index;      // kIndex: the next one; once carried out, the one before
    std::unique_ptr<Session> retired;  // goes with the command
    Command* next = nullptr;
    std::atomic<bool> done{false};
  };

  static uint64_t hash_addresses(const Address& local, const Address& remote, uint16_t instance,
                                 bool multihop);
  static bool is_of(const Session& session, const LivenessPacket& packet);
  Session* find(const LivenessPacket& packet) const;
  Session* known(uint32_t id) const;
  void command(std::unique_ptr<Command> command);
  void reindex(std::unique_ptr<Session> retired);
  Command* take_commands();
  void carry_out(Command& command, uint64_t now);
  bool authentic(Session& session, const LivenessPacket& packet, uint64_t now);
  bool tell(Session& session, uint64_t now, const uint8_t* packet, uint32_t length);
  void expire(Session& session, uint64_t now);
  void forgive(uint64_t late);
  uint32_t seal(Session& session, const Template& from, uint8_t* packet);
  void sent(Session& session, uint64_t now, bool regularly);
  uint64_t jittered(Session& session);

  template <typename Send>
  void send_due(Session& session, uint64_t now, Send& send) {
    uint8_t packet[bfd::kMostBytes];
    uint32_t gone = 0;
    for (; gone < session.once_count; ++gone) {
      if (!send(session.options, packet, seal(session, session.once[gone], packet))) break;
      sent(session, now, false);
    }
    session.once_count -= gone;
    for (uint32_t i = 0; i < session.once_count; ++i) session.once[i] = session.once[i + gone];
    if (session.send_at > now) return;
    if (send(session.options, packet, seal(session, session.packet, packet))) {
      sent(session, now, true);
      session.send_at = session.interval == 0 ? kNever : now + jittered(session);
    } else {
      session.send_at = now + kRetryNs;
    }
  }

  // worker 0's
  Index* index_ = nullptr;
  uint64_t due_ = kNever;
  uint64_t next_silence_ = kNever;

  alignas(64) std::atomic<Command*> commands_{nullptr};
  std::unique_ptr<LivenessEvent[]> events_;
  std::atomic<uint32_t> written_{0};
  std::atomic<uint32_t> read_{0};

  // control thread's
  std::unordered_map<uint32_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Command>> pending_;
};

}  // namespace penstock
