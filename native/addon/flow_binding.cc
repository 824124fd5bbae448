#include "flow_binding.h"

#include <arpa/inet.h>

#include <algorithm>

#include "args.h"
#include "chash/build.h"
#include "chash/flow_source.h"
#include "chash_binding.h"

namespace penstock::addon {
namespace {

constexpr uint64_t kMostGenerated = uint64_t{1} << 32;
constexpr size_t kMostToldApart = size_t{1} << 24;
constexpr size_t kMostKeyBytes = 64;

HashKey read_key(const Arg& arg) {
  return static_cast<HashKey>(
      arg.choice({"source-ip", "destination-ip", "symmetric", "5-tuple", "symmetric-5-tuple"}));
}

FlowCells read_cells(const Arg& arg) {
  const uint32_t count = arg.items(kMostCellSizes);
  if (count == 0) arg.range_error("at least one size expected");
  std::vector<uint32_t> sizes;
  for (uint32_t i = 0; i < count; ++i) sizes.push_back(arg.at(i).integer<uint32_t>(1, kMaxTableSize));
  return FlowCells(sizes);
}

// An address of the same family as the prefix; left out: zeros.
void read_destination(const Arg& arg, FlowSource* source) {
  if (arg.missing()) return;
  const Span bytes = arg.bytes({source->address_bytes});
  std::copy_n(bytes.data, bytes.size, source->destination);
}

FlowSource read_source(const Arg& arg) {
  FlowSource source;
  const Arg prefix = arg.get("prefix");
  const Arg address = prefix.get("address");
  source.kind = static_cast<FlowSource::Kind>(arg.get("kind").choice({"uniform", "zipf", "subnet"}));
  source.flows = arg.get("flows").integer<uint64_t>(1, static_cast<int64_t>(kMostGenerated));
  const Arg exponent = arg.get("exponent");
  if (!exponent.missing()) {
    if (!exponent.value().IsNumber()) exponent.type_error("a number");
    source.exponent = exponent.value().As<Napi::Number>().DoubleValue();
    if (!(source.exponent >= 0 && source.exponent <= 4)) exponent.range_error("0…4 expected");
  }
  const Span bytes = address.bytes({4, 16});
  source.address_bytes = static_cast<uint8_t>(bytes.size);
  source.prefix_length = prefix.get("length").integer<uint8_t>(0, static_cast<int64_t>(bytes.size) * 8);
  std::copy_n(bytes.data, bytes.size, source.prefix);
  for (unsigned bit = source.prefix_length; bit < bytes.size * 8; ++bit) {
    source.prefix[bit / 8] &= static_cast<uint8_t>(~(0x80u >> bit % 8));
  }
  read_destination(arg.get("destination"), &source);
  source.seed = arg.get("seed").big();
  return source;
}

// Exact below 2^53.
Napi::Float64Array numbers(Napi::Env env, const std::vector<uint64_t>& counts) {
  Napi::Float64Array out = Napi::Float64Array::New(env, counts.size());
  std::copy(counts.begin(), counts.end(), out.Data());
  return out;
}

Napi::Object counts_object(Napi::Env env, const FlowCounts& counts) {
  Napi::Object out = Napi::Object::New(env);
  out["flows"] = numbers(env, counts.flows);
  out["bytes"] = numbers(env, counts.bytes);
  return out;
}

}  // namespace

Napi::Value count_flows(const Napi::CallbackInfo& info) {
  const Arg options(info, 0, "countFlows");
  const FlowSource source = read_source(options.get("source"));
  const auto first = options.get("first").integer<uint64_t>(0, static_cast<int64_t>(source.flows));
  const auto end = options.get("end").integer<uint64_t>(0, static_cast<int64_t>(source.flows));
  const FlowCells cells = read_cells(options.get("sizes"));
  FlowCounts counts(cells);
  count_generated(source, first, end, read_key(options.get("key")), read_hasher(options), cells, &counts);
  return counts_object(info.Env(), counts);
}

Napi::Function FlowTallyBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeFlowTally",
                     {
                         InstanceMethod<&FlowTallyBinding::add>("add"),
                         InstanceMethod<&FlowTallyBinding::result>("result"),
                     });
}

FlowTallyBinding::FlowTallyBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<FlowTallyBinding>(info) {
  const Arg options(info, 0, "FlowTally");
  tally_ = std::make_unique<FlowTally>(
      read_key(options.get("key")), read_hasher(options), read_cells(options.get("sizes")),
      options.get("mostFlows").integer<size_t>(1, static_cast<int64_t>(kMostToldApart)));
}

