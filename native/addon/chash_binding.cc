#include "chash_binding.h"

#include "chash/build.h"

namespace penstock::addon {
namespace {

// The builder numbers members by name; whoever asks, as they were given.
Napi::Uint16Array as_given(Napi::Env env, const std::vector<uint16_t>& slots, const BuiltTable& built) {
  Napi::Uint16Array out = Napi::Uint16Array::New(env, slots.size());
  for (size_t s = 0; s < slots.size(); ++s) {
    out[s] = slots[s] == kNoMember ? kNoMember : static_cast<uint16_t>(built.order[slots[s]]);
  }
  return out;
}

std::vector<std::string> names(const Arg& list) {
  std::vector<std::string> out(list.items(kMaxTableMembers));
  for (uint32_t i = 0; i < out.size(); ++i) out[i] = list.at(i).text();
  return out;
}

PreviousTable read_previous(const Arg& previous) {
  PreviousTable out;
  out.names = names(previous.get("members"));
  const Arg home = previous.get("home");
  const auto array = home.uint16_array();
  out.home.assign(array.Data(), array.Data() + array.ElementLength());
  return out;
}

}  // namespace

HashFunction read_hash_function(const Arg& arg) {
  if (arg.missing()) return HashFunction::kXxh64;
  return static_cast<HashFunction>(arg.choice({"xxh64", "siphash-1-3", "toeplitz"}));
}

FlowHasher read_hasher(const Arg& options) {
  const HashFunction function = read_hash_function(options.get("hash"));
  const uint64_t seed = options.get("seed").big();
  const Arg key = options.get("hashKey");
  if (key.missing()) return FlowHasher(function, seed);
  if (function == HashFunction::kXxh64) key.range_error("xxh64 has no key");
  if (function == HashFunction::kSipHash13) return FlowHasher::siphash(seed, key.bytes({16}).data);
  return FlowHasher::toeplitz(seed, key.bytes({chash::kToeplitzKeyBytes}).data);
}

Napi::Value chash_build(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Arg options(info, 0, "chashBuild");
  TableInput input;
  const Arg members = options.get("members");
  const uint32_t count = members.items(kMaxTableMembers);
  for (uint32_t i = 0; i < count; ++i) {
    const Arg member = members.at(i);
    input.members.push_back(
        {member.get("name").text(), member.get("weight").integer<uint32_t>(1, kMaxWeight)});
  }
  input.dead = names(options.get("dead"));
  input.hasher = read_hasher(options);
  input.size = options.get("size").integer<uint32_t>(0, kMaxTableSize);
  input.slack = options.get("slack").integer<uint32_t>(0, 10'000);
  const Arg previous = options.get("previous");
  PreviousTable before;
  if (!previous.missing()) {
    before = read_previous(previous);
    input.previous = &before;
  }
  const BuiltTable built = build_table(input);
  if (!built.error.empty()) options.range_error(built.error);

  Napi::Object out = Napi::Object::New(env);
  out["slots"] = as_given(env, built.slots, built);
  out["home"] = as_given(env, built.home, built);
  out["digest"] = big(env, built.digest);
  return out;
}

}  // namespace penstock::addon
