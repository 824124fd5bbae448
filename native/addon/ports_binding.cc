// Nodes and their ports.
#include <sys/random.h>

#include <cstring>

#include "node/plane.h"
#include "plane_binding.h"
#include "port/af_packet.h"
#include "port/af_xdp.h"
#include "port/capture.h"
#include "port/memory.h"
#include "port/tun.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostNodes = 4096;
constexpr int64_t kMostFlows = 1 << 20;
constexpr int64_t kMostFlowNs = 3'600'000'000'000;
constexpr int64_t kMostSizes = 65536;
// IP packets that a chunk holds behind headroom, offset and link header, with room for what a tunnel appends.
constexpr int64_t kMostMtu = 3200;
constexpr size_t kLongestPath = 4095;
constexpr size_t kLongestInterfaceName = 15;  // IFNAMSIZ less its NUL

uint32_t power_of_two(const Arg& arg, int64_t low, int64_t high) {
  const auto number = arg.integer<uint32_t>(low, high);
  if ((number & (number - 1)) != 0) arg.range_error("a power of two expected, not " + std::to_string(number));
  return number;
}

std::vector<Flow> read_flows(const Arg& flows) {
  const uint32_t count = flows.items(kMostFlows);
  std::vector<Flow> out(count);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg flow = flows.at(i);
    out[i].source = flow.get("source").address();
    const Arg destination = flow.get("destination");
    out[i].destination = destination.address();
    if (out[i].source.is_v4() != out[i].destination.is_v4()) {
      destination.range_error("an address of the source's family expected");
    }
    out[i].source_port = flow.get("sourcePort").integer<uint16_t>(0, 65535);
    out[i].destination_port = flow.get("destinationPort").integer<uint16_t>(0, 65535);
    const Arg interval = flow.get("intervalNs");
    if (!interval.missing()) out[i].interval = interval.integer<uint64_t>(0, kMostFlowNs);
    const Arg first = flow.get("firstNs");
    if (!first.missing()) out[i].first = first.integer<uint64_t>(0, kMostFlowNs);
    const Arg size = flow.get("size");
    if (!size.missing()) out[i].size = size.integer<uint16_t>(out[i].source.is_v4() ? 44 : 64, kMostMtu);
  }
  return out;
}

HostOptions read_host(const Arg& options) {
  HostOptions out;
  out.server = options.get("server").boolean();
  std::memcpy(out.mac, options.get("mac").bytes({6}).data, 6);
  std::memcpy(out.gateway_mac, options.get("gatewayMac").bytes({6}).data, 6);
  out.flows = read_flows(options.get("flows"));
  bool v6 = false;
  for (const Flow& flow : out.flows) v6 |= !flow.source.is_v4();
  const Arg sizes = options.get("sizes");
  const uint32_t count = sizes.items(kMostSizes);
  if (count == 0) sizes.range_error("at least one length expected");
  for (uint32_t i = 0; i < count; ++i) {
    // IP and UDP headers, and the 16 bytes that name a packet
    out.sizes.push_back(sizes.at(i).integer<uint16_t>(v6 ? 64 : 44, kMostMtu));
  }
  out.credit = options.get("credit").integer<uint32_t>(1, 1 << 20);
  out.seed = options.get("seed").integer<uint64_t>(0, (1ll << 53) - 1);
  return out;
}

[[noreturn]] void throw_system(Napi::Env env, const SocketError& error) {
  const char* code = strerrorname_np(error.number);
  throw_coded(env, error.text, code != nullptr ? code : "EIO");
}

CapturePortOptions read_capture(const Arg& files) {
  CapturePortOptions out;
  const Arg read = files.get("read");
  if (!read.missing()) out.read = read.text(kLongestPath);
  const Arg write = files.get("write");
  if (!write.missing()) out.write = write.text(kLongestPath);
  if (out.read.empty() && out.write.empty()) files.range_error("read, write or both expected");
  const Arg paced = files.get("paced");
  if (!paced.missing()) out.paced = paced.boolean();
  const Arg link = files.get("link");
  if (!link.missing()) {
    out.has_link_header = true;
    std::memcpy(out.destination, link.get("destination").bytes({6}).data, 6);
    std::memcpy(out.source, link.get("source").bytes({6}).data, 6);
  }
  const Arg epoch = files.get("epochNs");
  if (!epoch.missing()) out.epoch = epoch.big();
  return out;
}

}  // namespace

