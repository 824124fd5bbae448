#include "plane_binding.h"

#include "addon.h"
#include "args.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostWorkers = 64;
constexpr int64_t kMostFrames = 1 << 20;  // 4 GiB for one participant
constexpr int64_t kMostPunts = 65536;
constexpr int64_t kMostInjected = 3328;  // bytes: a chunk less its headroom and its offset (Plane::inject)

PlaneOptions read_options(const Arg& options) {
  PlaneOptions out;
  out.workers = options.get("workers").integer<uint32_t>(1, kMostWorkers);
  const Arg most = options.get("mostWorkers");
  if (!most.missing()) out.most_workers = most.integer<uint32_t>(out.workers, kMostWorkers);
  out.frames_per_worker = options.get("framesPerWorker").integer<uint32_t>(int64_t{2} * kBurst, kMostFrames);
  out.control_frames = options.get("controlFrames").integer<uint32_t>(kBurst, kMostFrames);
  const Arg jumbos = options.get("jumbosPerWorker");
  if (!jumbos.missing()) out.jumbos_per_worker = jumbos.integer<uint32_t>(0, kMostFrames / kJumboChunks);
  const Arg ring = options.get("handOverRing");
  out.hand_over_ring = ring.integer<uint32_t>(kBurst, 1 << 20);
  if ((out.hand_over_ring & (out.hand_over_ring - 1)) != 0) {
    ring.range_error("a power of two expected, not " + std::to_string(out.hand_over_ring));
  }
  return out;
}

const char* state_name(WorkerState state) {
  switch (state) {
    case WorkerState::kRunning:
      return "running";
    case WorkerState::kSleeping:
      return "sleeping";
    case WorkerState::kFailed:
      return "failed";
    default:
      return "idle";
  }
}

}  // namespace

Napi::Function PlaneBinding::define(Napi::Env env) {
  using Self = PlaneBinding;
  return DefineClass(env, "NativePlane",
                     {
                         InstanceAccessor<&Self::id>("id"),
                         InstanceMethod<&Self::add_forwarder>("addForwarder"),
                         InstanceMethod<&Self::add_host>("addHost"),
                         InstanceMethod<&Self::add_wire>("addWire"),
                         InstanceMethod<&Self::add_link>("addLink"),
                         InstanceMethod<&Self::set_link>("setLink"),
                         InstanceMethod<&Self::move_link_end>("moveLinkEnd"),
                         InstanceMethod<&Self::flow_reports>("flowReports"),
                         InstanceMethod<&Self::add_packet_socket>("addPacketSocket"),
                         InstanceMethod<&Self::add_xdp_socket>("addXdpSocket"),
                         InstanceMethod<&Self::add_tun>("addTun"),
                         InstanceMethod<&Self::add_capture>("addCapture"),
                         InstanceMethod<&Self::remove_port>("removePort"),
                         InstanceMethod<&Self::port_status>("portStatus"),
                         InstanceMethod<&Self::publish>("publish"),
                         InstanceMethod<&Self::add_inbound_sas>("addInboundSas"),
                         InstanceMethod<&Self::add_outbound_sas>("addOutboundSas"),
                         InstanceMethod<&Self::change_sas>("changeSas"),
                         InstanceMethod<&Self::retire_sas>("retireSas"),
                         InstanceMethod<&Self::sa_room>("saRoom"),
                         InstanceMethod<&Self::sa_keys>("saKeys"),
                         InstanceMethod<&Self::sa_status>("saStatus"),
                         InstanceMethod<&Self::sync_command>("syncCommand"),
                         InstanceMethod<&Self::sync_pull>("syncPull"),
                         InstanceMethod<&Self::sync_apply>("syncApply"),
                         InstanceMethod<&Self::sync_status>("syncStatus"),
                         InstanceMethod<&Self::sa_sequences>("saSequences"),
                         InstanceMethod<&Self::change_numbers>("changeNumbers"),
                         InstanceMethod<&Self::set_node_running>("setNodeRunning"),
                         InstanceMethod<&Self::set_sending>("setSending"),
                         InstanceMethod<&Self::liveness>("liveness"),
                         InstanceMethod<&Self::take_liveness>("takeLiveness"),
                         InstanceMethod<&Self::liveness_status>("livenessStatus"),
                         InstanceMethod<&Self::counters>("counters"),
                         InstanceMethod<&Self::counter_totals>("counterTotals"),
                         InstanceMethod<&Self::statistics>("statistics"),
                         InstanceMethod<&Self::neighbours>("neighbours"),
                         InstanceMethod<&Self::learn_neighbours>("learnNeighbours"),
                         InstanceMethod<&Self::drop_records>("dropRecords"),
                         InstanceMethod<&Self::sessions>("sessions"),
                         InstanceMethod<&Self::flows>("flows"),
                         InstanceMethod<&Self::flow_count>("flowCount"),
                         InstanceMethod<&Self::session_count>("sessionCount"),
                         InstanceMethod<&Self::latency>("latency"),
                         InstanceMethod<&Self::set_capture>("setCapture"),
                         InstanceMethod<&Self::take_captured>("takeCaptured"),
                         InstanceMethod<&Self::capture_missed>("captureMissed"),
                         InstanceMethod<&Self::nonce_audit>("nonceAudit"),
                         InstanceMethod<&Self::take_punts>("takePunts"),
                         InstanceMethod<&Self::inject>("inject"),
                         InstanceMethod<&Self::originate>("originate"),
                         InstanceMethod<&Self::collect>("collect"),
                         InstanceMethod<&Self::grow>("grow"),
                         InstanceMethod<&Self::spread_flows>("spreadFlows"),
                         InstanceMethod<&Self::flows_moving>("flowsMoving"),
                         InstanceMethod<&Self::worker_status>("workerStatus"),
                         InstanceMethod<&Self::frames_in_use>("framesInUse"),
                         InstanceMethod<&Self::stop>("stop"),
                         InstanceMethod<&Self::step>("step"),
                         InstanceMethod<&Self::advance>("advance"),
                         InstanceMethod<&Self::set_clock>("setClock"),
                         InstanceMethod<&Self::take_attention>("takeAttention"),
                         InstanceMethod<&Self::nonces>("nonces"),
                         InstanceMethod<&Self::arrivals>("arrivals"),
                         InstanceMethod<&Self::next_deadline>("nextDeadline"),
                         InstanceMethod<&Self::close>("close"),
                     });
}

