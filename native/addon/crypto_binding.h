// AES-GCM kernels, and the bare cipher for tests and benches.
#pragma once
#include <napi.h>

namespace penstock::addon {

// crypto(): { active, available }
Napi::Value crypto_kernels(const Napi::CallbackInfo& info);
// selectCrypto(name)
Napi::Value select_crypto(const Napi::CallbackInfo& info);
// gcmSeal(key, nonce, aad, plaintext)
Napi::Value gcm_seal_binding(const Napi::CallbackInfo& info);
// gcmOpen(key, nonce, aad, ciphertextAndTag)
Napi::Value gcm_open_binding(const Napi::CallbackInfo& info);

}  // namespace penstock::addon
