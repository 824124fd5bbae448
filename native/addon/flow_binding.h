// Flows in bulk: counted by their hashes for plans (countFlows, FlowTally), and picked for (PickTable).
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "chash/flow_count.h"
#include "chash/table.h"

namespace penstock::addon {

// countFlows(options): { flows, bytes } by cell, of generated flows
Napi::Value count_flows(const Napi::CallbackInfo& info);

class FlowTallyBinding : public Napi::ObjectWrap<FlowTallyBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit FlowTallyBinding(const Napi::CallbackInfo& info);

 private:
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value result(const Napi::CallbackInfo& info);

  std::unique_ptr<FlowTally> tally_;
};

class PickTableBinding : public Napi::ObjectWrap<PickTableBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PickTableBinding(const Napi::CallbackInfo& info);

 private:
  Napi::Value pick_addresses(const Napi::CallbackInfo& info);
  Napi::Value pick_keys(const Napi::CallbackInfo& info);

  Table::Pointer table_;
};

}  // namespace penstock::addon
