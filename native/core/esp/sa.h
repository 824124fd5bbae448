// Security associations as the packet path sees them. The control plane makes and retires them; in between
// only the anchor worker writes, except where a member says otherwise.
//
// The members are in the order of the packet path: each packet touches the first two or three cache lines and
// its share of the key, whatever the number of tunnels.
//
// IV (64 bits) = node-id (4) | epoch (12) | counter (48). Only the SA makes one, and none twice: two nodes
// with one key have different node-ids, one node that gets a key again gets it with a higher epoch, and the
// counter is never set back and never runs over. With AES-CBC, whose IVs must not be foretold, these 64 bits
// are what one is made from: a block of AES under a key of its own, which keeps them apart.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../crypto/aes_gcm.h"
#include "../crypto/cbc_hmac.h"
#include "../packet/address.h"
#include "../packet/counters.h"
#include "../packet/esp.h"
#include "../packet/ipv4.h"
#include "../packet/ipv6.h"
#include "../packet/udp.h"
#include "replay_window.h"
#include "selector.h"

namespace penstock {

namespace esp {
constexpr uint32_t kIvBytes = 8;    // RFC 4106 §3.1
constexpr uint32_t kSaltBytes = 4;  // RFC 4106 §4
constexpr uint32_t kPayload = kHeaderBytes + kIvBytes;
constexpr uint32_t kCbcPayload = kHeaderBytes + kAesBlockBytes;  // RFC 3602 §3
constexpr uint64_t kLastIvCounter = (1ull << 48) - 1;
constexpr uint16_t kLargestEpoch = 4095;
constexpr uint8_t kLargestNodeId = 15;
}  // namespace esp

// A number that one thread writes and any thread may read: whole, perhaps a packet old.
template <typename T>
class Published {
 public:
  Published(T value = T()) : value_(value) {}
  Published(const Published& other) : value_(T(other)) {}
  void operator=(const Published& other) { *this = T(other); }
  operator T() const { return value_.load(std::memory_order_relaxed); }
  void operator=(T value) { value_.store(value, std::memory_order_relaxed); }
  void operator+=(T value) { *this = static_cast<T>(*this + value); }