Napi::Value PlaneBinding::add_forwarder(const Napi::CallbackInfo& info) {
  HeldPlane& held = idle_plane("addForwarder");
  const Arg options(info, 0, "addForwarder");
  const std::string name = options.get("name").text();
  ForwarderOptions limits;
  limits.sessions.limit = options.get("sessionLimit").integer<uint32_t>(1, 10'000'000);
  // Of the index's hash: nothing that can be seen depends on it.
  if (getrandom(limits.sessions.secret, sizeof limits.sessions.secret, 0) != sizeof limits.sessions.secret) {
    throw Napi::Error::New(Env(), "addForwarder: no random bytes");
  }
  limits.neighbour_limit = options.get("neighbourLimit").integer<uint32_t>(1, 1 << 20);
  limits.sa_limit = options.get("saLimit").integer<uint32_t>(1, 1 << 20);
  limits.statistics = options.get("statistics").integer<uint32_t>(1, 1 << 20);
  const Arg flow_limit = options.get("flowLimit");
  if (!flow_limit.missing()) limits.flow_limit = flow_limit.integer<uint32_t>(0, 10'000'000);
  limits.audited_keys = options.get("auditedKeys").integer<uint32_t>(0, 1 << 20);
  if (held.nodes() >= kMostNodes) throw Napi::RangeError::New(Env(), "addForwarder: the plane is full");
  auto node = std::make_unique<Forwarder>(name, held.workers(), held.most_workers(), limits);
  known_.push_back({node.get(), nullptr, limits});
  return Napi::Number::New(info.Env(), held.add_node(std::move(node)));
}

Napi::Value PlaneBinding::add_host(const Napi::CallbackInfo& info) {
  HeldPlane& held = idle_plane("addHost");
  const Arg options(info, 0, "addHost");
  const std::string name = options.get("name").text();
  HostOptions host = read_host(options);
  if (held.nodes() >= kMostNodes) throw Napi::RangeError::New(Env(), "addHost: the plane is full");
  auto node = std::make_unique<Host>(name, held.workers(), held.most_workers(), std::move(host));
  known_.push_back({nullptr, node.get(), {}});
  return Napi::Number::New(info.Env(), held.add_node(std::move(node)));
}

Napi::Value PlaneBinding::add_wire(const Napi::CallbackInfo& info) {
  HeldPlane& held = plane();
  const Arg first(info, 0, "addWire.nodeA");
  const Arg second(info, 1, "addWire.nodeB");
  Node& a = node(first);
  Node& b = node(second);
  // a host uses what it has; a forwarder, what its tables name
  if (known_[node_id(first)].host != nullptr || known_[node_id(second)].host != nullptr)
    idle_plane("addWire");
  const uint32_t capacity = power_of_two(Arg(info, 2, "addWire.capacity"), 2, 1 << 20);
  const auto wire = std::make_shared<MemoryWire>(capacity, held.most_workers());
  const auto end = [&](uint32_t side) {
    std::vector<std::unique_ptr<Port>> ports;
    for (uint32_t w = 0; w < held.workers(); ++w) ports.push_back(MemoryWire::end(wire, side, w));
    return ports;
  };
  Napi::Array indices = Napi::Array::New(info.Env(), 2);
  indices[0u] = added(a.add_port(end(0)));
  indices[1u] = added(b.add_port(end(1)));
  return indices;
}

Napi::Value PlaneBinding::add_packet_socket(const Napi::CallbackInfo& info) {
  HeldPlane& held = plane();
  Node& target = node(Arg(info, 0, "addPacketSocket.node"));
  AfPacketOptions options;
  options.interface = Arg(info, 1, "addPacketSocket.interfaceName").text(kLongestInterfaceName);
  options.workers = held.workers();
  options.most_workers = held.most_workers();
  const Arg promiscuous(info, 2, "addPacketSocket.promiscuous");
  options.promiscuous = !promiscuous.missing() && promiscuous.boolean();
  AfPacketPorts opened = AfPacketPort::open(options);
  if (opened.ports.empty()) throw_system(info.Env(), opened.error);
  std::vector<std::unique_ptr<Port>> ports;
  for (auto& port : opened.ports) ports.push_back(std::move(port));
  return added(target.add_port(std::move(ports)));
}

// Frames that an interface's rings may hold of one worker's: an eighth, so that several have room.
static uint32_t ring_of(uint32_t frames) {
  uint32_t size = kBurst;
  while (size < 2048 && size * 16 <= frames) size *= 2;
  return size;
}

Napi::Value PlaneBinding::add_xdp_socket(const Napi::CallbackInfo& info) {
  HeldPlane& held = plane();
  Node& target = node(Arg(info, 0, "addXdpSocket.node"));
  AfXdpOptions options;
  options.interface = Arg(info, 1, "addXdpSocket.interfaceName").text(kLongestInterfaceName);
  options.workers = held.workers();
  options.most_workers = held.most_workers();
  const Arg promiscuous(info, 2, "addXdpSocket.promiscuous");
  options.promiscuous = !promiscuous.missing() && promiscuous.boolean();
  options.sizes.receive = options.sizes.fill = ring_of(held.options().frames_per_worker);
  AfXdpPorts opened = AfXdpPort::open(options, held.pool());
  if (opened.ports.empty()) throw_system(info.Env(), opened.error);
  std::vector<std::unique_ptr<Port>> ports;
  for (auto& port : opened.ports) ports.push_back(std::move(port));
  return added(target.add_port(std::move(ports)));
}

