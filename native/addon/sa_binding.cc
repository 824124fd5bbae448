// Security associations: made from the control plane's options, shown, retired. A key is read where
// JavaScript keeps it and copied into the SA alone, which zeroises it when it goes.
#include <unordered_set>
#include <utility>
#include <vector>

#include "plane_binding.h"
#include "sa_options.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostSas = 1 << 20;

enum class Direction { kInbound, kOutbound };

Direction read_direction(const Arg& arg) {
  return static_cast<Direction>(arg.choice({"inbound", "outbound"}));
}

// Adds all of the list or none: what came before one that fails is retired.
template <typename Read, typename Add, typename Retire>
Napi::Value add_all(Napi::Env env, const Arg& list, Read read, Add add, Retire retire) {
  const uint32_t count = list.items(kMostSas);
  std::vector<uint32_t> indices;
  Napi::Array out = Napi::Array::New(env, count);
  try {
    for (uint32_t i = 0; i < count; ++i) {
      const Arg entry = list.at(i);
      std::string error;
      const uint32_t index = add(read(entry), error);
      if (index == kNoIndex) entry.range_error(error);
      indices.push_back(index);
      out[i] = Napi::Number::New(env, index);
    }
  } catch (...) {
    for (const uint32_t index : indices) retire(index);
    throw;
  }
  return out;
}

template <typename Sa>
Napi::Value all_status(Napi::Env env, const Arg& list, const Sa* (Forwarder::*find)(uint32_t) const,
                       const Forwarder& node) {
  const uint32_t count = list.items(kMostSas);
  Napi::Array out = Napi::Array::New(env, count);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    const auto index = entry.integer<uint32_t>(0, kNoIndex - 1);
    const Sa* sa = (node.*find)(index);
    if (sa == nullptr) entry.range_error("no such SA");
    out[i] = sa_status(env, index, *sa);
  }
  return out;
}

}  // namespace

Napi::Value PlaneBinding::sa_status(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "saStatus.node");
  const Forwarder& node = forwarder(target);
  const Direction direction = read_direction(Arg(info, 1, "saStatus.direction"));
  const Arg list(info, 2, "saStatus.indices");
  return direction == Direction::kInbound ? all_status(info.Env(), list, &Forwarder::inbound_sa, node)
                                          : all_status(info.Env(), list, &Forwarder::outbound_sa, node);
}

Napi::Value PlaneBinding::add_inbound_sas(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "addInboundSas.node");
  Forwarder& node = forwarder(target);
  const Arg list(info, 1, "addInboundSas");
  return add_all(
      info.Env(), list, [&](const Arg& entry) { return read_inbound_sa(entry, plane().workers()); },
      [&](const InboundSaOptions& sa, std::string& error) { return node.add_inbound_sa(sa, error); },
      [&](uint32_t index) { node.retire_inbound_sa(index); });
}

Napi::Value PlaneBinding::add_outbound_sas(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "addOutboundSas.node");
  Forwarder& node = forwarder(target);
  const Arg list(info, 1, "addOutboundSas");
  return add_all(
      info.Env(), list, [&](const Arg& entry) { return read_outbound_sa(entry, plane().workers()); },
      [&](const OutboundSaOptions& sa, std::string& error) { return node.add_outbound_sa(sa, error); },
      [&](uint32_t index) { node.retire_outbound_sa(index); });
}

// changeSas(node, direction, [{ index, …options without key }]): all of the list or none is looked at first;
// what a list says of itself holds.
void PlaneBinding::change_sas(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "changeSas.node");
  Forwarder& node = forwarder(target);
  const Direction direction = read_direction(Arg(info, 1, "changeSas.direction"));
  const Arg list(info, 2, "changeSas.changes");
  const uint32_t count = list.items(kMostSas);
  std::vector<std::pair<uint32_t, InboundSaOptions>> inbound;
  std::vector<std::pair<uint32_t, OutboundSaOptions>> outbound;
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    const Arg which = entry.get("index");
    const auto index = which.integer<uint32_t>(0, kNoIndex - 1);
    const bool live = direction == Direction::kInbound ? node.inbound_sa(index) != nullptr
                                                       : node.outbound_sa(index) != nullptr;
    if (!live) which.range_error("no such SA");
    if (direction == Direction::kInbound) {
      inbound.emplace_back(index, read_inbound_sa(entry, plane().workers()));
    } else {
      outbound.emplace_back(index, read_outbound_sa(entry, plane().workers()));
    }
  }
  std::string error;
  for (const auto& [index, options] : inbound) error += node.change_inbound_sa(index, options);
  for (const auto& [index, options] : outbound) error += node.change_outbound_sa(index, options);
  if (!error.empty()) list.range_error(error);
}

Napi::Value PlaneBinding::sa_room(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "saRoom.node");
  const Forwarder& node = forwarder(target);
  Napi::Object out = Napi::Object::New(info.Env());
  out["inbound"] = Napi::Number::New(info.Env(), node.inbound_room());
  out["outbound"] = Napi::Number::New(info.Env(), node.outbound_room());
  return out;
}

Napi::Value PlaneBinding::sa_keys(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "saKeys.node");
  const Forwarder& node = forwarder(target);
  const Direction direction = read_direction(Arg(info, 1, "saKeys.direction"));
  const Arg list(info, 2, "saKeys.indices");
  const uint32_t count = list.items(kMostSas);
  Napi::Array out = Napi::Array::New(info.Env(), count);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    const auto index = entry.integer<uint32_t>(0, kNoIndex - 1);
    const InboundSa* in = direction == Direction::kInbound ? node.inbound_sa(index) : nullptr;
    const OutboundSa* sa_out = direction == Direction::kOutbound ? node.outbound_sa(index) : nullptr;
    if (in == nullptr && sa_out == nullptr) entry.range_error("no such SA");
    const SaSecret& secret = in != nullptr ? in->secret : sa_out->secret;
    out[i] = addon::sa_keys(info.Env(), secret);
  }
  return out;
}

// All of the list or none. An SA that a published table still names would be followed into nothing.
void PlaneBinding::retire_sas(const Napi::CallbackInfo& info) {
  const Arg target(info, 0, "retireSas.node");
  Forwarder& node = forwarder(target);
  const Direction direction = read_direction(Arg(info, 1, "retireSas.direction"));
  const Arg list(info, 2, "retireSas.indices");
  std::unordered_set<uint32_t> named;
  const Tables& tables = node.published();
  if (direction == Direction::kInbound) {
    for (const SpiTable::Entry& entry : tables.spis->entries) {
      if (entry.spi != 0) named.insert(entry.sa);
    }
  } else {
    for (const NextHop& next : tables.routes->next_hops) {
      if (next.kind == NextHop::Kind::kTunnel) named.insert(next.index);
    }
  }
  std::unordered_set<uint32_t> indices;
  const uint32_t count = list.items(kMostSas);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    const auto index = entry.integer<uint32_t>(0, kNoIndex - 1);
    const bool live = direction == Direction::kInbound ? node.inbound_sa(index) != nullptr
                                                       : node.outbound_sa(index) != nullptr;
    if (!live) entry.range_error("no such SA");
    if (named.count(index) != 0) entry.range_error("a published table still names this SA");
    if (!indices.insert(index).second) entry.range_error("listed twice");
  }
  for (const uint32_t index : indices) {
    if (direction == Direction::kInbound) {
      node.retire_inbound_sa(index);
    } else {
      node.retire_outbound_sa(index);
    }
  }
}

}  // namespace penstock::addon
