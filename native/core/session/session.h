// A session: two wings, In (the direction of its first packet) and Out (the answers), each found by a key of
// its own. What the packet path reads and writes of a session is one cache line for IPv4, two for IPv6; what
// only set-up, expiry and show need lies in a second, cold record.
//
// NAT needs no fields of its own. The Out wing's key is the In wing's key translated and turned round, so the
// two keys say what each wing is translated to (translation() below): a packet of the In wing leaves with
// source = Out.destination and destination = Out.source, a packet of the Out wing with source =
// In.destination and destination = In.source. Without NAT that is what the packet carries already.
#pragma once
#include <cstdint>
#include <cstring>

namespace penstock {

enum class Wing : uint8_t { kIn = 0, kOut = 1 };
constexpr unsigned index_of(Wing wing) {
  return static_cast<unsigned>(wing);
}
constexpr Wing other(Wing wing) {
  return wing == Wing::kIn ? Wing::kOut : Wing::kIn;
}

// As `show security flow session` prints them.
enum class HaState : uint8_t { kActive = 0, kWarm = 1, kBackup = 2 };

constexpr uint32_t kNoSession = 0xffffffff;
constexpr uint32_t kNoTunnel = 0xffffffff;
constexpr uint32_t kNoNextHop = 0xffffffff;
constexpr unsigned kSessionBurst = 64;
constexpr uint32_t kMaxRoutingInstances = 4096;  // 12 bits of a key
constexpr uint32_t kMaxZones = 4096;             // 12 bits of a key

// words[0]: source port | destination port << 16 | protocol << 32 | routing instance << 40 | zone << 52
// words[1…]: addresses as they stand in the packet; IPv4: source, destination in words[1]; IPv6: source in
//            words[1], words[2], destination in words[3], words[4].
// Routing instance and zone are those in which the wing's packets arrive. ICMP: identifier as both ports.
struct SessionKey {
  uint64_t words[5] = {};
  uint8_t version = 0;  // 4 or 6

  // source, destination: 4 bytes (16 for ipv6) in network order; ports in host order;
  // routing_instance < kMaxRoutingInstances, zone < kMaxZones (higher bits are cut off).
  static SessionKey ipv4(const void* source, const void* destination, uint16_t source_port,
                         uint16_t destination_port, uint8_t protocol, uint16_t routing_instance,
                         uint16_t zone) {
    SessionKey key;
    key.words[0] = context(source_port, destination_port, protocol, routing_instance, zone);
    std::memcpy(&key.words[1], source, 4);
    std::memcpy(reinterpret_cast<uint8_t*>(&key.words[1]) + 4, destination, 4);
    key.version = 4;
    return key;
  }
  static SessionKey ipv6(const void* source, const void* destination, uint16_t source_port,
                         uint16_t destination_port, uint8_t protocol, uint16_t routing_instance,
                         uint16_t zone) {
    SessionKey key;
    key.words[0] = context(source_port, destination_port, protocol, routing_instance, zone);
    std::memcpy(&key.words[1], source, 16);
    std::memcpy(&key.words[3], destination, 16);
    key.version = 6;
    return key;
  }

  static uint64_t context(uint16_t source_port, uint16_t destination_port, uint8_t protocol,
                          uint16_t routing_instance, uint16_t zone) {
    return source_port | static_cast<uint64_t>(destination_port) << 16 |
           static_cast<uint64_t>(protocol) << 32 |
           static_cast<uint64_t>(routing_instance & (kMaxRoutingInstances - 1)) << 40 |
           static_cast<uint64_t>(zone & (kMaxZones - 1)) << 52;
  }

  // The key of the answers to this key's packets, arriving in the given instance and zone.
  SessionKey reversed(uint16_t answers_routing_instance, uint16_t answers_zone) const {
    SessionKey key = *this;
    key.words[0] =
        context(destination_port(), source_port(), protocol(), answers_routing_instance, answers_zone);
    if (version == 4) {
      key.words[1] = words[1] << 32 | words[1] >> 32;
    } else {
      std::memcpy(&key.words[1], &words[3], 16);
      std::memcpy(&key.words[3], &words[1], 16);
    }
    return key;
  }