 private:
  std::atomic<T> value_;
};

// 0: no limit. At the soft one a rekey is asked for, at the hard one packets are dropped. Kilobytes (1,024
// bytes) count inner packets.
struct SaLifetime {
  uint64_t soft_seconds = 0, hard_seconds = 0;
  uint64_t soft_packets = 0, hard_packets = 0;
  uint64_t soft_kilobytes = 0, hard_kilobytes = 0;
};

// What protects packets; the key's length is that of AES.
enum class EspAlgorithm : uint8_t {
  kGcm,
  kCbcHmacSha1_96,
  kCbcHmacSha256_128,
  kCbcHmacSha384_192,
  kCbcHmacSha512_256,
};

struct SaOptions {
  uint32_t spi = 0;
  EspAlgorithm algorithm = EspAlgorithm::kGcm;
  // AES-GCM: the AES key and, behind it, the salt: 20 or 36 bytes. AES-CBC: 16, 24 or 32 bytes. Copied.
  const uint8_t* key = nullptr;
  uint32_t key_bytes = 0;
  const uint8_t* authentication_key = nullptr;  // AES-CBC: as long as the hash. Copied.
  uint32_t authentication_key_bytes = 0;
  bool extended_sequence_number = false;
  std::vector<TrafficSelector> selectors;  // a packet must be in one of them; none: any packet may pass
  uint32_t anchor = 0;                     // worker that owns the SA
  uint32_t tunnel = 0;  // the control plane's id of the tunnel: both directions and every rekey share it
  SaLifetime lifetime;
  uint64_t created_ns = 0;  // by the loop's clock; 0: lifetimes start with the first packet
};

struct InboundSaOptions : SaOptions {
  uint32_t replay_window = kLeastReplayWindow;  // 0: none; else a power of two from 64 to 8192
  uint64_t highest_sequence = 0;                // everything up to it counts as seen
  bool copy_outer_dscp = false;                 // the inner packet takes the outer one's
};

enum class DfBit : uint8_t { kCopy, kSet, kClear };

struct OutboundSaOptions : SaOptions {
  Address source;
  Address destination;
  bool udp = false;  // RFC 3948
  uint16_t udp_source = esp::kUdpPort;
  uint16_t udp_destination = esp::kUdpPort;
  uint8_t node_id = 0;             // 1 … 15
  uint16_t epoch = 0;              // 0 … 4095
  uint64_t first_counter = 0;      // of an SA that goes on in the epoch it was saved in (SA files); else 0
  uint64_t next_sequence = 1;      // RFC 4303 §3.3.3
  DfBit df_bit = DfBit::kCopy;     // of an outer IPv4 header
  int dscp = -1;                   // of the outer header, 0 … 63; -1: the inner packet's
  uint16_t mtu = 1500;             // of the path, bytes of IP packet
  uint64_t gate = ~0ull;           // numbers from here on wait (OutboundSa::gate); 0: nothing is sealed yet
  uint16_t routing_instance = 0;   // where outer packets are routed
  uint8_t ttl = 64;                // of the outer header
  unsigned rekey_at_percent = 90;  // of the sequence numbers, and of the IVs of an epoch
};

// Why the control plane should look at an SA. Bits are set by the anchor worker and stay.
enum SaEvent : uint32_t {
  kSoftSeconds = 1,
  kSoftPackets = 2,
  kSoftKilobytes = 4,
  kSequenceLow = 8,  // rekey_at_percent of the sequence numbers are used
  kIvLow = 16,
  kHardLifetime = 32,
  kSequenceCycled = 64,
  kIvExhausted = 128,
};
constexpr uint32_t kSaIsSpent = kHardLifetime | kSequenceCycled | kIvExhausted;

// Counts towards the lifetimes with three comparisons a packet. What happens at a number of packets (sequence
// numbers and IVs are packets too), of bytes, or at a time has one threshold each; behind one of them
// attend() looks at everything.
class SaUse {
 public:
  // Limits in units of this class; ~0: none.
  struct Limits {
    uint64_t soft_packets = ~0ull, hard_packets = ~0ull;
    uint64_t soft_bytes = ~0ull, hard_bytes = ~0ull;
    uint64_t soft_ns = ~0ull, hard_ns = ~0ull;  // since the start
    uint64_t start_ns = 0;                      // 0: the next packet's time
  };
  static Limits limits(const SaLifetime& lifetime, uint64_t created_ns);

  // Whether one more packet passes no threshold. At first every packet does.
  bool is_plain(uint32_t length, uint64_t now_ns) const {
    return packets < attend_packets_ && bytes + length <= attend_bytes_ && now_ns < attend_ns_;
  }
  // The events that one more packet of this length brings about (kHardLifetime: it may not pass), and new
  // thresholds. `more`: after how many packets, this one counted, the owner wants to look again in any case.
  uint32_t attend(Limits& limits, uint32_t length, uint64_t now_ns, uint64_t more);
  // The next packet is not plain.
  void look_again() { attend_packets_ = 0; }
  void add(uint32_t length) {
    packets += 1;
    bytes += length;
  }

  Published<uint64_t> packets;
  Published<uint64_t> bytes;

 private:
  uint64_t attend_packets_ = 0;
  uint64_t attend_bytes_ = 0;
  uint64_t attend_ns_ = 0;
};

// Keys as they were given, for those who may see them: captures that are to be decrypted, and a configuration
// that comes back.
class SaSecret {
 public:
  SaSecret() = default;
  SaSecret(const SaSecret&) = delete;
  SaSecret& operator=(const SaSecret&) = delete;
  ~SaSecret() { wipe(bytes_, sizeof bytes_); }
  void set(const SaOptions& options) {
    algorithm_ = options.algorithm;
    size_ = options.key_bytes;
    authentication_size_ = options.authentication_key_bytes;
    std::memcpy(bytes_, options.key, size_);
    if (authentication_size_ != 0)
      std::memcpy(bytes_ + size_, options.authentication_key, authentication_size_);
  }
  EspAlgorithm algorithm() const { return algorithm_; }
  const uint8_t* bytes() const { return bytes_; }
  uint32_t size() const { return size_; }
  const uint8_t* authentication() const { return bytes_ + size_; }
  uint32_t authentication_size() const { return authentication_size_; }  // 0: none

