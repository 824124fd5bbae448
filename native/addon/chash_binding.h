// Consistent-hash tables for the control plane.
#pragma once
#include <napi.h>

#include "args.h"
#include "chash/flow_hash.h"

namespace penstock::addon {

// xxh64 when it was left out.
HashFunction read_hash_function(const Arg& arg);

// chashBuild(options): { slots, home, digest }
Napi::Value chash_build(const Napi::CallbackInfo& info);

}  // namespace penstock::addon
