// Copies of what passes a node: the filter read, the rings emptied.
#include "node/route_table.h"
#include "node/tap.h"
#include "plane_binding.h"

namespace penstock::addon {
namespace {

constexpr int64_t kLeastRing = 1 << 16;
constexpr int64_t kMostRing = 1 << 28;
constexpr int64_t kMostTaken = 65536;

using Op = CaptureFilter::Op;

// In the order of the enumeration.
Op read_op(const Arg& arg) {
  return static_cast<Op>(arg.choice({"and",     "or",           "not",
                                     "version", "arp",          "protocol",
                                     "net",     "source-net",   "destination-net",
                                     "ports",   "source-ports", "destination-ports",
                                     "spi",     "in",           "out",
                                     "port",    "worker",       "dropped",
                                     "reason",  "shorter",      "longer"}));
}

CaptureFilter read_filter(const Arg& list) {
  std::vector<CaptureFilter::Instruction> program(list.items(CaptureFilter::kMostInstructions));
  for (uint32_t i = 0; i < program.size(); ++i) {
    const Arg entry = list.at(i);
    CaptureFilter::Instruction& instruction = program[i];
    instruction.op = read_op(entry.get("op"));
    const Arg a = entry.get("a");
    if (!a.missing()) instruction.a = a.integer<uint32_t>(0, 0xffffffff);
    const Arg b = entry.get("b");
    if (!b.missing()) instruction.b = b.integer<uint32_t>(0, 0xffffffff);
    const Arg net = entry.get("net");
    if (net.missing()) continue;
    const Address address = net.get("address").address();
    const Arg bits = net.get("length");
    const unsigned length =
        address.is_v4() ? 96 + bits.integer<unsigned>(0, 32) : bits.integer<unsigned>(0, 128);
    const FilterTable::Prefix prefix(address, length);
    instruction.address = prefix.address;
    instruction.mask = prefix.mask;
  }
  CaptureFilter filter;
  if (!filter.set(std::move(program))) list.range_error("not a postfix program with one result");
  return filter;
}

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSent:
      return "sent";
    case Verdict::kDropped:
      return "dropped";
    case Verdict::kPunted:
      return "punted";
    default:
      return "consumed";
  }
}

}  // namespace

void PlaneBinding::set_capture(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "setCapture.node");
  Forwarder& node = forwarder(target);
  const Arg options(info, 1, "setCapture.options");
  if (options.null()) return node.set_tap(nullptr);
  const Arg filter = options.get("filter");
  const Arg bytes = options.get("ringBytes");
  const auto ring = bytes.integer<uint32_t>(kLeastRing, kMostRing);
  if ((ring & (ring - 1)) != 0) bytes.range_error("a power of two expected");
  node.set_tap(std::make_unique<Tap>(plane().pool(), plane().most_workers(), read_filter(filter), ring));
}

Napi::Value PlaneBinding::take_captured(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Arg target(info, 0, "takeCaptured.node");
  Forwarder& node = forwarder(target);
  const auto most = Arg(info, 1, "takeCaptured.most").integer<uint32_t>(1, kMostTaken);
  Napi::Array out = Napi::Array::New(env);
  if (node.tap() == nullptr) return out;
  uint32_t count = 0;
  for (const CapturedFrame& frame : node.tap()->take(most)) {
    Napi::Object entry = Napi::Object::New(env);
    entry["timeNs"] = big(env, frame.time);
    entry["id"] = big(env, frame.id);
    entry["originalLength"] = Napi::Number::New(env, frame.original);
    entry["port"] = Napi::Number::New(env, frame.port);
    entry["worker"] = Napi::Number::New(env, frame.worker);
    entry["lastWorker"] = Napi::Number::New(env, frame.last_worker);
    entry["isOut"] = Napi::Boolean::New(env, frame.is_out);
    entry["verdict"] = Napi::String::New(env, verdict_name(frame.verdict));
    entry["detail"] = Napi::Number::New(env, frame.detail);
    entry["data"] = copy_bytes(env, frame.data.data(), frame.data.size());
    out[count++] = entry;
  }
  return out;
}

Napi::Value PlaneBinding::capture_missed(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "captureMissed.node");
  const Tap* tap = forwarder(target).tap();
  return Napi::Number::New(info.Env(), tap == nullptr ? 0 : static_cast<double>(tap->missed()));
}

}  // namespace penstock::addon
