#include "crypto_binding.h"

#include <cstring>

#include "args.h"
#include "crypto/aes_gcm.h"

namespace penstock::addon {
namespace {

// What both directions take: a key for this call alone, wiped when it ends.
struct Call {
  GcmKey key;
  GcmOp op{};
};

void read_call(const Napi::CallbackInfo& info, Call& call, const char* const names[3]) {
  const Span key = Arg(info, 0, names[0]).bytes({16, 32});
  const Span nonce = Arg(info, 1, names[1]).bytes({kGcmNonceBytes});
  const Span aad = Arg(info, 2, names[2]).bytes();
  gcm_init_key(call.key, key.data, static_cast<unsigned>(key.size));
  call.op.key = &call.key;
  call.op.aad = aad.data;
  call.op.aad_length = static_cast<uint32_t>(aad.size);
  std::memcpy(call.op.nonce, nonce.data, kGcmNonceBytes);
}

}  // namespace

Napi::Value crypto_kernels(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const char* names[kGcmMaxKernels];
  const unsigned count = gcm_kernels(names);
  Napi::Array available = Napi::Array::New(env, count);
  for (uint32_t i = 0; i < count; ++i) available[i] = Napi::String::New(env, names[i]);
  Napi::Object out = Napi::Object::New(env);
  out["active"] = Napi::String::New(env, gcm_kernel());
  out["available"] = available;
  const char* fault = gcm_startup_error();
  out["fault"] = fault == nullptr ? env.Null() : Napi::Value(Napi::String::New(env, fault));
  return out;
}

Napi::Value select_crypto(const Napi::CallbackInfo& info) {
  const Arg name(info, 0, "selectCrypto.name");
  const char* fault = gcm_select_kernel(name.text().c_str());
  if (fault != nullptr) name.range_error(fault);
  return info.Env().Undefined();
}

Napi::Value gcm_seal_binding(const Napi::CallbackInfo& info) {
  const char* const names[3] = {"gcmSeal.key", "gcmSeal.nonce", "gcmSeal.aad"};
  const Arg plaintext(info, 3, "gcmSeal.plaintext");
  const Span in = plaintext.bytes();
  if (in.size > kGcmMaxLength) plaintext.range_error("at most 65535 bytes expected");
  Call call;
  read_call(info, call, names);
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), in.size + kGcmTagBytes);
  call.op.in = in.data;
  call.op.out = out.Data();
  call.op.length = static_cast<uint32_t>(in.size);
  call.op.tag = out.Data() + in.size;
  gcm_seal(&call.op, 1);
  return out;
}

Napi::Value gcm_open_binding(const Napi::CallbackInfo& info) {
  const char* const names[3] = {"gcmOpen.key", "gcmOpen.nonce", "gcmOpen.aad"};
  const Arg sealed(info, 3, "gcmOpen.ciphertextAndTag");
  const Span in = sealed.bytes();
  if (in.size < kGcmTagBytes || in.size > kGcmMaxLength + kGcmTagBytes) {
    sealed.range_error("16…65551 bytes expected, not " + std::to_string(in.size));
  }
  Call call;
  read_call(info, call, names);
  uint8_t tag[kGcmTagBytes];
  std::memcpy(tag, in.data + in.size - kGcmTagBytes, kGcmTagBytes);
  Napi::Uint8Array out = Napi::Uint8Array::New(info.Env(), in.size - kGcmTagBytes);
  call.op.in = in.data;
  call.op.out = out.Data();
  call.op.length = static_cast<uint32_t>(in.size - kGcmTagBytes);
  call.op.tag = tag;
  if (gcm_open(&call.op, 1) == 0) return info.Env().Null();
  return out;
}

}  // namespace penstock::addon