// add(records): false when there were more flows than may be told apart
Napi::Value FlowTallyBinding::add(const Napi::CallbackInfo& info) {
  const Arg records(info, 0, "add.records");
  const Span span = records.bytes();
  if (span.size % kFlowRecordBytes != 0) records.range_error("whole records of 48 bytes expected");
  return Napi::Boolean::New(info.Env(), tally_->add(span.data, span.size / kFlowRecordBytes));
}

Napi::Value FlowTallyBinding::result(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object out = counts_object(env, tally_->counts());
  const HeaviestKey heaviest = tally_->heaviest();
  if (heaviest.address_bytes == 0) {
    out["heaviest"] = env.Null();
  } else {
    Napi::Object key = Napi::Object::New(env);
    key["source"] = copy_bytes(env, heaviest.source, heaviest.address_bytes);
    key["destination"] = copy_bytes(env, heaviest.destination, heaviest.address_bytes);
    key["bytes"] = static_cast<double>(heaviest.bytes);
    out["heaviest"] = key;
  }
  return out;
}

Napi::Function PickTableBinding::define(Napi::Env env) {
  return DefineClass(env, "NativePickTable",
                     {
                         InstanceMethod<&PickTableBinding::pick_addresses>("pickAddresses"),
                         InstanceMethod<&PickTableBinding::pick_keys>("pickKeys"),
                     });
}

PickTableBinding::PickTableBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<PickTableBinding>(info) {
  const Arg options(info, 0, "PickTable");
  const Arg slots = options.get("slots");
  const Napi::Uint16Array array = slots.uint16_array();
  if (array.ElementLength() == 0 || array.ElementLength() > kMaxTableSize) {
    slots.range_error("1…" + std::to_string(kMaxTableSize) + " slots expected");
  }
  table_ =
      Table::make(array.Data(), static_cast<uint32_t>(array.ElementLength()), 0, read_hasher(options), 0);
}

// pickAddresses(addresses, members): IPv4 addresses as numbers, 0x0a000001 is 10.0.0.1
Napi::Value PickTableBinding::pick_addresses(const Napi::CallbackInfo& info) {
  const Arg addresses(info, 0, "pickAddresses.addresses");
  const Arg members(info, 1, "pickAddresses.members");
  if (!addresses.value().IsTypedArray() ||
      addresses.value().As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    addresses.type_error("a Uint32Array");
  }
  const auto from = addresses.value().As<Napi::Uint32Array>();
  Napi::Uint16Array to = members.uint16_array();
  const size_t count = from.ElementLength();
  if (to.ElementLength() < count) members.range_error("room for " + std::to_string(count) + " expected");
  const uint32_t* address = from.Data();
  uint16_t* member = to.Data();
  for (size_t first = 0; first < count; first += 64) {
    const auto n = static_cast<unsigned>(std::min<size_t>(64, count - first));
    uint32_t ordered[64];
    uint64_t hashes[64];
    for (unsigned i = 0; i < n; ++i) ordered[i] = htonl(address[first + i]);
    table_->hasher().addresses4(ordered, hashes, n);
    pick(*table_, hashes, member + first, n);
  }
  return members.value();
}

// pickKeys(keys, keyBytes, members): keys one behind the other, as flowKey() makes them
Napi::Value PickTableBinding::pick_keys(const Napi::CallbackInfo& info) {
  const Arg keys(info, 0, "pickKeys.keys");
  const Arg members(info, 2, "pickKeys.members");
  const Span span = keys.bytes();
  const auto width = Arg(info, 1, "pickKeys.keyBytes").integer<size_t>(1, kMostKeyBytes);
  Napi::Uint16Array to = members.uint16_array();
  if (span.size % width != 0) keys.range_error("whole keys of " + std::to_string(width) + " bytes expected");
  const size_t count = span.size / width;
  if (to.ElementLength() < count) members.range_error("room for " + std::to_string(count) + " expected");
  uint16_t* member = to.Data();
  const FlowHasher& hasher = table_->hasher();
  for (size_t first = 0; first < count; first += 64) {
    const auto n = static_cast<unsigned>(std::min<size_t>(64, count - first));
    const uint8_t* key = span.data + first * width;
    uint64_t hashes[64];
    for (unsigned i = 0; i < n; ++i) hashes[i] = hasher(key + i * width, width);
    pick(*table_, hashes, member + first, n);
  }
  return members.value();
}

}  // namespace penstock::addon
