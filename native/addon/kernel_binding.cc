#include "kernel_binding.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstring>

#include "args.h"

namespace penstock::addon {
namespace {

constexpr uint32_t kMostRoutes = 1 << 20;
constexpr size_t kLongestInterfaceName = 15;
constexpr uint16_t kAnswered = NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP;
constexpr uint16_t kUsable = kAnswered | NUD_STALE | NUD_DELAY | NUD_PROBE;

[[noreturn]] void throw_system(Napi::Env env, const SocketError& error) {
  const char* code = strerrorname_np(error.number);
  throw_coded(env, error.text, code != nullptr ? code : "EIO");
}

const char* route_type(uint8_t type) {
  switch (type) {
    case RTN_UNICAST:
      return "unicast";
    case RTN_BLACKHOLE:
      return "blackhole";
    default:
      return "other";
  }
}

// The kernel's word for what becomes of packets to a neighbour.
const char* neighbour_state(uint16_t state) {
  if ((state & kAnswered) != 0) return "reachable";
  if ((state & kUsable) != 0) return "stale";
  return (state & NUD_FAILED) != 0 ? "failed" : "incomplete";
}

Napi::Value read(Napi::Env env, const KernelChange& change) {
  Napi::Object out = Napi::Object::New(env);
  const auto number = [&](double value) { return Napi::Number::New(env, value); };
  out["removed"] = Napi::Boolean::New(env, change.removed);
  if (change.kind == KernelChange::Kind::kRoute) {
    const KernelRoute& route = change.route;
    out["kind"] = Napi::String::New(env, "route");
    out["address"] = address_bytes(env, route.prefix);
    out["length"] = number(route.length);
    out["protocol"] = number(route.protocol);
    out["type"] = Napi::String::New(env, route_type(route.type));
    out["table"] = number(route.table);
    out["interface"] = number(route.interface);
    out["metric"] = number(route.metric);
    out["gateway"] = route.has_gateway ? Napi::Value(address_bytes(env, route.gateway)) : env.Null();
    return out;
  }
  const bool own = change.kind == KernelChange::Kind::kAddress;
  out["kind"] = Napi::String::New(env, own ? "address" : "neighbour");
  out["interface"] = number(change.interface);
  out["address"] = address_bytes(env, change.address);
  if (own) {
    out["length"] = number(change.length);
  } else {
    out["state"] = Napi::String::New(env, neighbour_state(change.state));
    out["mac"] = change.has_mac ? Napi::Value(copy_bytes(env, change.mac, 6)) : env.Null();
  }
  return out;
}

Napi::Array read_all(Napi::Env env, const std::vector<KernelChange>& changes) {
  Napi::Array out = Napi::Array::New(env, changes.size());
  uint32_t index = 0;
  for (const KernelChange& change : changes) out[index++] = read(env, change);
  return out;
}

}  // namespace

Napi::Function KernelBinding::define(Napi::Env env) {
  using Self = KernelBinding;
  return DefineClass(
      env, "Kernel",
      {InstanceMethod<&Self::change_routes>("changeRoutes"), InstanceMethod<&Self::list>("list"),
       InstanceMethod<&Self::take_changes>("takeChanges"), InstanceMethod<&Self::index_of>("indexOf"),
       InstanceMethod<&Self::ask_for_neighbour>("askForNeighbour"), InstanceMethod<&Self::close>("close")});
}

KernelBinding::KernelBinding(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Arg options(info, 0, "Kernel");
  const Arg name = options.get("routeInterface");
  SocketError error;
  if (!netlink_.open(options.get("listen").boolean(), error)) throw_system(info.Env(), error);
  if (!name.null() && !interface_.open(name.text(kLongestInterfaceName), error))
    throw_system(info.Env(), error);
  open_ = true;
}

Napi::Value KernelBinding::change_routes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool add = Arg(info, 0, "changeRoutes.add").boolean();
  const Arg prefixes(info, 1, "changeRoutes.prefixes");
  const Arg as(info, 2, "changeRoutes.as");
  KernelRoute common;
  common.table = as.get("table").integer<uint32_t>(1, 0xffffffff);
  common.protocol = as.get("protocol").integer<uint8_t>(1, 255);
  common.interface = interface_.index();
  if (!open_ || common.interface == 0)
    throw Napi::Error::New(env, "changeRoutes: there is no interface for routes");
  std::vector<KernelRoute> routes(prefixes.items(kMostRoutes), common);
  for (uint32_t i = 0; i < routes.size(); ++i) {
    const Arg prefix = prefixes.at(i);
    routes[i].prefix = prefix.get("address").address();
    routes[i].length = prefix.get("length").integer<uint8_t>(0, routes[i].prefix.is_v4() ? 32 : 128);
    const Arg metric = prefix.get("metric");
    if (!metric.missing()) routes[i].metric = metric.integer<uint32_t>(0, 0xffffffff);
  }
  const std::vector<int> results = netlink_.change_routes(routes, add);
  Napi::Array out = Napi::Array::New(env, results.size());
  for (uint32_t i = 0; i < results.size(); ++i) {
    const char* code = strerrorname_np(results[i]);
    out[i] = results[i] == 0 ? env.Null() : Napi::String::New(env, code != nullptr ? code : "EIO");
  }
  return out;
}

Napi::Value KernelBinding::list(const Napi::CallbackInfo& info) {
  std::vector<KernelChange> found;
  SocketError error;
  using Kind = KernelChange::Kind;
  for (const Kind kind : {Kind::kAddress, Kind::kRoute, Kind::kNeighbour}) {
    if (!open_ || !netlink_.list(kind, found, error)) throw_system(info.Env(), error);
  }
  return read_all(info.Env(), found);
}

Napi::Value KernelBinding::take_changes(const Napi::CallbackInfo& info) {
  std::vector<KernelChange> changes;
  const bool whole = netlink_.take_changes(changes);
  return whole ? Napi::Value(read_all(info.Env(), changes)) : info.Env().Null();
}

Napi::Value KernelBinding::index_of(const Napi::CallbackInfo& info) {
  const std::string name = Arg(info, 0, "indexOf.interfaceName").text(kLongestInterfaceName);
  return Napi::Number::New(info.Env(), if_nametoindex(name.c_str()));
}

void KernelBinding::ask_for_neighbour(const Napi::CallbackInfo& info) {
  const auto interface = Arg(info, 0, "askForNeighbour.interface").integer<uint32_t>(1, 0x7fffffff);
  const Address address = Arg(info, 1, "askForNeighbour.address").address();
  if (open_) netlink_.ask_for_neighbour(interface, address);
}

void KernelBinding::close(const Napi::CallbackInfo&) {
  open_ = false;
  netlink_.close();
  interface_.close();
}

}  // namespace penstock::addon