 private:
  uint8_t bytes_[32 + esp::kSaltBytes + kMostIntegrityKey] = {};
  uint32_t size_ = 0;
  uint32_t authentication_size_ = 0;
  EspAlgorithm algorithm_ = EspAlgorithm::kGcm;
};

struct alignas(64) OutboundSa {
  OutboundSa() = default;
  OutboundSa(const OutboundSa&) = delete;
  OutboundSa& operator=(const OutboundSa&) = delete;
  ~OutboundSa();

  // Empty, or what is wrong with the options: the SA seals nothing then.
  std::string init(const OutboundSaOptions& options);

  // Asks the cache for what every packet needs, some time before it is sealed.
  void prefetch() const {
    const auto* line = reinterpret_cast<const uint8_t*>(this);
    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + 64);
    __builtin_prefetch(line + 128);
  }
  // Any thread.
  uint8_t outer_version() const { return is_v6 ? 6 : 4; }
  bool rekey_wanted() const { return events != 0; }
  bool expired() const { return (events & kSaIsSpent) != 0; }
  void set_mtu(uint16_t path_mtu) { mtu = path_mtu; }

  // Anchor worker: goes by the selectors, outer headers, MTU and routing instance of `other` from now on,
  // which is left with some of the former ones. Neither allocates nor frees.
  void adopt(OutboundSa& other);

  // On one node of a pair: numbers from `gate` on are not used, so that the other node, which would go on
  // there, finds none of its own used; at `ask` the worker says that it comes near. Any thread may move an
  // armed gate, which is looked at when it is reached; arming one is arm().
  void move_gate(uint64_t new_gate, uint64_t new_ask) {
    ask = new_ask;
    gate = new_gate;
  }
  // Anchor worker: the same, looked at from the next packet on.
  void arm(uint64_t new_gate, uint64_t new_ask) {
    move_gate(new_gate, new_ask);
    use.look_again();
  }
  // Anchor worker: goes on where the other node may have come to. False, and nothing is done: the epoch is
  // not higher than the one that was sealed with, so an IV could come twice, or the number goes back.
  bool take_over(uint16_t epoch, uint64_t sequence);

  // Any thread.
  // Outer header(s), ESP header, IV, trailer and ICV that an inner packet gets, and its length with them.
  uint32_t seal_overhead(uint32_t inner_length) const { return sealed_length(inner_length) - inner_length; }
  uint32_t sealed_length(uint32_t inner_length) const {
    return header_bytes + ((inner_length + esp::kTrailerBytes + pad_mask()) & ~pad_mask()) + icv_bytes;
  }
  // The longest inner packet that leaves in at most `path_mtu` bytes; 0: none does.
  uint32_t max_inner_length(uint32_t path_mtu) const {
    const uint32_t around = header_bytes + uint32_t{icv_bytes};
    return path_mtu <= around + pad_mask() ? 0 : ((path_mtu - around) & ~pad_mask()) - esp::kTrailerBytes;
  }
  // Text is a multiple of four bytes (RFC 4303 §2.4) or of AES's block; one less than that.
  uint32_t pad_mask() const { return 3u | uint32_t{is_cbc} << 2 | uint32_t{is_cbc} << 3; }
  uint32_t iv_bytes() const { return is_cbc ? kAesBlockBytes : esp::kIvBytes; }
  uint32_t max_inner_length() const { return max_inner_length(mtu); }

  // Anchor worker, for a packet that is to be sealed now: takes its sequence number and its IV, or says why
  // it gets none.
  DropReason reserve(uint32_t length, uint64_t now_ns, uint64_t& sequence, uint64_t& iv) {
    if (!use.is_plain(length, now_ns)) [[unlikely]] {
      const DropReason reason = attend(length, now_ns);
      if (reason != DropReason::kNone) return reason;
    }
    sequence = next_sequence;
    iv = iv_prefix | next_counter;
    next_sequence += 1;
    next_counter += 1;
    use.add(length);
    return DropReason::kNone;
  }
  bool selects(const uint8_t* ip, unsigned version) const {
    return selector_count == 0 || selector.holds(ip, version, false) ||
           (selector_count > 1 && selects_further(ip, version));
  }

  // What every packet writes.
  SaUse use;
  Published<uint64_t> next_sequence;  // 0: the last number is used
  Published<uint64_t> next_counter;   // up to kLastIvCounter + 1
  uint32_t salt = 0;                  // as it lies in the nonce
  uint32_t tunnel = 0;

