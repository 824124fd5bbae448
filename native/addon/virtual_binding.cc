// Emulated links, and time that goes as it is told.
#include "node/host.h"
#include "plane_binding.h"
#include "port/link.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostNs = (1ll << 53) - 1;
constexpr int64_t kMillion = 1'000'000;

LinkQuality read_quality(const Arg& given) {
  LinkQuality out;
  const auto number = [&](const char* key, int64_t most) -> uint64_t {
    const Arg value = given.get(key);
    return value.missing() ? 0 : static_cast<uint64_t>(value.integer(0, most));
  };
  out.bits_per_second = number("bitsPerSecond", kMostNs);
  out.delay = number("delayNs", kMostNs);
  out.jitter = number("jitterNs", kMostNs);
  out.held_back = number("heldBackNs", kMostNs);
  out.loss = static_cast<uint32_t>(number("lossPpm", kMillion));
  out.duplicate = static_cast<uint32_t>(number("duplicatePpm", kMillion));
  out.reorder = static_cast<uint32_t>(number("reorderPpm", kMillion));
  out.corrupt = static_cast<uint32_t>(number("corruptPpm", kMillion));
  out.replay = static_cast<uint32_t>(number("replayPpm", kMillion));
  return out;
}

}  // namespace

// addLink(nodeA, nodeB, { capacity, seed }): { link, ports }
Napi::Value PlaneBinding::add_link(const Napi::CallbackInfo& info) {
  HeldPlane& held = idle_plane("addLink");
  Node& a = node(Arg(info, 0, "addLink.nodeA"));
  Node& b = node(Arg(info, 1, "addLink.nodeB"));
  const Arg options(info, 2, "addLink.options");
  const auto capacity = options.get("capacity").integer<uint32_t>(1, 1 << 20);
  const auto seed = options.get("seed").integer<uint64_t>(0, kMostNs);
  Link::Surroundings around;
  for (uint32_t w = 0; w < held.workers(); ++w) {
    around.clocks.push_back(held.clock(w));
    around.digests.push_back(held.arrivals(w));
    around.nonces.push_back(held.nonces(w));
  }
  const auto number = static_cast<uint32_t>(links_.size());
  links_.push_back(std::make_shared<Link>(capacity, std::move(around), seed, number));
  const auto end = [&](uint32_t side) {
    std::vector<std::unique_ptr<Port>> ports;
    for (uint32_t w = 0; w < held.workers(); ++w) ports.push_back(Link::end(links_.back(), side, w));
    return ports;
  };
  Napi::Array ports = Napi::Array::New(info.Env(), 2);
  ports[0u] = added(a.add_port(end(0)));
  ports[1u] = added(b.add_port(end(1)));
  Napi::Object out = Napi::Object::New(info.Env());
  out["link"] = Napi::Number::New(info.Env(), number);
  out["ports"] = ports;
  return out;
}

// setLink(link, { open?, from?, quality?, cut?, witness? }): from 0 or 1 says whose way the others are of
void PlaneBinding::set_link(const Napi::CallbackInfo& info) {
  const Arg which(info, 0, "setLink.link");
  if (links_.empty()) which.range_error("the plane has no links yet");
  Link& link = *links_[which.integer<uint32_t>(0, static_cast<int64_t>(links_.size()) - 1)];
  const Arg change(info, 1, "setLink.change");
  const Arg open = change.get("open");
  if (!open.missing()) link.set_open(open.boolean());
  const Arg quality = change.get("quality");
  const Arg cut = change.get("cut");
  const Arg witness = change.get("witness");
  if (quality.missing() && cut.missing() && witness.missing()) return;
  const auto from = change.get("from").integer<uint32_t>(0, 1);
  if (!quality.missing()) link.set_quality(from, read_quality(quality));
  if (!cut.missing()) link.set_cut(from, cut.boolean());
  if (!witness.missing()) link.set_witness(from, witness.boolean());
}

