#include "sa.h"

#include <algorithm>
#include <cstring>

namespace penstock {
namespace {

// a × b, or ~0 (never) when it does not fit or a is 0 (no limit).
uint64_t limit(uint64_t value, uint64_t unit) {
  uint64_t product;
  return value == 0 || __builtin_mul_overflow(value, unit, &product) ? ~0ull : product;
}

uint64_t add_up_to_never(uint64_t a, uint64_t b) {
  uint64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? ~0ull : sum;
}

bool soft_after_hard(uint64_t soft, uint64_t hard) {
  return soft != 0 && hard != 0 && soft > hard;
}

// What both directions share.
std::string check(const SaOptions& options) {
  if (options.spi < esp::kMinimumSpi) return "spi: 0 to 255 are reserved (RFC 4303 §2.1)";
  if (options.algorithm == EspAlgorithm::kGcm &&
      (options.key == nullptr ||
       (options.key_bytes != 16 + esp::kSaltBytes && options.key_bytes != 32 + esp::kSaltBytes))) {
    return "key: 20 or 36 bytes, the AES key and the salt behind it, not " +
           std::to_string(options.key_bytes);
  }
  if (options.selectors.size() > 0xffff) return "selectors: more than 65535";
  for (const TrafficSelector& selector : options.selectors) {
    const std::string error = selector.error();
    if (!error.empty()) return "selectors: " + error;
  }
  const SaLifetime& life = options.lifetime;
  if (soft_after_hard(life.soft_seconds, life.hard_seconds) ||
      soft_after_hard(life.soft_packets, life.hard_packets) ||
      soft_after_hard(life.soft_kilobytes, life.hard_kilobytes)) {
    return "lifetime: the soft one is longer than the hard one";
  }
  return "";
}

Integrity integrity_of(EspAlgorithm algorithm) {
  switch (algorithm) {
    case EspAlgorithm::kCbcHmacSha1_96:
      return Integrity::kHmacSha1_96;
    case EspAlgorithm::kCbcHmacSha384_192:
      return Integrity::kHmacSha384_192;
    case EspAlgorithm::kCbcHmacSha512_256:
      return Integrity::kHmacSha512_256;
    default:
      return Integrity::kHmacSha256_128;
  }
}

// Keys in the form that packets want them in; or what is wrong with them.
template <typename Sa>
std::string take_keys(Sa& sa, const SaOptions& options, bool sealing) {
  if (options.algorithm == EspAlgorithm::kGcm) {
    if (options.authentication_key_bytes != 0) return "authentication key: AES-GCM has none";
    const uint32_t aes_bytes = options.key_bytes - esp::kSaltBytes;
    gcm_init_key(sa.key, options.key, aes_bytes);
    std::memcpy(&sa.salt, options.key + aes_bytes, esp::kSaltBytes);
    return "";
  }
  const Integrity integrity = integrity_of(options.algorithm);
  auto cbc = std::make_unique<CbcHmacKey>();
  std::string error = cbc->init(sealing, options.key, options.key_bytes, integrity,
                                options.authentication_key, options.authentication_key_bytes);
  if (!error.empty()) return error;
  if (sealing) {
    uint8_t iv_key[16];
    if (const char* fault = derive_iv_key(options.key, options.key_bytes, iv_key)) return fault;
    gcm_init_key(sa.key, iv_key, sizeof iv_key);
    wipe(iv_key, sizeof iv_key);
  }
  sa.is_cbc = true;
  sa.icv_bytes = static_cast<uint8_t>(cbc->icv_bytes());
  sa.cbc = std::move(cbc);
  return "";
}

template <typename Sa>
void take(Sa& sa, const SaOptions& options) {
  sa.secret.set(options);
  sa.spi = options.spi;
  sa.tunnel = options.tunnel;
  sa.anchor = options.anchor;
  sa.is_extended = options.extended_sequence_number;
  sa.limits = SaUse::limits(options.lifetime, options.created_ns);
  sa.selector_count = static_cast<uint16_t>(options.selectors.size());
  sa.further_selectors.clear();
  if (options.selectors.empty()) return;
  sa.selector = CompiledSelector(options.selectors[0]);
  for (size_t i = 1; i < options.selectors.size(); ++i) {
    sa.further_selectors.emplace_back(options.selectors[i]);
  }
}

bool any_holds(const std::vector<CompiledSelector>& selectors, const uint8_t* ip, unsigned version,
               bool inbound) {
  return std::any_of(selectors.begin(), selectors.end(),
                     [&](const CompiledSelector& selector) { return selector.holds(ip, version, inbound); });
}

// The number from which on a rekey is asked for, of `count` numbers.
uint64_t part(uint64_t count, unsigned percent) {
  return count / 100 * percent + count % 100 * percent / 100;
}

std::string check(const OutboundSaOptions& options) {
  if (options.source.is_v4() != options.destination.is_v4())
    return "source and destination: of different families";
  if (options.node_id < 1 || options.node_id > esp::kLargestNodeId) return "node-id: 1 to 15";
  if (options.epoch > esp::kLargestEpoch) return "epoch: 0 to 4095; rekey";
  if (options.first_counter > esp::kLastIvCounter) return "IV counter: 48 bits";
  if (options.next_sequence == 0) return "next sequence number: 0 is never sent (RFC 4303 §3.3.3)";
  // 2^32 is what an SA is saved with whose last number was used: it comes back and seals nothing.
  if (!options.extended_sequence_number && options.next_sequence > 1ull << 32) {
    return "next sequence number: 32 bits without ESN";
  }
  if (options.dscp < -1 || options.dscp > 63) return "dscp: 0 to 63";
  if (options.rekey_at_percent < 1 || options.rekey_at_percent > 100) return "rekey: 1 to 100 percent";
  if (options.ttl == 0) return "ttl: 1 to 255";
  return "";
}

}  // namespace

SaUse::Limits SaUse::limits(const SaLifetime& lifetime, uint64_t created_ns) {
  constexpr uint64_t kSecond = 1'000'000'000;
  constexpr uint64_t kKilobyte = 1024;
  Limits limits;
  limits.soft_packets = limit(lifetime.soft_packets, 1);
  limits.hard_packets = limit(lifetime.hard_packets, 1);
  limits.soft_bytes = limit(lifetime.soft_kilobytes, kKilobyte);
  limits.hard_bytes = limit(lifetime.hard_kilobytes, kKilobyte);
  limits.soft_ns = limit(lifetime.soft_seconds, kSecond);
  limits.hard_ns = limit(lifetime.hard_seconds, kSecond);
  limits.start_ns = created_ns;
  return limits;
}

uint32_t SaUse::attend(Limits& limits, uint32_t length, uint64_t now_ns, uint64_t more) {
  if (limits.start_ns == 0) limits.start_ns = std::max<uint64_t>(now_ns, 1);
  uint32_t events = 0;
  attend_packets_ = std::min(add_up_to_never(packets, more), limits.hard_packets);
  attend_bytes_ = limits.hard_bytes;
  attend_ns_ = add_up_to_never(limits.start_ns, limits.hard_ns);
  if (packets >= limits.hard_packets || bytes + length > limits.hard_bytes || now_ns >= attend_ns_) {
    events |= kHardLifetime;
  }
  // The packet that makes the soft limit full is the one that says so.
  if (packets + 1 >= limits.soft_packets) {
    events |= kSoftPackets;
  } else {
    attend_packets_ = std::min(attend_packets_, limits.soft_packets - 1);
  }
  if (bytes + length >= limits.soft_bytes) {
    events |= kSoftKilobytes;
  } else {
    attend_bytes_ = std::min(attend_bytes_, limits.soft_bytes - 1);
  }
  const uint64_t soft_ns = add_up_to_never(limits.start_ns, limits.soft_ns);
  if (now_ns >= soft_ns) {
    events |= kSoftSeconds;
  } else {
    attend_ns_ = std::min(attend_ns_, soft_ns);
  }
  return events;
}

OutboundSa::~OutboundSa() {
  wipe(&salt, sizeof salt);
}

std::string OutboundSa::init(const OutboundSaOptions& options) {
  std::string error = check(static_cast<const SaOptions&>(options));
  if (error.empty()) error = check(options);
  if (error.empty()) error = take_keys(*this, options, true);
  if (!error.empty()) return error;
  take(*this, options);
  next_sequence = options.next_sequence;
  last_sequence = is_extended ? ~0ull : 0xffffffff;
  low_sequence = part(last_sequence, options.rekey_at_percent);
  next_counter = options.first_counter;
  gate = options.gate;
  low_counter = part(esp::kLastIvCounter, options.rekey_at_percent);
  iv_prefix = static_cast<uint64_t>(options.node_id) << 60 | static_cast<uint64_t>(options.epoch) << 48;
  routing_instance = options.routing_instance;
  mtu = options.mtu;
  df_bit = options.df_bit;
  dscp_is_fixed = options.dscp >= 0;
  tos = static_cast<uint8_t>(dscp_is_fixed ? options.dscp << 2 : 0);

  is_v6 = !options.source.is_v4();
  is_udp = options.udp;
  const uint32_t ip_bytes = is_v6 ? ipv6::kHeaderBytes : ipv4::kHeaderBytes;
  const uint32_t udp_bytes = is_udp ? udp::kHeaderBytes : 0;
  header_bytes = static_cast<uint8_t>(ip_bytes + udp_bytes + esp::kHeaderBytes + iv_bytes());
  uint8_t* esp = headers + kTemplateBytes - esp::kHeaderBytes;
  store32(esp + esp::kSpi, spi);
  if (is_udp) udp::write(esp - udp_bytes, options.udp_source, options.udp_destination, 0);
  const uint8_t next = is_udp ? protocol::kUdp : protocol::kEsp;
  uint8_t* ip = esp - udp_bytes - ip_bytes;
  if (is_v6) {
    // Flow label 0: the SA is what a router could tell flows by, and the SPI says that.
    const ipv6::Fields fields = {.next_header = next, .hop_limit = options.ttl};
    ipv6::write(ip, fields, options.source.bytes(), options.destination.bytes());
  } else {
    const ipv4::Fields fields = {.total_length = 0, .ttl = options.ttl, .protocol = next};
    ipv4::write(ip, fields, options.source.v4_bytes(), options.destination.v4_bytes());
    checksum::store_raw(ip + ipv4::kChecksum, 0);
    header_sum = checksum::fold(checksum::add_bytes(0, ip, ipv4::kHeaderBytes));
  }
  return "";
}

void OutboundSa::adopt(OutboundSa& other) {
  std::memcpy(headers, other.headers, sizeof headers);
  header_sum = other.header_sum;
  mtu = other.mtu;
  header_bytes = static_cast<uint8_t>(other.header_bytes - other.iv_bytes() + iv_bytes());
  is_v6 = other.is_v6;
  is_udp = other.is_udp;
  dscp_is_fixed = other.dscp_is_fixed;
  df_bit = other.df_bit;
  tos = other.tos;
  routing_instance = other.routing_instance;
  selector = other.selector;
  selector_count = other.selector_count;
  further_selectors.swap(other.further_selectors);
}

DropReason OutboundSa::attend(uint32_t length, uint64_t now_ns) {
  if (spi == 0) return DropReason::no_sa;  // never initialised
  const uint64_t sequence = next_sequence;
  const uint64_t counter = next_counter;
  const bool cycled = sequence == 0 || sequence > last_sequence;
  const bool exhausted = counter > esp::kLastIvCounter;
  uint64_t more = 0;
  const uint64_t wait_from = gate;
  const uint64_t ask_from = ask;
  const bool waits = sequence >= wait_from && wait_from != ~0ull;
  if (!cycled && !exhausted && !waits) {
    // Up to the last number; and, from below the low mark, up to that.
    const uint64_t sequences = (sequence < low_sequence ? low_sequence : last_sequence) - sequence;
    const uint64_t counters = (counter < low_counter ? low_counter : esp::kLastIvCounter) - counter;
    more = std::min({sequences, counters, wait_from - sequence});
    if (sequence < ask_from) more = std::min(more, ask_from - sequence);
  }
  if (sequence >= ask_from) asks += 1;
  uint32_t seen = use.attend(limits, length, now_ns, more);
  if (sequence == 0 || sequence >= low_sequence) seen |= kSequenceLow;
  if (counter >= low_counter) seen |= kIvLow;
  if (cycled) seen |= kSequenceCycled;
  if (exhausted) seen |= kIvExhausted;
  events = events | seen;
  if (seen & kHardLifetime) {
    drops.lifetime += 1;
    return DropReason::lifetime;
  }
  if (cycled) {
    drops.seq_cycled += 1;
    return DropReason::seq_cycled;
  }
  if (exhausted) {
    drops.iv_exhausted += 1;
    return DropReason::iv_exhausted;
  }
  if (waits) {
    drops.gate += 1;
    return wait_from == 0 ? DropReason::not_sealing : DropReason::sync_wait;
  }
  sealed_in_epoch = true;
  return DropReason::kNone;
}

bool OutboundSa::take_over(uint16_t epoch, uint64_t sequence) {
  constexpr uint64_t kEpochMask = uint64_t{esp::kLargestEpoch} << 48;
  const uint64_t before = (iv_prefix & kEpochMask) >> 48;
  if (epoch > esp::kLargestEpoch || epoch < before || (epoch == before && sealed_in_epoch)) return false;
  if (sequence == 0 || (next_sequence != 0 && sequence < next_sequence)) return false;
  if (epoch != before) next_counter = 0;
  iv_prefix = (iv_prefix & ~kEpochMask) | static_cast<uint64_t>(epoch) << 48;
  next_sequence = sequence;
  sealed_in_epoch = false;
  use.look_again();
  return true;
}

bool OutboundSa::selects_further(const uint8_t* ip, unsigned version) const {
  return any_holds(further_selectors, ip, version, false);
}

InboundSa::~InboundSa() {
  wipe(&salt, sizeof salt);
}

std::string InboundSa::init(const InboundSaOptions& options) {
  std::string error = check(options);
  if (!error.empty()) return error;
  const uint32_t size = options.replay_window;
  if (size != 0 && (size < kLeastReplayWindow || size > kLargestReplayWindow || (size & (size - 1)) != 0)) {
    return "anti-replay window: a power of two from 64 to 8192, or 0 for none";
  }
  if (!options.extended_sequence_number && options.highest_sequence > 0xffffffff) {
    return "highest sequence number: 32 bits without ESN";
  }
  error = take_keys(*this, options, false);
  if (!error.empty()) return error;
  take(*this, options);
  window.init(size, options.highest_sequence, is_extended);
  copy_outer_dscp = options.copy_outer_dscp;
  return "";
}

void InboundSa::adopt(InboundSa& other) {
  copy_outer_dscp = other.copy_outer_dscp;
  selector = other.selector;
  selector_count = other.selector_count;
  further_selectors.swap(other.further_selectors);
  window.resize(other.window);
}

DropReason InboundSa::attend(uint32_t length, uint64_t now_ns) {
  if (spi == 0) return DropReason::no_sa;
  const uint32_t seen = use.attend(limits, length, now_ns, ~0ull);
  events = events | seen;
  if ((seen & kHardLifetime) == 0) return DropReason::kNone;
  drops.lifetime += 1;
  return DropReason::lifetime;
}

bool InboundSa::selects_further(const uint8_t* ip, unsigned version) const {
  return any_holds(further_selectors, ip, version, true);
}

}  // namespace penstock