  // The outer headers, right-aligned: IPv4 or IPv6, UDP perhaps, SPI, and room for the sequence number.
  static constexpr uint32_t kTemplateBytes = ipv6::kHeaderBytes + udp::kHeaderBytes + esp::kHeaderBytes;
  alignas(64) uint8_t headers[kTemplateBytes] = {};
  uint16_t header_sum = 0;   // of the IPv4 header without the fields that differ from packet to packet
  Published<uint16_t> mtu;   // of the path; the control plane's to write
  uint8_t header_bytes = 0;  // from the outer IP header to the ciphertext
  bool is_v6 : 1 = false;
  bool is_udp : 1 = false;
  bool is_extended : 1 = false;
  bool dscp_is_fixed : 1 = false;
  DfBit df_bit : 2 = DfBit::kCopy;
  bool is_cbc : 1 = false;
  uint8_t tos = 0;  // the fixed DSCP, in its place
  uint8_t icv_bytes = kGcmTagBytes;

  alignas(64) uint64_t iv_prefix = 0;
  uint32_t anchor = 0;
  uint16_t routing_instance = 0;
  uint16_t selector_count = 0;
  CompiledSelector selector;

  GcmKey key;  // AES-CBC: of the IVs
  std::unique_ptr<CbcHmacKey> cbc;

  // What no packet needs.
  struct Drops {
    Published<uint64_t> selector, seq_cycled, iv_exhausted, lifetime, too_big, gate;
  } drops;
  Published<uint32_t> events;  // SaEvent
  Published<uint64_t> gate = ~0ull;
  Published<uint64_t> ask = ~0ull;
  Published<uint32_t> asks;  // times that `ask` or the gate was reached
  bool sealed_in_epoch = false;
  uint32_t spi = 0;
  uint64_t last_sequence = 0;
  uint64_t low_sequence = 0;  // where the control plane is told
  uint64_t low_counter = 0;
  SaUse::Limits limits;
  std::vector<CompiledSelector> further_selectors;
  SaSecret secret;

 private:
  DropReason attend(uint32_t length, uint64_t now_ns);
  bool selects_further(const uint8_t* ip, unsigned version) const;
};

struct alignas(64) InboundSa {
  InboundSa() = default;
  InboundSa(const InboundSa&) = delete;
  InboundSa& operator=(const InboundSa&) = delete;
  ~InboundSa();

  // As above. Throws std::bad_alloc.
  std::string init(const InboundSaOptions& options);

  // Any thread.
  bool rekey_wanted() const { return events != 0; }
  bool expired() const { return (events & kSaIsSpent) != 0; }
  uint64_t highest_sequence() const { return window.top(); }

  // As above: selectors, the window's size, what is copied from the outer header. What was seen stays seen.
  void adopt(InboundSa& other);

  // Anchor worker: whether a packet of this inner length may pass; kNone or lifetime.
  DropReason admit(uint32_t length, uint64_t now_ns) {
    return use.is_plain(length, now_ns) ? DropReason::kNone : attend(length, now_ns);
  }
  bool selects(const uint8_t* ip, unsigned version) const {
    return selector_count == 0 || selector.holds(ip, version, true) ||
           (selector_count > 1 && selects_further(ip, version));
  }

  SaUse use;
  uint32_t salt = 0;
  uint32_t tunnel = 0;
  uint32_t anchor = 0;
  uint16_t selector_count = 0;
  bool is_extended = false;
  bool copy_outer_dscp = false;
  bool is_cbc = false;
  uint8_t icv_bytes = kGcmTagBytes;

  alignas(64) ReplayWindow window;

  alignas(64) CompiledSelector selector;

  GcmKey key;
  std::unique_ptr<CbcHmacKey> cbc;

  struct Drops {
    Published<uint64_t> replay, auth_failed, selector, lifetime, malformed;
  } drops;
  Published<uint32_t> events;
  uint32_t spi = 0;
  SaUse::Limits limits;
  std::vector<CompiledSelector> further_selectors;
  SaSecret secret;

 private:
  DropReason attend(uint32_t length, uint64_t now_ns);
  bool selects_further(const uint8_t* ip, unsigned version) const;
};

}  // namespace penstock
