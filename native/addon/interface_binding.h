#pragma once
#include <napi.h>

namespace penstock::addon {

Napi::Value interface_facts(const Napi::CallbackInfo& info);

}  // namespace penstock::addon