PlaneBinding::PlaneBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PlaneBinding>(info) {}

PlaneBinding::~PlaneBinding() {
  let_go();
}

void PlaneBinding::hold(std::shared_ptr<HeldPlane> plane) {
  plane_ = std::move(plane);
  id_ = register_plane(plane_);
}

void PlaneBinding::let_go() {
  if (plane_ == nullptr) return;
  // Nobody is left who could stop its workers, so they end with it.
  plane_->stop();
  for (uint32_t w = 0; w < plane_->workers(); ++w) {
    if (!plane_->driven(w)) plane_->flush(w);
  }
  forget_plane(id_);
  known_.clear();
  links_.clear();
  plane_.reset();
}

HeldPlane& PlaneBinding::plane() const {
  if (plane_ == nullptr) throw Napi::Error::New(Env(), "the plane is closed");
  return *plane_;
}

HeldPlane& PlaneBinding::idle_plane(const char* what) const {
  HeldPlane& held = plane();
  if (held.any_driven()) throw Napi::Error::New(Env(), std::string(what) + ": not while workers run");
  return held;
}

uint16_t PlaneBinding::node_id(const Arg& arg) const {
  const size_t count = plane().nodes();
  if (count == 0) arg.range_error("the plane has no nodes yet");
  return arg.integer<uint16_t>(0, static_cast<int64_t>(count) - 1);
}

Node& PlaneBinding::node(const Arg& arg) const {
  return plane().node(node_id(arg));
}

Forwarder& PlaneBinding::forwarder(const Arg& arg) const {
  const Known& known = known_[node_id(arg)];
  if (known.forwarder == nullptr) arg.range_error("a forwarder expected, not a host");
  return *known.forwarder;
}

Host& PlaneBinding::host(const Arg& arg) const {
  const Known& known = known_[node_id(arg)];
  if (known.host == nullptr) arg.range_error("a host expected, not a forwarder");
  return *known.host;
}

uint16_t PlaneBinding::port_index(const Arg& arg, Node& node) const {
  if (node.ports() == 0) arg.range_error("the node has no ports yet");
  return arg.integer<uint16_t>(0, static_cast<int64_t>(node.ports()) - 1);
}

uint32_t PlaneBinding::worker(const Arg& arg) const {
  return arg.integer<uint32_t>(0, plane().workers() - 1);
}

Napi::Value PlaneBinding::id(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), id_);
}

