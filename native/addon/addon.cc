// The addon's entry: one object of instance data per environment (the control thread and each worker load the
// addon on their own), and the functions that belong to no plane.
#include "addon.h"

#include <sched.h>

#include <memory>

#include "chash_binding.h"
#include "crypto_binding.h"
#include "esp_binding.h"
#include "flow_binding.h"
#include "interface_binding.h"
#include "kernel_binding.h"
#include "plane_binding.h"
#include "worker_binding.h"

namespace penstock::addon {
namespace {

// Held against counters.ts when the addon is loaded: both are made of counters.def, at different times.
Napi::Array counter_names(Napi::Env env) {
  static const char* const names[] = {
#define COUNTER(name, unit, meaning) #name,
#define DROP(name, words, meaning) #name,
#include "../counters.def"
  };
  Napi::Array out = Napi::Array::New(env);
  uint32_t index = 0;
  for (const char* name : names) out[index++] = Napi::String::New(env, name);
  return out;
}

Napi::Value allowed_cpus(const Napi::CallbackInfo& info) {
  cpu_set_t set;
  CPU_ZERO(&set);
  Napi::Array out = Napi::Array::New(info.Env());
  uint32_t index = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return out;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) out[index++] = Napi::Number::New(info.Env(), cpu);
  }
  return out;
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  auto data = std::make_unique<AddonData>();
  data->plane_class = Napi::Persistent(PlaneBinding::define(env));
  data->worker_class = Napi::Persistent(WorkerBinding::define(env));
  env.SetInstanceData(data.release());

  const auto function = [&](const char* name, Napi::Value (*call)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, call, name));
  };
  // Classes that JavaScript makes objects of itself; each keeps itself alive through `exports`.
  exports.Set("InboundSa", InboundSaBinding::define(env));
  exports.Set("OutboundSa", OutboundSaBinding::define(env));
  exports.Set("FlowTally", FlowTallyBinding::define(env));
  exports.Set("PickTable", PickTableBinding::define(env));
  exports.Set("Kernel", KernelBinding::define(env));
  function("createPlane", create_plane);
  function("attachPlane", attach_plane);
  function("planesAlive", planes_alive);
  function("allowedCpus", allowed_cpus);
  function("interfaceFacts", interface_facts);
  function("crypto", crypto_kernels);
  function("selectCrypto", select_crypto);
  function("gcmSeal", gcm_seal_binding);
  function("gcmOpen", gcm_open_binding);
  function("chashBuild", chash_build);
  function("countFlows", count_flows);
  exports.Set("counterNames", counter_names(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(penstock, initialise)

}  // namespace penstock::addon
