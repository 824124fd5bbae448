#include "sa_options.h"

#include <iterator>

#include "packet/frame.h"
#include "session/session.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostSelectors = 256;
constexpr int64_t kMostSeconds = 1ll << 40;
// In the order of EspAlgorithm.
constexpr const char* kAlgorithms[] = {"aes-gcm", "aes-cbc-hmac-sha1-96", "aes-cbc-hmac-sha-256-128",
                                       "aes-cbc-hmac-sha-384", "aes-cbc-hmac-sha-512"};

void read_prefix(const Arg& prefix, Address& address, uint8_t& length) {
  address = prefix.get("address").address();
  const Arg bits = prefix.get("length");
  length = address.is_v4() ? static_cast<uint8_t>(96 + bits.integer(0, 32)) : bits.integer<uint8_t>(0, 128);
}

void read_ports(const Arg& range, uint16_t& low, uint16_t& high) {
  if (range.items(2) != 2) range.range_error("two ports expected");
  low = range.at(0).integer<uint16_t>(0, 65535);
  high = range.at(1).integer<uint16_t>(low, 65535);
}

std::vector<TrafficSelector> read_selectors(const Arg& list) {
  std::vector<TrafficSelector> out(list.items(kMostSelectors));
  for (uint32_t i = 0; i < out.size(); ++i) {
    const Arg entry = list.at(i);
    TrafficSelector& selector = out[i];
    read_prefix(entry.get("local"), selector.local, selector.local_length);
    read_prefix(entry.get("remote"), selector.remote, selector.remote_length);
    selector.protocol = entry.get("protocol").integer<uint8_t>(0, 255);
    read_ports(entry.get("localPorts"), selector.local_port_low, selector.local_port_high);
    read_ports(entry.get("remotePorts"), selector.remote_port_low, selector.remote_port_high);
    const std::string error = selector.error();
    if (!error.empty()) entry.range_error(error);
  }
  return out;
}

SaLifetime read_lifetime(const Arg& lifetime) {
  SaLifetime out;
  out.soft_seconds = lifetime.get("softSeconds").integer<uint64_t>(0, kMostSeconds);
  out.hard_seconds = lifetime.get("hardSeconds").integer<uint64_t>(0, kMostSeconds);
  out.soft_packets = lifetime.get("softPackets").big();
  out.hard_packets = lifetime.get("hardPackets").big();
  out.soft_kilobytes = lifetime.get("softKilobytes").big(0, ~0ull >> 10);
  out.hard_kilobytes = lifetime.get("hardKilobytes").big(0, ~0ull >> 10);
  return out;
}

void read_sa(const Arg& entry, uint32_t workers, SaOptions& out) {
  out.spi = entry.get("spi").integer<uint32_t>(256, 0xffffffff);  // RFC 4303 §2.1
  const Arg algorithm = entry.get("algorithm");
  if (!algorithm.missing()) {
    out.algorithm = static_cast<EspAlgorithm>(
        algorithm.choice({kAlgorithms[0], kAlgorithms[1], kAlgorithms[2], kAlgorithms[3], kAlgorithms[4]}));
  }
  const bool gcm = out.algorithm == EspAlgorithm::kGcm;
  const Span key = gcm ? entry.get("key").bytes({20, 36}) : entry.get("key").bytes({16, 24, 32});
  out.key = key.data;
  out.key_bytes = static_cast<uint32_t>(key.size);
  if (!gcm) {
    const Span authentication = entry.get("authenticationKey").bytes({20, 32, 48, 64});
    out.authentication_key = authentication.data;
    out.authentication_key_bytes = static_cast<uint32_t>(authentication.size);
  }
  out.extended_sequence_number = entry.get("extendedSequenceNumber").boolean();
  out.selectors = read_selectors(entry.get("selectors"));
  out.anchor = entry.get("anchor").integer<uint32_t>(0, static_cast<int64_t>(workers) - 1);
  out.tunnel = entry.get("tunnel").integer<uint32_t>(0, kNoIndex - 1);
  out.lifetime = read_lifetime(entry.get("lifetime"));
}

Napi::Array event_names(Napi::Env env, uint32_t events) {
  static const char* const names[] = {"soft-seconds", "soft-packets",  "soft-kilobytes",  "sequence-low",
                                      "iv-low",       "hard-lifetime", "sequence-cycled", "iv-exhausted"};
  Napi::Array out = Napi::Array::New(env);
  uint32_t written = 0;
  for (unsigned bit = 0; bit < std::size(names); ++bit) {
    if (events >> bit & 1) out[written++] = Napi::String::New(env, names[bit]);
  }
  return out;
}

// What both directions have.
template <typename Sa>
Napi::Object common_status(Napi::Env env, uint32_t index, const Sa& sa) {
  Napi::Object out = Napi::Object::New(env);
  out["index"] = Napi::Number::New(env, index);
  out["spi"] = Napi::Number::New(env, sa.spi);
  out["tunnel"] = Napi::Number::New(env, sa.tunnel);
  out["anchor"] = Napi::Number::New(env, sa.anchor);
  out["packets"] = big(env, sa.use.packets);
  out["bytes"] = big(env, sa.use.bytes);
  out["rekeyWanted"] = Napi::Boolean::New(env, sa.rekey_wanted());
  out["expired"] = Napi::Boolean::New(env, sa.expired());
  out["events"] = event_names(env, sa.events);
  return out;
}

}  // namespace