  uint16_t source_port() const { return static_cast<uint16_t>(words[0]); }
  uint16_t destination_port() const { return static_cast<uint16_t>(words[0] >> 16); }
  uint8_t protocol() const { return static_cast<uint8_t>(words[0] >> 32); }
  uint16_t routing_instance() const {
    return static_cast<uint16_t>(words[0] >> 40 & (kMaxRoutingInstances - 1));
  }
  uint16_t zone() const { return static_cast<uint16_t>(words[0] >> 52); }
  // In network order: 4 bytes, or 16 of an IPv6 key.
  const uint8_t* source() const { return reinterpret_cast<const uint8_t*>(&words[1]); }
  const uint8_t* destination() const {
    return version == 4 ? reinterpret_cast<const uint8_t*>(&words[1]) + 4
                        : reinterpret_cast<const uint8_t*>(&words[3]);
  }

  friend bool operator==(const SessionKey& a, const SessionKey& b) {
    return a.version == b.version && std::memcmp(a.words, b.words, sizeof a.words) == 0;
  }
};

// What points at a session from outside the table: never resolves once the session is gone, because the
// slot's generation has moved on. id is the session ID that show prints; wing says which wing's key matched.
struct SessionRef {
  uint32_t id = kNoSession;  // bit 31: IPv6; bits 0…29: slot
  uint32_t generation = 0;
  Wing wing = Wing::kIn;

