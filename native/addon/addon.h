#pragma once
#include <napi.h>

namespace penstock::addon {

// What the addon keeps per environment.
struct AddonData {
  Napi::FunctionReference plane_class;
  Napi::FunctionReference worker_class;
};

}  // namespace penstock::addon