Napi::Value PlaneBinding::add_tun(const Napi::CallbackInfo& info) {
  HeldPlane& held = plane();
  Node& target = node(Arg(info, 0, "addTun.node"));
  const Arg wanted(info, 1, "addTun");
  TunOptions options;
  options.interface = wanted.get("interfaceName").text(kLongestInterfaceName);
  options.tap = wanted.get("tap").boolean();
  options.mtu = wanted.get("mtu").integer<uint32_t>(576, 9600);
  options.workers = held.workers();
  options.most_workers = held.most_workers();
  const Arg mac = wanted.get("mac");
  if (!mac.missing()) std::memcpy(options.mac, mac.bytes({6}).data, 6);
  TunPorts opened = TunPort::open(options);
  if (opened.ports.empty()) throw_system(info.Env(), opened.error);
  std::vector<std::unique_ptr<Port>> ports;
  for (auto& port : opened.ports) ports.push_back(std::move(port));
  return added(target.add_port(std::move(ports)));
}

Napi::Value PlaneBinding::add_capture(const Napi::CallbackInfo& info) {
  HeldPlane& held = plane();
  Node& target = node(Arg(info, 0, "addCapture.node"));
  const Arg files(info, 1, "addCapture");
  const CapturePortOptions options = read_capture(files);
  if (!options.write.empty() && held.workers() > 1) {
    files.get("write").range_error("one worker writes a capture, and the plane has " +
                                   std::to_string(held.workers()));
  }
  std::vector<std::unique_ptr<Port>> ports;
  for (uint32_t w = 0; w < held.workers(); ++w) {
    std::string error;
    // One worker reads it; what the others send is freed, as what that one sends is.
    ports.push_back(CapturePort::open(w == 0 ? options : CapturePortOptions{}, error));
    if (ports.back() == nullptr) throw_coded(info.Env(), error, "ECAPTURE");
  }
  return added(target.add_port(std::move(ports)));
}

Napi::Value PlaneBinding::added(uint16_t port) const {
  if (port == Node::kNoPort) {
    throw Napi::RangeError::New(Env(), "the node has " + std::to_string(Node::kMostPorts) + " ports already");
  }
  return Napi::Number::New(Env(), port);
}

// A published table that still names it would send into nothing, so that is refused.
void PlaneBinding::remove_port(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "removePort.node");
  Forwarder& node = forwarder(target);
  const Arg port(info, 1, "removePort.port");
  const uint16_t index = port_index(port, node);
  for (const auto& interface : node.published().interfaces->interfaces) {
    if (interface.port == index && interface.vlan != InterfaceTable::kAbsent) {
      port.range_error("a published table still names this port");
    }
  }
  node.remove_port(index);
}

Napi::Value PlaneBinding::port_status(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Node& target = node(Arg(info, 0, "portStatus.node"));
  const uint16_t index = port_index(Arg(info, 1, "portStatus.port"), target);
  bool open = true;
  std::string fault;
  for (uint32_t w = 0; w < plane().workers(); ++w) {
    const Port& port = target.port(index, w);
    open &= port.open();
    if (fault.empty()) fault = port.fault();
  }
  Napi::Object out = Napi::Object::New(env);
  out["open"] = Napi::Boolean::New(env, open);
  out["fault"] = Napi::String::New(env, fault);
  out["atEnd"] = env.Null();
  out["mac"] = env.Null();
  out["mtu"] = env.Null();
  out["mode"] = env.Null();
  if (const auto* kernel = dynamic_cast<const KernelPort*>(&target.port(index, 0))) {
    uint8_t mac[6];
    kernel->mac(mac);
    out["mac"] = copy_bytes(env, mac, 6);
    out["mtu"] = Napi::Number::New(env, kernel->mtu());
    out["mode"] = Napi::String::New(env, kernel->mode());
  } else if (const auto* capture = dynamic_cast<const CapturePort*>(&target.port(index, 0))) {
    out["atEnd"] = Napi::Boolean::New(env, capture->at_end());
  }
  return out;
}

void PlaneBinding::set_node_running(const Napi::CallbackInfo& info) {
  Node& target = node(Arg(info, 0, "setNodeRunning.node"));
  const Arg how(info, 1, "setNodeRunning.running");
  if (how.value().IsString()) {
    target.set_running(static_cast<Node::Running>(how.choice({"runs", "drains", "shut", "frozen"})));
  } else {
    target.set_running(how.boolean());
  }
}

void PlaneBinding::set_sending(const Napi::CallbackInfo& info) {
  Host& target = host(Arg(info, 0, "setSending.node"));
  target.set_sending(Arg(info, 1, "setSending.sending").boolean());
}

}  // namespace penstock::addon
