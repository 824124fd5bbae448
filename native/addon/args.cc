#include "args.h"

#include <cmath>
#include <cstring>

namespace penstock::addon {
namespace {

const char* type_name(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined:
      return "nothing";
    case napi_null:
      return "null";
    case napi_boolean:
      return "a boolean";
    case napi_number:
      return "a number";
    case napi_string:
      return "a string";
    case napi_symbol:
      return "a symbol";
    case napi_function:
      return "a function";
    case napi_bigint:
      return "a bigint";
    default:
      return value.IsArray() ? "an array" : value.IsTypedArray() ? "a typed array" : "an object";
  }
}

}  // namespace

std::string Arg::path() const {
  if (parent_ == nullptr) return name_;
  if (name_ == nullptr) return parent_->path() + "[" + std::to_string(index_) + "]";
  return parent_->path() + "." + name_;
}

void Arg::type_error(const std::string& what) const {
  throw Napi::TypeError::New(value_.Env(), path() + ": " + what + " expected, not " + type_name(value_));
}

void Arg::range_error(const std::string& what) const {
  throw Napi::RangeError::New(value_.Env(), path() + ": " + what);
}

Arg Arg::get(const char* key) const& {
  if (!value_.IsObject()) type_error("an object");
  return Arg(value_.As<Napi::Object>().Get(key), this, key, 0);
}

Arg Arg::at(uint32_t index) const& {
  return Arg(value_.As<Napi::Array>().Get(index), this, nullptr, index);
}

uint32_t Arg::items(uint32_t most) const {
  if (!value_.IsArray()) type_error("an array");
  const uint32_t count = value_.As<Napi::Array>().Length();
  if (count > most) {
    range_error("at most " + std::to_string(most) + " entries expected, not " + std::to_string(count));
  }
  return count;
}

bool Arg::boolean() const {
  if (!value_.IsBoolean()) type_error("true or false");
  return value_.As<Napi::Boolean>().Value();
}

int64_t Arg::integer(int64_t low, int64_t high) const {
  if (!value_.IsNumber()) type_error("a number");
  const double number = value_.As<Napi::Number>().DoubleValue();
  if (!(number >= static_cast<double>(low) && number <= static_cast<double>(high)) ||
      std::trunc(number) != number) {
    range_error(std::to_string(low) + "…" + std::to_string(high) + " expected, not " +
                value_.ToString().Utf8Value());
  }
  return static_cast<int64_t>(number);
}

uint64_t Arg::big(uint64_t low, uint64_t high) const {
  if (!value_.IsBigInt()) type_error("a bigint");
  bool lossless = false;
  const uint64_t number = value_.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless || number < low || number > high) {
    range_error(std::to_string(low) + "…" + std::to_string(high) + " expected, not " +
                value_.ToString().Utf8Value());
  }
  return number;
}

std::string Arg::text(size_t most) const {
  if (!value_.IsString()) type_error("a string");
  std::string string = value_.As<Napi::String>().Utf8Value();
  if (string.empty() || string.size() > most || string.find('\0') != std::string::npos) {
    range_error("1…" + std::to_string(most) + " bytes without NUL expected");
  }
  return string;
}

unsigned Arg::choice(std::initializer_list<const char*> names) const {
  if (!value_.IsString()) type_error("a string");
  const std::string string = value_.As<Napi::String>().Utf8Value();
  unsigned at = 0;
  std::string all;
  for (const char* name : names) {
    if (string == name) return at;
    ++at;
    all += std::string(all.empty() ? "'" : ", '") + name + "'";
  }
  range_error("one of " + all + " expected, not '" + string + "'");
}

Span Arg::bytes(std::initializer_list<size_t> sizes) const {
  if (!value_.IsTypedArray() || value_.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    type_error("a Uint8Array");
  }
  const auto array = value_.As<Napi::Uint8Array>();
  const Span span = {array.Data(), array.ByteLength()};
  if (sizes.size() == 0) return span;
  std::string all;
  for (const size_t size : sizes) {
    if (span.size == size) return span;
    all += (all.empty() ? "" : " or ") + std::to_string(size);
  }
  range_error(all + " bytes expected, not " + std::to_string(span.size));
}

Napi::Uint16Array Arg::uint16_array() const {
  if (!value_.IsTypedArray() || value_.As<Napi::TypedArray>().TypedArrayType() != napi_uint16_array) {
    type_error("a Uint16Array");
  }
  return value_.As<Napi::Uint16Array>();
}

Address Arg::address() const {
  const Span span = bytes({4, 16});
  if (span.size == 4) return Address::v4(span.data);
  const Address address = Address::v6(span.data);
  if (address.is_v4()) range_error("an IPv4 address is given as 4 bytes");
  return address;
}

void throw_coded(Napi::Env env, const std::string& message, const char* code) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  throw error;
}

Napi::Uint8Array copy_bytes(Napi::Env env, const uint8_t* data, size_t size) {
  Napi::Uint8Array array = Napi::Uint8Array::New(env, size);
  if (size != 0) std::memcpy(array.Data(), data, size);
  return array;
}

Napi::Uint8Array address_bytes(Napi::Env env, const Address& address) {
  return address.is_v4() ? copy_bytes(env, address.v4_bytes(), 4) : copy_bytes(env, address.bytes(), 16);
}

}  // namespace penstock::addon
