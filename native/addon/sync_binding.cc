// What a pair shares: sessions as blocks of records, and the numbers of SAs.
#include <vector>

#include "plane_binding.h"

namespace penstock::addon {
namespace {

constexpr int64_t kMostBlock = 65'535;
constexpr int64_t kMostSas = 1 << 20;

bool is_outbound(const Arg& arg) {
  return arg.choice({"inbound", "outbound"}) == 1;
}

}  // namespace

void PlaneBinding::sync_command(const Napi::CallbackInfo& info) {
  Forwarder& node = forwarder(Arg(info, 0, "syncCommand.node"));
  switch (Arg(info, 1, "syncCommand.command").choice({"start", "start-all", "stop", "digest", "refresh"})) {
    case 0:
      return node.sync_start(false);
    case 1:
      return node.sync_start(true);
    case 2:
      return node.sync_stop();
    case 3:
      return node.sync_digest();
    default:
      return node.sync_refresh();
  }
}

Napi::Value PlaneBinding::sync_pull(const Napi::CallbackInfo& info) {
  Forwarder& node = forwarder(Arg(info, 0, "syncPull.node"));
  const auto most = Arg(info, 1, "syncPull.most").integer<uint32_t>(1, kMostBlock);
  uint8_t block[kMostBlock];
  const uint32_t length = node.sync_pull(block, most);
  return length == 0 ? info.Env().Null() : Napi::Value(copy_bytes(info.Env(), block, length));
}

Napi::Value PlaneBinding::sync_apply(const Napi::CallbackInfo& info) {
  Forwarder& node = forwarder(Arg(info, 0, "syncApply.node"));
  const Span block = Arg(info, 1, "syncApply.block").bytes();
  static constexpr const char* kNames[] = {"applied", "busy", "malformed"};
  const Forwarder::SyncApplied applied = node.sync_apply(block.data, static_cast<uint32_t>(block.size));
  return Napi::String::New(info.Env(), kNames[static_cast<unsigned>(applied)]);
}

Napi::Value PlaneBinding::sync_status(const Napi::CallbackInfo& info) {
  Forwarder& node = forwarder(Arg(info, 0, "syncStatus.node"));
  const SyncStatus status = node.sync_status();
  Napi::Object out = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, uint64_t value) {
    out[name] = Napi::Number::New(info.Env(), static_cast<double>(value));
  };
  set("said", status.counts.said);
  set("saidBytes", status.counts.said_bytes);
  set("unnamed", status.counts.unnamed);
  set("overflows", status.counts.overflows);
  set("copied", status.counts.copied);
  set("updated", status.counts.updated);
  set("closed", status.counts.closed);
  set("refused", status.counts.refused);
  set("swept", status.counts.swept);
  set("unknownNames", status.unknown_names);
  set("malformed", status.malformed);
  set("sweeps", status.sweeps);
  set("digests", status.digests);
  set("mismatches", status.mismatches);
  out["overflowed"] = Napi::Boolean::New(info.Env(), status.overflowed);
  return out;
}

// saSequences(node, direction, indices: Uint32Array): next number (outbound), highest seen (inbound); 0: no
// such SA.
Napi::Value PlaneBinding::sa_sequences(const Napi::CallbackInfo& info) {
  const Forwarder& node = forwarder(Arg(info, 0, "saSequences.node"));
  const bool outbound = is_outbound(Arg(info, 1, "saSequences.direction"));
  const Arg list(info, 2, "saSequences.indices");
  if (!list.value().IsTypedArray() ||
      list.value().As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    list.type_error("a Uint32Array expected");
  }
  const auto indices = list.value().As<Napi::Uint32Array>();
  const size_t count = indices.ElementLength();
  Napi::BigUint64Array out = Napi::BigUint64Array::New(info.Env(), count);
  for (size_t i = 0; i < count; ++i) {
    if (outbound) {
      const OutboundSa* sa = node.outbound_sa(indices[i]);
      out[i] = sa == nullptr ? 0 : static_cast<uint64_t>(sa->next_sequence);
    } else {
      const InboundSa* sa = node.inbound_sa(indices[i]);
      out[i] = sa == nullptr ? 0 : sa->highest_sequence();
    }
  }
  return out;
}

// changeNumbers(node, direction, [{ index, kind, epoch, sequence, gate, ask }])
void PlaneBinding::change_numbers(const Napi::CallbackInfo& info) {
  Forwarder& node = forwarder(Arg(info, 0, "changeNumbers.node"));
  const bool outbound = is_outbound(Arg(info, 1, "changeNumbers.direction"));
  const Arg list(info, 2, "changeNumbers.changes");
  const uint32_t count = list.items(kMostSas);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg entry = list.at(i);
    const auto index = entry.get("index").integer<uint32_t>(0, kNoIndex - 1);
    if (outbound ? node.outbound_sa(index) == nullptr : node.inbound_sa(index) == nullptr) {
      entry.range_error("no such SA");
    }
    if (!outbound) {
      const SaNumbers numbers = {.kind = SaNumbers::Kind::kSeen, .sequence = entry.get("sequence").big()};
      node.change_numbers(false, index, numbers);
      continue;
    }
    const unsigned kind = entry.get("kind").choice({"gate", "arm", "take-over"});
    const uint64_t gate = entry.get("gate").big();
    const uint64_t ask = entry.get("ask").big();
    if (kind == 0) {
      node.move_gate(index, gate, ask);
      continue;
    }
    SaNumbers numbers = {.kind = SaNumbers::Kind::kArm, .gate = gate, .ask = ask};
    if (kind == 2) {
      numbers.kind = SaNumbers::Kind::kTakeOver;
      numbers.epoch = entry.get("epoch").integer<uint16_t>(0, esp::kLargestEpoch);
      numbers.sequence = entry.get("sequence").big(1);
    }
    node.change_numbers(true, index, numbers);
  }
}

}  // namespace penstock::addon
