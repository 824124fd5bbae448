// Security associations between JavaScript and the ESP room: options in, status out.
#pragma once
#include <napi.h>

#include "args.h"
#include "esp/sa.h"

namespace penstock::addon {

// Keys are not copied: the options point to where JavaScript has them.
InboundSaOptions read_inbound_sa(const Arg& entry, uint32_t workers);
OutboundSaOptions read_outbound_sa(const Arg& entry, uint32_t workers);

Napi::Object sa_keys(Napi::Env env, const SaSecret& secret);
Napi::Object sa_status(Napi::Env env, uint32_t index, const InboundSa& sa);
Napi::Object sa_status(Napi::Env env, uint32_t index, const OutboundSa& sa);

}  // namespace penstock::addon