  bool found() const { return id != kNoSession; }
};

// Seconds. Junos's defaults: tcp-initial-timeout 20, application time-outs by protocol; the second FIN sets
// 150 and the ACK that ends the handshake 2; a flow terminated otherwise (RST) is kept for 10.
struct SessionTimeouts {
  uint32_t tcp = 1800;
  uint32_t tcp_initial = 20;
  uint32_t tcp_closing = 150;
  uint32_t tcp_time_wait = 2;
  uint32_t tcp_reset = 10;
  uint32_t udp = 60;
  uint32_t icmp = 60;
  uint32_t other = 60;
};

// A Warm session lives so many times its time-out: what keeps it alive is seen at the other node (the
// reference shows 14,400 s beside 1,800).
constexpr uint32_t kWarmTimeouts = 8;

// Hot part that both families share, 32 bytes. Only the table reads and writes it.
struct SessionState {
  uint32_t generation;      // odd while the session lives
  uint32_t last_used;       // tick, modulo 2^32
  uint32_t bytes_low[2];    // per wing, see session_carry
  uint16_t packets_low[2];  // likewise
  uint32_t egress[2];       // per wing, see session_table.h: tunnel or next hop its packets came by
  uint8_t tcp;              // TcpState
  uint8_t ha;               // bits 0-1: session, 2-3: In wing, 4-5: Out wing (HaState); 6: inspected
  uint16_t route_version;   // of the snapshot that the next hops in egress were taken from
};
static_assert(sizeof(SessionState) == 32);

template <unsigned kWords>
struct alignas(64) SessionHot {
  uint64_t keys[2][kWords];
  SessionState state;
};
using SessionHot4 = SessionHot<2>;
using SessionHot6 = SessionHot<5>;
static_assert(sizeof(SessionHot4) == 64 && sizeof(SessionHot6) == 128);

struct TimerLink {
  uint32_t next;
  uint32_t previous;
};

struct SessionCold {
  TimerLink timer;  // next also chains free slots
  uint32_t policy;
  uint32_t created;   // tick, modulo 2^32
  uint64_t carry[2];  // per wing: SessionCarry
};
static_assert(sizeof(SessionCold) == 32);

// What of a wing's counters does not fit into the hot record, and half of the session's time-out, in one word
// so that each change of it is seen whole:
//
//   bits 0…25   bytes >> 31      bits 26…53  packets >> 15      bits 54…63  half of the time-out in seconds
//
// The lowest bit of each carry is the highest of the low part (bytes_low, packets_low) once more. A reader
// that sees them differ has come between the two stores, low part first, and knows that the carry lacks one.
namespace session_carry {
constexpr unsigned kPacketsAt = 26;
constexpr unsigned kTimeoutAt = 54;
constexpr uint64_t kBytesMask = (uint64_t{1} << kPacketsAt) - 1;
constexpr uint64_t kPacketsMask = (uint64_t{1} << (kTimeoutAt - kPacketsAt)) - 1;
constexpr unsigned kTimeoutBits = 64 - kTimeoutAt;
constexpr uint32_t kMostTimeout = (1u << 2 * kTimeoutBits) - 1;  // seconds: twelve days

constexpr uint64_t fresh(unsigned wing, uint32_t timeout) {
  return static_cast<uint64_t>(timeout >> (wing * kTimeoutBits)) << kTimeoutAt;
}
constexpr uint32_t timeout(uint64_t in, uint64_t out) {
  return static_cast<uint32_t>(in >> kTimeoutAt | out >> kTimeoutAt << kTimeoutBits);
}
// More carries, of bytes or packets; the field wraps by itself.
constexpr uint64_t add_bytes(uint64_t word, uint64_t carries) {
  return (word & ~kBytesMask) | ((word + carries) & kBytesMask);
}
constexpr uint64_t add_packets(uint64_t word, uint64_t carries) {
  constexpr uint64_t kField = kPacketsMask << kPacketsAt;
  return (word & ~kField) | ((word + (carries << kPacketsAt)) & kField);
}
constexpr uint64_t bytes(uint64_t word, uint32_t low) {
  uint64_t high = word & kBytesMask;
  high = (high + ((high ^ low >> 31) & 1)) & kBytesMask;
  return high << 31 | (low & 0x7fffffff);
}
constexpr uint64_t packets(uint64_t word, uint16_t low) {
  uint64_t high = word >> kPacketsAt & kPacketsMask;
  high = (high + ((high ^ low >> 15) & 1)) & kPacketsMask;
  return high << 15 | (low & 0x7fff);
}
}  // namespace session_carry

// A session as show and synchronisation see it.
struct SessionInfo {
  struct WingInfo {
    SessionKey key;
    uint64_t packets;
    uint64_t bytes;
    HaState ha;
    uint32_t tunnel;    // kNoTunnel: none
    uint32_t next_hop;  // kNoNextHop: none cached
  };
  SessionRef ref;
  uint32_t policy;
  HaState ha;
  bool inspected;
  uint8_t tcp;            // TcpState
  uint64_t created;       // ns
  uint64_t last_used;     // ns
  uint32_t timeout;       // seconds without a packet after which it ends, in its present state
  uint32_t timeout_left;  // seconds, as `show` prints it
  uint32_t own_timeout;   // seconds, while it is established: what `timeout` was at set-up
  WingInfo wings[2];      // by index_of(Wing)
};

// Told of what happens in a table, on the thread that owns it; may read the table, and not change it.
class SessionWatcher {
 public:
  virtual ~SessionWatcher() = default;
  virtual void created(const SessionRef& ref, uint64_t now) = 0;
  virtual void tcp_changed(const SessionRef& ref, uint64_t now) = 0;
  virtual void ending(const SessionRef& ref) = 0;  // still readable
};

// What a wing's packets look like when they leave: addresses in network order (4 or 16 bytes), ports in host
// order. changed says whether that differs from how they came in.
struct SessionTranslation {
  const uint8_t* source;
  const uint8_t* destination;
  uint16_t source_port;
  uint16_t destination_port;
  bool changed;
};

// Points into `keys`, which must outlive the result.
inline SessionTranslation translation(const SessionKey& own, const SessionKey& others) {
  SessionTranslation result{others.destination(), others.source(), others.destination_port(),
                            others.source_port(), false};
  const unsigned length = own.version == 4 ? 4 : 16;
  result.changed = result.source_port != own.source_port() ||
                   result.destination_port != own.destination_port() ||
                   std::memcmp(result.source, own.source(), length) != 0 ||
                   std::memcmp(result.destination, own.destination(), length) != 0;
  return result;
}

}  // namespace penstock