InboundSaOptions read_inbound_sa(const Arg& entry, uint32_t workers) {
  InboundSaOptions out;
  read_sa(entry, workers, out);
  const Arg window = entry.get("replayWindow");
  out.replay_window = window.integer<uint32_t>(0, kLargestReplayWindow);
  if (out.replay_window != 0 &&
      (out.replay_window < kLeastReplayWindow || (out.replay_window & (out.replay_window - 1)) != 0)) {
    window.range_error("0, or a power of two from 64 to 8192, expected, not " +
                       std::to_string(out.replay_window));
  }
  const Arg highest = entry.get("highestSequence");
  if (!highest.missing()) out.highest_sequence = highest.big();
  const Arg dscp = entry.get("copyOuterDscp");
  if (!dscp.missing()) out.copy_outer_dscp = dscp.boolean();
  return out;
}

OutboundSaOptions read_outbound_sa(const Arg& entry, uint32_t workers) {
  OutboundSaOptions out;
  read_sa(entry, workers, out);
  out.source = entry.get("source").address();
  const Arg destination = entry.get("destination");
  out.destination = destination.address();
  if (out.source.is_v4() != out.destination.is_v4()) {
    destination.range_error("an address of the source's family expected");
  }
  const Arg udp = entry.get("udp");
  if (!udp.null()) {
    out.udp = true;
    out.udp_source = udp.get("sourcePort").integer<uint16_t>(1, 65535);
    out.udp_destination = udp.get("destinationPort").integer<uint16_t>(1, 65535);
  }
  out.node_id = entry.get("nodeId").integer<uint8_t>(1, esp::kLargestNodeId);
  out.epoch = entry.get("epoch").integer<uint16_t>(0, esp::kLargestEpoch);
  const Arg counter = entry.get("firstCounter");
  if (!counter.missing()) out.first_counter = counter.big(0, esp::kLastIvCounter);
  out.next_sequence = entry.get("nextSequence").big(1);
  const Arg gate = entry.get("gate");
  if (!gate.missing()) out.gate = gate.big();
  out.df_bit = static_cast<DfBit>(entry.get("dfBit").choice({"copy", "set", "clear"}));
  out.dscp = entry.get("dscp").integer<int>(-1, 63);
  out.mtu = entry.get("mtu").integer<uint16_t>(68, 9600);
  const Arg instance = entry.get("routingInstance");
  if (!instance.missing()) {
    out.routing_instance = instance.integer<uint16_t>(0, kMaxRoutingInstances - 1);
  }
  const Arg percent = entry.get("rekeyAtPercent");
  if (!percent.missing()) out.rekey_at_percent = percent.integer<unsigned>(1, 100);
  return out;
}

Napi::Object sa_keys(Napi::Env env, const SaSecret& secret) {
  Napi::Object out = Napi::Object::New(env);
  out["algorithm"] = Napi::String::New(env, kAlgorithms[static_cast<unsigned>(secret.algorithm())]);
  out["key"] = copy_bytes(env, secret.bytes(), secret.size());
  if (secret.authentication_size() == 0) {
    out["authenticationKey"] = env.Null();
  } else {
    out["authenticationKey"] = copy_bytes(env, secret.authentication(), secret.authentication_size());
  }
  return out;
}

Napi::Object sa_status(Napi::Env env, uint32_t index, const InboundSa& sa) {
  Napi::Object out = common_status(env, index, sa);
  out["sequence"] = big(env, sa.highest_sequence());
  out["ivCounter"] = env.Null();
  Napi::Object drops = Napi::Object::New(env);
  drops["replay"] = big(env, sa.drops.replay);
  drops["authFailed"] = big(env, sa.drops.auth_failed);
  drops["selector"] = big(env, sa.drops.selector);
  drops["lifetime"] = big(env, sa.drops.lifetime);
  drops["malformed"] = big(env, sa.drops.malformed);
  out["drops"] = drops;
  return out;
}

Napi::Object sa_status(Napi::Env env, uint32_t index, const OutboundSa& sa) {
  Napi::Object out = common_status(env, index, sa);
  out["sequence"] = big(env, sa.next_sequence);
  out["ivCounter"] = big(env, sa.next_counter);
  Napi::Object drops = Napi::Object::New(env);
  drops["selector"] = big(env, sa.drops.selector);
  drops["lifetime"] = big(env, sa.drops.lifetime);
  drops["seqCycled"] = big(env, sa.drops.seq_cycled);
  drops["ivExhausted"] = big(env, sa.drops.iv_exhausted);
  drops["tooBig"] = big(env, sa.drops.too_big);
  drops["gate"] = big(env, sa.drops.gate);
  out["drops"] = drops;
  return out;
}

}  // namespace penstock::addon