// moveLinkEnd(link, side, node): the port that it is there. The node that had the end is not to use it any
// more.
Napi::Value PlaneBinding::move_link_end(const Napi::CallbackInfo& info) {
  HeldPlane& held = idle_plane("moveLinkEnd");
  const Arg which(info, 0, "moveLinkEnd.link");
  if (links_.empty()) which.range_error("the plane has no links yet");
  const auto link = links_[which.integer<uint32_t>(0, static_cast<int64_t>(links_.size()) - 1)];
  const auto side = Arg(info, 1, "moveLinkEnd.side").integer<uint32_t>(0, 1);
  Node& target = node(Arg(info, 2, "moveLinkEnd.node"));
  std::vector<std::unique_ptr<Port>> ports;
  for (uint32_t w = 0; w < held.workers(); ++w) ports.push_back(Link::end(link, side, w));
  return added(target.add_port(std::move(ports)));
}

// advance(nowNs, untilNs, out: Float64Array of 2): the time reached; 1: punts wait, 2: attention is wanted
void PlaneBinding::advance(const Napi::CallbackInfo& info) {
  HeldPlane& held = idle_plane("advance");
  const auto now = Arg(info, 0, "advance.nowNs").integer<uint64_t>(0, kMostNs);
  const auto until = Arg(info, 1, "advance.untilNs").integer<uint64_t>(static_cast<int64_t>(now), kMostNs);
  const Arg out(info, 2, "advance.out");
  if (!out.value().IsTypedArray() ||
      out.value().As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      out.value().As<Napi::TypedArray>().ElementLength() < 2) {
    out.type_error("a Float64Array of 2 expected");
  }
  try {
    stepped_to_ = held.advance(now, until);
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
  double* words = out.value().As<Napi::Float64Array>().Data();
  words[0] = static_cast<double>(stepped_to_);
  words[1] = (held.has_punts() ? 1 : 0) + (held.wants_attention() ? 2 : 0);
}

void PlaneBinding::set_clock(const Napi::CallbackInfo& info) {
  const uint16_t target = node_id(Arg(info, 0, "setClock.node"));
  const Arg options(info, 1, "setClock.options");
  idle_plane("setClock")
      .set_clock(target, options.get("nowNs").integer<uint64_t>(0, kMostNs),
                 options.get("offsetNs").integer(-kMostNs, kMostNs),
                 options.get("gainedPpm").integer<int32_t>(-100'000, 100'000));
}

Napi::Value PlaneBinding::take_attention(const Napi::CallbackInfo& info) {
  const std::vector<uint16_t> ids = idle_plane("takeAttention").take_attention();
  Napi::Array out = Napi::Array::New(info.Env(), ids.size());
  for (uint32_t i = 0; i < ids.size(); ++i) out[i] = Napi::Number::New(info.Env(), ids[i]);
  return out;
}

// What arrived over links so far, as one number: every byte, when and where.
Napi::Value PlaneBinding::arrivals(const Napi::CallbackInfo& info) {
  HeldPlane& held = idle_plane("arrivals");
  uint64_t digest = 0;
  for (uint32_t w = 0; w < held.workers(); ++w) digest = digest * 0x9fb21c651e98df25ull ^ *held.arrivals(w);
  return Napi::BigInt::New(info.Env(), digest);
}

Napi::Value PlaneBinding::nonces(const Napi::CallbackInfo& info) {
  HeldPlane& held = idle_plane("nonces");
  uint64_t seen = 0;
  uint64_t repeated = 0;
  for (uint32_t w = 0; w < held.workers(); ++w) {
    seen += held.nonces(w)->seen;
    repeated += held.nonces(w)->repeated;
  }
  Napi::Object out = Napi::Object::New(info.Env());
  out["seen"] = Napi::Number::New(info.Env(), static_cast<double>(seen));
  out["repeated"] = Napi::Number::New(info.Env(), static_cast<double>(repeated));
  return out;
}

// flowReports(node): five numbers a flow: sent, delivered, last arrival, longest gap, its beginning (ns)
Napi::Value PlaneBinding::flow_reports(const Napi::CallbackInfo& info) {
  idle_plane("flowReports");
  const std::vector<FlowReport> reports = host(Arg(info, 0, "flowReports.node")).take_reports();
  Napi::Float64Array out = Napi::Float64Array::New(info.Env(), reports.size() * 5);
  double* word = out.Data();
  for (const FlowReport& report : reports) {
    for (const uint64_t value :
         {report.sent, report.delivered, report.last_arrival, report.longest_gap, report.longest_gap_from}) {
      *word++ = static_cast<double>(value);
    }
  }
  return out;
}

}  // namespace penstock::addon
