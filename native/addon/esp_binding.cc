#include "esp_binding.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "args.h"
#include "esp/esp_open.h"
#include "esp/esp_seal.h"
#include "packet/frame.h"
#include "sa_options.h"

namespace penstock::addon {
namespace {

constexpr uint32_t kMostPackets = 65536;  // of one call
constexpr size_t kLongestPacket = 65535;

// Copies of a burst's packets, each with room before and behind: ESP works in place.
class Burst {
 public:
  uint8_t* put(const Arg& packet, size_t least) {
    const Span bytes = packet.bytes();
    if (bytes.size < least || bytes.size > kLongestPacket) {
      packet.range_error(std::to_string(least) + "…" + std::to_string(kLongestPacket) +
                         " bytes expected, not " + std::to_string(bytes.size));
    }
    std::vector<uint8_t>& room = rooms_[count_++];
    room.resize(kEspHeadroom + bytes.size + kEspTailroom);
    std::memcpy(room.data() + kEspHeadroom, bytes.data, bytes.size);
    length_ = static_cast<uint32_t>(bytes.size);
    return room.data() + kEspHeadroom;
  }
  uint32_t length() const { return length_; }  // of the packet put last
  void clear() { count_ = 0; }

 private:
  std::vector<uint8_t> rooms_[kBurst];
  unsigned count_ = 0;
  uint32_t length_ = 0;
};

// A packet, or the index of the counter that says why there is none.
Napi::Value result(Napi::Env env, DropReason drop, const uint8_t* packet, uint32_t length) {
  if (drop != DropReason::kNone) return Napi::Number::New(env, static_cast<double>(drop));
  return copy_bytes(env, packet, length);
}

// The length that an IP header says, for a packet that is whole.
void check_ip(const Arg& packet, const uint8_t* ip, uint32_t length) {
  const unsigned version = ip[0] >> 4;
  if (version != 4 && version != 6) packet.range_error("an IPv4 or IPv6 packet expected");
  const uint32_t header = version == 4 ? (ip[0] & 15u) * 4 : 40;
  const uint32_t said = version == 4 ? static_cast<uint32_t>(ip[2]) << 8 | ip[3]
                                     : (static_cast<uint32_t>(ip[4]) << 8 | ip[5]) + 40;
  if (header < 20 || said < header || said != length) {
    packet.range_error("a whole packet expected: its header says " + std::to_string(said) +
                       " bytes, there are " + std::to_string(length));
  }
}

template <typename Sa, typename Options>
void initialise(Sa& sa, const Options& options, const Arg& arg) {
  const std::string error = sa.init(options);
  if (!error.empty()) arg.range_error(error);
}

}  // namespace

Napi::Function InboundSaBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeInboundSa",
                     {
                         InstanceMethod<&InboundSaBinding::open>("open"),
                         InstanceMethod<&InboundSaBinding::status>("status"),
                     });
}

InboundSaBinding::InboundSaBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<InboundSaBinding>(info) {
  const Arg options(info, 0, "InboundSa");
  initialise(sa_, read_inbound_sa(options, 1), options);
}

// open(packets, nowNs): what each became, in order
Napi::Value InboundSaBinding::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Arg packets(info, 0, "open.packets");
  const uint64_t now = Arg(info, 1, "open.nowNs").big();
  const uint32_t count = packets.items(kMostPackets);
  Napi::Array out = Napi::Array::New(env, count);
  Burst burst;
  OpenItem items[kBurst];
  for (uint32_t first = 0; first < count; first += kBurst) {
    const uint32_t some = std::min(count - first, kBurst);
    burst.clear();
    for (uint32_t i = 0; i < some; ++i) {
      const Arg packet = packets.at(first + i);
      items[i].sa = &sa_;
      items[i].esp = burst.put(packet.get("esp"), 0);
      items[i].length = burst.length();
      items[i].outer_tos = packet.get("outerTos").integer<uint8_t>(0, 255);
    }
    esp_open(items, some, now);
    for (uint32_t i = 0; i < some; ++i) {
      out[first + i] = result(env, items[i].drop, items[i].inner, items[i].inner_length);
    }
  }
  return out;
}

Napi::Value InboundSaBinding::status(const Napi::CallbackInfo& info) {
  return sa_status(info.Env(), 0, sa_);
}

Napi::Function OutboundSaBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeOutboundSa",
                     {
                         InstanceMethod<&OutboundSaBinding::seal>("seal"),
                         InstanceMethod<&OutboundSaBinding::status>("status"),
                     });
}

OutboundSaBinding::OutboundSaBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<OutboundSaBinding>(info) {
  const Arg options(info, 0, "OutboundSa");
  initialise(sa_, read_outbound_sa(options, 1), options);
}

// seal(packets, nowNs): what each became, in order
Napi::Value OutboundSaBinding::seal(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Arg packets(info, 0, "seal.packets");
  const uint64_t now = Arg(info, 1, "seal.nowNs").big();
  const uint32_t count = packets.items(kMostPackets);
  Napi::Array out = Napi::Array::New(env, count);
  Burst burst;
  SealItem items[kBurst];
  for (uint32_t first = 0; first < count; first += kBurst) {
    const uint32_t some = std::min(count - first, kBurst);
    burst.clear();
    for (uint32_t i = 0; i < some; ++i) {
      const Arg packet = packets.at(first + i);
      items[i].sa = &sa_;
      items[i].packet = burst.put(packet, 20);
      items[i].length = burst.length();
      check_ip(packet, items[i].packet, items[i].length);
    }
    esp_seal(items, some, now);
    for (uint32_t i = 0; i < some; ++i) {
      out[first + i] = result(env, items[i].drop, items[i].outer, items[i].outer_length);
    }
  }
  return out;
}

Napi::Value OutboundSaBinding::status(const Napi::CallbackInfo& info) {
  return sa_status(info.Env(), 0, sa_);
}

}  // namespace penstock::addon
