// BFD sessions of a forwarder: commands down, events up.
#include <cstring>

#include "liveness/liveness.h"
#include "plane_binding.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostCommands = 65536;
constexpr int64_t kMostEvents = 65536;
constexpr int64_t kMostMicroseconds = int64_t{255} * 0xffffffff;  // the largest multiplier and interval

LivenessOptions read_options(const Arg& entry) {
  LivenessOptions out;
  out.local = entry.get("local").address();
  out.remote = entry.get("remote").address();
  out.routing_instance = entry.get("routingInstance").integer<uint16_t>(0, 65535);
  out.multihop = entry.get("multihop").boolean();
  out.minimum_ttl = entry.get("minimumTtl").integer<uint8_t>(1, 255);
  out.source_port = entry.get("sourcePort").integer<uint16_t>(49152, 65535);
  out.discriminator = entry.get("discriminator").integer<uint32_t>(1, 0xffffffff);
  out.seed = entry.get("seed").integer<uint64_t>(0, 0xffffffff);
  const Arg auth = entry.get("auth");
  if (auth.null()) return out;
  out.auth_type = auth.get("isMeticulous").boolean() ? bfd::kMeticulousKeyedSha1 : bfd::kKeyedSha1;
  out.key_id = auth.get("keyId").integer<uint8_t>(0, 255);
  out.first_sequence = auth.get("firstSequence").integer<uint32_t>(0, 0xffffffff);
  const Arg key = auth.get("key");
  const Span bytes = key.bytes();
  if (bytes.size < 1 || bytes.size > kSha1Bytes) key.range_error("1…20 bytes expected");
  std::memcpy(out.key, bytes.data, bytes.size);
  return out;
}

Span read_packet(const Arg& entry) {
  return entry.get("packet").bytes({bfd::kHeaderBytes, bfd::kMostBytes});
}

// Microseconds or null as ns, 0: null.
uint64_t read_microseconds(const Arg& arg) {
  return arg.null() ? 0 : arg.integer<uint64_t>(1, kMostMicroseconds) * 1000;
}

void carry_out(Liveness& liveness, const Arg& entry) {
  const Arg session = entry.get("session");
  const auto id = session.integer<uint32_t>(0, 0xffffffff);
  bool known = true;
  switch (entry.get("kind").choice({"open", "close", "transmit", "send", "expect"})) {
    case 0: {
      LivenessOptions options = read_options(entry);
      const std::string error = liveness.open(id, options);
      zeroise(options.key, sizeof options.key);
      if (!error.empty()) entry.range_error(error);
      return;
    }
    case 1:
      known = liveness.close(id);
      break;
    case 2: {
      const Span packet = read_packet(entry);
      known = liveness.transmit(id, packet.data, static_cast<uint32_t>(packet.size),
                                read_microseconds(entry.get("intervalUs")));
      break;
    }
    case 3: {
      const Span packet = read_packet(entry);
      known = liveness.send(id, packet.data, static_cast<uint32_t>(packet.size));
      break;
    }
    default:
      known = liveness.expect(id, read_microseconds(entry.get("detectionUs")));
  }
  if (!known) session.range_error("there is no such session");
}

}  // namespace

void PlaneBinding::liveness(const Napi::CallbackInfo& info) {
  Liveness& liveness = forwarder(Arg(info, 0, "liveness.node")).liveness();
  const Arg commands(info, 1, "liveness.commands");
  const uint32_t count = commands.items(kMostCommands);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = commands.at(i);
    carry_out(liveness, entry);
  }
  if (count > 0) plane().wake();
}

Napi::Value PlaneBinding::take_liveness(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Liveness& liveness = forwarder(Arg(info, 0, "takeLiveness.node")).liveness();
  const auto most = Arg(info, 1, "takeLiveness.most").integer<uint32_t>(0, kMostEvents);
  const std::vector<LivenessEvent> events = liveness.take(most);
  Napi::Array out = Napi::Array::New(env, events.size());
  for (uint32_t i = 0; i < events.size(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry["session"] = Napi::Number::New(env, events[i].session);
    entry["timeNs"] = big(env, events[i].time);
    entry["packet"] =
        events[i].length == 0 ? env.Null() : Napi::Value(copy_bytes(env, events[i].packet, events[i].length));
    out[i] = entry;
  }
  return out;
}

Napi::Value PlaneBinding::liveness_status(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Liveness& liveness = forwarder(Arg(info, 0, "livenessStatus.node")).liveness();
  const std::vector<LivenessStatus> all = liveness.status();
  Napi::Array out = Napi::Array::New(env, all.size());
  for (uint32_t i = 0; i < all.size(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry["session"] = Napi::Number::New(env, all[i].session);
    entry["sent"] = big(env, all[i].sent);
    entry["heard"] = big(env, all[i].heard);
    entry["refused"] = big(env, all[i].refused);
    entry["lastSentNs"] = big(env, all[i].last_sent);
    entry["lastHeardNs"] = big(env, all[i].last_heard);
    entry["longestGapNs"] = big(env, all[i].longest_gap);
    out[i] = entry;
  }
  return out;
}

}  // namespace penstock::addon