Napi::Value PlaneBinding::take_punts(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto most = Arg(info, 0, "takePunts.most").integer<uint32_t>(0, kMostPunts);
  const std::vector<Punt> punts = plane().take_punts(most);
  Napi::Array out = Napi::Array::New(env, punts.size());
  for (uint32_t i = 0; i < punts.size(); ++i) {
    const Punt& punt = punts[i];
    Napi::Object entry = Napi::Object::New(env);
    entry["node"] = Napi::Number::New(env, punt.node);
    entry["port"] = Napi::Number::New(env, punt.port);
    entry["worker"] = Napi::Number::New(env, punt.worker);
    entry["receivedNs"] = big(env, punt.received);
    entry["packet"] = copy_bytes(env, punt.packet.data(), punt.packet.size());
    out[i] = entry;
  }
  return out;
}

Napi::Value PlaneBinding::inject(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "inject.node");
  const uint16_t port = port_index(Arg(info, 1, "inject.port"), node(target));
  const Arg packet(info, 2, "inject.packet");
  const Span bytes = packet.bytes();
  if (bytes.size < 14 || bytes.size > kMostInjected) {
    packet.range_error("14…" + std::to_string(kMostInjected) + " bytes expected, not " +
                       std::to_string(bytes.size));
  }
  return Napi::Boolean::New(
      info.Env(), plane().inject(node_id(target), port, bytes.data, static_cast<uint32_t>(bytes.size)));
}

Napi::Value PlaneBinding::originate(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "originate.node");
  const uint16_t node = forwarder(target).id();
  const auto instance = Arg(info, 1, "originate.routingInstance").integer<uint16_t>(0, 65535);
  const Arg packets(info, 2, "originate.packets");
  const uint32_t count = packets.items(kMostPunts);
  uint32_t taken = 0;
  for (; taken < count; ++taken) {
    const Arg packet = packets.at(taken);
    const Span bytes = packet.bytes();
    if (bytes.size < 20 || bytes.size > kMostInjected) {
      packet.range_error("20…" + std::to_string(kMostInjected) + " bytes expected, not " +
                         std::to_string(bytes.size));
    }
    if (!plane().originate(node, instance, bytes.data, static_cast<uint32_t>(bytes.size))) break;
  }
  if (taken > 0) plane().wake();
  return Napi::Number::New(info.Env(), taken);
}

void PlaneBinding::grow(const Napi::CallbackInfo& info) {
  const Arg workers(info, 0, "grow.workers");
  HeldPlane& held = plane();
  const std::string error = held.grow(workers.integer<uint32_t>(held.workers(), held.most_workers()));
  if (!error.empty()) throw Napi::Error::New(info.Env(), error);
}

void PlaneBinding::spread_flows(const Napi::CallbackInfo&) {
  plane().spread_flows();
}

Napi::Value PlaneBinding::flows_moving(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), plane().flows_moving());
}

void PlaneBinding::collect(const Napi::CallbackInfo&) {
  plane().collect();
}

Napi::Value PlaneBinding::worker_status(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const HeldPlane& held = plane();
  Napi::Array out = Napi::Array::New(env, held.workers());
  for (uint32_t w = 0; w < held.workers(); ++w) {
    Napi::Object entry = Napi::Object::New(env);
    const WorkerState state = held.lost(w)     ? WorkerState::kFailed
                              : held.driven(w) ? held.state(w)
                                               : WorkerState::kIdle;
    entry["state"] = Napi::String::New(env, state_name(state));
    entry["turns"] = Napi::Number::New(env, static_cast<double>(held.turns(w)));
    entry["busyTurns"] = Napi::Number::New(env, static_cast<double>(held.busy_turns(w)));
    out[w] = entry;
  }
  return out;
}

Napi::Value PlaneBinding::frames_in_use(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(plane().frames_in_use()));
}

void PlaneBinding::stop(const Napi::CallbackInfo&) {
  plane().stop();
}

Napi::Value PlaneBinding::step(const Napi::CallbackInfo& info) {
  const uint64_t now = Arg(info, 0, "step.nowNs").big();
  HeldPlane& held = idle_plane("step");
  stepped_to_ = now;
  return Napi::Boolean::New(info.Env(), held.step(now));
}

Napi::Value PlaneBinding::next_deadline(const Napi::CallbackInfo& info) {
  return big(info.Env(), idle_plane("nextDeadline").next_deadline());
}

void PlaneBinding::close(const Napi::CallbackInfo&) {
  let_go();
}

Napi::Value create_plane(const Napi::CallbackInfo& info) {
  const Arg options(info, 0, "createPlane");
  auto plane = std::make_shared<HeldPlane>(read_options(options));
  const Napi::Object object = info.Env().GetInstanceData<AddonData>()->plane_class.New({});
  PlaneBinding::Unwrap(object)->hold(std::move(plane));
  return object;
}

Napi::Value planes_alive(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), HeldPlane::alive());
}

}  // namespace penstock::addon
