// The kernel's routes, addresses and neighbours for JavaScript. Control thread.
#pragma once
#include <napi.h>

#include <vector>

#include "kernel/rtnetlink.h"

namespace penstock::addon {

class KernelBinding : public Napi::ObjectWrap<KernelBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit KernelBinding(const Napi::CallbackInfo& info);

 private:
  Napi::Value change_routes(const Napi::CallbackInfo& info);
  Napi::Value list(const Napi::CallbackInfo& info);
  Napi::Value take_changes(const Napi::CallbackInfo& info);
  Napi::Value index_of(const Napi::CallbackInfo& info);
  void ask_for_neighbour(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  Rtnetlink netlink_;
  RouteInterface interface_;
  bool open_ = false;
};

}  // namespace penstock::addon
