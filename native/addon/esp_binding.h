// SAs that belong to no plane, for captures: NativeInboundSa and NativeOutboundSa of src/pipeline/native.ts.
#pragma once
#include <napi.h>

#include "esp/sa.h"

namespace penstock::addon {

class InboundSaBinding : public Napi::ObjectWrap<InboundSaBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit InboundSaBinding(const Napi::CallbackInfo& info);

 private:
  Napi::Value open(const Napi::CallbackInfo& info);
  Napi::Value status(const Napi::CallbackInfo& info);

  InboundSa sa_;
};

class OutboundSaBinding : public Napi::ObjectWrap<OutboundSaBinding> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit OutboundSaBinding(const Napi::CallbackInfo& info);

 private:
  Napi::Value seal(const Napi::CallbackInfo& info);
  Napi::Value status(const Napi::CallbackInfo& info);

  OutboundSa sa_;
};

}  // namespace penstock::addon
