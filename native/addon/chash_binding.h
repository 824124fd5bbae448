// Consistent-hash tables for the control plane.
#pragma once
#include <napi.h>

#include "args.h"
#include "chash/flow_hash.h"

namespace penstock::addon {

// xxh64 when it was left out.
HashFunction read_hash_function(const Arg& arg);
// Of an object's hash, seed and, for siphash-1-3 (16 bytes) and toeplitz (40), hashKey.
FlowHasher read_hasher(const Arg& options);

// chashBuild(options): { slots, home, digest }
Napi::Value chash_build(const Napi::CallbackInfo& info);

}  // namespace penstock::addon
